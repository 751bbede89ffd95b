/* The hosts' health in words. */
#include <stdio.h>

#include "novacrond/daemon_health_int.h"

/* Counts of a reason as int, for printf's sake. */
static unsigned word_count(uint32_t n)
{
    return n;
}

static const char *word_of_name(const struct health_agent *agent, node_id id,
                                char text[HOST_NAME_MAX_BYTES])
{
    const struct swim_member *m = swim_find(health_agent_swim(agent), id);

    if (m == NULL || daemon_health_name(m, text)[0] == '\0') {
        (void)snprintf(text, HOST_NAME_MAX_BYTES, "%llx", (unsigned long long)id);
    }
    return text;
}

static void reason_of_path(const struct health_agent *agent, const struct health_ladder *l,
                           char text[HEALTH_REASON_BYTES])
{
    char name[HOST_NAME_MAX_BYTES];
    node_id other = l->verdict.host == l->id ? l->verdict.other : l->verdict.host;

    (void)snprintf(text, HEALTH_REASON_BYTES, "the path between it and %s is bad",
                   word_of_name(agent, other, name));
}

static void reason_of_network(const struct health_agent *agent, const struct health_ladder *l,
                              char text[HEALTH_REASON_BYTES])
{
    const struct host_told_rung *r = &l->rungs[RUNG_NETWORK];

    if (l->state == SWIM_DEAD) {
        (void)snprintf(text, HEALTH_REASON_BYTES, "its observers hold it for dead");
    } else if (l->state == SWIM_LEFT) {
        (void)snprintf(text, HEALTH_REASON_BYTES, "it has left");
    } else if (l->state == SWIM_SUSPECT) {
        (void)snprintf(text, HEALTH_REASON_BYTES, "some of its observers hear nothing from it");
    } else if (!l->has_verdict) {
        (void)snprintf(text, HEALTH_REASON_BYTES, "%u of %u observers reach it well",
                       word_count(l->n_opinions), word_count(l->n_opinions));
    } else if (l->verdict.blame == GRAY_BLAME_PATH) {
        reason_of_path(agent, l, text);
    } else {
        (void)snprintf(text, HEALTH_REASON_BYTES,
                       l->verdict.blame == GRAY_BLAME_HOST
                           ? "%u of %u observers reach it badly"
                           : "it reaches %u of %u badly, whom others reach well",
                       word_count(r->bad), word_count(r->asked));
    }
}

static void reason_of_storage(const struct host_told_rung *r, char text[HEALTH_REASON_BYTES])
{
    unsigned long long ms = (unsigned long long)(r->measure > 0 ? r->measure / 1000 : 0);

    if (r->state == RUNG_BROKEN) {
        (void)snprintf(text, HEALTH_REASON_BYTES, "%u writes in a row did not become durable",
                       word_count(r->bad));
    } else if (r->state == RUNG_DEGRADED) {
        (void)snprintf(text, HEALTH_REASON_BYTES,
                       "%u of %u writes took much longer than usual, the last one %llu ms",
                       word_count(r->bad), word_count(r->asked), ms);
    } else {
        (void)snprintf(text, HEALTH_REASON_BYTES, "writes become durable in time");
    }
}

static void reason_of_clock(const struct host_told_rung *r, char text[HEALTH_REASON_BYTES])
{
    double off = (double)r->measure / 1000;

    if (r->state == RUNG_WELL) {
        (void)snprintf(text, HEALTH_REASON_BYTES, "it agrees with a majority of %u",
                       word_count(r->asked));
    } else {
        (void)snprintf(text, HEALTH_REASON_BYTES, "it is %.1f s %s, as %u of %u clocks say",
                       off < 0 ? -off : off, off < 0 ? "fast" : "slow", word_count(r->bad),
                       word_count(r->asked));
    }
}

static void reason_of_daemon(const struct host_told_rung *r, char text[HEALTH_REASON_BYTES])
{
    if (r->state == RUNG_WELL) {
        (void)snprintf(text, HEALTH_REASON_BYTES, "it runs without stalls");
    } else {
        (void)snprintf(text, HEALTH_REASON_BYTES,
                       "it stalled %u times within a minute, for up to %lld ms", word_count(r->bad),
                       (long long)r->measure);
    }
}

void health_rung_text(const struct health_agent *agent, const struct health_ladder *l,
                      enum rung rung, char text[HEALTH_REASON_BYTES])
{
    const struct host_told_rung *r = &l->rungs[rung];

    if (rung == RUNG_NETWORK) {
        reason_of_network(agent, l, text);
    } else if (r->state == RUNG_UNKNOWN) {
        (void)snprintf(text, HEALTH_REASON_BYTES, "%s",
                       rung == RUNG_APPLICATION ? "nothing is probed" : "nothing is known of it");
    } else if (rung == RUNG_STORAGE) {
        reason_of_storage(r, text);
    } else if (rung == RUNG_CLOCK) {
        reason_of_clock(r, text);
    } else if (rung == RUNG_DAEMON) {
        reason_of_daemon(r, text);
    } else if (rung == RUNG_PROCESS) {
        (void)snprintf(text, HEALTH_REASON_BYTES,
                       r->state == RUNG_WELL ? "its member takes part"
                                             : "its member does not take part, or knows no leader");
    } else {
        (void)snprintf(text, HEALTH_REASON_BYTES, "%u of %u applications are not ready",
                       word_count(r->bad), word_count(r->asked));
    }
}

void health_opinion_text(const struct health_opinion *o, char text[HEALTH_REASON_BYTES])
{
    char loss[64] = "";
    char slow[64] = "";

    if ((o->told.symptoms & 1U << GRAY_LOSS) != 0) {
        (void)snprintf(loss, sizeof loss, "loses %u %% of its messages", o->told.loss_percent);
    }
    if ((o->told.symptoms & 1U << GRAY_SLOW) != 0) {
        (void)snprintf(slow, sizeof slow, "is up to %u times slower than usual", o->told.slower);
    }
    (void)snprintf(text, HEALTH_REASON_BYTES, "%s%s%s", loss,
                   loss[0] != '\0' && slow[0] != '\0' ? ", and " : "", slow);
}
