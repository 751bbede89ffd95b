/* The parts of one store, and the calls between its files. */
#ifndef NOVACRON_STORE_INT_H
#define NOVACRON_STORE_INT_H

#include "core/store/store.h"
#include "core/store/store_dedup.h"
#include "core/store/store_lease.h"
#include "core/store/store_mvcc.h"
#include "core/store/store_system.h"
#include "core/store/store_watch.h"

struct store {
    struct store_mvcc mvcc;
    struct store_leases leases;
    struct store_dedup dedup;
    struct store_watches watches;
    struct store_system system;
    struct store_tokens tokens; /* not replicated state: each member forgets by its own clock */
    uint64_t applied_index;
    uint16_t feature_level;
    struct buf txn_path; /* scratch of store_txn.c: one byte a txn, which branch runs */
};

/* store_write.c: single writes in the open transaction; the caller checked and commits. */

/* etcd's checks of a put that need data: its lease exists, and the key where it must. etcd looks
 * for the lease first, but in a txn for the key. */
MUST_USE enum store_status store_write_put_check(const struct store *s,
                                                 const struct store_put_request *r, bool key_first);

/* Puts, and appends a PutResponse with no header. */
void store_write_put(struct store *s, const struct store_put_request *r, struct buf *response);

/* Deletes, and appends a DeleteRangeResponse with no header; returns how many keys. */
int64_t store_write_delete(struct store *s, const struct store_delete_request *r,
                           struct buf *response);

/* Deletes a lease's keys in their order, and the lease. */
void store_write_revoke(struct store *s, struct store_lease *lease);

/* store_txn.c: the txn was checked; appends a TxnResponse with no header. On another status than OK
 * nothing was changed. The caller commits. */
MUST_USE enum store_status store_txn_run(struct store *s, const struct store_txn_request *txn,
                                         struct buf *response);

/* store_admin.c: the operations on `system`. */
MUST_USE enum store_status store_admin_apply(struct store *s, const struct store_entry *entry,
                                             const struct store_envelope *e, struct buf *response);

/* store_range.c: appends a RangeResponse with no header, at the open transaction's state. The
 * revision was checked. */
void store_range_run(struct store *s, const struct store_range_request *r, struct buf *response);

/* etcd's check of a range's revision against the history. */
MUST_USE enum store_status store_range_revision_check(const struct store *s, int64_t revision);

/* Appends a ResponseHeader with nothing but a revision, as etcd's responses in a txn have. */
void store_header_put(struct buf *b, int64_t revision);

#endif
