/*
 * The ladder of each machine that lives here: its process, QMP, the agent within its guest, and
 * what its record asks of it (start-up, liveness, readiness). When something is asked, and what the
 * answers mean, is probe_set.h; who asks is ha_agent_ask.c.
 *
 * There are two sets. In PROCESSES each machine has QMP as its liveness and the guest's agent as
 * its readiness; in GUESTS it has its own checks. A machine that FAILED in one of them is ended,
 * as a failure of its own: whoever leads starts it anew by its restart rule, in another epoch.
 *
 * WHAT ENDS NO MACHINE
 *   - one that is not asked: it is paused, being stopped, moved, or of an owner that is not RUNNING
 *     or STARTING here. Its answers are counted from none when it is asked again.
 *   - a slow answer, or some of them: it takes `failures` in a row, or mute_ms of silence.
 *   - a long boot: without a start-up check of its own, a liveness check fails nobody in the first
 *     BOOT_GRACE before it has succeeded once.
 *   - a pause of this process or this host: what was asked then is forgotten, and all is counted
 *     from none.
 *   - readiness, and the guest's agent where no check asks it.
 *   - anything while the host's lease does not hold: nobody could start it anew.
 *   - what fails with most of the others on this host: that is one cause, which no restart cures.
 *     They are asked anew after HOLD; those that fail again are ended one at a time, HOLD apart.
 *     So are those beyond RESTARTS_MAX.
 */
#include "core/ha/ha_agent_ladder.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/mutant.h"
#include "core/base/say.h"

/* How long a guest may take to answer its liveness for the first time, where no start-up check says
 * another time. */
#define BOOT_GRACE (300 * NANOS_PER_S)

/* Until its process is looked at again, where another order was under way. */
#define LOOK_AGAIN (100 * NANOS_PER_MS)

/* Between machines that are ended though most of the others fail, too. */
#define HOLD (30 * NANOS_PER_S)

/* The agent within a guest, where no check asks it. */
#define AGENT_EVERY    (10 * NANOS_PER_S)
#define AGENT_PATIENCE (3 * NANOS_PER_S)
#define AGENT_MISSES   3

/* A turn so late, or a clock so far off, is a pause of this process; and so long after it nothing
 * is asked. */
#define TURN_LATE   NANOS_PER_S
#define TURN_SETTLE (2 * NANOS_PER_S)

/* Restarts of one host within ten minutes, for whatever reason. */
#define RESTARTS_MAX  32
#define RESTARTS_SPAN (600 * NANOS_PER_S)

_Static_assert(RESTARTS_MAX <= PROBE_RESTARTS_MAX, "a set counts so many");
_Static_assert(HA_RUNS_MAX <= PROBE_TARGETS_MAX, "each machine is asked");

/* --- rungs --------------------------------------------------------------------------------------
 */

/* What is told of a rung changes with its state alone. */
static void rung_becomes(struct ha_run *run, enum ha_rung rung, enum ha_rung_state state)
{
    struct ha_rung_view *view = &run->ladder->rungs[rung];

    if (view->state == state) {
        return;
    }
    memset(view, 0, sizeof(*view));
    view->state = state;
    if (state != HA_RUNG_UNASKED) {
        view->since_ms = world_wall(run->agent->world) / NANOS_PER_MS;
        memcpy(view->answer, run->ladder->heard[rung], sizeof(view->answer));
    }
    if (state == HA_RUNG_BAD) {
        struct buf text;
        buf_init(&text);
        say(&text, ha_rung_name(rung));
        say(&text, ": ");
        say(&text, view->answer);
        ha_agent_say(run->agent, "unwell", run->vm, say_end(&text));
        buf_deinit(&text);
    }
    run->is_report_due = true;
}

enum probe_purpose ha_ladder_check_of(const struct ha_ladder *l, enum probe_purpose purpose)
{
    bool is_asked = l->checks[purpose].ask != HA_ASK_NOTHING;

    if (!is_asked && purpose == PROBE_STARTUP) {
        return PROBE_LIVENESS; /* with more patience */
    }
    if (!is_asked && purpose == PROBE_LIVENESS && MUTANT(HA_UNREADY_ENDS)) {
        return PROBE_READINESS;
    }
    return purpose;
}

static enum ha_rung_state rung_of_purpose(const struct ha_ladder *l, const struct probe_target *t,
                                          enum probe_purpose purpose)
{
    const struct target_probe *p = &t->probes[purpose];

    if (t->state == PROBE_FAILED) {
        bool is_it = purpose == PROBE_READINESS || purpose == ha_ladder_check_of(l, t->failed_by);
        return is_it ? HA_RUNG_BAD : HA_RUNG_WAITING;
    }
    if (purpose == PROBE_LIVENESS && l->was_held[HA_LADDER_GUESTS]) {
        return HA_RUNG_BAD; /* until it is well */
    }
    if (purpose == PROBE_STARTUP) {
        return t->state == PROBE_RUNNING ? HA_RUNG_WELL : HA_RUNG_WAITING;
    }
    if (t->state == PROBE_STARTING || !p->is_judged) {
        return HA_RUNG_WAITING;
    }
    return p->is_well ? HA_RUNG_WELL : HA_RUNG_BAD;
}

/* The agent of a guest that never answered may not be there. */
static enum ha_rung_state rung_of_agent(const struct ha_ladder *l, const struct probe_target *t)
{
    const struct target_probe *p = &t->probes[PROBE_READINESS];

    if (l->has_no_agent) {
        return HA_RUNG_UNASKED;
    }
    if (!p->is_judged || (!p->is_well && !l->was_agent_heard)) {
        return HA_RUNG_WAITING;
    }
    return p->is_well ? HA_RUNG_WELL : HA_RUNG_BAD;
}

static void ladder_tell_guest(struct ha_run *run)
{
    struct ha_ladder *l = run->ladder;
    const struct probe_target *t =
        probe_set_find(run->agent->ladders->sets[HA_LADDER_GUESTS], l->id);

    for (enum ha_rung rung = HA_RUNG_STARTUP; rung < HA_RUNGS; rung++) {
        enum ha_rung_state state = HA_RUNG_UNASKED;
        enum probe_purpose purpose = (enum probe_purpose)(rung - HA_RUNG_STARTUP);
        if (t != NULL && l->checks[purpose].ask != HA_ASK_NOTHING) {
            state = rung_of_purpose(l, t, purpose);
        }
        rung_becomes(run, rung, state);
    }
}

/* What is remembered of the verdicts. */
static void ladder_learn(struct ha_ladder *l, enum ha_ladder_set set, const struct probe_target *t)
{
    if (t == NULL || t->state != PROBE_RUNNING) {
        return;
    }
    l->has_started |= set == HA_LADDER_GUESTS;
    if (t->probes[PROBE_LIVENESS].succeeded > 0) {
        l->was_held[set] = false;
    }
}

static void ladder_tell(struct ha_run *run)
{
    struct ha_ladder *l = run->ladder;
    const struct probe_target *t =
        probe_set_find(run->agent->ladders->sets[HA_LADDER_PROCESSES], l->id);

    for (enum ha_ladder_set set = 0; set < HA_LADDER_SETS; set++) {
        ladder_learn(l, set, probe_set_find(run->agent->ladders->sets[set], l->id));
    }

    if (t == NULL && run->must_die) {
        return; /* for what was told last, perhaps */
    }
    if (t == NULL) {
        for (enum ha_rung rung = HA_RUNG_QMP; rung < HA_RUNGS; rung++) {
            rung_becomes(run, rung, HA_RUNG_UNASKED);
        }
        return;
    }
    rung_becomes(run, HA_RUNG_QMP, run->misses >= HA_QUERY_MISSES ? HA_RUNG_BAD : HA_RUNG_WELL);
    rung_becomes(run, HA_RUNG_AGENT, rung_of_agent(l, t));
    ladder_tell_guest(run);
}

const struct ha_rung_view *ha_ladder_rungs(const struct ha_run *run)
{
    return run->ladder != NULL ? run->ladder->rungs : NULL;
}

/* --- answers ------------------------------------------------------------------------------------
 */

void ha_ladder_answer(struct ha_run *run, enum ha_rung rung, const struct probe_order *order,
                      enum probe_outcome outcome, const char *answer)
{
    struct ha_agent *a = run->agent;
    struct ha_ladder *l = run->ladder;
    bool is_process = rung == HA_RUNG_QMP || rung == HA_RUNG_AGENT;

    ha_ladders_notice(a); /* before it counts */
    if (answer[0] != '\0') {
        ha_text_set(l->heard[rung], sizeof(l->heard[rung]), answer);
    }
    l->was_agent_heard |= rung == HA_RUNG_AGENT && outcome == PROBE_OK;
    if (!is_process && order->purpose != PROBE_READINESS && outcome != PROBE_NOT_ASKED) {
        l->must_look = outcome == PROBE_FAILURE; /* QEMU may have stopped its guest */
        l->is_looked_for = false;
        l->is_condemned = l->is_condemned && outcome == PROBE_FAILURE;
    }
    probe_set_answer(a->ladders->sets[is_process ? HA_LADDER_PROCESSES : HA_LADDER_GUESTS],
                     order->id, order->purpose, order->ticket, outcome, ha_agent_now(a));
}

/* Orders of a machine wait for each other: what waits behind one of ours was not asked. */
static void ladder_query(struct ha_run *run, const struct probe_order *order)
{
    if (ha_run_query(run)) {
        run->ladder->query = *order;
        run->ladder->is_looked_for = run->ladder->must_look;
    } else {
        ha_ladder_answer(run, HA_RUNG_QMP, order, PROBE_NOT_ASKED, "");
    }
}

void ha_ladder_queried(struct ha_run *run, bool answers, const char *answer)
{
    struct ha_ladder *l = run->ladder;
    bool was_mute = run->misses >= HA_QUERY_MISSES;

    ha_ladders_notice(run->agent);
    run->misses = answers ? 0 : run->misses + 1;
    if (was_mute != (run->misses >= HA_QUERY_MISSES) && run->phase == HA_RUN_ALIVE) {
        ha_agent_say(run->agent, was_mute ? "answers again" : "does not answer", run->vm, "");
        run->is_report_due = true;
    }
    if (l != NULL && l->is_asked && l->query.ticket != 0) {
        ha_ladder_answer(run, HA_RUNG_QMP, &l->query, answers ? PROBE_OK : PROBE_FAILURE, answer);
        l->query.ticket = 0;
    }
    if (l != NULL && l->is_looked_for) {
        l->must_look = false;
        l->is_looked_for = false;
    }
}

/* --- who is asked -------------------------------------------------------------------------------
 */

static bool ladder_is_asked(const struct ha_run *run)
{
    const struct ha_agent *a = run->agent;
    const struct ha_owner *owner = ha_view_owner(a->view, run->vm);

    if (a->phase != HA_AGENT_SERVING || run->phase != HA_RUN_ALIVE || run->must_die ||
        run->is_stopping || run->is_paused || run->is_move_busy || run->is_moved ||
        run->is_incoming || owner == NULL) {
        return false;
    }
    return owner->epoch == run->epoch && strcmp(owner->host, a->config.host) == 0 &&
           (owner->phase == HA_STARTING || owner->phase == HA_RUNNING);
}

static nanos check_ms(uint32_t ms)
{
    return (nanos)ms * NANOS_PER_MS;
}

static struct probe_config guest_check_times(const struct ha_check *check)
{
    return (struct probe_config){.is_asked = check->ask != HA_ASK_NOTHING,
                                 .delay = check_ms(check->delay_ms),
                                 .period = check_ms(check->period_ms),
                                 .timeout = check_ms(check->timeout_ms) + HA_ANSWER_SLACK,
                                 .failures = check->failures,
                                 .successes = check->successes};
}

/* Of `span`, in whole periods; at least one more than is taken for a slow answer. */
static uint32_t failures_in(nanos span, nanos period)
{
    return (uint32_t)u64_min(u64_max(span / period, HA_QUERY_MISSES + 1), UINT32_MAX);
}

static void ladder_process_times(const struct ha_ladder *l,
                                 struct probe_config times[PROBE_PURPOSES])
{
    memset(times, 0, PROBE_PURPOSES * sizeof(*times));
    times[PROBE_LIVENESS] = (struct probe_config){
        .is_asked = true,
        .period = HA_QUERY_EVERY,
        .timeout = HA_QUERY_PATIENCE + HA_ANSWER_SLACK,
        .failures =
            l->mute_ms == 0 ? UINT32_MAX : failures_in(check_ms(l->mute_ms), HA_QUERY_EVERY),
        .successes = 1};
    times[PROBE_READINESS] = (struct probe_config){.is_asked = true,
                                                   .period = AGENT_EVERY,
                                                   .timeout = AGENT_PATIENCE + HA_ANSWER_SLACK,
                                                   .failures = AGENT_MISSES,
                                                   .successes = 1};
}

/* Without a start-up check, the liveness check is one with more patience, until it succeeds. */
static void ladder_guest_times(const struct ha_ladder *l, struct probe_config *times)
{
    for (int i = 0; i < PROBE_PURPOSES; i++) {
        times[i] = guest_check_times(&l->checks[ha_ladder_check_of(l, (enum probe_purpose)i)]);
    }
    bool has_startup = l->checks[PROBE_STARTUP].ask != HA_ASK_NOTHING;
    if (l->has_started || MUTANT(HA_BOOT_UNPROTECTED)) {
        times[PROBE_STARTUP].is_asked = false;
    } else if (!has_startup && times[PROBE_LIVENESS].is_asked) {
        uint32_t most = failures_in(BOOT_GRACE, times[PROBE_LIVENESS].period);
        if (times[PROBE_STARTUP].failures < most) {
            times[PROBE_STARTUP].failures = most;
        }
    }
}

static bool checks_are(const struct ha_ladder *l, const struct ha_vm *vm)
{
    return l->mute_ms == vm->mute_ms &&
           memcmp(&l->checks[PROBE_STARTUP], &vm->startup, sizeof(vm->startup)) == 0 &&
           memcmp(&l->checks[PROBE_LIVENESS], &vm->liveness, sizeof(vm->liveness)) == 0 &&
           memcmp(&l->checks[PROBE_READINESS], &vm->readiness, sizeof(vm->readiness)) == 0;
}

static void ladder_leave(struct ha_run *run)
{
    struct ha_ladder *l = run->ladder;

    if (l == NULL || !l->is_asked) {
        return;
    }
    l->is_asked = false;
    l->is_condemned = false;
    l->must_look = false;
    l->query.ticket = 0;
    for (int i = 0; i < HA_LADDER_SETS; i++) {
        probe_set_remove(run->agent->ladders->sets[i], l->id);
    }
    ha_asks_stop(run, HA_RUNG_QMP);
}

static void ladder_add(struct ha_run *run, enum ha_ladder_set set, nanos now)
{
    struct probe_config times[PROBE_PURPOSES];
    struct ha_ladder *l = run->ladder;
    bool is_asked = false;

    if (set == HA_LADDER_PROCESSES) {
        ladder_process_times(l, times);
    } else {
        ladder_guest_times(l, times);
    }
    for (int i = 0; i < PROBE_PURPOSES; i++) {
        is_asked = is_asked || times[i].is_asked;
    }
    if (is_asked) {
        enum rung rung = set == HA_LADDER_PROCESSES ? RUNG_PROCESS : RUNG_APPLICATION;
        enum err error = probe_set_add(run->agent->ladders->sets[set], l->id, rung, times, now);
        CHECK(error == OK);
    }
}

static void ladder_enter(struct ha_run *run, const struct ha_vm *vm, nanos now)
{
    struct ha_ladder *l = run->ladder;

    if (l == NULL) {
        l = run->ladder = mem_alloc_zero(sizeof(*l));
        l->id = ++run->agent->ladders->ids;
        l->has_started = run->has_booted;
    }
    memset(l->heard, 0, sizeof(l->heard));
    l->mute_ms = vm->mute_ms;
    memcpy(&l->checks[PROBE_STARTUP], &vm->startup, sizeof(vm->startup));
    memcpy(&l->checks[PROBE_LIVENESS], &vm->liveness, sizeof(vm->liveness));
    memcpy(&l->checks[PROBE_READINESS], &vm->readiness, sizeof(vm->readiness));
    l->has_no_agent = false;
    l->stands = false;
    memset(l->was_held, 0, sizeof(l->was_held));
    l->is_asked = true;
    ladder_add(run, HA_LADDER_PROCESSES, now);
    ladder_add(run, HA_LADDER_GUESTS, now);
}

/* A guest that QEMU has stopped, as its disk has no room, is known to stand: it is not asked. */
static void ladder_mind_guest(struct ha_run *run, nanos now)
{
    struct ha_ladder *l = run->ladder;
    bool stands = run->stands[0] != '\0';

    if (stands == l->stands) {
        return;
    }
    l->stands = stands;
    if (stands) {
        probe_set_remove(run->agent->ladders->sets[HA_LADDER_GUESTS], l->id);
        ha_asks_stop(run, HA_RUNG_STARTUP);
    } else {
        ladder_add(run, HA_LADDER_GUESTS, now);
    }
}

/* One whose record cannot be read, or was deleted, is asked as before. */
static void ladder_enroll(struct ha_run *run, nanos now)
{
    const struct ha_vm *vm = ha_view_vm(run->agent->view, run->vm);
    bool was_asked = run->ladder != NULL && run->ladder->is_asked;

    if (!ladder_is_asked(run)) {
        ladder_leave(run);
        return;
    }
    if (was_asked && vm != NULL && !checks_are(run->ladder, vm)) {
        ladder_leave(run);
        run->ladder->has_started = false; /* who asks otherwise has learnt nothing yet */
        was_asked = false;
    }
    if (!was_asked && vm != NULL) {
        ladder_enter(run, vm, now);
    }
    if (run->ladder != NULL && run->ladder->is_asked) {
        ladder_mind_guest(run, now);
    }
}

/* --- pauses -------------------------------------------------------------------------------------
 */

void ha_ladders_notice(struct ha_agent *a)
{
    struct ha_ladders *all = a->ladders;
    nanos now = ha_agent_now(a);

    if (!pause_turn(&all->pause, now, world_awake(a->world), all->pause.due)) {
        return;
    }
    nanos until = pause_judges_from(&all->pause);
    for (int i = 0; i < HA_LADDER_SETS; i++) {
        probe_set_excuse_all(all->sets[i], until, now);
    }
    for (size_t i = 0; i < a->n_runs; i++) {
        a->runs[i]->misses = 0;
    }
    ha_agent_say(a, "paused", "", "nothing is concluded from what was asked meanwhile");
}

/* --- what is to be ended ------------------------------------------------------------------------
 */

static struct ha_run *ladder_run_of(const struct ha_agent *a, uint64_t id)
{
    for (size_t i = 0; i < a->n_runs; i++) {
        if (a->runs[i]->ladder != NULL && a->runs[i]->ladder->id == id) {
            return a->runs[i];
        }
    }
    CHECK_UNREACHABLE("who is in a set has a run");
}

/* "was ended: its process did not answer on QMP, 20 times in a row: timed out" */
static void ladder_reason(const struct ha_run *run, const struct probe_target *t, bool is_process,
                          struct buf *text)
{
    const struct ha_ladder *l = run->ladder;
    enum probe_purpose purpose = ha_ladder_check_of(l, t->failed_by);
    enum ha_rung rung = is_process ? HA_RUNG_QMP : HA_RUNG_STARTUP + purpose;

    say(text, "was ended: ");
    if (is_process) {
        say(text, "its process did not answer on QMP, ");
    } else {
        say(text, purpose == PROBE_STARTUP ? "it did not start up, " : "it was not alive, ");
    }
    say_u64(text, t->failures);
    say(text, " times in a row");
    if (!is_process) {
        say(text, " when asked to ");
        ha_check_say(text, &l->checks[purpose]);
    }
    say(text, l->heard[rung][0] != '\0' ? ": " : "");
    say(text, l->heard[rung]);
}

static void ladder_end(struct ha_run *run, enum ha_ladder_set set)
{
    struct ha_ladders *all = run->agent->ladders;
    const struct probe_target *t = probe_set_find(all->sets[set], run->ladder->id);
    struct buf text;

    buf_init(&text);
    ladder_reason(run, t, set == HA_LADDER_PROCESSES, &text);
    ha_text_set(run->unwell, sizeof(run->unwell), say_end(&text));
    buf_deinit(&text);
    run->must_die = true;
    all->ended++;
    ha_agent_say(run->agent, "is ended", run->vm, run->unwell);
    ladder_leave(run);
    ha_agent_due(run->agent); /* it is killed in the next pass */
}

/* It is ended, or, as its guest has failed, as soon as it was looked what its process does. Its
 * target stays as it is, so that it is not judged again meanwhile. */
static void ladder_condemn(struct ha_run *run, enum ha_ladder_set set)
{
    if (set == HA_LADDER_PROCESSES) {
        ladder_end(run, set);
    } else {
        run->ladder->is_condemned = true;
    }
}

/* Its last answer was none, or a bad one, or it is asked anew and has not answered yet. Who only
 * begins is not counted. */
static bool ladder_fails(const struct ha_ladder *l, enum ha_ladder_set set,
                         const struct probe_target *t)
{
    return t->state == PROBE_FAILED || l->was_held[set] ||
           (t->state == PROBE_RUNNING && t->probes[PROBE_LIVENESS].failed > 0);
}

/* More than half of the machines, and more than one, do not answer: that is one cause. */
static bool ladders_fail_together(const struct ha_agent *a, enum ha_ladder_set set)
{
    const struct probe_set *targets = a->ladders->sets[set];
    uint32_t failing = 0;

    for (size_t i = 0; i < a->n_runs; i++) {
        const struct ha_ladder *l = a->runs[i]->ladder;
        const struct probe_target *t = l != NULL ? probe_set_find(targets, l->id) : NULL;
        failing += t != NULL && ladder_fails(l, set, t);
    }
    return failing > 1 && failing * 2 > targets->count;
}

/* What it has failed before counts for nothing; until it is well it is one that fails. */
static void ladder_ask_anew(struct ha_run *run, enum ha_ladder_set set, nanos from, nanos now)
{
    struct probe_set *targets = run->agent->ladders->sets[set];

    run->ladder->was_held[set] = true;
    probe_set_remove(targets, run->ladder->id);
    ladder_add(run, set, now);
    probe_set_excuse(targets, run->ladder->id, from, now);
}

/* Of those that failed and are not ended: asked anew, so that nobody is ended by an old answer. The
 * first time they get a while; who fails again may be the one that is ended. */
static void ladder_hold(struct ha_agent *a, enum ha_ladder_set set, bool may_end, nanos now)
{
    struct ha_ladders *all = a->ladders;
    nanos due = all->tried_at != 0 ? u64_add_sat(all->tried_at, HOLD) : 0;

    for (size_t i = 0; i < a->n_runs; i++) {
        struct ha_run *run = a->runs[i];
        struct ha_ladder *l = run->ladder;
        const struct probe_target *t = l != NULL ? probe_set_find(all->sets[set], l->id) : NULL;
        if (t == NULL || t->state != PROBE_FAILED || l->is_condemned) {
            continue;
        }
        if (may_end && l->was_held[set] && now >= due) {
            all->tried_at = now;
            due = u64_add_sat(now, HOLD);
            ladder_condemn(run, set);
        } else {
            bool is_first = may_end && !l->was_held[set];
            ladder_ask_anew(run, set, u64_add_sat(now, is_first ? HOLD : 0), now);
        }
    }
}

static void ladder_end_failed(struct ha_agent *a, enum ha_ladder_set set, nanos now)
{
    bool may_end = ha_agent_may_start(a); /* else nobody could start it anew */
    uint64_t id = 0;

    while (may_end && !ladders_fail_together(a, set) &&
           probe_set_restart(a->ladders->sets[set], now, &id)) {
        ladder_condemn(ladder_run_of(a, id), set);
    }
    ladder_hold(a, set, may_end, now);
}

/* Those whose process has been looked at since they failed: a guest that QEMU has stopped is not
 * dead, and is asked again when it goes on. */
static void ladder_execute(struct ha_run *run, nanos now)
{
    struct ha_ladder *l = run->ladder;
    struct probe_set *processes = run->agent->ladders->sets[HA_LADDER_PROCESSES];

    if (l->must_look && l->is_asked) {
        if (l->query.ticket == 0) {
            probe_set_hurry(processes, l->id, PROBE_LIVENESS, now + LOOK_AGAIN);
        }
    } else if (l->is_condemned) {
        l->is_condemned = false;
        if (run->stands[0] == '\0' && ha_agent_may_start(run->agent)) {
            ladder_end(run, HA_LADDER_GUESTS);
        }
    }
}

/* --- the pass -----------------------------------------------------------------------------------
 */

static void ladder_ask(struct ha_agent *a, enum ha_ladder_set set, nanos now)
{
    struct probe_order order;

    while (probe_set_next(a->ladders->sets[set], now, &order)) {
        struct ha_run *run = ladder_run_of(a, order.id);
        if (set == HA_LADDER_GUESTS) {
            ha_ask_guest(run, &order);
        } else if (order.purpose == PROBE_LIVENESS) {
            ladder_query(run, &order);
        } else {
            ha_ask_agent(run, &order);
        }
    }
}

void ha_ladders_pass(struct ha_agent *a, nanos now)
{
    if (a->is_stopped) {
        return;
    }
    for (size_t i = 0; i < a->n_runs; i++) {
        ladder_enroll(a->runs[i], now);
    }
    for (enum ha_ladder_set set = 0; set < HA_LADDER_SETS; set++) {
        ladder_ask(a, set, now);
    }
    for (size_t i = 0; i < a->n_runs; i++) {
        if (a->runs[i]->ladder != NULL) {
            ladder_tell(a->runs[i]);
        }
    }
    for (enum ha_ladder_set set = 0; set < HA_LADDER_SETS; set++) {
        ladder_end_failed(a, set, now);
    }
    for (size_t i = 0; i < a->n_runs; i++) {
        if (a->runs[i]->ladder != NULL) {
            ladder_execute(a->runs[i], now);
        }
    }
    for (enum ha_ladder_set set = 0; set < HA_LADDER_SETS; set++) {
        ha_agent_want(a, probe_set_deadline(a->ladders->sets[set]));
    }
}

void ha_ladders_expect(struct ha_agent *a)
{
    pause_expect(&a->ladders->pause, a->wanted);
}

/* --- life ---------------------------------------------------------------------------------------
 */

static struct probe_set *ladders_set(uint64_t seed, nanos now)
{
    struct probe_set_config config = probe_set_config_of();
    struct probe_set *set = mem_alloc_zero(sizeof(*set));

    config.flights_max = PROBE_FLIGHTS_MAX;
    config.restarts_max = RESTARTS_MAX;
    config.restarts_span = RESTARTS_SPAN;
    probe_set_init(set, &config, seed, now);
    return set;
}

void ha_ladders_open(struct ha_agent *a)
{
    const struct pause_config config = {
        .late_max = TURN_LATE, .drift_max = TURN_LATE, .settle = TURN_SETTLE};
    struct ha_ladders *all = a->ladders = mem_alloc_zero(sizeof(*all));
    nanos now = ha_agent_now(a);
    uint64_t seeds[HA_LADDER_SETS];

    a->world->random->fill(a->world->self, (uint8_t *)seeds, sizeof(seeds));
    for (int i = 0; i < HA_LADDER_SETS; i++) {
        all->sets[i] = ladders_set(seeds[i], now);
    }
    pause_init(&all->pause, &config, now, world_awake(a->world));
}

void ha_ladders_close(struct ha_agent *a)
{
    for (int i = 0; i < HA_LADDER_SETS; i++) {
        mem_free(a->ladders->sets[i]);
    }
    mem_free(a->ladders);
}

uint64_t ha_ladders_ended(const struct ha_agent *a)
{
    return a->ladders->ended;
}

bool ha_ladder_asks(const struct ha_run *run)
{
    return run->ladder != NULL && run->ladder->is_asked;
}

bool ha_ladder_is_busy(const struct ha_run *run)
{
    return ha_asks_are_busy(run);
}

void ha_ladder_stop(struct ha_run *run)
{
    if (run->ladder != NULL) {
        ha_asks_stop(run, HA_RUNG_QMP);
    }
}

void ha_ladder_free(struct ha_run *run)
{
    if (run->ladder != NULL) {
        ha_asks_free(run);
        mem_free(run->ladder);
    }
}
