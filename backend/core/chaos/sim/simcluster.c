#include "core/chaos/sim/simcluster.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/sim/simmachines.h"
#include "core/chaos/simguard.h"
#include "core/chaos/simpower.h"
#include "core/store/store_limits.h"

/* Of datagrams, by which hosts watch each other. */
#define SIM_HEALTH_PORT SIM_PORT

/* Of the storage's probe, on the node's disk. */
#define SIM_PROBE_PATH "health-probe"

/* --- what nodes tell -------------------------------------------------------------------------- */

static void member_halted(void *ctx, enum err error, const char *why)
{
    struct simmember *m = ctx;
    m->is_halted = true;
    m->halt_error = error;
    m->halt_why = why;
    m->cluster->events.halted(m->cluster->ctx, m);
}

static void member_ready(void *ctx, enum recovery_verdict verdict, const char *why)
{
    struct simmember *m = ctx;
    (void)why;
    m->verdict = verdict;
    m->is_ready = true;
    m->was_ready = true;
    m->ready_at = simworld_now(m->cluster->world);
    if (m->ha_store != NULL) {
        node_ha_ready(m->ha_store);
        node_sessions_leader_changed(m->sessions);
    }
    m->cluster->events.ready(m->cluster->ctx, m);
}

static void member_alarm(void *ctx, enum raft_alarm alarm)
{
    struct simmember *m = ctx;
    m->alarms |= alarm;
    m->cluster->events.alarmed(m->cluster->ctx, m, alarm);
}

static void member_led(void *ctx, enum raft_role role, node_id leader, raft_term term)
{
    struct simmember *m = ctx;
    if (m->health != NULL) {
        health_agent_lead(health_host_agent(m->health), leader);
    }
    if (m->ha_store != NULL) {
        node_ha_leader_changed(m->ha_store);
        node_sessions_leader_changed(m->sessions);
    }
    m->cluster->events.led(m->cluster->ctx, m, role, term);
}

static void member_advanced(void *ctx)
{
    struct simmember *m = ctx;
    if (m->ha_store != NULL) {
        node_ha_advanced(m->ha_store);
        node_sessions_advanced(m->sessions);
    }
}

static void member_noted(void *ctx, node_id from, struct bytes note)
{
    struct simmember *m = ctx;
    if (m->ha_store != NULL && !node_sessions_note(m->sessions, from, note)) {
        (void)node_ha_note(m->ha_store, from, note);
    }
}

static void member_diverged(void *ctx, node_id who)
{
    struct simmember *m = ctx;
    m->cluster->events.diverged(m->cluster->ctx, m, who);
}

static void member_stepping(void *ctx, const struct raft_event *e)
{
    struct simmember *m = ctx;
    m->cluster->events.stepping(m->cluster->ctx, m, e);
}

static void member_sent(void *ctx, const struct raft_message *message)
{
    struct simmember *m = ctx;
    m->cluster->events.sent(m->cluster->ctx, m, message);
}

static void member_applied(void *ctx, const struct raft_entry *entry)
{
    struct simmember *m = ctx;
    m->cluster->events.applied(m->cluster->ctx, m, entry);
}

/* --- hosts that run machines ------------------------------------------------------------------ */

const char *simcluster_machine_name(uint32_t machine)
{
    static const char *const names[SIM_MACHINES_MAX] = {"vm-a", "vm-b", "vm-c", "vm-d",
                                                        "vm-e", "vm-f", "vm-g", "vm-h"};
    CHECK(machine < SIM_MACHINES_MAX);
    return names[machine];
}

const char *simcluster_volume_name(uint32_t machine)
{
    static const char *const names[SIM_MACHINES_MAX] = {"disk-a", "disk-b", "disk-c", "disk-d",
                                                        "disk-e", "disk-f", "disk-g", "disk-h"};
    CHECK(machine < SIM_MACHINES_MAX);
    return names[machine];
}

static void member_is_gone(struct simmember *m)
{
    m->cluster->events.closing(m->cluster->ctx, m);
    if (m->health != NULL) {
        simtenant_stop(m->tenant);
        health_host_stop(m->health);
    }
}

static void member_is_freed(struct simmember *m)
{
    if (m->health != NULL) {
        simtenant_gone(m->tenant);
        health_host_free(m->health);
        m->health = NULL;
    }
    simmachines_close(m);
    if (m->node != NULL) {
        node_close(m->node);
        m->node = NULL;
    }
    m->state = MEMBER_DOWN;
    m->is_ready = false;
}

static void member_goes_off(void *ctx, struct simhost *host)
{
    struct simmember *m = ctx;
    (void)host;
    if (m->state == MEMBER_UP) {
        member_is_gone(m);
    }
}

static void member_went_off(void *ctx, struct simhost *host)
{
    struct simmember *m = ctx;
    (void)host;
    if (m->state == MEMBER_UP) {
        member_is_freed(m);
    }
}

static void member_came_on(void *ctx, struct simhost *host)
{
    struct simmember *m = ctx;
    (void)host;
    if (m->state == MEMBER_DOWN && !m->stays_down) {
        simmember_start(m);
    }
}

static void member_runs_machines(struct simmember *m)
{
    const struct simpower_owner owner = {member_goes_off, member_went_off, member_came_on, m};

    memcpy(m->outlet, m->name, strlen(m->name));
    memcpy(m->outlet + strlen(m->name), "-outlet", 7);
    simpower_set_owner(m->host, &owner);
    simdevice_new(m->host, m->outlet);
    simguard_install(m->host, WORLD_WATCHDOG_READY, SIM_WATCHDOG_TIMEOUT);
}

bool simmember_switch_on(struct simmember *m)
{
    if (m->cluster->n_machines > 0 && simhost_power(m->host) == SIMHOST_OFF) {
        simhost_switch_on(m->host);
    }
    return simhost_power(m->host) != SIMHOST_UNPLUGGED;
}

void simcluster_cut_volumes(struct simcluster *c, struct simmember *m, bool is_cut)
{
    for (uint32_t i = 0; i < c->n_machines; i++) {
        simvolume_cut(c->volume[i], m->host, is_cut);
    }
}

bool simcluster_has_volume(const struct simcluster *c, const struct simmember *m)
{
    bool has = false;

    for (uint32_t i = 0; i < c->n_machines; i++) {
        has = has || !simvolume_is_cut(c->volume[i], m->host);
    }
    return has;
}

/* --- life ------------------------------------------------------------------------------------- */

void simcluster_init(struct simcluster *c, struct simworld *world, const struct sim_settings *s)
{
    memset(c, 0, sizeof *c);
    c->world = world;
    c->settings = s;
    c->n = s->founders + s->spares + s->agents;
    for (uint32_t i = 0; i < c->n; i++) {
        struct simmember *m = &c->member[i];
        *m = (struct simmember){.cluster = c, .i = i, .id = i + 1};
        memcpy(m->name, "host-a", 7);
        m->name[5] = (char)('a' + i);
        m->is_agent = i >= s->founders + s->spares;
        m->id = m->is_agent ? ha_session_id(SIM_CLUSTER, m->name) : m->id;
        m->host = simhost_new(world, m->name, s->disk_bytes);
        m->tenant = simtenant_new(m->host);
        m->is_old_release = i < s->founders && s->feature_level < STORE_FEATURE_LEVEL_MAX;
        if (s->machines > 0) {
            member_runs_machines(m);
            simvm_set_agent_boot(m->host, s->agent_boot);
        }
    }
    c->n_machines = s->machines;
    for (uint32_t i = 0; i < c->n_machines; i++) {
        c->volume[i] = simvolume_new(world, simcluster_volume_name(i));
    }
    for (uint32_t i = 0; i < s->founders; i++) {
        bool is_witness = s->has_witness && i + 1 == s->founders;
        uint8_t roles = RAFT_VOTER;
        if (s->has_witness) {
            roles |= is_witness ? RAFT_WITNESS : RAFT_IN_SYNC;
        }
        raft_membership_insert(&c->founders, i + 1, roles)->priority = s->priority[i];
    }
}

void simcluster_deinit(struct simcluster *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        struct simmember *m = &c->member[i];
        if (m->state == MEMBER_UP) {
            simmember_kill(m, false, 0);
        }
        simtenant_free(m->tenant);
        if (m->kept_disk != NULL) {
            simdisk_free(m->kept_disk);
        }
    }
}

static struct node_config member_config(struct simmember *m)
{
    const struct simcluster *c = m->cluster;
    const struct sim_settings *s = c->settings;
    struct node_config config = node_config_default(m->id);

    config.dir = "node";
    config.cluster = SIM_CLUSTER;
    config.raft = s->raft;
    config.raft.id = m->id;
    config.founders = m->i < s->founders ? &c->founders : NULL;
    config.is_member = m->was_ready;
    config.feature_level = m->is_old_release ? s->feature_level : config.feature_level;
    config.port = SIM_PORT;
    config.guest = s->watches_hosts ? &m->guest : NULL;
    config.agents = m->sessions != NULL ? node_sessions_listener(m->sessions) : NULL;
    config.segment_bytes = s->segment_bytes;
    config.batch_bytes = s->batch_bytes;
    config.reserve_bytes = s->reserve_bytes;
    config.snapshot_entries = s->snapshot_entries;
    config.tail_entries = s->tail_entries;
    config.history_hot_bytes = s->history_hot_bytes;
    config.history_segment_bytes = s->history_segment_bytes;
    config.scrub_bytes_per_s = s->scrub_bytes_per_s;
    config.scrub_pause = s->scrub_pause;
    config.request_timeout = s->request_timeout;
    config.peer_count = s->founders + s->spares;
    for (uint32_t k = 0; k < config.peer_count; k++) {
        config.peers[k].id = c->member[k].id;
        memcpy(config.peers[k].at.host, c->member[k].name, sizeof c->member[k].name);
        config.peers[k].at.port = SIM_PORT;
    }
    return config;
}

static void member_cut(void *ctx, const struct cut_change *change, uint64_t view)
{
    struct simmember *m = ctx;
    (void)view;
    if (m->ha != NULL && (change->kind == CUT_LOST || change->kind == CUT_BACK)) {
        ha_member_cut(m->ha, change->id, change->kind == CUT_LOST);
    } else if (m->ha != NULL) {
        ha_member_degraded(m->ha, change->id, change->kind == CUT_GRAY);
    }
    if (m->cluster->events.cut != NULL) {
        m->cluster->events.cut(m->cluster->ctx, m, change);
    }
}

static void member_leader_died(void *ctx, node_id leader)
{
    struct simmember *m = ctx;

    if (m->node != NULL) {
        node_peer_died(m->node, leader);
    }
}

static bool member_hears(void *ctx, node_id id, nanos span)
{
    const struct simmember *m = ctx;
    nanos heard = m->node != NULL ? node_link_heard(m->node, id) : 0;
    return heard != 0 && heard + span > world_now(simhost_world(m->host));
}

static struct world_stream_sink *member_guest(struct world_listener *listener,
                                              struct world_stream *stream,
                                              const struct world_endpoint *from)
{
    const struct simmember *m = listener->owner;
    return m->health != NULL ? health_agent_accept(health_host_agent(m->health), stream, from)
                             : NULL;
}

/* Beside the node, on the same host: whatever befalls the host befalls both. */
static void member_start_health(struct simmember *m)
{
    const struct simcluster *c = m->cluster;
    struct health_host_events events = {
        .ctx = m, .cut = member_cut, .leader_died = member_leader_died, .hears = member_hears};
    struct health_host_config whole = {.name = m->name, .storage_path = SIM_PROBE_PATH};
    struct health_agent_config *config = &whole.agent;

    health_agent_config_default(config);
    config->swim.self = m->id;
    config->swim.instance = m->life;
    memcpy(config->swim.at.host, m->name, sizeof m->name);
    config->swim.at.port = SIM_HEALTH_PORT;
    config->cipher = (struct seal_cipher){NULL, &seal_stand_in};
    config->ring = (struct seal_ring){.keys = {{SIM_CLUSTER}}, .n = 1};
    config->port = SIM_HEALTH_PORT;
    config->shares_port = !m->is_agent; /* who has no node listens itself */
    m->guest = (struct world_listener){.accepted = member_guest, .owner = m};
    for (uint32_t k = 0; k < c->n; k++) {
        if (k != m->i) {
            memcpy(config->seeds[config->n_seeds].host, c->member[k].name, sizeof m->name);
            config->seeds[config->n_seeds++].port = SIM_HEALTH_PORT;
        }
    }
    CHECK(health_host_open(simhost_world(m->host), &whole, &events, &m->health) == OK);
    simtenant_open(m->tenant, m->health);
}

void simmember_start(struct simmember *m)
{
    static const struct node_events told = {
        .ready = member_ready,
        .halted = member_halted,
        .leader_changed = member_led,
        .alarm = member_alarm,
        .diverged = member_diverged,
        .advanced = member_advanced,
        .note = member_noted,
        .sent = member_sent,
        .applied = member_applied,
    };
    CHECK(m->state != MEMBER_UP);
    struct node_events events = told;
    events.ctx = m;
    events.stepping = m->cluster->events.stepping != NULL ? member_stepping : NULL;
    m->state = MEMBER_UP;
    m->life++;
    m->is_ready = false;
    m->is_halted = false;
    if (m->cluster->settings->watches_hosts) {
        member_start_health(m);
    }
    simmachines_open(m);
    if (!m->is_agent) {
        struct node_config config = member_config(m);
        m->node = node_open(simhost_world(m->host), &config, &events);
    }
    simmachines_attach(m);
    m->cluster->events.opened(m->cluster->ctx, m);
}

void simcluster_start_agents(struct simcluster *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->member[i].is_agent) {
            simmember_start(&c->member[i]);
        }
    }
}

void simmember_kill(struct simmember *m, bool power, uint64_t num)
{
    CHECK(m->state == MEMBER_UP && (m->node != NULL || m->is_agent));
    member_is_gone(m);
    if (power) {
        simhost_cut_power(m->host, num, 4);
    } else {
        simhost_kill(m->host);
    }
    member_is_freed(m);
}

struct simmember *simcluster_find(struct simcluster *c, node_id id)
{
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->member[i].id == id) {
            return &c->member[i];
        }
    }
    return NULL;
}

bool simmember_serves(const struct simmember *m)
{
    return m->state == MEMBER_UP && m->is_ready && !m->is_halted;
}

struct simmember *simcluster_leader(struct simcluster *c)
{
    struct simmember *leader = NULL;
    raft_term newest = 0;

    for (uint32_t i = 0; i < c->n; i++) {
        struct simmember *m = &c->member[i];
        if (simmember_serves(m)) {
            struct raft_status status = node_status(m->node);
            if (status.role == RAFT_LEADER && status.term > newest) {
                newest = status.term;
                leader = m;
            }
        }
    }
    return leader;
}

bool simcluster_is_deposed(const struct simcluster *c, const struct simmember *leader)
{
    for (uint32_t i = 0; i < c->n; i++) {
        const struct simmember *m = &c->member[i];
        if (simmember_serves(m) && node_status(m->node).term > node_status(leader->node).term) {
            return true;
        }
    }
    return false;
}

struct simmember *simcluster_pick(struct simcluster *c, uint32_t pick,
                                  bool (*is_wanted)(const struct simmember *))
{
    for (uint32_t k = 0; k < c->n; k++) {
        struct simmember *m = &c->member[(pick + k) % c->n];
        if (is_wanted(m)) {
            return m;
        }
    }
    return NULL;
}
