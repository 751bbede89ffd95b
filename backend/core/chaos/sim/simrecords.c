#include "core/chaos/sim/simrecords.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/base/say.h"
#include "core/ha/ha_fence.h"
#include "core/ha/ha_proof.h"
#include "core/ha/ha_restart.h"

void simrecords_init(struct simrecords *r)
{
    memset(r, 0, sizeof *r);
    ha_view_init(&r->view);
}

void simrecords_deinit(struct simrecords *r)
{
    ha_view_deinit(&r->view);
    mem_free(r->epochs);
}

/* --- epochs ----------------------------------------------------------------------------------- */

static struct simrecords_epoch *records_epoch_of(struct simrecords *r, const char *vm)
{
    for (size_t i = 0; i < r->n_epochs; i++) {
        if (strcmp(r->epochs[i].vm, vm) == 0) {
            return &r->epochs[i];
        }
    }
    mem_grow((void **)&r->epochs, &r->cap, r->n_epochs + 1, sizeof *r->epochs);
    struct simrecords_epoch *epoch = &r->epochs[r->n_epochs++];
    memset(epoch, 0, sizeof *epoch);
    ha_text_set(epoch->vm, sizeof epoch->vm, vm);
    return epoch;
}

/* The rules see two records; that of a machine which was deleted and made anew has none before
 * it, and its epochs are above those of the one before all the same. */
static const char *records_epoch_judge(struct simrecords *r, const struct ha_owner *before,
                                       const struct ha_owner *after)
{
    struct simrecords_epoch *known = records_epoch_of(r, after->vm);
    const uint64_t of_before = before != NULL ? before->epoch : 0;
    const bool is_used =
        after->epoch > 0 && after->epoch != of_before && after->epoch <= known->epoch;

    known->epoch = u64_max(known->epoch, after->epoch);
    return is_used ? "its epoch was used by an earlier machine of the name" : NULL;
}

/* --- telling ---------------------------------------------------------------------------------- */

static void say_owner(struct buf *text, const struct ha_owner *o)
{
    if (o == NULL) {
        say(text, "(none)");
        return;
    }
    say(text, ha_phase_name(o->phase));
    say(text, " on ");
    say(text, o->host);
    say(text, ", epoch ");
    say_u64(text, o->epoch);
    say(text, ", term ");
    say_u64(text, o->term);
    say(text, ", proof ");
    say(text, ha_proof_name(o->proof));
    say(text, ", failures ");
    say_u64(text, o->failures);
    say(text, ", restarts ");
    say_u64(text, o->restarts);
}

static void say_fate(struct buf *text, const struct ha_fate *f)
{
    if (f == NULL) {
        say(text, "(none)");
        return;
    }
    say(text, ha_fate_phase_name(f->phase));
    say(text, ", proof ");
    say(text, ha_proof_name(f->proof));
    say(text, ", incident ");
    say(text, f->incident);
    say(text, ", term ");
    say_u64(text, f->term);
    say(text, ", losses ");
    say_u64(text, f->losses);
    say(text, f->is_quarantined ? ", quarantined" : "");
}

static void records_tell(struct simrecords *r, struct buf *text, uint64_t revision)
{
    say(text, ", at revision ");
    say_u64(text, revision);
    ha_text_set(r->text, sizeof r->text, say_end(text));
    buf_deinit(text);
}

/* --- judging ---------------------------------------------------------------------------------- */

static const char *owner_judge(struct simrecords *r, const struct ha_owner *before,
                               const struct ha_entry *entry, uint64_t revision)
{
    const struct ha_owner *after = entry != NULL ? entry->record : NULL;
    const char *fault = ha_owner_may_follow(before, after);
    struct buf text;

    if (entry != NULL && after == NULL) {
        fault = "it cannot be read";
    } else if (after != NULL) {
        const char *used = records_epoch_judge(r, before, after);
        fault = fault != NULL ? fault : used;
    }
    if (fault == NULL) {
        return NULL;
    }
    buf_init(&text);
    say(&text, "an owner's record: ");
    say(&text, fault);
    say(&text, ": of ");
    say(&text, after != NULL ? after->vm : before != NULL ? before->vm : entry->key.name);
    say(&text, ", ");
    say_owner(&text, before);
    say(&text, " -> ");
    say_owner(&text, after);
    records_tell(r, &text, revision);
    return "I46";
}

static const char *fate_judge(struct simrecords *r, const struct ha_fate *before,
                              const struct ha_entry *entry, uint64_t revision)
{
    const struct ha_fate *after = entry != NULL ? entry->record : NULL;
    const char *fault = ha_fate_may_follow(before, after);
    struct buf text;

    if (entry != NULL && after == NULL) {
        fault = "it cannot be read";
    }
    if (fault == NULL) {
        return NULL;
    }
    buf_init(&text);
    say(&text, "a host's fate: ");
    say(&text, fault);
    say(&text, ": of ");
    say(&text, after != NULL ? after->host : before != NULL ? before->host : entry->key.name);
    say(&text, ", ");
    say_fate(&text, before);
    say(&text, " -> ");
    say_fate(&text, after);
    records_tell(r, &text, revision);
    return "I47";
}

/* --- storms ----------------------------------------------------------------------------------- */

struct records_hour {
    const struct simrecords *records;
    nanos now;
};

/* As long as a leader counts it, on a clock that may be a little fast. */
static bool storm_is_settled(void *ctx, const char *host)
{
    const struct records_hour *hour = ctx;
    const struct ha_view *view = &hour->records->view;
    const struct ha_entry *entry = ha_view_find(view, HA_FATE, host, NULL);
    const struct ha_settings *settings = ha_view_settings(view);
    const uint64_t storm_s = (settings != NULL ? settings : &view->defaults)->storm_s;

    return entry != NULL && hour->now - entry->mark >= storm_s * NANOS_PER_S / 100 * 99;
}

/* A leader has decided somewhat before its transaction is committed, on what there was then. */
#define STORM_GRACE NANOS_PER_S

static void storm_look(struct simrecords *r, nanos now, struct ha_storm *ret)
{
    struct records_hour hour = {r, now};

    ha_storm_of(&r->view, storm_is_settled, &hour, ret);
    if (ret->cap >= r->storm_cap || now >= r->storm_at + STORM_GRACE) {
        r->storm_cap = ret->cap;
        r->storm_at = now;
    }
}

/* `storm` is as it was before. */
static const char *storm_judge(struct simrecords *r, const struct ha_fate *before,
                               const struct ha_storm *storm, const struct ha_fate *after)
{
    const bool begins = after != NULL && after->phase == HA_HOST_FENCING && !after->is_asked &&
                        (before == NULL || before->phase != HA_HOST_FENCING);
    struct buf text;

    if (!begins || storm->fenced < r->storm_cap) {
        return NULL;
    }
    buf_init(&text);
    say(&text, "more hosts are fenced at a time than a storm's cap allows: ");
    say(&text, after->host);
    say(&text, " beside ");
    say_u64(&text, storm->fenced);
    say(&text, " of ");
    say_u64(&text, storm->hosts);
    ha_text_set(r->text, sizeof r->text, say_end(&text));
    buf_deinit(&text);
    return "I45";
}

/* --- the view --------------------------------------------------------------------------------- */

static const struct ha_entry *records_find(const struct simrecords *r, const struct ha_key *key)
{
    return ha_view_find(&r->view, key->kind, key->name, NULL);
}

static void records_take(struct simrecords *r, const struct simrecords_change *change)
{
    if (change->is_delete) {
        ha_view_delete(&r->view, change->key, change->revision);
    } else {
        ha_view_put(&r->view, change->key, change->value, change->revision, change->revision);
    }
}

static const char *owner_changed(struct simrecords *r, const struct ha_key *key,
                                 const struct simrecords_change *change)
{
    const struct ha_owner *known = ha_view_owner(&r->view, key->name);
    const bool had = known != NULL;
    struct ha_owner before;
    struct ha_storm storm;

    if (had) {
        before = *known;
        storm_look(r, change->now, &storm); /* it may leave a host that counts for it */
    }
    records_take(r, change);
    r->judged++;
    return owner_judge(r, had ? &before : NULL, records_find(r, key), change->revision);
}

static const char *fate_changed(struct simrecords *r, const struct ha_key *key,
                                const struct simrecords_change *change)
{
    const struct ha_entry *entry = records_find(r, key);
    const nanos since = entry != NULL ? entry->mark : change->now;
    const struct ha_fate *known = ha_view_fate(&r->view, key->name);
    const bool had = known != NULL;
    struct ha_fate before;
    struct ha_storm storm;

    if (had) {
        before = *known;
    }
    storm_look(r, change->now, &storm);
    records_take(r, change);
    r->judged++;
    struct ha_entry *now = ha_view_find(&r->view, HA_FATE, key->name, NULL);
    const struct ha_fate *after = now != NULL ? now->record : NULL;
    if (now != NULL) {
        now->mark = had && after != NULL && before.phase == after->phase ? since : change->now;
    }
    const char *broken = fate_judge(r, had ? &before : NULL, now, change->revision);
    return broken != NULL ? broken : storm_judge(r, had ? &before : NULL, &storm, after);
}

const char *simrecords_changed(struct simrecords *r, const struct simrecords_change *change)
{
    struct ha_key key;

    if (ha_key_parse(change->key, &key) != OK) {
        return NULL;
    }
    if (key.kind == HA_OWNER) {
        return owner_changed(r, &key, change);
    }
    if (key.kind == HA_FATE) {
        return fate_changed(r, &key, change);
    }
    if (key.kind == HA_HOST || key.kind == HA_AGENT || key.kind == HA_SETTINGS) {
        records_take(r, change);
    }
    return NULL;
}
