/* The contract of the network, held against the simulated world. */
#include "core/base/types.h"
#include "core/chaos/simworld.h"
#include "tests/support/test.h"
#include "tests/world/net_contract.h"

struct sim_pair {
    struct simworld *sim;
    struct simhost *b;
};

static struct sim_pair sim_pair;

static void sim_place_open(struct net_bench *bench)
{
    sim_pair.sim = simworld_new(1);
    struct simhost *a = simhost_new(sim_pair.sim, "a", 0);
    sim_pair.b = simhost_new(sim_pair.sim, "b", 0);
    *bench = (struct net_bench){
        .a = simhost_world(a),
        .b = simhost_world(sim_pair.b),
        .at_a = {"a", 7},
        .at_b = {"b", 7},
    };
}

static void sim_place_close(struct net_bench *bench)
{
    (void)bench;
    simworld_free(sim_pair.sim);
}

static void sim_place_step(struct net_bench *bench)
{
    (void)bench;
    (void)simworld_step(sim_pair.sim);
}

static void sim_place_kill_b(struct net_bench *bench)
{
    (void)bench;
    simhost_kill(sim_pair.b);
}

int main(void)
{
    struct net_place place = {"simulated", sim_place_open, sim_place_close, sim_place_step,
                              sim_place_kill_b};
    return net_contract_run(&place);
}
