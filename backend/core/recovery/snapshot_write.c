/* Writes a snapshot, block by block. */
#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/recovery/snapshot_file.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/recovery/snapshot_int.h"

struct slot {
    struct world_file_request request;
    uint8_t bytes[SNAPFILE_BLOCK_BYTES];
};

struct snapfile_writer {
    struct snapfile_task task;
    struct snapfile_place place;
    struct snapfile_meta meta;
    struct buf membership;
    struct snapfile_dir dir;
    struct snapfile_seal seal;
    struct world_file_request request;
    char path[WORLD_PATH_MAX_BYTES];
    uint8_t header[SNAPFILE_HEADER_BYTES];
    uint8_t trailer[SNAPFILE_TRAILER_BYTES];

    /* A ring of blocks: `full` of them from `first` on are complete, of which the first `writing`
     * are on their way; the one behind them is being filled. */
    struct slot slots[SNAPFILE_BUFFERS];
    uint32_t first;
    uint32_t full;
    uint32_t writing;
    size_t filled;
    uint32_t blocks;
    uint64_t digest;
    uint64_t offset;

    bool is_open;
    bool is_stuck; /* it could not be opened */
    bool is_ending;
    bool wants_room;
    enum err error; /* the first */
    void (*room)(void *ctx);
    void *ctx;
    void (*done)(void *ctx, enum err result);
};

static void writer_free(struct snapfile_writer *w)
{
    snapfile_task_end(&w->task);
    buf_deinit(&w->membership);
    mem_free(w);
}

static void writer_forget(struct snapfile_task *task)
{
    writer_free((struct snapfile_writer *)task);
}

static void writer_ends(void *owner, enum err result)
{
    struct snapfile_writer *w = owner;
    void (*done)(void *, enum err) = w->done;
    void *ctx = w->ctx;

    writer_free(w);
    if (done != NULL) {
        done(ctx, result);
    }
}

static void writer_removed(struct world_file_request *request)
{
    struct snapfile_writer *w = request->owner;
    writer_ends(w, w->error);
}

static void writer_closed(struct world_file_request *request)
{
    struct snapfile_writer *w = request->owner;
    request->path = w->path;
    snapfile_submit(&w->place, request, WORLD_UNLINK, writer_removed, w);
}

/* The file will not be whole: removes it. */
static void writer_discard(struct snapfile_writer *w)
{
    PROBE(SNAPSHOT_DISCARDED);
    if (w->is_open) {
        snapfile_submit(&w->place, &w->request, WORLD_CLOSE, writer_closed, w);
    } else {
        writer_closed(&w->request);
    }
}

/* A write came back. */
static void writer_note(struct snapfile_writer *w, enum err result)
{
    bool is_ignored = result == ERR_NO_SPACE && MUTANT(NO_SPACE_IGNORED);
    w->error = w->error != OK || is_ignored ? w->error : result;
}

static void header_written(struct world_file_request *request)
{
    struct snapfile_writer *w = request->owner;

    writer_note(w, request->result);
    if (w->error != OK) {
        writer_discard(w);
        return;
    }
    w->seal = (struct snapfile_seal){
        .place = &w->place,
        .fd = request->fd,
        .index = w->meta.index,
        .term = w->meta.term,
        .suffix = SNAPFILE_SUFFIX_TEMPORARY,
        .then = writer_ends,
        .owner = w,
    };
    snapfile_seal_run(&w->seal);
}

static void trailer_written(struct world_file_request *request)
{
    struct snapfile_writer *w = request->owner;

    writer_note(w, request->result);
    snapfile_header_encode(&w->meta, w->header);
    request->buffer = w->header;
    request->offset = 0;
    request->length = SNAPFILE_HEADER_BYTES;
    snapfile_submit(&w->place, request, WORLD_WRITE, header_written, w);
}

/* The header goes last: it is what makes the file a snapshot. */
static void write_ends(struct snapfile_writer *w)
{
    if (w->error != OK) {
        writer_discard(w);
        return;
    }
    snapfile_trailer_encode(&w->meta, w->digest, w->trailer);
    w->request.buffer = w->trailer;
    w->request.offset = w->offset;
    w->request.length = SNAPFILE_TRAILER_BYTES;
    snapfile_submit(&w->place, &w->request, WORLD_WRITE, trailer_written, w);
}

static void writer_pump(struct snapfile_writer *w);

static void block_written(struct world_file_request *request)
{
    struct snapfile_writer *w = request->owner;

    writer_note(w, request->result);
    w->first = (w->first + 1) % SNAPFILE_BUFFERS;
    w->full--;
    w->writing--;
    bool tells_room = w->wants_room && !w->is_ending;
    w->wants_room = false;
    writer_pump(w);
    if (tells_room && w->room != NULL) {
        w->room(w->ctx);
    }
}

static void writer_pump(struct snapfile_writer *w)
{
    if (!w->is_open && !w->is_stuck) {
        return;
    }
    while (w->writing < w->full && w->error == OK) {
        struct slot *slot = &w->slots[(w->first + w->writing) % SNAPFILE_BUFFERS];
        w->writing++;
        slot->request.fd = w->request.fd;
        snapfile_submit(&w->place, &slot->request, WORLD_WRITE, block_written, w);
    }
    if (w->is_ending && w->writing == 0) {
        write_ends(w);
    }
}

static void writer_opened(struct world_file_request *request)
{
    struct snapfile_writer *w = request->owner;

    w->is_open = request->result == OK;
    w->is_stuck = !w->is_open;
    w->error = w->error != OK ? w->error : request->result;
    writer_pump(w);
}

static void writer_remains_removed(struct world_file_request *request)
{
    struct snapfile_writer *w = request->owner;
    request->flags = WORLD_OPEN_CREATE;
    snapfile_submit(&w->place, request, WORLD_OPEN, writer_opened, w);
}

static void writer_has_dir(void *owner, enum err result)
{
    struct snapfile_writer *w = owner;

    if (result != OK) {
        w->is_stuck = true;
        w->error = w->error != OK ? w->error : result;
        writer_pump(w);
        return;
    }
    w->request.path = w->path;
    snapfile_submit(&w->place, &w->request, WORLD_UNLINK, writer_remains_removed, w);
}

struct snapfile_writer *snapfile_create(const struct snapfile_place *place, uint64_t index,
                                        uint64_t term, struct bytes membership,
                                        void (*room)(void *ctx), void *ctx)
{
    CHECK(index > 0 && membership.len <= SNAPFILE_MEMBERSHIP_MAX_BYTES);
    struct snapfile_writer *w = mem_alloc_zero(sizeof *w);
    snapfile_task_begin(&w->task, place, writer_forget);
    w->place = *place;
    buf_init(&w->membership);
    buf_put(&w->membership, membership.data, membership.len);
    w->meta = (struct snapfile_meta){place->cluster, index, term, buf_view(&w->membership), 0};
    w->offset = SNAPFILE_HEADER_BYTES;
    w->room = room;
    w->ctx = ctx;
    snapfile_path(w->place.dir, index, term, SNAPFILE_SUFFIX_TEMPORARY, w->path);
    w->dir = (struct snapfile_dir){.place = &w->place, .then = writer_has_dir, .owner = w};
    snapfile_dir_make(&w->dir);
    return w;
}

/* The block that is being filled is complete. */
static void complete_block(struct snapfile_writer *w)
{
    struct slot *slot = &w->slots[(w->first + w->full) % SNAPFILE_BUFFERS];

    w->digest = snapfile_block_seal(slot->bytes, w->filled, w->blocks++, w->digest);
    slot->request.buffer = slot->bytes;
    slot->request.offset = w->offset;
    slot->request.length = w->filled + SNAPFILE_BLOCK_TRAILER;
    w->offset += slot->request.length;
    w->filled = 0;
    w->full++;
}

enum err snapfile_put(struct snapfile_writer *w, struct bytes payload)
{
    CHECK(payload.len <= SNAPFILE_BLOCK_PAYLOAD && !w->is_ending);
    if (w->error != OK) {
        return OK; /* finish tells */
    }
    size_t room = w->full == SNAPFILE_BUFFERS
                      ? 0
                      : SNAPFILE_BLOCK_PAYLOAD * (size_t)(SNAPFILE_BUFFERS - w->full) - w->filled;
    if (payload.len > room) {
        w->wants_room = true;
        return ERR_BUSY;
    }
    w->meta.payload_bytes += payload.len;
    while (payload.len > 0) {
        struct slot *slot = &w->slots[(w->first + w->full) % SNAPFILE_BUFFERS];
        size_t part = (size_t)u64_min(payload.len, SNAPFILE_BLOCK_PAYLOAD - w->filled);
        memcpy(slot->bytes + w->filled, payload.data, part);
        w->filled += part;
        payload = (struct bytes){payload.data + part, payload.len - part};
        if (w->filled == SNAPFILE_BLOCK_PAYLOAD) {
            complete_block(w);
        }
    }
    writer_pump(w);
    return OK;
}

void snapfile_finish(struct snapfile_writer *w, void (*done)(void *ctx, enum err result))
{
    CHECK(!w->is_ending);
    w->done = done;
    if (w->filled > 0 && w->error == OK) {
        complete_block(w);
    }
    w->is_ending = true;
    writer_pump(w);
}

void snapfile_abort(struct snapfile_writer *w)
{
    w->error = w->error != OK ? w->error : ERR_CANCELED;
    w->full = w->writing;
    w->filled = 0;
    w->done = NULL;
    w->is_ending = true;
    writer_pump(w);
}
