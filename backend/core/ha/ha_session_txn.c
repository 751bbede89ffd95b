/*
 * What an agent may read and write through the member that serves it. A transaction is taken apart,
 * each guard and each write is held against who the agent is, and what is proposed is put together
 * of what was checked: no byte of the agent's reaches the log that was not looked at.
 */
#include <string.h>

#include "core/base/hash.h"
#include "core/ha/ha_session_wire.h"
#include "core/store/store_request.h"

/* Fields of etcd's TxnRequest and of its Compare. */
enum { TXN_COMPARE = 1, TXN_SUCCESS = 2, COMPARE_MOD_REVISION = 6 };

#define SESSION_ID_SEED 0x4e434147 /* "NCAG": apart from what else is hashed of names */

node_id ha_session_id(uint64_t cluster, const char *host)
{
    const uint64_t id = hash_bytes(hash_u64(SESSION_ID_SEED, cluster), host, strlen(host));

    return id != NODE_NONE ? id : 1;
}

static bool key_begins(struct bytes key, const char *prefix)
{
    const size_t n = strlen(prefix);

    return key.len >= n && memcmp(key.data, prefix, n) == 0;
}

bool ha_session_tells(struct bytes key)
{
    static const enum ha_kind kept[] = {HA_DEVICE, HA_CONFIRMED, HA_INCIDENT, HA_EVENT, HA_SIGHT};
    char folder[HA_KEY_BYTES];

    if (key.len > HA_SESSION_KEY_MAX || !key_begins(key, HA_PREFIX) ||
        key_begins(key, HA_PREFIX "leader")) {
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        ha_key_folder(kept[i], folder);
        if (key_begins(key, folder)) {
            return false;
        }
    }
    return true;
}

/* --- transactions -------------------------------------------------------------------------------
 */

/* The key of its agent's record, or of one of its reports. */
static bool key_is_own(struct bytes text, const char *host, enum ha_kind kind)
{
    struct ha_key key;

    return ha_key_parse(text, &key) == OK && key.kind == kind && strcmp(key.name, host) == 0;
}

static enum err take_guard(const char *host, struct bytes item, struct ha_txn *ret,
                           bool *is_guarded)
{
    struct store_compare compare;

    if (store_compare_decode(item, &compare) != STORE_OK || compare.result != STORE_COMPARE_EQUAL ||
        compare.target != STORE_COMPARE_MOD ||
        (compare.given != COMPARE_MOD_REVISION && compare.given != 0) ||
        compare.range_end.len > 0 || ret->guards == HA_TXN_ITEMS_MAX) {
        return ERR_CORRUPT;
    }
    if (!key_begins(compare.key, HA_PREFIX)) {
        return ERR_DENIED;
    }
    *is_guarded = *is_guarded || key_is_own(compare.key, host, HA_AGENT);
    ha_txn_guard(ret, compare.key, compare.number);
    return OK;
}

/* Its own record says that it is this agent's, and nobody else's: renewals are believed by it. */
static bool record_is_own(const char *host, node_id member, struct bytes value)
{
    struct ha_agent_record record;

    return HA_DECODE(value, &record, NULL) == OK && strcmp(record.host, host) == 0 &&
           record.member == member;
}

static enum err take_put(const char *host, node_id member, struct bytes body, struct ha_txn *ret)
{
    struct store_put_request put;

    if (store_put_decode(body, &put) != STORE_OK || put.lease != 0 || put.prev_kv ||
        put.ignore_value || put.ignore_lease) {
        return ERR_CORRUPT;
    }
    const bool is_record = key_is_own(put.key, host, HA_AGENT);
    if (!(is_record && record_is_own(host, member, put.value)) &&
        !key_is_own(put.key, host, HA_REPORT)) {
        return ERR_DENIED;
    }
    ha_txn_put(ret, put.key, put.value);
    return OK;
}

static enum err take_delete(const char *host, struct bytes body, struct ha_txn *ret)
{
    struct store_delete_request gone;

    if (store_delete_decode(body, &gone) != STORE_OK || gone.range_end.len > 0 || gone.prev_kv) {
        return ERR_CORRUPT;
    }
    if (!key_is_own(gone.key, host, HA_REPORT)) {
        return ERR_DENIED;
    }
    ha_txn_delete(ret, gone.key);
    return OK;
}

static enum err take_write(const char *host, node_id member, struct bytes item, struct ha_txn *ret)
{
    struct store_op op;

    if (ret->writes == HA_TXN_ITEMS_MAX || store_op_decode(item, &op) != STORE_OK) {
        return ERR_CORRUPT;
    }
    switch (op.kind) {
    case STORE_OP_PUT:
        return take_put(host, member, op.body, ret);
    case STORE_OP_DELETE:
        return take_delete(host, op.body, ret);
    case STORE_OP_NONE:
    case STORE_OP_RANGE:
    case STORE_OP_TXN:
    default:
        return ERR_DENIED;
    }
}

enum err ha_session_txn(const char *host, node_id member, struct bytes body, struct ha_txn *ret)
{
    struct store_txn_request txn;
    struct bytes item;
    bool is_guarded = false;
    size_t at = 0;

    if (store_txn_decode(body, &txn) != STORE_OK || txn.failures > 0 || txn.successes == 0) {
        return ERR_CORRUPT;
    }
    while (store_txn_item(&txn, TXN_COMPARE, &at, &item)) {
        TRY(take_guard(host, item, ret, &is_guarded));
    }
    at = 0;
    while (store_txn_item(&txn, TXN_SUCCESS, &at, &item)) {
        TRY(take_write(host, member, item, ret));
    }
    return is_guarded ? OK : ERR_DENIED;
}
