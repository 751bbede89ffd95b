/*
 * What a node does besides answering: frees what compaction left in the store, ends leases that are
 * due, reads its disk for damage, and tells the log what Raft can vouch for again.
 */
#include <string.h>

#include "core/node/node_int.h"

/* --- leases ---------------------------------------------------------------------------------- */

/* etcd's LeaseRevokeRequest: field 1, a varint, is the lease (docs/formats/payload-envelope.md). */
enum { UPKEEP_LEASE_ID = 0x08 };

/* A request of the node's own. */
struct upkeep_request {
    struct node_request request;
    struct node *node;
    struct buf body;
};

static void upkeep_on_done(struct node_request *request)
{
    struct upkeep_request *u = request->owner;
    buf_deinit(&u->body);
    mem_free(u);
}

/* The leader proposes the end of each lease that is due; the entry names its term, so that it has
 * no effect once another leads and has armed the lease anew. */
static void upkeep_expire_leases(struct node *n)
{
    int64_t ids[NODE_LEASES_AT_ONCE];
    size_t due = store_lease_due(n->store, world_now(n->world), ids, COUNT_OF(ids));
    for (size_t i = 0; i < due; i++) {
        struct upkeep_request *u = mem_alloc_zero(sizeof(*u));
        buf_init(&u->body);
        buf_put_u8(&u->body, UPKEEP_LEASE_ID);
        buf_put_varint(&u->body, (uint64_t)ids[i]);
        u->request.kind = STORE_KIND_LEASE_EXPIRE;
        u->request.body = buf_view(&u->body);
        u->request.done = upkeep_on_done;
        u->request.owner = u;
        if (node_propose(n, &u->request) != OK) {
            upkeep_on_done(&u->request); /* the store tells of it again when it is re-armed */
        }
    }
}

/* --- the feature level ----------------------------------------------------------------------- */

static void upkeep_on_raised(struct node_request *request)
{
    struct upkeep_request *u = request->owner;
    u->node->is_raising = false;
    upkeep_on_done(request);
}

/* The highest level that the programs of all members know; 0: one did not say yet. */
static uint16_t upkeep_common_level(const struct node *n)
{
    const struct raft_membership *ms = raft_status(n->raft).membership;
    uint16_t common = n->cfg.program_level;
    for (uint32_t i = 0; i < ms->n; i++) {
        if (ms->member[i].id != n->cfg.id) {
            uint16_t level = node_link_level(n, ms->member[i].id);
            common = level < common ? level : common;
        }
    }
    return common;
}

/* Nobody need say that an upgrade is over: the leader sees it. From the moment on at which the
 * level is applied, entries may need it, and a program that does not know it can only halt. */
static void upkeep_raise_level(struct node *n)
{
    uint16_t now = store_feature_level(n->store);
    if (now >= n->cfg.program_level || n->is_raising) {
        return;
    }
    uint16_t level = upkeep_common_level(n);
    if (level <= now) {
        return;
    }
    struct upkeep_request *u = mem_alloc_zero(sizeof(*u));
    u->node = n;
    buf_init(&u->body);
    buf_put_u64(&u->body, level);
    u->request.kind = STORE_KIND_FEATURE_LEVEL;
    u->request.body = buf_view(&u->body);
    u->request.done = upkeep_on_raised;
    u->request.owner = u;
    n->is_raising = true;
    if (node_propose(n, &u->request) != OK) {
        upkeep_on_raised(&u->request); /* with the next tick */
    }
}

/* --- the disk -------------------------------------------------------------------------------- */

static void upkeep_on_log_damage(void *ctx, const struct wal_spot *spot, uint64_t lo, uint64_t hi)
{
    struct node *n = ctx;
    (void)spot;
    if (n->state != NODE_RUNNING) {
        return;
    }
    if (lo > hi) {
        /* Nothing is lost while what it said is in memory. But if it was the end of the log, the
         * next start could not tell what was promised there: the log has to go on behind it. */
        node_upkeep_repaired(n);
    } else {
        struct raft_event e = {.type = RAFT_EVENT_DAMAGED, .damaged = {lo, hi}};
        enum err ignored = node_tell(n, e);
        (void)ignored;
    }
    node_pump(n);
}

static void upkeep_on_snapshot_damage(void *ctx, uint64_t index, uint64_t term)
{
    struct node *n = ctx;
    (void)term;
    if (n->state != NODE_RUNNING) {
        return;
    }
    /* The state is in memory: a new one takes its place. */
    n->snap_forced = true;
    n->snap_lost = n->snap_lost || index >= raft_status(n->raft).snapshot;
    node_pump(n);
}

static void upkeep_on_pass(void *ctx, uint64_t bytes)
{
    struct node *n = ctx;
    n->counted.scrub_passes++;
    n->counted.scrub_bytes += bytes;
}

/* Raft vouches for the whole log again: what the log doubted, it may forget. Not if more damage was
 * found meanwhile: then Raft says so once more. */
void node_upkeep_repaired(struct node *n)
{
    n->heal_due = !raft_status(n->raft).impaired;
    if (!n->heal_due) {
        return;
    }
    struct wal_append heal = {.seq = n->wal_seq + 1, .heal_lo = 1, .heal_hi = WAL_INDEX_OPEN};
    if (wal_append(n->wal, &heal) == OK) {
        n->wal_seq++;
        n->heal_due = false; /* otherwise it is tried again at the next tick */
    }
}

/* --- time ------------------------------------------------------------------------------------ */

void node_upkeep(struct node *n)
{
    if (n->heal_due) {
        node_upkeep_repaired(n);
    }
    node_snapshot_cover_damage(n);
    if (raft_status(n->raft).role == RAFT_LEADER) {
        upkeep_expire_leases(n);
        upkeep_raise_level(n);
    }
    if (store_work(n->store, NODE_WORK_BUDGET)) {
        world_timer_set(n->world, &n->tick, world_now(n->world));
    }
}

nanos node_upkeep_deadline(const struct node *n)
{
    bool leads = raft_status(n->raft).role == RAFT_LEADER;
    return leads ? store_lease_next_due(n->store) : NANOS_FOREVER;
}

void node_upkeep_begin(struct node *n)
{
    if (n->cfg.scrub_bytes_per_s == 0) {
        return;
    }
    struct scrub_config config = {.bytes_per_second = n->cfg.scrub_bytes_per_s,
                                  .pause = n->cfg.scrub_pause};
    struct scrub_events events = {.ctx = n,
                                  .log_damage = upkeep_on_log_damage,
                                  .snapshot_damage = upkeep_on_snapshot_damage,
                                  .pass = upkeep_on_pass};
    n->scrub = scrub_new(n->wal, &n->place, &config, &events);
}

void node_upkeep_free(struct node *n)
{
    if (n->scrub) {
        scrub_free(n->scrub);
    }
}
