/*
 * api_cluster: whole nodes with the etcd services on simulated hosts, and clients that call them
 * through fake_rpc. Virtual time passes only in the functions that wait.
 */
#ifndef NOVACRON_TESTS_API_API_CLUSTER_H
#define NOVACRON_TESTS_API_API_CLUSTER_H

#include "api/etcd/etcd_api.h"
#include "core/chaos/simworld.h"
#include "tests/api/fake_rpc.h"

#define API_MEMBERS 4 /* three of them found the group, or one */
#define API_CALLS   64

struct api_cluster;

struct api_member {
    struct simhost *host;
    struct node *node; /* NULL: down */
    struct etcd_api *api;
    char name[16];
    node_id id;
    struct api_cluster *cluster;
};

struct api_cluster {
    struct simworld *sim;
    struct api_member member[API_MEMBERS];
    uint32_t n; /* that found it */
    struct raft_membership founders;
    uint64_t snapshot_entries;
    nanos progress_interval;
    uint64_t quota_bytes; /* 0: as it comes */
    void (*offload)(void *ctx, struct etcd_job *job);
    void *offload_ctx;
    void (*on_applied)(void *ctx, const struct raft_entry *e); /* of any member */
    void *on_applied_ctx;
    const struct rpc_method *const *methods;
    size_t method_count;
    struct rpc_call *calls[API_CALLS]; /* open */
};

void api_cluster_init(struct api_cluster *c, uint64_t seed, uint32_t n);
void api_cluster_deinit(struct api_cluster *c);

/* Starts those that found the group, and waits until each knows the leader. */
void api_cluster_start(struct api_cluster *c);
void api_member_start(struct api_cluster *c, uint32_t i);
void api_member_stop(struct api_cluster *c, uint32_t i);
void api_cluster_run(struct api_cluster *c, nanos span);
uint32_t api_cluster_leader(struct api_cluster *c);
uint32_t api_cluster_follower(struct api_cluster *c);

/* Calls "/etcdserverpb." + `method` at member `i`; open until api_close. */
struct rpc_call *api_call(struct api_cluster *c, uint32_t i, const char *method,
                          const struct fake_metadata *metadata);
void api_close(struct api_cluster *c, struct rpc_call *call);

/* Waits for the end of the call, or until it has answered `count` messages. */
void api_wait(struct api_cluster *c, struct rpc_call *call);
void api_wait_messages(struct api_cluster *c, struct rpc_call *call, size_t count);

/* A unary call from its beginning to its end, open until api_close. The request is a text of
 * pb_text. */
struct rpc_call *api_unary(struct api_cluster *c, uint32_t i, const char *method,
                           const char *request);
void api_message(struct rpc_call *call, const char *request);

/* The same, and asserts what it answers: a response without its header, or an error. */
void api_expect(struct api_cluster *c, uint32_t i, const char *method, const char *request,
                const char *response);
void api_expect_error(struct api_cluster *c, uint32_t i, const char *method, const char *request,
                      int status, const char *text);

/* The next answer of a stream must be this, but for its header; `*at` counts them. Or there is none
 * for a while. */
void api_expect_next(struct api_cluster *c, struct rpc_call *call, size_t *at, const char *text);
void api_expect_nothing(struct api_cluster *c, struct rpc_call *call, size_t at);

/* A call that must fail, and how. */
struct api_refusal {
    const char *method;
    const char *request;
    int status;
    const char *text;
};
void api_expect_refusals(struct api_cluster *c, uint32_t i, const struct api_refusal *refusals,
                         size_t n);

/* A field of a message, a number: of the answer's header, or of the answer. */
int64_t api_header(struct bytes message, uint32_t number);
int64_t api_number(struct bytes message, uint32_t number);

/* Asserts what a call ended with. */
void api_assert_status(const struct rpc_call *call, int status, const char *text);

#endif
