#include "core/chaos/sim/profile.h"

#include <string.h>

#include "core/base/check.h"
#include "core/chaos/sim/simlessee.h"
#include "core/store/store_limits.h"

#define BIT(family) (1U << (family))

#define DISK_FAMILIES                                                                              \
    (BIT(FAMILY_DISK_SLOW) | BIT(FAMILY_DISK_ERROR) | BIT(FAMILY_DISK_FULL) |                      \
     BIT(FAMILY_DISK_LOSS) | BIT(FAMILY_POWER))
#define NETWORK_FAMILIES                                                                           \
    (BIT(FAMILY_CUT) | BIT(FAMILY_LOSS) | BIT(FAMILY_DELAY) | BIT(FAMILY_CLOG) | BIT(FAMILY_STREAM))
#define MEMBER_FAMILIES                                                                            \
    (BIT(FAMILY_MEMBER) | BIT(FAMILY_CRASH) | BIT(FAMILY_OPERATE) | BIT(FAMILY_CUT))
#define CLOCK_FAMILIES (BIT(FAMILY_CLOCK) | BIT(FAMILY_PAUSE) | BIT(FAMILY_CUT) | BIT(FAMILY_CPU))
#define KIB            1024ULL

#define LEADER_FAMILIES                                                                            \
    (BIT(FAMILY_CUT) | BIT(FAMILY_CLOG) | BIT(FAMILY_STREAM) | BIT(FAMILY_DELAY) |                 \
     BIT(FAMILY_DISK_SLOW) | BIT(FAMILY_PAUSE) | BIT(FAMILY_CRASH) | BIT(FAMILY_OPERATE))
#define HOSTS_FAMILIES                                                                             \
    (BIT(FAMILY_CUT) | BIT(FAMILY_LOSS) | BIT(FAMILY_DELAY) | BIT(FAMILY_CRASH) |                  \
     BIT(FAMILY_PAUSE) | BIT(FAMILY_CLOCK) | BIT(FAMILY_CPU) | BIT(FAMILY_DATAGRAM) |              \
     BIT(FAMILY_APP))
#define HA_FAMILIES                                                                                \
    (HOSTS_FAMILIES | BIT(FAMILY_CLOG) | BIT(FAMILY_STREAM) | BIT(FAMILY_OPERATE) |                \
     MACHINE_FAMILIES)
#define MACHINE_FAMILIES                                                                           \
    (BIT(FAMILY_MACHINE) | BIT(FAMILY_FENCE) | BIT(FAMILY_GUARD) | BIT(FAMILY_STORAGE) |           \
     BIT(FAMILY_MAINS))
#define ALL_FAMILIES   ((BIT(FAULT_FAMILIES) - 1) & ~MACHINE_FAMILIES)
#define LIGHT_FAMILIES (BIT(FAMILY_CRASH) | BIT(FAMILY_CUT) | BIT(FAMILY_LOSS) | BIT(FAMILY_PAUSE))

/* Chances are in a hundred: of each family that is `often` on, and of each of the others. */
static const struct {
    const char *name;
    const char *help;
    uint32_t often;
    uint32_t chance_often;
    uint32_t chance_else;
} profile_rows[SIM_PROFILES] = {
#define SIM_PROFILE_ROW(profile, text, help, often, chance, other)                                 \
    [profile] = {text, help, often, chance, other},
    SIM_PROFILE_TABLE(SIM_PROFILE_ROW)
#undef SIM_PROFILE_ROW
};

/* Rows a minute, at least and at most, where the family is on. */
static const struct {
    uint32_t least;
    uint32_t most;
} family_strength[FAULT_FAMILIES] = {
    [FAMILY_CUT] = {2, 30},      [FAMILY_LOSS] = {2, 12},      [FAMILY_DELAY] = {2, 12},
    [FAMILY_CLOG] = {2, 10},     [FAMILY_STREAM] = {2, 40},    [FAMILY_CRASH] = {2, 30},
    [FAMILY_POWER] = {2, 20},    [FAMILY_PAUSE] = {2, 20},     [FAMILY_CPU] = {1, 8},
    [FAMILY_CLOCK] = {2, 20},    [FAMILY_DISK_SLOW] = {2, 20}, [FAMILY_DISK_ERROR] = {1, 12},
    [FAMILY_DISK_FULL] = {1, 6}, [FAMILY_DISK_LOSS] = {2, 16}, [FAMILY_MEMBER] = {2, 30},
    [FAMILY_OPERATE] = {2, 40},  [FAMILY_DATAGRAM] = {1, 12},  [FAMILY_MACHINE] = {2, 30},
    [FAMILY_FENCE] = {2, 20},    [FAMILY_GUARD] = {1, 6},      [FAMILY_STORAGE] = {1, 8},
    [FAMILY_MAINS] = {2, 12},    [FAMILY_APP] = {2, 20},
};

const char *sim_profile_name(enum sim_profile profile)
{
    CHECK(profile < SIM_PROFILES);
    return profile_rows[profile].name;
}

const char *sim_profile_help(enum sim_profile profile)
{
    CHECK(profile < SIM_PROFILES);
    return profile_rows[profile].help;
}

bool sim_profile_find(const char *name, enum sim_profile *ret)
{
    for (size_t i = 0; i < SIM_PROFILES; i++) {
        if (strcmp(profile_rows[i].name, name) == 0) {
            *ret = (enum sim_profile)i;
            return true;
        }
    }
    return false;
}

static void draw_families(struct sim_settings *s, struct prng *p)
{
    for (size_t i = 0; i < FAULT_FAMILIES; i++) {
        bool often = (profile_rows[s->profile].often & BIT(i)) != 0;
        s->family[i] = prng_chance(
            p, often ? profile_rows[s->profile].chance_often : profile_rows[s->profile].chance_else,
            100);
        uint32_t least = family_strength[i].least;
        uint32_t most = family_strength[i].most;
        if (s->profile == PROFILE_FIVE) {
            most = (least + most) / 4; /* light */
        }
        s->strength[i] = (uint32_t)prng_range(p, least, most);
    }
}

/* How many, with which roles. */
static void draw_members(struct sim_settings *s, struct prng *p)
{
    static const uint8_t sizes[] = {1, 2, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5, 5, 5, 6, 7};

    s->founders = sizes[prng_below(p, sizeof sizes)];
    s->has_witness = prng_chance(p, 1, 8) && s->founders >= 3;
    s->spares = (uint32_t)prng_range(p, 1, 3);
    s->is_stretch = prng_chance(p, 1, 6);
    s->core_only = prng_chance(p, 1, 2);
    bool has_priorities = prng_chance(p, 1, 5);
    for (size_t i = 0; i < SIM_HOSTS_MAX; i++) {
        uint64_t priority = prng_range(p, RAFT_PRIORITY_DEFAULT - 10, RAFT_PRIORITY_DEFAULT + 10);
        s->priority[i] = has_priorities ? (uint8_t)priority : RAFT_PRIORITY_DEFAULT;
    }
    if (s->profile == PROFILE_FIVE) {
        s->founders = 5;
        s->has_witness = false;
        s->is_stretch = false;
    } else if (s->profile == PROFILE_WITNESS) {
        s->has_witness = true;
        s->founders = prng_chance(p, 2, 3) ? 3 : 5;
    } else if (s->profile == PROFILE_LEADER) {
        s->founders = prng_chance(p, 2, 3) ? 3 : 5;
    } else if (s->profile == PROFILE_HA) {
        s->founders = prng_chance(p, 2, 3) ? 3 : 5;
        s->has_witness = false;
        s->is_stretch = false;
        s->machines = (uint32_t)prng_range(p, 1, SIM_MACHINES_MAX);
    }
}

/* Small numbers where large ones are the default, so that what is rare in life happens here. */
static void draw_node(struct sim_settings *s, struct prng *p)
{
    s->raft = s->is_stretch ? raft_config_stretch(1, 0) : raft_config_default(1, 0);
    bool is_of_leases = s->profile == PROFILE_CLOCK || s->profile == PROFILE_LEADER;
    s->raft.lease_reads = prng_chance(p, is_of_leases ? 2 : 1, is_of_leases ? 3 : 4);
    s->raft.chunk_bytes = (uint32_t)(512U << prng_below(p, 8));
    s->raft.max_chunks = (uint32_t)prng_range(p, 1, 6);
    s->raft.max_inflight_messages = (uint32_t)prng_range(p, 1, 64);
    s->raft.follower_snapshots = prng_chance(p, 3, 4);
    s->raft.apply_before_durable = prng_chance(p, 3, 4);
    s->raft.demote_after = prng_chance(p, 1, 4) ? prng_range(p, 5, 30) * NANOS_PER_S : 0;
    s->raft.max_cached_bytes = 64U * 1024U << prng_below(p, 8);
    s->raft.max_append_bytes = u64_min(s->raft.max_cached_bytes / 4, 1024U << prng_below(p, 11));
    s->raft.max_uncommitted_bytes =
        u64_min(s->raft.max_uncommitted_bytes, s->raft.max_cached_bytes);
    s->snapshot_entries = prng_range(p, 20, prng_chance(p, 1, 2) ? 100 : 2000);
    s->tail_entries = prng_range(p, 0, 200);
    /* Small segments are rolled, recycled and missed on a full disk; their batches hold the largest
     * values of clients and no more. */
    bool is_small = prng_chance(p, 2, 3) || s->profile == PROFILE_FIVE;
    s->batch_bytes = (is_small ? 96U : 8192U) * KIB;
    s->reserve_bytes = (is_small ? 16U : 1024U) * KIB;
    s->segment_bytes = (is_small ? 128U : 16384U) * KIB;
    if (s->profile == PROFILE_FIVE) {
        s->snapshot_entries = 2000;
    }
    s->scrub_bytes_per_s =
        prng_chance(p, 1, 2) || s->profile == PROFILE_FIVE ? 0 : 64U * 1024U * 1024U;
    s->scrub_pause = prng_range(p, 1, 20) * NANOS_PER_S;
    s->request_timeout = prng_range(p, 2, 5) * NANOS_PER_S;
    s->disk_bytes = 512ULL * 1024 * 1024;
    if (prng_chance(p, 1, 3)) { /* a fetch takes seconds, and meets faults */
        s->raft.snapshot_bytes_per_s = 200000U << prng_below(p, 4);
    }
    if (prng_chance(p, 1, 4)) { /* proposals are refused for want of room */
        s->raft.max_uncommitted_bytes =
            u64_min(4096U << prng_below(p, 5), s->raft.max_cached_bytes);
    }
    s->watches_hosts = s->profile == PROFILE_HOSTS || s->profile == PROFILE_HA;
    s->clock_ppm = s->raft.lease_reads ? s->raft.clock_drift_ppm : 50000;
}

/* Histories that are cold from the start, and such as life has them; commit indexes that go at
 * once, and such as wait for entries. */
static void draw_history(struct sim_settings *s, struct prng *p)
{
    s->history_hot_bytes = prng_chance(p, 1, 2) ? prng_below(p, 2000) : 512 * 1024;
    s->history_segment_bytes = 256U << prng_below(p, 11);
    s->raft.commit_delay = prng_chance(p, 1, 3) ? 0 : prng_below(p, 10 * NANOS_PER_MS);
}

static void draw_clients(struct sim_settings *s, struct prng *p)
{
    s->clients = (uint32_t)prng_range(p, 2, 10);
    s->watchers = (uint32_t)prng_range(p, 0, 2);
    bool has_elections = s->profile == PROFILE_NETWORK || s->profile == PROFILE_LEADER;
    s->lessees = (uint32_t)prng_range(p, 0, has_elections ? SIM_LESSEES_MAX : 2);
    s->keys = (uint32_t)prng_range(p, 1, 12);
    s->value_bytes = prng_chance(p, 1, 4) ? 512 : 16;
    s->large_bytes = prng_chance(p, 1, 8) ? 64 * 1024 : 2048;
    s->think_time = s->clients * NANOS_PER_S / 50;
    s->weight_put = (uint32_t)prng_range(p, 1, 10);
    s->weight_get = (uint32_t)prng_range(p, 1, 10);
    s->weight_swap = (uint32_t)prng_range(p, 0, 5);
    s->weight_delete = (uint32_t)prng_range(p, 0, 3);
    if (s->profile == PROFILE_FIVE) {
        s->clients = 12;
        s->think_time = s->clients * NANOS_PER_S / 60; /* they wait, too: above 50 a second */
        s->keys = 10;
        s->weight_put = s->weight_get = 5;
    }
}

void sim_settings_draw(struct sim_settings *s, enum sim_profile profile, const struct prng *root)
{
    struct prng p = prng_fork(root, SIM_STREAM_SETTINGS);
    struct prng families = prng_fork(&p, 1);
    struct prng members = prng_fork(&p, 2);
    struct prng node = prng_fork(&p, 3);
    struct prng clients = prng_fork(&p, 4);
    struct prng times = prng_fork(&p, 5);
    struct prng release = prng_fork(&p, 6);
    struct prng history = prng_fork(&p, 7);
    struct prng sleep = prng_fork(&p, 8);
    struct prng agents = prng_fork(&p, 9);
    struct prng ladder = prng_fork(&p, 10);

    CHECK(profile < SIM_PROFILES);
    memset(s, 0, sizeof *s);
    s->profile = profile;
    draw_families(s, &families);
    draw_members(s, &members);
    draw_node(s, &node);
    draw_history(s, &history);
    draw_clients(s, &clients);
    s->feature_level = (uint16_t)(prng_chance(&release, 1, 2) ? STORE_FEATURE_LEVEL_MAX
                                                              : STORE_FEATURE_LEVEL_MAX - 1);
    if (s->profile == PROFILE_HA && prng_chance(&agents, 1, 2)) {
        s->agents = (uint32_t)prng_range(&agents, 1, 3);
    }
    s->hosts_sleep = s->machines == 0 || prng_chance(&sleep, 1, 3);
    s->machines_are_asked = s->machines > 0 && prng_chance(&ladder, 3, 4);
    s->agent_boot = prng_range(&ladder, 0, 20) * NANOS_PER_S;
    s->fault_time = prng_range(&times, 10, 40) * NANOS_PER_S;
    s->heal_bound = (s->is_stretch ? 120 : 60) * NANOS_PER_S;
    s->latency = (s->is_stretch ? prng_range(&times, 1000, 20000) : prng_range(&times, 20, 500)) *
                 NANOS_PER_US;
    s->spread = prng_range(&times, 0, s->latency);
    CHECK(s->founders + s->spares + s->agents <= SIM_HOSTS_MAX);
}
