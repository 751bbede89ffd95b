/* The agent's end of a session, against voters that a test plays. */
#include "core/ha/ha_session.h"

#include <string.h>

#include "core/base/check.h"
#include "core/chaos/simnet.h"
#include "core/chaos/simworld.h"
#include "core/ha/ha_lease.h"
#include "tests/support/test.h"

#define STAND_PORT 2380
#define STANDS     3

/* A voter: says what the test says, and remembers what it hears. */
struct stand {
    struct simhost *host;
    char name[16];
    struct world_listener listener;
    struct world_stream *stream; /* the newest; NULL: it has ended */
    struct world_stream_sink sink;
    struct ha_frames frames;
    uint32_t hellos;
    struct ha_hello hello;
    uint32_t renewals;
    uint64_t txn;
    uint64_t taken;
};

/* What the feed has told. */
struct reader {
    uint32_t began;
    uint32_t changed;
    int64_t reached;
    uint32_t led;
    uint32_t notes;
};

struct market {
    struct simworld *sim;
    struct simhost *host;
    struct ha_session *session;
    const struct ha_store *store;
    struct ha_feed feed;
    struct reader told;
    struct stand stand[STANDS];
};

static void stand_hears(struct world_stream_sink *sink, struct bytes bytes)
{
    struct stand *s = sink->owner;
    struct ha_frame frame;

    ha_frames_put(&s->frames, bytes);
    while (ha_frames_next(&s->frames, &frame, NULL) == OK) {
        if (frame.kind == HA_FRAME_HELLO) {
            s->hellos++;
            s->hello = frame.as.hello;
        } else if (frame.kind == HA_FRAME_RENEWAL) {
            s->renewals++;
        } else if (frame.kind == HA_FRAME_TXN) {
            s->txn = frame.as.txn.number;
        } else if (frame.kind == HA_FRAME_TAKEN) {
            s->taken = frame.as.taken;
        }
    }
}

static void stand_nothing(struct world_stream_sink *sink)
{
    (void)sink;
}

static void stand_closed(struct world_stream_sink *sink, enum err why)
{
    struct stand *s = sink->owner;
    (void)why;
    s->stream = NULL;
}

static struct world_stream_sink *stand_accepts(struct world_listener *listener,
                                               struct world_stream *stream,
                                               const struct world_endpoint *from)
{
    struct stand *s = listener->owner;
    (void)from;
    ha_frames_deinit(&s->frames);
    ha_frames_init(&s->frames, true);
    s->stream = stream;
    s->sink =
        (struct world_stream_sink){stand_nothing, stand_hears, stand_nothing, stand_closed, s};
    return &s->sink;
}

static void market_run(struct market *m, nanos span)
{
    simworld_run(m->sim, simworld_now(m->sim) + span);
}

static void stand_says(struct market *m, struct stand *s, const struct ha_frame *frame)
{
    const struct world *w = simhost_world(s->host);
    struct buf b;

    assert_non_null(s->stream);
    buf_init(&b);
    ha_frame_encode(frame, &b);
    assert_int_equal(w->net->stream_send(w->self, s->stream, buf_view(&b)), OK);
    buf_deinit(&b);
    market_run(m, 5 * NANOS_PER_MS);
}

static void reader_began(void *ctx)
{
    struct market *m = ctx;
    m->told.began++;
    m->told.changed = 0;
}

static void reader_changed(void *ctx, const struct ha_change *change)
{
    struct market *m = ctx;
    (void)change;
    m->told.changed++;
}

static void reader_reached(void *ctx, int64_t revision)
{
    struct market *m = ctx;
    assert_true(revision >= m->told.reached || m->told.began > 1);
    m->told.reached = revision;
}

static void reader_led(void *ctx)
{
    struct market *m = ctx;
    m->told.led++;
}

static void reader_noted(void *ctx, node_id from, struct bytes note)
{
    struct market *m = ctx;
    (void)from;
    (void)note;
    m->told.notes++;
}

static void market_open(struct market *m, uint64_t seed)
{
    struct ha_session_config config = {.cluster = 77, .host = "host-x", .n_voters = STANDS};
    const struct ha_session_events nobody = {.ctx = NULL};

    memset(m, 0, sizeof(*m));
    m->sim = simworld_new(seed);
    m->host = simhost_new(m->sim, "host-x", 1024 * 1024);
    for (uint32_t i = 0; i < STANDS; i++) {
        struct stand *s = &m->stand[i];
        memcpy(s->name, "stand-0", 8);
        s->name[6] = (char)('0' + i);
        s->host = simhost_new(m->sim, s->name, 1024 * 1024);
        s->listener = (struct world_listener){.accepted = stand_accepts, .owner = s};
        ha_frames_init(&s->frames, true);
        const struct world *w = simhost_world(s->host);
        assert_int_equal(w->net->listen(w->self, STAND_PORT, &s->listener), OK);
        memcpy(config.voters[i].name, s->name, sizeof(s->name));
        memcpy(config.voters[i].at.host, s->name, sizeof(s->name));
        config.voters[i].at.port = STAND_PORT;
    }
    m->session = ha_session_open(simhost_world(m->host), &config, &nobody);
    m->store = ha_session_store(m->session);
    m->feed =
        (struct ha_feed){m, reader_began, reader_changed, reader_reached, reader_led, reader_noted};
    m->store->ops->feed(m->store->self, &m->feed);
    market_run(m, 100 * NANOS_PER_MS);
}

static void market_close(struct market *m)
{
    simhost_kill(m->host);
    ha_session_close(m->session);
    for (uint32_t i = 0; i < STANDS; i++) {
        simhost_kill(m->stand[i].host);
        ha_frames_deinit(&m->stand[i].frames);
    }
    simworld_free(m->sim);
}

static struct ha_session_status market_status(const struct market *m)
{
    struct ha_session_status status;

    ha_session_status(m->session, &status);
    return status;
}

/* Whom it calls now; NULL: nobody. */
static struct stand *called_or_none(struct market *m)
{
    const struct ha_session_status status = market_status(m);

    for (uint32_t i = 0; i < STANDS; i++) {
        if (strcmp(m->stand[i].name, status.voter) == 0) {
            return &m->stand[i];
        }
    }
    return NULL;
}

static struct stand *called(struct market *m)
{
    struct stand *s = called_or_none(m);

    CHECK(s != NULL);
    return s;
}

/* The next that calls, other than `but`. */
static struct stand *await_call(struct market *m, const struct stand *but, nanos bound)
{
    const nanos until = simworld_now(m->sim) + bound;

    while (simworld_now(m->sim) < until) {
        struct stand *s = called_or_none(m);
        if (s != NULL && s != but && s->stream != NULL && s->hellos > 0) {
            return s;
        }
        market_run(m, 10 * NANOS_PER_MS);
    }
    assert_true(false);
    return NULL;
}

static void stand_reached(struct market *m, struct stand *s, uint64_t revision, node_id leader)
{
    stand_says(m, s,
               &(struct ha_frame){.kind = HA_FRAME_REACHED,
                                  .as.reached = {revision, leader != NODE_NONE ? 5 : 0, leader}});
}

static void stand_change(struct market *m, struct stand *s, const char *key, int64_t revision)
{
    const struct ha_change change = {.key = {(const uint8_t *)key, strlen(key)},
                                     .create_revision = revision,
                                     .mod_revision = revision};
    struct buf b;

    buf_init(&b);
    ha_change_encode(&change, &b);
    stand_says(m, s, &(struct ha_frame){.kind = HA_FRAME_CHANGES, .as.changes = buf_view(&b)});
    buf_deinit(&b);
}

/* Is served, with everything up to revision 10. */
static struct stand *market_served(struct market *m, uint64_t seed)
{
    market_open(m, seed);
    struct stand *s = called(m);
    assert_int_equal(s->hellos, 1);
    assert_int_equal(s->hello.revision, 0);
    assert_string_equal(s->hello.host, "host-x");
    stand_says(m, s, &(struct ha_frame){.kind = HA_FRAME_WELCOME, .as.welcome = {3, false}});
    stand_change(m, s, "/novacron/vms/a", 9);
    stand_change(m, s, "/novacron/vms/b", 10);
    return s;
}

static void half_a_picture_is_not_handed_on(void **state)
{
    struct market m;
    (void)state;
    struct stand *s = market_served(&m, 1);
    assert_int_equal(m.told.began, 0); /* what was known before stands until there is a whole */
    assert_int_equal(m.told.changed, 0);
    stand_reached(&m, s, 10, 1);
    assert_int_equal(m.told.began, 1);
    assert_int_equal(m.told.changed, 2);
    assert_int_equal(m.told.reached, 10);
    assert_int_equal(m.store->ops->leads(m.store->self).leader, 1);
    stand_change(&m, s, "/novacron/vms/c", 11);
    assert_int_equal(m.told.changed, 2);
    stand_reached(&m, s, 12, 1);
    assert_int_equal(m.told.changed, 3);
    assert_int_equal(m.told.began, 1);
    market_close(&m);
}

/* Part of a picture came, and then its end: nothing of that is ever handed on. */
static void who_is_lost_in_the_middle_is_forgotten(void **state)
{
    struct market m;
    (void)state;
    struct stand *s = market_served(&m, 2);
    stand_reached(&m, s, 10, 1);
    stand_change(&m, s, "/novacron/vms/c", 11);
    struct stand *next = await_call(&m, s, 3 * NANOS_PER_S); /* it has fallen silent */
    assert_int_equal(next->hello.revision, 10);
    assert_int_equal(next->hello.lineage, 3);
    assert_int_equal(next->hello.term, 5);
    assert_int_equal(m.store->ops->leads(m.store->self).leader, NODE_NONE);
    stand_says(&m, next, &(struct ha_frame){.kind = HA_FRAME_WELCOME, .as.welcome = {3, true}});
    stand_reached(&m, next, 10, 1);
    assert_int_equal(m.told.changed, 2);
    assert_int_equal(m.told.began, 1);
    /* A voter that is behind tells of leaders, and not of revisions. */
    stand_reached(&m, next, 7, 2);
    assert_int_equal(m.told.reached, 10);
    assert_int_equal(m.store->ops->leads(m.store->self).leader, 2);
    market_close(&m);
}

/* It is to begin anew, and its voter dies before there is a whole: the view is what it was, and so
 * is what the next voter hears of it. Else one that lags could take it back. */
static void who_was_to_begin_anew_has_what_it_had(void **state)
{
    struct market m;
    (void)state;
    struct stand *s = market_served(&m, 11);
    stand_reached(&m, s, 10, 1);
    struct stand *next = await_call(&m, s, 3 * NANOS_PER_S);
    stand_says(&m, next, &(struct ha_frame){.kind = HA_FRAME_WELCOME, .as.welcome = {3, false}});
    stand_change(&m, next, "/novacron/vms/a", 9);
    assert_int_equal(market_status(&m).revision, 10);
    next->hellos = 0;
    s->hellos = 0;
    struct stand *third = await_call(&m, next, 3 * NANOS_PER_S);
    assert_int_equal(third->hello.revision, 10);
    assert_int_equal(third->hello.lineage, 3);
    assert_int_equal(third->hello.term, 5);
    assert_int_equal(m.told.began, 1);
    /* Whatever a voter of its lineage tells anew is handed on once it has all that was known. */
    stand_says(&m, third, &(struct ha_frame){.kind = HA_FRAME_WELCOME, .as.welcome = {3, false}});
    stand_change(&m, third, "/novacron/vms/a", 7);
    stand_reached(&m, third, 8, 2);
    assert_int_equal(m.told.began, 1);
    assert_int_equal(m.told.reached, 10);
    assert_int_equal(m.store->ops->leads(m.store->self).leader, 2);
    stand_change(&m, third, "/novacron/vms/b", 10);
    stand_change(&m, third, "/novacron/vms/c", 11);
    stand_reached(&m, third, 11, 2);
    assert_int_equal(m.told.began, 2);
    assert_int_equal(m.told.changed, 3);
    assert_int_equal(m.told.reached, 11);
    market_close(&m);
}

/* The cluster was recovered from the loss of its quorum: its revisions are others, and lower. */
static void another_lineage_is_begun_anew(void **state)
{
    struct market m;
    (void)state;
    struct stand *s = market_served(&m, 12);
    stand_reached(&m, s, 10, 1);
    struct stand *next = await_call(&m, s, 3 * NANOS_PER_S);
    const struct ha_welcome other = {1U << 24, false};
    stand_says(&m, next, &(struct ha_frame){.kind = HA_FRAME_WELCOME, .as.welcome = other});
    next->hellos = 0;
    s->hellos = 0;
    struct stand *third = await_call(&m, next, 3 * NANOS_PER_S);
    assert_int_equal(third->hello.revision, 0); /* of that lineage it has nothing */
    assert_int_equal(third->hello.lineage, 1U << 24);
    stand_says(&m, third, &(struct ha_frame){.kind = HA_FRAME_WELCOME, .as.welcome = other});
    stand_change(&m, third, "/novacron/vms/a", 7);
    stand_reached(&m, third, 8, 1);
    assert_int_equal(m.told.began, 2);
    assert_int_equal(m.told.reached, 8);
    market_close(&m);
}

/* Says so every beat, for so long: it is not silent, whatever else. */
static bool is_left(struct market *m, struct stand *s, uint64_t revision, node_id leader,
                    nanos span)
{
    for (nanos at = 0; at < span && s->stream != NULL; at += 100 * NANOS_PER_MS) {
        stand_reached(m, s, revision, leader);
        market_run(m, 95 * NANOS_PER_MS);
    }
    return s->stream == NULL;
}

static void voter_that_says_nothing_new_is_kept(void **state)
{
    struct market m;
    (void)state;
    struct stand *s = market_served(&m, 3);
    assert_false(is_left(&m, s, 10, 1, 10 * NANOS_PER_S));
    assert_true(s->taken > 0);
    market_close(&m);
}

static void voter_without_leader_is_left(void **state)
{
    struct market m;
    (void)state;
    struct stand *s = market_served(&m, 4);
    stand_reached(&m, s, 10, 1);
    assert_false(is_left(&m, s, 10, NODE_NONE, HA_SESSION_LEADERLESS - 300 * NANOS_PER_MS));
    assert_true(is_left(&m, s, 10, NODE_NONE, NANOS_PER_S));
    market_close(&m);
}

static void renew(struct market *m)
{
    struct ha_note note = {.kind = HA_NOTE_RENEW};
    struct buf b;

    memcpy(note.as.renew.host, "host-x", 7);
    buf_init(&b);
    ha_note_encode(&note, &b);
    m->store->ops->note(m->store->self, 1, buf_view(&b));
    buf_deinit(&b);
    market_run(m, 5 * NANOS_PER_MS);
}

static void stand_grants(struct market *m, struct stand *s, uint64_t revision)
{
    const struct ha_note note = {.kind = HA_NOTE_GRANT, .as.grant = {.revision = revision}};
    struct buf b;

    buf_init(&b);
    ha_note_encode(&note, &b);
    stand_says(m, s, &(struct ha_frame){.kind = HA_FRAME_ANSWER, .as.note = buf_view(&b)});
    buf_deinit(&b);
}

static void voter_through_which_no_renewal_is_answered_is_left(void **state)
{
    struct market m;
    (void)state;
    struct stand *s = market_served(&m, 5);
    stand_reached(&m, s, 10, 1);
    renew(&m);
    assert_int_equal(s->renewals, 1);
    stand_grants(&m, s, 10);
    assert_int_equal(m.told.notes, 1);
    assert_false(is_left(&m, s, 10, 1, 5 * NANOS_PER_S));
    renew(&m);
    assert_true(is_left(&m, s, 10, 1, HA_SESSION_UNANSWERED + NANOS_PER_S));
    market_close(&m);
}

static void voter_that_lags_behind_a_grant_is_left(void **state)
{
    struct market m;
    (void)state;
    struct stand *s = market_served(&m, 6);
    stand_reached(&m, s, 10, 1);
    stand_grants(&m, s, 11);
    assert_false(is_left(&m, s, 10, 1, NANOS_PER_S));
    assert_false(is_left(&m, s, 11, 1, 5 * NANOS_PER_S)); /* it has caught up */
    stand_grants(&m, s, 12);
    assert_true(is_left(&m, s, 11, 1, HA_SESSION_BEHIND + NANOS_PER_S));
    market_close(&m);
}

static void who_is_refused_tries_all_others(void **state)
{
    struct market m;
    (void)state;
    market_open(&m, 7);
    for (uint32_t i = 0; i < 2 * STANDS; i++) {
        struct stand *s = await_call(&m, NULL, 3 * NANOS_PER_S);
        stand_says(&m, s,
                   &(struct ha_frame){.kind = HA_FRAME_REFUSED, .as.why = HA_FAREWELL_STRANGER});
    }
    for (uint32_t i = 0; i < STANDS; i++) {
        assert_int_equal(m.stand[i].hellos, 2); /* each once in a round */
    }
    assert_int_equal(market_status(&m).refusals, 2 * STANDS);
    assert_int_equal(market_status(&m).refusal, HA_FAREWELL_STRANGER);
    market_close(&m);
}

static void txn_on_done(struct ha_txn *txn)
{
    uint32_t *done = txn->owner;
    (*done)++;
}

/* What was under way when its voter was lost may be applied; what was never sent is refused. */
static void outcome_is_unknown_where_the_voter_was_lost(void **state)
{
    struct market m;
    uint32_t done = 0;
    struct ha_txn txn;
    (void)state;
    ha_txn_init(&txn);
    ha_txn_delete(&txn, (struct bytes){(const uint8_t *)"k", 1});
    txn.done = txn_on_done;
    txn.owner = &done;
    struct stand *s = market_served(&m, 8);
    stand_reached(&m, s, 10, 1);
    m.store->ops->submit(m.store->self, &txn);
    market_run(&m, 5 * NANOS_PER_MS);
    stand_says(&m, s,
               &(struct ha_frame){.kind = HA_FRAME_OUTCOME,
                                  .as.outcome = {s->txn, HA_TXN_APPLIED, OK, 11}});
    assert_int_equal(done, 1);
    assert_int_equal(txn.outcome, HA_TXN_APPLIED);
    assert_int_equal(txn.revision, 11);
    m.store->ops->submit(m.store->self, &txn);
    assert_int_equal(done, 1);
    struct stand *next = await_call(&m, s, 3 * NANOS_PER_S);
    assert_int_equal(done, 2);
    assert_int_equal(txn.outcome, HA_TXN_UNKNOWN);
    m.store->ops->submit(m.store->self, &txn); /* nobody serves it yet */
    market_run(&m, 5 * NANOS_PER_MS);
    assert_int_equal(done, 3);
    assert_int_equal(txn.outcome, HA_TXN_REFUSED);
    assert_int_equal(next->txn, 0);
    market_close(&m);
    ha_txn_deinit(&txn);
}

static void voter_that_breaks_the_protocol_is_left(void **state)
{
    struct market m;
    (void)state;
    struct stand *s = market_served(&m, 9);
    stand_says(
        &m, s,
        &(struct ha_frame){.kind = HA_FRAME_OUTCOME, .as.outcome = {77, HA_TXN_APPLIED, OK, 11}});
    assert_null(s->stream);
    market_close(&m);
    market_open(&m, 10);
    s = called(&m);
    stand_reached(&m, s, 10, 1); /* before its welcome */
    assert_null(s->stream);
    assert_int_equal(m.told.reached, 0);
    market_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_a_picture_is_not_handed_on),
        cmocka_unit_test(who_is_lost_in_the_middle_is_forgotten),
        cmocka_unit_test(who_was_to_begin_anew_has_what_it_had),
        cmocka_unit_test(another_lineage_is_begun_anew),
        cmocka_unit_test(voter_that_says_nothing_new_is_kept),
        cmocka_unit_test(voter_without_leader_is_left),
        cmocka_unit_test(voter_through_which_no_renewal_is_answered_is_left),
        cmocka_unit_test(voter_that_lags_behind_a_grant_is_left),
        cmocka_unit_test(who_is_refused_tries_all_others),
        cmocka_unit_test(outcome_is_unknown_where_the_voter_was_lost),
        cmocka_unit_test(voter_that_breaks_the_protocol_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
