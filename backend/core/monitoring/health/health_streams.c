#include "core/monitoring/health/health_streams.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

/* A stream of ours on which nothing was sent for so long is closed; one that somebody else opened,
 * later, so that the one who opened it closes it. */
#define HEALTH_OUT_IDLE_SPAN (30 * NANOS_PER_S)
#define HEALTH_IN_IDLE_SPAN  (90 * NANOS_PER_S)

/* So long a caller has to say something authentic. */
#define HEALTH_STRANGER_SPAN (5 * NANOS_PER_S)

/* So long an answer may be due before the next message takes another stream. The answer may come
 * all the same: so long the old one is kept for it. */
#define HEALTH_ANSWER_SPAN (100 * NANOS_PER_MS)
#define HEALTH_RETIRE_SPAN (3 * NANOS_PER_S)

/* A place is not taken from a stream that was used within that time. */
#define HEALTH_WARM_SPAN (5 * NANOS_PER_S)

#define HEALTH_SWEEP_INTERVAL NANOS_PER_S

_Static_assert(HEALTH_STREAMS_OUT_MAX >= SWIM_OBSERVERS_MAX + 2,
               "all neighbours, one who is dead, and one who is joined");
_Static_assert(HEALTH_STRANGER_MAX_BYTES <= SWIM_STREAM_MAX_BYTES, "a stranger gets no more");

/* A place for one stream: of ours, or of one who called. */
struct health_place {
    struct health_streams *all;
    struct world_stream *stream; /* NULL: free */
    struct world_stream_sink sink;
    struct world_endpoint at;
    bool is_incoming;
    bool is_retired; /* nothing more is sent on it */
    uint64_t life;   /* counts the streams that it was for */
    node_id who;     /* of those who called: NODE_NONE before anything authentic came */
    nanos since;
    nanos used_at;
    nanos asked_at; /* the first question without an answer; NANOS_FOREVER: none */
    nanos refilled_at;
    uint32_t allowed; /* messages that may still come */
    struct health_frames frames;
};

struct health_streams {
    const struct world *world; /* borrowed */
    struct health_streams_events events;
    struct health_place out[HEALTH_STREAMS_OUT_MAX];
    struct health_place in[HEALTH_STREAMS_IN_MAX];
    struct world_timer sweep;
    struct buf framed;
    uint64_t counters[HEALTH_STREAMS_COUNTERS];
};

static void place_forget(struct health_place *p)
{
    p->stream = NULL;
    p->life++;
    health_frames_begin(&p->frames, false, SWIM_STREAM_MAX_BYTES);
}

static void place_close(struct health_place *p)
{
    struct world_stream *stream = p->stream;

    if (stream != NULL) {
        place_forget(p);
        p->all->world->net->stream_close(p->all->world->self, stream);
    }
}

/* --- What comes ----------------------------------------------------------------------------------
 */

static size_t streams_waiting(const struct health_streams *hs)
{
    size_t sum = 0;

    for (uint32_t i = 0; i < HEALTH_STREAMS_OUT_MAX; i++) {
        sum += health_frames_waiting(&hs->out[i].frames);
    }
    for (uint32_t i = 0; i < HEALTH_STREAMS_IN_MAX; i++) {
        sum += health_frames_waiting(&hs->in[i].frames);
    }
    return sum;
}

static bool place_may_bring(struct health_place *p)
{
    nanos now = world_now(p->all->world);
    nanos step = NANOS_PER_S / HEALTH_STREAM_RATE;
    uint64_t refill = (now - p->refilled_at) / step;

    p->allowed =
        (uint32_t)u64_min(p->allowed + u64_min(refill, HEALTH_STREAM_BURST), HEALTH_STREAM_BURST);
    p->refilled_at += refill * step;
    if (p->allowed == 0) {
        p->all->counters[HEALTH_STREAMS_OVERRATE]++;
        return false;
    }
    p->allowed--;
    return true;
}

/* It has proved who it is: an older stream of the same member has lost its other end. */
static void place_is_of(struct health_place *p, node_id who)
{
    struct health_streams *hs = p->all;

    for (uint32_t i = 0; i < HEALTH_STREAMS_IN_MAX; i++) {
        if (&hs->in[i] != p && hs->in[i].stream != NULL && hs->in[i].who == who) {
            place_close(&hs->in[i]);
        }
    }
    p->who = who;
    p->frames.frame_max = SWIM_STREAM_MAX_BYTES;
}

/* False: the stream is to end, or has. */
static bool place_take(struct health_place *p, struct bytes message)
{
    struct health_streams *hs = p->all;
    uint64_t life = p->life;
    uint64_t token = p->is_incoming ? 1 + (uint64_t)(p - hs->in) : 0;
    node_id who = NODE_NONE;

    if (!place_may_bring(p)) {
        return true;
    }
    p->asked_at = NANOS_FOREVER;
    who = hs->events.received(hs->events.ctx, token, &p->at, message);
    if (p->life != life) {
        return false; /* what came of it has closed it */
    }
    if (who == NODE_NONE) {
        return !p->is_incoming;
    }
    p->used_at = world_now(hs->world);
    if (p->is_incoming && p->who != who) {
        place_is_of(p, who);
    }
    return true;
}

static void place_on_received(struct world_stream_sink *sink, struct bytes bytes)
{
    struct health_place *p = sink->owner;
    struct health_streams *hs = p->all;
    uint64_t life = p->life;
    struct bytes message;
    enum err e = OK;

    health_frames_put(&p->frames, bytes);
    while ((e = health_frames_next(&p->frames, &message)) == OK) {
        if (!place_take(p, message)) {
            e = ERR_DENIED;
            break;
        }
    }
    if (p->life == life && (e != ERR_TRUNCATED || streams_waiting(hs) > HEALTH_WAITING_MAX_BYTES)) {
        hs->counters[HEALTH_STREAMS_REFUSED]++;
        place_close(p);
    }
}

static void place_on_closed(struct world_stream_sink *sink, enum err why)
{
    (void)why;
    place_forget(sink->owner);
}

static void place_on_opened(struct world_stream_sink *sink)
{
    (void)sink;
}

static void place_on_writable(struct world_stream_sink *sink)
{
    (void)sink; /* what did not fit is gone, and said again if it matters */
}

static void place_begin(struct health_place *p, const struct world_endpoint *at)
{
    nanos now = world_now(p->all->world);

    p->at = *at;
    p->is_retired = false;
    p->who = NODE_NONE;
    p->since = p->used_at = p->refilled_at = now;
    p->asked_at = NANOS_FOREVER;
    p->allowed = HEALTH_STREAM_BURST;
    p->sink = (struct world_stream_sink){.opened = place_on_opened,
                                         .received = place_on_received,
                                         .writable = place_on_writable,
                                         .closed = place_on_closed,
                                         .owner = p};
    health_frames_begin(&p->frames, p->is_incoming,
                        p->is_incoming ? HEALTH_STRANGER_MAX_BYTES : SWIM_STREAM_MAX_BYTES);
    if (!p->all->sweep.is_set) {
        world_timer_set(p->all->world, &p->all->sweep, now + HEALTH_SWEEP_INTERVAL);
    }
}

/* A free place, else that of the oldest stranger, else of the one that was not used for longest. */
static struct health_place *place_for_caller(struct health_streams *hs)
{
    nanos now = world_now(hs->world);
    struct health_place *best = NULL;

    for (uint32_t i = 0; i < HEALTH_STREAMS_IN_MAX; i++) {
        struct health_place *p = &hs->in[i];

        if (p->stream == NULL) {
            return p;
        }
        if (p->who == NODE_NONE && (best == NULL || p->since < best->since)) {
            best = p;
        }
    }
    for (uint32_t i = 0; i < HEALTH_STREAMS_IN_MAX && best == NULL; i++) {
        best = hs->in[i].used_at + HEALTH_WARM_SPAN < now ? &hs->in[i] : NULL;
    }
    hs->counters[HEALTH_STREAMS_REFUSED]++;
    if (best != NULL) {
        place_close(best);
    }
    return best;
}

struct world_stream_sink *health_streams_accept(struct health_streams *hs,
                                                struct world_stream *stream,
                                                const struct world_endpoint *from)
{
    struct health_place *p = place_for_caller(hs);

    if (p == NULL) {
        return NULL;
    }
    place_begin(p, from);
    p->stream = stream;
    hs->counters[HEALTH_STREAMS_ACCEPTED]++;
    return &p->sink;
}

/* --- What goes -----------------------------------------------------------------------------------
 */

static bool is_same_endpoint(const struct world_endpoint *a, const struct world_endpoint *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* The stream on which messages go there; NULL: none. */
static struct health_place *place_of_call(struct health_streams *hs,
                                          const struct world_endpoint *at)
{
    for (uint32_t i = 0; i < HEALTH_STREAMS_OUT_MAX; i++) {
        struct health_place *p = &hs->out[i];

        if (p->stream != NULL && !p->is_retired && is_same_endpoint(&p->at, at)) {
            return p;
        }
    }
    return NULL;
}

/* A place for one more: free, or of the stream that was not used for longest; NULL: all are in use.
 */
static struct health_place *place_for_call(struct health_streams *hs)
{
    nanos now = world_now(hs->world);
    struct health_place *best = NULL;

    for (uint32_t i = 0; i < HEALTH_STREAMS_OUT_MAX; i++) {
        struct health_place *p = &hs->out[i];

        if (p->stream == NULL) {
            return p;
        }
        if ((p->is_retired || p->used_at + HEALTH_WARM_SPAN < now) &&
            (best == NULL || p->used_at < best->used_at)) {
            best = p;
        }
    }
    if (best != NULL) {
        place_close(best);
    }
    return best;
}

static bool place_hangs(const struct health_place *p)
{
    return p->asked_at != NANOS_FOREVER &&
           p->asked_at + HEALTH_ANSWER_SPAN <= world_now(p->all->world);
}

static void place_send(struct health_place *p, bool opens, struct bytes message)
{
    struct health_streams *hs = p->all;

    buf_clear(&hs->framed);
    if (opens) {
        health_opening_encode(&hs->framed);
    }
    health_frame_encode(&hs->framed, message);
    if (hs->world->net->stream_send(hs->world->self, p->stream, buf_view(&hs->framed)) != OK) {
        hs->counters[HEALTH_STREAMS_UNSENT]++;
    }
}

void health_streams_send(struct health_streams *hs, const struct world_endpoint *at, bool asks,
                         struct bytes message)
{
    struct health_place *p = place_of_call(hs, at);
    bool opens = false;

    if (p != NULL && place_hangs(p)) {
        p->is_retired = true;
        p = NULL;
    }
    if (p == NULL) {
        opens = true;
        p = place_for_call(hs);
    }
    if (p == NULL) {
        hs->counters[HEALTH_STREAMS_UNSENT]++;
        return;
    }
    if (opens) {
        place_begin(p, at);
        p->stream = hs->world->net->connect(hs->world->self, at, &p->sink);
        hs->counters[HEALTH_STREAMS_OPENED]++;
    }
    p->used_at = world_now(hs->world);
    if (asks && p->asked_at == NANOS_FOREVER) {
        p->asked_at = p->used_at;
    }
    place_send(p, opens, message);
}

void health_streams_reply(struct health_streams *hs, uint64_t token, struct bytes message)
{
    CHECK(token > 0 && token <= HEALTH_STREAMS_IN_MAX);
    if (hs->in[token - 1].stream != NULL) {
        place_send(&hs->in[token - 1], false, message);
    }
}

/* --- Life ----------------------------------------------------------------------------------------
 */

static void place_sweep(struct health_place *p, nanos now)
{
    nanos idle = p->is_incoming  ? HEALTH_IN_IDLE_SPAN
                 : p->is_retired ? HEALTH_RETIRE_SPAN
                                 : HEALTH_OUT_IDLE_SPAN;
    bool is_stranger = p->is_incoming && p->who == NODE_NONE;

    if (p->stream == NULL) {
        return;
    }
    if (is_stranger && p->since + HEALTH_STRANGER_SPAN <= now) {
        p->all->counters[HEALTH_STREAMS_REFUSED]++;
        place_close(p);
    } else if (p->used_at + idle <= now) {
        place_close(p);
    }
}

static void streams_on_sweep(struct world_timer *timer)
{
    struct health_streams *hs = timer->owner;
    nanos now = world_now(hs->world);

    for (uint32_t i = 0; i < HEALTH_STREAMS_OUT_MAX; i++) {
        place_sweep(&hs->out[i], now);
    }
    for (uint32_t i = 0; i < HEALTH_STREAMS_IN_MAX; i++) {
        place_sweep(&hs->in[i], now);
    }
    if (health_streams_in_use(hs) > 0) {
        world_timer_set(hs->world, &hs->sweep, now + HEALTH_SWEEP_INTERVAL);
    }
}

static void place_init(struct health_place *p, struct health_streams *hs, bool is_incoming)
{
    p->all = hs;
    p->is_incoming = is_incoming;
    health_frames_init(&p->frames);
}

struct health_streams *health_streams_open(const struct world *world,
                                           const struct health_streams_events *events)
{
    struct health_streams *hs = mem_alloc_zero(sizeof(*hs));

    hs->world = world;
    hs->events = *events;
    hs->sweep = (struct world_timer){.fire = streams_on_sweep, .owner = hs};
    buf_init(&hs->framed);
    for (uint32_t i = 0; i < HEALTH_STREAMS_OUT_MAX; i++) {
        place_init(&hs->out[i], hs, false);
    }
    for (uint32_t i = 0; i < HEALTH_STREAMS_IN_MAX; i++) {
        place_init(&hs->in[i], hs, true);
    }
    return hs;
}

void health_streams_close(struct health_streams *hs)
{
    world_timer_cancel(hs->world, &hs->sweep);
    for (uint32_t i = 0; i < HEALTH_STREAMS_OUT_MAX; i++) {
        place_close(&hs->out[i]);
        health_frames_deinit(&hs->out[i].frames);
    }
    for (uint32_t i = 0; i < HEALTH_STREAMS_IN_MAX; i++) {
        place_close(&hs->in[i]);
        health_frames_deinit(&hs->in[i].frames);
    }
    buf_deinit(&hs->framed);
    mem_free(hs);
}

uint64_t health_streams_counted(const struct health_streams *hs,
                                enum health_streams_counter counter)
{
    return hs->counters[counter];
}

uint32_t health_streams_in_use(const struct health_streams *hs)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < HEALTH_STREAMS_OUT_MAX; i++) {
        n += hs->out[i].stream != NULL ? 1 : 0;
    }
    for (uint32_t i = 0; i < HEALTH_STREAMS_IN_MAX; i++) {
        n += hs->in[i].stream != NULL ? 1 : 0;
    }
    return n;
}
