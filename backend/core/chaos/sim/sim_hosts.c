/*
 * Hosts that watch each other: what must hold of cuts while faults go on, and of everybody's view
 * once they are over.
 *
 *     I40  nobody is lost on the word of one observer, except of two hosts the other one;
 *          and once the faults are over, nobody who is up
 *     I41  once they are over, all who are up know all who are up to be alive, and within a bound
 *          no leader has a host in its view that is down, while a majority of the hosts is up
 */
#include "core/base/say.h"
#include "core/chaos/sim/sim_int.h"

/* Halves ask each other every ten seconds, seeds are asked every thirty. */
#define HOSTS_SETTLE_BOUND (120 * NANOS_PER_S)
#define HOSTS_LOOK_EVERY   NANOS_PER_S

/* Longer than a report of a host that is alive counts, and than it is waited for others. */
#define HOSTS_REPORTS_SPAN (30 * NANOS_PER_S)

/* Then nothing more may happen. */
#define HOSTS_CALM_SPAN (30 * NANOS_PER_S)

void sim_hosts_cut(void *ctx, struct simmember *m, const struct cut_change *change)
{
    struct sim *s = ctx;
    struct buf *line = sim_line(s);
    const struct simmember *of = &s->cluster.member[change->id - 1];

    if (line != NULL) {
        static const char *const texts[] = {"lost", "back", "gray", "not gray"};
        say(line, m->name);
        say(line, " finds ");
        say(line, of->name);
        say(line, " ");
        say(line, texts[change->kind]);
        sim_line_end(s);
    }
    if (change->kind != CUT_LOST) {
        return;
    }
    s->lost_alive += of->state == MEMBER_UP ? 1 : 0;
    if (change->reports < 2 && (change->observers != 1 || health_agent_cut(m->agent)->n_in != 1)) {
        sim_fail(s, SIM_UNSAFE, "I40", "a host was lost on the word of one observer");
    }
}

/* How many hosts are up, and how many were ever up. */
static uint32_t hosts_up(const struct sim *s, uint32_t *ever)
{
    uint32_t up = 0;

    *ever = 0;
    for (uint32_t i = 0; i < s->cluster.n; i++) {
        up += s->cluster.member[i].state == MEMBER_UP ? 1 : 0;
        *ever += s->cluster.member[i].life > 0 ? 1 : 0;
    }
    return up;
}

static bool hosts_agree(const struct sim *s, const struct simmember *m, bool judges_down)
{
    const struct swim *swim = health_agent_swim(m->agent);
    const struct cut *cut = health_agent_cut(m->agent);

    for (uint32_t i = 0; i < s->cluster.n; i++) {
        const struct simmember *of = &s->cluster.member[i];
        const struct swim_member *seen = swim_find(swim, of->id);
        const struct cut_member *counted = cut != NULL ? cut_find(cut, of->id) : NULL;
        bool lives = seen != NULL && seen->state == SWIM_ALIVE;

        if (of->life == 0) {
            continue;
        }
        if (of->state == MEMBER_UP && !lives) {
            return false;
        }
        if (of->state != MEMBER_UP && judges_down &&
            (lives || (counted != NULL && counted->is_in && !cut->is_braked))) {
            return false;
        }
    }
    return true;
}

static const char *why_hosts_differ(const struct sim *s)
{
    uint32_t ever = 0;
    uint32_t up = hosts_up(s, &ever);

    for (uint32_t i = 0; i < s->cluster.n; i++) {
        const struct simmember *m = &s->cluster.member[i];

        if (m->state == MEMBER_UP && !hosts_agree(s, m, up >= 3 && 2 * up > ever)) {
            return m->name;
        }
    }
    return NULL;
}

void sim_hosts_settle(struct sim *s)
{
    nanos bound = simworld_now(s->world) + HOSTS_SETTLE_BOUND;
    const char *who = why_hosts_differ(s);
    uint32_t lost = 0;

    while (!s->is_over && who != NULL && simworld_now(s->world) < bound) {
        sim_pass(s, simworld_now(s->world) + HOSTS_LOOK_EVERY);
        who = why_hosts_differ(s);
    }
    if (!s->is_over && who != NULL) {
        sim_fail(s, SIM_STUCK, "I41",
                 "a host has a wrong view of who is up, long after the faults");
    }
    /* What was reported while faults went on may count until here. */
    if (!s->is_over) {
        sim_pass(s, simworld_now(s->world) + HOSTS_REPORTS_SPAN);
    }
    lost = s->lost_alive;
    if (!s->is_over) {
        sim_pass(s, simworld_now(s->world) + HOSTS_CALM_SPAN);
    }
    if (!s->is_over && s->lost_alive != lost) {
        sim_fail(s, SIM_UNSAFE, "I40", "a host that is up was lost, long after the faults");
    }
}
