/*
 * Each of the oracle's checks, against a cluster in which what it checks was broken by hand: in a
 * node's memory, on its disk, or by a message that it never sent. The oracle must name the
 * invariant, and nothing before it.
 */
#include <string.h>

#include "core/chaos/oracle/oracle_int.h"
#include "core/chaos/simdisk.h"
#include "core/chaos/simnet.h"
#include "core/store/store_int.h"
#include "tests/support/node_cluster.h"
#include "tests/support/test.h"

#define DISK (256ULL * 1024 * 1024)

/* --- breaking -------------------------------------------------------------------------------- */

struct bite {
    struct cluster3 c;
    uint32_t leader;
    uint32_t a; /* the others */
    uint32_t b;
    struct put put[4];
    uint32_t put_count;
};

static void bite_start(struct bite *t, bool has_witness)
{
    memset(t, 0, sizeof(*t));
    cluster3_init(&t->c, 5, 3);
    for (uint32_t i = 0; has_witness && i < 3; i++) {
        t->c.founders.member[i].roles |= i == 2 ? RAFT_WITNESS : RAFT_IN_SYNC;
    }
    cluster3_start(&t->c);
    t->leader = cluster3_elect(&t->c);
    t->a = t->leader == 0 ? 1 : 0;
    t->b = 3 - t->leader - t->a;
    for (uint64_t i = 0; i < 5; i++) {
        cluster3_put(&t->c, t->leader, "before", value_of(i));
    }
    cluster3_run(&t->c, NANOS_PER_S / 2);
    assert_null(oracle_violation(t->c.oracle));
}

static struct raft *bite_raft(struct bite *t, uint32_t i)
{
    return t->c.member[i].node->raft;
}

static void bite_step(struct bite *t, uint32_t i)
{
    oracle_step(t->c.oracle, i, simworld_now(t->c.sim));
}

/* Some events; unlike cluster3_run it asserts nothing of what was broken. */
static void bite_pass(struct bite *t, nanos span)
{
    nanos until = simworld_now(t->c.sim) + span;
    while (simworld_now(t->c.sim) < until && cluster3_step(&t->c)) {
    }
}

static void bite_cut(struct bite *t, uint32_t i)
{
    for (uint32_t k = 0; k < 3; k++) {
        if (k != i) {
            simnet_cut(t->c.member[i].host, t->c.member[k].host, true);
        }
    }
}

/* A put that nobody waits for. */
static void bite_put(struct bite *t, uint32_t at)
{
    assert_true(t->put_count < COUNT_OF(t->put));
    put_begin(&t->put[t->put_count], t->c.member[at].node, "loose", value_of(t->put_count));
    t->put_count++;
}

static void bite_sent(struct bite *t, uint32_t i, struct raft_message m)
{
    m.from = i + 1;
    oracle_sent(t->c.oracle, i, &m);
}

static void bite_end(struct bite *t, const char *invariant)
{
    const struct oracle_violation *v = oracle_violation(t->c.oracle);
    assert_non_null(v);
    print_message("# %s: %s\n", v->invariant, v->text);
    assert_string_equal(v->invariant, invariant);
    cluster3_unwatch(&t->c);
    cluster3_deinit(&t->c);
    for (uint32_t i = 0; i < t->put_count; i++) {
        buf_deinit(&t->put[i].body);
    }
}

/* Node `i` leads a new term, by the votes of all. */
static void bite_crown(struct bite *t, uint32_t i)
{
    struct raft *r = bite_raft(t, i);
    raft_term term = r->term + 5;
    for (uint32_t k = 0; k < 3; k++) {
        bite_sent(t, k,
                  (struct raft_message){.type = RAFT_MSG_VOTE_RESP, .to = i + 1, .term = term});
    }
    r->term = term;
    r->vote = i + 1;
    r->role = RAFT_LEADER;
    bite_step(t, i);
}

/* --- elections ------------------------------------------------------------------------------- */

static void a_second_leader_of_a_term_is_i1(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    bite_raft(&t, t.a)->role = RAFT_LEADER;
    bite_step(&t, t.a);
    bite_end(&t, "I1");
}

static void a_leader_without_votes_is_i1(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    struct raft *r = bite_raft(&t, t.a);
    r->term++;
    r->vote = t.a + 1;
    r->role = RAFT_LEADER;
    bite_step(&t, t.a);
    bite_end(&t, "I1");
}

static void a_leader_without_a_committed_entry_is_i4(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    bite_cut(&t, t.a);
    cluster3_put(&t.c, t.leader, "missed", value_of(1));
    bite_crown(&t, t.a);
    bite_end(&t, "I4");
}

static void a_term_that_falls_is_i36(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    bite_crown(&t, t.a);
    assert_null(oracle_violation(t.c.oracle));
    bite_raft(&t, t.a)->term--;
    bite_step(&t, t.a);
    bite_end(&t, "I36");
}

static void a_witness_that_leads_is_i19(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, true);
    bite_crown(&t, 2);
    bite_end(&t, "I19");
}

static void a_leader_out_of_sync_is_i19(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, true);
    uint32_t other = t.leader == 0 ? 1 : 0;
    bite_raft(&t, other)->membership.member[other].roles &= (uint8_t)~RAFT_IN_SYNC;
    bite_crown(&t, other);
    bite_end(&t, "I19");
}

static void a_second_vote_is_i23(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    struct raft_message m = {.type = RAFT_MSG_VOTE_RESP, .to = 3, .term = 90};
    bite_sent(&t, 0, m);
    bite_sent(&t, 0, m);
    assert_null(oracle_violation(t.c.oracle));
    m.to = 2;
    bite_sent(&t, 0, m);
    bite_end(&t, "I23");
}

static void a_vote_that_is_taken_back_is_i23(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    bite_raft(&t, t.a)->vote = t.a + 1;
    bite_step(&t, t.a);
    bite_end(&t, "I23");
}

/* --- impaired -------------------------------------------------------------------------------- */

static void an_impaired_leader_is_i22(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    bite_raft(&t, t.leader)->repair.lost_vote = true;
    bite_step(&t, t.leader);
    bite_end(&t, "I22");
}

static void a_vote_of_an_impaired_node_is_i22(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    struct raft *r = bite_raft(&t, t.a);
    r->repair.lost_vote = true;
    bite_step(&t, t.a);
    bite_sent(
        &t, t.a,
        (struct raft_message){.type = RAFT_MSG_VOTE_RESP, .to = t.b + 1, .term = r->term + 1});
    bite_end(&t, "I22");
}

static void a_campaign_of_an_impaired_node_is_i22(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    bite_raft(&t, t.a)->repair.lost_from = 3;
    bite_step(&t, t.a);
    bite_sent(&t, t.a, (struct raft_message){.type = RAFT_MSG_PRE_VOTE, .to = t.b + 1});
    bite_end(&t, "I22");
}

static void an_acknowledgement_behind_damage_is_i22(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    struct raft *r = bite_raft(&t, t.a);
    r->repair.range_count = 1;
    r->repair.range[0] = (struct raft_range){3, 3};
    bite_step(&t, t.a);
    struct raft_message ack = {
        .type = RAFT_MSG_APP_RESP, .to = t.leader + 1, .term = r->term, .index = r->log.last};
    bite_sent(&t, t.a, ack); /* it may have waited for the disk since before the damage */
    bite_step(&t, t.a);
    assert_null(oracle_violation(t.c.oracle));
    ack.index = r->log.last + 1;
    bite_sent(&t, t.a, ack);
    bite_end(&t, "I22");
}

/* --- logs ------------------------------------------------------------------------------------ */

static void a_leader_that_cuts_its_log_is_i2(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    bite_cut(&t, t.leader);
    bite_put(&t, t.leader);
    bite_pass(&t, 20 * NANOS_PER_MS);
    struct raft_log *log = &bite_raft(&t, t.leader)->log;
    assert_true(log->last > log->committed);
    raft_log_truncate(log, log->last);
    bite_step(&t, t.leader);
    bite_end(&t, "I2");
}

static void another_entry_under_the_same_name_is_i3(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    bite_cut(&t, t.a);
    struct raft *r = bite_raft(&t, t.a);
    raft_log_append(&r->log, r->term, RAFT_ENTRY_NORMAL, (struct bytes){(const uint8_t *)"x", 1});
    bite_step(&t, t.a);
    assert_null(oracle_violation(t.c.oracle));
    bite_put(&t, t.leader);
    bite_pass(&t, 20 * NANOS_PER_MS);
    bite_end(&t, "I3");
}

static void another_entry_before_one_is_i3(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    const struct bytes empty = {NULL, 0};
    struct raft_log *a = &bite_raft(&t, t.a)->log;
    struct raft_log *b = &bite_raft(&t, t.b)->log;
    raft_term term = raft_log_last_term(a);
    raft_log_append(a, term, RAFT_ENTRY_NORMAL, empty);
    raft_log_append(a, term + 2, RAFT_ENTRY_NORMAL, empty);
    raft_log_append(b, term + 1, RAFT_ENTRY_NORMAL, empty);
    raft_log_append(b, term + 2, RAFT_ENTRY_NORMAL, empty);
    bite_step(&t, t.a);
    assert_null(oracle_violation(t.c.oracle));
    bite_step(&t, t.b);
    bite_end(&t, "I3");
}

static void a_payload_that_changed_is_i3(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    const struct raft_log *log = &bite_raft(&t, t.a)->log;
    const struct raft_entry *e = raft_log_entry(log, log->last);
    assert_true(e->payload.len > 0);
    ((uint8_t *)(uintptr_t)e->payload.data)[e->payload.len - 1] ^= 1;
    oracle_full(t.c.oracle, simworld_now(t.c.sim));
    bite_end(&t, "I3");
}

static void a_payload_on_a_witness_is_i21(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, true);
    struct raft *r = bite_raft(&t, 2);
    raft_log_append(&r->log, r->term, RAFT_ENTRY_NORMAL, (struct bytes){(const uint8_t *)"x", 1});
    bite_step(&t, 2);
    bite_end(&t, "I21");
}

static void memory_beyond_its_bound_is_i26(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    struct raft *r = bite_raft(&t, t.a);
    r->log.cached_bytes += r->cfg.max_cached_bytes * 2;
    raft_log_append(&r->log, r->term, RAFT_ENTRY_NORMAL, (struct bytes){NULL, 0});
    bite_step(&t, t.a);
    bite_end(&t, "I26");
}

/* --- commits --------------------------------------------------------------------------------- */

static void a_commit_without_a_quorum_is_i35(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    bite_cut(&t, t.leader);
    bite_put(&t, t.leader);
    bite_pass(&t, 20 * NANOS_PER_MS);
    struct raft_log *log = &bite_raft(&t, t.leader)->log;
    assert_true(log->last > log->committed);
    log->committed = log->last;
    bite_step(&t, t.leader);
    bite_end(&t, "I35");
}

static void a_follower_that_commits_first_is_i35(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    struct raft *r = bite_raft(&t, t.a);
    raft_log_append(&r->log, r->term, RAFT_ENTRY_NORMAL, (struct bytes){NULL, 0});
    r->log.committed = r->log.last;
    bite_step(&t, t.a);
    bite_end(&t, "I35");
}

/* All three have the entry of term T durably, and the leader of T + 5 commits it by counting. */
static void a_commit_of_an_old_term_is_i35(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    bite_cut(&t, t.leader);
    struct raft *r = bite_raft(&t, t.leader);
    bite_put(&t, t.leader);
    bite_pass(&t, 20 * NANOS_PER_MS);
    assert_true(r->log.last > r->log.committed && r->log.durable == r->log.last);
    bite_crown(&t, t.leader);
    for (uint32_t i = 0; i < 3; i++) {
        bite_sent(&t, i,
                  (struct raft_message){.type = RAFT_MSG_APP_RESP,
                                        .to = t.leader + 1,
                                        .term = r->term,
                                        .index = r->log.last});
    }
    r->log.committed = r->log.last;
    bite_step(&t, t.leader);
    bite_end(&t, "I35");
}

static void a_committed_entry_that_is_another_is_i5(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    bite_cut(&t, t.a);
    struct raft *r = bite_raft(&t, t.a);
    r->term++;
    r->vote = NODE_NONE;
    raft_log_append(&r->log, r->term, RAFT_ENTRY_NORMAL, (struct bytes){NULL, 0});
    cluster3_put(&t.c, t.leader, "other", value_of(1));
    bite_step(&t, t.a);
    assert_null(oracle_violation(t.c.oracle));
    r->log.committed = r->log.last;
    bite_step(&t, t.a);
    bite_end(&t, "I5");
}

static void an_entry_applied_with_another_payload_is_i5(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    const struct raft *r = bite_raft(&t, t.a);
    raft_index first = raft_log_first(&r->log);
    struct raft_entry e = {.index = first,
                           .term = raft_log_term(&r->log, first),
                           .payload = {(const uint8_t *)"x", 1}};
    oracle_applied_entry(t.c.oracle, t.a, &e, r->term);
    bite_end(&t, "I5");
}

static void an_entry_that_is_left_out_is_i5(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    const struct raft *r = bite_raft(&t, t.a);
    struct raft_entry e = {.index = r->log.last + 2, .term = r->term};
    oracle_applied_entry(t.c.oracle, t.a, &e, r->term);
    bite_end(&t, "I5");
}

/* The leader and the witness have it; the other replica is in sync and has not. */
static void a_commit_without_its_in_sync_copies_is_i18(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, true);
    assert_true(oracle_counts(t.c.oracle).in_sync > 0);
    bite_cut(&t, t.leader == 0 ? 1 : 0);
    bite_put(&t, t.leader);
    bite_pass(&t, 50 * NANOS_PER_MS);
    struct raft_log *log = &bite_raft(&t, t.leader)->log;
    assert_true(log->last > log->committed && bite_raft(&t, 2)->log.durable == log->last);
    log->committed = log->last;
    bite_step(&t, t.leader);
    bite_end(&t, "I18");
}

static void a_commit_index_that_falls_is_i36(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    bite_raft(&t, t.a)->log.committed--;
    bite_step(&t, t.a);
    bite_end(&t, "I36");
}

/* --- states and members ---------------------------------------------------------------------- */

static void another_state_is_i32(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    struct node *n = t.c.member[t.a].node;
    store_close(n->store);
    n->store = store_open(n->cfg.feature_level);
    bite_put(&t, t.leader);
    bite_pass(&t, 200 * NANOS_PER_MS);
    bite_end(&t, "I32");
}

static void other_members_are_i32(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    bite_raft(&t, t.a)->membership.member[0].priority++;
    bite_put(&t, t.leader);
    bite_pass(&t, 200 * NANOS_PER_MS);
    bite_end(&t, "I32");
}

static void a_witness_in_sync_is_i20(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, true);
    bite_raft(&t, t.leader)->membership.member[2].roles |= RAFT_IN_SYNC;
    bite_put(&t, t.leader);
    bite_pass(&t, 200 * NANOS_PER_MS);
    bite_end(&t, "I20");
}

/* A proposal comes twice, and no store remembers the first copy. */
static void a_proposal_that_takes_effect_twice_is_i33(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    struct node *n = t.c.member[t.leader].node;
    bite_put(&t, t.leader);
    bite_pass(&t, 200 * NANOS_PER_MS);
    n->sequence--;
    bite_put(&t, t.leader); /* remembered: without effect, and all is well */
    bite_pass(&t, 200 * NANOS_PER_MS);
    assert_null(oracle_violation(t.c.oracle));
    assert_true(oracle_counts(t.c.oracle).copies > 0);
    for (uint32_t i = 0; i < 3; i++) {
        struct store_dedup *d = &t.c.member[i].node->store->dedup;
        for (size_t k = 0; k < d->count; k++) {
            memset(d->origins[k]->statuses, STORE_DEDUP_UNSEEN, sizeof(d->origins[k]->statuses));
        }
    }
    n->sequence--;
    bite_put(&t, t.leader);
    bite_pass(&t, 200 * NANOS_PER_MS);
    bite_end(&t, "I33");
}

static struct raft_membership voters_of(const node_id *in, const node_id *out)
{
    struct raft_membership ms;
    memset(&ms, 0, sizeof(ms));
    for (; *in != NODE_NONE; in++) {
        raft_membership_insert(&ms, *in, RAFT_VOTER);
    }
    for (; *out != NODE_NONE; out++) {
        struct raft_member *m = raft_membership_find(&ms, *out);
        if (!m) {
            m = raft_membership_insert(&ms, *out, 0);
        }
        m->roles |= RAFT_VOTER_OUTGOING;
    }
    return ms;
}

#define VOTERS(...) ((const node_id[]){__VA_ARGS__, NODE_NONE})
#define NOBODY      ((const node_id[]){NODE_NONE})

static void quorums_that_can_miss_each_other_are_found(void **state)
{
    (void)state;
    struct raft_membership three = voters_of(VOTERS(1, 2, 3), NOBODY);
    struct raft_membership four = voters_of(VOTERS(1, 2, 3, 4), NOBODY);
    struct raft_membership moved = voters_of(VOTERS(3, 4, 5), NOBODY);
    struct raft_membership joint = voters_of(VOTERS(3, 4, 5), VOTERS(1, 2, 3));
    struct raft_membership five = voters_of(VOTERS(1, 2, 3, 4, 5), NOBODY);
    assert_true(oracle_members_overlap(&three, &three));
    assert_true(oracle_members_overlap(&three, &four));
    assert_true(oracle_members_overlap(&three, &joint));
    assert_true(oracle_members_overlap(&joint, &moved));
    assert_false(oracle_members_overlap(&three, &moved));
    assert_false(oracle_members_overlap(&three, &five));
}

/* --- disks ----------------------------------------------------------------------------------- */

static void an_acknowledgement_before_it_is_durable_is_i24(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    simhost_stall(t.c.member[t.a].host, WORLD_LANE_LOG, simworld_now(t.c.sim) + 500 * NANOS_PER_MS);
    bite_put(&t, t.leader);
    bite_pass(&t, 20 * NANOS_PER_MS);
    const struct raft *r = bite_raft(&t, t.a);
    assert_true(r->log.durable < r->log.last);
    bite_sent(
        &t, t.a,
        (struct raft_message){
            .type = RAFT_MSG_APP_RESP, .to = t.leader + 1, .term = r->term, .index = r->log.last});
    bite_step(&t, t.a);
    bite_end(&t, "I24");
}

static void bite_restart(struct bite *t, uint32_t i)
{
    t->c.member[i].is_member = true;
    member_start(&t->c, i);
    bite_pass(t, 50 * NANOS_PER_MS);
}

static void an_entry_that_a_lying_disk_lost_is_i24(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    simdisk_lie(simhost_disk(t.c.member[t.a].host), true);
    for (uint64_t i = 0; i < 10; i++) {
        cluster3_put(&t.c, t.leader, "lost", value_of(i));
    }
    simhost_cut_power(t.c.member[t.a].host, 0, 1);
    oracle_closed(t.c.oracle, t.a);
    node_close(t.c.member[t.a].node);
    t.c.member[t.a].node = NULL;
    simdisk_lie(simhost_disk(t.c.member[t.a].host), false);
    bite_restart(&t, t.a);
    bite_end(&t, "I24");
}

static void a_vote_that_is_forgotten_is_i24(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    bite_sent(&t, t.a,
              (struct raft_message){.type = RAFT_MSG_VOTE_RESP, .to = t.b + 1, .term = 90});
    member_kill(&t.c, t.a, false);
    bite_restart(&t, t.a);
    bite_end(&t, "I24");
}

static void an_empty_disk_that_nobody_emptied_is_i27(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    member_kill(&t.c, t.a, false);
    simhost_replace_disk(t.c.member[t.a].host, simdisk_new(DISK));
    bite_restart(&t, t.a);
    bite_end(&t, "I27");
}

/* All three lose their disks, and found the group once more. */
static void an_entry_that_nobody_holds_any_more_is_i6(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    for (uint32_t i = 0; i < 3; i++) {
        member_kill(&t.c, i, false);
        simhost_replace_disk(t.c.member[i].host, simdisk_new(DISK));
        t.c.member[i].lost = ORACLE_LOST_ALL;
        member_start(&t.c, i);
    }
    bite_pass(&t, 20 * NANOS_PER_MS);
    assert_null(oracle_violation(t.c.oracle));
    oracle_full(t.c.oracle, simworld_now(t.c.sim));
    bite_end(&t, "I6");
}

static void a_member_that_lags_when_all_is_over_is_i6(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    oracle_converged(t.c.oracle, simworld_now(t.c.sim));
    assert_null(oracle_violation(t.c.oracle));
    bite_cut(&t, t.a);
    cluster3_put(&t.c, t.leader, "missed", value_of(1));
    cluster3_run(&t.c, 10 * NANOS_PER_MS);
    oracle_converged(t.c.oracle, simworld_now(t.c.sim));
    bite_end(&t, "I6");
}

static void a_message_of_a_halted_node_is_i29(void **state)
{
    (void)state;
    struct bite t;
    bite_start(&t, false);
    t.c.member[t.a].node->state = NODE_HALTED;
    bite_sent(&t, t.a, (struct raft_message){.type = RAFT_MSG_HEARTBEAT_RESP});
    bite_end(&t, "I29");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_leader_of_a_term_is_i1),
        cmocka_unit_test(a_leader_without_votes_is_i1),
        cmocka_unit_test(a_leader_without_a_committed_entry_is_i4),
        cmocka_unit_test(a_term_that_falls_is_i36),
        cmocka_unit_test(a_witness_that_leads_is_i19),
        cmocka_unit_test(a_leader_out_of_sync_is_i19),
        cmocka_unit_test(a_second_vote_is_i23),
        cmocka_unit_test(a_vote_that_is_taken_back_is_i23),
        cmocka_unit_test(an_impaired_leader_is_i22),
        cmocka_unit_test(a_vote_of_an_impaired_node_is_i22),
        cmocka_unit_test(a_campaign_of_an_impaired_node_is_i22),
        cmocka_unit_test(an_acknowledgement_behind_damage_is_i22),
        cmocka_unit_test(a_leader_that_cuts_its_log_is_i2),
        cmocka_unit_test(another_entry_under_the_same_name_is_i3),
        cmocka_unit_test(another_entry_before_one_is_i3),
        cmocka_unit_test(a_payload_that_changed_is_i3),
        cmocka_unit_test(a_payload_on_a_witness_is_i21),
        cmocka_unit_test(memory_beyond_its_bound_is_i26),
        cmocka_unit_test(a_commit_without_a_quorum_is_i35),
        cmocka_unit_test(a_follower_that_commits_first_is_i35),
        cmocka_unit_test(a_commit_of_an_old_term_is_i35),
        cmocka_unit_test(a_committed_entry_that_is_another_is_i5),
        cmocka_unit_test(an_entry_applied_with_another_payload_is_i5),
        cmocka_unit_test(an_entry_that_is_left_out_is_i5),
        cmocka_unit_test(a_commit_without_its_in_sync_copies_is_i18),
        cmocka_unit_test(a_commit_index_that_falls_is_i36),
        cmocka_unit_test(another_state_is_i32),
        cmocka_unit_test(other_members_are_i32),
        cmocka_unit_test(a_witness_in_sync_is_i20),
        cmocka_unit_test(a_proposal_that_takes_effect_twice_is_i33),
        cmocka_unit_test(quorums_that_can_miss_each_other_are_found),
        cmocka_unit_test(an_acknowledgement_before_it_is_durable_is_i24),
        cmocka_unit_test(an_entry_that_a_lying_disk_lost_is_i24),
        cmocka_unit_test(a_vote_that_is_forgotten_is_i24),
        cmocka_unit_test(an_empty_disk_that_nobody_emptied_is_i27),
        cmocka_unit_test(an_entry_that_nobody_holds_any_more_is_i6),
        cmocka_unit_test(a_member_that_lags_when_all_is_over_is_i6),
        cmocka_unit_test(a_message_of_a_halted_node_is_i29),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
