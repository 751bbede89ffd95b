/* Elections: who leads when, over links that work for some. */
#include "core/chaos/scenario/stage.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"

#define T SCENARIO_TIMEOUT

/* How long nothing may change while nothing happens. */
#define CALM (20 * T)

/* A write succeeds within the bound, and then nobody is elected any more while the links stay as
 * they are. */
static void settles(struct stage *st, nanos bound)
{
    stage_write(st, bound);
    stage_pass(st, 2 * T);
    stage_leaders_begin(st);
    stage_pass(st, CALM);
    stage_expect(st, stage_leaders(st) == 0, "nobody is elected while nothing changes");
    stage_write(st, T);
}

void scenario_all_start_together(struct stage *st)
{
    const struct sim_settings s = stage_plain(5);

    stage_raise(st, &s);
    for (uint32_t i = 0; i < 5; i++) {
        stage_start(st, stage_member(st, i));
    }
    stage_write(st, 4 * T);
}

void scenario_full_omission_5(struct stage *st)
{
    const struct sim_settings s = stage_plain(5);

    stage_found(st, &s);
    stage_make_leader(st, stage_member(st, 3), 2 * T);
    stage_link_all(st, false);
    stage_link(st, stage_member(st, 0), stage_member(st, 1), true);
    stage_link(st, stage_member(st, 1), stage_member(st, 2), true);
    stage_link(st, stage_member(st, 0), stage_member(st, 2), true);
    stage_link(st, stage_member(st, 1), stage_member(st, 3), true);
    stage_link(st, stage_member(st, 2), stage_member(st, 4), true);
    settles(st, 6 * T);
}

/* Links between the hub and everybody, but for `but` (NULL: nobody). */
static void link_hub(struct stage *st, struct simmember *hub, const struct simmember *but)
{
    for (uint32_t i = 0; i < st->sim.settings.founders; i++) {
        struct simmember *m = stage_member(st, i);
        if (m != hub && m != but) {
            stage_link(st, hub, m, true);
        }
    }
}

void scenario_omni_quorum_loss(struct stage *st)
{
    const struct sim_settings s = stage_plain(5);

    stage_found(st, &s);
    struct simmember *hub = stage_follower(st, 0);
    stage_link_all(st, false);
    link_hub(st, hub, NULL);
    stage_write(st, 4 * T);
    stage_expect(st, stage_leads(hub), "the one that reaches a majority leads");
}

void scenario_constrained_election(struct stage *st)
{
    const struct sim_settings s = stage_plain(5);

    stage_found(st, &s);
    struct simmember *leader = stage_leader(st);
    struct simmember *longer = stage_follower(st, 0);
    struct simmember *hub = stage_follower(st, 1);
    stage_isolate(st, leader, true);
    stage_link(st, leader, longer, true);
    for (uint32_t key = 0; key < 3; key++) {
        (void)stage_ask(st, leader, SIMCALL_PUT, key);
    }
    STAGE_UNTIL(st, T / 2, stage_status(longer).last >= stage_status(hub).last + 3,
                "a minority has entries that the others lack");
    stage_link_all(st, false);
    link_hub(st, hub, leader);
    stage_write(st, 4 * T);
    stage_expect(st, stage_leads(hub), "the one that reaches a majority leads");
}

void scenario_chained(struct stage *st)
{
    const struct sim_settings s = stage_plain(5);

    stage_found(st, &s);
    stage_make_leader(st, stage_member(st, 0), 2 * T);
    stage_link_all(st, false);
    for (uint32_t i = 0; i + 1 < 5; i++) {
        stage_link(st, stage_member(st, i), stage_member(st, i + 1), true);
    }
    settles(st, 6 * T);
}

static struct simmember *find_candidate(struct stage *st)
{
    for (uint32_t i = 0; i < st->sim.settings.founders; i++) {
        struct simmember *m = stage_member(st, i);
        if (stage_status(m).role == RAFT_CANDIDATE) {
            return m;
        }
    }
    return NULL;
}

/* Of the two that are left, the old leader has the longer log, and the other, who was a candidate
 * and never won, the newer term: only the first can win, once it knows of the second's term. */
void scenario_prevote_two_alive_deadlock(struct stage *st)
{
    const struct sim_settings s = stage_plain(3);

    stage_found(st, &s);
    struct simmember *old = stage_leader(st);
    struct simmember *follower[] = {stage_follower(st, 0), stage_follower(st, 1)};
    struct simmember *other = NULL;
    raft_term term = stage_status(old).term;
    stage_isolate(st, old, true);
    (void)stage_ask(st, old, SIMCALL_PUT, 0);
    for (int i = 0; i < 2; i++) { /* two terms, so that the old leader's next one is old, too */
        stage_start(st, follower[0]);
        stage_start(st, follower[1]);
        STAGE_UNTIL(st, 6 * T, find_candidate(st) != NULL, "one of the others campaigns");
        other = find_candidate(st);
        if (other == NULL) {
            return;
        }
        stage_kill(st, other == follower[0] ? follower[1] : follower[0]);
        stage_pass(st, 3 * T);
    }
    stage_expect(st, stage_status(other).term > term + 1, "the one that campaigned is ahead");
    stage_expect(st, stage_status(old).last > stage_status(other).last, "and has a shorter log");
    stage_expect(st, stage_status(old).term == term, "the old leader knows nothing of it");
    stage_lose_streams(st, old);
    stage_isolate(st, old, false);
    stage_write(st, 6 * T);
}

/* A follower that hears nobody, and is heard by all, asks without end. */
void scenario_leader_grants_prevote(struct stage *st)
{
    const struct sim_settings s = stage_plain(3);

    stage_found(st, &s);
    struct simmember *leader = stage_leader(st);
    struct simmember *deaf = stage_follower(st, 0);
    raft_term term = stage_status(leader).term;
    stage_catch(st, deaf, leader, RAFT_MSG_PRE_VOTE);
    stage_cut(st, leader, deaf, true);
    stage_leaders_begin(st);
    for (int i = 0; i < 10; i++) {
        stage_pass(st, T);
        stage_put(st, leader, 0, T / 2);
    }
    stage_expect(st, st->caught_count > 2, "the leader is asked for pre-votes");
    stage_cut(st, leader, deaf, false);
    stage_await_caught_up(st, deaf, 10 * T);
    stage_expect(st, stage_leads(leader) && stage_status(leader).term == term,
                 "questions change neither the leader nor its term");
}

static bool all_serve(struct stage *st)
{
    bool serve = true;

    for (uint32_t i = 0; i < st->sim.settings.founders; i++) {
        serve = serve && simmember_serves(stage_member(st, i));
    }
    return serve;
}

/* Two campaign in one term; the one that wins loses the lead in it, and then hears, late, what the
 * other asked for. And the one that lost hears the winner's question again, after a restart. */
void scenario_double_vote_after_stepdown(struct stage *st)
{
    struct sim_settings s = stage_plain(3);

    s.raft.pre_vote = false;
    stage_raise(st, &s);
    for (uint32_t i = 0; i < 3; i++) {
        stage_start(st, stage_member(st, i));
    }
    STAGE_UNTIL(st, T / 2, all_serve(st), "all have started");
    stage_catch(st, NULL, NULL, RAFT_MSG_VOTE);
    stage_expect(st, stage_campaign(st, stage_member(st, 0)) == OK, "one campaigns");
    stage_expect(st, stage_campaign(st, stage_member(st, 1)) == OK, "another does so, too");
    struct simmember *won = stage_await_leader(st, NULL, T / 2);
    struct simmember *lost = stage_member(st, won->i == 0 ? 1 : 0);
    raft_term term = stage_status(won).term;
    stage_catch_end(st);
    stage_isolate(st, won, true);
    STAGE_UNTIL(st, 3 * T, !stage_leads(won), "a leader that hears nobody steps down");
    stage_expect(st, stage_status(won).term == term, "it does so in its term");
    stage_deliver(st, stage_find_caught(st, lost, won));
    stage_expect(st, stage_status(won).vote == won->id, "it has its vote no second time");
    stage_isolate(st, won, false);
    stage_write(st, 6 * T);
}
