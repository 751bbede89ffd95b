#include "core/chaos/sim/sim.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/say.h"
#include "core/chaos/sim/sim_int.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"

/* Everything is checked in full after so many events, besides what each event touches. */
#define FULL_CHECK_EVENTS 20000

/* A run has some hundred thousand events. One with so many is a storm: somebody does the same thing
 * again and again without time passing, or nearly so. */
#define EVENTS_MAX 5000000

/* How often the states of nodes are noted for the coverage. */
#define LOOK_EVERY (50 * NANOS_PER_MS)

/* The founders have so long to elect their first leader, on their plain world. */
#define SETTLE_BOUND (30 * NANOS_PER_S)

const char *sim_verdict_name(enum sim_verdict verdict)
{
    static const char *const names[SIM_VERDICTS] = {"passed", "unsafe", "stuck", "undecided"};
    CHECK(verdict < SIM_VERDICTS);
    return names[verdict];
}

static void copy_text(char *to, size_t room, const char *text)
{
    size_t n = strlen(text);

    n = n < room ? n : room - 1;
    memcpy(to, text, n);
    to[n] = '\0';
}

struct buf *sim_line(struct sim *s)
{
    if (s->options->line == NULL) {
        return NULL;
    }
    buf_clear(&s->line);
    return &s->line;
}

void sim_line_end(struct sim *s)
{
    s->options->line(s->options->ctx, simworld_now(s->world), say_end(&s->line));
}

void sim_fail(struct sim *s, enum sim_verdict verdict, const char *invariant, const char *text)
{
    if (s->is_over) {
        return;
    }
    s->is_over = true;
    s->result->verdict = verdict;
    s->result->at = simworld_now(s->world);
    copy_text(s->result->invariant, sizeof s->result->invariant, invariant);
    copy_text(s->result->text, sizeof s->result->text, text);
    struct buf *line = sim_line(s);
    if (line != NULL) {
        say(line, "VIOLATION ");
        say(line, invariant);
        say(line, " ");
        say(line, text);
        sim_line_end(s);
    }
}

void sim_reach(struct sim *s, enum reached state)
{
    s->result->coverage.reached[state]++;
}

static raft_index sim_committed(void *ctx)
{
    const struct sim *s = ctx;
    return oracle_committed(s->oracle);
}

static void sim_read_early(void *ctx, uint32_t at, raft_index index, raft_index committed)
{
    struct sim *s = ctx;
    struct buf text;

    buf_init(&text);
    say(&text, "a read at ");
    say(&text, s->cluster.member[at].name);
    say(&text, " was told that entry ");
    say_u64(&text, index);
    say(&text, " is enough, and when it began entry ");
    say_u64(&text, committed);
    say(&text, " was committed");
    sim_fail(s, SIM_UNSAFE, "I7", say_end(&text));
    buf_deinit(&text);
}

/* --- after each event ------------------------------------------------------------------------- */

static void sim_touched(void *ctx, uint32_t i)
{
    struct sim *s = ctx;
    s->touched |= 1U << i;
}

static void check_oracle(struct sim *s)
{
    const struct oracle_violation *violation = oracle_violation(s->oracle);

    if (violation != NULL) {
        sim_fail(s, SIM_UNSAFE, violation->invariant, violation->text);
    }
}

static void check_touched(struct sim *s)
{
    const struct simhost *ran = simworld_ran(s->world);
    nanos now = simworld_now(s->world);

    for (uint32_t i = 0; i < s->cluster.n; i++) {
        struct simmember *m = &s->cluster.member[i];
        if (m->host != ran && (s->touched >> i & 1) == 0) {
            continue;
        }
        if (m->state == MEMBER_UP && !m->is_agent) {
            oracle_step(s->oracle, i, now);
            tla_trace_stepped(&s->tla, i, m->node);
            if (m->is_ready) {
                simwatches_drain(&s->watches, i);
            }
        }
        inject_watch(&s->inject, i);
    }
    s->touched = 0;
    check_oracle(s);
    sim_ha_check(s);
    if (inject_is_beyond(&s->inject) && !s->is_over) {
        s->is_beyond = true;
        sim_reach(s, REACHED_BEYOND);
        struct buf *line = sim_line(s);
        if (line != NULL) {
            say(line, "BEYOND the fault model: all hangs on disks that are damaged");
            sim_line_end(s);
        }
    }
}

static bool goes_on(const struct sim *s)
{
    return !s->is_over && !s->is_beyond;
}

bool sim_step(struct sim *s)
{
    if (!goes_on(s) || !simworld_step(s->world)) {
        return false;
    }
    check_touched(s);
    if (simworld_now(s->world) >= s->next_look) {
        s->next_look = simworld_now(s->world) + LOOK_EVERY;
        sim_look(s);
        sim_ha_look(s);
    }
    if (simworld_events(s->world) >= s->next_full) {
        s->next_full = simworld_events(s->world) + FULL_CHECK_EVENTS;
        oracle_full(s->oracle, simworld_now(s->world));
        check_oracle(s);
    }
    if (simworld_events(s->world) >= EVENTS_MAX) {
        sim_fail(s, SIM_STUCK, "storm", "events without end");
    }
    return true;
}

void sim_pass(struct sim *s, nanos until)
{
    while (goes_on(s) && simworld_next(s->world) <= until && sim_step(s)) {
    }
    if (goes_on(s)) {
        simworld_run(s->world, until);
    }
}

/* --- the course ------------------------------------------------------------------------------- */

void sim_open(struct sim *s, const struct sim_options *options, struct sim_result *ret)
{
    memset(s, 0, sizeof *s);
    memset(ret, 0, sizeof *ret);
    s->options = options;
    s->result = ret;
    prng_init(&s->root, options->seed);
    buf_init(&s->line);
    tla_trace_init(&s->tla, options->tla_line, options->tla_ctx);
}

void sim_begin(struct sim *s)
{
    struct prng world = prng_fork(&s->root, SIM_STREAM_WORLD);

    s->world = simworld_new(prng_u64(&world));
    s->result->started = simworld_now(s->world);
    s->oracle = oracle_new(s->settings.founders + s->settings.spares);
    simcluster_init(&s->cluster, s->world, &s->settings);
    s->cluster.events = sim_observers();
    if (s->options->tla_line == NULL) {
        s->cluster.events.stepping = NULL;
    }
    s->cluster.ctx = s;
    simclients_init(&s->clients, &s->cluster, &s->root);
    s->clients.touched = sim_touched;
    s->clients.committed = sim_committed;
    s->clients.read_early = sim_read_early;
    s->clients.ctx = s;
    simwatches_init(&s->watches, &s->cluster, &s->root);
    simlessees_init(&s->lessees, &s->cluster, &s->root);
    s->lessees.touched = sim_touched;
    s->lessees.ctx = s;
    simtruth_init(&s->truth, s->settings.feature_level);
    simoperator_init(&s->operator, & s->cluster);
    inject_init(&s->inject, &s->cluster, &s->clients, &s->plan);
    s->inject.operator= & s->operator;
    s->inject.touched = sim_touched;
    s->inject.injected = sim_injected;
    s->inject.ctx = s;
    if (s->options->traces_network) {
        sim_trace_network(s);
    }
}

static void sim_free(struct sim *s)
{
    /* The world goes before those whose timers it still has. */
    simcluster_deinit(&s->cluster);
    simworld_free(s->world);
    simwatches_deinit(&s->watches);
    simlessees_deinit(&s->lessees);
    simclients_deinit(&s->clients);
    simtruth_deinit(&s->truth);
    simoperator_deinit(&s->operator);
    inject_deinit(&s->inject);
    oracle_free(s->oracle);
    buf_deinit(&s->line);
    tla_trace_deinit(&s->tla);
}

static void sim_settle(struct sim *s)
{
    nanos bound = simworld_now(s->world) + SETTLE_BOUND;

    for (uint32_t i = 0; i < s->settings.founders; i++) {
        simmember_start(&s->cluster.member[i]);
    }
    simcluster_start_agents(&s->cluster);
    while (!s->is_over && simcluster_leader(&s->cluster) == NULL) {
        if (simworld_now(s->world) >= bound) {
            sim_fail(s, SIM_STUCK, "I16", "the founders elected no leader on a plain world");
        }
        sim_pass(s, simworld_now(s->world) + 10 * NANOS_PER_MS);
    }
    simclients_start(&s->clients);
    simwatches_start(&s->watches);
    simlessees_start(&s->lessees);
}

static void sim_faults(struct sim *s)
{
    nanos from = simworld_now(s->world);

    if (s->options->plan != NULL) {
        s->plan = *s->options->plan;
    } else {
        fault_plan_draw(&s->plan, &s->settings, &s->root);
    }
    inject_start(&s->inject, from);
    sim_pass(s, from + s->settings.fault_time);
}

static uint64_t sim_hash(const struct sim *s)
{
    uint64_t hash = hash_u64(simworld_hash(s->world), s->result->verdict);

    for (uint32_t i = 0; i < s->cluster.n; i++) {
        const struct simmember *m = &s->cluster.member[i];
        hash = hash_u64(hash, m->life);
        if (m->state == MEMBER_UP && m->is_ready) {
            hash = hash_u64(hash, raft_fingerprint(m->node->raft));
            hash = hash_u64(hash, store_hash(m->node->store));
        }
    }
    for (size_t i = 0; i < s->clients.call_count; i++) {
        const struct simcall *call = &s->clients.calls[i];
        hash = hash_u64(hash_u64(hash, call->outcome), call->returned);
        hash = hash_u64(hash_u64(hash, call->value), (uint64_t)call->revision);
    }
    return hash;
}

static void sim_sum_up(struct sim *s)
{
    struct sim_result *result = s->result;

    if (!s->is_over) {
        result->at = simworld_now(s->world);
    }
    result->events = simworld_events(s->world);
    result->committed = oracle_committed(s->oracle);
    result->calls = s->clients.call_count;
    result->fault_time = s->settings.fault_time;
    for (size_t kind = 0; kind < SIMCALL_KINDS; kind++) {
        result->operations += s->clients.counts[kind][SIMCALL_OK];
        result->coverage.reached[REACHED_UNKNOWN] += s->clients.counts[kind][SIMCALL_UNKNOWN];
    }
    for (size_t kind = 0; kind < FAULT_KINDS; kind++) {
        for (size_t k = 0; k < INJECT_OUTCOMES; k++) {
            result->coverage.faults[kind][k] = s->inject.counts[kind][k];
        }
    }
    result->hash = sim_hash(s);
}

void sim_end(struct sim *s)
{
    sim_sum_up(s);
    sim_free(s);
}

void sim_run(const struct sim_options *options, struct sim_result *ret)
{
    struct sim *s = mem_alloc(sizeof *s);

    sim_open(s, options, ret);
    sim_settings_draw(&s->settings, options->profile, &s->root);
    sim_begin(s);
    sim_settle(s);
    if (!s->is_over) {
        sim_faults(s);
    }
    if (goes_on(s)) {
        sim_heal(s);
    }
    if (!s->is_over) {
        sim_judge(s);
    }
    sim_end(s);
    mem_free(s);
}

void sim_plan(uint64_t seed, enum sim_profile profile, struct fault_plan *ret)
{
    struct sim_settings settings;
    struct prng root;

    prng_init(&root, seed);
    sim_settings_draw(&settings, profile, &root);
    fault_plan_draw(ret, &settings, &root);
}
