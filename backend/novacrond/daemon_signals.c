/*
 * What the system tells the daemon, and what it tells systemd: sd_notify(3), a datagram to the
 * socket that NOTIFY_SOCKET names, and the watchdog of sd_watchdog_enabled(3). The protocol is
 * systemd's promise; its library would bring nine others, and a megabyte to every member.
 */
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/check.h"
#include "novacrond/daemon.h"

#define US_PER_MS 1000

void daemon_tell_systemd(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t length = path == NULL ? 0 : strlen(path);

    if (length < 2 || length >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@')) {
        return; /* without systemd there is nobody to tell */
    }
    memcpy(to.sun_path, path, length);
    if (path[0] == '@') {
        to.sun_path[0] = '\0'; /* a name that is not a file's */
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
        (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, size);
        (void)close(fd);
    }
}

/* How often systemd wants to hear of this process, in microseconds; 0: it does not. */
static uint64_t watchdog_interval_us(void)
{
    const char *interval = getenv("WATCHDOG_USEC");
    const char *whose = getenv("WATCHDOG_PID");

    if (interval == NULL || (whose != NULL && strtoll(whose, NULL, 10) != (long long)getpid())) {
        return 0;
    }
    return strtoull(interval, NULL, 10);
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
    const uint64_t watchdog_us = watchdog_interval_us();
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        CHECK(uv_signal_init(loop, &d->signals[i]) == 0);
        d->signals[i].data = d;
        CHECK(uv_signal_start(&d->signals[i], table[i].run, table[i].number) == 0);
    }
    CHECK(uv_timer_init(loop, &d->watchdog) == 0);
    if (watchdog_us > 0) {
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
