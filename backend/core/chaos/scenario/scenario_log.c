/* What counts as committed, and what a disk must have before anybody is told. */
#include "core/chaos/scenario/stage.h"
#include "core/consensus/raft/raft_int.h"
#include "core/node/node_int.h"

#define T SCENARIO_TIMEOUT

/* Up to where leader `m` knows `other` to have its log. */
static raft_index match_of(const struct simmember *m, const struct simmember *other)
{
    int slot = stage_leads(m) ? raft_membership_slot(stage_status(m).membership, other->id) : -1;

    return slot >= 0 ? raft_peer_progress(m->node->raft, (uint32_t)slot)->match : 0;
}

/* --- commitment ------------------------------------------------------------------------------ */

/* (a) S1 leads, brings an entry onto S2, and dies. (b) S5 is elected by S3 and S4, has another
 * entry at the same place, and dies. */
static raft_index fig8_two_entries(struct stage *st, struct simmember *s[5])
{
    raft_index index = stage_status(s[0]).last + 1;

    stage_isolate(st, s[0], true);
    stage_link(st, s[0], s[1], true);
    (void)stage_ask(st, s[0], SIMCALL_PUT, 0);
    STAGE_UNTIL(st, T / 2, stage_status(s[1]).durable == index, "S2 has the entry");
    stage_kill(st, s[0]);
    stage_isolate(st, s[1], true);
    STAGE_UNTIL(st, 4 * T, stage_status(s[4]).role == RAFT_CANDIDATE, "S5 campaigns");
    STAGE_UNTIL(st, T / 2, stage_is_asked(s[2], s[4]) && stage_is_asked(s[3], s[4]), "S5 asks");
    stage_cut(st, s[4], s[2], true); /* they have its question; no entry will follow */
    stage_cut(st, s[4], s[3], true);
    STAGE_UNTIL(st, T / 2, stage_leads(s[4]) && stage_status(s[4]).durable == index,
                "S5 is elected, and has an entry of its own there");
    stage_lose_streams(st, s[4]);
    stage_kill(st, s[4]);
    return index;
}

/* [Ongaro14 figure 3.7]. Only S1 and S5 ever campaign. */
void scenario_fig8_old_term_commit(struct stage *st)
{
    struct sim_settings settings = stage_plain(5);
    struct simmember *s[5];

    settings.priority[1] = settings.priority[2] = settings.priority[3] = 0;
    settings.raft.max_append_bytes = 0; /* one entry at a time */
    stage_found(st, &settings);
    for (uint32_t i = 0; i < 5; i++) {
        s[i] = stage_member(st, i);
    }
    stage_make_leader(st, s[0], 2 * T);
    stage_pass(st, T / 2);
    raft_index index = fig8_two_entries(st, s);
    stage_say(st, "(c) S1 is elected again, and brings its entry onto S3: onto a majority");
    stage_link_all(st, true);
    stage_isolate(st, s[3], true);
    stage_start(st, s[0]);
    STAGE_UNTIL(st, 12 * T, stage_leads(s[0]), "S1 leads again");
    STAGE_UNTIL(st, 4 * T, stage_status(s[2]).last == index, "S3 gets the old entry");
    stage_cut(st, s[0], s[2], true);
    STAGE_UNTIL(st, T, match_of(s[0], s[2]) == index, "S3 has it, and S1 knows");
    stage_expect(st, stage_status(s[0]).committed < index, "it is not committed by that");
    stage_lose_streams(st, s[0]);
    stage_kill(st, s[0]);
    stage_say(st, "(d) S5, whose entry is of a newer term, is elected by S3 and S4");
    stage_isolate(st, s[1], true);
    stage_isolate(st, s[3], false);
    stage_link(st, s[1], s[3], false);
    stage_start(st, s[4]);
    STAGE_UNTIL(st, 12 * T, stage_leads_firmly(s[4]), "S5 leads, and commits its own");
}

/* Of five, the leader reaches one: whichever it is, two are no majority. */
void scenario_commit_without_quorum(struct stage *st)
{
    const struct sim_settings s = stage_plain(5);

    stage_found(st, &s);
    struct simmember *leader = stage_leader(st);
    for (uint32_t k = 0; k < 4; k++) {
        struct simmember *one = stage_follower(st, k);
        raft_index before = stage_status(leader).last;
        for (uint32_t i = 0; i < 4; i++) {
            if (stage_follower(st, i) != one) {
                stage_link(st, leader, stage_follower(st, i), false);
            }
        }
        size_t write = stage_ask(st, leader, SIMCALL_PUT, k);
        STAGE_UNTIL(st, T / 4, match_of(leader, one) > before, "one follower has the write");
        stage_pass(st, T / 10);
        stage_expect(st, stage_is_pending(st, write), "two of five commit nothing");
        stage_link_all(st, true);
        STAGE_UNTIL(st, 2 * T, stage_is_ok(st, write), "a majority does");
        stage_pass(st, T);
        stage_expect(st, stage_leads(leader), "the leader stays");
    }
}

static raft_term term_at(const struct simmember *m, raft_index index)
{
    return simmember_serves(m) ? raft_log_term(&m->node->raft->log, index) : 0;
}

/* B's disk is still writing A's entries when those of the next leader replace them: what it reports
 * then says nothing about what stands there now. */
static void late_write(struct stage *st)
{
    struct simmember *a = stage_leader(st);
    struct simmember *b = stage_follower(st, 0);
    raft_index first = stage_status(a).last + 1;

    stage_isolate(st, a, true);
    stage_link(st, a, b, true);
    stage_stall_disk(st, b, 12 * T);
    for (uint32_t key = 0; key < 4; key++) {
        (void)stage_ask(st, a, SIMCALL_PUT, key);
    }
    STAGE_UNTIL(st, T / 4, stage_status(b).last == first + 3, "B's disk is writing A's entries");
    stage_kill(st, a);
    struct simmember *next = stage_await_leader(st, a, 10 * T);
    stage_put_many(st, next, 3);
    STAGE_UNTIL(st, 2 * T, term_at(b, first) == stage_status(next).term,
                "B has the next leader's in their place");
    stage_expect(st, stage_status(b).durable < first, "its disk has written neither");
    STAGE_UNTIL(st, 12 * T, stage_status(b).durable >= first + 3, "then it writes both");
    stage_link_all(st, true);
    stage_start(st, a);
    STAGE_UNTIL(st, T, simmember_serves(a), "A is back");
    stage_await_caught_up(st, a, 10 * T);
    stage_pass(st, T);
}

/* The late acknowledgement of entries that were replaced. B acknowledges A's entries when its disk
 * has them at last; by then they are gone from everywhere else, and A leads again, in a newer term,
 * with other entries at those places. */
void scenario_async_append_aba(struct stage *st)
{
    const struct sim_settings s = stage_plain(5);

    stage_found(st, &s);
    late_write(st);
    stage_say(st, "and now the acknowledgement comes late");
    struct simmember *a = stage_leader(st);
    struct simmember *b = stage_follower(st, 0);
    struct simmember *c = stage_follower(st, 1);
    raft_index first = stage_status(a).last + 1;
    stage_isolate(st, a, true);
    stage_link(st, a, b, true);
    stage_stall_disk(st, b, T / 2);
    stage_catch(st, b, a, RAFT_MSG_APP_RESP);
    for (uint32_t key = 0; key < 4; key++) {
        (void)stage_ask(st, a, SIMCALL_PUT, key);
    }
    STAGE_UNTIL(st, T / 4, stage_status(b).last == first + 3, "B's disk is writing A's entries");
    stage_isolate(st, b, true);
    stage_isolate(st, a, true);
    STAGE_UNTIL(st, T, stage_status(b).durable == first + 3, "B's disk has them");
    stage_catch_end(st);
    uint64_t late = st->caught_count - 1;
    stage_lose_streams(st, b);
    stage_kill(st, a);                 /* whoever waits for those writes is gone, too */
    stage_await_leader(st, a, 10 * T); /* all three that are left must agree */
    stage_isolate(st, a, false);
    stage_start(st, a);
    STAGE_UNTIL(st, T, simmember_serves(a), "A is back");
    stage_link(st, a, b, false);
    stage_await_caught_up(st, a, 8 * T);
    stage_say(st, "A's entries are gone; A leads again, and reaches C alone");
    stage_make_leader(st, a, 6 * T);
    stage_isolate(st, a, true);
    stage_link(st, a, c, true);
    while (!stage_is_over(st) && stage_status(a).last < first + 6) {
        (void)stage_ask(st, a, SIMCALL_PUT, 5);
        (void)stage_step(st, stage_now(st) + NANOS_PER_MS);
    }
    raft_index committed = stage_status(a).committed;
    stage_expect(st, committed < first + 3, "less is committed than was acknowledged then");
    STAGE_UNTIL(st, T / 2, match_of(a, c) == stage_status(a).last, "C has A's new entries");
    stage_deliver(st, late);
    stage_pass(st, T / 10);
    stage_expect(st, stage_status(a).committed == committed, "nothing is committed by it");
}

/* --- what a disk must have ------------------------------------------------------------------- */

void scenario_single_node_ack_before_fsync(struct stage *st)
{
    const struct sim_settings s = stage_plain(1);

    stage_found(st, &s);
    struct simmember *m = stage_leader(st);
    for (uint32_t round = 0; round < 4; round++) {
        uint64_t value = stage_put(st, m, 0, T);
        stage_stall_disk(st, m, T);
        size_t write = stage_ask(st, m, SIMCALL_PUT, 1);
        stage_pass(st, T / 2);
        stage_expect(st, stage_is_pending(st, write), "nobody is told before the disk has it");
        stage_cut_power(st, m, 0);
        stage_pass(st, T);
        stage_start(st, m);
        stage_await_leader(st, NULL, 4 * T);
        stage_expect(st, stage_get(st, m, 0, T) == value, "what was acknowledged is there");
    }
}

/* The leader and the follower whose acknowledgement made the majority lose their power with all
 * that was not synced, the instant a client is told. The leader does not come back. */
void scenario_lazyfs_unfsynced(struct stage *st)
{
    const struct sim_settings s = stage_plain(3);

    stage_found(st, &s);
    for (uint32_t round = 0; round < 3; round++) {
        struct simmember *leader = stage_leader(st);
        struct simmember *acked = stage_follower(st, 0);
        struct simmember *other = stage_follower(st, 1);
        stage_link(st, leader, other, false);
        stage_link(st, acked, other, false);
        stage_slow_disk(st, acked, NANOS_PER_MS, 50 * NANOS_PER_MS);
        size_t write = stage_ask(st, leader, SIMCALL_PUT, 0);
        STAGE_UNTIL(st, T, stage_is_ok(st, write), "a write is acknowledged");
        stage_cut_power(st, leader, 0);
        stage_cut_power(st, acked, 0);
        stage_slow_disk(st, acked, 0, 0);
        stage_link_all(st, true);
        stage_start(st, acked);
        struct simmember *next = stage_await_leader(st, leader, 6 * T);
        stage_expect(st, stage_get(st, next, 0, T) == stage_value(st, write),
                     "what was acknowledged is there");
        stage_start(st, leader);
        STAGE_UNTIL(st, T, simmember_serves(leader), "the old leader is back");
        stage_await_caught_up(st, leader, 20 * T);
    }
}

/* A member dies while its snapshot is being written, when it has been, and while entries wait for
 * its disk; its state after the restart is that of the others (the oracle compares them). */
void scenario_applied_index_not_atomic(struct stage *st)
{
    struct sim_settings s = stage_plain(3);

    s.raft.apply_before_durable = true;
    stage_found(st, &s);
    struct simmember *leader = stage_leader(st);
    struct simmember *m = stage_follower(st, 0);
    for (uint32_t round = 0; round < 4; round++) {
        stage_put_many(st, leader, 20);
        uint64_t value = stage_put(st, leader, 0, T);
        if (simmember_serves(m)) {
            node_take_snapshot(m->node);
        }
        if (round % 2 == 0) {
            STAGE_UNTIL(st, T, m->node == NULL || m->node->snap_finishing, "a snapshot is ending");
        } else {
            stage_snapshot(st, m, T);
            stage_stall_disk(st, m, T / 2);
            stage_put_many(st, leader, 5);
            STAGE_UNTIL(st, T, stage_status(m).applied > stage_status(m).durable,
                        "it has applied what its disk has not");
        }
        stage_cut_power(st, m, round);
        stage_start(st, m);
        STAGE_UNTIL(st, 4 * T, simmember_serves(m), "it is back");
        stage_await_caught_up(st, m, 8 * T);
        stage_expect(st, round % 2 != 0 || stage_get(st, m, 0, T) == value, "it says the same");
    }
}
