/* Changes of the membership, and members that do not know of them. */
#include "core/chaos/scenario/stage.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"

#define T SCENARIO_TIMEOUT

static uint8_t roles_in(const struct simmember *at, const struct simmember *who)
{
    if (!simmember_serves(at)) {
        return 0;
    }
    const struct raft_member *m = raft_membership_lookup(stage_status(at).membership, who->id);
    return m != NULL ? m->roles : 0;
}

static bool in_joint(const struct simmember *m)
{
    return simmember_serves(m) && raft_membership_is_joint(stage_status(m).membership);
}

static void cut_from(struct stage *st, struct simmember *m, bool is_cut)
{
    for (uint32_t i = 0; i < st->sim.settings.founders; i++) {
        if (i != m->i) {
            stage_cut(st, m, stage_member(st, i), is_cut);
        }
    }
}

/* [Ongaro15]: the change of a leader that is alone, and that of its successor, who does not know of
 * the first, would be decided by two majorities without a member in common. */
void scenario_single_server_reconfig(struct stage *st)
{
    struct sim_settings s = stage_plain(4);

    s.priority[2] = s.priority[3] = 0; /* the first two campaign, so nobody splits the votes */
    stage_found(st, &s);
    stage_pass(st, T);
    struct simmember *old = stage_leader(st);
    struct simmember *fresh = stage_member(st, old->i == 0 ? 1 : 0);
    struct simmember *out = stage_member(st, 3);
    struct raft_conf_change first = stage_one_change(RAFT_REMOVE, out);
    struct raft_conf_change second = stage_one_change(RAFT_REMOVE, old);
    stage_isolate(st, old, true);
    stage_expect(st, stage_change(st, old, &first) == OK,
                 "the leader that is alone takes a change");
    STAGE_UNTIL(st, 4 * T, stage_status(fresh).role == RAFT_CANDIDATE, "another one campaigns");
    STAGE_UNTIL(st, T / 2, stage_is_asked(stage_member(st, 2), fresh) && stage_is_asked(out, fresh),
                "it asks for votes");
    cut_from(st, fresh, true); /* they have its question; no entry will follow */
    STAGE_UNTIL(st, T / 2, stage_leads(fresh), "it is elected");
    stage_expect(st, stage_change(st, fresh, &second) == ERR_PENDING,
                 "it takes no change before it has committed in its term");
    cut_from(st, fresh, false);
    struct simmember *leader = stage_await_leader(st, old, 4 * T);
    stage_expect(st, stage_change(st, leader, &second) == OK, "then it does");
    STAGE_UNTIL(st, T, roles_in(leader, old) == 0, "the old leader is removed");
    stage_isolate(st, old, false);
    stage_pass(st, 4 * T);
    stage_expect(st, roles_in(leader, out) != 0, "the first change came to nothing");
}

/* Whoever was removed, and does not know it, hears no leader any more, and asks without end. */
void scenario_joint_2014_liveness(struct stage *st)
{
    const struct sim_settings s = stage_plain(4);

    stage_found(st, &s);
    stage_pass(st, T);
    struct simmember *leader = stage_leader(st);
    struct simmember *removed = stage_follower(st, 0);
    struct raft_conf_change change = stage_one_change(RAFT_REMOVE, removed);
    stage_cut(st, leader, removed, true);
    stage_expect(st, stage_change(st, leader, &change) == OK, "a member is removed");
    STAGE_UNTIL(st, T, roles_in(leader, removed) == 0, "it is out");
    stage_lose_streams(st, removed);
    stage_cut(st, leader, removed, false);
    raft_term term = stage_status(leader).term;
    stage_catch(st, removed, NULL, RAFT_MSG_PRE_VOTE);
    stage_leaders_begin(st);
    stage_pass(st, 20 * T);
    stage_expect(st, stage_leaders(st) == 0 && stage_status(leader).term == term,
                 "nobody listens to it");
    stage_expect(st, roles_in(removed, removed) != 0 && st->caught_count > 5,
                 "it takes itself for a member, and asks to be elected");
    stage_put(st, leader, 0, T);
}

/* The candidate knows of a promotion that has not reached the one who was promoted. */
void scenario_learner_must_vote(struct stage *st)
{
    struct sim_settings s = stage_plain(2);

    s.spares = 1;
    stage_found(st, &s);
    struct simmember *leader = stage_leader(st);
    struct simmember *voter = stage_follower(st, 0);
    struct simmember *learner = stage_member(st, 2);
    struct raft_conf_change join = stage_one_change(RAFT_ADD_LEARNER, learner);
    struct raft_conf_change promote = stage_one_change(RAFT_ADD_VOTER, learner);
    stage_start(st, learner);
    STAGE_UNTIL(st, T, simmember_serves(learner), "a new host starts");
    stage_expect(st, stage_change(st, leader, &join) == OK, "it joins as a learner");
    STAGE_UNTIL(st, 4 * T, roles_in(learner, learner) & RAFT_LEARNER, "it knows that it is one");
    stage_await_caught_up(st, learner, 4 * T);
    stage_pass(st, T);
    stage_cut(st, leader, learner, true);
    stage_cut(st, voter, learner, true);
    stage_expect(st, stage_change(st, leader, &promote) == OK, "it is promoted");
    STAGE_UNTIL(st, T / 2, roles_in(voter, learner) & RAFT_VOTER, "the other voter knows of that");
    stage_lose_streams(st, leader);
    stage_kill(st, leader);
    stage_cut(st, voter, learner, false);
    stage_expect(st, roles_in(learner, learner) & RAFT_LEARNER, "the learner does not");
    STAGE_UNTIL(st, 6 * T, stage_leads_firmly(voter), "the other voter is elected, by its vote");
}

static struct raft_conf_change replacement(const struct simmember *out, const struct simmember *in)
{
    return (struct raft_conf_change){
        .transition = RAFT_TRANSITION_AUTO,
        .n = 2,
        .single = {{.op = RAFT_REMOVE, .node = out->id},
                   {.op = RAFT_ADD_VOTER, .node = in->id, .priority = RAFT_PRIORITY_DEFAULT}}};
}

/* Two changes are asked for at once, and the leader dies in the joint configuration. */
void scenario_concurrent_joint_left_behind(struct stage *st)
{
    struct sim_settings s = stage_plain(3);

    s.spares = 2;
    stage_found(st, &s);
    struct simmember *leader = stage_leader(st);
    struct simmember *out = stage_follower(st, 0);
    for (uint32_t i = 3; i < 5; i++) {
        stage_start(st, stage_member(st, i));
        STAGE_UNTIL(st, T, simmember_serves(stage_member(st, i)), "a new host starts");
    }
    struct raft_conf_change first = replacement(out, stage_member(st, 3));
    struct raft_conf_change second = replacement(leader, stage_member(st, 4));
    stage_expect(st, stage_change(st, leader, &first) == OK, "a member is replaced");
    stage_expect(st, stage_change(st, leader, &second) == ERR_PENDING,
                 "a second change waits for the first");
    STAGE_UNTIL(st, T, in_joint(leader), "the configuration is joint");
    stage_kill(st, leader);
    struct simmember *next = stage_await_leader(st, leader, 6 * T);
    STAGE_UNTIL(st, 4 * T, stage_leads_firmly(next) && !in_joint(next), "it is left");
    stage_expect(st, roles_in(next, stage_member(st, 3)) & RAFT_VOTER, "for the new members");
    stage_expect(st, roles_in(next, stage_member(st, 4)) == 0, "and only for those");
}

/* Of a change that is committed and not applied? */
static bool knows_change(const struct simmember *m)
{
    return simmember_serves(m) && m->node->raft->conf_count > 0 &&
           m->node->raft->conf[0].index <= stage_status(m).committed;
}

/* A member knows that a change is committed, and cannot apply it before its disk has written it:
 * until then it does not know whom to ask for votes. */
void scenario_unapplied_conf_campaign(struct stage *st)
{
    struct sim_settings s = stage_plain(3);

    s.raft.apply_before_durable = false;
    stage_found(st, &s);
    stage_pass(st, T);
    struct simmember *leader = stage_leader(st);
    struct simmember *m = stage_follower(st, 0);
    struct simmember *out = stage_follower(st, 1);
    struct raft_conf_change change = stage_one_change(RAFT_REMOVE, out);
    stage_stall_disk(st, m, T / 2);
    stage_expect(st, stage_change(st, leader, &change) == OK, "a member is removed");
    STAGE_UNTIL(st, T / 4, knows_change(m),
                "one knows that this is committed, and has not applied it");
    stage_lose_streams(st, leader);
    stage_kill(st, leader);
    stage_expect(st, roles_in(m, out) & RAFT_VOTER, "it takes the one that is out for a voter");
    stage_expect(st, stage_campaign(st, m) == ERR_REFUSED, "it does not campaign");
    STAGE_UNTIL(st, T, roles_in(m, out) == 0, "its disk writes, and it applies the change");
    stage_start(st, leader);
    stage_write(st, 6 * T);
}

/* Partition, kill, pause and changes of the membership, under load. */
void scenario_mixed_fault_split_brain(struct stage *st)
{
    static const struct fault rows[] = {
        {.span = 2 * T, .kind = FAULT_ISOLATE, .target = TARGET_LEADER},
        {.span = 3 * T, .kind = FAULT_PAUSE, .target = TARGET_LEADER},
        {.span = 0, .kind = FAULT_ADD, .target = TARGET_LEADER},
        {.span = T, .kind = FAULT_KILL, .target = TARGET_LEADER},
        {.span = 2 * T, .kind = FAULT_SPLIT, .target = TARGET_ANY},
        {.span = 0, .kind = FAULT_REMOVE, .target = TARGET_LEADER, .pick = 1},
        {.span = T, .kind = FAULT_POWER, .target = TARGET_FOLLOWER, .number = 2},
        {.span = 0, .kind = FAULT_TRANSFER, .target = TARGET_FOLLOWER, .pick = 1},
        {.span = 0, .kind = FAULT_REPLACE, .target = TARGET_LEADER, .pick = 2},
        {.span = 2 * T, .kind = FAULT_MUTE, .target = TARGET_LEADER},
    };
    struct sim_settings s = stage_plain(5);
    struct prng p;

    s.spares = 3;
    s.clients = 6;
    s.weight_swap = 1;
    stage_found(st, &s);
    p = prng_fork(&st->sim.root, SIM_STREAM_PLAN);
    stage_load(st);
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT_OF(rows) && !stage_is_over(st); i++) {
            struct fault row = rows[i];
            row.draw = prng_u64(&p);
            inject_now(&st->sim.inject, &row);
            stage_pass(st, prng_range(&p, 1, 1000) * NANOS_PER_MS);
        }
        stage_pass(st, 4 * T);
        stage_write(st, 10 * T);
    }
}
