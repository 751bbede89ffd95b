/*
 * store: the replicated state machine, etcd's data model in memory.
 *
 * What lives here: keys with all their versions, transactions, leases, watches, compaction, the
 * hash that members compare, and the snapshot of it all. Who may call it: the node, which feeds it
 * the log; the API, which reads, watches and asks it; the HA manager, through the API's
 * asynchronous calls. What it follows: etcd's API and its edge cases (docs/store.md,
 * docs/formats/).
 *
 * Its contract:
 *
 * 1. Deterministic. The replicated state depends on the payloads applied and on nothing else: no
 *    clock, no random device, no address. Equal payloads give equal store_hash() and equal snapshot
 *    bytes. The time in an entry, and how far store_work() came, influence only what is not
 *    replicated: lease deadlines, and when memory comes back.
 * 2. store_apply() of each committed entry, in order, once. An error (not a status!) means that
 * this program cannot apply it; the state is untouched and the node must stop.
 * 3. Responses are etcd's protobuf messages without their field 1, the ResponseHeader. The API puts
 *    the header's bytes before them; its revision is in the result. Pass NULL where nobody waits.
 * 4. What is long goes in steps with a budget: ranges, compaction, snapshots, watches. A budget is
 *    a number of keys or changes to look at; about a thousand cost less than a millisecond.
 * 5. One thread. Views returned are valid until the next call on the same store.
 */
#ifndef NOVACRON_STORE_STORE_H
#define NOVACRON_STORE_STORE_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/store/store_envelope.h"
#include "core/store/store_request.h"
#include "core/store/store_status.h"

struct store;
struct world;

/* An empty store at revision 1, for a cluster that starts at this feature level; all members must
 * start with the same. Never NULL. */
struct store *store_open(uint16_t feature_level);

/* Where the history is: its newest `hot_bytes` beside what exists, older changes in segments of the
 * world's memory (world.h, "Memory"), which may lie on a disk. */
struct store_history {
    const struct world *world; /* borrowed; NULL, or without that part: in memory like any other */
    size_t hot_bytes;
    size_t segment_bytes; /* a larger version has one of its own */
};

/* Holds from now on; without it 256 KiB, and segments of 256 KiB like other memory. */
void store_keep_history(struct store *s, const struct store_history *history);

/* Every reader, watch stream and snapshot must have ended before. */
void store_close(struct store *s);

/* ---- Applying ---- */

struct store_entry {
    uint64_t index; /* above that of the entry before */
    uint64_t term;
    nanos now;            /* for lease deadlines, on the clock of store_lease_promote */
    struct bytes payload; /* an envelope; or empty: an entry without effect */
};

struct store_result {
    enum store_status status;
    int64_t revision; /* for the response's header */
    bool duplicate;   /* it was applied before, with this outcome; there is no response */
    node_id origin;   /* who waits for it: the envelope's three */
    uint64_t boot;
    uint64_t sequence;
};

/* Applies one committed entry. ERR_UNSUPPORTED: a newer program wrote it and the cluster's feature
 * level lets it; ERR_CORRUPT: no proposer writes that. Appends to `response`, which may be NULL. */
MUST_USE enum err store_apply(struct store *s, const struct store_entry *e,
                              struct store_result *ret, struct buf *response);

/* What the API can refuse before it proposes: the checks that need no data. */
MUST_USE enum store_status store_check_request(enum store_kind kind, struct bytes body);

/* Does this request make the store larger, so that no client may propose it when there is no space?
 * What is applied in spite of it: STORE_RESERVED_PREFIX. */
bool store_request_grows(uint8_t kind, struct bytes body);

uint64_t store_applied_index(const struct store *s);
int64_t store_revision(const struct store *s);
int64_t store_compact_revision(const struct store *s);
uint16_t store_feature_level(const struct store *s);

/* Frees what compaction left behind, at most `budget` changes. True if there is more to do now. */
bool store_work(struct store *s, size_t budget);

struct store_stats {
    uint64_t keys;        /* that exist now */
    uint64_t changes;     /* in the history */
    uint64_t reclaimable; /* changes that compaction has still to free */
    uint64_t data_bytes;  /* keys and values that exist now */
    uint64_t used_bytes;  /* by keys, versions, indexes and leases */
    uint64_t held_bytes;  /* with what is kept free for later */
    uint64_t cold_bytes;  /* of those, the history that the world may keep elsewhere */
    uint64_t leases;
    uint64_t watches;
};

void store_stats_read(const struct store *s, struct store_stats *ret);

/* ---- Hashes ---- */

/* Of the whole replicated state at store_applied_index(): equal on members that applied the same.
 */
uint64_t store_hash(const struct store *s);

/* The newest boot of an origin of which something was applied; 0: none. */
uint64_t store_origin_boot(const struct store *s, node_id origin);

/* Of all changes up to `revision` (0: the newest), whether compacted or not: what etcd's HashKV is
 * for. STORE_REVISION_COMPACTED or _FUTURE outside the history. */
MUST_USE enum store_status store_hash_kv(const struct store *s, int64_t revision,
                                         uint64_t *ret_hash, int64_t *ret_revision);

/* ---- Reading ---- */

/* A RangeResponse at once, however long it takes: for single keys and small ranges. Sets the
 * header's revision. */
MUST_USE enum store_status store_range_read(struct store *s, struct bytes request,
                                            int64_t *ret_revision, struct buf *response);

/* The same in steps, at one revision, while writes go on. `request` is copied. The reader must be
 * closed; until then it holds back compaction's freeing. STORE_TOO_MANY_REQUESTS beyond
 * STORE_READERS_MAX. */
struct store_reader;
MUST_USE enum store_status store_reader_open(struct store *s, struct bytes request,
                                             struct store_reader **ret);

/* Looks at `budget` keys at most and appends what it found. ERR_PENDING: call again; OK: the
 * response is complete; ERR_TOO_LARGE: it grew beyond STORE_RESPONSE_BYTES_MAX. */
MUST_USE enum err store_reader_step(struct store_reader *r, size_t budget, struct buf *response);

/* The header's revision. */
int64_t store_reader_revision(const struct store_reader *r);
void store_reader_close(struct store_reader *r);

/* A txn of ranges only (store_txn_is_read_only; anything else is a bug of the caller), answered
 * here and now: a TxnResponse. */
MUST_USE enum store_status store_txn_read(struct store *s, struct bytes request,
                                          int64_t *ret_revision, struct buf *response);

/* ---- Users and rights ---- */

/* Who asks, as the API made sure: the name, and the auth revision at which it did. No name: nobody
 * said. All of these are OK while authentication is not enabled. */
struct store_user {
    struct bytes name;
    uint64_t revision;
};

/* May the user propose this? The same that decides when it is applied. */
MUST_USE enum store_status store_rights_check(const struct store *s, const struct store_user *user,
                                              uint8_t kind, struct bytes body);

/* ... read what a RangeRequest asks for, or watch a span; see the keys of a lease; administer? */
MUST_USE enum store_status store_rights_read(const struct store *s, const struct store_user *user,
                                             struct bytes request);
enum store_permission { STORE_PERMISSION_READ, STORE_PERMISSION_WRITE, STORE_PERMISSION_READWRITE };
MUST_USE enum store_status store_rights_span(const struct store *s, const struct store_user *user,
                                             struct bytes key, struct bytes range_end,
                                             enum store_permission permission);
MUST_USE enum store_status store_rights_lease_keys(const struct store *s,
                                                   const struct store_user *user, int64_t id);
MUST_USE enum store_status store_rights_root(const struct store *s, const struct store_user *user);

bool store_auth_is_enabled(const struct store *s);
uint64_t store_auth_revision(const struct store *s);
bool store_auth_user_has_role(const struct store *s, struct bytes name, struct bytes role);

/* AuthStatusResponse, AuthUserGetResponse, and so on. */
void store_auth_status(const struct store *s, struct buf *response);
MUST_USE enum store_status store_auth_user_get(const struct store *s, struct bytes name,
                                               struct buf *response);
void store_auth_user_list(const struct store *s, struct buf *response);
MUST_USE enum store_status store_auth_role_get(const struct store *s, struct bytes name,
                                               struct buf *response);
void store_auth_role_list(const struct store *s, struct buf *response);

enum store_password { STORE_PASSWORD_NO_USER, STORE_PASSWORD_NONE, STORE_PASSWORD_HASH };

/* What a password of this user must hash to. */
enum store_password store_auth_password(const struct store *s, struct bytes name,
                                        struct bytes *ret_hash);

/* The user whose token this is; it is good for another STORE_TOKEN_TTL. False: it is nobody's here,
 * at this member, or not any more. */
bool store_token_user(struct store *s, struct bytes token, nanos now, struct bytes *ret_user);

/* ---- Alarms and members ---- */

/* etcd's AlarmType. While one of NO_SPACE is raised, puts and grants are refused; while one of
 * CORRUPT is, every write. */
enum store_alarm_kind { STORE_ALARM_NONE, STORE_ALARM_NO_SPACE, STORE_ALARM_CORRUPT };

bool store_has_alarm(const struct store *s, enum store_alarm_kind kind);
bool store_has_alarm_of(const struct store *s, node_id member, enum store_alarm_kind kind);

/* An AlarmResponse of those of one kind; STORE_ALARM_NONE: of all. */
void store_alarms(const struct store *s, enum store_alarm_kind kind, struct buf *response);

/* What a member said of itself, or was added with. Who votes is Raft's affair, not this. */
struct store_member_view {
    node_id id;
    struct bytes name;
    struct bytes peer_urls; /* lists for store_url_next */
    struct bytes client_urls;
};

size_t store_member_count(const struct store *s);
struct store_member_view store_member_at(const struct store *s, size_t i); /* by id */
bool store_member_find(const struct store *s, node_id id, struct store_member_view *ret);

/* Takes the first URL off the list; false at its end. */
bool store_url_next(struct bytes *list, struct bytes *ret_url);

/* ---- Leases ---- */

/* This node leads now, or does no longer. Leading, every lease is re-armed to its full TTL. */
void store_lease_promote(struct store *s, nanos now);
void store_lease_demote(struct store *s);

enum store_renewal {
    STORE_RENEWED,    /* the response holds the new TTL */
    STORE_RENEW_GONE, /* no such lease: the response has TTL 0 */
    STORE_RENEW_WAIT, /* its expiry was proposed: ask again when that is applied */
    STORE_RENEW_NOT_LEADER
};

/* Renews for a LeaseKeepAliveRequest; appends a LeaseKeepAliveResponse in the first two cases. The
 * caller confirms its leadership first. */
enum store_renewal store_lease_renew(struct store *s, int64_t id, nanos now, struct buf *response);

/* Fills in the ids of up to `max` leases that are due, which it then holds as expiring. The leader
 * proposes STORE_KIND_LEASE_EXPIRE for each. */
size_t store_lease_due(struct store *s, nanos now, int64_t *ret_ids, size_t max);

/* When store_lease_due is to be asked next; NANOS_FOREVER: not before the next apply. */
nanos store_lease_next_due(const struct store *s);

/* A LeaseTimeToLiveResponse; of a lease that does not exist, with TTL -1. */
void store_lease_time_to_live(const struct store *s, int64_t id, bool keys, nanos now,
                              struct buf *response);

/* A LeaseLeasesResponse, by id. */
void store_lease_list(const struct store *s, struct buf *response);

/* ---- Watching ---- */

/*
 * A stream holds the watches of one client connection. Nothing is queued in it: a watch is a place
 * in the history, and the next response is read from there when the client has room for one. So a
 * slow client costs the same memory as a fast one, until compaction overtakes and cancels it.
 */
struct store_stream;

/* `tag` comes back from store_stream_ready. */
struct store_stream *store_stream_open(struct store *s, uint64_t tag);
void store_stream_close(struct store_stream *stream);

/* Takes the next stream that may have something to say off the list of such; its tag, or false. To
 * be asked after applying; the stream is listed again when there is more after store_stream_next
 * said that there was no more. */
bool store_stream_ready(struct store *s, uint64_t *ret_tag);

/* Handles a WatchCreateRequest; appends the WatchResponse which says `created`, to be sent before
 * any other of that watch, and sets the header's revision. */
MUST_USE enum store_status store_watch_create(struct store_stream *stream, struct bytes request,
                                              int64_t *ret_revision, struct buf *response);

/* Handles a WatchCancelRequest; false, and no response, if there is no such watch. */
bool store_watch_cancel(struct store_stream *stream, int64_t watch_id, int64_t *ret_revision,
                        struct buf *response);

/* Handles a WatchProgressRequest; false, and no response, unless every watch of the stream has been
 * given all there is. */
bool store_watch_progress(struct store_stream *stream, int64_t *ret_revision, struct buf *response);

/* To be called once in each progress interval: each watch with progress_notify that had nothing to
 * say since the last call will say so. */
void store_watch_tick(struct store_stream *stream);

enum store_watch_next {
    STORE_WATCH_IDLE,    /* nothing to say; the stream will be in store_stream_ready */
    STORE_WATCH_AGAIN,   /* the budget is used up: call again, with the same buffer as it is */
    STORE_WATCH_RESPONSE /* the buffer has one WatchResponse; there may be more */
};

/* Appends the next WatchResponse of the stream, looking at about `budget` changes. */
enum store_watch_next store_watch_next(struct store_stream *stream, size_t budget,
                                       int64_t *ret_revision, struct buf *response);

/* Moves all streams of `from` to `to`, which was restored from a snapshot: each watch goes on where
 * it was, or is canceled if that was compacted. */
void store_streams_move(struct store *from, struct store *to);

/* ---- Snapshots ---- */

/* The state as it is now, written while later writes go on. Must be ended. At most
 * STORE_SNAPSHOTS_MAX at a time. */
struct store_snapshot;
struct store_snapshot *store_snapshot_begin(struct store *s);

/* Appends the next part of the stream, one block, which looks at `budget` keys at most and ends
 * around STORE_SNAPSHOT_BLOCK_BYTES. OK after the last one, ERR_PENDING before. */
MUST_USE enum err store_snapshot_step(struct store_snapshot *snap, size_t budget, struct buf *out);

uint64_t store_snapshot_index(const struct store_snapshot *snap);
void store_snapshot_end(struct store_snapshot *snap);

/* Builds a store from the parts of a snapshot, given in any cuts. */
struct store_restore;
struct store_restore *store_restore_begin(void);

/* Where the restored store keeps its history; before it is fed. */
void store_restore_keep_history(struct store_restore *r, const struct store_history *history);

/* ERR_CORRUPT, ERR_UNSUPPORTED: the restore has failed for good. Takes any number of bytes. */
MUST_USE enum err store_restore_feed(struct store_restore *r, struct bytes part);

/* The store, once the last block was fed; ERR_TRUNCATED before that. Ends the restore on OK. */
MUST_USE enum err store_restore_finish(struct store_restore *r, struct store **ret);

/* Gives up a restore that did not finish. */
void store_restore_abort(struct store_restore *r);

/* CHECKs every invariant of the store: O(n), for tests and the simulator. */
void store_check(const struct store *s);

#endif
