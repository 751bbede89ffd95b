/*
 * A host loses its network five times in 900 s. It comes back each time, and a cluster that trusts
 * it again each time moves its machines each time.
 *
 * All machines are on it when it begins. The first one may be nowhere else: it is what a quarantine
 * is about, for all others have left with the first loss, and nothing brings them back.
 */
#include <string.h>

#include "core/chaos/scenario/stage_machines.h"

#define FLAPS          5
#define FLAPS_WITHIN   (900 * NANOS_PER_S)
#define FLAPS_MACHINES 4
#define FLAPS_PINNED   0

/* A machine that waits has its reason brought up to date every now and then. */
#define FLAPS_TOLD_WITHIN (60 * NANOS_PER_S)

/* Less than the second in which nobody believes that a host is lost. */
#define FLAP_BRIEF (300 * NANOS_PER_MS)

/* Long enough to be noticed; the agent, with half of its lease left, has not stopped anything. */
#define FLAP_WITHIN_LEASE (4 * NANOS_PER_S)

/* The agent has ended what it may end, and nobody has proved it. */
#define FLAP_UNFENCED (12 * NANOS_PER_S)

#define FLAP_LONG (30 * NANOS_PER_S)

/* `m` has all machines, and one of them may run nowhere else. */
static void flap_gather(struct stage *st, const struct simmember *m, uint64_t epochs[])
{
    struct ha_vm vm;

    for (uint32_t i = 0; i < FLAPS_MACHINES; i++) {
        stage_move(st, i, m);
    }
    vm = stage_machine(st, FLAPS_PINNED);
    vm.allowed.n = 1;
    ha_text_set(vm.allowed.name[0], HA_NAME_BYTES, m->name);
    STAGE_APPLY(st, &vm);
    for (uint32_t i = 0; i < FLAPS_MACHINES; i++) {
        epochs[i] = stage_owner(st, i)->epoch;
    }
}

static void flap(struct stage *st, struct simmember *m, nanos down)
{
    for (uint32_t i = 0; i < FLAPS; i++) {
        stage_isolate(st, m, true);
        stage_pass(st, down);
        stage_isolate(st, m, false);
        stage_pass(st, FLAPS_WITHIN / FLAPS - down);
    }
}

/* Each start has its epoch, and so a machine that has moved n times is n epochs on. */
static void flap_judge_moves(struct stage *st, const struct simmember *m, const uint64_t epochs[],
                             uint64_t most)
{
    for (uint32_t i = 0; i < FLAPS_MACHINES; i++) {
        stage_expect(st, stage_owner(st, i)->epoch <= epochs[i] + most,
                     most == 0 ? "no machine moves" : "no machine moves thrice");
    }
    for (uint32_t i = 0; i < st->sim.cluster.n; i++) {
        const struct simmember *other = stage_member(st, i);
        stage_expect(st,
                     other == m || (stage_offs(st, other) == 0 &&
                                    stage_told(st, "host-lost", other->name) == 0),
                     "no other host is lost, or switched off");
    }
}

static bool flap_is_told(struct stage *st, const struct simmember *m)
{
    const struct ha_view *view = stage_view(st);
    const struct ha_fate *fate = view != NULL ? ha_view_fate(view, m->name) : NULL;

    return fate != NULL && fate->phase == HA_HOST_UP && fate->is_quarantined &&
           strstr(fate->reason, "quarantined: it was lost") != NULL;
}

/* The machine that may be nowhere else waits, and its record says for what. */
static bool flap_is_pinned_told(struct stage *st)
{
    return stage_is_in(st, FLAPS_PINNED, HA_WAITING) &&
           strstr(stage_owner(st, FLAPS_PINNED)->reason, "it is quarantined") != NULL;
}

static void flap_judge_quarantine(struct stage *st, const struct simmember *m)
{
    struct ha_vm vm;

    STAGE_UNTIL(st, FLAPS_TOLD_WITHIN, flap_is_told(st, m),
                "the host is back, in quarantine, and its record says why");
    for (uint32_t i = 0; i < FLAPS_MACHINES; i++) {
        stage_expect(st, i == FLAPS_PINNED || stage_runs(st, i), "the others run");
    }
    if (stage_runs(st, FLAPS_PINNED)) {
        return; /* it was kept there all the time: each time nothing was done to its host */
    }
    STAGE_UNTIL(st, FLAPS_TOLD_WITHIN, flap_is_pinned_told(st),
                "the machine that may be nowhere else waits, and its record says why");
    vm = stage_machine(st, FLAPS_PINNED);
    vm.allowed.n = 0;
    STAGE_APPLY(st, &vm);
    STAGE_UNTIL(st, STAGE_FENCED_WITHIN, stage_runs_off(st, FLAPS_PINNED, m),
                "it runs elsewhere once it may");
}

/* Three hosts; all machines are on the one that will flap. */
static struct simmember *flap_found(struct stage *st, bool leads, uint64_t epochs[])
{
    const struct sim_settings s = stage_hosts(3, FLAPS_MACHINES);

    stage_found_hosts(st, &s);
    struct simmember *m = leads ? stage_leader(st) : stage_follower(st, 0);
    flap_gather(st, m, epochs);
    return m;
}

static void flap_into_quarantine(struct stage *st, struct simmember *m, nanos down,
                                 const uint64_t epochs[])
{
    flap(st, m, down);
    flap_judge_moves(st, m, epochs, 2);
    flap_judge_quarantine(st, m);
}

void scenario_flapping_host(struct stage *st)
{
    uint64_t epochs[FLAPS_MACHINES];
    struct simmember *m = flap_found(st, false, epochs);

    flap_into_quarantine(st, m, FLAP_LONG, epochs);
}

void scenario_flapping_host_briefly(struct stage *st)
{
    uint64_t epochs[FLAPS_MACHINES];
    struct simmember *m = flap_found(st, false, epochs);

    flap(st, m, FLAP_BRIEF);
    flap_judge_moves(st, m, epochs, 0);
    stage_expect(st, stage_told(st, "host-lost", "") == 0 && stage_offs_all(st) == 0,
                 "no host is lost, or switched off");
    stage_expect(st, stage_all_run(st), "all run");
}

void scenario_flapping_host_within_lease(struct stage *st)
{
    uint64_t epochs[FLAPS_MACHINES];
    struct simmember *m = flap_found(st, false, epochs);

    flap_into_quarantine(st, m, FLAP_WITHIN_LEASE, epochs);
}

void scenario_flapping_host_unfenced(struct stage *st)
{
    uint64_t epochs[FLAPS_MACHINES];
    struct simmember *m = flap_found(st, false, epochs);

    stage_no_devices(st, m);
    flap_into_quarantine(st, m, FLAP_UNFENCED, epochs);
}

void scenario_flapping_leader(struct stage *st)
{
    uint64_t epochs[FLAPS_MACHINES];
    struct simmember *m = flap_found(st, true, epochs);

    flap_into_quarantine(st, m, FLAP_LONG, epochs);
}
