/*
 * The history: every change from `first` to before `next`, in order, by its seq.
 *
 * It answers "which version is seq s", "at which seq does revision r begin", and what the chain
 * hash was before each change that is not compacted: it keeps every STORE_LOG_CHAIN_SPACING-th
 * chain, and the one at the place where the history begins, and chains the versions' own hashes
 * onto those. Compaction takes entries from the front, apply appends at the back.
 * The log borrows the versions; their chains own them.
 */
#ifndef NOVACRON_STORE_LOG_H
#define NOVACRON_STORE_LOG_H

#include "core/base/check.h"
#include "core/store/store_cold.h"
#include "core/store/store_limits.h"

struct store_log_segment {
    struct store_ref versions[STORE_LOG_SEGMENT_ENTRIES];
    uint64_t chains[STORE_LOG_SEGMENT_ENTRIES / STORE_LOG_CHAIN_SPACING]; /* before each so many */
};

struct store_log {
    struct store_cold *cold;             /* borrowed */
    struct store_log_segment **segments; /* owned */
    size_t segment_count;
    size_t segment_cap;
    uint64_t base; /* seq of the first entry of segments[0] */
    uint64_t first;
    uint64_t next;
    uint64_t known;       /* a seq, not below `first`, before which ... */
    uint64_t known_chain; /* ... the chain hash is this */
};

/* An empty log that goes on at `next`, after changes with this chain hash. */
void store_log_init(struct store_log *log, struct store_cold *cold, uint64_t next, uint64_t chain);
void store_log_deinit(struct store_log *log);

/* `chain` is the hash before this change. */
void store_log_append(struct store_log *log, struct store_version *v, uint64_t chain);

/* Forgets the first entry. */
void store_log_drop_first(struct store_log *log);

static inline bool store_log_has(const struct store_log *log, uint64_t seq)
{
    return seq >= log->first && seq < log->next;
}

static inline struct store_ref *store_log_ref(const struct store_log *log, uint64_t seq)
{
    CHECK(store_log_has(log, seq));
    uint64_t at = seq - log->base;
    return &log->segments[at / STORE_LOG_SEGMENT_ENTRIES]->versions[at % STORE_LOG_SEGMENT_ENTRIES];
}

static inline struct store_version *store_log_get(const struct store_log *log, uint64_t seq)
{
    struct store_version *v = store_ref_get(log->cold, *store_log_ref(log, seq));
    CHECK(v->seq == seq);
    return v;
}

/* The chain hash after the change before `seq`; known <= seq <= next. */
uint64_t store_log_chain_before(const struct store_log *log, uint64_t seq);

/* From here on chains before `seq` are not asked for. */
void store_log_settle(struct store_log *log, uint64_t seq);

/* The first seq whose revision is not below `revision`; `next` if there is none. */
uint64_t store_log_seek(const struct store_log *log, int64_t revision);

#endif
