/*
 * Neighbours whom datagrams do not reach: a filter drops them, in one direction or both, and lets
 * streams pass.
 *
 * A check whose first datagram was in vain asks by stream as well. Where a stream answers, and no
 * datagram does, all that goes to this neighbour goes by stream too from then on: beats, questions,
 * accusations. Datagrams go on beside it, so that both ends notice when they get through again.
 *
 *     DATAGRAMS --a stream answered a check, and no datagram did--> BOTH
 *     DATAGRAMS --the other end is in BOTH for such a reason, and says so--> BOTH
 *     BOTH --datagrams come for a while, both ways--> DATAGRAMS
 *
 * In BOTH a beat travels twice, under one number. So what is lost is told from what is blocked: of
 * lost datagrams one comes now and then, of blocked ones none, while all copies on the stream do.
 * SWIM_BLOCKED_BEATS in a row that came by stream alone are told to the other end, and some more
 * are said with SWIM_BY_STREAM. They count neither as loss nor as silence, and nobody is accused of
 * them.
 *
 * Where most edges of a member are in BOTH it is its own way out, or everybody's, that is blocked:
 * then what it has to say to others goes by stream as well, and it tells everybody so, who then has
 * streams for it: reports to a leader that no datagram reaches come from all observers.
 */
#include "core/base/check.h"
#include "core/monitoring/health/swim_int.h"

/* How long an edge stays in BOTH: beats, and on top a span. It must last until the other end has
 * seen so many beats by stream that it says so. */
#define SWIM_STREAM_BEATS (SWIM_BLOCKED_BEATS + 2)
#define SWIM_STREAM_SPAN  (5 * NANOS_PER_S)

/* By so much a datagram may be later than the answer on a stream. */
#define SWIM_DATAGRAM_SPAN (300 * NANOS_PER_MS)

/* Of the joins of one who knows nobody, each third goes by stream too. */
#define SWIM_JOINS_A_STREAM 3

static bool swim_has_streams(const struct swim *s)
{
    return s->config.rings > 0 && s->config.stream_fallback;
}

void swim_edge_stream_on(struct swim *s, struct swim_edge *edge, bool is_ours)
{
    if (swim_has_streams(s)) {
        edge->stream_until = s->now + SWIM_STREAM_SPAN + SWIM_STREAM_BEATS * swim_beat_interval(s);
        edge->wanted_until = is_ours ? edge->stream_until : edge->wanted_until;
    }
}

bool swim_streams_to(struct swim *s, node_id id)
{
    const struct swim_edge *edge = swim_edge_find(s, id);
    uint32_t at = swim_index(s, id);
    uint32_t streams = 0;

    if (edge != NULL) {
        return edge->stream_until > s->now;
    }
    if (at != SWIM_NOBODY && s->members[at].by_stream) {
        return true;
    }
    for (uint32_t i = 0; i < s->n_edges; i++) {
        streams += s->edges[i].stream_until > s->now ? 1 : 0;
    }
    return 2 * streams > s->n_edges;
}

void swim_text_stream(struct swim *s, uint32_t to, bool asks, struct swim_update *u)
{
    size_t n = u->n_sends;

    if (!swim_has_streams(s)) {
        return;
    }
    swim_text_send_bare(s, SWIM_SEND_STREAM, s->members[to].id, &s->members[to].at, 0, u);
    if (u->n_sends > n) {
        u->sends[n].asks = asks;
    }
}

void swim_edge_note_beat(struct swim_edge *edge, uint32_t ahead, bool by_stream)
{
    edge->history = ahead < SWIM_BEATS_TOLD ? edge->history << ahead : 0;
    if (by_stream) {
        edge->streamed += edge->streamed < UINT32_MAX ? 1 : 0;
        return;
    }
    if (edge->streamed >= SWIM_BLOCKED_BEATS) {
        edge->history = UINT32_MAX; /* what was blocked was not lost */
    }
    edge->history |= 1;
    edge->streamed = 0;
}

/* In one direction or the other. */
static bool swim_edge_is_blocked(const struct swim_edge *edge)
{
    return edge->streamed >= SWIM_BLOCKED_BEATS || edge->told_blocked > 0;
}

static bool swim_edge_is_surely_blocked(const struct swim_edge *edge)
{
    return edge->streamed >= SWIM_BLOCKED_SURE_BEATS ||
           edge->told_blocked > SWIM_BLOCKED_SURE_BEATS - SWIM_BLOCKED_BEATS;
}

uint8_t swim_edge_flags(const struct swim *s, const struct swim_edge *edge)
{
    uint32_t flags = edge->streamed >= SWIM_BLOCKED_BEATS ? SWIM_FLAG_BLOCKED : 0;

    return (uint8_t)(flags | (edge->wanted_until > s->now ? SWIM_FLAG_WANTED : 0));
}

bool swim_edge_streams(struct swim *s, struct swim_edge *edge, struct swim_update *u)
{
    uint32_t at = swim_index(s, edge->peer);
    bool is_blocked = edge->stream_until > s->now && swim_edge_is_blocked(edge);

    if (edge->stream_answered && edge->answered_at + SWIM_DATAGRAM_SPAN <= s->now) {
        edge->stream_answered = false;
        swim_edge_stream_on(s, edge, true);
    }
    if (is_blocked) {
        swim_edge_stream_on(s, edge, true);
    }
    if (at != SWIM_NOBODY && is_blocked != edge->is_stream_only &&
        (!is_blocked || swim_edge_is_surely_blocked(edge))) {
        edge->is_stream_only = is_blocked;
        swim_change_push(u, is_blocked ? SWIM_BY_STREAM : SWIM_BY_DATAGRAM, &s->members[at],
                         s->config.self, true);
    }
    return edge->stream_until > s->now;
}

void swim_reach_tick(struct swim *s)
{
    struct swim_member *self = &s->members[0];
    uint32_t streams = 0;

    for (uint32_t i = 0; i < s->n_edges; i++) {
        streams += s->edges[i].is_stream_only ? 1 : 0;
    }
    if (self->by_stream != (2 * streams > s->n_edges) && !s->is_leaving) {
        self->by_stream = !self->by_stream;
        swim_incarnation_raise(s, 0);
    }
}

bool swim_joins_by_stream(struct swim *s)
{
    if (!swim_has_streams(s) || s->n_live > 1) {
        s->lonely_joins = 0;
        return false;
    }
    return ++s->lonely_joins % SWIM_JOINS_A_STREAM == 0;
}

enum swim_reach swim_reach(const struct swim *s, node_id id)
{
    const struct swim_member *m = swim_find(s, id);

    for (uint32_t i = 0; i < s->n_edges; i++) {
        const struct swim_edge *edge = &s->edges[i];

        if (edge->peer == id && edge->theirs > 0) {
            return edge->is_stream_only ? SWIM_REACH_STREAMS : SWIM_REACH_DATAGRAMS;
        }
    }
    return m != NULL && m->by_stream && m->id != s->config.self ? SWIM_REACH_STREAMS
                                                                : SWIM_REACH_UNKNOWN;
}

const char *swim_reach_name(enum swim_reach reach)
{
    return reach == SWIM_REACH_DATAGRAMS ? "datagrams"
           : reach == SWIM_REACH_STREAMS ? "streams"
                                         : "";
}
