/*
 * The reference: a store of the run's own, outside all nodes, which applies every committed entry
 * once, in order, as soon as any node has applied it. What it says is what happened: every change
 * of a client's key by its revision, against which watches and leases are judged; and every change
 * of a record of HA's, which is judged here (simrecords.h).
 */
#ifndef NOVACRON_CHAOS_SIM_SIMTRUTH_H
#define NOVACRON_CHAOS_SIM_SIMTRUTH_H

#include "core/base/types.h"
#include "core/chaos/sim/simrecords.h"
#include "core/consensus/raft/raft.h"
#include "core/store/store.h"

/* One change of one key. */
struct simchange {
    int64_t revision;
    uint32_t key; /* the number in its name: simclient_key_number */
    bool is_delete;
    uint64_t value;
    nanos at; /* when it was first applied anywhere */
};

struct simtruth {
    struct store *store; /* owned */
    struct store_stream *stream;
    raft_index applied;
    struct simchange *changes; /* owned; by revision, and within it in the order of the store */
    size_t count;
    size_t cap;
    struct buf response;
    struct simrecords records;
    const char
        *broken; /* the invariant that a record broke first (records.text says how), or NULL */
};

void simtruth_init(struct simtruth *t, uint16_t feature_level);
void simtruth_deinit(struct simtruth *t);

/* Some node applied this entry. */
void simtruth_applied(struct simtruth *t, const struct raft_entry *e, nanos now);

#endif
