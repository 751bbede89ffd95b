/*
 * What is told: events, each in the transaction whose decision it is; and incidents, one a loss,
 * whose timelines are gathered here and written when they have changed. A leader that dies takes
 * the steps with it that were not written yet; what it decided is in the records.
 */
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/say.h"
#include "core/ha/ha_keeper_int.h"

uint64_t ha_keeper_wall(const struct ha_keeper *m)
{
    return world_wall(m->world) / NANOS_PER_MS;
}

/* --- events -------------------------------------------------------------------------------------
 */

/* The oldest go with the newest. */
static void event_drop_old(struct ha_deed *d)
{
    const struct ha_keeper *m = d->manager;
    size_t n = ha_view_count(m->view, HA_EVENT);
    size_t drop = n > HA_EVENTS_KEPT ? u64_min(n - HA_EVENTS_KEPT, HA_EVENTS_DROPPED) : 0;

    for (size_t i = 0; i < drop && d->txn.writes + 8 < HA_TXN_ITEMS_MAX; i++) {
        ha_txn_delete(&d->txn, ha_bytes_of(ha_view_at(m->view, HA_EVENT, i)->text));
    }
}

void ha_event_put(struct ha_deed *d, const char *what, const char *host, const char *vm,
                  const char *incident, const char *detail)
{
    struct ha_keeper *m = d->manager;
    struct ha_event event;

    ha_record_defaults(HA_EVENT, &event);
    event.number = m->next_event++;
    event.wall_ms = ha_keeper_wall(m);
    ha_text_set(event.what, sizeof(event.what), what);
    ha_text_set(event.host, sizeof(event.host), host);
    ha_text_set(event.vm, sizeof(event.vm), vm);
    ha_text_set(event.incident, sizeof(event.incident), incident);
    ha_text_set(event.detail, sizeof(event.detail), detail);
    ha_deed_put(d, HA_EVENT, &event);
    event_drop_old(d);
    m->events.said(m->events.ctx, what, vm[0] != '\0' ? vm : host, detail);
}

/* --- incidents ----------------------------------------------------------------------------------
 */

static void incident_trace(struct ha_keeper *m, char ret[40])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < 32; i += 16) {
        uint64_t bits = prng_u64(&m->prng) | 1; /* a trace id is never all zeros */
        for (size_t k = 0; k < 16; k++) {
            ret[i + k] = digits[(bits >> (60 - 4 * k)) & 0xf];
        }
    }
    ret[32] = '\0';
}

struct ha_soft_incident *ha_incident_open(struct ha_deed *d, const char *host)
{
    struct ha_keeper *m = d->manager;
    struct ha_soft_incident *i = mem_alloc_zero(sizeof(*i));
    struct buf id;

    ha_record_defaults(HA_INCIDENT, &i->record);
    buf_init(&id);
    say(&id, "inc-");
    say_u64(&id, m->next_event);
    ha_text_set(i->record.id, sizeof(i->record.id), say_end(&id));
    buf_deinit(&id);
    ha_text_set(i->record.host, sizeof(i->record.host), host);
    incident_trace(m, i->record.trace);
    i->record.opened_wall_ms = ha_keeper_wall(m);
    i->opened_at = m->now;
    i->next = m->incidents;
    m->incidents = i;
    ha_deed_put(d, HA_INCIDENT, &i->record);
    ha_deed_hold(d, &i->hold);
    return i;
}

/* The incident as this manager has it; one that an earlier one began is taken from the view. Its
 * beginning is then known by the wall clock alone, which is good enough for people. */
static struct ha_soft_incident *incident_get(struct ha_keeper *m, const char *id)
{
    const struct ha_incident *record = ha_view_incident(m->view, id);
    struct ha_soft_incident *i = m->incidents;

    while (i != NULL && strcmp(i->record.id, id) != 0) {
        i = i->next;
    }
    if (i != NULL || record == NULL || record->is_closed) {
        return i;
    }
    uint64_t wall = ha_keeper_wall(m);
    i = mem_alloc_zero(sizeof(*i));
    i->record = *record;
    i->opened_at = m->now - u64_sub_sat(wall, record->opened_wall_ms) * NANOS_PER_MS;
    i->next = m->incidents;
    m->incidents = i;
    return i;
}

void ha_incident_step(struct ha_keeper *m, const char *incident, const char *what, const char *who,
                      const char *detail)
{
    struct ha_soft_incident *i = incident[0] != '\0' ? incident_get(m, incident) : NULL;

    if (i == NULL || i->record.n_steps + 1 >= HA_STEPS_MAX) {
        return; /* the last is for its end */
    }
    struct ha_step *step = &i->record.steps[i->record.n_steps++];
    step->at_ms = (m->now - i->opened_at) / NANOS_PER_MS;
    ha_text_set(step->what, sizeof(step->what), what);
    ha_text_set(step->who, sizeof(step->who), who);
    ha_text_set(step->detail, sizeof(step->detail), detail);
    i->is_dirty = true;
}

/* It ends when its host is up, or proved gone, or owns nothing, and none of its machines is on its
 * way. */
static bool incident_is_over(const struct ha_keeper *m, const struct ha_incident *record)
{
    const struct ha_fate *fate = ha_view_fate(m->view, record->host);
    const struct ha_soft_host *h = ha_soft_host_find(m, record->host);

    if (fate != NULL && strcmp(fate->incident, record->id) == 0 &&
        (fate->phase == HA_HOST_FENCING || fate->phase == HA_HOST_LOST) && h != NULL &&
        (fate->phase == HA_HOST_FENCING || h->owned > 0)) {
        return false;
    }
    for (size_t i = 0; i < ha_view_count(m->view, HA_OWNER); i++) {
        const struct ha_owner *owner = ha_view_at(m->view, HA_OWNER, i)->record;
        if (owner != NULL && strcmp(owner->incident, record->id) == 0 &&
            (owner->phase == HA_RECOVERING || owner->phase == HA_STARTING ||
             owner->phase == HA_WAITING || owner->phase == HA_RESTARTING)) {
            return false;
        }
    }
    return true;
}

static void incident_write(struct ha_keeper *m, struct ha_soft_incident *i)
{
    struct ha_deed *d = ha_deed_new(m);

    ha_deed_guard(d, HA_INCIDENT, i->record.id, NULL);
    ha_deed_put(d, HA_INCIDENT, &i->record);
    ha_deed_hold(d, &i->hold);
    i->is_dirty = false;
    ha_deed_submit(d);
}

static bool incident_is_same(const struct ha_incident *x, const struct ha_incident *y)
{
    return x->is_closed == y->is_closed && x->n_steps == y->n_steps;
}

static void incident_close(struct ha_keeper *m, struct ha_soft_incident *i)
{
    struct ha_step *step = &i->record.steps[i->record.n_steps++];

    memset(step, 0, sizeof(*step));
    step->at_ms = (m->now - i->opened_at) / NANOS_PER_MS;
    ha_text_set(step->what, sizeof(step->what), "closed");
    ha_text_set(step->who, sizeof(step->who), i->record.host);
    i->record.is_closed = true;
    i->is_dirty = true;
}

/* True: nothing more is to be done about it. */
static bool incident_pass(struct ha_keeper *m, struct ha_soft_incident *i)
{
    const struct ha_incident *seen = ha_view_incident(m->view, i->record.id);

    if (!ha_hold_is_free(m, &i->hold)) {
        return false;
    }
    if (seen == NULL) {
        return true; /* it was never written, with what it was about; or somebody has deleted it */
    }
    if (!i->record.is_closed && incident_is_over(m, &i->record)) {
        incident_close(m, i);
    }
    if (!incident_is_same(&i->record, seen)) {
        incident_write(m, i);
        return false;
    }
    if (i->record.is_closed && m->events.incident != NULL) {
        m->events.incident(m->events.ctx, &i->record);
    }
    return i->record.is_closed;
}

/* The oldest closed ones go. One a step: there are few. */
static void incident_drop_old(struct ha_keeper *m)
{
    size_t n = ha_view_count(m->view, HA_INCIDENT);
    const struct ha_entry *oldest = NULL;

    for (size_t i = 0; i < n && n > HA_INCIDENTS_KEPT; i++) {
        const struct ha_entry *entry = ha_view_at(m->view, HA_INCIDENT, i);
        const struct ha_incident *record = entry->record;
        bool is_closed = record != NULL && record->is_closed;
        if (is_closed && (oldest == NULL || entry->create_revision < oldest->create_revision)) {
            oldest = entry;
        }
    }
    if (oldest != NULL && ha_hold_is_free(m, &m->sweep_hold)) {
        struct ha_deed *d = ha_deed_new(m);
        ha_txn_delete(&d->txn, ha_bytes_of(oldest->text));
        ha_deed_hold(d, &m->sweep_hold);
        ha_deed_submit(d);
    }
}

void ha_keeper_incidents(struct ha_keeper *m)
{
    struct ha_soft_incident **at = &m->incidents;

    for (size_t i = 0; i < ha_view_count(m->view, HA_INCIDENT); i++) {
        const struct ha_incident *record = ha_view_at(m->view, HA_INCIDENT, i)->record;
        if (record != NULL && !record->is_closed) {
            (void)incident_get(m, record->id);
        }
    }
    while (*at != NULL) {
        struct ha_soft_incident *i = *at;
        if (incident_pass(m, i)) {
            *at = i->next;
            mem_free(i);
        } else {
            at = &i->next;
        }
    }
    incident_drop_old(m);
}

/* Those under way are held by their transactions: they stay until the manager is closed or begins
 * anew, which forgets the transactions' holds as well. */
void ha_incidents_free(struct ha_keeper *m)
{
    for (struct ha_deed *d = m->deeds; d != NULL; d = d->next) {
        for (size_t k = 0; k < COUNT_OF(d->hold); k++) {
            for (struct ha_soft_incident *i = m->incidents; i != NULL; i = i->next) {
                d->hold[k] = d->hold[k] == &i->hold ? NULL : d->hold[k];
            }
        }
    }
    while (m->incidents != NULL) {
        struct ha_soft_incident *next = m->incidents->next;
        mem_free(m->incidents);
        m->incidents = next;
    }
}
