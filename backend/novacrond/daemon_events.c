/* What the node tells: passed on to the API, counted, and written into the log. */
#include "api/etcd/etcd_backup.h"
#include "core/store/store.h"
#include "novacrond/daemon.h"

/* From the moment on at which this member belongs to the group, an empty disk is a lost one. */
static void events_note_membership(struct daemon *d)
{
    if (d->disk.is_member || !node_is_ready(d->node) ||
        raft_membership_lookup(node_status(d->node).membership, d->config->id) == NULL) {
        return;
    }
    if (daemon_disk_note(&d->disk, d->config) != OK) {
        LOG_SAY(&d->log, DAEMON_ERROR, "cannot note in the data directory that this is a member",
                log_text("dir", d->disk.dir));
    }
}

static void events_waits(void *ctx, node_id founder, const struct world_endpoint *at)
{
    struct daemon *d = ctx;
    const struct daemon_config *c = d->config;
    const char *name = "";
    for (uint32_t i = 0; i < c->peer_count; i++) {
        name = c->peers[i].id == founder ? c->settings->cluster.members[i].name : name;
    }
    LOG_SAY(&d->log, DAEMON_WARN, "waits for another founder before it founds the cluster",
            log_text("name", name), log_text("at", at->host), log_u64("port", at->port));
    daemon_tell_systemd("STATUS=waits for the other founders; the log names them\n"
                        "EXTEND_TIMEOUT_USEC=60000000");
}

static void events_ready(void *ctx, enum recovery_verdict verdict, const char *why)
{
    struct daemon *d = ctx;
    bool is_whole = recovery_may_vote(verdict);
    LOG_SAY(&d->log, is_whole ? DAEMON_INFO : DAEMON_WARN, "recovered",
            log_text("verdict", recovery_verdict_name(verdict)),
            log_text("meaning", recovery_verdict_meaning(verdict)), log_text("why", why),
            log_u64("applied", node_applied(d->node)));
    etcd_api_ready(d->api);
    events_note_membership(d);
    daemon_recovery_ready(d);
    if (d->backup.len > 0) {
        LOG_SAY(&d->log, DAEMON_INFO, "founded with a backup",
                log_u64("revision", (uint64_t)store_revision(node_store(d->node))));
        etcd_backup_unmap(d->backup);
        d->backup = (struct bytes){NULL, 0};
    }
    if (d->life == DAEMON_STARTING) {
        d->life = DAEMON_RUNNING;
        daemon_tell_systemd("READY=1\nSTATUS=takes part");
    }
}

static void events_halted(void *ctx, enum err error, const char *why)
{
    struct daemon *d = ctx;
    LOG_SAY(&d->log, DAEMON_ERROR, "halted", log_text("error", err_name(error)),
            log_text("why", why), log_text("see", "docs/node.md, \"What halts a node\""));
    daemon_tell_systemd("STATUS=halted; the log says why");
    d->exit = DAEMON_EXIT_HALTED;
    linux_world_stop(d->lw);
}

static void events_leader_changed(void *ctx, enum raft_role role, node_id leader, raft_term term)
{
    struct daemon *d = ctx;
    (void)role;
    if (leader != d->leader) {
        d->counts.leader_changes += leader != NODE_NONE ? 1 : 0;
        d->leader = leader;
        LOG_SAY(&d->log, leader != NODE_NONE ? DAEMON_INFO : DAEMON_WARN,
                leader != NODE_NONE ? "leader changed" : "no leader", log_hex("leader", leader),
                log_text("self", leader == d->config->id ? "true" : "false"),
                log_u64("term", term));
    }
    if (d->health.host != NULL) {
        health_agent_lead(daemon_health_agent(d), leader);
    }
    events_note_membership(d);
    etcd_api_leader_changed(d->api);
}

static void events_alarm(void *ctx, enum raft_alarm alarm)
{
    static const struct {
        enum raft_alarm alarm;
        const char *text;
    } texts[] = {
        {RAFT_ALARM_IMPAIRED, "impaired: cannot vouch for its log, neither votes nor leads"},
        {RAFT_ALARM_REPAIRED, "repaired: votes again"},
        {RAFT_ALARM_STALLED, "gave up the lead: the disk or the apply loop stands"},
        {RAFT_ALARM_EXPOSED, "fewer disks hold the newest data"},
        {RAFT_ALARM_PROTOCOL, "a peer broke the protocol"},
        {RAFT_ALARM_QUORUM_FORCED, "a quorum was forced"},
        {RAFT_ALARM_LOST_ACKED, "the leader counts on entries that this disk has lost"},
    };
    struct daemon *d = ctx;
    d->counts.alarms++;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (alarm == texts[i].alarm) {
            LOG_SAY(&d->log, alarm == RAFT_ALARM_REPAIRED ? DAEMON_INFO : DAEMON_WARN, "alarm",
                    log_text("what", texts[i].text));
        }
    }
}

static void events_diverged(void *ctx, node_id member)
{
    struct daemon *d = ctx;
    d->counts.diverged++;
    LOG_SAY(&d->log, DAEMON_ERROR, "states differ", log_hex("member", member),
            log_text("see", "docs/runbooks/diverged.md"));
}

static void events_advanced(void *ctx)
{
    struct daemon *d = ctx;
    if (!d->disk.is_member) {
        events_note_membership(d);
    }
    etcd_api_advanced(d->api);
}

static void events_store_leaves(void *ctx)
{
    struct daemon *d = ctx;
    LOG_SAY(&d->log, DAEMON_INFO, "installed a snapshot",
            log_u64("applied", node_applied(d->node)));
    etcd_api_store_leaves(d->api);
}

static void events_note(void *ctx, node_id from, struct bytes note)
{
    struct daemon *d = ctx;
    etcd_api_note(d->api, from, note);
}

static void events_refused(void *ctx, node_id peer, const struct world_endpoint *at,
                           const char *why)
{
    struct daemon *d = ctx;
    d->counts.peers_refused++;
    LOG_SAY(&d->log, DAEMON_WARN, "refused a stream", log_hex("peer", peer),
            log_text("at", at->host), log_u64("port", at->port), log_text("why", why));
}

/* Its `ctx` is the etcd_api, as that of all that the server calls. */
void daemon_client_refused(void *ctx, const char *client, const char *why)
{
    struct daemon *d = etcd_api_owner(ctx);
    LOG_SAY(&d->log, DAEMON_WARN, "refused a client", log_text("at", client), log_text("why", why));
}

void daemon_peer_refused(void *ctx, const struct world_endpoint *peer, enum err error,
                         const char *why)
{
    struct daemon *d = ctx;
    /* A peer that is not up is no event of its own: the leader's silence is. */
    bool is_news = error == ERR_DENIED || error == ERR_PROTOCOL;
    d->counts.peers_refused += is_news ? 1 : 0;
    LOG_SAY(&d->log, is_news ? DAEMON_WARN : DAEMON_DEBUG,
            is_news ? "refused a peer" : "lost a peer", log_text("at", peer->host),
            log_u64("port", peer->port), log_text("error", err_name(error)), log_text("why", why));
}

struct node_events daemon_node_events(struct daemon *d)
{
    return (struct node_events){
        .ctx = d,
        .waits = events_waits,
        .ready = events_ready,
        .halted = events_halted,
        .leader_changed = events_leader_changed,
        .alarm = events_alarm,
        .diverged = events_diverged,
        .advanced = events_advanced,
        .store_leaves = events_store_leaves,
        .note = events_note,
        .refused = events_refused,
    };
}
