/*
 * Private to api/etcd: what the services share.
 *
 *     etcd_api.c      life, the turn of the loop, the pulse, the node's events
 *     etcd_op.c       unary calls: their requests to the node, their answers
 *     etcd_barrier.c  linearizable reads, many on one question to Raft
 *     etcd_ask.c      questions that only the leader may answer, here or by a note to it
 *     etcd_kv.c ...   one file a service
 *
 * A call may go while the node works for it, and the node cannot be told: so what the node holds
 * belongs to an op, which outlives its call. Nothing calls into the node from inside one of its
 * events but `done` and `applied`: the rest sets flags, and the turn does the work.
 */
#ifndef NOVACRON_API_ETCD_ETCD_INT_H
#define NOVACRON_API_ETCD_ETCD_INT_H

#include "api/etcd/etcd_api.h"
#include "api/etcd/etcd_error.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/store/store_avl.h"
#include "core/store/store_bytes.h"
#include "core/store/store_link.h"
#include "core/store/store_pb.h"

/* Questions to Raft for reads that may be under way at one time; what comes meanwhile shares the
 * next one. */
#define ETCD_BARRIERS_MAX 16

/* Keys or changes that one turn of the loop looks at for readers, and for watches: about a
 * millisecond each. */
#define ETCD_READ_BUDGET  1000
#define ETCD_WATCH_BUDGET 4000

/* Reads and bytes of answers in one turn of the loop: some milliseconds. Those behind them wait for
 * the next, or until their connections have room, which is looked for so often. */
#define ETCD_TURN_READS 2000
#define ETCD_TURN_BYTES (8 * 1024 * 1024)
#define ETCD_ROOM_LOOK  (5 * NANOS_PER_MS)

/* Questions to the leader under way, and how long one waits before it is asked again. */
#define ETCD_QUESTIONS_MAX 65536
#define ETCD_ASK_AGAIN     (500 * NANOS_PER_MS)

/* How long a question waits for its answer: etcd's request timeout. */
#define ETCD_REQUEST_TIMEOUT (5 * NANOS_PER_S)

/* Renewals that one stream may have under way; control responses of a watch stream whose client
 * does not read. */
#define ETCD_RENEWALS_MAX 4096
#define ETCD_CONTROL_MAX  4096

/* Members whose addresses are followed: as many as the store keeps. */
#define ETCD_PEERS_MAX 64

/* A member whose store is below this part of its quota clears the alarm that it raised. */
#define ETCD_QUOTA_CLEAR_PERCENT 90

/* Without a leader for so many election timeouts, streams that asked for one end: etcd's. */
#define ETCD_NO_LEADER_TIMEOUTS 3

/* What was learned of where a member is reached. */
struct etcd_peer {
    node_id id; /* NODE_NONE: a free place */
    uint64_t url_hash;
};

struct etcd_api {
    const struct world *world; /* borrowed */
    struct node *node;         /* borrowed; NULL before the attach and after the stop */
    struct etcd_config cfg;    /* its strings are owned */
    bool is_ready;

    struct store_link ops;           /* every op there is */
    struct store_link awaits;        /* ops that wait for something to become true */
    struct store_link readers;       /* ops whose reader goes on in the next turn */
    struct store_link range_streams; /* ops whose reader waits until the client has room */
    struct store_link waits;         /* for the next barrier */
    struct store_link barriers;      /* under way */
    uint32_t barrier_count;
    uint32_t turn_reads; /* since the turn began */
    uint64_t turn_bytes;
    struct store_avl questions; /* by sequence */
    uint64_t question_sequence;
    bool must_ask_again;        /* another leader, or more was applied: those that wait */
    struct store_link watchers; /* watch streams */
    struct store_link due;      /* watch streams that may have something to send */
    struct store_link keepalives;
    struct store_link snapshots; /* streams of snapshots */
    struct buf scratch;          /* of one response */

    uint32_t job_count; /* passwords being hashed */
    nanos told_witnesses;
    bool upkeep_busy; /* a proposal of this member's own is under way */
    struct etcd_peer peers[ETCD_PEERS_MAX];

    node_id leader;
    nanos leader_since; /* of the last change of `leader` */

    struct world_timer turn;  /* at once */
    struct world_timer pulse; /* regularly */
};

/* --- etcd_api.c ------------------------------------------------------------------------------ */

/* The turn comes: readers and watches go on, barriers begin. */
void etcd_wake(struct etcd_api *api);

nanos etcd_now(const struct etcd_api *api);

/* The store, or NULL where this member holds none to answer from. `*ret_why` is set with NULL. */
struct store *etcd_store(struct etcd_api *api, enum etcd_error *ret_why);

bool etcd_is_witness(const struct etcd_api *api);

/* Appends the ResponseHeader, as field 1. */
void etcd_header(struct etcd_api *api, int64_t revision, struct buf *b);

/* Does the call demand a leader, and there is none? */
bool etcd_lacks_leader(const struct etcd_api *api, const struct rpc_call *call);
bool etcd_wants_leader(const struct rpc_call *call);

/* --- etcd_barrier.c -------------------------------------------------------------------------- */

/* Waits until the store holds everything that was committed when it began. */
struct etcd_wait {
    void (*done)(struct etcd_wait *wait, enum err result);
    void *owner;
    struct store_link link; /* alone: not waiting */
};

void etcd_wait_begin(struct etcd_api *api, struct etcd_wait *wait);
void etcd_wait_cancel(struct etcd_wait *wait);
void etcd_barrier_begin(struct etcd_api *api); /* those that wait; in the turn */
void etcd_barriers_free(struct etcd_api *api);

/* --- etcd_op.c ------------------------------------------------------------------------------- */

/*
 * A unary call, from its message to its answer.
 *
 *     etcd_op_begin --> `run` --> etcd_op_propose, etcd_op_read, ... --> `then` --> etcd_answer
 *                                       ^                                 |         etcd_fail
 *                                       +---------------------------------+
 *                                             services of several steps
 */
struct etcd_op {
    struct etcd_api *api;
    struct rpc_call *call; /* NULL: the client has gone */
    struct store_link all; /* in api->ops */
    nanos began;
    struct buf body; /* the client's own bytes */
    struct buf user; /* who asks; empty: nobody said */
    uint64_t auth_revision;
    void (*run)(struct etcd_op *op); /* the first step, once it is known who asks */
    void (*then)(struct etcd_op *op);
    /* `then` is called whatever became of it, though the client has gone: there are further steps,
     * or something to undo. It looks at `outcome` and request.status itself. */
    bool goes_on;
    enum err outcome;

    bool is_held;    /* the node has `request`, or another thread has the job */
    bool may_repeat; /* an outcome without its response is one all the same */
    struct node_request request;
    struct etcd_wait wait;
    nanos waits_since; /* of a call that is traced */

    bool (*is_there)(struct etcd_op *op); /* what etcd_op_await waits for */
    nanos await_until;
    struct store_link awaiting; /* in api->awaits */

    struct store_reader *reader;      /* of a long range */
    void (*step)(struct etcd_op *op); /* how it goes on */
    struct store_link reading;        /* in api->readers or api->range_streams */
    struct buf response;

    void *state; /* a service's own, freed by `state_free` */
    void (*state_free)(struct etcd_op *op);
};

/* Copies the message, finds out who asks, and calls `run`; or answers why not. */
void etcd_op_begin(struct rpc_call *call, struct bytes message, void (*run)(struct etcd_op *op));

/* The same for what anybody may ask without saying who it is. */
void etcd_op_begin_open(struct rpc_call *call, struct bytes message,
                        void (*run)(struct etcd_op *op));

/* One of this member's own, with nobody to answer to. */
struct etcd_op *etcd_op_own(struct etcd_api *api);
struct store_user etcd_op_user(const struct etcd_op *op);

/* The `gone` of every unary method. */
void etcd_op_gone(struct rpc_call *call);
void etcd_op_free(struct etcd_op *op);
void etcd_ops_free(struct etcd_api *api);

/* Proposes; then `then`, with the outcome in op->request. Without goes_on it answers by itself what
 * was not applied, or refused. `body` stays in place until then. */
void etcd_op_propose(struct etcd_op *op, enum store_kind kind, struct bytes body,
                     void (*then)(struct etcd_op *op));

/* `then`, when a linearizable read may look at the store; a failure it answers by itself. */
void etcd_op_read(struct etcd_op *op, void (*then)(struct etcd_op *op));

/* `then`, once `is_there`, which is asked after each apply, or with outcome ERR_TIMEOUT; without
 * goes_on a timeout is answered. */
void etcd_op_await(struct etcd_op *op, bool (*is_there)(struct etcd_op *op), nanos patience,
                   void (*then)(struct etcd_op *op));
void etcd_awaits_check(struct etcd_api *api);

/* The store; NULL: there is none, and it was answered. */
struct store *etcd_op_store(struct etcd_op *op);

/* Answers, and returns false, unless the user may administer. */
bool etcd_op_is_root(struct etcd_op *op);

/* The range that its body asks for, by a reader, in turns; answers. */
void etcd_op_range(struct etcd_op *op);
/* Its reader goes on in the next turn that has room for it. */
void etcd_op_wait_to_read(struct etcd_op *op);
void etcd_readers_turn(struct etcd_api *api);
void etcd_readers_restart(struct etcd_api *api);

/* The ends of an op; it is freed. */
void etcd_answer(struct etcd_op *op, int64_t revision, struct bytes body);
void etcd_fail(struct etcd_op *op, enum etcd_error e);
void etcd_fail_status(struct etcd_op *op, enum store_status s);
void etcd_fail_text(struct etcd_op *op, int code, const char *text);

/* Answers with the response of the proposal. */
void etcd_answer_request(struct etcd_op *op);

/* What an error of the node means to a client whose call began then. */
enum etcd_error etcd_error_of(const struct etcd_api *api, enum err e, nanos began);

/* --- etcd_kv.c, etcd_range_stream.c ---------------------------------------------------------- */

/* `now`, when the RangeRequest that is the op's body may look at the store; or answers why not. */
void etcd_kv_read(struct etcd_op *op, void (*now)(struct etcd_op *op));

/* Ends the streams that wait for their clients while compaction has passed what they read. */
void etcd_range_streams_pulse(struct etcd_api *api);

/* The store leaves: a stream cannot begin anew, and ends. False: this is none. */
bool etcd_range_stream_leaves(struct etcd_op *op);

/* --- etcd_remark.c --------------------------------------------------------------------------- */

/* This answer is of what the member has applied: says so, if it may be stale. `call` may be NULL.
 */
void etcd_remark_stale(const struct etcd_api *api, struct rpc_call *call);

/* Says why there is no quorum, if that is what `e` is about; for a call that is not finished. */
void etcd_remark_reason(const struct etcd_api *api, struct rpc_call *call, enum etcd_error e);

/* Appends it: "no leader; 1 of 3 voters reachable, not node-2, node-3"; nothing that would have to
 * be escaped in JSON. */
void etcd_reason(const struct etcd_api *api, struct buf *b);

/* Finishes the call with this error, and the reason. */
void etcd_refuse(struct etcd_api *api, struct rpc_call *call, enum etcd_error e);

/* --- etcd_auth_check.c ----------------------------------------------------------------------- */

enum etcd_identity {
    ETCD_IDENTITY_KNOWN, /* or nobody said who it is */
    ETCD_IDENTITY_WRONG, /* a token that is nobody's */
    ETCD_IDENTITY_LATER  /* a token that others may know already: after another entry */
};

/* Who makes this call, by its token or its certificate? Appends the name. */
enum etcd_identity etcd_identify(struct etcd_api *api, const struct rpc_call *call,
                                 struct buf *ret_user);

/* --- etcd_ask.c ------------------------------------------------------------------------------ */

enum etcd_question_kind { ETCD_ASK_RENEW = 1, ETCD_ASK_TTL = 2, ETCD_ASK_CHANGE = 3 };

/* Of one member of the group. */
enum etcd_change {
    ETCD_CHANGE_ADD_LEARNER,
    ETCD_CHANGE_ADD_VOTER, /* a learner that becomes a voter by itself */
    ETCD_CHANGE_PROMOTE,
    ETCD_CHANGE_REMOVE,
    ETCD_CHANGE_ADD_WITNESS,
    ETCD_CHANGE_DEMOTE,
    ETCD_CHANGE_PRIORITY,
    ETCD_CHANGES
};

/* Does the membership, as this member knows it, show the change? `priority` is of PRIORITY. */
bool etcd_change_is_made(const struct etcd_api *api, node_id member, enum etcd_change change,
                         uint8_t priority);

/* The leader's answer; of a lease that is not there, ttl 0 to a renewal and -1 to ETCD_ASK_TTL. To
 * ETCD_ASK_CHANGE, `ttl` is an enum err: OK, it is under way; or why it does not fit. */
struct etcd_lease_left {
    int64_t ttl;
    int64_t granted;
};

/* A question about a lease or a member, answered by who confirmed that it leads. */
struct etcd_question {
    struct store_avl_node node; /* first */
    struct etcd_api *api;
    uint64_t sequence;
    enum etcd_question_kind kind;
    int64_t subject; /* a lease, or a member */
    enum etcd_change change;
    uint8_t priority; /* of who is added, or of ETCD_CHANGE_PRIORITY */
    void (*done)(struct etcd_question *q, enum err result);
    void *owner;
    struct etcd_lease_left left; /* the answer */

    nanos began;
    nanos deadline;
    nanos asked; /* 0: waits for a leader, or for a moment at which it can be asked */
    struct etcd_wait wait;
    node_id from; /* who asked by a note; NODE_NONE: this member's own */
    uint64_t from_sequence;
};

void etcd_ask(struct etcd_api *api, struct etcd_question *q);
void etcd_ask_cancel(struct etcd_question *q);
void etcd_questions_pulse(struct etcd_api *api, bool all);
void etcd_questions_free(struct etcd_api *api);

/* --- etcd_upkeep.c --------------------------------------------------------------------------- */

/* etcd's AlarmAction. */
enum { ETCD_ALARM_GET, ETCD_ALARM_RAISE, ETCD_ALARM_CLEAR };

/* May the request of the op make the store grow, or does it not? Otherwise it was answered. */
bool etcd_quota_lets(struct etcd_op *op, enum store_kind kind);

/* "http://host:port" or https; IPv6 addresses in brackets. False: it is none. */
bool etcd_url_endpoint(struct bytes url, struct world_endpoint *ret);

void etcd_upkeep_pulse(struct etcd_api *api);

/* The kind of the note that tells a witness where members are, and how often it is told. */
#define ETCD_NOTE_PEERS     64
#define ETCD_TELL_WITNESSES (NANOS_PER_S)

struct cursor;

/* Takes one, behind its kind. */
void etcd_upkeep_note(struct etcd_api *api, struct cursor *c);

/* --- streams --------------------------------------------------------------------------------- */

void etcd_watches_turn(struct etcd_api *api);
void etcd_watches_pulse(struct etcd_api *api, bool end_leaderless);
void etcd_keepalives_pulse(struct etcd_api *api, bool end_leaderless);

/* --- the services: what a method does with its message --------------------------------------- */

void etcd_kv_range(struct rpc_call *call, struct bytes message);
void etcd_kv_range_stream(struct rpc_call *call, struct bytes message);
void etcd_kv_range_stream_writable(struct rpc_call *call);
void etcd_kv_put(struct rpc_call *call, struct bytes message);
void etcd_kv_delete(struct rpc_call *call, struct bytes message);
void etcd_kv_txn(struct rpc_call *call, struct bytes message);
void etcd_kv_compact(struct rpc_call *call, struct bytes message);

void etcd_watch_begin(struct rpc_call *call);
void etcd_watch_message(struct rpc_call *call, struct bytes message);
void etcd_watch_writable(struct rpc_call *call);
void etcd_watch_gone(struct rpc_call *call);

void etcd_member_list(struct rpc_call *call, struct bytes message);
void etcd_member_add(struct rpc_call *call, struct bytes message);
void etcd_member_remove(struct rpc_call *call, struct bytes message);
void etcd_member_update(struct rpc_call *call, struct bytes message);
void etcd_member_promote(struct rpc_call *call, struct bytes message);

void etcd_maintenance_alarm(struct rpc_call *call, struct bytes message);
void etcd_maintenance_status(struct rpc_call *call, struct bytes message);
void etcd_maintenance_defragment(struct rpc_call *call, struct bytes message);
void etcd_maintenance_hash(struct rpc_call *call, struct bytes message);
void etcd_maintenance_hash_kv(struct rpc_call *call, struct bytes message);
void etcd_maintenance_move_leader(struct rpc_call *call, struct bytes message);
void etcd_maintenance_downgrade(struct rpc_call *call, struct bytes message);
void etcd_snapshot_message(struct rpc_call *call, struct bytes message);
void etcd_snapshot_writable(struct rpc_call *call);
void etcd_snapshot_gone(struct rpc_call *call);
void etcd_snapshots_turn(struct etcd_api *api);
void etcd_snapshots_end(struct etcd_api *api); /* the store leaves */

void etcd_auth_authenticate(struct rpc_call *call, struct bytes message);
void etcd_auth_user_add(struct rpc_call *call, struct bytes message);
void etcd_auth_user_password(struct rpc_call *call, struct bytes message);
void etcd_auth_write(struct rpc_call *call, struct bytes message);
void etcd_auth_read(struct rpc_call *call, struct bytes message);

void etcd_lock_lock(struct rpc_call *call, struct bytes message);
void etcd_lock_unlock(struct rpc_call *call, struct bytes message);
void etcd_election_campaign(struct rpc_call *call, struct bytes message);
void etcd_election_proclaim(struct rpc_call *call, struct bytes message);
void etcd_election_leader(struct rpc_call *call, struct bytes message);
void etcd_election_resign(struct rpc_call *call, struct bytes message);
void etcd_election_observe(struct rpc_call *call, struct bytes message);
void etcd_election_observe_writable(struct rpc_call *call);

void etcd_lease_grant(struct rpc_call *call, struct bytes message);
void etcd_lease_revoke(struct rpc_call *call, struct bytes message);
void etcd_lease_time_to_live(struct rpc_call *call, struct bytes message);
void etcd_lease_leases(struct rpc_call *call, struct bytes message);
void etcd_keepalive_begin(struct rpc_call *call);
void etcd_keepalive_message(struct rpc_call *call, struct bytes message);
void etcd_keepalive_half_closed(struct rpc_call *call);
void etcd_keepalive_gone(struct rpc_call *call);

#endif
