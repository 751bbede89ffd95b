#include "tests/core/store/store_fixture.h"

#include <string.h>

#include "core/store/store_limits.h"
#include "core/store/store_pb.h"

#define SECOND NANOS_PER_S

static void put_leased(struct fixture *f, const char *key, int64_t lease)
{
    assert_int_equal(
        fixture_put_request(f, &(struct store_put_request){.key = text(key), .lease = lease}),
        STORE_OK);
}

static int64_t ttl_left(struct fixture *f, int64_t id)
{
    buf_clear(&f->response);
    store_lease_time_to_live(f->store, id, true, f->now, &f->response);
    return fixture_number(buf_view(&f->response), 3);
}

static void grants_what_etcd_grants(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_int_equal(fixture_grant(&f, 5, 30), STORE_OK);
    assert_int_equal(fixture_number(buf_view(&f.response), 2), 5);
    assert_int_equal(fixture_number(buf_view(&f.response), 3), 30);
    assert_int_equal(fixture_grant(&f, 5, 30), STORE_LEASE_EXISTS);
    assert_int_equal(fixture_grant(&f, 6, STORE_LEASE_TTL_MAX_S + 1), STORE_LEASE_TTL_TOO_LARGE);
    assert_int_equal(fixture_grant(&f, 6, STORE_LEASE_TTL_MAX_S), STORE_OK);
    assert_int_equal(fixture_revoke(&f, 9), STORE_LEASE_NOT_FOUND);
    assert_int_equal(store_revision(f.store), 1);
    fixture_deinit(&f);
}

static void the_proposer_chooses_the_id_and_raises_the_ttl(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    struct store_envelope e = {.kind = STORE_KIND_LEASE_GRANT,
                               .feature_level = 1,
                               .origin = 1,
                               .boot = 1,
                               .sequence = ++f.sequence,
                               .assigned_id = 1234,
                               .lease_ttl_min_s = 2};
    store_envelope_encode(&f.payload, &e);
    struct store_entry entry = {++f.index, 1, 0, buf_view(&f.payload)};
    assert_int_equal(store_apply(f.store, &entry, &f.result, &f.response), OK);
    assert_int_equal(f.result.status, STORE_OK);
    assert_int_equal(fixture_number(buf_view(&f.response), 2), 1234);
    assert_int_equal(fixture_number(buf_view(&f.response), 3), 2);
    fixture_deinit(&f);
}

static void a_revoke_deletes_its_keys_in_one_revision(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_int_equal(fixture_grant(&f, 1, 10), STORE_OK);
    assert_int_equal(fixture_grant(&f, 2, 10), STORE_OK);
    put_leased(&f, "c", 1);
    put_leased(&f, "a", 1);
    put_leased(&f, "b", 1);
    put_leased(&f, "b", 2); /* now it is the other's */
    put_leased(&f, "d", 1);
    assert_int_equal(fixture_put(&f, "d", "x"), STORE_OK); /* now it is nobody's */
    int64_t before = store_revision(f.store);
    assert_int_equal(fixture_revoke(&f, 1), STORE_OK);
    assert_int_equal(store_revision(f.store), before + 1);
    assert_string_equal(fixture_get(&f, "a"), "(none)");
    assert_string_equal(fixture_get(&f, "b"), "");
    assert_string_equal(fixture_get(&f, "c"), "(none)");
    assert_string_equal(fixture_get(&f, "d"), "x");
    assert_int_equal(fixture_delete(&f, "b", ""), STORE_OK);
    before = store_revision(f.store);
    assert_int_equal(fixture_revoke(&f, 2), STORE_OK);
    assert_int_equal(store_revision(f.store), before);
    fixture_deinit(&f);
}

static void never_ends_before_its_time_over_a_change_of_leader(void **state)
{
    (void)state;
    struct fixture f;
    int64_t ids[4];
    fixture_init(&f);
    f.now = 100 * SECOND;
    assert_int_equal(store_lease_next_due(f.store), NANOS_FOREVER);
    assert_int_equal(fixture_grant(&f, 1, 10), STORE_OK);
    /* Nobody leads here: nothing is due, however late it is. */
    assert_int_equal(store_lease_due(f.store, 1000 * SECOND, ids, 4), 0);
    buf_clear(&f.response);
    assert_int_equal(store_lease_renew(f.store, 1, f.now, &f.response), STORE_RENEW_NOT_LEADER);
    store_lease_promote(f.store, 105 * SECOND);
    assert_int_equal(store_lease_next_due(f.store), 115 * SECOND);
    assert_int_equal(store_lease_due(f.store, 115 * SECOND - 1, ids, 4), 0);
    store_lease_demote(f.store);
    store_lease_promote(f.store, 114 * SECOND);
    assert_int_equal(store_lease_due(f.store, 124 * SECOND - 1, ids, 4), 0);
    assert_int_equal(store_lease_due(f.store, 124 * SECOND, ids, 4), 1);
    assert_int_equal(ids[0], 1);
    store_lease_demote(f.store);
    fixture_deinit(&f);
}

static void renewals_wait_while_an_expiry_is_under_way(void **state)
{
    (void)state;
    struct fixture f;
    int64_t ids[4];
    fixture_init(&f);
    store_lease_promote(f.store, 0);
    assert_int_equal(fixture_grant(&f, 1, 10), STORE_OK);
    f.now = 9 * SECOND;
    assert_int_equal(ttl_left(&f, 1), 1);
    buf_clear(&f.response);
    assert_int_equal(store_lease_renew(f.store, 1, f.now, &f.response), STORE_RENEWED);
    assert_int_equal(fixture_number(buf_view(&f.response), 3), 10);
    f.now = 19 * SECOND;
    assert_int_equal(store_lease_due(f.store, f.now, ids, 4), 1);
    assert_int_equal(store_lease_due(f.store, f.now, ids, 4), 0);
    buf_clear(&f.response);
    assert_int_equal(store_lease_renew(f.store, 1, f.now, &f.response), STORE_RENEW_WAIT);
    assert_int_equal(f.response.len, 0);
    assert_int_equal(ttl_left(&f, 1), 0);
    /* The proposal got lost: it is due again. */
    assert_int_equal(store_lease_due(f.store, 22 * SECOND, ids, 4), 1);
    assert_int_equal(fixture_apply(&f, STORE_KIND_LEASE_EXPIRE, text("\x08\x01")), STORE_OK);
    buf_clear(&f.response);
    assert_int_equal(store_lease_renew(f.store, 1, f.now, &f.response), STORE_RENEW_GONE);
    assert_int_equal(fixture_number(buf_view(&f.response), 2), 1);
    assert_int_equal(fixture_number(buf_view(&f.response), 3), 0);
    assert_int_equal(ttl_left(&f, 1), -1);
    store_lease_demote(f.store);
    fixture_deinit(&f);
}

static void an_expiry_of_another_term_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_int_equal(fixture_grant(&f, 1, 10), STORE_OK);
    struct store_envelope e = {.kind = STORE_KIND_LEASE_EXPIRE,
                               .feature_level = 1,
                               .origin = 1,
                               .boot = 1,
                               .sequence = ++f.sequence,
                               .term = 4,
                               .body = text("\x08\x01")};
    buf_clear(&f.payload);
    store_envelope_encode(&f.payload, &e);
    struct store_entry entry = {++f.index, 5, 0, buf_view(&f.payload)};
    assert_int_equal(store_apply(f.store, &entry, &f.result, NULL), OK);
    assert_int_equal(f.result.status, STORE_EXPIRY_STALE);
    assert_int_equal(ttl_left(&f, 1), 10);
    fixture_deinit(&f);
}

static void tells_the_keys_in_order_and_lists_leases_by_id(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f);
    assert_int_equal(fixture_grant(&f, 9, 10), STORE_OK);
    assert_int_equal(fixture_grant(&f, -3, 10), STORE_OK);
    put_leased(&f, "b", 9);
    put_leased(&f, "a", 9);
    assert_int_equal(ttl_left(&f, 9), 10);
    struct bytes response = buf_view(&f.response);
    assert_int_equal(fixture_number(response, 4), 10);
    assert_int_equal(fixture_fields(response, 5), 2);
    assert_int_equal(store_bytes_cmp(fixture_field(response, 5), text("a")), 0);
    buf_clear(&f.response);
    store_lease_list(f.store, &f.response);
    assert_int_equal(fixture_fields(buf_view(&f.response), 2), 2);
    assert_int_equal(fixture_number(fixture_field(buf_view(&f.response), 2), 1), -3);
    fixture_deinit(&f);
}

/* Deadlines against a list: whatever is granted, renewed and revoked, due leases come in the order
 * of their deadlines, each once, none early. */
static void due_leases_come_in_the_order_of_their_deadlines(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    struct fixture f;
    nanos deadlines[200] = {0};
    fixture_init(&f);
    store_lease_promote(f.store, 0);
    for (size_t i = 0; i < test_rounds(4000); i++) {
        f.now += prng_below(&prng, SECOND / 4);
        int64_t id = (int64_t)prng_range(&prng, 1, COUNT_OF(deadlines) - 1);
        int64_t ttl = (int64_t)prng_range(&prng, 1, 60);
        if (deadlines[id] == 0 && fixture_grant(&f, id, ttl) == STORE_OK) {
            deadlines[id] = f.now + (nanos)ttl * SECOND;
        } else if (prng_chance(&prng, 1, 3)) {
            assert_int_equal(fixture_revoke(&f, id), STORE_OK);
            deadlines[id] = 0;
        }
        nanos soonest = NANOS_FOREVER;
        for (size_t at = 0; at < COUNT_OF(deadlines); at++) {
            soonest = deadlines[at] != 0 && deadlines[at] < soonest ? deadlines[at] : soonest;
        }
        assert_int_equal(store_lease_next_due(f.store), soonest);
        int64_t due = 0;
        if (store_lease_due(f.store, f.now, &due, 1) == 1) {
            assert_true(deadlines[due] == soonest && soonest <= f.now);
            assert_int_equal(fixture_revoke(&f, due), STORE_OK);
            deadlines[due] = 0;
        } else {
            assert_true(soonest > f.now);
        }
    }
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grants_what_etcd_grants),
        cmocka_unit_test(the_proposer_chooses_the_id_and_raises_the_ttl),
        cmocka_unit_test(a_revoke_deletes_its_keys_in_one_revision),
        cmocka_unit_test(never_ends_before_its_time_over_a_change_of_leader),
        cmocka_unit_test(renewals_wait_while_an_expiry_is_under_way),
        cmocka_unit_test(an_expiry_of_another_term_is_refused),
        cmocka_unit_test(tells_the_keys_in_order_and_lists_leases_by_id),
        cmocka_unit_test(due_leases_come_in_the_order_of_their_deadlines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
