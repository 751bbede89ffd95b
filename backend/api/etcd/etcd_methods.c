/*
 * The table of methods: paths of gRPC and of the JSON gateway, the messages, and the functions
 * behind them.
 */
#include <etcdserverpb.pb-c.h>
#include <v3electionpb.pb-c.h>
#include <v3lockpb.pb-c.h>

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
      lease_leases_response, etcd_lease_leases)                                                    \
    X("Cluster", MemberAdd, "cluster/member/add", NULL, member_add_request, member_add_response,   \
      etcd_member_add)                                                                             \
    X("Cluster", MemberRemove, "cluster/member/remove", NULL, member_remove_request,               \
      member_remove_response, etcd_member_remove)                                                  \
    X("Cluster", MemberUpdate, "cluster/member/update", NULL, member_update_request,               \
      member_update_response, etcd_member_update)                                                  \
    X("Cluster", MemberList, "cluster/member/list", NULL, member_list_request,                     \
      member_list_response, etcd_member_list)                                                      \
    X("Cluster", MemberPromote, "cluster/member/promote", NULL, member_promote_request,            \
      member_promote_response, etcd_member_promote)                                                \
    X("Maintenance", Alarm, "maintenance/alarm", NULL, alarm_request, alarm_response,              \
      etcd_maintenance_alarm)                                                                      \
    X("Maintenance", Status, "maintenance/status", NULL, status_request, status_response,          \
      etcd_maintenance_status)                                                                     \
    X("Maintenance", Defragment, "maintenance/defragment", NULL, defragment_request,               \
      defragment_response, etcd_maintenance_defragment)                                            \
    X("Maintenance", Hash, "maintenance/hash", NULL, hash_request, hash_response,                  \
      etcd_maintenance_hash)                                                                       \
    X("Maintenance", HashKV, "maintenance/hashkv", NULL, hash_kvrequest, hash_kvresponse,          \
      etcd_maintenance_hash_kv)                                                                    \
    X("Maintenance", MoveLeader, "maintenance/transfer-leadership", NULL, move_leader_request,     \
      move_leader_response, etcd_maintenance_move_leader)                                          \
    X("Maintenance", Downgrade, "maintenance/downgrade", NULL, downgrade_request,                  \
      downgrade_response, etcd_maintenance_downgrade)                                              \
    X("Auth", AuthEnable, "auth/enable", NULL, auth_enable_request, auth_enable_response,          \
      etcd_auth_write)                                                                             \
    X("Auth", AuthDisable, "auth/disable", NULL, auth_disable_request, auth_disable_response,      \
      etcd_auth_write)                                                                             \
    X("Auth", AuthStatus, "auth/status", NULL, auth_status_request, auth_status_response,          \
      etcd_auth_read)                                                                              \
    X("Auth", Authenticate, "auth/authenticate", NULL, authenticate_request,                       \
      authenticate_response, etcd_auth_authenticate)                                               \
    X("Auth", UserAdd, "auth/user/add", NULL, auth_user_add_request, auth_user_add_response,       \
      etcd_auth_user_add)                                                                          \
    X("Auth", UserGet, "auth/user/get", NULL, auth_user_get_request, auth_user_get_response,       \
      etcd_auth_read)                                                                              \
    X("Auth", UserList, "auth/user/list", NULL, auth_user_list_request, auth_user_list_response,   \
      etcd_auth_read)                                                                              \
    X("Auth", UserDelete, "auth/user/delete", NULL, auth_user_delete_request,                      \
      auth_user_delete_response, etcd_auth_write)                                                  \
    X("Auth", UserChangePassword, "auth/user/changepw", NULL, auth_user_change_password_request,   \
      auth_user_change_password_response, etcd_auth_user_password)                                 \
    X("Auth", UserGrantRole, "auth/user/grant", NULL, auth_user_grant_role_request,                \
      auth_user_grant_role_response, etcd_auth_write)                                              \
    X("Auth", UserRevokeRole, "auth/user/revoke", NULL, auth_user_revoke_role_request,             \
      auth_user_revoke_role_response, etcd_auth_write)                                             \
    X("Auth", RoleAdd, "auth/role/add", NULL, auth_role_add_request, auth_role_add_response,       \
      etcd_auth_write)                                                                             \
    X("Auth", RoleGet, "auth/role/get", NULL, auth_role_get_request, auth_role_get_response,       \
      etcd_auth_read)                                                                              \
    X("Auth", RoleList, "auth/role/list", NULL, auth_role_list_request, auth_role_list_response,   \
      etcd_auth_read)                                                                              \
    X("Auth", RoleDelete, "auth/role/delete", NULL, auth_role_delete_request,                      \
      auth_role_delete_response, etcd_auth_write)                                                  \
    X("Auth", RoleGrantPermission, "auth/role/grant", NULL, auth_role_grant_permission_request,    \
      auth_role_grant_permission_response, etcd_auth_write)                                        \
    X("Auth", RoleRevokePermission, "auth/role/revoke", NULL, auth_role_revoke_permission_request, \
      auth_role_revoke_permission_response, etcd_auth_write)

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

/* Those of the packages v3lockpb and v3electionpb. */
#define RECIPE_TABLE(X)                                                                            \
    X(v3lockpb, "Lock", Lock, "lock/lock", lock_request, lock_response, etcd_lock_lock)            \
    X(v3lockpb, "Lock", Unlock, "lock/unlock", unlock_request, unlock_response, etcd_lock_unlock)  \
    X(v3electionpb, "Election", Campaign, "election/campaign", campaign_request,                   \
      campaign_response, etcd_election_campaign)                                                   \
    X(v3electionpb, "Election", Proclaim, "election/proclaim", proclaim_request,                   \
      proclaim_response, etcd_election_proclaim)                                                   \
    X(v3electionpb, "Election", Leader, "election/leader", leader_request, leader_response,        \
      etcd_election_leader)                                                                        \
    X(v3electionpb, "Election", Resign, "election/resign", resign_request, resign_response,        \
      etcd_election_resign)

#define RECIPE_METHOD(package, service, name, json, in, out, function)                             \
    static const struct rpc_method method_##name = {                                               \
        .path = "/" #package "." service "/" #name,                                                \
        .shape = RPC_UNARY,                                                                        \
        .json_paths = {"/v3/" json},                                                               \
        .request = &package##__##in##__descriptor,                                                 \
        .response = &package##__##out##__descriptor,                                               \
        .message = (function),                                                                     \
        .gone = etcd_op_gone,                                                                      \
    };
RECIPE_TABLE(RECIPE_METHOD)
#undef RECIPE_METHOD

static const struct rpc_method method_observe = {
    .path = "/v3electionpb.Election/Observe",
    .shape = RPC_SERVER_STREAM,
    .json_paths = {"/v3/election/observe"},
    .request = &v3electionpb__leader_request__descriptor,
    .response = &v3electionpb__leader_response__descriptor,
    .message = etcd_election_observe,
    .gone = etcd_op_gone,
    .writable = etcd_election_observe_writable,
};

static const struct rpc_method method_range_stream = {
    .path = "/etcdserverpb.KV/RangeStream",
    .shape = RPC_SERVER_STREAM,
    .json_paths = {"/v3/kv/rangestream"},
    .request = &etcdserverpb__range_request__descriptor,
    .response = &etcdserverpb__range_stream_response__descriptor,
    .message = etcd_kv_range_stream,
    .gone = etcd_op_gone,
    .writable = etcd_kv_range_stream_writable,
};

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

static const struct rpc_method method_snapshot = {
    .path = "/etcdserverpb.Maintenance/Snapshot",
    .shape = RPC_SERVER_STREAM,
    .json_paths = {"/v3/maintenance/snapshot"},
    .request = &etcdserverpb__snapshot_request__descriptor,
    .response = &etcdserverpb__snapshot_response__descriptor,
    .message = etcd_snapshot_message,
    .gone = etcd_snapshot_gone,
    .writable = etcd_snapshot_writable,
};

static const struct rpc_method *const etcd_methods[] = {
#define UNARY_ROW(service, name, json, json2, in, out, function) &method_##name,
    UNARY_TABLE(UNARY_ROW)
#undef UNARY_ROW
        & method_keep_alive,
    &method_watch,
    &method_snapshot,
    &method_observe,
    &method_range_stream,
#define RECIPE_ROW(package, service, name, json, in, out, function) &method_##name,
    RECIPE_TABLE(RECIPE_ROW)
#undef RECIPE_ROW
};

const struct rpc_method *const *etcd_api_methods(size_t *ret_count)
{
    *ret_count = COUNT_OF(etcd_methods);
    return etcd_methods;
}
