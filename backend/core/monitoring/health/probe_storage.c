#include "core/monitoring/health/probe_storage.h"

#include "core/base/check.h"

#include <string.h>

static void storage_timer_fired(struct world_timer *timer);
static void storage_done(struct world_file_request *request);

void storage_probe_init(struct storage_probe *probe, const struct world *world, const char *path,
                        void (*answered)(struct storage_probe *probe, enum err result, nanos took),
                        void *owner)
{
    memset(probe, 0, sizeof *probe);
    probe->world = world;
    probe->path = path;
    probe->answered = answered;
    probe->owner = owner;
    probe->fd = WORLD_FD_NONE;
    probe->timer.fire = storage_timer_fired;
    probe->timer.owner = probe;
}

static void submit_storage(struct storage_probe *p, enum world_file_op op, uint32_t flags)
{
    p->request = (struct world_file_request){
        .op = op,
        .lane = WORLD_LANE_PROBE,
        .flags = flags,
        .fd = p->fd,
        .path = p->path,
        .buffer = p->block,
        .length = sizeof p->block,
        .done = storage_done,
        .owner = p,
    };
    world_submit(p->world, &p->request);
}

enum err storage_probe_ask(struct storage_probe *p, nanos deadline)
{
    if (p->is_busy) {
        return ERR_PENDING;
    }
    p->is_busy = true;
    p->is_waited = true;
    p->began = world_now(p->world);
    p->asked++;
    /* Never the same bytes twice: a device that keeps what it has would not be asked. */
    memset(p->block, (int)(p->asked & 0xff), sizeof p->block);
    world_timer_set(p->world, &p->timer, deadline);
    if (p->fd == WORLD_FD_NONE) {
        submit_storage(p, WORLD_OPEN, WORLD_OPEN_CREATE);
    } else {
        submit_storage(p, WORLD_WRITE, 0);
    }
    return OK;
}

static void answer_storage(struct storage_probe *p, enum err result)
{
    if (p->is_waited) {
        p->is_waited = false;
        world_timer_cancel(p->world, &p->timer);
        p->answered(p, result, world_now(p->world) - p->began);
    }
}

static void storage_timer_fired(struct world_timer *timer)
{
    answer_storage(timer->owner, ERR_TIMEOUT);
}

void storage_probe_stop(struct storage_probe *p)
{
    world_timer_cancel(p->world, &p->timer);
    p->is_waited = false;
    p->is_stopped = true;
}

/* The file is given up; then the error is told. */
static void fail_storage(struct storage_probe *p, enum err result)
{
    if (p->fd != WORLD_FD_NONE) {
        submit_storage(p, WORLD_CLOSE, 0);
        p->fd = WORLD_FD_NONE;
    } else {
        p->is_busy = false;
    }
    answer_storage(p, result);
}

static void storage_done(struct world_file_request *request)
{
    struct storage_probe *p = request->owner;
    enum err result = request->result;
    bool creates = request->op == WORLD_OPEN && (request->flags & WORLD_OPEN_CREATE) != 0;

    if (request->op == WORLD_CLOSE || p->is_stopped) {
        p->is_busy = false;
    } else if (creates && result == ERR_EXISTS) {
        submit_storage(p, WORLD_OPEN, WORLD_OPEN_WRITE);
    } else if (result != OK) {
        fail_storage(p, result);
    } else if (request->op == WORLD_OPEN) {
        p->fd = request->fd;
        submit_storage(p, WORLD_WRITE, 0);
    } else if (request->op == WORLD_WRITE) {
        submit_storage(p, WORLD_SYNC, 0);
    } else {
        CHECK(request->op == WORLD_SYNC);
        p->is_busy = false;
        answer_storage(p, OK);
    }
}
