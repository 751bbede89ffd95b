#include "novacrond/daemon_health.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <novacronpb.pb-c.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/le.h"
#include "core/base/mem.h"
#include "novacrond/daemon.h"
#include "novacrond/daemon_metrics.h"

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

static const char *health_name_of(const struct swim_member *m, char text[SWIM_META_MAX_BYTES + 1])
{
    (void)snprintf(text, SWIM_META_MAX_BYTES + 1, "%.*s", (int)m->meta_len,
                   m->meta != NULL ? (const char *)m->meta : "");
    return text;
}

static void health_on_change(void *ctx, const struct swim_change *change)
{
    struct daemon *d = ctx;
    const struct swim_member *m = swim_find(health_agent_swim(d->health.agent), change->id);
    bool is_bad = change->kind == SWIM_DIED || change->kind == SWIM_DISPLACED;
    char name[SWIM_META_MAX_BYTES + 1] = "";

    d->health.changes[change->kind]++;
    if (change->kind == SWIM_SUSPECTED || change->kind == SWIM_REFUTED) {
        return;
    }
    if (change->kind == SWIM_BY_STREAM) {
        LOG_SAY(&d->log, DAEMON_WARN, "UDP is blocked, the host is reached by TCP alone",
                log_hex("member", change->id),
                log_text("name", m != NULL ? health_name_of(m, name) : ""),
                log_text("at", m != NULL ? m->at.host : ""),
                log_u64("udp_port", m != NULL ? m->at.port : 0));
        return;
    }
    LOG_SAY(&d->log, is_bad ? DAEMON_WARN : DAEMON_INFO, "host",
            log_text("is", swim_change_name(change->kind)), log_hex("member", change->id),
            log_text("name", m != NULL ? health_name_of(m, name) : ""));
}

static void health_on_cut(void *ctx, const struct cut_change *change, uint64_t view)
{
    static const char *const texts[] = {"lost", "back", "gray", "not gray any more"};
    struct daemon *d = ctx;

    d->health.lost += change->kind == CUT_LOST ? 1 : 0;
    LOG_SAY(&d->log, change->kind == CUT_BACK ? DAEMON_INFO : DAEMON_WARN, "observers agree",
            log_text("host_is", texts[change->kind]), log_hex("member", change->id),
            log_u64("reports", change->reports), log_u64("observers", change->observers),
            log_u64("view", view));
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
    c->shares_port = true;
    for (uint32_t i = 0; i < config->peer_count && c->n_seeds < HEALTH_SEEDS_MAX; i++) {
        if (config->peers[i].id != config->id) {
            c->seeds[c->n_seeds++] = config->peers[i].at;
        }
    }
    c->meta = (struct bytes){(const uint8_t *)config->settings->name,
                             u64_min(strlen(config->settings->name), SWIM_META_MAX_BYTES)};
}

static struct world_stream_sink *health_on_stream(struct world_listener *listener,
                                                  struct world_stream *stream,
                                                  const struct world_endpoint *from)
{
    const struct daemon *d = listener->owner;

    return d->health.agent != NULL ? health_agent_accept(d->health.agent, stream, from) : NULL;
}

struct world_listener *daemon_health_listener(struct daemon *d)
{
    d->health.listener = (struct world_listener){.accepted = health_on_stream, .owner = d};
    return &d->health.listener;
}

bool daemon_health_open(struct daemon *d, char *why, size_t n)
{
    const struct daemon_settings *s = d->config->settings;
    struct health_agent_events events = {.ctx = d, .changed = health_on_change, .cut = health_on_cut};
    struct health_agent_config config;
    struct seal_ring ring;
    enum err e = OK;

    if (s->health.off || (s->health.keys == NULL && d->peer_tls != NULL)) {
        LOG_SAY(&d->log, DAEMON_INFO, "does not watch other hosts",
                log_text("why", s->health.off ? "health.off" : "no health.keys"));
        return true;
    }
    if (!health_keys(d, &ring, why, n)) {
        return false;
    }
    d->health.seal = linux_seal_open();
    health_compose(d, &ring, &config);
    e = health_agent_open(linux_world_table(d->lw), &config, &events, &d->health.agent);
    if (e != OK) {
        (void)snprintf(why, n, "cannot receive datagrams at port %u: %s; is another process there?",
                       config.port, err_text(e));
    }
    return e == OK;
}

void daemon_health_close(struct daemon *d)
{
    if (d->health.agent != NULL) {
        health_agent_close(d->health.agent);
        d->health.agent = NULL;
    }
    if (d->health.seal != NULL) {
        linux_seal_close(d->health.seal);
    }
}

bool daemon_health_reload(struct daemon *d)
{
    char why[DAEMON_WHY_BYTES];
    struct seal_ring ring;

    if (d->health.agent == NULL || d->config->settings->health.keys == NULL) {
        return true;
    }
    if (!health_keys(d, &ring, why, sizeof why)) {
        LOG_SAY(&d->log, DAEMON_ERROR, "keys stay as they were", log_text("why", why));
        return false;
    }
    health_agent_set_keys(d->health.agent, &ring);
    return true;
}

/* --- Methods -------------------------------------------------------------------------------------
 */

static void health_send_packed(struct rpc_call *call, const ProtobufCMessage *message)
{
    struct buf b;

    buf_init(&b);
    protobuf_c_message_pack(message, buf_extend(&b, protobuf_c_message_get_packed_size(message)));
    (void)rpc_send(call, (struct bytes){NULL, 0}, buf_view(&b));
    buf_deinit(&b);
    rpc_finish(call, RPC_OK, NULL);
}

static const struct health_agent *health_agent_of(struct rpc_call *call)
{
    const struct daemon *d = etcd_api_owner(rpc_ctx(call));

    if (d->health.agent == NULL) {
        rpc_finish(call, RPC_FAILED_PRECONDITION,
                   "this member does not watch other hosts; see health in docs/novacrond.md");
    }
    return d->health.agent;
}

/* One member in protobuf's words, and the texts that it points to. */
struct health_told {
    Novacronpb__HostMember member;
    char name[SWIM_META_MAX_BYTES + 1];
    char address[WORLD_HOST_MAX_BYTES + 8];
};

static char *health_view_of(const struct cut_member *m)
{
    static char in[] = "in";
    static char out[] = "out";
    static char gray[] = "gray";
    static char none[] = "";

    if (m == NULL) {
        return none;
    }
    return m->is_gray ? gray : m->is_in ? in : out;
}

static void health_tell(const struct health_agent *agent, const struct swim_member *m,
                        struct health_told *t)
{
    const struct swim *s = health_agent_swim(agent);
    const struct cut *cut = health_agent_cut(agent);
    const struct cut_member *counted = cut != NULL ? cut_find(cut, m->id) : NULL;

    novacronpb__host_member__init(&t->member);
    (void)health_name_of(m, t->name);
    (void)snprintf(t->address, sizeof t->address, "%s:%u", m->at.host, m->at.port);
    t->member.id = m->id;
    t->member.name = t->name;
    t->member.address = t->address;
    t->member.state = (char *)(uintptr_t)swim_state_name((enum swim_state)m->state);
    t->member.seconds = (health_agent_now(agent) - m->since) / NANOS_PER_S;
    t->member.instance = swim_instance_of(m->incarnation);
    t->member.refutations = (uint32_t)(m->incarnation & ((1U << SWIM_REFUTATION_BITS) - 1));
    t->member.neighbour = swim_edge_of(s, m->id) != NULL;
    t->member.view = health_view_of(counted);
    t->member.reach = (char *)(uintptr_t)swim_reach_name(swim_reach(s, m->id));
    t->member.reports = counted != NULL ? counted->n_reporters : 0;
}

static void health_on_members(struct rpc_call *call, struct bytes message)
{
    const struct health_agent *agent = health_agent_of(call);
    const struct swim *s = agent != NULL ? health_agent_swim(agent) : NULL;
    const struct cut *cut = agent != NULL ? health_agent_cut(agent) : NULL;
    Novacronpb__MembersResponse response = NOVACRONPB__MEMBERS_RESPONSE__INIT;
    struct health_told *told = NULL;
    Novacronpb__HostMember **members = NULL;

    (void)message;
    if (agent == NULL) {
        return;
    }
    told = mem_alloc_zero(s->n_members * sizeof *told);
    members = mem_alloc_zero(s->n_members * sizeof *members);
    for (uint32_t i = 0; i < s->n_members; i++) {
        health_tell(agent, &s->members[i], &told[i]);
        members[i] = &told[i].member;
    }
    response.self = s->config.self;
    response.leader = s->leader;
    response.view = cut != NULL ? cut->view : 0;
    response.braked = cut != NULL && cut->is_braked;
    response.awareness = s->awareness;
    response.n_members = s->n_members;
    response.members = members;
    health_send_packed(call, &response.base);
    mem_free(members);
    mem_free(told);
}

/* By name, else by id. */
static const struct swim_member *health_look_up(const struct swim *s, const char *host)
{
    char name[SWIM_META_MAX_BYTES + 1];
    char id[24];

    for (uint32_t i = 0; i < s->n_members; i++) {
        (void)snprintf(id, sizeof id, "%llx", (unsigned long long)s->members[i].id);
        if (strcmp(health_name_of(&s->members[i], name), host) == 0 || strcmp(id, host) == 0) {
            return &s->members[i];
        }
    }
    return NULL;
}

#define HEALTH_RUNGS 3

/* Of a host that lives, and is reached by TCP alone: degraded, not lost. */
#define HEALTH_SCORE_BY_TCP 50

struct health_ladder {
    Novacronpb__HostRung rungs[HEALTH_RUNGS];
    Novacronpb__HostRung *list[HEALTH_RUNGS];
    char reasons[HEALTH_RUNGS][96];
    uint32_t score;
};

static void health_rung(struct health_ladder *l, uint32_t i, const char *name, int state)
{
    static char bad[] = "bad";
    static char ok[] = "ok";
    static char unknown[] = "unknown";

    novacronpb__host_rung__init(&l->rungs[i]);
    l->rungs[i].name = (char *)(uintptr_t)name;
    l->rungs[i].state = state < 0 ? unknown : state > 0 ? ok : bad;
    l->rungs[i].reason = l->reasons[i];
    l->list[i] = &l->rungs[i];
}

/* What this host can tell from beats: both directions of the network, and the process behind. */
static void health_climb(const struct swim *s, const struct swim_member *m, struct health_ladder *l)
{
    const struct swim_edge *edge = swim_edge_of(s, m->id);
    bool lives = m->state == SWIM_ALIVE;
    bool knows = edge != NULL && edge->theirs > 0;
    bool is_blocked = swim_reach(s, m->id) == SWIM_REACH_STREAMS;
    uint32_t came = knows ? (uint32_t)__builtin_popcount(edge->history & 0xFFFF) : 0;
    uint32_t went = knows ? edge->received : 0;

    memset(l, 0, sizeof *l);
    (void)snprintf(l->reasons[0], sizeof l->reasons[0],
                   knows ? "%u of its last 16 beats came here" : "not observed from here", came);
    (void)snprintf(l->reasons[1], sizeof l->reasons[1],
                   knows ? "%u of our last 16 beats came there" : "not observed from here", went);
    (void)snprintf(l->reasons[2], sizeof l->reasons[2], "its observers hold it for %s",
                   swim_state_name((enum swim_state)m->state));
    if (is_blocked) {
        (void)snprintf(l->reasons[0], sizeof l->reasons[0],
                       "by TCP alone: UDP is blocked, open port %u", m->at.port);
    }
    health_rung(l, 0, "network from it", knows ? came > 12 : -1);
    health_rung(l, 1, "network to it", knows ? went > 12 : -1);
    health_rung(l, 2, "daemon", lives);
    if (lives && is_blocked) {
        l->score = HEALTH_SCORE_BY_TCP;
        return;
    }
    l->score = !lives ? 0 : knows ? (uint32_t)u64_min(came, went) * 100 / 16 : 100;
}

static void health_on_host(struct rpc_call *call, struct bytes message)
{
    const struct health_agent *agent = health_agent_of(call);
    Novacronpb__HostRequest *request =
        agent != NULL ? novacronpb__host_request__unpack(NULL, message.len, message.data) : NULL;
    Novacronpb__HostResponse response = NOVACRONPB__HOST_RESPONSE__INIT;
    const struct swim_member *m = NULL;
    struct health_ladder ladder;
    struct health_told told;
    float phi[HEALTH_CURVE_POINTS];

    if (agent == NULL) {
        return;
    }
    if (request == NULL) {
        rpc_finish(call, RPC_INVALID_ARGUMENT, "not a HostRequest");
        return;
    }
    m = health_look_up(health_agent_swim(agent), request->host);
    novacronpb__host_request__free_unpacked(request, NULL);
    if (m == NULL) {
        rpc_finish(call, RPC_NOT_FOUND, "no host of this name or id is known");
        return;
    }
    health_tell(agent, m, &told);
    health_climb(health_agent_swim(agent), m, &ladder);
    response.member = &told.member;
    response.n_rungs = HEALTH_RUNGS;
    response.rungs = ladder.list;
    response.score = ladder.score;
    response.n_phi = health_agent_curve(agent, m->id, phi);
    response.phi = phi;
    health_send_packed(call, &response.base);
}

static const struct rpc_method health_members_method = {
    .path = "/novacronpb.Health/Members",
    .shape = RPC_UNARY,
    .json_paths = {"/v3/novacron/health/members"},
    .request = &novacronpb__members_request__descriptor,
    .response = &novacronpb__members_response__descriptor,
    .message = health_on_members,
};

static const struct rpc_method health_host_method = {
    .path = "/novacronpb.Health/Host",
    .shape = RPC_UNARY,
    .json_paths = {"/v3/novacron/health/host"},
    .request = &novacronpb__host_request__descriptor,
    .response = &novacronpb__host_response__descriptor,
    .message = health_on_host,
};

const struct rpc_method *const *daemon_health_methods(struct daemon *d, size_t *ret_count)
{
    size_t n = 0;
    const struct rpc_method *const *etcd = etcd_api_methods(&n);

    CHECK(n + 2 <= DAEMON_METHODS_MAX);
    memcpy(d->health.methods, etcd, n * sizeof(d->health.methods[0]));
    d->health.methods[n++] = &health_members_method;
    d->health.methods[n++] = &health_host_method;
    *ret_count = n;
    return d->health.methods;
}

/* --- Metrics -------------------------------------------------------------------------------------
 */

void daemon_health_metrics(struct buf *b, const struct daemon *d)
{
    static const char *const refused[] = {"format",  "label",    "key", "replay",
                                          "version", "stranger", "full"};
    const struct swim *s = d->health.agent != NULL ? health_agent_swim(d->health.agent) : NULL;
    uint64_t states[SWIM_STATES] = {0};
    uint64_t by_stream = 0;

    if (s == NULL) {
        return;
    }
    for (uint32_t i = 0; i < s->n_members; i++) {
        states[s->members[i].state]++;
        by_stream += swim_reach(s, s->members[i].id) == SWIM_REACH_STREAMS ? 1 : 0;
    }
    metric_head(b, "novacron_hosts", "gauge", "Hosts by their state in gossip.");
    for (int i = 0; i < SWIM_STATES; i++) {
        metric_line(b, "novacron_hosts{state=\"%s\"} %llu\n", swim_state_name((enum swim_state)i),
                    (unsigned long long)states[i]);
    }
    metric_head(b, "novacron_host_changes_total", "counter",
                "Changes of hosts that were heard of.");
    for (int i = 0; i < SWIM_CHANGES; i++) {
        metric_line(b, "novacron_host_changes_total{kind=\"%s\"} %llu\n",
                    swim_change_name((enum swim_change_kind)i),
                    (unsigned long long)d->health.changes[i]);
    }
    metric_head(b, "novacron_health_refused_total", "counter",
                "Datagrams that were dropped unanswered.");
    for (int i = 0; i < (int)COUNT_OF(refused); i++) {
        metric_line(b, "novacron_health_refused_total{why=\"%s\"} %llu\n", refused[i],
                    (unsigned long long)s->counters[SWIM_REFUSED_FORMAT + i]);
    }
    metric_one(b, "novacron_health_sent_bytes_total", "counter", "Bytes of datagrams sent.",
               s->counters[SWIM_SENT_BYTES]);
    metric_one(b, "novacron_health_sent_total", "counter", "Datagrams sent.",
               s->counters[SWIM_SENT_DATAGRAMS]);
    metric_one(b, "novacron_health_stream_bytes_total", "counter",
               "Bytes sent on streams, where datagrams do not get through.",
               s->counters[SWIM_SENT_STREAM_BYTES]);
    metric_one(b, "novacron_hosts_by_stream", "gauge",
               "Neighbours that are reached by streams alone: UDP is blocked.", by_stream);
    metric_one(b, "novacron_health_checks_total", "counter", "Silent neighbours that were asked.",
               s->counters[SWIM_PROBES]);
    metric_one(b, "novacron_health_self_doubt", "gauge",
               "How much this host doubts itself; 0: not at all.", s->awareness);
    metric_one(b, "novacron_hosts_lost_total", "counter",
               "Hosts that this member, as leader, found lost.", d->health.lost);
}
