/* Finds the newest whole snapshot, and reads it. */
#include "core/recovery/snapshot_file.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/recovery/snapshot_int.h"

#define LOAD_BYTES   (512 * 1024)
#define LOAD_BUFFERS 2

struct listed_snapshot {
    uint64_t index;
    uint64_t term;
};

struct loading {
    struct snapfile_task task;
    struct snapfile_place place;
    struct snapfile_sink sink;
    struct snapfile_check check;
    bool has_begun;
    struct listed_snapshot listed[SNAPFILE_LISTED_MAX]; /* newest first */
    size_t count;
    size_t at;
    struct snapfile_found found;

    struct world_file_request request;
    char path[WORLD_PATH_MAX_BYTES];
    uint64_t size;
    struct world_file_request reads[LOAD_BUFFERS];
    uint8_t *buffers[LOAD_BUFFERS]; /* owned */
    uint64_t submitted;
    uint32_t turn;
    uint32_t under_way;
    enum err error;
};

static void loading_free(struct snapfile_task *task)
{
    struct loading *l = (struct loading *)task;

    snapfile_task_end(task);
    snapfile_check_deinit(&l->check);
    for (size_t i = 0; i < LOAD_BUFFERS; i++) {
        mem_free(l->buffers[i]);
    }
    mem_free(l);
}

static void loading_ends(struct loading *l, enum err result)
{
    struct snapfile_sink sink = l->sink;

    l->found.result = result;
    if (result == OK) {
        l->found.meta = l->check.meta;
    }
    snapfile_task_end(&l->task); /* the sink may forget what is under way */
    sink.done(sink.ctx, &l->found);
    loading_free(&l->task);
}

static void payload_read(void *ctx, uint64_t offset, struct bytes payload)
{
    struct loading *l = ctx;

    if (!l->has_begun && l->sink.begin != NULL) {
        l->sink.begin(l->sink.ctx, &l->check.meta);
    }
    l->has_begun = true;
    if (l->sink.payload != NULL) {
        l->sink.payload(l->sink.ctx, offset, payload);
    }
}

static void load_next(struct loading *l);

static void loaded_closed(struct world_file_request *request)
{
    struct loading *l = request->owner;
    const struct snapfile_meta *meta = &l->check.meta;
    const struct listed_snapshot *listed = &l->listed[l->at];

    bool is_whole = l->error == OK && snapfile_check_is_done(&l->check) &&
                    meta->index == listed->index && meta->term == listed->term &&
                    (l->place.cluster == 0 || meta->cluster == l->place.cluster);
    if (is_whole) {
        loading_ends(l, OK);
        return;
    }
    l->found.damaged++;
    l->at++;
    load_next(l);
}

static void load_on(struct loading *l);

static void load_read(struct world_file_request *request)
{
    struct loading *l = request->owner;

    l->under_way--;
    if (l->error == OK) {
        l->error = request->result;
    }
    if (l->error == OK) {
        struct bytes got = {request->buffer, (size_t)request->count};
        l->error = snapfile_check_feed(&l->check, got);
    }
    load_on(l);
}

/* Keeps LOAD_BUFFERS reads under way; they complete in order. */
static void load_on(struct loading *l)
{
    while (l->error == OK && l->under_way < LOAD_BUFFERS && l->submitted < l->size) {
        struct world_file_request *read = &l->reads[l->turn];
        read->fd = l->request.fd;
        read->buffer = l->buffers[l->turn];
        read->offset = l->submitted;
        read->length = u64_min(LOAD_BYTES, l->size - l->submitted);
        l->submitted += read->length;
        l->under_way++;
        l->turn = (l->turn + 1) % LOAD_BUFFERS;
        snapfile_submit(&l->place, read, WORLD_READ, load_read, l);
    }
    if (l->under_way == 0) {
        snapfile_submit(&l->place, &l->request, WORLD_CLOSE, loaded_closed, l);
    }
}

static void load_opened(struct world_file_request *request)
{
    struct loading *l = request->owner;

    if (request->result != OK) {
        l->found.damaged++;
        l->at++;
        load_next(l);
        return;
    }
    snapfile_check_deinit(&l->check);
    snapfile_check_init(&l->check);
    l->check.payload = payload_read;
    l->check.ctx = l;
    l->has_begun = false;
    l->size = request->size;
    l->submitted = 0;
    l->error = OK;
    load_on(l);
}

static void load_next(struct loading *l)
{
    if (l->at == l->count) {
        loading_ends(l, l->found.damaged > 0 ? ERR_CORRUPT : ERR_NOT_FOUND);
        return;
    }
    snapfile_path(l->place.dir, l->listed[l->at].index, l->listed[l->at].term, SNAPFILE_SUFFIX,
                  l->path);
    l->request.path = l->path;
    l->request.flags = 0;
    snapfile_submit(&l->place, &l->request, WORLD_OPEN, load_opened, l);
}

static void load_entry(struct world_file_request *request, const char *name)
{
    struct loading *l = request->owner;
    struct listed_snapshot listed;

    if (snapfile_name_parse(name, SNAPFILE_SUFFIX, &listed.index, &listed.term) != OK) {
        return;
    }
    /* Names come in ascending order: the newest are kept, newest first. */
    size_t last = l->count < SNAPFILE_LISTED_MAX ? l->count++ : SNAPFILE_LISTED_MAX - 1;
    for (size_t i = last; i > 0; i--) {
        l->listed[i] = l->listed[i - 1];
    }
    l->listed[0] = listed;
}

static void load_listed(struct world_file_request *request)
{
    struct loading *l = request->owner;

    if (request->result != OK && request->result != ERR_NOT_FOUND) {
        loading_ends(l, request->result);
        return;
    }
    load_next(l);
}

static struct loading *loading_new(const struct snapfile_place *place,
                                   const struct snapfile_sink *sink)
{
    struct loading *l = mem_alloc_zero(sizeof *l);

    snapfile_task_begin(&l->task, place, loading_free);
    l->place = *place;
    l->sink = *sink;
    snapfile_check_init(&l->check);
    for (size_t i = 0; i < LOAD_BUFFERS; i++) {
        l->buffers[i] = mem_alloc(LOAD_BYTES);
    }
    return l;
}

void snapfile_load(const struct snapfile_place *place, const struct snapfile_sink *sink)
{
    struct loading *l = loading_new(place, sink);

    l->request.path = l->place.dir;
    l->request.entry = load_entry;
    snapfile_submit(&l->place, &l->request, WORLD_LIST, load_listed, l);
}

void snapfile_load_one(const struct snapfile_place *place, uint64_t index, uint64_t term,
                       const struct snapfile_sink *sink)
{
    struct loading *l = loading_new(place, sink);

    l->listed[0] = (struct listed_snapshot){index, term};
    l->count = 1;
    load_next(l);
}
