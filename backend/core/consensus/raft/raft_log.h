/*
 * The log of one node as its Raft core sees it: the terms of all entries, the bodies of the newest
 * ones, and how far each entry has come.
 *
 *     snapshot_index       applied   applying   committed          last
 *           |                 |          |          |               |
 *     ------+-----------------+----------+----------+---------------+
 *     compacted    (bodies possibly on disk only)   |  uncommitted  |
 *                                        ^ durable and handed lie anywhere up to last
 *
 *   - every index in (snapshot_index, last] has a term; terms never fall. They are kept as runs
 *     (one record a term), so a log of millions of entries costs a few bytes;
 *   - the bodies in [cached, last] are in memory, in blocks that are filled in order and freed from
 *     the old end (raft_log_trim). An entry is dropped from memory only once it is both durable and
 *     applied; older ones the driver reads back from its disk;
 *   - handed: the driver was given the entries up to here to write. durable: they are on its disk;
 *   - applying: the driver was given the entries up to here to apply. applied: it has.
 *
 * What always holds: snapshot_index <= applied <= applying <= committed <= last;
 * durable <= handed <= last; snapshot_index < cached <= last + 1.
 *
 * Bodies are copied in once, by raft_log_append. Payload pointers into the log stay valid until the
 * entry is trimmed, truncated or replaced by a snapshot.
 */
#ifndef NOVACRON_RAFT_LOG_H
#define NOVACRON_RAFT_LOG_H

#include "core/consensus/raft/raft_types.h"

/* Bodies are stored in blocks of this many bytes; a larger body has a block of its own. */
#define RAFT_LOG_BLOCK_BYTES (64 * 1024)

/* Free blocks that are kept for reuse, so that a steady state does not allocate. */
#define RAFT_LOG_SPARE_BLOCKS 8

/* What an entry costs in memory besides its payload, in bytes: used wherever limits are counted. */
#define RAFT_ENTRY_OVERHEAD_BYTES 40

/* A run of entries of one term, from `first` to where the next run begins. */
struct raft_term_run {
    raft_index first;
    raft_term term;
};

struct raft_log_block {
    struct raft_log_block *next; /* owned by the log, as is everything after it */
    raft_index last;             /* the newest entry with bytes here; 0: none */
    uint32_t used;
    uint32_t cap;
    uint8_t bytes[];
};

struct raft_log {
    raft_index snapshot_index; /* the entry before the first; compacted, its term is known */
    raft_term snapshot_term;
    raft_index last;
    raft_index cached;
    raft_index handed;
    raft_index durable;
    raft_index committed;
    raft_index applying;
    raft_index applied;

    struct raft_term_run *runs; /* owned, ascending; runs[0].first is snapshot_index + 1 */
    size_t run_count;
    size_t run_cap;

    struct raft_entry *ring; /* owned; entry i at i & (ring_cap - 1) */
    uint64_t ring_cap;       /* a power of two */

    struct raft_log_block *oldest; /* owned list, oldest first */
    struct raft_log_block *newest;
    struct raft_log_block *spare;
    uint32_t spare_count;
    uint64_t cached_bytes; /* payload and overhead of the entries in [cached, last] */
};

/* An empty log that begins after `index`, whose entry had `term`; everything up to it is applied.
 * (0, 0) for a new group. */
void raft_log_init(struct raft_log *log, raft_index index, raft_term term);
void raft_log_deinit(struct raft_log *log);

static inline raft_index raft_log_first(const struct raft_log *log)
{
    return log->snapshot_index + 1;
}

/* Does the log know the term at `index`: is it in [snapshot_index, last]? */
static inline bool raft_log_knows(const struct raft_log *log, raft_index index)
{
    return index >= log->snapshot_index && index <= log->last;
}

/* The term at `index`, or 0 where it is unknown: compacted, or not there yet. */
raft_term raft_log_term(const struct raft_log *log, raft_index index);
raft_term raft_log_last_term(const struct raft_log *log);

/* Is the entry at `index` known, with this term? [Ongaro14 §3.5, Log Matching] */
bool raft_log_matches(const struct raft_log *log, raft_index index, raft_term term);

/* Is a log that ends with (index, term) at least as up-to-date as this one? [Ongaro14 §3.6.1] */
bool raft_log_is_up_to_date(const struct raft_log *log, raft_index index, raft_term term);

/* Where a log that holds `term` at `index` may at best agree with this one: the largest i <= index
 * whose term here is at most `term`, or is unknown. Stores the term at i, 0 where unknown. */
raft_index raft_log_conflict(const struct raft_log *log, raft_index index, raft_term term,
                             raft_term *ret_term);

/* Is the body of `index` in memory? */
static inline bool raft_log_has_body(const struct raft_log *log, raft_index index)
{
    return index >= log->cached && index <= log->last;
}

/* The entry at `index`, whose body must be in memory; borrowed, see the top. */
const struct raft_entry *raft_log_entry(const struct raft_log *log, raft_index index);

/* Appends after `last`; the payload is copied. Terms must not fall. Returns the entry. */
const struct raft_entry *raft_log_append(struct raft_log *log, raft_term term,
                                         enum raft_entry_type type, struct bytes payload);

/* Appends an entry whose body is not in memory, and therefore none before it either: for the
 * recovery of a log with a damaged body. */
void raft_log_append_bodiless(struct raft_log *log, raft_term term);

/* Forgets every entry from `from` on: they conflict with the leader's. from > committed. */
void raft_log_truncate(struct raft_log *log, raft_index from);

/* Forgets the entries up to `index`, which a snapshot covers. index <= applied. */
void raft_log_compact(struct raft_log *log, raft_index index);

/* Replaces the whole log by a snapshot that ends with (index, term). */
void raft_log_restore(struct raft_log *log, raft_index index, raft_term term);

/* Drops bodies before `keep` from memory, oldest first, while there are more than `max_bytes` of
 * them and they are durable and applied. */
void raft_log_trim(struct raft_log *log, uint64_t max_bytes, raft_index keep);

/* How many entries from `from` on, all with bodies in memory, fit into `max_bytes` of payload and
 * overhead: at least one where there is one. Stores their payload bytes. */
uint32_t raft_log_fit(const struct raft_log *log, raft_index from, raft_index to,
                      uint64_t max_bytes, uint64_t *ret_payload_bytes);

/* Asserts what the top of this file says. */
void raft_log_check(const struct raft_log *log);

#endif
