/*
 * What a run is like before any fault: how many hosts, how the nodes are configured, what the
 * clients do, how long it takes. Drawn from the seed within a named profile.
 */
#ifndef NOVACRON_CHAOS_SIM_PROFILE_H
#define NOVACRON_CHAOS_SIM_PROFILE_H

#include "core/base/prng.h"
#include "core/base/types.h"
#include "core/chaos/sim/fault.h"
#include "core/consensus/raft/raft.h"

/* Hosts of one run: founders, those that join later, and those that never vote. */
#define SIM_HOSTS_MAX 12

/* Machines that they run. */
#define SIM_MACHINES_MAX 8

/* Of the watchdog of a host that runs machines. */
#define SIM_WATCHDOG_TIMEOUT (6 * NANOS_PER_S)

/* The seed's generator has a child for each part of a run, so that a further draw in one leaves the
 * others as they were. */
enum sim_stream {
    SIM_STREAM_WORLD = 1,
    SIM_STREAM_SETTINGS,
    SIM_STREAM_PLAN,
    SIM_STREAM_HEAL,
    SIM_STREAM_TROUBLE,
    SIM_STREAM_CLIENTS = 100, /* and upward: one each */
};

/* enumerator, name, what it is for; which families are often on, and how often, in a hundred, these
 * and the others are */
#define SIM_PROFILE_TABLE(X)                                                                       \
    X(PROFILE_DEFAULT, "default", "everything, drawn", ALL_FAMILIES, 45, 0)                        \
    X(PROFILE_QUIET, "quiet", "no faults: what a healthy group does", 0, 0, 0)                     \
    X(PROFILE_FIVE, "five", "five voters and light faults, for measuring", LIGHT_FAMILIES, 100, 0) \
    X(PROFILE_WITNESS, "witness", "two or four replicas and a witness", ALL_FAMILIES, 40, 0)       \
    X(PROFILE_DISK, "disk", "every fault of disks, few others", DISK_FAMILIES, 80, 15)             \
    X(PROFILE_NETWORK, "network", "every fault of networks, few others", NETWORK_FAMILIES, 80, 15) \
    X(PROFILE_MEMBERS, "members", "changes of the membership in every order, under crashes",       \
      MEMBER_FAMILIES, 80, 15)                                                                     \
    X(PROFILE_CLOCK, "clock", "leases, drifting clocks, suspended hosts", CLOCK_FAMILIES, 80, 15)  \
    X(PROFILE_LEADER, "leader", "whoever leads is cut off, slow, deposed, or dies",                \
      LEADER_FAMILIES, 70, 5)                                                                      \
    X(PROFILE_HOSTS, "hosts", "hosts that watch each other, and crash, pause and lose each other", \
      HOSTS_FAMILIES, 60, 0)                                                                       \
    X(PROFILE_HA, "ha", "machines, hosts, fence devices and guards that fail", HA_FAMILIES, 60, 0)

enum sim_profile {
#define SIM_PROFILE_ENUM(name, text, help, often, chance, other) name,
    SIM_PROFILE_TABLE(SIM_PROFILE_ENUM)
#undef SIM_PROFILE_ENUM
        SIM_PROFILES
};

struct sim_settings {
    enum sim_profile profile;
    uint32_t founders;
    uint32_t spares;  /* hosts that may join later */
    uint32_t agents;  /* hosts behind them that run machines and never vote */
    bool has_witness; /* the last founder is one */
    bool is_stretch;  /* members in different sites */
    bool core_only;   /* in the liveness phase, only a quorum comes back */
    nanos fault_time; /* how long faults go on */
    nanos heal_bound; /* within it a healed cluster must have converged */
    nanos latency;    /* one way */
    nanos spread;
    uint64_t disk_bytes;
    uint16_t feature_level; /* of its founding: the newest, or that of the release before */

    struct raft_config raft; /* but for id and seed */
    uint8_t priority[SIM_HOSTS_MAX];
    uint64_t snapshot_entries;
    uint64_t tail_entries;
    uint64_t history_hot_bytes;
    uint64_t history_segment_bytes;
    uint64_t segment_bytes;
    uint64_t batch_bytes;
    uint64_t reserve_bytes;
    uint64_t scrub_bytes_per_s;
    nanos scrub_pause;
    nanos request_timeout;

    uint32_t clients;
    uint32_t watchers;
    uint32_t lessees;
    uint32_t keys;
    uint32_t value_bytes; /* of most values, at most */
    uint32_t large_bytes; /* of a few */
    nanos think_time;     /* between two operations of a client, on average */
    uint32_t weight_put;  /* of operations, relative to each other */
    uint32_t weight_get;
    uint32_t weight_swap;
    uint32_t weight_delete;

    uint32_t machines;       /* that the hosts are to run; 0: they run none */
    bool machines_are_asked; /* they have checks, and guests take `agent_boot` to start an agent */
    nanos agent_boot;
    bool hosts_sleep;   /* they may be suspended, and so are not declared bare metal */
    bool watches_hosts; /* each host runs a health agent beside the node */

    uint64_t clock_ppm; /* the most by which clocks may drift in this run */
    bool family[FAULT_FAMILIES];
    uint32_t strength[FAULT_FAMILIES]; /* rows a minute, where the family is on */
};

/* Draws the settings of a seed. */
void sim_settings_draw(struct sim_settings *s, enum sim_profile profile, const struct prng *root);

/* Is it never drawn, for scripts alone? */
bool fault_is_scripted(enum fault_kind kind);

const char *sim_profile_name(enum sim_profile profile);
const char *sim_profile_help(enum sim_profile profile);

/* By its name; false if there is none. */
bool sim_profile_find(const char *name, enum sim_profile *ret);

/* Draws the plan for these settings; its rows fall between 0 and `fault_time`. */
void fault_plan_draw(struct fault_plan *plan, const struct sim_settings *s,
                     const struct prng *root);

#endif
