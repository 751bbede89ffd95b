/* The checker against a checker that tries everything, on histories drawn at random. */
#include "core/chaos/check/lin.h"

#include "tests/support/test.h"

#include "core/base/mem.h"
#include "tests/core/chaos/check/history_maker.h"

#define SMALL_MAX 7

#define NOT_KNOWN UINT64_MAX

struct model_state {
    uint64_t value;
    uint64_t mod_revision; /* 0: none, or NOT_KNOWN */
    uint64_t revision;     /* the highest that was told */
};

static bool is_change(const struct lin_op *o)
{
    return o->kind == LIN_WRITE || o->kind == LIN_DELETE || o->kind == LIN_CAS;
}

/* Would the operation, if it came now and at this revision (0: not known), answer what it
 * answered? */
static bool takes_effect(const struct lin_op *o, uint64_t revision, struct model_state *m)
{
    if ((o->kind == LIN_READ && o->value != m->value) ||
        (o->kind == LIN_CAS && o->expected != m->value) ||
        (o->kind == LIN_CAS_MISS && o->expected == m->value)) {
        return false;
    }
    if (o->kind == LIN_READ && o->mod_revision != 0 && m->mod_revision != NOT_KNOWN &&
        m->value != 0 && o->mod_revision != m->mod_revision) {
        return false;
    }
    if (revision != 0 && (revision < m->revision || (is_change(o) && revision == m->revision))) {
        return false;
    }
    m->revision = u64_max(m->revision, revision);
    if (is_change(o)) {
        m->value = o->kind == LIN_DELETE ? 0 : o->value;
        m->mod_revision = revision != 0 ? revision : NOT_KNOWN;
    }
    return true;
}

/* Two models enclose the checker's. To the strict one a change of unknown outcome has a revision:
 * one that some read names, or one that nobody ever hears of. The other believes a read whatever it
 * says of the revision of such a change. */
struct all_orders {
    const struct lin_op *ops;
    size_t n;
    bool is_strict;
};

static bool try_all_orders(const struct all_orders *all, uint32_t left, struct model_state m);

/* Operation `i` next, and then the others. */
static bool try_next(const struct all_orders *all, uint32_t left, struct model_state m, size_t i)
{
    const struct lin_op *o = &all->ops[i];
    uint32_t rest = left & ~((uint32_t)1 << i);
    bool is_open = o->outcome == LIN_UNKNOWN && is_change(o);
    struct model_state next = m;
    if (takes_effect(o, is_open ? 0 : o->revision, &next)) {
        next.mod_revision = is_open && all->is_strict ? 0 : next.mod_revision;
        if (try_all_orders(all, rest, next)) {
            return true;
        }
    }
    for (size_t j = 0; j < all->n && is_open && all->is_strict; j++) {
        next = m;
        if (all->ops[j].mod_revision != 0 && takes_effect(o, all->ops[j].mod_revision, &next) &&
            try_all_orders(all, rest, next)) {
            return true;
        }
    }
    return false;
}

static bool try_all_orders(const struct all_orders *all, uint32_t left, struct model_state m)
{
    bool must_go_on = false;
    for (size_t i = 0; i < all->n; i++) {
        must_go_on = must_go_on || ((left >> i & 1) != 0 && all->ops[i].outcome == LIN_OK);
    }
    if (!must_go_on) {
        return true;
    }
    for (size_t i = 0; i < all->n; i++) {
        bool is_next = (left >> i & 1) != 0;
        for (size_t j = 0; j < all->n && is_next; j++) {
            is_next = (left >> j & 1) == 0 || all->ops[j].outcome != LIN_OK ||
                      all->ops[j].returned >= all->ops[i].invoked;
        }
        if (is_next && try_next(all, left, m, i)) {
            return true;
        }
    }
    return false;
}

static bool is_explained_from(const struct lin_op *ops, size_t n, bool is_strict, uint64_t value)
{
    struct all_orders all = {.ops = ops, .n = n, .is_strict = is_strict};
    struct model_state m = {.value = value, .mod_revision = NOT_KNOWN};
    return try_all_orders(&all, ((uint32_t)1 << n) - 1, m);
}

static bool is_explained(const struct lin_op *ops, size_t n, bool is_strict)
{
    return is_explained_from(ops, n, is_strict, 0);
}

/* From absence, a value that occurs, or one that does not. */
static bool is_explained_from_any(const struct lin_op *ops, size_t n)
{
    bool is = is_explained(ops, n, false) || is_explained_from(ops, n, false, UINT64_MAX);
    for (size_t i = 0; i < n && !is; i++) {
        is = is_explained_from(ops, n, false, ops[i].value) ||
             is_explained_from(ops, n, false, ops[i].expected);
    }
    return is;
}

static struct history_recipe draw_recipe(struct prng *p, size_t count)
{
    return (struct history_recipe){.count = count,
                                   .processes = (uint32_t)prng_range(p, 1, 4),
                                   .keys = 1,
                                   .values = (uint32_t)prng_below(p, 4),
                                   .unknown_ppm = (uint32_t)prng_below(p, 3) * 200000,
                                   .read_ppm = 450000,
                                   .cas_ppm = (uint32_t)prng_below(p, 3) * 150000,
                                   .delete_ppm = 50000,
                                   .has_revisions = prng_chance(p, 1, 3),
                                   .operation = 10,
                                   .pause = 6};
}

/* Lies about a few numbers. */
static void tell_lies(struct prng *p, struct lin_op *ops, size_t n)
{
    for (uint64_t lies = prng_range(p, 0, 2); lies > 0; lies--) {
        struct lin_op *o = &ops[prng_below(p, n)];
        uint64_t what = prng_below(p, 5);
        if (what == 0) {
            o->value = ops[prng_below(p, n)].value;
        } else if (what == 1) {
            o->expected = ops[prng_below(p, n)].value;
        } else if (what == 2) {
            o->returned = o->invoked + prng_below(p, o->returned - o->invoked + 1);
        } else if (what == 3 && o->revision != 0) {
            o->revision = 1 + prng_below(p, 6);
        } else if (what == 4 && o->mod_revision != 0) {
            o->mod_revision = 1 + prng_below(p, 6);
        }
    }
}

static void agrees_with_trying_all_orders(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    struct lin_limits limits = lin_limits_plain();
    struct lin *lin = lin_open(&limits);
    size_t failing = 0;
    size_t open = 0;
    size_t rounds = test_rounds(100000);
    for (size_t round = 0; round < rounds; round++) {
        struct lin_op ops[SMALL_MAX];
        size_t n = prng_range(&p, 1, SMALL_MAX);
        struct history_recipe recipe = draw_recipe(&p, n);
        make_history(&p, &recipe, ops);
        tell_lies(&p, ops, n);
        struct lin_report report;
        lin_check(lin, ops, n, NULL, NULL, &report, NULL);
        bool expected = is_explained(ops, n, true);
        if (expected == is_explained(ops, n, false)) {
            assert_int_equal(report.verdict, expected ? LIN_LINEARIZABLE : LIN_NOT_LINEARIZABLE);
        } else {
            open++;
        }
        failing += expected ? 0 : 1;
    }
    lin_close(lin);
    /* Else the test would prove little. */
    assert_true(failing > rounds / 20 && failing < rounds * 19 / 20);
    assert_true(open < rounds / 100);
}

/* The part as a history of its own: what is open has an unknown outcome. */
static bool part_is_explained(const struct lin_op *ops, const struct lin_report *report,
                              size_t without)
{
    struct lin_op part[SMALL_MAX];
    size_t n = 0;
    for (size_t i = 0; i < report->part_count; i++) {
        struct lin_op o = ops[report->part[i].op];
        bool changes = o.kind != LIN_READ && o.kind != LIN_CAS_MISS;
        if (i == without && !changes) {
            continue;
        }
        if (report->part[i].is_open || i == without) {
            o.outcome = LIN_UNKNOWN;
            o.revision = 0;
        }
        part[n++] = o;
    }
    return report->is_part_late ? is_explained_from_any(part, n) : is_explained(part, n, false);
}

static void smallest_part_fails_and_fails_no_more_without_any_of_its_answers(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    struct lin_limits limits = lin_limits_plain();
    struct lin *lin = lin_open(&limits);
    for (size_t round = 0; round < test_rounds(6000); round++) {
        struct lin_op ops[SMALL_MAX];
        size_t n = prng_range(&p, 2, SMALL_MAX);
        struct history_recipe recipe = draw_recipe(&p, n);
        recipe.has_revisions = false;
        make_history(&p, &recipe, ops);
        tell_lies(&p, ops, n);
        struct lin_report report;
        lin_check(lin, ops, n, NULL, NULL, &report, NULL);
        if (report.verdict == LIN_LINEARIZABLE) {
            continue;
        }
        assert_true(report.part_count > 0);
        assert_false(part_is_explained(ops, &report, report.part_count));
        for (size_t i = 0; i < report.part_count; i++) {
            if (!report.part[i].is_open) {
                assert_true(part_is_explained(ops, &report, i));
            }
        }
    }
    lin_close(lin);
}

static struct history_recipe large_recipe(struct prng *p)
{
    return (struct history_recipe){.count = prng_range(p, 100, 3000),
                                   .processes = (uint32_t)prng_range(p, 1, 40),
                                   .keys = (uint32_t)prng_range(p, 1, 20),
                                   .values = 0,
                                   .unknown_ppm = (uint32_t)prng_below(p, 4) * 100000,
                                   .read_ppm = 500000,
                                   .cas_ppm = (uint32_t)prng_below(p, 2) * 150000,
                                   .delete_ppm = (uint32_t)prng_below(p, 2) * 30000,
                                   .has_revisions = prng_chance(p, 1, 2),
                                   .operation = 1000,
                                   .pause = 1000};
}

static void passes_what_a_real_register_did(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    struct lin_limits limits = lin_limits_plain();
    struct lin *lin = lin_open(&limits);
    for (size_t round = 0; round < test_rounds(60); round++) {
        struct history_recipe recipe = large_recipe(&p);
        struct lin_op *ops = mem_alloc(recipe.count * sizeof(*ops));
        make_history(&p, &recipe, ops);
        struct lin_report report;
        lin_check(lin, ops, recipe.count, NULL, NULL, &report, NULL);
        assert_int_equal(report.verdict, LIN_LINEARIZABLE);
        mem_free(ops);
    }
    lin_close(lin);
}

/* Few values and many processes: the search has to try things, and may not be done in time. */
static void never_fails_what_a_real_register_did(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    struct lin_limits limits = lin_limits_plain();
    limits.steps_max = 300000;
    struct lin *lin = lin_open(&limits);
    size_t decided = 0;
    size_t rounds = test_rounds(100);
    for (size_t round = 0; round < rounds; round++) {
        struct history_recipe recipe = large_recipe(&p);
        recipe.count = prng_range(&p, 100, 1000);
        recipe.keys = 1;
        recipe.values = (uint32_t)prng_range(&p, 2, 12);
        recipe.processes = (uint32_t)prng_range(&p, 10, 150);
        struct lin_op *ops = mem_alloc(recipe.count * sizeof(*ops));
        make_history(&p, &recipe, ops);
        struct lin_report report;
        lin_check(lin, ops, recipe.count, NULL, NULL, &report, NULL);
        assert_true(report.verdict != LIN_NOT_LINEARIZABLE);
        decided += report.verdict == LIN_LINEARIZABLE ? 1 : 0;
        mem_free(ops);
    }
    assert_true(decided > rounds / 2);
    lin_close(lin);
}

/* Makes a read see what was overwritten before it began, if the history has such a read. */
static bool make_read_stale(struct prng *p, struct lin_op *ops, size_t n)
{
    size_t start = prng_below(p, n);
    for (size_t i = 0; i < n; i++) {
        struct lin_op *r = &ops[(start + i) % n];
        const struct lin_op *newer = NULL;
        for (size_t j = 0; j < n && r->kind == LIN_READ && r->outcome == LIN_OK; j++) {
            const struct lin_op *w = &ops[j];
            if (w->kind != LIN_WRITE || w->outcome != LIN_OK || w->key != r->key) {
                continue;
            }
            if (newer == NULL && w->returned < r->invoked) {
                newer = w;
            } else if (newer != NULL && w->returned < newer->invoked) {
                r->value = w->value;
                r->mod_revision = 0;
                r->revision = 0;
                return true;
            }
            if (newer != NULL && w->returned < r->invoked && w->invoked > newer->returned) {
                r->value = newer->value;
                r->mod_revision = 0;
                r->revision = 0;
                return true;
            }
        }
    }
    return false;
}

static void finds_a_stale_read_in_a_long_history(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    struct lin_limits limits = lin_limits_plain();
    struct lin *lin = lin_open(&limits);
    size_t found = 0;
    for (size_t round = 0; round < test_rounds(40); round++) {
        struct history_recipe recipe = large_recipe(&p);
        struct lin_op *ops = mem_alloc(recipe.count * sizeof(*ops));
        make_history(&p, &recipe, ops);
        if (make_read_stale(&p, ops, recipe.count)) {
            struct lin_report report;
            lin_check(lin, ops, recipe.count, NULL, NULL, &report, NULL);
            assert_int_equal(report.verdict, LIN_NOT_LINEARIZABLE);
            assert_in_range(report.part_count, 2, 12);
            found++;
        }
        mem_free(ops);
    }
    assert_true(found > 0);
    lin_close(lin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_trying_all_orders),
        cmocka_unit_test(smallest_part_fails_and_fails_no_more_without_any_of_its_answers),
        cmocka_unit_test(passes_what_a_real_register_did),
        cmocka_unit_test(never_fails_what_a_real_register_did),
        cmocka_unit_test(finds_a_stale_read_in_a_long_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
