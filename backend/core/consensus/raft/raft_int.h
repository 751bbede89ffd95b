/*
 * Private to backend/core/consensus/raft and its tests: the state of one node, and what its files
 * call in each other.
 *
 *     raft.c            life, the step function, terms and roles
 *     raft_election.c   campaigns and votes
 *     raft_leader.c     replication: proposals, appends, acknowledgements, the commit index
 *     raft_follower.c   appends and heartbeats as a follower receives them
 *     raft_conf.c       membership changes, catch-up rounds, promotion
 *     raft_witness.c    the in-sync set, and what it means for commits and votes
 *     raft_transfer.c   leadership transfer, priority, graceful stop
 *     raft_read.c       ReadIndex and leases
 *     raft_fetch.c      snapshots: offered by the leader, fetched in chunks from whoever has them
 *     raft_repair.c     a log that lost something: impaired until it is whole again
 *     raft_recover.c    the way out when a quorum is gone for good
 *     raft_health.c     stalled disks and apply loops
 *     raft_update.c     what has gathered for the driver
 *     raft_config.c     presets and bounds of the configuration
 *     raft_check.c      the invariants that one node can see; the fingerprint
 */
#ifndef NOVACRON_RAFT_INT_H
#define NOVACRON_RAFT_INT_H

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/mutant.h"
#include "core/base/prng.h"
#include "core/consensus/quorum.h"
#include "core/consensus/raft/raft.h"
#include "core/consensus/raft/raft_log.h"

/* --- limits ---------------------------------------------------------------------------------- */

/* Beyond these nothing is taken from a peer: sums of terms and indexes do not overflow, whatever a
 * member that lies may send. No group gets there by itself. */
#define RAFT_TERM_MAX  ((raft_term)1 << 62)
#define RAFT_INDEX_MAX ((raft_index)1 << 62)

/* Batches handed to the disk and not yet durable. When it is full, further entries gather and go
 * out as one batch: a slow disk makes larger batches, not longer queues. */
#define RAFT_BATCHES_MAX 64

/* Changes of the in-sync set that are in the log and not yet applied: each may supersede the one
 * before it when a further replica fails, so as many as there are voters, and some to grow. */
#define RAFT_IN_SYNC_PENDING_MAX 16

/* Separate damaged ranges; beyond that, neighbours are joined and what lies between is fetched
 * with them. */
#define RAFT_DAMAGED_MAX 16

/* Requests for snapshot chunks that wait for the rate limit; a member whose request does not fit
 * asks again. */
#define RAFT_SERVE_QUEUE_MAX 64

/* --- parts of the state ---------------------------------------------------------------------- */

enum raft_vote { RAFT_VOTE_NONE, RAFT_VOTE_YES, RAFT_VOTE_NO };

/* Everything about one member, in the slot that it has in the membership. */
struct raft_peer {
    struct raft_progress pr;
    enum raft_vote vote;
    bool told_term; /* it answered this node's questions after a loss (raft_repair.c) */
};

/* Memory for what a batch of messages points to: bump-allocated, freed as a whole. */
struct raft_arena_block {
    struct raft_arena_block *next;
    size_t used;
    size_t cap;
    uint8_t bytes[];
};

struct raft_arena {
    struct raft_arena_block *blocks; /* owned; the current one first */
};

/* What has gathered for the driver. There are two: one is being filled while the driver reads the
 * other. Arrays are owned and keep their memory. */
struct raft_outbox {
    struct raft_message *now;
    size_t now_count, now_cap;
    struct raft_message *durable;
    size_t durable_count, durable_cap;
    struct raft_entry *entries; /* of messages, appends and applies */
    size_t entry_cap;
    struct raft_entry *repairs;
    size_t repair_count, repair_cap;
    struct raft_read_ready *reads;
    size_t read_count, read_cap;
    uint64_t *lost;
    size_t lost_count, lost_cap;
    struct raft_load *loads;
    size_t load_count, load_cap;
    struct raft_chunk *chunk_reads;
    size_t chunk_read_count, chunk_read_cap;
    struct raft_chunk *chunk_writes;
    size_t chunk_write_count, chunk_write_cap;
    struct raft_snapshot install;
    struct raft_arena arena;
};

/* A batch that the driver is writing. `covers` is lowered when the log is truncated under it: a
 * late completion then vouches only for what the disk still holds (async-append-aba). */
struct raft_batch {
    uint64_t seq;
    raft_index covers; /* entries up to here are durable once the batch is */
    bool install;      /* it carries the pending snapshot */
    nanos front_since; /* when the driver got it, or the one before it was done: the disk's turn */
};

/* A configuration or in-sync entry that is in the log and not yet applied. */
struct raft_pending_conf {
    raft_index index;
    enum raft_entry_type type;
    uint8_t *payload; /* owned copy */
    size_t len;
};

/* The in-sync set from entry `index` on. */
struct raft_in_sync {
    raft_index index;
    uint32_t n;
    node_id ids[RAFT_MEMBERS_MAX]; /* ascending */
};

struct raft_read {
    uint64_t id;
    node_id from; /* this node, or the follower that asked */
    raft_index index;
};

struct raft_reads {
    struct raft_read *ring; /* owned; max_reads long once used */
    uint32_t cap;
    uint32_t start;
    uint32_t count;
    uint32_t waiting;   /* of `count`, the newest ones: wait for the first commit of the term */
    uint64_t confirmed; /* reads of this term that a quorum has confirmed: the round's number */
    uint64_t announced; /* the newest round that heartbeats carried */
};

/* Fetching a snapshot, on the member that needs it. */
struct raft_fetch {
    bool active;
    bool opening; /* the disk is asked what it holds of it already */
    struct raft_snapshot snapshot;
    raft_index oldest; /* another snapshot will do, if it is no older than this */
    node_id source;
    node_id leader;    /* who offered it */
    node_id offered;   /* the source that the newest offer named */
    uint32_t window;   /* chunks to ask for at once; one after something was lost */
    uint64_t asked;    /* bytes asked for, from the beginning */
    uint64_t arrived;  /* bytes received and handed to the disk, from the beginning */
    uint64_t durable;  /* bytes on this disk */
    nanos heard;       /* when the last chunk came, or the last request was made */
    nanos waits_since; /* when what is wanted next began to be waited for */
    nanos patience;    /* asks again after so long: twice what the last chunk took, at least an
                          election timeout */
};

/* Serving snapshots: requests wait here for their bytes from a bucket that fills at the configured
 * rate. */
struct raft_serve {
    uint64_t tokens;
    nanos filled;
    nanos asked; /* when the newest request for the present snapshot came; 0: never */
    nanos pace;  /* and how long after the one before */
    bool unread; /* the disk does not give the present snapshot */
    uint32_t count;
    struct raft_chunk queue[RAFT_SERVE_QUEUE_MAX]; /* oldest first */
};

struct raft_range {
    raft_index first;
    raft_index last;
};

struct raft_repair {
    bool told;            /* the driver knows that this node is impaired */
    bool lost_vote;       /* votes may have been cast that this node forgot */
    raft_index lost_from; /* entries from here on may have been acknowledged; 0: none */
    bool floor_known;     /* `floor` holds for `floor_term` */
    raft_index floor;     /* vouch for the log once it reaches this */
    raft_term floor_term;
    uint64_t nonce; /* of the present questions: answers to earlier ones do not count */
    bool asked_once;
    nanos asked;
    uint32_t range_count;
    struct raft_range range[RAFT_DAMAGED_MAX]; /* ascending; bodies that are damaged */
    uint32_t writing;       /* entries from range[0].first on that are on their way to the disk, */
    uint64_t writing_batch; /* in this batch; 0: not handed out yet */
};

struct raft_health {
    nanos apply_since; /* the last progress while entries are handed out and not applied; 0: none */
    nanos disk_stalled; /* as told by RAFT_EVENT_DISK */
    bool stalled;
};

struct raft {
    struct raft_config cfg;
    struct prng prng;
    nanos now;
    bool loaded; /* raft_load_done was called */
    bool stopping;

    raft_term term;
    node_id vote;
    enum raft_role role;
    node_id leader;
    struct raft_log log;
    struct raft_membership membership;
    struct raft_peer peer[RAFT_MEMBERS_MAX]; /* by the slots of `membership` */

    nanos booted;
    nanos election_start;         /* when the leader was last heard, or this role began */
    nanos election_timeout_drawn; /* after which this node campaigns */
    nanos heartbeat_start;
    nanos commit_due; /* a leader's: when the commit index goes to those that were not told; 0: they
                         were */
    nanos lead_since;
    nanos deadline; /* as given to the driver; waking long after it, this node was not running */
    nanos leader_heard;    /* when any leader was last heard; 0: never */
    bool leader_suspected; /* its stream broke */
    nanos hurry_until;     /* its death was seen: until then campaigns follow one another closely */
    node_id led_by;        /* who was heard last as leader, of whatever term */

    node_id transferee;
    raft_index pending_conf_index; /* no change of the membership until this is applied */
    raft_index matched;            /* the log agrees with the leader of this term up to here */
    uint64_t uncommitted_bytes;
    struct raft_pending_conf *conf; /* owned, ascending */
    size_t conf_count, conf_cap;
    struct raft_in_sync in_sync[RAFT_IN_SYNC_PENDING_MAX]; /* ascending, not yet applied */
    uint32_t in_sync_count;
    raft_index in_sync_mark; /* the end of the log at the last look at who keeps up */

    struct raft_reads reads;
    bool lease_void; /* until the next term: a transfer was begun, or the host slept */

    struct raft_snapshot snapshot; /* the newest of this node; index 0: none */
    bool installing;               /* a snapshot is replacing the log and the state machine */
    bool install_handed;
    bool install_keeps_log;
    struct raft_snapshot installing_snapshot;
    struct raft_fetch fetch;
    struct raft_serve serve;
    struct raft_repair repair;
    struct raft_health health;

    struct raft_batch batch[RAFT_BATCHES_MAX]; /* ring */
    uint32_t batch_start, batch_count;
    uint64_t batch_seq;
    bool apply_loading;
    const struct raft_entry *apply_loaded; /* borrowed from the driver until applied */
    uint32_t apply_loaded_count;
    uint64_t applying_bytes;

    struct raft_hard_state told_hard_state;
    enum raft_role told_role;
    node_id told_leader;
    uint32_t alarms;
    struct raft_outbox outbox[2];
    int filling; /* the outbox that gathers */
};

/* Appends `item` to an array of an outbox. */
#define RAFT_PUSH(items, count, cap, item)                                                         \
    do {                                                                                           \
        mem_grow((void **)&(items), &(cap), (count) + 1, sizeof(*(items)));                        \
        (items)[(count)++] = (item);                                                               \
    } while (0)

/* --- raft.c ---------------------------------------------------------------------------------- */

void raft_become_follower(struct raft *r, raft_term term, node_id leader);
void raft_become_pre_candidate(struct raft *r);
void raft_become_candidate(struct raft *r);
void raft_become_leader(struct raft *r);
void raft_draw_election_timeout(struct raft *r);

/* This node's slot in the membership, or -1. */
int raft_own_slot(const struct raft *r);
const struct raft_member *raft_own_member(const struct raft *r);
/* The slot's peer, or NULL where `id` is no member. */
struct raft_peer *raft_peer_of(struct raft *r, node_id id);

/* The time since this node heard from a leader, or began its role. */
static inline nanos raft_election_elapsed(const struct raft *r)
{
    return u64_sub_sat(r->now, r->election_start);
}

/* --- raft_election.c ------------------------------------------------------------------------- */

enum raft_campaign { RAFT_CAMPAIGN_PRE, RAFT_CAMPAIGN_REAL, RAFT_CAMPAIGN_TRANSFER };

/* May this node become leader at all: a full voter, in sync, whole, with a living disk? */
bool raft_is_promotable(const struct raft *r);
bool raft_has_unapplied_conf(const struct raft *r);
MUST_USE enum err raft_campaign(struct raft *r, enum raft_campaign kind);
/* Does a leader's lease forbid to answer this request for a vote? */
bool raft_vote_is_barred(const struct raft *r, const struct raft_message *m);
void raft_on_vote_request(struct raft *r, const struct raft_message *m);
void raft_on_vote_response(struct raft *r, const struct raft_message *m);
void raft_tick_election(struct raft *r);
enum quorum_result raft_tally_votes(const struct raft *r);

/* --- raft_leader.c --------------------------------------------------------------------------- */

/* Appends one entry in this term and asks for its own acknowledgement once it is durable. */
void raft_leader_append(struct raft *r, enum raft_entry_type type, struct bytes payload);
/* Room for `n` entries with this much payload in the bounds on what is not committed, and on what
 * must stay in memory? (The first entry of a term and the end of a joint membership do not ask.) */
MUST_USE enum err raft_leader_admit(const struct raft *r, uint64_t bytes, uint32_t n);
MUST_USE enum err raft_propose(struct raft *r, const struct bytes *payloads, uint32_t n);
void raft_broadcast_append(struct raft *r);
/* The member waits until it hears that all up to here is committed. */
void raft_await_commit(struct raft *r, node_id id, raft_index index);
bool raft_send_append(struct raft *r, uint32_t slot, bool send_if_empty);
void raft_broadcast_heartbeat(struct raft *r);
bool raft_advance_commit(struct raft *r);
bool raft_committed_in_term(const struct raft *r);
void raft_on_append_response(struct raft *r, uint32_t slot, const struct raft_message *m);
void raft_on_heartbeat_response(struct raft *r, uint32_t slot, const struct raft_message *m);
void raft_on_loaded(struct raft *r, const struct raft_event *e);
void raft_tick_leader(struct raft *r);
bool raft_quorum_is_active(const struct raft *r);

/* --- raft_follower.c ------------------------------------------------------------------------- */

MUST_USE enum err raft_on_append(struct raft *r, const struct raft_message *m);
MUST_USE enum err raft_on_heartbeat(struct raft *r, const struct raft_message *m);
/* Acknowledges to the leader what this node can vouch for, up to `index`. */
void raft_acknowledge(struct raft *r, node_id to, raft_index index);
void raft_commit_to(struct raft *r, raft_index index);
/* Puts an entry behind the log and notes what the core itself must know of it. */
void raft_append_entry(struct raft *r, raft_term term, enum raft_entry_type type,
                       struct bytes payload);
void raft_truncate(struct raft *r, raft_index from);
/* Does memory take `cost` bytes more? What may go is made to by raft_make_room before. */
bool raft_cache_takes(const struct raft *r, uint64_t cost);

/* --- raft_conf.c ----------------------------------------------------------------------------- */

void raft_note_conf(struct raft *r, raft_index index, enum raft_entry_type type,
                    struct bytes payload);
void raft_forget_conf_from(struct raft *r, raft_index from);
MUST_USE enum err raft_propose_change(struct raft *r, const struct raft_conf_change *change);
void raft_apply_conf_to(struct raft *r, raft_index index);
/* A snapshot stands in for the entries up to its end: so does its membership for their changes. */
void raft_conf_restored(struct raft *r, const struct raft_snapshot *s);
/* The membership once the first `n` configuration entries that are not applied yet are. */
void raft_membership_to_come(const struct raft *r, size_t n, struct raft_membership *ret);
void raft_switch_membership(struct raft *r, const struct raft_membership *next);
void raft_leave_joint_if_due(struct raft *r);
void raft_catch_up_acked(struct raft *r, uint32_t slot);
void raft_tick_promotions(struct raft *r);

/* --- raft_witness.c -------------------------------------------------------------------------- */

bool raft_in_sync_rule_applies(const struct raft *r);
/* Is `id` in the newest in-sync set that this node has stored? True where the rule is off. */
bool raft_in_sync_has(const struct raft *r, node_id id);
/* Is a log that ends with (index, term) up-to-date enough for `id` to lead [Ongaro14 §3.6.1], as
 * far as this voter's log can tell, and is `id` in sync? */
bool raft_in_sync_lets_lead(const struct raft *r, node_id id, raft_index index, raft_term term);
/* The last entry that may be sent to the member in `slot` now. */
raft_index raft_in_sync_sendable(const struct raft *r, uint32_t slot);
/* The largest index that may be committed by what the members have acknowledged. */
raft_index raft_commit_candidate(const struct raft *r);
void raft_note_in_sync(struct raft *r, raft_index index, struct bytes payload);
void raft_forget_in_sync_from(struct raft *r, raft_index from);
/* Sets whose entries were applied, or are covered by a snapshot, are the membership's. */
void raft_in_sync_drop_applied(struct raft *r, raft_index index);
/* What the in-sync entry at `index` does to a membership. False: nothing. */
bool raft_in_sync_change(struct raft_membership *ms, raft_index index, struct bytes payload);
void raft_apply_in_sync(struct raft *r, raft_index index, struct bytes payload);
void raft_tick_in_sync(struct raft *r);
bool raft_is_exposed(const struct raft *r);

/* --- raft_transfer.c ------------------------------------------------------------------------- */

MUST_USE enum err raft_transfer(struct raft *r, node_id to);
void raft_transfer_acked(struct raft *r, uint32_t slot);
void raft_transfer_abort(struct raft *r);
void raft_transfer_expire(struct raft *r);
void raft_send_timeout_now(struct raft *r, node_id to);
/* The voter that should lead instead of this one, or NODE_NONE. */
node_id raft_best_successor(const struct raft *r);
void raft_tick_priority(struct raft *r);
/* By how much a low priority delays this node's campaigns. */
nanos raft_priority_delay(const struct raft *r);

/* --- raft_read.c ----------------------------------------------------------------------------- */

void raft_reads_reset(struct raft *r);
MUST_USE enum err raft_read_local(struct raft *r, uint64_t id);
void raft_on_read_request(struct raft *r, const struct raft_message *m);
void raft_on_read_response(struct raft *r, const struct raft_message *m);
void raft_reads_committed(struct raft *r);
void raft_reads_acked(struct raft *r);
void raft_reads_announce(struct raft *r);
uint64_t raft_read_round(const struct raft *r);

/* --- raft_fetch.c ---------------------------------------------------------------------------- */

/* Offers the newest snapshot to a member whose entries are gone. False: none can be sent now. */
bool raft_offer_snapshot(struct raft *r, uint32_t slot);
MUST_USE enum err raft_on_snapshot(struct raft *r, const struct raft_message *m);
void raft_on_fetch(struct raft *r, const struct raft_message *m);
void raft_on_chunk(struct raft *r, const struct raft_message *m);
MUST_USE enum err raft_on_snapshot_taken(struct raft *r, const struct raft_snapshot *s);
void raft_on_chunk_read(struct raft *r, const struct raft_event *e);
void raft_on_chunk_written(struct raft *r, const struct raft_event *e);
void raft_tick_fetch(struct raft *r);
void raft_tick_offers(struct raft *r);
nanos raft_fetch_deadline(const struct raft *r);

/* --- raft_repair.c --------------------------------------------------------------------------- */

/* Can this node not vouch for its log? */
bool raft_is_impaired(const struct raft *r);
/* Up to where it can: the entry before the first one that is damaged. */
raft_index raft_vouched(const struct raft *r);
void raft_repair_note_damage(struct raft *r, raft_index first, raft_index last);
void raft_repair_lost_log(struct raft *r, raft_index from);
void raft_repair_truncated(struct raft *r, raft_index from);
void raft_repair_restored(struct raft *r, raft_index index);
void raft_on_repair_request(struct raft *r, const struct raft_message *m);
MUST_USE enum err raft_on_repair_response(struct raft *r, const struct raft_message *m);
void raft_repair_written(struct raft *r, uint64_t batch);
void raft_repair_loaded(struct raft *r, const struct raft_event *e);
void raft_repair_progress(struct raft *r);
void raft_tick_repair(struct raft *r);
nanos raft_repair_deadline(const struct raft *r);

/* --- raft_recover.c -------------------------------------------------------------------------- */

MUST_USE enum err raft_recover_quorum(struct raft *r, uint64_t consent);

/* --- raft_health.c --------------------------------------------------------------------------- */

void raft_tick_health(struct raft *r);
bool raft_is_stalled(const struct raft *r);
nanos raft_health_deadline(const struct raft *r);

/* --- raft_update.c --------------------------------------------------------------------------- */

/* A message of this type from here to `to`, in the present term, queued where its type belongs. */
struct raft_message *raft_send(struct raft *r, enum raft_message_type type, node_id to);
struct raft_outbox *raft_out(struct raft *r);
void raft_push_load(struct raft *r, struct raft_load load);
/* `n` bytes that live as long as the messages queued now. */
void *raft_arena_alloc(struct raft *r, size_t n);
struct raft_entry *raft_arena_copy_entries(struct raft *r, const struct raft_entry *entries,
                                           uint32_t n);
struct bytes raft_arena_copy_bytes(struct raft *r, struct bytes b);
const struct raft_snapshot *raft_arena_copy_snapshot(struct raft *r, const struct raft_snapshot *s);
/* Empties the state machine's payloads where `to` is a witness. */
void raft_strip_for_witness(const struct raft *r, node_id to, struct raft_entry *entries, size_t n);
/* Takes back queued appends that point into a part of the log that is about to go. */
void raft_outbox_drop_appends(struct raft *r);
/* Of what may be cached, the part that stays when all members have the entries: 1 MiB of a daemon's
 * is a moment's worth at full load, for whoever leads next. */
#define RAFT_UNWANTED_SHARE 16

/* Drops bodies from memory that may go, until half of it is free, and room for what costs that
 * much; of those that all members have, until no more than the share above is taken. Those that a
 * queued append points to stay. */
void raft_make_room(struct raft *r, uint64_t cost);
void raft_outbox_deinit(struct raft_outbox *o);
void raft_batch_done(struct raft *r, uint64_t seq);
void raft_batches_truncated(struct raft *r, raft_index last);

#endif
