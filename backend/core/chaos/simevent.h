/* Private to the simulated world: a queue of what will happen, a binary heap by (due, ticket). */
#ifndef NOVACRON_CHAOS_SIMEVENT_H
#define NOVACRON_CHAOS_SIMEVENT_H

#include "core/base/types.h"

/* What an event is; part of the run's hash, so the numbers only grow. */
enum simevent_kind {
    SIMEVENT_TIMER = 1,
    SIMEVENT_PROCESS = 2, /* of a process, whose death cancels it: a file's completion, say */
    SIMEVENT_WORLD = 3,   /* of nobody, or of a kernel: a retransmission, say */
    SIMEVENT_DATAGRAM = 4,
    SIMEVENT_BYTES = 5,  /* of a stream */
    SIMEVENT_STREAM = 6, /* opened, closed, writable */
};

/* `run` frees what `arg` owns; `drop`, which may be NULL, does so if it never happens. */
struct simevent {
    nanos due;
    uint64_t ticket;
    void (*run)(void *arg);
    void (*drop)(void *arg);
    void *arg;
    enum simevent_kind kind;
};

struct simqueue {
    struct simevent *events; /* owned */
    size_t count;
    size_t cap;
};

void simqueue_deinit(struct simqueue *q); /* drops what is in it */
void simqueue_push(struct simqueue *q, const struct simevent *event);

/* The first event; the queue is not empty. */
struct simevent simqueue_pop(struct simqueue *q);

/* Drops all events that `keeps` does not want. */
void simqueue_filter(struct simqueue *q, bool (*keeps)(void *ctx, const struct simevent *event),
                     void *ctx);

static inline bool sim_is_before(nanos due_a, uint64_t ticket_a, nanos due_b, uint64_t ticket_b)
{
    return due_a < due_b || (due_a == due_b && ticket_a < ticket_b);
}

#endif
