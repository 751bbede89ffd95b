#include "core/ha/ha_fence.h"

#include <string.h>

#include "core/base/say.h"
#include "tests/core/ha/ha_samples.h"
#include "tests/support/test.h"

#define MS NANOS_PER_MS
#define S  NANOS_PER_S

/* --- a bench: one host, its devices, and what they do ----------------------------------------- */

/* How a device behaves; zeroed: it works at once. */
struct fake_device {
    enum err off_result;
    enum err status_result;
    bool does_not_switch;
    bool answers_never;
    bool is_wired_elsewhere; /* reads and switches something else */
    bool cannot_tell;
    nanos falls_after; /* power falls so long after OFF */
    uint32_t offs;
    uint32_t reads;
    bool other_power; /* of what it is wired to instead */
};

#define DEVICES 6

struct fence_bench {
    struct ha_view view;
    struct ha_host host;
    struct ha_fence fence;
    struct ha_fence_config config;
    struct fake_device devices[DEVICES];
    bool has_power;
    nanos falls_at; /* 0: not */
    nanos now;
    bool holds_answers; /* commands wait in `held` */
    struct ha_fence_update held;
};

static uint32_t fencing_index(const char *device)
{
    return (uint32_t)(device[strlen(device) - 1] - '0');
}

static void fencing_init(struct fence_bench *b, const char *const *levels, uint32_t n)
{
    memset(b, 0, sizeof *b);
    ha_view_init(&b->view);
    b->has_power = true;
    b->now = 1000 * S;
    b->config = (struct ha_fence_config){.retry = 2 * S, .drift_ppm = 0};
    b->host = host_named("node-a", 0, 0);
    b->host.n_levels = n;
    for (uint32_t i = 0; i < n; i++) {
        struct ha_fence_level *level = &b->host.levels[i];
        level->n = 0;
        for (const char *c = levels[i]; *c != '\0'; c++) {
            char name[] = "dev-0";
            name[4] = *c;
            ha_text_set(level->device[level->n++], HA_NAME_BYTES, name);
        }
    }
    for (unsigned i = 0; i < DEVICES; i++) {
        struct ha_device device;
        char name[] = "dev-0";
        name[4] = (char)('0' + i);
        ha_record_defaults(HA_DEVICE, &device);
        ha_text_set(device.name, sizeof device.name, name);
        ha_text_set(device.agent, sizeof device.agent, "fence_fake");
        device.timeout_ms = 5000;
        VIEW_PUT(&b->view, &device);
        b->devices[i].other_power = true;
    }
}

static void fencing_set_outlet(struct fence_bench *b, unsigned i)
{
    struct ha_device device = *ha_view_device(&b->view, b->fence.slots[0].device);
    char name[] = "dev-0";

    name[4] = (char)('0' + i);
    ha_text_set(device.name, sizeof device.name, name);
    device.is_outlet = true;
    VIEW_PUT(&b->view, &device);
}

static void fencing_begin(struct fence_bench *b)
{
    VIEW_PUT(&b->view, &b->host);
    ha_fence_init(&b->fence, &b->view, "node-a", &b->config, 1, b->now);
    ha_fence_check(&b->fence);
}

static void fencing_deinit(struct fence_bench *b)
{
    ha_view_deinit(&b->view);
}

static bool fencing_is_on(struct fence_bench *b)
{
    if (b->falls_at != 0 && b->now >= b->falls_at) {
        b->has_power = false;
    }
    return b->has_power;
}

static struct ha_fence_answer fencing_answer(struct fence_bench *b,
                                             const struct ha_fence_command *c)
{
    struct fake_device *d = &b->devices[fencing_index(c->device)];
    struct ha_fence_answer answer = {.ticket = c->ticket, .result = OK};

    if (c->op == WORLD_POWER_OFF) {
        d->offs++;
        answer.result = d->off_result;
        if (d->is_wired_elsewhere) {
            d->other_power = false;
        } else if (!d->does_not_switch && b->falls_at == 0) {
            b->falls_at = b->now + d->falls_after;
        }
        return answer;
    }
    d->reads++;
    answer.result = d->status_result;
    if (answer.result == OK) {
        bool is_on = d->is_wired_elsewhere ? d->other_power : fencing_is_on(b);
        answer.state = d->cannot_tell ? WORLD_POWER_UNKNOWN
                       : is_on        ? WORLD_POWER_IS_ON
                                      : WORLD_POWER_IS_OFF;
    }
    return answer;
}

static void fencing_step(struct fence_bench *b, const struct ha_fence_answer *answer);

/* Carries out what a step asked for: each answer is a step of its own, 100 ms later. */
static void fencing_carry_out(struct fence_bench *b, const struct ha_fence_update *update)
{
    for (uint32_t i = 0; i < update->n; i++) {
        const struct ha_fence_command *c = &update->commands[i];
        assert_true(c->deadline > b->now);
        if (b->devices[fencing_index(c->device)].answers_never) {
            continue;
        }
        struct ha_fence_answer answer = fencing_answer(b, c);
        fencing_step(b, &answer);
    }
}

static void fencing_step(struct fence_bench *b, const struct ha_fence_answer *answer)
{
    struct ha_fence_update update;

    ha_fence_step(&b->fence, b->now, answer, &update);
    ha_fence_check(&b->fence);
    if (b->holds_answers) {
        b->held = update;
    } else {
        fencing_carry_out(b, &update);
    }
}

/* Time passes as far as the fence wants it, at most to `until`. */
static void fencing_run(struct fence_bench *b, nanos until)
{
    while (b->now < until && !ha_fence_is_done(&b->fence)) {
        nanos next = ha_fence_deadline(&b->fence);
        assert_true(next >= b->now);
        b->now = u64_min(next, until);
        fencing_step(b, NULL);
    }
}

static void assert_told(const struct fence_bench *b, const char *expected)
{
    struct buf text;

    buf_init(&text);
    ha_fence_tell(&b->fence, &text);
    assert_string_equal(say_end(&text), expected);
    buf_deinit(&text);
}

static const char *const one_level[] = {"0"};
static const char *const two_devices[] = {"01"};
static const char *const two_levels[] = {"0", "1"};

/* --- what proves, and what does not ----------------------------------------------------------- */

static void a_device_that_works_proves_at_once(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, one_level, 1);
    fencing_begin(&b);
    fencing_step(&b, NULL);
    assert_true(ha_fence_is_done(&b.fence));
    assert_int_equal(b.devices[0].offs, 1);
    assert_int_equal(b.devices[0].reads, 1);
    assert_int_equal(b.fence.off_since, b.now);
    struct buf text;
    buf_init(&text);
    ha_fence_tell_devices(&b.fence, &text);
    assert_string_equal(say_end(&text), "dev-0");
    buf_deinit(&text);
    assert_told(&b, "done, round 1, level 1 of 1: dev-0: status: off");
    fencing_deinit(&b);
}

/* Only_says_ok: it says that it switched, and did not. */
static void what_says_ok_and_stays_on_is_not_off(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, one_level, 1);
    fencing_begin(&b);
    b.devices[0].does_not_switch = true;
    fencing_run(&b, b.now + 600 * S);
    assert_false(ha_fence_is_done(&b.fence));
    assert_true(b.fence.round > 10);
    assert_true(b.devices[0].reads == b.devices[0].offs * HA_FENCE_READS_MAX ||
                b.fence.phase == HA_FENCE_READ);
    b.devices[0].does_not_switch = false; /* and at last it does */
    fencing_run(&b, b.now + 60 * S);
    assert_true(ha_fence_is_done(&b.fence));
    fencing_deinit(&b);
}

static void unknown_is_never_off(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, one_level, 1);
    fencing_begin(&b);
    b.devices[0].cannot_tell = true;
    fencing_run(&b, b.now + 600 * S);
    assert_false(ha_fence_is_done(&b.fence));
    assert_false(b.has_power && b.falls_at == 0); /* it is off, and nobody can tell */
    fencing_deinit(&b);
}

static void a_device_that_is_not_reached_proves_nothing(void **state)
{
    (void)state;
    static const enum err unreached[] = {ERR_CLOSED,  ERR_DENIED,      ERR_NOT_FOUND,
                                         ERR_INVALID, ERR_UNSUPPORTED, ERR_REFUSED};
    for (size_t i = 0; i < COUNT_OF(unreached); i++) {
        struct fence_bench b;
        fencing_init(&b, one_level, 1);
        b.has_power = false; /* already off, by a power loss, and STATUS would even say so */
        fencing_begin(&b);
        b.devices[0].off_result = unreached[i];
        fencing_run(&b, b.now + 600 * S);
        assert_false(ha_fence_is_done(&b.fence));
        assert_int_equal(b.devices[0].reads, 0);
        fencing_deinit(&b);
    }
}

/* Scenario 5: "not supported in the present state" from a device that is reached. */
static void a_failure_to_switch_off_counts_only_with_a_positive_read(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, one_level, 1);
    b.has_power = false;
    fencing_begin(&b);
    b.devices[0].off_result = ERR_IO;
    fencing_step(&b, NULL);
    assert_true(ha_fence_is_done(&b.fence));
    fencing_deinit(&b);
    fencing_init(&b, one_level, 1);
    fencing_begin(&b);
    b.devices[0].off_result = ERR_IO;
    b.devices[0].does_not_switch = true;
    fencing_run(&b, b.now + 100 * S);
    assert_false(ha_fence_is_done(&b.fence));
    fencing_deinit(&b);
}

/* Scenario 2: the answer is lost, and the power is asked for. */
static void a_lost_answer_is_followed_by_a_question(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, one_level, 1);
    fencing_begin(&b);
    b.devices[0].off_result = ERR_TIMEOUT;
    fencing_step(&b, NULL);
    assert_true(ha_fence_is_done(&b.fence));
    assert_int_equal(b.devices[0].reads, 1);
    fencing_deinit(&b);
}

static void a_failed_read_proves_nothing(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, one_level, 1);
    fencing_begin(&b);
    b.devices[0].status_result = ERR_TIMEOUT;
    fencing_run(&b, b.now + 100 * S);
    assert_false(ha_fence_is_done(&b.fence));
    fencing_deinit(&b);
}

static void power_may_take_its_time_to_fall(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, one_level, 1);
    fencing_begin(&b);
    b.devices[0].falls_after = 900 * MS;
    nanos begun = b.now;
    fencing_run(&b, b.now + 100 * S);
    assert_true(ha_fence_is_done(&b.fence));
    assert_int_equal(b.fence.off_since, begun + 1000 * MS);
    assert_int_equal(b.devices[0].offs, 1);
    fencing_deinit(&b);
}

/* --- levels ----------------------------------------------------------------------------------- */

static void all_devices_of_a_level_must_say_off(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, two_devices, 1);
    fencing_begin(&b);
    b.devices[1].is_wired_elsewhere = true; /* its half goes off; ours reads off, too */
    fencing_step(&b, NULL);
    assert_true(ha_fence_is_done(&b.fence));
    assert_int_equal(b.devices[0].offs, 1);
    assert_int_equal(b.devices[1].offs, 1);
    fencing_deinit(&b);
    for (unsigned bad = 0; bad < 2; bad++) {
        fencing_init(&b, two_devices, 1);
        fencing_begin(&b);
        b.devices[bad].status_result = ERR_CLOSED;
        fencing_run(&b, b.now + 100 * S);
        assert_false(ha_fence_is_done(&b.fence));
        fencing_deinit(&b);
        fencing_init(&b, two_devices, 1);
        fencing_begin(&b);
        b.devices[bad].off_result = ERR_CLOSED;
        fencing_run(&b, b.now + 100 * S);
        assert_false(ha_fence_is_done(&b.fence));
        fencing_deinit(&b);
    }
}

static void both_devices_are_told_before_either_is_read(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, two_devices, 1);
    fencing_begin(&b);
    b.holds_answers = true;
    fencing_step(&b, NULL);
    assert_int_equal(b.held.n, 2);
    struct ha_fence_update off = b.held;
    assert_int_equal(off.commands[0].op, WORLD_POWER_OFF);
    assert_int_equal(off.commands[1].op, WORLD_POWER_OFF);
    assert_int_equal(off.commands[0].deadline, b.now + 5 * S);
    struct ha_fence_answer answer = {.ticket = off.commands[1].ticket, .result = OK};
    fencing_step(&b, &answer);
    assert_int_equal(b.held.n, 0); /* the other's OFF is under way */
    answer.ticket = off.commands[0].ticket;
    fencing_step(&b, &answer);
    assert_int_equal(b.held.n, 2);
    assert_int_equal(b.held.commands[0].op, WORLD_POWER_STATUS);
    fencing_deinit(&b);
}

static void the_next_level_is_tried_when_one_fails(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, two_levels, 2);
    fencing_begin(&b);
    b.devices[0].off_result = ERR_CLOSED;
    fencing_step(&b, NULL);
    assert_true(ha_fence_is_done(&b.fence));
    assert_int_equal(b.fence.level, 1);
    assert_int_equal(b.devices[0].reads, 0); /* it failed in this round, and is no witness */
    assert_told(&b, "done, round 1, level 2 of 2: dev-1: status: off");
    fencing_deinit(&b);
}

static void a_level_with_an_unknown_device_is_passed_over_whole(void **state)
{
    (void)state;
    struct fence_bench b;
    static const char *const levels[] = {"09", "1"};
    fencing_init(&b, levels, 2);
    fencing_begin(&b);
    fencing_step(&b, NULL);
    assert_true(ha_fence_is_done(&b.fence));
    assert_int_equal(b.devices[0].offs, 0); /* switched off for nothing */
    assert_int_equal(b.fence.level, 1);
    fencing_deinit(&b);
}

/* --- witnesses -------------------------------------------------------------------------------- */

/* The cable is in another machine: the device reads off what it switched off. */
static void a_witness_that_says_on_refutes_a_device(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, two_levels, 2);
    fencing_begin(&b);
    b.devices[0].is_wired_elsewhere = true;
    fencing_step(&b, NULL);
    assert_false(ha_fence_is_done(&b.fence));
    fencing_run(&b, b.now + 100 * S);
    assert_true(ha_fence_is_done(&b.fence));
    assert_int_equal(b.fence.level, 1); /* whose own device works */
    assert_false(b.has_power);
    fencing_deinit(&b);
}

static void a_witness_that_says_nothing_is_none(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 3; way++) {
        struct fence_bench b;
        fencing_init(&b, two_levels, 2);
        fencing_begin(&b);
        b.devices[1].status_result = way == 0 ? ERR_CLOSED : OK;
        b.devices[1].cannot_tell = way == 1;
        b.devices[1].answers_never = way == 2;
        nanos begun = b.now;
        fencing_run(&b, b.now + 100 * S);
        assert_true(ha_fence_is_done(&b.fence));
        assert_int_equal(b.fence.level, 0);
        assert_true(b.now - begun <= HA_FENCE_WITNESS_TIME + HA_FENCE_GRACE);
        assert_int_equal(b.devices[1].offs, 0);
        fencing_deinit(&b);
    }
}

/* One round in which neither device is reached. */
static void fencing_fail_round(struct fence_bench *b, const char *const *levels)
{
    fencing_init(b, levels, 2);
    fencing_begin(b);
    b->devices[0].off_result = ERR_CLOSED;
    b->devices[1].off_result = ERR_CLOSED;
    b->devices[0].does_not_switch = true;
    b->devices[1].does_not_switch = true;
    fencing_step(b, NULL);
    assert_int_equal(b->fence.round, 1);
}

/* What failed in one round may bear witness in the next. */
static void every_round_begins_with_all_its_witnesses(void **state)
{
    (void)state;
    struct fence_bench b;
    static const char *const levels[] = {"0", "1"};
    fencing_fail_round(&b, levels);
    b.devices[0].off_result = OK; /* but in another machine; the other device can read again */
    b.devices[0].is_wired_elsewhere = true;
    b.devices[1].off_result = ERR_DENIED;
    fencing_run(&b, b.now + 10 * S);
    assert_false(ha_fence_is_done(&b.fence));
    assert_true(b.devices[1].reads > 0);
    fencing_deinit(&b);
}

static void an_outlet_is_no_witness(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, two_levels, 2);
    fencing_begin(&b);
    fencing_set_outlet(&b, 1);
    fencing_begin(&b);
    b.devices[1].is_wired_elsewhere = true; /* the outlet has power still */
    fencing_step(&b, NULL);
    assert_true(ha_fence_is_done(&b.fence));
    assert_int_equal(b.fence.level, 0);
    assert_int_equal(b.devices[1].reads, 0);
    fencing_deinit(&b);
}

/* --- time ------------------------------------------------------------------------------------- */

static void it_waits_for_what_may_still_land(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, one_level, 1);
    b.config.flight = 10 * S;
    b.config.drift_ppm = 100000;
    fencing_begin(&b);
    fencing_step(&b, NULL);
    assert_int_equal(b.fence.phase, HA_FENCE_FLIGHT);
    nanos off = b.fence.off_since;
    fencing_run(&b, off + 11 * S - 1);
    assert_false(ha_fence_is_done(&b.fence));
    fencing_run(&b, off + 11 * S);
    assert_true(ha_fence_is_done(&b.fence));
    fencing_deinit(&b);
}

static void it_is_delayed_by_chance_and_by_priority(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    nanos least = NANOS_FOREVER;
    nanos most = 0;
    for (int i = 0; i < 1000; i++) {
        struct fence_bench b;
        fencing_init(&b, one_level, 1);
        VIEW_PUT(&b.view, &b.host);
        b.config.delay_max = 1000 * MS;
        b.config.delay_add = 500 * MS;
        ha_fence_init(&b.fence, &b.view, "node-a", &b.config, prng_u64(&p), b.now);
        nanos delay = ha_fence_deadline(&b.fence) - b.now;
        least = u64_min(least, delay);
        most = u64_max(most, delay);
        fencing_step(&b, NULL);
        assert_int_equal(b.devices[0].offs, 0);
        b.now += delay;
        fencing_step(&b, NULL);
        assert_true(ha_fence_is_done(&b.fence));
        fencing_deinit(&b);
    }
    assert_in_range(least, 500 * MS, 510 * MS);
    assert_in_range(most, 1490 * MS, 1500 * MS);
}

static void rounds_are_further_and_further_apart(void **state)
{
    (void)state;
    static const nanos whole[] = {2, 4, 8, 16, 16, 16};
    struct fence_bench b;
    fencing_init(&b, one_level, 1);
    fencing_begin(&b);
    b.devices[0].off_result = ERR_CLOSED;
    for (size_t i = 0; i < COUNT_OF(whole); i++) {
        fencing_step(&b, NULL);
        assert_int_equal(b.fence.phase, HA_FENCE_PAUSE);
        assert_int_equal(b.fence.round, i + 1);
        nanos pause = ha_fence_deadline(&b.fence) - b.now;
        assert_in_range(pause, whole[i] * S, whole[i] * S / 4 * 5);
        b.now += pause;
    }
    assert_told(&b, "pause, round 6: dev-0: off: it cannot be reached, rests");
    fencing_deinit(&b);
}

/* A device that keeps failing is not asked each time, but is never given up. */
static void a_device_that_keeps_failing_rests_and_is_tried_again(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, two_levels, 2);
    fencing_begin(&b);
    b.devices[0].off_result = ERR_CLOSED;
    b.devices[1].off_result = ERR_DENIED;
    fencing_run(&b, b.now + 3600 * S);
    assert_false(ha_fence_is_done(&b.fence));
    assert_true(b.devices[0].offs < b.fence.round);
    assert_true(b.devices[0].offs > b.fence.round / 4);
    b.devices[1].off_result = OK;
    nanos healed = b.now;
    fencing_run(&b, b.now + 3600 * S);
    assert_true(ha_fence_is_done(&b.fence));
    assert_true(b.now - healed < 60 * S);
    fencing_deinit(&b);
}

static void a_command_that_nobody_answers_is_given_up(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, two_levels, 2);
    fencing_begin(&b);
    b.devices[0].answers_never = true;
    nanos begun = b.now;
    fencing_step(&b, NULL);
    assert_told(&b, "off, round 1, level 1 of 2: dev-0: off is under way");
    fencing_run(&b, begun + 100 * S);
    assert_true(ha_fence_is_done(&b.fence));
    assert_int_equal(b.fence.level, 1);
    /* OFF and STATUS were given up, each a second behind its deadline. */
    assert_int_equal(b.fence.off_since, begun + 12 * S);
    fencing_deinit(&b);
}

static void a_late_or_strange_answer_changes_nothing(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, one_level, 1);
    fencing_begin(&b);
    b.holds_answers = true;
    fencing_step(&b, NULL);
    struct ha_fence_answer first = {.ticket = b.held.commands[0].ticket, .result = OK};
    struct ha_fence_answer strange = {.ticket = 999, .state = WORLD_POWER_IS_OFF};
    fencing_step(&b, &strange);
    assert_int_equal(b.held.n, 0);
    fencing_step(&b, &first);
    assert_int_equal(b.held.commands[0].op, WORLD_POWER_STATUS);
    uint64_t status = b.held.commands[0].ticket;
    first.state = WORLD_POWER_IS_OFF;
    fencing_step(&b, &first); /* once more: it is not the STATUS's */
    assert_int_equal(b.fence.phase, HA_FENCE_READ);
    b.now += 6 * S;
    fencing_step(&b, NULL); /* given up */
    struct ha_fence_answer late = {.ticket = status, .state = WORLD_POWER_IS_OFF};
    fencing_step(&b, &late);
    assert_int_equal(b.fence.phase, HA_FENCE_PAUSE);
    fencing_deinit(&b);
}

/* Where one device of a level rests, the others are not switched off for nothing. */
static void a_level_of_which_one_device_rests_is_passed_over_whole(void **state)
{
    (void)state;
    struct fence_bench b;
    bool has_rested = false;
    fencing_init(&b, two_devices, 1);
    fencing_begin(&b);
    b.devices[1].off_result = ERR_CLOSED;
    b.devices[0].does_not_switch = true;
    b.devices[1].does_not_switch = true;
    for (int i = 0; i < 60; i++) {
        fencing_run(&b, b.now + 10 * S);
        assert_int_equal(b.devices[0].offs, b.devices[1].offs);
        has_rested = has_rested || b.fence.round > b.devices[1].offs;
    }
    assert_true(has_rested);
    fencing_deinit(&b);
}

static void time_does_not_go_back(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, one_level, 1);
    fencing_begin(&b);
    b.holds_answers = true;
    fencing_step(&b, NULL);
    const struct ha_fence_answer answer = {.ticket = b.held.commands[0].ticket, .result = OK};
    nanos then = b.now;
    b.now -= 500 * S;
    fencing_step(&b, &answer);
    assert_int_equal(b.held.n, 1);
    assert_int_equal(b.held.commands[0].deadline, then + 5 * S);
    fencing_deinit(&b);
}

static void a_host_without_devices_is_never_proved_off(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, one_level, 0);
    fencing_begin(&b);
    assert_true(ha_fence_deadline(&b.fence) == NANOS_FOREVER);
    b.now += 3600 * S;
    fencing_step(&b, NULL);
    assert_int_equal(b.fence.phase, HA_FENCE_PAUSE);
    assert_told(&b, "pause: the host has no fence device that its record names");
    ha_fence_init(&b.fence, &b.view, "node-x", &b.config, 1, b.now);
    ha_fence_check(&b.fence);
    assert_true(ha_fence_deadline(&b.fence) == NANOS_FOREVER);
    fencing_deinit(&b);
}

/* --- records that change ---------------------------------------------------------------------- */

/* What is written again as it was is no news: some apply all that they have each minute. */
static void only_levels_and_their_devices_make_it_outdated(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, two_levels, COUNT_OF(two_levels));
    fencing_begin(&b);
    b.host.memory_mib += 1024;
    VIEW_PUT(&b.view, &b.host);
    assert_false(ha_fence_is_outdated(&b.fence, &b.view));
    const struct ha_fence_level first = b.host.levels[0];
    b.host.levels[0] = b.host.levels[1];
    b.host.levels[1] = first;
    VIEW_PUT(&b.view, &b.host);
    assert_true(ha_fence_is_outdated(&b.fence, &b.view));
    assert_true(ha_fence_renew(&b.fence, &b.view, b.now));
    assert_false(ha_fence_is_outdated(&b.fence, &b.view));
    VIEW_PUT(&b.view, ha_view_device(&b.view, "dev-0"));
    assert_false(ha_fence_is_outdated(&b.fence, &b.view));
    fencing_set_outlet(&b, 0);
    assert_true(ha_fence_is_outdated(&b.fence, &b.view));
    assert_true(ha_fence_renew(&b.fence, &b.view, b.now));
    b.host.n_levels = 1;
    VIEW_PUT(&b.view, &b.host);
    assert_true(ha_fence_is_outdated(&b.fence, &b.view));
    fencing_deinit(&b);
}

/* What is under way is waited for, so that no device has two commands; its delay goes on. */
static void it_is_begun_anew_once_nothing_is_under_way(void **state)
{
    (void)state;
    struct fence_bench b;
    fencing_init(&b, two_levels, COUNT_OF(two_levels));
    fencing_begin(&b);
    const nanos begins = ha_fence_deadline(&b.fence);
    assert_true(ha_fence_renew(&b.fence, &b.view, b.now));
    assert_true(ha_fence_deadline(&b.fence) == begins);
    struct ha_fence_update update;
    ha_fence_step(&b.fence, begins, NULL, &update);
    assert_int_equal(update.n, 1);
    const struct ha_fence_answer told = {.ticket = update.commands[0].ticket, .result = OK};
    assert_false(ha_fence_renew(&b.fence, &b.view, begins));
    ha_fence_hear(&b.fence, begins + S, &told);
    ha_fence_check(&b.fence);
    assert_true(ha_fence_is_idle(&b.fence));
    assert_true(ha_fence_deadline(&b.fence) <= begins + S);
    assert_true(ha_fence_renew(&b.fence, &b.view, begins + S));
    assert_int_equal(b.fence.phase, HA_FENCE_DELAY);
    assert_true(ha_fence_deadline(&b.fence) == begins + S);
    fencing_deinit(&b);
}

/* --- any devices ------------------------------------------------------------------------------ */

static void break_any_device(struct prng *p, struct fake_device *d)
{
    static const enum err results[] = {OK, OK, ERR_IO, ERR_TIMEOUT, ERR_CLOSED, ERR_DENIED};

    d->off_result = results[prng_below(p, COUNT_OF(results))];
    d->status_result = results[prng_below(p, COUNT_OF(results))];
    d->does_not_switch = d->off_result != OK || prng_chance(p, 1, 3);
    d->answers_never = prng_chance(p, 1, 6);
    d->cannot_tell = prng_chance(p, 1, 6);
    d->falls_after = prng_below(p, 3 * S);
}

/* Devices may fail in any way but one: they do not say off while the power is on. Then a fence that
 * is done means a host that is off; and where a device works, it gets done. */
static void a_proof_is_true_as_long_as_reads_are(void **state)
{
    (void)state;
    static const char *const levels[] = {"0", "12", "340", "5"};
    struct prng p = test_prng(__func__);
    size_t done = 0;
    for (size_t round = 0; round < test_rounds(500); round++) {
        struct fence_bench b;
        fencing_init(&b, levels, (uint32_t)prng_range(&p, 1, COUNT_OF(levels)));
        b.config.flight = prng_below(&p, 3 * S);
        b.config.delay_max = prng_below(&p, S);
        fencing_begin(&b);
        for (int i = 0; i < 20 && !ha_fence_is_done(&b.fence); i++) {
            for (unsigned d = 0; d < DEVICES; d++) {
                break_any_device(&p, &b.devices[d]);
            }
            fencing_run(&b, b.now + prng_below(&p, 20 * S));
            if (ha_fence_is_done(&b.fence)) {
                assert_false(fencing_is_on(&b));
                done++;
            }
        }
        for (unsigned d = 0; d < DEVICES; d++) {
            b.devices[d] = (struct fake_device){.off_result = OK};
        }
        fencing_run(&b, b.now + 300 * S);
        assert_true(ha_fence_is_done(&b.fence));
        assert_false(fencing_is_on(&b));
        fencing_deinit(&b);
    }
    assert_true(done > 10); /* not vacuous */
}

/* --- storms ----------------------------------------------------------------------------------- */

static struct ha_fate fate_of(const char *host, enum ha_fate_phase phase, enum ha_proof proof)
{
    struct ha_fate fate;

    ha_record_defaults(HA_FATE, &fate);
    ha_text_set(fate.host, sizeof fate.host, host);
    fate.phase = phase;
    fate.proof = proof;
    return fate;
}

static uint32_t cap_of(uint32_t hosts, unsigned percent)
{
    struct ha_view v;
    struct ha_storm storm;
    struct ha_settings settings;

    ha_view_init(&v);
    ha_record_defaults(HA_SETTINGS, &settings);
    settings.storm_percent = percent;
    VIEW_PUT(&v, &settings);
    for (uint32_t i = 0; i < hosts; i++) {
        char name[] = "host-00";
        name[5] = (char)('0' + i / 10);
        name[6] = (char)('0' + i % 10);
        const struct ha_host host = host_named(name, 0, 0);
        const struct ha_agent_record agent = agent_of(name);
        VIEW_PUT(&v, &host);
        VIEW_PUT(&v, &agent);
    }
    for (uint32_t i = 0; i < 9; i++) { /* declared, and never seen: they are no part of it */
        const char name[] = {'n', 'e', 'w', (char)('0' + i), 0};
        const struct ha_host host = host_named(name, 0, 0);
        VIEW_PUT(&v, &host);
    }
    ha_storm_of(&v, NULL, NULL, &storm);
    assert_int_equal(storm.hosts, hosts);
    ha_view_deinit(&v);
    return storm.cap;
}

static void a_storm_is_capped_at_a_share_and_below_half(void **state)
{
    (void)state;
    assert_int_equal(cap_of(0, 30), 1);
    assert_int_equal(cap_of(1, 30), 1);
    assert_int_equal(cap_of(2, 49), 1);
    assert_int_equal(cap_of(3, 30), 1);
    assert_int_equal(cap_of(4, 49), 1); /* two of four would be half */
    assert_int_equal(cap_of(5, 30), 2);
    assert_int_equal(cap_of(10, 30), 3);
    assert_int_equal(cap_of(10, 49), 4);
    assert_int_equal(cap_of(40, 10), 4);
    assert_int_equal(cap_of(40, 1), 1);
}

static bool settled_is_c(void *ctx, const char *host)
{
    (void)ctx;
    return strcmp(host, "c") == 0;
}

static void a_storm_counts_fences_of_late(void **state)
{
    (void)state;
    struct ha_view v;
    struct ha_storm storm;
    ha_view_init(&v);
    const struct ha_fate fates[] = {
        fate_of("a", HA_HOST_UP, HA_PROOF_NONE),
        fate_of("b", HA_HOST_LOST, HA_PROOF_NONE),
        fate_of("c", HA_HOST_FENCING, HA_PROOF_NONE),
        fate_of("d", HA_HOST_GONE, HA_PROOF_FENCED),
        fate_of("e", HA_HOST_GONE, HA_PROOF_CONFIRMED),
        fate_of("f", HA_HOST_GONE, HA_PROOF_EXPIRED),
    };
    for (size_t i = 0; i < COUNT_OF(fates); i++) {
        const struct ha_host host = host_named(fates[i].host, 0, 0);
        const struct ha_agent_record agent = agent_of(fates[i].host);
        VIEW_PUT(&v, &host);
        VIEW_PUT(&v, &agent);
        VIEW_PUT(&v, &fates[i]);
    }
    /* a is up; c and d are fenced of late; b, e and f are not there any more. */
    ha_storm_of(&v, NULL, NULL, &storm);
    assert_int_equal(storm.hosts, 3);
    assert_int_equal(storm.fenced, 2);
    assert_int_equal(storm.cap, 1);
    assert_false(storm.may_fence);
    ha_storm_of(&v, settled_is_c, NULL, &storm);
    assert_int_equal(storm.hosts, 2);
    assert_int_equal(storm.fenced, 1);
    assert_false(storm.may_fence);
    ha_view_deinit(&v);
}

/* Ten hosts are declared, all of them have run; seven were switched off long ago, one way or the
 * other, and nobody has taken them out of the records. Thirty in a hundred of ten would be all
 * that there are. */
static void a_share_is_of_hosts_that_are_there(void **state)
{
    (void)state;
    struct ha_view v;
    struct ha_storm storm;
    char name[HA_NAME_BYTES] = "host-0";
    ha_view_init(&v);
    for (uint32_t i = 0; i < 10; i++) {
        name[5] = (char)('0' + i);
        const struct ha_host host = host_named(name, 0, 0);
        const struct ha_agent_record agent = agent_of(name);
        const struct ha_fate fate = i < 3   ? fate_of(name, HA_HOST_UP, HA_PROOF_NONE)
                                    : i < 5 ? fate_of(name, HA_HOST_GONE, HA_PROOF_CONFIRMED)
                                    : i < 7 ? fate_of(name, HA_HOST_GONE, HA_PROOF_EXPIRED)
                                            : fate_of(name, HA_HOST_LOST, HA_PROOF_NONE);
        VIEW_PUT(&v, &host);
        VIEW_PUT(&v, &agent);
        VIEW_PUT(&v, &fate);
    }
    ha_storm_of(&v, NULL, NULL, &storm);
    assert_int_equal(storm.hosts, 3);
    assert_int_equal(storm.cap, 1);
    /* One that is lost with a machine on it may run it still. */
    const struct ha_owner owner = owner_of("web", HA_RECOVERING, "host-8", 4);
    const struct ha_owner ended = owner_of("db", HA_STOPPED, "host-9", 4);
    VIEW_PUT(&v, &owner);
    VIEW_PUT(&v, &ended);
    ha_storm_of(&v, NULL, NULL, &storm);
    assert_int_equal(storm.hosts, 4);
    struct ha_owner moving = owner_of("mail", HA_MOVING, "host-7", 4);
    moving.issued = 5;
    ha_text_set(moving.to, sizeof moving.to, "host-0");
    VIEW_PUT(&v, &moving);
    ha_storm_of(&v, NULL, NULL, &storm);
    assert_int_equal(storm.hosts, 5);
    ha_view_deinit(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_that_works_proves_at_once),
        cmocka_unit_test(what_says_ok_and_stays_on_is_not_off),
        cmocka_unit_test(unknown_is_never_off),
        cmocka_unit_test(a_device_that_is_not_reached_proves_nothing),
        cmocka_unit_test(a_failure_to_switch_off_counts_only_with_a_positive_read),
        cmocka_unit_test(a_lost_answer_is_followed_by_a_question),
        cmocka_unit_test(a_failed_read_proves_nothing),
        cmocka_unit_test(power_may_take_its_time_to_fall),
        cmocka_unit_test(all_devices_of_a_level_must_say_off),
        cmocka_unit_test(both_devices_are_told_before_either_is_read),
        cmocka_unit_test(the_next_level_is_tried_when_one_fails),
        cmocka_unit_test(a_level_with_an_unknown_device_is_passed_over_whole),
        cmocka_unit_test(a_witness_that_says_on_refutes_a_device),
        cmocka_unit_test(a_witness_that_says_nothing_is_none),
        cmocka_unit_test(every_round_begins_with_all_its_witnesses),
        cmocka_unit_test(an_outlet_is_no_witness),
        cmocka_unit_test(it_waits_for_what_may_still_land),
        cmocka_unit_test(it_is_delayed_by_chance_and_by_priority),
        cmocka_unit_test(rounds_are_further_and_further_apart),
        cmocka_unit_test(a_device_that_keeps_failing_rests_and_is_tried_again),
        cmocka_unit_test(a_command_that_nobody_answers_is_given_up),
        cmocka_unit_test(a_late_or_strange_answer_changes_nothing),
        cmocka_unit_test(a_level_of_which_one_device_rests_is_passed_over_whole),
        cmocka_unit_test(time_does_not_go_back),
        cmocka_unit_test(a_host_without_devices_is_never_proved_off),
        cmocka_unit_test(only_levels_and_their_devices_make_it_outdated),
        cmocka_unit_test(it_is_begun_anew_once_nothing_is_under_way),
        cmocka_unit_test(a_proof_is_true_as_long_as_reads_are),
        cmocka_unit_test(a_storm_is_capped_at_a_share_and_below_half),
        cmocka_unit_test(a_storm_counts_fences_of_late),
        cmocka_unit_test(a_share_is_of_hosts_that_are_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
