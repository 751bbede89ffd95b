/* The contract of plain connections, held against the simulated world; and the manners of its
 * applications, which real ones have only by chance. */
#include <string.h>

#include "core/base/buf.h"
#include "core/chaos/simapp.h"
#include "core/chaos/simnet.h"
#include "core/chaos/simworld.h"
#include "tests/support/test.h"
#include "tests/world/plain_contract.h"

static const struct bytes plain_answer = {(const uint8_t *)PLAIN_ANSWER, sizeof PLAIN_ANSWER - 1};

static void plain_sim_open(struct plain_bench *bench)
{
    static const struct simapp_conduct hangs = {.manner = SIMAPP_HANGS};
    struct simworld *sim = simworld_new(1);
    struct simhost *host = simhost_new(sim, "a", 0);

    simapp_run(host, 80, plain_answer);
    simapp_run(host, 81, plain_answer);
    simapp_behave(host, 81, &hangs);
    bench->world = simhost_world(host);
    bench->servers[SERVER_ANSWERS] = (struct world_endpoint){"localhost", 80};
    bench->servers[SERVER_HANGS] = (struct world_endpoint){"127.0.0.1", 81};
    bench->servers[SERVER_IS_NONE] = (struct world_endpoint){"a", 82};
    bench->own = sim;
}

static void plain_sim_close(struct plain_bench *bench)
{
    simworld_free(bench->own);
}

static void plain_sim_step(struct plain_bench *bench)
{
    (void)simworld_step(bench->own);
}

/* --- manners --------------------------------------------------------------------------------- */

/* A question to an application, and what came of it. */
struct question {
    struct world_plain_sink sink;
    struct buf got;
    bool is_over;
    enum err why;
};

static void question_opened(struct world_plain_sink *sink)
{
    (void)sink;
}

static void question_received(struct world_plain_sink *sink, struct bytes bytes)
{
    struct question *q = sink->owner;

    buf_put(&q->got, bytes.data, bytes.len);
}

static void question_closed(struct world_plain_sink *sink, enum err why)
{
    struct question *q = sink->owner;

    q->is_over = true;
    q->why = why;
}

/* Asks port 80 of host `to` from `from`, for a second at most. */
static void question_ask(struct question *q, struct simworld *sim, struct simhost *from,
                         const char *to)
{
    const struct world *world = simhost_world(from);
    struct world_endpoint at = {.port = 80};

    memcpy(at.host, to, strlen(to) + 1);
    buf_deinit(&q->got);
    *q = (struct question){
        .sink = {question_opened, question_received, question_closed, q},
    };
    struct world_plain *plain =
        world->plain->connect(world->self, &at, world_now(world) + NANOS_PER_S, &q->sink);
    assert_int_equal(
        world->plain->send(world->self, plain, (struct bytes){(const uint8_t *)"?", 1}), OK);
    simworld_run(sim, simworld_now(sim) + 2 * NANOS_PER_S);
}

static void an_application_has_the_manner_that_it_is_told(void **state)
{
    static const struct {
        struct simapp_conduct conduct;
        enum err why;
        size_t least;
        size_t most;
    } table[] = {
        {{SIMAPP_ANSWERS, 0}, ERR_CLOSED, sizeof PLAIN_ANSWER - 1, sizeof PLAIN_ANSWER - 1},
        {{SIMAPP_ANSWERS, NANOS_PER_S / 2}, ERR_CLOSED, sizeof PLAIN_ANSWER - 1, 100},
        {{SIMAPP_ANSWERS, NANOS_PER_S}, ERR_TIMEOUT, 0, 0},
        {{SIMAPP_REFUSES, 0}, ERR_REFUSED, 0, 0},
        {{SIMAPP_IS_MUTE, 0}, ERR_TIMEOUT, 0, 0},
        {{SIMAPP_HANGS, 0}, ERR_TIMEOUT, 0, 0},
        {{SIMAPP_BABBLES, 0}, ERR_CLOSED, 1, SIMAPP_BABBLE_BYTES},
        {{SIMAPP_BREAKS_OFF, 0}, ERR_CLOSED, 8, 8},
    };
    struct simworld *sim = simworld_new(1);
    struct simhost *host = simhost_new(sim, "a", 0);
    struct question q = {.is_over = false};
    (void)state;
    simapp_run(host, 80, plain_answer);
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        simapp_behave(host, 80, &table[i].conduct);
        question_ask(&q, sim, host, "a");
        assert_true(q.is_over);
        assert_int_equal(q.why, table[i].why);
        assert_in_range(q.got.len, table[i].least, table[i].most);
    }
    buf_deinit(&q.got);
    simworld_free(sim);
}

static void an_application_is_reached_from_elsewhere_where_the_links_pass(void **state)
{
    struct simworld *sim = simworld_new(1);
    struct simhost *a = simhost_new(sim, "a", 0);
    struct simhost *b = simhost_new(sim, "b", 0);
    struct question q = {.is_over = false};
    (void)state;
    simapp_run(b, 80, plain_answer);
    question_ask(&q, sim, a, "b");
    assert_int_equal(q.why, ERR_CLOSED);
    question_ask(&q, sim, a, "a");
    assert_int_equal(q.why, ERR_REFUSED);
    simnet_cut(a, b, true);
    question_ask(&q, sim, a, "b");
    assert_int_equal(q.why, ERR_TIMEOUT);
    assert_int_equal(simapp_calls(b, 80), 1);
    buf_deinit(&q.got);
    simworld_free(sim);
}

static void an_application_outlives_the_node_and_its_questions(void **state)
{
    struct simworld *sim = simworld_new(1);
    struct simhost *a = simhost_new(sim, "a", 0);
    struct question q = {.is_over = false};
    struct question lost = {.is_over = false};
    const struct world *world = simhost_world(a);
    (void)state;
    simapp_run(a, 80, plain_answer);
    lost.sink =
        (struct world_plain_sink){question_opened, question_received, question_closed, &lost};
    (void)world->plain->connect(world->self, &(struct world_endpoint){"a", 80}, NANOS_FOREVER,
                                &lost.sink);
    simhost_kill(a);
    question_ask(&q, sim, a, "a");
    assert_false(lost.is_over);
    assert_int_equal(q.why, ERR_CLOSED);
    buf_deinit(&q.got);
    simworld_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_application_has_the_manner_that_it_is_told),
        cmocka_unit_test(an_application_is_reached_from_elsewhere_where_the_links_pass),
        cmocka_unit_test(an_application_outlives_the_node_and_its_questions),
    };
    struct plain_place place = {"simulated plain connections", plain_sim_open, plain_sim_close,
                                plain_sim_step};
    int failed = plain_contract_run(&place);

    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
