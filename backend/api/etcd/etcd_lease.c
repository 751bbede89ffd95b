/*
 * Lease. Grants and revokes go through the log. Renewals and what is left of a TTL are the leader's
 * to say (etcd_ask.c), wherever the client is connected.
 */
#include "api/etcd/etcd_int.h"

static void lease_grant(struct etcd_op *op)
{
    if (etcd_quota_lets(op, STORE_KIND_LEASE_GRANT)) {
        etcd_op_propose(op, STORE_KIND_LEASE_GRANT, buf_view(&op->body), etcd_answer_request);
    }
}

void etcd_lease_grant(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, lease_grant);
}

static void lease_revoke(struct etcd_op *op)
{
    op->may_repeat = true;
    etcd_op_propose(op, STORE_KIND_LEASE_REVOKE, buf_view(&op->body), etcd_answer_request);
}

void etcd_lease_revoke(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, lease_revoke);
}

/* What this member knows; it needs no leader, as in etcd. */
static void lease_leases(struct etcd_op *op)
{
    const struct store *store = etcd_op_store(op);
    if (store) {
        etcd_remark_stale(op->api, op->call);
        store_lease_list(store, &op->response);
        etcd_answer(op, store_revision(store), buf_view(&op->response));
    }
}

void etcd_lease_leases(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, lease_leases);
}

/* --- what is left ---------------------------------------------------------------------------- */

struct lease_query {
    struct etcd_question question;
    bool wants_keys;
};

static void lease_query_free(struct etcd_op *op)
{
    struct lease_query *query = op->state;
    etcd_ask_cancel(&query->question);
    mem_free(query);
}

/* The keys are this member's to tell: it has applied what the leader had, or is asked too early
 * only where the lease changed since the question began. */
static void lease_put_keys(struct store *store, int64_t lease, struct buf *scratch, struct buf *b)
{
    struct store_pb pb;
    struct store_pb_field f;
    buf_clear(scratch);
    store_lease_time_to_live(store, lease, true, 0, scratch);
    store_pb_init(&pb, buf_view(scratch));
    while (store_pb_next(&pb, &f)) {
        if (f.number == 5) {
            store_pb_put_bytes(b, 5, store_pb_bytes(&pb, &f));
        }
    }
}

static void lease_on_left(struct etcd_question *q, enum err result)
{
    struct etcd_op *op = q->owner;
    const struct lease_query *query = op->state;
    enum etcd_error why = etcd_error_of(op->api, result, op->began);
    struct store *store = result == OK ? etcd_store(op->api, &why) : NULL;
    if (!store) {
        etcd_fail(op, why);
        return;
    }
    struct store_user user = {buf_view(&op->user), store_auth_revision(store)};
    enum store_status status =
        query->wants_keys ? store_rights_lease_keys(store, &user, q->subject) : STORE_OK;
    if (status != STORE_OK) {
        etcd_fail_status(op, status);
        return;
    }
    store_pb_put_i64(&op->response, 2, q->subject);
    store_pb_put_i64(&op->response, 3, q->left.ttl);
    store_pb_put_i64(&op->response, 4, q->left.granted);
    if (query->wants_keys && q->left.ttl >= 0) {
        lease_put_keys(store, q->subject, &op->api->scratch, &op->response);
    }
    etcd_answer(op, store_revision(store), buf_view(&op->response));
}

static void lease_ask_left(struct etcd_op *op)
{
    struct lease_query *query = op->state;
    etcd_ask(op->api, &query->question);
}

static void lease_time_to_live(struct etcd_op *op)
{
    struct lease_query *query = mem_alloc_zero(sizeof(*query));
    op->state = query;
    op->state_free = lease_query_free;
    query->question.api = op->api;
    query->question.kind = ETCD_ASK_TTL;
    query->question.done = lease_on_left;
    query->question.owner = op;
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, buf_view(&op->body));
    while (store_pb_next(&pb, &f)) {
        if (f.number == 1) {
            query->question.subject = store_pb_i64(&pb, &f);
        } else if (f.number == 2) {
            query->wants_keys = store_pb_bool(&pb, &f);
        }
    }
    if (pb.failed) {
        etcd_fail(op, ETCD_MALFORMED);
        return;
    }
    etcd_op_read(op, lease_ask_left);
}

void etcd_lease_time_to_live(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, lease_time_to_live);
}

/* --- keeping alive --------------------------------------------------------------------------- */

/* Renewals are answered in the order in which they came. */
struct renewal {
    struct etcd_question question;
    struct keepalive *stream;
    bool is_answered;
    struct store_link link; /* in stream->renewals */
};

struct keepalive {
    struct etcd_api *api;
    struct rpc_call *call;
    struct store_link all; /* in api->keepalives */
    struct store_link renewals;
    uint32_t count;
    bool wants_leader;
    bool is_half_closed;
    bool is_finished;
};

void etcd_keepalive_begin(struct rpc_call *call)
{
    struct etcd_api *api = rpc_ctx(call);
    if (etcd_lacks_leader(api, call)) {
        etcd_refuse(api, call, ETCD_NO_LEADER);
        return;
    }
    struct keepalive *k = mem_alloc_zero(sizeof(*k));
    k->api = api;
    k->call = call;
    k->wants_leader = etcd_wants_leader(call);
    store_link_init(&k->all);
    store_link_init(&k->renewals);
    store_link_append(&api->keepalives, &k->all);
    rpc_set_state(call, k);
}

static void renewal_free(struct renewal *r)
{
    r->stream->count--;
    store_link_remove(&r->link);
    etcd_ask_cancel(&r->question);
    mem_free(r);
}

void etcd_keepalive_gone(struct rpc_call *call)
{
    struct keepalive *k = rpc_state(call);
    if (!k) {
        return;
    }
    while (!store_link_is_alone(&k->renewals)) {
        renewal_free(STORE_LINK_OWNER(k->renewals.next, struct renewal, link));
    }
    store_link_remove(&k->all);
    mem_free(k);
    rpc_set_state(call, NULL);
}

static void keepalive_fail(struct keepalive *k, enum etcd_error e)
{
    if (!k->is_finished) {
        k->is_finished = true;
        etcd_refuse(k->api, k->call, e);
    }
}

static void keepalive_send(struct keepalive *k, const struct etcd_question *q)
{
    enum etcd_error why;
    struct store *store = etcd_store(k->api, &why);
    struct buf b;
    buf_init(&b);
    etcd_header(k->api, store ? store_revision(store) : 0, &b);
    store_pb_put_i64(&b, 2, q->subject);
    store_pb_put_i64(&b, 3, q->left.ttl);
    (void)rpc_send(k->call, buf_view(&b), (struct bytes){0});
    buf_deinit(&b);
}

static void keepalive_flush(struct keepalive *k)
{
    while (!k->is_finished && !store_link_is_alone(&k->renewals)) {
        struct renewal *r = STORE_LINK_OWNER(k->renewals.next, struct renewal, link);
        if (!r->is_answered) {
            return;
        }
        keepalive_send(k, &r->question);
        renewal_free(r);
    }
    if (!k->is_finished && k->is_half_closed && store_link_is_alone(&k->renewals)) {
        k->is_finished = true;
        rpc_finish(k->call, RPC_OK, NULL);
    }
}

static void renewal_on_answer(struct etcd_question *q, enum err result)
{
    struct renewal *r = q->owner;
    struct keepalive *k = r->stream;
    if (result != OK) {
        keepalive_fail(k, etcd_error_of(k->api, result, q->began));
        return;
    }
    r->is_answered = true;
    keepalive_flush(k);
}

void etcd_keepalive_message(struct rpc_call *call, struct bytes message)
{
    struct keepalive *k = rpc_state(call);
    if (!k || k->is_finished) {
        return;
    }
    struct store_pb pb;
    struct store_pb_field f;
    int64_t lease = 0;
    store_pb_init(&pb, message);
    while (store_pb_next(&pb, &f)) {
        if (f.number == 1) {
            lease = store_pb_i64(&pb, &f);
        }
    }
    if (pb.failed) {
        keepalive_fail(k, ETCD_MALFORMED);
        return;
    }
    if (k->count == ETCD_RENEWALS_MAX || k->api->questions.count >= ETCD_QUESTIONS_MAX ||
        !rpc_has_room(call)) {
        keepalive_fail(k, ETCD_TOO_MANY_REQUESTS);
        return;
    }
    struct renewal *r = mem_alloc_zero(sizeof(*r));
    r->stream = k;
    store_link_init(&r->link);
    store_link_append(&k->renewals, &r->link);
    k->count++;
    r->question.kind = ETCD_ASK_RENEW;
    r->question.subject = lease;
    r->question.done = renewal_on_answer;
    r->question.owner = r;
    etcd_ask(k->api, &r->question);
}

void etcd_keepalive_half_closed(struct rpc_call *call)
{
    struct keepalive *k = rpc_state(call);
    if (k) {
        k->is_half_closed = true;
        keepalive_flush(k);
    }
}

void etcd_keepalives_pulse(struct etcd_api *api, bool end_leaderless)
{
    for (struct store_link *l = api->keepalives.next; l != &api->keepalives; l = l->next) {
        struct keepalive *k = STORE_LINK_OWNER(l, struct keepalive, all);
        if (end_leaderless && k->wants_leader) {
            keepalive_fail(k, ETCD_NO_LEADER);
        }
    }
}
