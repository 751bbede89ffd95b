#include "novacrond/daemon_agent.h"

#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "novacrond/daemon.h"

static void agent_on_said(void *ctx, const char *what, const char *voter, const char *why)
{
    struct daemon *d = ctx;
    const bool is_well = strcmp(what, "served") == 0;

    LOG_SAY(&d->log, is_well ? DAEMON_INFO : DAEMON_WARN, what, log_text("by", voter),
            log_text("why", why));
    if (is_well) {
        daemon_tell_systemd("STATUS=a member serves this host");
    }
}

/* Reports on hosts that are not heard go to whoever leads. */
static void agent_on_led(void *ctx, node_id leader)
{
    struct daemon *d = ctx;

    if (leader != d->leader) {
        d->counts.leader_changes++;
        d->leader = leader;
        LOG_SAY(&d->log, DAEMON_INFO, "leader changed", log_hex("leader", leader));
    }
    if (d->health.host != NULL) {
        health_agent_lead(daemon_health_agent(d), leader);
    }
}

void daemon_agent_prepare(struct daemon *d)
{
    const struct daemon_config *config = d->config;
    const struct ha_session_events events = {.ctx = d, .said = agent_on_said, .led = agent_on_led};
    struct ha_session_config session = {.cluster = config->cluster};

    ha_text_set(session.host, sizeof session.host, config->settings->name);
    for (uint32_t i = 0; i < config->peer_count; i++) {
        struct ha_session_voter *voter = &session.voters[session.n_voters];
        if (config->settings->cluster.members[i].witness) {
            continue; /* it has no data */
        }
        voter->at = config->peers[i].at;
        memcpy(voter->name, config->peers[i].name, sizeof voter->name);
        session.n_voters++;
    }
    d->ha.session = ha_session_open(linux_world_table(d->lw), &session, &events);
}

void daemon_agent_ready(struct daemon *d)
{
    d->life = DAEMON_RUNNING;
    daemon_tell_systemd("READY=1\nSTATUS=looks for a member that serves this host");
}

/* --- pages ------------------------------------------------------------------------------------ */

static void agent_page_health(struct rpc_call *call)
{
    const struct daemon *d = etcd_api_owner(rpc_ctx(call));
    struct ha_session_status s;
    char body[256];

    ha_session_status(d->ha.session, &s);
    const bool is_well = s.is_served && s.leader != NODE_NONE;
    (void)snprintf(body, sizeof body, "{\"health\":\"%s\",\"reason\":\"%s\"}",
                   is_well ? "true" : "false",
                   is_well          ? ""
                   : s.is_served    ? "NO LEADER"
                   : s.refusals > 0 ? "REFUSED"
                                    : "NO MEMBER ANSWERS");
    rpc_page_send(call, is_well ? 200 : 503, "application/json",
                  (struct bytes){(const uint8_t *)body, strlen(body)});
}

const struct rpc_page *daemon_agent_pages(size_t *ret_count)
{
    static const struct rpc_page pages[] = {{.path = "/health", .serve = agent_page_health}};

    *ret_count = COUNT_OF(pages);
    return pages;
}
