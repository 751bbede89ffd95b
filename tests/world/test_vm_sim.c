/* The contract of virtual machines, held against the simulated world. */
#include "core/chaos/simvm.h"

#include <string.h>

#include "tests/support/test.h"
#include "tests/world/vm_contract.h"

static struct {
    struct simworld *sim;
    struct simhost *host;
    struct simhost *second;
} sim_yard;

static void sim_yard_open(struct vm_bench *bench)
{
    sim_yard.sim = simworld_new(1);
    sim_yard.host = simhost_new(sim_yard.sim, "a", 1 << 20);
    sim_yard.second = simhost_new(sim_yard.sim, "b", 1 << 20);
    (void)simvolume_new(sim_yard.sim, "disk");
    (void)simvolume_new(sim_yard.sim, "other");
    *bench = (struct vm_bench){.w = simhost_world(sim_yard.host),
                               .second = simhost_world(sim_yard.second),
                               .second_name = "b"};
}

static void sim_yard_close(struct vm_bench *bench)
{
    (void)bench;
    assert_null(simvm_violation(sim_yard.sim));
    simworld_free(sim_yard.sim);
}

static void sim_yard_step(struct vm_bench *bench)
{
    (void)bench;
    (void)simworld_step(sim_yard.sim);
}

static void sim_yard_boots(struct vm_bench *bench, const char *name)
{
    (void)bench;
    (void)name;
    simworld_run(sim_yard.sim, simworld_now(sim_yard.sim) + SIMVM_DEAF_TIME);
}

static void sim_yard_restart(struct vm_bench *bench, void (*between)(struct vm_bench *bench))
{
    simhost_kill(sim_yard.host);
    if (between != NULL) {
        between(bench);
    }
}

static void sim_yard_will_run(struct vm_bench *bench, const char *name, const char *program)
{
    const struct simvm_agent agent = {
        .is_missing = program == NULL,
        .status = program != NULL && strcmp(program, "/fails") == 0 ? 3 : 0,
        .span = program != NULL && strcmp(program, "/hangs") == 0 ? NANOS_FOREVER : 0,
        .output = program != NULL && strcmp(program, "/counter") == 0 ? "42" : NULL,
    };

    (void)bench;
    simvm_set_agent(sim_yard.host, name, &agent);
}

static void sim_yard_crash(struct vm_bench *bench, const char *name)
{
    (void)bench;
    simvm_crash(sim_yard.host, name);
}

static void sim_yard_crash_second(struct vm_bench *bench)
{
    struct world_vm_found found;

    (void)bench;
    while (simvm_at(sim_yard.second, 0, &found)) {
        simvm_crash(sim_yard.second, found.name);
    }
}

static void sim_yard_freeze(struct vm_bench *bench, const char *name, bool is_frozen)
{
    (void)bench;
    simvm_set_faults(sim_yard.host, name, &(struct simvm_faults){.is_frozen = is_frozen});
}

int main(void)
{
    struct vm_place place = {
        .name = "simulated machines",
        .open = sim_yard_open,
        .close = sim_yard_close,
        .step = sim_yard_step,
        .boots = sim_yard_boots,
        .restart = sim_yard_restart,
        .will_run = sim_yard_will_run,
        .crash = sim_yard_crash,
        .crash_second = sim_yard_crash_second,
        .freeze = sim_yard_freeze,
    };
    return vm_contract_run(&place);
}
