/*
 * Plain connections: streams that are never encrypted, each with a deadline for all of it and a
 * small queue, and that do not linger: nobody waits for what a probe had still to say.
 */
#include "core/base/check.h"
#include "core/base/mem.h"
#include "world/linux/linux_world_int.h"

struct world_plain {
    struct world_plain *next; /* of its world, the newest first */
    struct linux_world *lw;
    struct world_stream *stream;
    struct world_stream_sink stream_sink;
    struct world_plain_sink *sink; /* borrowed */
    struct world_timer deadline;
};

static void plain_free(struct world_plain *p)
{
    struct world_plain **at = &p->lw->plains;

    while (*at != p) {
        CHECK(*at != NULL);
        at = &(*at)->next;
    }
    *at = p->next;
    linux_time_ops.timer_cancel(p->lw, &p->deadline);
    mem_free(p);
}

static void plain_opened(struct world_stream_sink *stream_sink)
{
    const struct world_plain *p = stream_sink->owner;

    p->sink->opened(p->sink);
}

static void plain_received(struct world_stream_sink *stream_sink, struct bytes bytes)
{
    const struct world_plain *p = stream_sink->owner;

    p->sink->received(p->sink, bytes);
}

static void plain_end(struct world_plain *p, enum err why)
{
    struct world_plain_sink *sink = p->sink;

    plain_free(p);
    sink->closed(sink, why);
}

/* The kernel's patience is not the deadline: where it gives up earlier, there is no way. */
static void plain_closed(struct world_stream_sink *stream_sink, enum err why)
{
    plain_end(stream_sink->owner, why == ERR_TIMEOUT ? ERR_CLOSED : why);
}

static void plain_late(struct world_timer *timer)
{
    struct world_plain *p = timer->owner;

    linux_stream_retire(p->stream);
    plain_end(p, ERR_TIMEOUT);
}

static struct world_plain *linux_plain_connect(void *self, const struct world_endpoint *to,
                                               nanos deadline, struct world_plain_sink *sink)
{
    struct linux_world *lw = self;
    struct world_plain *p = mem_alloc_zero(sizeof *p);

    p->next = lw->plains;
    lw->plains = p;
    p->lw = lw;
    p->sink = sink;
    p->stream_sink = (struct world_stream_sink){
        .opened = plain_opened,
        .received = plain_received,
        .closed = plain_closed,
        .owner = p,
    };
    p->deadline = (struct world_timer){.fire = plain_late, .owner = p};
    if (deadline != NANOS_FOREVER) {
        linux_time_ops.timer_set(lw, &p->deadline, deadline);
    }
    p->stream = linux_net_connect_plain(lw, to, &p->stream_sink);
    return p;
}

static enum err linux_plain_send(void *self, struct world_plain *p, struct bytes bytes)
{
    size_t waiting = p->stream->out.len - p->stream->out_at;

    if (waiting + bytes.len > WORLD_PLAIN_QUEUE_MAX_BYTES) {
        return ERR_BUSY;
    }
    return linux_stream_send(self, p->stream, bytes);
}

static void linux_plain_close(void *self, struct world_plain *p)
{
    CHECK(p->lw == self);
    linux_stream_retire(p->stream);
    plain_free(p);
}

const struct world_plain_ops linux_plain_ops = {
    .connect = linux_plain_connect,
    .send = linux_plain_send,
    .close = linux_plain_close,
};

void linux_plains_close(struct linux_world *lw)
{
    while (lw->plains != NULL) {
        linux_plain_close(lw, lw->plains);
    }
}
