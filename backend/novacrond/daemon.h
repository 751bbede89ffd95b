/*
 * One member as a process: what is open, and in which order it begins and ends.
 *
 *   STARTING --node ready--> RUNNING --SIGTERM--> STOPPING --led away, drained--> end, status 0
 *       |                       |
 *       +------- halted --------+--> end, status DAEMON_EXIT_HALTED
 *
 * | state    | what is true                                                                     |
 * |----------|----------------------------------------------------------------------------------|
 * | STARTING | the disk is read; clients hear "server stopped"                                  |
 * | RUNNING  | it takes part, and systemd was told                                              |
 * | STOPPING | it proposes nothing, leads nobody or hands over, and says goodbye to its clients |
 *
 * All of it happens on the world's thread. On a host that does not vote (daemon_agent.h) there is
 * no node: it is RUNNING at once.
 */
#ifndef NOVACRON_NOVACROND_DAEMON_H
#define NOVACRON_NOVACROND_DAEMON_H

#include <uv.h>

#include "api/etcd/etcd_api.h"
#include "api/otlp/otlp_export.h"
#include "api/rpc.h"
#include "api/rpc_tls.h"
#include "core/node/node.h"
#include "novacrond/daemon_config.h"
#include "novacrond/daemon_disk.h"
#include "novacrond/daemon_ha.h"
#include "novacrond/daemon_health.h"
#include "novacrond/daemon_log.h"
#include "novacrond/daemon_recovery.h"
#include "world/linux/linux_tls.h"
#include "world/linux/linux_world.h"

/* What the process ends with. */
enum daemon_exit {
    DAEMON_EXIT_OK = 0,
    DAEMON_EXIT_FAILED = 1, /* something that it needs is not there, or is taken */
    DAEMON_EXIT_CONFIG = 2, /* the configuration, or the command line */
    DAEMON_EXIT_HALTED = 3  /* the disk: restarting does not help */
};

enum daemon_life { DAEMON_STARTING, DAEMON_RUNNING, DAEMON_STOPPING };

/* What is counted for the metrics beside what others count. */
struct daemon_counts {
    uint64_t leader_changes; /* that were seen */
    uint64_t peers_refused;
    uint64_t alarms;
    uint64_t diverged;
    uint64_t reloads;
    uint64_t reloads_failed;
    nanos started_at;
    int64_t started_at_unix;
};

#define DAEMON_PAGES_MAX 16

struct daemon {
    struct daemon_config *config; /* borrowed */
    struct daemon_log log;
    struct daemon_disk disk;
    struct linux_world *lw;
    struct linux_tls *peer_tls;  /* NULL: plaintext */
    struct rpc_tls *client_tls;  /* likewise */
    struct bytes backup;         /* mapped, until the node is ready; empty: none */
    struct bytes founding_state; /* in it */
    struct node *node;           /* NULL: this host does not vote */
    struct etcd_api *api;
    struct rpc_server *server;
    struct otlp *otlp; /* NULL: nothing is traced */
    struct tracer tracer;
    struct rpc_page pages[DAEMON_PAGES_MAX];
    size_t page_count;
    enum daemon_life life;
    enum daemon_exit exit;
    uint32_t jobs; /* on other threads */
    node_id leader;
    bool server_is_closed;
    nanos stopping_since;
    nanos alone_since; /* while stopping: since when it does not lead; 0: it leads still */
    struct daemon_counts counts;
    uv_signal_t signals[3];
    uv_timer_t watchdog;
    uv_timer_t stop_timer;
    struct daemon_recovery recovery;
    struct daemon_health health;
    struct daemon_ha ha;
};

/* What the world's clock says. */
nanos daemon_now(const struct daemon *d);

/* Runs a member until it ends. `restore`: the backup to found the cluster with, or NULL. */
enum daemon_exit daemon_run(struct daemon_config *config, const char *restore);

/* Begins to stop; once more: at once. */
void daemon_stop(struct daemon *d);

/* Reads all certificates again. */
void daemon_reload(struct daemon *d);

/* The configurations of what is opened (daemon_compose.c). */
MUST_USE enum err daemon_open_tls(struct daemon *d, char why[DAEMON_WHY_BYTES]);
void daemon_compose_node(const struct daemon *d, struct node_config *ret);
void daemon_compose_api(struct daemon *d, struct etcd_config *ret);
void daemon_compose_server(struct daemon *d, struct rpc_config *ret);
MUST_USE enum err daemon_open_tracing(struct daemon *d, char why[DAEMON_WHY_BYTES]);

/* The node's events (daemon_events.c). */
struct node_events daemon_node_events(struct daemon *d);
void daemon_client_refused(void *ctx, const char *client, const char *why);
void daemon_peer_refused(void *ctx, const struct world_endpoint *peer, enum err error,
                         const char *why);

/* Signals and systemd (daemon_signals.c). */
void daemon_signals_open(struct daemon *d);
void daemon_signals_close(struct daemon *d);
void daemon_tell_systemd(const char *state);

/* Pages beside etcd's (daemon_metrics.c, daemon_debug.c); their ctx is the etcd_api. */
void daemon_page_metrics(struct rpc_call *call);
void daemon_page_raft(struct rpc_call *call);
void daemon_page_config(struct rpc_call *call);
void daemon_page_debug(struct rpc_call *call);

#endif
