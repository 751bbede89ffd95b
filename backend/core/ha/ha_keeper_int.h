/*
 * Private to core/ha: the state of a manager.
 *
 *     ha_keeper.c        life, the token, the step
 *     ha_keeper_deed.c   transactions under way, and what waits for them
 *     ha_keeper_host.c   fates: lost, fencing, gone, up again
 *     ha_keeper_turn.c   which of them is fenced first, and how many at a time
 *     ha_keeper_trip.c   hosts on which nothing can be started
 *     ha_keeper_power.c  commands to fence devices, and their tests
 *     ha_keeper_vm.c     owners: what follows from reports, wishes and proofs
 *     ha_keeper_move.c   those of them that are moved while they run
 *     ha_keeper_place.c  where machines start
 *     ha_keeper_tell.c   incidents and events
 */
#ifndef NOVACRON_HA_KEEPER_INT_H
#define NOVACRON_HA_KEEPER_INT_H

#include "core/ha/ha_keeper.h"
#include "core/ha/ha_proof.h"
#include "core/ha/ha_restart.h"

/* A transaction that was refused (no leader, a full disk) is tried again after this. */
#define HA_DEED_AGAIN (100 * NANOS_PER_MS)

/* A host that was not heard in this term is silent after this: agents renew at once when somebody
 * else leads. */
#define HA_SILENCE_NEW (100 * NANOS_PER_MS)

/* A host that was cut and was heard since is silent after this: what its observers said is of
 * before, and one pause of its process must not be a loss. */
#define HA_SILENCE_BACK (2 * NANOS_PER_S)

/* What a lease may be late by on its way, before its end alone makes a host lost. */
#define HA_LEASE_GRACE NANOS_PER_S

/* A start whose agent says nothing is ordered to stop after its start_ms and this. */
#define HA_START_GRACE (30 * NANOS_PER_S)

/* Looks at hosts for machines that one admission may take: a few milliseconds. */
#define HA_ADMISSION_BUDGET 20000

/* The reason of a machine that stays as it is is written no more often: what is free elsewhere
 * changes with each start. */
#define HA_EXPLAIN_EVERY (5 * NANOS_PER_S)

/* A fence that has lasted so long is no longer a reason to say nothing. */
#define HA_FENCE_QUIET (10 * NANOS_PER_S)

/* No device is told OFF later than this after a quorum has confirmed the term: longer than the
 * shortest delays, so that they need no further confirmation, and far below an election. */
#define HA_OFF_FRESH (200 * NANOS_PER_MS)

/* So many machines one after another that cannot be started on a host, and it gets none for a
 * while. */
#define HA_TRIP_MACHINES 3

/* Old events that one transaction takes with it. */
#define HA_EVENTS_DROPPED 4

/* Whether something may be decided about an object. */
struct ha_hold {
    bool is_under_way;
    bool is_unknown;  /* until the view is behind ... */
    uint64_t barrier; /* ... this one, or a later one */
    int64_t until;    /* the view has this revision */
    nanos again;      /* not before */
};

struct ha_soft_vm {
    char name[HA_NAME_BYTES];
    struct ha_hold hold;
    char going_to[HA_NAME_BYTES];  /* where a transaction under way starts it */
    char coming_to[HA_NAME_BYTES]; /* where one lets a machine wait for its guest */
    nanos stands_since; /* when this leader saw that its guest stands still; 0: it has not */
    uint64_t seen_mod;  /* of its owner's record, and since when: */
    nanos seen_at;
    enum ha_phase seen_phase;
    nanos phase_at; /* since when it is in this phase, in this epoch */
    uint64_t seen_epoch;
    nanos quiet_at; /* since when it has not failed */
    uint32_t seen_failures;
    nanos explained_at; /* when its reason alone was written last; 0: never */
    nanos delay;        /* RESTARTING: as it was drawn */
    bool is_alive;      /* in the present pass: it is in the view */
};

struct ha_soft_device {
    char name[HA_NAME_BYTES];
    nanos asked_at;             /* 0: never */
    nanos answered_at;          /* 0: never in this term */
    uint64_t asked_revision;    /* of its record, then; an answer says nothing of another */
    uint64_t answered_revision; /* of the record that the answer is of */
    uint64_t on_revision; /* its record was of this revision when it said "on"; 0: it has not */
    struct ha_hold hold;
    bool is_busy;
};

/* What people were told of a fence in its first round. */
struct ha_fence_told {
    bool is_slow;      /* that it has lasted for HA_FENCE_QUIET */
    uint32_t failures; /* of its levels */
};

struct ha_soft_host {
    char name[HA_NAME_BYTES];
    struct ha_hold hold;
    bool is_alive; /* in the present pass: something in the view names it */
    enum ha_fate_phase seen_phase;
    nanos phase_at;   /* since when its fate is in this phase, as this leader knows */
    nanos heard_from; /* what is heard from then on is heard since then */
    bool was_seen;

    /* What it owns, counted anew in each pass. */
    uint32_t owned;   /* machines that it may run */
    uint32_t movable; /* of those, such as another host may start, if there is a proof */
    uint64_t weight;  /* the priorities of those that are movable, together */
    uint32_t blocked; /* of those, that must have left it before it is up again */
    nanos flight;     /* the longest of their storages */

    /* By the transaction that holds it: */
    bool is_mistrusted; /* it goes into quarantine */
    bool is_spared;     /* its fence ends: no command is to follow */

    bool has_trip;
    struct breaker trip;
    uint32_t n_trip_machines; /* that could not be started there since one was: */
    char trip_machines[HA_TRIP_MACHINES][HA_NAME_BYTES];

    bool has_fence;
    struct ha_fence_told told;
    uint64_t fence_life; /* answers to commands of earlier ones change nothing */
    struct ha_fence fence;
};

/* What health has said of a member. */
struct ha_soft_member {
    node_id id;
    bool is_cut;
    nanos cut_at; /* when that was said */
    bool is_degraded;
};

struct ha_soft_incident {
    struct ha_incident record;
    uint64_t mod; /* of the record in the view that it was made of */
    nanos opened_at;
    struct ha_hold hold;
    uint32_t owed; /* the record is to have as many steps at least, or has */
    struct ha_soft_incident *next;
};

/* One transaction under way. */
struct ha_deed {
    struct ha_keeper *manager;
    struct ha_txn txn;
    struct ha_hold *hold[3];     /* of all that it is about */
    struct ha_soft_vm *vm;       /* whose `going_to` and `coming_to` end with it */
    struct ha_soft_host *teller; /* whose fence has told something by it; NULL */
    uint64_t teller_life;        /* of that fence */
    struct ha_fence_told told;   /* what it had told before */
    uint64_t term;               /* of the manager, when it began */
    nanos submitted_at;
    bool is_token;
    nanos lease; /* a token's */
    struct ha_deed *next;
};

struct ha_power_call {
    struct ha_keeper *manager;
    struct world_power_request request;
    char device[HA_NAME_BYTES];
    char host[HA_NAME_BYTES]; /* whose fence asked; "": a test */
    nanos asked_at;
    uint64_t life;
    uint64_t ticket;
    bool is_held; /* until a quorum confirms the term; its device has heard nothing */
    struct ha_power_call *next;
};

enum ha_keeper_phase { HA_KEEPER_IDLE, HA_KEEPER_TAKING, HA_KEEPER_LEADING };

struct ha_keeper {
    const struct world *world;
    const struct ha_store *store;
    const struct ha_view *view;
    const struct ha_lessor *lessor;
    struct ha_keeper_config config;
    struct ha_keeper_events events;
    struct prng prng;
    enum ha_keeper_phase phase;
    uint64_t term;
    nanos began;      /* this term, for this manager */
    nanos wall_ahead; /* the wall clock, of that clock, then: a mutant measures by it */
    nanos now;        /* of the present step */
    nanos wanted;

    int64_t token_seen; /* mod_revision of HA_LEADER_KEY, as the feed has it; 0: there is none */
    int64_t token;      /* ours; 0: none */
    nanos token_lease;  /* leases that we grant are no longer than this; the token says as much */
    nanos token_says;   /* ... or more: */
    nanos seen_lease;   /* of the newest token that says it, ours or not */
    nanos inherited_lease; /* ... as it was when this term began: leases may be as long */
    nanos lease_set_at;    /* when lease_ms was changed last, as this manager saw it */
    struct ha_hold token_hold;
    struct ha_hold sweep_hold; /* what is deleted for being old */

    struct ha_settings settings; /* the newest that could be read */
    bool has_settings;           /* they are those of the view */

    struct ha_soft_vm **vms; /* owned, by name */
    size_t n_vms;
    size_t vms_cap;
    struct ha_soft_host **hosts; /* owned, by name */
    size_t n_hosts;
    size_t hosts_cap;
    struct ha_soft_device **devices; /* owned, by name */
    size_t n_devices;
    size_t devices_cap;
    struct ha_soft_member *members; /* owned */
    size_t n_members;
    size_t members_cap;
    struct ha_soft_incident *incidents; /* owned; those that are not closed */
    bool has_retold;                    /* in this term: incidents that were closed of late */
    struct ha_deed *deeds;              /* owned */
    struct ha_power_call *calls;        /* owned */

    struct ha_confirm confirm;
    bool is_confirming;
    bool wants_confirm;
    nanos confirm_again;
    nanos confirm_began; /* of the one under way */
    nanos confirmed_at;  /* a quorum knew of this term then, or later; 0: not known */
    nanos race_until;    /* until then nobody is fenced (ha_keeper_turn.c) */

    struct ha_confirm barrier; /* behind which the view tells what was unknown */
    bool awaits_barrier;
    bool wants_barrier;
    nanos barrier_again;
    uint64_t barriers; /* that have begun */

    uint64_t next_event;
    uint64_t fence_lives;
    struct ha_keeper_figures figures;

    /* Of the present step. */
    struct ha_ledger ledger;
    bool has_ledger;
    struct ha_seen *seen; /* owned */
    size_t seen_cap;
    size_t n_seen;
};

static inline struct bytes ha_bytes_of(const char *text)
{
    size_t n = 0;

    while (text[n] != '\0') {
        n++;
    }
    return (struct bytes){(const uint8_t *)text, n};
}

/* ha_keeper.c */
void ha_keeper_want(struct ha_keeper *m, nanos at);
struct ha_soft_vm *ha_soft_vm_get(struct ha_keeper *m, const char *name);
struct ha_soft_host *ha_soft_host_get(struct ha_keeper *m, const char *name);
struct ha_soft_host *ha_soft_host_find(const struct ha_keeper *m, const char *name);
struct ha_soft_device *ha_soft_device_get(struct ha_keeper *m, const char *name);
const struct ha_soft_member *ha_soft_member_find(const struct ha_keeper *m, node_id id);

/* ha_keeper_deed.c */
bool ha_hold_is_free(struct ha_keeper *m, const struct ha_hold *hold);
/* Is something decided about it that the view does not show yet? */
static inline bool ha_hold_is_open(const struct ha_keeper *m, const struct ha_hold *hold)
{
    return hold->is_under_way || hold->is_unknown || (int64_t)m->view->revision < hold->until;
}

/* A new transaction, guarded by the token. */
struct ha_deed *ha_deed_new(struct ha_keeper *m);
/* `kind` and names as in ha_view_find: the record must be as it is in the view. */
void ha_deed_guard(struct ha_deed *d, enum ha_kind kind, const char *name, const char *vm);
void ha_deed_put(struct ha_deed *d, enum ha_kind kind, const void *record);
void ha_deed_delete(struct ha_deed *d, enum ha_kind kind, const char *name, const char *vm);
void ha_deed_hold(struct ha_deed *d, struct ha_hold *hold);
void ha_deed_submit(struct ha_deed *d);
void ha_deeds_free(struct ha_keeper *m);
/* The barrier and the word of a quorum: what is wanted of the two, and not under way. */
void ha_keeper_confirm(struct ha_keeper *m);

/* ha_keeper_host.c */
enum ha_fate_phase ha_keeper_fate(const struct ha_keeper *m, const char *host);
void ha_keeper_count_owned(struct ha_keeper *m);
void ha_keeper_hosts(struct ha_keeper *m);
/* What is known about a lost host and a machine that it may still run. */
void ha_keeper_rule(const struct ha_keeper *m, const struct ha_owner *owner, struct ha_ruling *ret);

/* May this one be set aside, by quarantine or its breaker, beside those that are? What befalls more
 * than half of the hosts is no host's fault, and machines that find no host at all are worse off
 * than those that are tried in vain. */
bool ha_host_may_be_set_aside(const struct ha_keeper *m, const struct ha_soft_host *one);

/* Was it heard since its fate is what it is, and just now? */
bool ha_keeper_is_heard(const struct ha_keeper *m, const struct ha_soft_host *h);

/* ha_keeper_turn.c: may the host be fenced now? If not, `why` says what it waits for. The one of
 * hosts that are LOST, the other of those whose fence an earlier leader has begun. */
bool ha_turn_of_lost(struct ha_keeper *m, const struct ha_soft_host *h, struct buf *why);
bool ha_turn_of_taken_over(struct ha_keeper *m, const struct ha_soft_host *h, struct buf *why);

/* This manager has just begun to lead; a host is spared that the leader before was to fence. */
void ha_turn_begin(struct ha_keeper *m);
void ha_turn_spared(struct ha_keeper *m, const char *host);

/* What a fence of this host waits for its priority (fence_priority_delay_ms). */
nanos ha_turn_delay(const struct ha_keeper *m, const struct ha_soft_host *h);

/* ha_keeper_trip.c: a machine has started on the host, or could not be. */
void ha_trip_started(struct ha_keeper *m, const char *host);
void ha_trip_failed(struct ha_keeper *m, const char *host, const char *vm);
bool ha_trip_is_open(const struct ha_keeper *m, const char *host);
/* The host is looked at for the first time in this term. */
void ha_trip_inherit(struct ha_keeper *m, struct ha_soft_host *h, const struct ha_fate *fate);
/* Does the fate not say yet what the breaker does? */
bool ha_trip_is_news(struct ha_keeper *m, const struct ha_soft_host *h, const struct ha_fate *fate,
                     bool *is_open);

/* ha_keeper_power.c */
void ha_keeper_fence_begin(struct ha_keeper *m, struct ha_soft_host *h);
void ha_keeper_fence_end(struct ha_soft_host *h);
/* An answer is taken; nothing more is asked while ha_keeper_fence_waits. */
void ha_keeper_fence_step(struct ha_keeper *m, struct ha_soft_host *h,
                          const struct ha_fence_answer *answer);
/* Is the fence about to end by a transaction under way, or by one that must follow, since the host
 * is heard? Whoever is told OFF then is told it for nothing. */
bool ha_keeper_fence_waits(const struct ha_keeper *m, const struct ha_soft_host *h);
void ha_keeper_test_devices(struct ha_keeper *m);
bool ha_keeper_is_tested(const struct ha_keeper *m, const struct ha_host *host);
void ha_power_calls_free(struct ha_keeper *m);
/* The term was confirmed: what was held for that is sent, if it is still right. */
void ha_power_calls_release(struct ha_keeper *m);
/* It leads no more: what is held is forgotten. */
void ha_power_calls_drop(struct ha_keeper *m);

/* One machine, as the present step looks at it. */
struct ha_vm_case {
    struct ha_keeper *m;
    struct ha_soft_vm *s;
    const struct ha_vm *vm; /* NULL: it was deleted */
    const struct ha_owner *o;
    const struct ha_report *report; /* of the owner's host and epoch; NULL: none */
    bool is_wanted;
};

/* ha_keeper_vm.c */
void ha_keeper_vms(struct ha_keeper *m);
/* Moves that are wished begin, where they may. After ha_keeper_place: who has no host goes first.
 */
void ha_keeper_moves(struct ha_keeper *m);
/* A transaction about the machine, guarded by its two records. */
struct ha_deed *ha_vm_deed(struct ha_keeper *m, struct ha_soft_vm *s);
/* To another phase on the same host in the same epoch; `what`: the event, "" for none. */
void ha_vm_go(struct ha_vm_case *c, enum ha_phase phase, const char *reason, const char *what);
/* Its host is lost. */
void ha_vm_recover(struct ha_vm_case *c);
/* The owner's record of this machine, for a transaction; without one, a new one. */
void ha_owner_copy(const struct ha_keeper *m, const char *vm, struct ha_owner *ret);
/* Puts the owner's record; holds the machine, and sends it off. */
void ha_owner_write(struct ha_keeper *m, struct ha_soft_vm *s, const struct ha_owner *owner,
                    const char *what, const char *detail);

/* May its reason alone be written now? If not, it is looked at again in time. */
bool ha_owner_may_explain(struct ha_keeper *m, struct ha_soft_vm *s);

/* ha_keeper_move.c */
/* RUNNING, and wished elsewhere: begins, or refuses for good. False: it does not fit there now. */
bool ha_move_wished(struct ha_vm_case *c);
void ha_move_step(struct ha_vm_case *c); /* MOVING */
void ha_move_done(struct ha_vm_case *c); /* STARTING after a switch-over, and it runs */

/* ha_keeper_place.c */
struct ha_ledger *ha_keeper_ledger(struct ha_keeper *m);
void ha_keeper_ledger_end(struct ha_keeper *m);
void ha_keeper_place(struct ha_keeper *m);
void ha_place_start(struct ha_keeper *m, struct ha_soft_vm *s, const struct ha_vm *vm,
                    const struct ha_owner *owner, const char *host, enum ha_proof proof);

/* ha_keeper_tell.c */
void ha_event_put(struct ha_deed *d, const char *what, const char *host, const char *vm,
                  const char *incident, const char *detail);
/* Fills a new incident, whose record goes with the transaction `d`. */
struct ha_soft_incident *ha_incident_open(struct ha_deed *d, const char *host, nanos unheard);
void ha_incident_step(struct ha_keeper *m, const char *incident, const char *what, const char *who,
                      const char *detail);
/* What became of a machine in this epoch. */
void ha_incident_vm(struct ha_keeper *m, const char *incident, const char *what, const char *vm,
                    const char *host, uint64_t epoch);
/* A detail: of what has taken `took`. It is written when something else is, unless it has failed:
 * whoever recovers does not wait for it. Where room is short it is left out. */
void ha_incident_detail(struct ha_keeper *m, const char *incident, const char *what,
                        const char *who, const char *detail, nanos took, bool has_failed);
/* The machine runs, and its record says so. */
void ha_incident_verified(struct ha_keeper *m, const struct ha_owner *owner);
void ha_keeper_incidents(struct ha_keeper *m);
void ha_incidents_free(struct ha_keeper *m);
uint64_t ha_keeper_wall(const struct ha_keeper *m);

#endif
