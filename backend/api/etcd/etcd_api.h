/*
 * etcd: the services of the etcd v3 API, on top of a node and its store.
 *
 * What lives here: KV, Watch, Lease, Cluster, Maintenance, Auth, Lock and Election, one file each,
 * and what they share. Who may call it: novacrond and tests. What it follows: etcd's rpc.proto, its
 * error table and its behaviour as clients see it [etcd api/etcdserverpb, server/etcdserver];
 * docs/etcd-api.md says where we differ. What it speaks: api/rpc.h towards clients, core/node and
 * core/store towards the group. It reads no clock and draws no randomness but the world's.
 *
 * The order of a life, all on the loop's thread:
 *
 *     etcd_api_open
 *     node_open, whose events are passed on to the functions below
 *     etcd_api_attach                  before the loop runs
 *     rpc_server_open, with etcd_api_methods and the etcd_api as `ctx`
 *     ...
 *     rpc_server_close                 every call is gone when it returns
 *     etcd_api_stop
 *     node_close
 *     etcd_api_close
 */
#ifndef NOVACRON_API_ETCD_ETCD_API_H
#define NOVACRON_API_ETCD_ETCD_API_H

#include "api/rpc.h"
#include "core/node/node.h"
#include "core/world/world.h"

struct etcd_api; /* opaque */

/* Witnesses that the configuration may name, with the end. */
#define ETCD_WITNESSES_MAX 16

/* URLs of one kind that a member may have, and the bytes of one. */
#define ETCD_URLS_MAX      16
#define ETCD_URL_BYTES_MAX 256

/* Numbers that etcd_config_default gives: the version that we say we are, so that clients use what
 * came with it (kube-apiserver wants 3.5.13 for progress requests), and etcd's quota. */
#define ETCD_VERSION     "3.5.21"
#define ETCD_QUOTA_BYTES (2ULL * 1024 * 1024 * 1024)

/* Work that takes long and touches nothing but what `owner` leads to. */
struct etcd_job {
    void (*work)(struct etcd_job *job);
    void (*done)(struct etcd_job *job);
    void *owner;
    void *next; /* whoever holds the job may use it */
};

struct etcd_config {
    const struct world *world; /* outlives the API; borrowed */
    uint64_t cluster;          /* as in node_config */
    node_id member;
    const char *name;                       /* of the member; copied */
    const char *client_urls[ETCD_URLS_MAX]; /* where clients reach it; copied; NULL ends */
    const char *peer_urls[ETCD_URLS_MAX];   /* where peers reach it */
    /* Witnesses of the founding, for which the leader says what they are called: they propose
     * nothing themselves. Borrowed for the API's life; a NULL name ends. */
    struct etcd_witness {
        node_id id;
        const char *name;
        const char *peer_url;
    } witnesses[ETCD_WITNESSES_MAX];
    nanos election_timeout;   /* as in raft_config */
    uint64_t quota_bytes;     /* of the store's memory; beyond it the alarm NOSPACE is raised */
    const char *version;      /* of etcd, whose API this is: clients ask for its features */
    nanos progress_interval;  /* a watch that asked for it hears so often that nothing happened */
    uint32_t password_rounds; /* of PBKDF2: what it costs to check a password, and to guess one */
    /* Runs job->work on another thread, then job->done on the loop's; every job is done before
     * etcd_api_close. NULL: both at once, which holds up the loop. */
    void (*offload)(void *ctx, struct etcd_job *job);
    void *offload_ctx;
    void *owner; /* for etcd_api_owner */
};

/* Numbers as etcd has them; everything else is to be filled in. */
struct etcd_config etcd_config_default(void);

/* The configuration is copied, but for the world. */
struct etcd_api *etcd_api_open(const struct etcd_config *config);

/* Once, after node_open and before the node runs. */
void etcd_api_attach(struct etcd_api *api, struct node *node);

/* Ends all that is under way in store and node. Every call is gone. */
void etcd_api_stop(struct etcd_api *api);

/* Frees it, after the node was closed. */
void etcd_api_close(struct etcd_api *api);

void *etcd_api_owner(const struct etcd_api *api);

/* All methods, for rpc_config; static. The `ctx` of their calls is a struct etcd_api. */
const struct rpc_method *const *etcd_api_methods(size_t *ret_count);

/* /version and /health, for rpc_config; static, with the same `ctx`. */
const struct rpc_page *etcd_api_pages(size_t *ret_count);

/* What the node's events of the same names are to be passed on to. */
void etcd_api_ready(struct etcd_api *api);
void etcd_api_leader_changed(struct etcd_api *api);
void etcd_api_advanced(struct etcd_api *api);
void etcd_api_store_leaves(struct etcd_api *api);
void etcd_api_note(struct etcd_api *api, node_id from, struct bytes note);

#endif
