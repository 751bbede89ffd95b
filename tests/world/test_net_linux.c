/* The contract of the network, held against the real world in plaintext. */
#include "tests/support/test.h"
#include "tests/world/linux_pair.h"

static struct linux_pair plain_pair;

static void plain_place_open(struct net_bench *bench)
{
    plain_pair = (struct linux_pair){
        .config_a = linux_net_config_default(),
        .config_b = linux_net_config_default(),
    };
    linux_pair_open(&plain_pair);
    linux_pair_bench(&plain_pair, bench);
}

static void plain_place_close(struct net_bench *bench)
{
    linux_pair_close(bench->own);
}

static void plain_place_step(struct net_bench *bench)
{
    linux_pair_step(bench->own);
}

static void plain_place_kill_b(struct net_bench *bench)
{
    linux_pair_kill_b(bench->own);
}

int main(void)
{
    struct net_place place = {"plaintext", plain_place_open, plain_place_close, plain_place_step,
                              plain_place_kill_b};
    return net_contract_run(&place);
}
