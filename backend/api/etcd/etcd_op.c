/* Unary calls: what they ask of the node, and how they are answered. */
#include <string.h>

#include "api/etcd/etcd_int.h"

struct etcd_op *etcd_op_own(struct etcd_api *api)
{
    struct etcd_op *op = mem_alloc_zero(sizeof(*op));
    op->api = api;
    op->began = etcd_now(api);
    store_link_init(&op->all);
    store_link_init(&op->reading);
    store_link_init(&op->awaiting);
    store_link_init(&op->wait.link);
    store_link_append(&api->ops, &op->all);
    buf_init(&op->body);
    buf_init(&op->user);
    buf_init(&op->response);
    return op;
}

static struct etcd_op *op_make(struct rpc_call *call, struct bytes message)
{
    struct etcd_api *api = rpc_ctx(call);
    if (etcd_lacks_leader(api, call)) {
        etcd_refuse(api, call, ETCD_NO_LEADER);
        return NULL;
    }
    struct etcd_op *op = etcd_op_own(api);
    op->call = call;
    buf_put(&op->body, message.data, message.len);
    rpc_set_state(call, op);
    return op;
}

void etcd_op_begin_open(struct rpc_call *call, struct bytes message,
                        void (*run)(struct etcd_op *op))
{
    struct etcd_op *op = op_make(call, message);
    if (op) {
        run(op);
    }
}

static void op_identified(struct etcd_op *op, enum etcd_identity identity)
{
    const struct store *store = op->api->node ? node_store(op->api->node) : NULL;
    if (identity != ETCD_IDENTITY_KNOWN) {
        etcd_fail(op, ETCD_TOKEN_INVALID);
        return;
    }
    op->auth_revision = op->user.len > 0 && store ? store_auth_revision(store) : 0;
    op->run(op);
}

static void op_identify_again(struct etcd_op *op)
{
    op_identified(op, etcd_identify(op->api, op->call, &op->user));
}

void etcd_op_begin(struct rpc_call *call, struct bytes message, void (*run)(struct etcd_op *op))
{
    struct etcd_op *op = op_make(call, message);
    if (!op) {
        return;
    }
    op->run = run;
    enum etcd_identity identity = etcd_identify(op->api, call, &op->user);
    if (identity == ETCD_IDENTITY_LATER) {
        etcd_op_read(op, op_identify_again);
    } else {
        op_identified(op, identity);
    }
}

struct store_user etcd_op_user(const struct etcd_op *op)
{
    return (struct store_user){buf_view(&op->user), op->auth_revision};
}

struct store *etcd_op_store(struct etcd_op *op)
{
    enum etcd_error why;
    struct store *store = etcd_store(op->api, &why);
    if (!store) {
        etcd_fail(op, why);
    }
    return store;
}

bool etcd_op_is_root(struct etcd_op *op)
{
    const struct store *store = etcd_op_store(op);
    if (!store) {
        return false;
    }
    struct store_user user = etcd_op_user(op);
    enum store_status status = store_rights_root(store, &user);
    if (status != STORE_OK) {
        etcd_fail_status(op, status);
    }
    return status == STORE_OK;
}

void etcd_op_free(struct etcd_op *op)
{
    CHECK(!op->is_held);
    if (op->call) {
        rpc_set_state(op->call, NULL);
    }
    etcd_wait_cancel(&op->wait);
    store_link_remove(&op->all);
    store_link_remove(&op->reading);
    store_link_remove(&op->awaiting);
    if (op->reader) {
        store_reader_close(op->reader);
    }
    if (op->state_free) {
        op->state_free(op);
    }
    buf_deinit(&op->body);
    buf_deinit(&op->user);
    buf_deinit(&op->response);
    mem_free(op);
}

void etcd_op_gone(struct rpc_call *call)
{
    struct etcd_op *op = rpc_state(call);
    if (!op) {
        return; /* it was answered */
    }
    op->call = NULL;
    if (!op->is_held && !op->goes_on) {
        etcd_op_free(op);
    }
}

/* The node was closed: it knows of no request any more. */
void etcd_ops_free(struct etcd_api *api)
{
    while (!store_link_is_alone(&api->ops)) {
        struct etcd_op *op = STORE_LINK_OWNER(api->ops.next, struct etcd_op, all);
        op->is_held = false;
        etcd_op_free(op);
    }
}

/* --- answers --------------------------------------------------------------------------------- */

void etcd_answer(struct etcd_op *op, int64_t revision, struct bytes body)
{
    struct rpc_call *call = op->call;
    if (call) {
        struct buf head;
        buf_init(&head);
        etcd_header(op->api, revision, &head);
        (void)rpc_send(call, buf_view(&head), body);
        buf_deinit(&head);
    }
    etcd_op_free(op);
    if (call) {
        rpc_finish(call, RPC_OK, NULL);
    }
}

void etcd_fail_text(struct etcd_op *op, int code, const char *text)
{
    struct rpc_call *call = op->call;
    etcd_op_free(op);
    if (call) {
        rpc_finish(call, code, text);
    }
}

void etcd_fail(struct etcd_op *op, enum etcd_error e)
{
    if (op->call) {
        etcd_remark_reason(op->api, op->call, e);
    }
    etcd_fail_text(op, etcd_error_code(e), etcd_error_text(e));
}

void etcd_fail_status(struct etcd_op *op, enum store_status s)
{
    etcd_fail_text(op, store_status_code(s), store_status_text(s));
}

void etcd_answer_request(struct etcd_op *op)
{
    etcd_answer(op, op->request.revision, buf_view(&op->request.response));
}

enum etcd_error etcd_error_of(const struct etcd_api *api, enum err e, nanos began)
{
    static const struct {
        enum err from;
        enum etcd_error to;
    } known[] = {
        {ERR_BUSY, ETCD_TOO_MANY_REQUESTS},
        {ERR_NO_LEADER, ETCD_NO_LEADER},
        {ERR_NO_SPACE, ETCD_DISK_FULL},
        {ERR_CLOSED, ETCD_STOPPED},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (e == known[i].from) {
            return known[i].to;
        }
    }
    if (e == ERR_REFUSED) {
        return etcd_is_witness(api) ? ETCD_LEARNER : ETCD_UNHEALTHY;
    }
    bool lost_leader = api->leader == NODE_NONE || api->leader_since > began;
    return lost_leader ? ETCD_TIMEOUT_LEADER : ETCD_TIMEOUT;
}

/* --- proposals ------------------------------------------------------------------------------- */

/* What the call took its time for. */
static void op_tell_stages(const struct etcd_op *op)
{
    const struct node_request *r = &op->request;
    rpc_stage(op->call, "raft.propose", r->taken_at, r->proposed_at);
    rpc_stage(op->call, "raft.commit", r->proposed_at, r->committed_at);
    rpc_stage(op->call, "store.apply", r->committed_at, r->applied_at);
}

static void op_on_done(struct node_request *request)
{
    struct etcd_op *op = request->owner;
    op->is_held = false;
    op->outcome = request->result;
    if (request->result == OK && op->call && rpc_is_traced(op->call)) {
        op_tell_stages(op);
    }
    if (op->goes_on) {
        op->then(op);
    } else if (!op->call) {
        etcd_op_free(op);
    } else if (request->result != OK) {
        etcd_fail(op, etcd_error_of(op->api, request->result, op->began));
    } else if (request->status != STORE_OK) {
        etcd_fail_status(op, request->status);
    } else if (request->is_duplicate && !op->may_repeat) {
        etcd_fail(op, ETCD_TIMEOUT); /* it was applied, but what it said is lost */
    } else {
        op->then(op);
    }
}

void etcd_op_propose(struct etcd_op *op, enum store_kind kind, struct bytes body,
                     void (*then)(struct etcd_op *op))
{
    struct etcd_api *api = op->api;
    op->then = then;
    memset(&op->request, 0, sizeof(op->request));
    op->request.kind = kind;
    op->request.body = body;
    op->request.user = buf_view(&op->user);
    op->request.auth_revision = op->auth_revision;
    op->request.done = op_on_done;
    op->request.owner = op;
    enum err result = api->node ? node_propose(api->node, &op->request) : ERR_CLOSED;
    op->is_held = result == OK;
    if (result != OK && op->goes_on) {
        op->outcome = result;
        op->then(op);
    } else if (result != OK) {
        etcd_fail(op, etcd_error_of(api, result, op->began));
    }
}

/* --- reads ----------------------------------------------------------------------------------- */

static void op_on_wait(struct etcd_wait *wait, enum err result)
{
    struct etcd_op *op = wait->owner;
    op->outcome = result;
    if (op->call && rpc_is_traced(op->call)) {
        rpc_stage(op->call, "raft.read_index", op->waits_since, etcd_now(op->api));
    }
    if (result != OK && !op->goes_on) {
        etcd_fail(op, etcd_error_of(op->api, result, op->began));
    } else {
        op->then(op);
    }
}

void etcd_op_read(struct etcd_op *op, void (*then)(struct etcd_op *op))
{
    op->then = then;
    op->waits_since = op->call && rpc_is_traced(op->call) ? etcd_now(op->api) : 0;
    op->wait.done = op_on_wait;
    op->wait.owner = op;
    etcd_wait_begin(op->api, &op->wait);
}

/* Has this turn room for a read, and the client's connection for its answer? */
static bool op_may_read(const struct etcd_op *op)
{
    return op->api->turn_reads < ETCD_TURN_READS && op->api->turn_bytes < ETCD_TURN_BYTES &&
           (!op->call || rpc_has_room(op->call));
}

static void op_go_to_the_end(struct etcd_op *op)
{
    store_link_remove(&op->reading);
    store_link_append(&op->api->readers, &op->reading);
}

void etcd_op_wait_to_read(struct etcd_op *op)
{
    op_go_to_the_end(op);
    etcd_wake(op->api);
}

static void op_count_read(struct etcd_op *op, size_t before)
{
    op->api->turn_reads++;
    op->api->turn_bytes += op->response.len - before;
}

/* Looks at some keys; answers at the end, else the next turn goes on. */
static void op_range_step(struct etcd_op *op)
{
    size_t before = op->response.len;
    enum err result = store_reader_step(op->reader, ETCD_READ_BUDGET, &op->response);
    op_count_read(op, before);
    if (result == OK) {
        etcd_answer(op, store_reader_revision(op->reader), buf_view(&op->response));
    } else if (result != ERR_PENDING) {
        etcd_fail(op, ETCD_RESPONSE_TOO_LARGE);
    } else {
        etcd_op_wait_to_read(op);
    }
}

static void op_range_begin(struct etcd_op *op)
{
    struct bytes request = buf_view(&op->body);
    struct store *store = etcd_op_store(op);
    if (!store) {
        return;
    }
    struct store_user user = {buf_view(&op->user), store_auth_revision(store)};
    struct store_range_request r;
    enum store_status status = store_range_decode(request, &r);
    if (status == STORE_OK) {
        status = store_rights_read(store, &user, request);
    }
    if (status == STORE_OK && r.range_end.len == 0) {
        int64_t revision = 0;
        status = store_range_read(store, request, &revision, &op->response);
        op_count_read(op, 0);
        if (status == STORE_OK) {
            etcd_answer(op, revision, buf_view(&op->response));
            return;
        }
    } else if (status == STORE_OK) {
        status = store_reader_open(store, request, &op->reader);
        op->step = op_range_step;
    }
    if (status != STORE_OK) {
        etcd_fail_status(op, status);
        return;
    }
    op_range_step(op);
}

void etcd_op_range(struct etcd_op *op)
{
    if (store_link_is_alone(&op->api->readers) && op_may_read(op)) {
        op_range_begin(op);
    } else {
        etcd_op_wait_to_read(op);
    }
}

void etcd_readers_turn(struct etcd_api *api)
{
    api->turn_reads = 0;
    api->turn_bytes = 0;
    /* One step each for those that are there now: a step that is not the last goes to the end. */
    const struct store_link *last = api->readers.prev;
    bool more = !store_link_is_alone(&api->readers);
    bool is_idle = true;
    while (more && api->turn_reads < ETCD_TURN_READS && api->turn_bytes < ETCD_TURN_BYTES) {
        struct etcd_op *op = STORE_LINK_OWNER(api->readers.next, struct etcd_op, reading);
        more = &op->reading != last;
        if (!op_may_read(op)) {
            op_go_to_the_end(op);
            continue;
        }
        is_idle = false;
        if (op->reader) {
            op->step(op);
        } else {
            store_link_remove(&op->reading);
            op_range_begin(op);
        }
    }
    if (store_link_is_alone(&api->readers)) {
        return;
    }
    if (is_idle) { /* all wait for their clients to read */
        world_timer_set(api->world, &api->turn, etcd_now(api) + ETCD_ROOM_LOOK);
    } else {
        etcd_wake(api);
    }
}

/* The store leaves: what is being read from it begins anew with the one that comes, which holds
 * all that this one did. What was sent in part ends. */
void etcd_readers_restart(struct etcd_api *api)
{
    while (!store_link_is_alone(&api->range_streams)) {
        (void)etcd_range_stream_leaves(
            STORE_LINK_OWNER(api->range_streams.next, struct etcd_op, reading));
    }
    for (struct store_link *l = api->readers.next; l != &api->readers;) {
        struct etcd_op *op = STORE_LINK_OWNER(l, struct etcd_op, reading);
        l = l->next;
        if (etcd_range_stream_leaves(op)) {
            continue;
        }
        if (op->reader) {
            store_reader_close(op->reader);
            op->reader = NULL;
        }
        buf_clear(&op->response);
    }
}

/* --- waiting for something to become true ---------------------------------------------------- */

void etcd_op_await(struct etcd_op *op, bool (*is_there)(struct etcd_op *op), nanos patience,
                   void (*then)(struct etcd_op *op))
{
    op->then = then;
    op->is_there = is_there;
    op->await_until = u64_add_sat(etcd_now(op->api), patience);
    store_link_append(&op->api->awaits, &op->awaiting);
    etcd_wake(op->api);
}

void etcd_awaits_check(struct etcd_api *api)
{
    nanos now = etcd_now(api);
    for (struct store_link *l = api->awaits.next; l != &api->awaits;) {
        struct etcd_op *op = STORE_LINK_OWNER(l, struct etcd_op, awaiting);
        l = l->next;
        bool is_there = op->is_there(op);
        if (!is_there && now < op->await_until) {
            continue;
        }
        store_link_remove(&op->awaiting);
        op->outcome = is_there ? OK : ERR_TIMEOUT;
        if (is_there || op->goes_on) {
            op->then(op);
        } else {
            etcd_fail(op, etcd_error_of(api, ERR_TIMEOUT, op->began));
        }
    }
}
