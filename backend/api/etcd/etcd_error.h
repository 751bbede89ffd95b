/*
 * What the services answer besides what the store says: etcd's words, which clients compare byte
 * for byte, with gRPC's codes [etcd api/v3rpc/rpctypes/error.go]. The texts of what becomes of a
 * payload are in core/store/store_status.h.
 */
#ifndef NOVACRON_API_ETCD_ETCD_ERROR_H
#define NOVACRON_API_ETCD_ETCD_ERROR_H

#include "api/rpc.h"

#define ETCD_ERROR_TABLE(X)                                                                        \
    X(ETCD_NO_LEADER, RPC_UNAVAILABLE, "etcdserver: no leader")                                    \
    X(ETCD_LEADER_CHANGED, RPC_UNAVAILABLE, "etcdserver: leader changed")                          \
    X(ETCD_STOPPED, RPC_UNAVAILABLE, "etcdserver: server stopped")                                 \
    X(ETCD_TIMEOUT, RPC_UNAVAILABLE, "etcdserver: request timed out")                              \
    X(ETCD_TIMEOUT_LEADER, RPC_UNAVAILABLE,                                                        \
      "etcdserver: request timed out, possibly due to previous leader failure")                    \
    X(ETCD_NOT_LEADER, RPC_FAILED_PRECONDITION, "etcdserver: not leader")                          \
    X(ETCD_LEARNER, RPC_UNAVAILABLE, "etcdserver: rpc not supported for learner")                  \
    X(ETCD_MEMBER_NOT_FOUND, RPC_NOT_FOUND, "etcdserver: member not found")                        \
    X(ETCD_URLS_INVALID, RPC_INVALID_ARGUMENT, "etcdserver: given member URLs are invalid")        \
    X(ETCD_NOT_ENOUGH_STARTED, RPC_FAILED_PRECONDITION,                                            \
      "etcdserver: re-configuration failed due to not enough started members")                     \
    X(ETCD_NOT_A_LEARNER, RPC_FAILED_PRECONDITION,                                                 \
      "etcdserver: can only promote a learner member")                                             \
    X(ETCD_LEARNER_BEHIND, RPC_FAILED_PRECONDITION,                                                \
      "etcdserver: can only promote a learner member which is in sync with leader")                \
    X(ETCD_TOO_MANY_LEARNERS, RPC_FAILED_PRECONDITION,                                             \
      "etcdserver: too many learner members in cluster")                                           \
    X(ETCD_BAD_TRANSFEREE, RPC_FAILED_PRECONDITION, "etcdserver: bad leader transferee")           \
    X(ETCD_TRANSFER_TIMEOUT, RPC_UNAVAILABLE,                                                      \
      "etcdserver: request timed out, leader transfer took too long")                              \
    X(ETCD_DOWNGRADE_FORMAT, RPC_INVALID_ARGUMENT,                                                 \
      "etcdserver: wrong downgrade target version format")                                         \
    X(ETCD_DOWNGRADE_TARGET, RPC_INVALID_ARGUMENT, "etcdserver: invalid downgrade target version") \
    X(ETCD_DOWNGRADE_NONE, RPC_FAILED_PRECONDITION, "etcdserver: no inflight downgrade job")       \
    X(ETCD_NO_PASSWORD_USER, RPC_UNKNOWN,                                                          \
      "auth: authentication failed, password was given for no password user")                      \
    X(ETCD_TOKEN_INVALID, RPC_UNAUTHENTICATED, "etcdserver: invalid auth token")                   \
    X(ETCD_TOO_MANY_REQUESTS, RPC_RESOURCE_EXHAUSTED, "etcdserver: too many requests")             \
    X(ETCD_RESPONSE_TOO_LARGE, RPC_RESOURCE_EXHAUSTED,                                             \
      "grpc: trying to send message larger than max (2147483647)")                                 \
    X(ETCD_MALFORMED, RPC_INTERNAL, "grpc: error unmarshalling request")                           \
    X(ETCD_DISK_FULL, RPC_RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded")         \
    X(ETCD_UNHEALTHY, RPC_UNAVAILABLE, "etcdserver: unhealthy cluster")                            \
    X(ETCD_CORRUPT, RPC_DATA_LOSS, "etcdserver: corrupt cluster")

enum etcd_error {
#define ETCD_ERROR_ENUM(name, code, text) name,
    ETCD_ERROR_TABLE(ETCD_ERROR_ENUM)
#undef ETCD_ERROR_ENUM
        ETCD_ERROR_COUNT
};

/* gRPC's code, and the text; a static string. */
int etcd_error_code(enum etcd_error e);
const char *etcd_error_text(enum etcd_error e);

#endif
