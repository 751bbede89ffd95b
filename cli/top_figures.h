/*
 * What `novacron top` makes of members' /metrics: numbers, and of two pages rates and percentiles.
 * Pure: no terminal, no network, no clock. Pages are untrusted; whatever is not understood is
 * passed over, and a number that is not there is NaN.
 */
#ifndef NOVACRON_CLI_TOP_FIGURES_H
#define NOVACRON_CLI_TOP_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/types.h"

#define TOP_BUCKETS_MAX 32
#define TOP_PEERS_MAX   32

/* Samples without labels, by their names. */
#define TOP_FIGURE_TABLE(X)                                                                        \
    X(TOP_HAS_LEADER, "etcd_server_has_leader")                                                    \
    X(TOP_IS_LEADER, "etcd_server_is_leader")                                                      \
    X(TOP_IS_LEARNER, "etcd_server_is_learner")                                                    \
    X(TOP_LEADER_CHANGES, "etcd_server_leader_changes_seen_total")                                 \
    X(TOP_COMMITTED, "etcd_server_proposals_committed_total")                                      \
    X(TOP_APPLIED, "etcd_server_proposals_applied_total")                                          \
    X(TOP_TERM, "novacron_raft_term")                                                              \
    X(TOP_VOTERS, "novacron_raft_voters")                                                          \
    X(TOP_IMPAIRED, "novacron_raft_impaired")                                                      \
    X(TOP_STALLED, "novacron_raft_stalled")                                                        \
    X(TOP_EXPOSED, "novacron_raft_exposed")                                                        \
    X(TOP_DISPUTED, "novacron_state_disputed")                                                     \
    X(TOP_DISK_FULL, "novacron_disk_full")                                                         \
    X(TOP_NOSPACE, "novacron_store_alarm_nospace")                                                 \
    X(TOP_DISK_SIZE, "novacron_disk_size_bytes")                                                   \
    X(TOP_DISK_AVAILABLE, "novacron_disk_available_bytes")                                         \
    X(TOP_SNAPSHOT_TAKING, "novacron_snapshot_in_progress")                                        \
    X(TOP_SNAPSHOT_INSTALLING, "novacron_snapshot_installing")                                     \
    X(TOP_SNAPSHOT_INDEX, "novacron_raft_snapshot_index")                                          \
    X(TOP_KEYS, "novacron_store_keys")                                                             \
    X(TOP_REVISION, "novacron_store_revision")                                                     \
    X(TOP_WATCHES, "novacron_store_watches")                                                       \
    X(TOP_LEASES, "novacron_store_leases")                                                         \
    X(TOP_STORE_BYTES, "etcd_mvcc_db_total_size_in_use_in_bytes")                                  \
    X(TOP_QUOTA, "etcd_server_quota_backend_bytes")                                                \
    X(TOP_CONNECTIONS, "novacron_client_connections")                                              \
    X(TOP_CPU, "process_cpu_seconds_total")                                                        \
    X(TOP_MEMORY, "process_resident_memory_bytes")                                                 \
    X(TOP_STARTED, "process_start_time_seconds")                                                   \
    X(TOP_BYTES_IN, "etcd_network_client_grpc_received_bytes_total")                               \
    X(TOP_BYTES_OUT, "etcd_network_client_grpc_sent_bytes_total")

enum top_figure {
#define TOP_FIGURE_ENUM(figure, name) figure,
    TOP_FIGURE_TABLE(TOP_FIGURE_ENUM)
#undef TOP_FIGURE_ENUM
        TOP_FIGURES
};

/* Cumulative, as Prometheus has them; the last bound is infinite. */
struct top_histogram {
    size_t n;
    double bound[TOP_BUCKETS_MAX];
    double count[TOP_BUCKETS_MAX];
};

struct top_peer {
    node_id id;
    double lag; /* in entries */
};

/* One page. */
struct top_sample {
    bool is_there;
    nanos at;   /* the caller's */
    node_id id; /* of who says it; 0: it does not */
    double figure[TOP_FIGURES];
    double puts; /* calls that change something and ended well, and reads; since the start */
    double reads;
    double failures;
    struct top_histogram sync;
    struct top_histogram put;
    struct top_histogram read;
    struct top_peer peers[TOP_PEERS_MAX];
    size_t peer_count;
};

/* Sets all of it but `at`. */
void top_sample_parse(struct bytes page, struct top_sample *ret);

/* By how much a counter grew each second; NaN: one of the two is missing, or it began anew. */
double top_rate(double now, double before, nanos span);

/* The quantile of what was counted between two pages, between the bounds of its bucket; NaN:
 * nothing was. */
double top_quantile(const struct top_histogram *now, const struct top_histogram *before, double q);

#endif
