/*
 * The guard's loop: what happens to it goes to guard_core.h, and what that decides is carried out.
 * Everything that it needs is there before it begins: from then on it allocates nothing, opens
 * nothing but its watchdog, and waits for nothing but the next event.
 */
#ifndef NOVACRON_GUARD_GUARD_LOOP_H
#define NOVACRON_GUARD_GUARD_LOOP_H

#include <sys/types.h>

#include "guard/guard_watchdog.h"

struct guard_options {
    const char *socket;
    uid_t user;  /* who may speak to it, besides root and its own */
    gid_t group; /* of the socket */
    nanos lease_max;
    struct guard_watchdog watchdog; /* looked at */
};

/* A line for the journal, with its priority: 3 error, 4 warning, 6 information. */
__attribute__((format(printf, 2, 3))) void guard_say(int priority, const char *format, ...);

/* Runs until it is told to stop and holds nothing. The exit status of the process: 0; 1, another
 * guard has the socket, or it cannot be had. */
int guard_run(const struct guard_options *options);

#endif
