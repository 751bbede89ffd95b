#include "pki/pki_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err file_err(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_DENIED;
    default:
        return ERR_IO;
    }
}

enum err pki_refuse(char why[PKI_WHY_BYTES], enum err e, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(why, PKI_WHY_BYTES, format, args);
    va_end(args);
    return e;
}

enum err pki_file_name(struct pki_file *file, const char *dir, const char *name, const char *suffix,
                       char why[PKI_WHY_BYTES])
{
    /* Room for what a file that is being written adds. */
    if (strlen(dir) + strlen(name) + strlen(suffix) + sizeof "/.new" > PKI_PATH_BYTES) {
        return pki_refuse(why, ERR_INVALID, "%s: the path is too long", dir);
    }
    (void)snprintf(file->path, sizeof file->path, "%s/%s%s", dir, name, suffix);
    return OK;
}

enum err pki_file_check_absent(const struct pki_file *file, char why[PKI_WHY_BYTES])
{
    struct stat st;

    if (lstat(file->path, &st) == 0) {
        return pki_refuse(why, ERR_EXISTS,
                          "%s exists already and is not replaced; remove it if it is not needed",
                          file->path);
    }
    return errno == ENOENT
               ? OK
               : pki_refuse(why, file_err(errno), "%s: %s", file->path, strerror(errno));
}

static bool write_whole(int fd, struct bytes content)
{
    while (content.len > 0) {
        ssize_t n = write(fd, content.data, content.len);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        content.data += n > 0 ? n : 0;
        content.len -= n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) == 0;
}

/* The directory that the file is in, so that its name lasts. */
static bool sync_parent(const struct pki_file *file)
{
    char dir[PKI_PATH_BYTES];

    (void)snprintf(dir, sizeof dir, "%s", file->path);
    *strrchr(dir, '/') = '\0';
    int fd = open(dir[0] == '\0' ? "/" : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return done;
}

enum err pki_file_create(const struct pki_file *file, struct bytes content, unsigned mode,
                         char why[PKI_WHY_BYTES])
{
    char draft[PKI_PATH_BYTES + sizeof ".new"];

    (void)snprintf(draft, sizeof draft, "%s.new", file->path);
    (void)unlink(draft); /* of an attempt that was interrupted */
    int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) {
        return pki_refuse(why, file_err(errno), "%s: %s", draft, strerror(errno));
    }
    /* A link, unlike a rename, replaces nothing. */
    bool done = write_whole(fd, content) && link(draft, file->path) == 0 && sync_parent(file);
    int error = errno;
    (void)close(fd);
    (void)unlink(draft);
    return done ? OK : pki_refuse(why, file_err(error), "%s: %s", file->path, strerror(error));
}

void pki_file_remove(const struct pki_file *file)
{
    (void)unlink(file->path);
}
