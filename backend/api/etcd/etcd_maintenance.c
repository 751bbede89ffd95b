/*
 * Maintenance: how a member is, whether members agree, who leads. Defragment has nothing to do
 * here: the store frees what compaction leaves by itself, and answers so at once. Downgrades are
 * none of etcd's here: what the cluster can do is its feature level.
 */
#include <stdio.h>
#include <string.h>

#include "api/etcd/etcd_int.h"

static void maintenance_empty(struct etcd_op *op)
{
    const struct store *store = etcd_op_store(op);
    if (store) {
        etcd_answer(op, store_revision(store), (struct bytes){0});
    }
}

/* --- alarms ---------------------------------------------------------------------------------- */

static void alarm_get(struct etcd_op *op)
{
    const struct store *store = etcd_op_store(op);
    struct store_pb pb;
    struct store_pb_field f;
    uint64_t kind = STORE_ALARM_NONE;
    if (!store) {
        return;
    }
    store_pb_init(&pb, buf_view(&op->body));
    while (store_pb_next(&pb, &f)) {
        kind = f.number == 3 ? store_pb_u64(&pb, &f) : kind;
    }
    if (kind <= STORE_ALARM_CORRUPT) {
        store_alarms(store, (enum store_alarm_kind)kind, &op->response);
    }
    etcd_answer(op, store_revision(store), buf_view(&op->response));
}

/* To look is free, as `endpoint health` does; to raise and to disarm is an administrator's. */
static void maintenance_alarm(struct etcd_op *op)
{
    struct store_pb pb;
    struct store_pb_field f;
    uint64_t action = ETCD_ALARM_GET;
    store_pb_init(&pb, buf_view(&op->body));
    while (store_pb_next(&pb, &f)) {
        action = f.number == 1 ? store_pb_u64(&pb, &f) : action;
    }
    if (pb.failed) {
        etcd_fail(op, ETCD_MALFORMED);
    } else if (action == ETCD_ALARM_GET) {
        etcd_op_read(op, alarm_get);
    } else if (etcd_op_is_root(op)) {
        etcd_op_propose(op, STORE_KIND_ALARM, buf_view(&op->body), etcd_answer_request);
    }
}

void etcd_maintenance_alarm(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, maintenance_alarm);
}

/* --- status ---------------------------------------------------------------------------------- */

static void put_text(struct buf *b, uint32_t number, const char *text)
{
    store_pb_put_bytes(b, number, (struct bytes){(const uint8_t *)text, strlen(text)});
}

/* In the words of etcd's alarm message. */
static void status_put_alarms(const struct store *store, struct buf *b)
{
    static const char *const names[] = {"NONE", "NOSPACE", "CORRUPT"};
    struct buf alarms;
    buf_init(&alarms);
    store_alarms(store, STORE_ALARM_NONE, &alarms);
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, buf_view(&alarms));
    while (store_pb_next(&pb, &f)) {
        struct store_pb inner;
        struct store_pb_field g;
        uint64_t member = 0;
        uint64_t kind = 0;
        store_pb_init(&inner, f.bytes);
        while (store_pb_next(&inner, &g)) {
            member = g.number == 1 ? g.value : member;
            kind = g.number == 2 ? g.value : kind;
        }
        char text[64];
        (void)snprintf(text, sizeof(text), "memberID:%llu alarm:%s ", (unsigned long long)member,
                       names[kind < COUNT_OF(names) ? kind : 0]);
        put_text(b, 8, text);
    }
    buf_deinit(&alarms);
}

/* What etcd's message has no place for. */
static void status_put_own(const struct raft_status *status, const struct raft_member *own,
                           struct buf *b)
{
    store_pb_put_bool(b, 101, own && (own->roles & RAFT_WITNESS));
    if (own && own->priority != RAFT_PRIORITY_DEFAULT) {
        store_pb_put_u64(b, 102, own->priority + 1U);
    }
    store_pb_put_bool(b, 103, status->exposed);
    store_pb_put_bool(b, 104, status->impaired);
    store_pb_put_u64(b, 106, status->membership->lineage);
}

static void maintenance_status(struct etcd_op *op)
{
    const struct etcd_api *api = op->api;
    const struct store *store = api->node ? node_store(api->node) : NULL;
    if (!store) {
        etcd_fail(op, ETCD_STOPPED);
        return;
    }
    struct raft_status status = node_status(api->node);
    struct store_stats stats;
    store_stats_read(store, &stats);
    struct buf *b = &op->response;
    put_text(b, 2, api->cfg.version);
    store_pb_put_u64(b, 3, stats.held_bytes);
    store_pb_put_u64(b, 4, status.leader);
    store_pb_put_u64(b, 5, status.committed);
    store_pb_put_u64(b, 6, status.term);
    store_pb_put_u64(b, 7, node_applied(api->node));
    if (status.leader == NODE_NONE) {
        put_text(b, 8, etcd_error_text(ETCD_NO_LEADER));
    }
    status_put_alarms(store, b);
    store_pb_put_u64(b, 9, stats.used_bytes);
    const struct raft_member *own = raft_membership_lookup(status.membership, api->cfg.member);
    store_pb_put_bool(b, 10, own && (own->roles & RAFT_LEARNER));
    put_text(b, 11, api->cfg.version);
    store_pb_put_u64(b, 12, api->cfg.quota_bytes);
    status_put_own(&status, own, b);
    store_pb_put_u64(b, 105, store_feature_level(store));
    etcd_answer(op, store_revision(store), buf_view(b));
}

void etcd_maintenance_status(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin_open(call, message, maintenance_status);
}

static void maintenance_defragment(struct etcd_op *op)
{
    if (etcd_op_is_root(op)) {
        maintenance_empty(op);
    }
}

void etcd_maintenance_defragment(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, maintenance_defragment);
}

/* --- hashes ---------------------------------------------------------------------------------- */

static void hash_answer(struct etcd_op *op, int64_t revision, bool is_kv)
{
    const struct store *store = etcd_op_is_root(op) ? etcd_op_store(op) : NULL;
    uint64_t hash = 0;
    int64_t at = 0;
    if (!store) {
        return;
    }
    enum store_status status = store_hash_kv(store, revision, &hash, &at);
    if (status != STORE_OK) {
        etcd_fail_status(op, status);
        return;
    }
    store_pb_put_u64(&op->response, 2, (uint32_t)(hash ^ hash >> 32));
    if (is_kv) {
        store_pb_put_i64(&op->response, 3, store_compact_revision(store));
        store_pb_put_i64(&op->response, 4, at);
    }
    etcd_answer(op, store_revision(store), buf_view(&op->response));
}

static void maintenance_hash(struct etcd_op *op)
{
    hash_answer(op, 0, false);
}

void etcd_maintenance_hash(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, maintenance_hash);
}

static void maintenance_hash_kv(struct etcd_op *op)
{
    struct store_pb pb;
    struct store_pb_field f;
    int64_t revision = 0;
    store_pb_init(&pb, buf_view(&op->body));
    while (store_pb_next(&pb, &f)) {
        revision = f.number == 1 ? store_pb_i64(&pb, &f) : revision;
    }
    hash_answer(op, revision, true);
}

void etcd_maintenance_hash_kv(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, maintenance_hash_kv);
}

/* --- leadership ------------------------------------------------------------------------------ */

static node_id transferee_of(const struct etcd_op *op)
{
    struct store_pb pb;
    struct store_pb_field f;
    node_id target = NODE_NONE;
    store_pb_init(&pb, buf_view(&op->body));
    while (store_pb_next(&pb, &f)) {
        target = f.number == 1 ? store_pb_u64(&pb, &f) : target;
    }
    return target;
}

static bool transfer_is_done(struct etcd_op *op)
{
    return op->api->leader == transferee_of(op);
}

static void transfer_on_done(struct etcd_op *op)
{
    if (op->outcome == OK) {
        maintenance_empty(op);
    } else {
        etcd_fail(op, ETCD_TRANSFER_TIMEOUT);
    }
}

static void maintenance_move_leader(struct etcd_op *op)
{
    struct etcd_api *api = op->api;
    if (!etcd_op_is_root(op)) {
        return;
    }
    node_id target = transferee_of(op);
    struct raft_status status = node_status(api->node);
    const struct raft_member *m = raft_membership_lookup(status.membership, target);
    if (status.role != RAFT_LEADER) {
        etcd_fail(op, ETCD_NOT_LEADER);
    } else if (!m || !(m->roles & RAFT_VOTER) || (m->roles & RAFT_WITNESS)) {
        etcd_fail(op, ETCD_BAD_TRANSFEREE);
    } else if (target != status.leader && node_transfer(api->node, target) != OK) {
        etcd_fail(op, ETCD_BAD_TRANSFEREE);
    } else {
        op->goes_on = true;
        etcd_op_await(op, transfer_is_done, 3 * api->cfg.election_timeout, transfer_on_done);
    }
}

void etcd_maintenance_move_leader(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, maintenance_move_leader);
}

/* --- downgrades ------------------------------------------------------------------------------ */

/* "3.5", "3.5.0": numbers with points between. */
static bool is_version(struct bytes text)
{
    unsigned points = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool is_digit = text.data[i] >= '0' && text.data[i] <= '9';
        bool is_point = text.data[i] == '.' && i > 0 && text.data[i - 1] != '.';
        points += is_point;
        if (!is_digit && !is_point) {
            return false;
        }
    }
    return points >= 1 && points <= 2 && text.data[text.len - 1] != '.';
}

enum { DOWNGRADE_CANCEL = 2 };

static void maintenance_downgrade(struct etcd_op *op)
{
    struct store_pb pb;
    struct store_pb_field f;
    uint64_t action = 0;
    struct bytes version = {0};
    if (!etcd_op_is_root(op)) {
        return;
    }
    store_pb_init(&pb, buf_view(&op->body));
    while (store_pb_next(&pb, &f)) {
        action = f.number == 1 ? store_pb_u64(&pb, &f) : action;
        version = f.number == 2 ? store_pb_bytes(&pb, &f) : version;
    }
    if (pb.failed) {
        etcd_fail(op, ETCD_MALFORMED);
    } else if (action == DOWNGRADE_CANCEL) {
        etcd_fail(op, ETCD_DOWNGRADE_NONE);
    } else {
        etcd_fail(op, is_version(version) ? ETCD_DOWNGRADE_TARGET : ETCD_DOWNGRADE_FORMAT);
    }
}

void etcd_maintenance_downgrade(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, maintenance_downgrade);
}
