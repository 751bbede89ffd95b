#include "novacrond/daemon_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "world/linux/linux_world.h"

#define NOTE_BYTES 128
#define PATH_BYTES 1200

static void note_text(const struct daemon_config *config, char text[NOTE_BYTES])
{
    (void)snprintf(text, NOTE_BYTES, "cluster=%llx member=%llx\n",
                   (unsigned long long)config->cluster, (unsigned long long)config->id);
}

static enum err disk_failed(const char *what, const char *path, char *why)
{
    int error = errno;
    (void)snprintf(why, DAEMON_WHY_BYTES, "cannot %s %.300s: %.100s", what, path, strerror(error));
    return linux_err(error);
}

static enum err disk_lock(struct daemon_disk *disk, char *why)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/lock", disk->dir);
    disk->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (disk->lock < 0) {
        return disk_failed("open", path, why);
    }
    if (flock(disk->lock, LOCK_EX | LOCK_NB) != 0) {
        (void)snprintf(why, DAEMON_WHY_BYTES,
                       "%s is in use by another novacrond; stop that one, or give this one a "
                       "data_dir of its own",
                       disk->dir);
        return ERR_EXISTS;
    }
    return OK;
}

static enum err disk_read_note(struct daemon_disk *disk, const struct daemon_config *config,
                               char *why)
{
    char path[PATH_BYTES];
    char text[NOTE_BYTES] = "";
    char expected[NOTE_BYTES];
    (void)snprintf(path, sizeof path, "%s/member", disk->dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        disk->is_member = false;
        return OK;
    }
    if (fd < 0) {
        return disk_failed("open", path, why);
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (n < 0) {
        return disk_failed("read", path, why);
    }
    note_text(config, expected);
    if (strcmp(text, expected) != 0) {
        text[strcspn(text, "\n")] = '\0';
        expected[strcspn(expected, "\n")] = '\0';
        (void)snprintf(why, DAEMON_WHY_BYTES,
                       "%s belongs to \"%.90s\", and the configuration says \"%.90s\": is it the "
                       "right disk, and are name, id and cluster as they were?",
                       disk->dir, text, expected);
        return ERR_REFUSED;
    }
    disk->is_member = true;
    return OK;
}

enum err daemon_disk_open(const struct daemon_config *config, char why[DAEMON_WHY_BYTES],
                          struct daemon_disk *ret)
{
    struct daemon_disk disk = {.dir = config->settings->data_dir, .lock = -1};
    if (mkdir(disk.dir, 0700) != 0 && errno != EEXIST) {
        return disk_failed("make", disk.dir, why);
    }
    enum err e = disk_lock(&disk, why);
    e = e == OK ? disk_read_note(&disk, config, why) : e;
    if (e != OK) {
        daemon_disk_close(&disk);
        return e;
    }
    *ret = disk;
    return OK;
}

static bool disk_sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_durable = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_durable;
}

enum err daemon_disk_note(struct daemon_disk *disk, const struct daemon_config *config)
{
    char path[PATH_BYTES];
    char beside[PATH_BYTES];
    char text[NOTE_BYTES];
    (void)snprintf(path, sizeof path, "%s/member", disk->dir);
    (void)snprintf(beside, sizeof beside, "%s/member.new", disk->dir);
    note_text(config, text);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return ERR_IO;
    }
    size_t n = strlen(text);
    bool is_whole = write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;
    if (close(fd) != 0 || !is_whole || rename(beside, path) != 0 || !disk_sync_dir(disk->dir)) {
        return ERR_IO;
    }
    disk->is_member = true;
    return OK;
}

void daemon_disk_close(struct daemon_disk *disk)
{
    if (disk->lock >= 0) {
        (void)close(disk->lock);
        disk->lock = -1;
    }
}
