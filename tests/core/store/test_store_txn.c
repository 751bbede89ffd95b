/* Transactions, one rule of etcd after the other. */
#include "tests/core/store/store_fixture.h"

#include <stdio.h>
#include <string.h>

#include "core/store/store_limits.h"
#include "core/store/store_pb.h"

struct txn_scene {
    struct fixture f;
    struct buf txn;
    struct buf nested;
};

static void txn_scene_init(struct txn_scene *s)
{
    fixture_init(&s->f);
    buf_init(&s->txn);
    buf_init(&s->nested);
}

static void txn_scene_deinit(struct txn_scene *s)
{
    buf_deinit(&s->txn);
    buf_deinit(&s->nested);
    fixture_deinit(&s->f);
}

static enum store_status run(struct txn_scene *s)
{
    return fixture_apply(&s->f, STORE_KIND_TXN, buf_view(&s->txn));
}

static bool succeeded(const struct txn_scene *s)
{
    return fixture_number(buf_view(&s->f.response), 2) != 0;
}

/* The n-th ResponseOp's message of this kind. */
static struct bytes response_op(const struct txn_scene *s, size_t n, uint32_t kind)
{
    struct store_pb pb;
    struct store_pb_field field;
    store_pb_init(&pb, buf_view(&s->f.response));
    while (store_pb_next(&pb, &field)) {
        if (field.number == 3 && n-- == 0) {
            return fixture_field(field.bytes, kind);
        }
    }
    fail();
    return (struct bytes){0};
}

static bool holds(struct txn_scene *s, struct store_compare c)
{
    buf_clear(&s->txn);
    txn_compare(&s->txn, &c);
    assert_int_equal(run(s), STORE_OK);
    return succeeded(s);
}

static struct store_compare compare(const char *key, int32_t target, int32_t result, int64_t number)
{
    return (struct store_compare){.key = text(key),
                                  .target = target,
                                  .result = result,
                                  .given = target == STORE_COMPARE_LEASE ? 8 : (uint32_t)target + 4,
                                  .number = number};
}

static void compares_every_target_in_every_way(void **state)
{
    (void)state;
    struct txn_scene s;
    txn_scene_init(&s);
    assert_int_equal(fixture_grant(&s.f, 7, 10), STORE_OK);
    assert_int_equal(fixture_put(&s.f, "x", "1"), STORE_OK);
    assert_int_equal(
        fixture_put_request(
            &s.f, &(struct store_put_request){.key = text("x"), .value = text("m"), .lease = 7}),
        STORE_OK);
    const struct {
        int32_t target;
        int64_t actual;
    } numbers[] = {{STORE_COMPARE_VERSION, 2},
                   {STORE_COMPARE_CREATE, 2},
                   {STORE_COMPARE_MOD, 3},
                   {STORE_COMPARE_LEASE, 7}};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        for (int64_t by = -1; by <= 1; by++) {
            int32_t target = numbers[i].target;
            int64_t given = numbers[i].actual + by;
            assert_int_equal(holds(&s, compare("x", target, STORE_COMPARE_EQUAL, given)), by == 0);
            assert_int_equal(holds(&s, compare("x", target, STORE_COMPARE_NOT_EQUAL, given)),
                             by != 0);
            assert_int_equal(holds(&s, compare("x", target, STORE_COMPARE_GREATER, given)), by < 0);
            assert_int_equal(holds(&s, compare("x", target, STORE_COMPARE_LESS, given)), by > 0);
        }
    }
    const char *values[] = {"l", "m", "ma"};
    for (int i = 0; i < 3; i++) {
        struct store_compare c = {
            .key = text("x"), .target = STORE_COMPARE_VALUE, .given = 7, .value = text(values[i])};
        c.result = STORE_COMPARE_EQUAL;
        assert_int_equal(holds(&s, c), i == 1);
        c.result = STORE_COMPARE_GREATER;
        assert_int_equal(holds(&s, c), i == 0);
        c.result = STORE_COMPARE_LESS;
        assert_int_equal(holds(&s, c), i == 2);
        c.result = STORE_COMPARE_NOT_EQUAL;
        assert_int_equal(holds(&s, c), i != 1);
    }
    txn_scene_deinit(&s);
}

static void a_missing_key_compares_as_zero_but_its_value_never(void **state)
{
    (void)state;
    struct txn_scene s;
    txn_scene_init(&s);
    for (int32_t target = STORE_COMPARE_VERSION; target <= STORE_COMPARE_LEASE; target++) {
        if (target != STORE_COMPARE_VALUE) {
            assert_true(holds(&s, compare("no", target, STORE_COMPARE_EQUAL, 0)));
            assert_false(holds(&s, compare("no", target, STORE_COMPARE_GREATER, 0)));
        }
    }
    for (int32_t result = STORE_COMPARE_EQUAL; result <= STORE_COMPARE_NOT_EQUAL; result++) {
        assert_false(holds(&s, (struct store_compare){.key = text("no"),
                                                      .target = STORE_COMPARE_VALUE,
                                                      .result = result,
                                                      .given = 7,
                                                      .value = text("v")}));
    }
    txn_scene_deinit(&s);
}

static void a_range_compare_holds_for_all_of_its_keys(void **state)
{
    (void)state;
    struct txn_scene s;
    txn_scene_init(&s);
    assert_int_equal(fixture_put(&s.f, "a1", "x"), STORE_OK);
    assert_int_equal(fixture_put(&s.f, "a2", "x"), STORE_OK);
    assert_int_equal(fixture_put(&s.f, "a2", "x"), STORE_OK);
    struct store_compare c = compare("a", STORE_COMPARE_VERSION, STORE_COMPARE_GREATER, 0);
    c.range_end = text("b");
    assert_true(holds(&s, c));
    c.number = 1;
    assert_false(holds(&s, c));
    txn_scene_deinit(&s);
}

static void all_writes_of_a_txn_have_one_revision(void **state)
{
    (void)state;
    struct txn_scene s;
    txn_scene_init(&s);
    txn_put(&s.txn, true, "a", "1");
    txn_range(&s.txn, true, "a", "");
    txn_put(&s.txn, true, "b", "2");
    txn_delete(&s.txn, true, "c", "d");
    assert_int_equal(run(&s), STORE_OK);
    assert_true(succeeded(&s));
    assert_int_equal(s.f.result.revision, 2);
    /* The range sees the put before it, and its header says so. */
    struct bytes range = response_op(&s, 1, STORE_OP_RANGE);
    assert_int_equal(fixture_decode_range(range).count, 1);
    assert_int_equal(fixture_number(fixture_field(range, 1), 3), 2);
    assert_int_equal(fixture_number(response_op(&s, 3, STORE_OP_DELETE), 2), 0);
    struct fixture_range got = fixture_range(
        &s.f, &(struct store_range_request){.key = text("a"), .range_end = text("z")});
    assert_int_equal(got.count_kvs, 2);
    assert_int_equal(got.kvs[0].mod, 2);
    assert_int_equal(got.kvs[1].mod, 2);
    txn_scene_deinit(&s);
}

static void a_txn_that_changes_nothing_makes_no_revision(void **state)
{
    (void)state;
    struct txn_scene s;
    txn_scene_init(&s);
    assert_int_equal(run(&s), STORE_OK);
    assert_true(succeeded(&s));
    txn_delete(&s.txn, true, "a", "z");
    txn_range(&s.txn, true, "a", "z");
    assert_int_equal(run(&s), STORE_OK);
    assert_int_equal(s.f.result.revision, 1);
    assert_int_equal(store_revision(s.f.store), 1);
    txn_scene_deinit(&s);
}

static void nested_compares_see_the_state_before_the_txn(void **state)
{
    (void)state;
    struct txn_scene s;
    txn_scene_init(&s);
    struct store_compare c = compare("a", STORE_COMPARE_VERSION, STORE_COMPARE_EQUAL, 0);
    txn_compare(&s.nested, &c);
    txn_put(&s.nested, true, "b", "was missing");
    txn_put(&s.nested, false, "b", "was there");
    txn_put(&s.txn, true, "a", "1");
    txn_nest(&s.txn, true, &s.nested);
    assert_int_equal(run(&s), STORE_OK);
    assert_string_equal(fixture_get(&s.f, "b"), "was missing");
    buf_clear(&s.txn);
    txn_nest(&s.txn, true, &s.nested);
    assert_int_equal(run(&s), STORE_OK);
    assert_int_equal(fixture_number(response_op(&s, 0, STORE_OP_TXN), 2), 0);
    assert_string_equal(fixture_get(&s.f, "b"), "was there");
    txn_scene_deinit(&s);
}

static void refuses_to_put_a_key_twice(void **state)
{
    (void)state;
    struct txn_scene s;
    txn_scene_init(&s);
    txn_put(&s.txn, true, "a", "1");
    txn_put(&s.txn, true, "a", "2");
    assert_int_equal(run(&s), STORE_DUPLICATE_KEY);

    /* A delete in the same txn counts, a branch that does not run too. */
    buf_clear(&s.txn);
    txn_put(&s.txn, false, "b", "1");
    txn_delete(&s.txn, false, "a", "c");
    assert_int_equal(run(&s), STORE_DUPLICATE_KEY);

    /* From a nested txn; but its two branches exclude each other. */
    buf_clear(&s.txn);
    txn_put(&s.nested, true, "a", "1");
    txn_put(&s.nested, false, "a", "2");
    txn_nest(&s.txn, true, &s.nested);
    assert_int_equal(run(&s), STORE_OK);
    txn_nest(&s.txn, true, &s.nested);
    assert_int_equal(run(&s), STORE_DUPLICATE_KEY);
    buf_clear(&s.txn);
    txn_nest(&s.txn, true, &s.nested);
    txn_put(&s.txn, true, "a", "3");
    assert_int_equal(run(&s), STORE_DUPLICATE_KEY);
    buf_clear(&s.txn);
    txn_nest(&s.txn, true, &s.nested);
    txn_delete(&s.txn, true, "a", "");
    assert_int_equal(run(&s), STORE_DUPLICATE_KEY);
    assert_int_equal(store_revision(s.f.store), 2);
    txn_scene_deinit(&s);
}

/* etcd's interval check takes "\0" for an end like any other, and looks at a nested txn's deletes
 * only after that txn: clients see this, so it stays. */
static void lets_pass_what_etcd_lets_pass(void **state)
{
    (void)state;
    struct txn_scene s;
    struct buf body;
    txn_scene_init(&s);
    buf_init(&body);
    store_delete_encode(&body, &(struct store_delete_request){
                                   .key = text("a"), .range_end = {(const uint8_t *)"", 1}});
    txn_op(&s.txn, true, STORE_OP_DELETE, buf_view(&body));
    txn_put(&s.txn, true, "b", "1");
    assert_int_equal(run(&s), STORE_OK);
    assert_string_equal(fixture_get(&s.f, "b"), "1");

    buf_clear(&s.txn);
    txn_put(&s.nested, true, "k", "1");
    txn_nest(&s.txn, true, &s.nested);
    buf_clear(&s.nested);
    txn_delete(&s.nested, true, "k", "");
    txn_nest(&s.txn, true, &s.nested);
    assert_int_equal(run(&s), STORE_OK);
    assert_string_equal(fixture_get(&s.f, "k"), "(none)");
    assert_int_equal(store_revision(s.f.store), 3);
    buf_deinit(&body);
    txn_scene_deinit(&s);
}

static void the_budget_of_operations_is_shared_by_nested_txns(void **state)
{
    (void)state;
    struct txn_scene s;
    char key[16];
    txn_scene_init(&s);
    for (int i = 0; i < STORE_TXN_OPS_MAX; i++) {
        snprintf(key, sizeof key, "k%d", i);
        txn_put(&s.txn, true, key, "v");
    }
    assert_int_equal(run(&s), STORE_OK);
    txn_put(&s.txn, true, "one more", "v");
    assert_int_equal(run(&s), STORE_TOO_MANY_OPS);

    buf_clear(&s.txn);
    for (int i = 0; i < STORE_TXN_OPS_MAX - 1; i++) {
        snprintf(key, sizeof key, "k%d", i);
        txn_put(&s.nested, true, key, "v");
    }
    txn_nest(&s.txn, true, &s.nested);
    assert_int_equal(run(&s), STORE_OK);
    txn_put(&s.nested, true, "one more", "v");
    buf_clear(&s.txn);
    txn_nest(&s.txn, true, &s.nested);
    assert_int_equal(run(&s), STORE_TOO_MANY_OPS);
    txn_scene_deinit(&s);
}

static void nesting_is_as_deep_as_the_budget(void **state)
{
    (void)state;
    struct txn_scene s;
    txn_scene_init(&s);
    txn_put(&s.nested, true, "deep", "v");
    for (int i = 1; i < STORE_TXN_OPS_MAX; i++) {
        buf_clear(&s.txn);
        txn_nest(&s.txn, true, &s.nested);
        buf_clear(&s.nested);
        buf_put(&s.nested, s.txn.data, s.txn.len);
    }
    assert_int_equal(run(&s), STORE_OK);
    assert_string_equal(fixture_get(&s.f, "deep"), "v");
    buf_clear(&s.txn);
    txn_nest(&s.txn, true, &s.nested);
    assert_int_equal(run(&s), STORE_TOO_MANY_OPS);
    txn_scene_deinit(&s);
}

static void checks_all_before_it_changes_anything(void **state)
{
    (void)state;
    struct txn_scene s;
    struct buf body;
    txn_scene_init(&s);
    buf_init(&body);
    store_put_encode(
        &body, &(struct store_put_request){.key = text("b"), .value = text("v"), .lease = 99});
    txn_put(&s.txn, true, "a", "v");
    txn_op(&s.txn, true, STORE_OP_PUT, buf_view(&body));
    uint64_t before = store_revision(s.f.store) > 0 ? store_hash(s.f.store) : 0;
    assert_int_equal(run(&s), STORE_LEASE_NOT_FOUND);
    assert_int_equal(s.f.response.len, 0);
    assert_int_not_equal(store_hash(s.f.store), before); /* the dedup window and index moved on */
    assert_string_equal(fixture_get(&s.f, "a"), "(none)");

    buf_clear(&s.txn);
    buf_clear(&body);
    store_range_encode(&body, &(struct store_range_request){.key = text("a"), .revision = 50});
    txn_put(&s.txn, true, "a", "v");
    txn_op(&s.txn, true, STORE_OP_RANGE, buf_view(&body));
    assert_int_equal(run(&s), STORE_REVISION_FUTURE);
    buf_clear(&s.txn);
    buf_clear(&body);
    store_put_encode(&body, &(struct store_put_request){.key = text("q"), .ignore_value = true});
    txn_op(&s.txn, true, STORE_OP_PUT, buf_view(&body));
    assert_int_equal(run(&s), STORE_KEY_NOT_FOUND);
    buf_deinit(&body);
    txn_scene_deinit(&s);
}

static void refuses_malformed_operations(void **state)
{
    (void)state;
    struct txn_scene s;
    txn_scene_init(&s);
    store_pb_put_message(&s.txn, 2, 0);
    assert_int_equal(run(&s), STORE_KEY_NOT_FOUND); /* an operation that is none */
    buf_clear(&s.txn);
    txn_put(&s.txn, true, "", "v");
    assert_int_equal(run(&s), STORE_KEY_EMPTY);
    buf_clear(&s.txn);
    struct store_compare c = compare("", STORE_COMPARE_MOD, STORE_COMPARE_EQUAL, 0);
    txn_compare(&s.txn, &c);
    assert_int_equal(run(&s), STORE_KEY_EMPTY);
    buf_clear(&s.txn);
    buf_put_u8(&s.txn, 0x12);
    assert_int_equal(run(&s), STORE_MALFORMED);
    txn_scene_deinit(&s);
}

static void a_txn_of_ranges_is_answered_without_the_log(void **state)
{
    (void)state;
    struct txn_scene s;
    txn_scene_init(&s);
    assert_int_equal(fixture_put(&s.f, "a", "1"), STORE_OK);
    txn_range(&s.txn, true, "a", "");
    struct store_txn_request decoded;
    assert_int_equal(store_txn_decode(buf_view(&s.txn), &decoded), STORE_OK);
    assert_true(store_txn_is_read_only(&decoded));
    assert_false(store_txn_is_serializable(&decoded));
    int64_t revision = 0;
    buf_clear(&s.f.response);
    assert_int_equal(store_txn_read(s.f.store, buf_view(&s.txn), &revision, &s.f.response),
                     STORE_OK);
    assert_int_equal(revision, 2);
    assert_int_equal(fixture_decode_range(response_op(&s, 0, STORE_OP_RANGE)).count, 1);
    txn_scene_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_every_target_in_every_way),
        cmocka_unit_test(a_missing_key_compares_as_zero_but_its_value_never),
        cmocka_unit_test(a_range_compare_holds_for_all_of_its_keys),
        cmocka_unit_test(all_writes_of_a_txn_have_one_revision),
        cmocka_unit_test(a_txn_that_changes_nothing_makes_no_revision),
        cmocka_unit_test(nested_compares_see_the_state_before_the_txn),
        cmocka_unit_test(refuses_to_put_a_key_twice),
        cmocka_unit_test(lets_pass_what_etcd_lets_pass),
        cmocka_unit_test(the_budget_of_operations_is_shared_by_nested_txns),
        cmocka_unit_test(nesting_is_as_deep_as_the_budget),
        cmocka_unit_test(checks_all_before_it_changes_anything),
        cmocka_unit_test(refuses_malformed_operations),
        cmocka_unit_test(a_txn_of_ranges_is_answered_without_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
