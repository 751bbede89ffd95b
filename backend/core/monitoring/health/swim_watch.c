/*
 * The observers: fixed neighbours on rings, who send each other heartbeats, and who must agree
 * before anybody is called dead.
 *
 * Between two neighbours there is an edge, the same from both ends. On it each sends a beat at its
 * turn. A beat carries its number, the number of the last beat that came the other way, how many of
 * the last sixteen came, and when the next one is to be expected. So each end knows whether the
 * other one lives (beats come) and whether it hears (its echo keeps up); both directions count.
 *
 *     QUIET --no beat when it was due, or an echo that lags--> ASKING
 *     QUIET, ASKING --another observer asks us to look--> CHECKING
 *     ASKING --no answer to two pings--> CHECKING: all other observers are asked to look, too
 *     CHECKING --no answer, and half of the others answered us--> ACCUSING
 *     CHECKING --no answer, but the others are silent as well--> QUIET: it is we who are cut off
 *     any --it answers--> QUIET, and an accusation is taken back
 *
 * THE VERDICT. Accusations go to all observers of the accused, again each second. Whoever observes
 * it and counts accusations of two in three of its observers, those not counted who are under
 * suspicion themselves, and at least of two, calls it dead: that is the rumor that all others hear.
 * So nobody is condemned on the word of one; and an observer that was stalled, or is cut off, has
 * no word, because an accusation takes fresh answers from the other observers to questions that
 * left together with those to the accused.
 *
 * Two members have nobody to ask. There, an accusation is a suspicion, which expires.
 */
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/monitoring/health/swim_int.h"

/* How often an edge that is bad is reported to the leader is in swim_int.h. An accusation of one
 * who is gone is told so long; and an edge must have been good so long for its report to be taken
 * back: longer than what comes and goes. */
#define SWIM_DEPARTED_SPAN (30 * NANOS_PER_S)
#define SWIM_GOOD_SPAN     (15 * NANOS_PER_S)

/* Rings are drawn anew at most so often: a change seldom comes alone. */
#define SWIM_RING_INTERVAL (50 * NANOS_PER_MS)

/* Of the last sixteen beats at most this many came: the edge is lossy. Of a loss of 10 % it is true
 * once in 10^9 times, of 30 % once in 140, of 80 % nearly always. */
#define SWIM_LOSSY_BEATS 6
#define SWIM_LOSSY_MIN   16

/* A beat of ours must have been under way for that long before a missing echo means anything. */
#define SWIM_ECHO_SPAN (400 * NANOS_PER_MS)

/* Who did not run has read after this what came meanwhile. */
#define SWIM_QUEUE_SPAN (100 * NANOS_PER_MS)

/* A number that far back is not a beat that came late. */
#define SWIM_BEAT_GAP 64

nanos swim_beat_interval(const struct swim *s)
{
    bool is_small = s->n_live <= SWIM_SMALL_CLUSTER;
    nanos spacing = is_small ? s->config.beat_spacing_small : s->config.beat_spacing;

    return spacing * (s->n_edges > 0 ? s->n_edges : 1);
}

struct swim_edge *swim_edge_find(struct swim *s, node_id peer)
{
    const struct swim_edge *edge = swim_edge_of(s, peer);

    return edge != NULL ? &s->edges[edge - s->edges] : NULL;
}

nanos swim_edge_due(const struct swim *s, const struct swim_edge *edge, nanos promised)
{
    return s->now + promised +
           (s->config.watch_margin + 4 * (nanos)edge->jitter_us * NANOS_PER_US) *
               (1 + s->awareness);
}

/* --- The edges -----------------------------------------------------------------------------------
 */

void swim_rings_changed(struct swim *s)
{
    if (s->config.rings > 0 && s->rings_at == NANOS_FOREVER) {
        s->rings_at = s->now + SWIM_RING_INTERVAL;
    }
}

static void swim_edge_open(struct swim *s, struct swim_edge *edge, node_id peer)
{
    memset(edge, 0, sizeof(*edge));
    edge->peer = peer;
    edge->history = 0xFFFF;
    edge->received = 16;
    edge->heard_at = s->now;
    /* Its neighbour may learn of us a little later, and begins its round anywhere. */
    edge->due = s->now + 2 * NANOS_PER_S +
                swim_edge_due(s, edge, 2 * s->config.rings * s->config.beat_spacing) - s->now;
    edge->beat_at = NANOS_FOREVER;
}

/* The member of an edge may be no neighbour any longer because it is dead: what we said of it the
 * leader must hear all the same, and the next leader. */
static void swim_edge_close(struct swim *s, const struct swim_edge *edge)
{
    uint32_t at = swim_index(s, edge->peer);

    if (at == SWIM_NOBODY || !edge->is_down || s->members[at].state != SWIM_DEAD) {
        return;
    }
    s->departed[s->departed_next++ % SWIM_DEPARTED_MAX] = (struct swim_departed){
        .subject = edge->peer,
        .incarnation = s->members[at].incarnation,
        .bad_at = edge->bad_at,
        .report_at = s->now + SWIM_REPORT_INTERVAL,
        .until = s->now + SWIM_DEPARTED_SPAN,
    };
}

/* Who are our neighbours now? Edges that stay keep what they know. */
static void swim_rings_draw(struct swim *s)
{
    node_id ids[SWIM_OBSERVERS_MAX];
    uint32_t n = swim_neighbours(s, s->config.self, ids);
    struct swim_edge edges[SWIM_OBSERVERS_MAX];
    nanos interval = 0;

    for (uint32_t i = 0; i < n; i++) {
        const struct swim_edge *known = swim_edge_find(s, ids[i]);

        if (known != NULL) {
            edges[i] = *known;
        } else {
            swim_edge_open(s, &edges[i], ids[i]);
        }
    }
    for (uint32_t i = 0; i < s->n_edges; i++) {
        swim_edge_close(s, &s->edges[i]);
    }
    s->n_edges = n;
    memcpy(s->edges, edges, n * sizeof(edges[0]));
    interval = swim_beat_interval(s);
    /* A beat every so often, on each edge in turn, from a place in the round that is ours. */
    for (uint32_t i = 0; i < n; i++) {
        nanos turn = interval * i / n + prng_below(&s->prng, interval / n + 1);

        s->edges[i].beat_at = u64_min(s->edges[i].beat_at, s->now + turn);
    }
    s->rings_at = NANOS_FOREVER;
}

static void swim_beat_send(struct swim *s, struct swim_edge *edge, struct swim_update *u)
{
    uint32_t to = swim_index(s, edge->peer);
    nanos interval = swim_beat_interval(s);
    struct swim_message beat = {
        .type = SWIM_BEAT,
        .sequence = ++edge->beat,
        .echo = edge->theirs,
        .received = (uint8_t)swim_popcount16(edge->history),
        .promise_ms = (uint32_t)(interval / NANOS_PER_MS),
    };

    bool streams = swim_edge_streams(s, edge, u);

    beat.flags = swim_edge_flags(s, edge);
    edge->beat_at = s->now + interval;
    edge->beat_sent_at = s->now;
    if (to == SWIM_NOBODY) {
        return;
    }
    swim_text_begin(s);
    swim_text_put(s, &beat);
    swim_text_send(s, to, u);
    if (streams) {
        swim_text_stream(s, to, false, u);
    }
}

/* --- What comes ----------------------------------------------------------------------------------
 */

void swim_watch_heard(struct swim *s, uint32_t from, struct swim_update *u)
{
    struct swim_edge *edge = swim_edge_find(s, s->members[from].id);

    if (edge == NULL) {
        return;
    }
    edge->heard_at = s->now;
    edge->due = u64_max(edge->due, swim_edge_due(s, edge, 0));
    if (edge->stage != SWIM_EDGE_QUIET && !edge->only_answer_counts) {
        swim_check_end(s, edge, u);
    }
}

bool swim_watch_ack(struct swim *s, uint32_t from, uint32_t sequence, bool by_stream,
                    struct swim_update *u)
{
    node_id id = s->members[from].id;

    for (uint32_t i = 0; i < s->n_edges; i++) {
        struct swim_edge *edge = &s->edges[i];

        if (edge->sequence == sequence && edge->peer == id && !by_stream) {
            edge->stream_answered = false; /* also where the stream was faster */
        }
        if (edge->stage == SWIM_EDGE_QUIET || edge->sequence != sequence) {
            continue;
        }
        if (edge->peer == id) {
            edge->stream_answered = by_stream;
            swim_check_end(s, edge, u);
            return true;
        }
        for (uint32_t k = 0; k < edge->n_fellows; k++) {
            if (edge->fellows[k] != id) {
                continue;
            }
            if ((edge->fellows_heard >> k & 1) == 0) {
                edge->fellows_heard |= 1U << k;
                edge->answer_pings += edge->pings;
                edge->answers++;
            } else if (!by_stream && s->n_live <= SWIM_SMALL_CLUSTER) {
                edge->answers++;
            }
        }
        swim_check_backed(s, edge, u);
        return true;
    }
    return false;
}

/* What waited for us while we did not run is late by our fault. */
static bool swim_reads_queue(const struct swim *s)
{
    return s->n_live <= SWIM_SMALL_CLUSTER && s->woke_at != 0 &&
           s->now < s->woke_at + SWIM_QUEUE_SPAN;
}

/* How far beats are from when they were promised, smoothed [Jacobson88]. */
static void swim_edge_measure(struct swim *s, struct swim_edge *edge)
{
    nanos promised_at = edge->theirs_at + edge->promise_ms * NANOS_PER_MS;
    nanos off = s->now > promised_at ? s->now - promised_at : 0;
    int64_t off_us = (int64_t)(u64_min(off, NANOS_PER_S) / NANOS_PER_US);

    if (edge->theirs != 0 && !swim_reads_queue(s)) {
        edge->jitter_us = (uint32_t)((int64_t)edge->jitter_us + (off_us - edge->jitter_us) / 8);
    }
}

void swim_hear_beat(struct swim *s, uint32_t from, bool by_stream, const struct swim_message *m,
                    struct swim_update *u)
{
    struct swim_edge *edge = swim_edge_find(s, s->members[from].id);
    nanos promise = u64_min(m->promise_ms, SWIM_PROMISE_MAX_MS) * NANOS_PER_MS;
    bool echo_lags = false;

    if (edge == NULL || m->sequence == 0) {
        return;
    }
    if (m->sequence > edge->theirs) {
        uint32_t ahead = edge->theirs == 0 ? 1 : m->sequence - edge->theirs;

        swim_edge_note_beat(edge, ahead, by_stream);
        if (ahead == 1) {
            swim_edge_measure(s, edge);
        }
        edge->theirs = m->sequence;
        edge->theirs_at = s->now;
        edge->promise_ms = (uint32_t)(promise / NANOS_PER_MS);
        edge->beats_heard += edge->beats_heard < UINT32_MAX ? 1 : 0;
        edge->received = m->received;
        edge->told_blocked = (m->flags & SWIM_FLAG_BLOCKED) != 0
                                 ? (uint32_t)u64_min(edge->told_blocked + 1, 255)
                                 : 0;
        edge->due = swim_edge_due(s, edge, promise);
    } else if (edge->theirs - m->sequence > SWIM_BEAT_GAP || m->sequence == 1) {
        /* It began to count anew: it took us for no neighbour in between. */
        edge->theirs = m->sequence;
        edge->theirs_at = s->now;
        edge->due = swim_edge_due(s, edge, promise);
    } else {
        /* Overtaken on the way by a later one, and not lost. */
        edge->history |= 1U << u64_min(edge->theirs - m->sequence, 31);
    }
    if (m->sequence == edge->theirs && !by_stream) {
        swim_edge_note_beat(edge, 0, false);
    }
    if ((m->flags & SWIM_FLAG_WANTED) != 0) {
        swim_edge_stream_on(s, edge, false);
    }
    echo_lags = m->echo < edge->beat && edge->beat > 1 && m->echo > 0 &&
                s->now - edge->beat_sent_at > SWIM_ECHO_SPAN;
    if (echo_lags && edge->stage == SWIM_EDGE_QUIET && edge->lag_asked != edge->beat) {
        edge->lag_asked = edge->beat;
        swim_check_ask(s, edge, true, u);
    }
}

/* Whoever has just had an answer need not ask again because others did not; else they would go on
 * telling each other for ever. */
static bool swim_must_look(const struct swim *s, const struct swim_edge *edge)
{
    return (edge->stage == SWIM_EDGE_QUIET || edge->stage == SWIM_EDGE_ASKING) &&
           (edge->answered_at == 0 || edge->answered_at + swim_check_span(s, edge) / 2 <= s->now);
}

void swim_hear_look(struct swim *s, uint32_t from, const struct swim_message *m,
                    struct swim_update *u)
{
    struct swim_edge *edge = swim_edge_find(s, m->id);
    struct swim_message ack = {.type = SWIM_ACK, .sequence = m->sequence};

    swim_tell(s, s->members[from].id, &ack, u);
    if (edge != NULL && swim_must_look(s, edge)) {
        swim_check_begin(s, edge, true, u);
    }
}

void swim_hear_accuse(struct swim *s, uint32_t from, const struct swim_message *m,
                      struct swim_update *u)
{
    node_id by = s->members[from].id;
    uint32_t at = swim_index(s, m->id);
    node_id observers[SWIM_OBSERVERS_MAX];
    uint32_t n = 0;
    struct swim_edge *edge = NULL;

    if (at == 0 || at == SWIM_NOBODY || !swim_is_live(&s->members[at]) ||
        m->incarnation < s->members[at].incarnation) {
        return;
    }
    if ((m->flags & SWIM_FLAG_TAKES_BACK) != 0) {
        swim_tally_drop(s, at, by, u);
        return;
    }
    n = swim_neighbours(s, m->id, observers);
    for (uint32_t i = 0; i < n; i++) {
        if (observers[i] == by) {
            swim_tally_add(s, at, by, u);
            break;
        }
    }
    edge = swim_edge_find(s, m->id);
    if (edge != NULL && swim_is_live(&s->members[at]) && swim_must_look(s, edge)) {
        swim_check_begin(s, edge, true, u);
    }
}

void swim_hear_report(struct swim *s, uint32_t from, const struct swim_message *m,
                      struct swim_update *u)
{
    if (s->leader == s->config.self) {
        swim_report_push(s, s->members[from].id, m, u);
    }
}

/* --- Time ----------------------------------------------------------------------------------------
 */

bool swim_edge_is_lossy(const struct swim_edge *edge)
{
    return edge->beats_heard >= SWIM_LOSSY_MIN / 4 &&
           ((swim_popcount16(edge->history) <= SWIM_LOSSY_BEATS &&
             edge->streamed < SWIM_BLOCKED_BEATS) ||
            (edge->received <= SWIM_LOSSY_BEATS && edge->told_blocked == 0));
}

/* An edge that is bad though its member answers now and then is for the leader to know. Where most
 * of our edges are, the fault is ours, and we report nobody. */
static void swim_edge_reports(struct swim *s, struct swim_edge *edge, struct swim_update *u)
{
    uint32_t at = swim_index(s, edge->peer);
    struct swim_message m = {.type = SWIM_REPORT, .id = edge->peer};
    uint32_t bad = 0;

    if (at == SWIM_NOBODY || edge->report_at > s->now) {
        return;
    }
    edge->report_at = s->now + SWIM_REPORT_INTERVAL;
    for (uint32_t i = 0; i < s->n_edges; i++) {
        bad += swim_edge_is_lossy(&s->edges[i]) ? 1 : 0;
    }
    if (swim_edge_is_lossy(edge) && 2 * bad <= s->n_edges) {
        edge->is_down = true;
        edge->bad_at = s->now;
    }
    if (!edge->is_down) {
        return;
    }
    m.incarnation = s->members[at].incarnation;
    m.age_ms = (uint32_t)((s->now - edge->bad_at) / NANOS_PER_MS);
    if (edge->bad_at + SWIM_GOOD_SPAN <= s->now && edge->stage == SWIM_EDGE_QUIET) {
        edge->is_down = false;
        m.flags = SWIM_FLAG_TAKES_BACK;
    }
    swim_report(s, &m, u);
}

static void swim_edge_tick(struct swim *s, struct swim_edge *edge, struct swim_update *u)
{
    if (edge->beat_at <= s->now) {
        swim_beat_send(s, edge, u);
    }
    if (edge->stage == SWIM_EDGE_QUIET && edge->due <= s->now) {
        swim_check_ask(s, edge, false, u);
    }
    swim_check_tick(s, edge, u);
    swim_edge_reports(s, edge, u);
}

static void swim_departed_returns(struct swim *s, uint32_t at, struct swim_update *u)
{
    struct swim_message m = {.type = SWIM_REPORT, .flags = SWIM_FLAG_TAKES_BACK};

    if (at != SWIM_NOBODY && swim_is_live(&s->members[at]) && swim_takes_back_at_once(s)) {
        m.id = s->members[at].id;
        m.incarnation = s->members[at].incarnation;
        swim_report(s, &m, u);
    }
}

static void swim_departed_tick(struct swim *s, struct swim_update *u)
{
    for (uint32_t i = 0; i < SWIM_DEPARTED_MAX; i++) {
        struct swim_departed *gone = &s->departed[i];
        struct swim_message m = {
            .type = SWIM_REPORT,
            .id = gone->subject,
            .incarnation = gone->incarnation,
            .age_ms = (uint32_t)((s->now - gone->bad_at) / NANOS_PER_MS),
        };

        uint32_t at = gone->subject == NODE_NONE ? SWIM_NOBODY : swim_index(s, gone->subject);

        if (at == SWIM_NOBODY || s->members[at].state != SWIM_DEAD) {
            gone->subject = NODE_NONE; /* it lives again */
            swim_departed_returns(s, at, u);
            continue;
        }
        if (gone->report_at > s->now) {
            continue;
        }
        gone->report_at = s->now + SWIM_REPORT_INTERVAL;
        swim_report(s, &m, u);
        if (gone->until <= s->now) {
            gone->subject = NODE_NONE;
        }
    }
}

void swim_watch_led(struct swim *s, node_id leader)
{
    bool is_news = leader != s->leader && leader != NODE_NONE;

    s->leader = leader;
    for (uint32_t i = 0; i < s->n_edges && is_news; i++) {
        s->edges[i].report_at = s->edges[i].is_down ? s->now : s->edges[i].report_at;
    }
    for (uint32_t i = 0; i < SWIM_DEPARTED_MAX && is_news; i++) {
        s->departed[i].report_at = s->now;
    }
}

void swim_watch_tick(struct swim *s, struct swim_update *u)
{
    if (s->config.rings == 0) {
        return;
    }
    if (s->rings_at <= s->now) {
        swim_rings_draw(s);
    }
    swim_reach_tick(s);
    swim_tallies_tick(s, u);
    swim_departed_tick(s, u);
    for (uint32_t i = 0; i < s->n_edges; i++) {
        swim_edge_tick(s, &s->edges[i], u);
    }
}

nanos swim_watch_due(const struct swim *s)
{
    nanos due = s->rings_at;

    for (uint32_t i = 0; i < s->n_edges; i++) {
        const struct swim_edge *edge = &s->edges[i];

        due = u64_min(due, edge->beat_at);
        due = edge->is_down ? u64_min(due, edge->report_at) : due;
        if (edge->stage == SWIM_EDGE_QUIET) {
            due = u64_min(due, edge->due);
        } else {
            due = u64_min(due, u64_min(edge->ping_at, edge->deadline));
        }
    }
    for (uint32_t i = 0; i < SWIM_DEPARTED_MAX; i++) {
        if (s->departed[i].subject != NODE_NONE) {
            due = u64_min(due, s->departed[i].report_at);
        }
    }
    return u64_min(due, swim_tallies_due(s));
}

/* In a small cluster a pause costs no more than it must. What came meanwhile waits to be read, also
 * answers to what was asked before the pause: whoever has sent nothing by then is asked, and a
 * check that was under way goes on, but ends no earlier than all of that is read. */
static void swim_edge_resume(struct swim *s, struct swim_edge *edge, struct swim_update *u)
{
    if (edge->stage == SWIM_EDGE_QUIET) {
        if (edge->due <= s->now) {
            swim_check_ask(s, edge, false, u);
        }
        return;
    }
    edge->deadline = u64_max(edge->deadline, swim_check_until(s, edge, SWIM_QUEUE_SPAN));
    edge->ping_at = s->now;
}

/* Whatever was due while we did not run was not missed by others: nobody is judged by it. All get
 * their time anew; and all neighbours hear from us at once, before they finish judging us. */
void swim_watch_wake(struct swim *s, struct swim_update *u)
{
    bool is_small = s->n_live <= SWIM_SMALL_CLUSTER;

    s->woke_at = s->now;
    for (uint32_t i = 0; i < s->n_edges; i++) {
        struct swim_edge *edge = &s->edges[i];

        if (is_small) {
            swim_edge_resume(s, edge, u);
        } else {
            edge->due = swim_edge_due(s, edge, swim_beat_interval(s));
            edge->stage = SWIM_EDGE_QUIET;
            edge->only_answer_counts = false;
        }
        swim_beat_send(s, edge, u);
    }
    for (size_t i = s->n_suspicions; i > 0; i--) {
        struct swim_suspicion *tally = &s->suspicions[i - 1];

        if (tally->deadline != NANOS_FOREVER) {
            tally->deadline = s->now + swim_suspicion_span(&s->config, s->n_live, 0);
        } else {
            swim_acquit(s, tally->member, u);
        }
    }
}
