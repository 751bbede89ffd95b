/* Streams: what their ends send, and send again, and what befalls them. */
#include <string.h>

#include "core/chaos/simstream_int.h"

/* --- sending --------------------------------------------------------------------------------- */

static void end_retry(void *arg);

void simend_discard(struct world_stream *e)
{
    e->len = e->head + e->flown;
    e->wants_opening = false;
    e->wants_ending = false;
    e->wants_room = false;
    e->is_blocked = false;
    e->lacks_ack = false;
}

void simend_forget(struct world_stream *e)
{
    simend_discard(e);
    e->state = END_GONE;
}

void simend_fail(struct world_stream *e, enum err why, nanos due)
{
    if (e->state == END_OPEN || e->state == END_CONNECTING) {
        e->why = e->is_failed ? e->why : why;
        simend_post(e, e->host, SIMEVENT_STREAM, due, simend_closed);
    } else if (due <= simend_now(e)) {
        simend_forget(e);
    } else {
        simend_post(e, NULL, SIMEVENT_WORLD, due, simend_closed);
    }
}

void simend_fail_now(struct world_stream *e, enum err why)
{
    simend_fail(e, why, simend_now(e));
    if (e->state != END_GONE) {
        e->is_failed = true;
        simend_discard(e);
    }
}

static void end_schedule_retry(struct world_stream *e, nanos due)
{
    e->retry_due = due;
    simend_post(e, NULL, SIMEVENT_WORLD, due, end_retry);
}

void simend_block(struct world_stream *e)
{
    nanos now = simend_now(e);

    e->is_blocked = true;
    if (e->blocked_since == 0) {
        e->blocked_since = now;
        e->retry_after = SIMNET_RTO;
        simworld_tell(e->host->sim, e->host, SIMTRACE_BLOCK, simend_peer(e)->host,
                      e->len - e->head);
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

/* Something of it is in a clogged link. */
static bool end_is_held(const struct world_stream *e)
{
    return e->seg_count > 0 && simend_seg(e, e->seg_count - 1)->due == NANOS_FOREVER;
}

/* What is sent now will be held. */
static bool end_may_clog(const struct world_stream *e)
{
    return e->link->set.is_clogged && !e->link->set.is_cut && simlink_is_up(e->link);
}

static bool end_may_pass(const struct world_stream *e, size_t size)
{
    size_t limit = e->link->set.large_loss_bytes;
    bool is_large = limit != 0 && size > limit;
    return simlink_passes(e->link) && !is_large && e->stalled_until <= simend_now(e);
}

/* What was sent at this instant takes more along. */
static bool end_joins(struct world_stream *e, size_t size)
{
    if (e->seg_count == 0 || size == 0) {
        return false;
    }
    struct simseg *last = simend_seg(e, e->seg_count - 1);
    if (last->sent != simend_now(e) || last->due == NANOS_FOREVER || last->ends ||
        e->link->set.bytes_per_s != 0 || !end_may_pass(e, size)) {
        return false;
    }
    last->length += size;
    e->flown += size;
    return true;
}

bool simend_is_met(const struct world_stream *e)
{
    const struct world_stream *peer = simend_peer(e);
    return peer->state == END_OPEN || peer->state == END_ACCEPTING;
}

void simend_expect(struct world_stream *e)
{
    if (!e->is_arriving && e->seg_count > 0 && simend_seg(e, 0)->due != NANOS_FOREVER) {
        e->is_arriving = true;
        simend_post(e, simend_peer(e)->host, SIMEVENT_BYTES, simend_seg(e, 0)->due, simend_arrives);
    }
}

/* Sends what waits, `size` bytes of it and the marks that go with them. False: it is blocked. */
static bool end_launch(struct world_stream *e, size_t size)
{
    nanos now = simend_now(e);

    bool is_held = end_may_clog(e);
    if (!is_held && !end_may_pass(e, size)) {
        return false;
    }
    simlink_begin(e->link);
    if (simlink_loses(e->link)) {
        return false;
    }
    if (e->lacks_ack) {
        if (is_held || !simlink_answers(simend_peer(e)->link)) {
            return false;
        }
        e->lacks_ack = false;
    }
    nanos travel = is_held ? 0 : simlink_travel(e->link, size);
    if (!is_held && !simend_is_met(e)) {
        simend_post(e, NULL, SIMEVENT_WORLD, now + travel, simend_meets_nobody);
        return false;
    }
    struct simseg seg = {.sent = now, .due = NANOS_FOREVER, .length = size};
    if (!is_held) {
        seg.due = now + travel;
    }
    seg.opens = e->wants_opening;
    seg.ends = e->wants_ending && size == end_waiting(e);
    e->wants_opening = false;
    e->wants_ending &= !seg.ends;
    e->flown += size;
    simend_add_seg(e, seg);
    simend_expect(e);
    return !is_held;
}

void simend_pump(struct world_stream *e)
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
            simend_block(e);
        }
    }
}

/* --- trying again ---------------------------------------------------------------------------- */

static void end_give_up(struct world_stream *e)
{
    if (e->state == END_CLOSING) {
        simend_forget(e);
    } else {
        simend_fail_now(e, ERR_TIMEOUT);
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
    if (simend_now(e) >= e->blocked_since + SIMNET_USER_TIMEOUT) {
        end_give_up(e);
        return;
    }
    e->is_blocked = false;
    if (e->lacks_ack && end_may_pass(e, 0) && simlink_answers(simend_peer(e)->link)) {
        e->lacks_ack = false;
        e->blocked_since = 0;
    }
    if (e->lacks_ack || end_is_held(e)) {
        simend_block(e);
        return;
    }
    simend_pump(e);
}

static void end_retry(void *arg)
{
    struct world_stream *e = arg;

    if (e->is_blocked && e->retry_due == simend_now(e) && !e->is_failed &&
        (e->state == END_OPEN || e->state == END_CLOSING)) {
        end_retry_blocked(e);
    }
    simend_event_over(e);
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
    simend_pump(e);
    return OK;
}

void simstream_close(struct world_stream *e)
{
    CHECK(e->state == END_OPEN || e->state == END_CONNECTING);
    if (e->state == END_CONNECTING || e->is_failed) {
        simend_forget(e);
        return;
    }
    e->state = END_CLOSING;
    e->wants_ending = true;
    simend_pump(e);
}

void simstream_hand_over(struct world_stream *e, struct world_stream_sink *sink)
{
    CHECK(e->state == END_OPEN);
    e->sink = sink;
}

/* --- what befalls it ------------------------------------------------------------------------- */

/* An end was forgotten in the middle of a list; an event looks whether its connection can go. */
static void end_sweep(struct world_stream *e)
{
    if (e->state == END_GONE) {
        simend_post(e, NULL, SIMEVENT_WORLD, simend_now(e), simend_event_over);
    }
}

void simstream_forget_host(struct simhost *host, bool has_power)
{
    for (struct world_stream *e = host->streams; e != NULL; e = e->next) {
        if (!has_power || e->state == END_CONNECTING) {
            simend_forget(e);
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
        struct world_stream *e = simend_peer(to);
        if (e->seg_count == 0) {
            continue;
        }
        simend_recall(e);
        if (e->state != END_OPEN && e->state != END_CLOSING) {
            simend_forget(e);
        } else if (!e->is_blocked && !e->is_failed) {
            simend_block(e);
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
            simend_recall(e);
            if (e->state == END_GONE || e->is_failed) {
                simend_discard(e);
            }
            end_sweep(e);
            continue;
        }
        for (size_t i = 0; i < e->seg_count; i++) {
            struct simseg *seg = simend_seg(e, i);
            if (seg->due == NANOS_FOREVER) {
                simlink_begin(link);
                seg->due = simend_now(e) + simlink_travel(link, seg->length);
            }
        }
        simend_expect(e);
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
        struct world_stream *peer = simend_peer(e);
        if (peer->host != b || (a == b && e == &e->conn->ends[1])) {
            continue;
        }
        count += e->state != END_GONE || peer->state != END_GONE;
        simend_recall(e);
        simend_recall(peer);
        simend_fail_now(e, ERR_CLOSED);
        simend_fail_now(peer, ERR_CLOSED);
        end_sweep(e);
    }
    return count;
}
