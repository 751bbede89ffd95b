/*
 * Taking snapshots while writes go on, a piece a turn, and serving them to peers in chunks.
 *
 * A snapshot is named by its index and term, the size of its file, and the hash of the state that
 * it holds: members that applied the same have the same bytes, and a fetch may go on at another
 * one.
 */
#include <string.h>

#include "core/base/hash.h"
#include "core/base/mutant.h"
#include "core/node/node_int.h"

struct raft_snapshot node_snapshot_name(const struct node *n, const struct store *store,
                                        raft_index index, raft_term term,
                                        const struct raft_membership *ms, uint64_t payload_bytes)
{
    const struct raft_member *own = raft_membership_lookup(ms, n->cfg.id);
    bool has_body = !own || !(own->roles & RAFT_WITNESS);
    return (struct raft_snapshot){.index = index,
                                  .term = term,
                                  .size = has_body ? snapfile_bytes(payload_bytes) : 0,
                                  .digest = has_body ? hash_u64(store_hash(store), index) : 0,
                                  .membership = *ms};
}

void node_snapshot_membership(const struct raft_snapshot *s, struct buf *b)
{
    struct raft_snapshot header = *s;
    header.size = 0; /* a file's bytes must not depend on its own size or digest */
    header.digest = 0;
    raft_snapshot_encode(&header, b);
}

/* --- taking ---------------------------------------------------------------------------------- */

static void snapshot_compact(struct node *n, uint64_t tail)
{
    if (raft_status(n->raft).installing) {
        return; /* Raft's log begins behind a snapshot that the log on the disk does not know yet */
    }
    raft_index to = u64_min(raft_compactable(n->raft, tail), wal_log(n->wal)->snapshot_index);
    enum err ignored = node_tell(n, (struct raft_event){.type = RAFT_EVENT_COMPACT, .index = to});
    (void)ignored;
    wal_compact(n->wal, to);
}

/* What was being read out of the store, and was not written yet, is forgotten. */
void node_snapshot_end(struct node *n)
{
    if (n->snap) {
        store_snapshot_end(n->snap);
        n->snap = NULL;
    }
    buf_clear(&n->snap_block);
    n->snap_put = 0;
    n->snap_ended = false;
}

/* While a member is fetching the one before, Raft holds on to that: then this waits. It also waits
 * while the log has not been given the last of its entries, which are applied before they are
 * written where the disk is slow: a marker beyond the log's end would make the log begin there, and
 * the entries, which still come, would not follow. */
void node_snapshot_tell(struct node *n)
{
    bool is_logged =
        wal_log(n->wal)->last_index >= n->snap_name.index || MUTANT(SNAPSHOT_AHEAD_OF_LOG);
    if (!n->snap_untold || !is_logged) {
        return;
    }
    n->snap_marked = n->snap_marked || node_persist_marker(n, &n->snap_name);
    struct raft_event e = {.type = RAFT_EVENT_SNAPSHOT_TAKEN, .snapshot = &n->snap_name};
    if (n->snap_marked && node_tell(n, e) == OK) {
        n->snap_untold = false;
        snapshot_compact(n, n->cfg.tail_entries);
    }
}

/* Damaged entries that are applied are in the state, and the peers may have compacted them away: a
 * snapshot of this node's own makes an end of them. */
void node_snapshot_cover_damage(struct node *n)
{
    raft_index from = raft_damaged_from(n->raft);
    if (from == 0 || from > n->applied) {
        return;
    }
    raft_index covered = u64_min(raft_status(n->raft).snapshot, wal_log(n->wal)->snapshot_index);
    if (covered >= from && !n->snap_untold && !n->is_loading) {
        snapshot_compact(n, 0);
    } else if (raft_status(n->raft).snapshot < from) {
        n->snap_forced = true;
    }
}

static void snapshot_on_done(void *ctx, enum err result)
{
    struct node *n = ctx;
    n->snap_writer = NULL;
    n->snap_finishing = false;
    if (n->state != NODE_RUNNING) {
        return;
    }
    /* A snapshot that could not be written is tried again later: the log that it would have
     * replaced is still there, and a full disk stays full for a while. */
    n->counted.snapshots_taken += result == OK;
    n->counted.snapshots_failed += result != OK;
    if (result != OK) {
        n->snap_retry = world_now(n->world) + NODE_SNAPSHOT_RETRY;
        n->applied_bytes = u64_max(n->applied_bytes, n->snap_bytes);
    } else {
        n->snap_lost = false;
        n->chunk_damaged = 0;
    }
    if (result == OK && n->snap_name.index > raft_status(n->raft).snapshot) {
        n->snap_untold = true;
        n->snap_marked = false;
        n->snap_bytes = n->snap_name.size;
        node_snapshot_tell(n);
    }
    node_pump(n);
}

/* Gives the writer what it takes of the present block; false where it must wait. */
static bool snapshot_feed(struct node *n)
{
    while (n->snap_put < n->snap_block.len) {
        size_t left = n->snap_block.len - n->snap_put;
        size_t len = left < SNAPFILE_BLOCK_PAYLOAD ? left : SNAPFILE_BLOCK_PAYLOAD;
        struct bytes piece = {n->snap_block.data + n->snap_put, len};
        if (snapfile_put(n->snap_writer, piece) != OK) {
            return false;
        }
        n->snap_put += len;
        n->snap_name.size += len; /* payload bytes, until the end */
    }
    buf_clear(&n->snap_block);
    n->snap_put = 0;
    return true;
}

static void snapshot_work(struct node *n)
{
    if (!n->snap || !snapshot_feed(n)) {
        return; /* the writer tells when it has room */
    }
    if (n->snap_ended) {
        node_snapshot_end(n);
        n->snap_name.size = n->snap_has_body ? snapfile_bytes(n->snap_name.size) : 0;
        n->snap_finishing = true;
        snapfile_finish(n->snap_writer, snapshot_on_done);
        return;
    }
    enum err e = store_snapshot_step(n->snap, NODE_SNAPSHOT_BUDGET, &n->snap_block);
    CHECK(e == OK || e == ERR_PENDING);
    n->snap_ended = e == OK;
    world_timer_set(n->world, &n->snap_turn, world_now(n->world));
}

static void snapshot_on_turn(struct world_timer *timer)
{
    struct node *n = timer->owner;
    if (n->state == NODE_RUNNING) {
        snapshot_work(n);
    }
}

static void snapshot_on_room(void *ctx)
{
    snapshot_on_turn(&((struct node *)ctx)->snap_turn);
}

/* Was enough applied since the newest snapshot? */
static bool snapshot_is_worth_it(const struct node *n, raft_index newest)
{
    const struct node_config *c = &n->cfg;
    uint64_t entries = u64_sub_sat(n->applied, newest);
    return entries >= c->snapshot_entries &&
           (n->applied_bytes >= n->snap_bytes || entries >= c->snapshot_entries_max);
}

void node_snapshot_if_due(struct node *n)
{
    struct raft_status status = raft_status(n->raft);
    bool busy = n->snap || n->snap_writer || n->snap_untold || n->is_loading || status.installing ||
                n->lineage_due != 0;
    bool due = snapshot_is_worth_it(n, status.snapshot) ||
               (n->snap_forced && n->applied > status.snapshot) ||
               (n->snap_lost && n->applied >= status.snapshot && n->applied > 0);
    /* Who was a witness and is no member any more has no state. So its next life begins before the
     * removal, too, and knows what it was. */
    bool is_member = raft_membership_lookup(status.membership, n->cfg.id) != NULL;
    bool has_state = n->is_witness ? is_member : store_applied_index(n->store) == n->applied;
    if (busy || !has_state || !due || world_now(n->world) < n->snap_retry) {
        return;
    }
    n->snap_forced = false;
    n->snap_name =
        node_snapshot_name(n, n->store, n->applied, n->applied_term, status.membership, 0);
    n->snap_has_body = n->snap_name.size > 0;
    n->snap_name.size = 0; /* counts payload bytes, until the end */
    struct buf membership;
    buf_init(&membership);
    node_snapshot_membership(&n->snap_name, &membership);
    n->snap_turn = (struct world_timer){.fire = snapshot_on_turn, .owner = n};
    n->applied_bytes = 0;
    n->snap = store_snapshot_begin(n->store);
    n->snap_writer = snapfile_create(&n->place, n->applied, n->applied_term, buf_view(&membership),
                                     snapshot_on_room, n);
    buf_deinit(&membership);
    world_timer_set(n->world, &n->snap_turn, world_now(n->world));
}

void node_snapshot_free(struct node *n)
{
    node_snapshot_end(n);
    while (n->chunk_reads) {
        struct node_chunk_read *read = n->chunk_reads;
        n->chunk_reads = read->next;
        mem_free(read->bytes);
        mem_free(read);
    }
}

/* --- serving --------------------------------------------------------------------------------- */

static void chunk_finish(struct node_chunk_read *read, enum err result)
{
    struct node *n = read->node;
    for (struct node_chunk_read **at = &n->chunk_reads; *at; at = &(*at)->next) {
        if (*at == read) {
            *at = read->next;
            break;
        }
    }
    if (n->state == NODE_RUNNING) {
        if (result != OK && read->chunk.snapshot == raft_status(n->raft).snapshot) {
            n->snap_forced = true; /* the state is in memory: it is written anew */
        }
        struct raft_event e = {.type = RAFT_EVENT_CHUNK_READ};
        e.chunk.peer = read->chunk.peer;
        e.chunk.snapshot = read->chunk.snapshot;
        e.chunk.offset = read->chunk.offset;
        e.chunk.data = (struct bytes){read->bytes, (size_t)read->chunk.len};
        e.chunk.error = result;
        enum err ignored = node_tell(n, e);
        (void)ignored;
        node_pump(n);
    }
    mem_free(read->bytes);
    mem_free(read);
}

static void chunk_on_closed(struct world_file_request *request)
{
    struct node_chunk_read *read = request->owner;
    chunk_finish(read, read->result);
}

static void chunk_on_read(struct world_file_request *request)
{
    struct node_chunk_read *read = request->owner;
    bool whole = request->result == OK && request->count == read->chunk.len &&
                 read->chunk.snapshot != read->node->chunk_damaged;
    read->result = whole ? OK : ERR_IO;
    request->op = WORLD_CLOSE;
    request->done = chunk_on_closed;
    world_submit(read->node->world, request);
}

static void chunk_on_opened(struct world_file_request *request)
{
    struct node_chunk_read *read = request->owner;
    if (request->result != OK) {
        chunk_finish(read, request->result);
        return;
    }
    request->op = WORLD_READ;
    request->buffer = read->bytes;
    request->length = read->chunk.len;
    request->offset = read->chunk.offset;
    request->done = chunk_on_read;
    world_submit(read->node->world, request);
}

static void chunk_on_checked(void *ctx, const struct snapfile_found *found)
{
    struct node *n = ctx;
    n->chunk_checking = false;
    bool is_newest = n->state == NODE_RUNNING && n->chunk_asked == raft_status(n->raft).snapshot;
    if (found->result == OK || !is_newest) {
        return;
    }
    n->chunk_damaged = n->chunk_asked;
    n->snap_lost = true;
    node_pump(n);
}

/* Who has come further, and asks for a snapshot from its beginning, may have found it damaged. No
 * scrub need have come by here: it is read. */
static void chunk_suspect(struct node *n, const struct raft_chunk *chunk)
{
    if (chunk->snapshot != raft_status(n->raft).snapshot || n->chunk_checking) {
        return;
    }
    bool is_same = chunk->snapshot == n->chunk_asked && chunk->peer == n->chunk_asked_by;
    if (is_same && n->chunk_went_on && chunk->offset == 0) {
        n->chunk_checking = true;
        const struct snapfile_sink sink = {.ctx = n, .done = chunk_on_checked};
        snapfile_load_one(&n->place, chunk->snapshot, chunk->snapshot_term, &sink);
    }
    n->chunk_asked = chunk->snapshot;
    n->chunk_asked_by = chunk->peer;
    n->chunk_went_on = chunk->offset > 0 || chunk->len == chunk->size;
}

void node_serve_chunks(struct node *n, const struct raft_update *u)
{
    for (uint32_t i = 0; i < u->chunk_read_count; i++) {
        struct node_chunk_read *read = mem_alloc_zero(sizeof(*read));
        read->node = n;
        read->chunk = u->chunk_reads[i];
        chunk_suspect(n, &read->chunk);
        read->bytes = mem_alloc((size_t)read->chunk.len);
        snapfile_path(n->snap_dir, read->chunk.snapshot, read->chunk.snapshot_term, ".snap",
                      read->path);
        read->request = (struct world_file_request){.op = WORLD_OPEN,
                                                    .lane = WORLD_LANE_BULK,
                                                    .path = read->path,
                                                    .done = chunk_on_opened,
                                                    .owner = read};
        read->next = n->chunk_reads;
        n->chunk_reads = read;
        world_submit(n->world, &read->request);
    }
}
