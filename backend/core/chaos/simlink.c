#include <string.h>

#include "core/base/hash.h"
#include "core/chaos/simnet_int.h"

#define MILLION 1000000U

/* What chance decides about a message. */
enum luck_of {
    LUCK_SPREAD,
    LUCK_HAS_TAIL,
    LUCK_TAIL,
    LUCK_LOSS,
    LUCK_DUPLICATE,
    LUCK_IS_LATE,
    LUCK_LATE,
};

/* --- links ----------------------------------------------------------------------------------- */

struct simnet_link simnet_link_plain(void)
{
    return (struct simnet_link){.latency = SIMNET_LATENCY, .spread = SIMNET_JITTER};
}

static struct simlink *link_new(struct simhost *from, struct simhost *to)
{
    struct simlink *link = mem_alloc_zero(sizeof *link);
    /* The same however many links there are already. */
    struct prng luck = prng_fork(&from->sim->net_prng, (uint64_t)from->source << 32 | to->source);

    link->set = simnet_link_plain();
    link->from = from;
    link->to = to;
    link->seed = prng_u64(&luck);
    link->held_end = &link->held;
    return link;
}

struct simlink *simlink_get(struct simhost *from, struct simhost *to)
{
    if (to->source >= from->link_count) {
        size_t count = to->source + 1;
        from->links = mem_realloc_array(from->links, count, sizeof(struct simlink *));
        for (size_t i = from->link_count; i < count; i++) {
            from->links[i] = NULL;
        }
        from->link_count = count;
    }
    if (from->links[to->source] == NULL) {
        from->links[to->source] = link_new(from, to);
    }
    return from->links[to->source];
}

struct simnet_link simnet_link_get(const struct simhost *from, const struct simhost *to)
{
    CHECK(from->sim == to->sim);
    return to->source < from->link_count && from->links[to->source] != NULL
               ? from->links[to->source]->set
               : simnet_link_plain();
}

bool simlink_is_up(const struct simlink *link)
{
    return !link->from->is_off && !link->from->is_asleep && !link->to->is_off &&
           !link->to->is_asleep;
}

bool simlink_passes(const struct simlink *link)
{
    return !link->set.is_cut && !link->set.is_clogged && simlink_is_up(link);
}

bool simlink_answers(const struct simlink *link)
{
    return link->set.is_cut && link->set.acks_pass ? simlink_is_up(link) : simlink_passes(link);
}

/* --- luck ------------------------------------------------------------------------------------ */

void simlink_begin(struct simlink *link)
{
    link->messages++;
}

/* In [0, bound). */
static uint64_t link_draw(const struct simlink *link, enum luck_of what, uint64_t bound)
{
    uint64_t drawn = hash_u64(link->seed + what, link->messages);
    return (uint64_t)((unsigned __int128)drawn * bound >> 64);
}

static bool link_chance(const struct simlink *link, enum luck_of what, uint32_t ppm)
{
    return ppm != 0 && link_draw(link, what, MILLION) < ppm;
}

bool simlink_loses(const struct simlink *link)
{
    return link_chance(link, LUCK_LOSS, link->set.loss_ppm);
}

nanos simlink_travel(struct simlink *link, size_t size)
{
    nanos span = link->set.latency;

    if (link->set.spread != 0) {
        span += link_draw(link, LUCK_SPREAD, link->set.spread + 1);
    }
    if (link_chance(link, LUCK_HAS_TAIL, link->set.tail_ppm)) {
        span += link_draw(link, LUCK_TAIL, link->set.tail + 1);
    }
    if (link->set.bytes_per_s != 0) {
        nanos now = link->from->sim->now;
        link->free_at = u64_max(link->free_at, now) + size * NANOS_PER_S / link->set.bytes_per_s;
        span += link->free_at - now;
    }
    return span;
}

/* --- datagrams ------------------------------------------------------------------------------- */

static struct simparcel *parcel_new(struct simworld *sim)
{
    struct simparcel *parcel = sim->parcels;

    if (parcel == NULL) {
        return mem_alloc(sizeof *parcel);
    }
    sim->parcels = parcel->next;
    return parcel;
}

static void parcel_free(void *arg)
{
    struct simparcel *parcel = arg;
    struct simworld *sim = parcel->link->from->sim;

    parcel->next = sim->parcels;
    sim->parcels = parcel;
}

static void parcel_drop(void *arg)
{
    const struct simparcel *parcel = arg;

    simworld_tell(parcel->link->from->sim, parcel->link->to, SIMTRACE_DROP, parcel->link->from,
                  parcel->len);
    parcel_free(arg);
}

static void parcel_arrives(void *arg)
{
    struct simparcel *parcel = arg;
    const struct simlink *link = parcel->link;
    struct simworld *sim = link->from->sim;
    const struct simport *port =
        link->to->is_off ? NULL : simport_find(link->to, parcel->to_port, false);

    if (port == NULL) {
        parcel_drop(parcel);
        return;
    }
    const struct bytes bytes = {parcel->bytes, parcel->len};
    const struct world_endpoint from = simhost_endpoint(link->from, parcel->from_port);
    simworld_mix(sim, hash_bytes(link->from->source, bytes.data, bytes.len));
    simworld_tell(sim, link->to, SIMTRACE_DATAGRAM, link->from, parcel->len);
    port->datagrams->received(port->datagrams, &from, bytes);
    parcel_free(parcel);
}

static void parcel_send(struct simparcel *parcel, nanos delay)
{
    struct simlink *link = parcel->link;
    simworld_post(link->from->sim, link->to, SIMEVENT_DATAGRAM, link->from->sim->now + delay,
                  parcel_arrives, parcel_drop, parcel);
}

static void parcel_hold(struct simparcel *parcel)
{
    struct simlink *link = parcel->link;

    if (link->held_count == SIMNET_CLOG_DATAGRAMS) {
        parcel_drop(parcel);
        return;
    }
    parcel->next = NULL;
    *link->held_end = parcel;
    link->held_end = &parcel->next;
    link->held_count++;
}

static bool link_is_full(const struct simlink *link)
{
    return link->set.bytes_per_s != 0 && link->free_at > link->from->sim->now + SIMNET_RATE_QUEUE;
}

static bool link_takes(const struct simlink *link, size_t len)
{
    bool is_large = link->set.large_loss_bytes != 0 && len > link->set.large_loss_bytes;
    return !link->set.is_cut && !link->set.drops_datagrams && simlink_is_up(link) && !is_large &&
           !link_is_full(link) && !simlink_loses(link);
}

void simlink_send_datagram(struct simlink *link, uint16_t from_port, uint16_t to_port,
                           struct bytes datagram)
{
    struct simworld *sim = link->from->sim;

    CHECK(datagram.len <= WORLD_DATAGRAM_MAX_BYTES);
    simlink_begin(link);
    if (!link_takes(link, datagram.len)) {
        simworld_tell(sim, link->to, SIMTRACE_DROP, link->from, datagram.len);
        return;
    }
    size_t copies = link_chance(link, LUCK_DUPLICATE, link->set.duplicate_ppm) ? 2 : 1;
    for (size_t i = 0; i < copies; i++) {
        struct simparcel *parcel = parcel_new(sim);
        parcel->link = link;
        parcel->from_port = from_port;
        parcel->to_port = to_port;
        parcel->len = datagram.len;
        if (datagram.len > 0) {
            memcpy(parcel->bytes, datagram.data, datagram.len);
        }
        if (link->set.is_clogged) {
            parcel_hold(parcel);
            continue;
        }
        nanos delay = simlink_travel(link, datagram.len);
        if (link_chance(link, LUCK_IS_LATE, link->set.late_ppm)) {
            delay += link_draw(link, LUCK_LATE, link->set.late + 1);
        }
        parcel_send(parcel, delay);
        simlink_begin(link); /* the copy has a luck of its own */
    }
}

/* In their order: the first one's delay holds for all, but for what the rate adds. */
static void link_flush_datagrams(struct simlink *link)
{
    nanos delay = 0;

    while (link->held != NULL) {
        struct simparcel *parcel = link->held;
        link->held = parcel->next;
        if (link->set.is_cut || !simlink_is_up(link)) {
            parcel_drop(parcel);
            continue;
        }
        simlink_begin(link);
        delay = u64_max(delay, simlink_travel(link, parcel->len));
        parcel_send(parcel, delay);
    }
    link->held_end = &link->held;
    link->held_count = 0;
}

void simnet_link_set(struct simhost *from, struct simhost *to, const struct simnet_link *set)
{
    struct simlink *link = simlink_get(from, to);
    bool was_clogged = link->set.is_clogged;

    CHECK(set->tail_ppm <= MILLION && set->loss_ppm <= MILLION && set->duplicate_ppm <= MILLION &&
          set->late_ppm <= MILLION);
    link->set = *set;
    if (set->bytes_per_s == 0) {
        link->free_at = 0;
    }
    simworld_tell(from->sim, from, SIMTRACE_LINK, to,
                  (set->is_cut ? 1U : 0U) + (set->is_clogged ? 2U : 0U));
    if (was_clogged && !set->is_clogged) {
        link_flush_datagrams(link);
        simstream_flush(link);
    }
}

void simlinks_deinit(struct simworld *sim)
{
    for (size_t h = 0; h < sim->host_count; h++) {
        struct simhost *host = sim->hosts[h];
        for (size_t i = 0; i < host->link_count; i++) {
            while (host->links[i] != NULL && host->links[i]->held != NULL) {
                struct simparcel *parcel = host->links[i]->held;
                host->links[i]->held = parcel->next;
                mem_free(parcel);
            }
            mem_free(host->links[i]);
        }
        mem_free(host->links);
    }
    while (sim->parcels != NULL) {
        struct simparcel *parcel = sim->parcels;
        sim->parcels = parcel->next;
        mem_free(parcel);
    }
}
