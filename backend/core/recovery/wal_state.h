/*
 * What the records of a log add up to: the hard state, the terms of all entries, and what of it
 * cannot be vouched for. The writer applies each record as it encodes it, recovery as it reads it:
 * one meaning for both.
 *
 *        base                                              last
 *          |      runs of terms, gapless                    |
 *     -----+------------------------------------------------+
 *     gone |              damage: ranges inside             |  doubt: at and after doubt_lo
 *
 *   - base is the entry before the first one; its term is known;
 *   - a damaged range was written once and cannot be read now. Its entries may be committed: they
 *     are asked of peers, never dropped by ourselves. Term 0 means unknown;
 *   - doubt: whole batches at the end of the log are unreadable, so that entries, and a vote, may
 *     have been acknowledged of which nothing is known any more. Only Raft can end it (wal_heal).
 */
#ifndef NOVACRON_RECOVERY_WAL_STATE_H
#define NOVACRON_RECOVERY_WAL_STATE_H

#include "core/base/types.h"
#include "core/recovery/wal_format.h"

/* The upper end of a damage that has no known end: doubt. */
#define WAL_INDEX_OPEN UINT64_MAX

struct wal_hard_state {
    uint64_t term;
    node_id vote;
    uint64_t commit;
};

/* Entries of one term, from `first` to where the next run begins. Term 0: unknown (damaged). */
struct wal_run {
    uint64_t first;
    uint64_t term;
};

/* Entries lo..hi, both included. */
struct wal_range {
    uint64_t lo;
    uint64_t hi;
    uint64_t term; /* 0: unknown, or more than one */
};

struct wal_state {
    struct wal_hard_state hard;
    uint64_t snapshot_index; /* the newest marker; 0: none */
    uint64_t snapshot_term;
    uint64_t base_index;
    uint64_t base_term;
    uint64_t last_index;
    struct wal_run *runs; /* owned, ascending; empty while last == base */
    size_t run_count;
    size_t run_cap;
    struct wal_range *damage; /* owned, ascending, disjoint, inside (base, last] */
    size_t damage_count;
    size_t damage_cap;
    bool in_doubt;
    uint64_t doubt_lo;
};

void wal_state_init(struct wal_state *s);
void wal_state_deinit(struct wal_state *s);

/* The log begins here: forgets all else. */
void wal_state_begin(struct wal_state *s, const struct wal_batch_head *head);

/* 0 where it is unknown: outside of [base, last], or damaged beyond knowing. */
uint64_t wal_state_term_at(const struct wal_state *s, uint64_t index);

/* The last entry's term; base's where there is none. */
uint64_t wal_state_last_term(const struct wal_state *s);

/* An entry replaces everything from its index on, base included. False, and nothing happens, where
 * it cannot follow: it leaves a gap, or its term falls. */
bool wal_state_append(struct wal_state *s, uint64_t index, uint64_t term);

/* A damaged entry is supplied again. False where the log has no such entry or knows another term.
 */
bool wal_state_repair(struct wal_state *s, uint64_t index, uint64_t term);

/* Does the log hold that very entry, as far as it knows? If not, a snapshot that covers it makes
 * the log begin anew. */
bool wal_state_holds(const struct wal_state *s, uint64_t index, uint64_t term);

/* A snapshot covers everything up to index: the log goes on; or it gives way, and begins anew. */
void wal_state_mark(struct wal_state *s, uint64_t index, uint64_t term);
void wal_state_restart(struct wal_state *s, uint64_t index, uint64_t term);

/* Marks what of lo..hi lies inside (base, last]; hi WAL_INDEX_OPEN begins doubt at lo. */
void wal_state_damage(struct wal_state *s, uint64_t lo, uint64_t hi, uint64_t term);

/* Unmarks lo..hi; hi WAL_INDEX_OPEN ends doubt. */
void wal_state_heal(struct wal_state *s, uint64_t lo, uint64_t hi);

/* Batches were lost between this state and `head`, which a later batch carries: takes over what it
 * says, and marks from `lo` to its last entry as damaged. */
void wal_state_lost(struct wal_state *s, const struct wal_batch_head *head, uint64_t lo);

/* The log should reach back to (index, term), below base, and does not: moves base there and marks
 * what is missing as damaged. */
void wal_state_rebase(struct wal_state *s, uint64_t index, uint64_t term);

/* Drops what is known of entries up to `index`, which are no longer kept. */
void wal_state_compact(struct wal_state *s, uint64_t index);

/* What a batch that begins now says about the log. */
struct wal_batch_head wal_state_head(const struct wal_state *s, uint64_t touched);

/* Is `index` in a damaged range? */
bool wal_state_is_damaged(const struct wal_state *s, uint64_t index);

/* A damaged range of unknown term between two entries of one term has that term, as terms never
 * fall: writes it down. */
void wal_state_infer_terms(struct wal_state *s);

/* Asserts what the picture says. */
void wal_state_check(const struct wal_state *s);

#endif
