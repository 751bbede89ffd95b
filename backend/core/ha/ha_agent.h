/*
 * ha_agent: what works on every host that runs machines. It registers the host, renews its lease,
 * tells the guard, starts what is assigned to the host, stops what is not, and reports.
 *
 *     LOOKING --guard and machines were asked--> JOINING --registered--> SERVING
 *                                                   ^                     |   |
 *                                                   +--an older record----+   | a newer record
 *                                                                             v
 *                                                                         DISPLACED
 *
 *   LOOKING    what lives here is found, and adopted: machines outlive the process of their agent.
 *   JOINING    its record under /novacron/agents/HOST gets a boot above the one before, in a
 *              transaction guarded by that one. Whatever the host owned then, and does not live
 *              here, is reported as stopped: nobody else could have started it later. Where the
 *              record before is another member's, of another machine, that proves nothing: it waits
 *              until that host is gone, or owns nothing any more that may run there.
 *   SERVING    see below. A record with a boot below ours is that of an old view, or of a history
 *              that has lost ours: it registers anew, above both.
 *   DISPLACED  final: another agent has registered this host after us, with a boot above ours. It
 *              ends what was started elsewhere since, and does nothing more.
 *
 * WHAT IT STARTS. A machine in phase STARTING of this host, once for an epoch, while the lease
 * holds with a margin, on a view that has what the store had when the newest lease was granted. An
 * epoch that it has reported, or that was assigned before it had registered, it never starts.
 *
 * WHAT IT ENDS. At once: machines of epochs that are over, by the same view. In good order: those
 * in STOPPING, whose power button is pressed until they obey, and which are killed after their
 * stop_ms. At the end of the lease: by policy, `stop` in good order from half a lease before the
 * end on, `pause` paused at first; both killed an eighth of a lease before the end, the guard being
 * the last to do it. `keep` runs on.
 *
 * REPORTS are transactions guarded by the agent's own record, so that an agent that was displaced
 * can report nothing. They are repeated until they are in the view.
 */
#ifndef NOVACRON_HA_AGENT_H
#define NOVACRON_HA_AGENT_H

#include "core/ha/ha_lease.h"
#include "core/ha/ha_store.h"
#include "core/ha/ha_view.h"
#include "core/world/world.h"

/* Machines of one host; more are refused. */
#define HA_RUNS_MAX 1024

/* The lease must hold so much of itself longer when a machine is started. */
#define HA_START_SHARE 4

/* Before the end of the lease: the ordered stop, or the pause, from this share of it on; the kill
 * from that. */
#define HA_STOP_SHARE 2
#define HA_KILL_SHARE 8

/* A host without a guard does not know what lease its agent had when it was started anew. */
#define HA_ADOPT_GRACE (10 * NANOS_PER_S)

/* A guest that boots does not notice its power button, so it is pressed again until the machine has
 * ended or its time is over. Whoever shuts down already cares for no further press. */
#define HA_PRESS_EVERY (2 * NANOS_PER_S)

#define HA_QUERY_EVERY    (3 * NANOS_PER_S)
#define HA_QUERY_PATIENCE (2 * NANOS_PER_S)
#define HA_QUERY_MISSES   3
#define HA_RESUME_EVERY   (10 * NANOS_PER_S) /* a guest whose disk had no room is tried again */
#define HA_GUARD_EVERY    (2 * NANOS_PER_S)
#define HA_PROBE_EVERY    (30 * NANOS_PER_S)

/* Can this host use a storage? The caller's, in place until `done`, which runs later. */
struct ha_probe {
    const struct ha_storage *storage; /* a copy of the record; borrowed */
    void (*done)(struct ha_probe *probe);
    void *owner;
    enum err result;
};

struct ha_probe_ops {
    void (*probe)(void *self, struct ha_probe *probe);
};

struct ha_agent_config {
    char host[HA_NAME_BYTES];
    uint32_t memory_mib; /* for machines */
    uint32_t cpus;
    struct ha_names storages; /* that are mounted here */
    /* At which other hosts reach machines that wait here for a guest; "": at none. */
    char move_address[WORLD_HOST_MAX_BYTES];
    void *probe_self;
    const struct ha_probe_ops *probe; /* NULL: what is mounted is usable */
};

enum ha_agent_phase { HA_AGENT_LOOKING, HA_AGENT_JOINING, HA_AGENT_SERVING, HA_AGENT_DISPLACED };

struct ha_agent; /* opaque */

struct ha_agent_events {
    void *ctx;
    /* For the log: what was done or found, of which machine ("": of the host). */
    void (*said)(void *ctx, const char *what, const char *vm, const char *detail);
    /* Something has happened after which ha_agent_pass is to be called. */
    void (*due)(void *ctx);
};

/* World, store and view stay in place until it is closed; the world has machines. */
struct ha_agent *ha_agent_open(const struct world *world, const struct ha_store *store,
                               const struct ha_view *view, const struct ha_agent_config *config,
                               const struct ha_agent_events *events);

/* While the world is there: machines are not asked any more how they are, and the connections that
 * ask them are closed. */
void ha_agent_stop(struct ha_agent *a);

/* As node_close: the world is idle, or was torn down. Machines run on. */
void ha_agent_close(struct ha_agent *a);

/* Does what is to be done now; the view may have changed. */
void ha_agent_pass(struct ha_agent *a);

/* When it wants to be called next. */
nanos ha_agent_deadline(const struct ha_agent *a);

/* GRANT and REFUSE. */
void ha_agent_note(struct ha_agent *a, const struct ha_note *note);

/* Somebody else leads: renews at once. */
void ha_agent_leader_changed(struct ha_agent *a);

/* --- looking in ------------------------------------------------------------------------------- */

struct ha_agent_status {
    enum ha_agent_phase phase;
    uint64_t boot;
    nanos lease_until; /* that is relied on; 0: none */
    nanos lease_left;
    uint64_t lease_revision;
    bool is_refused;
    enum ha_refusal refusal;
    bool has_guard;
    enum world_watchdog watchdog;
    nanos watchdog_timeout;
    nanos slept;
    uint32_t machines; /* that live here */
    uint32_t mute;     /* of those, that do not answer */
    uint32_t reports_waiting;
    uint64_t starts;
    uint64_t kills;
    uint64_t unwell_ends; /* machines that were ended since they failed a probe */
};

void ha_agent_status(const struct ha_agent *a, struct ha_agent_status *ret);

/* The machines that live here, in the order of their names; false behind the last. */
bool ha_agent_machine_at(const struct ha_agent *a, size_t at, char vm[HA_NAME_BYTES],
                         uint64_t *epoch, bool *is_mute);

/* What is known of the rungs of a machine that lives here: HA_RUNGS of them, borrowed until the
 * next pass; NULL: nothing. */
const struct ha_rung_view *ha_agent_rungs(const struct ha_agent *a, const char *vm);

#endif
