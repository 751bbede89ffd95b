/* What a node counts and how full it is, for metrics, pages and tests. */
#include <string.h>

#include "core/node/node_int.h"

static uint64_t figures_requests(const struct node_request *list)
{
    uint64_t count = 0;
    for (; list; list = list->next) {
        count++;
    }
    return count;
}

struct node_figures node_figures(const struct node *n)
{
    struct node_figures f = n->counted;
    const struct node_requests *q = &n->requests;
    f.requests_waiting =
        q->flight_count + figures_requests(q->urgent.first) + figures_requests(q->queued.first);
    for (const struct node_read *read = n->reads; read; read = read->next) {
        f.reads_waiting++;
    }
    for (const struct node_batch *batch = n->batches; batch; batch = batch->next) {
        f.batches_waiting++;
    }
    f.snapshot_bytes = n->snap_bytes;
    f.is_taking_snapshot = n->snap || n->snap_writer || n->snap_finishing;
    if (n->state == NODE_RUNNING) {
        struct raft_details details;
        node_raft_details(n, &details);
        f.is_installing = n->is_loading || details.fetching;
    }
    f.is_disputed = n->is_disputed;
    f.is_witness = n->is_witness;
    f.is_stopping = n->is_stopping;
    return f;
}

void node_raft_details(const struct node *n, struct raft_details *ret)
{
    CHECK(n->raft);
    raft_details_read(n->raft, world_now(n->world), ret);
}

static void figures_streams(const struct node *n, struct node_peer_figures *f)
{
    _Static_assert(COUNT_OF(f->is_in) == NODE_STREAM_KINDS, "one for each kind of stream");
    for (size_t i = 0; i < NODE_INCOMING_MAX; i++) {
        const struct node_incoming *in = &n->incoming[i];
        if (in->stream && in->peer == f->id) {
            f->is_in[in->kind] = true;
        }
    }
}

/* Of a member that this one leads; NULL where it does not. */
static const struct raft_progress *figures_progress(const struct node *n, node_id id)
{
    int slot = raft_membership_slot(raft_status(n->raft).membership, id);
    return slot < 0 ? NULL : raft_peer_progress(n->raft, (uint32_t)slot);
}

uint32_t node_peer_figures(const struct node *n, struct node_peer_figures ret[NODE_PEERS_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n->cfg.peer_count; i++) {
        const struct node_link *link = &n->links[i];
        if (!link->node) {
            continue;
        }
        struct node_peer_figures *f = &ret[count++];
        *f = (struct node_peer_figures){
            .id = link->peer,
            .at = link->at,
            .frames_sent = link->frames_sent,
            .frames_dropped = link->frames_dropped,
            .bytes_sent = link->bytes_sent,
            .bytes_received = link->bytes_received,
            .progress = n->state == NODE_RUNNING ? figures_progress(n, link->peer) : NULL,
        };
        for (int kind = 0; kind < NODE_STREAM_KINDS; kind++) {
            f->is_out[kind] = link->out[kind].is_open;
        }
        figures_streams(n, f);
    }
    return count;
}
