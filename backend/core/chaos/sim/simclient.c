#include "core/chaos/sim/simclient.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/sim/simclient_wire.h"

/* A client that finds nobody who takes its operation tries the next member after this. */
#define RETRY_AFTER (20 * NANOS_PER_MS)

/* Clients that wait longer than this give up; drawn anew for each operation. */
#define PATIENCE_MIN (100 * NANOS_PER_MS)
#define PATIENCE_MAX (8 * NANOS_PER_S)

struct simop {
    struct simclients *all;
    struct simclient *client; /* NULL: of none, or it gave up */
    struct node_request request;
    struct node_read read;
    struct buf body;
    size_t call;
    uint32_t at;
    bool is_used;
    bool is_awaited;      /* nobody has given up on it */
    raft_index committed; /* when a read began */
    struct simop *next;
};

struct simclient {
    struct simclients *all;
    uint32_t i;
    struct prng prng;
    struct world_timer timer; /* the next operation, or the end of its patience */
    struct simop *op;
    uint32_t at; /* the member that it prefers */
    struct {
        uint64_t value;
        int64_t modified;
    } seen[SIM_KEYS_MAX]; /* of each key, as it last knew it */
};

void simclient_key(uint32_t key, uint8_t name[SIM_KEY_BYTES])
{
    memcpy(name, "k/", 2);
    name[2] = (uint8_t)('a' + key / 26);
    name[3] = (uint8_t)('a' + key % 26);
}

uint32_t simclient_key_number(struct bytes name)
{
    if (name.len != SIM_KEY_BYTES || memcmp(name.data, "k/", 2) != 0 || name.data[2] < 'a' ||
        name.data[3] < 'a' || name.data[3] > 'z') {
        return UINT32_MAX;
    }
    return (uint32_t)(name.data[2] - 'a') * 26 + (uint32_t)(name.data[3] - 'a');
}

/* --- operations ------------------------------------------------------------------------------- */

static struct simop *op_take(struct simclients *c)
{
    struct simop *op = c->unused;

    if (op == NULL) {
        return NULL;
    }
    c->unused = op->next;
    op->is_used = true;
    op->is_awaited = true;
    op->client = NULL;
    buf_clear(&op->body);
    return op;
}

static void op_give_back(struct simop *op)
{
    op->is_used = false;
    op->next = op->all->unused;
    op->all->unused = op;
}

/* Its client goes on to the next one. */
static void client_goes_on(struct simclient *client, const struct simcall *call)
{
    struct simclients *c = client->all;

    if (call->outcome != SIMCALL_OK) {
        client->at++;
    } else if (call->kind != SIMCALL_SWAP || call->changed) {
        client->seen[call->key].value = call->value;
        client->seen[call->key].modified = call->modified;
    }
    client->op = NULL;
    if (!c->are_stopping) {
        nanos think = prng_below(&client->prng, 2 * c->settings->think_time + 1);
        world_timer_set(c->world, &client->timer, world_now(c->world) + think);
    }
}

/* What is known of the call now; for one that was given up the outcome stays unknown. */
static void op_return(struct simop *op, enum simcall_outcome outcome)
{
    struct simclients *c = op->all;
    struct simcall *call = &c->calls[op->call];

    if (!op->is_awaited) {
        return;
    }
    op->is_awaited = false;
    call->outcome = outcome;
    call->is_pending = false;
    call->returned = outcome == SIMCALL_UNKNOWN ? NANOS_FOREVER : world_now(c->world);
    c->counts[call->kind][outcome]++;
    if (op->client != NULL) {
        client_goes_on(op->client, call);
        op->client = NULL;
    }
}

static void op_wrote(struct node_request *request)
{
    struct simop *op = request->owner;
    struct simcall *call = &op->all->calls[op->call];
    enum simcall_outcome outcome = SIMCALL_FAILED;

    if (request->result == ERR_UNKNOWN) {
        outcome = SIMCALL_UNKNOWN;
    } else if (request->result == OK && request->status == STORE_OK) {
        outcome = SIMCALL_OK;
        call->revision = request->revision;
        call->modified = call->kind == SIMCALL_DELETE ? 0 : request->revision;
        if (call->kind != SIMCALL_PUT) {
            /* A duplicate's answer is not known any more, so neither is what it found. */
            outcome = request->is_duplicate ? SIMCALL_UNKNOWN : SIMCALL_OK;
            call->changed = simclient_changed(buf_view(&request->response));
        }
    }
    op_return(op, outcome);
    op_give_back(op);
}

static void op_has_read(struct node_read *read)
{
    struct simop *op = read->owner;
    struct simcall *call = &op->all->calls[op->call];
    struct simmember *m = &op->all->cluster->member[op->at];
    enum simcall_outcome outcome = SIMCALL_FAILED;

    if (read->result == OK && read->index < op->committed) {
        op->all->read_early(op->all->ctx, op->at, read->index, op->committed);
    }
    if (read->result == OK && node_store(m->node) != NULL) {
        uint8_t key[SIM_KEY_BYTES];
        simclient_key(call->key, key);
        simclient_look(node_store(m->node), (struct bytes){key, sizeof key}, &call->value,
                       &call->modified, &call->revision);
        outcome = SIMCALL_OK;
    }
    op_return(op, outcome);
    op_give_back(op);
}

static size_t call_begin(struct simclients *c, const struct simcall *call)
{
    mem_grow((void **)&c->calls, &c->call_cap, c->call_count + 1, sizeof *c->calls);
    c->calls[c->call_count] = *call;
    c->calls[c->call_count].called = world_now(c->world);
    c->calls[c->call_count].returned = NANOS_FOREVER;
    c->calls[c->call_count].is_pending = true;
    return c->call_count++;
}

static void op_encode(struct simop *op, const struct simcall *call, uint32_t value_bytes)
{
    uint8_t name[SIM_KEY_BYTES];
    simclient_key(call->key, name);
    const struct bytes key = {name, sizeof name};

    op->request = (struct node_request){.done = op_wrote, .owner = op};
    switch (call->kind) {
    case SIMCALL_PUT:
        op->request.kind = STORE_KIND_PUT;
        simclient_encode_put(&op->body, key, call->value, value_bytes, 0);
        break;
    case SIMCALL_SWAP:
        op->request.kind = STORE_KIND_TXN;
        simclient_encode_swap(&op->body, key, call->modified, call->value, value_bytes);
        break;
    case SIMCALL_DELETE:
        op->request.kind = STORE_KIND_DELETE;
        simclient_encode_delete(&op->body, key);
        break;
    case SIMCALL_GET:
    case SIMCALL_KINDS:
        break;
    }
    op->request.body = buf_view(&op->body);
}

/* Hands it to its member. False: the member refused, so it never happened. */
static bool op_hand_over(struct simop *op)
{
    struct simclients *c = op->all;
    struct simmember *m = &c->cluster->member[op->at];
    enum err refused;

    if (c->calls[op->call].kind == SIMCALL_GET) {
        op->read = (struct node_read){.done = op_has_read, .owner = op};
        op->committed = c->committed(c->ctx);
        refused = node_read(m->node, &op->read);
    } else {
        refused = node_propose(m->node, &op->request);
    }
    c->touched(c->ctx, op->at);
    return refused == OK;
}

/* A new operation at member `at`; NULL: the member does not take it. */
static struct simop *op_begin(struct simclients *c, const struct simcall *call, uint32_t at,
                              uint32_t value_bytes)
{
    if (!simmember_serves(&c->cluster->member[at]) ||
        simhost_is_paused(c->cluster->member[at].host)) {
        return NULL;
    }
    struct simop *op = op_take(c);
    if (op == NULL) {
        return NULL;
    }
    op->at = at;
    op->call = call_begin(c, call);
    op_encode(op, call, value_bytes);
    if (!op_hand_over(op)) {
        c->call_count--; /* it was the last, and leaves no trace */
        op_give_back(op);
        return NULL;
    }
    return op;
}

/* --- clients ---------------------------------------------------------------------------------- */

static enum simcall_kind client_draw_kind(struct simclient *client)
{
    const struct sim_settings *s = client->all->settings;
    const uint32_t weights[SIMCALL_KINDS] = {s->weight_get, s->weight_put, s->weight_swap,
                                             s->weight_delete};
    uint64_t sum = 0;
    size_t kind = 0;

    for (size_t i = 0; i < SIMCALL_KINDS; i++) {
        sum += weights[i];
    }
    uint64_t at = prng_below(&client->prng, sum);
    while (at >= weights[kind]) {
        at -= weights[kind++];
    }
    return (enum simcall_kind)kind;
}

static void client_acts(struct simclient *client)
{
    struct simclients *c = client->all;
    const struct sim_settings *s = c->settings;
    struct simcall call = {.kind = client_draw_kind(client), .client = client->i};

    call.key = (uint32_t)prng_below(&client->prng, s->keys);
    if (call.kind == SIMCALL_PUT || call.kind == SIMCALL_SWAP) {
        call.value = ++c->next_value;
    }
    call.expected = client->seen[call.key].value;
    call.modified = client->seen[call.key].modified;
    uint32_t most = prng_chance(&client->prng, 1, 50) ? s->large_bytes : s->value_bytes;
    uint32_t value_bytes = (uint32_t)prng_range(&client->prng, 8, u64_max(most, 8));
    nanos patience = prng_range(&client->prng, PATIENCE_MIN, PATIENCE_MAX);
    if (prng_chance(&client->prng, 1, 20)) {
        client->at = (uint32_t)prng_below(&client->prng, c->cluster->n);
    }
    call.at = client->at % c->cluster->n;
    client->op = op_begin(c, &call, call.at, value_bytes);
    if (client->op == NULL) {
        client->at++;
        patience = prng_range(&client->prng, 1, 2 * RETRY_AFTER);
    } else {
        client->op->client = client;
    }
    world_timer_set(c->world, &client->timer, world_now(c->world) + patience);
}

static void client_timer(struct world_timer *timer)
{
    struct simclient *client = timer->owner;

    if (client->op != NULL) {
        op_return(client->op, SIMCALL_UNKNOWN);
    } else if (!client->all->are_stopping) {
        client_acts(client);
    }
}

void simclients_init(struct simclients *c, struct simcluster *cluster, const struct prng *root)
{
    memset(c, 0, sizeof *c);
    c->cluster = cluster;
    c->settings = cluster->settings;
    CHECK(c->settings->clients <= SIM_CLIENTS_MAX && c->settings->keys <= SIM_KEYS_MAX);
    c->world = simhost_world(simhost_new(cluster->world, "clients", 0));
    c->client = mem_alloc_zero(c->settings->clients * sizeof *c->client);
    c->ops = mem_alloc_zero(SIM_OPS_MAX * sizeof *c->ops);
    for (uint32_t i = SIM_OPS_MAX; i-- > 0;) {
        c->ops[i].all = c;
        op_give_back(&c->ops[i]);
    }
    for (uint32_t i = 0; i < c->settings->clients; i++) {
        struct simclient *client = &c->client[i];
        client->all = c;
        client->i = i;
        client->at = i;
        client->prng = prng_fork(root, SIM_STREAM_CLIENTS + i);
        client->timer = (struct world_timer){.fire = client_timer, .owner = client};
    }
}

void simclients_deinit(struct simclients *c)
{
    for (uint32_t i = 0; i < SIM_OPS_MAX; i++) {
        buf_deinit(&c->ops[i].body);
    }
    mem_free(c->ops);
    mem_free(c->client);
    mem_free(c->calls);
}

void simclients_start(struct simclients *c)
{
    for (uint32_t i = 0; i < c->settings->clients; i++) {
        nanos think = prng_below(&c->client[i].prng, c->settings->think_time + 1);
        world_timer_set(c->world, &c->client[i].timer, world_now(c->world) + think);
    }
}

void simclients_stop(struct simclients *c)
{
    c->are_stopping = true;
}

uint32_t simclients_waiting(const struct simclients *c)
{
    uint32_t waiting = 0;

    for (uint32_t i = 0; i < c->settings->clients; i++) {
        waiting += c->client[i].op != NULL;
    }
    return waiting;
}

void simclients_member_gone(struct simclients *c, uint32_t i)
{
    for (uint32_t k = 0; k < SIM_OPS_MAX; k++) {
        struct simop *op = &c->ops[k];
        if (op->is_used && op->at == i) {
            op_return(op, SIMCALL_UNKNOWN);
            op_give_back(op);
        }
    }
}

bool simclients_ask(struct simclients *c, enum simcall_kind kind, uint32_t at, uint32_t key,
                    size_t *ret_call)
{
    struct simcall call = {.kind = kind, .client = SIM_CLIENTS_MAX, .key = key, .at = at};

    if (kind == SIMCALL_PUT) {
        call.value = ++c->next_value;
    }
    struct simop *op = op_begin(c, &call, at, 8);
    if (op == NULL) {
        return false;
    }
    *ret_call = op->call;
    return true;
}
