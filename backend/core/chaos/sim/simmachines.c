#include "core/chaos/sim/simmachines.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/simpower.h"

#define STORAGE "pool"

/* --- beside a node ---------------------------------------------------------------------------- */

static void member_served(void *ctx, const char *what, const char *voter, const char *why)
{
    struct simmember *m = ctx;

    if (m->cluster->events.served != NULL) {
        m->cluster->events.served(m->cluster->ctx, m, what, voter, why);
    }
}

static void member_led_by(void *ctx, node_id leader)
{
    struct simmember *m = ctx;

    if (m->health != NULL) {
        health_agent_lead(health_host_agent(m->health), leader);
    }
}

/* It knows all that may ever vote; those that do not send it on. */
static void open_session(struct simmember *m)
{
    const struct simcluster *c = m->cluster;
    const struct ha_session_events events = {.ctx = m, .said = member_served, .led = member_led_by};
    struct ha_session_config config = {.cluster = SIM_CLUSTER};

    ha_text_set(config.host, sizeof config.host, m->name);
    for (uint32_t i = 0; i < c->n && !c->member[i].is_agent; i++) {
        struct ha_session_voter *voter = &config.voters[config.n_voters++];
        memcpy(voter->name, c->member[i].name, sizeof c->member[i].name);
        memcpy(voter->at.host, c->member[i].name, sizeof c->member[i].name);
        voter->at.port = SIM_PORT;
    }
    m->session = ha_session_open(simhost_world(m->host), &config, &events);
}

void simmachines_open(struct simmember *m)
{
    const struct node_sessions_events nobody = {.ctx = NULL};

    if (m->cluster->n_machines == 0) {
        return;
    }
    if (m->is_agent) {
        open_session(m);
        return;
    }
    m->ha_store = node_ha_open(simhost_world(m->host), m->id);
    m->sessions = node_sessions_open(simhost_world(m->host), m->ha_store, SIM_CLUSTER, &nobody);
}

static void member_said(void *ctx, enum ha_saying who, const char *what, const char *subject,
                        const char *detail)
{
    struct simmember *m = ctx;

    if (m->cluster->events.ha_said != NULL) {
        m->cluster->events.ha_said(m->cluster->ctx, m, who, what, subject, detail);
    }
}

/* --- can the host use the storage? ------------------------------------------------------------ */

#define PROBE_TIME (5 * NANOS_PER_MS)

struct sim_probe {
    const struct simmember *member;
    struct ha_probe *probe; /* the agent's */
};

static void probe_ends(void *arg)
{
    struct sim_probe *p = arg;
    struct ha_probe *probe = p->probe;

    probe->result = simcluster_has_volume(p->member->cluster, p->member) ? OK : ERR_IO;
    mem_free(p);
    probe->done(probe);
}

static void probe_begins(void *self, struct ha_probe *probe)
{
    struct simmember *m = self;
    struct sim_probe *p = mem_alloc_zero(sizeof *p);

    p->member = m;
    p->probe = probe;
    simhost_later(m->host, PROBE_TIME, probe_ends, mem_free, p);
}

static const struct ha_probe_ops probe_ops = {probe_begins};

void simmachines_attach(struct simmember *m)
{
    const struct ha_member_events events = {.ctx = m, .said = member_said};
    struct ha_member_config config = {0};

    if (m->ha_store == NULL && m->session == NULL) {
        return;
    }
    const struct ha_store *store =
        m->is_agent ? ha_session_store(m->session) : node_ha_store(m->ha_store);
    if (!m->is_agent) {
        node_ha_attach(m->ha_store, m->node);
        node_sessions_attach(m->sessions, m->node);
    }
    ha_text_set(config.agent.host, sizeof config.agent.host, m->name);
    ha_text_set(config.agent.move_address, sizeof config.agent.move_address, simhost_name(m->host));
    config.agent.memory_mib = 4096;
    config.agent.cpus = 16;
    config.agent.storages.n = 1;
    ha_text_set(config.agent.storages.name[0], HA_NAME_BYTES, STORAGE);
    config.agent.probe = &probe_ops;
    config.agent.probe_self = m;
    m->ha = ha_member_open(simhost_world(m->host), store, &config, &events);
}

void simmachines_close(struct simmember *m)
{
    if (m->ha != NULL) {
        ha_member_close(m->ha);
        m->ha = NULL;
    }
    if (m->ha_store != NULL) {
        node_sessions_close(m->sessions);
        m->sessions = NULL;
        node_ha_close(m->ha_store);
        m->ha_store = NULL;
    }
    if (m->session != NULL) {
        ha_session_close(m->session);
        m->session = NULL;
    }
}

/* --- the operator ----------------------------------------------------------------------------- */

void simoperator_init(struct simoperator *o, struct simcluster *c)
{
    memset(o, 0, sizeof *o);
    o->cluster = c;
    ha_txn_init(&o->txn);
    for (uint32_t i = 0; i < SIM_HOSTS_MAX; i++) {
        o->off_since[i] = NANOS_FOREVER;
    }
}

void simoperator_deinit(struct simoperator *o)
{
    ha_txn_deinit(&o->txn);
}

static void operator_put(struct simoperator *o, enum ha_kind kind, const void *record)
{
    char text[HA_KEY_BYTES];
    struct ha_key key;
    struct buf json;

    buf_init(&json);
    ha_record_key(kind, record, &key);
    ha_key_format(kind, key.name, key.vm, text);
    ha_record_encode(kind, record, &json);
    ha_txn_put(&o->txn, (struct bytes){(const uint8_t *)text, strlen(text)}, buf_view(&json));
    buf_deinit(&json);
}

static void put_host(struct simoperator *o, const struct simmember *m)
{
    struct ha_device device;
    struct ha_host host;

    ha_record_defaults(HA_HOST, &host);
    ha_text_set(host.name, sizeof host.name, m->name);
    host.is_bare_metal = !o->cluster->settings->hosts_sleep;
    host.storages.n = 1;
    ha_text_set(host.storages.name[0], HA_NAME_BYTES, STORAGE);
    host.n_levels = (o->without_devices >> m->i & 1) != 0 ? 0 : 2;
    for (uint32_t level = 0; level < host.n_levels; level++) {
        ha_record_defaults(HA_DEVICE, &device);
        memcpy(device.name, m->name, sizeof m->name);
        if (level == 1) {
            memcpy(device.name + strlen(m->name), "-outlet", sizeof "-outlet");
            device.is_outlet = true;
        }
        ha_text_set(device.agent, sizeof device.agent, "fence_simulated");
        device.timeout_ms = (uint32_t)((SIMPOWER_UNREACHED + 2 * NANOS_PER_S) / NANOS_PER_MS);
        host.levels[level].n = 1;
        memcpy(host.levels[level].device[0], device.name, sizeof device.name);
        operator_put(o, HA_DEVICE, &device);
    }
    operator_put(o, HA_HOST, &host);
}

static void ask_in_guest(struct ha_check *check, enum ha_ask ask, uint32_t period_ms)
{
    check->ask = ask;
    check->period_ms = period_ms;
    check->timeout_ms = period_ms / 2;
    if (ask == HA_ASK_EXEC) {
        check->command.n = 1;
        ha_text_set(check->command.word[0], HA_VALUE_BYTES, "/bin/check");
    }
}

/* Of four, the first has liveness without a start-up check, the second both; the third is told to
 * be ready or not, and ended for its process alone; the last one is asked nothing of its own. */
static void ask_machine(struct ha_vm *vm, uint32_t machine)
{
    if (machine % 4 == 0) {
        ask_in_guest(&vm->liveness, HA_ASK_AGENT, 1000);
    } else if (machine % 4 == 1) {
        ask_in_guest(&vm->startup, HA_ASK_AGENT, 1000);
        ask_in_guest(&vm->liveness, HA_ASK_EXEC, 2000);
        vm->startup.failures = 60;
    } else if (machine % 4 == 2) {
        vm->mute_ms = 12000;
    }
    if (machine % 4 != 3) {
        ask_in_guest(&vm->readiness, HA_ASK_EXEC, 1000);
    }
}

void simoperator_machine(const struct simoperator *o, uint32_t machine, struct ha_vm *vm)
{
    ha_record_defaults(HA_VM, vm);
    ha_text_set(vm->name, sizeof vm->name, simcluster_machine_name(machine));
    ha_text_set(vm->volume, sizeof vm->volume, simcluster_volume_name(machine));
    ha_text_set(vm->storage, sizeof vm->storage, STORAGE);
    vm->is_wanted = true;
    vm->memory_mib = 256;
    vm->cpus = 1;
    vm->policy = machine % 4 == 3   ? HA_POLICY_KEEP
                 : machine % 4 == 2 ? HA_POLICY_PAUSE
                                    : HA_POLICY_STOP;
    vm->start_count = o->start_count[machine];
    if (o->cluster->settings->machines_are_asked) {
        ask_machine(vm, machine);
    }
}

static void put_machine(struct simoperator *o, uint32_t machine)
{
    struct ha_vm vm;

    simoperator_machine(o, machine, &vm);
    operator_put(o, HA_VM, &vm);
}

static void operator_heard(struct ha_txn *txn)
{
    struct simoperator *o = txn->owner;

    o->through = NULL;
    o->is_applied = txn->outcome == HA_TXN_APPLIED;
    o->is_declared = o->is_declared || (o->is_declaring && o->is_applied);
}

/* Through whom it writes: the leader. NULL: one is under way, or nobody leads. */
static struct simmember *operator_way(struct simoperator *o)
{
    if (o->through != NULL && o->through->state == MEMBER_UP && o->through->life == o->life) {
        return NULL;
    }
    struct simmember *leader = simcluster_leader(o->cluster);
    return leader != NULL && leader->ha_store != NULL ? leader : NULL;
}

static void operator_send(struct simoperator *o, struct simmember *m)
{
    const struct ha_store *store = node_ha_store(m->ha_store);

    o->through = m;
    o->life = m->life;
    o->is_applied = false;
    o->txn.done = operator_heard;
    o->txn.owner = o;
    store->ops->submit(store->self, &o->txn);
}

void simoperator_declare(struct simoperator *o)
{
    struct simmember *m = o->is_declared ? NULL : operator_way(o);
    struct ha_storage storage;

    if (m == NULL) {
        return;
    }
    o->is_declaring = true;
    ha_txn_clear(&o->txn);
    ha_record_defaults(HA_STORAGE, &storage);
    ha_text_set(storage.name, sizeof storage.name, STORAGE);
    ha_text_set(storage.type, sizeof storage.type, "nfs");
    ha_text_set(storage.path, sizeof storage.path, "/pool");
    storage.flight_ms = (uint32_t)(SIM_FLIGHT / NANOS_PER_MS);
    operator_put(o, HA_STORAGE, &storage);
    for (uint32_t i = 0; i < o->cluster->n; i++) {
        put_host(o, &o->cluster->member[i]);
    }
    for (uint32_t i = 0; i < o->cluster->n_machines; i++) {
        put_machine(o, i);
    }
    operator_send(o, m);
}

bool simoperator_write(struct simoperator *o, enum ha_kind kind, const void *record,
                       bool is_deleted)
{
    struct simmember *way = operator_way(o);
    char text[HA_KEY_BYTES];
    struct ha_key key;

    if (way == NULL) {
        return false;
    }
    o->is_declaring = false;
    ha_txn_clear(&o->txn);
    if (is_deleted) {
        ha_record_key(kind, record, &key);
        ha_key_format(kind, key.name, key.vm, text);
        ha_txn_delete(&o->txn, (struct bytes){(const uint8_t *)text, strlen(text)});
    } else {
        operator_put(o, kind, record);
    }
    operator_send(o, way);
    return true;
}

void simoperator_switch_on(struct simoperator *o)
{
    const nanos now = simworld_now(o->cluster->world);

    for (uint32_t i = 0; i < o->cluster->n; i++) {
        struct simmember *m = &o->cluster->member[i];
        const bool is_off = m->state == MEMBER_DOWN && !m->stays_down && !simhost_is_on(m->host);
        if (!is_off) {
            o->off_since[i] = NANOS_FOREVER;
        } else if (o->off_since[i] == NANOS_FOREVER) {
            o->off_since[i] = now;
        } else if (now - o->off_since[i] >= SIM_OFF_PATIENCE) {
            (void)simmember_switch_on(m);
        }
    }
}

/* It has failed for good, or is wished elsewhere, where it may not fit for long. */
static bool machine_needs_operator(const struct ha_view *view, uint32_t machine)
{
    const struct ha_owner *owner = ha_view_owner(view, simcluster_machine_name(machine));
    const struct ha_vm *vm = ha_view_vm(view, simcluster_machine_name(machine));

    return (owner != NULL && owner->phase == HA_FAILED) || (vm != NULL && vm->move_to[0] != '\0');
}

bool simoperator_retry(struct simoperator *o, const struct simmember *m)
{
    const struct ha_view *view = ha_member_view(m->ha);
    struct simmember *way = NULL;
    bool is_needed = false;

    for (uint32_t i = 0; i < o->cluster->n_machines; i++) {
        is_needed = is_needed || machine_needs_operator(view, i);
    }
    way = is_needed ? operator_way(o) : NULL;
    if (way == NULL) {
        return !is_needed;
    }
    o->is_declaring = false;
    ha_txn_clear(&o->txn);
    for (uint32_t i = 0; i < o->cluster->n_machines; i++) {
        if (machine_needs_operator(view, i)) {
            o->start_count[i]++;
            put_machine(o, i);
        }
    }
    operator_send(o, way);
    return false;
}
