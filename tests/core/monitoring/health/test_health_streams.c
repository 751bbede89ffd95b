/* The agent's streams, on simulated hosts: what goes, what comes, and what strangers get. */
#include "core/monitoring/health/health_streams.h"

#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/chaos/simnet.h"
#include "core/chaos/simworld.h"
#include "tests/support/test.h"

#define PORT 9

/* One side. A message is authentic if its first byte is a capital letter, which names its sender;
 * with a question mark at its end it is answered. */
struct side {
    struct health_streams *streams;
    const struct world *world;
    struct world_listener listener;
    struct world_endpoint at;
    uint32_t messages;
    uint32_t answers;
    struct buf last;
};

struct sides {
    struct simworld *sim;
    struct simhost *hosts[2];
    struct side side[2];
};

static node_id side_received(void *ctx, uint64_t token, const struct world_endpoint *from,
                             struct bytes message)
{
    struct side *s = ctx;
    bool is_known = message.data[0] >= 'A' && message.data[0] <= 'Z';

    assert_true(from->host[0] != '\0');
    *(token != 0 ? &s->messages : &s->answers) += 1;
    buf_clear(&s->last);
    buf_put(&s->last, message.data, message.len);
    if (is_known && token != 0 && message.data[message.len - 1] == '?') {
        health_streams_reply(s->streams, token, (struct bytes){(const uint8_t *)"Z!", 2});
    }
    return is_known ? message.data[0] : NODE_NONE;
}

static struct world_stream_sink *side_accepted(struct world_listener *listener,
                                               struct world_stream *stream,
                                               const struct world_endpoint *from)
{
    struct side *s = listener->owner;

    return health_streams_accept(s->streams, stream, from);
}

static void side_open(struct sides *p, uint32_t i)
{
    struct side *s = &p->side[i];

    s->world = simhost_world(p->hosts[i]);
    s->listener = (struct world_listener){.accepted = side_accepted, .owner = s};
    s->streams = health_streams_open(s->world, &(struct health_streams_events){s, side_received});
    (void)snprintf(s->at.host, sizeof s->at.host, "%s", simhost_name(p->hosts[i]));
    s->at.port = PORT;
    buf_init(&s->last);
    assert_int_equal(s->world->net->listen(s->world->self, PORT, &s->listener), OK);
}

static void sides_open(struct sides *p)
{
    memset(p, 0, sizeof *p);
    p->sim = simworld_new(5);
    for (uint32_t i = 0; i < 2; i++) {
        p->hosts[i] = simhost_new(p->sim, i == 0 ? "a" : "b", 1 << 20);
        side_open(p, i);
    }
}

static void sides_run(struct sides *p, nanos span)
{
    simworld_run(p->sim, simworld_now(p->sim) + span);
}

static void sides_close(struct sides *p)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct side *s = &p->side[i];

        s->world->net->listen_close(s->world->self, PORT);
        health_streams_close(s->streams);
        buf_deinit(&s->last);
    }
    simworld_free(p->sim);
}

static void say_from(struct sides *p, uint32_t i, const char *text)
{
    health_streams_send(p->side[i].streams, &p->side[1 - i].at, text[strlen(text) - 1] == '?',
                        (struct bytes){(const uint8_t *)text, strlen(text)});
}

static void a_question_is_answered_and_the_stream_is_kept_for_a_while(void **state)
{
    (void)state;
    struct sides p;

    sides_open(&p);
    for (uint32_t i = 1; i <= 20; i++) {
        say_from(&p, 0, "A?");
        sides_run(&p, NANOS_PER_S);
        assert_int_equal(p.side[1].messages, i);
        assert_int_equal(p.side[0].answers, i);
    }
    assert_int_equal(health_streams_counted(p.side[0].streams, HEALTH_STREAMS_OPENED), 1);
    sides_run(&p, 60 * NANOS_PER_S);
    assert_int_equal(health_streams_in_use(p.side[0].streams), 0);
    assert_int_equal(health_streams_in_use(p.side[1].streams), 0);
    say_from(&p, 0, "A?");
    sides_run(&p, NANOS_PER_S);
    assert_int_equal(p.side[0].answers, 21);
    sides_close(&p);
}

static void the_largest_message_passes_between_those_who_know_each_other(void **state)
{
    (void)state;
    struct sides p;
    static uint8_t large[SWIM_STREAM_MAX_BYTES];

    sides_open(&p);
    memset(large, 'A', sizeof large);
    say_from(&p, 0, "A?");
    sides_run(&p, NANOS_PER_S);
    health_streams_send(p.side[0].streams, &p.side[1].at, false,
                        (struct bytes){large, sizeof large});
    sides_run(&p, 10 * NANOS_PER_S);
    assert_int_equal(p.side[1].messages, 2);
    assert_int_equal(p.side[1].last.len, sizeof large);
    assert_memory_equal(p.side[1].last.data, large, sizeof large);
    sides_close(&p);
}

static void a_strangers_first_message_may_not_be_large(void **state)
{
    (void)state;
    struct sides p;
    static uint8_t large[HEALTH_STRANGER_MAX_BYTES + 1];

    sides_open(&p);
    memset(large, 'A', sizeof large);
    health_streams_send(p.side[0].streams, &p.side[1].at, false,
                        (struct bytes){large, sizeof large});
    sides_run(&p, 10 * NANOS_PER_S);
    assert_int_equal(p.side[1].messages, 0);
    assert_int_equal(health_streams_in_use(p.side[1].streams), 0);
    sides_close(&p);
}

/* --- Strangers -----------------------------------------------------------------------------------
 */

struct intruder {
    struct world_stream_sink sink;
    struct world_stream *stream;
    size_t received;
    bool closed;
};

static void intruder_opened(struct world_stream_sink *sink)
{
    (void)sink;
}

static void intruder_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct intruder *s = sink->owner;

    s->received += bytes.len;
}

static void intruder_closed(struct world_stream_sink *sink, enum err why)
{
    struct intruder *s = sink->owner;

    (void)why;
    s->closed = true;
}

static void intruder_calls(struct sides *p, struct intruder *s, const struct world *world,
                           struct bytes bytes)
{
    *s = (struct intruder){.closed = false};
    s->sink = (struct world_stream_sink){intruder_opened, intruder_received, intruder_opened,
                                         intruder_closed, s};
    s->stream = world->net->connect(world->self, &p->side[1].at, &s->sink);
    if (bytes.len > 0) {
        assert_int_equal(world->net->stream_send(world->self, s->stream, bytes), OK);
    }
}

/* Whatever it says: it is shown the door, and gets not one byte. */
static void a_stranger_gets_no_byte(void **state)
{
    (void)state;
    const char *const texts[] = {
        "",
        "GET / HTTP/1.1\r\n\r\n",
        "NCPSxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "NCH1\x02\x00\x00\x00z?",     /* not authentic */
        "NCH1\xFF\xFF\xFF\xFFz?",     /* too long */
        "NCH1\x40\x00\x00\x00Athere", /* never complete */
    };
    const size_t lens[] = {0, 18, 45, 10, 10, 14};

    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct sides p;
        struct intruder s;
        const struct world *world = NULL;

        sides_open(&p);
        world = simhost_world(simhost_new(p.sim, "stranger", 1 << 20));
        intruder_calls(&p, &s, world, (struct bytes){(const uint8_t *)texts[i], lens[i]});
        sides_run(&p, 10 * NANOS_PER_S);
        assert_true(s.closed);
        assert_int_equal(s.received, 0);
        assert_int_equal(health_streams_in_use(p.side[1].streams), 0);
        assert_int_equal(health_streams_counted(p.side[1].streams, HEALTH_STREAMS_REFUSED), 1);
        sides_close(&p);
    }
}

/* They take every place, and more; one who has something to say gets in all the same, and one who
 * is known keeps its place. */
static void silent_intruders_keep_nobody_out(void **state)
{
    (void)state;
    struct sides p;
    static struct intruder crowd[3 * HEALTH_STREAMS_IN_MAX];
    const struct world *world = NULL;

    sides_open(&p);
    say_from(&p, 0, "A?");
    sides_run(&p, NANOS_PER_S);
    world = simhost_world(simhost_new(p.sim, "stranger", 1 << 20));
    for (size_t i = 0; i < COUNT_OF(crowd); i++) {
        intruder_calls(&p, &crowd[i], world, (struct bytes){(const uint8_t *)"NCH", 3});
    }
    sides_run(&p, NANOS_PER_S);
    assert_int_equal(health_streams_in_use(p.side[1].streams), HEALTH_STREAMS_IN_MAX);
    say_from(&p, 0, "A?");
    sides_run(&p, NANOS_PER_S);
    assert_int_equal(p.side[0].answers, 2);
    assert_int_equal(health_streams_counted(p.side[0].streams, HEALTH_STREAMS_OPENED), 1);
    sides_close(&p);
}

static void a_member_has_one_place(void **state)
{
    (void)state;
    struct sides p;
    static struct intruder calls[5];
    const struct world *world = NULL;

    sides_open(&p);
    world = simhost_world(simhost_new(p.sim, "member", 1 << 20));
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        intruder_calls(&p, &calls[i], world,
                       (struct bytes){(const uint8_t *)"NCH1\x02\x00\x00\x00"
                                                       "A?",
                                      10});
        sides_run(&p, NANOS_PER_S);
        assert_int_equal(health_streams_in_use(p.side[1].streams), 1);
    }
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        assert_int_equal(calls[i].closed, i + 1 < COUNT_OF(calls));
    }
    sides_close(&p);
}

static void a_flood_is_dropped_unread(void **state)
{
    (void)state;
    struct sides p;

    sides_open(&p);
    for (int i = 0; i < 1000; i++) {
        say_from(&p, 0, "A.");
    }
    sides_run(&p, NANOS_PER_S / 2);
    assert_in_range(p.side[1].messages, HEALTH_STREAM_BURST,
                    HEALTH_STREAM_BURST + HEALTH_STREAM_RATE);
    assert_int_equal(health_streams_counted(p.side[1].streams, HEALTH_STREAMS_OVERRATE),
                     1000 - p.side[1].messages);
    sides_run(&p, 4 * NANOS_PER_S);
    p.side[1].messages = 0;
    say_from(&p, 0, "A?");
    sides_run(&p, NANOS_PER_S);
    assert_int_equal(p.side[1].messages, 1);
    sides_close(&p);
}

/* --- Streams that hang ---------------------------------------------------------------------------
 */

static void where_no_answer_comes_the_next_question_takes_another_stream(void **state)
{
    (void)state;
    struct sides p;

    sides_open(&p);
    say_from(&p, 0, "A?");
    sides_run(&p, NANOS_PER_S);
    simnet_stall(p.hosts[0], p.hosts[1], simworld_now(p.sim) + 60 * NANOS_PER_S);
    say_from(&p, 0, "A?");
    sides_run(&p, 200 * NANOS_PER_MS);
    assert_int_equal(p.side[0].answers, 1);
    say_from(&p, 0, "A?");
    sides_run(&p, 200 * NANOS_PER_MS);
    assert_int_equal(p.side[0].answers, 2);
    /* Who was called has ended the old one, for there is a new one. */
    assert_int_equal(health_streams_in_use(p.side[0].streams), 1);
    assert_int_equal(health_streams_counted(p.side[0].streams, HEALTH_STREAMS_OPENED), 2);
    sides_close(&p);
}

/* Each question opens a stream, and none of them is ever answered: there is an end to it. */
static void to_many_who_are_dead_places_run_out_and_come_back(void **state)
{
    (void)state;
    struct sides p;
    struct world_endpoint nobody = {.port = PORT};

    sides_open(&p);
    simnet_cut(p.hosts[0], p.hosts[1], true);
    for (int round = 0; round < 100; round++) {
        say_from(&p, 0, "A?");
        for (uint32_t i = 0; i < 2 * HEALTH_STREAMS_OUT_MAX; i++) {
            (void)snprintf(nobody.host, sizeof nobody.host, "x%u", i);
            health_streams_send(p.side[0].streams, &nobody, true,
                                (struct bytes){(const uint8_t *)"A?", 2});
        }
        sides_run(&p, 150 * NANOS_PER_MS);
        assert_true(health_streams_in_use(p.side[0].streams) <= HEALTH_STREAMS_OUT_MAX);
    }
    assert_true(health_streams_counted(p.side[0].streams, HEALTH_STREAMS_UNSENT) > 0);
    simnet_cut(p.hosts[0], p.hosts[1], false);
    sides_run(&p, 60 * NANOS_PER_S);
    p.side[0].answers = 0;
    say_from(&p, 0, "A?");
    sides_run(&p, NANOS_PER_S);
    assert_int_equal(p.side[0].answers, 1);
    sides_close(&p);
}

static void frames_are_the_same_however_they_are_cut(void **state)
{
    (void)state;
    struct buf stream;
    const char *const texts[] = {"a", "bcd", "efghijklmnop"};

    buf_init(&stream);
    health_opening_encode(&stream);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        health_frame_encode(&stream, (struct bytes){(const uint8_t *)texts[i], strlen(texts[i])});
    }
    for (size_t step = 1; step <= stream.len; step++) {
        struct health_frames f;
        struct bytes message;
        size_t n = 0;

        health_frames_init(&f);
        health_frames_begin(&f, true, 100);
        for (size_t at = 0; at < stream.len; at += step) {
            enum err e = OK;

            health_frames_put(&f, (struct bytes){stream.data + at, u64_min(step, stream.len - at)});
            while ((e = health_frames_next(&f, &message)) == OK) {
                assert_int_equal(message.len, strlen(texts[n]));
                assert_memory_equal(message.data, texts[n], message.len);
                n++;
            }
            assert_int_equal(e, ERR_TRUNCATED);
        }
        assert_int_equal(n, COUNT_OF(texts));
        assert_int_equal(health_frames_waiting(&f), 0);
        health_frames_deinit(&f);
    }
    buf_deinit(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_is_answered_and_the_stream_is_kept_for_a_while),
        cmocka_unit_test(the_largest_message_passes_between_those_who_know_each_other),
        cmocka_unit_test(a_strangers_first_message_may_not_be_large),
        cmocka_unit_test(a_stranger_gets_no_byte),
        cmocka_unit_test(silent_intruders_keep_nobody_out),
        cmocka_unit_test(a_member_has_one_place),
        cmocka_unit_test(a_flood_is_dropped_unread),
        cmocka_unit_test(where_no_answer_comes_the_next_question_takes_another_stream),
        cmocka_unit_test(to_many_who_are_dead_places_run_out_and_come_back),
        cmocka_unit_test(frames_are_the_same_however_they_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
