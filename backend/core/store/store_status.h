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
    X(STORE_TOO_MANY_REQUESTS, 8, "etcdserver: too many requests")                                 \
    /* ours: etcd has no name for these */                                                         \
    X(STORE_MALFORMED, 13, "etcdserver: cannot decode the request")                                \
    X(STORE_NOT_CAPABLE, 9, "etcdserver: not capable")                                             \
    X(STORE_OUTCOME_UNKNOWN, 14, "etcdserver: request timed out")                                  \
    X(STORE_ORIGINS_FULL, 8, "etcdserver: too many requests from new members")                     \
    X(STORE_EXPIRY_STALE, 9, "etcdserver: not leader")                                             \
    /* since feature level 2 */                                                                    \
    X(STORE_NO_SPACE, 8, "etcdserver: mvcc: database space exceeded")                              \
    X(STORE_CORRUPT, 15, "etcdserver: corrupt cluster")                                            \
    X(STORE_USER_EMPTY, 3, "etcdserver: user name is empty")                                       \
    X(STORE_ROLE_EMPTY, 3, "etcdserver: role name is empty")                                       \
    X(STORE_AUTH_FAILED, 3, "etcdserver: authentication failed, invalid user ID or password")      \
    X(STORE_PERMISSION_NOT_GIVEN, 3, "etcdserver: permission not given")                           \
    X(STORE_AUTH_MANAGEMENT_INVALID, 3, "etcdserver: invalid auth management")                     \
    X(STORE_AUTH_REVISION_OLD, 3, "etcdserver: revision of auth store is old")                     \
    X(STORE_PERMISSION_DENIED, 7, "etcdserver: permission denied")                                 \
    X(STORE_ROOT_USER_MISSING, 9, "etcdserver: root user does not exist")                          \
    X(STORE_ROOT_ROLE_MISSING, 9, "etcdserver: root user does not have root role")                 \
    X(STORE_USER_EXISTS, 9, "etcdserver: user name already exists")                                \
    X(STORE_USER_NOT_FOUND, 9, "etcdserver: user name not found")                                  \
    X(STORE_ROLE_EXISTS, 9, "etcdserver: role name already exists")                                \
    X(STORE_ROLE_NOT_FOUND, 9, "etcdserver: role name not found")                                  \
    X(STORE_ROLE_NOT_GRANTED, 9, "etcdserver: role is not granted to the user")                    \
    X(STORE_PERMISSION_NOT_GRANTED, 9, "etcdserver: permission is not granted to the role")        \
    X(STORE_AUTH_NOT_ENABLED, 9, "etcdserver: authentication is not enabled")                      \
    X(STORE_MEMBER_NOT_FOUND, 5, "etcdserver: member not found")                                   \
    X(STORE_MEMBER_EXISTS, 9, "etcdserver: member ID already exist")                               \
    X(STORE_PEER_URL_EXISTS, 9, "etcdserver: Peer URLs already exists")                            \
    X(STORE_MEMBER_URLS_INVALID, 3, "etcdserver: given member URLs are invalid")                   \
    X(STORE_SYSTEM_FULL, 8, "etcdserver: too many users, roles, alarms or members")

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
