/*
 * queue: waiting in line under a prefix, as etcd's recipes do it [client/v3/concurrency]: each has
 * a key of its own lease below the prefix, and whose key was created first is at the head. Lock and
 * Election are both that.
 *
 *     etcd_queue_join --(a lease, where none was given)--> txn: create the key, if it is not there
 *         --> etcd_queue_wait: until no key below the prefix is older --> `then`
 *
 * A client that leaves while it waits gives up its place: its key is deleted.
 */
#ifndef NOVACRON_API_ETCD_ETCD_QUEUE_H
#define NOVACRON_API_ETCD_ETCD_QUEUE_H

#include "api/etcd/etcd_int.h"

struct etcd_queue {
    struct buf prefix; /* with its "/" */
    struct buf end;    /* of the prefix's range */
    struct buf key;    /* one's own */
    struct buf value;
    struct buf ahead; /* the key that is waited for */
    struct buf name;
    int64_t lease;
    int64_t revision; /* at which one's own key was created */
    bool is_leaving;
    void (*then)(struct etcd_op *op);
};

/* The queue of an op that was made by etcd_queue_begin. */
struct etcd_queue *etcd_queue_of(struct etcd_op *op);

/* The op is about the queue of this name. */
struct etcd_queue *etcd_queue_begin(struct etcd_op *op, struct bytes name);

/* Takes a place, with this lease (0: one of a minute is granted) and value, and waits for its turn;
 * then `then`. */
void etcd_queue_join(struct etcd_op *op, int64_t lease, struct bytes value,
                     void (*then)(struct etcd_op *op));

/* The head of the queue: its RangeResponse, of one key or none; revision of the header returned. */
int64_t etcd_queue_head(struct store *store, const struct etcd_queue *q, struct buf *response);

/* Proposes to put the value at the key, or to delete it (value NULL), if the key was created at
 * this revision; `then` looks at etcd_queue_succeeded. */
void etcd_queue_guarded(struct etcd_op *op, struct bytes key, int64_t revision, int64_t lease,
                        const struct bytes *value, void (*then)(struct etcd_op *op));
bool etcd_queue_succeeded(const struct etcd_op *op);

/* Answers as etcd's embedded client does: its errors come without their codes. */
void etcd_queue_fail(struct etcd_op *op);

#endif
