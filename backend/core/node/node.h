/*
 * node: the glue of a node. What joins the log, Raft and the store into one member of a group:
 * persists before it sends, applies after commit, answers proposals and reads, takes and installs
 * snapshots, recovers. One code for the daemon and the simulator: it is deterministic, lives on one
 * thread, and speaks to the outside through core/world/world.h alone.
 *
 *     client --node_propose--> queue --each turn--> raft --entries--> wal --durable--> raft
 *                                                   raft --messages--> links --> peers
 *     client <----done--------- store <--committed-- raft
 *
 * Who may call it: the daemon, the simulator, tests. What it includes: raft, store, recovery,
 * world.
 *
 *   node_open --> RECOVERING --recovery, then node_ready--> RUNNING --node_halted--> HALTED
 *
 * HALTED is final: the disk failed, belongs to somebody else, or cannot be read. The owner closes
 * the node and, in the daemon, ends the process.
 */
#ifndef NOVACRON_NODE_NODE_H
#define NOVACRON_NODE_NODE_H

#include "core/base/buf.h"
#include "core/consensus/raft/raft.h"
#include "core/consensus/raft/raft_details.h"
#include "core/recovery/recovery_table.h"
#include "core/store/store.h"
#include "core/world/world.h"

/* Members that a node can be told addresses of. */
#define NODE_PEERS_MAX RAFT_MEMBERS_MAX

/* Requests that wait for their outcome; more are refused with ERR_BUSY. */
#define NODE_REQUESTS_MAX 65536

/* Bytes of requests that were not proposed yet; more are refused with ERR_BUSY. */
#define NODE_QUEUED_BYTES_MAX (64 * 1024 * 1024)

/* Once the oldest of them has waited for so long behind others, further ones are refused, too: who
 * is told so can wait, or go elsewhere, and those that wait are answered before they time out. */
#define NODE_QUEUE_PATIENCE NANOS_PER_S

/* The longest path of a node's directory, so that every file below it has a path in the world. */
#define NODE_DIR_MAX_BYTES (WORLD_PATH_MAX_BYTES - 64)

/* Payload bytes and entries of one proposal to Raft: what gathered in a turn of the loop. */
#define NODE_TURN_BYTES   (1024 * 1024)
#define NODE_TURN_ENTRIES 64

struct node_peer {
    node_id id;
    struct world_endpoint at;
    /* What its certificate must name, where the world's streams have certificates; empty: anything
     * that the cluster's authority signed. */
    char name[WORLD_HOST_MAX_BYTES];
};

struct node_config {
    const char *dir; /* of this node in the world's files; borrowed for the node's life */
    uint64_t cluster;
    node_id id;
    struct raft_config raft; /* its seed is drawn anew at each start */
    /* The members that found the group, each of which is started with the same; NULL: the node
     * joins one, or has been here before. On an empty disk a node with founders founds: set
     * is_member before a disk is replaced, or it forgets whom it voted for. */
    const struct raft_membership *founders;
    /* What a founder begins with instead of nothing: the blocks of a store's snapshot, the same on
     * all founders; borrowed until the node is ready. Empty: an empty store. */
    struct bytes founding_state;
    bool is_member; /* it took part before, so an empty disk is a lost one */
    /* With founders, and an empty disk of which is_member says nothing: all other founders are
     * asked first, and must answer. If one knows of the group, the disk is a lost one (node_ask.c).
     */
    bool asks_founders;
    uint16_t port; /* to listen on; 0: a group of one, no network */
    /* Who takes the streams to that port that do not begin as a member's do, and is given what came
     * on them; in place while the node is open. NULL: they are refused. */
    struct world_listener *guest;
    /* The same of the streams of agents on hosts that do not vote (node_session.h). */
    struct world_listener *agents;
    struct node_peer peers[NODE_PEERS_MAX];
    uint32_t peer_count;
    uint16_t feature_level; /* of a new group */
    uint16_t program_level; /* the highest that this program knows; a test may play an older one */
    uint64_t snapshot_entries; /* a snapshot is taken after so many ... */
    /* ... if what was applied since has the size of the newest one, so that snapshots of a large
     * state are not most of what is written; at the latest after these. 0: after
     * snapshot_entries whatever their size. */
    uint64_t snapshot_entries_max;
    uint64_t tail_entries;          /* so many stay in the log behind it, for slow members */
    uint64_t history_hot_bytes;     /* of the newest changes, whose history stays in memory; older
                                       changes go to the world's, in ... */
    uint64_t history_segment_bytes; /* ... segments of so many */
    uint64_t segment_bytes;         /* of the log: a batch, the reserve and a sector fit */
    uint64_t batch_bytes;           /* the log's largest write: the largest entry must fit */
    uint64_t reserve_bytes;         /* of each segment, for votes on a full disk */
    uint64_t scrub_bytes_per_s;     /* the disk is read for damage at this rate; 0: never */
    nanos scrub_pause;              /* between two passes */
    nanos request_timeout;          /* then a request's outcome is unknown */
};

/* What a watch or a serializable read on a follower may see later, for not waking all members twice
 * for each write. */
#define NODE_COMMIT_DELAY (2 * NANOS_PER_MS)

/* Sensible numbers for everything but dir, cluster, id, founders, port and peers. */
struct node_config node_config_default(node_id id);

struct node; /* opaque */

/* What the owner is told; from the node's thread, never inside a call of the owner's. Each function
 * may be NULL. */
struct node_events {
    void *ctx;
    /* Before it founds, it waits for what this founder says; told again and again. */
    void (*waits)(void *ctx, node_id founder, const struct world_endpoint *at);
    void (*ready)(void *ctx, enum recovery_verdict verdict, const char *why);
    /* `why` says what, where, and what it means; a static string. */
    void (*halted)(void *ctx, enum err error, const char *why);
    void (*leader_changed)(void *ctx, enum raft_role role, node_id leader, raft_term term);
    void (*alarm)(void *ctx, enum raft_alarm alarm);
    /* This member's state, or another's, is not a majority's; NODE_NONE: no majority agrees, and
     * writes are refused. */
    void (*diverged)(void *ctx, node_id member);
    /* Entries were applied, or a snapshot was installed: the store says more than before. Whoever
     * waited for an outcome was told already. */
    void (*advanced)(void *ctx);
    /* The store is about to be closed and replaced by a snapshot's: its readers and snapshots must
     * end in this call; watch streams move by themselves. The node must not be called. */
    void (*store_leaves)(void *ctx);
    /* What the owner of `from` said with node_note; borrowed for the call. */
    void (*note)(void *ctx, node_id from, struct bytes note);
    /* A stream from `at` was refused, or a peer at `at` refused ours; `peer` is whom it says, or
     * ought, to be; NODE_NONE: it did not say. `why` is a static string for the log. Whoever can
     * reach the port can cause this, as often as he likes. */
    void (*refused)(void *ctx, node_id peer, const struct world_endpoint *at, const char *why);

    /* Observation points, for debug pages, traces and the simulator's oracle. Unlike those above
     * they are called in the middle of what the node does: what they point to is borrowed for the
     * call, and nothing of the node may be called but what looks in. */
    /* Raft is about to be given this event. */
    void (*stepping)(void *ctx, const struct raft_event *e);
    /* A Raft message was handed to the network, which may lose it; what it promises is durable. */
    void (*sent)(void *ctx, const struct raft_message *m);
    /* A committed entry was applied, to the store unless this is a witness. */
    void (*applied)(void *ctx, const struct raft_entry *e);
};

/* Begins to recover what is in `config->dir`. The world outlives the node; the configuration is
 * copied, but for dir. */
struct node *node_open(const struct world *world, const struct node_config *config,
                       const struct node_events *events);

/* Forgets everything at once, as a crash would; requests under way are not told. The world must
 * have no request of the node under way: it is idle, or was torn down. */
void node_close(struct node *n);

/* A change of the replicated state. The caller's, in place until `done`. */
struct node_request {
    enum store_kind kind;
    struct bytes body;      /* the client's own bytes; borrowed until done */
    struct bytes user;      /* who asks, by name; empty: nobody said. Borrowed until done */
    uint64_t auth_revision; /* at which the user was known; 0 with an empty name */
    void (*done)(struct node_request *request);
    void *owner;

    /* OK: applied, or refused by the store, as `status` says. ERR_UNKNOWN: it may be applied or
     * not, and will not be tried again. Anything else: it was not, and will not be (ERR_NO_LEADER,
     * or ERR_BUSY: its turn never came). */
    enum err result;
    enum store_status status;
    int64_t revision;
    bool is_duplicate;   /* an earlier copy was applied: its status and revision, no response */
    struct buf response; /* the node's until done returns */

    /* When, with OK: it was taken, given to Raft (for the last time), known here to be committed,
     * and applied with all that was committed with it. */
    nanos taken_at;
    nanos proposed_at;
    nanos committed_at;
    nanos applied_at;

    /* The node's own. */
    uint64_t term; /* in which it was proposed first */
    uint64_t boot;
    uint64_t sequence;
    nanos deadline;
    bool is_accepted;
    struct node_request *next;
};

/* Proposes it; every member may but a witness. The group's own (ends of leases, alarms, what
 * members say of themselves) go before those of clients. With an error `done` is not called:
 *   ERR_BUSY      too many are waiting, or for too long;
 *   ERR_NO_SPACE  the disk is full;
 *   ERR_REFUSED   this is a witness, or no majority agrees on the state;
 *   ERR_CLOSED    halted, stopping, or not ready. */
MUST_USE enum err node_propose(struct node *n, struct node_request *request);

/* A linearizable read. The caller's, in place until `done`; with OK the store, as it is inside
 * `done`, holds everything that was committed when the read began. */
struct node_read {
    void (*done)(struct node_read *read);
    void *owner;
    enum err result;

    /* The node's own. */
    uint64_t id;
    raft_index index; /* 0: not confirmed yet */
    nanos deadline;
    nanos asked;
    struct node_read *next;
};

/* ERR_BUSY, ERR_REFUSED from a witness, ERR_CLOSED: as above, but a full disk and a dispute do not
 * keep from reading. */
MUST_USE enum err node_read(struct node *n, struct node_read *read);

/* When a majority of the voters is gone for good: makes this member the only voter of the group, in
 * another lineage. The caller has the consent of an operator, who knows that what the lost ones
 * acknowledged and this member never received is lost, and that none of them may come back: see
 * docs/runbooks/quorum-lost.md. It is durable once the alarm RAFT_ALARM_QUORUM_FORCED was told and
 * the membership is of this member alone.
 *   ERR_CLOSED   halted, or not ready;
 *   ERR_BUSY     enough of the members were heard of late to elect a leader, or this one
 *                does not run for long enough to tell;
 *   ERR_REFUSED  somebody leads, or this member is a witness, a learner, damaged,
 *                or installing. */
MUST_USE enum err node_recover_quorum(struct node *n);

/* Requests to Raft, as in raft.h. */
MUST_USE enum err node_change(struct node *n, const struct raft_conf_change *change);
MUST_USE enum err node_transfer(struct node *n, node_id to);
MUST_USE enum err node_campaign(struct node *n);

/* A peer is dead, as far as somebody else can tell: where it leads, an election need not wait for
 * its silence. Nothing else comes of it, and who leads and lives goes on leading. */
void node_peer_died(struct node *n, node_id peer);

/* Takes a snapshot as soon as there is anything to take beyond the newest one: before a backup, or
 * where memory or the log shall become small. */
void node_take_snapshot(struct node *n);

/* Hands leadership over and takes no more proposals; once it does not lead any more, it may be
 * closed without costing the group an election. */
void node_stop(struct node *n);

/* The longest note. */
#define NODE_NOTE_BYTES_MAX 4096

/* Says something to the owner of another member, without promise: it may get lost, with its stream
 * or for want of room. ERR_UNSUPPORTED below feature level 2, when members may not know notes;
 * ERR_NOT_FOUND: no address is known of it. */
MUST_USE enum err node_note(struct node *n, node_id to, struct bytes note);

/* Where a member is reached from now on, over what the configuration said; ERR_BUSY: addresses of
 * NODE_PEERS_MAX members are known. The address of this member itself is of no interest, and fine.
 */
MUST_USE enum err node_peer_set(struct node *n, const struct node_peer *peer);

/* Is an address known of this member? */
bool node_peer_known(const struct node *n, node_id peer);

/* Forgets a member's address and ends the streams to it. */
void node_peer_drop(struct node *n, node_id peer);

/* What Raft holds beyond its status, for people. The node is ready. */
void node_raft_details(const struct node *n, struct raft_details *ret);

/* Looking in. The store is the node's; it changes when events run. NULL before it is ready. */
struct store *node_store(struct node *n);
bool node_is_ready(const struct node *n);
bool node_is_halted(const struct node *n);
struct raft_status node_status(const struct node *n);

/* When a message of this peer came last, in this life, on the world's clock; 0: none did. */
nanos node_link_heard(const struct node *n, node_id peer);
raft_index node_applied(const struct node *n);

/* Has the disk no room: payloads are refused, votes go on? */
bool node_lacks_space(const struct node *n);

/* What was counted since the node was opened, and how full it is; for metrics and pages. */
struct node_figures {
    uint64_t requests;         /* that were taken ... */
    uint64_t requests_failed;  /* ... and ended with an error, be it ERR_UNKNOWN */
    uint64_t requests_shed;    /* refused with ERR_BUSY, as too much waited */
    uint64_t requests_again;   /* proposed once more, as the leader changed or refused them */
    uint64_t requests_waiting; /* queued or proposed, and not finished */
    uint64_t reads;            /* likewise */
    uint64_t reads_failed;
    uint64_t reads_waiting;
    uint64_t batches_waiting; /* that the log has not made durable */
    uint64_t frames_dropped;  /* for want of a stream, or of room on it */
    uint64_t snapshots_taken;
    uint64_t snapshots_failed;
    uint64_t snapshots_installed;
    uint64_t snapshot_bytes; /* of the newest that was taken or loaded */
    uint64_t scrub_passes;
    uint64_t scrub_bytes;
    bool is_taking_snapshot;
    bool is_installing; /* a snapshot is being fetched or loaded */
    bool is_disputed;   /* no majority agrees on the state: writes are refused */
    bool is_witness;
    bool is_stopping;
};

struct node_figures node_figures(const struct node *n);

/* What is known of the streams to and from one peer, and of what it has. */
struct node_peer_figures {
    node_id id;
    struct world_endpoint at;
    bool is_out[2]; /* a stream to it is open: of the log, of snapshots */
    bool is_in[2];  /* one from it */
    uint64_t frames_sent;
    uint64_t frames_dropped;
    uint64_t bytes_sent;
    uint64_t bytes_received;
    const struct raft_progress *progress; /* borrowed until the next event; NULL: does not lead */
};

/* Of every peer whose address is known. Returns how many there are. */
uint32_t node_peer_figures(const struct node *n, struct node_peer_figures ret[NODE_PEERS_MAX]);

/* Asserts what a node can see of its own state; for tests and simulation. */
void node_check(const struct node *n);

#endif
