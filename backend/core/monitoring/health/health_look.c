#include "core/monitoring/health/health_look.h"

#include "core/base/check.h"
#include "core/base/cursor.h"
#include "core/base/mem.h"

#include <string.h>

/* The first byte of a note. */
enum { LOOK_ASK = 1, LOOK_TELL = 2 };

/* From one question to the next: to whom there is something to find out; in a small cluster; and in
 * a large one to all neighbours together. */
#define LOOK_CLOSELY (200 * NANOS_PER_MS)
#define LOOK_SMALL   (500 * NANOS_PER_MS)
#define LOOK_LARGE   (2 * NANOS_PER_S)

/* Less than this is nobody's patience, and no round trip is slow below that: a busy host's
 * scheduler takes as long. */
#define LOOK_PATIENCE_MIN (300 * NANOS_PER_MS)
#define LOOK_PATIENCE_MAX (2 * NANOS_PER_S)
#define LOOK_SLOW_MIN     (50 * NANOS_PER_MS)

/* A neighbour that has woken answers what waited for it within this. */
#define LOOK_GRACE (300 * NANOS_PER_MS)

/* A question that nothing was heard after for so long says nothing. */
#define LOOK_FORGET (5 * NANOS_PER_S)

/* How often it is looked whether anything was heard after questions that are overdue. */
#define LOOK_OVERDUE (100 * NANOS_PER_MS)

/* A number of a beat that is further ahead is no sign of so many losses. */
#define LOOK_BEATS_MAX 16

#define LOOK_COMPARE NANOS_PER_S

/* A wall clock that gains or loses so much between two turns was set. */
#define LOOK_WALL_JUMP (100 * NANOS_PER_MS)

_Static_assert(HEALTH_LOOK_FLIGHTS_MAX *LOOK_CLOSELY > LOOK_PATIENCE_MAX + LOOK_GRACE,
               "questions go on while those before them wait");
_Static_assert(HEALTH_LOOK_NOTE_BYTES <= SWIM_NOTE_MAX_BYTES, "a note has room");

void health_look_init(struct health_look *look, nanos now)
{
    struct clock_config clock = clock_config_of();

    memset(look, 0, sizeof *look);
    clock_probe_init(&look->clock, &clock);
    look->compare_at = now + LOOK_COMPARE;
    look->turn_at = now;
}

const struct health_look_peer *health_look_find(const struct health_look *look, node_id peer)
{
    for (uint32_t i = 0; i < look->count; i++) {
        if (look->peers[i].peer == peer) {
            return &look->peers[i];
        }
    }
    return NULL;
}

static struct health_look_peer *look_peer_of(struct health_look *look, node_id peer)
{
    const struct health_look_peer *found = health_look_find(look, peer);

    return found != NULL ? &look->peers[found - look->peers] : NULL;
}

/* --- Whom we look at -----------------------------------------------------------------------------
 */

static void look_begin(struct health_look_peer *p, node_id peer, uint64_t instance, nanos now)
{
    struct gray_config gray = gray_config_of(LOOK_SLOW_MIN);
    struct rtt_config rtt = rtt_config_of(LOOK_PATIENCE_MIN);

    rtt.initial = NANOS_PER_S;
    rtt.max = LOOK_PATIENCE_MAX;
    memset(p, 0, sizeof *p);
    p->peer = peer;
    p->instance = instance;
    p->ask_at = now;
    gray_init(&p->signal, &gray, now);
    rtt_init(&p->rtt, &rtt);
}

/* Neighbours that came, went, or began anew. */
static void look_follow_rings(struct health_look *look, const struct swim *s, nanos now)
{
    for (uint32_t i = look->count; i > 0; i--) {
        if (swim_edge_of(s, look->peers[i - 1].peer) == NULL) {
            clock_probe_forget(&look->clock, look->peers[i - 1].peer);
            look->peers[i - 1] = look->peers[--look->count];
        }
    }
    for (uint32_t i = 0; i < s->n_edges; i++) {
        node_id id = s->edges[i].peer;
        const struct swim_member *m = swim_find(s, id);
        struct health_look_peer *p = look_peer_of(look, id);
        uint64_t instance = m != NULL ? swim_instance_of(m->incarnation) : 0;

        if (p == NULL && look->count < COUNT_OF(look->peers)) {
            look_begin(&look->peers[look->count++], id, instance, now);
        } else if (p != NULL && p->instance != instance) {
            look_begin(p, id, instance, now);
        }
    }
}

/* --- Evidence ------------------------------------------------------------------------------------
 */

static bool look_suspects(const struct health_look_peer *p)
{
    return p->signal.answers < GRAY_PAST_MIN || gray_is_degraded(&p->signal) ||
           p->signal.evidence[GRAY_LOSS].bad > 0 || p->signal.evidence[GRAY_SLOW].bad > 0;
}

/* Beats are numbered: what has not come of those since the last turn was lost on the way. */
static void look_take_beats(struct health_look_peer *p, const struct swim_edge *edge, nanos now)
{
    uint32_t ahead = edge->theirs - p->beat;
    bool was_deaf = p->was_deaf;

    p->was_deaf = was_deaf && ahead == 0;
    if (!was_deaf && p->beat != 0 && edge->theirs > p->beat && ahead <= LOOK_BEATS_MAX) {
        for (uint32_t i = ahead; i > 0; i--) {
            if ((edge->history >> (i - 1) & 1) != 0) {
                gray_came(&p->signal, now);
            } else {
                gray_lost(&p->signal, now);
            }
        }
    }
    p->beat = edge->theirs;
}

/* Overdue questions: lost, where the neighbour lives and had time to answer; or of no meaning. */
static void look_settle(struct health_look *look, struct health_look_peer *p,
                        const struct swim_edge *edge, nanos now)
{
    for (uint32_t i = 0; i < HEALTH_LOOK_FLIGHTS_MAX; i++) {
        struct health_look_flight *f = &p->flights[i];

        if (f->sequence == 0 || now < f->patience) {
            continue;
        }
        if (f->alive_at == 0 && edge->heard_at >= f->patience) {
            f->alive_at = edge->heard_at;
        }
        if (f->alive_at != 0 && now >= f->alive_at + LOOK_GRACE) {
            f->sequence = 0;
            look->lost++;
            rtt_timed_out(&p->rtt);
            gray_lost(&p->signal, now);
        } else if (now >= f->asked + LOOK_FORGET) {
            f->sequence = 0;
        }
    }
}

static void look_note_since(struct health_look_peer *p, nanos wall)
{
    if (!gray_is_degraded(&p->signal)) {
        p->since = 0;
    } else if (p->since == 0) {
        p->since = (uint32_t)u64_min(u64_max(wall / NANOS_PER_S, 1), UINT32_MAX);
    }
}

static void look_compare(struct health_look *look)
{
    struct gray_signal *signals[SWIM_OBSERVERS_MAX];

    for (uint32_t i = 0; i < look->count; i++) {
        signals[i] = &look->peers[i].signal;
    }
    gray_compare(signals, look->count);
}

/* --- Questions -----------------------------------------------------------------------------------
 */

static void look_ask(struct health_look *look, struct health_look_peer *p,
                     struct health_agent *agent, nanos now, nanos wall)
{
    struct health_look_flight *f = &p->flights[p->next_flight % HEALTH_LOOK_FLIGHTS_MAX];
    node_id to = p->peer;
    struct buf b;

    if (f->sequence != 0) {
        return; /* all are under way */
    }
    p->next_flight++;
    p->sequence += p->sequence == UINT32_MAX ? 2 : 1;
    *f = (struct health_look_flight){.sequence = p->sequence,
                                     .asked = now,
                                     .asked_wall = wall,
                                     .patience = now + rtt_timeout(&p->rtt)};
    look->asked++;
    buf_init(&b);
    buf_put_u8(&b, LOOK_ASK);
    buf_put_varint(&b, f->sequence);
    health_agent_note(agent, to, buf_view(&b));
    buf_deinit(&b);
}

/* When the next question is due to somebody whom none was asked now. */
static void look_schedule(struct health_look *look, const struct swim *s, nanos now)
{
    bool is_small = s->n_live <= SWIM_SMALL_CLUSTER;

    if (look->turn_at <= now) {
        look->turn_at = now + LOOK_LARGE;
        look->turn++;
        if (!is_small && look->count > 0) {
            look->peers[look->turn % look->count].ask_at = now;
        }
    }
    for (uint32_t i = 0; i < look->count; i++) {
        struct health_look_peer *p = &look->peers[i];
        nanos span = look_suspects(p) ? LOOK_CLOSELY : is_small ? LOOK_SMALL : NANOS_FOREVER;

        p->ask_at = u64_min(p->ask_at, u64_add_sat(now, span));
    }
}

/* Our own clock was set: answers were compared with one that is no more. */
static void look_watch_wall(struct health_look *look, nanos now, nanos wall)
{
    nanos passed = now - look->turned;
    nanos passed_wall = wall - look->turned_wall;
    nanos apart = passed > passed_wall ? passed - passed_wall : passed_wall - passed;

    if (wall < look->turned_wall || apart > LOOK_WALL_JUMP) {
        clock_probe_forget(&look->clock, NODE_NONE);
    }
    look->turned = now;
    look->turned_wall = wall;
}

void health_look_turn(struct health_look *look, struct health_agent *agent, nanos now, nanos wall)
{
    const struct swim *s = health_agent_swim(agent);

    look_watch_wall(look, now, wall);
    look_follow_rings(look, s, now);
    look_schedule(look, s, now);
    for (uint32_t i = 0; i < look->count; i++) {
        struct health_look_peer *p = &look->peers[i];
        const struct swim_edge *edge = swim_edge_of(s, p->peer);

        CHECK(edge != NULL);
        look_take_beats(p, edge, now);
        look_settle(look, p, edge, now);
        look_note_since(p, wall);
    }
    if (look->compare_at <= now) {
        look->compare_at = now + LOOK_COMPARE;
        look_compare(look);
        /* Our own clock is one opinion among the others. */
        clock_probe_take(&look->clock, s->config.self, wall, wall, wall, now);
    }
    for (uint32_t i = 0; i < look->count; i++) {
        if (look->peers[i].ask_at <= now) {
            look->peers[i].ask_at = NANOS_FOREVER;
            look_ask(look, &look->peers[i], agent, now, wall);
        }
    }
    look_schedule(look, s, now);
}

static void look_answer(struct health_agent *agent, node_id to, uint64_t sequence, nanos wall)
{
    struct buf b;

    buf_init(&b);
    buf_put_u8(&b, LOOK_TELL);
    buf_put_varint(&b, sequence);
    buf_put_u64(&b, wall);
    health_agent_note(agent, to, buf_view(&b));
    buf_deinit(&b);
}

static void look_take_answer(struct health_look *look, struct health_look_peer *p,
                             uint64_t sequence, nanos theirs, nanos now, nanos wall)
{
    for (uint32_t i = 0; i < HEALTH_LOOK_FLIGHTS_MAX; i++) {
        struct health_look_flight *f = &p->flights[i];

        if (f->sequence != 0 && f->sequence == sequence) {
            f->sequence = 0;
            rtt_sample(&p->rtt, now - f->asked, 1);
            gray_answered(&p->signal, now - f->asked, now);
            clock_probe_take(&look->clock, p->peer, f->asked_wall, wall, theirs, now);
            return;
        }
    }
}

void health_look_hear(struct health_look *look, struct health_agent *agent, node_id from,
                      struct bytes note, nanos now, nanos wall)
{
    struct health_look_peer *p = look_peer_of(look, from);
    struct cursor c;
    uint8_t kind = 0;
    uint64_t sequence = 0;
    nanos theirs = 0;

    cursor_init(&c, note);
    kind = cursor_u8(&c);
    sequence = cursor_varint(&c);
    theirs = kind == LOOK_TELL ? cursor_u64(&c) : 0;
    if (!cursor_done(&c) || sequence == 0 || sequence > UINT32_MAX) {
        return;
    }
    if (kind == LOOK_ASK) {
        look_answer(agent, from, sequence, wall);
    } else if (kind == LOOK_TELL && p != NULL) {
        look_take_answer(look, p, sequence, theirs, now, wall);
    }
}

void health_look_woke(struct health_look *look)
{
    for (uint32_t i = 0; i < look->count; i++) {
        memset(look->peers[i].flights, 0, sizeof look->peers[i].flights);
        look->peers[i].was_deaf = true;
    }
}

nanos health_look_due(const struct health_look *look, nanos now)
{
    nanos due = u64_min(look->compare_at, look->turn_at);

    for (uint32_t i = 0; i < look->count; i++) {
        const struct health_look_peer *p = &look->peers[i];

        due = u64_min(due, p->ask_at);
        for (uint32_t k = 0; k < HEALTH_LOOK_FLIGHTS_MAX; k++) {
            const struct health_look_flight *f = &p->flights[k];

            if (f->sequence != 0) {
                due = u64_min(due, u64_max(f->patience, now + LOOK_OVERDUE));
            }
        }
    }
    return due;
}

/* --- What is told --------------------------------------------------------------------------------
 */

static struct host_told_peer look_describe(const struct health_look_peer *p)
{
    const struct gray_evidence *loss = &p->signal.evidence[GRAY_LOSS];
    double slower = p->signal.evidence[GRAY_SLOW].worst_ratio;
    struct host_told_peer told = {.id = p->peer, .since = p->since};

    for (int i = 0; i < GRAY_SYMPTOMS; i++) {
        told.symptoms |= (uint8_t)(p->signal.is_degraded[i] ? 1U << i : 0);
    }
    if (p->signal.is_degraded[GRAY_LOSS] && loss->requests > 0) {
        told.loss_percent = (uint8_t)(loss->bad * 100 / loss->requests);
    }
    if (p->signal.is_degraded[GRAY_SLOW]) {
        told.slower = (uint8_t)(slower < UINT8_MAX ? slower : UINT8_MAX);
    }
    return told;
}

uint32_t health_look_tell(const struct health_look *look,
                          struct host_told_peer ret[HOST_STATUS_PEERS_MAX])
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < look->count; i++) {
        const struct health_look_peer *p = &look->peers[i];
        uint32_t place = n < HOST_STATUS_PEERS_MAX ? n : HOST_STATUS_PEERS_MAX;

        if (p->since == 0) {
            continue;
        }
        while (place > 0 && (ret[place - 1].since > p->since ||
                             (ret[place - 1].since == p->since && ret[place - 1].id > p->peer))) {
            if (place < HOST_STATUS_PEERS_MAX) {
                ret[place] = ret[place - 1];
            }
            place--;
        }
        if (place < HOST_STATUS_PEERS_MAX) {
            ret[place] = look_describe(p);
            n += n < HOST_STATUS_PEERS_MAX ? 1 : 0;
        }
    }
    return n;
}

void health_look_check(const struct health_look *look)
{
    CHECK(look->count <= COUNT_OF(look->peers));
    for (uint32_t i = 0; i < look->count; i++) {
        gray_check(&look->peers[i].signal);
        rtt_check(&look->peers[i].rtt);
        CHECK(health_look_find(look, look->peers[i].peer) == &look->peers[i]);
    }
}
