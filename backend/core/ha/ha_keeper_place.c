/*
 * Where machines start, and in which order. A machine gets its host and its next epoch in one
 * transaction, which is guarded by everything that it was decided on: its own records, and the
 * fates of the host that it comes from and of the one that it goes to.
 */
#include <string.h>

#include "core/base/mem.h"
#include "core/base/say.h"
#include "core/ha/ha_keeper_int.h"

/* --- the ledger ---------------------------------------------------------------------------------
 */

void ha_keeper_ledger_end(struct ha_keeper *m)
{
    if (m->has_ledger) {
        ha_ledger_deinit(&m->ledger);
        m->has_ledger = false;
    }
}

/* Of the view, with what is under way and not in it yet. */
struct ha_ledger *ha_keeper_ledger(struct ha_keeper *m)
{
    size_t hosts = ha_view_count(m->view, HA_HOST);

    if (m->has_ledger) {
        return &m->ledger;
    }
    mem_grow((void **)&m->seen, &m->seen_cap, hosts + 1, sizeof(*m->seen));
    m->n_seen = ha_keeper_seen(m, m->seen, hosts);
    ha_ledger_init(&m->ledger, m->view, m->seen, m->n_seen);
    m->has_ledger = true;
    for (size_t i = 0; i < m->n_vms; i++) {
        const struct ha_soft_vm *s = m->vms[i];
        if (ha_hold_is_open(m, &s->hold) && s->going_to[0] != '\0') {
            ha_ledger_take(&m->ledger, s->name, s->going_to);
        }
        if (ha_hold_is_open(m, &s->hold) && s->coming_to[0] != '\0') {
            ha_ledger_come(&m->ledger, s->name, s->coming_to);
        }
    }
    return &m->ledger;
}

/* --- a start ------------------------------------------------------------------------------------
 */

void ha_place_start(struct ha_keeper *m, struct ha_soft_vm *s, const struct ha_vm *vm,
                    const struct ha_owner *before, const char *host, enum ha_proof proof)
{
    const struct ha_storage *storage = ha_view_storage(m->view, vm->storage);
    struct ha_deed *d = ha_deed_new(m);
    struct ha_owner owner;
    struct buf detail;
    bool is_restart = before != NULL && before->phase == HA_RESTARTING;

    ha_owner_copy(m, s->name, &owner);
    if (vm->start_count > owner.start_count) {
        ha_restart_asked(&owner, vm->start_count);
    }
    if (is_restart || (before != NULL && before->epoch > 0 && before->phase != HA_STOPPED)) {
        ha_restart_begun(&owner, host);
    }
    ha_deed_guard(d, HA_OWNER, s->name, NULL);
    ha_deed_guard(d, HA_VM, s->name, NULL);
    ha_deed_guard(d, HA_FATE, host, NULL);
    if (vm->storage[0] != '\0') {
        ha_deed_guard(d, HA_STORAGE, vm->storage, NULL);
    }
    if (before != NULL && before->host[0] != '\0' && strcmp(before->host, host) != 0) {
        ha_deed_guard(d, HA_FATE, before->host, NULL);
    }
    if (owner.epoch == 0) {
        /* Above each epoch of an earlier machine of this name, whose reports and locks may be
         * about: each start of it took a revision of its own. */
        owner.epoch = m->view->revision;
    }
    owner.epoch = ha_owner_issued(&owner) + 1;
    owner.phase = HA_STARTING;
    /* Nobody else can open what is on a host's own disk: to end it with the lease helps nobody. */
    owner.policy = vm->storage[0] == '\0' ? HA_POLICY_KEEP : vm->policy;
    ha_owner_set_disk(&owner, vm, storage);
    owner.proof = proof;
    owner.reason[0] = '\0';
    ha_text_set(owner.host, sizeof(owner.host), host);
    ha_deed_put(d, HA_OWNER, &owner);
    if (vm->move_to[0] != '\0') {
        struct ha_vm moved = *vm; /* the wish is fulfilled, or overtaken */
        moved.move_to[0] = '\0';
        moved.moves_offline = false;
        ha_deed_put(d, HA_VM, &moved);
    }
    buf_init(&detail);
    say(&detail, "epoch ");
    say_u64(&detail, owner.epoch);
    if (proof != HA_PROOF_NONE) {
        say(&detail, ", by proof: ");
        say(&detail, ha_proof_name(proof));
    }
    ha_event_put(d, is_restart ? "vm-restarting" : "vm-placed", host, s->name, owner.incident,
                 say_end(&detail));
    ha_incident_vm(m, owner.incident, "placed", s->name, host, owner.epoch);
    buf_deinit(&detail);
    ha_deed_hold(d, &s->hold);
    d->vm = s;
    ha_text_set(s->going_to, sizeof(s->going_to), host);
    m->figures.placements++;
    ha_ledger_take(&m->ledger, s->name, host);
    ha_deed_submit(d);
}

/* --- why not ------------------------------------------------------------------------------------
 */

static bool place_is_rate(const struct ha_verdict *verdicts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (verdicts[i].why == HA_NOT_RATE) {
            return true;
        }
    }
    return false;
}

static void place_why_not(const struct ha_keeper *m, const struct ha_verdict *verdicts, size_t n,
                          struct buf *text)
{
    say(text, n == 0 ? "there is no host: apply one" : "no host fits: ");
    for (size_t i = 0; i < n && text->len < HA_TEXT_BYTES; i++) {
        say(text, i > 0 ? "; " : "");
        ha_verdict_tell(ha_view_at(m->view, HA_HOST, i)->key.name, &verdicts[i], text);
    }
}

/* Is it started anew? Not one that recovers, restarts or moves, whose room is its own, however
 * often it was asked for meanwhile. While such a one waits its record has the proof by which it has
 * left its host; who waits anew has none. */
static bool place_is_anew(const struct ha_owner *before)
{
    return before == NULL || before->epoch == 0 || before->phase == HA_STOPPED ||
           (before->phase == HA_WAITING && before->proof == HA_PROOF_NONE);
}

/* It waits: in WAITING, with the reason. One that a proof has freed leaves its host all the same.
 */
static void place_wait(struct ha_keeper *m, struct ha_soft_vm *s, const struct ha_owner *before,
                       enum ha_proof proof, const char *reason)
{
    struct ha_owner owner;
    char text[HA_TEXT_BYTES];

    ha_text_set(text, sizeof(text), reason);
    if (before != NULL && before->phase == HA_WAITING &&
        (strcmp(before->reason, text) == 0 || !ha_owner_may_explain(m, s))) {
        return;
    }
    ha_owner_copy(m, s->name, &owner);
    owner.phase = HA_WAITING;
    owner.host[0] = '\0';
    owner.proof = place_is_anew(before) ? HA_PROOF_NONE : proof;
    memcpy(owner.reason, text, sizeof(owner.reason));
    ha_owner_write(m, s, &owner, before != NULL && before->phase == HA_WAITING ? "" : "vm-waits",
                   text);
}

/* Room in reserve is asked for where a machine is started anew. True: it may start there. */
static bool place_is_admitted(struct ha_keeper *m, const struct ha_vm *vm,
                              const struct ha_owner *before, const char *host, struct buf *text)
{
    struct ha_losses losses;

    if (!place_is_anew(before) || m->settings.spare_hosts == 0 ||
        ha_place_admits(ha_keeper_ledger(m), vm->name, host, HA_ADMISSION_BUDGET, &losses)) {
        return true;
    }
    say(text, "it fits on ");
    say(text, host);
    say(text, ", but then only ");
    say_u64(text, losses.survived);
    say(text, " hosts could be lost, and ");
    say_u64(text, m->settings.spare_hosts);
    say(text, " are to be kept in reserve (settings: spare_hosts)");
    return false;
}

/* --- choice -------------------------------------------------------------------------------------
 */

/* Where it was asked for first; then, after a failure, where it was or not, as its rule says; then
 * anywhere. */
static const char *place_choose(struct ha_keeper *m, const struct ha_vm *vm,
                                const struct ha_owner *before, struct ha_verdict *verdicts)
{
    const struct ha_ledger *l = ha_keeper_ledger(m);
    struct ha_place_ask ask = {0};
    const char *host = NULL;

    if (vm->move_to[0] != '\0') {
        ask.only = vm->move_to;
        host = ha_place_find(l, vm, &ask, verdicts);
    } else if (before != NULL && before->phase == HA_RESTARTING) {
        bool is_elsewhere = vm->restart.here_max > 0 && before->here >= vm->restart.here_max;
        ask.avoid = is_elsewhere ? before->host : NULL;
        ask.only = is_elsewhere ? NULL : before->host;
        host = ha_place_find(l, vm, &ask, verdicts);
    }
    if (host == NULL) {
        ask = (struct ha_place_ask){0};
        host = ha_place_find(l, vm, &ask, verdicts);
    }
    return host;
}

static void place_one(struct ha_keeper *m, struct ha_soft_vm *s, const struct ha_vm *vm,
                      const struct ha_owner *before, enum ha_proof proof)
{
    size_t n = ha_view_count(m->view, HA_HOST);
    struct ha_verdict *verdicts = mem_alloc_zero((n + 1) * sizeof(*verdicts));
    const char *other = NULL;
    enum ha_wait wait = ha_place_waits(ha_keeper_ledger(m), vm, &other);
    struct buf text;

    buf_init(&text);
    if (wait != HA_WAIT_NOT) {
        say(&text, wait == HA_WAIT_CIRCLE ? "it waits for itself, by way of " : "it waits for ");
        say(&text, other != NULL ? other : "a machine that there is not");
        place_wait(m, s, before, proof, say_end(&text));
    } else {
        const char *host = place_choose(m, vm, before, verdicts);
        if (host != NULL && !place_is_admitted(m, vm, before, host, &text)) {
            place_wait(m, s, before, proof, say_end(&text));
        } else if (host != NULL) {
            ha_place_start(m, s, vm, before, host, proof);
        } else if (!place_is_rate(verdicts, n) &&
                   (before == NULL || before->phase != HA_RESTARTING)) {
            place_why_not(m, verdicts, n, &text);
            place_wait(m, s, before, proof, say_end(&text));
        }
    }
    buf_deinit(&text);
    mem_free(verdicts);
}

/* --- who ----------------------------------------------------------------------------------------
 */

/* May it start now, somewhere? `*proof`: by which it leaves where it was. */
static bool place_is_due(struct ha_keeper *m, struct ha_soft_vm *s, const struct ha_vm *vm,
                         const struct ha_owner *owner, enum ha_proof *proof)
{
    struct ha_ruling ruling;

    *proof = owner != NULL ? owner->proof : HA_PROOF_NONE;
    if (!vm->is_wanted || !ha_hold_is_free(m, &s->hold)) {
        return false;
    }
    if (owner == NULL || owner->phase == HA_WAITING || owner->phase == HA_STOPPED) {
        return true;
    }
    if (owner->phase == HA_RESTARTING) {
        nanos due = u64_add_sat(s->phase_at, s->delay);
        *proof = HA_PROOF_STOPPED;
        if (m->now < due && vm->start_count <= owner->start_count) {
            ha_keeper_want(m, due);
            return false;
        }
        return true;
    }
    if (owner->phase != HA_RECOVERING) {
        return false;
    }
    const struct ha_report *report = ha_view_report(m->view, owner->host, owner->vm);
    bool is_stopped =
        report != NULL && report->epoch == owner->epoch && report->state == HA_REPORT_STOPPED;
    if (!is_stopped && ha_keeper_fate(m, owner->host) == HA_HOST_UP) {
        return false; /* it stays where it is */
    }
    ha_keeper_rule(m, owner, &ruling);
    *proof = ruling.proof;
    return ruling.may_start;
}

/* Those that wait for a proof, or for their delay, hold their room until then; those that may start
 * now are taken out, so that the order is of them all. */
void ha_keeper_place(struct ha_keeper *m)
{
    size_t n = ha_view_count(m->view, HA_VM);
    enum ha_proof *proofs;
    bool *due;
    bool any = false;

    if (n == 0) {
        return;
    }
    proofs = mem_alloc_zero(n * sizeof(*proofs));
    due = mem_alloc_zero(n * sizeof(*due));
    for (size_t i = 0; i < n; i++) {
        const struct ha_entry *entry = ha_view_at(m->view, HA_VM, i);
        const struct ha_entry *owned = ha_view_find(m->view, HA_OWNER, entry->key.name, NULL);
        const struct ha_vm *vm = entry->record;
        if (vm == NULL || (owned != NULL && owned->record == NULL)) {
            continue;
        }
        const struct ha_owner *owner = owned != NULL ? owned->record : NULL;
        due[i] = place_is_due(m, ha_soft_vm_get(m, entry->key.name), vm, owner, &proofs[i]);
        any = any || due[i];
    }
    if (any) {
        size_t *order = mem_alloc_zero(n * sizeof(*order));
        struct ha_ledger *l = ha_keeper_ledger(m);
        for (size_t i = 0; i < n; i++) {
            if (due[i]) {
                ha_ledger_release(l, ha_view_at(m->view, HA_VM, i)->key.name);
            }
        }
        size_t count = ha_place_order(l, order);
        for (size_t i = 0; i < count; i++) {
            const struct ha_vm *vm = ha_view_at(m->view, HA_VM, order[i])->record;
            if (vm != NULL && due[order[i]]) {
                place_one(m, ha_soft_vm_get(m, vm->name), vm, ha_view_owner(m->view, vm->name),
                          proofs[order[i]]);
            }
        }
        mem_free(order);
        ha_keeper_ledger_end(m); /* those that found no place have theirs again */
    }
    mem_free(proofs);
    mem_free(due);
}
