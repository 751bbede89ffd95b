/* Hosts die, and are cut off, in each phase of a live move. */
#include "core/chaos/scenario/stage_move.h"

/* Until its devices have been tested again, and it may have machines. */
#define COMES_BACK_WITHIN (100 * NANOS_PER_S)

static void move_found(struct stage *st)
{
    const struct sim_settings s = stage_hosts(3, 2);

    stage_found_hosts(st, &s);
}

void scenario_moves_live(struct stage *st)
{
    move_found(st);
    struct stage_move there = stage_move_begin(st, 0, false);
    STAGE_UNTIL(st, STAGE_MOVED_WITHIN, stage_runs_on(st, &there) && stage_home(st, 0) == there.to,
                "it is moved");
    stage_expect(st, stage_owner(st, 0)->moves == there.before.moves + 1, "live");
    stage_expect(st, stage_owner(st, 0)->epoch == ha_owner_issued(&there.before) + 1,
                 "into an epoch of its own");
    stage_expect(st, stage_told(st, "vm-moved", simcluster_machine_name(0)) > 0, "which is told");
    struct ha_vm vm = stage_machine(st, 0);
    ha_text_set(vm.move_to, sizeof vm.move_to, there.from->name);
    STAGE_APPLY(st, &vm);
    STAGE_UNTIL(st, STAGE_MOVED_WITHIN,
                stage_runs_on(st, &there) && stage_home(st, 0) == there.from, "and back");
    stage_expect(st, stage_owner(st, 0)->moves == there.before.moves + 2, "live, too");
    stage_expect(st, stage_offs_all(st) == 0, "nobody is fenced for it");
}

/* --- row 16: a host dies ------------------------------------------------------------------------
 */

/* The host comes back, and gets machines again. */
static void move_host_returns(struct stage *st, struct simmember *m)
{
    stage_switch_on(st, m);
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN, stage_fate(st, m) == HA_HOST_UP, "its host is back");
    stage_pass(st, COMES_BACK_WITHIN - STAGE_EXPIRED_WITHIN);
}

/* It runs again: where its guest is, or, once, from its disk. */
static void move_survives(struct stage *st, const struct stage_move *move,
                          const struct simmember *dead, bool runs_on)
{
    const struct ha_owner *o;

    STAGE_UNTIL(st, 2 * STAGE_FENCED_WITHIN,
                stage_runs_off(st, move->machine, dead) &&
                    stage_state_at(dead, move->machine) == WORLD_VM_UNKNOWN,
                "it runs on a survivor");
    o = stage_owner(st, move->machine);
    stage_expect(st, o->restarts <= move->before.restarts + 1, "and was started once, at most");
    if (runs_on) {
        stage_expect(st, stage_runs_on(st, move), "its guest has run on");
    }
}

static void move_and_die(struct stage *st, enum stage_move_phase phase, bool source_runs_on,
                         bool target_runs_on)
{
    move_found(st);
    struct stage_move move = stage_move_begin(st, 0, false);
    stage_move_await(st, &move, phase);
    stage_switch_off(st, move.to);
    move_survives(st, &move, move.to, target_runs_on);
    move_host_returns(st, move.to);
    move = stage_move_begin(st, 0, false);
    stage_move_await(st, &move, phase);
    stage_switch_off(st, move.from);
    move_survives(st, &move, move.from, source_runs_on);
}

void scenario_host_dies_before_copy(struct stage *st)
{
    move_and_die(st, MOVE_BEGUN, false, true);
}

void scenario_host_dies_in_copy(struct stage *st)
{
    move_and_die(st, MOVE_SENDING, false, true);
}

/* The target's death is seen after the source's promise: it was switched over to a host that is
 * dead, and starts once. The source's comes before its promise. */
void scenario_host_dies_after_copy(struct stage *st)
{
    move_and_die(st, MOVE_SENT, false, false);
}

void scenario_host_dies_after_switch_over(struct stage *st)
{
    move_and_die(st, MOVE_DECIDED, true, false);
}

/* --- row 15: a host is cut off ------------------------------------------------------------------
 */

static void move_and_cut(struct stage *st, enum stage_move_phase phase, bool strikes_source)
{
    const struct stage_move move = stage_move_begin(st, 0, false);
    struct simmember *m = strikes_source ? move.from : move.to;

    stage_move_await(st, &move, phase);
    stage_isolate(st, m, true);
    stage_pass(st, 3 * NANOS_PER_S);
    STAGE_UNTIL(st, 2 * STAGE_EXPIRED_WITHIN, stage_runs_off(st, 0, m), "it runs elsewhere");
    stage_expect(st, stage_owner(st, 0)->restarts <= move.before.restarts + 1,
                 "and was started once, at most");
    stage_isolate(st, m, false);
    move_host_returns(st, m);
    stage_expect(st, stage_runs(st, 0), "and runs on");
}

/* Both are cut off from each other, and from nobody else. */
static void move_and_sever(struct stage *st, enum stage_move_phase phase)
{
    const struct stage_move move = stage_move_begin(st, 0, true);

    stage_move_await(st, &move, phase);
    stage_link(st, move.from, move.to, false);
    stage_pass(st, 20 * NANOS_PER_S);
    stage_link(st, move.from, move.to, true);
    move_host_returns(st, move.from);
    STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN, stage_runs(st, 0), "it runs on one of the two");
}

static void move_cuts(struct stage *st, enum stage_move_phase phase)
{
    move_found(st);
    move_and_cut(st, phase, true);
    move_and_cut(st, phase, false);
    move_and_sever(st, phase);
}

void scenario_cut_before_copy(struct stage *st)
{
    move_cuts(st, MOVE_BEGUN);
}

void scenario_cut_in_copy(struct stage *st)
{
    move_cuts(st, MOVE_SENDING);
}

void scenario_cut_after_copy(struct stage *st)
{
    move_cuts(st, MOVE_SENT);
}

void scenario_cut_after_switch_over(struct stage *st)
{
    move_cuts(st, MOVE_DECIDED);
}

/* The leader hears what the source promises, and the source never hears that it has. */
void scenario_cut_after_promise(struct stage *st)
{
    move_found(st);
    const struct stage_move move = stage_move_begin(st, 0, false);
    struct simmember *leader = stage_leader(st);

    stage_move_await(st, &move, MOVE_SENT);
    stage_cut(st, leader, move.from, true);
    STAGE_UNTIL(st, STAGE_MOVED_WITHIN, stage_state_at(move.to, 0) == WORLD_VM_RUNNING,
                "it goes on at the target");
    stage_pass(st, 30 * NANOS_PER_S);
    stage_cut(st, leader, move.from, false);
    move_host_returns(st, move.from);
    stage_expect(st, stage_runs_on(st, &move), "and has run on");
}
