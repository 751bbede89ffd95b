#include "core/ha/ha_fence.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/mutant.h"
#include "core/base/say.h"
#include "core/ha/ha_proof.h"

/* The pause between rounds is doubled so often. */
#define PAUSE_DOUBLINGS 3

static const char *const fence_phase_names[HA_FENCE_PHASES] = {
#define HA_FENCE_NAME(phase, name) [phase] = name,
    HA_FENCE_TABLE(HA_FENCE_NAME)
#undef HA_FENCE_NAME
};

const char *ha_fence_phase_name(enum ha_fence_phase phase)
{
    CHECK(phase < HA_FENCE_PHASES);
    return fence_phase_names[phase];
}

/* --- making one ------------------------------------------------------------------------------- */

/* A device that fails three times in a row rests for about a round, and longer each time; it is
 * asked again by one command. Slow is not broken: power takes its time. */
static struct breaker_config fence_breaker_config(nanos retry, nanos timeout)
{
    struct breaker_config config = breaker_config_of(NANOS_FOREVER);

    config.failures_in_row = 3;
    config.failure_percent = 101;
    config.slow_percent = 101;
    config.open_first = retry;
    config.open_max = retry << PAUSE_DOUBLINGS;
    config.permits = 1;
    config.successes = 1;
    config.permit_timeout = timeout + 2 * HA_FENCE_GRACE;
    return config;
}

/* 0: nothing that can be read. */
static uint64_t fence_digest(const struct ha_device *record)
{
    struct buf json;

    if (record == NULL) {
        return 0;
    }
    buf_init(&json);
    HA_ENCODE(record, &json);
    const struct bytes text = buf_view(&json);
    const uint64_t digest = hash_bytes(0, text.data, text.len);
    buf_deinit(&json);
    return digest;
}

static uint32_t fence_slot_add(struct ha_fence *f, const struct ha_view *view, const char *device,
                               nanos now)
{
    for (uint32_t i = 0; i < f->n_slots; i++) {
        if (strcmp(f->slots[i].device, device) == 0) {
            return i;
        }
    }
    const struct ha_device *record = ha_view_device(view, device);
    struct ha_fence_slot *slot = &f->slots[f->n_slots];
    ha_text_set(slot->device, sizeof slot->device, device);
    slot->revision = ha_view_mod_revision(view, HA_DEVICE, device, NULL);
    slot->digest = fence_digest(record);
    slot->is_configured = record != NULL;
    slot->is_outlet = record != NULL && record->is_outlet;
    slot->timeout = record != NULL ? record->timeout_ms * NANOS_PER_MS : NANOS_PER_S;
    const struct breaker_config config = fence_breaker_config(f->config.retry, slot->timeout);
    breaker_init(&slot->breaker, &config, prng_u64(&f->prng), now);
    return f->n_slots++;
}

static void fence_enter(struct ha_fence *f, enum ha_fence_phase phase, nanos until)
{
    f->phase = phase;
    f->until = until;
}

void ha_fence_init(struct ha_fence *f, const struct ha_view *view, const char *host,
                   const struct ha_fence_config *config, uint64_t seed, nanos now)
{
    const struct ha_host *record = ha_view_host(view, host);

    CHECK(config->retry > 0);
    memset(f, 0, sizeof *f);
    ha_text_set(f->host, sizeof f->host, host);
    f->config = *config;
    f->latest = now;
    f->next_ticket = 1;
    prng_init(&f->prng, seed);
    f->n_levels = record != NULL ? record->n_levels : 0;
    for (uint32_t i = 0; i < f->n_levels; i++) {
        const struct ha_fence_level *level = &record->levels[i];
        for (uint32_t j = 0; j < level->n; j++) {
            f->level_slots[i][j] = (uint8_t)fence_slot_add(f, view, level->device[j], now);
        }
        f->level_n[i] = level->n;
    }
    if (f->n_levels == 0) {
        fence_enter(f, HA_FENCE_PAUSE, NANOS_FOREVER);
        return;
    }
    nanos delay = prng_range(&f->prng, 0, config->delay_max);
    fence_enter(f, HA_FENCE_DELAY, u64_add_sat(now, u64_add_sat(delay, config->delay_add)));
}

bool ha_fence_is_outdated(const struct ha_fence *f, const struct ha_view *view)
{
    const struct ha_host *record = ha_view_host(view, f->host);

    if (f->n_levels != (record != NULL ? record->n_levels : 0)) {
        return true;
    }
    for (uint32_t i = 0; i < f->n_levels; i++) {
        const struct ha_fence_level *level = &record->levels[i];
        bool is_same = level->n == f->level_n[i];
        for (uint32_t j = 0; is_same && j < level->n; j++) {
            is_same = strcmp(level->device[j], f->slots[f->level_slots[i][j]].device) == 0;
        }
        if (!is_same) {
            return true;
        }
    }
    for (uint32_t i = 0; i < f->n_slots; i++) {
        const struct ha_fence_slot *slot = &f->slots[i];
        if (ha_view_mod_revision(view, HA_DEVICE, slot->device, NULL) != slot->revision &&
            fence_digest(ha_view_device(view, slot->device)) != slot->digest) {
            return true;
        }
    }
    return false;
}

/* --- commands --------------------------------------------------------------------------------- */

/* Asks the device, if its breaker lets it. */
static bool fence_ask(struct ha_fence *f, struct ha_fence_slot *slot, enum world_power_op op,
                      nanos timeout, struct ha_fence_update *ret)
{
    CHECK(!slot->is_asked && ret->n < HA_FENCE_SLOTS);
    slot->again = 0;
    if (!breaker_acquire(&slot->breaker, f->latest, &slot->permit)) {
        return false;
    }
    nanos deadline = u64_add_sat(f->latest, timeout);
    slot->is_asked = true;
    slot->op = op;
    slot->ticket = f->next_ticket++;
    slot->give_up = u64_add_sat(deadline, HA_FENCE_GRACE);
    ret->commands[ret->n++] = (struct ha_fence_command){
        .op = op,
        .device = slot->device,
        .deadline = deadline,
        .ticket = slot->ticket,
    };
    return true;
}

static bool fence_is_asked(const struct ha_fence *f)
{
    for (uint32_t i = 0; i < f->n_slots; i++) {
        if (f->slots[i].is_asked) {
            return true;
        }
    }
    return false;
}

/* Is anything under way, or still to be asked? */
static bool fence_is_busy(const struct ha_fence *f)
{
    for (uint32_t i = 0; i < f->n_slots; i++) {
        if (f->slots[i].is_asked || f->slots[i].again != 0) {
            return true;
        }
    }
    return false;
}

/* --- answers ---------------------------------------------------------------------------------- */

/* The level proves nothing in this round. What is still to be asked is not; what is under way is
 * waited for, so that no device has two commands. */
static void fence_level_fails(struct ha_fence *f)
{
    f->has_failed = true;
    for (uint32_t i = 0; i < f->n_slots; i++) {
        f->slots[i].again = 0;
    }
}

/* A device was told OFF. Whether that was a success is for STATUS to say, unless nobody was there.
 */
static void fence_take_off(struct ha_fence *f, struct ha_fence_slot *slot, enum err result)
{
    bool may_be_off = result == OK || result == ERR_IO || result == ERR_TIMEOUT ||
                      (result == ERR_CLOSED && MUTANT(HA_ALREADY_OFF));

    slot->is_settled = true;
    if (!may_be_off) {
        slot->has_failed = true;
        fence_level_fails(f);
    }
}

static void fence_take_status(struct ha_fence *f, struct ha_fence_slot *slot,
                              const struct ha_fence_answer *answer)
{
    if (answer->result != OK) {
        slot->has_failed = true;
        slot->is_settled = true;
        if (slot->is_member) {
            fence_level_fails(f);
        }
        return;
    }
    if (answer->state == WORLD_POWER_IS_OFF ||
        (answer->state == WORLD_POWER_UNKNOWN && MUTANT(HA_UNKNOWN_IS_OFF))) {
        slot->is_settled = true;
        return;
    }
    slot->reads++;
    if (slot->reads < HA_FENCE_READS_MAX && !f->has_failed) {
        slot->again = u64_add_sat(f->latest, HA_FENCE_READ_PAUSE);
        return;
    }
    slot->is_settled = true;
    if (slot->is_member || answer->state == WORLD_POWER_IS_ON) {
        fence_level_fails(f);
    }
}

static void fence_take(struct ha_fence *f, struct ha_fence_slot *slot,
                       const struct ha_fence_answer *answer)
{
    slot->is_asked = false;
    slot->has_answered = true;
    slot->last_op = slot->op;
    slot->last_result = answer->result;
    slot->last_state = answer->state;
    breaker_report(&slot->breaker, &slot->permit,
                   answer->result == OK ? BREAKER_OK : BREAKER_FAILED, f->latest);
    if (slot->op == WORLD_POWER_OFF) {
        fence_take_off(f, slot, answer->result);
    } else {
        fence_take_status(f, slot, answer);
    }
}

static void fence_take_answer(struct ha_fence *f, const struct ha_fence_answer *answer)
{
    for (uint32_t i = 0; i < f->n_slots; i++) {
        if (f->slots[i].is_asked && f->slots[i].ticket == answer->ticket) {
            fence_take(f, &f->slots[i], answer);
        }
    }
}

/* Commands that nobody will answer any more. */
static void fence_give_up(struct ha_fence *f)
{
    for (uint32_t i = 0; i < f->n_slots; i++) {
        struct ha_fence_slot *slot = &f->slots[i];
        if (slot->is_asked && f->latest >= slot->give_up) {
            const struct ha_fence_answer answer = {.ticket = slot->ticket, .result = ERR_TIMEOUT};
            fence_take(f, slot, &answer);
        }
    }
}

/* --- levels ----------------------------------------------------------------------------------- */

static void fence_slots_clear(struct ha_fence *f)
{
    for (uint32_t i = 0; i < f->n_slots; i++) {
        struct ha_fence_slot *slot = &f->slots[i];
        slot->is_settled = false;
        slot->is_witness = false;
        slot->reads = 0;
        slot->again = 0;
    }
}

/* Could every device of the level be asked? Not where one is unknown or rests: the others would be
 * switched off for nothing. */
static bool fence_level_is_usable(const struct ha_fence *f)
{
    for (uint32_t j = 0; j < f->level_n[f->level]; j++) {
        const struct ha_fence_slot *slot = &f->slots[f->level_slots[f->level][j]];
        if (!slot->is_configured || breaker_retry_at(&slot->breaker) > f->latest) {
            return false;
        }
    }
    return true;
}

static void fence_level_begin(struct ha_fence *f, uint32_t level, struct ha_fence_update *ret)
{
    fence_enter(f, HA_FENCE_OFF, NANOS_FOREVER);
    fence_slots_clear(f);
    f->level = level;
    f->has_failed = !fence_level_is_usable(f);
    f->has_witnesses = false;
    for (uint32_t i = 0; i < f->n_slots; i++) {
        f->slots[i].is_member = false;
    }
    for (uint32_t j = 0; j < f->level_n[level]; j++) {
        struct ha_fence_slot *slot = &f->slots[f->level_slots[level][j]];
        slot->is_member = true;
        if (!f->has_failed && !fence_ask(f, slot, WORLD_POWER_OFF, slot->timeout, ret)) {
            fence_level_fails(f);
        }
    }
}

static void fence_round_begin(struct ha_fence *f, struct ha_fence_update *ret)
{
    for (uint32_t i = 0; i < f->n_slots; i++) {
        f->slots[i].has_failed = false;
    }
    fence_level_begin(f, 0, ret);
}

static void fence_round_end(struct ha_fence *f)
{
    uint32_t doublings = f->round < PAUSE_DOUBLINGS ? f->round : PAUSE_DOUBLINGS;
    nanos pause = f->config.retry << doublings;

    f->round++;
    pause += prng_below(&f->prng, pause / 4 + 1);
    fence_enter(f, HA_FENCE_PAUSE, u64_add_sat(f->latest, pause));
}

/* The next level, or after the last a pause. */
static void fence_level_next(struct ha_fence *f, struct ha_fence_update *ret)
{
    f->failed_level = f->level;
    f->levels_failed++;
    if (f->level + 1 < f->n_levels) {
        fence_level_begin(f, f->level + 1, ret);
    } else {
        fence_round_end(f);
    }
}

static void fence_read_members(struct ha_fence *f, struct ha_fence_update *ret)
{
    fence_enter(f, HA_FENCE_READ, NANOS_FOREVER);
    fence_slots_clear(f);
    for (uint32_t i = 0; i < f->n_slots; i++) {
        struct ha_fence_slot *slot = &f->slots[i];
        if (slot->is_member && !f->has_failed &&
            !fence_ask(f, slot, WORLD_POWER_STATUS, slot->timeout, ret)) {
            fence_level_fails(f);
        }
    }
}

static void fence_read_witnesses(struct ha_fence *f, struct ha_fence_update *ret)
{
    f->has_witnesses = true;
    for (uint32_t i = 0; i < f->n_slots; i++) {
        struct ha_fence_slot *slot = &f->slots[i];
        nanos timeout = u64_min(slot->timeout, HA_FENCE_WITNESS_TIME);
        if (!slot->is_member && slot->is_configured && !slot->is_outlet && !slot->has_failed) {
            slot->is_witness = fence_ask(f, slot, WORLD_POWER_STATUS, timeout, ret);
        }
    }
}

static void fence_read_again(struct ha_fence *f, struct ha_fence_update *ret)
{
    for (uint32_t i = 0; i < f->n_slots; i++) {
        struct ha_fence_slot *slot = &f->slots[i];
        if (slot->again == 0 || f->latest < slot->again) {
            continue;
        }
        nanos timeout =
            slot->is_witness ? u64_min(slot->timeout, HA_FENCE_WITNESS_TIME) : slot->timeout;
        if (!fence_ask(f, slot, WORLD_POWER_STATUS, timeout, ret)) {
            /* It last said that the power is on, or that it cannot tell. */
            slot->is_settled = true;
            fence_level_fails(f);
        }
    }
}

/* Mutants believe what was not read. */
static bool fence_is_credulous(void)
{
    return MUTANT(HA_ALREADY_OFF) || MUTANT(HA_OFF_NOT_READ) || MUTANT(HA_UNKNOWN_IS_OFF);
}

static void fence_fly(struct ha_fence *f)
{
    nanos flight =
        MUTANT(HA_FLIGHT_IGNORED) ? 0 : ha_proof_flight(f->config.flight, f->config.drift_ppm);

    fence_enter(f, HA_FENCE_FLIGHT, u64_add_sat(f->off_since, flight));
}

static void fence_prove(struct ha_fence *f)
{
    for (uint32_t i = 0; i < f->n_slots; i++) {
        CHECK(!f->slots[i].is_member || fence_is_credulous() ||
              (f->slots[i].last_op == WORLD_POWER_STATUS &&
               f->slots[i].last_state == WORLD_POWER_IS_OFF && f->slots[i].last_result == OK));
    }
    f->off_since = f->latest;
    fence_fly(f);
}

/* --- the step --------------------------------------------------------------------------------- */

/* One transition, if one is due. */
static bool fence_advance(struct ha_fence *f, struct ha_fence_update *ret)
{
    bool is_due = f->latest >= f->until;

    switch (f->phase) {
    case HA_FENCE_DELAY:
    case HA_FENCE_PAUSE:
        if (is_due && f->until != NANOS_FOREVER) {
            fence_round_begin(f, ret);
            return true;
        }
        return false;
    case HA_FENCE_FLIGHT:
        if (is_due) {
            fence_enter(f, HA_FENCE_DONE, NANOS_FOREVER);
        }
        return is_due;
    case HA_FENCE_OFF:
    case HA_FENCE_READ:
        if (fence_is_busy(f)) {
            return false;
        }
        if (f->has_failed) {
            fence_level_next(f, ret);
        } else if (f->phase == HA_FENCE_OFF && !MUTANT(HA_OFF_NOT_READ) &&
                   !MUTANT(HA_ALREADY_OFF)) {
            fence_read_members(f, ret);
        } else if (!f->has_witnesses) {
            fence_read_witnesses(f, ret);
        } else {
            fence_prove(f);
        }
        return true;
    case HA_FENCE_DONE:
    case HA_FENCE_PHASES:
        return false;
    }
    CHECK_UNREACHABLE("a phase");
}

void ha_fence_hear(struct ha_fence *f, nanos now, const struct ha_fence_answer *answer)
{
    f->latest = u64_max(f->latest, now);
    if (answer != NULL) {
        fence_take_answer(f, answer);
    }
    fence_give_up(f);
}

void ha_fence_step(struct ha_fence *f, nanos now, const struct ha_fence_answer *answer,
                   struct ha_fence_update *ret)
{
    ret->n = 0;
    ha_fence_hear(f, now, answer);
    if (f->phase == HA_FENCE_READ) {
        fence_read_again(f, ret);
    }
    while (fence_advance(f, ret)) {
    }
}

static bool fence_is_asking(const struct ha_fence *f)
{
    return f->phase == HA_FENCE_OFF || f->phase == HA_FENCE_READ;
}

nanos ha_fence_deadline(const struct ha_fence *f)
{
    nanos deadline = f->until;

    if (fence_is_asking(f) && !fence_is_busy(f)) {
        return f->latest; /* it has only heard */
    }
    for (uint32_t i = 0; i < f->n_slots; i++) {
        const struct ha_fence_slot *slot = &f->slots[i];
        if (slot->is_asked) {
            deadline = u64_min(deadline, slot->give_up);
        }
        if (slot->again != 0) {
            deadline = u64_min(deadline, slot->again);
        }
    }
    return deadline;
}

bool ha_fence_is_idle(const struct ha_fence *f)
{
    bool is_between = f->phase == HA_FENCE_DELAY || f->phase == HA_FENCE_PAUSE;

    return !fence_is_asked(f) && (is_between || (fence_is_asking(f) && f->has_failed));
}

bool ha_fence_renew(struct ha_fence *f, const struct ha_view *view, nanos now)
{
    const uint32_t round = f->round;
    const nanos until = f->phase == HA_FENCE_DELAY ? f->until : now;
    struct ha_fence_config config = f->config;
    char host[HA_NAME_BYTES];

    if (fence_is_asked(f)) {
        fence_level_fails(f);
        return false;
    }
    memcpy(host, f->host, sizeof host);
    ha_fence_init(f, view, host, &config, prng_u64(&f->prng), now);
    f->round = round;
    if (f->phase == HA_FENCE_DELAY) {
        f->until = until;
    }
    return true;
}

void ha_fence_raise_flight(struct ha_fence *f, nanos flight, uint32_t drift_ppm)
{
    if (flight <= f->config.flight && drift_ppm <= f->config.drift_ppm) {
        return;
    }
    f->config.flight = u64_max(f->config.flight, flight);
    f->config.drift_ppm = (uint32_t)u64_max(f->config.drift_ppm, drift_ppm);
    if (f->phase == HA_FENCE_FLIGHT || f->phase == HA_FENCE_DONE) {
        fence_fly(f);
    }
}

/* --- telling ---------------------------------------------------------------------------------- */

static const char *power_op_name(enum world_power_op op)
{
    static const char *const names[WORLD_POWER_OPS] = {"status", "off", "on"};

    return names[op];
}

static const char *power_state_name(enum world_power_state state)
{
    static const char *const names[] = {"unknown", "off", "on"};

    return names[state];
}

/* What a result means of a fence device: an operator reads this, and goes to look. */
static const char *power_fault_text(enum err result)
{
    switch ((int)result) {
    case OK:
        return "done";
    case ERR_CLOSED:
        return "it cannot be reached";
    case ERR_TIMEOUT:
        return "no answer in time";
    case ERR_DENIED:
        return "it does not let us in";
    case ERR_IO:
        return "its agent failed";
    default:
        return err_text(result);
    }
}

/* "bmc-a: off: it cannot be reached", "bmc-a: status: on", "bmc-a: not asked yet" */
static void fence_tell_slot(const struct ha_fence_slot *slot, nanos now, struct buf *text)
{
    say(text, slot->device);
    say(text, ": ");
    if (!slot->is_configured) {
        say(text, "no such device can be read");
        return;
    }
    if (slot->is_asked) {
        say(text, power_op_name(slot->op));
        say(text, " is under way");
    } else if (!slot->has_answered) {
        say(text, "not asked yet");
    } else {
        bool is_told = slot->last_op == WORLD_POWER_STATUS && slot->last_result == OK;
        say(text, power_op_name(slot->last_op));
        say(text, ": ");
        say(text,
            is_told ? power_state_name(slot->last_state) : power_fault_text(slot->last_result));
    }
    if (breaker_retry_at(&slot->breaker) > now) {
        say(text, ", rests");
    }
}

void ha_fence_tell(const struct ha_fence *f, struct buf *text)
{
    bool is_between = f->phase == HA_FENCE_PAUSE || f->phase == HA_FENCE_DELAY;
    const char *comma = ": ";

    say(text, ha_fence_phase_name(f->phase));
    if (f->n_levels == 0) {
        say(text, ": the host has no fence device that its record names");
        return;
    }
    say(text, ", round ");
    say_u64(text, f->round + (f->phase == HA_FENCE_PAUSE ? 0 : 1));
    if (!is_between) {
        say(text, ", level ");
        say_u64(text, f->level + 1);
        say(text, " of ");
        say_u64(text, f->n_levels);
    }
    for (uint32_t i = 0; i < f->n_slots; i++) {
        const struct ha_fence_slot *slot = &f->slots[i];
        if (is_between || slot->is_member || slot->is_witness) {
            say(text, comma);
            fence_tell_slot(slot, f->latest, text);
            comma = "; ";
        }
    }
}

void ha_fence_tell_failure(const struct ha_fence *f, struct buf *text)
{
    CHECK(f->levels_failed > 0);
    say(text, "level ");
    say_u64(text, f->failed_level + 1);
    say(text, " of ");
    say_u64(text, f->n_levels);
    say(text, " has failed");
    for (uint32_t j = 0; j < f->level_n[f->failed_level]; j++) {
        say(text, j == 0 ? ": " : "; ");
        fence_tell_slot(&f->slots[f->level_slots[f->failed_level][j]], f->latest, text);
    }
}

void ha_fence_tell_devices(const struct ha_fence *f, struct buf *text)
{
    for (uint32_t j = 0; j < f->level_n[f->level]; j++) {
        say(text, j > 0 ? ", " : "");
        say(text, f->slots[f->level_slots[f->level][j]].device);
    }
}

void ha_fence_check(const struct ha_fence *f)
{
    CHECK(f->phase < HA_FENCE_PHASES && f->n_slots <= HA_FENCE_SLOTS);
    CHECK(f->n_levels <= HA_FENCE_LEVELS_MAX && (f->n_levels == 0 || f->level < f->n_levels));
    CHECK(f->n_levels > 0 || (f->phase == HA_FENCE_PAUSE && f->until == NANOS_FOREVER));
    CHECK(fence_is_asking(f) || !fence_is_busy(f));
    for (uint32_t i = 0; i < f->n_slots; i++) {
        const struct ha_fence_slot *slot = &f->slots[i];
        breaker_check(&slot->breaker);
        CHECK(!slot->is_asked || slot->ticket < f->next_ticket);
        CHECK(!slot->is_asked || slot->op == WORLD_POWER_STATUS || f->phase == HA_FENCE_OFF);
        CHECK(slot->again == 0 || (f->phase == HA_FENCE_READ && !slot->is_asked));
    }
}

/* --- storms ----------------------------------------------------------------------------------- */

static bool fate_is_of_a_storm(const struct ha_fate *fate,
                               bool (*is_settled)(void *ctx, const char *host), void *ctx)
{
    bool is_fenced =
        fate != NULL && (fate->phase == HA_HOST_FENCING ||
                         (fate->phase == HA_HOST_GONE && fate->proof == HA_PROOF_FENCED));

    return is_fenced && (is_settled == NULL || !is_settled(ctx, fate->host));
}

/* Does anything say that the host may still run a machine? */
static bool storm_host_owns(const struct ha_view *view, const char *host)
{
    for (size_t i = 0; i < ha_view_count(view, HA_OWNER); i++) {
        const struct ha_owner *owner = ha_view_at(view, HA_OWNER, i)->record;
        if (owner != NULL && strcmp(owner->host, host) == 0 && ha_phase_may_run(owner->phase)) {
            return true;
        }
    }
    return false;
}

/* Is it one of those of which a share may be fenced? */
static bool storm_host_counts(const struct ha_view *view, const char *host,
                              bool (*is_settled)(void *ctx, const char *host), void *ctx)
{
    const struct ha_entry *entry = ha_view_find(view, HA_FATE, host, NULL);
    const struct ha_fate *fate = entry != NULL ? entry->record : NULL;

    if (ha_view_find(view, HA_AGENT, host, NULL) == NULL) {
        return false;
    }
    if (entry == NULL || (fate != NULL && fate->phase == HA_HOST_UP) ||
        fate_is_of_a_storm(fate, is_settled, ctx)) {
        return true;
    }
    return (fate == NULL || fate->phase != HA_HOST_GONE) && storm_host_owns(view, host);
}

void ha_storm_of(const struct ha_view *view, bool (*is_settled)(void *ctx, const char *host),
                 void *ctx, struct ha_storm *ret)
{
    const struct ha_settings *settings = ha_view_settings(view);
    uint64_t percent = (settings != NULL ? settings : &view->defaults)->storm_percent;
    struct ha_storm storm = {0};

    for (size_t i = 0; i < ha_view_count(view, HA_HOST); i++) {
        storm.hosts +=
            storm_host_counts(view, ha_view_at(view, HA_HOST, i)->key.name, is_settled, ctx);
    }
    for (size_t i = 0; i < ha_view_count(view, HA_FATE); i++) {
        storm.fenced += fate_is_of_a_storm(ha_view_at(view, HA_FATE, i)->record, is_settled, ctx);
    }
    uint64_t share = (storm.hosts * percent + 99) / 100;
    uint64_t minority = storm.hosts > 0 ? (storm.hosts - 1) / 2 : 0;
    storm.cap = (uint32_t)u64_max(u64_min(share, minority), 1);
    storm.may_fence = storm.fenced < storm.cap;
    *ret = storm;
}
