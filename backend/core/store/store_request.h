/*
 * etcd's requests, decoded: the messages of etcdserverpb that reach the state machine, with views
 * into the client's bytes. Field numbers are those of etcd's rpc.proto.
 *
 * A decoder returns STORE_MALFORMED where the bytes are no such message; the _check of a request
 * gives the error that etcd's server gives before it looks at its data [v3rpc/key.go]. The encoders
 * make what clients send, for callers inside the process and for tests.
 */
#ifndef NOVACRON_STORE_REQUEST_H
#define NOVACRON_STORE_REQUEST_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/store/store_bytes.h"
#include "core/store/store_status.h"

enum store_sort_order { STORE_SORT_NONE, STORE_SORT_ASCEND, STORE_SORT_DESCEND, STORE_SORT_ORDERS };

enum store_sort_target {
    STORE_SORT_KEY,
    STORE_SORT_VERSION,
    STORE_SORT_CREATE,
    STORE_SORT_MOD,
    STORE_SORT_VALUE,
    STORE_SORT_TARGETS
};

struct store_range_request {
    struct bytes key;
    struct bytes range_end;
    int64_t limit;
    int64_t revision;
    int32_t sort_order;
    int32_t sort_target;
    bool serializable;
    bool keys_only;
    bool count_only;
    int64_t min_mod_revision;
    int64_t max_mod_revision;
    int64_t min_create_revision;
    int64_t max_create_revision;
};

struct store_put_request {
    struct bytes key;
    struct bytes value;
    int64_t lease;
    bool prev_kv;
    bool ignore_value;
    bool ignore_lease;
};

struct store_delete_request {
    struct bytes key;
    struct bytes range_end;
    bool prev_kv;
};

enum store_compare_result {
    STORE_COMPARE_EQUAL,
    STORE_COMPARE_GREATER,
    STORE_COMPARE_LESS,
    STORE_COMPARE_NOT_EQUAL
};

enum store_compare_target {
    STORE_COMPARE_VERSION,
    STORE_COMPARE_CREATE,
    STORE_COMPARE_MOD,
    STORE_COMPARE_VALUE,
    STORE_COMPARE_LEASE
};

struct store_compare {
    int32_t result;
    int32_t target;
    struct bytes key;
    struct bytes range_end;
    uint32_t given; /* field number of the target_union's member, 0 if there is none */
    int64_t number; /* its value, if it is a number */
    struct bytes value;
};

enum store_op_kind { STORE_OP_NONE, STORE_OP_RANGE, STORE_OP_PUT, STORE_OP_DELETE, STORE_OP_TXN };

struct store_op {
    enum store_op_kind kind;
    struct bytes body; /* the request of that kind, encoded */
};

/* A txn is read in place, item by item: it is nested, and has no bound that fits into a struct. */
struct store_txn_request {
    struct bytes body;
    uint32_t compares;
    uint32_t successes;
    uint32_t failures;
};

struct store_lease_grant {
    int64_t ttl;
    int64_t id;
};

struct store_watch_request {
    struct bytes key;
    struct bytes range_end;
    int64_t start_revision;
    bool progress_notify;
    bool no_put;
    bool no_delete;
    bool prev_kv;
    int64_t watch_id;
    bool fragment;
};

MUST_USE enum store_status store_range_decode(struct bytes b, struct store_range_request *ret);
MUST_USE enum store_status store_put_decode(struct bytes b, struct store_put_request *ret);
MUST_USE enum store_status store_delete_decode(struct bytes b, struct store_delete_request *ret);
MUST_USE enum store_status store_compare_decode(struct bytes b, struct store_compare *ret);
MUST_USE enum store_status store_op_decode(struct bytes b, struct store_op *ret);
MUST_USE enum store_status store_txn_decode(struct bytes b, struct store_txn_request *ret);
MUST_USE enum store_status store_compaction_decode(struct bytes b, int64_t *ret_revision,
                                                   bool *ret_physical);
MUST_USE enum store_status store_grant_decode(struct bytes b, struct store_lease_grant *ret);
MUST_USE enum store_status store_revoke_decode(struct bytes b, int64_t *ret_id);
MUST_USE enum store_status store_watch_decode(struct bytes b, struct store_watch_request *ret);

/* The next item of a txn whose field number is `number` (1 compare, 2 success, 3 failure). `*at` is
 * 0 to begin with; false at the end. The txn was decoded, so it cannot fail. */
bool store_txn_item(const struct store_txn_request *txn, uint32_t number, size_t *at,
                    struct bytes *ret);

MUST_USE enum store_status store_range_check(const struct store_range_request *r);
MUST_USE enum store_status store_put_check(const struct store_put_request *r);
MUST_USE enum store_status store_delete_check(const struct store_delete_request *r);

/* All that etcd checks of a txn before it runs: the number of operations, keys, options, then
 * duplicate keys on any path [v3rpc/key.go checkTxnRequest, checkIntervals]. */
MUST_USE enum store_status store_txn_check(const struct store_txn_request *txn);

/* Writes nothing but ranges? */
bool store_txn_is_read_only(const struct store_txn_request *txn);

/* Is each operation of both branches a serializable range? */
bool store_txn_is_serializable(const struct store_txn_request *txn);

void store_range_encode(struct buf *b, const struct store_range_request *r);
void store_put_encode(struct buf *b, const struct store_put_request *r);
void store_delete_encode(struct buf *b, const struct store_delete_request *r);
void store_compare_encode(struct buf *b, const struct store_compare *c);
void store_watch_encode(struct buf *b, const struct store_watch_request *r);

#endif
