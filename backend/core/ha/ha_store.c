/*
 * A transaction is etcd's TxnRequest. Its fields may come in any order, and those of one number
 * keep theirs: so each guard and each write is appended as it comes.
 */
#include "core/ha/ha_store.h"

#include "core/base/check.h"
#include "core/store/store_limits.h"
#include "core/store/store_pb.h"
#include "core/store/store_request.h"

_Static_assert(HA_TXN_ITEMS_MAX <= STORE_TXN_OPS_MAX, "the store takes it");

/* Fields of TxnRequest, RequestOp and TxnResponse, as etcd's rpc.proto has them. */
enum { TXN_COMPARE = 1, TXN_SUCCESS = 2, OP_PUT = 2, OP_DELETE = 3, COMPARE_MOD_REVISION = 6 };

void ha_txn_init(struct ha_txn *txn)
{
    *txn = (struct ha_txn){.outcome = HA_TXN_UNKNOWN};
    buf_init(&txn->body);
}

void ha_txn_deinit(struct ha_txn *txn)
{
    buf_deinit(&txn->body);
}

void ha_txn_clear(struct ha_txn *txn)
{
    buf_clear(&txn->body);
    txn->guards = 0;
    txn->writes = 0;
}

void ha_txn_guard(struct ha_txn *txn, struct bytes key, int64_t mod_revision)
{
    const struct store_compare compare = {.result = STORE_COMPARE_EQUAL,
                                          .target = STORE_COMPARE_MOD,
                                          .key = key,
                                          .given = COMPARE_MOD_REVISION,
                                          .number = mod_revision};

    CHECK(txn->guards < HA_TXN_ITEMS_MAX);
    txn->guards++;
    size_t opened = store_pb_open(&txn->body, TXN_COMPARE);
    store_compare_encode(&txn->body, &compare);
    store_pb_close(&txn->body, opened);
}

void ha_txn_put(struct ha_txn *txn, struct bytes key, struct bytes value)
{
    const struct store_put_request put = {.key = key, .value = value};

    CHECK(txn->writes < HA_TXN_ITEMS_MAX);
    txn->writes++;
    size_t success = store_pb_open(&txn->body, TXN_SUCCESS);
    size_t op = store_pb_open(&txn->body, OP_PUT);
    store_put_encode(&txn->body, &put);
    store_pb_close(&txn->body, op);
    store_pb_close(&txn->body, success);
}

void ha_txn_delete(struct ha_txn *txn, struct bytes key)
{
    const struct store_delete_request gone = {.key = key};

    CHECK(txn->writes < HA_TXN_ITEMS_MAX);
    txn->writes++;
    size_t success = store_pb_open(&txn->body, TXN_SUCCESS);
    size_t op = store_pb_open(&txn->body, OP_DELETE);
    store_delete_encode(&txn->body, &gone);
    store_pb_close(&txn->body, op);
    store_pb_close(&txn->body, success);
}
