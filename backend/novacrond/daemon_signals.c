/* What the system tells the daemon, and what it tells systemd. */
#include <signal.h>
#include <systemd/sd-daemon.h>

#include "core/base/check.h"
#include "novacrond/daemon.h"

#define US_PER_MS 1000

void daemon_tell_systemd(const char *state)
{
    (void)sd_notify(0, state); /* without systemd there is nobody to tell */
}

static void signals_on_stop(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;
    LOG_SAY(&d->log, DAEMON_INFO, "told to stop", log_u64("signal", (uint64_t)number));
    daemon_stop(d);
}

static void signals_on_reload(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;
    (void)number;
    daemon_tell_systemd("RELOADING=1");
    daemon_reload(d);
    daemon_tell_systemd("READY=1");
}

static void signals_on_watchdog(uv_timer_t *timer)
{
    (void)timer; /* that this runs at all is what the watchdog wants to know */
    daemon_tell_systemd("WATCHDOG=1");
}

void daemon_signals_open(struct daemon *d)
{
    static const struct {
        int number;
        uv_signal_cb run;
    } table[] = {
        {SIGTERM, signals_on_stop}, {SIGINT, signals_on_stop}, {SIGHUP, signals_on_reload}};
    _Static_assert(COUNT_OF(table) == COUNT_OF(d->signals), "one handle a signal");
    uv_loop_t *loop = linux_world_loop(d->lw);
    uint64_t watchdog_us = 0;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        CHECK(uv_signal_init(loop, &d->signals[i]) == 0);
        d->signals[i].data = d;
        CHECK(uv_signal_start(&d->signals[i], table[i].run, table[i].number) == 0);
    }
    CHECK(uv_timer_init(loop, &d->watchdog) == 0);
    if (sd_watchdog_enabled(0, &watchdog_us) > 0) {
        uint64_t half_ms = watchdog_us / US_PER_MS / 2;
        CHECK(uv_timer_start(&d->watchdog, signals_on_watchdog, half_ms, half_ms) == 0);
    }
}

void daemon_signals_close(struct daemon *d)
{
    for (size_t i = 0; i < COUNT_OF(d->signals); i++) {
        uv_close((uv_handle_t *)&d->signals[i], NULL);
    }
    uv_close((uv_handle_t *)&d->watchdog, NULL);
}
