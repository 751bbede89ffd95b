/* Streams: how they are opened. */
#include "core/chaos/simstream_int.h"

/* The answer is there. */
static void end_opens(void *arg)
{
    struct world_stream *e = arg;

    if (e->state == END_CONNECTING && !e->is_failed) {
        e->state = END_OPEN;
        e->blocked_since = 0;
        e->wants_opening = true;
        simworld_tell(e->host->sim, e->host, SIMTRACE_OPEN, simend_peer(e)->host, 0);
        simend_pump(e);
        e->sink->opened(e->sink);
    }
    simend_event_over(e);
}

/* A call reaches the kernel of the other host. */
static void call_arrives(void *arg)
{
    struct world_stream *e = arg;
    struct world_stream *peer = simend_peer(e);
    struct simlink *back = peer->link;

    if (e->state == END_CONNECTING && !e->is_answered && !e->is_failed && simlink_answers(back)) {
        simlink_begin(back);
        if (!simlink_loses(back)) {
            nanos due = simend_now(e) + simlink_travel(back, 0);
            if (simport_find(peer->host, e->port, true) == NULL) {
                simworld_tell(e->host->sim, peer->host, SIMTRACE_REFUSE, e->host, e->port);
                simend_fail(e, ERR_CLOSED, due);
            } else {
                e->is_answered = true;
                peer->state = END_ACCEPTING;
                peer->port = e->port;
                simend_post(e, e->host, SIMEVENT_STREAM, due, end_opens);
            }
        }
    }
    simend_event_over(e);
}

static void call_again(void *arg);

static void call_send(struct world_stream *e)
{
    nanos now = simend_now(e);

    simlink_begin(e->link);
    if (simlink_answers(e->link) && !simlink_loses(e->link)) {
        simend_post(e, NULL, SIMEVENT_WORLD, now + simlink_travel(e->link, 0), call_arrives);
    }
    e->retry_due =
        u64_min(now + e->retry_after, u64_max(now, e->blocked_since + SIMNET_USER_TIMEOUT));
    simend_post(e, NULL, SIMEVENT_WORLD, e->retry_due, call_again);
}

static void call_again(void *arg)
{
    struct world_stream *e = arg;

    if (e->state == END_CONNECTING && !e->is_answered && !e->is_failed) {
        if (e->host->is_asleep) {
            e->blocked_since = e->host->awake_at;
            simend_post(e, NULL, SIMEVENT_WORLD, e->blocked_since, call_again);
        } else if (simend_now(e) >= e->blocked_since + SIMNET_USER_TIMEOUT) {
            simend_fail_now(e, ERR_TIMEOUT);
        } else {
            e->retry_after *= 2;
            call_send(e);
        }
    }
    simend_event_over(e);
}

struct world_stream *simstream_connect(struct simhost *host, const struct world_endpoint *to,
                                       struct world_stream_sink *sink)
{
    struct simhost *target = simworld_find(host->sim, to->host);
    struct simconn *conn = simconn_new(host, target != NULL ? target : host);
    struct world_stream *e = &conn->ends[0];

    e->sink = sink;
    e->state = END_CONNECTING;
    e->port = to->port;
    e->blocked_since = simend_now(e);
    e->retry_after = SIMNET_SYN_RTO;
    if (target != NULL) {
        call_send(e);
    } else {
        simend_fail(e, ERR_CLOSED, simend_now(e) + SIMNET_LATENCY); /* nobody has that name */
    }
    return e;
}
