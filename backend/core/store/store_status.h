/*
 * What became of a request, in etcd's words: clients compare the texts, byte for byte
 * [etcd api/v3rpc/rpctypes/error.go]. The code is gRPC's status code.
 */
#ifndef NOVACRON_STORE_STATUS_H
#define NOVACRON_STORE_STATUS_H

#include "core/base/types.h"

/* name, gRPC code, text. The order is the number in the dedup window and in snapshots: append only.
 */
#define STORE_STATUS_TABLE(X)                                                                      \
    X(STORE_OK, 0, "")                                                                             \
    X(STORE_KEY_EMPTY, 3, "etcdserver: key is not provided")                                       \
    X(STORE_KEY_NOT_FOUND, 3, "etcdserver: key not found")                                         \
    X(STORE_VALUE_PROVIDED, 3, "etcdserver: value is provided")                                    \
    X(STORE_LEASE_PROVIDED, 3, "etcdserver: lease is provided")                                    \
    X(STORE_TOO_MANY_OPS, 3, "etcdserver: too many operations in txn request")                     \
    X(STORE_DUPLICATE_KEY, 3, "etcdserver: duplicate key given in txn request")                    \
    X(STORE_SORT_INVALID, 3, "etcdserver: invalid sort option")                                    \
    X(STORE_REQUEST_TOO_LARGE, 3, "etcdserver: request is too large")                              \
    X(STORE_REVISION_COMPACTED, 11, "etcdserver: mvcc: required revision has been compacted")      \
    X(STORE_REVISION_FUTURE, 11, "etcdserver: mvcc: required revision is a future revision")       \
    X(STORE_LEASE_NOT_FOUND, 5, "etcdserver: requested lease not found")                           \
    X(STORE_LEASE_EXISTS, 9, "etcdserver: lease already exists")                                   \
    X(STORE_LEASE_TTL_TOO_LARGE, 11, "etcdserver: too large lease TTL")                            \
    X(STORE_WATCH_RANGE_EMPTY, 3, "mvcc: watcher range is empty")                                  \
    X(STORE_WATCH_ID_DUPLICATE, 3, "mvcc: duplicate watch ID provided on the WatchStream")         \
    X(STORE_WATCH_TOO_MANY, 8, "etcdserver: too many requests")                                    \
    /* ours: etcd has no name for these */                                                         \
    X(STORE_MALFORMED, 13, "etcdserver: cannot decode the request")                                \
    X(STORE_NOT_CAPABLE, 9, "etcdserver: not capable")                                             \
    X(STORE_OUTCOME_UNKNOWN, 14, "etcdserver: request timed out")                                  \
    X(STORE_ORIGINS_FULL, 8, "etcdserver: too many requests from new members")                     \
    X(STORE_EXPIRY_STALE, 9, "etcdserver: not leader")

enum store_status {
#define STORE_STATUS_ENUM(name, code, text) name,
    STORE_STATUS_TABLE(STORE_STATUS_ENUM)
#undef STORE_STATUS_ENUM
        STORE_STATUS_COUNT
};

/* The enumerator's name, the text that clients see, and gRPC's code. Static strings, never NULL. */
const char *store_status_name(enum store_status s);
const char *store_status_text(enum store_status s);
int store_status_code(enum store_status s);

#endif
