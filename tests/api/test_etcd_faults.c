/*
 * Clients of the API on three members that are cut off, killed and started again: what they saw
 * must be linearizable, with the revisions that the answers name; and a watch that is opened anew
 * wherever there is a member must tell each change once and in order.
 */
#include <stdio.h>
#include <string.h>

#include "core/chaos/check/lin.h"
#include "core/chaos/check/watch_check.h"
#include "core/chaos/simnet.h"
#include "core/store/store_pb.h"
#include "tests/api/api_cluster.h"
#include "tests/support/test.h"

#define CLIENTS   6
#define KEYS      3
#define OPS_MAX   4000
#define TRUTH_MAX 8000

struct client {
    struct rpc_call *call; /* NULL: between two operations */
    uint32_t member;
    struct lin_op op;
};

struct faulty {
    struct api_cluster c;
    struct prng prng;
    struct client client[CLIENTS];
    struct lin_op ops[OPS_MAX];
    size_t op_count;
    uint64_t tick; /* the driver's own time: one event, one tick */
    uint64_t value;

    /* The truth, from the entries that members apply. */
    struct store *oracle;
    uint64_t oracle_index;
    struct watch_change truth[TRUTH_MAX];
    size_t truth_count;
    struct {
        bool exists;
        int64_t mod;
    } known[KEYS];

    struct rpc_call *watch; /* NULL: to be opened */
    uint32_t watch_member;
    size_t watch_at; /* answers that were looked at */
    struct watch_check check;
};

static const char *const key_names[KEYS] = {"a", "b", "c"};

static struct bytes key_named(uint64_t k)
{
    return (struct bytes){(const uint8_t *)key_names[k], 1};
}

static struct bytes value_bytes(const uint64_t *v)
{
    return (struct bytes){(const uint8_t *)v, sizeof(*v)};
}

/* --- messages -------------------------------------------------------------------------------- */

static struct bytes field_of(struct bytes message, uint32_t number)
{
    struct store_pb pb;
    struct store_pb_field f;
    struct bytes found = {0};
    store_pb_init(&pb, message);
    while (store_pb_next(&pb, &f)) {
        found = f.number == number && f.wire == STORE_PB_LEN ? f.bytes : found;
    }
    return found;
}

static uint64_t value_in(struct bytes kv)
{
    struct bytes v = field_of(kv, 5);
    uint64_t value = 0;
    if (v.len == sizeof(value)) {
        memcpy(&value, v.data, sizeof(value));
    }
    return value;
}

static void encode_cas(struct buf *b, const struct lin_op *op)
{
    size_t compare = store_pb_open(b, 1);
    store_compare_encode(b, &(struct store_compare){.result = STORE_COMPARE_EQUAL,
                                                    .target = STORE_COMPARE_VALUE,
                                                    .key = key_named(op->key),
                                                    .given = 7,
                                                    .value = value_bytes(&op->expected)});
    store_pb_close(b, compare);
    size_t success = store_pb_open(b, 2);
    size_t put = store_pb_open(b, STORE_OP_PUT);
    store_put_encode(b, &(struct store_put_request){.key = key_named(op->key),
                                                    .value = value_bytes(&op->value)});
    store_pb_close(b, put);
    store_pb_close(b, success);
}

/* --- clients --------------------------------------------------------------------------------- */

static bool pick_member(struct faulty *f, uint32_t *ret)
{
    uint32_t i = (uint32_t)prng_below(&f->prng, 3);
    for (uint32_t k = 0; k < 3; k++) {
        if (f->c.member[(i + k) % 3].node) {
            *ret = (i + k) % 3;
            return true;
        }
    }
    return false;
}

static void client_begin(struct faulty *f, struct client *client, uint32_t process)
{
    static const char *const methods[] = {"KV/Range", "KV/Put", "KV/DeleteRange", "KV/Txn"};
    static const uint8_t kinds[] = {LIN_READ, LIN_WRITE, LIN_DELETE, LIN_CAS};
    if (f->op_count + CLIENTS > OPS_MAX || !pick_member(f, &client->member)) {
        return;
    }
    size_t what = (size_t)prng_below(&f->prng, 8);
    what = what < 3 ? 0 : what < 5 ? 1 : what < 6 ? 2 : 3;
    client->op = (struct lin_op){.invoked = ++f->tick,
                                 .key = prng_below(&f->prng, KEYS),
                                 .process = process,
                                 .kind = kinds[what]};
    struct bytes key = key_named(client->op.key);
    struct buf b;
    buf_init(&b);
    if (what == 0) {
        store_range_encode(&b, &(struct store_range_request){.key = key});
    } else if (what == 2) {
        store_delete_encode(&b, &(struct store_delete_request){.key = key});
    } else {
        client->op.value = ++f->value;
        /* One of the last few; never 0, which would be that there is none. */
        client->op.expected = u64_max(u64_sub_sat(f->value, 1 + prng_below(&f->prng, 5)), 1);
    }
    if (what == 1) {
        store_put_encode(
            &b, &(struct store_put_request){.key = key, .value = value_bytes(&client->op.value)});
    } else if (what == 3) {
        encode_cas(&b, &client->op);
    }
    client->call = api_call(&f->c, client->member, methods[what], NULL);
    fake_call_message(client->call, buf_view(&b));
    buf_deinit(&b);
}

/* What was certainly not applied; anything else may have been. */
static bool is_certain(const struct rpc_call *call)
{
    return strcmp(call->text, "etcdserver: no leader") == 0 ||
           strcmp(call->text, "etcdserver: server stopped") == 0;
}

static void client_judge(struct lin_op *op, const struct rpc_call *call)
{
    struct bytes answer = fake_call_answer(call, 0);
    op->revision = (uint64_t)api_header(answer, 3);
    if (op->kind == LIN_READ) {
        struct bytes kv = field_of(answer, 2);
        op->value = value_in(kv);
        op->mod_revision = op->value != 0 ? (uint64_t)api_number(kv, 3) : 0;
    } else if (op->kind == LIN_DELETE && api_number(answer, 2) == 0) {
        op->kind = LIN_READ; /* there was nothing */
    } else if (op->kind == LIN_CAS && api_number(answer, 2) == 0) {
        op->kind = LIN_CAS_MISS;
    }
}

static void client_end(struct faulty *f, struct client *client)
{
    struct lin_op op = client->op;
    bool is_read = op.kind == LIN_READ;
    op.returned = ++f->tick;
    if (client->call->is_finished && client->call->status == RPC_OK) {
        op.outcome = LIN_OK;
        client_judge(&op, client->call);
    } else {
        bool failed = is_read || (client->call->is_finished && is_certain(client->call));
        op.outcome = failed ? LIN_FAILED : LIN_UNKNOWN;
    }
    f->ops[f->op_count++] = op;
    api_close(&f->c, client->call);
    client->call = NULL;
}

/* --- the truth ------------------------------------------------------------------------------- */

static void oracle_look(struct faulty *f, int64_t revision)
{
    struct buf request;
    struct buf response;
    buf_init(&request);
    buf_init(&response);
    for (size_t k = 0; k < KEYS; k++) {
        int64_t ignored;
        buf_clear(&request);
        buf_clear(&response);
        store_range_encode(&request, &(struct store_range_request){.key = key_named(k)});
        assert_int_equal(store_range_read(f->oracle, buf_view(&request), &ignored, &response),
                         STORE_OK);
        struct bytes kv = field_of(buf_view(&response), 2);
        bool exists = kv.len > 0;
        int64_t mod = exists ? api_number(kv, 3) : 0;
        bool changed = exists ? mod == revision : f->known[k].exists;
        f->known[k].exists = exists;
        f->known[k].mod = mod;
        if (changed) {
            assert_true(f->truth_count < TRUTH_MAX);
            f->truth[f->truth_count++] =
                (struct watch_change){.revision = (uint64_t)revision,
                                      .key = key_named(k),
                                      .value = exists ? value_in(kv) : 0,
                                      .kind = exists ? WATCH_PUT : WATCH_DELETE};
        }
    }
    buf_deinit(&request);
    buf_deinit(&response);
}

static void oracle_apply(void *ctx, const struct raft_entry *e)
{
    struct faulty *f = ctx;
    if (e->index <= f->oracle_index) {
        return;
    }
    f->oracle_index = e->index;
    struct store_entry entry = {.index = e->index, .term = e->term};
    if (e->type == RAFT_ENTRY_NORMAL) {
        entry.payload = e->payload;
    }
    struct store_result result;
    int64_t before = store_revision(f->oracle);
    assert_int_equal(store_apply(f->oracle, &entry, &result, NULL), OK);
    if (store_revision(f->oracle) > before) {
        oracle_look(f, store_revision(f->oracle));
    }
}

/* --- the watch ------------------------------------------------------------------------------- */

static void watch_open(struct faulty *f)
{
    if (!pick_member(f, &f->watch_member) || !node_is_ready(f->c.member[f->watch_member].node)) {
        return;
    }
    char text[64];
    uint64_t start = f->check.seen + 1;
    f->watch = api_call(&f->c, f->watch_member, "Watch/Watch", NULL);
    (void)snprintf(text, sizeof(text), "1:{1:'a' 2:'d' 3:%llu}", (unsigned long long)start);
    struct watch_truth truth = {f->truth, f->truth_count, 0};
    struct watch_verdict v = watch_check_resumed(&f->check, &truth, start, NULL);
    assert_int_equal(v.fault, WATCH_RIGHT);
    f->watch_at = 0;
    api_message(f->watch, text);
}

static void watch_answer(struct faulty *f, struct bytes answer)
{
    struct watch_change events[64];
    size_t count = 0;
    struct store_pb pb;
    struct store_pb_field g;
    store_pb_init(&pb, answer);
    while (store_pb_next(&pb, &g)) {
        if (g.number == 11) {
            struct bytes kv = field_of(g.bytes, 2);
            assert_true(count < COUNT_OF(events));
            events[count++] =
                (struct watch_change){.revision = (uint64_t)api_number(kv, 3),
                                      .key = field_of(kv, 1),
                                      .value = value_in(kv),
                                      .kind = api_number(g.bytes, 1) ? WATCH_DELETE : WATCH_PUT};
        }
    }
    struct watch_truth truth = {f->truth, f->truth_count, 0};
    struct buf why;
    buf_init(&why);
    struct watch_verdict v = count > 0
                                 ? watch_check_events(&f->check, &truth, events, count, false, &why)
                                 : f->check.verdict;
    if (v.fault != WATCH_RIGHT) {
        print_message("# %.*s\n", (int)why.len, (const char *)why.data);
    }
    assert_int_equal(v.fault, WATCH_RIGHT);
    buf_deinit(&why);
}

static void watch_look(struct faulty *f)
{
    for (; f->watch && f->watch_at < f->watch->count; f->watch_at++) {
        watch_answer(f, fake_call_answer(f->watch, f->watch_at));
    }
    if (f->watch && (f->watch->is_finished || f->watch->count > 200)) {
        api_close(&f->c, f->watch); /* a client that goes elsewhere now and then */
        f->watch = NULL;
    }
    if (!f->watch) {
        watch_open(f);
    }
}

/* --- faults ---------------------------------------------------------------------------------- */

static void forget_calls_at(struct faulty *f, uint32_t member)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        if (f->client[i].call && f->client[i].member == member) {
            client_end(f, &f->client[i]);
        }
    }
    if (f->watch && f->watch_member == member) {
        watch_look(f);
        if (f->watch && f->watch_member == member) {
            api_close(&f->c, f->watch);
            f->watch = NULL;
        }
    }
}

static void heal(struct faulty *f)
{
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t k = i + 1; k < 3; k++) {
            simnet_cut(f->c.member[i].host, f->c.member[k].host, false);
        }
        if (!f->c.member[i].node) {
            api_member_start(&f->c, i);
        }
    }
}

static void fault(struct faulty *f)
{
    uint32_t i = (uint32_t)prng_below(&f->prng, 3);
    uint32_t other = (i + 1 + (uint32_t)prng_below(&f->prng, 2)) % 3;
    switch (prng_below(&f->prng, 6)) {
    case 0:
        if (f->c.member[i].node && node_is_ready(f->c.member[i].node)) {
            forget_calls_at(f, i);
            api_member_stop(&f->c, i);
        }
        break;
    case 1:
        simnet_cut(f->c.member[i].host, f->c.member[other].host, true);
        break;
    case 2:
        for (uint32_t k = 0; k < 3; k++) {
            if (k != i) {
                simnet_cut(f->c.member[i].host, f->c.member[k].host, true);
            }
        }
        break;
    default:
        heal(f);
        break;
    }
}

/* --- the test -------------------------------------------------------------------------------- */

static void turn(struct faulty *f, bool begins)
{
    api_cluster_run(&f->c, NANOS_PER_MS);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        struct client *client = &f->client[i];
        if (client->call && client->call->is_finished) {
            client_end(f, client);
        }
        if (!client->call && begins && prng_chance(&f->prng, 1, 30)) {
            client_begin(f, client, i);
        }
    }
    watch_look(f);
}

static void run_seed(struct faulty *f, uint64_t seed)
{
    memset(f, 0, sizeof(*f));
    prng_init(&f->prng, seed);
    f->oracle = store_open(2);
    f->oracle_index = 1;
    api_cluster_init(&f->c, seed, 3);
    f->c.snapshot_entries = 60;
    f->c.on_applied = oracle_apply;
    f->c.on_applied_ctx = f;
    api_cluster_start(&f->c);
    struct watch_interest interest = {
        .from = key_named(0), .to = {(const uint8_t *)"d", 1}, .start_revision = 2};
    watch_check_init(&f->check, &interest);
    f->check.seen = 1;
    for (int round = 0; round < 40; round++) {
        fault(f);
        uint64_t turns = 100 + prng_below(&f->prng, 3000);
        for (uint64_t i = 0; i < turns; i++) {
            turn(f, true);
        }
    }
    heal(f);
    for (int i = 0; i < 12000; i++) {
        turn(f, false);
    }
}

static void check_history(const struct faulty *f)
{
    struct lin_limits limits = lin_limits_plain();
    struct lin *lin = lin_open(&limits);
    struct lin_report report;
    struct buf why;
    buf_init(&why);
    lin_check(lin, f->ops, f->op_count, NULL, NULL, &report, &why);
    if (report.verdict != LIN_LINEARIZABLE) {
        print_message("# %.*s\n", (int)why.len, (const char *)why.data);
    }
    assert_int_equal(report.verdict, LIN_LINEARIZABLE);
    buf_deinit(&why);
    lin_close(lin);
}

static void what_clients_see_through_faults_is_linearizable(void **state)
{
    (void)state;
    static struct faulty f;
    struct prng seeds = test_prng(__func__);
    size_t rounds = test_rounds(3);
    for (size_t i = 0; i < rounds; i++) {
        uint64_t seed = prng_u64(&seeds);
        run_seed(&f, seed);
        size_t done = 0;
        for (size_t k = 0; k < f.op_count; k++) {
            done += f.ops[k].outcome == LIN_OK;
        }
        print_message("# %zu operations, %zu went well, %zu changes\n", f.op_count, done,
                      f.truth_count);
        assert_true(done > 200);
        check_history(&f);
        struct watch_truth truth = {f.truth, f.truth_count, 0};
        struct buf why;
        buf_init(&why);
        struct watch_verdict v =
            watch_check_caught_up(&f.check, &truth, (uint64_t)store_revision(f.oracle), &why);
        if (v.fault != WATCH_RIGHT) {
            print_message("# %.*s\n", (int)why.len, (const char *)why.data);
        }
        buf_deinit(&why);
        assert_int_equal(v.fault, WATCH_RIGHT);
        for (size_t k = 0; k < CLIENTS; k++) {
            if (f.client[k].call) {
                client_end(&f, &f.client[k]);
            }
        }
        if (f.watch) {
            api_close(&f.c, f.watch);
        }
        api_cluster_deinit(&f.c);
        store_close(f.oracle);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_clients_see_through_faults_is_linearizable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
