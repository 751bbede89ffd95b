/* What hosts tell of themselves: bytes that come back, fit, and may be anything. */
#include "core/monitoring/health/host_status.h"

#include <string.h>

#include "tests/support/test.h"

static struct host_status status_full(void)
{
    struct host_status s = {.is_told = true, .n_peers = HOST_STATUS_PEERS_MAX};

    memset(s.name, 'n', sizeof s.name - 1);
    for (enum rung i = 0; i < RUNGS; i++) {
        s.rungs[i] = (struct host_told_rung){.state = RUNG_BROKEN,
                                             .since = UINT32_MAX,
                                             .bad = UINT32_MAX,
                                             .asked = UINT32_MAX,
                                             .measure = i % 2 == 0 ? INT64_MAX : INT64_MIN};
    }
    for (uint32_t i = 0; i < s.n_peers; i++) {
        s.peers[i] = (struct host_told_peer){UINT64_MAX - i, 3, UINT32_MAX, 100, 255};
    }
    return s;
}

static void the_longest_status_fits_metadata_and_comes_back(void **state)
{
    (void)state;
    struct host_status s = status_full();
    struct host_status got;
    struct buf b;

    buf_init(&b);
    host_status_encode(&b, &s);
    assert_in_range(b.len, 200, SWIM_META_MAX_BYTES);
    host_status_decode(buf_view(&b), &got);
    assert_true(got.is_told);
    assert_string_equal(got.name, s.name);
    assert_int_equal(got.n_peers, s.n_peers);
    assert_memory_equal(got.peers, s.peers, sizeof s.peers);
    assert_int_equal(got.rungs[RUNG_NETWORK].state, RUNG_UNKNOWN);
    assert_int_equal(got.rungs[RUNG_CLOCK].state, RUNG_BROKEN);
    assert_int_equal(got.rungs[RUNG_CLOCK].bad, 0xFFFF);
    assert_true(got.rungs[RUNG_CLOCK].measure > INT64_C(8000000000));
    assert_true(got.rungs[RUNG_STORAGE].measure < -INT64_C(8000000000));
    buf_deinit(&b);
}

static void a_name_alone_is_what_an_earlier_release_tells(void **state)
{
    (void)state;
    struct host_status got;

    host_status_decode((struct bytes){(const uint8_t *)"node-1", 6}, &got);
    assert_string_equal(got.name, "node-1");
    assert_false(got.is_told);
    host_status_decode((struct bytes){NULL, 0}, &got);
    assert_string_equal(got.name, "");
    assert_false(got.is_told);
}

static void a_status_of_a_later_version_or_cut_anywhere_is_a_name_alone(void **state)
{
    (void)state;
    struct host_status s = status_full();
    struct host_status got;
    struct buf b;

    buf_init(&b);
    host_status_encode(&b, &s);
    for (size_t n = 0; n < b.len; n++) {
        host_status_decode((struct bytes){b.data, n}, &got);
        assert_false(got.is_told);
        assert_int_equal(got.n_peers, 0);
    }
    b.data[strlen(s.name) + 1]++;
    host_status_decode(buf_view(&b), &got);
    assert_false(got.is_told);
    assert_string_equal(got.name, s.name);
    buf_deinit(&b);
}

static void a_rung_that_is_not_known_here_is_skipped(void **state)
{
    (void)state;
    static const uint8_t meta[] = {'a', 0, 1, 2, 40 * 4 + 3, 9, 1, 1, 0, RUNG_CLOCK * 4 + 1,
                                   7,   0, 3, 5, 0};
    struct host_status got;

    host_status_decode((struct bytes){meta, sizeof meta}, &got);
    assert_true(got.is_told);
    assert_int_equal(got.rungs[RUNG_CLOCK].state, RUNG_WELL);
    assert_int_equal(got.rungs[RUNG_CLOCK].since, 7);
    assert_int_equal(got.rungs[RUNG_CLOCK].measure, -3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_status_fits_metadata_and_comes_back),
        cmocka_unit_test(a_name_alone_is_what_an_earlier_release_tells),
        cmocka_unit_test(a_status_of_a_later_version_or_cut_anywhere_is_a_name_alone),
        cmocka_unit_test(a_rung_that_is_not_known_here_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
