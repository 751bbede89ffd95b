/*
 * What observers say of whom they observe: to each other, where it is counted until it makes a
 * verdict, and to the leader. swim_watch.c has the whole picture.
 */
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/monitoring/health/swim_int.h"

/* An accusation that is not said again counts no longer. */
#define SWIM_ACCUSATION_SPAN (3 * NANOS_PER_S)

uint32_t swim_fellows(const struct swim *s, node_id subject, node_id ret[SWIM_OBSERVERS_MAX])
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
void swim_tell(struct swim *s, node_id id, const struct swim_message *m, struct swim_update *u)
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
void swim_tally_drop(struct swim *s, uint32_t at, node_id by, struct swim_update *u)
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

void swim_tally_add(struct swim *s, uint32_t at, node_id by, struct swim_update *u)
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
void swim_tallies_tick(struct swim *s, struct swim_update *u)
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

nanos swim_tallies_due(const struct swim *s)
{
    nanos due = NANOS_FOREVER;

    for (size_t i = 0; i < s->n_suspicions; i++) {
        for (uint32_t k = 0; k < s->suspicions[i].n_accusers; k++) {
            due = u64_min(due, s->suspicions[i].said_at[k] + SWIM_ACCUSATION_SPAN);
        }
    }
    return due;
}

void swim_report_push(struct swim *s, node_id observer, const struct swim_message *m,
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
void swim_report(struct swim *s, const struct swim_message *m, struct swim_update *u)
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

void swim_take_back(struct swim *s, struct swim_edge *edge, struct swim_update *u)
{
    struct swim_message m = {.type = SWIM_REPORT, .id = edge->peer, .flags = SWIM_FLAG_TAKES_BACK};
    uint32_t at = swim_index(s, edge->peer);

    if (at != SWIM_NOBODY && swim_takes_back_at_once(s) && !swim_edge_is_lossy(edge)) {
        edge->is_down = false;
        m.incarnation = s->members[at].incarnation;
        swim_report(s, &m, u);
    }
}

void swim_accuse(struct swim *s, struct swim_edge *edge, bool takes_back, struct swim_update *u)
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
        swim_take_back(s, edge, u);
        return;
    }
    edge->is_down = true;
    edge->bad_at = s->now;
    edge->report_at = s->now + SWIM_REPORT_INTERVAL;
    swim_report(s, &m, u);
    swim_tally_add(s, at, s->config.self, u);
}
