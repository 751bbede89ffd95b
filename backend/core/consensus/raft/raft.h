/*
 * The Raft core [Ongaro14]: a pure step function. Events go in, an update comes out; the core reads
 * no clock, draws no randomness but from its seed, and does no I/O. The same configuration, saved
 * state and events give the same updates, bit for bit.
 *
 *        event                     +--------------+   update: what to write, send,
 *   time, message, completion ---> |  struct raft | ---> apply, read, fetch;
 *   proposal, request              +--------------+        who leads; when to come back
 *
 * Its message and progress model follows etcd-raft's; what it adds is said in raft_witness.c (the
 * in-sync rule), raft_repair.c (damaged logs), raft_fetch.c (snapshots in chunks), raft_health.c
 * (stalls) and raft_read.c (leases). docs/raft.md is the guided tour, docs/etcd-raft.md lists the
 * differences from etcd-raft.
 *
 * THE DRIVER'S PART. Step as many events as are at hand, then take one update: that is what batches
 * disk writes and messages. With an update, in this order:
 *
 *  1. install: replace the state machine by this snapshot and the log up to it by its name,
 *     atomically, then go on. Entries after it go, too, but where install_keeps_log. It counts as
 *     part of batch `persist_seq`.
 *  2. Begin to write `hard_state` (where has_hard_state), `entries` and `repairs`, as one batch
 *     called persist_seq. Entries replace whatever the log held from the first one's index on;
 *     repairs rewrite single entries in place. Batches become durable in their order.
 *     Without must_sync, and without install, which is always made durable, the batch need not be
 *     forced to the disk for its own sake.
 *  3. Send `messages` at once: the leader's followers write while it does.
 *  4. When the batch is durable (for an empty batch: when those before it are), step
 *     RAFT_EVENT_DURABLE with persist_seq, and send `messages_durable`. A message whose `to` is
 * this node is not sent: it is stepped as RAFT_EVENT_MESSAGE, before RAFT_EVENT_DURABLE.
 *  5. Apply `committed` in order and step RAFT_EVENT_APPLIED, soon or later, once or piecemeal.
 *  6. Answer the `reads` whose index has been applied.
 *  7. Serve `loads` and `chunk_reads` from the disk, `chunk_writes` to it, and step their
 *     completions. Take a snapshot whenever the driver's policy says so, step
 *     RAFT_EVENT_SNAPSHOT_TAKEN, and then RAFT_EVENT_COMPACT where raft_compactable allows.
 *  8. Step RAFT_EVENT_TICK at `deadline`, at the latest.
 *
 * What an update points to is valid until the next call of raft_step or raft_take_update on the
 * same struct raft, except the payloads in `committed`, which stay until they are reported applied
 * or a snapshot is installed. What an event points to is borrowed for the call.
 *
 * Callers: core/node, the simulator, tests. Includes: base, quorum.
 */
#ifndef NOVACRON_RAFT_H
#define NOVACRON_RAFT_H

#include "core/base/err.h"
#include "core/consensus/raft/raft_membership.h"
#include "core/consensus/raft/raft_message.h"
#include "core/consensus/raft/raft_progress.h"
#include "core/consensus/raft/raft_types.h"

struct raft; /* raft_int.h; opaque to drivers */

/* --- configuration --------------------------------------------------------------------------- */

/* What a leader does when it applies its own removal. */
enum raft_removal {
    RAFT_REMOVAL_HAND_OVER = 0, /* tells the best voter to campaign, then steps down */
    RAFT_REMOVAL_STEP_DOWN,     /* steps down */
    RAFT_REMOVAL_STAY,          /* leads on without counting itself [Ongaro14 §4.2.2] */
};

/* key, type, unit, default, smallest, largest, what it does. The numbers of raft_config_default;
 * docs/raft-config.md is generated from this table. */
#define RAFT_CONFIG_TABLE(X)                                                                       \
    X(election_timeout, nanos, "ns", 1000 * NANOS_PER_MS, NANOS_PER_MS, 600 * NANOS_PER_S,         \
      "a follower campaigns after one to two of these without a leader, later with low priority")  \
    X(heartbeat_interval, nanos, "ns", 100 * NANOS_PER_MS, 1, 60 * NANOS_PER_S,                    \
      "how often a leader says that it lives")                                                     \
    X(commit_delay, nanos, "ns", 0, 0, NANOS_PER_S,                                                \
      "how long a leader waits for entries to carry a commit index to members that do not wait "   \
      "for it; 0: it goes alone, and at once")                                                     \
    X(pre_vote, bool, "", true, false, true, "ask before disturbing a term [Ongaro14 9.6]")        \
    X(check_quorum, bool, "", true, false, true,                                                   \
      "a leader without a quorum steps down; a follower with a leader grants no votes")            \
    X(lease_reads, bool, "", false, false, true,                                                   \
      "serve reads under a leader lease; the same on all members, and clocks within clock_drift")  \
    X(clock_drift_ppm, uint32_t, "ppm", 200, 0, 100000,                                            \
      "the most by which any member's clock runs fast or slow")                                    \
    X(stall_timeout, nanos, "ns", 1000 * NANOS_PER_MS, 0, 600 * NANOS_PER_S,                       \
      "a leader whose disk or apply loop stands this long hands over; 0: never")                   \
    X(reset_campaign_delay, nanos, "ns", 50 * NANOS_PER_MS, 1, 10 * NANOS_PER_S,                   \
      "a follower whose stream to the leader was reset pre-votes about this soon; not with "       \
      "leases")                                                                                    \
    X(priority_hold, nanos, "ns", 10 * NANOS_PER_S, 0, 3600 * NANOS_PER_S,                         \
      "a leader yields to a voter of higher priority after leading this long; 0: never")           \
    X(max_append_bytes, uint64_t, "B", 1024 * 1024, 0, RAFT_MESSAGE_BYTES_MAX / 2,                 \
      "of entries in one append message; at least one entry goes")                                 \
    X(max_inflight_messages, uint32_t, "messages", 256, 1, 1 << 20,                                \
      "append messages on their way to one member")                                                \
    X(max_inflight_bytes, uint64_t, "B", 16 * 1024 * 1024, 0, UINT64_MAX,                          \
      "payload on its way to one member; 0: no limit")                                             \
    X(max_uncommitted_bytes, uint64_t, "B", 16 * 1024 * 1024, 0, UINT64_MAX,                       \
      "payload in a leader's log beyond the commit index; 0: no limit")                            \
    X(max_applying_bytes, uint64_t, "B", 8 * 1024 * 1024, 1, UINT64_MAX,                           \
      "entries handed out and not yet reported applied")                                           \
    X(max_cached_bytes, uint64_t, "B", 64 * 1024 * 1024, 1 << 16, UINT64_MAX,                      \
      "entries in memory; a log that cannot drop any refuses more")                                \
    X(max_reads, uint32_t, "reads", 4096, 1, 1 << 20, "reads that wait for a quorum")              \
    X(apply_before_durable, bool, "", true, false, true,                                           \
      "apply what is committed though this node's own disk is still writing it")                   \
    X(forward_proposals, bool, "", true, false, true, "a follower passes proposals on")            \
    X(validate_changes, bool, "", true, false, true,                                               \
      "refuse membership changes that do not fit the present one")                                 \
    X(strict_changes, bool, "", true, false, true,                                                 \
      "refuse a change after which the voters that are heard from, and whole, form no quorum")     \
    X(demote_after, nanos, "ns", 300 * NANOS_PER_S, 0, 86400 * NANOS_PER_S,                        \
      "voters silent for this long become learners, where that makes the quorum smaller; 0: "      \
      "never")                                                                                     \
    X(require_caught_up, bool, "", true, false, true,                                              \
      "promote a learner only after its catch-up rounds [Ongaro14 4.2.1]")                         \
    X(chunk_bytes, uint32_t, "B", 256 * 1024, 1, 16 * 1024 * 1024, "of a snapshot in one message") \
    X(max_chunks, uint32_t, "chunks", 4, 1, 64, "snapshot chunks asked for at once")               \
    X(snapshot_bytes_per_s, uint64_t, "B/s", 100 * 1000 * 1000, 0, UINT64_MAX,                     \
      "the rate at which this node serves snapshots; 0: no limit")                                 \
    X(follower_snapshots, bool, "", true, false, true, "let members fetch snapshots from followers")

struct raft_config {
    node_id id;
    uint64_t seed; /* of the election timeouts and nonces: different on each node and each boot */
    enum raft_removal removal;
#define RAFT_CONFIG_FIELD(key, type, unit, preset, lo, hi, doc) type key;
    RAFT_CONFIG_TABLE(RAFT_CONFIG_FIELD)
#undef RAFT_CONFIG_FIELD
};

/* The defaults, which are the profile for members in one site (`lan`). */
struct raft_config raft_config_default(node_id id, uint64_t seed);

/* The profile for members up to 50 ms apart (`stretch`). */
struct raft_config raft_config_stretch(node_id id, uint64_t seed);

/* Is each number within its bounds, and do they fit each other? On ERR_INVALID, `*ret_why` says
 * what is wrong (a static string). */
MUST_USE enum err raft_config_check(const struct raft_config *c, const char **ret_why);

/* --- life ------------------------------------------------------------------------------------ */

/* What a node found on its disk.
 *
 * A group begins with a snapshot that its founders write alike: index and term 1, no body, and the
 * members. So whoever joins later, with nothing, needs a snapshot first and learns of them; a log
 * that began at entry 1 would leave it with the changes alone. */
struct raft_saved {
    struct raft_hard_state hard_state;
    struct raft_snapshot snapshot; /* index 0: none, and no members are known */
    raft_index applied; /* the state machine holds this much; >= snapshot.index, whose membership is
                           then the one as of `applied` */
    /* The disk lost the term and vote: this node may have voted in terms that it does not know. */
    bool lost_vote;
    /* The log is lost from this index on (0: it is whole): it may have acknowledged entries that
     * it does not know. The entries before it are added as usual. */
    raft_index lost_from;
};

/* A follower that knows what `saved` says and no entries yet. `now` starts its clock. Free with
 * raft_free. `c` has passed raft_config_check. */
struct raft *raft_new(const struct raft_config *c, const struct raft_saved *saved, nanos now);
void raft_free(struct raft *r);

/* Adds the saved entries after the snapshot, in order, before the first step. `e->term` must be
 * known; where `damaged`, the payload is not. ERR_CORRUPT: it does not follow the one before. */
MUST_USE enum err raft_load_entry(struct raft *r, const struct raft_entry *e, bool damaged);

/* Ends the loading. ERR_CORRUPT: the commit index lies outside the log. */
MUST_USE enum err raft_load_done(struct raft *r);

/* --- events ---------------------------------------------------------------------------------- */

enum raft_event_type {
    RAFT_EVENT_TICK,            /* time has passed */
    RAFT_EVENT_MESSAGE,         /* message: from a member, as authenticated by the transport */
    RAFT_EVENT_PROPOSE,         /* propose: entries for the state machine */
    RAFT_EVENT_CHANGE,          /* change: of the membership */
    RAFT_EVENT_READ,            /* read: a linearizable one */
    RAFT_EVENT_CAMPAIGN,        /* begin an election now */
    RAFT_EVENT_TRANSFER,        /* node: make it the leader; NODE_NONE: whoever is best */
    RAFT_EVENT_FORGET_LEADER,   /* stop believing in the leader (but not in the term) */
    RAFT_EVENT_UNREACHABLE,     /* node: a message to it was lost */
    RAFT_EVENT_STREAM_RESET,    /* node: its stream broke, as when its process dies; or it is known
                                   to be dead otherwise */
    RAFT_EVENT_DURABLE,         /* seq: this batch, and those before it, are on the disk */
    RAFT_EVENT_APPLIED,         /* index: the state machine has applied up to here */
    RAFT_EVENT_LOADED,          /* loaded: entries read back from the disk */
    RAFT_EVENT_SNAPSHOT_TAKEN,  /* snapshot: it is durable, and can be served */
    RAFT_EVENT_SNAPSHOT_FAILED, /* node: it told that it could not install the snapshot offered */
    RAFT_EVENT_CHUNK_READ,      /* chunk: of a snapshot of this node, for a member */
    RAFT_EVENT_CHUNK_WRITTEN,   /* chunk: of a snapshot being fetched is on this disk; or error */
    RAFT_EVENT_COMPACT,         /* index: the log was compacted up to here */
    RAFT_EVENT_DISK,            /* stalled: for how long the disk has not answered; 0: it answers */
    RAFT_EVENT_DAMAGED,         /* damaged: bodies on this disk that cannot be read any more */
    RAFT_EVENT_SUSPENDED,       /* the host slept, or its clock was stepped: leases are void */
    RAFT_EVENT_STOP,            /* the node is about to stop: hand over, accept nothing new */
    RAFT_EVENT_RECOVER_QUORUM,  /* recover: see raft_recover.c; loses acknowledged writes */
    RAFT_EVENT_TYPES
};

/* The words that must come with RAFT_EVENT_RECOVER_QUORUM. */
#define RAFT_RECOVER_CONSENT 0x4c4f5345444154ULL

struct raft_event {
    enum raft_event_type type;
    nanos now; /* never less than the event before; CLOCK_BOOTTIME or its like */
    union {
        const struct raft_message *message;
        node_id node;
        uint64_t seq;
        raft_index index;
        nanos stalled;
        const struct raft_snapshot *snapshot;
        const struct raft_conf_change *change;
        struct {
            const struct bytes *payloads;
            uint32_t n;
        } propose;
        struct {
            uint64_t id; /* the driver's, never used twice, not even by an earlier life of the
                            node: begin at a random number */
        } read;
        struct {
            node_id peer; /* as in the request */
            raft_index first;
            const struct raft_entry *entries; /* for peer == this node: valid until applied */
            uint32_t n;                       /* 0: they could not be read */
            uint64_t repair;                  /* as in the request */
        } loaded;
        struct {
            node_id peer; /* for CHUNK_READ: as in the request */
            raft_index snapshot;
            uint64_t offset;   /* for CHUNK_READ as in the request; for CHUNK_WRITTEN the end: the
                                  body is durable on this disk up to there */
            struct bytes data; /* for CHUNK_READ */
            enum err error;
        } chunk;
        struct {
            raft_index first;
            raft_index last;
        } damaged;
        struct {
            uint64_t consent; /* RAFT_RECOVER_CONSENT */
        } recover;
    };
};

/* Feeds one event. OK, or why the request in it was refused; a refusal changes nothing but time
 * (and a refused change of the membership leaves an entry without effect in the log):
 *   ERR_DROPPED    proposal: no leader, a transfer under way, or removed; try again
 *   ERR_BUSY       proposal or read: a declared limit is reached; try again later;
 *                  snapshot taken: the one before is being fetched. Keep both, and tell it again
 *   ERR_PENDING    change: another one is not applied yet
 *   ERR_REFUSED    change, transfer, campaign, recovery: it does not fit the present state
 *   ERR_NO_LEADER  read, transfer: nobody leads
 *   ERR_TOO_LARGE  proposal: larger than a message may be
 *   ERR_NOT_FOUND  message: an answer from nobody whom this node knows; transfer: no such voter
 *   ERR_PROTOCOL   message: it contradicts what Raft allows; it was dropped whole */
MUST_USE enum err raft_step(struct raft *r, const struct raft_event *e);

/* --- updates --------------------------------------------------------------------------------- */

/* What an operator must hear of. Bits of raft_update.alarms, raised once when it happens. */
enum raft_alarm {
    RAFT_ALARM_IMPAIRED = 1 << 0, /* this node cannot vouch for its log: no votes, no lead */
    RAFT_ALARM_REPAIRED = 1 << 1, /* it can again */
    RAFT_ALARM_STALLED = 1 << 2,  /* gave up the lead because disk or apply loop stands */
    RAFT_ALARM_EXPOSED = 1 << 3,  /* the in-sync set shrank: fewer disks hold the newest data */
    RAFT_ALARM_PROTOCOL = 1 << 4, /* a peer broke the protocol */
    RAFT_ALARM_QUORUM_FORCED = 1 << 5, /* RAFT_EVENT_RECOVER_QUORUM was carried out */
    RAFT_ALARM_LOST_ACKED = 1 << 6,    /* the leader counts on entries that this node has not */
};

struct raft_read_ready {
    uint64_t id;
    raft_index index; /* answer from a state machine that has applied this */
};

struct raft_load {
    node_id peer; /* for whom; this node: to apply them itself */
    raft_index first;
    raft_index last;    /* at most up to here */
    uint64_t max_bytes; /* at most this much, but at least one entry */
    uint64_t repair;    /* 0, or a token to hand back with the entries */
};

/* A piece of a snapshot: to be read for `peer`, or written as it was received. A write of no bytes
 * opens the file: its completion says with `offset` how much of this very snapshot (all of index,
 * term, size and digest) an earlier attempt left on the disk, so that it goes on from there. */
struct raft_chunk {
    node_id peer;
    raft_index snapshot;
    raft_term snapshot_term;
    uint64_t digest; /* of the whole body */
    uint64_t size;   /* of the whole body */
    uint64_t offset;
    uint64_t len;
    struct bytes data; /* to be written; empty in a read */
};

struct raft_update {
    bool has_hard_state;
    bool must_sync; /* term, vote or entries changed */
    struct raft_hard_state hard_state;
    const struct raft_snapshot *install; /* NULL: none */
    bool install_keeps_log;              /* the entries after it stay */
    const struct raft_entry *entries;
    uint32_t entry_count;
    const struct raft_entry *repairs;
    uint32_t repair_count;
    uint64_t persist_seq; /* 0: nothing to write, and nothing to wait for */

    const struct raft_message *messages;
    uint32_t message_count;
    const struct raft_message *messages_durable;
    uint32_t message_durable_count;

    const struct raft_entry *committed;
    uint32_t committed_count;

    const struct raft_read_ready *reads;
    uint32_t read_count;
    const uint64_t *reads_lost; /* ids of reads that will get no answer: ask again */
    uint32_t read_lost_count;

    const struct raft_load *loads;
    uint32_t load_count;
    const struct raft_chunk *chunk_reads;
    uint32_t chunk_read_count;
    const struct raft_chunk *chunk_writes;
    uint32_t chunk_write_count;

    bool has_soft_state; /* role or leader changed */
    enum raft_role role;
    node_id leader;

    uint32_t alarms; /* enum raft_alarm */
    nanos deadline;  /* step RAFT_EVENT_TICK then, at the latest */
};

/* Is there anything for the driver to do but wait for the deadline? */
bool raft_has_update(const struct raft *r);

/* Takes what has gathered since the last update. */
void raft_take_update(struct raft *r, struct raft_update *ret);

/* --- looking in ------------------------------------------------------------------------------ */

struct raft_status {
    node_id id;
    enum raft_role role;
    raft_term term;
    node_id vote;
    node_id leader;
    node_id transferee; /* NODE_NONE: no transfer under way */
    raft_index first;   /* of the log */
    raft_index last;
    raft_index durable;
    raft_index committed;
    raft_index applied;
    uint64_t cached_bytes;
    uint64_t uncommitted_bytes;
    raft_index snapshot; /* the newest that this node has; 0: none */
    bool installing;     /* a snapshot is replacing the log and the state machine */
    bool impaired;       /* cannot vouch for its log */
    bool stalled;        /* its disk or apply loop stands */
    bool exposed; /* there is a witness, and fewer replicas are in sync than a commit asks for */
    const struct raft_membership *membership; /* borrowed until the next step */
};

struct raft_status raft_status(const struct raft *r);

/* What a leader knows of the member in slot `i` of its membership; borrowed until the next step.
 * NULL where this node does not lead. */
const struct raft_progress *raft_peer_progress(const struct raft *r, uint32_t i);

/* Up to which index the driver may compact without cutting off a member that is being brought up
 * to date, keeping at least `tail` entries. */
raft_index raft_compactable(const struct raft *r, raft_index tail);

/* The first damaged entry; 0: none is known to be. The driver may make an end of damage that is
 * applied by itself: a snapshot that covers it, and RAFT_EVENT_COMPACT up to there. */
raft_index raft_damaged_from(const struct raft *r);

/* Could a reader be answered now, at this index, under the leader's lease? */
bool raft_lease_holds(const struct raft *r, nanos now);

/* Asserts every invariant that one node can see; called after each step in tests and simulation. */
void raft_check(const struct raft *r);

/* A hash over everything that later steps depend on: equal histories give equal hashes. */
uint64_t raft_fingerprint(const struct raft *r);

#endif
