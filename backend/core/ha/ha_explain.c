#include "core/ha/ha_explain.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/say.h"
#include "core/ha/ha_ladder_view.h"
#include "core/ha/ha_place_int.h"
#include "core/ha/ha_proof.h"

/* Several parts, the last of them NULL, and a new line. */
static void tell_line(struct buf *text, const char *const *parts)
{
    for (; *parts != NULL; parts++) {
        say(text, *parts);
    }
    say(text, "\n");
}

#define TELL(text, ...) tell_line(text, (const char *const[]){__VA_ARGS__, NULL})

/* "label: text", where there is a text. */
static void tell_if(struct buf *text, const char *label, const char *what)
{
    if (what[0] != '\0') {
        TELL(text, label, what);
    }
}

static void tell_count(struct buf *text, const char *before, uint64_t count, const char *after)
{
    say(text, before);
    say_u64(text, count);
    say(text, after);
}

/* What cannot be read, or is not there. True: that was all there is to say. */
static bool tell_absence(const struct ha_view *view, enum ha_kind kind, const char *name,
                         const char *what, struct buf *text)
{
    const struct ha_entry *entry = ha_view_find(view, kind, name, NULL);

    if (entry == NULL) {
        TELL(text, "There is no ", what, " ", name, ".");
        return true;
    }
    if (entry->record == NULL) {
        TELL(text, "The record of ", name, " cannot be read, so that nothing is done about it.");
        TELL(text, "  ", entry->text, ": ", entry->why);
        return true;
    }
    return false;
}

/* --- a machine -------------------------------------------------------------------------------- */

/* Each host, and why not; but for one that is out of the question. NULL: none is. */
static void tell_verdicts(const struct ha_ledger *l, const struct ha_vm *vm, const char *avoid,
                          struct buf *text)
{
    const struct ha_look look = {.ask = {.avoid = avoid}, .ignores_room = false};
    uint32_t told = 0;

    if (l->n_rooms == 0) {
        TELL(text, "  there are no hosts; `novacron host apply` makes one");
    }
    for (uint32_t i = 0; i < l->n_rooms; i++) {
        struct ha_verdict v = ha_room_look(l, i, vm, &look);
        if (avoid == NULL || strcmp(avoid, l->rooms[i].name) != 0) {
            say(text, "  ");
            ha_verdict_tell(l->rooms[i].name, &v, text);
            say(text, "\n");
            told++;
        }
    }
    if (l->n_rooms > 0 && told == 0) {
        TELL(text, "  there is no other host");
    }
}

static void tell_yield(const struct ha_ledger *l, const struct ha_vm *vm, struct buf *text)
{
    struct ha_yield yield;

    ha_place_yield(l, vm, &yield);
    if (yield.n == 0) {
        return;
    }
    say(text, "It would fit on ");
    say(text, yield.host);
    say(text, " without machines of lower priority:");
    for (uint32_t i = 0; i < yield.n; i++) {
        say(text, i > 0 ? ", " : " ");
        say(text, yield.vm[i]);
    }
    say(text, ".\n");
}

/* Why a machine that should run has no host. */
static void tell_waiting(const struct ha_ledger *l, const struct ha_vm *vm, struct buf *text)
{
    const struct ha_place_ask ask = {0};
    const char *other;

    switch (ha_place_waits(l, vm, &other)) {
    case HA_WAIT_NOT:
        break;
    case HA_WAIT_AFTER:
        TELL(text, vm->name, " waits for ", other, ", which does not run yet.");
        return;
    case HA_WAIT_UNWANTED:
        TELL(text, vm->name, " waits for ", other, ", which is stopped or has failed.");
        TELL(text, "Start it: `novacron vm start ", other, "`; or take it out of `after`.");
        return;
    case HA_WAIT_MISSING:
        TELL(text, vm->name, " waits for ", other, ", which there is not.");
        TELL(text, "Take it out of `after`, or apply it.");
        return;
    case HA_WAIT_CIRCLE:
        TELL(text, vm->name, " waits for itself, by way of ", other, ".");
        TELL(text, "Take one of them out of `after`.");
        return;
    }
    const char *host = ha_place_find(l, vm, &ask, NULL);
    if (host != NULL) {
        TELL(text, vm->name, " does not run yet; it would be started on ", host, ".");
        return;
    }
    TELL(text, vm->name, " does not run: no host fits.");
    tell_verdicts(l, vm, NULL, text);
    tell_yield(l, vm, text);
}

/* What is known of a lost host, by the records alone: times are the leader's. */
static struct ha_evidence evidence_of_view(const struct ha_view *view, const struct ha_owner *owner)
{
    const struct ha_fate *fate = ha_view_fate(view, owner->host);
    const struct ha_host *host = ha_view_host(view, owner->host);
    const struct ha_agent_record *agent = ha_view_agent(view, owner->host);
    const struct ha_report *report = ha_view_report(view, owner->host, owner->vm);
    const struct ha_confirmed *confirmed = ha_view_confirmed(view, owner->host);
    bool has_stopped = report != NULL && report->state == HA_REPORT_STOPPED;

    return (struct ha_evidence){
        .is_barred = fate != NULL && fate->phase != HA_HOST_UP,
        .is_bare_metal = host != NULL && host->is_bare_metal,
        .watchdog = agent != NULL ? agent->watchdog : WORLD_WATCHDOG_NONE,
        .watchdog_timeout = agent != NULL ? agent->watchdog_ms * NANOS_PER_MS : 0,
        .stopped_epoch = has_stopped ? report->epoch : 0,
        .is_confirmed = confirmed != NULL && fate != NULL && fate->incident[0] != '\0' &&
                        strcmp(confirmed->incident, fate->incident) == 0,
    };
}

static void tell_fate(const struct ha_fate *fate, struct buf *text)
{
    if (fate == NULL || fate->phase == HA_HOST_UP) {
        return;
    }
    say(text, fate->host);
    say(text, " is ");
    say(text, ha_fate_phase_name(fate->phase));
    if (fate->phase == HA_HOST_GONE) {
        say(text, ", by the proof `");
        say(text, ha_proof_name(fate->proof));
        say(text, "`");
    }
    say(text, fate->reason[0] != '\0' ? ": " : ".");
    say(text, fate->reason);
    say(text, "\n");
}

/* Why a machine whose host is lost is not started elsewhere, and what would resolve it. */
static void tell_recovering(const struct ha_ledger *l, const struct ha_owner *owner,
                            struct buf *text)
{
    const struct ha_vm *vm = ha_view_vm(l->view, owner->vm);
    const struct ha_storage *storage = ha_view_storage(l->view, vm->storage);
    const struct ha_evidence evidence = evidence_of_view(l->view, owner);
    const struct ha_claim claim = {
        .policy = owner->policy,
        .epoch = owner->epoch,
        .lease = l->settings.lease_ms * NANOS_PER_MS,
        .flight = storage != NULL ? storage->flight_ms * NANOS_PER_MS : HA_SPAN_MAX,
        .drift_ppm = l->settings.drift_ppm,
    };
    struct ha_ruling ruling;

    TELL(text, owner->vm, " may still run on ", owner->host,
         ", and is not started elsewhere before the opposite is proved.");
    tell_fate(ha_view_fate(l->view, owner->host), text);
    ha_proof_rule(&evidence, &claim, &ruling);
    TELL(text, ha_missing_text(ruling.missing));
    TELL(text, ha_missing_remedy(ruling.missing));
}

/* "web is running on node-a, in epoch 7." */
static void tell_place(const struct ha_owner *owner, struct buf *text)
{
    say(text, owner->vm);
    say(text, " is ");
    say(text, ha_phase_name(owner->phase));
    say(text, " on ");
    say(text, owner->host);
    tell_count(text, ", in epoch ", owner->epoch, ".\n");
}

/* The rungs of its ladder that are bad, from the lowest. */
static void tell_ladder(const struct ha_view *view, const struct ha_vm *vm, struct buf *text)
{
    struct ha_ladder_view ladder;

    ha_ladder_look(view, vm, &ladder);
    if (ladder.first_bad != NULL) {
        TELL(text, "It is not well (`novacron health ", vm->name, "`):");
    }
    for (int i = 1; i < HA_LADDER_LINES; i++) { /* of the process its phase tells */
        const struct ha_ladder_line *line = &ladder.lines[i];
        if (line->state == HA_RUNG_BAD) {
            TELL(text, "  ", line->name, ": ", line->answer, "; ", line->then, ".");
        }
    }
}

/* What its agent sees of it, where that is not well. */
static void tell_report(const struct ha_view *view, const struct ha_owner *owner, struct buf *text)
{
    const struct ha_report *report = ha_view_report(view, owner->host, owner->vm);

    if (report != NULL && report->epoch == owner->epoch && report->state == HA_REPORT_RUNS) {
        tell_if(text, "Its agent says: ", report->detail);
    }
}

/* The move that somebody has asked for, and what is in its way. */
static void tell_move(const struct ha_ledger *l, const struct ha_vm *vm,
                      const struct ha_owner *owner, struct buf *text)
{
    const struct ha_place_ask ask = {.only = vm->move_to};
    struct ha_verdict *verdicts = NULL;
    size_t at = 0;

    if (vm->move_to[0] == '\0' || strcmp(vm->move_to, owner->host) == 0) {
        return;
    }
    while (at < l->n_rooms && strcmp(l->rooms[at].name, vm->move_to) != 0) {
        at++;
    }
    if (at == l->n_rooms) {
        TELL(text, "It is to move to ", vm->move_to, ", and there is no such host.");
        return;
    }
    verdicts = mem_alloc_zero(l->n_rooms * sizeof(*verdicts));
    if (ha_place_find(l, vm, &ask, verdicts) != NULL) {
        TELL(text, "It is to move to ", vm->move_to, ".");
    } else {
        TELL(text, "It is to move to ", vm->move_to, ", and stays here until it fits there:");
        say(text, "  ");
        ha_verdict_tell(vm->move_to, &verdicts[at], text);
        say(text, "\n");
    }
    mem_free(verdicts);
}

/* Where it would go if its host were lost. */
static void tell_refuge(const struct ha_ledger *l, const struct ha_vm *vm, const char *host,
                        struct buf *text)
{
    const struct ha_place_ask ask = {.avoid = host};

    if (vm->storage[0] == '\0') {
        TELL(text, "It is not protected: its disk is ", host, "'s own.");
        return;
    }
    const char *refuge = ha_place_find(l, vm, &ask, NULL);
    if (refuge != NULL) {
        TELL(text, "If ", host, " were lost, it would come back on ", refuge, ".");
    } else {
        TELL(text, "If ", host, " were lost, no other host would fit:");
        tell_verdicts(l, vm, host, text);
    }
}

static void tell_counters(const struct ha_vm *vm, const struct ha_owner *owner, struct buf *text)
{
    if (owner->restarts == 0 && owner->failures == 0) {
        return;
    }
    tell_count(text, "It was started anew ", owner->restarts,
               owner->restarts == 1 ? " time; " : " times; ");
    tell_count(text, "", owner->failures, owner->failures == 1 ? " failure of " : " failures of ");
    tell_count(text, "", vm->restart.limit,
               owner->failures == 1 ? " counts at present.\n" : " count at present.\n");
}

static void tell_moves(const struct ha_owner *owner, struct buf *text)
{
    if (owner->moves == 0) {
        return;
    }
    say(text, "It was moved while it ran ");
    say_u64(text, owner->moves);
    say(text, " times, last from ");
    say(text, owner->moved_from);
    tell_count(text, ", in ", owner->move_ms, " ms; its guest stood still for ");
    tell_count(text, "", owner->move_pause_ms, " ms.\n");
}

static void tell_phase(const struct ha_ledger *l, const struct ha_vm *vm,
                       const struct ha_owner *owner, struct buf *text)
{
    switch (owner->phase) {
    case HA_WAITING:
        tell_waiting(l, vm, text);
        break;
    case HA_STARTING:
    case HA_RUNNING:
        tell_place(owner, text);
        tell_ladder(l->view, vm, text);
        tell_report(l->view, owner, text);
        tell_move(l, vm, owner, text);
        tell_refuge(l, vm, owner->host, text);
        break;
    case HA_MOVING:
        tell_place(owner, text);
        TELL(text, "It is being moved to ", owner->to, ", while it runs; ",
             owner->port == 0 ? "no machine waits for it there yet." : "its guest is being sent.");
        tell_refuge(l, vm, owner->host, text);
        break;
    case HA_STOPPING:
        tell_place(owner, text);
        tell_report(l->view, owner, text);
        break;
    case HA_RESTARTING:
        TELL(text, owner->vm, " has ended on ", owner->host, ", and is to be started again.");
        tell_waiting(l, vm, text);
        break;
    case HA_STOPPED:
        if (vm->is_wanted) {
            tell_waiting(l, vm, text);
        } else {
            TELL(text, vm->name, " is stopped, as is wanted.");
        }
        break;
    case HA_RECOVERING:
        tell_recovering(l, owner, text);
        break;
    case HA_FAILED:
        TELL(text, vm->name, " has failed, and is not started any more.");
        TELL(text, "Find the cause, then: `novacron vm start ", vm->name, "`.");
        break;
    case HA_PHASES:
        CHECK_UNREACHABLE("a phase");
    }
    tell_counters(vm, owner, text);
    tell_moves(owner, text);
    tell_if(text, "Reason: ", owner->reason);
    tell_if(text, "Incident: ", owner->incident);
}

void ha_explain_vm(const struct ha_ledger *l, const char *name, struct buf *text)
{
    const struct ha_entry *entry = ha_view_find(l->view, HA_OWNER, name, NULL);

    if (tell_absence(l->view, HA_VM, name, "machine", text)) {
        return;
    }
    const struct ha_vm *vm = ha_view_vm(l->view, name);
    if (entry != NULL && entry->record == NULL) {
        TELL(text, "Who runs ", name, " cannot be read, so that it is left as it is.");
        TELL(text, "  ", entry->text, ": ", entry->why);
    } else if (entry != NULL) {
        tell_phase(l, vm, entry->record, text);
    } else if (vm->is_wanted) {
        tell_waiting(l, vm, text);
    } else {
        TELL(text, name, " is stopped, as is wanted.");
    }
}

/* --- a host ----------------------------------------------------------------------------------- */

static void tell_levels(const struct ha_host *host, struct buf *text)
{
    for (uint32_t i = 0; i < host->n_levels; i++) {
        say(text, i > 0 ? "; then " : "Fenced by ");
        for (uint32_t j = 0; j < host->levels[i].n; j++) {
            say(text, j > 0 ? " and " : "");
            say(text, host->levels[i].device[j]);
        }
    }
    say(text, host->n_levels > 0 ? ".\n" : "");
}

/* What proves its loss without a person. */
static void tell_cover(const struct ha_room *room, struct buf *text)
{
    const struct ha_agent_record *agent = room->agent;
    bool has_watchdog =
        agent != NULL && agent->watchdog_ms > 0 &&
        (agent->watchdog == WORLD_WATCHDOG_READY || agent->watchdog == WORLD_WATCHDOG_ARMED);

    tell_levels(room->host, text);
    if (room->host->n_levels > 0 && !room->is_fence_tested) {
        TELL(text, "No level of its fence devices has been tested of late.");
    }
    if (has_watchdog) {
        tell_count(text, "A hardware watchdog resets it after ", agent->watchdog_ms, " ms");
        say(text, room->host->is_bare_metal
                      ? ".\n"
                      : ", which proves nothing as it is not declared bare metal.\n");
    }
    bool has_fence = room->host->n_levels > 0 && room->is_fence_tested;
    if (!has_fence && !(has_watchdog && room->host->is_bare_metal)) {
        TELL(text, "Nothing would prove its loss, so that no protected machine is placed there: "
                   "name a fence device in `levels`, or see to a hardware watchdog.");
    }
}

static void tell_room(const struct ha_ledger *l, const struct ha_room *room, struct buf *text)
{
    tell_count(text, "Machines take ", room->memory_taken, " of ");
    tell_count(text, "", room->memory_mib, " MiB, and ");
    tell_count(text, "", room->cpus_taken, " of ");
    tell_count(text, "", room->cpus * l->settings.cpu_percent / 100, " processors.\n");
    for (uint32_t i = 0; i < l->n_seats; i++) {
        const struct ha_seat *seat = &l->seats[i];
        if (seat->room != HA_NOBODY && &l->rooms[seat->room] == room) {
            TELL(text, "  ", seat->name, ": ", ha_phase_name(seat->phase));
        }
    }
}

/* Why nothing is placed there, whatever the machine; "": something may be. */
static const char *room_state_text(const struct ha_room *room)
{
    if (!room->host->is_enabled) {
        return "it is disabled";
    }
    if (room->is_quarantined) {
        return "it is quarantined, as it was lost too often of late";
    }
    if (!room->is_up) {
        return "it is not up";
    }
    if (room->is_tripped) {
        return "machines cannot be started there, and it is tried again after a while";
    }
    return room->agent == NULL ? "its agent has not said yet what it has" : "";
}

void ha_explain_host(const struct ha_ledger *l, const char *name, struct buf *text)
{
    const struct ha_fate *fate = ha_view_fate(l->view, name);
    const struct ha_entry *entry = ha_view_find(l->view, HA_FATE, name, NULL);

    if (tell_absence(l->view, HA_HOST, name, "host", text)) {
        return;
    }
    const struct ha_room *room = &l->rooms[ha_room_index(l, name)];
    const char *hindrance = room_state_text(room);
    if (hindrance[0] != '\0') {
        TELL(text, name, " gets no machines: ", hindrance, ".");
    } else {
        TELL(text, name, " is up", room->is_degraded ? ", but degraded: it is taken last." : ".");
    }
    if (entry != NULL && fate == NULL) {
        TELL(text, "What became of it cannot be read:");
        TELL(text, "  ", entry->text, ": ", entry->why);
    }
    tell_fate(fate, text);
    if (fate != NULL && fate->phase != HA_HOST_GONE && fate->phase != HA_HOST_UP) {
        TELL(text, "If it is off for certain, say so: `novacron host confirm-off ", name, "`.");
    }
    if (fate != NULL && fate->losses > 0) {
        tell_count(text, "It was lost ", fate->losses,
                   fate->losses == 1 ? " time of late.\n" : " times of late.\n");
    }
    tell_cover(room, text);
    tell_room(l, room, text);
}

/* --- what cannot be read ---------------------------------------------------------------------- */

void ha_explain_unreadable(const struct ha_view *view, struct buf *text)
{
    for (enum ha_kind kind = 0; kind <= HA_KINDS; kind++) {
        for (size_t i = 0; i < ha_view_count(view, kind); i++) {
            const struct ha_entry *entry = ha_view_at(view, kind, i);
            if (entry->record == NULL) {
                TELL(text, entry->text, ": ", entry->why);
            }
        }
    }
    if (view->is_incomplete) {
        TELL(text, HA_PREFIX,
             ": there are more records than a member takes in; nothing is decided "
             "before some are deleted");
    }
}
