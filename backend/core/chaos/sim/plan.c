#include "core/base/check.h"
#include "core/base/sort.h"
#include "core/chaos/sim/inject_int.h"
#include "core/chaos/sim/profile.h"
#include "core/chaos/sim/simtenant.h"

/* What the numbers of a kind's rows are drawn from. A span or number of 0 to 0 is none. */
struct plan_range {
    uint64_t lo;
    uint64_t hi;
};

struct plan_kind {
    uint32_t weight; /* among the kinds of its family; 0: for scripts only */
    struct plan_range span_ms;
    struct plan_range number;
    uint32_t modes;
};

#define MS NANOS_PER_MS
#define US NANOS_PER_US

static const struct plan_kind plan_kinds[FAULT_KINDS] = {
    [FAULT_ISOLATE] = {4, {50, 8000}, {0, 0}, 1},
    [FAULT_SPLIT] = {4, {50, 8000}, {0, 0}, 1},
    [FAULT_MUTE] = {2, {50, 8000}, {0, 0}, 1},
    [FAULT_DEAFEN] = {2, {50, 8000}, {0, 0}, 1},
    [FAULT_BRIDGE] = {1, {500, 10000}, {0, 0}, 1},
    [FAULT_RING] = {1, {500, 10000}, {0, 0}, 1},
    [FAULT_SEVER] = {3, {50, 10000}, {0, 0}, 1},
    [FAULT_FLICKER] = {1, {500, 8000}, {5 * MS, 900 * MS}, 1},
    [FAULT_SWIZZLE] = {1, {500, 6000}, {0, 0}, 1},
    [FAULT_LOSE] = {2, {500, 10000}, {1000, 300000}, 1},
    [FAULT_DUPLICATE] = {1, {500, 10000}, {10000, 500000}, 1},
    [FAULT_LATE] = {1, {500, 10000}, {10 * MS, 120 * NANOS_PER_S}, 1},
    [FAULT_BLACKHOLE] = {1, {500, 10000}, {100, 1400}, 1},
    [FAULT_SLOW_NET] = {2, {500, 10000}, {1 * MS, 400 * MS}, 1},
    [FAULT_TAIL] = {2, {500, 10000}, {1 * MS, 3000 * MS}, 1},
    [FAULT_NARROW] = {1, {500, 10000}, {20000, 2000000}, 1},
    [FAULT_CLOG] = {2, {50, 8000}, {0, 0}, 1},
    [FAULT_RESET] = {2, {0, 0}, {0, 0}, 1},
    [FAULT_STALL_STREAM] = {1, {50, 15000}, {0, 0}, 1},
    [FAULT_KILL] = {6, {1, 6000}, {0, 0}, 1},
    [FAULT_KILL_LOOP] = {1, {500, 5000}, {1 * MS, 800 * MS}, 1},
    [FAULT_KILL_ALL] = {1, {1, 2000}, {0, 0}, 1},
    [FAULT_POWER] = {5, {1, 6000}, {0, 4}, 1},
    [FAULT_POWER_ALL] = {1, {1, 2000}, {0, 4}, 1},
    [FAULT_PAUSE] = {3, {10, 5000}, {0, 0}, 1},
    [FAULT_SUSPEND] = {1, {100, 20000}, {0, 0}, 1},
    [FAULT_SLOW_CPU] = {1, {500, 8000}, {10 * US, 3 * MS}, 1},
    [FAULT_DRIFT] = {2, {1000, 20000}, {1, 1000000}, 2},
    [FAULT_STEP] = {1, {0, 0}, {11 * MS, 288 * NANOS_PER_S}, 1},
    [FAULT_SLOW_DISK] = {2, {500, 8000}, {1 * MS, 300 * MS}, 1},
    [FAULT_STALL_DISK] = {2, {100, 8000}, {0, 0}, 2},
    [FAULT_FAIL_SYNC] = {2, {0, 0}, {0, 0}, 1},
    [FAULT_FAIL_WRITE] = {1, {0, 0}, {0, 0}, 1},
    [FAULT_FAIL_READ] = {1, {0, 0}, {1, 3}, 1},
    [FAULT_FULL] = {1, {500, 8000}, {0, 256 * 1024}, 1},
    [FAULT_ROT] = {4, {0, 0}, {1, 4}, 4},
    [FAULT_SPOIL] = {2, {0, 0}, {1, 3}, 2},
    [FAULT_MISDIRECT] = {2, {0, 0}, {0, 0}, 4},
    [FAULT_CUT_FILE] = {1, {0, 0}, {0, 0}, 2},
    [FAULT_LOSE_FILE] = {1, {0, 0}, {0, 0}, 3},
    [FAULT_LIE] = {1, {50, 2000}, {0, 4}, 1},
    [FAULT_WIPE] = {2, {1, 4000}, {0, 0}, 1},
    [FAULT_OLD_DISK] = {1, {1, 4000}, {0, 0}, 1},
    [FAULT_ADD] = {4, {0, 0}, {0, 0}, 2},
    [FAULT_PROMOTE] = {3, {0, 0}, {0, 0}, 1},
    [FAULT_DEMOTE] = {1, {0, 0}, {0, 0}, 1},
    [FAULT_REMOVE] = {2, {0, 0}, {0, 0}, 1},
    [FAULT_REPLACE] = {2, {0, 0}, {0, 0}, 2},
    [FAULT_LEAVE_JOINT] = {1, {0, 0}, {0, 0}, 1},
    [FAULT_TRANSFER] = {4, {0, 0}, {0, 0}, 1},
    [FAULT_CAMPAIGN] = {1, {0, 0}, {0, 0}, 1},
    [FAULT_STOP] = {2, {1, 4000}, {0, 0}, 1},
    [FAULT_SNAPSHOT] = {2, {0, 0}, {0, 0}, 1},
    [FAULT_COMPACT] = {2, {0, 0}, {0, 0}, 1},
    [FAULT_UPGRADE] = {2, {500, 8000}, {0, 0}, 2},
    [FAULT_BLOCK] = {1, {500, 40000}, {0, 0}, 4},
    [FAULT_VM_CRASH] = {6, {0, 0}, {0, 0}, 1},
    [FAULT_VM_SHUT_DOWN] = {2, {0, 0}, {0, 0}, 1},
    [FAULT_VM_HANG] = {2, {100, 20000}, {0, 0}, 1},
    [FAULT_VM_MUTE] = {2, {100, 20000}, {0, 0}, 1},
    [FAULT_VM_STUCK] = {2, {100, 20000}, {0, 0}, 1},
    [FAULT_VM_STUBBORN] = {1, {100, 20000}, {0, 0}, 1},
    [FAULT_VM_AGENT] = {4, {100, 20000}, {0, 0}, INJECT_AGENT_FAULTS},
    [FAULT_VM_NO_START] = {2, {0, 0}, {1, 6}, 1},
    [FAULT_VM_MOVE] = {16, {0, 0}, {0, 0}, 3},
    [FAULT_DEVICE] = {4, {1000, 30000}, {0, 0}, INJECT_DEVICE_FAULTS},
    [FAULT_NO_DEVICES] = {1, {1000, 30000}, {0, 0}, 1},
    [FAULT_GUARD_STALL] = {1, {100, 30000}, {0, 0}, 1},
    [FAULT_VOLUME_CUT] = {1, {100, 20000}, {0, 0}, 1},
    [FAULT_SWITCH_OFF] = {4, {1000, 30000}, {0, 0}, 1},
    [FAULT_UNPLUG] = {1, {1000, 30000}, {0, 0}, 1},
    [FAULT_APP] = {1, {100, 30000}, {0, 0}, SIMTENANT_MODES},
};

bool fault_is_scripted(enum fault_kind kind)
{
    CHECK(kind < FAULT_KINDS);
    return plan_kinds[kind].weight == 0;
}

static uint32_t family_weight(enum fault_family family)
{
    uint32_t sum = 0;

    for (size_t kind = 0; kind < FAULT_KINDS; kind++) {
        sum += fault_family_of((enum fault_kind)kind) == family ? plan_kinds[kind].weight : 0;
    }
    return sum;
}

static enum fault_kind draw_kind(enum fault_family family, struct prng *p)
{
    uint64_t at = prng_below(p, family_weight(family));

    for (size_t kind = 0; kind < FAULT_KINDS; kind++) {
        if (fault_family_of((enum fault_kind)kind) == family) {
            if (at < plan_kinds[kind].weight) {
                return (enum fault_kind)kind;
            }
            at -= plan_kinds[kind].weight;
        }
    }
    CHECK_UNREACHABLE("the weights of a family sum up to less than themselves");
}

/* Small numbers are as likely as large ones: of equal chance for each doubling. */
static uint64_t draw_scale(const struct plan_range *range, struct prng *p)
{
    uint64_t hi = range->hi;

    while (hi > range->lo && hi / 2 >= range->lo && prng_chance(p, 1, 2)) {
        hi /= 2;
    }
    return prng_range(p, range->lo, u64_max(hi, range->lo));
}

static void draw_row(struct fault *row, const struct sim_settings *s, enum fault_family family,
                     struct prng *p)
{
    static const enum fault_target targets[] = {TARGET_ANY, TARGET_ANY, TARGET_LEADER,
                                                TARGET_FOLLOWER};

    row->kind = draw_kind(family, p);
    if (row->kind == FAULT_SUSPEND && !s->hosts_sleep) {
        row->kind = FAULT_PAUSE; /* it is declared never to sleep while it runs machines */
    }
    const struct plan_kind *kind = &plan_kinds[row->kind];
    row->target = targets[prng_below(p, COUNT_OF(targets))];
    if (s->profile == PROFILE_LEADER && prng_chance(p, 1, 2)) {
        row->target = TARGET_LEADER;
    }
    row->pick = (uint32_t)prng_below(p, SIM_HOSTS_MAX);
    row->span = draw_scale(&kind->span_ms, p) * NANOS_PER_MS;
    row->number = draw_scale(&kind->number, p);
    row->mode = (uint32_t)prng_below(p, kind->modes);
    row->draw = prng_u64(p);
    if (row->kind == FAULT_DRIFT) {
        row->number = row->number % (s->clock_ppm + 1);
    }
}

/* By time; the draws of two rows are never equal, so nothing is left to the sort. */
static int row_order(const void *a, const void *b)
{
    const struct fault *left = a;
    const struct fault *right = b;

    if (left->at != right->at) {
        return left->at < right->at ? -1 : 1;
    }
    return left->draw < right->draw ? -1 : left->draw > right->draw;
}

/* A device that fails while nobody needs it shows nothing: its host is cut off soon after, and for
 * long, so that it has to be fenced. */
static void draw_need(struct fault_plan *plan, struct fault *device, const struct sim_settings *s,
                      struct prng *p)
{
    struct fault need = {.kind = FAULT_ISOLATE, .target = TARGET_HOST};

    device->target = TARGET_HOST;
    device->pick %= s->founders;
    device->span = prng_range(p, 10, 40) * NANOS_PER_S;
    need.pick = device->pick;
    need.at = device->at + prng_range(p, 0, 500) * NANOS_PER_MS;
    need.span = device->span + prng_range(p, 0, 5000) * NANOS_PER_MS;
    need.draw = prng_u64(p);
    if (plan->count < FAULT_ROWS_MAX) {
        plan->rows[plan->count++] = need;
    }
}

void fault_plan_draw(struct fault_plan *plan, const struct sim_settings *s, const struct prng *root)
{
    struct prng stream = prng_fork(root, SIM_STREAM_PLAN);

    plan->count = 0;
    for (size_t family = 0; family < FAULT_FAMILIES; family++) {
        if (!s->family[family]) {
            continue;
        }
        struct prng p = prng_fork(&stream, family + 1);
        uint64_t rows = u64_max(s->strength[family] * s->fault_time / (60 * NANOS_PER_S), 1);
        for (uint64_t i = 0; i < rows && plan->count < FAULT_ROWS_MAX; i++) {
            struct fault *row = &plan->rows[plan->count++];
            *row = (struct fault){.at = prng_below(&p, s->fault_time)};
            draw_row(row, s, (enum fault_family)family, &p);
            if (row->kind == FAULT_DEVICE && prng_chance(&p, 1, 2)) {
                draw_need(plan, row, s, &p);
            }
        }
    }
    sort_items(plan->rows, plan->count, sizeof plan->rows[0], row_order);
}
