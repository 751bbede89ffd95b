/* Fetching a snapshot piece by piece, and putting it in the place of the store. */
#include <string.h>

#include "core/base/probe.h"
#include "core/node/node_int.h"

/* --- pieces from a peer ---------------------------------------------------------------------- */

static void install_tell(struct node *n, uint64_t offset, enum err error)
{
    if (n->state != NODE_RUNNING) {
        return;
    }
    struct raft_event e = {.type = RAFT_EVENT_CHUNK_WRITTEN};
    e.chunk.snapshot = n->install_index;
    e.chunk.offset = offset;
    e.chunk.error = error;
    enum err ignored = node_tell(n, e);
    (void)ignored;
    node_pump(n);
}

static void install_drop_pieces(struct node *n)
{
    while (n->pieces) {
        struct node_piece *piece = n->pieces;
        n->pieces = piece->next;
        mem_free(piece);
    }
    n->pieces_end = &n->pieces;
}

static void install_next_piece(struct node *n);

static void install_begin(struct node *n, uint64_t index, uint64_t term);

/* Another snapshot was asked for while the file of this one was busy: what it says is of no use,
 * and that one's turn has come. */
static bool install_given_up(struct node *n, bool is_whole)
{
    if (n->install_index != 0) {
        return false;
    }
    PROBE(NODE_INSTALL_GIVEN_UP);
    if (!is_whole) {
        snapfile_install_close(n->installer);
    }
    n->installer = NULL;
    install_drop_pieces(n);
    if (n->install_next != 0 && n->state == NODE_RUNNING) {
        install_begin(n, n->install_next, n->install_next_term);
    }
    return true;
}

static void install_on_put(void *ctx, enum err result, uint64_t offset)
{
    struct node *n = ctx;
    n->install_busy = false;
    if (install_given_up(n, result == ERR_EXISTS)) {
        return;
    }
    struct node_piece *piece = n->pieces;
    if (piece) {
        n->pieces = piece->next;
        n->pieces_end = n->pieces ? n->pieces_end : &n->pieces;
        mem_free(piece);
    }
    if (result == ERR_EXISTS) {
        n->installer = NULL; /* that was the last: the file is whole and durable */
    } else if (result != OK) {
        install_drop_pieces(n);
    }
    install_tell(n, offset, result == ERR_EXISTS ? OK : result);
    install_next_piece(n);
}

static void install_next_piece(struct node *n)
{
    if (n->install_busy || !n->pieces || !n->installer || n->state != NODE_RUNNING) {
        return;
    }
    n->install_busy = true;
    snapfile_install_put(n->installer, (struct bytes){n->pieces->bytes, n->pieces->len},
                         install_on_put);
}

static void install_on_ready(void *ctx, uint64_t offset)
{
    struct node *n = ctx;
    n->install_busy = false;
    if (install_given_up(n, false)) {
        return;
    }
    install_tell(n, offset, OK);
    install_next_piece(n);
}

static void install_begin(struct node *n, uint64_t index, uint64_t term)
{
    n->install_index = index;
    n->install_next = 0;
    n->install_busy = true;
    n->installer = snapfile_install(&n->place, index, term, install_on_ready, n);
}

static void install_open(struct node *n, const struct raft_chunk *chunk)
{
    if (n->installer && !n->install_busy) {
        snapfile_install_close(n->installer);
        n->installer = NULL;
    }
    install_drop_pieces(n);
    if (!n->installer) {
        install_begin(n, chunk->snapshot, chunk->snapshot_term);
        return;
    }
    /* A piece is under way. The core waits to be told that this one is open, and does not ask
     * twice. */
    n->install_index = 0;
    n->install_next = chunk->snapshot;
    n->install_next_term = chunk->snapshot_term;
}

void node_receive_chunks(struct node *n, const struct raft_update *u)
{
    for (uint32_t i = 0; i < u->chunk_write_count; i++) {
        const struct raft_chunk *chunk = &u->chunk_writes[i];
        if (chunk->len == 0) {
            install_open(n, chunk);
            continue;
        }
        if (chunk->snapshot != n->install_index) {
            continue;
        }
        struct node_piece *piece = mem_alloc(sizeof(*piece) + chunk->data.len);
        piece->next = NULL;
        piece->offset = chunk->offset;
        piece->len = chunk->data.len;
        memcpy(piece->bytes, chunk->data.data, chunk->data.len);
        *n->pieces_end = piece;
        n->pieces_end = &piece->next;
    }
    install_next_piece(n);
}

/* --- into the store -------------------------------------------------------------------------- */

static void install_replace_store(struct node *n, struct store *store,
                                  const struct raft_snapshot *s)
{
    if (n->events.store_leaves) {
        n->events.store_leaves(n->events.ctx);
    }
    n->has_applied = true;
    store_streams_move(n->store, store);
    store_close(n->store);
    n->store = store;
    n->applied = s->index;
    n->applied_term = s->term;
}

static struct node_batch *install_batch(struct node *n)
{
    struct node_batch *b = n->batches;
    while (b && b->state != BATCH_WAITS_INSTALL) {
        b = b->next;
    }
    return b;
}

/* The store holds the snapshot: the batch goes on to the log. */
static void install_finish(struct node *n, struct store *store)
{
    struct node_batch *b = install_batch(n);
    CHECK(b);
    install_replace_store(n, store, &b->install);
    n->counted.snapshots_installed++;
    n->is_loading = false;
    b->state = BATCH_WAITS_LOG;
    node_persist_retry(n);
    node_persist_complete(n);
    node_pump(n);
}

static void install_on_begin(void *ctx, const struct snapfile_meta *meta)
{
    struct node *n = ctx;
    (void)meta;
    if (n->restore) {
        store_restore_abort(n->restore);
    }
    n->restore = node_restore_begin(n);
}

static void install_on_payload(void *ctx, uint64_t offset, struct bytes payload)
{
    struct node *n = ctx;
    (void)offset;
    if (n->restore && store_restore_feed(n->restore, payload) != OK) {
        store_restore_abort(n->restore);
        n->restore = NULL;
    }
}

static void install_on_loaded(void *ctx, const struct snapfile_found *found)
{
    struct node *n = ctx;
    const struct node_batch *b = install_batch(n);
    struct store *store = NULL;
    bool good = n->restore && store_restore_finish(n->restore, &store) == OK;
    if (good) {
        n->restore = NULL;
    }
    if (!b || n->state != NODE_RUNNING) {
        return;
    }
    bool right =
        good && found->result == OK && found->meta.index == b->install.index &&
        found->meta.term == b->install.term &&
        node_snapshot_name(n, store, b->install.index, b->install.term, &b->install.membership, 0)
                .digest == b->install.digest;
    if (!right) {
        if (store) {
            store_close(store);
        }
        node_halt(n, ERR_CORRUPT, "a snapshot that was just received cannot be read back");
        return;
    }
    install_finish(n, store);
}

/* --- a name alone ---------------------------------------------------------------------------- */

/* A snapshot without a body: a witness's. It is kept all the same, as a file with an empty store:
 * the log begins behind it, and without the file the next start would miss what lies before. */

static void install_on_name_written(void *ctx, enum err result)
{
    struct node *n = ctx;
    n->name_writer = NULL;
    if (n->state != NODE_RUNNING) {
        return;
    }
    if (result != OK) {
        n->name_retry = world_now(n->world) + NODE_SNAPSHOT_RETRY;
        return;
    }
    struct store *store = n->name_store;
    n->name_store = NULL;
    install_finish(n, store);
}

static void install_put_name(void *ctx)
{
    struct node *n = ctx;
    while (n->name_put < n->name_bytes.len) {
        size_t left = n->name_bytes.len - n->name_put;
        size_t len = left < SNAPFILE_BLOCK_PAYLOAD ? left : SNAPFILE_BLOCK_PAYLOAD;
        struct bytes piece = {n->name_bytes.data + n->name_put, len};
        if (snapfile_put(n->name_writer, piece) != OK) {
            return; /* called again when there is room */
        }
        n->name_put += len;
    }
    snapfile_finish(n->name_writer, install_on_name_written);
}

static void install_write_name(struct node *n)
{
    const struct node_batch *b = install_batch(n);
    CHECK(b && !n->name_writer);
    n->name_retry = 0;
    n->name_put = 0;
    struct buf membership;
    buf_init(&membership);
    node_snapshot_membership(&b->install, &membership);
    n->name_writer = snapfile_create(&n->place, b->install.index, b->install.term,
                                     buf_view(&membership), install_put_name, n);
    buf_deinit(&membership);
    install_put_name(n);
}

static void install_name(struct node *n)
{
    n->name_store = store_open(n->cfg.feature_level);
    buf_clear(&n->name_bytes);
    struct store_snapshot *snap = store_snapshot_begin(n->name_store);
    while (store_snapshot_step(snap, NODE_SNAPSHOT_BUDGET, &n->name_bytes) == ERR_PENDING) {
    }
    store_snapshot_end(snap);
    install_write_name(n);
}

void node_install_retry(struct node *n)
{
    if (n->name_retry != 0 && world_now(n->world) >= n->name_retry) {
        install_write_name(n);
    }
}

/* --- one to be installed --------------------------------------------------------------------- */

void node_install(struct node *n, const struct raft_snapshot *s)
{
    n->is_loading = true;
    if (n->snap_writer && !n->snap_finishing) {
        snapfile_abort(n->snap_writer);
        PROBE(NODE_SNAPSHOT_ABORTED);
        n->snap_writer = NULL;
    }
    node_snapshot_end(n);
    n->snap_untold = false; /* what is being installed covers it */
    if (s->size == 0) {
        install_name(n);
        return;
    }
    struct snapfile_sink sink = {.ctx = n,
                                 .begin = install_on_begin,
                                 .payload = install_on_payload,
                                 .done = install_on_loaded};
    /* Not the newest: that may be of a fetch which was begun, and given up for this one. */
    snapfile_load_one(&n->place, s->index, s->term, &sink);
}

void node_install_free(struct node *n)
{
    install_drop_pieces(n);
    if (n->restore) {
        store_restore_abort(n->restore);
        n->restore = NULL;
    }
    if (n->name_store) {
        store_close(n->name_store);
        n->name_store = NULL;
    }
    buf_deinit(&n->name_bytes);
}
