/* Private to the simulated world: machines are simvm.c, their requests simvm_ops.c, volumes
 * simvolume.c. */
#ifndef NOVACRON_CHAOS_SIMVM_INT_H
#define NOVACRON_CHAOS_SIMVM_INT_H

#include "core/chaos/simcall_int.h"
#include "core/chaos/simvm.h"

struct simvm {
    struct simvm *next; /* on its host, in the order they were started */
    struct simhost *host;
    struct simvolume *volume;
    uint64_t epoch;
    nanos shutdown_at;  /* 0: no */
    nanos agent_from;   /* its agent has started by then */
    nanos sick_process; /* the newest time at which it was known not to be well; 0: never */
    nanos sick_guest;   /* likewise, its guest */
    nanos hears_at;     /* its guest has booted, and notices its power button */
    bool stands;        /* paused by itself: its disk had no room */
    struct simvm_faults faults;
    struct simvm_agent agent;
    char name[WORLD_NAME_MAX_BYTES];
    uint16_t port;   /* at which it waits, or waited, for a guest; 0: never */
    bool is_waiting; /* has no guest yet */
    bool is_moved;   /* has none any more */
    bool is_arrived; /* has one, which has not gone on here, and has no lock yet */
    uint64_t moving; /* the number of the move of its guest that is under way; 0: none */
    bool is_paused;
    bool is_held; /* by the guard */
    bool is_told; /* the node's process hears of its exit */
    bool is_ours; /* a process of the node's started or listed it, at some time */
    bool is_dead; /* in no list: its event frees it */
};

/* An exit that nobody saw, for the next LIST. */
struct simvm_unseen {
    struct simvm_unseen *next; /* oldest first */
    struct world_vm_exit exit;
};

struct simvms {
    struct simvm *machines;      /* owned */
    struct simvm_unseen *unseen; /* owned */
    struct simcall *calls;       /* owned */
    struct world_vm_sink *sink;
    uint32_t failing_starts;
    uint64_t moves;   /* begun here */
    nanos agent_boot; /* of guests that start here */
    uint16_t ports;   /* given to machines that wait */
};

/* Who opened a volume with an epoch. */
struct simvolume_owner {
    uint64_t epoch;
    const struct simhost *host;
};

struct simvolume {
    struct simvolume *next;
    struct simworld *sim;
    const struct simvm *holder; /* of the lock */
    char name[WORLD_NAME_MAX_BYTES];
    nanos flight;
    nanos linger;
    nanos held_until; /* by nobody who lives */
    uint64_t writes;
    uint64_t contentions;
    uint64_t epoch;                 /* the newest it was opened with */
    struct simvolume_owner *owners; /* owned; in the order of the openings */
    size_t owner_count;
    size_t owner_cap;
    const struct simhost **cut_off; /* owned; borrowed elements */
    size_t cut_count;
    size_t cut_cap;
    size_t row_count; /* ever; the newest SIMVOLUME_ROWS_MAX are in the ring */
    struct simvolume_row rows[SIMVOLUME_ROWS_MAX];
    bool grants_all;
};

struct simvm *simvm_find(const struct simhost *host, const char *name);

/* A machine that runs, if the volume's lock is to be had; ERR_EXISTS, ERR_NOT_FOUND, ERR_REFUSED.
 */
MUST_USE enum err simvm_spawn(struct simhost *host, const struct world_vm_spec *spec,
                              struct simvm **ret);

/* The exits that nobody saw are told; of the machine of that name, or, NULL, of all. */
void simvm_tell_unseen(struct simhost *host, const char *name);

/* Its process ends; who listens is told. */
void simvm_end(struct simvm *vm, enum world_vm_end end);

/* simguard.c: would the guard take a machine now? ERR_DENIED: no, or there is none; ERR_PENDING: it
 * does not answer. It holds one more, or fewer. */
MUST_USE enum err simguard_takes(struct simhost *host);
void simguard_holds(struct simhost *host);

/* Is there a guest in it? */
bool simvm_has_guest(const struct simvm *vm);

/* Does its process take commands? And what it would say of itself then. */
bool simvm_takes_commands(const struct simvm *vm);
enum world_vm_state simvm_state(const struct simvm *vm);

/* simvm_move.c: MIGRATE, of a machine that is there; called off at its deadline; and the answer to
 * any request. */
void simvm_move_begin(struct simcall *call);
void simvm_move_expired(struct simcall *call);

/* simvm_agent.c: PING and EXEC, likewise. */
void simvm_agent_begin(struct simcall *call);
void simvm_answer(struct simcall *call, enum err result, enum world_vm_state state);

/* Takes the lock for the machine, and notes the opening. ERR_REFUSED: somebody holds it. */
MUST_USE enum err simvolume_open(struct simvolume *volume, const struct simvm *vm);
void simvolume_close(struct simvolume *volume, const struct simvm *vm);
/* Its host's power is gone, and nothing has closed it. */
void simvolume_orphan(struct simvolume *volume, const struct simvm *vm);

/* A write leaves the machine's host. */
void simvolume_write(struct simvolume *volume, const struct simvm *vm);

#endif
