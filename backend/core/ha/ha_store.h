/*
 * ha_store: how HA reaches the replicated store. A table of asynchronous operations, like the
 * world's, which core/node/node_ha.h fills for the daemon and for the simulator.
 *
 * THREAD. As in world.h: no call blocks, and no completion runs inside the call that asked for it.
 *
 * TRANSACTIONS. A transaction is applied as a whole or not at all: if each of its guards holds, all
 * its writes are made, at one revision. Requests are the caller's, and stay in place until `done`.
 *
 *     HA_TXN_APPLIED   all was written, at `revision`
 *     HA_TXN_STALE     a guard did not hold: somebody else wrote; nothing was
 *     HA_TXN_REFUSED   nothing was written, nor will be: `error` says why (no leader, a full disk)
 *     HA_TXN_UNKNOWN   it was applied, or will be, or never: the view behind a barrier tells, and
 *                      its guards see to it that it cannot follow what is decided on a later one
 *
 * THE FEED tells of every key under HA_PREFIX: first of all there are, then of each change, in the
 * order of revisions. `began` comes before the first, and again if the store was replaced and the
 * history in between is gone, or who listens has asked for everything anew: what was told before is
 * to be forgotten. `reached` says that
 * everything up to a revision was told; it follows each batch. The feed is told of an own
 * transaction's changes before its `done` is entered, unless the store is just being replaced.
 *
 * CONFIRM. A linearizable read: when it is done with OK, this member led when it began if
 * `is_leader` says so, in `term`, and the feed has told everything that was committed then, which
 * is up to `revision`. It does not wait for what is in the log and not committed yet.
 *
 * BARRIER. When it is done with OK, the feed has told everything that was in this leader's log when
 * it began, which is up to `revision`: `term` is of both moments. What had ended as UNKNOWN by then
 * was applied, or is not in the log: it is not proposed again, and can only come from an earlier
 * term, whose token guards it in vain. ERR_NOT_LEADER: this member does not lead, or not any more.
 * It waits for as long as the commit does, and asks nobody.
 *
 * NOTES go to the owner of HA on another member, or on this one, without promise.
 */
#ifndef NOVACRON_HA_STORE_H
#define NOVACRON_HA_STORE_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/types.h"

enum ha_txn_outcome { HA_TXN_APPLIED, HA_TXN_STALE, HA_TXN_REFUSED, HA_TXN_UNKNOWN };

struct ha_txn {
    /* The caller's; the lists through the functions below. */
    void (*done)(struct ha_txn *txn);
    void *owner;
    struct buf body; /* owned: the transaction, as the store takes it */
    uint32_t guards;
    uint32_t writes;

    /* The answer, valid in `done`. */
    enum ha_txn_outcome outcome;
    enum err error;
    int64_t revision;

    /* The store's own, while it is under way. */
    void *store;
    struct ha_txn *next;
};

/* As many guards, and as many writes, as one transaction of the store may have. */
#define HA_TXN_ITEMS_MAX 128

/* The longest note. */
#define HA_NOTE_BYTES_MAX 512

void ha_txn_init(struct ha_txn *txn);
void ha_txn_deinit(struct ha_txn *txn);

/* Forgets what is in it; it may be filled anew. */
void ha_txn_clear(struct ha_txn *txn);

/* The key must have been changed last at this revision; 0: it must not exist. */
void ha_txn_guard(struct ha_txn *txn, struct bytes key, int64_t mod_revision);

/* Bytes are copied. A key is written once in a transaction. */
void ha_txn_put(struct ha_txn *txn, struct bytes key, struct bytes value);
void ha_txn_delete(struct ha_txn *txn, struct bytes key);

struct ha_confirm {
    /* The caller's. */
    void (*done)(struct ha_confirm *confirm);
    void *owner;

    /* The answer, valid in `done`. */
    enum err result;
    bool is_leader;
    uint64_t term;
    int64_t revision;

    /* The store's own, while it is under way. */
    void *store;
    struct ha_confirm *next;
};

/* Borrowed for the call. */
struct ha_change {
    struct bytes key;
    struct bytes value;
    bool is_delete; /* then only the key and the revision say anything */
    int64_t create_revision;
    int64_t mod_revision;
};

struct ha_feed {
    void *ctx;
    void (*began)(void *ctx);
    void (*changed)(void *ctx, const struct ha_change *change);
    void (*reached)(void *ctx, int64_t revision);
    /* Who leads has changed, or whether it is this member; `leads` says what is so now. */
    void (*leader_changed)(void *ctx);
    void (*noted)(void *ctx, node_id from, struct bytes note);
};

struct ha_leader {
    node_id leader; /* NODE_NONE: not known */
    bool is_self;
    uint64_t term;
};

struct ha_store_ops {
    void (*submit)(void *self, struct ha_txn *txn);
    void (*confirm)(void *self, struct ha_confirm *confirm);
    void (*barrier)(void *self, struct ha_confirm *barrier);
    void (*note)(void *self, node_id to, struct bytes note);
    struct ha_leader (*leads)(void *self);
    /* Who is told from now on; the caller's, in place while it is set. NULL: nobody, and what is
     * under way is forgotten without a `done`. */
    void (*feed)(void *self, const struct ha_feed *feed);
    /* Everything is told anew, soon, from `began` on; what is under way goes on, but for what
     * becomes UNKNOWN with a stream. */
    void (*anew)(void *self);
};

struct ha_store {
    void *self;
    node_id member; /* this one */
    const struct ha_store_ops *ops;
};

/* --- notes --------------------------------------------------------------------------------------
 * The first byte of an owner's note says whose it is: these are HA's (etcd_ask.c has others). */
enum ha_note_kind { HA_NOTE_RENEW = 32, HA_NOTE_GRANT = 33, HA_NOTE_REFUSE = 34 };

static inline bool ha_note_is(struct bytes note)
{
    return note.len > 0 && note.data[0] >= HA_NOTE_RENEW && note.data[0] <= HA_NOTE_REFUSE;
}

#endif
