/*
 * drivers/guard: the daemon's side of novacron-guard, which fills world_guard_ops of
 * core/world/world.h, and hands machines to it.
 *
 * Who may call it: the daemon, which plugs it into its world, and lets the driver of virtual
 * machines call guard_client_hold.
 *
 *                      a request, or something to keep         connected
 *     CLOSED  ------------------------------------->  (connect)  ---->  OPEN
 *        ^                                                                |
 *        '----------------------------------------------------------------'
 *              the guard, or another daemon, ended it: what waits for an answer is ERR_CLOSED
 *
 * A GUARD THAT IS STARTED ANEW knows nothing, and its predecessor's watchdog is running out. So the
 * client keeps the last lease, and the machines that the guard took and whose processes live, with
 * pidfds of its own; while there is one, it connects again every GUARD_CLIENT_RETRY, and whenever
 * it connects it first says all of that again, which changes nothing in a guard that knows it. A
 * machine that this guard then does not take is told of, once, and is said again every
 * GUARD_CLIENT_HOLD_AGAIN, until it is taken or its process has ended.
 *
 * Connecting and sending never block: it is a socket of this host.
 */
#ifndef NOVACRON_DRIVERS_GUARD_GUARD_CLIENT_H
#define NOVACRON_DRIVERS_GUARD_GUARD_CLIENT_H

#include "core/world/world.h"

struct uv_loop_s;    /* uv_loop_t */
struct guard_client; /* opaque */

#define GUARD_CLIENT_RETRY      (100 * NANOS_PER_MS)
#define GUARD_CLIENT_HOLD_AGAIN NANOS_PER_S

/* Requests under way, at most; more are ERR_CLOSED. */
#define GUARD_CLIENT_CALLS_MAX 1024

/* A machine for the guard. The caller's, in place until `held` was entered, which is never within
 * the call of guard_client_hold. */
struct guard_hold {
    void (*held)(struct guard_hold *hold, enum err result);
    const char *name;
    uint64_t epoch;
    int pidfd;
    int cgroup_kill; /* the file, open for writing; -1: none */
    nanos deadline;
    void *owner;
};

/* Uses of the world its time alone. `path`, of the guard's socket, is copied. Never NULL. */
struct guard_client *guard_client_open(struct uv_loop_s *loop, const struct world *w,
                                       const char *path);

/* A machine that the guard took, and that a guard that was started anew does not take: why; or OK,
 * now it does. `machine` is borrowed for the call, in which the client is not to be used. */
void guard_client_listen(struct guard_client *c,
                         void (*told)(void *ctx, const char *machine, enum err result), void *ctx);

/* Before the world is closed; not from a callback of the client's. The guard keeps what it has.
 * Requests are forgotten. */
void guard_client_close(struct guard_client *c);

/* OK: it holds it. ERR_EXISTS: another process of that name. ERR_REFUSED: its lease does not hold,
 * or it is stopping. ERR_INVALID: no process. ERR_DENIED: one that it may not kill. ERR_BUSY: it is
 * full. ERR_CLOSED, ERR_TIMEOUT: perhaps; a machine that was not confirmed is not kept. */
void guard_client_hold(struct guard_client *c, struct guard_hold *hold);

/* Machines that it would hand to a guard that is started anew. */
uint32_t guard_client_kept(const struct guard_client *c);

/* With a struct guard_client as `self`. */
extern const struct world_guard_ops guard_client_ops;

#endif
