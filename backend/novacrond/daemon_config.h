/*
 * novacrond: the daemon. What lives in this folder is the composition root: it reads one file of
 * configuration, puts world, node and API together on one thread, and shows what they do. Nobody
 * calls it; it calls everything.
 *
 * This header is the configuration: one YAML file, whose schema is daemon_config.c, and variables
 * NOVACRON_... that override single settings of it. Every setting is checked before anything is
 * touched, and whatever is wrong is told by its line, its name, and what to write instead.
 * docs/novacrond.md lists the settings.
 */
#ifndef NOVACRON_NOVACROND_DAEMON_CONFIG_H
#define NOVACRON_NOVACROND_DAEMON_CONFIG_H

#include "api/etcd/etcd_api.h"
#include "core/base/err.h"
#include "core/base/types.h"
#include "core/consensus/raft/raft_membership.h"
#include "core/monitoring/health/health_apps.h"
#include "core/node/node.h"

/* The longest complaint, with its final zero. */
#define DAEMON_WHY_BYTES 512

/* What the file says. Strings are NULL where it says nothing; all are owned by the settings. */

struct daemon_tls_settings {
    char *ca;
    char *cert;
    char *key;
};

struct daemon_member_settings {
    char *name;
    char *peer; /* host:port */
    char *id;   /* hexadecimal; NULL: made of the names */
    bool witness;
    uint64_t *priority; /* NULL: as usual */
};

enum daemon_state { DAEMON_STATE_NEW, DAEMON_STATE_EXISTING };
enum daemon_role { DAEMON_ROLE_MEMBER, DAEMON_ROLE_AGENT };
enum daemon_timing { DAEMON_TIMING_LAN, DAEMON_TIMING_STRETCH };
enum daemon_level { DAEMON_INFO, DAEMON_WARN, DAEMON_ERROR, DAEMON_DEBUG }; /* 0 is the default */
enum daemon_format { DAEMON_TEXT, DAEMON_JSON };

struct daemon_cluster_settings {
    char *name;
    char *id;
    enum daemon_state state;
    struct daemon_member_settings *members;
    uint32_t members_count;
};

struct daemon_peer_settings {
    char *listen;    /* address:port */
    char *advertise; /* host:port */
    bool allow_plaintext;
    struct daemon_tls_settings tls;
};

struct daemon_client_settings {
    char *listen;
    char *advertise; /* URLs, with commas between them */
    bool allow_plaintext;
    bool require_certificate;
    struct daemon_tls_settings tls;
};

struct daemon_log_settings {
    enum daemon_level level;
    enum daemon_format format;
};

struct daemon_tracing_settings {
    char *endpoint; /* URL of a collector; NULL: nothing is traced */
    char *ratio;    /* of calls that bring no traceparent, 0 to 1 */
};

enum daemon_accel { DAEMON_ACCEL_AUTO, DAEMON_ACCEL_KVM, DAEMON_ACCEL_TCG };

/* A host that runs machines. Without run_dir it runs none. */
struct daemon_machines_settings {
    char *run_dir;  /* of the machines' processes; better on a tmpfs */
    char **folders; /* in which images and kernels may be; a relative volume is in the first */
    uint32_t folders_count;
    char **storages; /* names of shared storages that are mounted here */
    uint32_t storages_count;
    char *guard;         /* the socket of novacron-guard; NULL: there is none */
    char *move_address;  /* numeric, of a network that is trusted: where guests that are moved here
                            come in; NULL: none does */
    uint32_t memory_mib; /* for machines; 0: all of the host's */
    uint32_t cpus;
    enum daemon_accel accel;
};

/* One application that is probed. Numbers are 0 where the file says nothing. */
struct daemon_probe_settings {
    char *name;
    enum app_kind kind;
    char *target; /* tcp: host:port; http: that, and a path */
    char *host;   /* http: the header */
    char *status; /* http: "200-399", "401" */
    char *text;   /* http: in the body */
    char **command;
    uint32_t command_count;
    uint64_t period_ms;
    uint64_t timeout_ms;
    uint64_t failures;
    uint64_t successes;
};

struct daemon_health_settings {
    char *keys; /* a file */
    char *site;
    bool off;
    struct daemon_probe_settings *probes;
    uint32_t probes_count;
};

struct daemon_settings {
    char *name;
    enum daemon_role role;
    char *id;
    char *data_dir;
    struct daemon_cluster_settings cluster;
    struct daemon_peer_settings peer;
    struct daemon_client_settings client;
    enum daemon_timing timing;
    uint64_t quota_mib;
    uint64_t snapshot_entries;
    struct daemon_log_settings log;
    struct daemon_tracing_settings tracing;
    struct daemon_health_settings health;
    struct daemon_machines_settings machines;
};

struct daemon_probe;

/* What it means. Points into the settings, which stay as they are. */
struct daemon_config {
    struct daemon_settings *settings;
    uint64_t cluster;
    node_id id;
    struct world_endpoint peer_listen;
    struct world_endpoint peer_advertise;
    struct world_endpoint client_listen;
    bool founds;   /* this member is among those that found the cluster */
    bool is_agent; /* it is no member: it runs machines, and members serve it */
    struct raft_membership founders;
    struct node_peer peers[NODE_PEERS_MAX];
    uint32_t peer_count;
    char peer_url[ETCD_URL_BYTES_MAX];
    char witness_urls[ETCD_WITNESSES_MAX][ETCD_URL_BYTES_MAX]; /* of those among `peers` */
    char *client_urls[ETCD_URLS_MAX];                          /* owned; NULL ends */
    double trace_ratio;
    struct daemon_probe *probes; /* owned; as many as the settings have */
};

/* Owned by the configuration, with what `app` points to. */
struct daemon_probe {
    struct health_app_config app;
    const char *arguments[WORLD_COMMAND_STRINGS_MAX + 1];
};

/* Reads `path` and the environment. On failure `why` says what is wrong, where, and what to do. */
MUST_USE enum err daemon_config_load(const char *path, char why[DAEMON_WHY_BYTES],
                                     struct daemon_config *ret);

/* The same of text; `name` is what complaints call it. Looks at no environment but `env`, pairs
 * NAME=VALUE that NULL ends, or NULL. */
MUST_USE enum err daemon_config_parse(const char *name, struct bytes text, char *const *env,
                                      char why[DAEMON_WHY_BYTES], struct daemon_config *ret);

void daemon_config_free(struct daemon_config *config);

/* "host:port", "[address]:port". */
bool daemon_endpoint_parse(const char *text, struct world_endpoint *ret);

/* The id of what has a name in a cluster: a hash, never 0. */
uint64_t daemon_id_of(const char *cluster, const char *name);

/* Is it an address of this host alone? */
bool daemon_is_loopback(const char *host);

#endif
