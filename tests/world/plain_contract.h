/*
 * The contract of plain connections in core/world/world.h, as tests which every world that fills
 * them has to pass: the simulated one and the real one.
 */
#ifndef NOVACRON_TESTS_WORLD_PLAIN_CONTRACT_H
#define NOVACRON_TESTS_WORLD_PLAIN_CONTRACT_H

#include "core/world/world.h"

/* What is at an endpoint. */
enum plain_server {
    SERVER_ANSWERS, /* says PLAIN_ANSWER when something was sent, and ends it */
    SERVER_HANGS,   /* takes the connection, and never says anything */
    SERVER_IS_NONE, /* nobody listens */
    SERVERS
};

#define PLAIN_ANSWER "well, thank you\n"

struct plain_bench {
    const struct world *world;
    struct world_endpoint servers[SERVERS];
    void *own; /* the place's */
};

struct plain_place {
    const char *name;
    void (*open)(struct plain_bench *bench);
    void (*close)(struct plain_bench *bench);
    /* Lets something happen, or a little time pass. */
    void (*step)(struct plain_bench *bench);
};

/* Runs the tests, as cmocka does; returns how many failed. */
int plain_contract_run(struct plain_place *place);

#endif
