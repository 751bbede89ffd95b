/*
 * The multi-version store: keys, versions, history, compaction.
 *
 * Revisions are etcd's: the empty store is at 1, a transaction that changes something makes one
 * more, and all its changes have that revision. Between two changes of a transaction, reads see the
 * changes so far. Reads at a revision see the newest version of each key that is not above it.
 *
 * Compaction at C says at once that nothing below C can be read any more, and which changes the
 * history still has: those from revision C on. What that makes unreachable is freed later, a few
 * changes at a time (store_mvcc_reclaim), and never past a pin. So the state that one can ask for
 * does not depend on how far freeing has come:
 *
 * - a version is freed when a change below C superseded it; a tombstone below C, when it is the
 *   newest of its key (with the key) or when its successor is freed from the log in turn;
 * - an entry leaves the log when its revision is below C.
 *
 * Changes become cold in their order: copied to where they take no memory (store_cold.h), and the
 * log leads there. What such a change superseded leaves the slab with it, as it was copied before,
 * and its own copy in the slab goes when its successor becomes cold. So the slab holds what exists
 * and the newest changes, with what they superseded. Nothing that one can ask for depends on how
 * far that has come.
 */
#ifndef NOVACRON_STORE_MVCC_H
#define NOVACRON_STORE_MVCC_H

#include "core/store/store_cold.h"
#include "core/store/store_log.h"
#include "core/store/store_slab.h"
#include "core/store/store_tree.h"

/* Holds back the freeing of changes from `seq` on. Embedded in the reader, which removes it. */
struct store_pin {
    uint64_t seq;
    bool holds_versions; /* the reader remembers where versions are: they must not move */
    struct store_pin *prev;
    struct store_pin *next;
};

struct store_mvcc {
    struct store_slab slab;
    struct store_cold *cold; /* owned */
    uint64_t cool_seq;       /* the next change that becomes cold */
    size_t hot_bytes;        /* of those from it on ... */
    size_t hot_limit;        /* ... and how many may stay */
    struct store_tree tree;
    struct store_log log;
    struct store_pin pins; /* list head */
    size_t pin_count;
    int64_t revision;         /* of the last transaction that ended */
    int64_t compact_revision; /* -1 before the first compaction, as in etcd */
    uint64_t compact_seq;     /* the first change that the history still has */
    uint64_t compact_chain;   /* the chain hash before it */
    uint64_t chain;           /* of all changes ever, in order */
    uint64_t live_sum;        /* of the hashes of all live versions: a hash of the current keys */
    uint64_t live_bytes;      /* of keys and values of all live versions */
    uint64_t leased_keys;     /* live keys whose newest version names a lease */
    uint64_t changes;         /* in the open transaction */
};

void store_mvcc_init(struct store_mvcc *m);
void store_mvcc_deinit(struct store_mvcc *m);

/* The revision that reads see now: with changes of an open transaction, one above the last. */
static inline int64_t store_mvcc_read_revision(const struct store_mvcc *m)
{
    return m->revision + (m->changes > 0 ? 1 : 0);
}

/* Ends the transaction; its changes, if any, become a revision. */
void store_mvcc_commit(struct store_mvcc *m);

/* Makes changes cold, at most `budget`, while more of them are hot than may be. No pointer to a
 * version is valid behind it, but those to keys' newest ones. */
void store_mvcc_cool(struct store_mvcc *m, size_t budget);

/* The version that `v` superseded; NULL where there is none any more. */
struct store_version *store_mvcc_prev(const struct store_mvcc *m, const struct store_version *v);

/* Writes a version. `key` is not empty. `path` is what store_tree_locate gave for it and `found`
 * the result. Returns the new version; its `prev` is what was there before, perhaps a tombstone. */
struct store_version *store_mvcc_put(struct store_mvcc *m, struct store_tree_path *path,
                                     struct store_key *found, struct bytes key, struct bytes value,
                                     int64_t lease);

/* Writes a tombstone for a live key. */
struct store_version *store_mvcc_delete(struct store_mvcc *m, const struct store_tree_path *path,
                                        struct store_key *key);

/* The version that a read at `revision` sees; NULL if the key did not exist then. */
struct store_version *store_mvcc_at(const struct store_mvcc *m, const struct store_key *key,
                                    int64_t revision);

/* The version of `key` that a read at `revision` sees, or NULL. */
struct store_version *store_mvcc_find(const struct store_mvcc *m, struct bytes key,
                                      int64_t revision);

/* The oldest version of `key` whose seq is not below `seq`, which the log holds; or NULL. */
struct store_version *store_mvcc_since(const struct store_mvcc *m, const struct store_key *key,
                                       uint64_t seq);

/* Makes an empty store one whose history begins at `first_seq`, at the compacted revision: the
 * start of a restore. */
void store_mvcc_resume(struct store_mvcc *m, uint64_t first_seq, uint64_t chain_before,
                       int64_t compact_revision);

/* Adds a key with a version from before the history. `fields` gives seq, revisions, version and
 * lease. `path` is what store_tree_locate gave for the key, which is not there. */
struct store_version *store_mvcc_restore(struct store_mvcc *m, struct store_tree_path *path,
                                         struct bytes key, struct bytes value,
                                         const struct store_version *fields);

/* Says that all below `revision` is gone; compact_revision < revision <= this revision. */
void store_mvcc_compact(struct store_mvcc *m, int64_t revision);

/* Frees what compaction made unreachable, at most `budget` changes; returns true if more is left
 * that no pin holds. */
bool store_mvcc_reclaim(struct store_mvcc *m, size_t budget);

void store_mvcc_pin(struct store_mvcc *m, struct store_pin *pin, uint64_t seq);
void store_mvcc_unpin(struct store_mvcc *m, struct store_pin *pin);

/* A hash of key and fields that does not depend on how they lie in memory. */
uint64_t store_version_hash(const struct store_version *v);

/* CHECKs the tree, the chains, the log and the sums: O(n), for tests. */
void store_mvcc_check(const struct store_mvcc *m);

#endif
