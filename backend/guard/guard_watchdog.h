/*
 * A watchdog of Linux: a device that resets the host when it was not fed for a while.
 *
 * NOT OPENED TO LOOK. Opening a watchdog arms it; so what it is, is found in /sys, and it is opened
 * when the first machine is held, and never before the configuration is known to be right. What is
 * no character device of the class `watchdog` is not opened at all.
 *
 * REFUSED: a device with `nowayout`, which nobody could disarm, so that an empty host would depend
 * on a guard that lives; and one that does not know the magic close.
 *
 * SOFTDOG is a timer of the kernel that it is to reset, on one of its processors: it resets a host
 * whose guard stands still or has died, and not one whose kernel hangs there while the machines run
 * on the other processors. So it proves nothing (SOFT), unless the operator declares that it does
 * (trusts_softdog). A stand-in is a plain file, of a file system in user space: for tests.
 */
#ifndef NOVACRON_GUARD_GUARD_WATCHDOG_H
#define NOVACRON_GUARD_GUARD_WATCHDOG_H

#include "core/base/err.h"
#include "core/world/world.h"

#define GUARD_PATH_MAX_BYTES 108 /* what a socket's address has room for */
#define GUARD_WHY_MAX_BYTES  200

struct guard_watchdog {
    char path[GUARD_PATH_MAX_BYTES]; /* empty: there is none */
    bool is_stand_in;
    bool trusts_softdog;
    uint32_t timeout_s; /* wanted; then what the device has */
    bool is_usable;
    bool is_softdog;
    int fd;                        /* -1: not armed */
    char why[GUARD_WHY_MAX_BYTES]; /* why it is not usable, or what failed last */
};

/* Without opening it: is it one? Sets is_usable, or says why not. */
void guard_watchdog_look(struct guard_watchdog *w);

/* Opens it, which arms it, and sets its time-out. False: it is closed again, disarmed as far as it
 * lets itself be, and `why` is told. */
MUST_USE bool guard_watchdog_arm(struct guard_watchdog *w);

/* False: the device did not take it. */
MUST_USE bool guard_watchdog_feed(struct guard_watchdog *w);

/* By the magic close. */
void guard_watchdog_disarm(struct guard_watchdog *w);

enum world_watchdog guard_watchdog_state(const struct guard_watchdog *w);

#endif
