/*
 * The contract of the network part of core/world/world.h, as tests which every world that fills it
 * has to pass: the simulated one, the real one in plaintext, and the real one with TLS.
 */
#ifndef NOVACRON_TESTS_WORLD_NET_CONTRACT_H
#define NOVACRON_TESTS_WORLD_NET_CONTRACT_H

#include "core/world/world.h"

/* Two hosts of one kind of world; the place's functions fill it. */
struct net_bench {
    const struct world *a;
    const struct world *b;
    struct world_endpoint at_a;
    struct world_endpoint at_b; /* where b may listen; nobody does at first */
    void *own;                  /* the place's */
};

struct net_place {
    const char *name;
    void (*open)(struct net_bench *bench);
    void (*close)(struct net_bench *bench);
    /* Lets something happen, or a little time pass. */
    void (*step)(struct net_bench *bench);
    /* b's process dies. */
    void (*kill_b)(struct net_bench *bench);
};

/* Runs the tests, as cmocka does; returns how many failed. */
int net_contract_run(struct net_place *place);

#endif
