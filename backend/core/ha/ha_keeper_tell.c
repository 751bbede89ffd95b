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

/* Steps of an incident: the last is for its end. Details leave half of them to what was decided. */
#define STEPS_ROOM   (HA_STEPS_MAX - 1)
#define DETAILS_ROOM (HA_STEPS_MAX / 2)

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

static void incident_draw_trace(struct ha_keeper *m, char ret[40])
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

struct ha_soft_incident *ha_incident_open(struct ha_deed *d, const char *host, nanos unheard)
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
    incident_draw_trace(m, i->record.trace);
    i->record.opened_wall_ms = ha_keeper_wall(m);
    i->record.unheard_ms = unheard / NANOS_PER_MS;
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
    i->owed = record->n_steps;
    i->opened_at = m->now - u64_sub_sat(wall, record->opened_wall_ms) * NANOS_PER_MS;
    i->next = m->incidents;
    m->incidents = i;
    return i;
}

static void step_set(struct ha_keeper *m, struct ha_soft_incident *i, const char *what,
                     const char *who, const char *detail)
{
    CHECK(i->record.n_steps < HA_STEPS_MAX);
    struct ha_step *step = &i->record.steps[i->record.n_steps++];

    memset(step, 0, sizeof(*step));
    step->at_ms = (m->now - i->opened_at) / NANOS_PER_MS;
    ha_text_set(step->what, sizeof(step->what), what);
    ha_text_set(step->who, sizeof(step->who), who);
    ha_text_set(step->detail, sizeof(step->detail), detail);
}

/* The step, as the incident has it now; NULL: there is no such incident, or no room. `is_owed`: it
 * is to be written now. */
static struct ha_step *step_new(struct ha_keeper *m, const char *incident, const char *what,
                                const char *who, const char *detail, uint32_t room, bool is_owed)
{
    struct ha_soft_incident *i = incident[0] != '\0' ? incident_get(m, incident) : NULL;

    if (i == NULL || i->record.n_steps >= room) {
        return NULL;
    }
    step_set(m, i, what, who, detail);
    i->owed = is_owed ? i->record.n_steps : i->owed;
    return &i->record.steps[i->record.n_steps - 1];
}

void ha_incident_step(struct ha_keeper *m, const char *incident, const char *what, const char *who,
                      const char *detail)
{
    (void)step_new(m, incident, what, who, detail, STEPS_ROOM, true);
}

void ha_incident_vm(struct ha_keeper *m, const char *incident, const char *what, const char *vm,
                    const char *host, uint64_t epoch)
{
    struct ha_step *step = step_new(m, incident, what, vm, host, STEPS_ROOM, true);

    if (step != NULL) {
        step->epoch = epoch;
    }
}

void ha_incident_detail(struct ha_keeper *m, const char *incident, const char *what,
                        const char *who, const char *detail, nanos took, bool has_failed)
{
    struct ha_step *step = step_new(m, incident, what, who, detail, DETAILS_ROOM, has_failed);

    if (step != NULL) {
        step->took_ms = u64_min(took / NANOS_PER_MS, step->at_ms);
    }
}

void ha_incident_verified(struct ha_keeper *m, const struct ha_owner *owner)
{
    struct ha_step *step =
        step_new(m, owner->incident, "verified", owner->vm, owner->host, DETAILS_ROOM, false);

    if (step != NULL) {
        step->epoch = owner->epoch;
    }
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
    ha_deed_submit(d);
}

/* Does the record have all that it is to have? */
static bool incident_is_written(const struct ha_soft_incident *i, const struct ha_incident *seen)
{
    return i->record.is_closed == seen->is_closed && i->owed <= seen->n_steps;
}

static void incident_close(struct ha_keeper *m, struct ha_soft_incident *i)
{
    if (i->record.n_steps == HA_STEPS_MAX) {
        i->record.n_steps--; /* somebody else has written it: we leave room for this one */
    }
    step_set(m, i, "closed", i->record.host, "");
    i->record.is_closed = true;
    i->owed = i->record.n_steps;
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
    if (!incident_is_written(i, seen)) {
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

/* A leader may die between the record of an incident that is closed and telling of it. So whoever
 * leads next tells of those that were closed of late, and whoever listens may be told twice. */
static void incidents_retell(struct ha_keeper *m)
{
    uint64_t wall = ha_keeper_wall(m);

    for (size_t i = 0; i < ha_view_count(m->view, HA_INCIDENT) && !m->has_retold; i++) {
        const struct ha_incident *record = ha_view_at(m->view, HA_INCIDENT, i)->record;
        if (record != NULL && record->is_closed && record->n_steps > 0 &&
            m->events.incident != NULL &&
            u64_sub_sat(wall, record->opened_wall_ms + record->steps[record->n_steps - 1].at_ms) <
                HA_INCIDENT_RETOLD_MS) {
            m->events.incident(m->events.ctx, record);
        }
    }
    m->has_retold = true;
}

void ha_keeper_incidents(struct ha_keeper *m)
{
    struct ha_soft_incident **at = &m->incidents;

    incidents_retell(m);

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
