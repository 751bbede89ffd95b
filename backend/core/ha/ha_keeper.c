#include "core/ha/ha_keeper.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/say.h"
#include "core/ha/ha_keeper_int.h"

/* --- soft state ---------------------------------------------------------------------------------
 *
 * What is known beyond the records, by name. Each of these structs begins with its name. */

static size_t soft_place(void *const *items, size_t n, const char *name)
{
    size_t low = 0;
    size_t high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp((const char *)items[middle], name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void *soft_find(void *const *items, size_t n, const char *name)
{
    size_t at = soft_place(items, n, name);

    return at < n && strcmp((const char *)items[at], name) == 0 ? items[at] : NULL;
}

static void *soft_get(void ***items, size_t *n, size_t *cap, const char *name, size_t size)
{
    size_t at = soft_place(*items, *n, name);

    if (at < *n && strcmp((const char *)(*items)[at], name) == 0) {
        return (*items)[at];
    }
    mem_grow((void **)items, cap, *n + 1, sizeof(**items));
    memmove(&(*items)[at + 1], &(*items)[at], (*n - at) * sizeof(**items));
    (*items)[at] = mem_alloc_zero(size);
    ha_text_set((*items)[at], HA_NAME_BYTES, name);
    (*n)++;
    return (*items)[at];
}

struct ha_soft_vm *ha_soft_vm_get(struct ha_keeper *m, const char *name)
{
    return soft_get((void ***)&m->vms, &m->n_vms, &m->vms_cap, name, sizeof(struct ha_soft_vm));
}

struct ha_soft_host *ha_soft_host_get(struct ha_keeper *m, const char *name)
{
    return soft_get((void ***)&m->hosts, &m->n_hosts, &m->hosts_cap, name,
                    sizeof(struct ha_soft_host));
}

struct ha_soft_host *ha_soft_host_find(const struct ha_keeper *m, const char *name)
{
    return soft_find((void *const *)m->hosts, m->n_hosts, name);
}

struct ha_soft_device *ha_soft_device_get(struct ha_keeper *m, const char *name)
{
    return soft_get((void ***)&m->devices, &m->n_devices, &m->devices_cap, name,
                    sizeof(struct ha_soft_device));
}

const struct ha_soft_member *ha_soft_member_find(const struct ha_keeper *m, node_id id)
{
    for (size_t i = 0; i < m->n_members; i++) {
        if (m->members[i].id == id) {
            return &m->members[i];
        }
    }
    return NULL;
}

static struct ha_soft_member *soft_member_get(struct ha_keeper *m, node_id id)
{
    for (size_t i = 0; i < m->n_members; i++) {
        if (m->members[i].id == id) {
            return &m->members[i];
        }
    }
    mem_grow((void **)&m->members, &m->members_cap, m->n_members + 1, sizeof(*m->members));
    m->members[m->n_members] = (struct ha_soft_member){.id = id};
    return &m->members[m->n_members++];
}

/* All names that the view knows: a machine by its record or its owner's; a host by any record. */
static void soft_gather(struct ha_keeper *m)
{
    static const enum ha_kind of_hosts[] = {HA_HOST, HA_FATE, HA_AGENT};
    static const enum ha_kind of_vms[] = {HA_VM, HA_OWNER};

    for (size_t i = 0; i < m->n_vms; i++) {
        m->vms[i]->is_alive = false;
    }
    for (size_t i = 0; i < m->n_hosts; i++) {
        m->hosts[i]->is_alive = false;
    }
    for (size_t k = 0; k < COUNT_OF(of_hosts); k++) {
        for (size_t i = 0; i < ha_view_count(m->view, of_hosts[k]); i++) {
            const struct ha_entry *e = ha_view_at(m->view, of_hosts[k], i);
            ha_soft_host_get(m, e->key.name)->is_alive = true;
        }
    }
    for (size_t k = 0; k < COUNT_OF(of_vms); k++) {
        for (size_t i = 0; i < ha_view_count(m->view, of_vms[k]); i++) {
            const struct ha_entry *e = ha_view_at(m->view, of_vms[k], i);
            ha_soft_vm_get(m, e->key.name)->is_alive = true;
        }
    }
}

/* Those of which nothing is left. */
static void soft_drop(struct ha_keeper *m)
{
    size_t kept = 0;

    for (size_t i = 0; i < m->n_vms; i++) {
        if (m->vms[i]->is_alive || m->vms[i]->hold.is_under_way) {
            m->vms[kept++] = m->vms[i];
        } else {
            mem_free(m->vms[i]);
        }
    }
    m->n_vms = kept;
    kept = 0;
    for (size_t i = 0; i < m->n_hosts; i++) {
        if (m->hosts[i]->is_alive || m->hosts[i]->hold.is_under_way) {
            m->hosts[kept++] = m->hosts[i];
        } else {
            mem_free(m->hosts[i]);
        }
    }
    m->n_hosts = kept;
}

/* What an earlier term of ours knew of time is not what this one may rely on. */
static void soft_forget(struct ha_keeper *m)
{
    for (size_t i = 0; i < m->n_vms; i++) {
        struct ha_soft_vm *s = m->vms[i];
        struct ha_soft_vm fresh = {.hold = s->hold};
        memcpy(fresh.name, s->name, sizeof(fresh.name));
        memcpy(fresh.going_to, s->going_to, sizeof(fresh.going_to));
        memcpy(fresh.coming_to, s->coming_to, sizeof(fresh.coming_to));
        *s = fresh;
    }
    for (size_t i = 0; i < m->n_hosts; i++) {
        ha_keeper_fence_end(m->hosts[i]);
        m->hosts[i]->was_seen = false;
    }
    ha_power_calls_drop(m);
    for (size_t i = 0; i < m->n_devices; i++) {
        m->devices[i]->asked_at = 0;
        m->devices[i]->answered_at = 0;
    }
}

/* --- the token ----------------------------------------------------------------------------------
 */

static void token_value(const struct ha_keeper *m, nanos lease, struct buf *json)
{
    say(json, "{\"term\":");
    say_u64(json, m->term);
    say(json, ",\"member\":\"");
    say_hex(json, m->config.member);
    say(json, "\",\"lease_ms\":");
    say_u64(json, lease / NANOS_PER_MS);
    say(json, "}");
}

static nanos token_wanted(const struct ha_keeper *m)
{
    return (nanos)m->settings.lease_ms * NANOS_PER_MS;
}

/* Writes it; leases that are granted from then on may be as long as `lease`. Where that is less
 * than before, none is granted that is longer while it is being written. */
static void token_take(struct ha_keeper *m, nanos lease)
{
    struct buf json;

    if (!ha_hold_is_free(m, &m->token_hold)) {
        return;
    }
    struct ha_deed *d = ha_deed_new(m);
    buf_init(&json);
    token_value(m, lease, &json);
    ha_txn_guard(&d->txn, ha_bytes_of(HA_LEADER_KEY), m->token_seen);
    ha_txn_put(&d->txn, ha_bytes_of(HA_LEADER_KEY), buf_view(&json));
    buf_deinit(&json);
    d->is_token = true;
    d->lease = lease;
    m->token_lease = u64_min(m->token_lease, lease);
    ha_deed_hold(d, &m->token_hold);
    ha_deed_submit(d);
}

/* Are all leases over that are longer than those which are granted now? What this term has granted
 * since lease_ms was changed last is no longer than that says. */
static bool token_may_say_less(struct ha_keeper *m)
{
    const struct ha_bound bound = {.lease = m->token_says, .drift_ppm = m->settings.drift_ppm};
    nanos longest;

    if (ha_proof_bound(&bound, &longest) != OK) {
        return false;
    }
    const nanos over = u64_max(m->lease_set_at, m->lessor->since) + longest;
    if (m->now < over) {
        ha_keeper_want(m, over);
    }
    return m->now >= over;
}

/* Longer leases wait until the token says so; that they are shorter it says once the longer are
 * over: the next leader knows no more of them. Guarded by ours. */
static void token_renew(struct ha_keeper *m)
{
    const nanos wanted = token_wanted(m);

    if (!m->has_settings) {
        return;
    }
    if (wanted > m->token_lease) {
        token_take(m, u64_max(wanted, m->token_says));
    } else if (wanted < m->token_says && token_may_say_less(m)) {
        token_take(m, wanted);
    }
}

/* "lease_ms" of a token, which any program could have written; 0: it does not say. */
static nanos token_lease_of(struct bytes value)
{
    static const char field[] = "\"lease_ms\":";
    uint64_t ms = 0;
    size_t at = 0;

    while (at + sizeof(field) - 1 < value.len &&
           memcmp(value.data + at, field, sizeof(field) - 1) != 0) {
        at++;
    }
    for (at += sizeof(field) - 1; at < value.len && value.data[at] >= '0' && value.data[at] <= '9';
         at++) {
        ms = ms * 10 + (uint64_t)(value.data[at] - '0');
        if (ms > HA_SPAN_MAX / NANOS_PER_MS) {
            return HA_SPAN_MAX;
        }
    }
    return ms * NANOS_PER_MS;
}

void ha_keeper_token_seen(struct ha_keeper *m, int64_t mod_revision, struct bytes value)
{
    m->token_seen = mod_revision;
    const nanos lease = mod_revision != 0 ? token_lease_of(value) : 0;
    if (lease > 0) {
        m->seen_lease = lease;
    }
    m->events.due(m->events.ctx);
}

/* --- life ---------------------------------------------------------------------------------------
 */

struct ha_keeper *ha_keeper_open(const struct world *world, const struct ha_store *store,
                                 const struct ha_view *view, const struct ha_lessor *lessor,
                                 const struct ha_keeper_config *config,
                                 const struct ha_keeper_events *events)
{
    struct ha_keeper *m = mem_alloc_zero(sizeof(*m));

    CHECK(events->due != NULL);
    m->world = world;
    m->store = store;
    m->view = view;
    m->lessor = lessor;
    m->config = *config;
    m->events = *events;
    prng_init(&m->prng, config->seed);
    ha_record_defaults(HA_SETTINGS, &m->settings);
    m->wanted = NANOS_FOREVER;
    return m;
}

void ha_keeper_close(struct ha_keeper *m)
{
    ha_keeper_ledger_end(m);
    ha_deeds_free(m);
    ha_power_calls_free(m);
    ha_incidents_free(m);
    for (size_t i = 0; i < m->n_vms; i++) {
        mem_free(m->vms[i]);
    }
    for (size_t i = 0; i < m->n_hosts; i++) {
        mem_free(m->hosts[i]);
    }
    for (size_t i = 0; i < m->n_devices; i++) {
        mem_free(m->devices[i]);
    }
    mem_free(m->vms);
    mem_free(m->hosts);
    mem_free(m->devices);
    mem_free(m->members);
    mem_free(m->seen);
    mem_free(m);
}

void ha_keeper_begin(struct ha_keeper *m, uint64_t term)
{
    m->phase = HA_KEEPER_TAKING;
    m->term = term;
    m->token = 0;
    m->inherited_lease = m->seen_lease;
    m->began = world_now(m->world);
    m->confirmed_at = 0;
    m->race_until = 0;
    m->wall_ahead = world_wall(m->world) - m->began;
    soft_forget(m);
    ha_incidents_free(m);
    m->events.due(m->events.ctx);
}

void ha_keeper_end(struct ha_keeper *m)
{
    if (m->phase != HA_KEEPER_IDLE) {
        m->phase = HA_KEEPER_IDLE;
        soft_forget(m);
        ha_incidents_free(m);
    }
    /* A leader's cut begins anew, and may have spoken before ha_keeper_begin. */
    for (size_t i = 0; i < m->n_members; i++) {
        m->members[i].is_cut = false;
    }
}

bool ha_keeper_leads(const struct ha_keeper *m)
{
    return m->phase == HA_KEEPER_LEADING && m->token != 0 && m->token_seen == m->token;
}

bool ha_keeper_is_displaced(const struct ha_keeper *m)
{
    return m->phase == HA_KEEPER_LEADING && m->token_seen != m->token &&
           !m->token_hold.is_under_way && !m->token_hold.is_unknown;
}

void ha_keeper_cut(struct ha_keeper *m, node_id member, bool is_lost)
{
    struct ha_soft_member *s = soft_member_get(m, member);

    s->is_cut = is_lost;
    s->cut_at = world_now(m->world);
    m->events.due(m->events.ctx);
}

void ha_keeper_degraded(struct ha_keeper *m, node_id member, bool is_degraded)
{
    soft_member_get(m, member)->is_degraded = is_degraded;
    m->events.due(m->events.ctx);
}

void ha_keeper_want(struct ha_keeper *m, nanos at)
{
    m->wanted = u64_min(m->wanted, at);
}

/* --- the step -----------------------------------------------------------------------------------
 */

static void manager_settings(struct ha_keeper *m)
{
    const struct ha_settings *settings = ha_view_settings(m->view);

    if (settings == NULL && m->has_settings) {
        m->events.said(m->events.ctx, "settings", "",
                       "the record of settings cannot be read: the ones before stay in force, and "
                       "no lease counts as proof");
    }
    m->has_settings = settings != NULL;
    if (settings != NULL) {
        m->lease_set_at = settings->lease_ms != m->settings.lease_ms ? m->now : m->lease_set_at;
        m->settings = *settings;
    }
}

/* Events are numbered on from the newest. */
static void manager_lead(struct ha_keeper *m)
{
    size_t n = ha_view_count(m->view, HA_EVENT);

    m->phase = HA_KEEPER_LEADING;
    m->has_retold = false;
    m->next_event = 1;
    for (size_t i = n; i > 0; i--) {
        const struct ha_event *event = ha_view_at(m->view, HA_EVENT, i - 1)->record;
        if (event != NULL) {
            m->next_event = u64_max(m->next_event, event->number + 1);
            break;
        }
    }
    m->events.said(m->events.ctx, "leads", "", "the manager works here");
    ha_turn_begin(m);
}

/* Is there anything to decide about? Before that it leaves no trace in the store, which is its
 * clients' alone. */
static bool has_business(const struct ha_keeper *m)
{
    return ha_view_count(m->view, HA_AGENT) > 0 || ha_view_count(m->view, HA_VM) > 0 ||
           ha_view_count(m->view, HA_HOST) > 0 || ha_view_count(m->view, HA_OWNER) > 0 ||
           ha_view_count(m->view, HA_FATE) > 0;
}

void ha_keeper_step(struct ha_keeper *m)
{
    m->now = world_now(m->world);
    m->wanted = NANOS_FOREVER;
    if (m->phase == HA_KEEPER_IDLE || m->view->revision == 0) {
        return;
    }
    ha_keeper_confirm(m);
    manager_settings(m);
    if (m->phase == HA_KEEPER_TAKING) {
        if (!has_business(m)) {
            return;
        }
        if (m->token == 0 || m->token_seen != m->token) {
            token_take(m, u64_max(token_wanted(m), m->inherited_lease));
            return;
        }
        manager_lead(m);
    }
    if (!ha_keeper_leads(m) || m->view->is_incomplete) {
        return; /* another manager has begun */
    }
    if (!m->lessor->leads || m->lessor->term != m->term) {
        return; /* times count from the beginning of the lessor's term, which follows at once */
    }
    token_renew(m);
    soft_gather(m);
    ha_keeper_count_owned(m);
    ha_keeper_hosts(m);
    ha_keeper_test_devices(m);
    ha_keeper_vms(m);
    ha_keeper_place(m);
    ha_keeper_moves(m);
    ha_keeper_incidents(m);
    ha_keeper_ledger_end(m);
    soft_drop(m);
}

nanos ha_keeper_deadline(const struct ha_keeper *m)
{
    return m->wanted;
}

/* --- leases -------------------------------------------------------------------------------------
 */

bool ha_keeper_judge(const struct ha_keeper *m, node_id from, const struct ha_renew *renew,
                     enum ha_refusal *refusal)
{
    const struct ha_agent_record *agent = ha_view_agent(m->view, renew->host);
    const struct ha_entry *fate = ha_view_find(m->view, HA_FATE, renew->host, NULL);
    const struct ha_fate *f = fate != NULL ? fate->record : NULL;

    if (agent == NULL || agent->member != from || agent->boot != renew->boot) {
        *refusal = HA_REFUSED_STRANGER;
        return false;
    }
    if (fate != NULL && (f == NULL || f->phase != HA_HOST_UP)) {
        *refusal = HA_REFUSED_FATE;
        return false;
    }
    return true;
}

nanos ha_keeper_lease(const struct ha_keeper *m)
{
    return u64_min(token_wanted(m), m->token_lease);
}

uint32_t ha_keeper_drift(const struct ha_keeper *m)
{
    return m->settings.drift_ppm;
}

/* --- looking in ---------------------------------------------------------------------------------
 */

void ha_keeper_figures(const struct ha_keeper *m, struct ha_keeper_figures *ret)
{
    *ret = m->figures;
}

const struct ha_fence *ha_keeper_fence(const struct ha_keeper *m, const char *host)
{
    const struct ha_soft_host *h = ha_soft_host_find(m, host);

    return h != NULL && h->has_fence ? &h->fence : NULL;
}

static bool manager_lease_holds(const struct ha_keeper *m, const char *host)
{
    const struct ha_lease_row *row = ha_lessor_find(m->lessor, host);
    nanos now = world_now(m->world);

    return row != NULL && row->grants > 0 && now < u64_add_sat(row->granted_at, row->lease);
}

size_t ha_keeper_seen(const struct ha_keeper *m, struct ha_seen *ret, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < ha_view_count(m->view, HA_HOST) && n < max; i++) {
        const struct ha_entry *e = ha_view_at(m->view, HA_HOST, i);
        const struct ha_host *host = e->record;
        const struct ha_agent_record *agent = ha_view_agent(m->view, e->key.name);
        const struct ha_soft_member *member =
            agent != NULL ? ha_soft_member_find(m, agent->member) : NULL;
        ret[n++] = (struct ha_seen){
            .host = e->key.name,
            .is_up = ha_keeper_fate(m, e->key.name) == HA_HOST_UP &&
                     manager_lease_holds(m, e->key.name) && (member == NULL || !member->is_cut),
            .is_tripped = ha_trip_is_open(m, e->key.name),
            .is_degraded = member != NULL && member->is_degraded,
            .is_fence_tested = host != NULL && ha_keeper_is_tested(m, host)};
    }
    return n;
}
