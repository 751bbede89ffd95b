/* From the configuration to those of the parts. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "core/base/check.h"
#include "core/base/le.h"
#include "core/base/mem.h"
#include "novacrond/daemon.h"
#include "novacrond/daemon_agent.h"

/* Of log entries in memory; half of it stays when all are caught up. A member that is further
 * behind is served from the disk. */
#define LOG_CACHE_BYTES (16ULL * 1024 * 1024)

/* Descriptors that no client gets: for the streams of peers and their handshakes, the log,
 * snapshots and what the loop itself has. */
#define FILES_OWN 512

/* A snapshot of a large state waits for this many times the entries, if that is what it takes until
 * the log has grown by its size: recovery reads these, which is quicker than loading it. */
#define SNAPSHOT_PATIENCE 16

static struct linux_tls_files peer_files(const struct daemon *d)
{
    const struct daemon_tls_settings *tls = &d->config->settings->peer.tls;
    return (struct linux_tls_files){.ca = tls->ca, .cert = tls->cert, .key = tls->key};
}

static struct rpc_tls_files client_files(const struct daemon *d)
{
    const struct daemon_client_settings *c = &d->config->settings->client;
    return (struct rpc_tls_files){.ca = c->tls.ca,
                                  .certificate = c->tls.cert,
                                  .key = c->tls.key,
                                  .require_peer = c->require_certificate};
}

enum err daemon_open_tls(struct daemon *d, char why[DAEMON_WHY_BYTES])
{
    char text[LINUX_TLS_WHY_BYTES];
    _Static_assert(LINUX_TLS_WHY_BYTES >= RPC_TLS_TEXT_BYTES, "one buffer for both");
    struct linux_tls_files peer = peer_files(d);
    struct rpc_tls_files client = client_files(d);
    enum err e = peer.cert != NULL ? linux_tls_open(&peer, text, &d->peer_tls) : OK;
    if (e != OK) {
        (void)snprintf(why, DAEMON_WHY_BYTES, "peer.tls: %.480s", text);
        return e;
    }
    e = client.certificate != NULL ? rpc_tls_open(&client, RPC_TLS_SERVER, text, &d->client_tls)
                                   : OK;
    if (e != OK) {
        (void)snprintf(why, DAEMON_WHY_BYTES, "client.tls: %.480s", text);
    }
    return e;
}

void daemon_reload(struct daemon *d)
{
    char text[LINUX_TLS_WHY_BYTES];
    struct rpc_tls_files client = client_files(d);
    bool is_well = true;
    if (d->peer_tls != NULL && linux_tls_reload(d->peer_tls, text) != OK) {
        LOG_SAY(&d->log, DAEMON_ERROR, "certificates of peer.tls stay as they were",
                log_text("why", text));
        is_well = false;
    }
    if (d->client_tls != NULL && rpc_tls_reload(d->client_tls, &client, text) != OK) {
        LOG_SAY(&d->log, DAEMON_ERROR, "certificates of client.tls stay as they were",
                log_text("why", text));
        is_well = false;
    }
    is_well = daemon_health_reload(d) && is_well;
    d->counts.reloads++;
    d->counts.reloads_failed += is_well ? 0 : 1;
    LOG_SAY(&d->log, DAEMON_INFO, "reloaded", log_text("outcome", is_well ? "ok" : "failed"));
}

void daemon_compose_node(const struct daemon *d, struct node_config *ret)
{
    const struct daemon_config *config = d->config;
    const struct daemon_settings *s = config->settings;
    struct node_config c = node_config_default(config->id);
    c.dir = "node";
    c.cluster = config->cluster;
    if (s->timing == DAEMON_TIMING_STRETCH) {
        c.raft = raft_config_stretch(config->id, 0);
        c.raft.commit_delay = NODE_COMMIT_DELAY;
    }
    if (c.raft.max_cached_bytes > LOG_CACHE_BYTES && s->timing == DAEMON_TIMING_LAN) {
        c.raft.max_cached_bytes = LOG_CACHE_BYTES;
    }
    c.founders = config->founds ? &config->founders : NULL;
    c.founding_state = d->founding_state;
    c.is_member = d->disk.is_member;
    c.asks_founders = true;
    c.port = config->peer_listen.port;
    c.peer_count = config->peer_count;
    memcpy(c.peers, config->peers, sizeof c.peers);
    for (uint32_t i = 0; i < c.peer_count && s->peer.tls.cert == NULL; i++) {
        c.peers[i].name[0] = '\0';
    }
    if (s->snapshot_entries > 0) {
        c.snapshot_entries = s->snapshot_entries;
        c.tail_entries = s->snapshot_entries / 10;
    }
    c.snapshot_entries_max = c.snapshot_entries * SNAPSHOT_PATIENCE;
    *ret = c;
}

/* --- passwords, on other threads ------------------------------------------------------------- */

struct daemon_work {
    uv_work_t work;
    struct daemon *daemon;
    struct etcd_job *job;
};

static void work_run(uv_work_t *work)
{
    struct daemon_work *w = work->data;
    w->job->work(w->job);
}

static void work_done(uv_work_t *work, int status)
{
    struct daemon_work *w = work->data;
    (void)status; /* nothing cancels it */
    w->daemon->jobs--;
    w->job->done(w->job);
    mem_free(w);
}

static void daemon_offload(void *ctx, struct etcd_job *job)
{
    struct daemon *d = ctx;
    struct daemon_work *w = mem_alloc_zero(sizeof *w);
    w->daemon = d;
    w->job = job;
    w->work.data = w;
    d->jobs++;
    CHECK(uv_queue_work(linux_world_loop(d->lw), &w->work, work_run, work_done) == 0);
}

void daemon_compose_api(struct daemon *d, struct etcd_config *ret)
{
    const struct daemon_config *config = d->config;
    struct node_config node;
    struct etcd_config c = etcd_config_default();
    daemon_compose_node(d, &node);
    c.world = linux_world_table(d->lw);
    c.cluster = config->cluster;
    c.member = config->id;
    c.name = config->settings->name;
    c.peer_urls[0] = config->peer_url;
    for (size_t i = 0; i < ETCD_URLS_MAX; i++) {
        c.client_urls[i] = config->client_urls[i];
    }
    size_t witnesses = 0;
    for (uint32_t i = 0; i < config->peer_count; i++) {
        const struct daemon_member_settings *m = &config->settings->cluster.members[i];
        if (m->witness && config->founds && witnesses + 1 < ETCD_WITNESSES_MAX) {
            c.witnesses[witnesses] = (struct etcd_witness){config->peers[i].id, m->name,
                                                           config->witness_urls[witnesses]};
            witnesses++;
        }
    }
    c.election_timeout = node.raft.election_timeout;
    c.quota_bytes = config->settings->quota_mib * 1024 * 1024;
    c.offload = daemon_offload;
    c.offload_ctx = d;
    c.owner = d;
    *ret = c;
}

enum err daemon_open_tracing(struct daemon *d, char why[DAEMON_WHY_BYTES])
{
    const struct daemon_settings *s = d->config->settings;
    const struct world *world = linux_world_table(d->lw);
    const struct otlp_resource resource = {.service = "novacrond",
                                           .version = DAEMON_VERSION,
                                           .instance = s->name,
                                           .cluster = s->cluster.name};
    uint8_t bytes[sizeof(uint64_t)];
    if (s->tracing.endpoint == NULL) {
        return OK;
    }
    _Static_assert(DAEMON_WHY_BYTES >= OTLP_WHY_BYTES, "one buffer for both");
    TRY(otlp_open(s->tracing.endpoint, &resource, why, &d->otlp));
    struct trace_sink sink = otlp_sink(d->otlp);
    world->random->fill(world->self, bytes, sizeof bytes);
    tracer_init(&d->tracer, &sink, le64_load(bytes), d->config->trace_ratio);
    return OK;
}

static nanos daemon_clock(void *ctx)
{
    const struct daemon *d = ctx;
    return world_now(linux_world_table(d->lw));
}

/* Connections that clients may have: what this process may open, without what it needs for itself.
 * Else a crowd of clients would keep the log from its next segment. */
static uint32_t compose_connections(uint32_t usual)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return usual;
    }
    uint64_t all = files.rlim_cur;
    uint64_t own = all >= 2 * FILES_OWN ? FILES_OWN : all / 4 * 3;
    return (uint32_t)u64_min(usual, u64_max(all - own, 1));
}

void daemon_compose_server(struct daemon *d, struct rpc_config *ret)
{
    static const struct rpc_page own[] = {
        {.path = "/metrics", .serve = daemon_page_metrics},
        {.path = "/debug/raft", .serve = daemon_page_raft},
        {.path = "/debug/config", .serve = daemon_page_config},
        {.path = "/debug/ha", .serve = daemon_page_ha},
        {.path = "/debug/", .serve = daemon_page_debug},
    };
    struct rpc_config c = {
        .address = d->config->client_listen.host,
        .port = d->config->client_listen.port,
        .tls = d->client_tls,
        .ctx = d->api,
        .limits = rpc_limits_default(),
        .clock = daemon_clock,
        .clock_ctx = d,
        .tracer = d->otlp != NULL ? &d->tracer : NULL,
    };
    c.refused = daemon_client_refused;
    c.limits.connections_max = compose_connections(c.limits.connections_max);
    const struct rpc_page *first =
        d->config->is_agent ? daemon_agent_pages(&d->page_count) : etcd_api_pages(&d->page_count);
    CHECK(d->page_count + COUNT_OF(own) <= DAEMON_PAGES_MAX);
    memcpy(d->pages, first, d->page_count * sizeof d->pages[0]);
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        if (!d->config->is_agent || own[i].serve != daemon_page_raft) {
            d->pages[d->page_count++] = own[i];
        }
    }
    c.pages = d->pages;
    c.page_count = d->page_count;
    c.methods = daemon_health_methods(d, &c.method_count);
    *ret = c;
}
