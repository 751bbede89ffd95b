/*
 * A cluster to place machines in: hosts a, b, c ... of 1000 MiB and 4 processors, all well and
 * covered by tested fence devices, on the storage "nfs".
 */
#ifndef NOVACRON_TESTS_PLACE_BENCH_H
#define NOVACRON_TESTS_PLACE_BENCH_H

#include "core/ha/ha_place.h"
#include "tests/core/ha/ha_samples.h"

#define HOSTS_MAX 8

struct place_bench {
    struct ha_view view;
    struct ha_seen seen[HOSTS_MAX];
    char names[HOSTS_MAX][2];
    uint32_t n;
    struct ha_ledger ledger;
    struct ha_verdict verdicts[HOSTS_MAX];
    const char *found;
};

void placing_init(struct place_bench *b, uint32_t hosts);
void placing_deinit(struct place_bench *b);

/* Makes the ledger anew. */
void placing_begin(struct place_bench *b);

/* The host for the machine, in a ledger made anew; "none". */
const char *placing_placed(struct place_bench *b, const struct ha_vm *vm);

/* Puts a machine with its owner's record. */
void placing_put_running(struct place_bench *b, const struct ha_vm *vm, enum ha_phase phase,
                         const char *host);

/* A host's record, changed. */
void placing_put_host(struct place_bench *b, const char *name, void (*change)(struct ha_host *));

#endif
