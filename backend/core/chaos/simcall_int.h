/*
 * Private to the simulated world: a request of a host's process that takes several steps and has a
 * deadline, as those for power and for virtual machines. The steps are events of the process; its
 * death forgets the call, what it has set in motion elsewhere goes on.
 */
#ifndef NOVACRON_CHAOS_SIMCALL_INT_H
#define NOVACRON_CHAOS_SIMCALL_INT_H

#include "core/chaos/simworld_int.h"

struct simcall {
    struct simcall *next;
    struct simcall **list; /* that it is in, oldest first */
    struct simhost *host;
    void *request; /* borrowed; NULL: answered */
    void (*expired)(struct simcall *call);
    void (*step)(struct simcall *call); /* that comes next */
    struct world_timer deadline;
    bool is_begun;
    bool has_event; /* and must stay until it has happened */
};

/* A new call at the end of the list. `expired` is called at the deadline, on the host's clock, if
 * the call is still open; NANOS_FOREVER: never. */
struct simcall *simcall_open(struct simcall **list, struct simhost *host, void *request,
                             nanos deadline, void (*expired)(struct simcall *call));

/* `step` is called so much later, if the call is still open. One at a time. */
void simcall_after(struct simcall *call, nanos span, void (*step)(struct simcall *call));

/* The request is answered: the call is in no list any more, and is freed when it can be. */
void simcall_close(struct simcall *call);

/* The process is gone, and its events and timers with it. */
void simcall_forget(struct simcall **list);

#endif
