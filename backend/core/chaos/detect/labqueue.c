#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/detect/labnet_int.h"

#define FANOUT 4

static bool labevent_before(const struct labevent *a, const struct labevent *b)
{
    return a->due < b->due || (a->due == b->due && a->ticket < b->ticket);
}

void labqueue_push(struct labqueue *q, nanos due, enum labevent_kind kind, uint32_t subject)
{
    if (q->count == q->cap) {
        mem_grow((void **)&q->events, &q->cap, q->count + 1, sizeof *q->events);
    }
    const struct labevent event = {due, q->ticket++, subject, kind};
    size_t at = q->count++;
    while (at > 0 && labevent_before(&event, &q->events[(at - 1) / FANOUT])) {
        q->events[at] = q->events[(at - 1) / FANOUT];
        at = (at - 1) / FANOUT;
    }
    q->events[at] = event;
}

struct labevent labqueue_pop(struct labqueue *q)
{
    CHECK(q->count > 0);
    const struct labevent first = q->events[0];
    const struct labevent last = q->events[--q->count];
    size_t at = 0;

    for (;;) {
        size_t child = FANOUT * at + 1;
        if (child >= q->count) {
            break;
        }
        size_t end = child + FANOUT < q->count ? child + FANOUT : q->count;
        for (size_t i = child + 1; i < end; i++) {
            child = labevent_before(&q->events[i], &q->events[child]) ? i : child;
        }
        if (!labevent_before(&q->events[child], &last)) {
            break;
        }
        q->events[at] = q->events[child];
        at = child;
    }
    if (q->count > 0) {
        q->events[at] = last;
    }
    return first;
}
