/* The hosts' health at /metrics. */
#include "novacrond/daemon_health_int.h"
#include "novacrond/daemon_metrics.h"
#include "novacrond/daemon_probes.h"

static void health_metrics_conditions(struct buf *b, const struct daemon *d)
{
    uint32_t failing = 0;
    uint32_t troubled = health_host_troubled(d->health.host, &failing);
    const struct gray_verdict *verdicts = NULL;

    metric_head(b, "novacron_hosts_not_well", "gauge",
                "Hosts that live, and something is wrong with.");
    metric_line(b, "novacron_hosts_not_well{condition=\"%s\"} %u\n",
                host_condition_name(HOST_DEGRADED), troubled - failing);
    metric_line(b, "novacron_hosts_not_well{condition=\"%s\"} %u\n",
                host_condition_name(HOST_FAILING), failing);
    metric_head(b, "novacron_host_conditions_total", "counter",
                "Hosts that came into a condition.");
    for (enum host_condition i = 0; i <= HOST_FAILING; i++) {
        metric_line(b, "novacron_host_conditions_total{condition=\"%s\"} %llu\n",
                    host_condition_name(i), (unsigned long long)d->health.conditions[i]);
    }
    metric_one(b, "novacron_network_causes", "gauge",
               "Hosts and paths that account for what is reached badly.",
               health_host_verdicts(d->health.host, &verdicts));
}

/* This host's own ladder: each member tells its own, so that nothing is told twice. */
static void health_metrics_own(struct buf *b, const struct daemon *d)
{
    const struct pause *pause = health_host_pause(d->health.host);
    const struct health_look *look = health_host_look(d->health.host);
    struct health_ladder l;

    if (!health_host_ladder(d->health.host, d->config->id, &l)) {
        return;
    }
    metric_head(b, "novacron_host_rung_state", "gauge",
                "How this host is: 0 not known, 1 well, 2 degraded, 3 broken.");
    for (enum rung i = 0; i < RUNGS; i++) {
        metric_line(b, "novacron_host_rung_state{rung=\"%s\"} %d\n", rung_name(i),
                    (int)l.rungs[i].state);
    }
    metric_one(b, "novacron_host_score", "gauge", "Of this host: 100 is well.", l.score.points);
    metric_head(b, "novacron_host_pauses_total", "counter",
                "Times that this host did not run when it should have.");
    for (enum pause_kind i = 0; i < PAUSE_KINDS; i++) {
        static const char *const kinds[PAUSE_KINDS] = {"stalled", "suspended", "stepped"};

        metric_line(b, "novacron_host_pauses_total{kind=\"%s\"} %llu\n", kinds[i],
                    (unsigned long long)pause->counts[i]);
    }
    metric_one(b, "novacron_health_asked_total", "counter", "Questions to neighbours.",
               look->asked);
    metric_one(b, "novacron_health_unanswered_total", "counter",
               "Questions that a neighbour that lives did not answer.", look->lost);
}

void daemon_health_metrics(struct buf *b, const struct daemon *d)
{
    static const char *const refused[] = {"format",  "label",    "key", "replay",
                                          "version", "stranger", "full"};
    const struct swim *s =
        d->health.host != NULL ? health_agent_swim(daemon_health_agent(d)) : NULL;
    uint64_t states[SWIM_STATES] = {0};
    uint64_t by_stream = 0;

    if (s == NULL) {
        return;
    }
    for (uint32_t i = 0; i < s->n_members; i++) {
        states[s->members[i].state]++;
        by_stream += swim_reach(s, s->members[i].id) == SWIM_REACH_STREAMS ? 1 : 0;
    }
    metric_head(b, "novacron_hosts", "gauge", "Hosts by their state in gossip.");
    for (int i = 0; i < SWIM_STATES; i++) {
        metric_line(b, "novacron_hosts{state=\"%s\"} %llu\n", swim_state_name((enum swim_state)i),
                    (unsigned long long)states[i]);
    }
    metric_head(b, "novacron_host_changes_total", "counter",
                "Changes of hosts that were heard of.");
    for (int i = 0; i < SWIM_CHANGES; i++) {
        metric_line(b, "novacron_host_changes_total{kind=\"%s\"} %llu\n",
                    swim_change_name((enum swim_change_kind)i),
                    (unsigned long long)d->health.changes[i]);
    }
    metric_head(b, "novacron_health_refused_total", "counter",
                "Datagrams that were dropped unanswered.");
    for (int i = 0; i < (int)COUNT_OF(refused); i++) {
        metric_line(b, "novacron_health_refused_total{why=\"%s\"} %llu\n", refused[i],
                    (unsigned long long)s->counters[SWIM_REFUSED_FORMAT + i]);
    }
    metric_one(b, "novacron_health_sent_bytes_total", "counter", "Bytes of datagrams sent.",
               s->counters[SWIM_SENT_BYTES]);
    metric_one(b, "novacron_health_sent_total", "counter", "Datagrams sent.",
               s->counters[SWIM_SENT_DATAGRAMS]);
    metric_one(b, "novacron_health_stream_bytes_total", "counter",
               "Bytes sent on streams, where datagrams do not get through.",
               s->counters[SWIM_SENT_STREAM_BYTES]);
    metric_one(b, "novacron_hosts_by_stream", "gauge",
               "Neighbours that are reached by streams alone: UDP is blocked.", by_stream);
    metric_one(b, "novacron_health_checks_total", "counter", "Silent neighbours that were asked.",
               s->counters[SWIM_PROBES]);
    metric_one(b, "novacron_health_self_doubt", "gauge",
               "How much this host doubts itself; 0: not at all.", s->awareness);
    metric_one(b, "novacron_hosts_lost_total", "counter",
               "Hosts that this member, as leader, found lost.", d->health.lost);
    health_metrics_conditions(b, d);
    health_metrics_own(b, d);
    daemon_probes_metrics(b, d);
}
