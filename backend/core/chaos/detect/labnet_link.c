#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/detect/labdraw.h"
#include "core/chaos/detect/labnet_int.h"

/* The handshake of a stream: three segments without payload. */
#define HANDSHAKE_SEGMENTS 3

static bool happens(struct labnet *net, uint32_t chance)
{
    return chance > 0 && prng_below(&net->prng_loss, LABNET_CERTAIN) < chance;
}

/* The chance of `loss` for a message of `len` bytes at `at`. */
static uint32_t loss_chance(const struct labnet_loss *loss, nanos at, uint32_t len)
{
    bool is_small = loss->larger_than > 0 && len <= loss->larger_than;
    return loss->chance == 0 || is_small || !labnet_span_holds(&loss->when, at) ? 0 : loss->chance;
}

static uint32_t between_chance(const struct labnet *net, uint32_t from, uint32_t to)
{
    return net->loss_between == NULL ? 0
                                     : net->loss_between[(size_t)from * net->options.hosts + to];
}

/* Brings the bursts up to now; is one on? */
static bool is_bursting(struct labnet *net)
{
    if (net->bursts.good_mean == 0) {
        return false;
    }
    while (net->burst_until <= net->now) {
        net->burst_is_bad = !net->burst_is_bad;
        nanos mean = net->burst_is_bad ? net->bursts.bad_mean : net->bursts.good_mean;
        double span = (double)mean * labdraw_exponential(&net->prng_loss);
        net->burst_until += 1 + (nanos)span;
    }
    return net->burst_is_bad;
}

static bool is_lost_out(struct labnet *net, const struct labpacket *packet)
{
    const struct labhost *host = &net->hosts[packet->from];
    return happens(net, loss_chance(&host->loss_out, net->now, packet->len)) ||
           happens(net, net->loss_everywhere) ||
           happens(net, between_chance(net, packet->from, packet->to)) || is_bursting(net);
}

/* Of datagrams; what streams suffer was drawn when they were sent. */
bool labnet_is_lost_in(struct labnet *net, const struct labpacket *packet)
{
    const struct labhost *host = &net->hosts[packet->to];
    return packet->kind == LABNET_DATAGRAM &&
           happens(net, loss_chance(&host->loss_in, net->now, packet->len));
}

static void launch_datagram(struct labnet *net, uint32_t index)
{
    const struct labpacket packet = net->packets[index];

    labnet_count_out(net, packet.from, packet.len + LABNET_HEADER_BYTES);
    if (is_lost_out(net, &packet)) {
        net->hosts[packet.from].counts.lost++;
        labnet_packet_free(net, index);
        return;
    }
    if (happens(net, net->doubled)) {
        uint32_t copy = labnet_packet_make(net, packet.from, packet.to, packet.kind,
                                           (struct bytes){packet.data, packet.len});
        nanos later =
            lablatency_draw(net->options.latency, &net->prng_delay, packet.from, packet.to);
        labqueue_push(&net->queue, net->now + later, LABEVENT_ARRIVE, copy);
    }
    nanos delay = lablatency_draw(net->options.latency, &net->prng_delay, packet.from, packet.to);
    labqueue_push(&net->queue, net->now + delay, LABEVENT_ARRIVE, index);
}

/* Is a segment, or the acknowledgement that comes back, lost at `at`? */
static bool is_segment_lost(struct labnet *net, uint32_t from, uint32_t to, uint32_t len, nanos at)
{
    const struct labhost *sender = &net->hosts[from];
    const struct labhost *reader = &net->hosts[to];
    return !reader->is_up || happens(net, loss_chance(&sender->loss_out, at, len)) ||
           happens(net, loss_chance(&reader->loss_in, at, len)) ||
           happens(net, loss_chance(&reader->loss_out, at, 0)) ||
           happens(net, loss_chance(&sender->loss_in, at, 0)) ||
           happens(net, net->loss_everywhere) || happens(net, net->loss_everywhere) ||
           happens(net, between_chance(net, from, to)) ||
           happens(net, between_chance(net, to, from));
}

/* How long a segment waits for the try that goes through; NANOS_FOREVER: none does. Counts what the
 * tries put on the wire. */
static nanos segment_wait(struct labnet *net, const struct labpacket *packet, uint32_t len,
                          nanos sent_at)
{
    nanos wait = 0;
    nanos step = LABNET_RETRANSMIT_WAIT;
    for (uint32_t tries = 0; tries < LABNET_STREAM_TRIES; tries++) {
        labnet_count_out(net, packet->from, len + LABNET_HEADER_BYTES);
        if (!is_segment_lost(net, packet->from, packet->to, len, sent_at + wait)) {
            return wait;
        }
        wait += step;
        step *= 2;
    }
    return NANOS_FOREVER;
}

static void launch_stream(struct labnet *net, uint32_t index)
{
    const struct labpacket packet = net->packets[index];
    bool is_opened = packet.kind == LABNET_ANSWER;
    nanos delay = 0;

    for (uint32_t i = is_opened ? HANDSHAKE_SEGMENTS - 1 : 0; i < HANDSHAKE_SEGMENTS; i++) {
        delay += lablatency_draw(net->options.latency, &net->prng_delay,
                                 i % 2 == 0 ? packet.from : packet.to,
                                 i % 2 == 0 ? packet.to : packet.from);
    }
    nanos worst = is_opened ? 0 : segment_wait(net, &packet, 0, net->now);
    uint32_t left = packet.len;
    while (left > 0 && worst != NANOS_FOREVER) {
        uint32_t len = left < LABNET_SEGMENT_BYTES ? left : LABNET_SEGMENT_BYTES;
        worst = u64_max(worst, segment_wait(net, &packet, len, net->now + delay));
        left -= len;
    }
    if (worst == NANOS_FOREVER) {
        net->hosts[packet.from].counts.lost++;
        labnet_packet_free(net, index);
        return;
    }
    labnet_count_in(net, packet.to, packet.len + LABNET_HEADER_BYTES);
    labqueue_push(&net->queue, net->now + delay + worst, LABEVENT_ARRIVE, index);
}

void labnet_launch(struct labnet *net, uint32_t index)
{
    const struct labpacket *packet = &net->packets[index];
    struct labnet_counts *counts = &net->hosts[packet->from].counts;

    net->messages++;
    counts->sent.messages++;
    counts->sent.bytes += packet->len;
    if (packet->kind == LABNET_DATAGRAM) {
        launch_datagram(net, index);
    } else {
        launch_stream(net, index);
    }
}

/* --- Faults of links -------------------------------------------------------------------------- */

void labnet_lose(struct labnet *net, uint32_t chance)
{
    net->loss_everywhere = chance;
}

void labnet_lose_in(struct labnet *net, uint32_t host, const struct labnet_loss *loss)
{
    net->hosts[host].loss_in = *loss;
}

void labnet_lose_out(struct labnet *net, uint32_t host, const struct labnet_loss *loss)
{
    net->hosts[host].loss_out = *loss;
}

void labnet_lose_between(struct labnet *net, uint32_t from, uint32_t to, uint32_t chance)
{
    size_t hosts = net->options.hosts;
    if (net->loss_between == NULL) {
        net->loss_between = mem_alloc_zero(hosts * hosts * sizeof *net->loss_between);
    }
    net->loss_between[from * hosts + to] = chance;
}

void labnet_burst(struct labnet *net, const struct labnet_bursts *bursts)
{
    net->bursts = *bursts;
    net->burst_is_bad = true; /* the first turn makes it good */
    net->burst_until = net->now;
}

void labnet_double(struct labnet *net, uint32_t chance)
{
    net->doubled = chance;
}
