#include "core/chaos/simevent.h"

#include "core/base/check.h"
#include "core/base/mem.h"

static bool event_before(const struct simevent *a, const struct simevent *b)
{
    return sim_is_before(a->due, a->ticket, b->due, b->ticket);
}

static void event_drop(const struct simevent *event)
{
    if (event->drop != NULL) {
        event->drop(event->arg);
    }
}

void simqueue_deinit(struct simqueue *q)
{
    for (size_t i = 0; i < q->count; i++) {
        event_drop(&q->events[i]);
    }
    mem_free(q->events);
    *q = (struct simqueue){NULL, 0, 0};
}

/* Puts an event into the gap at `at`, or above it. */
static void queue_rise(struct simqueue *q, size_t at, const struct simevent *event)
{
    while (at > 0 && event_before(event, &q->events[(at - 1) / 2])) {
        q->events[at] = q->events[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    q->events[at] = *event;
}

/* Puts an event into the gap at `at`, or below it. */
static void queue_sink(struct simqueue *q, size_t at, const struct simevent *event)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < q->count && event_before(&q->events[child + 1], &q->events[child])) {
            child++;
        }
        if (child >= q->count || !event_before(&q->events[child], event)) {
            break;
        }
        q->events[at] = q->events[child];
        at = child;
    }
    q->events[at] = *event;
}

void simqueue_push(struct simqueue *q, const struct simevent *event)
{
    if (q->count == q->cap) {
        mem_grow((void **)&q->events, &q->cap, q->count + 1, sizeof *q->events);
    }
    q->count++;
    queue_rise(q, q->count - 1, event);
}

struct simevent simqueue_pop(struct simqueue *q)
{
    CHECK(q->count > 0);
    struct simevent first = q->events[0];
    struct simevent last = q->events[--q->count];

    if (q->count > 0) {
        queue_sink(q, 0, &last);
    }
    return first;
}

void simqueue_filter(struct simqueue *q, bool (*keeps)(void *ctx, const struct simevent *event),
                     void *ctx)
{
    size_t kept = 0;

    for (size_t i = 0; i < q->count; i++) {
        struct simevent event = q->events[i];
        if (keeps(ctx, &event)) {
            q->events[kept++] = event;
        } else {
            event_drop(&event);
        }
    }
    q->count = kept;
    for (size_t i = kept / 2; i > 0; i--) {
        struct simevent event = q->events[i - 1];
        queue_sink(q, i - 1, &event);
    }
}
