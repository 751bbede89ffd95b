#include "tests/support/ha_cluster.h"

#include <string.h>

#include "core/base/check.h"
#include "tests/support/test.h"

#define BOX_PORT    2380
#define BOX_CLUSTER 77
#define BOX_DISK    (64ULL * 1024 * 1024)
#define SLICE       (20 * NANOS_PER_MS)

/* --- one member ---------------------------------------------------------------------------------
 */

static void box_on_ready(void *ctx, enum recovery_verdict verdict, const char *why)
{
    struct ha_box *b = ctx;
    (void)verdict;
    (void)why;
    node_ha_ready(b->store);
    node_sessions_leader_changed(b->sessions);
}

static void box_on_leader(void *ctx, enum raft_role role, node_id leader, raft_term term)
{
    struct ha_box *b = ctx;
    (void)role;
    (void)leader;
    (void)term;
    node_ha_leader_changed(b->store);
    node_sessions_leader_changed(b->sessions);
}

static void box_on_advanced(void *ctx)
{
    struct ha_box *b = ctx;
    node_ha_advanced(b->store);
    node_sessions_advanced(b->sessions);
}

static void box_on_note(void *ctx, node_id from, struct bytes note)
{
    struct ha_box *b = ctx;
    assert_true(node_sessions_note(b->sessions, from, note) || node_ha_note(b->store, from, note));
}

static void box_on_said(void *ctx, enum ha_saying who, const char *what, const char *subject,
                        const char *detail)
{
    struct ha_box *b = ctx;
    if (b->cluster->is_loud) {
        print_message("# %6llu ms %s %s: %s %s: %s\n",
                      (unsigned long long)(simworld_now(b->cluster->sim) / NANOS_PER_MS), b->name,
                      who == HA_SAYS_AGENT     ? "agent"
                      : who == HA_SAYS_MANAGER ? "manager"
                                               : "record",
                      what, subject, detail);
    }
}

static void box_on_session(void *ctx, const char *what, const char *voter, const char *why)
{
    struct ha_box *b = ctx;
    if (b->cluster->is_loud) {
        print_message("# %6llu ms %s session: %s by %s: %s\n",
                      (unsigned long long)(simworld_now(b->cluster->sim) / NANOS_PER_MS), b->name,
                      what, voter, why);
    }
}

static void box_on_incident(void *ctx, const struct ha_incident *incident)
{
    struct ha_box *b = ctx;

    b->cluster->incident_told[b->cluster->incidents_told++ % HA_TOLD_MAX] = *incident;
}

/* What works beside a node, or beside a session. */
static void box_start_member(struct ha_box *b, const struct ha_store *store)
{
    struct ha_member_config ha = {.seed = 0};
    const struct ha_member_events told = {
        .ctx = b, .said = box_on_said, .incident = box_on_incident};

    ha_text_set(ha.agent.host, sizeof(ha.agent.host), b->name);
    ha_text_set(ha.agent.move_address, sizeof(ha.agent.move_address), b->name);
    ha.agent.memory_mib = 16384;
    ha.agent.cpus = 16;
    ha.agent.storages.n = 1;
    ha_text_set(ha.agent.storages.name[0], HA_NAME_BYTES, "nfs");
    b->member = ha_member_open(simhost_world(b->host), store, &ha, &told);
}

static void box_start_session(struct ha_box *b)
{
    struct ha_cluster *c = b->cluster;
    struct ha_session_config config = {.cluster = BOX_CLUSTER, .n_voters = c->voters};
    const struct ha_session_events events = {.ctx = b, .said = box_on_session};

    ha_text_set(config.host, sizeof(config.host), b->name);
    for (uint32_t k = 0; k < c->voters; k++) {
        memcpy(config.voters[k].name, c->box[k].name, sizeof(c->box[k].name));
        memcpy(config.voters[k].at.host, c->box[k].name, sizeof(c->box[k].name));
        config.voters[k].at.port = BOX_PORT;
    }
    b->session = ha_session_open(simhost_world(b->host), &config, &events);
    box_start_member(b, ha_session_store(b->session));
}

static void box_start_node(struct ha_box *b)
{
    struct ha_cluster *c = b->cluster;
    struct node_config config = node_config_default(b->i + 1);
    const struct world *world = simhost_world(b->host);
    const struct node_sessions_events sessions = {.ctx = b};
    const struct node_events events = {.ctx = b,
                                       .ready = box_on_ready,
                                       .leader_changed = box_on_leader,
                                       .advanced = box_on_advanced,
                                       .note = box_on_note};

    config.dir = "node";
    config.cluster = BOX_CLUSTER;
    config.founders = &c->founders;
    config.port = c->n > 1 ? BOX_PORT : 0;
    config.peer_count = c->voters;
    config.segment_bytes = 16 * 1024 * 1024;
    for (uint32_t k = 0; k < c->voters; k++) {
        config.peers[k].id = k + 1;
        memcpy(config.peers[k].at.host, c->box[k].name, sizeof(c->box[k].name));
        config.peers[k].at.port = BOX_PORT;
    }
    b->store = node_ha_open(world, b->i + 1);
    b->sessions = node_sessions_open(world, b->store, BOX_CLUSTER, &sessions);
    config.agents = node_sessions_listener(b->sessions);
    b->node = node_open(world, &config, &events);
    node_ha_attach(b->store, b->node);
    node_sessions_attach(b->sessions, b->node);
    box_start_member(b, node_ha_store(b->store));
}

void ha_box_start(struct ha_box *b)
{
    assert_null(b->member);
    if (b->i < b->cluster->voters) {
        box_start_node(b);
    } else {
        box_start_session(b);
    }
}

/* Its process is gone; what it had is freed. */
static void box_forget(struct ha_box *b)
{
    if (b->member != NULL) {
        ha_member_close(b->member);
        b->member = NULL;
    }
    if (b->node != NULL) {
        node_sessions_close(b->sessions);
        node_ha_close(b->store);
        node_close(b->node);
        b->node = NULL;
        b->store = NULL;
        b->sessions = NULL;
    }
    if (b->session != NULL) {
        ha_session_close(b->session);
        b->session = NULL;
    }
}

void ha_box_kill(struct ha_box *b)
{
    simhost_kill(b->host);
    box_forget(b);
}

void ha_box_power_off(struct ha_box *b)
{
    simhost_switch_off(b->host);
}

static void box_went_off(void *ctx, struct simhost *host)
{
    struct ha_box *b = ctx;
    (void)host;
    box_forget(b);
}

static void box_came_on(void *ctx, struct simhost *host)
{
    struct ha_box *b = ctx;
    (void)host;
    if (!b->stays_down && b->member == NULL) {
        ha_box_start(b);
    }
}

void ha_box_isolate(struct ha_box *b, bool is_isolated)
{
    for (uint32_t i = 0; i < b->cluster->n; i++) {
        if (i != b->i) {
            simnet_cut(b->host, b->cluster->box[i].host, is_isolated);
        }
    }
    b->is_unheard = is_isolated;
}

/* --- all of them --------------------------------------------------------------------------------
 */

void ha_cluster_init(struct ha_cluster *c, uint64_t seed, uint32_t n, enum world_watchdog watchdog)
{
    ha_cluster_init_agents(c, seed, n, 0, watchdog);
}

void ha_cluster_init_agents(struct ha_cluster *c, uint64_t seed, uint32_t voters, uint32_t agents,
                            enum world_watchdog watchdog)
{
    const uint32_t n = voters + agents;

    memset(c, 0, sizeof(*c));
    CHECK(n <= HA_BOXES_MAX);
    c->n = n;
    c->voters = voters;
    c->has_health = true;
    c->sim = simworld_new(seed);
    for (uint32_t i = 0; i < n; i++) {
        struct ha_box *b = &c->box[i];
        struct simpower_owner owner = {.went_off = box_went_off, .came_on = box_came_on, .ctx = b};
        b->cluster = c;
        b->i = i;
        memcpy(b->name, "host-0", 7);
        b->name[5] = (char)('a' + i);
        b->host = simhost_new(c->sim, b->name, BOX_DISK);
        simpower_set_owner(b->host, &owner);
        if (watchdog != WORLD_WATCHDOG_NONE) {
            simguard_install(b->host, watchdog, 5 * NANOS_PER_S);
        }
        if (i < voters) {
            raft_membership_insert(&c->founders, i + 1, RAFT_VOTER);
        }
    }
}

void ha_cluster_deinit(struct ha_cluster *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->box[i].member != NULL) {
            ha_box_kill(&c->box[i]);
        }
    }
    simworld_free(c->sim);
}

static node_id box_id(const struct ha_box *b)
{
    return b->i < b->cluster->voters ? b->i + 1 : ha_session_id(BOX_CLUSTER, b->name);
}

struct ha_session_status ha_box_session(const struct ha_box *b)
{
    struct ha_session_status status;

    ha_session_status(b->session, &status);
    return status;
}

static void health_play(struct ha_cluster *c)
{
    nanos now = simworld_now(c->sim);

    for (uint32_t i = 0; i < c->n; i++) {
        struct ha_box *b = &c->box[i];
        bool is_silent = b->member == NULL || b->is_unheard;
        if (!is_silent) {
            b->silent_since = now;
        }
        b->is_cut = c->has_health && now >= b->silent_since + HA_TEST_DETECT;
    }
    for (uint32_t i = 0; i < c->n; i++) {
        for (uint32_t k = 0; k < c->n && c->box[i].node != NULL; k++) {
            if (i != k) {
                ha_member_cut(c->box[i].member, box_id(&c->box[k]), c->box[k].is_cut);
            }
        }
    }
}

void ha_cluster_run(struct ha_cluster *c, nanos span)
{
    nanos until = simworld_now(c->sim) + span;

    while (simworld_now(c->sim) < until) {
        health_play(c);
        simworld_run(c->sim, u64_min(until, simworld_now(c->sim) + SLICE));
        if (simvm_violation(c->sim) != NULL) {
            print_message("# %s\n", simvm_violation(c->sim));
        }
        assert_null(simvm_violation(c->sim));
    }
}

struct ha_box *ha_cluster_leader(struct ha_cluster *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        struct ha_box *b = &c->box[i];
        if (b->node != NULL && !b->is_unheard && ha_keeper_leads(ha_member_keeper(b->member))) {
            return b;
        }
    }
    return NULL;
}

struct ha_box *ha_cluster_follower(struct ha_cluster *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        struct ha_box *b = &c->box[i];
        if (b->node != NULL && b != ha_cluster_leader(c)) {
            return b;
        }
    }
    return NULL;
}

struct ha_box *ha_cluster_box(struct ha_cluster *c, const char *name)
{
    for (uint32_t i = 0; i < c->n; i++) {
        if (strcmp(c->box[i].name, name) == 0) {
            return &c->box[i];
        }
    }
    return NULL;
}

const struct ha_view *ha_cluster_view(struct ha_cluster *c)
{
    const struct ha_view *newest = NULL;

    for (uint32_t i = 0; i < c->n; i++) {
        const struct ha_view *v = c->box[i].node != NULL ? ha_member_view(c->box[i].member) : NULL;
        if (v != NULL && (newest == NULL || v->revision > newest->revision)) {
            newest = v;
        }
    }
    return newest;
}

/* --- the operator -------------------------------------------------------------------------------
 */

static void operator_on_done(struct ha_txn *txn)
{
    bool *done = txn->owner;
    *done = true;
}

static void cluster_submit(struct ha_cluster *c, struct ha_txn *txn)
{
    bool done = false;

    for (uint32_t tries = 0; tries < 100; tries++) {
        struct ha_box *b = ha_cluster_leader(c);
        if (b != NULL) {
            done = false;
            txn->done = operator_on_done;
            txn->owner = &done;
            const struct ha_store *store = node_ha_store(b->store);
            store->ops->submit(store->self, txn);
            while (!done) {
                ha_cluster_run(c, NANOS_PER_MS);
            }
            if (txn->outcome == HA_TXN_APPLIED) {
                ha_txn_deinit(txn);
                ha_cluster_run(c, NANOS_PER_MS);
                return;
            }
        }
        ha_cluster_run(c, 100 * NANOS_PER_MS);
    }
    assert_true(false);
}

void ha_cluster_put_text(struct ha_cluster *c, const char *key, const char *text)
{
    struct ha_txn txn;

    ha_txn_init(&txn);
    ha_txn_put(&txn, (struct bytes){(const uint8_t *)key, strlen(key)},
               (struct bytes){(const uint8_t *)text, strlen(text)});
    cluster_submit(c, &txn);
}

void ha_cluster_put(struct ha_cluster *c, enum ha_kind kind, const void *record)
{
    struct ha_key key;
    char text[HA_KEY_BYTES];
    struct buf json;

    ha_record_key(kind, record, &key);
    ha_key_format(kind, key.name, key.vm, text);
    buf_init(&json);
    ha_record_encode(kind, record, &json);
    buf_put_u8(&json, 0);
    ha_cluster_put_text(c, text, (const char *)json.data);
    buf_deinit(&json);
}

void ha_cluster_delete(struct ha_cluster *c, enum ha_kind kind, const char *name)
{
    struct ha_txn txn;
    char text[HA_KEY_BYTES];

    ha_txn_init(&txn);
    ha_key_format(kind, name, NULL, text);
    ha_txn_delete(&txn, (struct bytes){(const uint8_t *)text, strlen(text)});
    cluster_submit(c, &txn);
}

void ha_cluster_add_second_device(struct ha_cluster *c, const struct ha_box *b)
{
    struct ha_host host = *ha_view_host(ha_cluster_view(c), b->name);
    struct ha_device device;

    simdevice_new(b->host, "second");
    ha_record_defaults(HA_DEVICE, &device);
    ha_text_set(device.name, sizeof(device.name), "second");
    ha_text_set(device.agent, sizeof(device.agent), "fence_ipmilan");
    HA_APPLY(c, &device);
    host.n_levels = 2;
    host.levels[1].n = 1;
    ha_text_set(host.levels[1].device[0], HA_NAME_BYTES, "second");
    HA_APPLY(c, &host);
}

static void cluster_declare(struct ha_cluster *c, bool has_fences)
{
    struct ha_storage storage;

    ha_record_defaults(HA_STORAGE, &storage);
    ha_text_set(storage.name, sizeof(storage.name), "nfs");
    ha_text_set(storage.type, sizeof(storage.type), "nfs");
    ha_text_set(storage.path, sizeof(storage.path), "/srv/machines");
    storage.flight_ms = 0;
    HA_APPLY(c, &storage);
    for (uint32_t i = 0; i < c->n; i++) {
        struct ha_host host;
        struct ha_device device;
        ha_record_defaults(HA_HOST, &host);
        ha_text_set(host.name, sizeof(host.name), c->box[i].name);
        host.is_bare_metal = true;
        host.storages.n = 1;
        ha_text_set(host.storages.name[0], HA_NAME_BYTES, "nfs");
        if (has_fences) {
            ha_record_defaults(HA_DEVICE, &device);
            ha_text_set(device.name, sizeof(device.name), c->box[i].name);
            ha_text_set(device.agent, sizeof(device.agent), "fence_ipmilan");
            HA_APPLY(c, &device);
            host.n_levels = 1;
            host.levels[0].n = 1;
            ha_text_set(host.levels[0].device[0], HA_NAME_BYTES, c->box[i].name);
        }
        HA_APPLY(c, &host);
    }
}

void ha_cluster_start(struct ha_cluster *c, bool has_fences)
{
    for (uint32_t i = 0; i < c->n; i++) {
        ha_box_start(&c->box[i]);
    }
    for (uint32_t tries = 0; tries < 1000 && ha_cluster_leader(c) == NULL; tries++) {
        ha_cluster_run(c, 10 * NANOS_PER_MS);
    }
    assert_non_null(ha_cluster_leader(c));
    cluster_declare(c, has_fences);
    ha_cluster_run(c, 2 * NANOS_PER_S);
    for (uint32_t i = 0; i < c->n; i++) {
        struct ha_agent_status status;
        ha_agent_status(ha_member_agent(c->box[i].member), &status);
        assert_int_equal(status.phase, HA_AGENT_SERVING);
        assert_true(status.lease_left > 0);
    }
}

struct ha_vm ha_cluster_vm(struct ha_cluster *c, const char *name)
{
    struct ha_vm vm;

    ha_record_defaults(HA_VM, &vm);
    ha_text_set(vm.name, sizeof(vm.name), name);
    ha_text_set(vm.volume, sizeof(vm.volume), name);
    ha_text_set(vm.storage, sizeof(vm.storage), "nfs");
    vm.is_wanted = true;
    vm.memory_mib = 1024;
    vm.cpus = 1;
    (void)simvolume_new(c->sim, name);
    return vm;
}

struct ha_vm ha_cluster_vm_at(struct ha_cluster *c, const char *name, const struct ha_box *b)
{
    struct ha_vm vm = ha_cluster_vm(c, name);

    vm.preferred.n = 1;
    ha_text_set(vm.preferred.name[0], HA_NAME_BYTES, b->name);
    return vm;
}

void ha_cluster_run_vm(struct ha_cluster *c, const struct ha_vm *vm, const struct ha_box *b)
{
    HA_APPLY(c, vm);
    assert_true(ha_cluster_wait_vm(c, vm->name, HA_RUNNING, b->name, 5 * NANOS_PER_S));
}

struct ha_box *ha_cluster_with_web(struct ha_cluster *c, uint64_t seed, uint32_t n, bool has_fences)
{
    ha_cluster_init(c, seed, n, WORLD_WATCHDOG_READY);
    ha_cluster_start(c, has_fences);
    struct ha_box *b = ha_cluster_follower(c);
    const struct ha_vm vm = ha_cluster_vm_at(c, "web", b);
    ha_cluster_run_vm(c, &vm, b);
    return b;
}

/* --- waiting ------------------------------------------------------------------------------------
 */

const struct ha_owner *ha_cluster_owner(struct ha_cluster *c, const char *vm)
{
    return ha_view_owner(ha_cluster_view(c), vm);
}

const struct ha_fate *ha_cluster_fate(struct ha_cluster *c, const char *host)
{
    return ha_view_fate(ha_cluster_view(c), host);
}

bool ha_cluster_wait_vm(struct ha_cluster *c, const char *vm, enum ha_phase phase, const char *host,
                        nanos span)
{
    nanos until = simworld_now(c->sim) + span;

    for (;;) {
        const struct ha_owner *owner = ha_cluster_owner(c, vm);
        (void)ha_cluster_starts(c, vm);
        if (owner != NULL && owner->phase == phase &&
            (host == NULL || strcmp(owner->host, host) == 0)) {
            return true;
        }
        if (simworld_now(c->sim) >= until) {
            print_message("# %s: %s on %s, epoch %llu: %s\n", vm,
                          owner != NULL ? ha_phase_name(owner->phase) : "no record",
                          owner != NULL ? owner->host : "",
                          owner != NULL ? (unsigned long long)owner->epoch : 0ULL,
                          owner != NULL ? owner->reason : "");
            return false;
        }
        ha_cluster_run(c, 5 * NANOS_PER_MS);
    }
}

bool ha_cluster_wait_fate(struct ha_cluster *c, const char *host, enum ha_fate_phase phase,
                          nanos span)
{
    nanos until = simworld_now(c->sim) + span;

    for (;;) {
        const struct ha_fate *fate = ha_cluster_fate(c, host);
        enum ha_fate_phase now = fate != NULL ? fate->phase : HA_HOST_UP;
        if (now == phase) {
            return true;
        }
        if (simworld_now(c->sim) >= until) {
            print_message("# %s: %s: %s\n", host, ha_fate_phase_name(now),
                          fate != NULL ? fate->reason : "");
            return false;
        }
        ha_cluster_run(c, 5 * NANOS_PER_MS);
    }
}

uint64_t ha_cluster_starts(struct ha_cluster *c, const char *vm)
{
    const struct ha_owner *owner = ha_cluster_owner(c, vm);
    uint64_t epoch = owner != NULL ? owner->epoch : 0;

    if (c->first_epoch == 0) {
        c->first_epoch = epoch;
    }
    return epoch == 0 ? 0 : epoch - c->first_epoch + 1;
}

const char *ha_cluster_lives_on(struct ha_cluster *c, const char *vm)
{
    for (uint32_t i = 0; i < c->n; i++) {
        struct world_vm_found found;
        for (size_t k = 0; simvm_at(c->box[i].host, k, &found); k++) {
            if (strcmp(found.name, vm) == 0) {
                return c->box[i].name;
            }
        }
    }
    return NULL;
}

uint32_t ha_cluster_events(struct ha_cluster *c, const char *what, const char *subject)
{
    const struct ha_view *v = ha_cluster_view(c);
    uint32_t n = 0;

    for (size_t i = 0; v != NULL && i < ha_view_count(v, HA_EVENT); i++) {
        const struct ha_event *e = ha_view_at(v, HA_EVENT, i)->record;
        n += e != NULL && strcmp(e->what, what) == 0 &&
             (strcmp(e->host, subject) == 0 || strcmp(e->vm, subject) == 0);
    }
    return n;
}
