#include "guard/guard_watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/base/check.h"

#define SOFTDOG "Software Watchdog"

/* The device of misc drivers, which is the first watchdog under an older name. */
#define MISC_MAJOR 10
#define MISC_MINOR 130

static bool fail_with(struct guard_watchdog *w, const char *what, int error)
{
    (void)snprintf(w->why, sizeof w->why, "%s%s%s", what, error != 0 ? ": " : "",
                   error != 0 ? strerrordesc_np(error) : "");
    return false;
}

/* The first line of a file of the device's in /sys; empty where there is none. */
static void read_attribute(dev_t device, const char *name, char *ret, size_t room)
{
    char path[128];
    ssize_t n = 0;

    (void)snprintf(path, sizeof path, "/sys/dev/char/%u:%u/%s", major(device), minor(device), name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, ret, room - 1);
        (void)close(fd);
    }
    ret[n > 0 ? n : 0] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
}

static bool is_of_class(dev_t device)
{
    char path[128];
    char target[256];

    (void)snprintf(path, sizeof path, "/sys/dev/char/%u:%u/subsystem", major(device),
                   minor(device));
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0) {
        return false;
    }
    target[n] = '\0';
    const char *last = strrchr(target, '/');
    return strcmp(last != NULL ? last + 1 : target, "watchdog") == 0;
}

static bool look_at_device(struct guard_watchdog *w, dev_t device)
{
    char text[64];

    if (major(device) == MISC_MAJOR && minor(device) == MISC_MINOR) {
        return fail_with(w, "this is the first watchdog's older name: give /dev/watchdog0", 0);
    }
    if (!is_of_class(device)) {
        return fail_with(w, "it is no watchdog", 0);
    }
    read_attribute(device, "nowayout", text, sizeof text);
    if (strcmp(text, "1") == 0) {
        return fail_with(w, "nowayout is set: it could not be disarmed on an empty host", 0);
    }
    read_attribute(device, "identity", text, sizeof text);
    w->is_softdog = strcmp(text, SOFTDOG) == 0;
    return true;
}

static bool watchdog_is_one(struct guard_watchdog *w)
{
    struct stat st;

    if (w->path[0] == '\0') {
        return fail_with(w, "none is configured", 0);
    }
    if (stat(w->path, &st) != 0) {
        return fail_with(w, "it cannot be looked at", errno);
    }
    if (w->is_stand_in) {
        return S_ISREG(st.st_mode) || fail_with(w, "a stand-in is a plain file", 0);
    }
    if (!S_ISCHR(st.st_mode)) {
        return fail_with(w, "it is no character device", 0);
    }
    return look_at_device(w, st.st_rdev);
}

void guard_watchdog_look(struct guard_watchdog *w)
{
    w->fd = -1;
    w->why[0] = '\0';
    w->is_usable = watchdog_is_one(w);
}

static bool set_up(struct guard_watchdog *w)
{
    struct watchdog_info info = {0};
    int timeout = (int)w->timeout_s;

    if (ioctl(w->fd, WDIOC_GETSUPPORT, &info) != 0) {
        return fail_with(w, "it does not say what it is", errno);
    }
    if ((info.options & WDIOF_MAGICCLOSE) == 0) {
        return fail_with(w, "it cannot be disarmed: no magic close", 0);
    }
    w->is_softdog = strncmp((const char *)info.identity, SOFTDOG, sizeof info.identity) == 0;
    if ((info.options & WDIOF_SETTIMEOUT) != 0 && ioctl(w->fd, WDIOC_SETTIMEOUT, &timeout) != 0) {
        return fail_with(w, "it does not take the time-out", errno);
    }
    if (ioctl(w->fd, WDIOC_GETTIMEOUT, &timeout) != 0 || timeout <= 0) {
        return fail_with(w, "it does not tell its time-out", errno);
    }
    w->timeout_s = (uint32_t)timeout;
    return true;
}

bool guard_watchdog_arm(struct guard_watchdog *w)
{
    CHECK(w->is_usable && w->fd < 0);
    w->fd = open(w->path, O_WRONLY | O_CLOEXEC);
    if (w->fd < 0) {
        return fail_with(w, "it cannot be opened", errno);
    }
    if (!set_up(w) || !guard_watchdog_feed(w)) {
        guard_watchdog_disarm(w);
        return false;
    }
    w->why[0] = '\0';
    return true;
}

bool guard_watchdog_feed(struct guard_watchdog *w)
{
    /* Any byte but the one that announces a close. */
    if (write(w->fd, "f", 1) != 1) {
        return fail_with(w, "it was not fed", errno);
    }
    return true;
}

void guard_watchdog_disarm(struct guard_watchdog *w)
{
    if (write(w->fd, "V", 1) != 1) {
        (void)fail_with(w, "it was not disarmed, and will reset this host", errno);
    }
    (void)close(w->fd);
    w->fd = -1;
}

enum world_watchdog guard_watchdog_state(const struct guard_watchdog *w)
{
    if (!w->is_usable) {
        return WORLD_WATCHDOG_NONE;
    }
    if (w->is_stand_in || (w->is_softdog && !w->trusts_softdog)) {
        return WORLD_WATCHDOG_SOFT;
    }
    return w->fd >= 0 ? WORLD_WATCHDOG_ARMED : WORLD_WATCHDOG_READY;
}
