/*
 * Commands to fence devices: those of a fence, and tests that a device answers at all.
 */
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/mutant.h"
#include "core/base/say.h"
#include "core/ha/ha_keeper_int.h"

static void call_unlink(struct ha_power_call *call)
{
    struct ha_power_call **at = &call->manager->calls;

    while (*at != call) {
        at = &(*at)->next;
    }
    *at = call->next;
}

void ha_power_calls_free(struct ha_keeper *m)
{
    while (m->calls != NULL) {
        struct ha_power_call *next = m->calls->next;
        mem_free(m->calls);
        m->calls = next;
    }
}

static struct ha_power_call *call_new(struct ha_keeper *m, enum world_power_op op,
                                      const char *device, nanos deadline)
{
    struct ha_power_call *call = mem_alloc_zero(sizeof(*call));

    call->manager = m;
    ha_text_set(call->device, sizeof(call->device), device);
    call->request.op = op;
    call->request.device = call->device;
    call->request.deadline = deadline;
    call->request.owner = call;
    call->asked_at = world_now(m->world);
    call->next = m->calls;
    m->calls = call;
    return call;
}

/* --- a fence ------------------------------------------------------------------------------------
 */

/* Only while the record says, in this term, that the host is to be fenced: whoever has taken over
 * has changed it. */
static bool fence_is_ours(const struct ha_keeper *m, const struct ha_soft_host *h)
{
    const struct ha_fate *fate = ha_view_fate(m->view, h->name);

    return ha_keeper_leads(m) && fate != NULL && fate->phase == HA_HOST_FENCING &&
           fate->term == m->term;
}

/* For the timeline: what the device was asked for, and what came of it. */
static const char *fence_answer_name(const struct world_power_request *request)
{
    if (request->op == WORLD_POWER_OFF) {
        return request->result == OK ? "told-off" : "off-failed";
    }
    if (request->result != OK) {
        return "read-failed";
    }
    return request->state == WORLD_POWER_IS_OFF  ? "read-off"
           : request->state == WORLD_POWER_IS_ON ? "read-on"
                                                 : "read-unknown";
}

static void fence_tell_answer(struct ha_keeper *m, const struct ha_soft_host *h,
                              const struct ha_power_call *call)
{
    struct buf text;

    if (!fence_is_ours(m, h)) {
        return;
    }
    buf_init(&text);
    say(&text, "level ");
    say_u64(&text, h->fence.level + 1);
    say(&text, ", round ");
    say_u64(&text, h->fence.round + 1);
    if (call->request.result != OK) {
        say(&text, ": ");
        say(&text, err_text(call->request.result));
    }
    ha_incident_detail(m, ha_view_fate(m->view, h->name)->incident,
                       fence_answer_name(&call->request), call->device, say_end(&text),
                       u64_sub_sat(m->now, call->asked_at), call->request.result != OK);
    buf_deinit(&text);
}

static void fence_on_answer(struct world_power_request *request)
{
    struct ha_power_call *call = request->owner;
    struct ha_keeper *m = call->manager;
    struct ha_soft_host *h = ha_soft_host_find(m, call->host);
    struct ha_fence_answer answer = {
        .ticket = call->ticket, .result = request->result, .state = request->state};

    m->now = world_now(m->world);
    if (h != NULL && h->has_fence && h->fence_life == call->life) {
        fence_tell_answer(m, h, call);
        ha_keeper_fence_step(m, h, &answer);
    }
    call_unlink(call);
    mem_free(call);
    m->events.due(m->events.ctx);
}

/* Was the term confirmed by a quorum just now? Whoever has waited since, for its delay, its turn or
 * its next round, may have been deposed and not know it. */
static bool fence_is_fresh(const struct ha_keeper *m)
{
    return (m->confirmed_at != 0 && m->now < m->confirmed_at + HA_OFF_FRESH) ||
           MUTANT(HA_OFF_UNCONFIRMED);
}

static void fence_command(struct ha_keeper *m, struct ha_soft_host *h,
                          const struct ha_fence_command *command)
{
    struct ha_power_call *call = call_new(m, command->op, command->device, command->deadline);

    memcpy(call->host, h->name, sizeof(call->host));
    call->life = h->fence_life;
    call->ticket = command->ticket;
    call->request.done = fence_on_answer;
    if (command->op != WORLD_POWER_OFF || fence_is_fresh(m)) {
        m->world->power->submit(m->world->self, &call->request);
        return;
    }
    call->is_held = true;
    m->wants_confirm = true;
    ha_keeper_confirm(m);
}

/* Is it heard, whom no operator wants to be switched off? */
static bool fence_is_needless(const struct ha_keeper *m, const struct ha_soft_host *h)
{
    const struct ha_fate *fate = ha_view_fate(m->view, h->name);

    return fate != NULL && !fate->is_asked && ha_keeper_is_heard(m, h);
}

bool ha_keeper_fence_waits(const struct ha_keeper *m, const struct ha_soft_host *h)
{
    const bool is_held = ha_hold_is_open(m, &h->hold) || m->now < h->hold.again;

    return (h->is_spared && is_held) || (ha_fence_is_idle(&h->fence) && fence_is_needless(m, h));
}

/* One that is not right any more is dropped: its fence is over, or gives it up by itself. A fence
 * that is not to send it after all knows at once. */
static void fence_let_go(struct ha_keeper *m, struct ha_power_call *call)
{
    struct ha_soft_host *h = ha_soft_host_find(m, call->host);
    const bool is_ours =
        h != NULL && h->has_fence && h->fence_life == call->life && fence_is_ours(m, h);

    call->is_held = false;
    if (is_ours && (fence_is_needless(m, h) || ha_keeper_fence_waits(m, h) ||
                    ha_fence_is_outdated(&h->fence, m->view))) {
        const struct ha_fence_answer answer = {.ticket = call->ticket, .result = ERR_CANCELED};
        ha_fence_hear(&h->fence, m->now, &answer);
    } else if (is_ours && m->now < call->request.deadline) {
        call->asked_at = m->now;
        m->world->power->submit(m->world->self, &call->request);
        return;
    }
    call_unlink(call);
    mem_free(call);
}

static struct ha_power_call *fence_next_held(const struct ha_keeper *m)
{
    struct ha_power_call *call = m->calls;

    while (call != NULL && !call->is_held) {
        call = call->next;
    }
    return call;
}

void ha_power_calls_release(struct ha_keeper *m)
{
    struct ha_power_call *call = fence_next_held(m);

    m->now = world_now(m->world);
    if (call != NULL && !fence_is_fresh(m)) {
        m->wants_confirm = true; /* the answer was late */
        return;
    }
    for (; call != NULL; call = fence_next_held(m)) {
        fence_let_go(m, call);
    }
}

void ha_power_calls_drop(struct ha_keeper *m)
{
    for (struct ha_power_call *call = fence_next_held(m); call != NULL; call = fence_next_held(m)) {
        call_unlink(call);
        mem_free(call);
    }
}

static void fence_is_new(struct ha_keeper *m, struct ha_soft_host *h)
{
    h->told = (struct ha_fence_told){0};
    h->fence_life = ++m->fence_lives;
}

void ha_keeper_fence_step(struct ha_keeper *m, struct ha_soft_host *h,
                          const struct ha_fence_answer *answer)
{
    struct ha_fence_update update;

    if (!fence_is_ours(m, h)) {
        return;
    }
    ha_fence_hear(&h->fence, m->now, answer);
    if (ha_keeper_fence_waits(m, h)) {
        return;
    }
    if (ha_fence_is_outdated(&h->fence, m->view)) {
        if (!ha_fence_renew(&h->fence, m->view, m->now)) {
            return;
        }
        fence_is_new(m, h);
    }
    ha_fence_step(&h->fence, m->now, NULL, &update);
    for (uint32_t i = 0; i < update.n; i++) {
        fence_command(m, h, &update.commands[i]);
    }
}

void ha_keeper_fence_begin(struct ha_keeper *m, struct ha_soft_host *h)
{
    const struct ha_fence_config config = {
        .delay_max = (nanos)m->settings.fence_delay_ms * NANOS_PER_MS,
        .delay_add = ha_turn_delay(m, h),
        .retry = (nanos)m->settings.fence_retry_ms * NANOS_PER_MS,
        .flight = h->flight,
        .drift_ppm = m->settings.drift_ppm};

    CHECK(m->world->power != NULL);
    h->has_fence = true;
    fence_is_new(m, h);
    ha_fence_init(&h->fence, m->view, h->name, &config, prng_u64(&m->prng), m->now);
    ha_keeper_fence_step(m, h, NULL);
}

void ha_keeper_fence_end(struct ha_soft_host *h)
{
    h->has_fence = false;
    h->fence_life = 0;
}

/* --- tests --------------------------------------------------------------------------------------
 *
 * A device that has answered STATUS, from here, of late, and by the record that it has now, is one
 * that a machine may be entrusted to.
 */

static void test_on_answer(struct world_power_request *request)
{
    struct ha_power_call *call = request->owner;
    struct ha_keeper *m = call->manager;
    struct ha_soft_device *device = ha_soft_device_get(m, call->device);
    bool answers = request->result == OK && request->state != WORLD_POWER_UNKNOWN;
    bool was_good = device->answered_at != 0 && device->answered_revision == call->ticket;
    bool is_old = call->ticket != ha_view_mod_revision(m->view, HA_DEVICE, call->device, NULL);

    device->is_busy = false;
    if (answers && call->life == m->term) {
        device->answered_at = world_now(m->world);
        device->answered_revision = call->ticket;
        device->on_revision =
            request->state == WORLD_POWER_IS_ON ? call->ticket : device->on_revision;
    }
    if (!answers) {
        m->events.said(m->events.ctx, "fence-device-silent", call->device,
                       err_text(request->result == OK ? ERR_UNKNOWN : request->result));
    }
    if (answers != was_good || is_old || device->on_revision == call->ticket) {
        m->events.due(m->events.ctx);
    }
    call_unlink(call);
    mem_free(call);
}

/* Is it news that the device can say "on", as it is configured now? Then it is written, for those
 * who lead later: a driver that has never seen it say so cannot trust its "off". */
static void test_tell_sight(struct ha_keeper *m, struct ha_soft_device *device)
{
    uint64_t now = ha_view_mod_revision(m->view, HA_DEVICE, device->name, NULL);
    const struct ha_sight *seen = ha_view_sight(m->view, device->name);
    struct ha_sight sight;

    if (device->on_revision == 0 || device->on_revision != now ||
        (seen != NULL && seen->revision == now) || !ha_hold_is_free(m, &device->hold)) {
        return;
    }
    ha_record_defaults(HA_SIGHT, &sight);
    ha_text_set(sight.device, sizeof(sight.device), device->name);
    sight.revision = now;
    struct ha_deed *d = ha_deed_new(m);
    ha_deed_guard(d, HA_DEVICE, device->name, NULL);
    ha_deed_guard(d, HA_SIGHT, device->name, NULL);
    ha_deed_put(d, HA_SIGHT, &sight);
    ha_deed_hold(d, &device->hold);
    ha_deed_submit(d);
}

static void test_device(struct ha_keeper *m, const char *name)
{
    struct ha_soft_device *device = ha_soft_device_get(m, name);
    const struct ha_device *record = ha_view_device(m->view, name);
    const uint64_t revision = ha_view_mod_revision(m->view, HA_DEVICE, name, NULL);

    test_tell_sight(m, device);
    if (device->is_busy || record == NULL) {
        return;
    }
    if (device->asked_at != 0 && device->asked_revision == revision &&
        m->now < device->asked_at + HA_TEST_EVERY) {
        ha_keeper_want(m, device->asked_at + HA_TEST_EVERY);
        return;
    }
    struct ha_power_call *call =
        call_new(m, WORLD_POWER_STATUS, name, m->now + (nanos)record->timeout_ms * NANOS_PER_MS);
    device->asked_at = u64_max(m->now, 1);
    device->asked_revision = revision;
    device->is_busy = true;
    ha_keeper_want(m, device->asked_at + HA_TEST_EVERY);
    call->life = m->term;
    call->ticket = revision;
    call->request.done = test_on_answer;
    m->world->power->submit(m->world->self, &call->request);
}

static bool test_is_due_for(const struct ha_keeper *m, const char *host)
{
    const struct ha_lease_row *row = ha_lessor_find(m->lessor, host);

    return ha_keeper_fate(m, host) == HA_HOST_UP && row != NULL && row->heard_at > 0 &&
           m->now < row->heard_at + HA_SILENCE;
}

/* One a step: there are few. */
static void test_sweep(struct ha_keeper *m)
{
    for (size_t i = 0; i < ha_view_count(m->view, HA_SIGHT); i++) {
        const struct ha_entry *entry = ha_view_at(m->view, HA_SIGHT, i);
        if (ha_view_find(m->view, HA_DEVICE, entry->key.name, NULL) == NULL &&
            ha_hold_is_free(m, &m->sweep_hold)) {
            struct ha_deed *d = ha_deed_new(m);
            ha_deed_guard(d, HA_DEVICE, entry->key.name, NULL);
            ha_txn_delete(&d->txn, ha_bytes_of(entry->text));
            ha_deed_hold(d, &m->sweep_hold);
            ha_deed_submit(d);
        }
    }
}

/* Of hosts that are up, and heard: what a fence needs is not kept waiting by a test. Sights of
 * devices that are no more go. */
void ha_keeper_test_devices(struct ha_keeper *m)
{
    test_sweep(m);
    if (m->world->power == NULL) {
        return;
    }
    for (size_t i = 0; i < ha_view_count(m->view, HA_HOST); i++) {
        const struct ha_host *host = ha_view_at(m->view, HA_HOST, i)->record;
        if (host == NULL || !test_is_due_for(m, host->name)) {
            continue;
        }
        for (uint32_t k = 0; k < host->n_levels; k++) {
            for (uint32_t j = 0; j < host->levels[k].n; j++) {
                test_device(m, host->levels[k].device[j]);
            }
        }
    }
}

static bool test_is_good(const struct ha_keeper *m, const char *name)
{
    for (size_t i = 0; i < m->n_devices; i++) {
        const struct ha_soft_device *d = m->devices[i];
        if (strcmp(d->name, name) == 0) {
            return d->answered_at != 0 && world_now(m->world) < d->answered_at + HA_TEST_GOOD &&
                   d->answered_revision == ha_view_mod_revision(m->view, HA_DEVICE, name, NULL);
        }
    }
    return false;
}

bool ha_keeper_is_tested(const struct ha_keeper *m, const struct ha_host *host)
{
    for (uint32_t k = 0; k < host->n_levels; k++) {
        bool all = host->levels[k].n > 0;
        for (uint32_t j = 0; j < host->levels[k].n; j++) {
            all = all && test_is_good(m, host->levels[k].device[j]);
        }
        if (all) {
            return true;
        }
    }
    return false;
}
