/*
 * The table of methods: paths of gRPC and of the JSON gateway, the messages, and the functions
 * behind them.
 */
#include <etcdserverpb.pb-c.h>

#include "api/etcd/etcd_int.h"

/* A unary one: service, method, paths, messages, function. */
#define UNARY_TABLE(X)                                                                             \
    X("KV", Range, "kv/range", NULL, range_request, range_response, etcd_kv_range)                 \
    X("KV", Put, "kv/put", NULL, put_request, put_response, etcd_kv_put)                           \
    X("KV", DeleteRange, "kv/deleterange", NULL, delete_range_request, delete_range_response,      \
      etcd_kv_delete)                                                                              \
    X("KV", Txn, "kv/txn", NULL, txn_request, txn_response, etcd_kv_txn)                           \
    X("KV", Compact, "kv/compaction", NULL, compaction_request, compaction_response,               \
      etcd_kv_compact)                                                                             \
    X("Lease", LeaseGrant, "lease/grant", NULL, lease_grant_request, lease_grant_response,         \
      etcd_lease_grant)                                                                            \
    X("Lease", LeaseRevoke, "lease/revoke", "/v3/kv/lease/revoke", lease_revoke_request,           \
      lease_revoke_response, etcd_lease_revoke)                                                    \
    X("Lease", LeaseTimeToLive, "lease/timetolive", "/v3/kv/lease/timetolive",                     \
      lease_time_to_live_request, lease_time_to_live_response, etcd_lease_time_to_live)            \
    X("Lease", LeaseLeases, "lease/leases", "/v3/kv/lease/leases", lease_leases_request,           \
      lease_leases_response, etcd_lease_leases)

#define UNARY_METHOD(service, name, json, json2, in, out, function)                                \
    static const struct rpc_method method_##name = {                                               \
        .path = "/etcdserverpb." service "/" #name,                                                \
        .shape = RPC_UNARY,                                                                        \
        .json_paths = {"/v3/" json, json2},                                                        \
        .request = &etcdserverpb__##in##__descriptor,                                              \
        .response = &etcdserverpb__##out##__descriptor,                                            \
        .message = (function),                                                                     \
        .gone = etcd_op_gone,                                                                      \
    };
UNARY_TABLE(UNARY_METHOD)
#undef UNARY_METHOD

static const struct rpc_method method_keep_alive = {
    .path = "/etcdserverpb.Lease/LeaseKeepAlive",
    .shape = RPC_BIDI,
    .json_paths = {"/v3/lease/keepalive"},
    .request = &etcdserverpb__lease_keep_alive_request__descriptor,
    .response = &etcdserverpb__lease_keep_alive_response__descriptor,
    .begin = etcd_keepalive_begin,
    .message = etcd_keepalive_message,
    .half_closed = etcd_keepalive_half_closed,
    .gone = etcd_keepalive_gone,
};

static const struct rpc_method method_watch = {
    .path = "/etcdserverpb.Watch/Watch",
    .shape = RPC_BIDI,
    .json_paths = {"/v3/watch"},
    .request = &etcdserverpb__watch_request__descriptor,
    .response = &etcdserverpb__watch_response__descriptor,
    .begin = etcd_watch_begin,
    .message = etcd_watch_message,
    .gone = etcd_watch_gone,
    .writable = etcd_watch_writable,
};

static const struct rpc_method *const etcd_methods[] = {
#define UNARY_ROW(service, name, json, json2, in, out, function) &method_##name,
    UNARY_TABLE(UNARY_ROW)
#undef UNARY_ROW
        & method_keep_alive,
    &method_watch,
};

const struct rpc_method *const *etcd_api_methods(size_t *ret_count)
{
    *ret_count = COUNT_OF(etcd_methods);
    return etcd_methods;
}
