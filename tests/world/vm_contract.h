/*
 * The contract of the part of virtual machines of core/world/world.h, as tests which both worlds
 * that fill it have to pass: the simulated one, and QEMU.
 */
#ifndef NOVACRON_TESTS_WORLD_VM_CONTRACT_H
#define NOVACRON_TESTS_WORLD_VM_CONTRACT_H

#include "core/world/world.h"

/* A host, on which two volumes are, "disk" and "other", and a second one which shares them; the
 * place's functions fill it. */
struct vm_bench {
    const struct world *w;
    const struct world *second;
    const char *second_name; /* by which the first host reaches it */
    struct bytes definition; /* of a machine with an agent, whose guest shuts down when asked to */
    struct bytes plain;      /* without an agent; empty: the same */
    void *own;               /* the place's */
};

struct vm_place {
    const char *name;
    void (*open)(struct vm_bench *bench);
    void (*close)(struct vm_bench *bench);
    /* Lets something happen, or a little time pass. */
    void (*step)(struct vm_bench *bench);
    /* Waits until the guest has booted: before, it may not hear that it is to shut down. */
    void (*boots)(struct vm_bench *bench, const char *name);
    /* The process that uses the world dies, and is started anew; `between` happens meanwhile. */
    void (*restart)(struct vm_bench *bench, void (*between)(struct vm_bench *bench));
    /* Its agent has the programs /counter, which says a number, /fails, which exits with 3, and
     * /hangs; the next EXEC, and no other, is of the one that is named. NULL: it has no agent. */
    void (*will_run)(struct vm_bench *bench, const char *name, const char *program);
    /* The machine's process dies, of the first host. */
    void (*crash)(struct vm_bench *bench, const char *name);
    /* All processes of the second host's machines die. */
    void (*crash_second)(struct vm_bench *bench);
    /* It stands still, or goes on. */
    void (*freeze)(struct vm_bench *bench, const char *name, bool is_frozen);
};

/* Runs the tests, as cmocka does; returns how many failed. */
int vm_contract_run(struct vm_place *place);

#endif
