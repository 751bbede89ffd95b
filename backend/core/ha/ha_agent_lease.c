/*
 * The lease of this host: renewals go to whoever leads; what is granted is told to the guard first,
 * and relied on when the guard has it.
 *
 * Without a guard the lease is relied on at once: nothing then attests a watchdog, so nobody counts
 * on this host's silence, and the end of the lease is the agent's own affair.
 */
#include <string.h>

#include "core/base/mutant.h"
#include "core/ha/ha_agent_int.h"

/* How long it is belongs to its end: what is left of it is compared with that. */
static void lease_rely(struct ha_agent *a, nanos until, nanos lease)
{
    if (until > a->relied) {
        a->relied = until;
        a->relied_lease = lease;
    }
}

static void lease_expect(struct ha_agent *a)
{
    for (size_t i = 0; i < a->n_runs; i++) {
        struct ha_run *run = a->runs[i];
        run->is_expected = run->phase == HA_RUN_ALIVE && run->is_held;
    }
}

/* A guard that was started anew may lack a machine that it is counted on to end. A process ends,
 * and is taken, a moment before its exit, or its start, is told: so one answer says nothing, and
 * only those machines are counted that lived for all of two. */
static void lease_count(struct ha_agent *a, uint32_t machines)
{
    const uint32_t most = machines > a->guard_holds ? machines : a->guard_holds;
    uint32_t expected = 0;

    for (size_t i = 0; i < a->n_runs; i++) {
        struct ha_run *run = a->runs[i];
        const bool was_there = run->is_expected && run->phase == HA_RUN_ALIVE;
        run->answers = was_there ? (run->answers > 0 ? 2 : 1) : 0;
        expected += run->answers == 2;
    }
    a->is_guard_short = most < expected;
    a->guard_holds = machines;
}

static void lease_on_guard(struct world_guard_request *request)
{
    struct ha_agent *a = request->owner;

    a->is_guard_busy = false;
    a->is_guard_asked = true;
    if (request->result == ERR_CLOSED || request->result == ERR_TIMEOUT) {
        a->has_guard = false;
    } else {
        a->has_guard = true;
        a->watchdog = request->watchdog;
        a->watchdog_timeout = request->watchdog_timeout;
        lease_count(a, request->machines);
    }
    if (request->result == OK && request->op == WORLD_GUARD_LEASE) {
        lease_rely(a, request->until, a->guard_lease);
    } else if (request->result == OK && a->has_guard) {
        a->relied = u64_max(a->relied, request->lease_until);
    }
    ha_agent_due(a);
}

/* What this host attests has changed: by its guard, or by a machine that it does not hold. */
static void lease_tell(struct ha_agent *a)
{
    const bool has = ha_agent_has_hardware(a);
    const char *spoiler = a->has_reconciled ? ha_agent_spoiler(a) : NULL;
    const bool is_short = ha_agent_is_short(a);
    const bool is_hidden = spoiler != NULL || is_short;

    if (spoiler != NULL && !a->was_hidden) {
        ha_agent_say(a, "watchdog not attested", spoiler,
                     "it was started while there was no guard, and none holds it: stop it, and "
                     "start it again");
    } else if (is_short && !a->was_hidden) {
        ha_agent_say(a, "watchdog not attested", "",
                     "the guard holds fewer machines than were handed to it and live; they are "
                     "handed over again");
    } else if (!is_hidden && has != a->was_attested) {
        ha_agent_say(a, has ? "watchdog ready" : "watchdog lost", "",
                     ha_watchdog_name(a->watchdog));
    }
    a->was_hidden = is_hidden;
    a->was_attested = has;
}

/* The guard hears of each later end at once, and is asked every now and then what it is. */
static void lease_guard(struct ha_agent *a, nanos now)
{
    bool tells = a->lessee.until > a->guard_told && a->lessee.until > now;

    if (a->world->guard == NULL) {
        a->is_guard_asked = true;
        a->has_guard = false;
        return;
    }
    if (a->is_guard_busy) {
        return;
    }
    if (!tells && now < a->guard_at) {
        ha_agent_want(a, a->guard_at);
        return;
    }
    memset(&a->guard, 0, sizeof(a->guard));
    a->guard.op = tells ? WORLD_GUARD_LEASE : WORLD_GUARD_STATUS;
    a->guard.until = a->lessee.until;
    a->guard_lease = a->lessee.lease;
    a->guard.deadline = now + NANOS_PER_S;
    a->guard.done = lease_on_guard;
    a->guard.owner = a;
    lease_expect(a);
    a->guard_told = tells ? a->lessee.until : a->guard_told;
    a->guard_at = now + HA_GUARD_EVERY;
    ha_agent_want(a, a->guard_at);
    a->is_guard_busy = true;
    a->world->guard->submit(a->world->self, &a->guard);
}

static void lease_renew(struct ha_agent *a, nanos now)
{
    struct ha_leader leader = a->store->ops->leads(a->store->self);
    struct ha_note note;
    struct buf bytes;

    if (a->phase != HA_AGENT_SERVING || leader.leader == NODE_NONE) {
        return;
    }
    if (leader.leader == a->leader && now < a->renew_at) {
        ha_agent_want(a, a->renew_at);
        return;
    }
    a->leader = leader.leader;
    a->renew_at = now + ha_lessee_pace(&a->lessee);
    ha_agent_want(a, a->renew_at);
    memset(&note, 0, sizeof(note));
    note.kind = HA_NOTE_RENEW;
    ha_lessee_renew(&a->lessee, now, ha_agent_attested(a),
                    ha_agent_has_hardware(a) ? a->watchdog_timeout : 0, &note.as.renew);
    buf_init(&bytes);
    ha_note_encode(&note, &bytes);
    a->store->ops->note(a->store->self, leader.leader, buf_view(&bytes));
    buf_deinit(&bytes);
}

void ha_agent_lease_pass(struct ha_agent *a)
{
    nanos now = ha_agent_now(a);

    lease_guard(a, now);
    lease_tell(a);
    if (a->is_guard_asked && !a->has_guard && !a->is_guard_busy) {
        lease_rely(a, a->lessee.until, a->lessee.lease);
    }
    lease_renew(a, now);
}

void ha_agent_note(struct ha_agent *a, const struct ha_note *note)
{
    ha_lessee_clocks(&a->lessee, ha_agent_now(a), world_awake(a->world));
    if (a->phase != HA_AGENT_SERVING) {
        return;
    }
    if (note->kind == HA_NOTE_GRANT) {
        if (MUTANT(HA_LEASE_FROM_ANSWER)) {
            a->lessee.sent[note->as.grant.number % HA_RENEWALS_KEPT].noted = ha_agent_now(a);
        }
        (void)ha_lessee_granted(&a->lessee, &note->as.grant);
    } else if (note->kind == HA_NOTE_REFUSE) {
        bool was_refused = a->lessee.is_refused;
        ha_lessee_refused(&a->lessee, &note->as.refuse);
        if (a->lessee.is_refused && !was_refused) {
            ha_agent_say(a, "lease refused", "", ha_refusal_text(a->lessee.refusal));
        }
    }
    ha_agent_due(a);
}

void ha_agent_leader_changed(struct ha_agent *a)
{
    a->leader = NODE_NONE;
    ha_agent_due(a);
}

/* The view must have what the store had when the newest lease was granted: whatever was decided
 * about this host while it had none, it has seen then. */
bool ha_agent_may_start(const struct ha_agent *a)
{
    nanos now = ha_agent_now(a);

    return a->phase == HA_AGENT_SERVING && a->has_reconciled && a->lessee.lease > 0 &&
           a->relied > now + a->lessee.lease / HA_START_SHARE && a->lessee.revision > 0 &&
           a->view->revision >= a->lessee.revision && !a->view->is_incomplete;
}

nanos ha_agent_isolation(const struct ha_agent *a)
{
    return a->has_guard ? a->relied : u64_max(a->relied, a->opened_at + HA_ADOPT_GRACE);
}
