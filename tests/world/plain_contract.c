#include "tests/world/plain_contract.h"

#include <string.h>

#include "core/base/buf.h"
#include "tests/support/test.h"

#define PLAIN_STEPS_MAX 200000

/* How many steps show that nothing more happens. */
#define PLAIN_QUIET_STEPS 50

#define PLAIN_SPAN  (600 * NANOS_PER_S)
#define PLAIN_HURRY (50 * NANOS_PER_MS)

static const struct plain_place *plain_place;

/* A connection, and what it was told. */
struct plain_end {
    struct plain_bench *bench;
    struct world_plain *plain; /* NULL: gone */
    struct world_plain_sink sink;
    struct buf got;
    int opened;
    int closed;
    enum err why;
    bool closes_when_open;
    bool closes_when_told;
    bool sends_when_open;
    bool is_inside; /* a call of ours: nothing may be told */
};

static enum err plain_end_send(struct plain_end *e, const void *bytes, size_t n)
{
    const struct world *world = e->bench->world;

    e->is_inside = true;
    enum err result = world->plain->send(world->self, e->plain, (struct bytes){bytes, n});
    e->is_inside = false;
    return result;
}

static void plain_end_close(struct plain_end *e)
{
    const struct world *world = e->bench->world;

    e->is_inside = true;
    world->plain->close(world->self, e->plain);
    e->is_inside = false;
    e->plain = NULL;
}

static void plain_end_opened(struct world_plain_sink *sink)
{
    struct plain_end *e = sink->owner;

    assert_false(e->is_inside);
    assert_int_equal(e->closed, 0);
    e->opened++;
    if (e->sends_when_open) {
        assert_int_equal(plain_end_send(e, "how?", 4), OK);
    }
    if (e->closes_when_open) {
        plain_end_close(e);
    }
}

static void plain_end_received(struct world_plain_sink *sink, struct bytes bytes)
{
    struct plain_end *e = sink->owner;

    assert_false(e->is_inside);
    assert_int_equal(e->opened, 1);
    assert_int_equal(e->closed, 0);
    buf_put(&e->got, bytes.data, bytes.len);
    if (e->closes_when_told) {
        plain_end_close(e);
    }
}

static void plain_end_closed(struct world_plain_sink *sink, enum err why)
{
    struct plain_end *e = sink->owner;

    assert_false(e->is_inside);
    e->closed++;
    e->why = why;
    e->plain = NULL;
}

static void plain_end_connect(struct plain_end *e, struct plain_bench *bench,
                              const struct world_endpoint *to, nanos span)
{
    struct world_endpoint copy = *to;

    e->bench = bench;
    e->sink = (struct world_plain_sink){
        .opened = plain_end_opened,
        .received = plain_end_received,
        .closed = plain_end_closed,
        .owner = e,
    };
    e->is_inside = true;
    e->plain = bench->world->plain->connect(bench->world->self, &copy,
                                            world_now(bench->world) + span, &e->sink);
    e->is_inside = false;
    assert_non_null(e->plain);
    memset(&copy, 0xff, sizeof copy);
}

static void plain_end_await(struct plain_end *e)
{
    for (int i = 0; i < PLAIN_STEPS_MAX && e->plain != NULL; i++) {
        plain_place->step(e->bench);
    }
    assert_null(e->plain);
}

static void plain_end_rest(struct plain_end *e)
{
    for (int i = 0; i < PLAIN_QUIET_STEPS; i++) {
        plain_place->step(e->bench);
    }
    buf_deinit(&e->got);
}

/* --- the tests ------------------------------------------------------------------------------- */

static void assert_answered(const struct plain_end *e)
{
    assert_int_equal(e->opened, 1);
    assert_int_equal(e->closed, 1);
    assert_int_equal(e->why, ERR_CLOSED);
    assert_int_equal(e->got.len, strlen(PLAIN_ANSWER));
    assert_memory_equal(e->got.data, PLAIN_ANSWER, e->got.len);
}

static void brings_an_answer_and_then_its_end(void **state)
{
    struct plain_bench *bench = *state;
    struct plain_end e = {.sends_when_open = true};
    plain_end_connect(&e, bench, &bench->servers[SERVER_ANSWERS], PLAIN_SPAN);
    plain_end_await(&e);
    assert_answered(&e);
    plain_end_rest(&e);
    assert_int_equal(e.closed, 1);
}

static void keeps_what_is_sent_before_it_is_open(void **state)
{
    struct plain_bench *bench = *state;
    struct plain_end e = {.opened = 0};
    plain_end_connect(&e, bench, &bench->servers[SERVER_ANSWERS], PLAIN_SPAN);
    assert_int_equal(plain_end_send(&e, "how?", 4), OK);
    plain_end_await(&e);
    assert_answered(&e);
    plain_end_rest(&e);
}

static void says_that_nobody_listens(void **state)
{
    struct plain_bench *bench = *state;
    struct plain_end e = {.opened = 0};
    plain_end_connect(&e, bench, &bench->servers[SERVER_IS_NONE], PLAIN_SPAN);
    plain_end_await(&e);
    assert_int_equal(e.opened, 0);
    assert_int_equal(e.why, ERR_REFUSED);
    plain_end_rest(&e);
    assert_int_equal(e.closed, 1);
}

static void says_that_nobody_has_the_name(void **state)
{
    const struct world_endpoint nobody = {"no..body", 80};
    struct plain_bench *bench = *state;
    struct plain_end e = {.opened = 0};
    plain_end_connect(&e, bench, &nobody, PLAIN_SPAN);
    plain_end_await(&e);
    assert_int_equal(e.opened, 0);
    assert_int_equal(e.why, ERR_NOT_FOUND);
    plain_end_rest(&e);
}

static void ends_at_the_deadline_although_it_is_open(void **state)
{
    struct plain_bench *bench = *state;
    struct plain_end e = {.sends_when_open = true};
    nanos before = world_now(bench->world);
    plain_end_connect(&e, bench, &bench->servers[SERVER_HANGS], PLAIN_HURRY);
    plain_end_await(&e);
    assert_int_equal(e.closed, 1);
    assert_int_equal(e.why, ERR_TIMEOUT);
    assert_true(world_now(bench->world) >= before + PLAIN_HURRY);
    plain_end_rest(&e);
    assert_int_equal(e.closed, 1);
}

static void ends_at_a_deadline_that_is_past(void **state)
{
    struct plain_bench *bench = *state;
    struct plain_end e = {.opened = 0};
    plain_end_connect(&e, bench, &bench->servers[SERVER_HANGS], 0);
    plain_end_await(&e);
    assert_int_equal(e.why, ERR_TIMEOUT);
    plain_end_rest(&e);
}

static void is_told_nothing_after_its_close(void **state)
{
    struct plain_bench *bench = *state;
    struct plain_end e = {.opened = 0};
    plain_end_connect(&e, bench, &bench->servers[SERVER_ANSWERS], PLAIN_HURRY);
    plain_end_close(&e);
    plain_end_rest(&e);
    assert_int_equal(e.opened + e.closed, 0);
}

static void may_be_closed_from_within(void **state)
{
    struct plain_bench *bench = *state;
    struct plain_end open = {.closes_when_open = true, .sends_when_open = true};
    struct plain_end told = {.closes_when_told = true, .sends_when_open = true};
    plain_end_connect(&open, bench, &bench->servers[SERVER_ANSWERS], PLAIN_SPAN);
    plain_end_connect(&told, bench, &bench->servers[SERVER_ANSWERS], PLAIN_SPAN);
    plain_end_await(&open);
    plain_end_await(&told);
    assert_true(told.got.len > 0);
    plain_end_rest(&open);
    plain_end_rest(&told);
    assert_int_equal(open.closed + told.closed, 0);
}

static void has_a_bounded_queue(void **state)
{
    static const uint8_t many[WORLD_PLAIN_QUEUE_MAX_BYTES];
    struct plain_bench *bench = *state;
    struct plain_end e = {.opened = 0};
    plain_end_connect(&e, bench, &bench->servers[SERVER_HANGS], PLAIN_SPAN);
    assert_int_equal(plain_end_send(&e, many, sizeof many), OK);
    assert_int_equal(plain_end_send(&e, many, 1), ERR_BUSY);
    plain_end_close(&e);
    plain_end_rest(&e);
}

static int plain_bench_open(void **state)
{
    static struct plain_bench bench;

    memset(&bench, 0, sizeof bench);
    plain_place->open(&bench);
    *state = &bench;
    return 0;
}

static int plain_bench_close(void **state)
{
    plain_place->close(*state);
    return 0;
}

#define PLAIN_TEST(f) cmocka_unit_test_setup_teardown(f, plain_bench_open, plain_bench_close)

int plain_contract_run(struct plain_place *place)
{
    const struct CMUnitTest tests[] = {
        PLAIN_TEST(brings_an_answer_and_then_its_end),
        PLAIN_TEST(keeps_what_is_sent_before_it_is_open),
        PLAIN_TEST(says_that_nobody_listens),
        PLAIN_TEST(says_that_nobody_has_the_name),
        PLAIN_TEST(ends_at_the_deadline_although_it_is_open),
        PLAIN_TEST(ends_at_a_deadline_that_is_past),
        PLAIN_TEST(is_told_nothing_after_its_close),
        PLAIN_TEST(may_be_closed_from_within),
        PLAIN_TEST(has_a_bounded_queue),
    };

    plain_place = place;
    return cmocka_run_group_tests_name(place->name, tests, NULL, NULL);
}
