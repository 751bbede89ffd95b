/* Replication, by the sentences of [Ongaro14] §3.5, and the windows and bounds of this core. */
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

static void lead(struct solo *s, const struct raft_config *cfg, uint32_t n)
{
    struct raft_membership ms = solo_voters(n);
    solo_start(s, cfg, &ms);
    solo_elect(s);
    solo_ack_all(s);
    solo_forget(s);
}

static void lead_three(struct solo *s)
{
    struct raft_config cfg = raft_config_default(1, 42);
    lead(s, &cfg, 3);
}

/* A follower, node 1 of three, with entries of these terms behind entry 1. */
static void follow(struct solo *s, const raft_term *terms, uint32_t n)
{
    struct raft_config cfg = raft_config_default(1, 42);
    struct raft_membership ms = solo_voters(3);
    struct raft_saved saved = solo_founding(&ms);
    saved.hard_state.term = n > 0 ? terms[n - 1] : 1;
    solo_start_saved(s, &cfg, &saved, terms, n);
}

static enum err hear_append(struct solo *s, raft_term term, raft_index index, raft_term log_term,
                            const raft_term *terms, uint32_t n, raft_index commit)
{
    struct raft_entry entries[64];
    assert_true(n <= COUNT_OF(entries));
    for (uint32_t i = 0; i < n; i++) {
        entries[i] = (struct raft_entry){
            .index = index + 1 + i, .term = terms[i], .payload = {(const uint8_t *)"12345678", 8}};
    }
    return solo_receive(s, (struct raft_message){.type = RAFT_MSG_APP,
                                                 .from = 2,
                                                 .term = term,
                                                 .index = index,
                                                 .log_term = log_term,
                                                 .commit = commit,
                                                 .entry_count = n,
                                                 .entries = entries});
}

/* §3.5: "The leader appends the command to its log as a new entry, then issues AppendEntries RPCs
 * in parallel to each of the other servers". */
static void a_proposal_goes_to_every_follower_at_once(void **state)
{
    (void)state;
    struct solo s;
    lead_three(&s);
    s.hold_disk = true; /* nor does it wait for the leader's own disk */
    assert_int_equal(solo_propose(&s, 20), OK);
    for (node_id id = 2; id <= 3; id++) {
        const struct raft_message *m = solo_sent(&s, RAFT_MSG_APP, id);
        assert_true(m && m->entry_count == 1 && m->index == 2 && m->log_term == 2);
        assert_int_equal(m->entries[0].index, 3);
        assert_int_equal(m->entries[0].payload.len, 20);
    }
    solo_stop(&s);
}

static void entries_are_pipelined_without_waiting_for_answers(void **state)
{
    (void)state;
    struct solo s;
    lead_three(&s);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(solo_propose(&s, 20), OK);
        assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 2)->index, 2 + i);
    }
    assert_int_equal(solo_count(&s, RAFT_MSG_APP, 2), 10);
    solo_stop(&s);
}

/* §3.5: "a leader never overwrites or deletes entries in its log; it only appends new entries
 * (Leader Append-Only)". Whatever its followers refuse. */
static void a_leader_only_appends(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    struct solo s;
    lead_three(&s);
    raft_index last = solo_status(&s).last;
    for (size_t round = 0; round < test_rounds(2000); round++) {
        solo_forget(&s);
        if (prng_chance(&p, 1, 4)) {
            last += solo_propose(&s, prng_below(&p, 50)) == OK;
        }
        struct raft_message m = {.type = RAFT_MSG_APP_RESP, .from = prng_range(&p, 2, 3)};
        m.reject = prng_chance(&p, 1, 2);
        m.index = prng_below(&p, last + 5);
        m.hint = m.reject ? prng_below(&p, last + 5) : 0;
        m.log_term = m.reject ? prng_below(&p, 4) : 0;
        enum err ignored = solo_receive(&s, m);
        (void)ignored;
        assert_int_equal(solo_status(&s).last, last);
        assert_int_equal(raft_log_term(&s.raft->log, 1), 1);
    }
    solo_stop(&s);
}

/* §3.5: "If the follower does not find an entry in its log with the same index and term, then it
 * refuses the new entries." */
static void refuses_entries_whose_predecessor_it_lacks(void **state)
{
    (void)state;
    const raft_term have[] = {2, 2, 3};
    static const struct {
        raft_index index;
        raft_term log_term;
        bool rejects;
    } cases[] = {{1, 1, false}, {3, 2, false}, {4, 3, false}, {4, 2, true},
                 {5, 3, true},  {3, 1, true},  {9, 4, true}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct solo s;
        follow(&s, have, 3);
        assert_int_equal(hear_append(&s, 5, cases[i].index, cases[i].log_term, NULL, 0, 1), OK);
        const struct raft_message *m = solo_sent(&s, RAFT_MSG_APP_RESP, 2);
        assert_true(m && m->reject == cases[i].rejects);
        assert_int_equal(m->index, cases[i].index);
        assert_int_equal(solo_status(&s).last, 4);
        solo_stop(&s);
    }
}

/* §3.5: "conflicting entries in follower logs will be overwritten with entries from the leader's
 * log", and only those: figure 3.1, "If an existing entry conflicts with a new one [...] delete the
 * existing entry and all that follow it". */
static void overwrites_what_conflicts_and_keeps_what_does_not(void **state)
{
    (void)state;
    const raft_term have[] = {2, 2, 3};
    static const struct {
        raft_index index;
        raft_term log_term;
        uint32_t n;
        raft_term terms[3];
        raft_index last;
        raft_term last_term;
    } cases[] = {
        {1, 1, 2, {2, 2}, 4, 3},    /* known already: what follows stays */
        {2, 2, 2, {2, 4}, 4, 4},    /* entry 4 is another one */
        {1, 1, 1, {4}, 2, 4},       /* all of it */
        {4, 3, 3, {4, 4, 5}, 7, 5}, /* new ones */
        {3, 2, 3, {3, 5, 5}, 6, 5}, /* some known, some new */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct solo s;
        follow(&s, have, 3);
        assert_int_equal(
            hear_append(&s, 5, cases[i].index, cases[i].log_term, cases[i].terms, cases[i].n, 1),
            OK);
        assert_int_equal(solo_status(&s).last, cases[i].last);
        assert_int_equal(raft_log_last_term(&s.raft->log), cases[i].last_term);
        assert_int_equal(s.disk_base + s.disk_len, cases[i].last);
        assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->index, cases[i].index + cases[i].n);
        solo_stop(&s);
    }
}

static void a_committed_entry_is_never_overwritten(void **state)
{
    (void)state;
    struct solo s;
    follow(&s, NULL, 0);
    const raft_term first[] = {2, 2};
    const raft_term other[] = {3};
    assert_int_equal(hear_append(&s, 2, 1, 1, first, 2, 3), OK);
    assert_int_equal(hear_append(&s, 3, 2, 2, other, 1, 3), OK); /* before the commit index */
    assert_int_equal(solo_status(&s).last, 3);
    assert_int_equal(raft_log_term(&s.raft->log, 3), 2);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->index, 3);
    solo_stop(&s);
}

/* A log of `n` terms behind entry 1; behind the first `shared` of them only terms of this parity.
 */
static void draw_terms(struct prng *p, raft_term *terms, uint32_t n, uint32_t shared, raft_term odd)
{
    raft_term term = 2;
    for (uint32_t i = 0; i < n; i++) {
        if (i >= shared) {
            term += prng_chance(p, 1, 10) ? 2 : 0;
            term += term % 2 != odd;
        }
        terms[i] = term;
    }
}

/* §3.5: "When rejecting an AppendEntries request, the follower can include the term of the
 * conflicting entry and the first index it stores for that term [...] one AppendEntries RPC will be
 * required for each term with conflicting entries, rather than one RPC per entry." */
static void finds_where_logs_meet_with_one_probe_a_term(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(200); round++) {
        raft_term mine[200];
        raft_term theirs[200];
        uint32_t shared = (uint32_t)prng_below(&p, 50);
        uint32_t n = shared + (uint32_t)prng_below(&p, 140);
        uint32_t m = shared + (uint32_t)prng_below(&p, 140);
        draw_terms(&p, mine, n, shared, 0);
        draw_terms(&p, theirs, m, shared, 1);
        uint32_t conflicts = 0;
        for (uint32_t i = shared; i < m; i++) {
            conflicts += i == shared || theirs[i] != theirs[i - 1];
        }
        struct raft_config cfg = raft_config_default(1, 42);
        struct raft_membership ms = solo_voters(3);
        struct raft_saved saved = solo_founding(&ms);
        saved.hard_state.term = 100;
        struct solo leader;
        struct solo member;
        solo_start_saved(&leader, &cfg, &saved, mine, n);
        cfg.id = 2;
        solo_start_saved(&member, &cfg, &saved, theirs, m);
        assert_int_equal(solo_event(&leader, RAFT_EVENT_CAMPAIGN, 0), OK);
        assert_int_equal(solo_receive(&leader, (struct raft_message){.type = RAFT_MSG_PRE_VOTE_RESP,
                                                                     .from = 3,
                                                                     .term = 101}),
                         OK);
        assert_int_equal(
            solo_receive(&leader,
                         (struct raft_message){.type = RAFT_MSG_VOTE_RESP, .from = 3, .term = 101}),
            OK);
        uint32_t appends = 0;
        for (int turn = 0; turn < 300 && solo_progress(&leader, 2)->match < n + 2; turn++) {
            appends += solo_relay(&leader, &member, RAFT_MSG_APP);
            solo_relay(&member, &leader, RAFT_MSG_APP_RESP);
        }
        assert_int_equal(member.raft->log.last, n + 2);
        for (raft_index i = 1; i <= n + 2; i++) {
            assert_int_equal(raft_log_term(&member.raft->log, i),
                             raft_log_term(&leader.raft->log, i));
        }
        /* The first probe, one a conflicting term, and those that bring the entries. */
        assert_true(appends <= conflicts + 4);
        solo_stop(&leader);
        solo_stop(&member);
    }
}

/* §3.5: "it may take several attempts": while the leader does not know where the logs meet, one
 * message is under way, and a heartbeat's answer allows the next. */
static void a_probed_member_gets_one_append_at_a_time(void **state)
{
    (void)state;
    struct solo s;
    lead_three(&s);
    assert_int_equal(solo_event(&s, RAFT_EVENT_UNREACHABLE, 2), OK);
    assert_int_equal(solo_progress(&s, 2)->state, RAFT_PROBE);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(solo_propose(&s, 20), OK);
    }
    assert_int_equal(solo_count(&s, RAFT_MSG_APP, 2), 1);
    solo_wait(&s, s.cfg.heartbeat_interval);
    solo_pulse(&s, 2);
    assert_int_equal(solo_count(&s, RAFT_MSG_APP, 2), 2);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 2)->index, 2);
    solo_ack(&s, 2, 4);
    assert_int_equal(solo_progress(&s, 2)->state, RAFT_REPLICATE);
    solo_stop(&s);
}

/* What is under way to one member never exceeds the windows: the one in messages exactly, the one
 * in bytes by at most one message. */
static void the_windows_hold_under_random_acknowledgements(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(20); round++) {
        struct raft_config cfg = raft_config_default(1, prng_u64(&p));
        cfg.max_append_bytes = 400;
        cfg.max_inflight_messages = (uint32_t)prng_range(&p, 1, 6);
        cfg.max_inflight_bytes = prng_range(&p, 400, 1500);
        struct solo s;
        lead(&s, &cfg, 3);
        for (int step = 0; step < 300; step++) {
            if (prng_chance(&p, 1, 2)) {
                assert_int_equal(solo_propose(&s, prng_range(&p, 1, 200)), OK);
            } else {
                const struct raft_progress *pr = solo_progress(&s, 2);
                solo_ack(&s, 2, prng_range(&p, pr->match, pr->next - 1));
                solo_ack(&s, 3, solo_status(&s).last);
            }
            const struct raft_inflights *in = &solo_progress(&s, 2)->inflights;
            assert_true(in->count <= cfg.max_inflight_messages);
            assert_true(in->bytes <= cfg.max_inflight_bytes + cfg.max_append_bytes);
            const struct raft_message *m = solo_sent(&s, RAFT_MSG_APP, 2);
            uint64_t bytes = 0;
            for (uint32_t i = 0; m && i < m->entry_count; i++) {
                bytes += m->entries[i].payload.len;
            }
            assert_true(bytes <= cfg.max_append_bytes || m->entry_count == 1);
            solo_forget(&s);
        }
        solo_stop(&s);
    }
}

static void a_full_window_opens_with_an_acknowledgement(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.max_inflight_messages = 3;
    struct solo s;
    lead(&s, &cfg, 3);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(solo_propose(&s, 20), OK);
    }
    assert_int_equal(solo_progress(&s, 2)->next, 6);
    solo_ack(&s, 2, 3);
    assert_int_equal(solo_progress(&s, 2)->next, 13); /* one message with all that waited */
    solo_stop(&s);
}

/* Proposals beyond max_uncommitted_bytes are refused, until what is ahead of them is committed. */
static void pushes_back_while_too_much_is_uncommitted(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.max_uncommitted_bytes = 1000;
    struct solo s;
    lead(&s, &cfg, 3);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(solo_propose(&s, 100), OK);
    }
    raft_index last = solo_status(&s).last;
    assert_int_equal(solo_propose(&s, 1), ERR_BUSY);
    assert_int_equal(solo_status(&s).last, last); /* a refusal leaves nothing behind */
    assert_int_equal(solo_status(&s).uncommitted_bytes, 1000);
    solo_ack(&s, 2, 4);
    assert_int_equal(solo_propose(&s, 200), OK);
    assert_int_equal(solo_propose(&s, 1), ERR_BUSY);
    solo_ack(&s, 2, solo_status(&s).last);
    assert_int_equal(solo_status(&s).uncommitted_bytes, 0);
    assert_int_equal(solo_propose(&s, 5000), OK); /* one always goes, however large */
    solo_stop(&s);
}

/* However slow the followers are, and whatever is proposed, entries of nothing and changes that are
 * refused among it, memory stays under its bound. */
static void memory_stays_bounded_while_nobody_acknowledges(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (int kind = 0; kind < 3; kind++) {
        struct raft_config cfg = raft_config_default(1, 42);
        cfg.max_append_bytes = 4096;
        cfg.max_inflight_bytes = 8192;
        cfg.max_cached_bytes = 1 << 16;
        cfg.max_uncommitted_bytes = 1 << 15;
        struct solo s;
        lead(&s, &cfg, 3);
        for (int i = 0; i < 4000; i++) {
            enum err ignored = kind == 0   ? solo_propose(&s, prng_below(&p, 300))
                               : kind == 1 ? solo_propose(&s, 0)
                                           : solo_change(&s, RAFT_REMOVE, 77);
            (void)ignored;
            solo_forget(&s);
        }
        assert_true(solo_status(&s).cached_bytes <= cfg.max_cached_bytes);
        solo_ack(&s, 2, solo_status(&s).last);
        solo_wait(&s, cfg.heartbeat_interval); /* memory is given back with the next update */
        assert_int_equal(solo_propose(&s, 10), OK);
        solo_stop(&s);
    }
}

/* What all members have is wanted by nobody: little of it stays. What one lacks stays, up to half
 * of what may be cached. */
static void entries_that_all_members_have_leave_memory(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.max_append_bytes = 4096;
    cfg.max_cached_bytes = 1 << 16;
    cfg.max_uncommitted_bytes = 1 << 15;
    for (int slow = 0; slow < 2; slow++) {
        struct solo s;
        lead(&s, &cfg, 3);
        for (int i = 0; i < 1000; i++) {
            assert_int_equal(solo_propose(&s, 200), OK);
            solo_ack(&s, 3, solo_status(&s).last);
            if (slow == 0) {
                solo_ack(&s, 2, solo_status(&s).last);
            }
            solo_forget(&s);
        }
        assert_int_equal(solo_propose(&s, 10), OK); /* memory is given back with an update */
        uint64_t cached = solo_status(&s).cached_bytes;
        uint64_t unwanted = cfg.max_cached_bytes / RAFT_UNWANTED_SHARE;
        assert_true(slow != 0 ? cached > unwanted : cached <= unwanted + 1000);
        assert_true(cached <= cfg.max_cached_bytes / 2 + 1000);
        solo_stop(&s);
    }
}

/* One follower is far behind, the others go on: its entries are read back from the disk, a message
 * at a time, and memory stays under its bound. */
static void old_entries_come_back_from_the_disk(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.max_append_bytes = 4096;
    cfg.max_cached_bytes = 1 << 16;
    cfg.max_uncommitted_bytes = 1 << 15;
    cfg.max_inflight_messages = 4;
    struct solo s;
    lead(&s, &cfg, 3);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(solo_propose(&s, 200), OK);
        solo_ack(&s, 3, solo_status(&s).last);
        assert_true(solo_status(&s).cached_bytes <= cfg.max_cached_bytes);
        solo_forget(&s);
    }
    assert_int_equal(solo_event(&s, RAFT_EVENT_UNREACHABLE, 2), OK);
    solo_wait(&s, cfg.heartbeat_interval);
    s.hold_loads = true;
    solo_forget(&s);
    solo_ack(&s, 2, 2); /* nothing new: still probing, from the entry behind */
    solo_wait(&s, cfg.heartbeat_interval);
    solo_pulse(&s, 2);
    assert_int_equal(s.load_count, 1);
    assert_int_equal(s.loads[0].first, 3);
    assert_int_equal(s.loads[0].last, s.raft->log.cached - 1); /* what is behind it may change */
    assert_int_equal(s.loads[0].max_bytes, cfg.max_append_bytes);
    solo_pulse(&s, 2); /* it is asked for once */
    assert_int_equal(s.load_count, 1);
    s.hold_loads = false;
    solo_serve_loads(&s);
    for (int i = 0; i < 1000 && solo_progress(&s, 2)->match < solo_status(&s).last; i++) {
        const struct raft_message *m = solo_sent(&s, RAFT_MSG_APP, 2);
        raft_index end = m->index + m->entry_count;
        solo_forget(&s);
        solo_ack(&s, 2, end);
        assert_true(solo_status(&s).cached_bytes <= cfg.max_cached_bytes);
    }
    assert_int_equal(solo_progress(&s, 2)->match, solo_status(&s).last);
    solo_stop(&s);
}

/* A follower whose memory is full takes what fits, and says up to where. */
static void a_follower_with_full_memory_takes_a_prefix(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.max_append_bytes = 4096;
    cfg.max_cached_bytes = 1 << 16;
    cfg.max_uncommitted_bytes = 1 << 15;
    struct raft_membership ms = solo_voters(3);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    uint8_t *big = mem_alloc_zero(30000);
    struct raft_entry entries[3];
    for (uint32_t i = 0; i < 3; i++) {
        entries[i] = (struct raft_entry){.index = 2 + i, .term = 2, .payload = {big, 30000}};
    }
    struct raft_message m = {.type = RAFT_MSG_APP, .from = 2, .term = 2, .index = 1, .log_term = 1};
    m.entry_count = 3;
    m.entries = entries;
    m.commit = 4;
    s.hold_apply = true; /* nothing can be dropped */
    assert_int_equal(solo_receive(&s, m), OK);
    assert_int_equal(solo_status(&s).last, 3);
    assert_int_equal(solo_status(&s).committed, 3);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->index, 3);
    assert_false(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->reject);
    solo_apply(&s, 3);
    m.index = 3; /* the leader goes on from there */
    m.log_term = 2;
    m.entry_count = 1;
    m.entries = &entries[2];
    assert_int_equal(solo_receive(&s, m), OK);
    assert_int_equal(solo_status(&s).last, 4);
    mem_free(big);
    solo_stop(&s);
}

/* Memory is full of what earlier leaders left uncommitted. Nothing of it commits before the entry
 * with which a later term begins, and what comes before that: both are taken. What the later leader
 * proposes itself waits, and so does what it has committed: that is applied here, and makes room.
 */
static void a_follower_with_full_memory_takes_what_a_new_term_needs(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.max_append_bytes = 4096;
    cfg.max_cached_bytes = 1 << 16;
    cfg.max_uncommitted_bytes = 1 << 15;
    struct raft_membership ms = solo_voters(3);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    uint8_t *big = mem_alloc_zero(32000);
    const struct raft_entry full[] = {{.index = 2, .term = 2, .payload = {big, 32000}},
                                      {.index = 3, .term = 2, .payload = {big, 32000}}};
    const struct raft_entry next[] = {{.index = 4, .term = 2, .payload = {big, 32000}},
                                      {.index = 5, .term = 4},
                                      {.index = 6, .term = 4, .payload = {big, 32000}}};
    struct raft_message m = {.type = RAFT_MSG_APP,
                             .from = 2,
                             .term = 2,
                             .index = 1,
                             .log_term = 1,
                             .commit = 1,
                             .entry_count = COUNT_OF(full),
                             .entries = full};
    assert_int_equal(solo_receive(&s, m), OK);
    assert_int_equal(solo_status(&s).last, 3);
    m.from = 3;
    m.term = 4;
    m.index = 3;
    m.log_term = 2;
    m.commit = 4; /* known there, so that all that is here is applied first */
    m.entry_count = COUNT_OF(next);
    m.entries = next;
    s.hold_apply = true;
    assert_int_equal(solo_receive(&s, m), OK);
    assert_int_equal(solo_status(&s).last, 3);
    assert_int_equal(solo_status(&s).committed, 3);
    m.commit = 3; /* or unknown there, too */
    assert_int_equal(solo_receive(&s, m), OK);
    assert_int_equal(solo_status(&s).last, 5);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 3)->index, 5);
    mem_free(big);
    solo_stop(&s);
}

/* Beside a witness its own leader's, too: without a change of the in-sync set, which comes behind
 * them, none of them may commit. */
static void a_follower_beside_a_witness_takes_what_is_uncommitted(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.max_append_bytes = 4096;
    cfg.max_cached_bytes = 1 << 16;
    cfg.max_uncommitted_bytes = 1 << 15;
    uint8_t *big = mem_alloc_zero(32000);
    for (uint32_t has_witness = 0; has_witness < 2; has_witness++) {
        struct raft_membership ms = solo_voters(3);
        struct solo s;
        ms.member[2].roles |= has_witness ? RAFT_WITNESS : 0;
        solo_start(&s, &cfg, &ms);
        struct raft_entry entries[3];
        for (uint32_t i = 0; i < 3; i++) {
            entries[i] = (struct raft_entry){.index = 2 + i, .term = 2, .payload = {big, 32000}};
        }
        const struct raft_message m = {.type = RAFT_MSG_APP,
                                       .from = 2,
                                       .term = 2,
                                       .index = 1,
                                       .log_term = 1,
                                       .commit = 1,
                                       .entry_count = 3,
                                       .entries = entries};
        assert_int_equal(solo_receive(&s, m), OK);
        assert_int_equal(solo_status(&s).last, has_witness ? 4 : 3);
        solo_stop(&s);
    }
    mem_free(big);
}

/* What is settled makes room for an entry of more than half of the memory: by half only, it would
 * be refused for ever. */
static void an_entry_of_most_of_the_memory_is_taken(void **state)
{
    (void)state;
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.max_append_bytes = 4096;
    cfg.max_cached_bytes = 1 << 16;
    cfg.max_uncommitted_bytes = 1 << 16;
    uint8_t *big = mem_alloc_zero(60000);
    for (int leads = 0; leads < 2; leads++) {
        struct raft_membership ms = solo_voters(3);
        struct solo s;
        solo_start(&s, &cfg, &ms);
        size_t sizes[] = {30000, 60000, 70};
        if (leads) {
            solo_elect(&s);
        }
        for (uint32_t i = 0; i < COUNT_OF(sizes); i++) {
            if (leads) {
                assert_int_equal(solo_propose(&s, sizes[i]), OK);
                solo_ack_all(&s);
                assert_int_equal(solo_status(&s).last, 3 + i);
                continue;
            }
            struct raft_entry e = {.index = 2 + i, .term = 2, .payload = {big, sizes[i]}};
            struct raft_message m = {.type = RAFT_MSG_APP, .from = 2, .term = 2, .index = 1 + i};
            m.log_term = i == 0 ? 1 : 2;
            m.entry_count = 1;
            m.entries = &e;
            m.commit = 2 + i;
            assert_int_equal(solo_receive(&s, m), OK);
            assert_int_equal(solo_status(&s).last, 2 + i);
        }
        solo_stop(&s);
    }
    mem_free(big);
}

/* A follower passes proposals on to its leader, and drops them where there is none. */
static void a_follower_forwards_proposals(void **state)
{
    (void)state;
    struct solo s;
    follow(&s, NULL, 0);
    assert_int_equal(solo_propose(&s, 10), ERR_DROPPED);
    assert_int_equal(hear_append(&s, 2, 1, 1, NULL, 0, 1), OK);
    assert_int_equal(solo_propose(&s, 10), OK);
    const struct raft_message *m = solo_sent(&s, RAFT_MSG_PROP, 2);
    assert_true(m && m->entry_count == 1 && m->entries[0].payload.len == 10);
    struct raft_entry e = {.payload = {(const uint8_t *)"x", 1}};
    struct raft_message back = {.type = RAFT_MSG_PROP, .from = 2, .entry_count = 1, .entries = &e};
    solo_forget(&s);
    assert_int_equal(solo_receive(&s, back), ERR_DROPPED); /* never back where it came from */
    assert_int_equal(solo_count(&s, RAFT_MSG_PROP, NODE_NONE), 0);
    solo_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proposal_goes_to_every_follower_at_once),
        cmocka_unit_test(entries_are_pipelined_without_waiting_for_answers),
        cmocka_unit_test(a_leader_only_appends),
        cmocka_unit_test(refuses_entries_whose_predecessor_it_lacks),
        cmocka_unit_test(overwrites_what_conflicts_and_keeps_what_does_not),
        cmocka_unit_test(a_committed_entry_is_never_overwritten),
        cmocka_unit_test(finds_where_logs_meet_with_one_probe_a_term),
        cmocka_unit_test(a_probed_member_gets_one_append_at_a_time),
        cmocka_unit_test(the_windows_hold_under_random_acknowledgements),
        cmocka_unit_test(a_full_window_opens_with_an_acknowledgement),
        cmocka_unit_test(pushes_back_while_too_much_is_uncommitted),
        cmocka_unit_test(memory_stays_bounded_while_nobody_acknowledges),
        cmocka_unit_test(entries_that_all_members_have_leave_memory),
        cmocka_unit_test(old_entries_come_back_from_the_disk),
        cmocka_unit_test(a_follower_with_full_memory_takes_a_prefix),
        cmocka_unit_test(a_follower_with_full_memory_takes_what_a_new_term_needs),
        cmocka_unit_test(a_follower_beside_a_witness_takes_what_is_uncommitted),
        cmocka_unit_test(an_entry_of_most_of_the_memory_is_taken),
        cmocka_unit_test(a_follower_forwards_proposals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
