#include "core/monitoring/health/cut.h"

#include "core/base/check.h"
#include "tests/support/test.h"

#include <string.h>

#define VIEW 40

struct stand {
    struct cut cut;
    struct cut_update update;
    nanos now;
    uint32_t lost[VIEW + 1];
    uint32_t cuts;
    uint32_t gray;
    uint32_t back;
    struct cut_change last_lost;
};

static void stand_step(struct stand *t, struct cut_event event)
{
    uint32_t lost = 0;

    event.now = t->now;
    cut_step(&t->cut, &event, &t->update);
    cut_check(&t->cut);
    for (size_t i = 0; i < t->update.n_changes; i++) {
        const struct cut_change *change = &t->update.changes[i];

        if (change->kind == CUT_LOST) {
            t->lost[change->id]++;
            t->last_lost = *change;
            lost++;
        }
        t->gray += change->kind == CUT_GRAY ? 1 : 0;
        t->back += change->kind == CUT_BACK ? 1 : 0;
    }
    t->cuts += lost > 0 ? 1 : 0;
}

/* Lets time pass, stepping at every deadline. */
static void stand_wait(struct stand *t, nanos span)
{
    nanos end = t->now + span;

    while (t->update.deadline <= end) {
        CHECK(t->update.deadline >= t->now);
        t->now = u64_max(t->update.deadline, t->now + 1);
        stand_step(t, (struct cut_event){.kind = CUT_EVENT_TIME});
    }
    t->now = end;
    stand_step(t, (struct cut_event){.kind = CUT_EVENT_TIME});
}

static void stand_open(struct stand *t, uint32_t members)
{
    struct cut_config config;

    memset(t, 0, sizeof(*t));
    cut_config_default(&config);
    t->now = NANOS_PER_S;
    cut_init(&t->cut, &config, t->now);
    cut_update_init(&t->update);
    for (uint32_t id = 1; id <= members; id++) {
        stand_step(t, (struct cut_event){.kind = CUT_EVENT_ALIVE, .id = id, .incarnation = 65536});
    }
}

static void stand_close(struct stand *t)
{
    cut_deinit(&t->cut);
    cut_update_deinit(&t->update);
}

/* The observers of `subject` are the eight that follow, around. */
static node_id observer_of(uint32_t subject, uint32_t which, uint32_t members)
{
    return (subject + which) % members + 1;
}

static void stand_report(struct stand *t, node_id observer, uint32_t subject, uint32_t k,
                         uint32_t members, bool down)
{
    struct cut_event event = {.kind = CUT_EVENT_REPORT};

    event.report = (struct swim_report){
        .observer = observer,
        .subject = subject,
        .incarnation = 65536,
        .down = down,
        .n_observers = k,
    };
    for (uint32_t i = 0; i < k; i++) {
        event.report.observers[i] = observer_of(subject, i, members);
    }
    stand_step(t, event);
}

static void stand_reports(struct stand *t, uint32_t subject, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        stand_report(t, observer_of(subject, i, VIEW), subject, 8, VIEW, true);
    }
}

/* Four members, of whom all others report two: half of the view. */
static void stand_open_braked(struct stand *t)
{
    stand_open(t, 4);
    for (uint32_t i = 0; i < 3; i++) {
        stand_report(t, observer_of(2, i, 4), 2, 3, 4, true);
        stand_report(t, observer_of(3, i, 4), 3, 3, 4, true);
    }
}

/* Whatever it says, of whomever, and however often. */
static void one_sick_observer_condemns_nobody(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, VIEW);
    for (int round = 0; round < 60; round++) {
        for (uint32_t subject = 1; subject <= VIEW; subject++) {
            stand_report(&t, 7, subject, 8, VIEW, true);
        }
        stand_wait(&t, NANOS_PER_S);
    }
    assert_int_equal(t.cuts, 0);
    stand_close(&t);
}

static void six_of_eight_make_a_cut_and_five_do_not(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, VIEW);
    stand_reports(&t, 3, 5);
    stand_wait(&t, 8 * NANOS_PER_S);
    assert_int_equal(t.cuts, 0);
    stand_reports(&t, 3, 6);
    stand_wait(&t, 2 * NANOS_PER_S);
    assert_int_equal(t.cuts, 1);
    assert_int_equal(t.lost[3], 1);
    assert_false(cut_find(&t.cut, 3)->is_in);
    stand_close(&t);
}

static void hosts_that_fall_together_are_one_cut(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, VIEW);
    for (uint32_t subject = 1; subject <= 31; subject += 10) {
        stand_reports(&t, subject, 6);
        stand_wait(&t, 900 * NANOS_PER_MS);
    }
    assert_int_equal(t.cuts, 0);
    stand_wait(&t, 2 * NANOS_PER_S);
    assert_int_equal(t.cuts, 1);
    assert_int_equal(t.lost[1] + t.lost[11] + t.lost[21] + t.lost[31], 4);
    stand_close(&t);
}

static void what_is_unstable_holds_the_cut_up_and_not_for_ever(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, VIEW);
    for (int round = 0; round < 6; round++) {
        stand_reports(&t, 20, 3);
        stand_reports(&t, 3, 8);
        stand_wait(&t, 2 * NANOS_PER_S);
        assert_int_equal(t.cuts, round < 4 ? 0 : 1);
    }
    assert_int_equal(t.lost[3], 1);
    assert_int_equal(t.lost[20], 0);
    assert_int_equal(t.gray, 1);
    stand_close(&t);
}

/* It lives, and nobody has had trouble with it for twenty seconds. */
static void what_is_over_before_the_cut_is_made_is_forgotten(void **state)
{
    (void)state;
    struct stand t;

    stand_open_braked(&t);
    stand_wait(&t, 19 * NANOS_PER_S);
    assert_true(t.update.is_braked);
    stand_wait(&t, 2 * NANOS_PER_S);
    assert_false(t.update.is_braked);
    assert_int_equal(t.cuts, 0);
    stand_close(&t);
}

/* Four of the observers of 3 fell with it, and can say nothing. */
static void observers_that_are_lost_count_with_those_that_speak(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, VIEW);
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t fellow = (uint32_t)observer_of(3, i, VIEW);

        for (uint32_t k = 2; k < 8; k++) {
            stand_report(&t, observer_of(fellow, k, VIEW), fellow, 8, VIEW, true);
        }
    }
    for (uint32_t k = 4; k < 7; k++) {
        stand_report(&t, observer_of(3, k, VIEW), 3, 8, VIEW, true);
    }
    stand_wait(&t, 3 * NANOS_PER_S);
    assert_int_equal(t.cuts, 1);
    assert_int_equal(t.lost[3], 1);
    stand_close(&t);
}

static void reports_that_are_taken_back_or_too_old_do_not_count(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, VIEW);
    stand_reports(&t, 3, 5);
    stand_report(&t, observer_of(3, 0, VIEW), 3, 8, VIEW, false);
    stand_report(&t, observer_of(3, 5, VIEW), 3, 8, VIEW, true);
    stand_wait(&t, 31 * NANOS_PER_S);
    stand_report(&t, observer_of(3, 6, VIEW), 3, 8, VIEW, true);
    stand_wait(&t, 5 * NANOS_PER_S);
    assert_int_equal(t.cuts, 0);
    assert_int_equal(cut_find(&t.cut, 3)->n_reporters, 1);
    stand_close(&t);
}

static void who_is_no_observer_is_not_counted(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, VIEW);
    for (node_id by = 20; by < 36; by++) {
        stand_report(&t, by, 3, 8, VIEW, true);
    }
    stand_wait(&t, 5 * NANOS_PER_S);
    assert_int_equal(t.cuts, 0);
    assert_int_equal(cut_find(&t.cut, 3)->n_reporters, 0);
    stand_close(&t);
}

static void a_restarted_member_is_not_held_for_its_earlier_life(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, VIEW);
    stand_reports(&t, 3, 5);
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_ALIVE, .id = 3, .incarnation = 2 * 65536});
    stand_report(&t, observer_of(3, 5, VIEW), 3, 8, VIEW, true);
    stand_wait(&t, 5 * NANOS_PER_S);
    assert_int_equal(t.cuts, 0);
    stand_close(&t);
}

/* More than half of the view at once: it is more likely that we are the ones who are lost. */
static void the_brake_holds_where_half_would_go(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, VIEW);
    for (uint32_t subject = 1; subject <= VIEW / 2; subject++) {
        stand_reports(&t, subject, 8);
    }
    stand_wait(&t, 8 * NANOS_PER_S);
    assert_int_equal(t.cuts, 0);
    assert_true(t.update.is_braked);
    stand_close(&t);
}

static void who_comes_and_goes_stays_out_and_who_stays_comes_back(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, VIEW);
    stand_reports(&t, 3, 8);
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_DEAD, .id = 3});
    stand_wait(&t, 2 * NANOS_PER_S);
    assert_int_equal(t.cuts, 1);
    for (int round = 0; round < 10; round++) {
        stand_step(&t, (struct cut_event){.kind = CUT_EVENT_ALIVE, .id = 3, .incarnation = 65537});
        stand_wait(&t, 20 * NANOS_PER_S);
        stand_reports(&t, 3, 8);
        stand_step(&t, (struct cut_event){.kind = CUT_EVENT_DEAD, .id = 3});
        stand_wait(&t, 20 * NANOS_PER_S);
    }
    assert_int_equal(t.cuts, 1);
    assert_int_equal(t.back, 0);
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_ALIVE, .id = 3, .incarnation = 65538});
    stand_wait(&t, 95 * NANOS_PER_S);
    assert_int_equal(t.back, 1);
    assert_true(cut_find(&t.cut, 3)->is_in);
    stand_close(&t);
}

/* A partition that heals soon: nobody takes anything back, and nothing else happens. */
static void who_is_heard_again_before_its_reports_are_old_comes_back_by_time_alone(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, VIEW);
    stand_reports(&t, 3, 8);
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_DEAD, .id = 3});
    stand_wait(&t, 2 * NANOS_PER_S);
    assert_int_equal(t.cuts, 1);
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_ALIVE, .id = 3, .incarnation = 65537});
    stand_wait(&t, 120 * NANOS_PER_S);
    assert_int_equal(t.back, 1);
    stand_close(&t);
}

/* Three members: two observers each, who must both report. */
static void of_three_both_others_must_say_so(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, 3);
    stand_report(&t, 1, 3, 2, 3, true);
    stand_wait(&t, 20 * NANOS_PER_S);
    assert_int_equal(t.cuts, 0);
    stand_report(&t, 1, 3, 2, 3, true);
    stand_report(&t, 2, 3, 2, 3, true);
    stand_wait(&t, 2 * NANOS_PER_S);
    assert_int_equal(t.cuts, 1);
    stand_close(&t);
}

/* --- Where nothing more can come -----------------------------------------------------------------
 */

static void stand_hears_dead(struct stand *t, node_id id)
{
    stand_step(t, (struct cut_event){.kind = CUT_EVENT_DEAD, .id = id, .since = t->now});
}

/* Both others of three have spoken: who else should? What is left is a hold. */
static void a_cut_that_nobody_can_add_to_waits_for_a_hold_alone(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, 3);
    stand_report(&t, 1, 3, 2, 3, true);
    stand_wait(&t, 100 * NANOS_PER_MS);
    stand_report(&t, 2, 3, 2, 3, true);
    stand_hears_dead(&t, 3);
    stand_wait(&t, 190 * NANOS_PER_MS);
    assert_int_equal(t.cuts, 0);
    stand_wait(&t, 20 * NANOS_PER_MS);
    assert_int_equal(t.cuts, 1);
    stand_close(&t);
}

/* A new leader hears it from members that have held it for dead for longer. */
static void a_hold_counts_from_when_gossip_held_it_for_dead(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, 3);
    stand_step(&t, (struct cut_event){
                       .kind = CUT_EVENT_DEAD, .id = 3, .since = t.now - 300 * NANOS_PER_MS});
    stand_report(&t, 1, 3, 2, 3, true);
    assert_int_equal(t.cuts, 0);
    stand_report(&t, 2, 3, 2, 3, true);
    assert_int_equal(t.cuts, 1);
    stand_close(&t);
}

/* It only stood still: it contradicts, and its observers take back what they said, of its earlier
 * incarnation. */
static void who_contradicts_within_the_hold_is_not_cut(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, 3);
    stand_report(&t, 1, 3, 2, 3, true);
    stand_report(&t, 2, 3, 2, 3, true);
    stand_hears_dead(&t, 3);
    stand_wait(&t, 150 * NANOS_PER_MS);
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_ALIVE, .id = 3, .incarnation = 65537});
    stand_wait(&t, 500 * NANOS_PER_MS);
    assert_int_equal(t.cuts, 0);
    stand_report(&t, 1, 3, 2, 3, false);
    stand_wait(&t, 60 * NANOS_PER_S);
    assert_int_equal(t.cuts, 0);
    stand_close(&t);
}

/* Of forty hosts eight observe it, and others may be falling with it. */
static void a_cut_that_somebody_can_add_to_settles_first(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, VIEW);
    stand_reports(&t, 3, 8);
    stand_hears_dead(&t, 3);
    stand_wait(&t, 900 * NANOS_PER_MS);
    assert_int_equal(t.cuts, 0);
    stand_wait(&t, 200 * NANOS_PER_MS);
    assert_int_equal(t.cuts, 1);
    stand_close(&t);
}

/* --- Probation -----------------------------------------------------------------------------------
 */

static void stand_cuts_of_three(struct stand *t, node_id id)
{
    for (node_id by = 1; by <= 3; by++) {
        if (by != id) {
            struct cut_event event = {.kind = CUT_EVENT_REPORT};
            event.report = (struct swim_report){.observer = by,
                                                .subject = id,
                                                .incarnation = cut_find(&t->cut, id)->incarnation,
                                                .down = true,
                                                .n_observers = 2};
            event.report.observers[0] = by;
            event.report.observers[1] = 6 - id - by;
            stand_step(t, event);
        }
    }
    stand_hears_dead(t, id);
    stand_wait(t, 300 * NANOS_PER_MS);
}

static void who_was_started_anew_is_in_again_soon_the_first_time(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, 3);
    stand_cuts_of_three(&t, 3);
    assert_int_equal(t.lost[3], 1);
    stand_wait(&t, 30 * NANOS_PER_S);
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_ALIVE, .id = 3, .incarnation = 2 * 65536});
    stand_wait(&t, 9 * NANOS_PER_S);
    assert_int_equal(t.back, 0);
    stand_wait(&t, 2 * NANOS_PER_S);
    assert_int_equal(t.back, 1);
    stand_cuts_of_three(&t, 3);
    assert_int_equal(t.lost[3], 2);
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_ALIVE, .id = 3, .incarnation = 3 * 65536});
    stand_wait(&t, 100 * NANOS_PER_S);
    assert_int_equal(t.back, 1);
    stand_wait(&t, 30 * NANOS_PER_S);
    assert_int_equal(t.back, 2);
    stand_close(&t);
}

/* Of two in the view one is half; but a third is heard, too. */
static void the_brake_weighs_those_on_probation(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, 3);
    stand_cuts_of_three(&t, 3);
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_ALIVE, .id = 3, .incarnation = 2 * 65536});
    stand_wait(&t, 2 * NANOS_PER_S);
    assert_false(cut_find(&t.cut, 3)->is_in);
    stand_cuts_of_three(&t, 2);
    assert_false(t.update.is_braked);
    assert_int_equal(t.lost[2], 1);
    stand_close(&t);
}

static void and_not_those_that_are_gone(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, 3);
    stand_cuts_of_three(&t, 3);
    stand_cuts_of_three(&t, 2);
    assert_true(t.update.is_braked);
    assert_int_equal(t.lost[2], 0);
    stand_close(&t);
}

/* As a leader that was braked, and is so no longer, would find it. */
static void who_contradicted_is_not_lost_for_what_was_said_before(void **state)
{
    (void)state;
    struct stand t;

    stand_open_braked(&t);
    stand_wait(&t, 5 * NANOS_PER_S);
    assert_true(t.update.is_braked);
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_ALIVE, .id = 2, .incarnation = 65537});
    stand_report(&t, observer_of(2, 0, 4), 2, 3, 4, true);
    stand_wait(&t, 6 * NANOS_PER_S);
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_ALIVE, .id = 3, .incarnation = 65537});
    stand_wait(&t, 60 * NANOS_PER_S);
    assert_int_equal(t.lost[2], 0);
    stand_close(&t);
}

static void who_left_of_its_own_is_not_lost(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, VIEW);
    stand_reports(&t, 3, 6);
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_LEFT, .id = 3});
    stand_wait(&t, 20 * NANOS_PER_S);
    assert_int_equal(t.cuts, 0);
    assert_null(cut_find(&t.cut, 3));
    stand_close(&t);
}

/* --- Two hosts -----------------------------------------------------------------------------------
 */

/* Host 1 leads, and says every two seconds that host 2 is gone. */
static void stand_says_alone(struct stand *t, nanos span)
{
    nanos end = t->now + span;

    while (t->now < end) {
        stand_report(t, 1, 2, 1, 1, true);
        stand_wait(t, 2 * NANOS_PER_S);
    }
}

static void stand_open_two(struct stand *t)
{
    stand_open(t, 2);
    stand_step(t, (struct cut_event){.kind = CUT_EVENT_DEAD, .id = 2});
}

static void of_two_one_word_is_enough_if_it_is_said_for_long(void **state)
{
    (void)state;
    struct stand t;

    stand_open_two(&t);
    stand_says_alone(&t, 14 * NANOS_PER_S);
    assert_int_equal(t.cuts, 0);
    assert_false(t.update.is_braked);
    stand_says_alone(&t, 4 * NANOS_PER_S);
    assert_int_equal(t.cuts, 1);
    assert_int_equal(t.last_lost.reports, 1);
    assert_int_equal(t.last_lost.observers, 1);
    /* When it has been back for long enough, it is in again. */
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_ALIVE, .id = 2, .incarnation = 65537});
    stand_wait(&t, 100 * NANOS_PER_S);
    assert_int_equal(t.back, 1);
    stand_close(&t);
}

static void a_pause_in_the_only_word_begins_anew(void **state)
{
    (void)state;
    struct stand t;

    stand_open_two(&t);
    for (int round = 0; round < 6; round++) {
        stand_says_alone(&t, 12 * NANOS_PER_S);
        stand_wait(&t, 8 * NANOS_PER_S);
    }
    assert_int_equal(t.cuts, 0);
    stand_close(&t);
}

/* The log's heartbeats come: whoever does not hear it has bad ears. */
static void whom_anything_else_hears_is_not_lost_on_one_word(void **state)
{
    (void)state;
    struct stand t;

    stand_open_two(&t);
    for (int round = 0; round < 20; round++) {
        stand_says_alone(&t, 8 * NANOS_PER_S);
        stand_step(&t, (struct cut_event){.kind = CUT_EVENT_HEARD, .id = 2});
    }
    assert_int_equal(t.cuts, 0);
    stand_close(&t);
}

static void who_lives_is_not_lost_on_one_word(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, 2);
    stand_says_alone(&t, 60 * NANOS_PER_S);
    assert_int_equal(t.cuts, 0);
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_DEAD, .id = 2});
    stand_says_alone(&t, 12 * NANOS_PER_S);
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_ALIVE, .id = 2, .incarnation = 65537});
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_DEAD, .id = 2});
    stand_says_alone(&t, 12 * NANOS_PER_S);
    assert_int_equal(t.cuts, 0);
    stand_close(&t);
}

/* Whatever a sick leader says of all others, and however long; also of one, with the rest dead. */
static void with_three_in_the_view_one_word_is_never_enough(void **state)
{
    (void)state;
    for (uint32_t n = 3; n <= 5; n++) {
        struct stand t;

        stand_open(&t, n);
        for (uint32_t id = 2; id <= n; id++) {
            stand_step(&t, (struct cut_event){.kind = CUT_EVENT_DEAD, .id = id});
        }
        for (int round = 0; round < 60; round++) {
            for (uint32_t id = 2; id <= n; id++) {
                stand_report(&t, 1, id, 1, 1, true);
            }
            stand_wait(&t, 2 * NANOS_PER_S);
        }
        assert_int_equal(t.cuts, 0);
        stand_close(&t);
    }
}

static void when_one_of_three_is_gone_the_other_two_are_two(void **state)
{
    (void)state;
    struct stand t;

    stand_open(&t, 3);
    stand_report(&t, 1, 3, 2, 3, true);
    stand_report(&t, 2, 3, 2, 3, true);
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_DEAD, .id = 3});
    stand_wait(&t, 5 * NANOS_PER_S);
    assert_int_equal(t.lost[3], 1);
    stand_step(&t, (struct cut_event){.kind = CUT_EVENT_DEAD, .id = 2});
    stand_says_alone(&t, 14 * NANOS_PER_S);
    assert_int_equal(t.lost[2], 0);
    stand_says_alone(&t, 4 * NANOS_PER_S);
    assert_int_equal(t.lost[2], 1);
    assert_int_equal(t.last_lost.observers, 1);
    stand_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_sick_observer_condemns_nobody),
        cmocka_unit_test(six_of_eight_make_a_cut_and_five_do_not),
        cmocka_unit_test(hosts_that_fall_together_are_one_cut),
        cmocka_unit_test(what_is_unstable_holds_the_cut_up_and_not_for_ever),
        cmocka_unit_test(what_is_over_before_the_cut_is_made_is_forgotten),
        cmocka_unit_test(observers_that_are_lost_count_with_those_that_speak),
        cmocka_unit_test(reports_that_are_taken_back_or_too_old_do_not_count),
        cmocka_unit_test(who_is_no_observer_is_not_counted),
        cmocka_unit_test(a_restarted_member_is_not_held_for_its_earlier_life),
        cmocka_unit_test(the_brake_holds_where_half_would_go),
        cmocka_unit_test(who_comes_and_goes_stays_out_and_who_stays_comes_back),
        cmocka_unit_test(who_is_heard_again_before_its_reports_are_old_comes_back_by_time_alone),
        cmocka_unit_test(of_three_both_others_must_say_so),
        cmocka_unit_test(a_cut_that_nobody_can_add_to_waits_for_a_hold_alone),
        cmocka_unit_test(a_hold_counts_from_when_gossip_held_it_for_dead),
        cmocka_unit_test(who_contradicts_within_the_hold_is_not_cut),
        cmocka_unit_test(a_cut_that_somebody_can_add_to_settles_first),
        cmocka_unit_test(who_was_started_anew_is_in_again_soon_the_first_time),
        cmocka_unit_test(the_brake_weighs_those_on_probation),
        cmocka_unit_test(and_not_those_that_are_gone),
        cmocka_unit_test(who_contradicted_is_not_lost_for_what_was_said_before),
        cmocka_unit_test(who_left_of_its_own_is_not_lost),
        cmocka_unit_test(of_two_one_word_is_enough_if_it_is_said_for_long),
        cmocka_unit_test(a_pause_in_the_only_word_begins_anew),
        cmocka_unit_test(whom_anything_else_hears_is_not_lost_on_one_word),
        cmocka_unit_test(who_lives_is_not_lost_on_one_word),
        cmocka_unit_test(with_three_in_the_view_one_word_is_never_enough),
        cmocka_unit_test(when_one_of_three_is_gone_the_other_two_are_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
