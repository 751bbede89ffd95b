/* The member's end of an agent's session, against callers that are not as they should be. */
#include "core/node/node_session.h"

#include <string.h>

#include "core/ha/ha_lease.h"
#include "core/store/store_pb.h"
#include "tests/support/ha_cluster.h"
#include "tests/support/test.h"

#define CLUSTER 77
#define CALLERS 80

/* A stream to a member, and what came on it. */
struct caller {
    struct ha_cluster *cluster;
    struct simhost *host;
    struct world_stream *stream; /* NULL: it has ended */
    struct world_stream_sink sink;
    struct ha_frames frames;
    uint64_t bytes; /* of frames behind the welcome */
    uint32_t welcomes;
    struct ha_welcome welcome;
    uint32_t changes;
    uint64_t reached;
    uint32_t outcomes;
    enum ha_txn_outcome outcome;
    uint32_t answers;
    enum ha_farewell why;
};

static void hall_on_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct caller *c = sink->owner;
    struct ha_frame frame;
    struct ha_change change;
    size_t n = 0;

    ha_frames_put(&c->frames, bytes);
    while (ha_frames_next(&c->frames, &frame, &n) == OK) {
        c->bytes += frame.kind != HA_FRAME_WELCOME ? n : 0;
        switch (frame.kind) {
        case HA_FRAME_WELCOME:
            c->welcomes++;
            c->welcome = frame.as.welcome;
            break;
        case HA_FRAME_CHANGES:
            while (ha_changes_next(&frame.as.changes, &change)) {
                c->changes++;
            }
            break;
        case HA_FRAME_REACHED:
            assert_true(frame.as.reached.revision >= c->reached);
            c->reached = frame.as.reached.revision;
            break;
        case HA_FRAME_OUTCOME:
            assert_true((int64_t)c->reached >= frame.as.outcome.revision);
            c->outcomes++;
            c->outcome = frame.as.outcome.outcome;
            break;
        case HA_FRAME_ANSWER:
            c->answers++;
            break;
        case HA_FRAME_REFUSED:
            c->why = frame.as.why;
            break;
        case HA_FRAME_HELLO:
        case HA_FRAME_TXN:
        case HA_FRAME_RENEWAL:
        case HA_FRAME_TAKEN:
        default:
            break;
        }
    }
}

static void hall_on_closed(struct world_stream_sink *sink, enum err why)
{
    struct caller *c = sink->owner;
    (void)why;
    c->stream = NULL;
}

static void caller_nothing(struct world_stream_sink *sink)
{
    (void)sink;
}

static void caller_say(struct caller *c, const struct ha_frame *frame)
{
    const struct world *w = simhost_world(c->host);
    struct buf b;

    buf_init(&b);
    ha_frame_encode(frame, &b);
    if (c->stream != NULL) {
        assert_int_equal(w->net->stream_send(w->self, c->stream, buf_view(&b)), OK);
    }
    buf_deinit(&b);
    ha_cluster_run(c->cluster, 100 * NANOS_PER_MS);
}

/* Connects, and says no more than what sort of stream it is. */
static void caller_open(struct caller *c, struct ha_cluster *cluster, struct simhost *host,
                        const struct ha_box *to)
{
    const struct world *w = simhost_world(host);
    struct world_endpoint at = {.port = 2380};
    struct buf b;

    memset(c, 0, sizeof(*c));
    c->cluster = cluster;
    c->host = host;
    memcpy(at.host, to->name, sizeof(to->name));
    c->sink = (struct world_stream_sink){caller_nothing, hall_on_received, caller_nothing,
                                         hall_on_closed, c};
    ha_frames_init(&c->frames, false);
    c->stream = w->net->connect(w->self, &at, &c->sink);
    buf_init(&b);
    ha_opening_encode(&b);
    assert_int_equal(w->net->stream_send(w->self, c->stream, buf_view(&b)), OK);
    buf_deinit(&b);
}

static struct ha_frame hall_hello(const char *host)
{
    struct ha_frame frame = {.kind = HA_FRAME_HELLO,
                             .as.hello = {.version = HA_SESSION_VERSION, .cluster = CLUSTER}};

    ha_text_set(frame.as.hello.host, sizeof(frame.as.hello.host), host);
    return frame;
}

static void caller_close(struct caller *c)
{
    const struct world *w = simhost_world(c->host);

    if (c->stream != NULL) {
        w->net->stream_close(w->self, c->stream);
    }
    ha_frames_deinit(&c->frames);
}

/* Three members and a host that is declared, whose agent a test plays. */
struct hall {
    struct ha_cluster c;
    struct simhost *host;
    struct ha_box *member;
    struct caller caller;
};

static void declare_host(struct hall *h, const char *name)
{
    struct ha_host host;

    ha_record_defaults(HA_HOST, &host);
    ha_text_set(host.name, sizeof(host.name), name);
    HA_APPLY(&h->c, &host);
    ha_cluster_run(&h->c, 500 * NANOS_PER_MS); /* until a follower has it, too */
}

static void hall_open(struct hall *h, uint64_t seed)
{
    memset(h, 0, sizeof(*h));
    ha_cluster_init(&h->c, seed, 3, WORLD_WATCHDOG_READY);
    h->host = simhost_new(h->c.sim, "played", 1024 * 1024);
    ha_cluster_start(&h->c, false);
    declare_host(h, "played");
    h->member = ha_cluster_follower(&h->c);
}

static void hall_close(struct hall *h)
{
    caller_close(&h->caller);
    ha_cluster_deinit(&h->c);
}

/* Says hello as the host that it is, and is served. */
static void hall_served(struct hall *h)
{
    const struct ha_frame hello = hall_hello("played");

    caller_open(&h->caller, &h->c, h->host, h->member);
    caller_say(&h->caller, &hello);
    assert_int_equal(h->caller.welcomes, 1);
    assert_false(h->caller.welcome.goes_on);
    assert_int_equal(h->caller.reached, ha_cluster_view(&h->c)->revision);
}

static struct node_sessions_figures figures_of(const struct ha_box *b)
{
    struct node_sessions_figures figures;

    node_sessions_figures(b->sessions, &figures);
    return figures;
}

/* --- who comes ---------------------------------------------------------------------------------
 */

static enum ha_farewell answer_to(struct hall *h, const struct ha_frame *hello)
{
    enum ha_farewell why = HA_FAREWELL_NONE;

    caller_open(&h->caller, &h->c, h->host, h->member);
    caller_say(&h->caller, hello);
    assert_int_equal(h->caller.welcomes, h->caller.why == HA_FAREWELL_NONE);
    why = h->caller.why;
    assert_true(why == HA_FAREWELL_NONE || h->caller.stream == NULL);
    caller_close(&h->caller);
    ha_cluster_run(&h->c, 100 * NANOS_PER_MS);
    return why;
}

static void hello_that_is_not_right_is_told_why(void **state)
{
    struct hall h;
    struct ha_frame hello = hall_hello("played");
    (void)state;
    hall_open(&h, 1);
    assert_int_equal(answer_to(&h, &hello), HA_FAREWELL_NONE);
    hello.as.hello.cluster++;
    assert_int_equal(answer_to(&h, &hello), HA_FAREWELL_CLUSTER);
    hello = hall_hello("played");
    hello.as.hello.version++;
    assert_int_equal(answer_to(&h, &hello), HA_FAREWELL_VERSION);
    hello = hall_hello("nobody");
    assert_int_equal(answer_to(&h, &hello), HA_FAREWELL_STRANGER);
    hello = hall_hello("played");
    hello.as.hello.revision = 1;
    hello.as.hello.lineage = 1U << 24;
    assert_int_equal(answer_to(&h, &hello), HA_FAREWELL_LINEAGE);
    hello.as.hello.lineage = 0;
    hello.as.hello.term = 1ULL << 40;
    assert_int_equal(answer_to(&h, &hello), HA_FAREWELL_TERM);
    /* The same, if it has been told to begin anew, and nothing since. */
    hello.as.hello.revision = 0;
    assert_int_equal(answer_to(&h, &hello), HA_FAREWELL_TERM);
    hello.as.hello.term = 0;
    hello.as.hello.lineage = 1U << 24;
    assert_int_equal(answer_to(&h, &hello), HA_FAREWELL_LINEAGE);
    const struct ha_frame taken = {.kind = HA_FRAME_TAKEN};
    assert_int_equal(answer_to(&h, &taken), HA_FAREWELL_PROTOCOL);
    caller_open(&h.caller, &h.c, h.host, h.member);
    hall_close(&h);
}

static void second_agent_of_a_host_takes_the_place_of_the_first(void **state)
{
    struct hall h;
    struct caller other;
    const struct ha_frame hello = hall_hello("played");
    (void)state;
    hall_open(&h, 2);
    hall_served(&h);
    caller_open(&other, &h.c, h.host, h.member);
    caller_say(&other, &hello);
    assert_int_equal(other.welcomes, 1);
    assert_null(h.caller.stream);
    assert_int_equal(h.caller.why, HA_FAREWELL_REPLACED);
    assert_int_equal(figures_of(h.member).sessions, 1);
    caller_close(&other);
    hall_close(&h);
}

static void strangers_who_say_nothing_keep_nobody_out(void **state)
{
    struct hall h;
    static struct caller mute[CALLERS];
    (void)state;
    hall_open(&h, 3);
    for (uint32_t i = 0; i < CALLERS; i++) {
        caller_open(&mute[i], &h.c, h.host, h.member);
        ha_cluster_run(&h.c, 10 * NANOS_PER_MS);
    }
    assert_null(mute[0].stream);
    assert_non_null(mute[CALLERS - 1].stream);
    hall_served(&h);
    ha_cluster_run(&h.c, NODE_SESSION_PATIENCE + NANOS_PER_S);
    assert_null(mute[CALLERS - 1].stream);
    for (uint32_t i = 0; i < CALLERS; i++) {
        caller_close(&mute[i]);
    }
    hall_close(&h);
}

/* --- what it is told ---------------------------------------------------------------------------
 */

static void caller_takes(struct hall *h)
{
    const struct ha_frame frame = {.kind = HA_FRAME_TAKEN, .as.taken = h->caller.bytes};

    caller_say(&h->caller, &frame);
}

static void who_has_a_view_is_told_what_followed(void **state)
{
    struct hall h;
    struct ha_frame hello = hall_hello("played");
    (void)state;
    hall_open(&h, 4);
    hall_served(&h);
    hello.as.hello.revision = h.caller.reached;
    hello.as.hello.lineage = h.caller.welcome.lineage;
    caller_close(&h.caller);
    declare_host(&h, "another");
    caller_open(&h.caller, &h.c, h.host, h.member);
    caller_say(&h.caller, &hello);
    assert_int_equal(h.caller.welcomes, 1);
    assert_true(h.caller.welcome.goes_on);
    assert_int_equal(h.caller.changes, 1);
    assert_int_equal(h.caller.reached, ha_cluster_view(&h.c)->revision);
    caller_close(&h.caller);

    /* From the future, as somebody who was served by a member that was further: it waits. */
    hello.as.hello.revision = h.caller.reached + 1;
    caller_open(&h.caller, &h.c, h.host, h.member);
    caller_say(&h.caller, &hello);
    assert_true(h.caller.welcome.goes_on);
    assert_int_equal(h.caller.changes, 0);
    declare_host(&h, "x1"); /* that one is known by then */
    declare_host(&h, "x2");
    caller_takes(&h);
    assert_int_equal(h.caller.changes, 1);
    hall_close(&h);
}

static void compact_on_done(struct node_request *request)
{
    assert_int_equal(request->result, OK);
}

static void who_comes_too_late_is_told_everything(void **state)
{
    struct hall h;
    struct ha_frame hello = hall_hello("played");
    struct node_request compact = {.kind = STORE_KIND_COMPACTION, .done = compact_on_done};
    struct buf body;
    (void)state;
    hall_open(&h, 5);
    hall_served(&h);
    hello.as.hello.revision = h.caller.reached;
    hello.as.hello.lineage = h.caller.welcome.lineage;
    caller_close(&h.caller);
    declare_host(&h, "another");
    declare_host(&h, "third");
    buf_init(&body);
    store_pb_put_i64(&body, 1, store_revision(node_store(h.member->node)));
    compact.body = buf_view(&body);
    assert_int_equal(node_propose(h.member->node, &compact), OK);
    ha_cluster_run(&h.c, NANOS_PER_S);
    caller_open(&h.caller, &h.c, h.host, h.member);
    caller_say(&h.caller, &hello);
    assert_int_equal(h.caller.welcomes, 1);
    assert_false(h.caller.welcome.goes_on);
    assert_true(h.caller.changes > 3);
    buf_deinit(&body);
    hall_close(&h);
}

/* Whoever takes nothing gets a window's worth, and is cut off; what waits for it is bounded. */
static void agent_that_takes_nothing_is_cut_off(void **state)
{
    struct hall h;
    struct ha_host host;
    char text[64 * 1024];
    (void)state;
    hall_open(&h, 6);
    hall_served(&h);
    memset(text, ' ', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memcpy(text, "{}", 2);
    ha_record_defaults(HA_HOST, &host);
    for (uint32_t i = 0; i < 20; i++) {
        ha_cluster_put_text(&h.c, "/novacron/hosts/large", text);
    }
    caller_say(&h.caller, &(struct ha_frame){.kind = HA_FRAME_TAKEN, .as.taken = 0});
    assert_true(h.caller.bytes >= NODE_SESSION_WINDOW);
    assert_true(h.caller.bytes < 2 * NODE_SESSION_WINDOW);
    const uint64_t reached = h.caller.reached;
    assert_true(reached < ha_cluster_view(&h.c)->revision);
    for (uint32_t i = 0; i < 80 && h.caller.stream != NULL; i++) {
        caller_say(&h.caller, &(struct ha_frame){.kind = HA_FRAME_TAKEN, .as.taken = 0});
    }
    assert_int_equal(h.caller.why, HA_FAREWELL_SLOW);
    assert_int_equal(h.caller.reached, reached); /* half of what was told is no revision */
    assert_int_equal(figures_of(h.member).cut_off, 1);
    hall_close(&h);
}

static void agent_that_takes_is_told_all(void **state)
{
    struct hall h;
    char text[64 * 1024];
    (void)state;
    hall_open(&h, 7);
    hall_served(&h);
    memset(text, ' ', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memcpy(text, "{}", 2);
    for (uint32_t i = 0; i < 20; i++) {
        ha_cluster_put_text(&h.c, "/novacron/hosts/large", text);
    }
    for (uint32_t i = 0; i < 30; i++) {
        caller_takes(&h);
    }
    assert_int_equal(h.caller.reached, ha_cluster_view(&h.c)->revision);
    assert_true(h.caller.bytes > 20 * sizeof(text));
    hall_close(&h);
}

/* --- what it may not ----------------------------------------------------------------------------
 */

static void expect_sent_away(struct hall *h, const struct ha_frame *frame)
{
    const uint64_t before = ha_cluster_view(&h->c)->revision;

    hall_served(h);
    caller_say(&h->caller, frame);
    ha_cluster_run(&h->c, NANOS_PER_S);
    assert_null(h->caller.stream);
    assert_int_equal(h->caller.why, HA_FAREWELL_PROTOCOL);
    assert_int_equal(ha_cluster_view(&h->c)->revision, before); /* nothing was written */
    caller_close(&h->caller);
}

static void agent_acts_for_its_own_host_alone(void **state)
{
    struct hall h;
    struct ha_txn txn;
    struct ha_note renew = {.kind = HA_NOTE_RENEW};
    struct buf note;
    (void)state;
    hall_open(&h, 8);
    ha_cluster_run(&h.c, 5 * NANOS_PER_S);
    /* The lease of another host. */
    ha_text_set(renew.as.renew.host, sizeof(renew.as.renew.host), h.member->name);
    renew.as.renew.boot = 1;
    buf_init(&note);
    ha_note_encode(&renew, &note);
    expect_sent_away(&h, &(struct ha_frame){.kind = HA_FRAME_RENEWAL, .as.note = buf_view(&note)});
    buf_deinit(&note);
    /* What only the manager writes. */
    ha_txn_init(&txn);
    ha_txn_guard(&txn, (struct bytes){(const uint8_t *)"/novacron/agents/played", 23}, 0);
    ha_txn_put(&txn, (struct bytes){(const uint8_t *)"/novacron/owners/web", 20},
               (struct bytes){(const uint8_t *)"{}", 2});
    expect_sent_away(&h,
                     &(struct ha_frame){.kind = HA_FRAME_TXN, .as.txn = {1, buf_view(&txn.body)}});
    ha_txn_deinit(&txn);
    /* Taken what was never sent. */
    expect_sent_away(&h, &(struct ha_frame){.kind = HA_FRAME_TAKEN, .as.taken = 1ULL << 50});
    expect_sent_away(&h, &(struct ha_frame){.kind = HA_FRAME_WELCOME});
    caller_open(&h.caller, &h.c, h.host, h.member);
    hall_close(&h);
}

static void outcome_follows_what_was_changed(void **state)
{
    struct hall h;
    struct ha_agent_record record;
    struct ha_txn txn;
    struct buf json;
    const struct bytes key = {(const uint8_t *)"/novacron/agents/played", 23};
    (void)state;
    hall_open(&h, 9);
    hall_served(&h);
    ha_record_defaults(HA_AGENT, &record);
    ha_text_set(record.host, sizeof(record.host), "played");
    record.member = ha_session_id(CLUSTER, "played");
    record.boot = 1;
    buf_init(&json);
    HA_ENCODE(&record, &json);
    ha_txn_init(&txn);
    ha_txn_guard(&txn, key, 0);
    ha_txn_put(&txn, key, buf_view(&json));
    const struct ha_frame frame = {.kind = HA_FRAME_TXN, .as.txn = {1, buf_view(&txn.body)}};
    const uint32_t before = h.caller.changes;
    caller_say(&h.caller, &frame);
    ha_cluster_run(&h.c, NANOS_PER_S);
    assert_int_equal(h.caller.outcomes, 1);
    assert_int_equal(h.caller.outcome, HA_TXN_APPLIED);
    assert_true(h.caller.changes > before);
    caller_say(&h.caller, &frame); /* its guard does not hold any more */
    ha_cluster_run(&h.c, NANOS_PER_S);
    assert_int_equal(h.caller.outcomes, 2);
    assert_int_equal(h.caller.outcome, HA_TXN_STALE);
    ha_txn_deinit(&txn);
    buf_deinit(&json);
    hall_close(&h);
}

/* Through the member, as if it served an agent with this id. */
static void relay_renewal(struct hall *h, uint8_t version, node_id agent, const char *host)
{
    struct ha_note renew = {.kind = HA_NOTE_RENEW, .as.renew = {.boot = 1, .number = 1}};
    struct buf note;

    ha_text_set(renew.as.renew.host, sizeof(renew.as.renew.host), host);
    buf_init(&note);
    buf_put_u8(&note, 35);
    buf_put_u8(&note, version);
    buf_put_u64(&note, agent);
    ha_note_encode(&renew, &note);
    assert_int_equal(node_note(h->member->node, ha_cluster_leader(&h->c)->i + 1, buf_view(&note)),
                     OK);
    buf_deinit(&note);
    ha_cluster_run(&h->c, 200 * NANOS_PER_MS);
}

/* The id of who renews must be that of the host that is renewed, or nobody is heard. */
static void renewal_is_relayed_for_its_own_host_alone(void **state)
{
    struct hall h;
    struct ha_agent_record record;
    const node_id own = ha_session_id(CLUSTER, "played");
    (void)state;
    hall_open(&h, 11);
    caller_open(&h.caller, &h.c, h.host, h.member);
    ha_record_defaults(HA_AGENT, &record);
    ha_text_set(record.host, sizeof(record.host), "played");
    record.member = own;
    record.boot = 1;
    HA_APPLY(&h.c, &record);
    const struct ha_lessor *lessor = ha_member_lessor(ha_cluster_leader(&h.c)->member);
    relay_renewal(&h, 1, ha_session_id(CLUSTER, "another"), "played");
    relay_renewal(&h, 1, h.member->i + 1, "played");
    relay_renewal(&h, 1, own, h.member->name);
    relay_renewal(&h, 2, own, "played");
    assert_null(ha_lessor_find(lessor, "played"));
    relay_renewal(&h, 1, own, "played");
    assert_non_null(ha_lessor_find(lessor, "played"));
    assert_true(ha_lessor_find(lessor, "played")->grants > 0);
    hall_close(&h);
}

/* Arrives at the leader by a relay of that member's. */
static void relay_arrives(struct hall *h, const struct ha_box *via, uint64_t number)
{
    struct ha_box *leader = ha_cluster_leader(&h->c);
    struct ha_note renew = {.kind = HA_NOTE_RENEW, .as.renew = {.boot = 1, .number = number}};
    struct buf note;

    ha_text_set(renew.as.renew.host, sizeof(renew.as.renew.host), "played");
    buf_init(&note);
    buf_put_u8(&note, 35);
    buf_put_u8(&note, 1);
    buf_put_u64(&note, ha_session_id(CLUSTER, "played"));
    ha_note_encode(&renew, &note);
    assert_true(node_sessions_note(leader->sessions, via->i + 1, buf_view(&note)));
    buf_deinit(&note);
}

/* A member that the agent has left relays late what it was told before: answers still go to the
 * one by which the newest renewal came. */
static void answer_goes_where_the_newest_renewal_came_from(void **state)
{
    struct hall h;
    struct ha_agent_record record;
    const struct ha_box *left = NULL;
    (void)state;
    hall_open(&h, 12);
    hall_served(&h);
    ha_record_defaults(HA_AGENT, &record);
    ha_text_set(record.host, sizeof(record.host), "played");
    record.member = ha_session_id(CLUSTER, "played");
    record.boot = 1;
    HA_APPLY(&h.c, &record);
    ha_cluster_run(&h.c, 500 * NANOS_PER_MS);
    for (uint32_t i = 0; i < h.c.voters; i++) {
        if (&h.c.box[i] != h.member && &h.c.box[i] != ha_cluster_leader(&h.c)) {
            left = &h.c.box[i];
        }
    }
    relay_arrives(&h, left, 3);
    relay_arrives(&h, h.member, 5);
    relay_arrives(&h, left, 4);
    ha_cluster_run(&h.c, 200 * NANOS_PER_MS);
    assert_int_equal(h.caller.answers, 1);
    /* The leader serves it itself by now. */
    const struct ha_note renew = {.kind = HA_NOTE_RENEW,
                                  .as.renew = {.boot = 1, .number = 6, .host = "played"}};
    const struct ha_frame hello = hall_hello("played");
    struct buf note;
    caller_close(&h.caller);
    caller_open(&h.caller, &h.c, h.host, ha_cluster_leader(&h.c));
    caller_say(&h.caller, &hello);
    buf_init(&note);
    ha_note_encode(&renew, &note);
    const struct ha_frame frame = {.kind = HA_FRAME_RENEWAL, .as.note = buf_view(&note)};
    const struct world *w = simhost_world(h.host);
    struct buf b;
    buf_init(&b);
    ha_frame_encode(&frame, &b);
    assert_int_equal(w->net->stream_send(w->self, h.caller.stream, buf_view(&b)), OK);
    const struct ha_lessor *lessor = ha_member_lessor(ha_cluster_leader(&h.c)->member);
    for (uint32_t i = 0; i < 1000 && ha_lessor_find(lessor, "played")->heard_number < 6; i++) {
        ha_cluster_run(&h.c, NANOS_PER_MS / 10);
    }
    assert_int_equal(h.caller.answers, 0);
    relay_arrives(&h, h.member, 5);
    ha_cluster_run(&h.c, 200 * NANOS_PER_MS);
    assert_int_equal(h.caller.answers, 1);
    buf_deinit(&b);
    buf_deinit(&note);
    hall_close(&h);
}

/* An agent that goes while its transaction is under way leaves nothing behind. */
static void agent_goes_with_its_transaction_under_way(void **state)
{
    struct hall h;
    struct ha_txn txn;
    (void)state;
    hall_open(&h, 10);
    hall_served(&h);
    ha_txn_init(&txn);
    ha_txn_guard(&txn, (struct bytes){(const uint8_t *)"/novacron/agents/played", 23}, 0);
    ha_txn_delete(&txn, (struct bytes){(const uint8_t *)"/novacron/reports/played/x", 26});
    const struct world *w = simhost_world(h.host);
    struct buf b;
    buf_init(&b);
    ha_frame_encode(&(struct ha_frame){.kind = HA_FRAME_TXN, .as.txn = {1, buf_view(&txn.body)}},
                    &b);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(w->net->stream_send(w->self, h.caller.stream, buf_view(&b)), OK);
    }
    buf_deinit(&b);
    caller_close(&h.caller);
    ha_cluster_run(&h.c, NANOS_PER_S);
    assert_int_equal(figures_of(h.member).sessions, 0);
    caller_open(&h.caller, &h.c, h.host, h.member);
    ha_txn_deinit(&txn);
    hall_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_that_is_not_right_is_told_why),
        cmocka_unit_test(second_agent_of_a_host_takes_the_place_of_the_first),
        cmocka_unit_test(strangers_who_say_nothing_keep_nobody_out),
        cmocka_unit_test(who_has_a_view_is_told_what_followed),
        cmocka_unit_test(who_comes_too_late_is_told_everything),
        cmocka_unit_test(agent_that_takes_nothing_is_cut_off),
        cmocka_unit_test(agent_that_takes_is_told_all),
        cmocka_unit_test(agent_acts_for_its_own_host_alone),
        cmocka_unit_test(outcome_follows_what_was_changed),
        cmocka_unit_test(renewal_is_relayed_for_its_own_host_alone),
        cmocka_unit_test(answer_goes_where_the_newest_renewal_came_from),
        cmocka_unit_test(agent_goes_with_its_transaction_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
