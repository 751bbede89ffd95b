/* Receives a snapshot file from a peer, piece by piece, across restarts. */
#include "core/base/probe.h"
#include "core/recovery/snapshot_file.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/recovery/snapshot_int.h"

/* What of a part is read at once when its transfer goes on. */
#define RESUME_BYTES (256 * 1024)

struct snapfile_installer {
    struct snapfile_task task;
    struct snapfile_place place;
    uint64_t index;
    uint64_t term;
    struct snapfile_check check;
    struct snapfile_dir dir;
    struct snapfile_seal seal;
    struct world_file_request request;
    char path[WORLD_PATH_MAX_BYTES];
    struct buf bytes;  /* what is being written, or read back */
    uint64_t offset;   /* of the file: everything before it was written and fed to the check */
    uint64_t old_size; /* while what is there is read back */
    enum err error;    /* the file cannot be used at all */
    enum err refusal;  /* of the bytes that were put, behind those that are being written */
    enum err failure;  /* of a write: what is there is read back before the put ends */
    bool is_busy;
    void (*ready)(void *ctx, uint64_t offset);
    void (*done)(void *ctx, enum err result, uint64_t offset);
    void *ctx;
};

static void installer_free(struct snapfile_installer *i)
{
    snapfile_task_end(&i->task);
    snapfile_check_deinit(&i->check);
    buf_deinit(&i->bytes);
    mem_free(i);
}

static void installer_forget(struct snapfile_task *task)
{
    installer_free((struct snapfile_installer *)task);
}

/* What follows the last whole unit is not trusted: it will be written again. */
static void back_to_verified(struct snapfile_installer *i)
{
    snapfile_check_rewind(&i->check);
    i->offset = i->check.verified;
}

static void installer_is_ready(struct snapfile_installer *i)
{
    enum err failure = i->failure;

    back_to_verified(i);
    i->is_busy = false;
    i->failure = OK;
    if (failure != OK) {
        i->done(i->ctx, failure, i->offset);
    } else {
        i->ready(i->ctx, i->offset);
    }
}

/* Nothing of the file counts as verified. */
static void check_again(struct snapfile_installer *i)
{
    snapfile_check_deinit(&i->check);
    snapfile_check_init(&i->check);
    i->offset = 0;
}

static void part_cut(struct world_file_request *request)
{
    struct snapfile_installer *i = request->owner;
    i->error = i->error != OK ? i->error : request->result;
    installer_is_ready(i);
}

static void resume_on(struct snapfile_installer *i);

static void resume_read(struct world_file_request *request)
{
    struct snapfile_installer *i = request->owner;
    struct bytes got = {i->bytes.data, (size_t)request->count};

    bool is_good =
        request->result == OK && got.len > 0 && snapfile_check_feed(&i->check, got) == OK;
    i->offset += got.len;
    if (!is_good) {
        i->offset = i->old_size;
    }
    resume_on(i);
}

/* Reads back what an earlier transfer left, up to the first unit that is not whole. */
static void resume_on(struct snapfile_installer *i)
{
    if (i->offset < i->old_size && !snapfile_check_is_done(&i->check)) {
        i->request.offset = i->offset;
        i->request.length = u64_min(RESUME_BYTES, i->old_size - i->offset);
        buf_clear(&i->bytes);
        i->request.buffer = buf_extend(&i->bytes, RESUME_BYTES);
        snapfile_submit(&i->place, &i->request, WORLD_READ, resume_read, i);
        return;
    }
    if (snapfile_check_is_done(&i->check)) {
        /* It was about to be synced, or that failed: nobody knows what of it is durable. */
        check_again(i);
    }
    i->request.length = i->check.verified;
    snapfile_submit(&i->place, &i->request, WORLD_TRUNCATE, part_cut, i);
}

static void part_created(struct world_file_request *request)
{
    struct snapfile_installer *i = request->owner;
    i->error = request->result;
    installer_is_ready(i);
}

static void part_opened(struct world_file_request *request)
{
    struct snapfile_installer *i = request->owner;

    if (request->result == ERR_NOT_FOUND) {
        request->flags = WORLD_OPEN_CREATE;
        snapfile_submit(&i->place, request, WORLD_OPEN, part_created, i);
        return;
    }
    if (request->result != OK) {
        i->error = request->result;
        installer_is_ready(i);
        return;
    }
    i->old_size = request->size;
    PROBE(SNAPSHOT_PART_FOUND);
    resume_on(i);
}

static void installer_has_dir(void *owner, enum err result)
{
    struct snapfile_installer *i = owner;

    if (result != OK) {
        i->error = result;
        installer_is_ready(i);
        return;
    }
    i->request.path = i->path;
    i->request.flags = WORLD_OPEN_WRITE;
    snapfile_submit(&i->place, &i->request, WORLD_OPEN, part_opened, i);
}

struct snapfile_installer *snapfile_install(const struct snapfile_place *place, uint64_t index,
                                            uint64_t term,
                                            void (*ready)(void *ctx, uint64_t offset), void *ctx)
{
    struct snapfile_installer *i = mem_alloc_zero(sizeof *i);
    snapfile_task_begin(&i->task, place, installer_forget);

    i->place = *place;
    i->index = index;
    i->term = term;
    i->ready = ready;
    i->ctx = ctx;
    i->is_busy = true;
    i->request.fd = WORLD_FD_NONE;
    buf_init(&i->bytes);
    snapfile_check_init(&i->check);
    snapfile_path(i->place.dir, index, term, SNAPFILE_SUFFIX_PART, i->path);
    i->dir = (struct snapfile_dir){.place = &i->place, .then = installer_has_dir, .owner = i};
    snapfile_dir_make(&i->dir);
    return i;
}

static void put_ends(struct snapfile_installer *i, enum err result)
{
    if (result != OK) {
        back_to_verified(i);
    }
    i->is_busy = false;
    i->done(i->ctx, result, i->offset);
}

static void unsealed_removed(struct world_file_request *request)
{
    struct snapfile_installer *i = request->owner;

    i->is_busy = false;
    i->done(i->ctx, i->error, i->offset);
}

/* The file is closed and renamed, or nobody knows what of it is durable [Rebello20]: then it must
 * not be gone on with. */
static void installed(void *owner, enum err result)
{
    struct snapfile_installer *i = owner;
    void (*done)(void *, enum err, uint64_t) = i->done;
    void *ctx = i->ctx;
    uint64_t offset = i->offset;

    if (result == OK) {
        installer_free(i);
        done(ctx, ERR_EXISTS, offset);
        return;
    }
    i->error = result;
    i->offset = 0;
    i->request.fd = WORLD_FD_NONE;
    i->request.path = i->path;
    snapfile_submit(&i->place, &i->request, WORLD_UNLINK, unsealed_removed, i);
}

static void piece_written(struct world_file_request *request)
{
    struct snapfile_installer *i = request->owner;

    if (request->result != OK) {
        /* The check was fed bytes that are not there. */
        i->failure = request->result;
        i->old_size = i->offset;
        check_again(i);
        resume_on(i);
        return;
    }
    i->offset += i->bytes.len;
    if (i->refusal != OK) {
        put_ends(i, i->refusal);
        return;
    }
    if (!snapfile_check_is_done(&i->check)) {
        put_ends(i, OK);
        return;
    }
    i->seal = (struct snapfile_seal){
        .place = &i->place,
        .fd = request->fd,
        .index = i->index,
        .term = i->term,
        .suffix = SNAPFILE_SUFFIX_PART,
        .then = installed,
        .owner = i,
    };
    snapfile_seal_run(&i->seal);
}

/* Bytes that are not the file's are not written; the answer still comes through the world. */
static void piece_refused(struct world_file_request *request)
{
    struct snapfile_installer *i = request->owner;
    put_ends(i, i->refusal);
}

void snapfile_install_put(struct snapfile_installer *i, struct bytes bytes,
                          void (*done)(void *ctx, enum err result, uint64_t offset))
{
    CHECK(!i->is_busy && bytes.len > 0);
    i->is_busy = true;
    i->done = done;
    i->refusal = i->error != OK ? i->error : snapfile_check_feed(&i->check, bytes);
    if (i->check.has_header && (i->check.meta.cluster != i->place.cluster ||
                                i->check.meta.index != i->index || i->check.meta.term != i->term)) {
        check_again(i);
        i->refusal = ERR_CORRUPT;
    }
    /* Of bytes that are refused, the whole units before the mistake are kept. */
    size_t good = i->refusal == OK
                      ? bytes.len
                      : (size_t)u64_min(u64_sub_sat(i->check.verified, i->offset), bytes.len);
    if (good == 0) {
        i->request.path = i->place.dir;
        snapfile_submit(&i->place, &i->request, WORLD_STAT, piece_refused, i);
        return;
    }
    buf_clear(&i->bytes);
    buf_put(&i->bytes, bytes.data, good);
    i->request.buffer = i->bytes.data;
    i->request.offset = i->offset;
    i->request.length = good;
    snapfile_submit(&i->place, &i->request, WORLD_WRITE, piece_written, i);
}

static void installer_closed(struct world_file_request *request)
{
    installer_free(request->owner);
}

void snapfile_install_close(struct snapfile_installer *i)
{
    CHECK(!i->is_busy);
    if (i->request.fd == WORLD_FD_NONE) {
        installer_free(i);
        return;
    }
    snapfile_submit(&i->place, &i->request, WORLD_CLOSE, installer_closed, i);
}
