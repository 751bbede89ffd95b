/* Processes, clocks, and disks that keep what they promised. */
#include "core/base/check.h"
#include "core/chaos/sim/inject_int.h"
#include "core/chaos/simfile.h"

static void kill_all(struct inject_active *a, bool power)
{
    struct simcluster *c = a->inject->cluster;

    for (uint32_t i = 0; i < c->n; i++) {
        inject_kill(a->inject, &c->member[i], power, a->row.number);
    }
}

static void begin_process(struct inject_active *a)
{
    struct simhost *host = a->at->host;

    switch ((int)a->row.kind) {
    case FAULT_KILL:
    case FAULT_KILL_LOOP:
        inject_kill(a->inject, a->at, false, 0);
        break;
    case FAULT_POWER:
        inject_kill(a->inject, a->at, true, a->row.number);
        break;
    case FAULT_KILL_ALL:
    case FAULT_POWER_ALL:
        kill_all(a, a->row.kind == FAULT_POWER_ALL);
        break;
    case FAULT_PAUSE:
        simhost_pause(host, a->ends);
        break;
    case FAULT_SUSPEND:
        simhost_suspend(host, a->ends);
        break;
    case FAULT_SLOW_CPU:
        simhost_slow_cpu(host, a->row.number);
        break;
    case FAULT_DRIFT:
        simhost_clock_drift(host,
                            a->row.mode == 0 ? (int64_t)a->row.number : -(int64_t)a->row.number);
        break;
    case FAULT_STEP:
        simhost_clock_step(host, a->row.number);
        break;
    default:
        break;
    }
    if (a->row.kind == FAULT_KILL_LOOP) {
        inject_wait(a, a->row.number);
    } else if (a->row.kind == FAULT_APP) {
        simtenant_spoil(a->at->tenant, a->row.mode % SIMTENANT_MODES);
    }
}

static void begin_disk(struct inject_active *a)
{
    struct simhost *host = a->at->host;
    struct simdisk *disk = simhost_disk(host);

    switch ((int)a->row.kind) {
    case FAULT_SLOW_DISK:
        simhost_slow(host, a->row.number / 20, a->row.number);
        break;
    case FAULT_STALL_DISK:
        simhost_stall(host, a->row.mode == 0 ? WORLD_LANE_LOG : WORLD_LANE_BULK, a->ends);
        break;
    case FAULT_FAIL_SYNC:
        simdisk_fail(disk, WORLD_SYNC, ERR_IO, 1);
        break;
    case FAULT_FAIL_WRITE:
        simdisk_fail(disk, WORLD_WRITE, ERR_IO, 1);
        break;
    case FAULT_FULL:
        simdisk_set_capacity(disk, simdisk_used(disk) + a->row.number);
        break;
    default:
        break;
    }
}

/* A leader measures P, by which a host is proved gone, on a clock whose rate is bounded, where
 * hosts are declared bare metal (docs/ha.md, "Proofs"): a jump would be so much time that never
 * passed. A host that sleeps is another thing; that time has passed for all. */
static bool counts_leases(const struct inject_active *a)
{
    const struct sim_settings *s = a->inject->cluster->settings;

    return s->machines > 0 && !s->hosts_sleep && simmember_serves(a->at) &&
           node_status(a->at->node).role == RAFT_LEADER;
}

enum inject_outcome inject_begin_host(struct inject_active *a)
{
    enum fault_family family = fault_family_of(a->row.kind);
    bool needs_process = family == FAMILY_CRASH || family == FAMILY_POWER || family == FAMILY_PAUSE;

    if (needs_process && a->at->state != MEMBER_UP) {
        return INJECT_NO_TARGET;
    }
    /* A voter whose clock jumps ends its promise to a leader early: leases rest on clocks whose
     * rate is bounded (docs/raft.md, "Reads"). */
    if (a->row.kind == FAULT_STEP &&
        (a->inject->cluster->settings->raft.lease_reads || counts_leases(a))) {
        return INJECT_SPARED;
    }
    begin_process(a);
    begin_disk(a);
    if (family == FAMILY_DISK_ERROR) {
        a->inject->damage[a->at->i].may_halt = true;
    } else if (family == FAMILY_DISK_FULL) {
        a->inject->damage[a->at->i].was_full = true;
    }
    return INJECT_DONE;
}

void inject_step_host(struct inject_active *a)
{
    if (a->row.kind == FAULT_KILL_LOOP) {
        if (a->at->state == MEMBER_UP) {
            /* One after the other: the order in which arguments are evaluated is the compiler's. */
            bool power = prng_chance(&a->prng, 1, 2);
            uint64_t num = prng_below(&a->prng, 5);
            inject_kill(a->inject, a->at, power, num);
        } else {
            inject_restart(a->inject, a->at);
        }
        inject_wait(a, prng_range(&a->prng, 1, a->row.number));
    }
}

static void restart_all(struct inject_active *a)
{
    struct simcluster *c = a->inject->cluster;

    for (uint32_t i = 0; i < c->n; i++) {
        if (c->member[i].state == MEMBER_DOWN) {
            inject_restart(a->inject, &c->member[i]);
        }
    }
}

void inject_end_host(struct inject_active *a)
{
    switch ((int)a->row.kind) {
    case FAULT_KILL:
    case FAULT_KILL_LOOP:
    case FAULT_POWER:
        inject_restart(a->inject, a->at);
        break;
    case FAULT_KILL_ALL:
    case FAULT_POWER_ALL:
        restart_all(a);
        break;
    case FAULT_SLOW_CPU:
        simhost_slow_cpu(a->at->host, 0);
        break;
    case FAULT_APP:
        simtenant_mend(a->at->tenant);
        break;
    case FAULT_DRIFT:
        simhost_clock_drift(a->at->host, 0);
        break;
    case FAULT_SLOW_DISK:
        simhost_slow(a->at->host, 0, 0);
        break;
    case FAULT_FULL:
        simdisk_set_capacity(simhost_disk(a->at->host), a->inject->cluster->settings->disk_bytes);
        break;
    default:
        break;
    }
}
