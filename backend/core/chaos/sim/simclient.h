/*
 * Clients of the simulated cluster: each does one operation at a time on a key of the store, at
 * some member, and writes down when it was called, when it returned, and with what. That history is
 * what the linearizability checker judges.
 *
 * Every written value is a number of its own, so a read tells which write it saw. An operation
 * whose member died, or that took longer than the client's patience, has an unknown outcome: it may
 * take effect at any time after its call, or never. Clients live on a host of their own, whose
 * clock is true, and reach each member without delay: the strictest schedule there is.
 */
#ifndef NOVACRON_CHAOS_SIM_SIMCLIENT_H
#define NOVACRON_CHAOS_SIM_SIMCLIENT_H

#include "core/chaos/sim/simcluster.h"

/* Clients of one run, and their operations that may be under way: a client that gave up goes on to
 * its next one. */
#define SIM_CLIENTS_MAX 16
#define SIM_OPS_MAX     512
#define SIM_KEYS_MAX    64

enum simcall_kind { SIMCALL_GET, SIMCALL_PUT, SIMCALL_SWAP, SIMCALL_DELETE, SIMCALL_KINDS };

enum simcall_outcome {
    SIMCALL_UNKNOWN, /* it may have taken effect, or may yet */
    SIMCALL_OK,
    SIMCALL_FAILED, /* it has no effect, for sure */
};

/* One line of the history. Values are numbers; 0 is: no such key. */
struct simcall {
    enum simcall_kind kind;
    enum simcall_outcome outcome;
    uint32_t client;
    uint32_t key;
    uint32_t at; /* the member's number */
    nanos called;
    nanos returned;    /* NANOS_FOREVER where it did not */
    bool is_pending;   /* nobody has given up on it */
    uint64_t value;    /* written by PUT and SWAP, seen by GET */
    uint64_t expected; /* by SWAP */
    bool changed;      /* a SWAP found what it expected, a DELETE found the key */
    int64_t revision;  /* the store's after a write; at which a GET saw the key; 0: not known */
    int64_t modified;  /* the key's last change, as a GET saw it or a SWAP expects it; 0: no key */
};

struct simclient;
struct simop;

struct simclients {
    struct simcluster *cluster;
    const struct sim_settings *settings;
    const struct world *world; /* the clients' own host */
    struct simclient *client;  /* owned */
    struct simop *ops;         /* owned: SIM_OPS_MAX */
    struct simop *unused;
    struct simcall *calls; /* owned: the history, by `called` */
    size_t call_count;
    size_t call_cap;
    uint64_t next_value;
    uint64_t counts[SIMCALL_KINDS][SIMCALL_FAILED + 1];
    bool are_stopping; /* no new operations */
    /* A member's state may have changed: the run looks at it. */
    void (*touched)(void *ctx, uint32_t i);
    /* What is committed, as far as anybody knows; and a read that was to see `committed`, as it was
     * when the read began, was told that `index` is enough. */
    raft_index (*committed)(void *ctx);
    void (*read_early)(void *ctx, uint32_t at, raft_index index, raft_index committed);
    void *ctx;
};

void simclients_init(struct simclients *c, struct simcluster *cluster, const struct prng *root);
void simclients_deinit(struct simclients *c);

/* Begins to work: the first operations follow within a think time. */
void simclients_start(struct simclients *c);

/* No new operations; those under way go on. */
void simclients_stop(struct simclients *c);

/* How many operations are under way whose client still waits. */
uint32_t simclients_waiting(const struct simclients *c);

/* The member's process is about to go: its operations will never return. */
void simclients_member_gone(struct simclients *c, uint32_t i);

/* One more operation of a client that has none: what the liveness phase asks of every member.
 * False: the member did not take it. */
MUST_USE bool simclients_ask(struct simclients *c, enum simcall_kind kind, uint32_t at,
                             uint32_t key, size_t *ret_call);

/* The name of a key in the store, of SIM_KEY_BYTES bytes. */
#define SIM_KEY_BYTES 4
void simclient_key(uint32_t key, uint8_t name[SIM_KEY_BYTES]);

/* The other way round; UINT32_MAX for a name that no client gives. */
uint32_t simclient_key_number(struct bytes name);

#endif
