/* The store against the reference model: random operations, and after each of them the same
 * answers. */
#include "tests/core/store/store_fixture.h"
#include "tests/core/store/store_model.h"

#include <string.h>

#include "core/store/store_int.h"
#include "core/store/store_pb.h"

#define MODEL_KEYS 24

struct pair {
    struct fixture f;
    struct model m;
    struct prng prng;
};

/* One of a few keys: short, nested, with zeros. */
static struct bytes random_key(struct prng *prng, uint8_t *scratch)
{
    uint64_t i = prng_below(prng, MODEL_KEYS);
    size_t len = 1 + i % 3;
    for (size_t at = 0; at < len; at++) {
        scratch[at] = (uint8_t)((i >> at) % 3 == 0 ? 0 : 'a' + (i >> at) % 5);
    }
    if (scratch[0] == 0) {
        scratch[0] = 'm';
    }
    return (struct bytes){scratch, len};
}

static struct bytes random_value(struct prng *prng, uint8_t *scratch)
{
    size_t len = prng_below(prng, MODEL_VALUE_BYTES + 1);
    for (size_t i = 0; i < len; i++) {
        scratch[i] = (uint8_t)prng_below(prng, 4);
    }
    return (struct bytes){scratch, len};
}

static struct bytes random_end(struct prng *prng, uint8_t *scratch)
{
    switch (prng_below(prng, 4)) {
    case 0:
        return (struct bytes){scratch, 0};
    case 1:
        scratch[0] = 0;
        return (struct bytes){scratch, 1};
    default:
        return random_key(prng, scratch);
    }
}

static void do_put(struct pair *p)
{
    uint8_t key[MODEL_KEY_BYTES];
    uint8_t value[MODEL_VALUE_BYTES];
    struct store_put_request r = {
        .key = random_key(&p->prng, key),
        .value = random_value(&p->prng, value),
        .lease =
            (int64_t)(prng_chance(&p->prng, 1, 2) ? prng_below(&p->prng, MODEL_LEASES + 1) : 0),
    };
    bool fails = r.lease != 0 && !p->m.lease_exists[r.lease];
    assert_int_equal(fixture_put_request(&p->f, &r), fails ? STORE_LEASE_NOT_FOUND : STORE_OK);
    if (!fails) {
        model_put(&p->m, r.key, r.value, r.lease);
        model_commit(&p->m);
    }
}

static void do_delete(struct pair *p)
{
    uint8_t key[MODEL_KEY_BYTES];
    uint8_t end[MODEL_KEY_BYTES];
    struct store_delete_request r = {.key = random_key(&p->prng, key),
                                     .range_end = random_end(&p->prng, end)};
    buf_clear(&p->f.body);
    store_delete_encode(&p->f.body, &r);
    assert_int_equal(fixture_apply(&p->f, STORE_KIND_DELETE, buf_view(&p->f.body)), STORE_OK);
    struct store_span span = store_span_of(r.key, r.range_end);
    size_t deleted = model_delete(&p->m, &span);
    model_commit(&p->m);
    assert_int_equal(fixture_number(buf_view(&p->f.response), 2), deleted);
}

static void do_txn(struct pair *p)
{
    uint8_t key[MODEL_KEY_BYTES];
    uint8_t value[MODEL_VALUE_BYTES];
    struct buf txn;
    struct buf body;
    buf_init(&txn);
    buf_init(&body);
    struct store_compare c = {.target = STORE_COMPARE_VERSION,
                              .result = STORE_COMPARE_GREATER,
                              .key = random_key(&p->prng, key),
                              .given = 4,
                              .number = (int64_t)prng_below(&p->prng, 4)};
    txn_compare(&txn, &c);
    struct store_span point = {.first = c.key};
    const struct model_change *found[256];
    size_t n = model_range(&p->m, &point, INT64_MAX, found, COUNT_OF(found));
    bool holds = (n == 0 ? 0 : found[0]->version) > c.number;
    for (int branch = 0; branch < 2; branch++) {
        bool success = branch == 0;
        uint8_t used[MODEL_KEYS][MODEL_KEY_BYTES];
        struct bytes puts[4];
        size_t count = 0;
        for (size_t i = 0; i < 4; i++) {
            struct bytes k = random_key(&p->prng, used[i]);
            struct bytes v = random_value(&p->prng, value);
            bool twice = false;
            for (size_t seen = 0; seen < count; seen++) {
                twice = twice || store_bytes_cmp(puts[seen], k) == 0;
            }
            if (twice) {
                continue;
            }
            puts[count++] = k;
            buf_clear(&body);
            store_put_encode(&body, &(struct store_put_request){.key = k, .value = v});
            txn_op(&txn, success, STORE_OP_PUT, buf_view(&body));
            if (success == holds) {
                model_put(&p->m, k, v, 0);
            }
        }
    }
    model_commit(&p->m);
    assert_int_equal(fixture_apply(&p->f, STORE_KIND_TXN, buf_view(&txn)), STORE_OK);
    assert_int_equal(fixture_number(buf_view(&p->f.response), 2), holds ? 1 : 0);
    buf_deinit(&txn);
    buf_deinit(&body);
}

static void do_lease(struct pair *p)
{
    int64_t id = (int64_t)prng_range(&p->prng, 1, MODEL_LEASES);
    if (p->m.lease_exists[id]) {
        assert_int_equal(fixture_grant(&p->f, id, 10), STORE_LEASE_EXISTS);
        assert_int_equal(fixture_revoke(&p->f, id), STORE_OK);
        model_revoke(&p->m, id);
        model_commit(&p->m);
    } else {
        assert_int_equal(fixture_revoke(&p->f, id), STORE_LEASE_NOT_FOUND);
        assert_int_equal(fixture_grant(&p->f, id, 10), STORE_OK);
        p->m.lease_exists[id] = true;
    }
}

static void do_compact(struct pair *p)
{
    int64_t revision = (int64_t)prng_range(&p->prng, 1, (uint64_t)p->m.revision + 2);
    enum store_status expected = STORE_OK;
    if (revision <= p->m.compacted) {
        expected = STORE_REVISION_COMPACTED;
    } else if (revision > p->m.revision) {
        expected = STORE_REVISION_FUTURE;
    }
    if (expected == STORE_OK && !prng_chance(&p->prng, 1, 4)) {
        return;
    }
    assert_int_equal(fixture_compact(&p->f, revision), expected);
    if (expected == STORE_OK) {
        p->m.compacted = revision;
    }
}

static void compare_kv(const struct fixture_kv *kv, const struct model_change *c, bool keys_only)
{
    assert_int_equal(store_bytes_cmp(kv->key, model_key(c)), 0);
    assert_int_equal(kv->value.len, keys_only ? 0 : c->value_len);
    if (kv->value.len > 0) {
        assert_memory_equal(kv->value.data, c->value, c->value_len);
    }
    assert_int_equal(kv->create, c->create);
    assert_int_equal(kv->mod, c->mod);
    assert_int_equal(kv->version, c->version);
    assert_int_equal(kv->lease, c->lease);
}

static int64_t sort_number(const struct model_change *c, int32_t target)
{
    return target == STORE_SORT_VERSION  ? c->version
           : target == STORE_SORT_CREATE ? c->create
                                         : c->mod;
}

/* Does `a` come before `b`? Equal ones stay in the order of their keys. */
static bool model_before(const struct store_range_request *r, const struct model_change *a,
                         const struct model_change *b)
{
    int order = store_bytes_cmp(model_key(a), model_key(b));
    if (r->sort_target == STORE_SORT_KEY) {
        return r->sort_order == STORE_SORT_DESCEND ? order > 0 : order < 0;
    }
    int main_order = 0;
    if (r->sort_target == STORE_SORT_VALUE) {
        main_order = store_bytes_cmp((struct bytes){a->value, a->value_len},
                                     (struct bytes){b->value, b->value_len});
    } else {
        int64_t x = sort_number(a, r->sort_target);
        int64_t y = sort_number(b, r->sort_target);
        main_order = (x > y) - (x < y);
    }
    if (main_order == 0) {
        return order < 0;
    }
    return r->sort_order == STORE_SORT_DESCEND ? main_order > 0 : main_order < 0;
}

static size_t model_answer(const struct model *m, const struct store_range_request *r,
                           const struct model_change **found, size_t max, size_t *ret_count)
{
    struct store_span span = store_span_of(r->key, r->range_end);
    int64_t revision = r->revision > 0 ? r->revision : m->revision;
    size_t n = model_range(m, &span, revision, found, max);
    *ret_count = n;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const struct model_change *c = found[i];
        if ((r->min_mod_revision == 0 || c->mod >= r->min_mod_revision) &&
            (r->max_mod_revision == 0 || c->mod <= r->max_mod_revision) &&
            (r->min_create_revision == 0 || c->create >= r->min_create_revision) &&
            (r->max_create_revision == 0 || c->create <= r->max_create_revision)) {
            found[kept++] = c;
        }
    }
    for (size_t i = 1; i < kept; i++) {
        const struct model_change *c = found[i];
        size_t at = i;
        while (at > 0 && model_before(r, c, found[at - 1])) {
            found[at] = found[at - 1];
            at--;
        }
        found[at] = c;
    }
    return kept;
}

static struct store_range_request random_range(struct pair *p, uint8_t *key, uint8_t *end)
{
    struct prng *prng = &p->prng;
    struct store_range_request r = {
        .key = random_key(prng, key),
        .range_end = random_end(prng, end),
        .sort_order = (int32_t)prng_below(prng, STORE_SORT_ORDERS),
        .sort_target = (int32_t)prng_below(prng, STORE_SORT_TARGETS),
        .keys_only = prng_chance(prng, 1, 4),
        .count_only = prng_chance(prng, 1, 8),
    };
    if (prng_chance(prng, 1, 2)) {
        r.limit = (int64_t)prng_below(prng, 6);
    }
    if (prng_chance(prng, 1, 2)) {
        r.revision = (int64_t)prng_below(prng, (uint64_t)p->m.revision + 2);
    }
    int64_t *filters[] = {&r.min_mod_revision, &r.max_mod_revision, &r.min_create_revision,
                          &r.max_create_revision};
    for (size_t i = 0; i < COUNT_OF(filters); i++) {
        if (prng_chance(prng, 1, 6)) {
            *filters[i] = (int64_t)prng_below(prng, (uint64_t)p->m.revision + 1);
        }
    }
    return r;
}

/* Asks both; by the reader in small steps too, with writes of nothing in between. */
static void compare_range(struct pair *p)
{
    uint8_t key[MODEL_KEY_BYTES];
    uint8_t end[MODEL_KEY_BYTES];
    struct store_range_request r = random_range(p, key, end);
    struct fixture_range range = fixture_range(&p->f, &r);
    if (r.revision > p->m.revision) {
        assert_int_equal(range.status, STORE_REVISION_FUTURE);
        return;
    }
    if (r.revision > 0 && r.revision < p->m.compacted) {
        assert_int_equal(range.status, STORE_REVISION_COMPACTED);
        return;
    }
    const struct model_change *found[256];
    size_t count = 0;
    size_t kept = model_answer(&p->m, &r, found, COUNT_OF(found), &count);
    assert_int_equal(range.status, STORE_OK);
    assert_int_equal(range.count, count);
    if (r.count_only) {
        assert_int_equal(range.count_kvs, 0);
        assert_false(range.more);
        return;
    }
    size_t expected = r.limit > 0 && kept > (size_t)r.limit ? (size_t)r.limit : kept;
    assert_int_equal(range.count_kvs, expected);
    assert_int_equal(range.more, kept > expected);
    for (size_t i = 0; i < expected; i++) {
        compare_kv(&range.kvs[i], found[i], r.keys_only);
    }
}

static void compare_reader(struct pair *p)
{
    uint8_t key[MODEL_KEY_BYTES];
    uint8_t end[MODEL_KEY_BYTES];
    struct store_range_request r = random_range(p, key, end);
    struct fixture_range at_once = fixture_range(&p->f, &r);
    if (at_once.status != STORE_OK) {
        return;
    }
    struct buf whole;
    struct buf parts;
    buf_init(&whole);
    buf_init(&parts);
    buf_put(&whole, p->f.response.data, p->f.response.len);
    struct store_reader *reader = NULL;
    buf_clear(&p->f.body);
    store_range_encode(&p->f.body, &r);
    assert_int_equal(store_reader_open(p->f.store, buf_view(&p->f.body), &reader), STORE_OK);
    for (;;) {
        enum err e = store_reader_step(reader, 1 + prng_below(&p->prng, 3), &parts);
        if (e == OK) {
            break;
        }
        assert_int_equal(e, ERR_PENDING);
        switch (prng_below(&p->prng, 5)) {
        case 0:
            do_put(p);
            break;
        case 1:
            do_delete(p);
            break;
        case 2:
            do_compact(p);
            break;
        default:
            break;
        }
        (void)store_work(p->f.store, 8);
    }
    assert_int_equal(parts.len, whole.len);
    if (whole.len > 0) {
        assert_memory_equal(parts.data, whole.data, whole.len);
    }
    store_reader_close(reader);
    buf_deinit(&whole);
    buf_deinit(&parts);
}

static void answers_as_the_reference_model_does(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(20); round++) {
        struct pair p = {.prng = prng_fork(&prng, round)};
        fixture_init(&p.f);
        model_init(&p.m);
        for (size_t i = 0; i < 400; i++) {
            static void (*const steps[])(struct pair *) = {do_put,    do_put, do_put,   do_put,
                                                           do_delete, do_txn, do_lease, do_compact};
            steps[prng_below(&p.prng, COUNT_OF(steps))](&p);
            (void)store_work(p.f.store, prng_below(&p.prng, 4));
            assert_int_equal(store_revision(p.f.store), p.m.revision);
            assert_int_equal(store_compact_revision(p.f.store), p.m.compacted);
            compare_range(&p);
            compare_range(&p);
            if (i % 4 == 0) {
                compare_reader(&p);
            }
            if (i % 50 == 0) {
                store_check(p.f.store);
            }
        }
        model_deinit(&p.m);
        fixture_deinit(&p.f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_as_the_reference_model_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
