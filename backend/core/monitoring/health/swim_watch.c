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

/* An accusation that is not said again counts no longer. */
#define SWIM_ACCUSATION_SPAN (3 * NANOS_PER_S)

/* How often an accuser repeats itself and asks the accused again. */
#define SWIM_ACCUSE_INTERVAL NANOS_PER_S

/* After a check that came to nothing, because the others were silent as well. */
#define SWIM_DOUBT_SPAN NANOS_PER_S

/* Rings are drawn anew at most so often: a change seldom comes alone. */
#define SWIM_RING_INTERVAL (50 * NANOS_PER_MS)

/* How often an edge that is bad is reported to the leader, and how long it must have been good for
 * the report to be taken back: longer than what comes and goes. */
#define SWIM_REPORT_INTERVAL (2 * NANOS_PER_S)
#define SWIM_DEPARTED_SPAN   (30 * NANOS_PER_S)
#define SWIM_GOOD_SPAN       (15 * NANOS_PER_S)

/* Of the last sixteen beats at most this many came: the edge is lossy. Of a loss of 10 % it is true
 * once in 10^9 times, of 30 % once in 140, of 80 % nearly always. */
#define SWIM_LOSSY_BEATS 6
#define SWIM_LOSSY_MIN   16

/* A beat of ours must have been under way for that long before a missing echo means anything. */
#define SWIM_ECHO_SPAN (400 * NANOS_PER_MS)

/* A number that far back is not a beat that came late. */
#define SWIM_BEAT_GAP 64

/* How many others an observer asks, that was told to look. */
#define SWIM_TOLD_ASKS 3

/* Pings of one check, evenly spread: as many as it takes on a path that loses as much as its last
 * beats say, for all of them to fail by chance once in SWIM_CHECK_CHANCE. */
#define SWIM_CHECK_PINGS_MIN 3
#define SWIM_CHECK_PINGS_MAX 16
#define SWIM_CHECK_CHANCE    400

static uint32_t swim_popcount16(uint32_t bits)
{
    return (uint32_t)__builtin_popcount(bits & 0xFFFFU);
}

nanos swim_beat_interval(const struct swim *s)
{
    bool is_small = s->n_live <= SWIM_SMALL_CLUSTER;
    nanos spacing = is_small ? s->config.beat_spacing_small : s->config.beat_spacing;

    return spacing * (s->n_edges > 0 ? s->n_edges : 1);
}

/* Who doubts itself is patient, and so is everybody with a member that was called dead in vain. */
static nanos swim_check_span(const struct swim *s, const struct swim_edge *edge)
{
    bool is_small = s->n_live <= SWIM_SMALL_CLUSTER;
    uint32_t at = swim_index(s, edge->peer);
    uint32_t flaps = at == SWIM_NOBODY ? 0 : swim_flaps(s, at);

    return (is_small ? s->config.check_timeout_small : s->config.check_timeout) *
           (1 + s->awareness + flaps);
}

struct swim_edge *swim_edge_find(struct swim *s, node_id peer)
{
    const struct swim_edge *edge = swim_edge_of(s, peer);

    return edge != NULL ? &s->edges[edge - s->edges] : NULL;
}

/* When its next beat must have come, if it comes `promised` from now at the latest. */
static nanos swim_edge_due(const struct swim *s, const struct swim_edge *edge, nanos promised)
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

/* --- Accusations ---------------------------------------------------------------------------------
 */

static uint32_t swim_fellows(const struct swim *s, node_id subject, node_id ret[SWIM_OBSERVERS_MAX])
{
    node_id all[SWIM_OBSERVERS_MAX];
    uint32_t n = swim_neighbours(s, subject, all);
    uint32_t fellows = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = swim_index(s, all[i]);

        if (at != 0 && at != SWIM_NOBODY && s->members[at].state == SWIM_ALIVE) {
            ret[fellows++] = all[i];
        }
    }
    return fellows;
}

/* Without rumors: these go to the same few, who would use up what all others should hear. */
static void swim_tell(struct swim *s, node_id id, const struct swim_message *m,
                      struct swim_update *u)
{
    uint32_t to = swim_index(s, id);

    if (to != SWIM_NOBODY && to != 0) {
        swim_text_begin(s);
        swim_text_put(s, m);
        swim_text_send_bare(s, SWIM_SEND_DATAGRAM, id, &s->members[to].at, 0, u);
        if (swim_streams_to(s, id)) {
            swim_text_stream(s, to, m->type == SWIM_PING || m->type == SWIM_LOOK, u);
        }
    }
}

/* Takes back: whoever counted it counts it no longer. */
static void swim_tally_drop(struct swim *s, uint32_t at, node_id by, struct swim_update *u)
{
    struct swim_suspicion *tally = NULL;

    if (s->members[at].place == 0) {
        return;
    }
    tally = &s->suspicions[s->members[at].place - 1];
    for (uint32_t i = 0; i < tally->n_accusers; i++) {
        if (tally->accusers[i] == by) {
            tally->n_accusers--;
            tally->accusers[i] = tally->accusers[tally->n_accusers];
            tally->said_at[i] = tally->said_at[tally->n_accusers];
            break;
        }
    }
    if (tally->n_accusers == 0 && tally->deadline == NANOS_FOREVER) {
        swim_acquit(s, at, u);
    }
}

/* How many must accuse. Observers who are under suspicion themselves are not waited for. */
static uint32_t swim_quorum(const struct swim *s, const struct swim_suspicion *tally)
{
    node_id all[SWIM_OBSERVERS_MAX];
    uint32_t n = swim_neighbours(s, s->members[tally->member].id, all);
    uint32_t waited_for = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = swim_index(s, all[i]);

        waited_for += at != SWIM_NOBODY && s->members[at].state == SWIM_ALIVE ? 1 : 0;
    }
    return (uint32_t)u64_max(2, (2 * waited_for + 2) / 3);
}

static void swim_tally_judge(struct swim *s, uint32_t at, struct swim_update *u)
{
    const struct swim_suspicion *tally = NULL;

    if (s->members[at].place == 0) {
        return;
    }
    tally = &s->suspicions[s->members[at].place - 1];
    if (tally->n_accusers >= swim_quorum(s, tally)) {
        swim_hear_dead(s, s->members[at].id, s->members[at].incarnation, s->config.self, u);
    }
}

static void swim_tally_add(struct swim *s, uint32_t at, node_id by, struct swim_update *u)
{
    struct swim_suspicion *tally = swim_accused(s, at, by, u);
    uint32_t place = 0;

    if (tally == NULL) {
        return;
    }
    while (place < tally->n_accusers && tally->accusers[place] != by) {
        place++;
    }
    if (place == SWIM_ACCUSERS_MAX) {
        return;
    }
    tally->n_accusers += place == tally->n_accusers ? 1 : 0;
    tally->accusers[place] = by;
    tally->said_at[place] = s->now;
    swim_tally_judge(s, at, u);
}

/* Accusations that were not repeated. What is suspected for another reason has its own deadline. */
static void swim_tallies_tick(struct swim *s, struct swim_update *u)
{
    for (size_t i = s->n_suspicions; i > 0; i--) {
        struct swim_suspicion *tally = i <= s->n_suspicions ? &s->suspicions[i - 1] : NULL;

        for (uint32_t k = tally == NULL ? 0 : tally->n_accusers; k > 0; k--) {
            if (tally->said_at[k - 1] + SWIM_ACCUSATION_SPAN <= s->now) {
                uint32_t last = --tally->n_accusers;

                tally->accusers[k - 1] = tally->accusers[last];
                tally->said_at[k - 1] = tally->said_at[last];
            }
        }
        if (tally != NULL && tally->n_accusers == 0 && tally->deadline == NANOS_FOREVER) {
            swim_acquit(s, tally->member, u);
        }
    }
}

static void swim_report_push(struct swim *s, node_id observer, const struct swim_message *m,
                             struct swim_update *u)
{
    struct swim_report *report = NULL;

    mem_grow((void **)&u->reports, &u->reports_cap, u->n_reports + 1, sizeof(*u->reports));
    report = &u->reports[u->n_reports++];
    *report = (struct swim_report){
        .observer = observer,
        .subject = m->id,
        .incarnation = m->incarnation,
        .down = (m->flags & SWIM_FLAG_TAKES_BACK) == 0,
        .age = (nanos)m->age_ms * NANOS_PER_MS,
    };
    report->n_observers = swim_neighbours(s, m->id, report->observers);
}

/* To the leader, which may be we. */
static void swim_report(struct swim *s, const struct swim_message *m, struct swim_update *u)
{
    if (s->leader == s->config.self) {
        swim_report_push(s, s->config.self, m, u);
    } else if (s->leader != NODE_NONE) {
        struct swim_message report = *m;

        report.type = SWIM_REPORT;
        swim_tell(s, s->leader, &report, u);
    }
}

/* Those who condemned it may be gone themselves before a leader has heard of it. Whoever is its
 * neighbour now, and has asked it in vain, says so in their place. */
void swim_watch_dead(struct swim *s, uint32_t at, struct swim_update *u)
{
    const struct swim_member *m = &s->members[at];
    struct swim_message report = {.type = SWIM_REPORT, .id = m->id, .incarnation = m->incarnation};
    node_id observers[SWIM_OBSERVERS_MAX];
    uint32_t n = 0;

    if (s->config.rings == 0 || s->leader == NODE_NONE || m->state != SWIM_DEAD ||
        s->now < m->since + 2 * s->config.heal_interval) {
        return;
    }
    n = swim_neighbours(s, m->id, observers);
    for (uint32_t i = 0; i < n; i++) {
        if (observers[i] == s->config.self) {
            swim_report(s, &report, u);
            return;
        }
    }
}

static void swim_accuse(struct swim *s, struct swim_edge *edge, bool takes_back,
                        struct swim_update *u)
{
    uint32_t at = swim_index(s, edge->peer);
    node_id fellows[SWIM_OBSERVERS_MAX];
    uint32_t n = swim_fellows(s, edge->peer, fellows);
    struct swim_message m = {
        .type = SWIM_ACCUSE,
        .id = edge->peer,
        .flags = takes_back ? SWIM_FLAG_TAKES_BACK : 0,
    };

    if (at == SWIM_NOBODY) {
        return;
    }
    m.incarnation = s->members[at].incarnation;
    for (uint32_t i = 0; i < n; i++) {
        swim_tell(s, fellows[i], &m, u);
    }
    if (takes_back) {
        swim_tally_drop(s, at, s->config.self, u);
        return;
    }
    edge->is_down = true;
    edge->bad_at = s->now;
    edge->report_at = s->now + SWIM_REPORT_INTERVAL;
    swim_report(s, &m, u);
    swim_tally_add(s, at, s->config.self, u);
}

/* --- Checks --------------------------------------------------------------------------------------
 */

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
    uint32_t heard = (uint32_t)__builtin_popcount(edge->fellows_heard);
    uint32_t fails = (uint32_t)u64_max(256 - came * went, swim_recent_loss(s));

    if (edge->stage != SWIM_EDGE_ASKING && edge->answer_pings > heard) {
        fails = (uint32_t)u64_max(fails, 256 - 256 * heard / edge->answer_pings);
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

static void swim_check_ask(struct swim *s, struct swim_edge *edge, bool by_echo,
                           struct swim_update *u)
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
           (edge->fellows_heard != 0 || edge->n_fellows <= SWIM_TOLD_ASKS);
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
static void swim_check_begin(struct swim *s, struct swim_edge *edge, bool was_told,
                             struct swim_update *u)
{
    if (swim_index(s, edge->peer) == SWIM_NOBODY) {
        return;
    }
    s->counters[SWIM_PROBES]++;
    edge->stage = SWIM_EDGE_CHECKING;
    edge->only_answer_counts = edge->only_answer_counts || was_told;
    edge->sequence = swim_next_sequence(s);
    edge->was_told = was_told;
    edge->pings = 0;
    edge->answer_pings = 0;
    edge->fellows_heard = 0;
    edge->deadline = s->now + swim_check_span(s, edge);
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

static void swim_check_judge(struct swim *s, struct swim_edge *edge, struct swim_update *u)
{
    uint32_t heard = (uint32_t)__builtin_popcount(edge->fellows_heard);
    bool is_alone = s->n_live <= 2;

    s->counters[SWIM_PROBES_FAILED]++;
    if (!is_alone && (edge->n_fellows == 0 || 2 * heard < edge->n_fellows)) {
        /* Those who should have answered us are silent, too. */
        swim_awareness_add(s, 1);
        edge->stage = SWIM_EDGE_QUIET;
        edge->due = s->now + SWIM_DOUBT_SPAN * (1 + s->awareness);
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
static void swim_check_end(struct swim *s, struct swim_edge *edge, struct swim_update *u)
{
    bool accused = edge->stage == SWIM_EDGE_ACCUSING;

    edge->answered_at = s->now;
    edge->stage = SWIM_EDGE_QUIET;
    edge->only_answer_counts = false;
    edge->due = u64_max(edge->due, swim_edge_due(s, edge, swim_beat_interval(s)));
    if (accused && s->n_live <= 2) {
        swim_acquit(s, swim_index(s, edge->peer), u);
    } else if (accused) {
        swim_accuse(s, edge, true, u);
    } else {
        swim_awareness_add(s, -1);
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
            if (edge->fellows[k] == id && (edge->fellows_heard >> k & 1) == 0) {
                edge->fellows_heard |= 1U << k;
                edge->answer_pings += edge->pings;
            }
        }
        return true;
    }
    return false;
}

/* How far beats are from when they were promised, smoothed [Jacobson88]. */
static void swim_edge_measure(struct swim *s, struct swim_edge *edge)
{
    nanos promised_at = edge->theirs_at + edge->promise_ms * NANOS_PER_MS;
    nanos off = s->now > promised_at ? s->now - promised_at : 0;
    int64_t off_us = (int64_t)(u64_min(off, NANOS_PER_S) / NANOS_PER_US);

    if (edge->theirs != 0) {
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

static bool swim_edge_is_lossy(const struct swim_edge *edge)
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
    swim_edge_reports(s, edge, u);
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

void swim_watch_tick(struct swim *s, struct swim_update *u)
{
    if (s->config.rings == 0) {
        return;
    }
    if (s->rings_at <= s->now) {
        swim_rings_draw(s);
    }
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
    for (size_t i = 0; i < s->n_suspicions; i++) {
        for (uint32_t k = 0; k < s->suspicions[i].n_accusers; k++) {
            due = u64_min(due, s->suspicions[i].said_at[k] + SWIM_ACCUSATION_SPAN);
        }
    }
    return due;
}

/* Whatever was due while we did not run was not missed by others. All get their time anew; and all
 * neighbours hear from us at once, before they finish judging us. */
void swim_watch_wake(struct swim *s, struct swim_update *u)
{
    for (uint32_t i = 0; i < s->n_edges; i++) {
        struct swim_edge *edge = &s->edges[i];

        edge->due = swim_edge_due(s, edge, swim_beat_interval(s));
        edge->stage = SWIM_EDGE_QUIET;
        edge->only_answer_counts = false;
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
