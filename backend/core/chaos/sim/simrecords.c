#include "core/chaos/sim/simrecords.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/base/say.h"
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

static const struct ha_entry *records_find(const struct simrecords *r, const struct ha_key *key)
{
    return ha_view_find(&r->view, key->kind, key->name, NULL);
}

const char *simrecords_changed(struct simrecords *r, struct bytes key, struct bytes value,
                               bool is_delete, uint64_t revision)
{
    struct ha_owner owner;
    struct ha_fate fate;
    struct ha_key parsed;

    if (ha_key_parse(key, &parsed) != OK || (parsed.kind != HA_OWNER && parsed.kind != HA_FATE)) {
        return NULL;
    }
    const struct ha_entry *entry = records_find(r, &parsed);
    const bool had = entry != NULL && entry->record != NULL;
    if (had && parsed.kind == HA_OWNER) {
        memcpy(&owner, entry->record, sizeof owner);
    } else if (had) {
        memcpy(&fate, entry->record, sizeof fate);
    }
    if (is_delete) {
        ha_view_delete(&r->view, key, revision);
    } else {
        ha_view_put(&r->view, key, value, revision, revision);
    }
    r->judged++;
    entry = records_find(r, &parsed);
    return parsed.kind == HA_OWNER ? owner_judge(r, had ? &owner : NULL, entry, revision)
                                   : fate_judge(r, had ? &fate : NULL, entry, revision);
}
