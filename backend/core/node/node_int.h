/*
 * Private to core/node: the state of a node, and what its files call in each other.
 *
 *     node.c           life, the pump that carries updates out, requests and reads
 *     node_ask.c       whether there is a group already, before it is founded
 *     node_start.c     recovery: boot number, snapshot, log, and the start of Raft
 *     node_request.c   requests that wait: the order and the limits in which they are proposed
 *     node_persist.c   batches: from an update to the log, and back when they are durable
 *     node_apply.c     committed entries into the store, outcomes to those who wait
 *     node_link.c      messages to and from peers
 *     node_hello.c     the first bytes between them
 *     node_snapshot.c  taking snapshots, and serving them in chunks
 *     node_install.c   fetching and installing a snapshot
 *     node_upkeep.c    leases, scrubbing, and what else time brings
 *     node_hash.c      whether the members hold the same state
 *     node_figures.c   what is counted, for those who look in
 *     node_quorum.c    the way out when a quorum is gone for good, and the lineage that it begins
 *
 * One rule holds the files together: what a struct raft_update points to dies with the next step.
 * So an update is carried out without stepping (node_pump), whatever follows from it later is
 * copied, and completions step from the world's loop.
 */
#ifndef NOVACRON_NODE_NODE_INT_H
#define NOVACRON_NODE_NODE_INT_H

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/consensus/quorum.h"
#include "core/node/node.h"
#include "core/recovery/scrub.h"
#include "core/recovery/snapshot_file.h"
#include "core/recovery/wal.h"
#include "core/store/store_limits.h"

/* Frames on a stream: see node_link.c. What is before them: node_hello.c. */
#define NODE_FRAME_HEADER_BYTES 8
#define NODE_HELLO_BYTES        40
#define NODE_REFUSAL_BYTES      12

/* A stream whose other end has not said who it is after so long is closed. */
#define NODE_HELLO_TIMEOUT (5 * NANOS_PER_S)

/* A stream that broke is opened again after this, doubling up to the longest. */
#define NODE_RECONNECT_MIN (50 * NANOS_PER_MS)
#define NODE_RECONNECT_MAX (2 * NANOS_PER_S)

/* One that lasted for so long was not refused: an answer would have been here by then. */
#define NODE_STREAM_PROVEN (250 * NANOS_PER_MS)

/* A quorum is taken for lost after so many election timeouts in which too few were heard. */
#define NODE_RECOVER_SILENCE 4

/* Incoming streams, at most: two from each peer, and as many that are being replaced. */
#define NODE_INCOMING_MAX (4 * NODE_PEERS_MAX)

/* The kind of a note that is the owner's, and the feature level from which members know it. */
#define NODE_NOTE_OWNER 2
#define NODE_NOTE_LEVEL 2

/* How much of a snapshot is written in one turn of the loop, in keys. */
#define NODE_SNAPSHOT_BUDGET 512

/* A snapshot that could not be written is tried again after this. */
#define NODE_SNAPSHOT_RETRY NANOS_PER_S

/* The state's hash is noted at every so many entries, and compared with the other members'. */
#define NODE_HASH_EVERY  64
#define NODE_HASHES_KEPT 32

/* What a member said about its state, a ring: at which entries it had which hash. */
struct node_hashes {
    raft_index index[NODE_HASHES_KEPT];
    uint64_t hash[NODE_HASHES_KEPT];
    size_t next;
};

/* Leases that are ended in one turn, and history that is freed in one, in changes. */
#define NODE_LEASES_AT_ONCE 64
#define NODE_WORK_BUDGET    1000

/* A shorter sleep is none: the two clocks are not read at one instant, and whoever reads them may
 * be interrupted in between. */
#define NODE_SLEEP_MIN (20 * NANOS_PER_MS)

/* Requests of this node that are proposed and not applied, at most: as many as the store remembers
 * outcomes of, so that each of them may be proposed again and is still known. */
#define NODE_FLIGHT_MAX STORE_ORIGIN_WINDOW

/* Their bytes, at least, whatever part of Raft's limit falls to this node: each entry fits. */
#define NODE_FLIGHT_BYTES_MIN (2 * 1024 * 1024)

/* What a request counts for besides its body. */
#define NODE_REQUEST_OVERHEAD_BYTES 128

/* How far a boot number jumps beyond one that was lost: below 2^40. */
#define NODE_BOOT_JUMP_BYTES 5

/* What a Raft batch waits for. */
enum node_batch_state {
    BATCH_WAITS_INSTALL, /* its snapshot is being loaded */
    BATCH_WAITS_LOG,     /* the log has no room at the moment */
    BATCH_WRITTEN        /* durable once the log is up to wal_seq */
};

struct node_batch {
    enum node_batch_state state;
    uint64_t raft_seq;
    uint64_t wal_seq;
    bool has_hard;
    struct wal_hard_state hard;
    struct raft_snapshot install; /* index 0: none */
    struct wal_entry *entries;    /* copies; only while it waits */
    size_t entry_count;
    struct wal_entry *repairs;
    size_t repair_count;
    bool has_begun; /* the log has its marks, and the first `entries_done` and `repairs_done` */
    size_t entries_done;
    size_t repairs_done;
    struct buf payloads; /* of the copies */
    struct buf frames;   /* messages to send when it is durable: to (u64), length (u32), bytes */
    bool vote_written;   /* without room for its entries, its hard state went ahead ... */
    bool votes_sent;     /* ... and, once that was durable, its votes */
    struct node_batch *next;
};

/* Those below KINDS are open as long as two members know each other; ASK is for one question. */
enum node_stream_kind {
    NODE_STREAM_LOG,
    NODE_STREAM_BULK,
    NODE_STREAM_KINDS,
    NODE_STREAM_ASK = NODE_STREAM_KINDS
};

/* What a founder is to others that ask; on the wire. */
enum node_presence {
    NODE_PRESENCE_NONE, /* it did not say */
    NODE_PRESENCE_NEW,
    NODE_PRESENCE_FRESH,
    NODE_PRESENCE_MEMBER,
    NODE_PRESENCES
};

/* A founder asks the others so often; an answer is good for so long; so often its owner hears for
 * whom it waits. */
#define NODE_ASK_EVERY (200 * NANOS_PER_MS)
#define NODE_ASK_FRESH (5 * NANOS_PER_S)
#define NODE_ASK_TELL  (5 * NANOS_PER_S)

/* The first thing on a stream. */
struct node_hello {
    enum node_stream_kind kind;
    uint64_t cluster;
    node_id from;
    node_id to;
    uint32_t
        lineage;   /* of the membership that the sender knows; NODE_LINEAGE_NONE: it knows none */
    uint8_t level; /* the highest feature level that its program knows */
};

/* Of who knows no members yet: one that joins, or whose disk was lost. */
#define NODE_LINEAGE_NONE UINT32_MAX

/* Why a stream is refused. The numbers are on the wire: new ones come last. The first text is of
 * the one who refuses, the second of the one who is refused. */
#define NODE_REFUSAL_TABLE(X)                                                                      \
    X(NODE_REFUSAL_NONE, "", "")                                                                   \
    X(NODE_REFUSAL_STRANGE, "it does not speak the protocol of members",                           \
      "the peer refuses this member, for a reason that this version does not know")                \
    X(NODE_REFUSAL_VERSION, "it speaks another version of the protocol of members",                \
      "the peer speaks another version of the protocol of members: upgrade the older one")         \
    X(NODE_REFUSAL_DAMAGED, "its first bytes are damaged",                                         \
      "what arrives at the peer is damaged: something between alters bytes")                       \
    X(NODE_REFUSAL_CLUSTER, "it belongs to another cluster",                                       \
      "the peer belongs to another cluster: its address or the cluster's id is configured wrong")  \
    X(NODE_REFUSAL_ADDRESSEE, "it takes this member for another one: its addresses are wrong",     \
      "at the address of this peer is another member: correct the address")                        \
    X(NODE_REFUSAL_SAME_ID, "it has the id of this very member: two are configured alike",         \
      "the peer has the id of this very member: two are configured alike")                         \
    X(NODE_REFUSAL_UNKNOWN, "no peer of this id is configured here",                               \
      "the peer knows no member of this id: it was removed, or its peers must be told of it")      \
    X(NODE_REFUSAL_NAME,                                                                           \
      "its certificate does not bear the name of the member that it says it is",                   \
      "the certificate of this member does not bear the name that the peer knows it by")           \
    X(NODE_REFUSAL_OLD_LINEAGE,                                                                    \
      "it belongs to the history that ended when this cluster was recovered without a quorum",     \
      "the peer's cluster was recovered from the loss of a quorum without this member: its log "   \
      "is of a history that ended")                                                                \
    X(NODE_REFUSAL_LINEAGE,                                                                        \
      "it and this member were recovered from the loss of a quorum apart: theirs are two "         \
      "histories",                                                                                 \
      "the peer and this member were recovered from the loss of a quorum apart: theirs are two "   \
      "histories")                                                                                 \
    X(NODE_REFUSAL_LEVEL, "its program is older than the cluster's feature level",                 \
      "the cluster's feature level is above what this program knows: upgrade it")

enum node_refusal {
#define NODE_REFUSAL_ENUM(name, ours, theirs) name,
    NODE_REFUSAL_TABLE(NODE_REFUSAL_ENUM)
#undef NODE_REFUSAL_ENUM
        NODE_REFUSALS
};

/* The way out to one peer: two streams, so that a snapshot never delays a heartbeat. */
struct node_link {
    struct node *node;
    node_id peer;
    struct world_endpoint at;
    struct node_hashes hashes;
    uint8_t level; /* that the peer's program knows, as it said in this life; 0: it did not */
    nanos heard;   /* when a message of it came last; 0: none did */
    struct node_out {
        struct node_link *link;
        enum node_stream_kind kind;
        struct world_stream *stream; /* NULL: not connected, or connecting after `retry` */
        bool is_open;
        nanos backoff;
        nanos opened_at;
        struct world_timer retry;
        struct world_stream_sink sink;
        struct buf answer; /* what the peer said: nothing, or a refusal */
    } out[NODE_STREAM_KINDS];
    uint64_t frames_sent;
    uint64_t frames_dropped;
    uint64_t bytes_sent;
    uint64_t bytes_received;
};

/* A way in. */
struct node_incoming {
    struct node *node;
    struct world_stream *stream; /* NULL: free */
    struct world_stream_sink sink;
    struct world_endpoint from;
    struct world_timer hello_due;
    node_id peer; /* NODE_NONE before its hello */
    enum node_stream_kind kind;
    struct buf pending;
};

/* Old entries being read back for Raft. */
struct node_load {
    struct node *node;
    struct raft_load wanted;
    struct wal_read read;
    struct buf payloads;
    struct raft_entry *entries;
    size_t *offsets;
    size_t count, cap, offset_cap;
    struct node_load *next; /* in the list of those under way, or of those that failed at once */
};

/* A piece of a snapshot file being read for a peer. */
struct node_chunk_read {
    struct node *node;
    struct raft_chunk chunk;
    struct world_file_request request;
    char path[WORLD_PATH_MAX_BYTES];
    uint8_t *bytes;
    enum err result;
    struct node_chunk_read *next;
};

/* A received piece that waits for the installer. */
struct node_piece {
    uint64_t offset;
    size_t len;
    struct node_piece *next;
    uint8_t bytes[];
};

struct node_request_list {
    struct node_request *first;
    struct node_request **end;
};

/* Requests between node_propose and their outcome (node_request.c). Those without a number were
 * never proposed. */
struct node_requests {
    struct node_request_list urgent; /* the group's own: before those of clients; no number */
    struct node_request_list queued; /* no number */
    struct node_request_list again;  /* to be proposed once more */
    struct node_request_list waiting;
    uint64_t queued_bytes; /* of `urgent` and `queued` */
    uint64_t flight_bytes; /* of `again` and `waiting` */
    uint32_t flight_count;
    nanos led_since; /* when this node last heard who leads */
};

struct node_start; /* node_start.c */
struct node_ask;   /* node_ask.c */

enum node_state { NODE_RECOVERING, NODE_RUNNING, NODE_HALTED };

struct node {
    struct node_config cfg;
    struct raft_membership founders;
    const struct world *world;
    struct node_events events;
    enum node_state state;
    enum recovery_verdict verdict;
    const char *verdict_why;
    uint64_t boot; /* of this life; raised when the store knows of a later one */
    char wal_dir[WORLD_PATH_MAX_BYTES];
    char snap_dir[WORLD_PATH_MAX_BYTES];
    struct snapfile_place place;
    struct snapfile_task *snapfile_tasks; /* what is under way there */
    struct node_start *start;             /* owned, until recovery is over */
    struct node_ask *ask;                 /* owned, while the founders are asked */
    bool is_new;                          /* before it runs: it asks, or is about to found */

    struct raft *raft;
    nanos running_since;
    uint32_t lineage;       /* of its membership, as the streams were judged by */
    raft_index lineage_due; /* a snapshot is taken behind this entry; 0: none of a lineage is due */
    struct store *store;
    struct wal *wal;
    raft_index applied;
    raft_term applied_term;
    bool is_witness; /* or was one before it was removed: it has no state */

    bool pumping;
    bool has_applied; /* and the owner has not been told */
    bool is_stopping; /* takes no more proposals */
    struct world_timer tick;
    nanos tick_due;          /* at the latest then */
    nanos clock_ahead;       /* of world_awake, modulo 2^64; grows while the host sleeps */
    struct world_timer turn; /* due at once: something was queued */

    /* batches, oldest first */
    struct node_batch *batches;
    struct node_batch **batches_end;
    uint64_t wal_seq;
    uint64_t wal_durable;
    bool lacks_space;
    struct wal_entry *wal_entries; /* scratch */
    size_t wal_entry_cap;

    /* requests, those of them that are finished, and reads */
    struct node_requests requests;
    struct node_request *finished;
    struct node_request **finished_end;
    uint32_t request_count;
    uint64_t sequence;
    struct node_read *reads;
    struct node_read *reads_done;
    uint64_t read_id;
    struct buf scratch;

    struct node_link links[NODE_PEERS_MAX];
    struct node_incoming incoming[NODE_INCOMING_MAX];
    struct world_listener listener;
    bool is_listening;
    struct node_figures counted; /* what only grows in it; the rest is looked up */
    struct node_hashes hashes;   /* this node's own */
    bool is_disputed;            /* no majority of the members agrees on the state */

    struct node_load *loads;
    struct node_load *loads_failed;
    struct node_load *apply_load; /* feeds what is being applied */
    struct node_chunk_read *chunk_reads;
    uint64_t chunk_asked; /* the snapshot that was served last, ... */
    node_id chunk_asked_by;
    bool chunk_went_on;     /* ... and not only its beginning */
    bool chunk_checking;    /* the newest snapshot is being read for damage */
    uint64_t chunk_damaged; /* its index, where that was found; 0: it was not */

    bool is_raising; /* the feature level: proposed, and not applied */

    bool heal_due; /* Raft vouches for the log, and the log has not been told */

    struct scrub *scrub; /* NULL: none */

    /* taking a snapshot */
    struct store_snapshot *snap; /* NULL: none under way */
    struct snapfile_writer *snap_writer;
    struct raft_snapshot snap_name;
    bool snap_has_body; /* false: a witness's, whose name is all that others may know of it */
    struct buf snap_block;
    size_t snap_put;
    bool snap_ended;
    bool snap_finishing;
    nanos snap_retry; /* no snapshot is begun before this */
    bool snap_forced; /* asked for, or an older file is damaged: with the next entry */
    bool snap_lost;   /* the newest file is damaged, or gone: at once, and be it the same again */
    uint64_t snap_bytes;    /* of the newest snapshot that was taken or loaded */
    uint64_t applied_bytes; /* payload, since the newest was begun */
    bool snap_untold;       /* snap_name is durable, and the log or Raft does not want it yet */
    bool snap_marked;       /* the log has its marker */
    struct world_timer snap_turn;

    /* fetching and installing one */
    struct snapfile_installer *installer;
    uint64_t install_index; /* 0: what the installer is busy with is of no use any more */
    uint64_t install_next;  /* to be opened then; 0: none */
    uint64_t install_next_term;
    bool install_busy;
    struct node_piece *pieces;
    struct node_piece **pieces_end;
    struct store_restore *restore;
    bool is_loading; /* the installed file is being read into a store, or a name is being written */
    /* installing a name without a body: a file of it, with an empty store */
    struct store *name_store; /* NULL: none */
    struct snapfile_writer *name_writer;
    struct buf name_bytes;
    size_t name_put;
    nanos name_retry; /* the disk had no room for it: tried again then; 0: no */
};

/* --- node.c ---------------------------------------------------------------------------------- */

/* Where its store keeps its history; and a store's restore that keeps it there. */
struct store_history node_history(const struct node *n);
struct store_restore *node_restore_begin(const struct node *n);

/* Steps Raft with the world's time. */
enum err node_tell(struct node *n, struct raft_event e);
/* Carries out all updates that Raft has. Every completion ends with it. */
void node_pump(struct node *n);
void node_halt(struct node *n, enum err error, const char *why);
void node_run(struct node *n);
void node_answer_reads(struct node *n);

/* --- node_request.c -------------------------------------------------------------------------- */

void node_requests_init(struct node *n);
/* Proposes what there is room for; in the turn of the loop. */
void node_propose_queued(struct node *n);
/* Does the room that outcomes have made let more be proposed? Then the turn comes. */
void node_requests_go_on(struct node *n);
/* A leader is known, or another one. */
void node_repropose(struct node *n);
/* At each tick. */
void node_requests_tick(struct node *n, nanos now);
/* Whoever waits for this number, which is taken out; NULL: nobody. */
struct node_request *node_take_request(struct node *n, uint64_t boot, uint64_t sequence);
void node_finish_request(struct node *n, struct node_request *request, enum err result);

/* --- node_start.c ---------------------------------------------------------------------------- */

void node_start(struct node *n);
void node_start_free(struct node *n);

/* --- node_ask.c ------------------------------------------------------------------------------ */

/* Must the others be asked before this node founds? */
bool node_ask_is_due(const struct node *n);
/* Asks, and tells from the loop what it has learned; there node_ask_end is called. May halt the
 * node, which hears nothing then. */
void node_ask_begin(struct node *n, void (*decided)(void *ctx, bool is_member), void *ctx);
void node_ask_end(struct node *n);
void node_ask_free(struct node *n);
/* What this node is to a founder that asks. */
enum node_presence node_presence(const struct node *n);
/* Somebody opened a stream while it asks. */
void node_ask_heard(struct node *n, const struct node_hello *hello);

/* --- node_persist.c -------------------------------------------------------------------------- */

void node_persist(struct node *n, const struct raft_update *u);
/* Goes on with batches that wait, if they can. */
void node_persist_retry(struct node *n);
void node_persist_complete(struct node *n);
struct wal_events node_wal_events(struct node *n);
void node_batches_free(struct node *n);
/* Notes in the log that a snapshot is durable. */
MUST_USE bool node_persist_marker(struct node *n, const struct raft_snapshot *s);

/* --- node_apply.c ---------------------------------------------------------------------------- */

void node_apply(struct node *n, const struct raft_update *u);
void node_begin_loads(struct node *n, const struct raft_update *u);
void node_loads_free(struct node *n);
void node_loads_failed(struct node *n);

/* --- node_link.c ----------------------------------------------------------------------------- */

/* Takes streams from now on. May halt the node. */
void node_listen(struct node *n);
void node_links_open(struct node *n);
void node_links_free(struct node *n);
/* Of another lineage from now on: streams of who is no member of it end. */
void node_links_part(struct node *n);
/* The feature level that a peer's program knows; 0: it did not say yet. */
uint8_t node_link_level(const struct node *n, node_id peer);
void node_send(struct node *n, const struct raft_message *m);
/* The same, where its bytes are at hand. */
void node_send_encoded(struct node *n, const struct raft_message *m, struct bytes encoded);
/* Something that is no Raft message. False: there is no stream that takes it. */
bool node_send_note(struct node *n, node_id to, struct bytes note);

/* --- node_hello.c ---------------------------------------------------------------------------- */

/* Can these bytes, the first ones of a stream, be a hello's? */
bool node_hello_may_begin(struct bytes bytes);

void node_hello_encode(const struct node_hello *hello, struct buf *b);
/* Of NODE_HELLO_BYTES bytes. On any answer but NONE, `ret` is untouched. */
MUST_USE enum node_refusal node_hello_decode(struct bytes bytes, struct node_hello *ret);
void node_refusal_encode(enum node_refusal why, struct buf *b);
/* Of NODE_REFUSAL_BYTES bytes. NONE: it is no refusal. */
MUST_USE enum node_refusal node_refusal_decode(struct bytes bytes);
/* An answer to who asks, of as many bytes as a refusal. */
void node_presence_encode(enum node_presence presence, struct buf *b);
/* NONE: it is no such answer. */
MUST_USE enum node_presence node_presence_decode(struct bytes bytes);
/* In the words of who refuses, and of who was told. */
const char *node_refusal_text(enum node_refusal why);
const char *node_refusal_told_text(enum node_refusal why);

/* --- node_snapshot.c ------------------------------------------------------------------------- */

void node_snapshot_end(struct node *n);
void node_snapshot_if_due(struct node *n);
void node_snapshot_free(struct node *n);
/* Tells Raft of a snapshot that it did not want yet. */
void node_snapshot_tell(struct node *n);
/* At each tick. */
void node_snapshot_cover_damage(struct node *n);
void node_serve_chunks(struct node *n, const struct raft_update *u);
/* The name of a snapshot of `store`, whose file has so much payload. A witness's is a name alone,
 * which nobody can fetch. */
struct raft_snapshot node_snapshot_name(const struct node *n, const struct store *store,
                                        raft_index index, raft_term term,
                                        const struct raft_membership *ms, uint64_t payload_bytes);
/* What its file says of it: the membership, in the header. */
void node_snapshot_membership(const struct raft_snapshot *s, struct buf *b);

/* --- node_install.c -------------------------------------------------------------------------- */

void node_receive_chunks(struct node *n, const struct raft_update *u);
/* Begins to load what an update wants installed; its batch waits. */
void node_install(struct node *n, const struct raft_snapshot *s);
void node_install_free(struct node *n);
/* At each tick: what could not be written is tried again. */
void node_install_retry(struct node *n);

/* --- node_upkeep.c --------------------------------------------------------------------------- */

void node_upkeep_begin(struct node *n);
void node_upkeep_free(struct node *n);
/* At each tick. */
void node_upkeep(struct node *n);
nanos node_upkeep_deadline(const struct node *n);
/* Raft is no longer impaired. */
void node_upkeep_repaired(struct node *n);

/* --- node_quorum.c --------------------------------------------------------------------------- */

/* Which history the membership belongs to that this node knows. */
uint32_t node_lineage(const struct node *n);
/* May a stream with this hello be taken, as far as lineages go? */
enum node_refusal node_lineage_judge(const struct node *n, const struct node_hello *hello);
/* After each step: has another lineage begun? */
void node_lineage_notice(struct node *n);
/* A peer refused a stream of ours. May halt the node. */
void node_lineage_refused(struct node *n, node_id peer, enum node_refusal why);

/* --- node_hash.c ----------------------------------------------------------------------------- */

/* An entry was applied. May halt the node. */
void node_hash_applied(struct node *n);
/* False: it is no report. May halt the node. */
bool node_hash_received(struct node *n, node_id from, struct bytes note);

#endif
