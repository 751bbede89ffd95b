/*
 * Transactions of a manager. Each is guarded by its token, and by all the records that it was
 * decided on.
 */
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/ha/ha_keeper_int.h"

bool ha_hold_is_free(struct ha_keeper *m, const struct ha_hold *hold)
{
    if (ha_hold_is_open(m, hold)) {
        return false;
    }
    if (m->now < hold->again) {
        ha_keeper_want(m, hold->again);
        return false;
    }
    return true;
}

struct ha_deed *ha_deed_new(struct ha_keeper *m)
{
    struct ha_deed *d = mem_alloc_zero(sizeof(*d));

    d->manager = m;
    d->term = m->term;
    ha_txn_init(&d->txn);
    if (m->phase == HA_KEEPER_LEADING) {
        ha_txn_guard(&d->txn, ha_bytes_of(HA_LEADER_KEY), m->token);
    }
    return d;
}

void ha_deed_guard(struct ha_deed *d, enum ha_kind kind, const char *name, const char *vm)
{
    char key[HA_KEY_BYTES];

    ha_key_format(kind, name, vm, key);
    ha_txn_guard(&d->txn, ha_bytes_of(key),
                 (int64_t)ha_view_mod_revision(d->manager->view, kind, name, vm));
}

void ha_deed_put(struct ha_deed *d, enum ha_kind kind, const void *record)
{
    struct ha_key key;
    char text[HA_KEY_BYTES];
    struct buf json;

    ha_record_key(kind, record, &key);
    ha_key_format(key.kind, key.name, key.vm, text);
    buf_init(&json);
    ha_record_encode(kind, record, &json);
    ha_txn_put(&d->txn, ha_bytes_of(text), buf_view(&json));
    buf_deinit(&json);
}

void ha_deed_delete(struct ha_deed *d, enum ha_kind kind, const char *name, const char *vm)
{
    char key[HA_KEY_BYTES];

    ha_key_format(kind, name, vm, key);
    ha_txn_delete(&d->txn, ha_bytes_of(key));
}

void ha_deed_hold(struct ha_deed *d, struct ha_hold *hold)
{
    for (size_t i = 0; i < COUNT_OF(d->hold); i++) {
        if (d->hold[i] == NULL) {
            d->hold[i] = hold;
            hold->is_under_way = true;
            return;
        }
    }
    CHECK_UNREACHABLE("a transaction about too much");
}

static void deed_unlink(struct ha_deed *d)
{
    struct ha_deed **at = &d->manager->deeds;

    while (*at != d) {
        at = &(*at)->next;
    }
    *at = d->next;
}

static void deed_count(struct ha_keeper *m, enum ha_txn_outcome outcome)
{
    m->figures.transactions++;
    m->figures.stale += outcome == HA_TXN_STALE;
    m->figures.unknown += outcome == HA_TXN_UNKNOWN;
    m->figures.refused += outcome == HA_TXN_REFUSED;
}

/* One that an earlier term asked for is not the token of this one. */
static void deed_token_over(struct ha_keeper *m, const struct ha_deed *d)
{
    if (d->txn.outcome == HA_TXN_APPLIED && m->phase != HA_KEEPER_IDLE && m->term == d->term) {
        m->token = d->txn.revision;
        m->token_lease = d->lease;
        m->token_says = d->lease;
    }
}

/* What was applied while this member led, in the term in which it was asked for, was confirmed by a
 * quorum of that term after it was asked for. */
static void deed_confirms(struct ha_keeper *m, const struct ha_deed *d)
{
    const struct ha_leader leader = m->store->ops->leads(m->store->self);
    const bool is_answered = d->txn.outcome == HA_TXN_APPLIED || d->txn.outcome == HA_TXN_STALE;

    if (is_answered && d->term == m->term && leader.is_self && leader.term == m->term) {
        m->confirmed_at = u64_max(m->confirmed_at, d->submitted_at);
    }
}

/* What was not written was not told. */
static void deed_untell(const struct ha_deed *d)
{
    struct ha_soft_host *h = d->teller;
    const bool is_void = d->txn.outcome == HA_TXN_STALE || d->txn.outcome == HA_TXN_REFUSED;

    if (is_void && h != NULL && h->has_fence && h->fence_life == d->teller_life) {
        h->told = d->told;
    }
}

static void deed_on_done(struct ha_txn *txn)
{
    struct ha_deed *d = txn->owner;
    struct ha_keeper *m = d->manager;

    deed_count(m, txn->outcome);
    deed_confirms(m, d);
    for (size_t i = 0; i < COUNT_OF(d->hold); i++) {
        struct ha_hold *hold = d->hold[i];
        if (hold == NULL) {
            continue; /* there is none, or its incident was forgotten */
        }
        hold->is_under_way = false;
        hold->is_unknown = txn->outcome == HA_TXN_UNKNOWN;
        hold->barrier = m->barriers + 1; /* one under way may have begun before its entry did */
        if (txn->outcome == HA_TXN_APPLIED || txn->outcome == HA_TXN_STALE) {
            hold->until = txn->revision;
        }
        hold->again = txn->outcome == HA_TXN_APPLIED || txn->outcome == HA_TXN_UNKNOWN
                          ? 0
                          : world_now(m->world) + HA_DEED_AGAIN;
    }
    m->wants_barrier = m->wants_barrier || txn->outcome == HA_TXN_UNKNOWN;
    if (d->vm != NULL && (txn->outcome == HA_TXN_STALE || txn->outcome == HA_TXN_REFUSED)) {
        d->vm->going_to[0] = '\0';
        d->vm->coming_to[0] = '\0';
    }
    deed_untell(d);
    if (d->is_token) {
        deed_token_over(m, d);
    }
    deed_unlink(d);
    ha_txn_deinit(&d->txn);
    mem_free(d);
    m->events.due(m->events.ctx);
}

void ha_deed_submit(struct ha_deed *d)
{
    struct ha_keeper *m = d->manager;

    d->txn.done = deed_on_done;
    d->txn.owner = d;
    d->submitted_at = world_now(m->world);
    d->next = m->deeds;
    m->deeds = d;
    m->store->ops->submit(m->store->self, &d->txn);
}

void ha_deeds_free(struct ha_keeper *m)
{
    while (m->deeds != NULL) {
        struct ha_deed *next = m->deeds->next;
        ha_txn_deinit(&m->deeds->txn);
        mem_free(m->deeds);
        m->deeds = next;
    }
}

/* --- outcomes that are unknown ------------------------------------------------------------------
 *
 * The entry may be in our own log, and be committed at any moment. A confirmed read does not wait
 * for it: a quorum answers heartbeats whose disks stand. So the view tells what came of it only
 * once it is behind a barrier that began after its end.
 */

static void barrier_release(const struct ha_keeper *m, struct ha_hold *hold)
{
    if (hold->is_unknown && hold->barrier <= m->barriers) {
        hold->is_unknown = false;
        hold->until = m->barrier.revision;
    }
}

static void barrier_on_done(struct ha_confirm *barrier)
{
    struct ha_keeper *m = barrier->owner;

    m->awaits_barrier = false;
    m->events.due(m->events.ctx);
    if (barrier->result != OK) {
        m->wants_barrier = true;
        m->barrier_again = world_now(m->world) + HA_DEED_AGAIN;
        return;
    }
    for (size_t i = 0; i < m->n_vms; i++) {
        barrier_release(m, &m->vms[i]->hold);
    }
    for (size_t i = 0; i < m->n_hosts; i++) {
        barrier_release(m, &m->hosts[i]->hold);
    }
    for (size_t i = 0; i < m->n_devices; i++) {
        barrier_release(m, &m->devices[i]->hold);
    }
    for (struct ha_soft_incident *i = m->incidents; i != NULL; i = i->next) {
        barrier_release(m, &i->hold);
    }
    barrier_release(m, &m->token_hold);
    barrier_release(m, &m->sweep_hold);
}

static void barrier_ask(struct ha_keeper *m)
{
    if (!m->wants_barrier || m->awaits_barrier) {
        return;
    }
    if (m->now < m->barrier_again) {
        ha_keeper_want(m, m->barrier_again);
        return;
    }
    m->wants_barrier = false;
    m->awaits_barrier = true;
    m->barriers++;
    m->barrier = (struct ha_confirm){.done = barrier_on_done, .owner = m};
    m->store->ops->barrier(m->store->self, &m->barrier);
}

/* --- the word of a quorum -----------------------------------------------------------------------
 *
 * For what must not leave a leader that was deposed and does not know it: quick, and nothing else.
 */

static void confirm_on_done(struct ha_confirm *confirm)
{
    struct ha_keeper *m = confirm->owner;

    m->is_confirming = false;
    if (confirm->result != OK) {
        m->wants_confirm = true;
        m->confirm_again = world_now(m->world) + HA_DEED_AGAIN;
    } else if (confirm->is_leader && confirm->term == m->term) {
        m->confirmed_at = u64_max(m->confirmed_at, m->confirm_began);
        ha_power_calls_release(m);
    }
    m->events.due(m->events.ctx);
}

static void confirm_ask(struct ha_keeper *m)
{
    if (!m->wants_confirm || m->is_confirming) {
        return;
    }
    if (m->now < m->confirm_again) {
        ha_keeper_want(m, m->confirm_again);
        return;
    }
    m->wants_confirm = false;
    m->is_confirming = true;
    m->confirm_began = world_now(m->world);
    m->confirm = (struct ha_confirm){.done = confirm_on_done, .owner = m};
    m->store->ops->confirm(m->store->self, &m->confirm);
}

void ha_keeper_confirm(struct ha_keeper *m)
{
    barrier_ask(m);
    confirm_ask(m);
}
