#include "tests/core/monitoring/health/swim_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

#define SWIM_NET_PORT 7000

/* Datagrams that wait in a kernel's buffer. */
#define SWIM_NET_QUEUE 256

struct swim_event_in_flight {
    nanos at;
    uint64_t sequence;
    uint32_t host;
    uint64_t life; /* of the host that it was meant for; timers only */
    struct swim_event event;
    uint8_t *bytes; /* owned */
    bool waited;
    uint16_t port; /* to which it goes; 0: any */
};

static bool swim_net_before(const struct swim_event_in_flight *a,
                            const struct swim_event_in_flight *b)
{
    return a->at != b->at ? a->at < b->at : a->sequence < b->sequence;
}

static void swim_net_push(struct swim_net *net, struct swim_event_in_flight e)
{
    size_t at = net->n_heap++;

    e.sequence = net->sequence++;
    mem_grow((void **)&net->heap, &net->heap_cap, net->n_heap, sizeof(*net->heap));
    while (at > 0 && swim_net_before(&e, &net->heap[(at - 1) / 2])) {
        net->heap[at] = net->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    net->heap[at] = e;
}

static struct swim_event_in_flight swim_net_pop(struct swim_net *net)
{
    struct swim_event_in_flight top = net->heap[0];
    struct swim_event_in_flight last = net->heap[--net->n_heap];
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= net->n_heap) {
            break;
        }
        if (child + 1 < net->n_heap && swim_net_before(&net->heap[child + 1], &net->heap[child])) {
            child++;
        }
        if (!swim_net_before(&net->heap[child], &last)) {
            break;
        }
        net->heap[at] = net->heap[child];
        at = child;
    }
    if (net->n_heap > 0) {
        net->heap[at] = last;
    }
    return top;
}

static uint32_t swim_net_host_at(const struct swim_net *net, const struct world_endpoint *at)
{
    unsigned long host = at->host[0] == 'h' ? strtoul(at->host + 1, NULL, 10) : net->n;

    return host < net->n ? (uint32_t)host : net->n;
}

static void swim_net_start(struct swim_net *net, uint32_t host)
{
    struct swim_host *h = &net->hosts[host];
    struct swim_config config = net->config;
    struct seal_cipher cipher = {NULL, &seal_stand_in};

    config.self = host + 1;
    config.instance = ++h->instance;
    config.seed = prng_u64(&net->prng);
    config.at = h->at;
    swim_init(&h->swim, &config, &cipher, &net->ring, net->now);
    h->is_up = true;
    h->timer_at = net->now;
    swim_net_push(net,
                  (struct swim_event_in_flight){.at = net->now, .host = host, .life = h->instance});
}

void swim_net_open(struct swim_net *net, uint32_t n, const struct swim_config *config,
                   uint64_t seed, bool is_whole)
{
    const uint8_t key[SEAL_KEY_BYTES] = {1, 2, 3};

    memset(net, 0, sizeof(*net));
    prng_init(&net->prng, seed);
    net->config = *config;
    net->n = n;
    net->delay_min = 100 * NANOS_PER_US;
    net->delay_max = NANOS_PER_MS;
    net->now = NANOS_PER_S;
    CHECK(seal_ring_put(&net->ring, key, true) == OK);
    swim_update_init(&net->update);
    net->hosts = mem_alloc_zero(n * sizeof(*net->hosts));
    for (uint32_t i = 0; i < n; i++) {
        (void)snprintf(net->hosts[i].at.host, sizeof(net->hosts[i].at.host), "h%u", i);
        net->hosts[i].at.port = SWIM_NET_PORT;
        swim_net_start(net, i);
    }
    for (uint32_t i = 0; is_whole && i < n; i++) {
        for (uint32_t k = 0; k < n; k++) {
            swim_assume(&net->hosts[i].swim, k + 1, net->hosts[k].instance, &net->hosts[k].at);
        }
    }
}

void swim_net_close(struct swim_net *net)
{
    for (size_t i = 0; i < net->n_heap; i++) {
        mem_free(net->heap[i].bytes);
    }
    for (uint32_t i = 0; i < net->n; i++) {
        if (net->hosts[i].is_up) {
            swim_deinit(&net->hosts[i].swim);
        }
    }
    mem_free(net->heap);
    mem_free(net->hosts);
    swim_update_deinit(&net->update);
}

/* When an anomalous host, which was handed something now, gets to it. */
static nanos swim_net_opens(const struct swim_net *net, const struct swim_host *h)
{
    nanos cycle = net->shut_span + net->open_span;
    nanos phase = 0;

    if (!h->is_anomalous || net->shut_span == 0 || net->now < net->shut_from) {
        return net->now;
    }
    phase = (net->now - net->shut_from) % cycle;
    return phase < net->shut_span ? net->now + net->shut_span - phase : net->now;
}

static bool swim_net_loses(struct swim_net *net, uint32_t from, uint32_t to, bool is_datagram,
                           size_t bytes)
{
    const struct swim_host *a = &net->hosts[from];
    const struct swim_host *b = &net->hosts[to];

    if ((net->is_split && a->group != b->group) ||
        (net->passes != NULL && !net->passes(net, from, to))) {
        return true;
    }
    if (!is_datagram) {
        /* Retransmission gets a stream through all but the worst of losses. */
        return a->tcp_blocked || b->tcp_blocked || a->loss_out >= 80 || b->loss_in >= 80;
    }
    if (net->datagram_passes != NULL && !net->datagram_passes(net, from, to)) {
        return true;
    }
    return a->udp_blocked || b->udp_blocked || (net->mtu != 0 && bytes > net->mtu) ||
           prng_chance(&net->prng, a->loss_out, 100) || prng_chance(&net->prng, b->loss_in, 100);
}

/* The token of a stream names who opened it, and that it awaits an answer. */
static void swim_net_send(struct swim_net *net, uint32_t from, const struct swim_send *send,
                          const uint8_t *bytes)
{
    bool is_datagram = send->how == SWIM_SEND_DATAGRAM;
    uint32_t to = send->how == SWIM_SEND_REPLY ? (uint32_t)send->stream - 1
                                               : swim_net_host_at(net, &send->at);
    uint32_t copies = 1;

    *(is_datagram ? &net->hosts[from].sent_bytes : &net->hosts[from].stream_bytes) += send->len;
    net->hosts[from].sent += is_datagram ? 1 : 0;
    if (to >= net->n || swim_net_loses(net, from, to, is_datagram, send->len)) {
        return;
    }
    if (is_datagram && prng_chance(&net->prng, net->duplicate_percent, 100)) {
        copies = 2;
    }
    for (uint32_t i = 0; i < copies; i++) {
        struct swim_event_in_flight e = {
            .at = swim_net_opens(net, &net->hosts[from]) +
                  prng_range(&net->prng, net->delay_min, net->delay_max),
            .host = to,
            .bytes = mem_alloc(send->len),
            .port = send->how == SWIM_SEND_REPLY ? 0 : send->at.port,
        };

        memcpy(e.bytes, bytes, send->len);
        e.event.kind = is_datagram ? SWIM_EVENT_DATAGRAM : SWIM_EVENT_STREAM;
        e.event.at = net->hosts[from].at;
        e.event.stream = send->how == SWIM_SEND_STREAM ? from + 1 : 0;
        e.event.bytes = (struct bytes){e.bytes, send->len};
        swim_net_push(net, e);
    }
}

void swim_net_step(struct swim_net *net, uint32_t host, const struct swim_event *event)
{
    struct swim_host *h = &net->hosts[host];
    struct swim_event timed = *event;
    struct swim_update *u = &net->update;

    if (!h->is_up) {
        return;
    }
    timed.now = net->now;
    swim_step(&h->swim, &timed, u);
    for (size_t i = 0; i < u->n_sends; i++) {
        swim_net_send(net, host, &u->sends[i], u->bytes.data + u->sends[i].offset);
    }
    for (size_t i = 0; i < u->n_changes && net->changed != NULL; i++) {
        net->changed(net, host, &u->changes[i]);
    }
    if (net->stepped != NULL) {
        net->stepped(net, host, u);
    }
    if (u->deadline < h->timer_at || h->timer_at <= net->now) {
        h->timer_at = u->deadline;
        if (u->deadline != NANOS_FOREVER) {
            swim_net_push(net, (struct swim_event_in_flight){
                                   .at = u64_max(u->deadline, net->now + 1),
                                   .host = host,
                                   .life = h->instance,
                               });
        }
    }
}

static void swim_net_deliver(struct swim_net *net, struct swim_event_in_flight e)
{
    struct swim_host *h = &net->hosts[e.host];
    bool is_timer = e.event.kind == SWIM_EVENT_TIME;

    if (!h->is_up || (is_timer && (e.life != h->instance || e.at < h->timer_at)) ||
        (e.port != 0 && e.port != h->at.port)) {
        mem_free(e.bytes);
        return;
    }
    if (h->stalled_until > net->now) {
        e.at = h->stalled_until;
        if (is_timer) {
            h->timer_at = e.at;
        }
        swim_net_push(net, e);
        return;
    }
    if (!is_timer && swim_net_opens(net, h) > net->now) {
        if (!e.waited && ++h->waiting > SWIM_NET_QUEUE) {
            h->waiting--;
            mem_free(e.bytes);
            return;
        }
        e.waited = true;
        e.at = swim_net_opens(net, h);
        swim_net_push(net, e);
        return;
    }
    h->waiting -= e.waited ? 1 : 0;
    swim_net_step(net, e.host, &e.event);
    mem_free(e.bytes);
}

void swim_net_run(struct swim_net *net, nanos span)
{
    nanos end = net->now + span;

    while (net->n_heap > 0 && net->heap[0].at <= end) {
        struct swim_event_in_flight e = swim_net_pop(net);

        net->now = u64_max(net->now, e.at);
        swim_net_deliver(net, e);
    }
    net->now = end;
}

bool swim_net_run_until(struct swim_net *net, nanos span, bool (*holds)(struct swim_net *))
{
    nanos end = net->now + span;

    while (!holds(net)) {
        if (net->now >= end) {
            return false;
        }
        swim_net_run(net, u64_min(100 * NANOS_PER_MS, end - net->now));
    }
    return true;
}

void swim_net_crash(struct swim_net *net, uint32_t host)
{
    if (net->hosts[host].is_up) {
        swim_deinit(&net->hosts[host].swim);
        net->hosts[host].is_up = false;
    }
}

void swim_net_restart(struct swim_net *net, uint32_t host, bool moves)
{
    swim_net_crash(net, host);
    if (moves) {
        net->hosts[host].at.port++;
    }
    net->hosts[host].stalled_until = 0;
    swim_net_start(net, host);
}

void swim_net_join(struct swim_net *net, uint32_t host, uint32_t seed_host)
{
    struct swim_event join = {.kind = SWIM_EVENT_JOIN, .at = net->hosts[seed_host].at};

    swim_net_step(net, host, &join);
}

void swim_net_stall(struct swim_net *net, uint32_t host, nanos span)
{
    net->hosts[host].stalled_until = net->now + span;
}

enum swim_state swim_net_state(const struct swim_net *net, uint32_t at, uint32_t of)
{
    const struct swim_member *m = swim_find(&net->hosts[at].swim, of + 1);

    return m == NULL ? SWIM_STATES : (enum swim_state)m->state;
}

bool swim_net_is_settled(struct swim_net *net)
{
    uint32_t up = 0;

    for (uint32_t i = 0; i < net->n; i++) {
        up += net->hosts[i].is_up ? 1 : 0;
    }
    for (uint32_t i = 0; i < net->n; i++) {
        if (!net->hosts[i].is_up) {
            continue;
        }
        if (swim_live_count(&net->hosts[i].swim) != up) {
            return false;
        }
        for (uint32_t k = 0; k < net->n; k++) {
            if (net->hosts[k].is_up && swim_net_state(net, i, k) != SWIM_ALIVE) {
                return false;
            }
        }
    }
    return true;
}

uint32_t swim_net_count(const struct swim_net *net, uint32_t of, enum swim_state state)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < net->n; i++) {
        if (net->hosts[i].is_up && i != of) {
            count += swim_net_state(net, i, of) == state ? 1 : 0;
        }
    }
    return count;
}
