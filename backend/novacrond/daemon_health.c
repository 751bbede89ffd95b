#include "novacrond/daemon_health.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/hash.h"
#include "core/base/le.h"
#include "novacrond/daemon.h"
#include "novacrond/daemon_health_int.h"
#include "novacrond/daemon_probes.h"

/* The file of the storage's probe, in data_dir. */
#define HEALTH_STORAGE_PATH "health-probe"

/* A cluster without a leader for longer than this has trouble. */
#define HEALTH_ELECTION_SPAN (5 * NANOS_PER_S)

/* --- Opening -------------------------------------------------------------------------------------
 */

/* Where peers' streams are plaintext by the operator's will, datagrams are no better: the key is
 * made of what everybody knows. It keeps clusters apart. */
static struct seal_ring health_open_key(const struct daemon_config *config)
{
    struct seal_ring ring = {.n = 1};

    for (size_t i = 0; i < SEAL_KEY_BYTES; i += 8) {
        le64_store(ring.keys[0] + i, hash_u64(config->cluster, i));
    }
    return ring;
}

static bool health_keys(const struct daemon *d, struct seal_ring *ret, char *why, size_t n)
{
    const char *path = d->config->settings->health.keys;
    unsigned line = 0;
    enum err e = OK;

    if (path == NULL) {
        *ret = health_open_key(d->config);
        return true;
    }
    e = linux_seal_read_keys(path, ret, &line);
    if (e == ERR_INVALID) {
        (void)snprintf(why, n,
                       "health.keys: line %u of %.300s is no key, or there is none, or more than "
                       "%d; write 64 hexadecimal digits a line, as `openssl rand -hex 32` does",
                       line, path, SEAL_KEYS_MAX);
    } else if (e != OK) {
        (void)snprintf(why, n, "health.keys: cannot read %.300s: %s", path, err_text(e));
    }
    return e == OK;
}

static void health_note_key(struct daemon *d, const struct seal_ring *ring)
{
    if (d->config->settings->health.keys != NULL) {
        linux_seal_print(ring->keys[0], d->health.key);
    }
}

/* --- What happens --------------------------------------------------------------------------------
 */

const char *daemon_health_name(const struct swim_member *m, char text[HOST_NAME_MAX_BYTES])
{
    struct host_status status;

    host_status_decode((struct bytes){m->meta, m->meta_len}, &status);
    (void)snprintf(text, HOST_NAME_MAX_BYTES, "%s", status.name);
    return text;
}

struct health_agent *daemon_health_agent(const struct daemon *d)
{
    return d->health.host != NULL ? health_host_agent(d->health.host) : NULL;
}

static void health_on_change(void *ctx, const struct swim_change *change)
{
    struct daemon *d = ctx;
    const struct swim_member *m = swim_find(health_agent_swim(daemon_health_agent(d)), change->id);
    bool is_bad = change->kind == SWIM_DIED || change->kind == SWIM_DISPLACED;
    char name[HOST_NAME_MAX_BYTES] = "";

    d->health.changes[change->kind]++;
    /* What a host tells of itself is told where its condition changes. */
    if (change->kind == SWIM_SUSPECTED || change->kind == SWIM_REFUTED ||
        change->kind == SWIM_UPDATED) {
        return;
    }
    if (change->kind == SWIM_BY_STREAM) {
        LOG_SAY(&d->log, DAEMON_WARN, "UDP is blocked, the host is reached by TCP alone",
                log_hex("member", change->id),
                log_text("name", m != NULL ? daemon_health_name(m, name) : ""),
                log_text("at", m != NULL ? m->at.host : ""),
                log_u64("udp_port", m != NULL ? m->at.port : 0));
        return;
    }
    LOG_SAY(&d->log, is_bad ? DAEMON_WARN : DAEMON_INFO, "host",
            log_text("is", swim_change_name(change->kind)), log_hex("member", change->id),
            log_text("name", m != NULL ? daemon_health_name(m, name) : ""));
}

static void health_on_cut(void *ctx, const struct cut_change *change, uint64_t view)
{
    static const char *const texts[] = {"lost", "back", "gray", "not gray any more"};
    struct daemon *d = ctx;
    bool is_alone = change->kind == CUT_LOST && change->observers == 1;

    d->health.lost += change->kind == CUT_LOST ? 1 : 0;
    LOG_SAY(&d->log, change->kind == CUT_BACK ? DAEMON_INFO : DAEMON_WARN,
            is_alone ? "the only observer says" : "observers agree",
            log_text("host_is", texts[change->kind]), log_hex("member", change->id),
            log_u64("reports", change->reports), log_u64("observers", change->observers),
            log_u64("view", view));
    daemon_ha_cut(d, change);
}

/* Every host says so of itself, and the leader of all. */
static void health_on_condition(void *ctx, const struct health_host_news *news)
{
    struct daemon *d = ctx;
    const struct health_ladder *l = news->ladder;
    char reason[HEALTH_REASON_BYTES] = "";
    bool is_bad = news->is == HOST_DEGRADED || news->is == HOST_FAILING;

    d->health.conditions[news->is]++;
    if (news->id != d->config->id && d->leader != d->config->id) {
        return;
    }
    if (l->score.reason_count > 0) {
        health_rung_text(daemon_health_agent(d), l, l->score.reasons[0].rung, reason);
    }
    LOG_SAY(&d->log, is_bad ? DAEMON_WARN : DAEMON_INFO, "host's condition",
            log_text("is", host_condition_name(news->is)),
            log_text("was", host_condition_name(news->was)), log_hex("member", news->id),
            log_text("name", l->name), log_u64("score", l->score.points),
            log_text("rung", is_bad ? rung_name(l->score.reasons[0].rung) : ""),
            log_text("reason", reason));
}

/* How this host's process is: whether its member takes part. An election is no trouble yet. */
static void health_on_judging(void *ctx)
{
    struct daemon *d = ctx;
    nanos now = daemon_now(d);
    bool is_there = d->node == NULL || node_is_ready(d->node); /* an agent has none */
    bool takes_part = is_there && d->leader != NODE_NONE;

    if (takes_part || d->health.took_part_at == 0) {
        d->health.took_part_at = now;
    }
    bool is_well = takes_part || now - d->health.took_part_at < HEALTH_ELECTION_SPAN;

    health_host_set_rung(d->health.host, RUNG_PROCESS, is_well ? RUNG_WELL : RUNG_DEGRADED,
                         is_well ? 0 : 1, 1);
}

static void health_on_leader_died(void *ctx, node_id leader)
{
    const struct daemon *d = ctx;

    if (d->node != NULL) {
        node_peer_died(d->node, leader);
    }
}

/* The log's streams are ears of their own. */
static bool health_on_hears(void *ctx, node_id id, nanos span)
{
    const struct daemon *d = ctx;
    nanos heard = d->node != NULL ? node_link_heard(d->node, id) : 0;

    return heard != 0 && heard + span > daemon_now(d);
}

static void health_compose(const struct daemon *d, const struct seal_ring *ring,
                           struct health_agent_config *c)
{
    const struct daemon_config *config = d->config;
    const char *site = config->settings->health.site;
    struct timespec now;
    char label[24];

    (void)clock_gettime(CLOCK_REALTIME, &now);
    health_agent_config_default(c);
    c->swim.self = config->id;
    c->swim.instance = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    c->swim.at = config->peer_advertise;
    (void)snprintf(label, sizeof label, "%016llx", (unsigned long long)config->cluster);
    c->swim.label.len = (uint8_t)strlen(label);
    memcpy(c->swim.label.bytes, label, c->swim.label.len);
    if (site != NULL) {
        memcpy(c->swim.site, site, u64_min(strlen(site), sizeof c->swim.site));
    }
    c->cipher = (struct seal_cipher){d->health.seal, &linux_seal_ops};
    c->ring = *ring;
    c->port = config->peer_listen.port;
    c->shares_port = !config->is_agent; /* who has no node listens itself */
    for (uint32_t i = 0; i < config->peer_count && c->n_seeds < HEALTH_SEEDS_MAX; i++) {
        if (config->peers[i].id != config->id) {
            c->seeds[c->n_seeds++] = config->peers[i].at;
        }
    }
}

static struct world_stream_sink *health_on_stream(struct world_listener *listener,
                                                  struct world_stream *stream,
                                                  const struct world_endpoint *from)
{
    const struct daemon *d = listener->owner;

    struct health_agent *agent = daemon_health_agent(d);

    return agent != NULL ? health_agent_accept(agent, stream, from) : NULL;
}

struct world_listener *daemon_health_listener(struct daemon *d)
{
    d->health.listener = (struct world_listener){.accepted = health_on_stream, .owner = d};
    return &d->health.listener;
}

bool daemon_health_open(struct daemon *d, char *why, size_t n)
{
    const struct daemon_settings *s = d->config->settings;
    struct health_host_events events = {.ctx = d,
                                        .changed = health_on_change,
                                        .cut = health_on_cut,
                                        .condition = health_on_condition,
                                        .judging = health_on_judging,
                                        .leader_died = health_on_leader_died,
                                        .hears = health_on_hears};
    struct health_host_config config = {.name = s->name, .storage_path = HEALTH_STORAGE_PATH};
    struct seal_ring ring;
    enum err e = OK;

    if (s->health.off || (s->health.keys == NULL && d->peer_tls != NULL)) {
        LOG_SAY(&d->log, DAEMON_INFO, "does not watch other hosts",
                log_text("why", s->health.off ? "health.off" : "no health.keys"));
        daemon_probes_open(d);
        return true;
    }
    if (!health_keys(d, &ring, why, n)) {
        return false;
    }
    d->health.seal = linux_seal_open();
    health_note_key(d, &ring);
    health_compose(d, &ring, &config.agent);
    e = health_host_open(linux_world_table(d->lw), &config, &events, &d->health.host);
    if (e != OK) {
        (void)snprintf(why, n, "cannot receive datagrams at port %u: %s; is another process there?",
                       config.agent.port, err_text(e));
        return false;
    }
    daemon_probes_open(d);
    return true;
}

void daemon_health_stop(struct daemon *d)
{
    daemon_probes_stop(d);
    if (d->health.host != NULL) {
        health_host_stop(d->health.host);
    }
}

void daemon_health_free(struct daemon *d)
{
    daemon_probes_free(d);
    if (d->health.host != NULL) {
        health_host_free(d->health.host);
        d->health.host = NULL;
    }
    if (d->health.seal != NULL) {
        linux_seal_close(d->health.seal);
    }
}

bool daemon_health_reload(struct daemon *d)
{
    char why[DAEMON_WHY_BYTES];
    struct seal_ring ring;

    if (d->health.host == NULL || d->config->settings->health.keys == NULL) {
        return true;
    }
    if (!health_keys(d, &ring, why, sizeof why)) {
        LOG_SAY(&d->log, DAEMON_ERROR, "keys stay as they were", log_text("why", why));
        return false;
    }
    health_agent_set_keys(daemon_health_agent(d), &ring);
    health_note_key(d, &ring);
    return true;
}
