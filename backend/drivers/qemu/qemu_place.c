#include "drivers/qemu/qemu_place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/check.h"

#define RECORD_FORMAT 1

enum err qemu_err(int error)
{
    switch (error) {
    case 0:
        return OK;
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case EAGAIN: /* of making a process or a thread */
    case ENOMEM:
        return ERR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
    case EXDEV: /* of a path that leaves the directory that it was to stay in */
        return ERR_DENIED;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
    case EISDIR:
        return ERR_INVALID;
    default:
        return ERR_IO;
    }
}

bool qemu_name_is_one(const char *name)
{
    const size_t n = strlen(name);

    if (n == 0 || n >= WORLD_NAME_MAX_BYTES || name[0] == '.') {
        return false;
    }
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n;
}

/* --- the record ------------------------------------------------------------------------------- */

static bool take_text(const json_t *root, const char *key, char *ret, size_t cap)
{
    const char *text = json_string_value(json_object_get(root, key));

    if (text == NULL || strlen(text) >= cap) {
        return false;
    }
    memcpy(ret, text, strlen(text) + 1);
    return true;
}

/* A number as text, with one way to write it. */
static bool take_long(const json_t *root, const char *key, uint64_t *ret)
{
    char text[24];
    char again[24];

    if (!take_text(root, key, text, sizeof text)) {
        return false;
    }
    errno = 0;
    const uint64_t n = strtoull(text, NULL, 10);
    (void)snprintf(again, sizeof again, "%" PRIu64, n);
    if (errno != 0 || strcmp(text, again) != 0) {
        return false;
    }
    *ret = n;
    return true;
}

static bool take_number(const json_t *root, const char *key, uint64_t max, uint64_t *ret)
{
    const json_t *value = json_object_get(root, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max) {
        return false;
    }
    *ret = (uint64_t)json_integer_value(value);
    return true;
}

static bool record_take(const json_t *root, struct qemu_record *r)
{
    const json_t *guarded = json_object_get(root, "guarded");
    uint64_t format = 0;
    uint64_t pid = 0;

    r->is_guarded = json_is_true(guarded);
    const bool is_whole =
        take_number(root, "format", RECORD_FORMAT, &format) && format == RECORD_FORMAT &&
        take_text(root, "name", r->name, sizeof r->name) &&
        take_text(root, "volume", r->volume, sizeof r->volume) &&
        take_text(root, "boot", r->boot, sizeof r->boot) && take_long(root, "epoch", &r->epoch) &&
        take_long(root, "began", &r->began) && take_number(root, "order", INT64_MAX, &r->order) &&
        take_number(root, "pid", INT32_MAX, &pid) && json_is_boolean(guarded);
    r->pid = (pid_t)pid;
    return is_whole && json_object_size(root) == 9 && qemu_name_is_one(r->name) && pid > 1;
}

enum err qemu_record_decode(struct bytes json, struct qemu_record *ret)
{
    struct qemu_record record = {.epoch = 0};
    json_error_t error;

    if (json.len > QEMU_RECORD_MAX_BYTES) {
        return ERR_CORRUPT;
    }
    json_t *root = json_loadb((const char *)json.data, json.len, JSON_REJECT_DUPLICATES, &error);
    const bool is_one = json_is_object(root) && record_take(root, &record);
    json_decref(root);
    if (!is_one) {
        return ERR_CORRUPT;
    }
    *ret = record;
    return OK;
}

static json_t *record_json(const struct qemu_record *r)
{
    char epoch[24];
    char began[24];

    (void)snprintf(epoch, sizeof epoch, "%" PRIu64, r->epoch);
    (void)snprintf(began, sizeof began, "%" PRIu64, r->began);
    json_t *root =
        json_pack("{s:i, s:s, s:s, s:s, s:b, s:I, s:s, s:i, s:s}", "format", RECORD_FORMAT, "name",
                  r->name, "volume", r->volume, "epoch", epoch, "guarded", r->is_guarded, "order",
                  (json_int_t)r->order, "boot", r->boot, "pid", (int)r->pid, "began", began);
    CHECK(root != NULL);
    return root;
}

static enum err record_write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        const ssize_t got = write(fd, bytes, n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return qemu_err(got == 0 ? ENOSPC : errno);
        }
        bytes += got;
        n -= (size_t)got;
    }
    return OK;
}

enum err qemu_record_write(int dir, const char *name, const struct qemu_record *record)
{
    char text[QEMU_RECORD_MAX_BYTES];
    json_t *root = record_json(record);
    const size_t n = json_dumpb(root, text, sizeof text, JSON_INDENT(1));

    json_decref(root);
    CHECK(n > 0 && n <= sizeof text);
    const int fd = openat(dir, "new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return qemu_err(errno);
    }
    enum err e = record_write_all(fd, text, n);
    if (close(fd) != 0 && e == OK) {
        e = qemu_err(errno);
    }
    if (e == OK && renameat(dir, "new", dir, name) != 0) {
        e = qemu_err(errno);
    }
    if (e != OK) {
        (void)unlinkat(dir, "new", 0);
    }
    return e;
}

size_t qemu_file_read(int dir, const char *name, char *bytes, size_t max)
{
    const int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t length = 0;
    ssize_t n = 1;

    while (fd >= 0 && length < max && (n > 0 || (n < 0 && errno == EINTR))) {
        n = read(fd, bytes + length, max - length);
        length += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    bytes[length] = '\0';
    return length;
}

enum err qemu_record_read(int dir, const char *name, struct qemu_record *ret)
{
    char text[QEMU_RECORD_MAX_BYTES + 2];

    if (faccessat(dir, name, F_OK, 0) != 0) {
        return qemu_err(errno);
    }
    const size_t n = qemu_file_read(dir, name, text, sizeof text - 1);
    return qemu_record_decode((struct bytes){(const uint8_t *)text, n}, ret);
}

/* --- processes -------------------------------------------------------------------------------- */

void qemu_boot_id(char boot[QEMU_BOOT_ID_BYTES])
{
    (void)qemu_file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot, QEMU_BOOT_ID_BYTES - 1);
    boot[strcspn(boot, "\n")] = '\0';
}

/* The 22nd field of /proc/PID/stat. The second is a name in parentheses, with anything in it. */
uint64_t qemu_process_began(pid_t pid)
{
    char path[40];
    char stat[1024];

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    (void)qemu_file_read(AT_FDCWD, path, stat, sizeof stat - 1);
    const char *at = strrchr(stat, ')');
    for (int field = 2; at != NULL && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    return at != NULL ? strtoull(at, NULL, 10) : 0;
}

int qemu_process_find(pid_t pid, uint64_t began)
{
    const int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

    /* The handle first: what is asked then is asked of a process that cannot become another. */
    if (pidfd >= 0 && (began == 0 || qemu_process_began(pid) != began)) {
        (void)close(pidfd);
        return -1;
    }
    return pidfd;
}

/* --- directories and logs --------------------------------------------------------------------- */

void qemu_place_clear(int dir)
{
    static const char *const names[] = {QEMU_FILE_STARTING, QEMU_FILE_MACHINE, QEMU_FILE_QMP,
                                        QEMU_FILE_AGENT, "new"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)unlinkat(dir, names[i], 0);
    }
}

bool qemu_place_remove(int run, int dir, const char *name)
{
    static const char *const logs[] = {QEMU_FILE_LOG, QEMU_FILE_LOG ".1", QEMU_FILE_CONSOLE,
                                       QEMU_FILE_CONSOLE ".1"};

    qemu_place_clear(dir);
    for (size_t i = 0; i < COUNT_OF(logs); i++) {
        (void)unlinkat(dir, logs[i], 0);
    }
    return unlinkat(run, name, AT_REMOVEDIR) == 0;
}

/* What arrives between the copy and the cut is lost: a line of a log, against a disk that fills up.
 */
void qemu_log_turn(int dir, const char *name, uint64_t max)
{
    char older[40];
    struct stat stat;
    const int fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0) {
        return;
    }
    if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) && (uint64_t)stat.st_size > max) {
        (void)snprintf(older, sizeof older, "%s.1", name);
        const int to = openat(dir, older, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        off_t from = stat.st_size - (off_t)max;
        size_t left = (size_t)max;
        while (to >= 0 && left > 0) {
            const ssize_t n = copy_file_range(fd, &from, to, NULL, left, 0);
            if (n <= 0) {
                break;
            }
            left -= (size_t)n;
        }
        if (to >= 0) {
            (void)close(to);
        }
        (void)ftruncate(fd, 0);
    }
    (void)close(fd);
}
