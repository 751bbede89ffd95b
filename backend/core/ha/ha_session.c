#include "core/ha/ha_session.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/le.h"
#include "core/base/mem.h"
#include "core/base/mutant.h"
#include "core/base/prng.h"
#include "core/ha/ha_lease.h"

enum session_phase { SESSION_LOST, SESSION_CALLING, SESSION_SERVED };

/* One transaction of HA's, from its submission to its `done`. */
struct session_deal {
    struct ha_txn *txn; /* the caller's */
    struct session_deal *next;
    uint64_t number;
    bool is_sent;
    bool is_over; /* and how: */
    enum ha_txn_outcome outcome;
    enum err error;
};

struct session_ask {
    struct ha_confirm *confirm;
    struct session_ask *next;
};

struct ha_session {
    const struct world *world; /* borrowed */
    struct ha_session_config config;
    struct ha_session_events events;
    struct ha_store store;
    const struct ha_feed *feed; /* borrowed; NULL: nobody listens, and nobody is called */
    struct prng prng;

    enum session_phase phase;
    uint32_t voter; /* that is called, or serves */
    uint32_t tried; /* in this round: a bit each */
    nanos pause;    /* after the next round without success */
    nanos call_at;  /* LOST: the next attempt */
    struct world_stream *stream;
    struct world_stream_sink sink;
    struct ha_frames frames;
    struct world_timer tick;
    struct world_timer soon;

    nanos heard_at;
    uint64_t taken;         /* bytes of frames since the welcome */
    nanos taken_at;         /* when that was said last */
    nanos leaderless_since; /* NANOS_FOREVER: somebody leads */
    nanos unanswered_since; /* NANOS_FOREVER: the newest renewals have their answer */
    nanos behind_since;     /* NANOS_FOREVER: the view has what grants have had */
    uint64_t granted;       /* the revision of the newest grant */

    struct buf batch;  /* changes since the last REACHED */
    bool begins;       /* the batch is everything */
    bool wants_all;    /* whatever it has: the next voter is to tell everything */
    uint64_t revision; /* that was handed on, of this lineage; 0: none */
    uint32_t lineage;
    node_id leader;
    uint64_t term;
    uint64_t led_term; /* the latest in which somebody led: a quorum knows it */

    struct session_deal *deals; /* owned, oldest first */
    struct session_ask *asks;   /* owned */
    uint64_t number;
    uint32_t under_way;

    uint64_t losses;
    uint64_t beginnings;
    uint64_t refusals;
    enum ha_farewell refusal;
    const char *told_why; /* it was lost, or not served, last */
};

static const struct ha_session_voter *session_voter(const struct ha_session *h)
{
    return &h->config.voters[h->voter];
}

static void session_say(const struct ha_session *h, const char *what, const char *why)
{
    if (h->events.said != NULL) {
        h->events.said(h->events.ctx, what, session_voter(h)->name, why);
    }
}

static void session_soon(struct ha_session *h)
{
    world_timer_set(h->world, &h->soon, world_now(h->world));
}

/* --- who leads ---------------------------------------------------------------------------------
 */

static void session_led(struct ha_session *h, node_id leader, uint64_t term)
{
    const bool is_news = leader != h->leader || term != h->term;

    h->leader = leader;
    h->term = term;
    if (leader != NODE_NONE) {
        h->leaderless_since = NANOS_FOREVER;
        h->led_term = u64_max(h->led_term, term);
    } else if (h->leaderless_since == NANOS_FOREVER) {
        h->leaderless_since = world_now(h->world);
    }
    if (is_news && leader != NODE_NONE && h->events.led != NULL) {
        h->events.led(h->events.ctx, leader);
    }
    if (is_news && h->feed != NULL) {
        h->feed->leader_changed(h->feed->ctx);
    }
}

/* --- losing and finding a voter ----------------------------------------------------------------
 */

static void session_tick_at(struct ha_session *h, nanos at)
{
    world_timer_set(h->world, &h->tick, at);
}

/* What was sent may be applied, and may not; the rest was never asked for. */
static void session_break_deals(struct ha_session *h)
{
    for (struct session_deal *d = h->deals; d != NULL; d = d->next) {
        if (!d->is_over) {
            d->is_over = true;
            d->outcome = d->is_sent ? HA_TXN_UNKNOWN : HA_TXN_REFUSED;
            d->error = d->is_sent ? ERR_UNKNOWN : ERR_CLOSED;
        }
    }
    h->under_way = 0;
    if (h->deals != NULL) {
        session_soon(h);
    }
}

/* How many voters were not tried in this round? */
static uint32_t session_untried(const struct ha_session *h)
{
    uint32_t untried = 0;

    for (uint32_t i = 0; i < h->config.n_voters; i++) {
        untried += (h->tried >> i & 1) == 0;
    }
    return untried;
}

static void session_plan_call(struct ha_session *h)
{
    nanos wait = prng_below(&h->prng, HA_SESSION_STEP_MAX);

    if (session_untried(h) == 0) {
        h->tried = 0;
        wait = prng_range(&h->prng, h->pause / 2, h->pause);
        h->pause = u64_min(2 * h->pause, HA_SESSION_PAUSE_MAX);
    }
    h->call_at = world_now(h->world) + wait;
    session_tick_at(h, h->call_at);
}

/* The stream is gone. */
static void session_lost(struct ha_session *h, const char *why)
{
    const bool was_served = h->phase == SESSION_SERVED;

    h->stream = NULL;
    h->phase = SESSION_LOST;
    buf_clear(&h->batch);
    session_break_deals(h);
    if (was_served) {
        h->losses++;
        h->tried = 1U << h->voter; /* the others first */
    }
    if (was_served || why != h->told_why) { /* the same again is no news; texts are static */
        session_say(h, was_served ? "lost" : "not served", why);
    }
    h->told_why = why;
    session_led(h, NODE_NONE, h->term);
    session_plan_call(h);
}

static void session_leave(struct ha_session *h, const char *why)
{
    struct world_stream *stream = h->stream;

    if (stream != NULL) {
        h->world->net->stream_close(h->world->self, stream);
        session_lost(h, why);
    }
}

static void session_send(struct ha_session *h, const struct ha_frame *frame)
{
    struct buf b;

    buf_init(&b);
    ha_frame_encode(frame, &b);
    const enum err ignored = h->world->net->stream_send(h->world->self, h->stream, buf_view(&b));
    (void)ignored; /* a voter that takes nothing says nothing either, and is left for that */
    buf_deinit(&b);
}

static void session_hello(struct ha_session *h)
{
    struct ha_frame hello = {.kind = HA_FRAME_HELLO,
                             .as.hello = {.version = HA_SESSION_VERSION,
                                          .cluster = h->config.cluster,
                                          .lineage = h->lineage,
                                          .revision = h->wants_all ? 0 : h->revision,
                                          .term = h->led_term}};
    struct buf b;

    memcpy(hello.as.hello.host, h->config.host, sizeof(hello.as.hello.host));
    buf_init(&b);
    ha_opening_encode(&b);
    ha_frame_encode(&hello, &b);
    const enum err ignored = h->world->net->stream_send(h->world->self, h->stream, buf_view(&b));
    (void)ignored; /* the first bytes of a stream always fit its queue */
    buf_deinit(&b);
}

static void session_call(struct ha_session *h)
{
    const uint32_t untried = session_untried(h);

    CHECK(untried > 0);
    uint64_t skip = prng_below(&h->prng, untried);
    h->voter = 0;
    while ((h->tried >> h->voter & 1) != 0 || skip-- > 0) {
        h->voter++;
    }
    h->tried |= 1U << h->voter;
    h->phase = SESSION_CALLING;
    h->heard_at = world_now(h->world);
    ha_frames_deinit(&h->frames);
    ha_frames_init(&h->frames, false);
    h->stream = h->world->net->connect(h->world->self, &session_voter(h)->at, &h->sink);
    session_hello(h);
    session_tick_at(h, h->heard_at + HA_SESSION_SILENCE);
}

/* --- transactions ------------------------------------------------------------------------------
 */

/* As many as may be under way. */
static void session_send_deals(struct ha_session *h)
{
    for (struct session_deal *d = h->deals; d != NULL && h->under_way < HA_SESSION_TXNS_MAX;
         d = d->next) {
        if (!d->is_sent && !d->is_over) {
            const struct ha_frame frame = {
                .kind = HA_FRAME_TXN,
                .as.txn = {.number = d->number, .body = buf_view(&d->txn->body)}};
            d->is_sent = true;
            h->under_way++;
            session_send(h, &frame);
        }
    }
}

/* Takes it off the list, and tells. */
static void session_end_deal(struct ha_session *h, struct session_deal *deal, int64_t revision)
{
    struct session_deal **at = &h->deals;
    struct ha_txn *txn = deal->txn;

    while (*at != deal) {
        at = &(*at)->next;
    }
    *at = deal->next;
    txn->outcome = deal->outcome;
    txn->error = deal->error;
    txn->revision = revision;
    mem_free(deal);
    txn->done(txn);
}

static bool session_take_outcome(struct ha_session *h, const struct ha_outcome *o)
{
    struct session_deal *d = h->deals;

    while (d != NULL && d->number != o->number) {
        d = d->next;
    }
    if (d == NULL || !d->is_sent || d->is_over) {
        return false;
    }
    h->under_way--;
    d->outcome = o->outcome;
    d->error = o->error;
    session_end_deal(h, d, o->revision);
    if (h->phase == SESSION_SERVED) {
        session_send_deals(h);
    }
    return true;
}

static void session_submit(void *self, struct ha_txn *txn)
{
    struct ha_session *h = self;
    struct session_deal *d = mem_alloc_zero(sizeof(*d));
    struct session_deal **end = &h->deals;

    CHECK(txn->done != NULL);
    d->txn = txn;
    d->number = ++h->number;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = d;
    if (h->phase != SESSION_SERVED || txn->body.len > HA_SESSION_TXN_BYTES_MAX) {
        d->is_over = true;
        d->outcome = HA_TXN_REFUSED;
        d->error = h->phase != SESSION_SERVED ? ERR_CLOSED : ERR_TOO_LARGE;
        session_soon(h);
        return;
    }
    session_send_deals(h);
}

/* Nobody who is served leads, so there is nothing to confirm, and no barrier. */
static void session_confirm(void *self, struct ha_confirm *confirm)
{
    struct ha_session *h = self;
    struct session_ask *ask = mem_alloc_zero(sizeof(*ask));

    CHECK(confirm->done != NULL);
    ask->confirm = confirm;
    ask->next = h->asks;
    h->asks = ask;
    session_soon(h);
}

/* Of each kind what was there when the turn began. */
static void session_on_soon(struct world_timer *timer)
{
    struct ha_session *h = timer->owner;
    struct session_ask *asks = h->asks;
    uint32_t over = 0;

    for (const struct session_deal *d = h->deals; d != NULL; d = d->next) {
        over += d->is_over;
    }
    h->asks = NULL;
    for (; over > 0; over--) {
        struct session_deal *d = h->deals;
        while (d != NULL && !d->is_over) {
            d = d->next;
        }
        if (d != NULL) {
            session_end_deal(h, d, 0);
        }
    }
    while (asks != NULL) {
        struct session_ask *next = asks->next;
        asks->confirm->result = ERR_NOT_LEADER;
        asks->confirm->is_leader = false;
        asks->confirm->done(asks->confirm);
        mem_free(asks);
        asks = next;
    }
}

/* --- what is told ------------------------------------------------------------------------------
 */

/* Everything that came since the last time, in one go. */
static void session_hand_on(struct ha_session *h, const struct ha_reached *r)
{
    struct bytes rest = buf_view(&h->batch);
    struct ha_change change;

    if (h->begins) {
        h->begins = false;
        h->beginnings++;
        h->feed->began(h->feed->ctx);
    }
    while (ha_changes_next(&rest, &change)) {
        h->feed->changed(h->feed->ctx, &change);
    }
    buf_clear(&h->batch);
    h->revision = r->revision;
    if (h->revision >= h->granted) {
        h->behind_since = NANOS_FOREVER;
    }
    h->feed->reached(h->feed->ctx, (int64_t)r->revision);
    session_led(h, r->leader, r->term);
}

/* A voter that has not come as far as this view tells nothing of changes, and who leads. If it
 * tells everything anew, that is gathered until it has. */
static void session_take_reached(struct ha_session *h, const struct ha_reached *r)
{
    if (r->revision >= h->revision) {
        session_hand_on(h, r);
    } else {
        session_led(h, r->leader, r->term);
    }
}

static bool session_take_answer(struct ha_session *h, struct bytes bytes)
{
    struct ha_note note;

    if (bytes.data[0] == HA_NOTE_RENEW) {
        return false;
    }
    h->unanswered_since = NANOS_FOREVER;
    if (ha_note_decode(bytes, &note) == OK && note.kind == HA_NOTE_GRANT) {
        h->granted = u64_max(h->granted, note.as.grant.revision);
        if (h->revision < h->granted && h->behind_since == NANOS_FOREVER) {
            h->behind_since = world_now(h->world);
        }
    }
    h->feed->noted(h->feed->ctx, h->leader, bytes);
    return true;
}

static void session_take_welcome(struct ha_session *h, const struct ha_welcome *w)
{
    h->phase = SESSION_SERVED;
    h->pause = HA_SESSION_PAUSE_MIN;
    h->begins = !w->goes_on;
    h->wants_all = h->wants_all && w->goes_on;
    if (w->lineage != h->lineage) {
        h->lineage = w->lineage;
        h->revision = 0; /* those of another history say nothing about this one */
        h->granted = 0;
    }
    h->taken = 0;
    h->leaderless_since = world_now(h->world);
    h->unanswered_since = NANOS_FOREVER;
    h->behind_since = NANOS_FOREVER;
    buf_clear(&h->batch);
    h->told_why = NULL;
    session_say(h, "served", "");
}

/* False: it is not for an agent, or not now. */
static bool session_take(struct ha_session *h, const struct ha_frame *frame)
{
    if (frame->kind == HA_FRAME_REFUSED) {
        h->refusals++;
        h->refusal = frame->as.why;
        session_leave(h, ha_farewell_text(frame->as.why));
        return true;
    }
    if (h->phase == SESSION_CALLING) {
        if (frame->kind == HA_FRAME_WELCOME) {
            session_take_welcome(h, &frame->as.welcome);
        }
        return frame->kind == HA_FRAME_WELCOME;
    }
    switch (frame->kind) {
    case HA_FRAME_CHANGES:
        buf_put(&h->batch, frame->as.changes.data, frame->as.changes.len);
        return h->batch.len <= HA_SESSION_BATCH_MAX;
    case HA_FRAME_REACHED:
        session_take_reached(h, &frame->as.reached);
        return true;
    case HA_FRAME_OUTCOME:
        return session_take_outcome(h, &frame->as.outcome);
    case HA_FRAME_ANSWER:
        return session_take_answer(h, frame->as.note);
    case HA_FRAME_HELLO:
    case HA_FRAME_TXN:
    case HA_FRAME_RENEWAL:
    case HA_FRAME_TAKEN:
    case HA_FRAME_WELCOME:
    case HA_FRAME_REFUSED:
    default:
        return false;
    }
}

static void session_say_taken(struct ha_session *h)
{
    const struct ha_frame frame = {.kind = HA_FRAME_TAKEN, .as.taken = h->taken};

    h->taken_at = world_now(h->world);
    session_send(h, &frame);
}

static void session_on_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct ha_session *h = sink->owner;
    struct world_stream *stream = h->stream;
    const uint64_t before = h->taken;
    struct ha_frame frame;
    size_t n = 0;
    enum err e = OK;

    h->heard_at = world_now(h->world);
    ha_frames_put(&h->frames, bytes);
    while (h->stream == stream && h->feed != NULL &&
           (e = ha_frames_next(&h->frames, &frame, &n)) == OK) {
        if (!session_take(h, &frame)) {
            e = ERR_PROTOCOL;
            break;
        }
        h->taken += h->phase == SESSION_SERVED && frame.kind != HA_FRAME_WELCOME ? n : 0;
    }
    if (h->stream != stream) {
        return;
    }
    if (e == ERR_PROTOCOL) {
        session_leave(h, "it broke the protocol");
    } else if (h->phase == SESSION_SERVED && h->taken - before >= HA_SESSION_CHANGES_BYTES / 4) {
        session_say_taken(h);
    }
}

/* --- time --------------------------------------------------------------------------------------
 */

/* Why this voter is to be left now; NULL: it is not. */
static const char *session_fault(const struct ha_session *h, nanos now)
{
    if (now >= h->heard_at + HA_SESSION_SILENCE) {
        return "it is silent";
    }
    if (h->phase != SESSION_SERVED || MUTANT(HA_AGENT_STAYS)) {
        return NULL;
    }
    if (h->wants_all) {
        return "everything is to be told anew";
    }
    if (now >= u64_add_sat(h->leaderless_since, HA_SESSION_LEADERLESS)) {
        return "it knows of no leader";
    }
    if (now >= u64_add_sat(h->unanswered_since, HA_SESSION_UNANSWERED)) {
        return "renewals through it find no answer";
    }
    if (now >= u64_add_sat(h->behind_since, HA_SESSION_BEHIND)) {
        return "it lags behind the leader";
    }
    return NULL;
}

static void session_on_tick(struct world_timer *timer)
{
    struct ha_session *h = timer->owner;
    const nanos now = world_now(h->world);

    if (h->feed == NULL) {
        session_leave(h, "nobody listens");
        return;
    }
    if (h->phase == SESSION_LOST) {
        if (now < h->call_at) {
            session_tick_at(h, h->call_at);
        } else {
            session_call(h);
        }
        return;
    }
    const char *fault = session_fault(h, now);
    if (fault != NULL) {
        session_leave(h, fault);
        return;
    }
    if (h->phase == SESSION_SERVED) {
        session_say_taken(h);
    }
    session_tick_at(h, u64_min(now + HA_SESSION_BEAT, h->heard_at + HA_SESSION_SILENCE));
}

static void session_on_opened(struct world_stream_sink *sink)
{
    struct ha_session *h = sink->owner;
    const struct world_net_ops *net = h->world->net;
    const char *name = session_voter(h)->name;

    if (name[0] != '\0' && net->stream_may_be != NULL &&
        !net->stream_may_be(h->world->self, h->stream, name)) {
        session_leave(h, "the certificate at its address does not bear its name");
    }
}

static void session_on_writable(struct world_stream_sink *sink)
{
    (void)sink; /* what did not fit was dropped: see session_send */
}

static void session_on_closed(struct world_stream_sink *sink, enum err why)
{
    session_lost(sink->owner, err_text(why));
}

/* --- the store of HA ---------------------------------------------------------------------------
 */

static void session_note(void *self, node_id to, struct bytes note)
{
    struct ha_session *h = self;
    const struct ha_frame frame = {.kind = HA_FRAME_RENEWAL, .as.note = note};

    (void)to; /* the voter knows who leads */
    CHECK(note.len <= HA_NOTE_BYTES_MAX && ha_note_is(note));
    if (h->phase != SESSION_SERVED) {
        return; /* without promise */
    }
    if (h->unanswered_since == NANOS_FOREVER) {
        h->unanswered_since = world_now(h->world);
    }
    session_send(h, &frame);
}

static struct ha_leader session_leads(void *self)
{
    const struct ha_session *h = self;

    return (struct ha_leader){.leader = h->leader, .is_self = false, .term = h->term};
}

static void session_forget(struct ha_session *h)
{
    while (h->deals != NULL) {
        struct session_deal *next = h->deals->next;
        mem_free(h->deals);
        h->deals = next;
    }
    while (h->asks != NULL) {
        struct session_ask *next = h->asks->next;
        mem_free(h->asks);
        h->asks = next;
    }
    h->under_way = 0;
}

/* Who listens anew is told everything. */
static void session_set_feed(void *self, const struct ha_feed *feed)
{
    struct ha_session *h = self;

    session_forget(h);
    h->feed = feed;
    h->revision = 0;
    h->lineage = 0;
    h->granted = 0;
    h->led_term = 0;
    if (feed == NULL) {
        return; /* the world may be gone by now; if not, the next tick ends the stream */
    }
    if (h->stream != NULL) {
        session_leave(h, "another listens");
    }
    h->call_at = world_now(h->world);
    session_tick_at(h, h->call_at);
}

/* A stream begins with everything, or goes on: so it is another stream. */
static void session_anew(void *self)
{
    struct ha_session *h = self;

    h->wants_all = true;
    if (h->phase == SESSION_SERVED) {
        session_tick_at(h, world_now(h->world));
    }
}

static const struct ha_store_ops session_ops = {
    .submit = session_submit,
    .confirm = session_confirm,
    .barrier = session_confirm,
    .note = session_note,
    .leads = session_leads,
    .feed = session_set_feed,
    .anew = session_anew,
};

/* --- life --------------------------------------------------------------------------------------
 */

struct ha_session *ha_session_open(const struct world *world,
                                   const struct ha_session_config *config,
                                   const struct ha_session_events *events)
{
    struct ha_session *h = mem_alloc_zero(sizeof(*h));
    uint8_t seed[8];

    CHECK(config->n_voters > 0 && config->n_voters <= HA_SESSION_VOTERS_MAX);
    h->world = world;
    h->config = *config;
    h->events = *events;
    h->store = (struct ha_store){
        .self = h, .member = ha_session_id(config->cluster, config->host), .ops = &session_ops};
    world->random->fill(world->self, seed, sizeof(seed));
    prng_init(&h->prng, le64_load(seed));
    h->pause = HA_SESSION_PAUSE_MIN;
    h->leader = NODE_NONE;
    h->leaderless_since = NANOS_FOREVER;
    h->sink = (struct world_stream_sink){.opened = session_on_opened,
                                         .received = session_on_received,
                                         .writable = session_on_writable,
                                         .closed = session_on_closed,
                                         .owner = h};
    h->tick = (struct world_timer){.fire = session_on_tick, .owner = h};
    h->soon = (struct world_timer){.fire = session_on_soon, .owner = h};
    ha_frames_init(&h->frames, false);
    buf_init(&h->batch);
    return h;
}

void ha_session_close(struct ha_session *h)
{
    session_forget(h);
    world_timer_cancel(h->world, &h->tick);
    world_timer_cancel(h->world, &h->soon);
    ha_frames_deinit(&h->frames);
    buf_deinit(&h->batch);
    mem_free(h);
}

const struct ha_store *ha_session_store(struct ha_session *h)
{
    return &h->store;
}

void ha_session_status(const struct ha_session *h, struct ha_session_status *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->is_served = h->phase == SESSION_SERVED;
    if (h->phase != SESSION_LOST) {
        memcpy(ret->voter, session_voter(h)->name, sizeof(ret->voter));
    }
    ret->revision = h->revision;
    ret->leader = h->leader;
    ret->term = h->term;
    ret->losses = h->losses;
    ret->beginnings = h->beginnings;
    ret->refusals = h->refusals;
    ret->refusal = h->refusal;
    for (const struct session_deal *d = h->deals; d != NULL; d = d->next) {
        ret->txns++;
    }
}
