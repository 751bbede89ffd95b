/*
 * Any bytes as the configuration of the daemon: it is taken or refused, with a reason and the line,
 * and neither leaks nor crashes. The file is read by its name, so it lies in memory, below /proc.
 */
#include "tests/fuzz/fuzz_target.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/check.h"
#include "novacrond/daemon_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char path[32];
    char why[DAEMON_WHY_BYTES] = "";
    struct daemon_config config;
    int fd = memfd_create("config", MFD_CLOEXEC);
    CHECK(fd >= 0 && (n == 0 || write(fd, bytes, n) == (ssize_t)n));
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    memset(&config, 0, sizeof config);
    if (daemon_config_load(path, why, &config) == OK) {
        CHECK(config.settings != NULL && config.settings->name[0] != '\0');
        daemon_config_free(&config);
    } else {
        CHECK(why[0] != '\0' && memchr(why, '\0', sizeof why) != NULL);
    }
    (void)close(fd);
    return 0;
}
