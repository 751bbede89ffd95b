/*
 * Private to core/chaos/oracle: what it remembers, and what its files call in each other.
 *
 *     oracle.c         life, taps, and the order of the checks of a step
 *     oracle_memory.c  the register of entries, and marks by term
 *     oracle_log.c     logs: I2, I3, I21, I26; what a life promised the next: I24, I27
 *     oracle_lead.c    elections: I1, I4, I19, I22, I23
 *     oracle_commit.c  the commit index: I4, I5, I18, I35, I36
 *     oracle_state.c   what was applied: I5, I32, I33; memberships: I15, I20
 *     oracle_duty.c    what a leader owes besides: I37, I15 while changes are under way
 *     oracle_full.c    everything at once: I6, I34, and all of the above over whole logs
 */
#ifndef NOVACRON_CHAOS_ORACLE_INT_H
#define NOVACRON_CHAOS_ORACLE_INT_H

#include "core/chaos/oracle/oracle.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"

/* No run of the simulator comes near: an index beyond it is a violation, not a larger array. */
#define ORACLE_INDEX_MAX ((raft_index)1 << 26)

/* --- what is remembered ---------------------------------------------------------------------- */

/* An entry as it was seen in some log. */
struct oracle_entry {
    raft_term term;
    raft_term prev_term; /* of the entry before it */
    uint64_t hash;       /* of type and payload */
    uint32_t other;      /* the next one seen at the same index, in `entry`; 0: none */
    bool has_body;       /* `hash` is known: somebody who holds payloads had it in memory */
};

/* What is known of an index. */
struct oracle_place {
    raft_term committed; /* the term of the entry that was committed; 0: none was */
    raft_term known_in;  /* the term of the leader that committed it */
    uint64_t state;      /* store_hash after it */
    uint32_t first;      /* of those seen there, in `entry`; 0: none */
    bool has_state;
};

/* A number for each term in which there is one, ascending. */
struct oracle_mark {
    raft_term term;
    uint64_t value;
};

struct oracle_marks {
    struct oracle_mark *mark; /* owned */
    size_t count;
    size_t cap;
};

/* Where the proposals of one life of a node were first applied, by sequence. */
struct oracle_origin {
    node_id id;
    uint64_t boot;
    uint32_t *first; /* owned; the index, 0: not yet */
    size_t count;
};

/* The membership from `index` on, by the committed entries. */
struct oracle_membership {
    raft_index index;
    struct raft_membership members;
};

/* What a proposal can change in a store, besides its window of duplicates. */
struct oracle_effect {
    uint64_t chain;
    uint64_t live_sum;
    uint64_t lease_sum;
    int64_t compact_revision;
    uint16_t feature_level;
};

/* One host: what its node was like at the last look, and what its lives said. */
struct oracle_host {
    struct node *node; /* borrowed; NULL: down */
    node_id id;        /* NODE_NONE: never opened */
    uint32_t lost;     /* enum oracle_lost, until the next life begins */
    uint32_t mending;  /* the same, until the log of this life is whole again, durably */
    bool has_begun;    /* the present life was seen running */
    bool is_witness;   /* it was one once: it never becomes anything else */
    bool is_forced;    /* this life leads by an operator's word */

    raft_term term;
    node_id vote;
    enum raft_role role;
    raft_index last;
    raft_term last_term;
    raft_index begin; /* the log's snapshot_index */
    raft_index committed;
    raft_index durable;
    raft_index log_applied;
    raft_index applied; /* by the store */
    bool is_installing;
    bool is_impaired;
    raft_index damage; /* the first damaged entry; 0: none */
    struct raft_membership members;

    /* The log's runs of terms, at the last look. */
    struct raft_term_run *runs; /* owned */
    size_t run_count;
    size_t run_cap;
    raft_term begin_term;

    /* Impaired: since the beginning of this life, or since this term and vote. */
    bool was_impaired_at_start;
    raft_term impaired_term;
    node_id impaired_vote;
    /* Acknowledgements up to here may be older than the damage. */
    raft_index damage_guard;

    raft_index ack_due;  /* acknowledged in this event: must be durable at its end; 0: none */
    raft_index kept;     /* what must be there in the next life ... */
    raft_term kept_term; /* ... and the term of that entry */
    raft_term promised;  /* the highest term in which it promised something */
    raft_term forgiven;  /* votes up to this term, and all it promised, went with a disk */
    uint64_t cached_at_start;

    raft_index acked; /* the highest entry acknowledged in this life, in term `acked_term` */
    raft_term acked_term;

    /* While it leads: when to look at its duties next, since when it has heard no majority (0: it
     * has), to whom it hands the lead, and since when. */
    nanos duty_due;
    nanos alone_since;
    node_id transferee;
    nanos transfer_since;

    struct oracle_effect effect; /* of the store after `applied` */
    bool has_effect;

    struct oracle_marks votes; /* candidates, by term */
    struct oracle_marks acks;  /* the highest index acknowledged, by term */
};

struct oracle {
    struct oracle_host *host; /* owned */
    uint32_t host_count;
    nanos now;

    struct oracle_entry *entry; /* owned; from 1 */
    size_t entry_count;
    size_t entry_cap;
    struct oracle_place *place; /* owned; by index */
    size_t place_count;
    size_t place_cap;

    raft_index committed;
    raft_index membership_applied;        /* `membership` is complete up to here */
    struct oracle_membership *membership; /* owned, ascending */
    size_t membership_count;
    size_t membership_cap;
    struct oracle_marks leaders;  /* ids, by term */
    struct oracle_origin *origin; /* owned, in the order they were met */
    size_t origin_count;
    size_t origin_cap;

    bool is_violated;
    struct oracle_violation violation;
    struct oracle_counts counts;
};

/* --- oracle.c -------------------------------------------------------------------------------- */

/* Records a violation; the first one stays. Each % in `text` becomes the next of the values. */
void oracle_blame(struct oracle *o, const struct oracle_host *h, const char *invariant,
                  const char *text, const uint64_t *values, size_t count);
#define ORACLE_BLAME(o, h, invariant, text, ...)                                                   \
    oracle_blame(o, h, invariant, text, (const uint64_t[]){__VA_ARGS__},                           \
                 sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

/* The host whose node has this id; NULL: none was opened. */
const struct oracle_host *oracle_host_of(const struct oracle *o, node_id id);

/* Do those of `has`, by the slots of `ms`, form a majority of each half? */
bool oracle_is_quorum(const struct raft_membership *ms, const bool has[RAFT_MEMBERS_MAX]);

static inline struct raft *oracle_raft(const struct oracle_host *h)
{
    return h->node->raft;
}

/* --- oracle_memory.c ------------------------------------------------------------------------- */

void oracle_memory_free(struct oracle *o);
/* The place of an index, which is made if need be; NULL: beyond ORACLE_INDEX_MAX. */
struct oracle_place *oracle_place_get(struct oracle *o, raft_index index);
/* NULL: nothing was ever known of it. */
const struct oracle_place *oracle_place_find(const struct oracle *o, raft_index index);
struct oracle_entry *oracle_entry_find(const struct oracle *o, raft_index index, raft_term term);
struct oracle_entry *oracle_entry_add(struct oracle *o, raft_index index, raft_term term);
const struct oracle_mark *oracle_mark_find(const struct oracle_marks *marks, raft_term term);
void oracle_mark_set(struct oracle_marks *marks, raft_term term, uint64_t value);
/* Where a proposal was first applied: a number to be read or set; NULL: its sequence is no number
 * that a run reaches. */
uint32_t *oracle_first_applied(struct oracle *o, node_id origin, uint64_t boot, uint64_t sequence);

/* --- oracle_log.c ---------------------------------------------------------------------------- */

/* The log as the node has it now, against the last look at it. */
void oracle_look_at_log(struct oracle *o, struct oracle_host *h);
/* A life begins: its whole log, and what the last one promised. */
void oracle_begin_log(struct oracle *o, struct oracle_host *h, uint32_t lost);
/* What is on the disk now. */
void oracle_look_at_disk(struct oracle *o, struct oracle_host *h);
/* Registers an entry of a log, or holds it against what is registered. */
void oracle_register(struct oracle *o, const struct oracle_host *h, raft_index index);
uint64_t oracle_hash_of(const struct raft_entry *e);

/* --- oracle_lead.c --------------------------------------------------------------------------- */

void oracle_look_at_role(struct oracle *o, struct oracle_host *h);
void oracle_look_at_damage(struct oracle *o, struct oracle_host *h);
void oracle_voted_for(struct oracle *o, struct oracle_host *h, raft_term term, node_id candidate);
void oracle_vote_left(struct oracle *o, struct oracle_host *h, const struct raft_message *m);
void oracle_ack_left(struct oracle *o, struct oracle_host *h, const struct raft_message *m);
void oracle_campaign_left(struct oracle *o, struct oracle_host *h);
/* Does a log hold what was committed at `index`, in its entries or its snapshot? */
bool oracle_log_has_truth(const struct oracle *o, const struct raft_log *log, raft_index index);

/* --- oracle_duty.c --------------------------------------------------------------------------- */

/* Whether a leader lets go where it must; cheap, for after every event. */
void oracle_look_at_duty(struct oracle *o, struct oracle_host *h);
/* Changes of the members in a leader's log that it has not applied. */
void oracle_look_at_changes(struct oracle *o, const struct oracle_host *h);
/* A request for a vote left. */
void oracle_look_at_campaign(struct oracle *o, const struct oracle_host *h);

/* --- oracle_commit.c ------------------------------------------------------------------------- */

void oracle_look_at_commit(struct oracle *o, struct oracle_host *h);
/* The in-sync set of an entry's payload; false: it is none. */
bool oracle_in_sync_read(struct bytes payload, struct raft_in_sync *ret);

/* --- oracle_state.c -------------------------------------------------------------------------- */

void oracle_look_at_state(struct oracle *o, struct oracle_host *h);
/* A life begins with the state of a snapshot. */
void oracle_begin_state(struct oracle *o, struct oracle_host *h);
void oracle_look_at_members(struct oracle *o, struct oracle_host *h);
void oracle_applied_one(struct oracle *o, struct oracle_host *h, const struct raft_entry *e);
/* The membership after `index`; NULL: not known. */
const struct raft_membership *oracle_members_at(const struct oracle *o, raft_index index);
/* Does every quorum of one share a member with every quorum of the other? */
bool oracle_members_overlap(const struct raft_membership *a, const struct raft_membership *b);
bool oracle_holds_state(const struct oracle_host *h);

#endif
