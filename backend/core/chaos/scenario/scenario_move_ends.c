/* Processes die, moves are called off, and operators change their minds, in the middle of a live
 * move. */
#include "core/chaos/scenario/stage_move.h"

static void move_stage(struct stage *st, uint32_t hosts)
{
    const struct sim_settings s = stage_hosts(hosts, 2);

    stage_found_hosts(st, &s);
}

static void move_settles(struct stage *st, const struct stage_move *move)
{
    STAGE_UNTIL(st, 60 * NANOS_PER_S, stage_runs_on(st, move), "it runs on one of the two");
    stage_expect(st, stage_offs_all(st) == 0, "and nobody was fenced");
}

static void move_kill_one(struct stage *st, enum stage_move_phase phase, bool strikes_source)
{
    const struct stage_move move = stage_move_begin(st, 0, false);
    struct simmember *m = strikes_source ? move.from : move.to;

    stage_move_await(st, &move, phase);
    stage_kill(st, m);
    stage_pass(st, 300 * NANOS_PER_MS);
    stage_start(st, m);
    move_settles(st, &move);
}

void scenario_daemon_dies_while_moving(struct stage *st)
{
    move_stage(st, 3);
    for (uint32_t phase = 0; phase < MOVE_PHASES && !stage_is_over(st); phase++) {
        move_kill_one(st, (enum stage_move_phase)phase, true);
        move_kill_one(st, (enum stage_move_phase)phase, false);
    }
    const struct stage_move last = stage_move_begin(st, 0, false);
    STAGE_UNTIL(st, STAGE_MOVED_WITHIN, stage_runs_on(st, &last) && stage_home(st, 0) == last.to,
                "it can be moved after all");
}

void scenario_leader_dies_while_moving(struct stage *st)
{
    move_stage(st, 5);
    for (uint32_t phase = 0; phase < MOVE_PHASES && !stage_is_over(st); phase++) {
        const struct stage_move move = stage_move_begin(st, 0, false);
        struct simmember *leader = stage_leader(st);
        stage_move_await(st, &move, (enum stage_move_phase)phase);
        stage_kill(st, leader);
        (void)stage_await_leader(st, leader, 10 * NANOS_PER_S);
        stage_start(st, leader);
        move_settles(st, &move);
    }
}

/* --- called off ---------------------------------------------------------------------------------
 */

static void move_stays(struct stage *st, const struct stage_move *move, const char *why)
{
    const uint32_t told = stage_told(st, "vm-not-moved", simcluster_machine_name(0));

    STAGE_UNTIL(st, 2 * STAGE_FENCED_WITHIN,
                stage_told(st, "vm-not-moved", simcluster_machine_name(0)) > told &&
                    stage_runs_on(st, move) && stage_home(st, 0) == move->from,
                why);
    stage_expect(st, stage_owner(st, 0)->reason[0] != '\0', "and its record says why");
    stage_expect(st, stage_owner(st, 0)->epoch == move->before.epoch, "in its epoch");
}

/* The machine's own limit is far below what a move takes. */
static void move_too_slow(struct stage *st)
{
    struct ha_vm vm = stage_machine(st, 0);
    struct simmember *from = stage_host_of(st, 0, 1);
    struct stage_move move = {
        .from = from, .to = stage_follower(st, 1), .before = *stage_owner(st, 0)};

    ha_text_set(vm.move_to, sizeof vm.move_to, move.to->name);
    vm.move_ms = (uint32_t)(SIMVM_MOVE_TIME / NANOS_PER_MS);
    STAGE_APPLY(st, &vm);
    stage_move_await(st, &move, MOVE_BEGUN);
    move_stays(st, &move, "a move that takes too long is called off");
}

void scenario_move_called_off(struct stage *st)
{
    move_stage(st, 3);
    struct stage_move move = stage_move_begin(st, 0, false);
    simvm_fail_starts(move.to->host, 1);
    move_stays(st, &move, "a target that does not start is given up");
    move = stage_move_begin(st, 0, false);
    stage_move_await(st, &move, MOVE_SENDING);
    simvm_crash(move.to->host, simcluster_machine_name(0));
    move_stays(st, &move, "and so is one that ends");
    move = stage_move_begin(st, 0, false);
    stage_move_await(st, &move, MOVE_SENDING);
    stage_link(st, move.from, move.to, false);
    move_stays(st, &move, "and a guest that cannot be sent");
    stage_link(st, move.from, move.to, true);
    move_too_slow(st);
}

/* The target ends just when it has all, and its host says so first: the move is called off, and the
 * source's promise is of no use any more. */
void scenario_move_in_an_earlier_move(struct stage *st)
{
    move_stage(st, 3);
    const struct stage_move move = stage_move_begin(st, 0, false);
    const char *name = simcluster_machine_name(0);
    const nanos until = stage_now(st) + STAGE_MOVED_WITHIN;
    bool is_stale = false;

    stage_move_await(st, &move, MOVE_SENT);
    simvm_crash(move.to->host, name);
    while (!is_stale && stage_step(st, until)) {
        const struct ha_view *view = stage_view(st);
        const struct ha_report *report =
            view != NULL ? ha_view_report(view, move.from->name, name) : NULL;
        is_stale = report != NULL && report->state == HA_REPORT_MOVED &&
                   stage_is_in(st, 0, HA_RUNNING) &&
                   stage_state_at(move.from, 0) == WORLD_VM_RUNNING;
    }
    stage_expect(st, is_stale, "it goes on where it was, and the record still has the promise");
    stage_isolate(st, move.from, true);
    struct ha_vm vm = stage_machine(st, 0);
    ha_text_set(vm.move_to, sizeof vm.move_to, move.to->name);
    STAGE_APPLY(st, &vm);
    STAGE_UNTIL(st, STAGE_MOVED_WITHIN, stage_is_in(st, 0, HA_MOVING), "it is to be moved again");
    stage_pass(st, 60 * NANOS_PER_S);
    stage_isolate(st, move.from, false);
    STAGE_UNTIL(st, 60 * NANOS_PER_S, stage_runs(st, 0), "it runs, once");
}

/* --- an operator changes his mind ---------------------------------------------------------------
 */

void scenario_stopped_while_moving(struct stage *st)
{
    move_stage(st, 3);
    for (uint32_t phase = 0; phase < MOVE_PHASES && !stage_is_over(st); phase++) {
        const struct stage_move move = stage_move_begin(st, 0, false);
        stage_move_await(st, &move, (enum stage_move_phase)phase);
        stage_wish(st, 0, false);
        STAGE_UNTIL(st, 60 * NANOS_PER_S,
                    stage_is_in(st, 0, HA_STOPPED) &&
                        stage_state_at(move.from, 0) == WORLD_VM_UNKNOWN &&
                        stage_state_at(move.to, 0) == WORLD_VM_UNKNOWN,
                    "it is stopped, and nothing is left of it");
        stage_wish(st, 0, true);
        STAGE_UNTIL(st, STAGE_EXPIRED_WITHIN, stage_runs(st, 0), "it is started");
    }
}
