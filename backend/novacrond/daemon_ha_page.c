/* What this member knows of machines: the page /debug/ha, and metrics. */
#include <string.h>

#include "core/base/check.h"
#include "novacrond/daemon.h"
#include "novacrond/daemon_metrics.h"
#include "novacrond/daemon_page.h"

static const char *const agent_phases[] = {"looking", "joining", "serving", "displaced"};

static void page_agent(struct daemon_page *p, const struct ha_member_status *s)
{
    page_object(p, "agent");
    page_text(p, "phase", agent_phases[s->agent.phase]);
    page_number(p, "boot", s->agent.boot);
    page_seconds(p, "lease_left", s->agent.lease_left);
    page_number(p, "lease_revision", s->agent.lease_revision);
    page_flag(p, "refused", s->agent.is_refused);
    page_end(p);
}

/* Who serves this host; or the agents that this member serves. */
static void page_sessions(struct daemon_page *p, const struct daemon *d)
{
    if (d->ha.session != NULL) {
        struct ha_session_status s;
        ha_session_status(d->ha.session, &s);
        page_object(p, "session");
        page_flag(p, "served", s.is_served);
        page_text(p, "by", s.voter);
        page_number(p, "revision", s.revision);
        page_id(p, "leader", s.leader);
        page_number(p, "losses", s.losses);
        page_number(p, "told_everything", s.beginnings);
        page_text(p, "refused", s.refusals > 0 ? ha_farewell_text(s.refusal) : "");
        page_end(p);
    }
    if (d->ha.sessions != NULL) {
        page_list(p, "agents");
        for (size_t i = 0; node_sessions_host(d->ha.sessions, i) != NULL; i++) {
            page_text(p, NULL, node_sessions_host(d->ha.sessions, i));
        }
        page_end(p);
    }
}

static void page_machines(struct daemon_page *p, const struct ha_view *view)
{
    page_list(p, "machines");
    for (size_t i = 0; i < ha_view_count(view, HA_OWNER); i++) {
        const struct ha_owner *owner = ha_view_at(view, HA_OWNER, i)->record;
        if (owner == NULL) {
            continue;
        }
        page_object(p, NULL);
        page_text(p, "name", owner->vm);
        page_text(p, "phase", ha_phase_name(owner->phase));
        page_text(p, "host", owner->host);
        page_number(p, "epoch", owner->epoch);
        page_text(p, "proof", ha_proof_name(owner->proof));
        page_text(p, "reason", owner->reason);
        page_end(p);
    }
    page_end(p);
}

static void page_hosts(struct daemon_page *p, const struct ha_view *view)
{
    page_list(p, "hosts");
    for (size_t i = 0; i < ha_view_count(view, HA_FATE); i++) {
        const struct ha_fate *fate = ha_view_at(view, HA_FATE, i)->record;
        if (fate == NULL) {
            continue;
        }
        page_object(p, NULL);
        page_text(p, "name", fate->host);
        page_text(p, "phase", ha_fate_phase_name(fate->phase));
        page_text(p, "proof", ha_proof_name(fate->proof));
        page_number(p, "losses", fate->losses);
        page_flag(p, "quarantined", fate->is_quarantined);
        page_flag(p, "tripped", fate->is_tripped);
        page_text(p, "incident", fate->incident);
        page_text(p, "reason", fate->reason);
        page_end(p);
    }
    page_end(p);
}

void daemon_page_ha(struct rpc_call *call)
{
    const struct daemon *d = etcd_api_owner(rpc_ctx(call));
    struct ha_member_status s;
    struct daemon_page p;

    ha_member_status(d->ha.member, &s);
    daemon_page_begin(&p, call);
    page_flag(&p, "leads", s.leads);
    page_number(&p, "term", s.term);
    page_number(&p, "revision", s.revision);
    page_number(&p, "unreadable", s.unreadable);
    page_number(&p, "unproven", s.unproven);
    page_number(&p, "tripped", s.tripped);
    page_number(&p, "incidents_open", s.incidents_open);
    if (s.has_agent) {
        page_agent(&p, &s);
    }
    page_sessions(&p, d);
    page_machines(&p, ha_member_view(d->ha.member));
    page_hosts(&p, ha_member_view(d->ha.member));
    daemon_page_send(&p, call);
}

/* Of the machines that live here: each rung that is asked, and has a verdict. */
static void metrics_of_ladders(struct buf *b, const struct ha_agent *agent)
{
    char vm[HA_NAME_BYTES];
    uint64_t epoch = 0;
    bool is_mute = false;

    metric_head(b, "novacron_vm_health", "gauge",
                "Rungs of the machines of this host: 1 well, 0 bad; those without a verdict are "
                "left out.");
    for (size_t i = 0; ha_agent_machine_at(agent, i, vm, &epoch, &is_mute); i++) {
        const struct ha_rung_view *rungs = ha_agent_rungs(agent, vm);
        for (enum ha_rung rung = 0; rungs != NULL && rung < HA_RUNGS; rung++) {
            if (rungs[rung].state == HA_RUNG_WELL || rungs[rung].state == HA_RUNG_BAD) {
                metric_line(b, "novacron_vm_health{vm=\"%s\",rung=\"%s\"} %d\n", vm,
                            ha_rung_name(rung), rungs[rung].state == HA_RUNG_WELL);
            }
        }
    }
}

static void metrics_put_sessions(struct buf *b, const struct daemon *d)
{
    if (d->ha.session != NULL) {
        struct ha_session_status s;
        ha_session_status(d->ha.session, &s);
        GAUGE("novacron_agent_is_served", "1: a member serves this host, which does not vote.",
              s.is_served);
        COUNTER("novacron_agent_members_lost_total",
                "Times that the member which served this host was of no use any more.", s.losses);
    } else if (d->ha.sessions != NULL) {
        struct node_sessions_figures f;
        node_sessions_figures(d->ha.sessions, &f);
        GAUGE("novacron_agents_served", "Hosts that do not vote, and are served by this member.",
              f.sessions);
        COUNTER("novacron_agents_refused_total", "Agents that were sent away as they came.",
                f.refused);
        COUNTER("novacron_agents_cut_off_total",
                "Agents that took too long to read, or broke the protocol.", f.cut_off);
        COUNTER("novacron_agent_notes_relayed_total",
                "Renewals and answers that went between an agent and a leader elsewhere.",
                f.relayed);
    }
}

void daemon_ha_metrics(struct buf *b, const struct daemon *d)
{
    struct ha_member_status s;

    if (d->ha.member == NULL) {
        return;
    }
    ha_member_status(d->ha.member, &s);
    metrics_put_sessions(b, d);
    metric_head(b, "novacron_machines", "gauge", "Machines by phase, as this member sees them.");
    for (int i = 0; i < HA_PHASES; i++) {
        metric_line(b, "novacron_machines{phase=\"%s\"} %u\n", ha_phase_name((enum ha_phase)i),
                    s.owners[i]);
    }
    metric_head(b, "novacron_machine_hosts", "gauge", "Hosts by what became of them.");
    for (int i = 0; i < HA_HOST_PHASES; i++) {
        metric_line(b, "novacron_machine_hosts{phase=\"%s\"} %u\n",
                    ha_fate_phase_name((enum ha_fate_phase)i), s.fates[i]);
    }
    GAUGE("novacron_machines_unproven",
          "Machines of lost hosts that nothing proves gone, and nothing will by itself.",
          s.unproven);
    GAUGE("novacron_hosts_tripped",
          "Hosts on which machines could not be started, and that get none for a while.",
          s.tripped);
    GAUGE("novacron_incidents_open", "Losses of hosts that are not dealt with yet.",
          s.incidents_open);
    GAUGE("novacron_ha_records_unreadable", "Records of machines and hosts that cannot be read.",
          s.unreadable);
    GAUGE("novacron_manager_leads", "1: this member's manager decides about machines.", s.leads);
    COUNTER("novacron_fence_device_failures_total", "Requests to fence devices that failed.",
            d->ha.fence_failed);
    if (s.has_agent) {
        metric_head(b, "novacron_host_lease_seconds", "gauge",
                    "How long this host may still run machines without a renewal.");
        metric_line(b, "novacron_host_lease_seconds %.3f\n", (double)s.agent.lease_left / 1e9);
        metrics_of_ladders(b, ha_member_agent(d->ha.member));
        COUNTER("novacron_vm_unwell_ends_total",
                "Machines of this host that were ended since they failed a probe.",
                s.agent.unwell_ends);
    }
}
