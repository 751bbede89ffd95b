/*
 * The history: every change from `first` to before `next`, in order, by its seq.
 *
 * It answers "which version is seq s", "at which seq does revision r begin", and what the chain
 * hash was after each change. Compaction takes entries from the front, apply appends at the back.
 * The log borrows the versions; their chains own them.
 */
#ifndef NOVACRON_STORE_LOG_H
#define NOVACRON_STORE_LOG_H

#include "core/base/check.h"
#include "core/store/store_limits.h"
#include "core/store/store_version.h"

struct store_log_entry {
    struct store_version *version;
    uint64_t chain; /* the hash of all changes ever, up to and with this one */
};

struct store_log {
    struct store_log_entry **segments; /* owned; of STORE_LOG_SEGMENT_ENTRIES each */
    size_t segment_count;
    size_t segment_cap;
    uint64_t base; /* seq of the first entry of segments[0] */
    uint64_t first;
    uint64_t next;
    uint64_t chain_before; /* the chain hash before `first` */
};

/* An empty log that goes on at `next`, after changes with this chain hash. */
void store_log_init(struct store_log *log, uint64_t next, uint64_t chain);
void store_log_deinit(struct store_log *log);

void store_log_append(struct store_log *log, struct store_version *v, uint64_t chain);

/* Forgets the first entry. */
void store_log_drop_first(struct store_log *log);

static inline bool store_log_has(const struct store_log *log, uint64_t seq)
{
    return seq >= log->first && seq < log->next;
}

static inline struct store_log_entry *store_log_get(const struct store_log *log, uint64_t seq)
{
    CHECK(store_log_has(log, seq));
    uint64_t at = seq - log->base;
    return &log->segments[at / STORE_LOG_SEGMENT_ENTRIES][at % STORE_LOG_SEGMENT_ENTRIES];
}

/* The chain hash after the change before `seq`; first <= seq <= next. */
uint64_t store_log_chain_before(const struct store_log *log, uint64_t seq);

/* The first seq whose revision is not below `revision`; `next` if there is none. */
uint64_t store_log_seek(const struct store_log *log, int64_t revision);

#endif
