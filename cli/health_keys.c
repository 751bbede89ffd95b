#include "cli/health_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "world/linux/linux_seal.h"

/* More is no file of keys: SEAL_KEYS_MAX lines, and comments. */
#define KEYS_BYTES_MAX 4096

void health_keys_place(const char *ca, const char *dir, char path[MEMBER_PATH_BYTES])
{
    (void)snprintf(path, MEMBER_PATH_BYTES, "%s/" HEALTH_KEYS_FILE, ca != NULL ? ca : dir);
}

static enum err keys_failed(const char *what, const char *path, char *why)
{
    (void)snprintf(why, DAEMON_WHY_BYTES, "cannot %s %.300s: %.100s", what, path, strerror(errno));
    return errno == EEXIST ? ERR_EXISTS : ERR_IO;
}

static enum err keys_write(const char *path, const char *text, size_t n, char *why)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0) {
        return keys_failed("make", path, why);
    }
    bool is_whole = write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;
    is_whole = close(fd) == 0 && is_whole;
    if (!is_whole) {
        enum err e = keys_failed("write", path, why);
        (void)unlink(path);
        return e;
    }
    return OK;
}

enum err health_keys_make(const char *path, char why[DAEMON_WHY_BYTES])
{
    uint8_t key[SEAL_KEY_BYTES];
    char text[2 * SEAL_KEY_BYTES + 2];
    if (getrandom(key, sizeof key, 0) != (ssize_t)sizeof key) {
        return keys_failed("draw a key for", path, why);
    }
    for (size_t i = 0; i < sizeof key; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", key[i]);
    }
    text[sizeof text - 2] = '\n';
    return keys_write(path, text, sizeof text - 1, why);
}

/* How many bytes it has; 0: it cannot be read, or is too long. */
static size_t keys_read(const char *path, char text[KEYS_BYTES_MAX])
{
    FILE *f = fopen(path, "re");
    size_t n = f != NULL ? fread(text, 1, KEYS_BYTES_MAX, f) : 0;
    bool is_read = f != NULL && ferror(f) == 0 && n < KEYS_BYTES_MAX;
    if (f != NULL) {
        (void)fclose(f);
    }
    return is_read ? n : 0;
}

enum err health_keys_copy(const char *path, const char *dir, const char *name,
                          char why[DAEMON_WHY_BYTES])
{
    char to[MEMBER_PATH_BYTES];
    char text[KEYS_BYTES_MAX];
    char there[KEYS_BYTES_MAX];
    if (snprintf(to, sizeof to, "%s/%s/" HEALTH_KEYS_FILE, dir, name) >= (int)sizeof to) {
        (void)snprintf(why, DAEMON_WHY_BYTES, "the directory's name is too long");
        return ERR_INVALID;
    }
    size_t n = keys_read(path, text);
    if (n == 0) {
        return keys_failed("read", path, why);
    }
    enum err e = keys_write(to, text, n, why);
    bool is_copied = e == ERR_EXISTS && keys_read(to, there) == n && memcmp(text, there, n) == 0;
    return is_copied ? OK : e; /* by an attempt before */
}

bool health_keys_exist(const char *path)
{
    return access(path, F_OK) == 0;
}

enum err health_keys_check(const char *path, const char *print, char why[DAEMON_WHY_BYTES])
{
    struct seal_ring ring;
    unsigned line = 0;
    enum err e = linux_seal_read_keys(path, &ring, &line);
    if (e != OK) {
        (void)snprintf(why, DAEMON_WHY_BYTES,
                       "the cluster's hosts watch each other with health.keys, and %.300s cannot "
                       "be read (%s); copy a member's, and say where it is: --health-keys FILE",
                       path, err_text(e));
        return e;
    }
    for (uint32_t i = 0; i < ring.n; i++) {
        char text[LINUX_SEAL_PRINT_BYTES];
        linux_seal_print(ring.keys[i], text);
        if (strcmp(text, print) == 0) {
            return OK;
        }
    }
    (void)snprintf(why, DAEMON_WHY_BYTES,
                   "%.300s has not the key that the cluster's hosts use now; were they exchanged? "
                   "Copy a member's, and say where it is: --health-keys FILE",
                   path);
    return ERR_REFUSED;
}
