/*
 * Hosts that run machines: what must hold of machines while faults go on, and that they run again
 * once they are over.
 *
 *     I11, I12  simvm.h judges every opening of a volume and every write that arrives
 *     I13  nobody starts a machine while its lock is held by another host's: whoever did had no
 *          proof that is true
 *     I14  epochs and counted restarts of a machine never go back, whoever leads
 *     I44  no host is switched off without a committed record that says so
 *     I48  sim_ladder.c: no machine is ended by its ladder that was well
 *     I16  once the faults are over, every machine runs, once, on a host that is up, as its record
 *          says, within a bound
 */
#include <string.h>

#include "core/base/say.h"
#include "core/chaos/simpower.h"
#include "core/chaos/sim/sim_int.h"

/* Detection, a new leader's full wait where no device helps, restarts with their longest delays. */
#define MACHINES_SETTLE_BOUND (400 * NANOS_PER_S)
#define MACHINES_LOOK_EVERY   NANOS_PER_S

/* So long the record of a fence may be known to those alone who are gone. */
#define FENCE_RECORD_LATE (30 * NANOS_PER_S)

/* Then nothing more may happen. */
#define MACHINES_CALM_SPAN (20 * NANOS_PER_S)

void sim_ha_said(void *ctx, struct simmember *m, enum ha_saying who, const char *what,
                 const char *subject, const char *detail)
{
    static const char *const whose[] = {" agent: ", " manager: ", " record: "};
    struct sim *s = ctx;
    struct buf *line = sim_line(s);

    if (who == HA_SAYS_AGENT && strcmp(what, "is ended") == 0) {
        sim_ladder_ended(s, m, subject, detail);
    }
    if (line != NULL) {
        say(line, m->name);
        say(line, whose[who]);
        say(line, what);
        say(line, " ");
        say(line, subject);
        say(line, " ");
        say(line, detail);
        sim_line_end(s);
    }
}

void sim_ha_served(void *ctx, struct simmember *m, const char *what, const char *voter,
                   const char *why)
{
    struct sim *s = ctx;
    struct buf *line = sim_line(s);
    struct ha_session_status status;

    ha_session_status(m->session, &status);
    if (status.is_served) {
        sim_reach(s, status.losses > 0 ? REACHED_AGENT_MOVED : REACHED_AGENT_SERVED);
    }
    if (line != NULL) {
        say(line, m->name);
        say(line, " session: ");
        say(line, what);
        say(line, " by ");
        say(line, voter);
        say(line, why[0] != '\0' ? ": " : "");
        say(line, why);
        sim_line_end(s);
    }
}

/* --- after every event ------------------------------------------------------------------------ */

void sim_ha_check(struct sim *s)
{
    const char *violation = s->cluster.n_machines > 0 ? simvm_violation(s->world) : NULL;

    if (violation != NULL) {
        sim_fail(s, SIM_UNSAFE, "I12", violation);
    }
    for (uint32_t i = 0; i < s->cluster.n_machines; i++) {
        if (simvolume_contentions(s->cluster.volume[i]) > 0) {
            sim_fail(s, SIM_UNSAFE, "I13",
                     "a machine was to be started while another host's held its volume");
        }
    }
}

/* --- now and then ----------------------------------------------------------------------------- */

const struct simmember *sim_ha_newest(const struct sim *s)
{
    const struct simmember *newest = NULL;

    for (uint32_t i = 0; i < s->cluster.n; i++) {
        const struct simmember *m = &s->cluster.member[i];
        if (simmember_serves(m) && m->ha != NULL &&
            (newest == NULL ||
             ha_member_view(m->ha)->revision > ha_member_view(newest->ha)->revision)) {
            newest = m;
        }
    }
    return newest;
}

static void check_counters(struct sim *s, const struct ha_view *view)
{
    for (uint32_t i = 0; i < s->cluster.n_machines; i++) {
        const struct ha_owner *owner = ha_view_owner(view, simcluster_machine_name(i));
        if (owner == NULL) {
            continue;
        }
        if (owner->epoch < s->ha.epoch[i] || owner->restarts < s->ha.restarts[i] ||
            ha_owner_issued(owner) < s->ha.issued[i] || owner->moves < s->ha.moves[i]) {
            sim_fail(s, SIM_UNSAFE, "I14", "an epoch, or a count of restarts, went back");
        }
        s->ha.epoch[i] = owner->epoch;
        s->ha.restarts[i] = owner->restarts;
        s->ha.issued[i] = ha_owner_issued(owner);
        s->ha.moves[i] = owner->moves;
    }
}

static void note_states(struct sim *s, const struct ha_view *view)
{
    for (uint32_t i = 0; i < s->cluster.n_machines; i++) {
        const struct ha_owner *owner = ha_view_owner(view, simcluster_machine_name(i));
        if (owner == NULL || owner->epoch == s->ha.noted[i]) {
            if (owner != NULL && owner->phase == HA_RUNNING && owner->issued > owner->epoch) {
                sim_reach(s, REACHED_VM_NOT_MOVED);
            }
            continue;
        }
        s->ha.noted[i] = owner->epoch;
        if (owner->proof == HA_PROOF_MOVED) {
            sim_reach(s, REACHED_VM_MOVED);
        } else if (owner->proof == HA_PROOF_FENCED) {
            sim_reach(s, REACHED_VM_FENCED);
        } else if (owner->proof == HA_PROOF_EXPIRED) {
            sim_reach(s, REACHED_VM_EXPIRED);
        } else if (owner->proof == HA_PROOF_STOPPED) {
            sim_reach(s, REACHED_VM_RESTARTED);
        }
    }
}

/* What its devices were told of the host. */
static uint64_t offs_of(const struct sim *s, const struct simmember *m)
{
    return simdevice_offs(s->world, m->name) + simdevice_offs(s->world, m->outlet);
}

/* A host that was switched off has a record that says so: at once in the view of whoever did it,
 * and in everybody's once somebody leads who may have been told late. */
static void check_fences(struct sim *s, const struct ha_view *view)
{
    const nanos now = simworld_now(s->world);

    for (uint32_t i = 0; i < s->cluster.n; i++) {
        const struct simmember *m = &s->cluster.member[i];
        const struct ha_fate *fate = ha_view_fate(view, m->name);
        const uint64_t offs = offs_of(s, m);
        if (fate != NULL && (fate->phase == HA_HOST_FENCING || fate->proof == HA_PROOF_FENCED)) {
            s->ha.fencing_at[i] = now;
        }
        if (offs > s->ha.offs[i] && s->ha.owed_at[i] == 0) {
            s->ha.owed_at[i] = now;
        }
        s->ha.offs[i] = offs;
        if (s->ha.fencing_at[i] != 0 &&
            s->ha.fencing_at[i] + FENCE_RECORD_LATE >= s->ha.owed_at[i]) {
            s->ha.owed_at[i] = 0;
        } else if (s->ha.owed_at[i] != 0 && s->ha.owed_at[i] + FENCE_RECORD_LATE < now) {
            sim_fail(s, SIM_UNSAFE, "I44", "a host was switched off, and no record says so");
        }
    }
}

void sim_ha_look(struct sim *s)
{
    const struct simmember *m = sim_ha_newest(s);

    if (s->cluster.n_machines == 0) {
        return;
    }
    simoperator_declare(&s->operator);
    simoperator_switch_on(&s->operator);
    if (m != NULL && ha_member_view(m->ha)->revision >= s->ha.revision) {
        s->ha.revision = ha_member_view(m->ha)->revision;
        check_counters(s, ha_member_view(m->ha));
        note_states(s, ha_member_view(m->ha));
        check_fences(s, ha_member_view(m->ha));
    }
}

/* --- once the faults are over ----------------------------------------------------------------- */

/* Of several, where its guest is rather than where one waits or has left. */
static uint32_t life_rank(enum world_vm_state state)
{
    return state == WORLD_VM_RUNNING ? 3 : state == WORLD_VM_PAUSED ? 2 : 1;
}

/* A process whose guest is elsewhere, or never came, or has come and stands still, on a host whose
 * daemon is away: it does nothing, and is ended when there is one again. */
static bool is_left_behind(const struct simmember *m, enum world_vm_state state)
{
    return m->state != MEMBER_UP && state != WORLD_VM_RUNNING;
}

uint32_t sim_ha_lives(const struct sim *s, const char *name, const struct simmember **ret)
{
    struct world_vm_found found;
    uint32_t lives = 0;
    uint32_t best = 0;

    for (uint32_t i = 0; i < s->cluster.n; i++) {
        const struct simmember *m = &s->cluster.member[i];
        for (size_t k = 0; simvm_at(m->host, k, &found); k++) {
            if (strcmp(found.name, name) == 0 && !is_left_behind(m, found.state)) {
                lives++;
                *ret = life_rank(found.state) > best ? m : *ret;
                best = (uint32_t)u64_max(best, life_rank(found.state));
            }
        }
    }
    return lives;
}

bool sim_ha_is_well(const struct sim *s, const struct ha_view *view, uint32_t machine)
{
    const char *name = simcluster_machine_name(machine);
    const struct ha_owner *owner = ha_view_owner(view, name);
    const struct simmember *at = NULL;

    return owner != NULL && owner->phase == HA_RUNNING && sim_ha_lives(s, name, &at) == 1 &&
           at->state == MEMBER_UP && strcmp(at->name, owner->host) == 0;
}

/* ... and, where machines are asked how they are, that is told. */
static bool is_well_and_told(const struct sim *s, const struct ha_view *view, uint32_t machine)
{
    return sim_ha_is_well(s, view, machine) &&
           (!s->settings.machines_are_asked || sim_ladder_is_well(view, machine));
}

/* The first machine that is not as it should be; n_machines: all are. */
static uint32_t first_unwell(struct sim *s)
{
    const struct simmember *m = sim_ha_newest(s);
    uint32_t i = 0;

    if (m == NULL || !s->operator.is_declared || !simoperator_retry(&s->operator, m)) {
        return 0;
    }
    while (i < s->cluster.n_machines && is_well_and_told(s, ha_member_view(m->ha), i)) {
        i++;
    }
    return i;
}

static void fail_unwell(struct sim *s, uint32_t machine, const char *what)
{
    const struct simmember *m = sim_ha_newest(s);
    const struct ha_owner *owner =
        m != NULL ? ha_view_owner(ha_member_view(m->ha), simcluster_machine_name(machine)) : NULL;
    struct buf text;

    buf_init(&text);
    say(&text, simcluster_machine_name(machine));
    say(&text, what);
    if (owner != NULL) {
        say(&text, "; ");
        say(&text, ha_phase_name(owner->phase));
        say(&text, " on ");
        say(&text, owner->host);
        say(&text, ": ");
        say(&text, owner->reason);
    }
    sim_fail(s, SIM_STUCK, "I16", say_end(&text));
    buf_deinit(&text);
}

/* The first machine that is not well when the span is over; n_machines: all are, perhaps sooner. */
static uint32_t settle_within(struct sim *s, nanos span)
{
    const nanos bound = u64_add_sat(simworld_now(s->world), span);
    uint32_t unwell = first_unwell(s);

    while (!s->is_over && unwell < s->cluster.n_machines && simworld_now(s->world) < bound) {
        sim_pass(s, simworld_now(s->world) + MACHINES_LOOK_EVERY);
        unwell = first_unwell(s);
    }
    return unwell;
}

/* How long the cap against storms may keep a host from being fenced; 0: it keeps none. */
static nanos cap_span(const struct sim *s)
{
    const struct simmember *m = sim_ha_newest(s);
    struct ha_storm storm = {.may_fence = true};

    if (m == NULL) {
        return 0;
    }
    const struct ha_view *view = ha_member_view(m->ha);
    const struct ha_settings *settings = ha_view_settings(view);
    ha_storm_of(view, NULL, NULL, &storm);
    return storm.may_fence ? 0
                           : (settings != NULL ? settings : &view->defaults)->storm_s * NANOS_PER_S;
}

void sim_ha_settle(struct sim *s)
{
    if (s->cluster.n_machines == 0) {
        return;
    }
    uint32_t unwell = settle_within(s, MACHINES_SETTLE_BOUND);
    if (!s->is_over && unwell < s->cluster.n_machines && cap_span(s) > 0) {
        unwell = settle_within(s, cap_span(s));
    }
    if (!s->is_over && unwell < s->cluster.n_machines) {
        fail_unwell(s, unwell, " does not run long after the faults");
    }
    if (!s->is_over) {
        sim_pass(s, simworld_now(s->world) + MACHINES_CALM_SPAN);
        unwell = first_unwell(s);
    }
    if (!s->is_over && unwell < s->cluster.n_machines) {
        fail_unwell(s, unwell, " ran, and then did not, with no fault about");
    }
}
