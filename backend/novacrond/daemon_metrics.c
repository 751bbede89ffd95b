/*
 * /metrics, in Prometheus' text format: what this member knows of itself. Names under etcd_, grpc_
 * and process_ are those that etcd's dashboards and alerts ask for, where the meaning is the same;
 * what has no like there is under novacron_.
 */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/say.h"
#include "core/store/store.h"
#include "novacrond/daemon.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define LINE_BYTES   512

static void metric_head(struct buf *b, const char *name, const char *type, const char *help)
{
    char line[LINE_BYTES];
    (void)snprintf(line, sizeof line, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
    say(b, line);
}

__attribute__((format(printf, 2, 3))) static void put_line(struct buf *b, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    say(b, line);
}

static void put_one(struct buf *b, const char *name, const char *type, const char *help,
                    uint64_t value)
{
    metric_head(b, name, type, help);
    put_line(b, "%s %llu\n", name, (unsigned long long)value);
}

#define GAUGE(name, help, value)   put_one(b, name, "gauge", help, value)
#define COUNTER(name, help, value) put_one(b, name, "counter", help, value)

/* --- etcd's ---------------------------------------------------------------------------------- */

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
    GAUGE("novacron_raft_impaired", "1: this member cannot vouch for its log.", s.impaired);
    GAUGE("novacron_raft_stalled", "1: the disk or the apply loop stands.", s.stalled);
    GAUGE("novacron_raft_exposed", "1: fewer replicas are in sync than a commit asks for.",
          s.exposed);
    GAUGE("novacron_disk_full", "1: the disk has no room, and writes are refused.",
          node_lacks_space(d->node));
}

static void put_disk(struct buf *b, struct daemon *d)
{
    static const char name[] = "etcd_disk_wal_fsync_duration_seconds";
    struct linux_sync_times times = linux_world_sync_times(d->lw);
    uint64_t count = 0;
    metric_head(b, name, "histogram", "The latency distributions of fsync called by WAL.");
    for (size_t i = 0; i + 1 < LINUX_SYNC_BUCKETS; i++) {
        count += times.buckets[i];
        put_line(b, "%s_bucket{le=\"%g\"} %llu\n", name, (double)(1U << i) / 1000,
                 (unsigned long long)count);
    }
    count += times.buckets[LINUX_SYNC_BUCKETS - 1];
    put_line(b, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.6f\n%s_count %llu\n", name,
             (unsigned long long)count, name, (double)times.sum / 1e9, name,
             (unsigned long long)count);
}

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
    GAUGE("novacron_store_compact_revision", "The revision of the last compaction.",
          store != NULL ? (uint64_t)store_compact_revision(store) : 0);
    GAUGE("novacron_store_changes", "Versions in the history.", stats.changes);
    GAUGE("novacron_store_reclaimable", "Versions that a compaction has still to free.",
          stats.reclaimable);
    GAUGE("novacron_store_leases", "Leases.", stats.leases);
    GAUGE("novacron_store_alarm_nospace", "1: some member has the alarm NOSPACE.",
          store != NULL && store_has_alarm(store, STORE_ALARM_NO_SPACE));
}

static void put_identity(struct buf *b, const struct daemon *d)
{
    metric_head(b, "etcd_server_version", "gauge", "Which version of etcd's API is served.");
    put_line(b, "etcd_server_version{server_version=\"%s\"} 1\n", ETCD_VERSION);
    metric_head(b, "etcd_server_id", "gauge", "Server or member ID in hexadecimal format.");
    put_line(b, "etcd_server_id{server_id=\"%llx\"} 1\n", (unsigned long long)d->config->id);
}

/* --- calls ----------------------------------------------------------------------------------- */

static const char *shape_name(enum rpc_shape shape)
{
    return shape == RPC_UNARY ? "unary" : shape == RPC_BIDI ? "bidi_stream" : "server_stream";
}

/* grpc_type, grpc_service and grpc_method of "/etcdserverpb.KV/Range". */
static void method_labels(const struct rpc_method *m, char *text, size_t n)
{
    const char *slash = strrchr(m->path, '/');
    (void)snprintf(text, n, "grpc_type=\"%s\",grpc_service=\"%.*s\",grpc_method=\"%s\"",
                   shape_name(m->shape), (int)(slash - m->path - 1), m->path + 1, slash + 1);
}

static void put_methods_started(struct buf *b, const struct daemon *d)
{
    size_t n = 0;
    char labels[LINE_BYTES / 2];
    const struct rpc_method *const *methods = etcd_api_methods(&n);
    metric_head(b, "grpc_server_started_total", "counter", "Total number of RPCs started.");
    for (size_t i = 0; i < n; i++) {
        const struct rpc_method_counters *c = rpc_server_method_counters(d->server, i);
        method_labels(methods[i], labels, sizeof labels);
        put_line(b, "grpc_server_started_total{%s} %llu\n", labels, (unsigned long long)c->started);
    }
    metric_head(b, "novacron_grpc_open", "gauge", "RPCs under way.");
    for (size_t i = 0; i < n; i++) {
        const struct rpc_method_counters *c = rpc_server_method_counters(d->server, i);
        method_labels(methods[i], labels, sizeof labels);
        put_line(b, "novacron_grpc_open{%s} %llu\n", labels, (unsigned long long)c->open);
    }
}

static void put_methods_handled(struct buf *b, const struct daemon *d)
{
    size_t n = 0;
    char labels[LINE_BYTES / 2];
    const struct rpc_method *const *methods = etcd_api_methods(&n);
    metric_head(b, "grpc_server_handled_total", "counter",
                "Total number of RPCs completed, regardless of success or failure.");
    for (size_t i = 0; i < n; i++) {
        const struct rpc_method_counters *c = rpc_server_method_counters(d->server, i);
        method_labels(methods[i], labels, sizeof labels);
        for (int status = 0; status < RPC_STATUS_COUNT; status++) {
            if (c->handled[status] > 0 || status == RPC_OK) {
                put_line(b, "grpc_server_handled_total{%s,grpc_code=\"%s\"} %llu\n", labels,
                         rpc_status_name(status), (unsigned long long)c->handled[status]);
            }
        }
    }
}

static void put_server(struct buf *b, const struct daemon *d)
{
    const struct rpc_counters *c = rpc_server_counters(d->server);
    COUNTER("etcd_network_client_grpc_received_bytes_total",
            "The total number of bytes received from clients.", c->bytes_in);
    COUNTER("etcd_network_client_grpc_sent_bytes_total",
            "The total number of bytes sent to clients.", c->bytes_out);
    GAUGE("novacron_client_connections", "Connections of clients.", c->connections_open);
    COUNTER("novacron_client_connections_accepted_total", "Connections accepted.",
            c->connections_accepted);
    COUNTER("novacron_client_connections_refused_total", "Connections above the limit.",
            c->connections_refused);
    COUNTER("novacron_client_connections_dropped_total",
            "Connections that were ended for what the client did.", c->connections_dropped);
    COUNTER("novacron_client_tls_failures_total", "Handshakes that failed.", c->tls_failures);
    COUNTER("novacron_client_calls_refused_total", "Calls above a limit, or of no method.",
            c->calls_refused);
    GAUGE("novacron_client_queued_bytes", "Output that waits for clients.", c->queued_bytes);
    put_methods_started(b, d);
    put_methods_handled(b, d);
}

/* --- the process ----------------------------------------------------------------------------- */

static uint64_t process_descriptors(void)
{
    uint64_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && readdir(dir) != NULL) {
        n++;
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return n > 3 ? n - 3 : 0; /* ".", "..", and that of the directory */
}

static void put_process(struct buf *b, const struct daemon *d)
{
    struct rusage usage = {0};
    struct rlimit files = {0};
    unsigned long pages[2] = {0, 0};
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm != NULL) {
        (void)fscanf(statm, "%lu %lu", &pages[0], &pages[1]);
        (void)fclose(statm);
    }
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    double cpu = (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    metric_head(b, "process_cpu_seconds_total", "counter",
                "Total user and system CPU time spent in seconds.");
    put_line(b, "process_cpu_seconds_total %.6f\n", cpu);
    GAUGE("process_resident_memory_bytes", "Resident memory size in bytes.", pages[1] * page);
    GAUGE("process_virtual_memory_bytes", "Virtual memory size in bytes.", pages[0] * page);
    GAUGE("process_open_fds", "Number of open file descriptors.", process_descriptors());
    GAUGE("process_max_fds", "Maximum number of open file descriptors.", files.rlim_cur);
    GAUGE("process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
          (uint64_t)d->counts.started_at_unix);
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
        GAUGE("novacron_peer_certificate_expiry_seconds",
              "When the certificate for peers ends, since unix epoch.",
              (uint64_t)linux_tls_expiry(d->peer_tls));
    }
}

void daemon_page_metrics(struct rpc_call *call)
{
    struct daemon *d = etcd_api_owner(rpc_ctx(call));
    struct buf b;
    buf_init(&b);
    put_identity(&b, d);
    put_raft(&b, d);
    put_disk(&b, d);
    put_store(&b, d);
    put_own(&b, d);
    put_process(&b, d);
    if (d->server != NULL) {
        put_server(&b, d);
    }
    rpc_page_send(call, 200, METRICS_TYPE, buf_view(&b));
    buf_deinit(&b);
}
