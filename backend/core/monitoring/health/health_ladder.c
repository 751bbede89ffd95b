/*
 * How all hosts are: what they tell of themselves and of each other, joined into causes, and each
 * host's ladder.
 */
#include "core/base/check.h"
#include "core/monitoring/health/health_host_int.h"
#include "core/monitoring/health/swim_int.h"

#include <string.h>

/* Hosts that have a part in what is seen badly, at most: more have one cause, and it is not theirs.
 */
#define INVOLVED_MAX 64

_Static_assert(INVOLVED_MAX *SWIM_OBSERVERS_MAX * 2 <= GRAY_REPORTS_MAX &&
                   INVOLVED_MAX * (SWIM_OBSERVERS_MAX + 1) <= GRAY_HOSTS_MAX + INVOLVED_MAX,
               "the map has room for all pairs of those involved");

/* A path that is bad is news once it has been one for so long. */
#define PATH_SPAN (6 * NANOS_PER_S)

struct involved {
    node_id ids[INVOLVED_MAX];
    uint32_t n;
};

static void involve(struct involved *all, node_id id)
{
    for (uint32_t i = 0; i < all->n; i++) {
        if (all->ids[i] == id) {
            return;
        }
    }
    if (all->n < INVOLVED_MAX) {
        all->ids[all->n++] = id;
    }
}

static bool member_lives(const struct swim_member *m)
{
    return m != NULL && (m->state == SWIM_ALIVE || m->state == SWIM_SUSPECT);
}

static void status_told_by(const struct swim_member *m, struct host_status *ret)
{
    host_status_decode((struct bytes){m->meta, m->meta_len}, ret);
}

/* Does it see that one badly? */
static bool told_badly(const struct host_status *status, node_id id, struct host_told_peer *ret)
{
    for (uint32_t i = 0; i < status->n_peers; i++) {
        if (status->peers[i].id == id) {
            *ret = status->peers[i];
            return true;
        }
    }
    return false;
}

/* --- Causes --------------------------------------------------------------------------------------
 */

/* One pair: how `observer` sees `subject`. INVOLVED_MAX hosts have fewer than the map has room for.
 */
static void join_pair(struct health_host *h, const struct host_status *status, node_id observer,
                      node_id subject)
{
    if (status->is_told) {
        struct host_told_peer told;
        bool is_bad = told_badly(status, subject, &told);

        CHECK(gray_map_add(&h->map, observer, subject, is_bad) == OK);
    }
}

static void join_pairs_of(struct health_host *h, const struct swim *s, node_id id)
{
    const struct swim_member *m = swim_find(s, id);
    node_id neighbours[SWIM_OBSERVERS_MAX];
    uint32_t n = swim_neighbours(s, id, neighbours);
    struct host_status own;

    status_told_by(m, &own);
    for (uint32_t i = 0; i < n; i++) {
        const struct swim_member *other = swim_find(s, neighbours[i]);
        struct host_status theirs;

        if (member_lives(other)) {
            status_told_by(other, &theirs);
            join_pair(h, &own, id, neighbours[i]);
            join_pair(h, &theirs, neighbours[i], id);
        }
    }
}

/* Which of them were there before? */
static void date_verdicts(struct health_host *h, const struct gray_verdict *before,
                          const nanos *before_at, uint32_t n)
{
    for (uint32_t i = 0; i < h->n_verdicts; i++) {
        const struct gray_verdict *v = &h->verdicts[i];

        h->verdict_at[i] = world_now(h->world);
        for (uint32_t k = 0; k < n; k++) {
            if (before[k].blame == v->blame && before[k].host == v->host &&
                before[k].other == v->other) {
                h->verdict_at[i] = before_at[k];
            }
        }
    }
}

static void join_causes(struct health_host *h, const struct swim *s)
{
    struct involved all = {.n = 0};
    struct gray_verdict before[HEALTH_VERDICTS_MAX];
    nanos before_at[HEALTH_VERDICTS_MAX];
    uint32_t n_before = h->n_verdicts;

    for (uint32_t i = 0; i < swim_count(s); i++) {
        const struct swim_member *m = &s->members[i];
        struct host_status status;

        if (!member_lives(m)) {
            continue;
        }
        status_told_by(m, &status);
        for (uint32_t k = 0; k < status.n_peers; k++) {
            if (member_lives(swim_find(s, status.peers[k].id))) {
                involve(&all, m->id);
                involve(&all, status.peers[k].id);
            }
        }
    }
    memcpy(before, h->verdicts, sizeof before);
    memcpy(before_at, h->verdict_at, sizeof before_at);
    h->n_verdicts = 0;
    if (all.n == 0) {
        return;
    }
    gray_map_init(&h->map);
    for (uint32_t i = 0; i < all.n; i++) {
        join_pairs_of(h, s, all.ids[i]);
    }
    h->n_verdicts = gray_map_join(&h->map, h->verdicts, HEALTH_VERDICTS_MAX);
    date_verdicts(h, before, before_at, n_before);
}

uint32_t health_host_verdicts(const struct health_host *h, const struct gray_verdict **ret)
{
    *ret = h->verdicts;
    return h->n_verdicts;
}

static const struct gray_verdict *verdict_on(const struct health_host *h, node_id id)
{
    for (uint32_t i = 0; i < h->n_verdicts; i++) {
        if (h->verdicts[i].host == id || h->verdicts[i].other == id) {
            return &h->verdicts[i];
        }
    }
    return NULL;
}

/* --- Ladders -------------------------------------------------------------------------------------
 */

/* The wall clock's second at which our clock showed `at`. */
static uint32_t wall_second_of(const struct health_host *h, nanos at)
{
    nanos ago = u64_sub_sat(world_now(h->world), at);

    return (uint32_t)u64_min(u64_sub_sat(world_wall(h->world), ago) / NANOS_PER_S, UINT32_MAX);
}

static void hear_opinions(const struct health_host *h, const struct swim *s,
                          struct health_ladder *l)
{
    node_id neighbours[SWIM_OBSERVERS_MAX];
    uint32_t n = swim_neighbours(s, l->id, neighbours);

    for (uint32_t i = 0; i < n; i++) {
        const struct swim_member *m = swim_find(s, neighbours[i]);
        struct host_status status;

        if (!member_lives(m)) {
            continue;
        }
        status_told_by(m, &status);
        if (status.is_told) {
            struct health_opinion *o = &l->opinions[l->n_opinions++];

            o->observer = m->id;
            o->is_bad = told_badly(&status, l->id, &o->told);
        }
    }
    const struct gray_verdict *verdict = verdict_on(h, l->id);

    if (verdict != NULL) {
        l->has_verdict = true;
        l->verdict = *verdict;
    }
}

static uint32_t earliest(uint32_t a, uint32_t b)
{
    return a == 0 ? b : b == 0 ? a : a < b ? a : b;
}

/* Since when somebody has seen it badly, or it others: the first. */
static uint32_t network_since(const struct health_ladder *l, const struct host_status *own)
{
    uint32_t since = 0;

    for (uint32_t i = 0; i < l->n_opinions; i++) {
        since = l->opinions[i].is_bad ? earliest(since, l->opinions[i].told.since) : since;
    }
    for (uint32_t i = 0; i < own->n_peers && since == 0; i++) {
        since = earliest(since, own->peers[i].since);
    }
    return since;
}

static struct host_told_rung network_rung(const struct health_host *h, const struct swim_member *m,
                                          const struct health_ladder *l,
                                          const struct host_status *own)
{
    struct host_told_rung r = {.since = wall_second_of(h, m->since), .asked = l->n_opinions};

    switch ((enum swim_state)m->state) {
    case SWIM_DEAD:
        r.state = RUNG_BROKEN;
        break;
    case SWIM_SUSPECT:
        r.state = RUNG_DEGRADED;
        break;
    case SWIM_ALIVE:
        r.state = RUNG_WELL;
        break;
    case SWIM_LEFT:
    case SWIM_STATES:
        break;
    }
    if (m->state == SWIM_ALIVE && l->has_verdict) {
        r.state = RUNG_DEGRADED;
        r.since = network_since(l, own);
        r.bad = l->verdict.bad;
        r.asked = l->verdict.pairs;
    }
    return r;
}

static void score_ladder(struct health_ladder *l)
{
    struct host_view view = {0};

    for (enum rung i = 0; i < RUNGS; i++) {
        view.rungs[i] = (struct rung_view){
            .state = l->rungs[i].state,
            .since = (nanos)l->rungs[i].since * NANOS_PER_S,
            .bad = l->rungs[i].bad,
            .asked = l->rungs[i].asked,
        };
    }
    l->score = host_score_of(&view);
}

static void climb_ladder(const struct health_host *h, const struct swim *s,
                         const struct swim_member *m, struct health_ladder *l)
{
    struct host_status status;

    memset(l, 0, sizeof *l);
    status_told_by(m, &status);
    l->id = m->id;
    l->state = (enum swim_state)m->state;
    l->is_told = status.is_told;
    memcpy(l->name, status.name, sizeof l->name);
    if (member_lives(m)) {
        memcpy(l->rungs, status.rungs, sizeof l->rungs);
        hear_opinions(h, s, l);
    }
    l->rungs[RUNG_NETWORK] = network_rung(h, m, l, &status);
    score_ladder(l);
}

bool health_host_ladder(const struct health_host *h, node_id id, struct health_ladder *ret)
{
    const struct swim *s = health_agent_swim(h->agent);
    const struct swim_member *m = swim_find(s, id);

    if (m != NULL) {
        climb_ladder(h, s, m, ret);
    }
    return m != NULL;
}

/* --- News ----------------------------------------------------------------------------------------
 */

static struct health_trouble *trouble_of(struct health_host *h, node_id id)
{
    for (uint32_t i = 0; i < h->n_troubled; i++) {
        if (h->troubled[i].id == id) {
            return &h->troubled[i];
        }
    }
    return NULL;
}

/* A host that becomes bad is seen by one of its observers first, and looks like a path until the
 * others have seen it, too. The far end of that path is not to be told of for nothing. */
static bool may_be_a_host(const struct health_host *h, const struct health_ladder *l)
{
    const struct gray_verdict *v = verdict_on(h, l->id);

    return v != NULL && v->blame == GRAY_BLAME_PATH && l->score.reason_count == 1 &&
           l->score.reasons[0].rung == RUNG_NETWORK &&
           world_now(h->world) < h->verdict_at[v - h->verdicts] + PATH_SPAN;
}

static bool is_trouble(enum host_condition condition)
{
    return condition == HOST_DEGRADED || condition == HOST_FAILING;
}

/* Who is not well is kept; one too many is told when there is room. */
static void note_condition(struct health_host *h, const struct health_ladder *l)
{
    struct health_trouble *t = trouble_of(h, l->id);
    struct health_host_news news = {.id = l->id, .is = l->score.condition, .ladder = l};

    news.was = t != NULL ? t->condition : HOST_HEALTHY;
    if (is_trouble(news.is) && t == NULL) {
        if (h->n_troubled == HEALTH_TROUBLED_MAX) {
            return;
        }
        t = &h->troubled[h->n_troubled++];
        t->id = l->id;
    } else if (!is_trouble(news.is) && t != NULL) {
        *t = h->troubled[--h->n_troubled];
        t = NULL;
    }
    if (t != NULL) {
        t->condition = news.is;
    }
    if ((is_trouble(news.is) || is_trouble(news.was)) && news.is != news.was &&
        h->events.condition != NULL) {
        h->events.condition(h->events.ctx, &news);
    }
}

/* Who died, or went, is membership's news. */
static void forget_dead(struct health_host *h, const struct swim *s)
{
    for (uint32_t i = h->n_troubled; i > 0; i--) {
        if (!member_lives(swim_find(s, h->troubled[i - 1].id))) {
            h->troubled[i - 1] = h->troubled[--h->n_troubled];
        }
    }
}

void health_ladders_judge(struct health_host *h)
{
    const struct swim *s = health_agent_swim(h->agent);
    struct health_ladder ladder;

    join_causes(h, s);
    forget_dead(h, s);
    for (uint32_t i = 0; i < swim_count(s); i++) {
        struct host_status status;
        bool may_be_bad = false;

        /* Suspicion comes and goes, and is told by membership. */
        if (s->members[i].state != SWIM_ALIVE) {
            continue;
        }
        status_told_by(&s->members[i], &status);
        for (enum rung k = 0; k < RUNGS; k++) {
            may_be_bad |= status.rungs[k].state > RUNG_WELL;
        }
        if (may_be_bad || verdict_on(h, s->members[i].id) != NULL ||
            trouble_of(h, s->members[i].id) != NULL) {
            climb_ladder(h, s, &s->members[i], &ladder);
            if (!may_be_a_host(h, &ladder)) {
                note_condition(h, &ladder);
            }
        }
    }
}

uint32_t health_host_troubled(const struct health_host *h, uint32_t *failing)
{
    *failing = 0;
    for (uint32_t i = 0; i < h->n_troubled; i++) {
        *failing += h->troubled[i].condition == HOST_FAILING ? 1 : 0;
    }
    return h->n_troubled;
}
