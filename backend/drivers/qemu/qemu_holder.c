#include "drivers/qemu/qemu_holder.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is looked at, at most: it is the loop that looks. */
#define PROCESSES_MAX 4096
#define FILES_MAX     1024

/* "qemu-system-x86", as the kernel cuts names. */
static bool process_is_qemu(int proc, const char *pid, char name[32])
{
    char path[64];

    (void)snprintf(path, sizeof path, "%.20s/comm", pid);
    const int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd >= 0 ? read(fd, name, 31) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    name[n > 0 ? n : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
    return strncmp(name, "qemu", 4) == 0;
}

static bool process_has_file(int proc, const char *pid, const char *image)
{
    char path[64];
    char link[QEMU_PATH_MAX_BYTES + WORLD_NAME_MAX_BYTES];
    bool has = false;

    (void)snprintf(path, sizeof path, "%.20s/fd", pid);
    const int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *files = fd >= 0 ? fdopendir(fd) : NULL;
    if (files == NULL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return false;
    }
    const struct dirent *entry = NULL;
    for (int i = 0; !has && i < FILES_MAX && (entry = readdir(files)) != NULL; i++) {
        const ssize_t n = readlinkat(fd, entry->d_name, link, sizeof link - 1);
        link[n > 0 ? n : 0] = '\0';
        has = strcmp(link, image) == 0;
    }
    (void)closedir(files);
    return has;
}

static void holder_tell(const struct qemu_driver *driver, const char *pid, const char *name,
                        char *ret, size_t cap)
{
    const struct qemu_machine *m = driver->machines;

    while (m != NULL && m->record.pid != (pid_t)strtol(pid, NULL, 10)) {
        m = m->next;
    }
    if (m != NULL) {
        (void)snprintf(ret, cap, "machine %s of this host (process %.20s)", m->record.name, pid);
    } else {
        (void)snprintf(ret, cap, "process %.20s of this host (%s)", pid, name);
    }
}

bool qemu_holder_find(const struct qemu_driver *driver, const char *image, char *ret, size_t cap)
{
    const int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *processes = proc >= 0 ? fdopendir(proc) : NULL;
    const struct dirent *entry = NULL;
    bool is_found = false;
    char name[32];

    if (processes == NULL) {
        if (proc >= 0) {
            (void)close(proc);
        }
        return false;
    }
    for (int i = 0; !is_found && i < PROCESSES_MAX && (entry = readdir(processes)) != NULL;) {
        if (!isdigit((unsigned char)entry->d_name[0])) {
            continue;
        }
        i++;
        is_found = process_is_qemu(proc, entry->d_name, name) &&
                   process_has_file(proc, entry->d_name, image);
        if (is_found) {
            holder_tell(driver, entry->d_name, name, ret, cap);
        }
    }
    (void)closedir(processes);
    return is_found;
}
