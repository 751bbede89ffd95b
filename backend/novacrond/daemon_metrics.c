/*
 * /metrics, in Prometheus' text format: what this member knows of itself. Names under etcd_, grpc_
 * and process_ are those that etcd's dashboards and alerts ask for, where the meaning is the same
 * and the type is what `promtool check metrics` accepts; what has no like there is under novacron_.
 */
#include "novacrond/daemon_metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "core/base/say.h"
#include "core/store/store.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* --- lines ----------------------------------------------------------------------------------- */

void metric_head(struct buf *b, const char *name, const char *type, const char *help)
{
    metric_line(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metric_line(struct buf *b, const char *format, ...)
{
    char line[METRIC_LINE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    say(b, line);
}

void metric_one(struct buf *b, const char *name, const char *type, const char *help, uint64_t value)
{
    metric_head(b, name, type, help);
    metric_line(b, "%s %llu\n", name, (unsigned long long)value);
}

void metric_histogram(struct buf *b, const struct metric_times *t)
{
    uint64_t count = 0;
    double first = (double)t->first / 1e9;
    const char *comma = t->labels[0] != '\0' ? "," : "";
    for (size_t i = 0; i < t->n; i++) {
        bool is_last = i + 1 == t->n;
        char bound[32];
        (void)snprintf(bound, sizeof bound, "%.9g", first * (double)(1ULL << i));
        count += t->counts[i];
        metric_line(b, "%s_bucket{%s%sle=\"%s\"} %llu\n", t->name, t->labels, comma,
                    is_last ? "+Inf" : bound, (unsigned long long)count);
    }
    const char *open = t->labels[0] != '\0' ? "{" : "";
    const char *close = t->labels[0] != '\0' ? "}" : "";
    metric_line(b, "%s_sum%s%s%s %.9f\n", t->name, open, t->labels, close, (double)t->sum / 1e9);
    metric_line(b, "%s_count%s%s%s %llu\n", t->name, open, t->labels, close,
                (unsigned long long)count);
}

/* --- consensus ------------------------------------------------------------------------------- */

static void put_raft(struct buf *b, const struct daemon *d)
{
    bool is_ready = node_is_ready(d->node);
    struct raft_status s = is_ready ? node_status(d->node) : (struct raft_status){0};
    uint64_t applied = is_ready ? node_applied(d->node) : 0;
    const struct raft_member *own =
        is_ready ? raft_membership_lookup(s.membership, d->config->id) : NULL;
    bool is_learner = own != NULL && (own->roles & RAFT_LEARNER) != 0;
    GAUGE("etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.",
          s.leader != NODE_NONE);
    GAUGE("etcd_server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.",
          is_ready && s.role == RAFT_LEADER);
    GAUGE("etcd_server_is_learner", "Whether or not this member is a learner.", is_learner);
    COUNTER("etcd_server_leader_changes_seen_total", "The number of leader changes seen.",
            d->counts.leader_changes);
    COUNTER("etcd_server_proposals_committed_total", "The total number of entries committed.",
            s.committed);
    COUNTER("etcd_server_proposals_applied_total", "The total number of entries applied.", applied);
    GAUGE("etcd_server_proposals_pending", "The number of entries in the log and not committed.",
          s.last - s.committed);
    GAUGE("novacron_raft_term", "The current term.", s.term);
    GAUGE("novacron_raft_durable_index", "The last entry that this disk holds.", s.durable);
    GAUGE("novacron_raft_snapshot_index", "The newest snapshot that this member has.", s.snapshot);
    GAUGE("novacron_raft_cached_bytes", "Log entries in memory.", s.cached_bytes);
    GAUGE("novacron_raft_members", "Members, voters and learners.", is_ready ? s.membership->n : 0);
    GAUGE("novacron_raft_voters", "Members that vote.",
          is_ready ? raft_membership_count(s.membership, RAFT_VOTER) : 0);
    GAUGE("novacron_raft_impaired", "1: this member cannot vouch for its log.", s.impaired);
    GAUGE("novacron_raft_stalled", "1: the disk or the apply loop stands.", s.stalled);
    GAUGE("novacron_raft_exposed", "1: fewer replicas are in sync than a commit asks for.",
          s.exposed);
}

static void put_disk(struct buf *b, const struct daemon *d)
{
    static const char name[] = "etcd_disk_wal_fsync_duration_seconds";
    struct linux_sync_times times = linux_world_sync_times(d->lw);
    struct statvfs fs = {0};
    metric_head(b, name, "histogram", "The latency distributions of fsync called by WAL.");
    metric_histogram(b, &(struct metric_times){.name = name,
                                               .labels = "",
                                               .counts = times.buckets,
                                               .n = LINUX_SYNC_BUCKETS,
                                               .first = LINUX_SYNC_FIRST,
                                               .sum = times.sum});
    GAUGE("novacron_disk_full", "1: the disk has no room, and writes are refused.",
          node_lacks_space(d->node));
    if (statvfs(d->config->settings->data_dir, &fs) == 0) {
        GAUGE("novacron_disk_size_bytes", "Size of the file system of data_dir.",
              (uint64_t)fs.f_blocks * fs.f_frsize);
        GAUGE("novacron_disk_available_bytes", "What of it is free for this member.",
              (uint64_t)fs.f_bavail * fs.f_frsize);
    }
}

/* --- the node -------------------------------------------------------------------------------- */

static void put_requests(struct buf *b, const struct node_figures *f)
{
    COUNTER("etcd_server_proposals_failed_total",
            "The total number of failed proposals seen, those of unknown outcome among them.",
            f->requests_failed);
    COUNTER("novacron_proposals_total", "Changes that clients proposed here.", f->requests);
    COUNTER("novacron_proposals_repeated_total",
            "Changes that were proposed once more, for another leader or for want of one.",
            f->requests_again);
    COUNTER("novacron_proposals_refused_total",
            "Changes that were refused, as too much waited already.", f->requests_shed);
    GAUGE("novacron_proposals_waiting", "Changes proposed here that are not applied yet.",
          f->requests_waiting);
    COUNTER("novacron_read_indexes_total", "Linearizable reads that asked the leader.", f->reads);
    COUNTER("etcd_server_read_indexes_failed_total",
            "The total number of failed read indexes seen.", f->reads_failed);
    GAUGE("novacron_read_indexes_waiting", "Reads that wait for the leader's answer.",
          f->reads_waiting);
    GAUGE("novacron_log_batches_waiting", "Writes of the log that are not durable yet.",
          f->batches_waiting);
    GAUGE("novacron_state_disputed", "1: no majority agrees on the state, and writes are refused.",
          f->is_disputed);
}

static void put_snapshots(struct buf *b, const struct node_figures *f)
{
    COUNTER("novacron_snapshots_taken_total", "Snapshots of the state that were written.",
            f->snapshots_taken);
    COUNTER("novacron_snapshots_failed_total", "Snapshots that could not be written.",
            f->snapshots_failed);
    COUNTER("novacron_snapshots_installed_total", "Snapshots that replaced this member's state.",
            f->snapshots_installed);
    GAUGE("novacron_snapshot_size_bytes", "Size of the newest snapshot.", f->snapshot_bytes);
    GAUGE("novacron_snapshot_in_progress", "1: a snapshot is being written.",
          f->is_taking_snapshot);
    GAUGE("novacron_snapshot_installing", "1: a snapshot is being fetched or loaded.",
          f->is_installing);
    COUNTER("novacron_scrub_passes_total", "How often the whole disk was read for damage.",
            f->scrub_passes);
    COUNTER("novacron_scrub_read_bytes_total", "What was read for damage, in passes that ended.",
            f->scrub_bytes);
    COUNTER("novacron_peer_frames_dropped_total",
            "Messages to peers that were dropped, for want of a stream or of room on it.",
            f->frames_dropped);
}

/* One sample for each peer, by a member of its figures. */
#define PUT_PEERS(name, type, help, label, value)                                                  \
    do {                                                                                           \
        metric_head(b, name, type, help);                                                          \
        for (uint32_t i = 0; i < n; i++) {                                                         \
            const struct node_peer_figures *p = &peers[i];                                         \
            metric_line(b, "%s{" label "=\"%llx\"} %llu\n", name, (unsigned long long)p->id,       \
                        (unsigned long long)(value));                                              \
        }                                                                                          \
    } while (0)

/* What only a leader knows. */
static void put_progress(struct buf *b, const struct daemon *d,
                         const struct node_peer_figures *peers, uint32_t n)
{
    raft_index last = node_status(d->node).last;
    nanos now = world_now(linux_world_table(d->lw));
    if (n == 0 || peers[0].progress == NULL) {
        return;
    }
    PUT_PEERS("novacron_peer_match_index", "gauge", "The last entry that the peer's disk holds.",
              "To", p->progress != NULL ? p->progress->match : 0);
    PUT_PEERS("novacron_peer_lag_entries", "gauge", "Entries of the log that the peer lacks.", "To",
              p->progress != NULL ? u64_sub_sat(last, p->progress->match) : 0);
    metric_head(b, "novacron_peer_silent_seconds", "gauge", "For how long the peer says nothing.");
    for (uint32_t i = 0; i < n; i++) {
        const struct raft_progress *pr = peers[i].progress;
        if (pr != NULL && pr->heard != 0) {
            metric_line(b, "novacron_peer_silent_seconds{To=\"%llx\"} %.3f\n",
                        (unsigned long long)peers[i].id, (double)u64_sub_sat(now, pr->heard) / 1e9);
        }
    }
}

static void put_peers(struct buf *b, const struct daemon *d)
{
    struct node_peer_figures peers[NODE_PEERS_MAX];
    uint32_t n = node_peer_figures(d->node, peers);
    PUT_PEERS("etcd_network_active_peers", "gauge",
              "The current number of active peer connections.", "Remote",
              p->is_out[0] && p->is_in[0]);
    PUT_PEERS("etcd_network_peer_sent_bytes_total", "counter",
              "The total number of bytes sent to peers.", "To", p->bytes_sent);
    PUT_PEERS("etcd_network_peer_received_bytes_total", "counter",
              "The total number of bytes received from peers.", "From", p->bytes_received);
    PUT_PEERS("etcd_network_peer_sent_failures_total", "counter",
              "The total number of send failures from peers.", "To", p->frames_dropped);
    if (node_is_ready(d->node)) {
        put_progress(b, d, peers, n);
    }
}

/* --- the store ------------------------------------------------------------------------------- */

static void put_store(struct buf *b, const struct daemon *d)
{
    struct store_stats stats = {0};
    const struct store *store = node_store(d->node);
    if (store != NULL) {
        store_stats_read(store, &stats);
    }
    GAUGE("etcd_mvcc_db_total_size_in_bytes", "Memory held by keys, versions and leases.",
          stats.held_bytes);
    GAUGE("etcd_mvcc_db_total_size_in_use_in_bytes", "Memory in use of it.", stats.used_bytes);
    GAUGE("etcd_server_quota_backend_bytes", "Current backend storage quota size in bytes.",
          d->config->settings->quota_mib * 1024 * 1024);
    GAUGE("novacron_store_keys", "Keys that exist.", stats.keys);
    GAUGE("novacron_store_watches", "Watches of clients.", stats.watches);
    GAUGE("novacron_store_revision", "The current revision.",
          store != NULL ? (uint64_t)store_revision(store) : 0);
    int64_t compacted = store != NULL ? store_compact_revision(store) : 0;
    GAUGE("novacron_store_compact_revision", "The revision of the last compaction; 0: none.",
          compacted > 0 ? (uint64_t)compacted : 0);
    GAUGE("novacron_store_changes", "Versions in the history.", stats.changes);
    GAUGE("novacron_store_reclaimable", "Versions that a compaction has still to free.",
          stats.reclaimable);
    GAUGE("novacron_store_leases", "Leases.", stats.leases);
    GAUGE("novacron_store_alarm_nospace", "1: some member has the alarm NOSPACE.",
          store != NULL && store_has_alarm(store, STORE_ALARM_NO_SPACE));
}

static void put_identity(struct buf *b, const struct daemon *d)
{
    metric_head(b, "novacron_build_info", "gauge", "Which version of NovaCron this is.");
    metric_line(b, "novacron_build_info{version=\"%s\"} 1\n", DAEMON_VERSION);
    metric_head(b, "etcd_server_version", "gauge", "Which version of etcd's API is served.");
    metric_line(b, "etcd_server_version{server_version=\"%s\"} 1\n", ETCD_VERSION);
    metric_head(b, "etcd_cluster_version", "gauge",
                "Which version of etcd's API all members serve.");
    metric_line(b, "etcd_cluster_version{cluster_version=\"%.3s\"} 1\n", ETCD_VERSION);
    metric_head(b, "etcd_server_id", "gauge", "Server or member ID in hexadecimal format.");
    metric_line(b, "etcd_server_id{server_id=\"%llx\"} 1\n", (unsigned long long)d->config->id);
}

static void put_own(struct buf *b, const struct daemon *d)
{
    COUNTER("novacron_peers_refused_total", "Streams of peers that were refused.",
            d->counts.peers_refused);
    COUNTER("novacron_alarms_total", "Alarms of Raft's.", d->counts.alarms);
    COUNTER("novacron_diverged_total", "Members whose state was found to differ.",
            d->counts.diverged);
    COUNTER("novacron_reloads_total", "How often the certificates were read again.",
            d->counts.reloads);
    COUNTER("novacron_reloads_failed_total", "How often that failed.", d->counts.reloads_failed);
    COUNTER("novacron_log_lines_total", "Lines of the log.", d->log.lines);
    COUNTER("novacron_log_lines_left_out_total", "Lines that were too many.", d->log.left_out);
    if (d->peer_tls != NULL) {
        GAUGE("novacron_peer_certificate_expiry_timestamp_seconds",
              "When the certificate for peers ends, since unix epoch.",
              (uint64_t)linux_tls_expiry(d->peer_tls));
    }
}

static void put_traces(struct buf *b, const struct daemon *d)
{
    struct otlp_counters c = {0};
    if (d->otlp != NULL) {
        c = otlp_counters_read(d->otlp);
    }
    COUNTER("novacron_traces_total", "Calls that were recorded as spans.", d->tracer.begun);
    COUNTER("novacron_traces_malformed_parents_total",
            "Calls whose traceparent was none, and whose trace began anew.", d->tracer.malformed);
    COUNTER("novacron_trace_spans_total", "Spans that had room in the queue.", c.taken);
    COUNTER("novacron_trace_spans_dropped_total", "Spans that had none.", c.dropped);
    COUNTER("novacron_trace_spans_exported_total", "Spans that the collector took.", c.exported);
    COUNTER("novacron_trace_spans_failed_total", "Spans that the collector did not take.",
            c.failed);
    GAUGE("novacron_trace_spans_waiting", "Spans on their way to the collector.", c.waiting);
    COUNTER("novacron_trace_requests_total", "Requests to the collector.", c.requests);
    COUNTER("novacron_trace_requests_failed_total", "Requests that it did not take.",
            c.requests_failed);
    metric_head(b, "novacron_breaker_state", "gauge",
                "Circuit breakers: 0 closed, 1 open, 2 half-open, 3 forced open, 4 forced closed.");
    metric_line(b, "novacron_breaker_state{breaker=\"collector\"} %d\n", (int)c.breaker);
    metric_head(b, "novacron_breaker_rejected_total", "counter",
                "Calls that a circuit breaker did not let go.");
    metric_line(b, "novacron_breaker_rejected_total{breaker=\"collector\"} %llu\n",
                (unsigned long long)c.rejected);
}

void daemon_page_metrics(struct rpc_call *call)
{
    struct daemon *d = etcd_api_owner(rpc_ctx(call));
    struct buf b;
    buf_init(&b);
    put_identity(&b, d);
    if (!d->config->is_agent) {
        struct node_figures figures = node_figures(d->node);
        put_raft(&b, d);
        put_disk(&b, d);
        put_requests(&b, &figures);
        put_snapshots(&b, &figures);
        put_peers(&b, d);
        put_store(&b, d);
    }
    put_own(&b, d);
    put_traces(&b, d);
    daemon_health_metrics(&b, d);
    daemon_ha_metrics(&b, d);
    metrics_put_process(&b, d);
    if (d->server != NULL) {
        metrics_put_calls(&b, d);
    }
    rpc_page_send(call, 200, METRICS_TYPE, buf_view(&b));
    buf_deinit(&b);
}
