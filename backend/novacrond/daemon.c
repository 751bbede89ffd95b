#include "novacrond/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "api/etcd/etcd_backup.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "novacrond/daemon_agent.h"

/* How often a daemon that stops looks whether it may end. */
#define STOP_LOOK_MS 5

/* For whom leads: so long it waits that another takes over. */
#define STOP_HAND_OVER (5 * NANOS_PER_S)

/* Calls under way get so long after that; streams never end by themselves. */
#define STOP_GRACE (300 * NANOS_PER_MS)

/* The last spans get so long to reach their collector. */
#define STOP_TRACES (500 * NANOS_PER_MS)

nanos daemon_now(const struct daemon *d)
{
    return world_now(linux_world_table(d->lw));
}

/* --- opening --------------------------------------------------------------------------------- */

static enum err open_world(struct daemon *d, char *why)
{
    struct linux_net_config net = linux_net_config_default();
    const struct daemon_settings *s = d->config->settings;
    enum err e = linux_world_open(s->data_dir, &d->lw);
    if (e != OK) {
        (void)snprintf(why, DAEMON_WHY_BYTES, "cannot open %s: %s", s->data_dir, err_text(e));
        return e;
    }
    (void)snprintf(net.bind, sizeof net.bind, "%s", d->config->peer_listen.host);
    net.tls = d->peer_tls;
    net.allow_plaintext = s->peer.allow_plaintext;
    net.refused = daemon_peer_refused;
    net.ctx = d;
    e = linux_world_configure_net(d->lw, &net);
    if (e != OK) {
        (void)snprintf(why, DAEMON_WHY_BYTES,
                       "peer.listen: \"%s\" is no numeric address; write one of this host's, or "
                       "0.0.0.0",
                       net.bind);
    }
    return e;
}

static enum err open_server(struct daemon *d, char *why)
{
    struct rpc_config config;
    daemon_compose_server(d, &config);
    enum err e = rpc_server_open(linux_world_loop(d->lw), &config, &d->server);
    if (e != OK) {
        (void)snprintf(why, DAEMON_WHY_BYTES,
                       "cannot listen for clients at %s port %u: %s; is another process there, or "
                       "is it no numeric address of this host?",
                       config.address, config.port, err_text(e));
    }
    return e;
}

/* A backup founds a cluster; over a disk that has anything it is refused. */
static enum err open_backup(struct daemon *d, const char *path, char *why)
{
    const char *fault = NULL;
    if (!d->config->founds || d->disk.is_member || d->config->is_agent) {
        (void)snprintf(why, DAEMON_WHY_BYTES,
                       "--restore founds a new cluster: it needs \"state: new\", and a data_dir "
                       "that was no member's");
        return ERR_REFUSED;
    }
    enum err e = etcd_backup_map(path, &d->backup);
    if (e != OK) {
        (void)snprintf(why, DAEMON_WHY_BYTES, "cannot read %.300s: %s", path, err_text(e));
        return e;
    }
    e = etcd_backup_check(d->backup, &d->founding_state, &fault);
    if (e != OK) {
        (void)snprintf(why, DAEMON_WHY_BYTES, "%.300s: %s", path, fault);
    }
    return e;
}

static enum err daemon_open(struct daemon *d, const char *restore, char *why)
{
    struct node_config node;
    struct etcd_config api;
    TRY(daemon_open_tls(d, why));
    TRY(daemon_disk_open(d->config, why, &d->disk));
    if (restore != NULL) {
        TRY(open_backup(d, restore, why));
    }
    TRY(open_world(d, why));
    d->counts.started_at = daemon_now(d);
    d->counts.started_at_unix = (int64_t)time(NULL);
    daemon_compose_api(d, &api);
    d->api = etcd_api_open(&api);
    if (!daemon_ha_prepare(d, why, DAEMON_WHY_BYTES)) {
        return ERR_REFUSED;
    }
    if (!d->config->is_agent) {
        daemon_compose_node(d, &node);
        node.guest = daemon_health_listener(d);
        node.agents = daemon_ha_agents(d);
        struct node_events events = daemon_node_events(d);
        d->node = node_open(linux_world_table(d->lw), &node, &events);
        etcd_api_attach(d->api, d->node);
    }
    daemon_ha_attach(d);
    TRY(daemon_open_tracing(d, why));
    TRY(open_server(d, why));
    daemon_signals_open(d);
    daemon_recovery_open(d);
    if (!daemon_health_open(d, why, DAEMON_WHY_BYTES)) {
        return ERR_REFUSED;
    }
    CHECK(uv_timer_init(linux_world_loop(d->lw), &d->stop_timer) == 0);
    d->stop_timer.data = d;
    return OK;
}

/* --- stopping -------------------------------------------------------------------------------- */

static void stop_on_closed(void *arg)
{
    struct daemon *d = arg;
    d->server_is_closed = true;
    d->server = NULL;
}

/* Does somebody else lead, or nobody who could? */
static bool stop_is_led_away(const struct daemon *d)
{
    if (d->node == NULL) {
        return true;
    }
    struct raft_status status =
        node_is_ready(d->node) ? node_status(d->node) : (struct raft_status){0};
    return !node_is_ready(d->node) || status.role != RAFT_LEADER ||
           raft_membership_count(status.membership, RAFT_VOTER) < 2;
}

static void stop_look(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    nanos now = daemon_now(d);
    if (d->alone_since == 0) {
        bool is_late = now - d->stopping_since >= STOP_HAND_OVER;
        if (!stop_is_led_away(d) && !is_late) {
            return;
        }
        d->alone_since = now;
        LOG_SAY(&d->log, is_late ? DAEMON_WARN : DAEMON_INFO,
                is_late ? "nobody took over the lead" : "leads nobody",
                log_u64("calls", rpc_server_call_count(d->server)));
        rpc_server_drain(d->server);
    }
    if (d->server != NULL && !d->server_is_closed &&
        (rpc_server_call_count(d->server) == 0 || now - d->alone_since >= STOP_GRACE)) {
        struct rpc_server *server = d->server;
        d->server = NULL;
        rpc_server_close(server, stop_on_closed, d);
    }
    if (d->server_is_closed && d->jobs == 0) {
        linux_world_stop(d->lw);
    }
}

void daemon_stop(struct daemon *d)
{
    if (d->life == DAEMON_STOPPING) {
        LOG_SAY(&d->log, DAEMON_WARN, "stops at once", log_text("why", "told so twice"));
        linux_world_stop(d->lw);
        return;
    }
    daemon_tell_systemd("STOPPING=1");
    if (d->node != NULL && node_is_ready(d->node)) {
        node_stop(d->node);
    }
    if (d->health.host != NULL) {
        health_agent_leave(daemon_health_agent(d));
    }
    d->life = DAEMON_STOPPING;
    d->stopping_since = daemon_now(d);
    CHECK(uv_timer_start(&d->stop_timer, stop_look, 0, STOP_LOOK_MS) == 0);
}

/* Whatever is open ends, in the order of etcd_api.h. Where the loop was left early, calls are cut
 * off here. */
static void daemon_close(struct daemon *d)
{
    if (d->server != NULL) {
        struct rpc_server *server = d->server;
        d->server = NULL;
        rpc_server_close(server, stop_on_closed, d);
    }
    while (d->jobs > 0) {
        (void)linux_world_poll(d->lw, 10 * NANOS_PER_MS);
    }
    if (d->api != NULL && d->node != NULL) {
        etcd_api_stop(d->api);
    }
    daemon_health_stop(d);
    daemon_ha_close(d);
    if (d->lw != NULL) {
        linux_world_close(d->lw);
    }
    daemon_health_free(d);
    if (d->node != NULL) {
        node_close(d->node);
    }
    if (d->api != NULL) {
        etcd_api_close(d->api);
    }
    if (d->otlp != NULL) {
        otlp_close(d->otlp, STOP_TRACES);
    }
    if (d->peer_tls != NULL) {
        linux_tls_close(d->peer_tls);
    }
    rpc_tls_close(d->client_tls);
    if (d->backup.len > 0) {
        etcd_backup_unmap(d->backup);
    }
    daemon_disk_close(&d->disk);
}

/* --- running --------------------------------------------------------------------------------- */

static void daemon_prepare_process(void)
{
    struct rlimit files;
    (void)signal(SIGPIPE, SIG_IGN); /* a log that nobody reads any more is no reason to die */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max; /* a connection each */
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

enum daemon_exit daemon_run(struct daemon_config *config, const char *restore)
{
    struct daemon *d = mem_alloc_zero(sizeof *d);
    char why[DAEMON_WHY_BYTES] = "";
    d->config = config;
    d->disk.lock = -1;
    daemon_prepare_process();
    daemon_log_open(&d->log, &config->settings->log, STDERR_FILENO);
    enum err e = daemon_open(d, restore, why);
    if (e != OK) {
        LOG_SAY(&d->log, DAEMON_ERROR, "cannot start", log_text("error", err_name(e)),
                log_text("why", why));
        d->exit = DAEMON_EXIT_FAILED;
        _exit((int)d->exit); /* half of it is open, and nothing of it was promised to anybody */
    }
    LOG_SAY(&d->log, DAEMON_INFO, "started", log_text("name", config->settings->name),
            log_hex("member", config->id), log_hex("cluster", config->cluster),
            log_text("clients", config->settings->client.listen),
            log_text("peers", config->settings->peer.listen),
            log_text("data_dir", config->settings->data_dir),
            log_text("known", d->config->is_agent ? "never votes"
                              : d->disk.is_member ? "was a member"
                                                  : "was never a member"));
    if (d->config->is_agent) {
        daemon_agent_ready(d);
    }
    linux_world_run(d->lw);
    enum daemon_exit status = d->exit;
    if (status == DAEMON_EXIT_HALTED) {
        _exit((int)status); /* nothing that it holds is worth saving */
    }
    daemon_signals_close(d);
    daemon_recovery_close(d);
    uv_close((uv_handle_t *)&d->stop_timer, NULL);
    daemon_close(d);
    LOG_SAY(&d->log, DAEMON_INFO, "ended", log_u64("status", (uint64_t)status));
    daemon_log_close(&d->log);
    mem_free(d);
    return status;
}
