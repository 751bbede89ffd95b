/* What an earlier process of ours left in the run directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "drivers/qemu/qemu_int.h"

/* Of a START that nobody has heard the end of: its guest has not run. */
static void adopt_half(struct qemu_driver *driver, const struct qemu_record *record, int dir)
{
    const bool is_ours = strcmp(record->boot, driver->boot) == 0;
    const int pidfd = is_ours ? qemu_process_find(record->pid, record->began) : -1;

    if (pidfd < 0) {
        qemu_place_clear(dir);
        (void)close(dir);
        return;
    }
    qemu_tell(driver, record->name, "it was being started when novacrond ended, and is killed");
    struct qemu_machine *m = qemu_machine_new(driver, record);
    m->dir = dir;
    m->phase = QEMU_ENDING;
    qemu_machine_watch(m, pidfd);
    qemu_machine_kill(m, WORLD_VM_KILLED);
}

static void adopt_whole(struct qemu_driver *driver, const struct qemu_record *record, int dir)
{
    if (strcmp(record->boot, driver->boot) != 0) {
        qemu_place_clear(dir); /* its power is gone */
        (void)close(dir);
        return;
    }
    const int pidfd = qemu_process_find(record->pid, record->began);
    struct qemu_machine *m = qemu_machine_new(driver, record);
    m->dir = dir;
    if (pidfd < 0) {
        m->phase = QEMU_GONE;
        qemu_tell(driver, record->name, "it ended while novacrond was not there");
        return;
    }
    m->phase = QEMU_LIVE;
    qemu_machine_watch(m, pidfd);
    qemu_tell(driver, record->name, "it lives, and is ours again");
    qemu_machine_connect(m);
    if (record->is_guarded) {
        qemu_hold_adopted(m);
    }
}

static void adopt_one(struct qemu_driver *driver, const char *name)
{
    struct qemu_record record;
    const int dir = openat(driver->run, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool is_half = false;

    if (dir < 0) {
        return; /* no directory: no machine's */
    }
    enum err e = qemu_record_read(dir, QEMU_FILE_MACHINE, &record);
    if (e == ERR_NOT_FOUND) {
        is_half = true;
        e = qemu_record_read(dir, QEMU_FILE_STARTING, &record);
    }
    if (e == OK && strcmp(record.name, name) != 0) {
        e = ERR_CORRUPT;
    }
    if (e != OK) {
        if (e != ERR_NOT_FOUND) {
            qemu_tell(driver, name,
                      "what the run directory says of it cannot be read, and is "
                      "left alone: look for its QEMU by hand");
        }
        (void)close(dir);
    } else if (is_half) {
        adopt_half(driver, &record, dir);
    } else {
        adopt_whole(driver, &record, dir);
    }
}

/* It says something of a machine, and it is none of ours: left alone. */
static bool place_is_unclear(const struct qemu_driver *driver, const char *name)
{
    char path[300];

    (void)snprintf(path, sizeof path, "%s/%s", name, QEMU_FILE_MACHINE);
    if (faccessat(driver->run, path, F_OK, 0) == 0) {
        return true;
    }
    (void)snprintf(path, sizeof path, "%s/%s", name, QEMU_FILE_STARTING);
    return faccessat(driver->run, path, F_OK, 0) == 0;
}

/* The one of those that nobody uses whose end is longest ago, if there are more than we keep. */
static bool place_to_prune(const struct qemu_driver *driver, char name[WORLD_NAME_MAX_BYTES])
{
    const int fd = openat(driver->run, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *run = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry = NULL;
    struct timespec oldest = {.tv_sec = 0};
    size_t count = 0;

    while (run != NULL && (entry = readdir(run)) != NULL) {
        struct stat stat;
        if (!qemu_name_is_one(entry->d_name) || qemu_machine_find(driver, entry->d_name) != NULL ||
            place_is_unclear(driver, entry->d_name) ||
            fstatat(driver->run, entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISDIR(stat.st_mode)) {
            continue;
        }
        const struct timespec at = stat.st_mtim;
        if (count++ == 0 || at.tv_sec < oldest.tv_sec ||
            (at.tv_sec == oldest.tv_sec && at.tv_nsec < oldest.tv_nsec)) {
            oldest = at;
            memcpy(name, entry->d_name, strlen(entry->d_name) + 1);
        }
    }
    if (run != NULL) {
        (void)closedir(run);
    }
    return count > driver->places_max;
}

void qemu_places_prune(struct qemu_driver *driver)
{
    char name[WORLD_NAME_MAX_BYTES];

    while (place_to_prune(driver, name)) {
        const int dir = openat(driver->run, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (dir < 0) {
            return;
        }
        const bool is_gone = qemu_place_remove(driver->run, dir, name);
        (void)close(dir);
        if (!is_gone) {
            return; /* somebody put something else into it, which is not ours to remove */
        }
    }
}

void qemu_adopt_all(struct qemu_driver *driver)
{
    const int fd = fcntl(driver->run, F_DUPFD_CLOEXEC, 0);
    DIR *run = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry = NULL;

    CHECK(run != NULL); /* a directory that was opened a moment ago */
    while ((entry = readdir(run)) != NULL) {
        if (qemu_name_is_one(entry->d_name)) {
            adopt_one(driver, entry->d_name);
        }
    }
    (void)closedir(run);
    qemu_places_prune(driver);
}
