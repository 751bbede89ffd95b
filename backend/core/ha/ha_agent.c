#include "core/ha/ha_agent.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/ha/ha_agent_int.h"

nanos ha_agent_now(const struct ha_agent *a)
{
    return world_now(a->world);
}

void ha_agent_want(struct ha_agent *a, nanos at)
{
    a->wanted = u64_min(a->wanted, at);
}

void ha_agent_due(struct ha_agent *a)
{
    a->events.due(a->events.ctx);
}

void ha_agent_say(struct ha_agent *a, const char *what, const char *vm, const char *detail)
{
    if (a->events.said != NULL) {
        a->events.said(a->events.ctx, what, vm, detail);
    }
}

/* --- what lives here ----------------------------------------------------------------------------
 */

static void agent_on_found(struct world_vm_request *request, const struct world_vm_found *found)
{
    struct ha_agent *a = request->owner;

    if (found->epoch == 0) {
        ha_agent_say(a, "unmanaged", found->name, "somebody has started it by hand");
        return;
    }
    struct ha_run *run = ha_run_find(a, found->name, found->epoch);
    if (run == NULL) {
        run = ha_run_add(a, found->name, found->epoch);
        ha_agent_say(a, "adopted", found->name, "it lives here");
    }
    if (run->phase == HA_RUN_ENDED) {
        return; /* its exit was told meanwhile */
    }
    run->phase = HA_RUN_ALIVE;
    run->is_held = found->is_guarded;
    run->is_paused = found->state == WORLD_VM_PAUSED;
    run->is_unseen = found->state == WORLD_VM_UNKNOWN;
    run->is_moved = found->state == WORLD_VM_MOVED;
    run->is_incoming = found->state == WORLD_VM_WAITING;
    run->has_run = found->state == WORLD_VM_RUNNING;
    run->is_report_due = true;
}

static void agent_on_listed(struct world_vm_request *request)
{
    struct ha_agent *a = request->owner;

    a->is_list_busy = false;
    if (request->result == OK) {
        a->was_listed = true;
    } else {
        ha_agent_say(a, "list", "", err_text(request->result));
        a->list_again = ha_agent_now(a) + HA_REQUEST_AGAIN;
    }
    ha_agent_due(a);
}

static void agent_list(struct ha_agent *a, nanos now)
{
    if (a->was_listed || a->is_list_busy) {
        return;
    }
    if (now < a->list_again) {
        ha_agent_want(a, a->list_again);
        return;
    }
    memset(&a->list, 0, sizeof(a->list));
    a->list.op = WORLD_VM_LIST;
    a->list.deadline = now + HA_REQUEST_PATIENCE;
    a->list.entry = agent_on_found;
    a->list.done = agent_on_listed;
    a->list.owner = a;
    a->is_list_busy = true;
    a->world->vm->submit(a->world->self, &a->list);
}

/* --- storages -----------------------------------------------------------------------------------
 */

static void agent_on_probed(struct ha_probe *probe)
{
    struct ha_probed *p = probe->owner;

    p->is_busy = false;
    if (!p->was_probed || p->is_usable != (probe->result == OK)) {
        ha_agent_say(p->agent, probe->result == OK ? "storage usable" : "storage unusable",
                     p->storage.name, err_text(probe->result));
    }
    p->was_probed = true;
    p->is_usable = probe->result == OK;
    ha_agent_due(p->agent);
}

/* A storage whose record is gone, or cannot be read, is not usable. */
static void agent_probe(struct ha_agent *a, uint32_t i, nanos now)
{
    struct ha_probed *p = &a->probed[i];
    const struct ha_storage *storage = ha_view_storage(a->view, a->config.storages.name[i]);

    if (p->is_busy) {
        return;
    }
    if (storage == NULL) {
        p->is_usable = false;
        p->was_probed = false;
        return;
    }
    bool is_same = p->was_probed && strcmp(p->storage.path, storage->path) == 0 &&
                   strcmp(p->storage.type, storage->type) == 0;
    if (is_same && now < p->again) {
        ha_agent_want(a, p->again);
        return;
    }
    p->agent = a;
    p->storage = *storage;
    p->again = now + HA_PROBE_EVERY;
    ha_agent_want(a, p->again);
    if (a->config.probe == NULL) {
        p->was_probed = true;
        p->is_usable = true;
        return;
    }
    p->is_busy = true;
    p->probe = (struct ha_probe){.storage = &p->storage, .done = agent_on_probed, .owner = p};
    a->config.probe->probe(a->config.probe_self, &p->probe);
}

/* --- the record ---------------------------------------------------------------------------------
 */

static bool agent_is_hardware(enum world_watchdog watchdog)
{
    return watchdog == WORLD_WATCHDOG_READY || watchdog == WORLD_WATCHDOG_ARMED;
}

/* (One that is to be kept is never held, and is counted on by nobody.) */
static const char *agent_first_unheld(const struct ha_agent *a)
{
    for (size_t i = 0; i < a->n_runs; i++) {
        const struct ha_run *run = a->runs[i];
        if (run->phase != HA_RUN_ENDED && !run->is_held && run->policy != HA_POLICY_KEEP) {
            return run->vm;
        }
    }
    return NULL;
}

static bool agent_has_watchdog(const struct ha_agent *a)
{
    return a->has_guard && agent_is_hardware(a->watchdog);
}

const char *ha_agent_spoiler(const struct ha_agent *a)
{
    return agent_has_watchdog(a) ? agent_first_unheld(a) : NULL;
}

bool ha_agent_is_short(const struct ha_agent *a)
{
    return agent_has_watchdog(a) && a->is_guard_short;
}

bool ha_agent_has_hardware(const struct ha_agent *a)
{
    return agent_has_watchdog(a) && !a->is_guard_short && agent_first_unheld(a) == NULL;
}

enum world_watchdog ha_agent_attested(const struct ha_agent *a)
{
    const bool is_hidden = agent_is_hardware(a->watchdog) && !ha_agent_has_hardware(a);

    return a->has_guard && !is_hidden ? a->watchdog : WORLD_WATCHDOG_NONE;
}

static void agent_record_fill(const struct ha_agent *a, struct ha_agent_record *r)
{
    memset(r, 0, sizeof(*r));
    memcpy(r->host, a->config.host, sizeof(r->host));
    r->member = a->store->member;
    r->boot = a->boot;
    r->memory_mib = a->config.memory_mib;
    r->cpus = a->config.cpus;
    /* What a lease of ours would end says nothing of the machines of the host before this one. */
    r->watchdog = a->is_successor ? WORLD_WATCHDOG_NONE : ha_agent_attested(a);
    r->watchdog_ms = (uint32_t)((a->watchdog_timeout + NANOS_PER_MS - 1) / NANOS_PER_MS);
    if (!ha_agent_has_hardware(a) || a->is_successor) {
        r->watchdog_ms = 0;
    }
    for (uint32_t i = 0; i < a->config.storages.n; i++) {
        if (a->probed[i].is_usable) {
            memcpy(r->storages.name[r->storages.n++], a->config.storages.name[i], HA_NAME_BYTES);
        }
    }
}

/* An armed watchdog and a disarmed one are the same promise: it is armed before a guest runs. */
static bool agent_record_differs(const struct ha_agent_record *x, const struct ha_agent_record *y)
{
    bool storages = x->storages.n != y->storages.n;

    for (uint32_t i = 0; i < x->storages.n && !storages; i++) {
        storages = strcmp(x->storages.name[i], y->storages.name[i]) != 0;
    }
    return storages || x->member != y->member || x->memory_mib != y->memory_mib ||
           x->cpus != y->cpus || x->watchdog_ms != y->watchdog_ms ||
           agent_is_hardware(x->watchdog) != agent_is_hardware(y->watchdog) ||
           (!agent_is_hardware(x->watchdog) && x->watchdog != y->watchdog);
}

static void agent_on_recorded(struct ha_txn *txn)
{
    struct ha_agent *a = txn->owner;

    a->is_record_busy = false;
    if (txn->outcome == HA_TXN_APPLIED) {
        a->recorded = (uint64_t)txn->revision;
    }
    a->record_again = txn->outcome == HA_TXN_APPLIED ? 0 : ha_agent_now(a) + HA_REPORT_AGAIN;
    ha_agent_due(a);
}

static void agent_record_put(struct ha_agent *a, uint64_t guard)
{
    char key[HA_KEY_BYTES];
    struct buf json;

    buf_init(&json);
    ha_key_format(HA_AGENT, a->config.host, NULL, key);
    HA_ENCODE(&a->record, &json);
    ha_txn_clear(&a->record_txn);
    ha_txn_guard(&a->record_txn, (struct bytes){(const uint8_t *)key, strlen(key)}, (int64_t)guard);
    ha_txn_put(&a->record_txn, (struct bytes){(const uint8_t *)key, strlen(key)}, buf_view(&json));
    buf_deinit(&json);
    a->record_txn.done = agent_on_recorded;
    a->record_txn.owner = a;
    a->is_record_busy = true;
    a->store->ops->submit(a->store->self, &a->record_txn);
}

/* --- the host before this one -------------------------------------------------------------------
 *
 * The record may be that of another member: then this is another machine under the same name, and
 * that something does not live here says nothing about the one before, which may be cut off and
 * run it still. So its machines are left to be proved gone as those of any lost host are, by its
 * fence, its lease and watchdog, or an operator; and it is lost, as this agent neither takes its
 * record over nor renews until then. Hosts that do not vote have their member from their name, and
 * are not told apart. */

static bool agent_record_is_of_another(const struct ha_agent *a, const struct ha_entry *entry)
{
    const struct ha_agent_record *record = entry != NULL ? entry->record : NULL;

    return record != NULL && record->member != a->store->member;
}

/* May a machine of this host's run in that epoch, where we do not see it? What is on a host's own
 * disk harms nobody there. */
static bool agent_doubts(const struct ha_agent *a, const struct ha_owner *owner)
{
    const struct ha_vm *vm = ha_view_vm(a->view, owner->vm);
    const bool is_here = ha_phase_may_run(owner->phase) && strcmp(owner->host, a->config.host) == 0;
    const bool is_coming = ha_move_awaits(a, owner, owner->issued);
    const uint64_t epoch = is_here ? owner->epoch : owner->issued;

    return (is_here || is_coming) && epoch > 0 && (vm == NULL || vm->storage[0] != '\0') &&
           ha_run_find(a, owner->vm, epoch) == NULL;
}

/* The first that the host before may run yet; NULL: none, or that host was proved gone. Borrowed
 * from the view. */
static const char *agent_first_doubted(const struct ha_agent *a)
{
    const struct ha_fate *fate = ha_view_fate(a->view, a->config.host);

    if (fate != NULL && fate->phase == HA_HOST_GONE) {
        return NULL;
    }
    for (size_t i = 0; i < ha_view_count(a->view, HA_OWNER); i++) {
        const struct ha_owner *owner = ha_view_at(a->view, HA_OWNER, i)->record;
        if (owner != NULL && agent_doubts(a, owner)) {
            return owner->vm;
        }
    }
    return NULL;
}

/* True: it has to wait. */
static bool agent_waits_for_proof(struct ha_agent *a)
{
    const char *vm = agent_first_doubted(a);

    if (vm != NULL && strcmp(a->doubted, vm) != 0) {
        ha_agent_say(a, "waits", vm,
                     "it is not known whether the host of this name before this one, another "
                     "member, still runs it: see that it is off and say so, `novacron host "
                     "confirm-off`, or give this one a name of its own");
    }
    ha_text_set(a->doubted, sizeof(a->doubted), vm != NULL ? vm : "");
    return vm != NULL;
}

/* A boot above that of whoever was this host before, so that no clock is asked, and above our own.
 * Boots are at most the revision at which they were registered: where there is no record to read,
 * one above the revision of what cannot be read, or of the whole view, was never used. */
static void agent_register(struct ha_agent *a, const struct ha_entry *entry)
{
    const struct ha_agent_record *record = entry != NULL ? entry->record : NULL;
    const uint64_t before = record != NULL  ? record->boot
                            : entry != NULL ? entry->mod_revision
                                            : a->view->revision;

    a->is_successor = a->is_successor || agent_record_is_of_another(a, entry);
    a->boot = u64_max(before, a->own_boot) + 1;
    agent_record_fill(a, &a->record);
    agent_record_put(a, entry != NULL ? entry->mod_revision : 0);
}

/* A boot is ours once a transaction of ours that says so was applied, and not before: an agent that
 * died may have written the same, and a grant of its lease must not be taken for one of ours. */
static bool agent_record_is_ours(const struct ha_agent *a, const struct ha_entry *entry)
{
    const struct ha_agent_record *r = entry != NULL ? entry->record : NULL;

    if (!a->is_record_known) {
        return r != NULL && a->recorded != 0 && entry->mod_revision == a->recorded;
    }
    return r != NULL && r->boot == a->boot && r->member == a->store->member;
}

/* Whoever wrote that has registered this host after us. */
static bool agent_record_is_newer(const struct ha_agent *a, const struct ha_entry *entry)
{
    const struct ha_agent_record *r = entry->record;

    return r != NULL &&
           (r->boot > a->boot || (r->boot == a->boot && r->member != a->store->member));
}

/* The view is older than our record, or of a history that has lost it, as when the group was
 * recovered from the loss of its quorum: nobody has taken our place. To wait would be for ever in
 * the second case. So it registers once more, as if it had just begun, behind the record that it
 * sees: in the first case ours is there, and nothing comes of it. Until then it renews, starts and
 * reports nothing, as in the view there is no record for that; its lease goes on to its end. */
static void agent_begin_anew(struct ha_agent *a)
{
    a->phase = HA_AGENT_JOINING;
    a->is_record_known = false;
    a->recorded = 0;
    a->has_reconciled = false;
    ha_agent_say(a, "registers anew", "", "the record of this host is not the one that it wrote");
}

static void agent_displace(struct ha_agent *a)
{
    a->phase = HA_AGENT_DISPLACED;
    ha_agent_say(a, "displaced", "",
                 "another agent has registered this host: give each host a name of its own");
}

static void agent_record_pass(struct ha_agent *a, nanos now)
{
    struct ha_entry *entry = ha_view_find(a->view, HA_AGENT, a->config.host, NULL);
    struct ha_agent_record wanted;

    if (agent_record_is_ours(a, entry)) {
        a->registered = entry->mod_revision;
        /* The view may have lagged when it registered. */
        a->is_successor = a->is_successor && agent_waits_for_proof(a);
        a->phase = a->is_successor ? HA_AGENT_JOINING : HA_AGENT_SERVING;
        if (!a->is_record_known) {
            a->is_record_known = true;
            a->own_boot = a->boot;
            ha_lessee_begin(&a->lessee, a->boot);
            ha_agent_say(a, "registered", "", "");
        }
    } else if (a->is_record_known) {
        a->registered = 0; /* if somebody has deleted it, it is written again */
        if (entry != NULL && !a->is_record_busy) {
            if (agent_record_is_newer(a, entry)) {
                agent_displace(a);
                return;
            }
            agent_begin_anew(a);
        }
    }
    if (a->is_record_busy || a->view->revision == 0) {
        return;
    }
    if (now < a->record_again) {
        ha_agent_want(a, a->record_again);
        return;
    }
    if (!a->is_record_known) {
        if (!agent_record_is_of_another(a, entry) || !agent_waits_for_proof(a)) {
            agent_register(a, entry);
        }
        return;
    }
    agent_record_fill(a, &wanted);
    if (a->registered == 0 || agent_record_differs(&wanted, entry->record)) {
        a->record = wanted;
        agent_record_put(a, a->registered);
    }
}

/* --- what it owned ------------------------------------------------------------------------------
 *
 * Everything that is assigned to this host by the view that has our record, and that does not live
 * here, has ended or was never started: by an earlier agent, or before the host was switched on. It
 * is reported as stopped, once, before anything is started. */
static void agent_miss(struct ha_agent *a, const char *vm, uint64_t epoch)
{
    const struct ha_report *report = ha_view_report(a->view, a->config.host, vm);
    bool was_told = report != NULL && report->epoch == epoch && report->state == HA_REPORT_STOPPED;

    if (epoch > 0 && !was_told && ha_run_find(a, vm, epoch) == NULL) {
        /* No fault of its own: its host went down, or nobody was there to see. */
        ha_run_ended(ha_run_add(a, vm, epoch), WORLD_VM_KILLED, OK,
                     "it did not live when the host's agent began");
    }
}

static void agent_reconcile(struct ha_agent *a)
{
    for (size_t i = 0; i < ha_view_count(a->view, HA_OWNER); i++) {
        const struct ha_owner *owner = ha_view_at(a->view, HA_OWNER, i)->record;
        if (owner == NULL) {
            continue;
        }
        if (ha_phase_may_run(owner->phase) && strcmp(owner->host, a->config.host) == 0) {
            agent_miss(a, owner->vm, owner->epoch);
        }
        if (ha_move_awaits(a, owner, owner->issued)) {
            agent_miss(a, owner->vm, owner->issued);
        }
    }
    if (!a->has_adopted) {
        a->has_adopted = true;
        ha_moves_adopt(a);
    }
    a->has_reconciled = true;
}

/* --- the pass -----------------------------------------------------------------------------------
 */

void ha_agent_pass(struct ha_agent *a)
{
    nanos now = ha_agent_now(a);

    a->wanted = NANOS_FOREVER;
    ha_lessee_clocks(&a->lessee, now, world_awake(a->world));
    ha_ladders_notice(a);
    if (a->phase == HA_AGENT_DISPLACED) {
        ha_runs_end_stale(a);
        return;
    }
    agent_list(a, now);
    ha_runs_learn(a);
    ha_agent_lease_pass(a);
    for (uint32_t i = 0; i < a->config.storages.n; i++) {
        agent_probe(a, i, now);
    }
    if (a->phase == HA_AGENT_LOOKING && a->was_listed && a->is_guard_asked) {
        a->phase = HA_AGENT_JOINING;
    }
    if (a->phase != HA_AGENT_LOOKING) {
        agent_record_pass(a, now);
    }
    if (a->phase == HA_AGENT_SERVING && !a->has_reconciled) {
        agent_reconcile(a);
    }
    if (a->phase != HA_AGENT_DISPLACED) {
        ha_runs_pass(a);
        ha_ladders_pass(a, now);
        ha_reports_pass(a);
    }
    ha_ladders_expect(a);
}

nanos ha_agent_deadline(const struct ha_agent *a)
{
    return a->wanted;
}

struct ha_agent *ha_agent_open(const struct world *world, const struct ha_store *store,
                               const struct ha_view *view, const struct ha_agent_config *config,
                               const struct ha_agent_events *events)
{
    struct ha_agent *a = mem_alloc_zero(sizeof(*a));

    CHECK(world->vm != NULL && events->due != NULL);
    a->world = world;
    a->store = store;
    a->view = view;
    a->config = *config;
    a->events = *events;
    a->opened_at = world_now(world);
    a->wanted = a->opened_at;
    ha_lessee_init(&a->lessee, config->host, 0);
    ha_txn_init(&a->record_txn);
    ha_txn_init(&a->tidy);
    a->sink.exited = ha_run_on_exit;
    a->sink.owner = a;
    ha_ladders_open(a);
    world->vm->watch(world->self, &a->sink);
    return a;
}

void ha_agent_stop(struct ha_agent *a)
{
    a->is_stopped = true;
    for (size_t i = 0; i < a->n_runs; i++) {
        ha_ladder_stop(a->runs[i]);
    }
}

void ha_agent_close(struct ha_agent *a)
{
    a->world->vm->watch(a->world->self, NULL);
    for (size_t i = 0; i < a->n_runs; i++) {
        ha_run_free(a->runs[i]);
    }
    mem_free(a->runs);
    ha_ladders_close(a);
    ha_txn_deinit(&a->record_txn);
    ha_txn_deinit(&a->tidy);
    mem_free(a);
}

/* --- looking in ---------------------------------------------------------------------------------
 */

void ha_agent_status(const struct ha_agent *a, struct ha_agent_status *ret)
{
    nanos now = ha_agent_now(a);

    memset(ret, 0, sizeof(*ret));
    ret->phase = a->phase;
    ret->boot = a->boot;
    ret->lease_until = a->relied;
    ret->lease_left = u64_sub_sat(a->relied, now);
    ret->lease_revision = a->lessee.revision;
    ret->is_refused = a->lessee.is_refused;
    ret->refusal = a->lessee.refusal;
    ret->has_guard = a->has_guard;
    ret->watchdog = a->watchdog;
    ret->watchdog_timeout = a->watchdog_timeout;
    ret->slept = a->lessee.slept;
    ret->starts = a->starts;
    ret->kills = a->kills;
    ret->unwell_ends = ha_ladders_ended(a);
    for (size_t i = 0; i < a->n_runs; i++) {
        ret->machines += a->runs[i]->phase == HA_RUN_ALIVE;
        ret->mute += a->runs[i]->phase == HA_RUN_ALIVE && a->runs[i]->misses >= HA_QUERY_MISSES;
        ret->reports_waiting += a->runs[i]->is_report_due;
    }
}

bool ha_agent_machine_at(const struct ha_agent *a, size_t at, char vm[HA_NAME_BYTES],
                         uint64_t *epoch, bool *is_mute)
{
    for (size_t i = 0; i < a->n_runs; i++) {
        const struct ha_run *run = a->runs[i];
        if (run->phase != HA_RUN_ALIVE) {
            continue;
        }
        if (at == 0) {
            memcpy(vm, run->vm, HA_NAME_BYTES);
            *epoch = run->epoch;
            *is_mute = run->misses >= HA_QUERY_MISSES;
            return true;
        }
        at--;
    }
    return false;
}

const struct ha_rung_view *ha_agent_rungs(const struct ha_agent *a, const char *vm)
{
    const struct ha_run *run = ha_run_of(a, vm);

    return run != NULL ? ha_ladder_rungs(run) : NULL;
}
