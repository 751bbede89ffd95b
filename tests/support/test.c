#include "tests/support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/hash.h"

/* The number in the environment variable `name`, or `otherwise` where there is none. */
static uint64_t number_from_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    if (text == NULL || *text == '\0') {
        return otherwise;
    }
    char *end = NULL;
    errno = 0;
    uint64_t v = strtoull(text, &end, 0);
    if (errno != 0 || *end != '\0') {
        fprintf(stderr, "%s=%s is not a number\n", name, text);
        exit(2);
    }
    return v;
}

struct prng test_prng(const char *label)
{
    uint64_t seed = number_from_env("NOVACRON_SEED", 1);
    printf("# %s: NOVACRON_SEED=%" PRIu64 "\n", label, seed);
    fflush(stdout);
    struct prng root;
    prng_init(&root, seed);
    return prng_fork(&root, hash_bytes(0, label, strlen(label)));
}

size_t test_rounds(size_t rounds)
{
    return rounds * number_from_env("NOVACRON_SCALE", 1);
}

bool test_aborts(void (*body)(void *), void *arg)
{
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        int null_fd = open("/dev/null", O_WRONLY);
        (void)dup2(null_fd, STDOUT_FILENO);
        (void)dup2(null_fd, STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL);
        body(arg);
        _exit(0);
    }
    int status = 0;
    pid_t waited = waitpid(child, &status, 0);
    CHECK(waited == child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
