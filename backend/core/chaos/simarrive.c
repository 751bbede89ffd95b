/* Streams: what reaches the other end. */
#include "core/base/hash.h"
#include "core/chaos/simstream_int.h"

static void end_tell_room(void *arg)
{
    struct world_stream *e = arg;

    if (e->state == END_OPEN && !e->is_failed && e->sink->writable != NULL) {
        e->sink->writable(e->sink);
    }
    simend_event_over(e);
}

/* What was under way is with the other process. */
static void end_acknowledge(struct world_stream *e)
{
    if (e->wants_room && e->len - e->head <= WORLD_STREAM_QUEUE_MAX_BYTES / 2) {
        e->wants_room = false;
        simend_post(e, e->host, SIMEVENT_STREAM, simend_now(e), end_tell_room);
    }
    if ((e->state != END_OPEN && e->state != END_CLOSING) || e->is_failed) {
        return;
    }
    if (!simlink_answers(simend_peer(e)->link)) {
        e->lacks_ack = true;
        if (!e->is_blocked) {
            simend_block(e);
        }
        return;
    }
    e->blocked_since = 0;
    e->is_blocked = false;
    simend_pump(e);
}

/* The process is told of a stream that its kernel has accepted. */
static void end_accept(struct world_stream *e)
{
    struct world_stream *caller = simend_peer(e);
    const struct simport *port = simport_find(e->host, e->port, true);
    const struct world_endpoint from = simhost_endpoint(caller->host, 0);
    struct world_stream_sink *sink = NULL;

    e->state = END_OPEN;
    if (port != NULL) {
        simworld_tell(e->host->sim, e->host, SIMTRACE_ACCEPT, caller->host, e->port);
        sink = port->listener->accepted(port->listener, e, &from);
    }
    e->sink = sink;
    if (sink == NULL && e->state == END_OPEN) {
        simworld_tell(e->host->sim, e->host, SIMTRACE_REFUSE, caller->host, e->port);
        simstream_close(e);
    }
}

/* Bytes of `e`, the first in its buffer, are given to the other process. */
static void end_deliver(struct world_stream *e, size_t size)
{
    struct world_stream *to = simend_peer(e);
    const struct bytes bytes = {e->bytes + e->head, size};

    simworld_mix(e->host->sim, hash_bytes(e->host->source, bytes.data, bytes.len));
    if (to->state != END_OPEN) {
        return;
    }
    simworld_tell(e->host->sim, to->host, SIMTRACE_BYTES, e->host, size);
    e->is_lending = true;
    to->sink->received(to->sink, bytes);
    e->is_lending = false;
    mem_free(e->lent);
    e->lent = NULL;
}

/* The end of what `e` sends. */
static void end_finish(struct world_stream *e)
{
    struct world_stream *to = simend_peer(e);

    simend_forget(e);
    if (to->state == END_OPEN || to->state == END_ACCEPTING) {
        struct world_stream_sink *sink = to->sink;
        bool is_told = to->state == END_OPEN;
        simend_forget(to);
        if (is_told) {
            simworld_tell(e->host->sim, to->host, SIMTRACE_CLOSE, e->host, ERR_CLOSED);
            sink->closed(sink, ERR_CLOSED);
        }
    }
}

void simend_arrives(void *arg)
{
    struct world_stream *e = arg;
    struct world_stream *to = simend_peer(e);
    size_t size = 0;
    bool opens = false;
    bool ends = false;

    e->is_arriving = false;
    for (; e->seg_count > 0 && simend_seg(e, 0)->due <= simend_now(e);
         e->seg_count--, e->seg_first++) {
        const struct simseg *seg = simend_seg(e, 0);
        size += seg->length;
        opens |= seg->opens;
        ends |= seg->ends;
    }
    if (size > 0 || opens || ends) {
        if (!simend_is_met(e)) {
            /* It counts as under way until then. */
            simend_add_seg(e, (struct simseg){.length = size, .opens = opens, .ends = ends});
            simend_recall(e);
            simend_post(e, NULL, SIMEVENT_WORLD, simend_now(e), simend_meets_nobody);
        } else {
            if (opens && to->state == END_ACCEPTING) {
                end_accept(to);
            }
            if (size > 0) {
                end_deliver(e, size);
            }
            e->flown -= size;
            e->head += size;
            if (e->head == e->len) {
                e->head = 0;
                e->len = 0;
            }
            if (ends) {
                end_finish(e);
            } else {
                end_acknowledge(e);
            }
        }
    }
    simend_expect(e);
    simend_event_over(e);
}

void simend_meets_nobody(void *arg)
{
    struct world_stream *e = arg;
    struct simlink *back = simend_peer(e)->link;

    if (e->state == END_OPEN || e->state == END_CLOSING) {
        if (simlink_passes(back)) {
            simlink_begin(back);
            simend_fail(e, ERR_CLOSED, simend_now(e) + simlink_travel(back, 0));
        }
        if (!e->is_blocked && e->state != END_GONE) {
            simend_block(e);
        }
    } else {
        simend_forget(e);
    }
    simend_event_over(e);
}

void simend_closed(void *arg)
{
    struct world_stream *e = arg;

    if (e->state == END_OPEN || e->state == END_CONNECTING) {
        struct world_stream_sink *sink = e->sink;
        simend_forget(e);
        simworld_tell(e->host->sim, e->host, SIMTRACE_CLOSE, simend_peer(e)->host, e->why);
        sink->closed(sink, e->why);
    } else {
        simend_forget(e);
    }
    simend_event_over(e);
}
