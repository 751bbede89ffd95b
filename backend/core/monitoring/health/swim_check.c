/*
 * Checks: what an observer does about a neighbour that is silent, or that others do not hear, until
 * it answers or is accused. swim_watch.c has the diagram.
 */
#include "core/base/check.h"
#include "core/monitoring/health/swim_int.h"

/* How often an accuser repeats itself and asks the accused again. */
#define SWIM_ACCUSE_INTERVAL NANOS_PER_S

/* After a check that came to nothing, because the others were silent as well. */
#define SWIM_DOUBT_SPAN NANOS_PER_S

/* How many others an observer asks, that was told to look. */
#define SWIM_TOLD_ASKS 3

/* Pings of one check, evenly spread: as many as it takes on a path that loses as much as its last
 * beats say, for all of them to fail by chance once in SWIM_CHECK_CHANCE. */
#define SWIM_CHECK_PINGS_MIN 3
#define SWIM_CHECK_PINGS_MAX 16
#define SWIM_CHECK_CHANCE    400

/* Who doubts itself is patient, and so is everybody with a member that was called dead in vain. */
nanos swim_check_span(const struct swim *s, const struct swim_edge *edge)
{
    bool is_small = s->n_live <= SWIM_SMALL_CLUSTER;
    uint32_t at = swim_index(s, edge->peer);
    uint32_t flaps = at == SWIM_NOBODY ? 0 : swim_flaps(s, at);

    return (is_small ? s->config.check_timeout_small : s->config.check_timeout) *
           (1 + s->awareness + flaps);
}

/* How many of 256 pings fail on all our paths, if both directions lose what came to us of the last
 * three beats of each neighbour. */
static uint32_t swim_recent_loss(const struct swim *s)
{
    uint32_t came = 0;
    uint32_t all = 3 * s->n_edges;

    for (uint32_t i = 0; i < s->n_edges; i++) {
        bool is_blocked = s->edges[i].streamed > 0;

        came += is_blocked ? 3 : swim_popcount16(s->edges[i].history & 7);
    }
    return all == 0 ? 0 : 256 - 256 * came * came / (all * all);
}

/* How many of 256 pings fail, there or back: as the last beats on this edge have it, or, where that
 * is worse, those on all edges, or the fellows who have answered by now: loss may have begun this
 * second. */
static uint32_t swim_check_loss(const struct swim *s, const struct swim_edge *edge)
{
    uint32_t came = edge->streamed >= SWIM_BLOCKED_BEATS ? 16 : swim_popcount16(edge->history);
    uint32_t went = edge->told_blocked > 0 ? 16 : edge->received;
    uint32_t fails = (uint32_t)u64_max(256 - came * went, swim_recent_loss(s));

    if (edge->stage != SWIM_EDGE_ASKING && edge->answer_pings > edge->answers) {
        fails = (uint32_t)u64_max(fails, 256 - 256 * edge->answers / edge->answer_pings);
    }
    return fails;
}

/* What a check takes, in pings. The time that it takes is the same, unless the loss is news: a host
 * that is gone is found as soon on a bad path as on a good one. */
static uint32_t swim_check_pings(const struct swim *s, const struct swim_edge *edge)
{
    uint32_t fails = swim_check_loss(s, edge);
    uint32_t chance = 65536;
    uint32_t n = 0;

    while (n < SWIM_CHECK_PINGS_MAX &&
           (n < SWIM_CHECK_PINGS_MIN || chance > 65536 / SWIM_CHECK_CHANCE)) {
        chance = chance * fails / 256;
        n++;
    }
    return n;
}

/* A check may end after `span`. In a small cluster it also lasts until the accused has been silent
 * here for as long as the slowest way to an accusation takes: who was told to look, perhaps by what
 * waited in a queue, is no quicker to accuse than who found out. */
nanos swim_check_until(const struct swim *s, const struct swim_edge *edge, nanos span)
{
    nanos least = s->config.watch_margin + s->config.check_timeout_small * 3 / 2;
    nanos until = s->now + span;

    return s->n_live <= SWIM_SMALL_CLUSTER ? u64_max(until, edge->heard_at + least) : until;
}

/* When the next ping of this stage is due. The first stage has half of the time; an accuser asks
 * once when it repeats itself, and on a bad path in between. */
static nanos swim_check_next(const struct swim *s, const struct swim_edge *edge)
{
    nanos span = swim_check_span(s, edge);
    uint32_t n = swim_check_pings(s, edge);
    nanos step = span / n;
    nanos next = 0;

    if (edge->stage == SWIM_EDGE_ASKING) {
        step = span / (2 * (n - 1));
    } else if (edge->stage == SWIM_EDGE_ACCUSING) {
        step = SWIM_ACCUSE_INTERVAL / (n - 2);
    }
    next = s->now + step;
    return next < edge->deadline ? next : NANOS_FOREVER;
}

/* It is time to judge. Were there too few pings for what is known of the path by now, there are
 * more first, at the same pace. */
static bool swim_check_goes_on(const struct swim *s, struct swim_edge *edge)
{
    uint32_t n = swim_check_pings(s, edge);

    if (edge->pings >= n) {
        return false;
    }
    edge->deadline = s->now + swim_check_span(s, edge) / SWIM_CHECK_PINGS_MIN;
    edge->ping_at = swim_check_next(s, edge);
    if (edge->ping_at == NANOS_FOREVER) {
        edge->ping_at = s->now; /* of three pings, a pause may have let one go */
    }
    return true;
}

/* The first ping of a doubt is a datagram alone: what is lost now and then opens no streams. */
static void swim_check_ping(struct swim *s, struct swim_edge *edge, bool by_stream,
                            struct swim_update *u)
{
    struct swim_message ping = {.type = SWIM_PING, .sequence = edge->sequence, .id = edge->peer};
    uint32_t to = swim_index(s, edge->peer);

    edge->pings++;
    swim_tell(s, edge->peer, &ping, u);
    if (by_stream && to != SWIM_NOBODY && !swim_streams_to(s, edge->peer)) {
        swim_text_stream(s, to, true, u);
    }
}

void swim_check_ask(struct swim *s, struct swim_edge *edge, bool by_echo, struct swim_update *u)
{
    edge->stage = SWIM_EDGE_ASKING;
    edge->only_answer_counts = by_echo;
    edge->sequence = swim_next_sequence(s);
    edge->deadline = s->now + swim_check_span(s, edge) / 2;
    edge->ping_at = swim_check_next(s, edge);
    swim_check_ping(s, edge, false, u);
}

/* Those fellows who have not answered are asked again: what we say is worth nothing without them,
 * and how often they had to be asked tells what the path loses. Where none of many has answered we
 * are cut off ourselves, and asking is a waste. */
static bool swim_check_asks_again(const struct swim_edge *edge)
{
    return edge->stage == SWIM_EDGE_CHECKING &&
           (edge->fellows_heard != 0 || edge->n_fellows <= SWIM_TOLD_ASKS || edge->is_waiting);
}

static void swim_check_ask_fellows(struct swim *s, struct swim_edge *edge, struct swim_update *u)
{
    uint32_t at = swim_index(s, edge->peer);

    for (uint32_t i = 0; i < edge->n_fellows; i++) {
        struct swim_message m = {
            .type = edge->was_told ? SWIM_PING : SWIM_LOOK,
            .sequence = edge->sequence,
            .id = edge->was_told ? edge->fellows[i] : edge->peer,
            .incarnation = edge->was_told ? 0 : s->members[at].incarnation,
        };

        if ((edge->fellows_heard >> i & 1) == 0) {
            swim_tell(s, edge->fellows[i], &m, u);
        }
    }
}

/* All observers ask. The first one tells the others to look; each that was told asks a few others
 * whether they hear it, to know what its own word is worth. */
void swim_check_begin(struct swim *s, struct swim_edge *edge, bool was_told, struct swim_update *u)
{
    if (swim_index(s, edge->peer) == SWIM_NOBODY) {
        return;
    }
    s->counters[SWIM_PROBES]++;
    edge->stage = SWIM_EDGE_CHECKING;
    edge->only_answer_counts = edge->only_answer_counts || was_told;
    edge->sequence = swim_next_sequence(s);
    edge->was_told = was_told;
    edge->is_waiting = false;
    edge->pings = 0;
    edge->answer_pings = 0;
    edge->answers = 0;
    edge->fellows_heard = 0;
    edge->deadline = swim_check_until(s, edge, swim_check_span(s, edge));
    edge->ping_at = swim_check_next(s, edge);
    edge->n_fellows = swim_fellows(s, edge->peer, edge->fellows);
    if (was_told && edge->n_fellows > SWIM_TOLD_ASKS) {
        for (uint32_t i = 0; i < SWIM_TOLD_ASKS; i++) {
            uint32_t k = i + (uint32_t)prng_below(&s->prng, edge->n_fellows - i);
            node_id kept = edge->fellows[i];

            edge->fellows[i] = edge->fellows[k];
            edge->fellows[k] = kept;
        }
        edge->n_fellows = SWIM_TOLD_ASKS;
    }
    swim_check_ask_fellows(s, edge, u);
    swim_check_ping(s, edge, true, u);
}

/* Have enough fellows answered for our word to be worth something? */
static bool swim_check_is_backed(const struct swim_edge *edge)
{
    uint32_t heard = (uint32_t)__builtin_popcount(edge->fellows_heard);

    return edge->n_fellows > 0 && 2 * heard >= edge->n_fellows;
}

/* Those who should have answered us are silent, too. Where there are few of them they may merely be
 * stalled: the check waits for them. */
static void swim_check_doubt(struct swim *s, struct swim_edge *edge)
{
    nanos span = SWIM_DOUBT_SPAN * (1 + s->awareness);

    if (s->n_live <= SWIM_SMALL_CLUSTER && edge->n_fellows > 0 && !edge->is_waiting) {
        edge->is_waiting = true;
        edge->deadline = s->now + span;
        edge->ping_at = swim_check_next(s, edge);
        return;
    }
    swim_awareness_add(s, 1);
    edge->stage = SWIM_EDGE_QUIET;
    edge->due = edge->is_waiting ? s->now : s->now + SWIM_DOUBT_SPAN * (1 + s->awareness);
}

/* A fellow has answered that was waited for. The accused, too, may have been out of our reach until
 * now: it is asked once more. */
void swim_check_backed(struct swim *s, struct swim_edge *edge, struct swim_update *u)
{
    if (edge->stage == SWIM_EDGE_CHECKING && edge->is_waiting && swim_check_is_backed(edge)) {
        edge->is_waiting = false;
        edge->deadline = swim_check_until(s, edge, swim_check_span(s, edge) / SWIM_CHECK_PINGS_MIN);
        edge->ping_at = NANOS_FOREVER;
        swim_check_ping(s, edge, true, u);
    }
}

static void swim_check_judge(struct swim *s, struct swim_edge *edge, struct swim_update *u)
{
    bool is_alone = s->n_live <= 2;

    s->counters[SWIM_PROBES_FAILED]++;
    if (!is_alone && !swim_check_is_backed(edge)) {
        swim_check_doubt(s, edge);
        return;
    }
    swim_awareness_add(s, -1);
    edge->stage = SWIM_EDGE_ACCUSING;
    edge->deadline = s->now + SWIM_ACCUSE_INTERVAL;
    edge->ping_at = swim_check_next(s, edge);
    if (is_alone) {
        uint32_t at = swim_index(s, edge->peer);

        edge->is_down = true;
        edge->bad_at = s->now;
        edge->report_at = s->now;
        swim_hear_suspect(s, edge->peer, s->members[at].incarnation, s->config.self, u);
        return;
    }
    swim_accuse(s, edge, false, u);
}

/* It lives. */
void swim_check_end(struct swim *s, struct swim_edge *edge, struct swim_update *u)
{
    bool accused = edge->stage == SWIM_EDGE_ACCUSING;

    edge->answered_at = s->now;
    edge->stage = SWIM_EDGE_QUIET;
    edge->only_answer_counts = false;
    edge->due = u64_max(edge->due, swim_edge_due(s, edge, swim_beat_interval(s)));
    if (accused && s->n_live <= 2) {
        swim_acquit(s, swim_index(s, edge->peer), u);
        swim_take_back(s, edge, u);
    } else if (accused) {
        swim_accuse(s, edge, true, u);
    } else {
        swim_awareness_add(s, -1);
    }
}

void swim_check_tick(struct swim *s, struct swim_edge *edge, struct swim_update *u)
{
    if (edge->stage != SWIM_EDGE_QUIET && edge->ping_at <= s->now) {
        edge->ping_at = swim_check_next(s, edge);
        swim_check_ping(s, edge, edge->stage == SWIM_EDGE_ASKING, u);
        if (swim_check_asks_again(edge)) {
            swim_check_ask_fellows(s, edge, u);
        }
    }
    if (edge->stage != SWIM_EDGE_QUIET && edge->deadline <= s->now) {
        if (edge->stage == SWIM_EDGE_ASKING) {
            swim_check_begin(s, edge, false, u);
        } else if (edge->stage == SWIM_EDGE_CHECKING) {
            if (!swim_check_goes_on(s, edge)) {
                swim_check_judge(s, edge, u);
            }
        } else {
            edge->deadline = s->now + SWIM_ACCUSE_INTERVAL;
            edge->ping_at = swim_check_next(s, edge);
            swim_check_ping(s, edge, true, u);
            if (s->n_live > 2) {
                swim_accuse(s, edge, false, u);
            }
        }
    }
}
