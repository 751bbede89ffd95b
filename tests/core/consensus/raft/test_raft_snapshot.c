/* Snapshots: offered, fetched in chunks, served at a bounded rate [Ongaro14 ch. 5]. */
#include <string.h>

#include "core/consensus/raft/raft_int.h"
#include "tests/support/raft_solo.h"
#include "tests/support/test.h"

#define SNAPSHOT_BYTES 1000
#define CHUNK_BYTES    100

static struct raft_config snapshot_config(void)
{
    struct raft_config cfg = raft_config_default(1, 42);
    cfg.chunk_bytes = CHUNK_BYTES;
    return cfg;
}

static void take_snapshot(struct solo *s, enum err expected)
{
    raft_index index = solo_status(s).applied;
    struct raft_snapshot taken = {.index = index,
                                  .term = raft_log_term(&s->raft->log, index),
                                  .size = SNAPSHOT_BYTES,
                                  .digest = index,
                                  .membership = *solo_status(s).membership};
    assert_int_equal(
        solo_step(s, (struct raft_event){.type = RAFT_EVENT_SNAPSHOT_TAKEN, .snapshot = &taken}),
        expected);
}

/* It leads three; everything is compacted, and member 3 has nothing. */
static void lead_and_compact(struct solo *s)
{
    struct raft_config cfg = snapshot_config();
    struct raft_membership ms = solo_voters(3);
    solo_start(s, &cfg, &ms);
    solo_elect(s);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(solo_propose(s, 10), OK);
        solo_ack(s, 2, solo_status(s).last);
    }
    take_snapshot(s, OK);
    assert_int_equal(solo_event(s, RAFT_EVENT_COMPACT, raft_compactable(s->raft, 0)), OK);
    solo_forget(s);
    assert_int_equal(solo_receive(s, (struct raft_message){.type = RAFT_MSG_APP_RESP,
                                                           .from = 3,
                                                           .index = 1,
                                                           .reject = true,
                                                           .hint = 0}),
                     OK);
}

static void need_snapshot(struct solo *s, const struct raft_config *cfg)
{
    struct raft_membership ms = solo_voters(3);
    solo_start(s, cfg, &ms);
}

static struct raft_snapshot offered_snapshot(void)
{
    return (struct raft_snapshot){
        .index = 50, .term = 4, .size = SNAPSHOT_BYTES, .digest = 9, .membership = solo_voters(3)};
}

static void hear_offer(struct solo *s, node_id leader, raft_term term, node_id source)
{
    struct raft_snapshot snapshot = offered_snapshot();
    assert_int_equal(solo_receive(s, (struct raft_message){.type = RAFT_MSG_SNAP,
                                                           .from = leader,
                                                           .term = term,
                                                           .snapshot = &snapshot,
                                                           .source = source}),
                     OK);
}

static void hear_chunk(struct solo *s, node_id from, uint64_t offset, uint64_t len)
{
    static const uint8_t body[SNAPSHOT_BYTES];
    struct raft_snapshot snapshot = offered_snapshot();
    assert_int_equal(solo_receive(s, (struct raft_message){.type = RAFT_MSG_SNAP_CHUNK,
                                                           .from = from,
                                                           .snapshot = &snapshot,
                                                           .offset = offset,
                                                           .chunk = {body, len}}),
                     OK);
}

/* §5.3: "the leader must [...] send a snapshot to followers that are too far behind": the name
 * alone; and nothing else until that has helped. */
static void a_member_whose_entries_are_gone_is_offered_a_snapshot(void **state)
{
    (void)state;
    struct solo s;
    lead_and_compact(&s);
    const struct raft_message *m = solo_sent(&s, RAFT_MSG_SNAP, 3);
    assert_true(m && m->snapshot->index == 7 && m->snapshot->size == SNAPSHOT_BYTES);
    assert_int_equal(m->source, 2); /* a follower that is up to date spares the leader */
    assert_int_equal(solo_progress(&s, 3)->state, RAFT_SNAPSHOT);
    solo_forget(&s);
    assert_int_equal(solo_propose(&s, 10), OK);
    assert_int_equal(solo_count(&s, RAFT_MSG_APP, 3), 0);
    solo_ack(&s, 3, 7); /* installed */
    assert_int_equal(solo_progress(&s, 3)->state, RAFT_REPLICATE);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP, 3)->index, 7);
    solo_stop(&s);
}

static void the_log_behind_an_offered_snapshot_stays(void **state)
{
    (void)state;
    struct solo s;
    lead_and_compact(&s);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(solo_propose(&s, 10), OK);
        solo_ack(&s, 2, solo_status(&s).last);
    }
    take_snapshot(&s, ERR_BUSY); /* nor does a newer one take its place meanwhile */
    assert_int_equal(raft_compactable(s.raft, 0), 7);
    solo_ack(&s, 3, 7);
    take_snapshot(&s, OK);
    assert_int_equal(raft_compactable(s.raft, 0), 12);
    assert_int_equal(raft_compactable(s.raft, 4), 8); /* keeps so many entries */
    solo_stop(&s);
}

/* The member shows no progress for two election timeouts: the offer is void. */
static void an_offer_ends_when_the_member_falls_silent(void **state)
{
    (void)state;
    struct solo s;
    lead_and_compact(&s);
    for (int i = 0; i < 30; i++) { /* heartbeats are answered, with what it has fetched */
        solo_wait(&s, s.cfg.heartbeat_interval);
        solo_pulse(&s, 2);
        struct raft_message alive = {.type = RAFT_MSG_HEARTBEAT_RESP, .from = 3, .index = 7};
        alive.hint = (uint64_t)i;
        assert_int_equal(solo_receive(&s, alive), OK);
    }
    assert_int_equal(solo_progress(&s, 3)->state, RAFT_SNAPSHOT);
    for (int i = 0; i < 21; i++) {
        solo_wait(&s, s.cfg.heartbeat_interval);
        solo_pulse(&s, 2);
    }
    assert_int_equal(solo_progress(&s, 3)->state, RAFT_PROBE);
    solo_stop(&s);
}

/* The member pulls: an opening write, then max_chunks requests at a time, then it is installed. */
static void a_snapshot_is_fetched_chunk_by_chunk(void **state)
{
    (void)state;
    struct raft_config cfg = snapshot_config();
    struct solo s;
    need_snapshot(&s, &cfg);
    hear_offer(&s, 2, 5, 3);
    assert_int_equal(solo_count(&s, RAFT_MSG_SNAP_FETCH, 3), cfg.max_chunks);
    assert_int_equal(solo_count(&s, RAFT_MSG_SNAP_FETCH, 2), 0);
    for (uint64_t offset = 0; offset < SNAPSHOT_BYTES; offset += CHUNK_BYTES) {
        assert_int_equal(s.installs, 0);
        hear_chunk(&s, 3, offset, CHUNK_BYTES);
        hear_chunk(&s, 3, offset, CHUNK_BYTES); /* a duplicate */
    }
    assert_int_equal(solo_count(&s, RAFT_MSG_SNAP_FETCH, 3), SNAPSHOT_BYTES / CHUNK_BYTES);
    assert_int_equal(s.installs, 1);
    assert_int_equal(solo_status(&s).committed, 50);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->index, 50);
    solo_stop(&s);
}

/* The source had another snapshot than the leader, and what it holds is in the log by now. The
 * leader would wait for ever. */
static void a_fetch_that_ends_in_what_the_log_holds_is_acknowledged(void **state)
{
    (void)state;
    struct raft_config cfg = snapshot_config();
    struct solo s;
    need_snapshot(&s, &cfg);
    hear_offer(&s, 2, 5, 2);
    for (uint64_t offset = 0; offset + CHUNK_BYTES < SNAPSHOT_BYTES; offset += CHUNK_BYTES) {
        hear_chunk(&s, 2, offset, CHUNK_BYTES);
    }
    struct raft_entry entries[49];
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        entries[i] = (struct raft_entry){.index = i + 2, .term = 4};
    }
    struct raft_message append = {.type = RAFT_MSG_APP,
                                  .from = 2,
                                  .to = 1,
                                  .term = 5,
                                  .index = 1,
                                  .log_term = 1,
                                  .commit = 1,
                                  .entry_count = COUNT_OF(entries),
                                  .entries = entries};
    assert_int_equal(solo_receive(&s, append), OK);
    solo_forget(&s);
    hear_chunk(&s, 2, SNAPSHOT_BYTES - CHUNK_BYTES, CHUNK_BYTES);
    assert_int_equal(s.installs, 0);
    assert_int_equal(solo_status(&s).committed, 50);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->index, 50);
    solo_stop(&s);
}

/* The acknowledgement waits until the snapshot stands in the place of log and state machine. */
static void an_installation_is_acknowledged_when_it_is_durable(void **state)
{
    (void)state;
    struct raft_config cfg = snapshot_config();
    struct solo s;
    need_snapshot(&s, &cfg);
    hear_offer(&s, 2, 5, 2);
    s.hold_disk = true;
    for (uint64_t offset = 0; offset < SNAPSHOT_BYTES; offset += CHUNK_BYTES) {
        hear_chunk(&s, 2, offset, CHUNK_BYTES);
    }
    assert_int_equal(s.installs, 1);
    assert_int_equal(solo_count(&s, RAFT_MSG_APP_RESP, 2), 0);
    assert_int_equal(solo_event(&s, RAFT_EVENT_CAMPAIGN, 0), ERR_REFUSED);
    solo_sync(&s, s.batch_count);
    assert_int_equal(solo_sent(&s, RAFT_MSG_APP_RESP, 2)->index, 50);
    solo_stop(&s);
}

static void a_fetch_goes_on_under_another_leader(void **state)
{
    (void)state;
    struct raft_config cfg = snapshot_config();
    struct solo s;
    need_snapshot(&s, &cfg);
    hear_offer(&s, 2, 5, 2);
    hear_chunk(&s, 2, 0, CHUNK_BYTES);
    solo_forget(&s);
    hear_offer(&s, 3, 6, 3); /* the same snapshot, offered by the next leader */
    solo_wait(&s, 2 * cfg.election_timeout);
    for (size_t i = 0; i < s.sent_count; i++) {
        assert_true(s.sent[i]->m.type != RAFT_MSG_SNAP_FETCH || s.sent[i]->m.offset >= CHUNK_BYTES);
    }
    assert_true(solo_count(&s, RAFT_MSG_SNAP_FETCH, NODE_NONE) > 0);
    solo_stop(&s);
}

/* The opening write answers with what an earlier life has left on the disk. */
static void a_fetch_goes_on_after_a_restart(void **state)
{
    (void)state;
    struct raft_config cfg = snapshot_config();
    struct solo s;
    need_snapshot(&s, &cfg);
    s.hold_chunks = true;
    hear_offer(&s, 2, 5, 2);
    assert_int_equal(solo_count(&s, RAFT_MSG_SNAP_FETCH, 2), 0);
    assert_true(s.chunk_write_count == 1 && s.chunk_writes[0].len == 0);
    assert_true(s.chunk_writes[0].digest == 9 && s.chunk_writes[0].snapshot_term == 4);
    struct raft_event opened = {.type = RAFT_EVENT_CHUNK_WRITTEN};
    opened.chunk.snapshot = 50;
    opened.chunk.offset = 700;
    assert_int_equal(solo_step(&s, opened), OK);
    assert_int_equal(solo_count(&s, RAFT_MSG_SNAP_FETCH, 2), 3); /* the last three chunks */
    assert_int_equal(s.sent[s.sent_count - 3]->m.offset, 700);
    solo_stop(&s);
}

/* A source that says nothing is asked again, more slowly; then the leader is asked. One that has
 * not got it says so. */
static void a_source_that_is_gone_makes_place_for_the_leader(void **state)
{
    (void)state;
    for (int refuses = 0; refuses < 2; refuses++) {
        struct raft_config cfg = snapshot_config();
        struct solo s;
        need_snapshot(&s, &cfg);
        hear_offer(&s, 2, 5, 3);
        solo_forget(&s);
        if (refuses) {
            struct raft_snapshot none = {0};
            assert_int_equal(solo_receive(&s, (struct raft_message){.type = RAFT_MSG_SNAP_CHUNK,
                                                                    .from = 3,
                                                                    .snapshot = &none,
                                                                    .reject = true}),
                             OK);
        } else {
            for (int i = 0; i < 25; i++) {
                struct raft_message beat = {.type = RAFT_MSG_HEARTBEAT, .from = 2};
                assert_int_equal(solo_receive(&s, beat), OK);
                solo_wait(&s, cfg.heartbeat_interval);
            }
        }
        assert_true(solo_count(&s, RAFT_MSG_SNAP_FETCH, 2) > 0);
        assert_int_equal(solo_sent(&s, RAFT_MSG_SNAP_FETCH, 2)->offset, 0);
        solo_stop(&s);
    }
}

/* The leader may be the one whose disk cannot give it: then it is the other source's turn again. */
static void a_leader_that_gives_nothing_makes_place_for_the_source(void **state)
{
    (void)state;
    struct raft_config cfg = snapshot_config();
    struct solo s;
    need_snapshot(&s, &cfg);
    hear_offer(&s, 2, 5, 3);
    for (int i = 0; i < 60; i++) {
        struct raft_message beat = {.type = RAFT_MSG_HEARTBEAT, .from = 2};
        if (solo_count(&s, RAFT_MSG_SNAP_FETCH, 2) == 0) {
            solo_forget(&s);
        }
        assert_int_equal(solo_receive(&s, beat), OK);
        solo_wait(&s, cfg.heartbeat_interval);
    }
    assert_true(solo_count(&s, RAFT_MSG_SNAP_FETCH, 2) > 0);
    assert_true(solo_count(&s, RAFT_MSG_SNAP_FETCH, 3) > 0);
    solo_stop(&s);
}

/* A source whose file is damaged, and does not know it, is not offered again and again. */
static void each_offer_names_another_source(void **state)
{
    (void)state;
    struct solo s;
    lead_and_compact(&s);
    assert_int_equal(solo_sent(&s, RAFT_MSG_SNAP, 3)->source, 2);
    for (int i = 0; i < 60 && solo_count(&s, RAFT_MSG_SNAP, 3) < 3; i++) {
        solo_wait(&s, s.cfg.heartbeat_interval);
        solo_pulse(&s, 2);
        solo_pulse(&s, 3); /* it fetches nothing */
        const struct raft_message *probe = solo_sent(&s, RAFT_MSG_APP, 3);
        if (probe) {
            raft_index index = probe->index;
            solo_forget(&s);
            assert_int_equal(solo_receive(&s, (struct raft_message){.type = RAFT_MSG_APP_RESP,
                                                                    .from = 3,
                                                                    .index = index,
                                                                    .reject = true,
                                                                    .hint = 0}),
                             OK);
        }
        const struct raft_message *offer = solo_sent(&s, RAFT_MSG_SNAP, 3);
        if (offer && offer->source == 1) {
            solo_stop(&s);
            return;
        }
    }
    fail_msg("only the one source was offered");
}

/* A snapshot that its own disk does not give any more holds no newer one up. */
static void a_snapshot_that_cannot_be_read_makes_place_for_a_new_one(void **state)
{
    (void)state;
    struct solo s;
    lead_and_compact(&s);
    assert_int_equal(solo_propose(&s, 10), OK);
    solo_ack(&s, 2, solo_status(&s).last);
    take_snapshot(&s, ERR_BUSY); /* the member fetches the one before */
    struct raft_event unread = {.type = RAFT_EVENT_CHUNK_READ};
    unread.chunk.peer = 3;
    unread.chunk.snapshot = 7;
    unread.chunk.error = ERR_IO;
    assert_int_equal(solo_step(&s, unread), OK);
    assert_true(solo_sent(&s, RAFT_MSG_SNAP_CHUNK, 3)->reject);
    take_snapshot(&s, OK);
    assert_int_equal(solo_propose(&s, 10), OK);
    solo_ack(&s, 2, solo_status(&s).last);
    take_snapshot(&s, OK); /* nobody fetches this one yet */
    solo_stop(&s);
}

/* Links on which a chunk takes longer to arrive than an election lasts, one after the other. */
struct slow_link {
    node_id from;
    uint64_t offsets[64];
    uint32_t count;
    nanos next; /* when the first of them is through */
    uint32_t carried;
};

static void slow_link_take(struct slow_link *link, struct solo *s, nanos span)
{
    for (size_t i = 0; i < s->sent_count; i++) {
        const struct raft_message *m = &s->sent[i]->m;
        if (m->type == RAFT_MSG_SNAP_FETCH && m->to == link->from && link->count < 64) {
            link->next = link->count == 0 ? s->now + span : link->next;
            link->offsets[link->count++] = m->offset;
        }
    }
}

static void slow_link_carry(struct slow_link *link, struct solo *s, nanos span)
{
    if (link->count == 0 || s->now < link->next) {
        return;
    }
    hear_chunk(s, link->from, link->offsets[0], CHUNK_BYTES);
    link->carried++;
    link->count--;
    memmove(link->offsets, link->offsets + 1, link->count * sizeof(link->offsets[0]));
    link->next += span;
}

/* Were it asked for again and again, or taken from nobody but who was asked last, there would be no
 * end of it. */
static void a_chunk_that_is_slower_than_an_election_is_waited_for(void **state)
{
    (void)state;
    struct raft_config cfg = snapshot_config();
    nanos span = cfg.election_timeout * 16 / 5;
    struct slow_link links[] = {{.from = 3}, {.from = 2}};
    struct solo s;
    need_snapshot(&s, &cfg);
    hear_offer(&s, 2, 5, 3);
    slow_link_take(&links[0], &s, span);
    nanos begun = s.now;
    uint32_t chunks = SNAPSHOT_BYTES / CHUNK_BYTES;
    while (s.installs == 0 && s.now - begun < 3 * chunks * span) {
        solo_forget(&s);
        struct raft_message beat = {.type = RAFT_MSG_HEARTBEAT, .from = 2};
        assert_int_equal(solo_receive(&s, beat), OK);
        solo_wait(&s, cfg.heartbeat_interval);
        for (size_t i = 0; i < COUNT_OF(links); i++) {
            slow_link_carry(&links[i], &s, span);
        }
        for (size_t i = 0; i < COUNT_OF(links); i++) {
            slow_link_take(&links[i], &s, span);
        }
    }
    assert_int_equal(s.installs, 1);
    assert_true(links[0].carried + links[1].carried < 2 * chunks);
    solo_stop(&s);
}

/* Who asks again for what it has not got yet does not get it twice. */
static void a_request_that_waits_already_is_not_served_twice(void **state)
{
    (void)state;
    struct raft_config cfg = snapshot_config();
    cfg.snapshot_bytes_per_s = CHUNK_BYTES / 4; /* four seconds for a chunk */
    struct raft_membership ms = solo_voters(1);
    struct solo s;
    solo_start(&s, &cfg, &ms);
    solo_elect(&s);
    take_snapshot(&s, OK);
    solo_forget(&s);
    struct raft_message ask = {.type = RAFT_MSG_SNAP_FETCH, .from = 3, .hint = CHUNK_BYTES};
    ask.snapshot = &s.raft->snapshot;
    uint32_t first[2] = {0, 0};
    for (uint32_t k = 0; k < 2; k++) {
        ask.offset = k * CHUNK_BYTES;
        for (int i = 0; i < 5; i++) {
            assert_int_equal(solo_receive(&s, ask), OK);
        }
    }
    solo_wait(&s, 60 * NANOS_PER_S);
    for (size_t i = 0; i < s.sent_count; i++) {
        const struct raft_message *m = &s.sent[i]->m;
        if (m->type == RAFT_MSG_SNAP_CHUNK && !m->reject) {
            first[m->offset / CHUNK_BYTES]++;
        }
    }
    assert_in_range(first[0], 1, 2); /* one may have gone at once */
    assert_int_equal(first[1], 1);
    solo_stop(&s);
}

/* Requests come faster than the rate allows; what is served in ten seconds is what ten seconds
 * allow, and the burst. */
static void serves_no_faster_than_the_declared_rate(void **state)
{
    (void)state;
    static const uint64_t rates[] = {300, 5000, 100000};
    for (size_t k = 0; k < COUNT_OF(rates); k++) {
        struct raft_config cfg = snapshot_config();
        cfg.snapshot_bytes_per_s = rates[k];
        struct raft_membership ms = solo_voters(1);
        struct solo s;
        solo_start(&s, &cfg, &ms);
        solo_elect(&s);
        take_snapshot(&s, OK);
        uint64_t served = 0;
        struct raft_message ask = {.type = RAFT_MSG_SNAP_FETCH, .from = 3};
        ask.snapshot = &s.raft->snapshot;
        ask.hint = CHUNK_BYTES;
        nanos begun = s.now;
        while (s.now - begun < 10 * NANOS_PER_S) {
            for (int i = 0; i < 30; i++) {
                assert_int_equal(solo_receive(&s, ask), OK);
            }
            solo_wait(&s, 10 * NANOS_PER_MS);
            served += solo_count(&s, RAFT_MSG_SNAP_CHUNK, 3) * (uint64_t)CHUNK_BYTES;
            solo_forget(&s);
        }
        uint64_t burst = u64_max(rates[k] / 4, CHUNK_BYTES);
        assert_true(served <= 10 * rates[k] + burst + CHUNK_BYTES);
        assert_true(served >= 9 * rates[k]);
        solo_stop(&s);
    }
}

static void a_request_for_another_snapshot_is_answered_with_what_is_here(void **state)
{
    (void)state;
    struct solo s;
    lead_and_compact(&s);
    struct raft_snapshot wanted = offered_snapshot();
    struct raft_message ask = {.type = RAFT_MSG_SNAP_FETCH, .from = 3, .snapshot = &wanted};
    ask.hint = CHUNK_BYTES;
    assert_int_equal(solo_receive(&s, ask), OK);
    const struct raft_message *m = solo_sent(&s, RAFT_MSG_SNAP_CHUNK, 3);
    assert_true(m && m->reject && m->snapshot->index == 7);
    solo_stop(&s);
}

/* The log has it all already: no fetch, a commit. */
static void a_snapshot_of_what_the_log_holds_commits_it(void **state)
{
    (void)state;
    const raft_term terms[] = {2, 2, 3};
    struct raft_config cfg = snapshot_config();
    struct raft_membership ms = solo_voters(3);
    struct raft_saved saved = solo_founding(&ms);
    saved.hard_state.term = 3;
    struct solo s;
    solo_start_saved(&s, &cfg, &saved, terms, 3);
    struct raft_snapshot snapshot = {.index = 3, .term = 2, .size = 10, .membership = ms};
    struct raft_message m = {.type = RAFT_MSG_SNAP, .from = 2, .term = 4, .snapshot = &snapshot};
    m.source = 2;
    assert_int_equal(solo_receive(&s, m), OK);
    assert_int_equal(s.installs, 0);
    assert_int_equal(solo_status(&s).committed, 3);
    assert_int_equal(solo_status(&s).last, 4);
    solo_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_member_whose_entries_are_gone_is_offered_a_snapshot),
        cmocka_unit_test(the_log_behind_an_offered_snapshot_stays),
        cmocka_unit_test(an_offer_ends_when_the_member_falls_silent),
        cmocka_unit_test(a_snapshot_is_fetched_chunk_by_chunk),
        cmocka_unit_test(a_fetch_that_ends_in_what_the_log_holds_is_acknowledged),
        cmocka_unit_test(an_installation_is_acknowledged_when_it_is_durable),
        cmocka_unit_test(a_fetch_goes_on_under_another_leader),
        cmocka_unit_test(a_fetch_goes_on_after_a_restart),
        cmocka_unit_test(a_source_that_is_gone_makes_place_for_the_leader),
        cmocka_unit_test(a_leader_that_gives_nothing_makes_place_for_the_source),
        cmocka_unit_test(each_offer_names_another_source),
        cmocka_unit_test(a_snapshot_that_cannot_be_read_makes_place_for_a_new_one),
        cmocka_unit_test(a_chunk_that_is_slower_than_an_election_is_waited_for),
        cmocka_unit_test(a_request_that_waits_already_is_not_served_twice),
        cmocka_unit_test(serves_no_faster_than_the_declared_rate),
        cmocka_unit_test(a_request_for_another_snapshot_is_answered_with_what_is_here),
        cmocka_unit_test(a_snapshot_of_what_the_log_holds_commits_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
