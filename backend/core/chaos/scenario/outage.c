#include "core/chaos/scenario/outage.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/scenario/stage_machines.h"

/* The machine that is watched; its policy is `stop`. */
#define WATCHED 0

/* Its volume is looked at for so long after the failure; and it must write in the end. */
#define WATCH_SPAN (120 * NANOS_PER_S)
#define WATCH_LATE (5 * NANOS_PER_S)

/* Until the process of a daemon that died is started again. */
#define DAEMON_RESTART NANOS_PER_S

static const struct {
    const char *name;
    const char *text;
} outage_rows[OUTAGE_KINDS] = {
#define OUTAGE_ROW(kind, name, text) [kind] = {name, text},
    OUTAGE_TABLE(OUTAGE_ROW)
#undef OUTAGE_ROW
};

const char *outage_name(enum outage_kind kind)
{
    CHECK(kind < OUTAGE_KINDS);
    return outage_rows[kind].name;
}

const char *outage_text(enum outage_kind kind)
{
    CHECK(kind < OUTAGE_KINDS);
    return outage_rows[kind].text;
}

/* --- one failure ------------------------------------------------------------------------------ */

static void host_hangs(struct stage *st, struct simmember *m)
{
    const struct simvm_faults frozen = {.is_frozen = true};

    simvm_set_faults(m->host, simcluster_machine_name(WATCHED), &frozen);
    simguard_stall(m->host, stage_now(st) + WATCH_SPAN);
    stage_freeze(st, m, WATCH_SPAN);
}

static void outage_begin(struct stage *st, enum outage_kind kind, struct simmember *m)
{
    struct simdevice_faults dead = simdevice_faults_none();

    dead.is_unreachable = true;
    switch (kind) {
    case OUTAGE_HOST_OFF:
    case OUTAGE_LEADER_OFF:
    case OUTAGE_OTHER_HOST:
        stage_switch_off(st, m);
        break;
    case OUTAGE_HOST_HANGS:
        host_hangs(st, m);
        break;
    case OUTAGE_NO_CONTROLLER:
        stage_controller(st, m, dead);
        stage_switch_off(st, m);
        break;
    case OUTAGE_NO_DEVICE:
        stage_no_devices(st, m);
        stage_switch_off(st, m);
        break;
    case OUTAGE_NETWORK:
        stage_isolate(st, m, true);
        break;
    case OUTAGE_DAEMON:
    case OUTAGE_LEADER_DAEMON:
    case OUTAGE_DAEMON_GONE:
        stage_kill(st, m);
        break;
    case OUTAGE_VM_CRASH:
        simvm_crash(m->host, simcluster_machine_name(WATCHED));
        break;
    case OUTAGE_KINDS:
    default:
        CHECK_UNREACHABLE("a kind of outage");
    }
}

/* The longest time without a write from now on; when the last one arrived. */
static nanos watch_volume(struct stage *st, nanos span, nanos *last)
{
    const struct simvolume *volume = st->sim.cluster.volume[WATCHED];
    const nanos until = stage_now(st) + span;
    uint64_t writes = simvolume_writes(volume);
    nanos longest = 0;

    while (stage_step(st, until)) {
        if (simvolume_writes(volume) != writes) {
            writes = simvolume_writes(volume);
            longest = u64_max(longest, stage_now(st) - *last);
            *last = stage_now(st);
        }
    }
    return longest;
}

/* Whom it strikes. The machine is on that host, but where it is another's that fails. */
static struct simmember *outage_cast(struct stage *st, enum outage_kind kind)
{
    bool is_leader = kind == OUTAGE_LEADER_OFF || kind == OUTAGE_LEADER_DAEMON;
    struct simmember *m = is_leader ? stage_leader(st) : stage_follower(st, 0);

    stage_move(st, WATCHED, kind == OUTAGE_OTHER_HOST ? stage_follower(st, 1) : m);
    return m;
}

static void outage_play(struct stage *st, enum outage_kind kind, uint32_t hosts, uint64_t seed,
                        struct outage *ret)
{
    const struct sim_settings s = stage_hosts(hosts, 4);
    nanos last;

    stage_found_hosts(st, &s);
    struct simmember *m = outage_cast(st, kind);
    stage_pass(st, 5 * NANOS_PER_S + seed * 137 % 1000 * NANOS_PER_MS);
    last = stage_now(st);
    nanos longest = watch_volume(st, 2 * SIMVM_WRITE_PERIOD, &last);
    if (stage_is_over(st)) {
        return;
    }
    const uint64_t epoch = stage_owner(st, WATCHED)->epoch;
    outage_begin(st, kind, m);
    if (kind == OUTAGE_DAEMON || kind == OUTAGE_LEADER_DAEMON) {
        longest = u64_max(longest, watch_volume(st, DAEMON_RESTART, &last));
        stage_start(st, m);
    }
    longest = u64_max(longest, watch_volume(st, WATCH_SPAN, &last));
    stage_expect(st, stage_now(st) - last < WATCH_LATE, "the machine is back within two minutes");
    stage_expect(st, stage_offs_all(st) == stage_offs(st, m),
                 "no host is fenced that did not fail");
    ret->span = u64_sub_sat(longest, SIMVM_WRITE_PERIOD + SIMVM_WRITE_PERIOD / 10);
    ret->was_restarted = stage_owner(st, WATCHED)->epoch != epoch;
}

bool outage_measure(enum outage_kind kind, uint32_t hosts, uint64_t seed, struct outage *ret,
                    struct sim_result *result)
{
    const struct sim_options options = {.seed = seed};
    struct stage *st = mem_alloc_zero(sizeof *st);

    CHECK(hosts >= OUTAGE_HOSTS_MIN && hosts <= OUTAGE_HOSTS_MAX);
    memset(ret, 0, sizeof *ret);
    sim_open(&st->sim, &options, result);
    for (size_t i = 0; i < STAGE_CAUGHT_MAX; i++) {
        buf_init(&st->caught[i].bytes);
    }
    outage_play(st, kind, hosts, seed, ret);
    bool is_measured = !st->sim.is_over;
    sim_end(&st->sim);
    for (size_t i = 0; i < STAGE_CAUGHT_MAX; i++) {
        buf_deinit(&st->caught[i].bytes);
    }
    mem_free(st);
    return is_measured;
}
