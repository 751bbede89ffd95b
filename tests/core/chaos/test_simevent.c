/* The queue of events. */
#include "core/chaos/simevent.h"

#include "tests/support/test.h"

static void event_never(void *arg)
{
    (void)arg;
}

static void count_dropped(void *arg)
{
    (*(size_t *)arg)++;
}

static bool has_even_ticket(void *ctx, const struct simevent *event)
{
    (void)ctx;
    return event->ticket % 2 == 0;
}

static void events_come_out_in_order_whatever_was_filtered_out(void **state)
{
    (void)state;
    struct prng luck = test_prng(__func__);

    for (size_t round = 0; round < test_rounds(200); round++) {
        struct simqueue q = {0};
        size_t dropped = 0;
        uint64_t count = prng_below(&luck, 100);
        bool is_filtered = prng_chance(&luck, 1, 2);
        for (uint64_t ticket = 1; ticket <= count; ticket++) {
            const struct simevent event = {.due = prng_below(&luck, 20),
                                           .ticket = ticket,
                                           .run = event_never,
                                           .drop = count_dropped,
                                           .arg = &dropped};
            simqueue_push(&q, &event);
        }
        if (is_filtered) {
            simqueue_filter(&q, has_even_ticket, NULL);
            assert_int_equal(q.count, count / 2);
            assert_int_equal(dropped, count - count / 2);
        }
        size_t left = q.count / 3;
        struct simevent before = {0};
        while (q.count > left) {
            struct simevent event = simqueue_pop(&q);
            assert_true(sim_is_before(before.due, before.ticket, event.due, event.ticket));
            before = event;
        }
        dropped = 0;
        simqueue_deinit(&q);
        assert_int_equal(dropped, left);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_out_in_order_whatever_was_filtered_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
