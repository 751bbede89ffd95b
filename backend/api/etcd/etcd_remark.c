/*
 * What a member without a quorum says beside its answers, where etcd's clients look for nothing:
 *
 *     novacron-stale: true
 *     novacron-reason: no leader; 1 of 3 voters reachable, not node-2, node-3
 *
 * The first: this was read from what the member has applied, and no leader is known: others may
 * have gone on without it. The second: why a call was refused, or its time passed; the error itself
 * keeps etcd's text, which clients compare.
 */
#include <stdio.h>
#include <string.h>

#include "api/etcd/etcd_int.h"

void etcd_remark_stale(const struct etcd_api *api, struct rpc_call *call)
{
    if (call && api->leader == NODE_NONE) {
        rpc_set_remark(call, "novacron-stale", "true");
    }
}

/* Streams of the log in both directions, or this member itself. */
static bool is_reachable(const struct etcd_api *api, node_id id,
                         const struct node_peer_figures *peers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (peers[i].id == id) {
            return peers[i].is_out[0] && peers[i].is_in[0];
        }
    }
    return id == api->cfg.member;
}

static void reason_put(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

static void reason_put_member(struct buf *b, const struct store *store, node_id id)
{
    struct store_member_view m;
    char hex[20];
    if (store && store_member_find(store, id, &m) && m.name.len > 0) {
        for (size_t i = 0; i < m.name.len; i++) {
            uint8_t c = m.name.data[i];
            buf_put_u8(b, c > ' ' && c <= '~' && c != '"' && c != '\\' ? c : '?');
        }
    } else {
        (void)snprintf(hex, sizeof(hex), "%llx", (unsigned long long)id);
        reason_put(b, hex);
    }
}

void etcd_reason(const struct etcd_api *api, struct buf *b)
{
    struct node_peer_figures peers[NODE_PEERS_MAX];
    if (!api->node || !node_is_ready(api->node)) {
        reason_put(b, "this member is not ready");
        return;
    }
    uint32_t count = node_peer_figures(api->node, peers), voters = 0, reached = 0;
    const struct store *store = node_store(api->node);
    const struct raft_membership *ms = node_status(api->node).membership;
    struct buf missing;
    buf_init(&missing);
    for (uint32_t i = 0; i < ms->n; i++) {
        if (!raft_member_votes(&ms->member[i])) {
            continue;
        }
        voters++;
        if (is_reachable(api, ms->member[i].id, peers, count)) {
            reached++;
        } else {
            reason_put(&missing, missing.len == 0 ? ", not " : ", ");
            reason_put_member(&missing, store, ms->member[i].id);
        }
    }
    char text[64];
    (void)snprintf(text, sizeof(text), "%s; %u of %u voters reachable",
                   api->leader == NODE_NONE ? "no leader" : "no answer in time", reached, voters);
    reason_put(b, text);
    buf_put(b, missing.data, missing.len);
    buf_deinit(&missing);
}

void etcd_remark_reason(const struct etcd_api *api, struct rpc_call *call, enum etcd_error e)
{
    bool wants_quorum = e == ETCD_NO_LEADER || e == ETCD_LEADER_CHANGED || e == ETCD_TIMEOUT ||
                        e == ETCD_TIMEOUT_LEADER;
    if (!wants_quorum) {
        return;
    }
    struct buf b;
    buf_init(&b);
    etcd_reason(api, &b);
    buf_put(&b, "", 1);
    rpc_set_remark(call, "novacron-reason", (const char *)b.data);
    buf_deinit(&b);
}

void etcd_refuse(struct etcd_api *api, struct rpc_call *call, enum etcd_error e)
{
    etcd_remark_reason(api, call, e);
    rpc_finish(call, etcd_error_code(e), etcd_error_text(e));
}
