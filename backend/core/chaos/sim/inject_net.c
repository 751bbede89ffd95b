/* Links: what each active row adds to the plain link between two hosts. */
#include "core/base/check.h"
#include "core/chaos/sim/inject_int.h"

static bool is_on_side(const struct inject_active *a, uint32_t i)
{
    return (a->half >> i & 1) != 0;
}

static bool touches(const struct inject_active *a, uint32_t from, uint32_t to)
{
    return from == a->at->i || to == a->at->i;
}

/* On a ring of all hosts, are they neighbours? */
static bool are_neighbours(const struct inject_active *a, uint32_t from, uint32_t to)
{
    uint32_t n = a->inject->cluster->n;
    uint32_t apart = (from + n - to) % n;

    return apart == 1 || apart == n - 1;
}

static bool joins(const struct inject_active *a, uint32_t from, uint32_t to)
{
    return touches(a, from, to) && touches(&(struct inject_active){.at = a->other}, from, to);
}

static bool is_cut_by(const struct inject_active *a, uint32_t from, uint32_t to)
{
    switch ((int)a->row.kind) {
    case FAULT_ISOLATE:
    case FAULT_FLICKER:
        return a->is_on && touches(a, from, to);
    case FAULT_SPLIT:
        return is_on_side(a, from) != is_on_side(a, to);
    case FAULT_BRIDGE:
        return is_on_side(a, from) != is_on_side(a, to) && !touches(a, from, to);
    case FAULT_MUTE:
        return from == a->at->i;
    case FAULT_DEAFEN:
        return to == a->at->i;
    case FAULT_RING:
        return !are_neighbours(a, from, to);
    case FAULT_SEVER:
        return joins(a, from, to);
    default:
        return false;
    }
}

static bool blocks_datagrams(const struct inject_active *a, uint32_t from, uint32_t to)
{
    switch (a->row.mode) {
    case 0:
        return joins(a, from, to);
    case 1:
        return joins(a, from, to) && from == a->at->i;
    case 2:
        return touches(a, from, to);
    default:
        return true;
    }
}

static void link_add(struct simnet_link *link, const struct inject_active *a, uint32_t from,
                     uint32_t to)
{
    uint64_t number = a->row.number;

    link->is_cut = link->is_cut || is_cut_by(a, from, to);
    switch ((int)a->row.kind) {
    case FAULT_SWIZZLE:
        link->is_clogged = link->is_clogged || is_on_side(a, from) || is_on_side(a, to);
        break;
    case FAULT_CLOG:
        link->is_clogged = link->is_clogged || touches(a, from, to);
        break;
    case FAULT_LOSE:
        link->loss_ppm = (uint32_t)u64_max(link->loss_ppm, number);
        break;
    case FAULT_DUPLICATE:
        link->duplicate_ppm = (uint32_t)u64_max(link->duplicate_ppm, number);
        break;
    case FAULT_LATE:
        link->late_ppm = 100000;
        link->late = u64_max(link->late, number);
        break;
    case FAULT_BLACKHOLE:
        if (touches(a, from, to)) {
            link->large_loss_bytes = (uint32_t)number;
        }
        break;
    case FAULT_SLOW_NET:
        if (touches(a, from, to)) {
            link->latency += number;
        }
        break;
    case FAULT_TAIL:
        link->tail_ppm = 20000;
        link->tail = u64_max(link->tail, number);
        break;
    case FAULT_BLOCK:
        link->drops_datagrams = link->drops_datagrams || blocks_datagrams(a, from, to);
        break;
    case FAULT_NARROW:
        if (touches(a, from, to)) {
            link->bytes_per_s = number;
        }
        break;
    default:
        break;
    }
}

void inject_links(struct inject *inject)
{
    struct simcluster *c = inject->cluster;

    for (uint32_t from = 0; from < c->n; from++) {
        for (uint32_t to = 0; to < c->n; to++) {
            if (from == to) {
                continue;
            }
            struct simnet_link link = simnet_link_plain();
            link.latency = c->settings->latency;
            link.spread = c->settings->spread;
            for (size_t k = 0; k < INJECT_ACTIVE_MAX; k++) {
                if (inject->active[k].is_used) {
                    link_add(&link, &inject->active[k], from, to);
                }
            }
            simnet_link_set(c->member[from].host, c->member[to].host, &link);
        }
    }
}

static void break_streams(struct inject_active *a)
{
    struct simcluster *c = a->inject->cluster;

    for (uint32_t i = 0; i < c->n; i++) {
        struct simhost *host = c->member[i].host;
        if (i == a->at->i) {
            continue;
        }
        if (a->row.kind == FAULT_RESET) {
            simnet_reset(a->at->host, host);
        } else if (is_on_side(a, i)) {
            simnet_stall(a->at->host, host, a->ends);
            simnet_stall(host, a->at->host, a->ends);
        }
    }
}

enum inject_outcome inject_begin_net(struct inject_active *a)
{
    struct simcluster *c = a->inject->cluster;

    a->half = (uint32_t)prng_below(&a->prng, 1U << c->n);
    a->other = &c->member[prng_below(&a->prng, c->n)];
    if (a->row.kind == FAULT_RESET || a->row.kind == FAULT_STALL_STREAM) {
        break_streams(a);
        return INJECT_DONE;
    }
    if ((a->row.kind == FAULT_SEVER || (a->row.kind == FAULT_BLOCK && a->row.mode < 2)) &&
        a->other == a->at) {
        return INJECT_NO_TARGET;
    }
    if (a->row.kind == FAULT_FLICKER) {
        inject_wait(a, a->row.number);
    } else if (a->row.kind == FAULT_SWIZZLE) {
        a->half &= a->half - 1;
        inject_wait(a, a->row.span / (2 * SIM_HOSTS_MAX));
    }
    inject_links(a->inject);
    return INJECT_DONE;
}

void inject_step_net(struct inject_active *a)
{
    struct simcluster *c = a->inject->cluster;

    if (a->row.kind == FAULT_FLICKER) {
        a->is_on = !a->is_on;
        inject_wait(a, a->row.number);
    } else if (a->row.kind == FAULT_SWIZZLE) {
        /* In the first half of its span one more clogs, in the second one opens, in any order. */
        nanos left = u64_sub_sat(a->ends, world_now(a->inject->world));
        uint32_t bit = 1U << prng_below(&a->prng, c->n);
        a->half = left > a->row.span / 2 ? a->half | bit : a->half & ~bit;
        inject_wait(a, a->row.span / (2 * SIM_HOSTS_MAX));
    } else {
        return;
    }
    inject_links(a->inject);
}

void inject_end_net(struct inject_active *a)
{
    enum fault_family family = fault_family_of(a->row.kind);

    if (family == FAMILY_CUT || family == FAMILY_LOSS || family == FAMILY_DELAY ||
        family == FAMILY_CLOG || family == FAMILY_DATAGRAM) {
        inject_links(a->inject);
    }
}
