/*
 * Hosts that watch each other: what must hold of cuts while faults go on, and of everybody's view
 * once they are over.
 *
 *     I40  nobody is lost on the word of one observer, except of two hosts the other one;
 *          and once the faults are over, nobody who is up
 *     I41  once they are over, all who are up know all who are up to be alive, and within a bound
 *          no leader has a host in its view that is down, while a majority of the hosts is up
 *     I42  once they are over, nobody tells for long of anything that is wrong; and what then
 *          becomes wrong with one host is told by all as what it is, and by nobody as a death
 */
#include "core/base/say.h"
#include "core/chaos/sim/sim_int.h"

/* Halves ask each other every ten seconds. Where both were started anew while they were apart, only
 * the seeds that they do not know to live are left, one each half a minute: all of them in a round,
 * that is as many as there are hosts. */
#define HOSTS_SETTLE_BOUND (120 * NANOS_PER_S)
#define HOSTS_SEED_EVERY   (30 * NANOS_PER_S)
#define HOSTS_LOOK_EVERY   NANOS_PER_S

/* Longer than a report of a host that is alive counts, and than it is waited for others. */
#define HOSTS_REPORTS_SPAN (30 * NANOS_PER_S)

/* After heavy loss it takes this long until a path is believed (gray.h); and what becomes wrong is
 * told within this. */
#define HOSTS_WELL_BOUND (400 * NANOS_PER_S)
#define HOSTS_TELL_BOUND (30 * NANOS_PER_S)

/* A path is compared with the others, and what these have lost of late is remembered for minutes:
 * where it was more than this, a quarter is not much yet. */
#define HOSTS_LOSS_OF_OTHERS 0.05

/* What is done to one host: far above what is slow, and far below what is dead. */
#define TROUBLE_SYNC     (300 * NANOS_PER_MS)
#define TROUBLE_WALL     (30 * NANOS_PER_S)
#define TROUBLE_LOSS_PPM 250000

/* Then nothing more may happen. */
#define HOSTS_CALM_SPAN (30 * NANOS_PER_S)

void sim_hosts_cut(void *ctx, struct simmember *m, const struct cut_change *change)
{
    struct sim *s = ctx;
    struct buf *line = sim_line(s);
    const struct simmember *of = simcluster_find(&s->cluster, change->id);

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
    if (change->reports < 2 &&
        (change->observers != 1 || health_agent_cut(health_host_agent(m->health))->n_in != 1)) {
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
    const struct health_agent *agent = health_host_agent(m->health);
    const struct swim *swim = health_agent_swim(agent);
    const struct cut *cut = health_agent_cut(agent);

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

/* --- Trouble that is no death --------------------------------------------------------------------
 */

/* How all who are up tell a rung of one: the best and the worst of what they say. */
static void hosts_hear(const struct sim *s, const struct simmember *of, enum rung rung,
                       enum rung_state *best, enum rung_state *worst)
{
    *best = RUNG_BROKEN;
    *worst = RUNG_UNKNOWN;
    for (uint32_t i = 0; i < s->cluster.n; i++) {
        const struct simmember *m = &s->cluster.member[i];
        struct health_ladder l;

        if (m->state == MEMBER_UP && health_host_ladder(m->health, of->id, &l)) {
            *best = l.rungs[rung].state < *best ? l.rungs[rung].state : *best;
            *worst = l.rungs[rung].state > *worst ? l.rungs[rung].state : *worst;
        }
    }
}

/* Whom somebody tells to be anything but well; NULL: nobody. */
static const char *why_hosts_troubled(const struct sim *s)
{
    for (uint32_t i = 0; i < s->cluster.n; i++) {
        const struct simmember *m = &s->cluster.member[i];

        for (enum rung rung = 0; rung < RUNGS && m->state == MEMBER_UP; rung++) {
            enum rung_state best = RUNG_UNKNOWN;
            enum rung_state worst = RUNG_UNKNOWN;

            hosts_hear(s, m, rung, &best, &worst);
            if (worst > RUNG_WELL) {
                return m->name;
            }
        }
    }
    return NULL;
}

static void hosts_until_well(struct sim *s)
{
    nanos bound = simworld_now(s->world) + HOSTS_WELL_BOUND;

    while (!s->is_over && why_hosts_troubled(s) != NULL) {
        if (simworld_now(s->world) >= bound) {
            sim_fail(s, SIM_STUCK, "I42", "a host is told to be degraded, long after the faults");
            return;
        }
        sim_pass(s, simworld_now(s->world) + HOSTS_LOOK_EVERY);
    }
}

static void hosts_lose(struct sim *s, const struct simmember *m, uint32_t ppm)
{
    for (uint32_t i = 0; i < s->cluster.n; i++) {
        const struct simmember *to = &s->cluster.member[i];

        if (to != m) {
            struct simnet_link link = simnet_link_get(m->host, to->host);

            link.loss_ppm = ppm;
            simnet_link_set(m->host, to->host, &link);
        }
    }
}

static void hosts_make_trouble(struct sim *s, const struct simmember *m, enum rung rung,
                               bool begins)
{
    if (rung == RUNG_STORAGE) {
        simhost_slow(m->host, 0, begins ? TROUBLE_SYNC : 0);
    } else if (rung == RUNG_CLOCK) {
        simhost_set_wall(m->host, begins ? (int64_t)TROUBLE_WALL : 0);
    } else {
        hosts_lose(s, m, begins ? TROUBLE_LOSS_PPM : 0);
    }
}

/* Has everybody lost so much of late that one that loses does not stand out? */
static bool hosts_remember_loss(const struct sim *s)
{
    for (uint32_t i = 0; i < s->cluster.n; i++) {
        const struct simmember *m = &s->cluster.member[i];
        const struct health_look *look = m->state == MEMBER_UP ? health_host_look(m->health) : NULL;

        for (uint32_t k = 0; look != NULL && k < look->count; k++) {
            if (look->peers[k].signal.others.shares[GRAY_LOSS] > HOSTS_LOSS_OF_OTHERS) {
                return true;
            }
        }
    }
    return false;
}

/* All is well. Then something becomes wrong with one host, and then it is well again. */
static void hosts_trouble_one(struct sim *s)
{
    static const enum rung rungs[] = {RUNG_STORAGE, RUNG_CLOCK, RUNG_NETWORK};
    struct prng p = prng_fork(&s->root, SIM_STREAM_TROUBLE);
    enum rung rung = rungs[prng_below(&p, COUNT_OF(rungs))];
    const struct simmember *m = &s->cluster.member[prng_below(&p, s->cluster.n)];
    enum rung_state best = RUNG_UNKNOWN;
    enum rung_state worst = RUNG_UNKNOWN;
    uint32_t lost = s->lost_alive;
    uint32_t ever = 0;

    hosts_until_well(s);
    /* Where two differ nobody knows which one is right; and of two paths there is one. */
    if (s->is_over || m->state != MEMBER_UP || hosts_up(s, &ever) < 3) {
        return;
    }
    const bool is_patient = rung == RUNG_NETWORK && hosts_remember_loss(s);
    hosts_make_trouble(s, m, rung, true);
    nanos bound = simworld_now(s->world) + (is_patient ? HOSTS_WELL_BOUND : HOSTS_TELL_BOUND);

    while (!s->is_over && best < RUNG_DEGRADED && simworld_now(s->world) < bound) {
        sim_pass(s, simworld_now(s->world) + HOSTS_LOOK_EVERY);
        hosts_hear(s, m, rung, &best, &worst);
    }
    if (!s->is_over && best < RUNG_DEGRADED) {
        sim_fail(s, SIM_STUCK, "I42", "what is wrong with a host is not told by all");
    }
    if (!s->is_over && s->lost_alive != lost) {
        sim_fail(s, SIM_UNSAFE, "I42", "a host that was degraded was lost");
    }
    hosts_make_trouble(s, m, rung, false);
    hosts_until_well(s);
}

/* I43: what was told of applications; and, once they have had time, what is known of them. */
static void judge_tenants(struct sim *s)
{
    for (uint32_t i = 0; i < s->cluster.n && !s->is_over; i++) {
        const struct simmember *m = &s->cluster.member[i];

        if (simtenant_was_false(m->tenant)) {
            sim_fail(s, SIM_UNSAFE, "I43", "an application was told to be what it was not");
        } else if (m->state == MEMBER_UP && !simtenant_is_known(m->tenant)) {
            sim_fail(s, SIM_STUCK, "I43",
                     "an application is not known to be ready, long after the faults");
        }
    }
}

void sim_hosts_settle(struct sim *s)
{
    nanos bound =
        simworld_now(s->world) + u64_max(HOSTS_SETTLE_BOUND, (s->cluster.n + 1) * HOSTS_SEED_EVERY);
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
    judge_tenants(s);
    if (!s->is_over) {
        hosts_trouble_one(s);
    }
    judge_tenants(s);
}
