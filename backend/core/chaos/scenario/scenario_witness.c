/* Two hosts with machines, and a witness without data: who may decide when they do not hear each
 * other, and what the witness alone can do to them. */
#include "core/chaos/scenario/stage_machines.h"

struct pair {
    struct simmember *leader;
    struct simmember *other;
    struct simmember *witness;
};

/* The last founder is the witness. Machines 0 and 3 (`keep`) are on the one that does not lead. */
static struct pair pair_cast(struct stage *st)
{
    struct sim_settings s = stage_hosts(3, 4);
    struct pair p;

    s.has_witness = true;
    stage_found_hosts(st, &s);
    p.witness = stage_member(st, 2);
    p.leader = stage_leader(st);
    p.other = stage_member(st, p.leader->i == 0 ? 1 : 0);
    for (uint32_t i = 0; i < 4; i++) {
        stage_move(st, i, i == 0 || i == 3 ? p.other : p.leader);
    }
    return p;
}

static void nobody_minds(struct stage *st, const uint64_t *epochs, const char *text)
{
    bool is_so = stage_offs_all(st) == 0 && stage_all_run(st);

    for (uint32_t i = 0; i < 4; i++) {
        is_so = is_so && stage_owner(st, i)->epoch == epochs[i];
    }
    stage_expect(st, is_so, text);
}

void scenario_witness_lost(struct stage *st)
{
    const struct pair p = pair_cast(st);
    uint64_t epochs[4];

    for (uint32_t i = 0; i < 4; i++) {
        epochs[i] = stage_owner(st, i)->epoch;
    }
    stage_say(st, "the witness comes and goes");
    for (uint32_t i = 0; i < 12; i++) {
        stage_isolate(st, p.witness, i % 2 == 0);
        stage_pass(st, 3 * NANOS_PER_S + i * 200 * NANOS_PER_MS);
    }
    nobody_minds(st, epochs, "no host is fenced, and every machine runs in its epoch");
    stage_switch_off(st, p.witness);
    stage_pass(st, 60 * NANOS_PER_S);
    nobody_minds(st, epochs, "nor when it is down");
    stage_say(st, "and now the two do not hear each other");
    stage_link(st, p.leader, p.other, false);
    stage_pass(st, 60 * NANOS_PER_S);
    stage_expect(st, stage_offs_all(st) == 0, "without a quorum nobody fences");
    stage_link(st, p.leader, p.other, true);
    stage_switch_on(st, p.witness);
    stage_await_machines(st, STAGE_EXPIRED_WITHIN, "all run once they hear each other");
    stage_expect(st, stage_offs_all(st) == 0, "and nobody was fenced");
}

/* `p.other` loses them, or the leader alone; either way the leader goes on with the witness. */
static void leader_goes_on(struct stage *st, const struct pair *p)
{
    p->other->stays_down = true;
    STAGE_UNTIL(st, 90 * NANOS_PER_S,
                stage_runs_off(st, 0, p->other) && stage_runs_off(st, 3, p->other) &&
                    stage_all_run(st),
                "the leader's side runs all machines");
    stage_expect(st, stage_offs(st, p->other) > 0 && simhost_power(p->other->host) != SIMHOST_ON,
                 "the other host was fenced");
    stage_expect(st, stage_offs(st, p->leader) == 0 && stage_offs(st, p->witness) == 0,
                 "and nobody else");
}

void scenario_witness_on_one_side(struct stage *st)
{
    const struct pair p = pair_cast(st);

    stage_isolate(st, p.other, true);
    leader_goes_on(st, &p);
}

void scenario_witness_on_both_sides(struct stage *st)
{
    const struct pair p = pair_cast(st);

    stage_link(st, p.leader, p.other, false);
    leader_goes_on(st, &p);
    stage_say(st, "then the witness hears the fenced one alone, when it is back");
    stage_switch_on(st, p.other);
    stage_pass(st, 10 * NANOS_PER_S);
    stage_link(st, p.leader, p.witness, false);
    stage_pass(st, 40 * NANOS_PER_S);
    stage_expect(st, stage_offs(st, p.leader) == 0,
                 "who is not in sync cannot lead, and so fences nobody");
    stage_link(st, p.leader, p.witness, true);
    stage_link(st, p.leader, p.other, true);
    stage_await_machines(st, 60 * NANOS_PER_S, "all run after the heal");
}
