/*
 * Streams: TCP between two kernels, as far as processes can tell.
 *
 * A connection has two ends, allocated together, which live until both are forgotten and nothing
 * refers to them. What an end sends lies in its buffer until the other end's process has taken it:
 *
 *     bytes[head ..           ) the first `flown` are under way, in the segments of `segs`, which
 *                               arrive in order; those behind wait to be sent.
 *
 * What is due arrives by one event at the receiving host, for all segments that are due by then: so
 * a host that stood still reads all at once. An end whose segment did not pass is blocked: it sends
 * nothing, and tries again later (end_retry), until an acknowledgement or SIMNET_USER_TIMEOUT.
 *
 *     state           the process            its kernel
 *     CONNECTING      has asked for it       calls the other host
 *     ACCEPTING       does not know of it    has answered a call
 *     OPEN            has it                 has it
 *     CLOSING         has closed it, or died sends what is left, and the end of it
 *     GONE            -                      knows nothing of it
 *
 * CONNECTING -> OPEN in end_opens, ACCEPTING -> OPEN or CLOSING in end_accept, OPEN -> CLOSING in
 * simstream_close and when the process dies, CLOSING -> GONE once the end has arrived, any -> GONE
 * in end_forget.
 */
#include <string.h>

#include "core/base/hash.h"
#include "core/chaos/simnet_int.h"

/* Buffers up to this size are kept for the next connection. */
#define KEPT_BYTES (64 * 1024)

/* Segments under way that fit without growing. */
#define SEGS_MIN 8

enum end_state { END_GONE, END_CONNECTING, END_ACCEPTING, END_OPEN, END_CLOSING };

/* Bytes under way together. */
struct simseg {
    nanos sent;
    nanos due; /* NANOS_FOREVER: held by a clogged link */
    size_t length;
    bool opens; /* ends the handshake */
    bool ends;  /* nothing follows */
};

/* One end of a stream. */
struct world_stream {
    struct world_stream *next; /* in its host's list */
    struct world_stream **at;  /* what points to it */
    struct simhost *host;
    struct simconn *conn;
    struct simlink *link;           /* to the other end; borrowed */
    struct world_stream_sink *sink; /* borrowed, while OPEN or CONNECTING */
    enum end_state state;
    uint16_t port; /* which the caller called */

    /* what it sends */
    uint8_t *bytes; /* owned */
    size_t head;
    size_t len;
    size_t cap;
    size_t flown;
    uint8_t *lent; /* owned: an old buffer that the receiver still reads */
    bool is_lending;
    struct simseg *segs; /* owned ring */
    size_t seg_first;
    size_t seg_count;
    size_t seg_cap;
    nanos last_due;     /* nothing overtakes this */
    bool is_arriving;   /* an event will take the first segment */
    bool wants_opening; /* the handshake's last packet is still to be sent */
    bool wants_ending;  /* so is the end */
    bool wants_room;    /* a send found no room */

    /* when it does not pass */
    bool is_blocked;
    bool lacks_ack;      /* what was sent has arrived, and its acknowledgement has not */
    bool is_answered;    /* CONNECTING: the answer is under way */
    nanos blocked_since; /* 0: all is well */
    nanos retry_after;
    nanos retry_due;
    nanos stalled_until;

    bool is_failed; /* the kernel has given up; the process will be told `why` */
    enum err why;
};

struct simconn {
    struct world_stream ends[2]; /* the caller, the called */
    struct simconn *next;
    uint32_t events; /* that refer to it */
};

/* --- life ------------------------------------------------------------------------------------ */

static struct world_stream *end_peer(const struct world_stream *e)
{
    return &e->conn->ends[e == &e->conn->ends[0]];
}

static nanos end_now(const struct world_stream *e)
{
    return e->host->sim->now;
}

static void end_init(struct world_stream *e, struct simconn *conn, struct simhost *host,
                     struct simhost *other)
{
    uint8_t *bytes = e->bytes;
    size_t cap = e->cap;
    struct simseg *segs = e->segs;
    size_t seg_cap = e->seg_cap;

    *e = (struct world_stream){.host = host,
                               .conn = conn,
                               .link = simlink_get(host, other),
                               .bytes = bytes,
                               .cap = cap,
                               .segs = segs,
                               .seg_cap = seg_cap};
    e->next = host->streams;
    e->at = &host->streams;
    if (e->next != NULL) {
        e->next->at = &e->next;
    }
    host->streams = e;
}

static void end_deinit(struct world_stream *e)
{
    *e->at = e->next;
    if (e->next != NULL) {
        e->next->at = e->at;
    }
    if (e->cap > KEPT_BYTES) {
        mem_free(e->bytes);
        e->bytes = NULL;
        e->cap = 0;
    }
}

static void conn_destroy(struct simconn *conn)
{
    for (size_t i = 0; i < COUNT_OF(conn->ends); i++) {
        mem_free(conn->ends[i].bytes);
        mem_free(conn->ends[i].segs);
        mem_free(conn->ends[i].lent);
    }
    mem_free(conn);
}

/* Gives it back if nothing is left of it. */
static void conn_release(struct simconn *conn)
{
    const struct world_stream *a = &conn->ends[0];
    const struct world_stream *b = &conn->ends[1];

    if (conn->events > 0 || a->state != END_GONE || b->state != END_GONE || a->seg_count > 0 ||
        b->seg_count > 0) {
        return;
    }
    struct simworld *sim = a->host->sim;
    end_deinit(&conn->ends[0]);
    end_deinit(&conn->ends[1]);
    conn->next = sim->conns;
    sim->conns = conn;
}

static struct simconn *conn_new(struct simhost *from, struct simhost *to)
{
    struct simworld *sim = from->sim;
    struct simconn *conn = sim->conns;

    if (conn == NULL) {
        conn = mem_alloc_zero(sizeof *conn);
    } else {
        sim->conns = conn->next;
    }
    conn->next = NULL;
    conn->events = 0;
    end_init(&conn->ends[0], conn, from, to);
    end_init(&conn->ends[1], conn, to, from);
    return conn;
}

/* An event that was scheduled with end_post is over, or will never be. */
static void event_over(void *arg)
{
    const struct world_stream *e = arg;

    CHECK(e->conn->events > 0);
    e->conn->events--;
    conn_release(e->conn);
}

/* Something will happen at `host`'s process, or, NULL, in a kernel. */
static void end_post(struct world_stream *e, struct simhost *host, enum simevent_kind kind,
                     nanos due, void (*run)(void *))
{
    e->conn->events++;
    simworld_post(e->host->sim, host, kind, due, run, event_over, e);
}

/* --- the ring of segments -------------------------------------------------------------------- */

static struct simseg *seg_at(const struct world_stream *e, size_t i)
{
    return &e->segs[(e->seg_first + i) & (e->seg_cap - 1)];
}

static void seg_push(struct world_stream *e, struct simseg seg)
{
    if (e->seg_count == e->seg_cap) {
        size_t cap = e->seg_cap == 0 ? SEGS_MIN : 2 * e->seg_cap;
        struct simseg *segs = mem_realloc_array(NULL, cap, sizeof *segs);
        for (size_t i = 0; i < e->seg_count; i++) {
            segs[i] = *seg_at(e, i);
        }
        mem_free(e->segs);
        e->segs = segs;
        e->seg_cap = cap;
        e->seg_first = 0;
    }
    e->seg_count++;
    *seg_at(e, e->seg_count - 1) = seg;
}

/* What is under way will not arrive: it is to be sent again. */
static void segs_recall(struct world_stream *e)
{
    for (size_t i = 0; i < e->seg_count; i++) {
        e->wants_opening |= seg_at(e, i)->opens;
        e->wants_ending |= seg_at(e, i)->ends;
    }
    e->seg_count = 0;
    e->flown = 0;
}

/* --- sending --------------------------------------------------------------------------------- */

static void end_retry(void *arg);
static void end_arrives(void *arg);
static void end_closed(void *arg);
static void end_meets_nobody(void *arg);

/* What waits is given up; what is under way is not. */
static void end_discard(struct world_stream *e)
{
    e->len = e->head + e->flown;
    e->wants_opening = false;
    e->wants_ending = false;
    e->wants_room = false;
    e->is_blocked = false;
    e->lacks_ack = false;
}

/* The kernel knows it no more. */
static void end_forget(struct world_stream *e)
{
    end_discard(e);
    e->state = END_GONE;
}

/* The kernel gives up; the process is told later. */
static void end_fail(struct world_stream *e, enum err why, nanos due)
{
    if (e->state == END_OPEN || e->state == END_CONNECTING) {
        e->why = e->is_failed ? e->why : why;
        end_post(e, e->host, SIMEVENT_STREAM, due, end_closed);
    } else if (due <= end_now(e)) {
        end_forget(e);
    } else {
        end_post(e, NULL, SIMEVENT_WORLD, due, end_closed);
    }
}

/* The kernel's part of it happens now. */
static void end_fail_now(struct world_stream *e, enum err why)
{
    end_fail(e, why, end_now(e));
    if (e->state != END_GONE) {
        e->is_failed = true;
        end_discard(e);
    }
}

static void end_schedule_retry(struct world_stream *e, nanos due)
{
    e->retry_due = due;
    end_post(e, NULL, SIMEVENT_WORLD, due, end_retry);
}

/* A segment did not pass, or was not acknowledged. */
static void end_block(struct world_stream *e)
{
    nanos now = end_now(e);

    e->is_blocked = true;
    if (e->blocked_since == 0) {
        e->blocked_since = now;
        e->retry_after = SIMNET_RTO;
        simworld_tell(e->host->sim, e->host, SIMTRACE_BLOCK, end_peer(e)->host, e->len - e->head);
    } else {
        e->retry_after *= 2;
    }
    nanos last = e->blocked_since + SIMNET_USER_TIMEOUT;
    end_schedule_retry(e, u64_max(now, u64_min(now + e->retry_after, last)));
}

static size_t end_waiting(const struct world_stream *e)
{
    return e->len - e->head - e->flown;
}

/* How many bytes more may be under way. */
static size_t end_window(const struct world_stream *e)
{
    const struct simnet_link *link = &e->link->set;
    if (link->is_clogged) {
        return SIMNET_CLOG_STREAM_BYTES;
    }
    if (link->bytes_per_s == 0) {
        return SIZE_MAX;
    }
    uint64_t window = link->bytes_per_s / (NANOS_PER_S / SIMNET_RATE_WINDOW);
    window = u64_max(SIMNET_WINDOW_MIN_BYTES, u64_min(window, SIMNET_WINDOW_MAX_BYTES));
    return window > e->flown ? window - e->flown : 0;
}

/* A clogged link takes one flight: what follows is the same bytes again, which count once. */
static bool end_may_clog(const struct world_stream *e)
{
    bool is_held = e->seg_count > 0 && seg_at(e, e->seg_count - 1)->due == NANOS_FOREVER;
    return e->link->set.is_clogged && !e->link->set.is_cut && simlink_is_up(e->link) && !is_held;
}

static bool end_may_pass(const struct world_stream *e, size_t size)
{
    size_t limit = e->link->set.large_loss_bytes;
    bool is_large = limit != 0 && size > limit;
    return simlink_passes(e->link) && !is_large && e->stalled_until <= end_now(e);
}

/* What was sent at this instant takes more along. */
static bool end_joins(struct world_stream *e, size_t size)
{
    if (e->seg_count == 0 || size == 0) {
        return false;
    }
    struct simseg *last = seg_at(e, e->seg_count - 1);
    if (last->sent != end_now(e) || last->due == NANOS_FOREVER || last->ends ||
        e->link->set.bytes_per_s != 0 || !end_may_pass(e, size)) {
        return false;
    }
    last->length += size;
    e->flown += size;
    return true;
}

/* The other host's process, or kernel, still has its end. */
static bool end_is_met(const struct world_stream *e)
{
    const struct world_stream *peer = end_peer(e);
    return peer->state == END_OPEN || peer->state == END_ACCEPTING;
}

static void end_expect(struct world_stream *e)
{
    if (!e->is_arriving && e->seg_count > 0 && seg_at(e, 0)->due != NANOS_FOREVER) {
        e->is_arriving = true;
        end_post(e, end_peer(e)->host, SIMEVENT_BYTES, seg_at(e, 0)->due, end_arrives);
    }
}

/* Sends what waits, `size` bytes of it and the marks that go with them. False: it is blocked. */
static bool end_launch(struct world_stream *e, size_t size)
{
    nanos now = end_now(e);

    bool is_held = end_may_clog(e);
    if (!is_held && !end_may_pass(e, size)) {
        return false;
    }
    simlink_begin(e->link);
    if (simlink_loses(e->link)) {
        return false;
    }
    if (e->lacks_ack) {
        if (is_held || !simlink_answers(end_peer(e)->link)) {
            return false;
        }
        e->lacks_ack = false;
    }
    nanos travel = is_held ? 0 : simlink_travel(e->link, size);
    if (!is_held && !end_is_met(e)) {
        end_post(e, NULL, SIMEVENT_WORLD, now + travel, end_meets_nobody);
        return false;
    }
    struct simseg seg = {.sent = now, .due = NANOS_FOREVER, .length = size};
    if (!is_held) {
        seg.due = u64_max(now + travel, e->last_due);
        e->last_due = seg.due;
    }
    seg.opens = e->wants_opening;
    seg.ends = e->wants_ending && size == end_waiting(e);
    e->wants_opening = false;
    e->wants_ending &= !seg.ends;
    e->flown += size;
    seg_push(e, seg);
    end_expect(e);
    return !is_held;
}

static void end_pump(struct world_stream *e)
{
    if ((e->state != END_OPEN && e->state != END_CLOSING) || e->is_failed) {
        return;
    }
    while (!e->is_blocked && (end_waiting(e) > 0 || e->wants_opening || e->wants_ending)) {
        size_t size = u64_min(end_waiting(e), end_window(e));
        if (size == 0 && end_waiting(e) > 0) {
            return; /* goes on when something has arrived */
        }
        if (!end_joins(e, size) && !end_launch(e, size)) {
            end_block(e);
        }
    }
}

/* --- trying again ---------------------------------------------------------------------------- */

static void end_give_up(struct world_stream *e)
{
    if (e->state == END_CLOSING) {
        end_forget(e);
    } else {
        end_fail_now(e, ERR_TIMEOUT);
    }
}

static void end_retry_blocked(struct world_stream *e)
{
    if (e->host->is_asleep) {
        /* A sleeping kernel's timers sleep, too. */
        e->blocked_since = e->host->awake_at;
        e->retry_after = SIMNET_RTO;
        end_schedule_retry(e, e->blocked_since + e->retry_after);
        return;
    }
    if (end_now(e) >= e->blocked_since + SIMNET_USER_TIMEOUT) {
        end_give_up(e);
        return;
    }
    e->is_blocked = false;
    if (e->lacks_ack && end_may_pass(e, 0) && simlink_answers(end_peer(e)->link)) {
        e->lacks_ack = false;
        e->blocked_since = 0;
    }
    if (e->lacks_ack) {
        end_block(e);
        return;
    }
    end_pump(e);
}

static void end_retry(void *arg)
{
    struct world_stream *e = arg;

    if (e->is_blocked && e->retry_due == end_now(e) && !e->is_failed &&
        (e->state == END_OPEN || e->state == END_CLOSING)) {
        end_retry_blocked(e);
    }
    event_over(e);
}

/* --- arriving -------------------------------------------------------------------------------- */

static void end_tell_room(void *arg)
{
    struct world_stream *e = arg;

    if (e->state == END_OPEN && !e->is_failed && e->sink->writable != NULL) {
        e->sink->writable(e->sink);
    }
    event_over(e);
}

/* What was under way is with the other process. */
static void end_acknowledge(struct world_stream *e)
{
    if (e->wants_room && e->len - e->head <= WORLD_STREAM_QUEUE_MAX_BYTES / 2) {
        e->wants_room = false;
        end_post(e, e->host, SIMEVENT_STREAM, end_now(e), end_tell_room);
    }
    if ((e->state != END_OPEN && e->state != END_CLOSING) || e->is_failed) {
        return;
    }
    if (!simlink_answers(end_peer(e)->link)) {
        e->lacks_ack = true;
        if (!e->is_blocked) {
            end_block(e);
        }
        return;
    }
    e->blocked_since = 0;
    e->is_blocked = false;
    end_pump(e);
}

/* The process is told of a stream that its kernel has accepted. */
static void end_accept(struct world_stream *e)
{
    struct world_stream *caller = end_peer(e);
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
    struct world_stream *to = end_peer(e);
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
    struct world_stream *to = end_peer(e);

    end_forget(e);
    if (to->state == END_OPEN || to->state == END_ACCEPTING) {
        struct world_stream_sink *sink = to->sink;
        bool is_told = to->state == END_OPEN;
        end_forget(to);
        if (is_told) {
            simworld_tell(e->host->sim, to->host, SIMTRACE_CLOSE, e->host, ERR_CLOSED);
            sink->closed(sink, ERR_CLOSED);
        }
    }
}

/* Segments of `arg` are due at the other end's process. */
static void end_arrives(void *arg)
{
    struct world_stream *e = arg;
    struct world_stream *to = end_peer(e);
    size_t size = 0;
    bool opens = false;
    bool ends = false;

    e->is_arriving = false;
    for (; e->seg_count > 0 && seg_at(e, 0)->due <= end_now(e); e->seg_count--, e->seg_first++) {
        const struct simseg *seg = seg_at(e, 0);
        size += seg->length;
        opens |= seg->opens;
        ends |= seg->ends;
    }
    if (size > 0 || opens || ends) {
        if (!end_is_met(e)) {
            /* It counts as under way until then. */
            seg_push(e, (struct simseg){.length = size, .opens = opens, .ends = ends});
            segs_recall(e);
            end_post(e, NULL, SIMEVENT_WORLD, end_now(e), end_meets_nobody);
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
    end_expect(e);
    event_over(e);
}

/* Something that was sent reached a host that does not know the stream, or no host. */
static void end_meets_nobody(void *arg)
{
    struct world_stream *e = arg;
    struct simlink *back = end_peer(e)->link;

    if (e->state == END_OPEN || e->state == END_CLOSING) {
        if (simlink_passes(back)) {
            simlink_begin(back);
            end_fail(e, ERR_CLOSED, end_now(e) + simlink_travel(back, 0));
        }
        if (!e->is_blocked && e->state != END_GONE) {
            end_block(e);
        }
    } else {
        end_forget(e);
    }
    event_over(e);
}

/* The process is told that it is over. */
static void end_closed(void *arg)
{
    struct world_stream *e = arg;

    if (e->state == END_OPEN || e->state == END_CONNECTING) {
        struct world_stream_sink *sink = e->sink;
        end_forget(e);
        simworld_tell(e->host->sim, e->host, SIMTRACE_CLOSE, end_peer(e)->host, e->why);
        sink->closed(sink, e->why);
    } else {
        end_forget(e);
    }
    event_over(e);
}

/* --- opening --------------------------------------------------------------------------------- */

/* The answer is there. */
static void end_opens(void *arg)
{
    struct world_stream *e = arg;

    if (e->state == END_CONNECTING && !e->is_failed) {
        e->state = END_OPEN;
        e->blocked_since = 0;
        e->wants_opening = true;
        simworld_tell(e->host->sim, e->host, SIMTRACE_OPEN, end_peer(e)->host, 0);
        end_pump(e);
        e->sink->opened(e->sink);
    }
    event_over(e);
}

/* A call reaches the kernel of the other host. */
static void call_arrives(void *arg)
{
    struct world_stream *e = arg;
    struct world_stream *peer = end_peer(e);
    struct simlink *back = peer->link;

    if (e->state == END_CONNECTING && !e->is_answered && !e->is_failed && simlink_answers(back)) {
        simlink_begin(back);
        if (!simlink_loses(back)) {
            nanos due = end_now(e) + simlink_travel(back, 0);
            if (simport_find(peer->host, e->port, true) == NULL) {
                simworld_tell(e->host->sim, peer->host, SIMTRACE_REFUSE, e->host, e->port);
                end_fail(e, ERR_CLOSED, due);
            } else {
                e->is_answered = true;
                peer->state = END_ACCEPTING;
                peer->port = e->port;
                end_post(e, e->host, SIMEVENT_STREAM, due, end_opens);
            }
        }
    }
    event_over(e);
}

static void call_again(void *arg);

static void call_send(struct world_stream *e)
{
    nanos now = end_now(e);

    simlink_begin(e->link);
    if (simlink_answers(e->link) && !simlink_loses(e->link)) {
        end_post(e, NULL, SIMEVENT_WORLD, now + simlink_travel(e->link, 0), call_arrives);
    }
    e->retry_due =
        u64_min(now + e->retry_after, u64_max(now, e->blocked_since + SIMNET_USER_TIMEOUT));
    end_post(e, NULL, SIMEVENT_WORLD, e->retry_due, call_again);
}

static void call_again(void *arg)
{
    struct world_stream *e = arg;

    if (e->state == END_CONNECTING && !e->is_answered && !e->is_failed) {
        if (e->host->is_asleep) {
            e->blocked_since = e->host->awake_at;
            end_post(e, NULL, SIMEVENT_WORLD, e->blocked_since, call_again);
        } else if (end_now(e) >= e->blocked_since + SIMNET_USER_TIMEOUT) {
            end_fail_now(e, ERR_TIMEOUT);
        } else {
            e->retry_after *= 2;
            call_send(e);
        }
    }
    event_over(e);
}

struct world_stream *simstream_connect(struct simhost *host, const struct world_endpoint *to,
                                       struct world_stream_sink *sink)
{
    struct simhost *target = simworld_find(host->sim, to->host);
    struct simconn *conn = conn_new(host, target != NULL ? target : host);
    struct world_stream *e = &conn->ends[0];

    e->sink = sink;
    e->state = END_CONNECTING;
    e->port = to->port;
    e->blocked_since = end_now(e);
    e->retry_after = SIMNET_SYN_RTO;
    if (target != NULL) {
        call_send(e);
    } else {
        end_fail(e, ERR_CLOSED, end_now(e) + SIMNET_LATENCY); /* nobody has that name */
    }
    return e;
}

/* --- what the process does ------------------------------------------------------------------- */

/* Room behind what is there. The receiver may be reading what is there. */
static void end_reserve(struct world_stream *e, size_t more)
{
    if (e->len + more <= e->cap) {
        return;
    }
    size_t held = e->len - e->head;
    if (!e->is_lending && held + more <= e->cap / 2) {
        memmove(e->bytes, e->bytes + e->head, held);
    } else {
        size_t cap = u64_max(2 * e->cap, u64_max(held + more, 512));
        uint8_t *bytes = mem_alloc(cap);
        if (held > 0) {
            memcpy(bytes, e->bytes + e->head, held);
        }
        if (e->is_lending && e->lent == NULL) {
            e->lent = e->bytes;
        } else {
            mem_free(e->bytes);
        }
        e->bytes = bytes;
        e->cap = cap;
    }
    e->head = 0;
    e->len = held;
}

enum err simstream_send(struct world_stream *e, struct bytes bytes)
{
    CHECK(e->state == END_OPEN || e->state == END_CONNECTING);
    if (e->is_failed || bytes.len == 0) {
        return OK; /* its end is told soon */
    }
    if (e->len - e->head + bytes.len > WORLD_STREAM_QUEUE_MAX_BYTES) {
        e->wants_room = true;
        return ERR_BUSY;
    }
    end_reserve(e, bytes.len);
    memcpy(e->bytes + e->len, bytes.data, bytes.len);
    e->len += bytes.len;
    end_pump(e);
    return OK;
}

void simstream_close(struct world_stream *e)
{
    CHECK(e->state == END_OPEN || e->state == END_CONNECTING);
    if (e->state == END_CONNECTING || e->is_failed) {
        end_forget(e);
        return;
    }
    e->state = END_CLOSING;
    e->wants_ending = true;
    end_pump(e);
}

/* --- what befalls it ------------------------------------------------------------------------- */

/* An end was forgotten in the middle of a list; an event looks whether its connection can go. */
static void end_sweep(struct world_stream *e)
{
    if (e->state == END_GONE) {
        end_post(e, NULL, SIMEVENT_WORLD, end_now(e), event_over);
    }
}

void simstream_forget_host(struct simhost *host, bool has_power)
{
    for (struct world_stream *e = host->streams; e != NULL; e = e->next) {
        if (!has_power || e->state == END_CONNECTING) {
            end_forget(e);
        } else if (e->state == END_OPEN || e->state == END_ACCEPTING) {
            e->state = END_OPEN;
            simstream_close(e);
        }
        end_sweep(e);
    }
}

void simstream_sleep_host(struct simhost *host)
{
    for (struct world_stream *to = host->streams; to != NULL; to = to->next) {
        struct world_stream *e = end_peer(to);
        if (e->seg_count == 0) {
            continue;
        }
        segs_recall(e);
        if (e->state != END_OPEN && e->state != END_CLOSING) {
            end_forget(e);
        } else if (!e->is_blocked && !e->is_failed) {
            end_block(e);
        }
    }
}

void simstream_flush(struct simlink *link)
{
    for (struct world_stream *e = link->from->streams; e != NULL; e = e->next) {
        if (e->link != link || e->seg_count == 0) {
            continue;
        }
        if (link->set.is_cut) {
            segs_recall(e);
            if (e->state == END_GONE || e->is_failed) {
                end_discard(e);
            }
            end_sweep(e);
            continue;
        }
        for (size_t i = 0; i < e->seg_count; i++) {
            struct simseg *seg = seg_at(e, i);
            if (seg->due == NANOS_FOREVER) {
                simlink_begin(link);
                seg->due = u64_max(end_now(e) + simlink_travel(link, seg->length), e->last_due);
                e->last_due = seg->due;
            }
        }
        end_expect(e);
    }
}

void simstream_stall(struct simlink *link, nanos until)
{
    for (struct world_stream *e = link->from->streams; e != NULL; e = e->next) {
        if (e->link == link) {
            e->stalled_until = until;
        }
    }
}

size_t simstream_reset(struct simhost *a, struct simhost *b)
{
    size_t count = 0;

    for (struct world_stream *e = a->streams; e != NULL; e = e->next) {
        struct world_stream *peer = end_peer(e);
        if (peer->host != b || (a == b && e == &e->conn->ends[1])) {
            continue;
        }
        count += e->state != END_GONE || peer->state != END_GONE;
        segs_recall(e);
        segs_recall(peer);
        end_fail_now(e, ERR_CLOSED);
        end_fail_now(peer, ERR_CLOSED);
        end_sweep(e);
    }
    return count;
}

void simstreams_deinit(struct simworld *sim)
{
    for (size_t i = 0; i < sim->host_count; i++) {
        while (sim->hosts[i]->streams != NULL) {
            struct simconn *conn = sim->hosts[i]->streams->conn;
            end_deinit(&conn->ends[0]);
            end_deinit(&conn->ends[1]);
            conn_destroy(conn);
        }
    }
    while (sim->conns != NULL) {
        struct simconn *conn = sim->conns;
        sim->conns = conn->next;
        conn_destroy(conn);
    }
}
