/* Clocks of hosts, and their timers. */
#include "core/chaos/simworld_int.h"

#define MILLION 1000000U

_Static_assert(SIMHOST_DRIFT_MAX_PPM < MILLION, "a clock that stands still fires no timer");

/* How far a clock of that rate gets in so much virtual time, rounded down. Exact, as the whole
 * millions come out even. */
static nanos clock_gain(uint64_t rate, nanos span)
{
    return span / MILLION * rate + span % MILLION * rate / MILLION;
}

/* The least virtual time in which it gains that much: clock_gain's inverse. */
static nanos clock_takes(uint64_t rate, nanos gain)
{
    return gain / rate * MILLION + (gain % rate * MILLION + rate - 1) / rate;
}

nanos simhost_clock(const struct simhost *host)
{
    const struct simclock *clock = &host->clock;
    nanos span = host->sim->now - clock->since;

    return clock->at + (clock->rate == MILLION ? span : clock_gain(clock->rate, span));
}

/* When, in virtual time, the clock shows `at`. */
static nanos clock_when(const struct simhost *host, nanos at)
{
    const struct simclock *clock = &host->clock;

    if (at == NANOS_FOREVER) {
        return NANOS_FOREVER;
    }
    nanos gain = u64_sub_sat(at, clock->at);
    if (clock->rate != MILLION) {
        if (gain / clock->rate > NANOS_FOREVER / MILLION / 2) {
            return NANOS_FOREVER;
        }
        gain = clock_takes(clock->rate, gain);
    }
    return u64_add_sat(clock->since, gain);
}

/* The clock goes on from here. */
static void clock_rebase(struct simhost *host)
{
    host->clock.at = simhost_clock(host);
    host->clock.since = host->sim->now;
    host->timers.first_at = NANOS_FOREVER;
}

void simclock_begin(struct simhost *host, nanos at)
{
    host->clock = (struct simclock){.since = host->sim->now, .at = at, .rate = MILLION};
    host->timers.first_at = NANOS_FOREVER;
}

void simhost_clock_begin(struct simhost *host, nanos at)
{
    CHECK(host->timers.count == 0 && !host->is_asleep);
    clock_rebase(host);
    host->clock.at = at;
    host->clock.slept = 0;
}

void simhost_clock_drift(struct simhost *host, int64_t ppm)
{
    CHECK(ppm >= -SIMHOST_DRIFT_MAX_PPM && ppm <= SIMHOST_DRIFT_MAX_PPM);
    clock_rebase(host);
    host->clock.rate = (uint64_t)(MILLION + ppm);
    simworld_tell(host->sim, host, SIMTRACE_DRIFT, NULL, (uint64_t)ppm);
    simhost_refresh(host);
}

void simhost_clock_step(struct simhost *host, nanos forward)
{
    clock_rebase(host);
    host->clock.at += forward;
    host->clock.slept += forward;
    simworld_tell(host->sim, host, SIMTRACE_STEP, NULL, forward);
    simhost_refresh(host);
}

/* --- sleep ----------------------------------------------------------------------------------- */

struct sleep {
    struct simhost *host;
    uint64_t number;
};

static void host_wake(struct simhost *host)
{
    /* While it slept the rate may have changed; what counts is what the clock shows. */
    nanos slept = simhost_clock(host) - host->asleep_since;

    host->is_asleep = false;
    host->sleeps++;
    host->clock.slept += slept;
    simworld_tell(host->sim, host, SIMTRACE_RESUME, NULL, slept);
    simnet_wake(host);
    simhost_refresh(host);
}

static void sleep_ends(void *arg)
{
    struct sleep *sleep = arg;

    if (sleep->host->sleeps == sleep->number) {
        host_wake(sleep->host);
    }
    mem_free(sleep);
}

void simhost_suspend(struct simhost *host, nanos until)
{
    if (until <= host->sim->now) {
        if (host->is_asleep) {
            host_wake(host);
        }
        return;
    }
    host->sleeps++;
    host->awake_at = until;
    struct sleep *sleep = mem_alloc(sizeof *sleep);
    *sleep = (struct sleep){host, host->sleeps};
    simworld_post(host->sim, NULL, SIMEVENT_WORLD, until, sleep_ends, mem_free, sleep);
    simworld_tell(host->sim, host, SIMTRACE_SUSPEND, NULL, until);
    if (!host->is_asleep) {
        host->is_asleep = true;
        host->asleep_since = simhost_clock(host);
        host->fell_asleep = host->sim->now;
        simnet_sleep(host);
        simhost_refresh(host);
    }
}

/* --- timers ---------------------------------------------------------------------------------- */

static bool timer_before(const struct simtimer *a, const struct simtimer *b)
{
    return sim_is_before(a->at, a->ticket, b->at, b->ticket);
}

static void timer_put(struct simtimers *timers, size_t at, struct simtimer entry)
{
    timers->heap[at] = entry;
    entry.timer->place = (uint32_t)at;
}

/* Puts an entry where it belongs, the gap being at `at`. */
static void timer_settle(struct simtimers *timers, size_t at, struct simtimer entry)
{
    while (at > 0 && timer_before(&entry, &timers->heap[(at - 1) / 2])) {
        timer_put(timers, at, timers->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < timers->count &&
            timer_before(&timers->heap[child + 1], &timers->heap[child])) {
            child++;
        }
        if (child >= timers->count || !timer_before(&timers->heap[child], &entry)) {
            break;
        }
        timer_put(timers, at, timers->heap[child]);
        at = child;
    }
    timer_put(timers, at, entry);
}

static void timer_remove(struct simtimers *timers, struct world_timer *timer)
{
    size_t at = timer->place;

    CHECK(at < timers->count && timers->heap[at].timer == timer);
    timer->is_set = false;
    struct simtimer last = timers->heap[--timers->count];
    if (at < timers->count) {
        timer_settle(timers, at, last);
    }
}

nanos simtimers_due(struct simhost *host)
{
    struct simtimers *timers = &host->timers;

    if (timers->count == 0 || timers->heap[0].at == NANOS_FOREVER) {
        return NANOS_FOREVER;
    }
    if (timers->heap[0].at != timers->first_at) {
        timers->first_at = timers->heap[0].at;
        timers->first_due = clock_when(host, timers->first_at);
    }
    return timers->first_due;
}

void simtimers_fire(struct simhost *host)
{
    struct world_timer *timer = host->timers.heap[0].timer;

    timer_remove(&host->timers, timer);
    timer->fire(timer);
}

void simtimers_forget(struct simhost *host)
{
    for (size_t i = 0; i < host->timers.count; i++) {
        host->timers.heap[i].timer->is_set = false;
    }
    host->timers.count = 0;
}

static nanos sim_now(void *self)
{
    return simhost_clock(self);
}

static nanos sim_awake(void *self)
{
    const struct simhost *host = self;
    return simhost_clock(host) - host->clock.slept;
}

/* Virtual time is the truth here, from a second that is past; what was set off from it stays so. */
static nanos sim_wall(void *self)
{
    const struct simhost *host = self;
    nanos right = SIMWORLD_EPOCH + simworld_now(host->sim);

    return host->wall_off < 0 ? u64_sub_sat(right, (nanos)-host->wall_off)
                              : right + (nanos)host->wall_off;
}

void simhost_set_wall(struct simhost *host, int64_t off)
{
    host->wall_off = off;
}

static void sim_timer_cancel(void *self, struct world_timer *timer)
{
    struct simhost *host = self;

    if (timer->is_set) {
        timer_remove(&host->timers, timer);
        simhost_refresh(host);
    }
}

static void sim_timer_set(void *self, struct world_timer *timer, nanos due)
{
    struct simhost *host = self;
    struct simtimers *timers = &host->timers;
    size_t at = timer->place;

    if (host->is_off) {
        simhost_power_on(host);
    }
    if (timer->is_set) {
        CHECK(at < timers->count && timers->heap[at].timer == timer);
    } else {
        if (timers->count == timers->cap) {
            mem_grow((void **)&timers->heap, &timers->cap, timers->count + 1, sizeof *timers->heap);
        }
        at = timers->count++;
    }
    timer->at = due;
    timer->is_set = true;
    timer_settle(timers, at, (struct simtimer){due, ++host->sim->tickets, timer});
    simhost_refresh(host);
}

const struct world_time_ops simclock_ops = {
    .now = sim_now,
    .timer_set = sim_timer_set,
    .timer_cancel = sim_timer_cancel,
    .awake = sim_awake,
    .wall = sim_wall,
};
