/*
 * The contract of commands in core/world/world.h, as tests which every world that fills them has to
 * pass: the simulated one and the real one.
 */
#ifndef NOVACRON_TESTS_WORLD_COMMAND_CONTRACT_H
#define NOVACRON_TESTS_WORLD_COMMAND_CONTRACT_H

#include "core/world/world.h"

/* Programs that a place has. */
enum command_program {
    PROGRAM_SUCCEEDS, /* says "well\n", and exits with 0 */
    PROGRAM_FAILS,    /* says "no route\n" among its errors, and exits with 3 */
    PROGRAM_DIES,     /* of signal 15 */
    PROGRAM_ECHOES,   /* its input */
    PROGRAM_HANGS,    /* for ever */
    PROGRAM_FLOODS,   /* says COMMAND_FLOOD_BYTES, and exits with 0 */
    PROGRAM_LEAVES,   /* a child that hangs and holds its outputs; exits with 0 */
    PROGRAM_IS_NONE,  /* there is no such file */
    PROGRAMS
};

#define COMMAND_FLOOD_BYTES (1024 * 1024)

struct command_bench {
    const struct world *world;
    void *own; /* the place's */
};

struct command_place {
    const char *name;
    void (*open)(struct command_bench *bench);
    void (*close)(struct command_bench *bench);
    /* Lets something happen, or a little time pass. */
    void (*step)(struct command_bench *bench);
    /* Its arguments, up to a NULL. */
    const char *const *(*arguments)(enum command_program program);
};

/* A command of a test, and how it went. */
struct command_try {
    struct world_command_request request;
    struct command_bench *bench;
    uint8_t output[256];
    uint8_t errors[256];
    int done;
    bool is_inside; /* a call of ours: nothing may be told */
};

/* Submits it with its input and environment, and a deadline so much later. */
void command_try_begin(struct command_try *t, struct command_bench *bench,
                       const char *const *arguments, nanos span);
void command_try_await(const struct command_place *place, struct command_try *t);
/* Does what it said begin with this text? */
bool command_said_first(const struct world_command_says *says, const char *text);

/* Runs the tests, as cmocka does; returns how many failed. */
int command_contract_run(struct command_place *place);

#endif
