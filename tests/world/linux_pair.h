/*
 * Two real worlds in one process, on loopback: a place for the contract of the network, and for
 * tests of what only the real one has.
 */
#ifndef NOVACRON_TESTS_WORLD_LINUX_PAIR_H
#define NOVACRON_TESTS_WORLD_LINUX_PAIR_H

#include "tests/world/net_contract.h"
#include "world/linux/linux_world.h"

struct linux_pair {
    struct linux_world *a;
    struct linux_world *b; /* NULL: dead */
    struct linux_net_config config_a;
    struct linux_net_config config_b;
    int refusals; /* how often either was told of one */
    enum err refusal;
    char why[512]; /* the last of them */
};

/* Opens both on their configurations, of which only what is not zero is taken. */
void linux_pair_open(struct linux_pair *p);
void linux_pair_close(struct linux_pair *p);
/* Both turn, and wait shortly if nothing happened. */
void linux_pair_step(struct linux_pair *p);
void linux_pair_kill_b(struct linux_pair *p);

/* A port that is free for streams and datagrams; 127.0.0.1. */
uint16_t linux_pair_free_port(void);

/* The bench of the contract. */
void linux_pair_bench(struct linux_pair *p, struct net_bench *bench);

#endif
