/* Pages below /debug: what this member knows, for people who look for what is wrong. Secrets are
 * not in them: the configuration holds none. */
#include <stdio.h>
#include <string.h>

#include "core/store/store.h"
#include "novacrond/daemon.h"
#include "novacrond/daemon_config_int.h"
#include "novacrond/daemon_page.h"

/* --- Raft ------------------------------------------------------------------------------------ */

static void debug_status(struct daemon_page *p, const struct daemon *d)
{
    struct raft_status s = node_status(d->node);
    page_text(p, "role", raft_role_name(s.role));
    page_id(p, "leader", s.leader);
    page_id(p, "vote", s.vote);
    page_id(p, "transferee", s.transferee);
    page_number(p, "term", s.term);
    page_number(p, "first", s.first);
    page_number(p, "last", s.last);
    page_number(p, "durable", s.durable);
    page_number(p, "committed", s.committed);
    page_number(p, "applied", node_applied(d->node));
    page_number(p, "snapshot", s.snapshot);
    page_number(p, "cached_bytes", s.cached_bytes);
    page_number(p, "uncommitted_bytes", s.uncommitted_bytes);
    page_number(p, "lineage", s.membership->lineage);
    page_number(p, "feature_level", store_feature_level(node_store(d->node)));
    page_flag(p, "impaired", s.impaired);
    page_flag(p, "stalled", s.stalled);
    page_flag(p, "exposed", s.exposed);
    page_flag(p, "installing", s.installing);
    page_flag(p, "lacks_space", node_lacks_space(d->node));
}

static const char *debug_role(uint8_t roles)
{
    return (roles & RAFT_WITNESS) ? "witness" : (roles & RAFT_VOTER) ? "voter" : "learner";
}

static void debug_members(struct daemon_page *p, const struct raft_membership *ms)
{
    static const struct {
        uint8_t role;
        const char *key;
    } marks[] = {
        {RAFT_VOTER_OUTGOING, "outgoing"},
        {RAFT_LEARNER_NEXT, "learner_next"},
        {RAFT_IN_SYNC, "in_sync"},
        {RAFT_AUTO_PROMOTE, "auto_promote"},
    };
    page_list(p, "members");
    for (uint32_t i = 0; i < ms->n; i++) {
        const struct raft_member *m = &ms->member[i];
        page_object(p, NULL);
        page_id(p, "id", m->id);
        page_text(p, "role", debug_role(m->roles));
        page_number(p, "priority", m->priority);
        for (size_t k = 0; k < COUNT_OF(marks); k++) {
            if (m->roles & marks[k].role) {
                page_flag(p, marks[k].key, true);
            }
        }
        page_end(p);
    }
    page_end(p);
}

static void debug_election(struct daemon_page *p, const struct raft_details *r, nanos now)
{
    page_object(p, "election");
    if (r->leader_heard > 0) {
        page_seconds(p, "leader_heard_ago", u64_sub_sat(now, r->leader_heard));
    }
    page_flag(p, "leader_suspected", r->leader_suspected);
    page_seconds(p, "campaigns_after", r->election_after);
    if (r->lead_since > 0) {
        page_seconds(p, "leads_for", u64_sub_sat(now, r->lead_since));
    }
    page_flag(p, "lease_holds", r->lease_holds);
    page_end(p);
}

static void debug_reads(struct daemon_page *p, const struct raft_details *r,
                        const struct node_figures *f)
{
    page_object(p, "reads");
    page_number(p, "waiting_here", f->reads_waiting);
    page_number(p, "waiting_for_quorum", r->reads_waiting);
    page_number(p, "waiting_for_first_commit", r->reads_waiting_commit);
    page_number(p, "round_announced", r->reads_announced);
    page_number(p, "round_confirmed", r->reads_confirmed);
    page_number(p, "failed", f->reads_failed);
    page_end(p);
}

static void debug_writes(struct daemon_page *p, const struct raft_details *r,
                         const struct node_figures *f, nanos now)
{
    page_object(p, "writes");
    page_number(p, "requests_waiting", f->requests_waiting);
    page_number(p, "requests_failed", f->requests_failed);
    page_number(p, "requests_repeated", f->requests_again);
    page_number(p, "batches_under_way", r->batches);
    if (r->batches > 0) {
        page_seconds(p, "oldest_batch_for", u64_sub_sat(now, r->batch_since));
    }
    page_number(p, "applying_bytes", r->applying_bytes);
    page_end(p);
}

static void debug_changes(struct daemon_page *p, const struct raft_details *r)
{
    page_object(p, "changes");
    page_number(p, "pending", r->changes_pending);
    page_number(p, "barred_to", r->change_barred_to);
    page_flag(p, "in_sync_rule", r->rule_applies);
    page_number(p, "in_sync_pending", r->in_sync_pending);
    page_list(p, "in_sync");
    for (uint32_t i = 0; i < r->in_sync_count; i++) {
        page_id(p, NULL, r->in_sync[i]);
    }
    page_end(p);
    page_end(p);
}

static void debug_snapshot(struct daemon_page *p, const struct raft_details *r,
                           const struct node_figures *f)
{
    page_object(p, "snapshots");
    page_flag(p, "taking", f->is_taking_snapshot);
    page_number(p, "newest_bytes", f->snapshot_bytes);
    page_number(p, "taken", f->snapshots_taken);
    page_number(p, "failed", f->snapshots_failed);
    page_number(p, "installed", f->snapshots_installed);
    page_number(p, "pieces_to_serve", r->serving);
    page_flag(p, "fetching", r->fetching);
    if (r->fetching) {
        page_number(p, "fetch_index", r->fetch_index);
        page_id(p, "fetch_source", r->fetch_source);
        page_number(p, "fetch_bytes", r->fetch_size);
        page_number(p, "fetched_bytes", r->fetch_durable);
    }
    page_end(p);
}

static void debug_damage(struct daemon_page *p, const struct raft_details *r)
{
    page_object(p, "damage");
    page_number(p, "lost_from", r->lost_from);
    page_flag(p, "lost_vote", r->lost_vote);
    page_number(p, "vouches_again_at", r->floor);
    page_number(p, "ranges", r->range_count);
    page_list(p, "first_ranges");
    for (uint32_t i = 0; i < r->range_count && i < RAFT_DETAILS_RANGES_MAX; i++) {
        page_object(p, NULL);
        page_number(p, "first", r->range[i].first);
        page_number(p, "last", r->range[i].last);
        page_end(p);
    }
    page_end(p);
    page_end(p);
}

/* --- peers ----------------------------------------------------------------------------------- */

static void debug_progress(struct daemon_page *p, const struct raft_progress *pr, nanos now)
{
    static const char *const states[] = {
        [RAFT_PROBE] = "probe", [RAFT_REPLICATE] = "replicate", [RAFT_SNAPSHOT] = "snapshot"};
    page_object(p, "progress");
    page_text(p, "state", states[pr->state]);
    page_number(p, "match", pr->match);
    page_number(p, "next", pr->next);
    page_number(p, "sent_commit", pr->sent_commit);
    page_number(p, "inflight_messages", pr->inflights.count);
    page_number(p, "inflight_messages_max", pr->inflights.max_messages);
    page_number(p, "inflight_bytes", pr->inflights.bytes);
    page_number(p, "inflight_bytes_max", pr->inflights.max_bytes);
    page_flag(p, "paused", raft_progress_is_paused(pr));
    page_flag(p, "loading", pr->loading);
    page_flag(p, "recent_active", pr->recent_active);
    if (pr->heard > 0) {
        page_seconds(p, "heard_ago", u64_sub_sat(now, pr->heard));
    }
    if (pr->impaired > 0) {
        page_seconds(p, "said_impaired_ago", u64_sub_sat(now, pr->impaired));
    }
    page_number(p, "pending_snapshot", pr->pending_snapshot);
    page_number(p, "snapshots_offered", pr->offers);
    page_number(p, "read_round_acked", pr->read_acked);
    page_number(p, "catch_up_rounds", pr->catch_up.rounds);
    page_number(p, "catch_up_target", pr->catch_up.target);
    page_flag(p, "caught_up", pr->catch_up.done);
    page_end(p);
}

static void debug_peer(struct daemon_page *p, const struct node_peer_figures *f, nanos now)
{
    static const char *const out[] = {"log_stream_out", "snapshot_stream_out"};
    static const char *const in[] = {"log_stream_in", "snapshot_stream_in"};
    char at[WORLD_HOST_MAX_BYTES + 8];
    (void)snprintf(at, sizeof at, "%s:%u", f->at.host, f->at.port);
    page_object(p, NULL);
    page_id(p, "id", f->id);
    page_text(p, "at", at);
    for (size_t i = 0; i < COUNT_OF(out); i++) {
        page_flag(p, out[i], f->is_out[i]);
        page_flag(p, in[i], f->is_in[i]);
    }
    page_number(p, "bytes_sent", f->bytes_sent);
    page_number(p, "bytes_received", f->bytes_received);
    page_number(p, "frames_sent", f->frames_sent);
    page_number(p, "frames_dropped", f->frames_dropped);
    if (f->progress != NULL) {
        debug_progress(p, f->progress, now);
    }
    page_end(p);
}

static void debug_peers(struct daemon_page *p, const struct daemon *d, nanos now)
{
    struct node_peer_figures peers[NODE_PEERS_MAX];
    uint32_t n = node_peer_figures(d->node, peers);
    page_list(p, "peers");
    for (uint32_t i = 0; i < n; i++) {
        debug_peer(p, &peers[i], now);
    }
    page_end(p);
}

/* --- the configuration of Raft --------------------------------------------------------------- */

/* The table has numbers, flags and times; the unit says which. */
static void debug_setting(struct daemon_page *p, const char *key, const char *unit, uint64_t value)
{
    if (strcmp(unit, "ns") == 0) {
        page_seconds(p, key, value);
    } else {
        page_number(p, key, value);
    }
}

static void debug_raft_config(struct daemon_page *p, const struct daemon *d)
{
    struct node_config config;
    daemon_compose_node(d, &config);
    const struct raft_config *c = &config.raft;
    page_object(p, "config");
#define PUT_SETTING(key, type, unit, preset, lo, hi, doc)                                          \
    debug_setting(p, #key, unit, (uint64_t)c->key);
    RAFT_CONFIG_TABLE(PUT_SETTING)
#undef PUT_SETTING
    page_end(p);
}

void daemon_page_raft(struct rpc_call *call)
{
    struct daemon *d = etcd_api_owner(rpc_ctx(call));
    nanos now = daemon_now(d);
    struct daemon_page p;
    daemon_page_begin(&p, call);
    page_text(&p, "name", d->config->settings->name);
    page_id(&p, "id", d->config->id);
    page_id(&p, "cluster", d->config->cluster);
    page_text(&p, "ready", node_is_ready(d->node) ? "true" : "false");
    if (node_is_ready(d->node)) {
        struct node_figures f = node_figures(d->node);
        struct raft_details r;
        node_raft_details(d->node, &r);
        debug_status(&p, d);
        page_flag(&p, "disputed", f.is_disputed);
        page_flag(&p, "stopping", f.is_stopping);
        page_seconds(&p, "disk_stands_for", r.disk_stalled);
        debug_members(&p, node_status(d->node).membership);
        debug_election(&p, &r, now);
        debug_writes(&p, &r, &f, now);
        debug_reads(&p, &r, &f);
        debug_changes(&p, &r);
        debug_snapshot(&p, &r, &f);
        debug_damage(&p, &r);
        debug_peers(&p, d, now);
        debug_raft_config(&p, d);
    }
    daemon_page_send(&p, call);
}

/* --- the configuration ----------------------------------------------------------------------- */

/* Of a command the program alone: its arguments may hold what is not for everybody. */
static void debug_probes(struct daemon_page *p, const struct daemon_health_settings *health)
{
    page_list(p, "health_probes");
    for (uint32_t i = 0; i < health->probes_count; i++) {
        const struct daemon_probe_settings *s = &health->probes[i];
        page_object(p, NULL);
        page_text(p, "name", s->name);
        page_text(p, "kind", app_kind_name(s->kind));
        page_text(p, "target", s->kind == APP_COMMAND ? s->command[0] : s->target);
        page_end(p);
    }
    page_end(p);
}

void daemon_page_config(struct rpc_call *call)
{
    struct daemon *d = etcd_api_owner(rpc_ctx(call));
    const struct daemon_settings *s = d->config->settings;
    struct daemon_page p;
    struct node_config node;
    char ratio[32];
    daemon_compose_node(d, &node);
    (void)snprintf(ratio, sizeof ratio, "%g", d->config->trace_ratio);
    daemon_page_begin(&p, call);
    page_text(&p, "name", s->name);
    page_text(&p, "role", daemon_role_names[s->role]);
    page_text(&p, "data_dir", s->data_dir);
    page_text(&p, "cluster", s->cluster.name);
    page_text(&p, "peer_listen", s->peer.listen);
    page_text(&p, "peer_url", d->config->peer_url);
    page_text(&p, "client_listen", s->client.listen);
    page_text(&p, "client_url", d->config->client_urls[0]);
    page_text(&p, "timing", daemon_timing_names[s->timing]);
    page_number(&p, "quota_mib", s->quota_mib);
    page_number(&p, "snapshot_entries", node.snapshot_entries);
    page_text(&p, "log_level", daemon_level_names[s->log.level]);
    page_text(&p, "log_format", daemon_format_names[s->log.format]);
    page_text(&p, "tracing_endpoint", s->tracing.endpoint);
    page_text(&p, "tracing_ratio", ratio);
    page_text(&p, "health_keys", s->health.keys);
    page_text(&p, "health_site", s->health.site);
    page_text(&p, "health_off", d->health.host == NULL ? "true" : "false");
    debug_probes(&p, &s->health);
    page_text(&p, "peer_tls", d->peer_tls != NULL ? "true" : "false");
    page_text(&p, "peer_allow_plaintext", s->peer.allow_plaintext ? "true" : "false");
    page_text(&p, "client_tls", d->client_tls != NULL ? "true" : "false");
    page_text(&p, "client_allow_plaintext", s->client.allow_plaintext ? "true" : "false");
    page_text(&p, "client_require_certificate", s->client.require_certificate ? "true" : "false");
    daemon_page_send(&p, call);
}

/* --- the list of pages ----------------------------------------------------------------------- */

void daemon_page_debug(struct rpc_call *call)
{
    static const char text[] =
        "/debug/raft    roles, indexes, members, progress of peers, reads, snapshots, damage\n"
        "/debug/config  the settings in force\n"
        "/metrics       figures, for Prometheus\n"
        "/health        is there a leader, and does this member answer?\n"
        "/version       of etcd's API\n"
        "\nPages below /debug are JSON; with ?format=text they are YAML.\n";
    struct bytes path = rpc_page_path(call);
    bool is_list = path.len == strlen("/debug/");
    rpc_page_send(call, is_list ? 200 : 404, "text/plain; charset=utf-8",
                  (struct bytes){(const uint8_t *)text, sizeof text - 1});
}
