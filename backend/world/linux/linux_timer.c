/* Timers on CLOCK_BOOTTIME: a heap ordered by time and by the order of setting, and one timerfd
 * that wakes the loop. The timerfd is moved only where it would fire too late: one that fires too
 * early costs a turn, one that is moved at each timer_set a system call. */
#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "world/linux/linux_world_int.h"

static nanos clock_read(clockid_t clock)
{
    struct timespec t;
    CHECK(clock_gettime(clock, &t) == 0);
    return (nanos)t.tv_sec * NANOS_PER_S + (nanos)t.tv_nsec;
}

nanos linux_boottime(void)
{
    return clock_read(CLOCK_BOOTTIME);
}

static nanos linux_now(void *self)
{
    (void)self;
    return linux_boottime();
}

static nanos linux_awake(void *self)
{
    (void)self;
    return clock_read(CLOCK_MONOTONIC);
}

static nanos linux_wall(void *self)
{
    (void)self;
    return clock_read(CLOCK_REALTIME);
}

static bool timer_precedes(const struct world_timer *a, const struct world_timer *b)
{
    return a->at < b->at || (a->at == b->at && a->ticket < b->ticket);
}

static void timer_heap_place(struct linux_world *lw, struct world_timer *timer, size_t slot)
{
    lw->timers[slot] = timer;
    timer->place = (uint32_t)slot;
}

static void timer_heap_rise(struct linux_world *lw, struct world_timer *timer, size_t slot)
{
    while (slot > 0 && timer_precedes(timer, lw->timers[(slot - 1) / 2])) {
        timer_heap_place(lw, lw->timers[(slot - 1) / 2], slot);
        slot = (slot - 1) / 2;
    }
    timer_heap_place(lw, timer, slot);
}

static void timer_heap_sink(struct linux_world *lw, struct world_timer *timer, size_t slot)
{
    for (size_t child = 2 * slot + 1; child < lw->timer_count; child = 2 * slot + 1) {
        if (child + 1 < lw->timer_count &&
            timer_precedes(lw->timers[child + 1], lw->timers[child])) {
            child++;
        }
        if (!timer_precedes(lw->timers[child], timer)) {
            break;
        }
        timer_heap_place(lw, lw->timers[child], slot);
        slot = child;
    }
    timer_heap_place(lw, timer, slot);
}

static void linux_timer_cancel(void *self, struct world_timer *timer)
{
    struct linux_world *lw = self;

    if (!timer->is_set) {
        return;
    }
    size_t slot = timer->place;
    CHECK(slot < lw->timer_count && lw->timers[slot] == timer);
    timer->is_set = false;
    struct world_timer *last = lw->timers[--lw->timer_count];
    if (last == timer) {
        return;
    }
    if (slot > 0 && timer_precedes(last, lw->timers[(slot - 1) / 2])) {
        timer_heap_rise(lw, last, slot);
    } else {
        timer_heap_sink(lw, last, slot);
    }
}

static void linux_timer_set(void *self, struct world_timer *timer, nanos due)
{
    struct linux_world *lw = self;

    linux_timer_cancel(self, timer);
    timer->at = due;
    timer->ticket = ++lw->timer_ticket;
    timer->is_set = true;
    mem_grow((void **)&lw->timers, &lw->timer_cap, lw->timer_count + 1, sizeof *lw->timers);
    timer_heap_rise(lw, timer, lw->timer_count++);
}

const struct world_time_ops linux_time_ops = {
    .now = linux_now,
    .timer_set = linux_timer_set,
    .timer_cancel = linux_timer_cancel,
    .awake = linux_awake,
    .wall = linux_wall,
};

void linux_timers_run(struct linux_world *lw)
{
    const uint64_t newest = lw->timer_ticket;

    if (lw->timer_count == 0) {
        return;
    }
    nanos now = linux_boottime();
    while (lw->timer_count > 0 && lw->timers[0]->at <= now && lw->timers[0]->ticket <= newest) {
        struct world_timer *timer = lw->timers[0];
        linux_timer_cancel(lw, timer);
        lw->ran++;
        timer->fire(timer);
    }
}

bool linux_timers_arm(struct linux_world *lw)
{
    if (lw->timer_count == 0) {
        return false;
    }
    nanos due = lw->timers[0]->at;
    if (due <= linux_boottime()) {
        return true;
    }
    if (due < lw->armed_at) {
        const struct itimerspec at = {
            .it_value = {(time_t)(due / NANOS_PER_S), (long)(due % NANOS_PER_S)}};
        CHECK(timerfd_settime(lw->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0);
        lw->armed_at = due;
    }
    return false;
}

static void timer_fd_fired(uv_poll_t *poll, int status, int events)
{
    struct linux_world *lw = poll->data;
    uint64_t times = 0;

    (void)events;
    CHECK(status == 0);
    (void)!read(lw->timer_fd, &times, sizeof times);
    lw->armed_at = NANOS_FOREVER;
}

void linux_timers_open(struct linux_world *lw)
{
    lw->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    CHECK(lw->timer_fd >= 0);
    lw->armed_at = NANOS_FOREVER;
    CHECK(uv_poll_init(&lw->loop, &lw->timer_poll, lw->timer_fd) == 0);
    lw->timer_poll.data = lw;
    CHECK(uv_poll_start(&lw->timer_poll, UV_READABLE, timer_fd_fired) == 0);
}

void linux_timers_close(struct linux_world *lw)
{
    for (size_t i = 0; i < lw->timer_count; i++) {
        lw->timers[i]->is_set = false;
    }
    lw->timer_count = 0;
    mem_free(lw->timers);
    uv_close((uv_handle_t *)&lw->timer_poll, NULL);
    (void)close(lw->timer_fd);
}
