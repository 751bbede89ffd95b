/*
 * What the commands share that speak to a running cluster: a connection, calls that wait for their
 * answer, and the options that say where and as whom. All of it is gRPC of etcd's API, so they work
 * against any server that speaks it.
 */
#ifndef NOVACRON_CLI_REMOTE_H
#define NOVACRON_CLI_REMOTE_H

#include <uv.h>

#include "api/client/rpc_client.h"
#include "cli/command.h"
#include "core/base/buf.h"
#include "core/base/err.h"

struct ProtobufCMessageDescriptor;

/* The options that each of these commands begins with, in this order. */
enum {
    REMOTE_ENDPOINTS,
    REMOTE_CACERT,
    REMOTE_CERT,
    REMOTE_KEY,
    REMOTE_USER,
    REMOTE_JSON,
    REMOTE_OPTIONS
};

#define REMOTE_OPTION_TABLE                                                                        \
    {"--endpoints", "URL,...",                                                                     \
     "members to ask, the first that answers; 127.0.0.1:2379 otherwise"},                          \
        {"--cacert", "FILE", "the authority whose servers are trusted"},                           \
        {"--cert", "FILE", "our certificate"}, {"--key", "FILE", "its key"},                       \
        {"--user", "NAME:PASSWORD", "who we are, where authentication is enabled"},                \
    {                                                                                              \
        "--json", NULL, "answers as JSON, as etcd's gateway gives them"                            \
    }

struct remote {
    const char *command; /* for complaints: "kv get" */
    bool json;
    uv_loop_t loop;
    struct rpc_io io;
    struct rpc_tls *tls;
    struct rpc_client *client;
    char *list; /* what `endpoints` points into */
    const char *endpoints[RPC_ENDPOINTS_MAX];
    size_t endpoint_count;
    char token[256]; /* of REMOTE_USER; "": none */
    struct buf request;
    struct buf response;
    int status;     /* of the last call, an enum of api/rpc.h */
    bool is_quiet;  /* complaints, and that an answer may be old, are kept for the caller to tell */
    char kept[512]; /* the newest of those complaints */
    uint64_t cluster; /* its id, once records were loaded; 0: not known */
};

/* Connects to nobody yet. On anything but CLI_OK it has said why, and nothing is open. */
enum cli_exit remote_open(struct remote *r, const char *command, const struct cli_call *call);
void remote_close(struct remote *r);

/* A client for these endpoints, in place of the one there is; `timeout` of connecting, 0: as usual.
 * False: one of them is no URL, or needs certificates; the client stays. */
bool remote_turn_to(struct remote *r, const char *const *endpoints, size_t count, nanos timeout);

/* A client for a single one of the endpoints, in place of the one for all. */
enum cli_exit remote_aim(struct remote *r, size_t endpoint);

/* Calls `path` with r->request, and waits; the answer is in r->response. */
enum cli_exit remote_call(struct remote *r, const char *path);

/* The same of a call that changes nothing: where a member has gone, or does not answer within
 * `share`, the next one is asked, each of them once. 0: its share of the time that a call has. */
enum cli_exit remote_read(struct remote *r, const char *path, nanos share);

/* Complains about what a call answered, with what to do about it; returns CLI_UNREADABLE. */
enum cli_exit remote_failed(struct remote *r, const char *why);

/* The same as remote_call, and says nothing where it fails; with a time of its own, 0: as usual. */
bool remote_try(struct remote *r, const char *path, char *why, size_t n);
bool remote_try_for(struct remote *r, const char *path, nanos timeout, char *why, size_t n);

/* A call with any number of answers, each told to `message` as it comes; false from there ends it.
 */
enum cli_exit remote_stream(struct remote *r, const char *path,
                            bool (*message)(void *ctx, struct bytes message), void *ctx);

/* Prints a message as one line of JSON. */
void remote_print(const struct ProtobufCMessageDescriptor *type, struct bytes message);

/* "12" as a number; false: it is none. */
bool remote_number(const char *text, uint64_t *ret);

/* Hexadecimal, as ids of members are printed. */
bool remote_id(const char *text, uint64_t *ret);

/* "0" to "255", as one more than it is, which is how messages have it; NULL is 0: as usual. False:
 * it is no priority. */
bool remote_priority(const char *text, uint64_t *ret);

/* A member that is to be added; of MemberAddRequest. */
struct remote_added {
    const char *name;
    const char *url; /* of its peers' port */
    bool is_learner; /* it stays one until it is promoted by hand */
    bool is_witness;
    uint64_t priority; /* of remote_priority */
};

/* Calls MemberAdd, as remote_call does. */
enum cli_exit remote_add_member(struct remote *r, const struct remote_added *member);

/* Complains, and returns CLI_USAGE. */
enum cli_exit remote_wrong(const struct remote *r, const char *what, const char *value);

/* The commands. */
enum cli_exit cmd_cluster_status(const struct cli_call *call);
enum cli_exit cmd_cluster_join(const struct cli_call *call);
enum cli_exit cmd_members(const struct cli_call *call);
enum cli_exit cmd_health(const struct cli_call *call);
enum cli_exit cmd_member_list(const struct cli_call *call);
enum cli_exit cmd_member_add(const struct cli_call *call);
enum cli_exit cmd_member_promote(const struct cli_call *call);
enum cli_exit cmd_member_replace(const struct cli_call *call);
enum cli_exit cmd_member_remove(const struct cli_call *call);
enum cli_exit cmd_member_demote(const struct cli_call *call);
enum cli_exit cmd_member_update(const struct cli_call *call);
enum cli_exit cmd_member_priority(const struct cli_call *call);
enum cli_exit cmd_kv_get(const struct cli_call *call);
enum cli_exit cmd_kv_put(const struct cli_call *call);
enum cli_exit cmd_kv_del(const struct cli_call *call);
enum cli_exit cmd_kv_watch(const struct cli_call *call);
enum cli_exit cmd_kv_txn(const struct cli_call *call);
enum cli_exit cmd_snapshot_save(const struct cli_call *call);
enum cli_exit cmd_snapshot_verify(const struct cli_call *call);
enum cli_exit cmd_top(const struct cli_call *call);

#endif
