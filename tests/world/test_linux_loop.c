/* The loop: timers in order and in time, others' handles on it, and names that are looked up beside
 * it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "core/base/buf.h"
#include "tests/support/test.h"
#include "tests/world/linux_pair.h"

#define TIMERS 200

struct alarm {
    struct world_timer timer;
    struct loop *loop;
    nanos due;
    uint64_t turn; /* of setting */
    bool is_wanted;
};

struct loop {
    struct linux_world *lw;
    const struct world *world;
    struct alarm alarms[TIMERS];
    uint64_t turns;
    nanos last_due; /* of the alarm that fired last */
    uint64_t last_turn;
    int fired;
    int wanted;
};

static void loop_open(struct loop *l)
{
    memset(l, 0, sizeof *l);
    assert_int_equal(linux_world_open("/tmp", &l->lw), OK);
    l->world = linux_world_table(l->lw);
}

static void alarm_fired(struct world_timer *timer)
{
    struct alarm *a = timer->owner;
    struct loop *l = a->loop;
    assert_true(a->is_wanted);
    assert_false(timer->is_set);
    assert_true(world_now(l->world) >= a->due);
    if (a->due == l->last_due) {
        assert_true(a->turn > l->last_turn);
    } else {
        assert_true(a->due > l->last_due);
    }
    a->is_wanted = false;
    l->last_due = a->due;
    l->last_turn = a->turn;
    l->fired++;
}

static void alarm_set(struct loop *l, struct alarm *a, nanos due)
{
    a->loop = l;
    a->timer.fire = alarm_fired;
    a->timer.owner = a;
    l->wanted += a->is_wanted ? 0 : 1;
    a->is_wanted = true;
    a->due = due;
    a->turn = ++l->turns;
    world_timer_set(l->world, &a->timer, due);
}

static void timers_fire_in_the_order_of_their_times_and_then_of_setting(void **state)
{
    struct prng prng = test_prng(__func__);
    struct loop *l = calloc(1, sizeof *l);
    (void)state;
    loop_open(l);
    nanos base = world_now(l->world) + 5 * NANOS_PER_MS;
    for (int i = 0; i < 3000; i++) {
        struct alarm *a = &l->alarms[prng_below(&prng, TIMERS)];
        if (prng_chance(&prng, 1, 4)) {
            l->wanted -= a->is_wanted ? 1 : 0;
            a->is_wanted = false;
            world_timer_cancel(l->world, &a->timer);
        } else {
            alarm_set(l, a, base + prng_below(&prng, 20) * 200 * NANOS_PER_US);
        }
    }
    while (l->fired < l->wanted) {
        assert_true(linux_world_poll(l->lw, NANOS_PER_S) > 0);
    }
    assert_int_equal(linux_world_poll(l->lw, 3 * NANOS_PER_MS), 0);
    linux_world_close(l->lw);
    free(l);
}

static void a_timer_is_not_early_and_hardly_late(void **state)
{
    struct loop l;
    nanos least = NANOS_FOREVER;
    (void)state;
    loop_open(&l);
    for (int i = 0; i < 20; i++) {
        nanos due = world_now(l.world) + 300 * NANOS_PER_US;
        alarm_set(&l, &l.alarms[0], due);
        while (l.fired == i) {
            (void)linux_world_poll(l.lw, NANOS_PER_S);
        }
        least = u64_min(least, world_now(l.world) - due);
    }
    /* Milliseconds, as libuv's own timers have, would be too coarse. */
    assert_true(least < 500 * NANOS_PER_US);
    linux_world_close(l.lw);
}

struct restless {
    struct world_timer timer;
    const struct world *world;
    uint64_t fired;
};

static void restless_fired(struct world_timer *timer)
{
    struct restless *r = timer->owner;
    r->fired++;
    world_timer_set(r->world, &r->timer, 0);
}

static void note_file(struct world_file_request *request)
{
    *(bool *)request->owner = true;
}

static void a_timer_that_sets_itself_starves_nobody(void **state)
{
    struct loop l;
    bool is_done = false;
    (void)state;
    loop_open(&l);
    struct restless r = {.world = l.world};
    r.timer = (struct world_timer){.fire = restless_fired, .owner = &r};
    world_timer_set(l.world, &r.timer, 0);
    struct world_file_request stat = {
        .op = WORLD_STAT, .path = "", .done = note_file, .owner = &is_done};
    world_submit(l.world, &stat);
    while (!is_done) {
        (void)linux_world_poll(l.lw, NANOS_PER_S);
    }
    assert_true(r.fired > 0);
    linux_world_close(l.lw);
}

static void the_poll_waits_no_longer_than_it_was_told(void **state)
{
    struct loop l;
    (void)state;
    loop_open(&l);
    nanos began = world_now(l.world);
    assert_int_equal(linux_world_poll(l.lw, 0), 0);
    assert_int_equal(linux_world_poll(l.lw, 10 * NANOS_PER_MS), 0);
    assert_true(world_now(l.world) - began >= 10 * NANOS_PER_MS);
    linux_world_close(l.lw);
}

struct guest {
    struct loop *l;
    uv_timer_t timer;
    int fired;
};

static void guest_fired(uv_timer_t *timer)
{
    struct guest *g = timer->data;
    if (++g->fired == 3) {
        uv_close((uv_handle_t *)timer, NULL);
        linux_world_stop(g->l->lw);
    }
}

static void others_share_the_loop(void **state)
{
    struct loop l;
    struct guest g = {.l = &l};
    (void)state;
    loop_open(&l);
    assert_int_equal(uv_timer_init(linux_world_loop(l.lw), &g.timer), 0);
    g.timer.data = &g;
    assert_int_equal(uv_timer_start(&g.timer, guest_fired, 2, 2), 0);
    alarm_set(&l, &l.alarms[0], world_now(l.world) + NANOS_PER_MS);
    linux_world_run(l.lw);
    assert_int_equal(g.fired, 3);
    assert_int_equal(l.fired, 1);
    linux_world_close(l.lw);
}

static void awake_and_now_go_on_together(void **state)
{
    struct loop l;
    (void)state;
    loop_open(&l);
    nanos now = world_now(l.world);
    nanos awake = world_awake(l.world);
    (void)linux_world_poll(l.lw, 5 * NANOS_PER_MS);
    assert_true(world_now(l.world) - now >= 5 * NANOS_PER_MS);
    assert_true(world_awake(l.world) - awake >= 5 * NANOS_PER_MS);
    linux_world_close(l.lw);
}

/* --- names, and descriptors ------------------------------------------------------------------ */

struct call {
    struct world_stream_sink sink;
    struct world_listener listener;
    int opened;
    int closed;
    int accepted;
    enum err why;
};

static void call_opened(struct world_stream_sink *sink)
{
    ((struct call *)sink->owner)->opened++;
}

static void call_received(struct world_stream_sink *sink, struct bytes bytes)
{
    (void)sink;
    (void)bytes;
}

static void call_closed(struct world_stream_sink *sink, enum err why)
{
    struct call *c = sink->owner;
    c->closed++;
    c->why = why;
}

static struct world_stream_sink *call_accepted(struct world_listener *listener,
                                               struct world_stream *stream,
                                               const struct world_endpoint *from)
{
    struct call *c = listener->owner;
    (void)stream;
    (void)from;
    c->accepted++;
    return &c->sink;
}

static void call_loop_open(struct call *c, struct linux_pair *p)
{
    *c = (struct call){.opened = 0};
    *p = (struct linux_pair){.config_a = linux_net_config_default(),
                             .config_b = linux_net_config_default()};
    linux_pair_open(p);
    c->sink = (struct world_stream_sink){call_opened, call_received, NULL, call_closed, c};
    c->listener = (struct world_listener){call_accepted, c};
    const struct world *b = linux_world_table(p->b);
    assert_int_equal(b->net->listen(b->self, 0, &c->listener), OK);
}

static void call_host(struct call *c, struct linux_pair *p, const char *host)
{
    const struct world *a = linux_world_table(p->a);
    struct world_endpoint to = {.port = linux_world_port_of(p->b, &c->listener)};
    (void)snprintf(to.host, sizeof to.host, "%s", host);
    (void)a->net->connect(a->self, &to, &c->sink);
    for (int i = 0; i < 5000 && c->opened + c->closed == 0; i++) {
        linux_pair_step(p);
    }
}

static void a_name_is_looked_up(void **state)
{
    struct call c;
    struct linux_pair p;
    (void)state;
    call_loop_open(&c, &p);
    call_host(&c, &p, "localhost");
    assert_int_equal(c.opened, 1);
    linux_pair_close(&p);
}

static void a_name_that_is_none_is_not_found(void **state)
{
    struct call c;
    struct linux_pair p;
    (void)state;
    call_loop_open(&c, &p);
    call_host(&c, &p, "no..name");
    assert_int_equal(c.closed, 1);
    assert_int_equal(c.why, ERR_NOT_FOUND);
    assert_int_equal(p.refusals, 1);
    linux_pair_close(&p);
}

static void a_lookup_that_is_under_way_ends_with_the_world(void **state)
{
    struct call c;
    struct linux_pair p;
    (void)state;
    call_loop_open(&c, &p);
    const struct world *a = linux_world_table(p.a);
    const struct world_endpoint to = {"localhost", 1};
    (void)a->net->connect(a->self, &to, &c.sink);
    linux_pair_close(&p);
    assert_int_equal(c.opened + c.closed, 0);
}

struct letterbox {
    struct world_datagram_sink sink;
    int count;
};

static void letter_received(struct world_datagram_sink *sink, const struct world_endpoint *from,
                            struct bytes datagram)
{
    struct letterbox *l = sink->owner;
    (void)from;
    assert_int_equal(datagram.len, 4);
    l->count++;
}

static void datagrams_to_a_name_arrive_once_it_is_known(void **state)
{
    struct call c;
    struct linux_pair p;
    struct letterbox box = {.count = 0};
    (void)state;
    call_loop_open(&c, &p);
    box.sink = (struct world_datagram_sink){letter_received, &box};
    const struct world *a = linux_world_table(p.a);
    const struct world *b = linux_world_table(p.b);
    struct world_endpoint to = {"localhost", linux_pair_free_port()};
    uint16_t from = linux_pair_free_port();
    assert_int_equal(a->net->datagram_open(a->self, from, &box.sink), OK);
    assert_int_equal(b->net->datagram_open(b->self, to.port, &box.sink), OK);
    for (int i = 0; i < 2000 && box.count == 0; i++) {
        a->net->datagram_send(a->self, from, &to, (struct bytes){(const uint8_t *)"ping", 4});
        linux_pair_step(&p);
    }
    assert_true(box.count > 0);
    linux_pair_close(&p);
}

static void without_descriptors_accepting_pauses_and_goes_on(void **state)
{
    struct call c;
    struct linux_pair p;
    struct rlimit before;
    struct rlimit now;
    (void)state;
    call_loop_open(&c, &p);
    /* The caller's socket takes the last descriptor. */
    const struct world *a = linux_world_table(p.a);
    const struct world_endpoint to = {"127.0.0.1", linux_world_port_of(p.b, &c.listener)};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = open("/dev/null", O_RDONLY);
    (void)close(next);
    now = before;
    now.rlim_cur = (rlim_t)next + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    (void)a->net->connect(a->self, &to, &c.sink);
    for (int i = 0; i < 50; i++) {
        linux_pair_step(&p);
    }
    assert_int_equal(c.accepted, 0);
    assert_true(p.refusals > 0 && p.refusals < 5); /* and not once a turn */
    assert_non_null(strstr(p.why, "file descriptor"));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int i = 0; i < 2000 && c.accepted == 0; i++) {
        linux_pair_step(&p);
    }
    assert_int_equal(c.accepted, 1);
    linux_pair_close(&p);
}

/* A host that is dead acknowledges nothing; one that stands takes nothing, which the kernel treats
 * alike and a test can bring about. */
static void a_peer_that_takes_nothing_is_given_up(void **state)
{
    struct call c = {.opened = 0};
    struct linux_pair p = {.config_a = linux_net_config_default(),
                           .config_b = linux_net_config_default()};
    static uint8_t block[1024 * 1024];
    (void)state;
    p.config_a.stream_timeout = 400 * NANOS_PER_MS;
    linux_pair_open(&p);
    c.sink = (struct world_stream_sink){call_opened, call_received, NULL, call_closed, &c};
    c.listener = (struct world_listener){call_accepted, &c};
    const struct world *a = linux_world_table(p.a);
    const struct world *b = linux_world_table(p.b);
    assert_int_equal(b->net->listen(b->self, 0, &c.listener), OK);
    const struct world_endpoint to = {"127.0.0.1", linux_world_port_of(p.b, &c.listener)};
    struct world_stream *stream = a->net->connect(a->self, &to, &c.sink);
    while (c.opened == 0 || c.accepted == 0) {
        linux_pair_step(&p);
    }
    nanos began = world_now(a);
    while (c.closed == 0 && world_now(a) - began < 20 * NANOS_PER_S) {
        (void)a->net->stream_send(a->self, stream, (struct bytes){block, sizeof block});
        (void)linux_world_poll(p.a, 10 * NANOS_PER_MS);
    }
    assert_int_equal(c.closed, 1);
    assert_int_equal(c.why, ERR_TIMEOUT);
    print_message("# given up after %llu ms\n",
                  (unsigned long long)((world_now(a) - began) / NANOS_PER_MS));
    linux_pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_in_the_order_of_their_times_and_then_of_setting),
        cmocka_unit_test(a_timer_is_not_early_and_hardly_late),
        cmocka_unit_test(a_timer_that_sets_itself_starves_nobody),
        cmocka_unit_test(the_poll_waits_no_longer_than_it_was_told),
        cmocka_unit_test(others_share_the_loop),
        cmocka_unit_test(awake_and_now_go_on_together),
        cmocka_unit_test(a_name_is_looked_up),
        cmocka_unit_test(a_name_that_is_none_is_not_found),
        cmocka_unit_test(a_lookup_that_is_under_way_ends_with_the_world),
        cmocka_unit_test(datagrams_to_a_name_arrive_once_it_is_known),
        cmocka_unit_test(a_peer_that_takes_nothing_is_given_up),
        cmocka_unit_test(without_descriptors_accepting_pauses_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
