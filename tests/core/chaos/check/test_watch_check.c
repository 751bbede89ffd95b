#include "core/chaos/check/watch_check.h"

#include "tests/support/test.h"

#include <string.h>

static struct bytes text_key(const char *key)
{
    return (struct bytes){(const uint8_t *)key, strlen(key)};
}

static struct watch_change put_of(uint64_t revision, const char *key, uint64_t value)
{
    return (struct watch_change){revision, text_key(key), value, WATCH_PUT};
}

/* What the tests' store went through; revision 4 is a transaction. */
#define CHANGES 8
struct story {
    struct watch_change changes[CHANGES];
    struct watch_truth truth;
};

static const struct watch_truth *tell(struct story *s)
{
    const struct watch_change changes[CHANGES] = {
        put_of(2, "a", 1), put_of(3, "b", 2), put_of(4, "a", 3), put_of(4, "b", 4),
        put_of(4, "x", 5), put_of(5, "x", 6), put_of(6, "b", 7), put_of(7, "a", 8)};
    memcpy(s->changes, changes, sizeof(changes));
    s->changes[6].kind = WATCH_DELETE;
    s->truth = (struct watch_truth){s->changes, CHANGES, 0};
    return &s->truth;
}

/* A watch of "a" up to "c", exclusive. */
static struct watch_check watch_from(uint64_t start_revision)
{
    struct watch_interest interest = {
        .from = text_key("a"), .to = text_key("c"), .start_revision = start_revision};
    struct watch_check w;
    watch_check_init(&w, &interest);
    return w;
}

static enum watch_fault deliver_changes(struct watch_check *w, const struct watch_truth *truth,
                                        size_t from, size_t count)
{
    return watch_check_events(w, truth, truth->changes + from, count, false, NULL).fault;
}

static void whole_and_in_order_is_right(void **state)
{
    (void)state;
    struct story s;
    const struct watch_truth *truth = tell(&s);
    struct watch_check w = watch_from(1);
    assert_int_equal(deliver_changes(&w, truth, 0, 2), WATCH_RIGHT);
    assert_int_equal(deliver_changes(&w, truth, 2, 2), WATCH_RIGHT);
    assert_int_equal(deliver_changes(&w, truth, 6, 2), WATCH_RIGHT);
    assert_int_equal(watch_check_progress(&w, truth, 7, NULL).fault, WATCH_RIGHT);
    assert_int_equal(watch_check_caught_up(&w, truth, 7, NULL).fault, WATCH_RIGHT);
}

static void start_revision_decides_where_it_begins(void **state)
{
    (void)state;
    struct story s;
    const struct watch_truth *truth = tell(&s);
    struct watch_check w = watch_from(5);
    assert_int_equal(deliver_changes(&w, truth, 6, 1), WATCH_RIGHT);
    w = watch_from(5);
    assert_int_equal(deliver_changes(&w, truth, 2, 2), WATCH_REPEATED);
}

static void change_that_is_left_out_is_missing(void **state)
{
    (void)state;
    struct story s;
    const struct watch_truth *truth = tell(&s);
    struct watch_check w = watch_from(1);
    assert_int_equal(deliver_changes(&w, truth, 0, 1), WATCH_RIGHT);
    assert_int_equal(deliver_changes(&w, truth, 2, 2), WATCH_MISSING);
    w = watch_from(1);
    assert_int_equal(deliver_changes(&w, truth, 0, 2), WATCH_RIGHT);
    assert_int_equal(watch_check_caught_up(&w, truth, 3, NULL).fault, WATCH_RIGHT);
    assert_int_equal(watch_check_caught_up(&w, truth, 4, NULL).fault, WATCH_MISSING);
}

static void order_within_a_revision_counts(void **state)
{
    (void)state;
    struct story s;
    const struct watch_truth *truth = tell(&s);
    struct watch_check w = watch_from(4);
    const struct watch_change turned[] = {s.changes[3], s.changes[2]};
    assert_int_equal(watch_check_events(&w, truth, turned, 2, false, NULL).fault, WATCH_MISSING);
}

static void change_that_comes_twice_is_repeated(void **state)
{
    (void)state;
    struct story s;
    const struct watch_truth *truth = tell(&s);
    struct watch_check w = watch_from(1);
    assert_int_equal(deliver_changes(&w, truth, 0, 2), WATCH_RIGHT);
    assert_int_equal(deliver_changes(&w, truth, 1, 1), WATCH_REPEATED);
    w = watch_from(4);
    const struct watch_change twice[] = {s.changes[2], s.changes[2]};
    assert_int_equal(watch_check_events(&w, truth, twice, 2, true, NULL).fault, WATCH_REPEATED);
}

static void what_was_not_committed_is_invented(void **state)
{
    (void)state;
    struct story s;
    const struct watch_truth *truth = tell(&s);
    const struct watch_change lies[] = {put_of(2, "a", 9), put_of(2, "b", 1), put_of(3, "a", 1),
                                        put_of(8, "a", 1)};
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        struct watch_check w = watch_from(1);
        assert_int_equal(watch_check_events(&w, truth, &lies[i], 1, false, NULL).fault,
                         WATCH_INVENTED);
    }
    struct watch_check w = watch_from(1);
    struct watch_change deleted = s.changes[0];
    deleted.kind = WATCH_DELETE;
    assert_int_equal(watch_check_events(&w, truth, &deleted, 1, false, NULL).fault, WATCH_INVENTED);
}

static void key_outside_is_out_of_range(void **state)
{
    (void)state;
    struct story s;
    const struct watch_truth *truth = tell(&s);
    struct watch_check w = watch_from(5);
    assert_int_equal(deliver_changes(&w, truth, 5, 1), WATCH_OUT_OF_RANGE);
}

static void filters_leave_kinds_out(void **state)
{
    (void)state;
    struct story s;
    const struct watch_truth *truth = tell(&s);
    struct watch_check w = watch_from(6);
    w.interest.leaves_deletes_out = true;
    assert_int_equal(deliver_changes(&w, truth, 7, 1), WATCH_RIGHT);
    w = watch_from(6);
    w.interest.leaves_deletes_out = true;
    assert_int_equal(deliver_changes(&w, truth, 6, 1), WATCH_OUT_OF_RANGE);
    w = watch_from(2);
    w.interest.leaves_puts_out = true;
    assert_int_equal(deliver_changes(&w, truth, 6, 1), WATCH_RIGHT);
}

static void one_key_and_open_ends_are_ranges(void **state)
{
    (void)state;
    struct story s;
    const struct watch_truth *truth = tell(&s);
    struct watch_check w = watch_from(4);
    w.interest.to = (struct bytes){NULL, 0};
    assert_int_equal(deliver_changes(&w, truth, 2, 1), WATCH_RIGHT);
    assert_int_equal(deliver_changes(&w, truth, 7, 1), WATCH_RIGHT);
    w = watch_from(4);
    w.interest.to = (struct bytes){(const uint8_t *)"", 1};
    assert_int_equal(deliver_changes(&w, truth, 2, 6), WATCH_RIGHT);
}

static void revision_may_be_split_into_fragments_alone(void **state)
{
    (void)state;
    struct story s;
    const struct watch_truth *truth = tell(&s);
    struct watch_check w = watch_from(4);
    assert_int_equal(deliver_changes(&w, truth, 2, 1), WATCH_SPLIT);
    w = watch_from(4);
    assert_int_equal(watch_check_events(&w, truth, s.changes + 2, 1, true, NULL).fault,
                     WATCH_RIGHT);
    assert_int_equal(deliver_changes(&w, truth, 3, 1), WATCH_RIGHT);
    assert_int_equal(w.seen, 4);
}

static void progress_promises_what_came_before(void **state)
{
    (void)state;
    struct story s;
    const struct watch_truth *truth = tell(&s);
    struct watch_check w = watch_from(1);
    assert_int_equal(deliver_changes(&w, truth, 0, 1), WATCH_RIGHT);
    assert_int_equal(watch_check_progress(&w, truth, 2, NULL).fault, WATCH_RIGHT);
    assert_int_equal(watch_check_progress(&w, truth, 3, NULL).fault, WATCH_BROKEN_PROMISE);

    /* Of a revision that is not there yet nothing can be promised. */
    w = watch_from(8);
    assert_int_equal(watch_check_progress(&w, truth, 8, NULL).fault, WATCH_BROKEN_PROMISE);

    /* What was promised to be complete gets nothing more. */
    w = watch_from(5);
    assert_int_equal(watch_check_progress(&w, truth, 5, NULL).fault, WATCH_RIGHT);
    assert_int_equal(deliver_changes(&w, truth, 2, 2), WATCH_REPEATED);
}

static void nothing_follows_a_cancellation(void **state)
{
    (void)state;
    struct story s;
    const struct watch_truth *truth = tell(&s);
    struct watch_check w = watch_from(2);
    assert_int_equal(watch_check_compacted(&w, 4, NULL).fault, WATCH_RIGHT);
    assert_int_equal(deliver_changes(&w, truth, 0, 1), WATCH_AFTER_CANCEL);

    w = watch_from(2);
    assert_int_equal(watch_check_compacted(&w, 4, NULL).fault, WATCH_RIGHT);
    assert_int_equal(watch_check_progress(&w, truth, 1, NULL).fault, WATCH_AFTER_CANCEL);

    w = watch_from(2);
    assert_int_equal(watch_check_cancelled(&w, NULL).fault, WATCH_RIGHT);
    assert_int_equal(watch_check_cancelled(&w, NULL).fault, WATCH_AFTER_CANCEL);
}

static void compaction_cancels_only_who_needs_what_is_gone(void **state)
{
    (void)state;
    struct story s;
    const struct watch_truth *truth = tell(&s);
    struct watch_check w = watch_from(2);
    assert_int_equal(deliver_changes(&w, truth, 0, 2), WATCH_RIGHT);
    assert_int_equal(watch_check_compacted(&w, 4, NULL).fault, WATCH_NOT_COMPACTED);
}

static void resumed_watch_goes_on_where_it_was(void **state)
{
    (void)state;
    struct story s;
    const struct watch_truth *truth = tell(&s);
    struct watch_check w = watch_from(2);
    assert_int_equal(deliver_changes(&w, truth, 0, 2), WATCH_RIGHT);
    assert_int_equal(watch_check_events(&w, truth, s.changes + 2, 1, true, NULL).fault,
                     WATCH_RIGHT);
    /* A half of revision 4 has come: all of it comes again. */
    assert_int_equal(watch_check_resumed(&w, truth, 4, NULL).fault, WATCH_RIGHT);
    assert_int_equal(deliver_changes(&w, truth, 2, 2), WATCH_RIGHT);
    assert_int_equal(watch_check_resumed(&w, truth, 5, NULL).fault, WATCH_RIGHT);
    assert_int_equal(deliver_changes(&w, truth, 6, 2), WATCH_RIGHT);

    w = watch_from(2);
    assert_int_equal(deliver_changes(&w, truth, 0, 2), WATCH_RIGHT);
    assert_int_equal(watch_check_resumed(&w, truth, 4, NULL).fault, WATCH_RIGHT);
    assert_int_equal(deliver_changes(&w, truth, 6, 1), WATCH_MISSING);

    w = watch_from(2);
    assert_int_equal(watch_check_resumed(&w, truth, 3, NULL).fault, WATCH_RESUMED_LATE);
}

static void first_fault_stays_and_is_told(void **state)
{
    (void)state;
    struct story s;
    const struct watch_truth *truth = tell(&s);
    struct watch_check w = watch_from(1);
    struct buf text;
    buf_init(&text);
    const struct watch_change lie = put_of(2, "a", 9);
    (void)watch_check_events(&w, truth, &lie, 1, false, &text);
    buf_put_u8(&text, 0);
    assert_string_equal((const char *)text.data,
                        "watch of a from revision 1, seen up to 0, revision 2: what was delivered "
                        "is not what was committed; what should have come is the put of a at "
                        "revision 2; what came is the put of a at revision 2\n");
    assert_int_equal(deliver_changes(&w, truth, 0, 1), WATCH_INVENTED);
    assert_int_equal(watch_check_resumed(&w, truth, 1, NULL).fault, WATCH_INVENTED);
    buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_and_in_order_is_right),
        cmocka_unit_test(start_revision_decides_where_it_begins),
        cmocka_unit_test(change_that_is_left_out_is_missing),
        cmocka_unit_test(order_within_a_revision_counts),
        cmocka_unit_test(change_that_comes_twice_is_repeated),
        cmocka_unit_test(what_was_not_committed_is_invented),
        cmocka_unit_test(key_outside_is_out_of_range),
        cmocka_unit_test(filters_leave_kinds_out),
        cmocka_unit_test(one_key_and_open_ends_are_ranges),
        cmocka_unit_test(revision_may_be_split_into_fragments_alone),
        cmocka_unit_test(progress_promises_what_came_before),
        cmocka_unit_test(nothing_follows_a_cancellation),
        cmocka_unit_test(compaction_cancels_only_who_needs_what_is_gone),
        cmocka_unit_test(resumed_watch_goes_on_where_it_was),
        cmocka_unit_test(first_fault_stays_and_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
