#include "core/chaos/detect/labnet.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/detect/labnet_int.h"

/* A packet that had room for a stream's message gives it back when it is done. */
#define PACKET_KEPT_BYTES 4096

enum { LABEL_DELAY = 1, LABEL_LOSS, LABEL_OUTSIDE = 1000 };

struct labnet *labnet_open(const struct labnet_options *options)
{
    CHECK(options->hosts > 0 && options->hosts <= LABNET_HOSTS_MAX);
    CHECK(options->sink.received != NULL && options->sink.fired != NULL);
    struct labnet *net = mem_alloc_zero(sizeof *net);

    net->options = *options;
    prng_init(&net->seed, options->seed);
    net->prng_delay = prng_fork(&net->seed, LABEL_DELAY);
    net->prng_loss = prng_fork(&net->seed, LABEL_LOSS);
    net->packet_free = LABPACKET_NONE;
    net->hosts = mem_alloc_zero(options->hosts * sizeof *net->hosts);
    for (uint32_t i = 0; i < options->hosts; i++) {
        net->hosts[i].is_up = true;
        net->hosts[i].deadline = NANOS_FOREVER;
        net->hosts[i].fire_at = NANOS_FOREVER;
        net->hosts[i].read_at = NANOS_FOREVER;
        net->hosts[i].release_at = NANOS_FOREVER;
    }
    return net;
}

void labnet_close(struct labnet *net)
{
    if (net == NULL) {
        return;
    }
    for (size_t i = 0; i < net->packet_count; i++) {
        mem_free(net->packets[i].data);
    }
    mem_free(net->packets);
    mem_free(net->queue.events);
    mem_free(net->loss_between);
    mem_free(net->hosts);
    mem_free(net);
}

nanos labnet_now(const struct labnet *net)
{
    return net->now;
}

struct prng labnet_fork(const struct labnet *net, uint64_t label)
{
    return prng_fork(&net->seed, LABEL_OUTSIDE + label);
}

uint64_t labnet_messages(const struct labnet *net)
{
    return net->messages;
}

/* --- Spans ------------------------------------------------------------------------------------ */

bool labnet_span_holds(const struct labnet_span *span, nanos now)
{
    if (now < span->begin || now >= span->end) {
        return false;
    }
    return span->open == 0 || (now - span->begin) % (span->closed + span->open) < span->closed;
}

nanos labnet_span_ends(const struct labnet_span *span, nanos now)
{
    if (!labnet_span_holds(span, now)) {
        return now;
    }
    if (span->open == 0) {
        return span->end;
    }
    nanos period = span->closed + span->open;
    return u64_min(now - (now - span->begin) % period + span->closed, span->end);
}

/* When the process of `host` can do something: now, or at the end of its block or stall. */
static nanos host_free_at(const struct labhost *host, nanos now)
{
    nanos at = now;
    /* The end of one may lie in the other, a few times over. */
    for (;;) {
        nanos later = labnet_span_ends(&host->block, labnet_span_ends(&host->stall, at));
        if (later == at || later == NANOS_FOREVER) {
            return later;
        }
        at = later;
    }
}

/* --- Packets ---------------------------------------------------------------------------------- */

uint32_t labnet_packet_make(struct labnet *net, uint32_t from, uint32_t to, enum labnet_kind kind,
                            struct bytes message)
{
    CHECK(message.len <= LABNET_MESSAGE_MAX_BYTES);
    uint32_t index = net->packet_free;
    if (index == LABPACKET_NONE) {
        CHECK(net->packet_count < LABPACKET_NONE);
        mem_grow((void **)&net->packets, &net->packet_cap, net->packet_count + 1,
                 sizeof *net->packets);
        index = (uint32_t)net->packet_count++;
        net->packets[index] = (struct labpacket){0};
    } else {
        net->packet_free = net->packets[index].next;
    }
    struct labpacket *packet = &net->packets[index];
    if (packet->cap < message.len) {
        mem_grow((void **)&packet->data, &packet->cap, message.len, 1);
    }
    if (message.len > 0) {
        memcpy(packet->data, message.data, message.len);
    }
    packet->len = (uint32_t)message.len;
    packet->from = from;
    packet->to = to;
    packet->kind = kind;
    packet->next = LABPACKET_NONE;
    return index;
}

void labnet_packet_free(struct labnet *net, uint32_t index)
{
    struct labpacket *packet = &net->packets[index];
    if (packet->cap > PACKET_KEPT_BYTES) {
        mem_free(packet->data);
        packet->data = NULL;
        packet->cap = 0;
    }
    packet->next = net->packet_free;
    net->packet_free = index;
}

static size_t packet_kernel_bytes(const struct labpacket *packet)
{
    return packet->len + LABNET_INBOX_OVERHEAD_BYTES;
}

void labfifo_push(struct labnet *net, struct labfifo *fifo, uint32_t index)
{
    if (fifo->count == 0) {
        fifo->first = index;
    } else {
        net->packets[fifo->last].next = index;
    }
    net->packets[index].next = LABPACKET_NONE;
    fifo->last = index;
    fifo->count++;
    fifo->bytes += packet_kernel_bytes(&net->packets[index]);
}

uint32_t labfifo_pop(struct labnet *net, struct labfifo *fifo)
{
    CHECK(fifo->count > 0);
    uint32_t index = fifo->first;
    fifo->first = net->packets[index].next;
    fifo->count--;
    fifo->bytes -= packet_kernel_bytes(&net->packets[index]);
    return index;
}

static void fifo_clear(struct labnet *net, struct labfifo *fifo)
{
    while (fifo->count > 0) {
        labnet_packet_free(net, labfifo_pop(net, fifo));
    }
}

/* --- A process -------------------------------------------------------------------------------- */

static void host_fire(struct labnet *net, uint32_t id)
{
    net->hosts[id].deadline = NANOS_FOREVER;
    net->options.sink.fired(net->options.sink.ctx, id);
}

static void host_read(struct labnet *net, uint32_t id, uint32_t index)
{
    struct labhost *host = &net->hosts[id];
    /* The sink may send, and so move the packets: a copy of this one stays. */
    const struct labpacket packet = net->packets[index];

    host->busy_until = net->now + net->options.cost;
    host->counts.received.messages++;
    host->counts.received.bytes += packet.len;
    net->options.sink.received(net->options.sink.ctx, id, packet.from, packet.kind,
                               (struct bytes){packet.data, packet.len});
    labnet_packet_free(net, index);
}

static void host_plan_read(struct labnet *net, uint32_t id)
{
    struct labhost *host = &net->hosts[id];
    if (host->inbox.count == 0) {
        return;
    }
    nanos at = host_free_at(host, u64_max(net->now, host->busy_until));
    if (at < host->read_at) {
        host->read_at = at;
        labqueue_push(&net->queue, at, LABEVENT_READ, id);
    }
}

static void on_arrive(struct labnet *net, uint32_t index)
{
    const struct labpacket *packet = &net->packets[index];
    uint32_t id = packet->to;
    struct labhost *host = &net->hosts[id];

    if (!host->is_up || labnet_is_lost_in(net, packet)) {
        net->hosts[packet->from].counts.lost++;
        labnet_packet_free(net, index);
        return;
    }
    if (packet->kind == LABNET_DATAGRAM) {
        labnet_count_in(net, id, packet->len + LABNET_HEADER_BYTES);
    }
    bool can_read = host->inbox.count == 0 && host->busy_until <= net->now &&
                    host_free_at(host, net->now) == net->now;
    if (can_read) {
        host_read(net, id, index);
        return;
    }
    if (packet->kind == LABNET_DATAGRAM &&
        host->inbox.bytes + packet_kernel_bytes(packet) > LABNET_INBOX_MAX_BYTES) {
        host->counts.overflowed++;
        labnet_packet_free(net, index);
        return;
    }
    labfifo_push(net, &host->inbox, index);
    host_plan_read(net, id);
}

static void on_read(struct labnet *net, uint32_t id)
{
    struct labhost *host = &net->hosts[id];

    if (host->read_at != net->now) {
        return;
    }
    host->read_at = NANOS_FOREVER;
    if (host->is_up && host_free_at(host, net->now) == net->now) {
        if (host->deadline <= net->now) {
            host_fire(net, id);
        }
        if (host->is_up && host->inbox.count > 0) {
            host_read(net, id, labfifo_pop(net, &host->inbox));
        }
    }
    host_plan_read(net, id);
}

static void plan_fire(struct labnet *net, uint32_t id, nanos at)
{
    struct labhost *host = &net->hosts[id];
    if (at < host->fire_at) {
        host->fire_at = at;
        labqueue_push(&net->queue, at, LABEVENT_FIRE, id);
    }
}

static void on_fire(struct labnet *net, uint32_t id)
{
    struct labhost *host = &net->hosts[id];

    if (host->fire_at != net->now) {
        return; /* an earlier one took its place */
    }
    host->fire_at = NANOS_FOREVER;
    if (!host->is_up || host->deadline == NANOS_FOREVER) {
        return;
    }
    nanos at = labnet_span_ends(&host->stall, u64_max(host->deadline, net->now));
    if (at > net->now) {
        plan_fire(net, id, at);
    } else {
        host_fire(net, id);
    }
}

void labnet_set_deadline(struct labnet *net, uint32_t id, nanos deadline)
{
    struct labhost *host = &net->hosts[id];
    if (!host->is_up) {
        return;
    }
    host->deadline = deadline;
    if (deadline != NANOS_FOREVER) {
        plan_fire(net, id, u64_max(deadline, net->now));
    }
}

static void host_plan_release(struct labnet *net, uint32_t id)
{
    struct labhost *host = &net->hosts[id];
    nanos at = host_free_at(host, net->now);
    if (host->outbox.count > 0 && at < host->release_at) {
        host->release_at = at;
        labqueue_push(&net->queue, at, LABEVENT_RELEASE, id);
    }
}

static void on_release(struct labnet *net, uint32_t id)
{
    struct labhost *host = &net->hosts[id];

    if (host->release_at != net->now) {
        return;
    }
    host->release_at = NANOS_FOREVER;
    if (host_free_at(host, net->now) > net->now) {
        host_plan_release(net, id);
        return;
    }
    while (host->outbox.count > 0) {
        labnet_launch(net, labfifo_pop(net, &host->outbox));
    }
}

void labnet_send(struct labnet *net, uint32_t from, uint32_t to, enum labnet_kind kind,
                 struct bytes message)
{
    CHECK(from < net->options.hosts && to < net->options.hosts);
    struct labhost *host = &net->hosts[from];

    if (!host->is_up) {
        return;
    }
    if (host->outbox.count == 0 && host_free_at(host, net->now) == net->now) {
        labnet_launch(net, labnet_packet_make(net, from, to, kind, message));
        return;
    }
    if (host->outbox.count == LABNET_OUTBOX_MAX) {
        host->counts.overflowed++;
        return;
    }
    labfifo_push(net, &host->outbox, labnet_packet_make(net, from, to, kind, message));
    host_plan_release(net, from);
}

void labnet_run(struct labnet *net, nanos until)
{
    CHECK(until >= net->now);
    while (net->queue.count > 0 && net->queue.events[0].due <= until) {
        const struct labevent event = labqueue_pop(&net->queue);
        net->now = event.due;
        switch (event.kind) {
        case LABEVENT_ARRIVE:
            on_arrive(net, event.subject);
            break;
        case LABEVENT_READ:
            on_read(net, event.subject);
            break;
        case LABEVENT_RELEASE:
            on_release(net, event.subject);
            break;
        case LABEVENT_FIRE:
            on_fire(net, event.subject);
            break;
        }
    }
    net->now = until;
}

/* --- Faults of hosts -------------------------------------------------------------------------- */

void labnet_crash(struct labnet *net, uint32_t id)
{
    struct labhost *host = &net->hosts[id];
    host->is_up = false;
    host->deadline = NANOS_FOREVER;
    fifo_clear(net, &host->inbox);
    fifo_clear(net, &host->outbox);
}

void labnet_restart(struct labnet *net, uint32_t id)
{
    struct labhost *host = &net->hosts[id];
    CHECK(!host->is_up);
    host->is_up = true;
    host->busy_until = net->now;
}

nanos labnet_blocked_until(const struct labnet *net, uint32_t id)
{
    return labnet_span_ends(&net->hosts[id].block, net->now);
}

bool labnet_is_up(const struct labnet *net, uint32_t id)
{
    return net->hosts[id].is_up;
}

void labnet_block(struct labnet *net, uint32_t id, const struct labnet_span *span)
{
    net->hosts[id].block = *span;
    host_plan_read(net, id);
    host_plan_release(net, id);
}

void labnet_stall(struct labnet *net, uint32_t id, const struct labnet_span *span)
{
    net->hosts[id].stall = *span;
    host_plan_read(net, id);
    host_plan_release(net, id);
    if (net->hosts[id].deadline != NANOS_FOREVER) {
        plan_fire(net, id, u64_max(net->hosts[id].deadline, net->now));
    }
}
