/* The contract of raft_log.h: a log against a model that keeps everything in one array. */
#include "core/base/mem.h"
#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

#define MODEL_MAX 4000

/* Entry i of the whole history of a log is at [i]; what is compacted stays known here. */
struct log_model {
    raft_term term[MODEL_MAX];
    uint8_t seed[MODEL_MAX]; /* of the payload */
    size_t len[MODEL_MAX];
    const uint8_t *data[MODEL_MAX]; /* where the log keeps it */
};

static void log_model_fill(uint8_t *to, size_t len, uint8_t seed)
{
    for (size_t i = 0; i < len; i++) {
        to[i] = (uint8_t)(seed + i * 7);
    }
}

static void log_model_append(struct raft_log *log, struct log_model *m, raft_term term, size_t len,
                             uint8_t seed)
{
    static uint8_t bytes[200000];
    log_model_fill(bytes, len, seed);
    const struct raft_entry *e =
        raft_log_append(log, term, RAFT_ENTRY_NORMAL, (struct bytes){bytes, len});
    raft_index i = log->last;
    assert_true(e->index == i && e->term == term && e->payload.len == len);
    m->term[i] = term;
    m->seed[i] = seed;
    m->len[i] = len;
    m->data[i] = e->payload.data;
}

static void assert_log_is(const struct raft_log *log, const struct log_model *m)
{
    raft_log_check(log);
    uint64_t bytes = 0;
    for (raft_index i = log->snapshot_index; i <= log->last; i++) {
        assert_int_equal(raft_log_term(log, i), m->term[i]);
        if (!raft_log_has_body(log, i)) {
            continue;
        }
        const struct raft_entry *e = raft_log_entry(log, i);
        assert_true(e->index == i && e->term == m->term[i] && e->payload.len == m->len[i]);
        assert_true(e->payload.data == m->data[i]); /* pointers stay */
        for (size_t k = 0; k < e->payload.len; k++) {
            assert_int_equal(e->payload.data[k], (uint8_t)(m->seed[i] + k * 7));
        }
        bytes += e->payload.len + RAFT_ENTRY_OVERHEAD_BYTES;
    }
    assert_int_equal(log->cached_bytes, bytes);
    assert_int_equal(raft_log_last_term(log), m->term[log->last]);
    assert_int_equal(raft_log_term(log, log->last + 1), 0);
    assert_true(log->snapshot_index == 0 || raft_log_term(log, log->snapshot_index - 1) == 0);
}

static void draw_operation(struct prng *p, struct raft_log *log, struct log_model *m)
{
    uint64_t op = prng_below(p, 20);
    if (op < 10) {
        size_t len = prng_chance(p, 1, 40) ? prng_below(p, 200000) : prng_below(p, 3000);
        raft_term term = u64_max(raft_log_last_term(log), 1) + prng_chance(p, 1, 10);
        log_model_append(log, m, term, prng_chance(p, 1, 10) ? 0 : len, (uint8_t)prng_u64(p));
    } else if (op < 12 && log->last > log->committed) {
        raft_log_truncate(log, prng_range(p, log->committed + 1, log->last));
    } else if (op < 14) {
        log->handed = prng_range(p, log->handed, log->last);
        log->durable = prng_range(p, log->durable, log->handed);
    } else if (op < 16) {
        log->committed = prng_range(p, log->committed, log->last);
        log->applying = prng_range(p, log->applying, log->committed);
        log->applied = prng_range(p, log->applied, log->applying);
    } else if (op < 18) {
        uint64_t before = log->cached_bytes;
        raft_index cached = log->cached;
        uint64_t limit = prng_below(p, 300000);
        raft_index keep = prng_range(p, log->snapshot_index + 1, log->last + 1);
        raft_log_trim(log, limit, keep);
        assert_true(log->cached_bytes <= before);
        raft_index may = u64_min(keep, u64_min(log->durable, log->applied) + 1);
        assert_true(log->cached_bytes <= limit || log->cached >= may);
        assert_true(log->cached <= u64_max(cached, may));
    } else if (op == 18) {
        raft_log_compact(log, prng_range(p, log->snapshot_index, log->applied));
    } else if (prng_chance(p, 1, 20) && log->last + 10 < MODEL_MAX) {
        raft_index index = log->last + prng_below(p, 5);
        raft_term term = raft_log_last_term(log) + 1;
        raft_log_restore(log, index, term);
        m->term[index] = term;
    }
}

static void agrees_with_a_model_under_drawn_operations(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    struct log_model *m = mem_alloc_zero(sizeof(*m));
    for (size_t round = 0; round < test_rounds(20); round++) {
        struct raft_log log;
        raft_log_init(&log, 0, 0);
        m->term[0] = 0;
        for (int i = 0; i < 1500 && log.last + 10 < MODEL_MAX; i++) {
            draw_operation(&p, &log, m);
            if (i % 10 == 0) {
                assert_log_is(&log, m);
            }
        }
        assert_log_is(&log, m);
        raft_log_deinit(&log);
    }
    mem_free(m);
}

/* The largest i <= index whose term is at most `term`, or is unknown: by looking at each. */
static raft_index naive_conflict(const struct raft_log *log, raft_index index, raft_term term,
                                 raft_term *ret_term)
{
    for (;; index--) {
        raft_term here = raft_log_term(log, index);
        bool known = raft_log_knows(log, index);
        if (!known || here <= term || index == 0) {
            *ret_term = known && here <= term ? here : 0;
            return index;
        }
    }
}

static void finds_conflicts_like_one_who_looks_at_each_entry(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(300); round++) {
        struct raft_log log;
        raft_term term = prng_below(&p, 3) + 1;
        raft_log_init(&log, prng_below(&p, 20), term);
        uint64_t n = prng_below(&p, 60);
        for (uint64_t i = 0; i < n; i++) {
            term += prng_chance(&p, 1, 5) ? prng_below(&p, 3) : 0;
            raft_log_append(&log, term, RAFT_ENTRY_NORMAL, (struct bytes){NULL, 0});
        }
        for (raft_index i = 0; i <= log.last + 3; i++) {
            for (raft_term t = 0; t <= term + 1; t++) {
                raft_term expected_term;
                raft_term found_term;
                raft_index expected = naive_conflict(&log, i, t, &expected_term);
                assert_int_equal(raft_log_conflict(&log, i, t, &found_term), expected);
                assert_int_equal(found_term, expected_term);
            }
        }
        raft_log_deinit(&log);
    }
}

/* A record a term, not one an entry. */
static void keeps_terms_as_runs(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log_init(&log, 5, 1);
    for (int i = 0; i < 10000; i++) {
        raft_log_append(&log, 2 + (raft_term)(i / 4000), RAFT_ENTRY_NORMAL,
                        (struct bytes){NULL, 0});
    }
    assert_int_equal(log.run_count, 3);
    assert_int_equal(raft_log_term(&log, 6), 2);
    assert_int_equal(raft_log_term(&log, 4005), 2);
    assert_int_equal(raft_log_term(&log, 4006), 3);
    assert_int_equal(raft_log_term(&log, 10005), 4);
    raft_log_truncate(&log, 4006);
    assert_int_equal(log.run_count, 1);
    raft_log_deinit(&log);
}

/* §3.6.1, the voter's comparison. */
static void compares_logs_by_last_term_then_length(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log_init(&log, 0, 0);
    assert_true(raft_log_is_up_to_date(&log, 0, 0));
    raft_log_append(&log, 2, RAFT_ENTRY_NORMAL, (struct bytes){NULL, 0});
    raft_log_append(&log, 3, RAFT_ENTRY_NORMAL, (struct bytes){NULL, 0});
    assert_true(raft_log_is_up_to_date(&log, 2, 3));
    assert_true(raft_log_is_up_to_date(&log, 1, 4));
    assert_false(raft_log_is_up_to_date(&log, 1, 3));
    assert_false(raft_log_is_up_to_date(&log, 9, 2));
    raft_log_deinit(&log);
}

/* Blocks go round: after the first turns nothing is allocated any more. */
static void a_steady_state_allocates_nothing(void **state)
{
    (void)state;
    static const uint8_t bytes[1000];
    struct raft_log log;
    raft_log_init(&log, 0, 0);
    uint64_t ring_cap = 0;
    uint32_t blocks = 0;
    for (int i = 0; i < 20000; i++) {
        raft_log_append(&log, 1, RAFT_ENTRY_NORMAL, (struct bytes){bytes, sizeof(bytes)});
        log.handed = log.durable = log.committed = log.applying = log.applied = log.last;
        raft_log_trim(&log, 500000, log.last + 1);
        uint32_t now = log.spare_count;
        for (const struct raft_log_block *b = log.oldest; b; b = b->next) {
            now++;
        }
        if (i == 2000) {
            ring_cap = log.ring_cap;
            blocks = now;
        }
        assert_true(i < 2000 || (now <= blocks + 1 && log.ring_cap == ring_cap));
    }
    assert_true(blocks < 500000 / RAFT_LOG_BLOCK_BYTES + 4);
    raft_log_deinit(&log);
}

static void append_and_truncate_without_end_do_not_pile_up(void **state)
{
    (void)state;
    static const uint8_t bytes[5000];
    struct raft_log log;
    raft_log_init(&log, 0, 0);
    for (int i = 0; i < 5000; i++) {
        for (int k = 0; k < 3; k++) {
            raft_log_append(&log, 1, RAFT_ENTRY_NORMAL, (struct bytes){bytes, sizeof(bytes)});
        }
        raft_log_truncate(&log, log.last - 1);
        if (log.last > 20) {
            raft_log_truncate(&log, 2);
        }
    }
    uint32_t blocks = log.spare_count;
    for (const struct raft_log_block *b = log.oldest; b; b = b->next) {
        blocks++;
    }
    assert_true(blocks <= 4);
    raft_log_deinit(&log);
}

/* At least one where there is one; never more than the limit otherwise. */
static void counts_what_fits(void **state)
{
    (void)state;
    static const uint8_t bytes[100];
    struct raft_log log;
    raft_log_init(&log, 0, 0);
    for (int i = 0; i < 10; i++) {
        raft_log_append(&log, 1, RAFT_ENTRY_NORMAL, (struct bytes){bytes, sizeof(bytes)});
    }
    uint64_t payload;
    assert_int_equal(raft_log_fit(&log, 1, 10, 0, &payload), 1);
    assert_int_equal(payload, 100);
    assert_int_equal(raft_log_fit(&log, 1, 10, 3 * 140, &payload), 3);
    assert_int_equal(raft_log_fit(&log, 1, 10, 3 * 140 - 1, &payload), 2);
    assert_int_equal(raft_log_fit(&log, 4, 10, UINT64_MAX, &payload), 7);
    assert_int_equal(raft_log_fit(&log, 4, 3, UINT64_MAX, &payload), 0);
    raft_log_deinit(&log);
}

/* A body that was damaged on the disk: its term is known, and no body before it is in memory. */
static void an_entry_may_be_without_its_body(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log_init(&log, 0, 0);
    raft_log_append(&log, 1, RAFT_ENTRY_NORMAL, (struct bytes){(const uint8_t *)"a", 1});
    raft_log_append_bodiless(&log, 2);
    raft_log_append(&log, 2, RAFT_ENTRY_NORMAL, (struct bytes){(const uint8_t *)"c", 1});
    raft_log_check(&log);
    assert_int_equal(raft_log_term(&log, 2), 2);
    assert_false(raft_log_has_body(&log, 1));
    assert_false(raft_log_has_body(&log, 2));
    assert_true(raft_log_has_body(&log, 3));
    raft_log_deinit(&log);
}

static void truncate_committed(void *arg)
{
    struct raft_log *log = arg;
    log->committed = 2;
    raft_log_truncate(log, 2);
}

static void append_a_falling_term(void *arg)
{
    raft_log_append(arg, 1, RAFT_ENTRY_NORMAL, (struct bytes){NULL, 0});
}

static void refuses_what_only_a_bug_asks_for(void **state)
{
    (void)state;
    struct raft_log log;
    raft_log_init(&log, 0, 0);
    for (int i = 0; i < 3; i++) {
        raft_log_append(&log, 2, RAFT_ENTRY_NORMAL, (struct bytes){NULL, 0});
    }
    assert_true(test_aborts(truncate_committed, &log));
    assert_true(test_aborts(append_a_falling_term, &log));
    raft_log_deinit(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_model_under_drawn_operations),
        cmocka_unit_test(finds_conflicts_like_one_who_looks_at_each_entry),
        cmocka_unit_test(keeps_terms_as_runs),
        cmocka_unit_test(compares_logs_by_last_term_then_length),
        cmocka_unit_test(a_steady_state_allocates_nothing),
        cmocka_unit_test(append_and_truncate_without_end_do_not_pile_up),
        cmocka_unit_test(counts_what_fits),
        cmocka_unit_test(an_entry_may_be_without_its_body),
        cmocka_unit_test(refuses_what_only_a_bug_asks_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
