/*
 * Cluster: who belongs to the group. Raft's membership says who votes, the store what each is
 * called and where it is reached. A change is the leader's to begin (etcd_ask.c), and is answered
 * when this member has applied it.
 *
 *     MemberAdd      MEMBER_SET --> change --> applied       the change refused: MEMBER_FORGET
 *     MemberRemove   change --> applied --> MEMBER_FORGET
 *     MemberPromote  change --> applied
 *     MemberUpdate   MEMBER_SET; demotion and priority, which are ours: change --> applied
 *
 * A member that is added as a voter begins as a learner, which the leader promotes when it has
 * caught up; etcd lets it vote at once, and a newcomer that never comes then counts against the
 * quorum.
 */
#include <string.h>

#include "api/etcd/etcd_int.h"
#include "core/store/store_limits.h"

/* As in etcd, the header of an answer about members has no revision of the keys. */
#define CLUSTER_REVISION 0

struct member_step {
    struct etcd_question question;
    node_id member;
    enum etcd_change change;
    void (*made)(struct etcd_op *op);
    enum etcd_error failure; /* of an add that is being undone */
};

static void member_step_free(struct etcd_op *op)
{
    struct member_step *step = op->state;
    etcd_ask_cancel(&step->question);
    mem_free(step);
}

static struct member_step *member_step_of(struct etcd_op *op)
{
    return op->state;
}

/* --- lists ----------------------------------------------------------------------------------- */

static void member_put(const struct store *store, const struct raft_member *m, uint32_t number,
                       struct buf *b)
{
    struct store_member_view v = {0};
    struct bytes url;
    (void)store_member_find(store, m->id, &v);
    size_t at = store_pb_open(b, number);
    store_pb_put_u64(b, 1, m->id);
    store_pb_put_bytes(b, 2, v.name);
    while (store_url_next(&v.peer_urls, &url)) {
        store_pb_put_bytes(b, 3, url);
    }
    while (store_url_next(&v.client_urls, &url)) {
        store_pb_put_bytes(b, 4, url);
    }
    store_pb_put_bool(b, 5, (m->roles & (RAFT_LEARNER | RAFT_LEARNER_NEXT)) != 0);
    store_pb_put_bool(b, 101, (m->roles & RAFT_WITNESS) != 0);
    if (m->priority != RAFT_PRIORITY_DEFAULT) {
        store_pb_put_u64(b, 102, m->priority + 1U);
    }
    store_pb_close(b, at);
}

static void members_put(struct etcd_api *api, const struct store *store, uint32_t number,
                        struct buf *b)
{
    const struct raft_membership *ms = node_status(api->node).membership;
    for (uint32_t i = 0; i < ms->n; i++) {
        member_put(store, &ms->member[i], number, b);
    }
}

static void members_answer(struct etcd_op *op, uint32_t number)
{
    struct store *store = etcd_op_store(op);
    if (store) {
        members_put(op->api, store, number, &op->response);
        etcd_answer(op, CLUSTER_REVISION, buf_view(&op->response));
    }
}

static void member_list_now(struct etcd_op *op)
{
    members_answer(op, 2);
}

static void member_list(struct etcd_op *op)
{
    struct store_pb pb;
    struct store_pb_field f;
    bool is_linearizable = false;
    store_pb_init(&pb, buf_view(&op->body));
    while (store_pb_next(&pb, &f)) {
        is_linearizable = f.number == 1 ? store_pb_bool(&pb, &f) : is_linearizable;
    }
    if (pb.failed) {
        etcd_fail(op, ETCD_MALFORMED);
    } else if (is_linearizable) {
        etcd_op_read(op, member_list_now);
    } else {
        etcd_remark_stale(op->api, op->call);
        member_list_now(op);
    }
}

void etcd_member_list(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, member_list);
}

/* --- changes --------------------------------------------------------------------------------- */

static enum etcd_error member_refusal(enum etcd_change change, enum err result)
{
    if (result != ERR_REFUSED) {
        return ETCD_UNHEALTHY;
    }
    switch (change) {
    case ETCD_CHANGE_ADD_LEARNER:
    case ETCD_CHANGE_ADD_VOTER:
    case ETCD_CHANGE_ADD_WITNESS:
        return ETCD_TOO_MANY_LEARNERS;
    case ETCD_CHANGE_PROMOTE:
        return ETCD_LEARNER_BEHIND;
    case ETCD_CHANGE_REMOVE:
    case ETCD_CHANGE_DEMOTE:
    case ETCD_CHANGE_PRIORITY:
    case ETCD_CHANGES:
    default:
        return ETCD_NOT_ENOUGH_STARTED;
    }
}

static void member_on_undone(struct etcd_op *op)
{
    etcd_fail(op, member_step_of(op)->failure);
}

static void member_forget(struct etcd_op *op, void (*then)(struct etcd_op *op))
{
    buf_clear(&op->body);
    store_pb_put_u64(&op->body, 1, member_step_of(op)->member);
    etcd_op_propose(op, STORE_KIND_MEMBER_FORGET, buf_view(&op->body), then);
}

/* What was said of a member that could not be added is taken back. */
static void member_fail(struct etcd_op *op, enum etcd_error e)
{
    struct member_step *step = op->state;
    bool adds = step->change == ETCD_CHANGE_ADD_LEARNER || step->change == ETCD_CHANGE_ADD_VOTER ||
                step->change == ETCD_CHANGE_ADD_WITNESS;
    step->failure = e;
    if (adds) {
        member_forget(op, member_on_undone);
    } else {
        etcd_fail(op, e);
    }
}

static bool member_is_changed(struct etcd_op *op)
{
    const struct member_step *step = op->state;
    return etcd_change_is_made(op->api, step->member, step->change, step->question.priority);
}

static void member_on_made(struct etcd_op *op)
{
    if (op->outcome == OK) {
        member_step_of(op)->made(op);
    } else {
        /* It may come yet: what was said of the member stays. */
        etcd_fail(op, etcd_error_of(op->api, op->outcome, op->began));
    }
}

static void member_on_asked(struct etcd_question *q, enum err result)
{
    struct etcd_op *op = q->owner;
    enum err said = (enum err)q->left.ttl;
    if (result != OK) {
        etcd_fail(op, etcd_error_of(op->api, result, op->began));
    } else if (said != OK) {
        member_fail(op, member_refusal(q->change, said));
    } else {
        etcd_op_await(op, member_is_changed, ETCD_REQUEST_TIMEOUT, member_on_made);
    }
}

static void member_ask(struct etcd_op *op)
{
    struct member_step *step = op->state;
    step->question.kind = ETCD_ASK_CHANGE;
    step->question.subject = (int64_t)step->member;
    step->question.change = step->change;
    step->question.done = member_on_asked;
    step->question.owner = op;
    etcd_ask(op->api, &step->question);
}

/* Once begun, a change goes on though its client leaves. */
static struct member_step *member_begin(struct etcd_op *op, enum etcd_change change,
                                        void (*made)(struct etcd_op *op))
{
    struct member_step *step = mem_alloc_zero(sizeof(*step));
    step->question.api = op->api;
    step->change = change;
    step->made = made;
    op->state = step;
    op->state_free = member_step_free;
    op->goes_on = true;
    return step;
}

/* What a step through the log came to; answers failures. */
static bool member_went_well(struct etcd_op *op)
{
    if (op->outcome != OK) {
        etcd_fail(op, etcd_error_of(op->api, op->outcome, op->began));
    } else if (op->request.status != STORE_OK) {
        etcd_fail_status(op, op->request.status);
    } else {
        return true;
    }
    return false;
}

/* --- adding ---------------------------------------------------------------------------------- */

/* Copies the URLs of field `number` as a Member's; false where one is none, or there are none. */
static bool member_take_urls(struct bytes request, uint32_t number, struct buf *member)
{
    struct store_pb pb;
    struct store_pb_field f;
    struct world_endpoint ignored;
    size_t count = 0;
    store_pb_init(&pb, request);
    while (store_pb_next(&pb, &f)) {
        if (f.number != number) {
            continue;
        }
        struct bytes url = store_pb_bytes(&pb, &f);
        if (url.len > ETCD_URL_BYTES_MAX || !etcd_url_endpoint(url, &ignored)) {
            return false;
        }
        store_pb_put_bytes(member, 3, url);
        count++;
    }
    return !pb.failed && count > 0 && count <= ETCD_URLS_MAX;
}

static void member_on_added(struct etcd_op *op)
{
    const struct store *store = etcd_op_store(op);
    if (!store) {
        return;
    }
    node_id member = member_step_of(op)->member;
    const struct raft_member *m =
        raft_membership_lookup(node_status(op->api->node).membership, member);
    struct raft_member gone = {.id = member};
    member_put(store, m ? m : &gone, 2, &op->response);
    members_put(op->api, store, 3, &op->response);
    etcd_answer(op, CLUSTER_REVISION, buf_view(&op->response));
}

static void member_on_said(struct etcd_op *op)
{
    if (member_went_well(op)) {
        member_ask(op);
    }
}

static node_id member_draw_id(struct etcd_api *api)
{
    node_id id = NODE_NONE;
    while (id == NODE_NONE ||
           raft_membership_lookup(node_status(api->node).membership, id) != NULL) {
        uint8_t bytes[sizeof(id)];
        api->world->random->fill(api->world->self, bytes, sizeof(bytes));
        memcpy(&id, bytes, sizeof(id));
    }
    return id;
}

struct member_wish {
    bool is_learner;
    bool is_witness;
    uint64_t priority; /* one more than it is to be; 0: as usual */
    struct bytes name; /* borrowed */
};

/* False: it is malformed. */
static bool member_wish_decode(struct bytes request, struct member_wish *ret)
{
    struct store_pb pb;
    struct store_pb_field f;
    struct member_wish wish = {0};
    store_pb_init(&pb, request);
    while (store_pb_next(&pb, &f)) {
        wish.is_learner = f.number == 2 ? store_pb_bool(&pb, &f) : wish.is_learner;
        wish.name = f.number == 101 ? store_pb_bytes(&pb, &f) : wish.name;
        wish.is_witness = f.number == 102 ? store_pb_bool(&pb, &f) : wish.is_witness;
        wish.priority = f.number == 103 ? store_pb_u64(&pb, &f) : wish.priority;
    }
    *ret = wish;
    return !pb.failed && wish.priority <= UINT8_MAX + 1U && wish.name.len < WORLD_HOST_MAX_BYTES &&
           !(wish.is_learner && wish.is_witness);
}

static void member_add(struct etcd_op *op)
{
    struct member_wish wish;
    if (!etcd_op_is_root(op)) {
        return;
    }
    if (!member_wish_decode(buf_view(&op->body), &wish)) {
        etcd_fail(op, ETCD_MALFORMED);
        return;
    }
    struct buf member;
    buf_init(&member);
    node_id id = member_draw_id(op->api);
    store_pb_put_u64(&member, 1, id);
    if (wish.is_witness) {
        store_pb_put_bytes(&member, 2, wish.name); /* which will not say it itself */
    }
    if (!member_take_urls(buf_view(&op->body), 1, &member)) {
        buf_deinit(&member);
        etcd_fail(op, ETCD_URLS_INVALID);
        return;
    }
    enum etcd_change change = wish.is_learner   ? ETCD_CHANGE_ADD_LEARNER
                              : wish.is_witness ? ETCD_CHANGE_ADD_WITNESS
                                                : ETCD_CHANGE_ADD_VOTER;
    struct member_step *step = member_begin(op, change, member_on_added);
    step->member = id;
    step->question.priority =
        wish.priority > 0 ? (uint8_t)(wish.priority - 1) : RAFT_PRIORITY_DEFAULT;
    buf_deinit(&op->body);
    op->body = member;
    etcd_op_propose(op, STORE_KIND_MEMBER_SET, buf_view(&op->body), member_on_said);
}

void etcd_member_add(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, member_add);
}

/* --- the others ------------------------------------------------------------------------------ */

static node_id member_named(struct etcd_op *op)
{
    struct store_pb pb;
    struct store_pb_field f;
    node_id id = NODE_NONE;
    store_pb_init(&pb, buf_view(&op->body));
    while (store_pb_next(&pb, &f)) {
        id = f.number == 1 ? store_pb_u64(&pb, &f) : id;
    }
    return pb.failed ? NODE_NONE : id;
}

/* The member that the request names; NULL: there is none, or the user may not, and that was
 * answered. */
static const struct raft_member *member_get(struct etcd_op *op)
{
    if (!etcd_op_is_root(op)) {
        return NULL;
    }
    const struct raft_member *m =
        raft_membership_lookup(node_status(op->api->node).membership, member_named(op));
    if (!m) {
        etcd_fail(op, ETCD_MEMBER_NOT_FOUND);
    }
    return m;
}

/* Its attributes may be gone already, or never have been there. */
static void member_on_forgotten(struct etcd_op *op)
{
    members_answer(op, 2);
}

/* One that removed itself has no say any more. */
static void member_on_removed(struct etcd_op *op)
{
    if (member_step_of(op)->member == op->api->cfg.member) {
        members_answer(op, 2);
    } else {
        member_forget(op, member_on_forgotten);
    }
}

static void member_remove(struct etcd_op *op)
{
    const struct raft_member *m = member_get(op);
    if (m) {
        member_begin(op, ETCD_CHANGE_REMOVE, member_on_removed)->member = m->id;
        member_ask(op);
    }
}

void etcd_member_remove(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, member_remove);
}

static void member_promote(struct etcd_op *op)
{
    const struct raft_member *m = member_get(op);
    if (m && !(m->roles & RAFT_LEARNER)) {
        etcd_fail(op, ETCD_NOT_A_LEARNER);
    } else if (m) {
        member_begin(op, ETCD_CHANGE_PROMOTE, member_list_now)->member = m->id;
        member_ask(op);
    }
}

void etcd_member_promote(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, member_promote);
}

/* What etcd's MemberUpdate cannot say. True: that is what this is. */
static bool member_update_own(struct etcd_op *op, const struct raft_member *m)
{
    struct store_pb pb;
    struct store_pb_field f;
    bool demotes = false;
    uint64_t priority = 0;
    store_pb_init(&pb, buf_view(&op->body));
    while (store_pb_next(&pb, &f)) {
        demotes = f.number == 101 ? store_pb_bool(&pb, &f) : demotes;
        priority = f.number == 102 ? store_pb_u64(&pb, &f) : priority;
    }
    if (!demotes && priority == 0) {
        return false;
    }
    if (pb.failed || priority > UINT8_MAX + 1U || (demotes && priority > 0) ||
        (demotes && (m->roles & RAFT_WITNESS))) {
        etcd_fail(op, ETCD_MALFORMED);
        return true;
    }
    enum etcd_change change = demotes ? ETCD_CHANGE_DEMOTE : ETCD_CHANGE_PRIORITY;
    struct member_step *step = member_begin(op, change, member_list_now);
    step->member = m->id;
    step->question.priority = demotes ? m->priority : (uint8_t)(priority - 1);
    member_ask(op);
    return true;
}

static void member_update(struct etcd_op *op)
{
    const struct raft_member *m = member_get(op);
    if (!m || member_update_own(op, m)) {
        return;
    }
    struct buf member;
    buf_init(&member);
    store_pb_put_u64(&member, 1, m->id);
    if (!member_take_urls(buf_view(&op->body), 2, &member)) {
        buf_deinit(&member);
        etcd_fail(op, ETCD_URLS_INVALID);
        return;
    }
    op->may_repeat = true;
    buf_deinit(&op->body);
    op->body = member;
    etcd_op_propose(op, STORE_KIND_MEMBER_SET, buf_view(&op->body), member_list_now);
}

void etcd_member_update(struct rpc_call *call, struct bytes message)
{
    etcd_op_begin(call, message, member_update);
}
