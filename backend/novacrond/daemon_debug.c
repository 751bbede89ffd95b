/* /debug/raft and /debug/config: what this member knows, as JSON, for people who look for what is
 * wrong. Secrets are not in it: the configuration holds none. */
#include <stdio.h>

#include "api/json_wire.h"
#include "core/base/say.h"
#include "novacrond/daemon.h"

#define DEBUG_JSON "application/json"

static void debug_number(struct buf *b, const char *key, uint64_t number)
{
    say(b, b->data[b->len - 1] == '{' ? "" : ",");
    json_put_string(b, key);
    say(b, ":");
    say_u64(b, number);
}

static void debug_text(struct buf *b, const char *key, const char *text)
{
    say(b, b->data[b->len - 1] == '{' ? "" : ",");
    json_put_string(b, key);
    say(b, ":");
    json_put_string(b, text != NULL ? text : "");
}

/* Ids are strings: JSON's numbers lose their last digits. */
static void debug_id(struct buf *b, const char *key, uint64_t id)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llx", (unsigned long long)id);
    debug_text(b, key, text);
}

static void debug_members(struct buf *b, const struct raft_membership *ms)
{
    say(b, ",\"members\":[");
    for (uint32_t i = 0; i < ms->n; i++) {
        uint8_t roles = ms->member[i].roles;
        say(b, i > 0 ? ",{" : "{");
        debug_id(b, "id", ms->member[i].id);
        debug_text(b, "role",
                   (roles & RAFT_WITNESS) ? "witness"
                   : (roles & RAFT_VOTER) ? "voter"
                                          : "learner");
        debug_number(b, "priority", ms->member[i].priority);
        say(b, "}");
    }
    say(b, "]");
}

void daemon_page_raft(struct rpc_call *call)
{
    struct daemon *d = etcd_api_owner(rpc_ctx(call));
    struct buf b;
    buf_init(&b);
    say(&b, "{");
    debug_text(&b, "name", d->config->settings->name);
    debug_id(&b, "id", d->config->id);
    debug_id(&b, "cluster", d->config->cluster);
    debug_text(&b, "ready", node_is_ready(d->node) ? "true" : "false");
    if (node_is_ready(d->node)) {
        struct raft_status s = node_status(d->node);
        debug_text(&b, "role", raft_role_name(s.role));
        debug_id(&b, "leader", s.leader);
        debug_id(&b, "vote", s.vote);
        debug_id(&b, "transferee", s.transferee);
        debug_number(&b, "term", s.term);
        debug_number(&b, "first", s.first);
        debug_number(&b, "last", s.last);
        debug_number(&b, "durable", s.durable);
        debug_number(&b, "committed", s.committed);
        debug_number(&b, "applied", node_applied(d->node));
        debug_number(&b, "snapshot", s.snapshot);
        debug_number(&b, "cached_bytes", s.cached_bytes);
        debug_number(&b, "uncommitted_bytes", s.uncommitted_bytes);
        debug_number(&b, "lineage", s.membership->lineage);
        debug_number(&b, "feature_level", store_feature_level(node_store(d->node)));
        debug_number(&b, "impaired", s.impaired ? 1 : 0);
        debug_number(&b, "stalled", s.stalled ? 1 : 0);
        debug_number(&b, "exposed", s.exposed ? 1 : 0);
        debug_number(&b, "installing", s.installing ? 1 : 0);
        debug_number(&b, "lacks_space", node_lacks_space(d->node) ? 1 : 0);
        debug_members(&b, s.membership);
    }
    say(&b, "}\n");
    rpc_page_send(call, 200, DEBUG_JSON, buf_view(&b));
    buf_deinit(&b);
}

void daemon_page_config(struct rpc_call *call)
{
    struct daemon *d = etcd_api_owner(rpc_ctx(call));
    const struct daemon_settings *s = d->config->settings;
    struct buf b;
    buf_init(&b);
    say(&b, "{");
    debug_text(&b, "name", s->name);
    debug_text(&b, "data_dir", s->data_dir);
    debug_text(&b, "cluster", s->cluster.name);
    debug_text(&b, "peer_listen", s->peer.listen);
    debug_text(&b, "peer_url", d->config->peer_url);
    debug_text(&b, "client_listen", s->client.listen);
    debug_text(&b, "timing", s->timing == DAEMON_TIMING_LAN ? "lan" : "stretch");
    debug_number(&b, "quota_mib", s->quota_mib);
    debug_text(&b, "tracing_endpoint", s->tracing.endpoint);
    debug_text(&b, "peer_tls", d->peer_tls != NULL ? "true" : "false");
    debug_text(&b, "client_tls", d->client_tls != NULL ? "true" : "false");
    say(&b, "}\n");
    rpc_page_send(call, 200, DEBUG_JSON, buf_view(&b));
    buf_deinit(&b);
}
