#include "guard/guard_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 8

static int open_lock(const char *path)
{
    char lock[sizeof((struct sockaddr_un *)0)->sun_path + sizeof ".lock"];

    (void)snprintf(lock, sizeof lock, "%s.lock", path);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

enum err guard_socket_listen(const char *path, gid_t group, int *listen_fd, int *lock_fd)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof at.sun_path) {
        return ERR_INVALID;
    }
    memcpy(at.sun_path, path, strlen(path) + 1);
    int lock = open_lock(path);
    if (lock < 0) {
        return errno == EWOULDBLOCK ? ERR_EXISTS : ERR_DENIED;
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)unlink(path);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) != 0 ||
        chmod(path, 0660) != 0 || chown(path, (uid_t)-1, group) != 0 || listen(fd, BACKLOG) != 0) {
        (void)close(fd);
        (void)close(lock);
        return ERR_DENIED;
    }
    *listen_fd = fd;
    *lock_fd = lock;
    return OK;
}

int guard_socket_accept(int listen_fd, uid_t allowed, uid_t *uid)
{
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t n = sizeof peer;
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    *uid = 0;
    if (fd < 0) {
        return -1;
    }
    bool is_known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0;
    *uid = peer.uid;
    if (!is_known || (peer.uid != 0 && peer.uid != geteuid() && peer.uid != allowed)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void close_fds(int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
            fds[i] = -1;
        }
    }
}

/* How many came along; more than there is room for are closed. */
static size_t take_fds(struct msghdr *header, int fds[GUARD_FDS_MAX])
{
    size_t count = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++) {
            int fd = -1;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (count < GUARD_FDS_MAX) {
                fds[count] = fd;
            } else {
                (void)close(fd);
            }
            count++;
        }
    }
    return count;
}

enum err guard_socket_receive(int fd, struct guard_received *ret)
{
    uint8_t bytes[GUARD_MESSAGE_BYTES + 1]; /* to see that it is longer */
    struct iovec iov = {bytes, sizeof bytes};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE((GUARD_FDS_MAX + 1) * sizeof(int))];
    } control;
    struct msghdr header = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };

    ret->fds[0] = -1;
    ret->fds[1] = -1;
    ssize_t n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? ERR_CANCELED : ERR_CLOSED;
    }
    size_t fds = take_fds(&header, ret->fds);
    if (n == 0) {
        close_fds(ret->fds, GUARD_FDS_MAX);
        return ERR_CLOSED;
    }
    enum err e = guard_message_decode((struct bytes){bytes, (size_t)n}, &ret->message);
    bool wants_fds = e == OK && ret->message.kind == GUARD_HOLD;
    bool is_cut = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    if (e == OK && (is_cut || fds > GUARD_FDS_MAX || wants_fds != (fds > 0))) {
        e = ERR_PROTOCOL;
    }
    if (e != OK) {
        close_fds(ret->fds, GUARD_FDS_MAX);
    }
    return e;
}

bool guard_socket_answer(int fd, const struct guard_answer *answer)
{
    uint8_t bytes[GUARD_ANSWER_BYTES];

    guard_answer_encode(answer, bytes);
    return send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof bytes;
}
