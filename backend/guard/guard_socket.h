/*
 * The guard's socket: who connects, what they send, and the descriptors that come along.
 *
 * Root, the guard's own user and one more user may speak to it, as the kernel tells who they are.
 * Others are sent away. Several may be connected, to ask; the daemon is whoever sent the last LEASE
 * or HOLD, and the one before is sent away then: so a daemon that is started anew takes over.
 */
#ifndef NOVACRON_GUARD_GUARD_SOCKET_H
#define NOVACRON_GUARD_GUARD_SOCKET_H

#include <sys/types.h>

#include "guard/guard_wire.h"

/* Connected at a time; the one that has been so for longest makes room, but not the daemon. */
#define GUARD_PEERS_MAX 8

/* Listens at a path, over what is left there of an earlier guard. ERR_EXISTS: another guard runs
 * there. On OK `*lock_fd` has to stay open. */
MUST_USE enum err guard_socket_listen(const char *path, gid_t group, int *listen_fd, int *lock_fd);

/* The next one that wants in; -1: none, or one that was sent away, whose user is at `uid`. */
int guard_socket_accept(int listen_fd, uid_t allowed, uid_t *uid);

struct guard_received {
    struct guard_message message;
    int fds[GUARD_FDS_MAX]; /* the receiver's; -1: none */
};

/* ERR_CANCELED: nothing is there. ERR_CLOSED: it is gone. ERR_PROTOCOL and others: it said what is
 * no message, and its descriptors are closed. */
MUST_USE enum err guard_socket_receive(int fd, struct guard_received *ret);

/* False: it does not take its answer. */
MUST_USE bool guard_socket_answer(int fd, const struct guard_answer *answer);

#endif
