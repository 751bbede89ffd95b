/*
 * Private to core/ha: the state of an agent.
 *
 *     ha_agent.c         life: what is found, registration, storages, the pass
 *     ha_agent_lease.c   renewals, and the guard
 *     ha_agent_run.c     machines: starts, ends, what their driver answers
 *     ha_agent_move.c    those that are moved while they run
 *     ha_agent_storage.c machines whose disk fails
 *     ha_agent_ladder.c  how machines are: what is asked of them, and what follows
 *     ha_agent_ask.c     ... carried out
 *     ha_agent_report.c  reports into the store, and out of it again
 */
#ifndef NOVACRON_HA_AGENT_INT_H
#define NOVACRON_HA_AGENT_INT_H

#include "core/ha/ha_agent.h"

/* A request of ours to the driver or the guard, beyond what the machine itself may take; and after
 * how long a failed one is tried again. */
#define HA_REQUEST_PATIENCE (10 * NANOS_PER_S)
#define HA_REQUEST_AGAIN    NANOS_PER_S
#define HA_REPORT_AGAIN     (200 * NANOS_PER_MS)

/* Between two reports of a machine whose rungs alone have changed, at least. */
#define HA_RUNGS_EVERY (5 * NANOS_PER_S)

/*
 *     NEW --START--> STARTING --OK--> ALIVE --its process has ended--> ENDED
 *      |                |                                                ^
 *      +--refused-------+--error, and KILL says that nothing is there----+
 *
 * ENDED is final for the epoch: what it was is reported, and kept until the report is in the view
 * and the owner's record is past the epoch.
 */
enum ha_run_phase { HA_RUN_STARTING, HA_RUN_ALIVE, HA_RUN_ENDED };

/* What was made of sending its guest, in the newest move that this agent knows it was in. DONE is a
 * promise: it goes on only when the record says that this move is over. UNCLEAR: it is asked. */
enum ha_sending { HA_SEND_NONE, HA_SEND_BUSY, HA_SEND_UNCLEAR, HA_SEND_DONE, HA_SEND_FAILED };

/* One epoch of one machine on this host. At most one of a machine is not ENDED, or the driver has
 * let two of a name live. */
struct ha_run {
    struct ha_agent *agent;
    char vm[HA_NAME_BYTES];
    uint64_t epoch;
    enum ha_run_phase phase;
    enum ha_policy policy;
    bool is_policy_known; /* from the record of its epoch; before, it is the strictest */
    nanos stop_time;      /* stop_ms of its machine */
    bool has_exited;      /* while its START is under way */
    bool is_held;         /* by the guard, from its start on */
    bool is_expected;     /* held and alive when the guard was asked last */
    uint32_t answers;     /* of the guard in a row, from 0 to 2, that it was so for */
    bool was_asked;       /* its button was pressed, at some time */
    bool is_stopping;     /* ... and it is to end by that, since: */
    nanos stopped_at;
    nanos press_at;             /* and is again, from then on */
    bool is_paused;             /* by us, for want of a lease */
    bool is_unseen;             /* adopted while it did not answer: it may be paused, by whoever */
    bool has_booted;            /* as an agent before this one has seen */
    nanos go_on_again;          /* no RESUME before */
    uint32_t go_on_misses;      /* RESUMEs in a row that were refused to a guest taken back */
    bool must_die;              /* KILL until it is gone */
    nanos kill_again;           /* not before */
    uint32_t misses;            /* QUERYs in a row without an answer */
    nanos query_at;             /* no QUERY before */
    char stands[HA_TEXT_BYTES]; /* why its guest stands still, though nobody asked for it; or "" */
    nanos resume_at;            /* when it is tried again */
    struct ha_ladder *ladder;   /* owned; NULL: it was never asked anything */
    char unwell[HA_TEXT_BYTES]; /* why it must die, if for that; "" otherwise */

    nanos stalled_at;      /* since when it stands still; 0: it does not */
    bool has_lost_storage; /* it must die for that */

    /* Moves. */
    bool is_incoming; /* it waits for a guest, or has one that never ran in this epoch */
    bool has_run;     /* its guest was seen to run here */
    bool is_moved;    /* its guest is elsewhere, too, and stands still here */
    uint16_t port;    /* of one that waits; 0: it is not known */
    uint64_t attempt; /* the epoch of the machine that its guest was sent to last */
    enum ha_sending sending;
    nanos ask_at;     /* UNCLEAR: when its machine is asked next */
    uint32_t move_ms; /* what that took */
    uint32_t move_pause_ms;
    uint32_t land_misses; /* times it was told to go on */
    nanos land_again;

    /* What it ended as. */
    enum world_vm_end end;
    enum err error;
    char detail[HA_TEXT_BYTES];

    /* What was reported last, as we know it, and what is under way. */
    bool has_report_txn;
    bool is_report_due;
    nanos report_again;
    nanos rungs_again; /* not before, where its rungs alone have changed */
    struct ha_txn txn;

    struct buf definition; /* owned, of START */
    char volume[WORLD_NAME_MAX_BYTES];
    char image[WORLD_PATH_MAX_BYTES + WORLD_NAME_MAX_BYTES]; /* "": the driver finds it */
    struct world_vm_request start;
    struct world_vm_request order; /* STOP, PAUSE, RESUME or QUERY */
    struct world_vm_request kill;
    struct world_vm_request move;
    bool is_start_busy;
    bool is_order_busy;
    bool is_kill_busy;
    bool is_move_busy;
};

struct ha_probed {
    struct ha_storage storage; /* as it was probed */
    struct ha_probe probe;
    struct ha_agent *agent;
    bool is_busy;
    bool is_usable;
    bool was_probed;
    nanos again;
};

struct ha_agent {
    const struct world *world; /* borrowed, as are the store and the view */
    const struct ha_store *store;
    const struct ha_view *view;
    struct ha_agent_config config;
    struct ha_agent_events events;
    enum ha_agent_phase phase;
    bool is_stopped; /* asks no machine any more */
    nanos opened_at;
    nanos wanted; /* the least time at which something is due; rebuilt in each pass */

    /* Looking. */
    struct world_vm_sink sink;
    struct world_vm_request list;
    bool is_list_busy;
    bool was_listed;
    nanos list_again;

    /* The record. */
    struct ha_lessee lessee;
    uint64_t boot;
    uint64_t own_boot;             /* the newest that was known to be ours; 0: none yet */
    uint64_t registered;           /* mod_revision of our record in the view; 0: it is not there */
    struct ha_agent_record record; /* as it was written, or is being written */
    struct ha_txn record_txn;
    bool is_record_busy;
    uint64_t recorded;    /* the revision of our newest that was applied */
    bool is_record_known; /* the view has a record of our boot */
    nanos record_again;
    bool is_successor; /* ours follows the record of another member, and it does not serve yet */
    char doubted[HA_NAME_BYTES]; /* a machine that keeps it from that, as was said; "": none */
    bool has_reconciled;         /* what the host owned before was told */
    bool has_adopted;            /* and what the agent before has promised is known */

    /* The lease. */
    nanos relied;       /* the lease ends then, and the guard knows */
    nanos relied_lease; /* how long it was granted for; 0: to a process before this one */
    nanos renew_at;
    node_id leader;
    struct world_guard_request guard;
    bool is_guard_busy;
    bool is_guard_asked; /* it has answered, or said that it is not there, once */
    bool has_guard;
    nanos guard_lease;
    nanos guard_told; /* the lease's end that it was told, or is being told */
    nanos guard_at;
    enum world_watchdog watchdog;
    nanos watchdog_timeout;
    uint32_t guard_holds; /* machines, by its newest answer */
    bool is_guard_short;  /* by its newest two, it has lost one */
    bool was_attested;    /* as was said last: */
    bool was_hidden;

    struct ha_probed probed[HA_LIST_MAX];

    struct ha_run **runs; /* owned, by name, then epoch */
    size_t n_runs;
    size_t runs_cap;

    struct ha_ladders *ladders; /* owned */

    struct ha_txn tidy;
    bool is_tidy_busy;
    nanos tidy_again;

    uint64_t starts;
    uint64_t kills;
};

/* ha_agent.c */
void ha_agent_want(struct ha_agent *a, nanos at);
void ha_agent_due(struct ha_agent *a);
void ha_agent_say(struct ha_agent *a, const char *what, const char *vm, const char *detail);
nanos ha_agent_now(const struct ha_agent *a);

/* ha_agent_lease.c */
void ha_agent_lease_pass(struct ha_agent *a);
bool ha_agent_may_start(const struct ha_agent *a);
/* When machines of a policy other than `keep` must be gone. */
nanos ha_agent_isolation(const struct ha_agent *a);
/* A hardware watchdog, whose guard holds all machines here that could be counted on to end. */
bool ha_agent_has_hardware(const struct ha_agent *a);
/* The machine for which a watchdog that is there is not attested: it was started while there was no
 * guard, and is held by none. NULL: there is none. Borrowed, until the runs change. */
const char *ha_agent_spoiler(const struct ha_agent *a);

/* The guard has a hardware watchdog, and holds fewer machines than are to be held and live. */
bool ha_agent_is_short(const struct ha_agent *a);
/* What is told to others of it. */
enum world_watchdog ha_agent_attested(const struct ha_agent *a);

/* ha_agent_run.c */
struct ha_run *ha_run_find(const struct ha_agent *a, const char *vm, uint64_t epoch);
struct ha_run *ha_run_of(const struct ha_agent *a, const char *vm); /* that is not ENDED, or NULL */
struct ha_run *ha_run_add(struct ha_agent *a, const char *vm, uint64_t epoch);
void ha_run_remove(struct ha_agent *a, struct ha_run *run);
void ha_run_free(struct ha_run *run);
void ha_run_ended(struct ha_run *run, enum world_vm_end end, enum err error, const char *detail);
void ha_run_start(struct ha_agent *a, const struct ha_vm *vm, uint64_t epoch, bool is_incoming);
void ha_run_order(struct ha_run *run, enum world_vm_op op, nanos patience);
/* RESUME, as often as is sane; false: not yet. */
bool ha_run_go_on(struct ha_run *run, nanos now);
/* What the records say of them: before anything is told of this host, or done. */
void ha_runs_learn(struct ha_agent *a);
void ha_runs_pass(struct ha_agent *a);
/* Of one whose place another agent has taken: what was started elsewhere since is ended here. */
void ha_runs_end_stale(struct ha_agent *a);
void ha_run_on_exit(struct world_vm_sink *sink, const struct world_vm_exit *exit);

/* ha_agent_move.c */
/* Is the machine moved, to one that waits here for its guest in this epoch? */
bool ha_move_awaits(const struct ha_agent *a, const struct ha_owner *owner, uint64_t epoch);
/* In each pass, of a machine whose record is `owner`: */
void ha_move_learn(struct ha_run *run, const struct ha_owner *owner);
void ha_move_source(struct ha_run *run, const struct ha_owner *owner, nanos now);
/* It runs here, and no move is under way. */
void ha_move_take_back(struct ha_run *run, nanos now);
void ha_move_land(struct ha_run *run, const struct ha_owner *owner, nanos now);
void ha_move_wait(struct ha_run *run, nanos now);
/* ... and of all: */
void ha_moves_start(struct ha_agent *a);
void ha_moves_adopt(struct ha_agent *a); /* once, of what an agent before this one has left */
/* What QUERY has said, and RESUME. */
void ha_move_seen(struct ha_run *run, enum world_vm_state state);
void ha_move_resumed(struct ha_run *run, enum err result);

/* ha_agent_storage.c: its guest stands still since its disk fails, and not for want of room; or it
 * does no more. */
void ha_run_stalls(struct ha_run *run, bool is_stalled);
/* One that is wanted here: has it lasted for so long that it must be ended, to run elsewhere? */
bool ha_run_stall_is_over(struct ha_run *run, nanos now);

/* ha_agent_ladder.c */
void ha_ladders_open(struct ha_agent *a);
void ha_ladders_close(struct ha_agent *a);
void ha_ladders_pass(struct ha_agent *a, nanos now);
/* Whatever happens begins with this: was this process paused? And the pass ends with that. */
void ha_ladders_notice(struct ha_agent *a);
void ha_ladders_expect(struct ha_agent *a);
/* Is it asked how it is, on the schedule of its ladder? */
bool ha_ladder_asks(const struct ha_run *run);
/* QMP has answered, or not, whoever asked. */
void ha_ladder_queried(struct ha_run *run, bool answers, const char *answer);
/* HA_RUNGS of them; NULL: nothing is known of any. */
const struct ha_rung_view *ha_ladder_rungs(const struct ha_run *run);
uint64_t ha_ladders_ended(const struct ha_agent *a);
bool ha_ladder_is_busy(const struct ha_run *run);
void ha_ladder_stop(struct ha_run *run);
void ha_ladder_free(struct ha_run *run);

/* ha_agent_report.c */
void ha_reports_pass(struct ha_agent *a);
/* What the report of a run says now. */
void ha_report_fill(const struct ha_run *run, struct ha_report *ret);

#endif
