#include "guard/guard_loop.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "core/base/check.h"
#include "guard/guard_core.h"
#include "guard/guard_socket.h"

/* One line of the journal. */
#define SAY_BYTES 512

/* What an event is about: a kind, and a place among those of its kind. */
enum event_kind { EVENT_LISTEN, EVENT_SIGNAL, EVENT_TIMER, EVENT_PEER, EVENT_MACHINE };

/* What the guard has of a machine. */
struct held {
    int pidfd;
    int cgroup_kill; /* -1: none */
    bool is_told;    /* that it is killed */
};

struct loop {
    struct guard guard;
    struct guard_watchdog watchdog;
    uid_t user;
    uint64_t instance;
    int epoll;
    int listen;
    int lock;
    int signals;
    int timer;
    nanos timer_at;
    int peers[GUARD_PEERS_MAX]; /* -1: free */
    uint64_t peer_since[GUARD_PEERS_MAX];
    uint64_t peer_count;
    int daemon; /* which of them; -1: none */
    struct held held[GUARD_MACHINES_MAX];
    bool failed_to_arm; /* and it was told */
    bool ends;
};

void guard_say(int priority, const char *format, ...)
{
    char line[SAY_BYTES];
    va_list args;
    int n = snprintf(line, sizeof line, "<%d>", priority);

    va_start(args, format);
    n += vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
    va_end(args);
    n = n < SAY_BYTES - 1 ? n : SAY_BYTES - 2;
    line[n++] = '\n';
    (void)!write(STDERR_FILENO, line, (size_t)n);
}

static nanos boottime(void)
{
    struct timespec ts;

    CHECK(clock_gettime(CLOCK_BOOTTIME, &ts) == 0);
    return (nanos)ts.tv_sec * NANOS_PER_S + (nanos)ts.tv_nsec;
}

static bool watch_fd(struct loop *l, int fd, enum event_kind kind, uint32_t place)
{
    struct epoll_event event = {
        .events = EPOLLIN,
        .data.u64 = (uint64_t)kind << 32 | place,
    };
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Before it is closed: whoever sent a descriptor may have it still, and then it lives on, and what
 * is watched with it. */
static void unwatch_fd(struct loop *l, int fd)
{
    (void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, fd, NULL);
    (void)close(fd);
}

/* --- carrying out -------------------------------------------------------------------------------
 */

static void kill_held(const struct held *held)
{
    (void)pidfd_send_signal(held->pidfd, SIGKILL, NULL, 0);
    if (held->cgroup_kill >= 0) {
        (void)!write(held->cgroup_kill, "1", 1);
    }
}

static void kill_doomed(struct loop *l)
{
    for (uint32_t i = 0; i < GUARD_MACHINES_MAX; i++) {
        const struct guard_machine *m = &l->guard.machines[i];
        if (m->is_doomed) {
            kill_held(&l->held[i]);
        }
        if (m->is_doomed && !l->held[i].is_told) {
            l->held[i].is_told = true;
            guard_say(4, "killing %s (process %u)", m->name, m->pid);
        }
    }
}

static void arm_watchdog(struct loop *l)
{
    bool is_armed = guard_watchdog_arm(&l->watchdog);

    guard_armed(&l->guard, is_armed);
    if (is_armed) {
        l->guard.config.feed_every = l->watchdog.timeout_s * NANOS_PER_S / 4;
        guard_say(6, "the watchdog is armed: %u s", l->watchdog.timeout_s);
    } else if (!l->failed_to_arm) {
        guard_say(3, "the watchdog %s is not armed: %s", l->watchdog.path, l->watchdog.why);
    }
    l->failed_to_arm = !is_armed;
}

static void disarm_watchdog(struct loop *l)
{
    guard_watchdog_disarm(&l->watchdog);
    if (l->watchdog.why[0] != '\0') {
        guard_say(3, "the watchdog %s: %s", l->watchdog.path, l->watchdog.why);
    } else {
        guard_say(6, "nothing is held: the watchdog is disarmed");
    }
}

static void set_timer(struct loop *l, nanos at)
{
    struct itimerspec spec = {0};

    if (at == l->timer_at) {
        return;
    }
    l->timer_at = at;
    if (at != NANOS_FOREVER) {
        spec.it_value.tv_sec = (time_t)(at / NANOS_PER_S);
        spec.it_value.tv_nsec = (long)(at % NANOS_PER_S);
    }
    CHECK(timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &spec, NULL) == 0);
}

/* What is due. The clock is read for each decision, and at most once more than is needed: what was
 * fed late is found when it comes round. */
static void guard_carry_out(struct loop *l)
{
    struct guard_todo todo = guard_due(&l->guard, boottime());

    if (todo.kill) {
        kill_doomed(l);
    }
    if (todo.arm) {
        arm_watchdog(l);
    } else if (todo.feed && !guard_watchdog_feed(&l->watchdog)) {
        guard_say(3, "the watchdog %s: %s", l->watchdog.path, l->watchdog.why);
    } else if (todo.disarm) {
        disarm_watchdog(l);
    }
    l->ends = todo.ends;
    set_timer(l, todo.wake);
}

/* --- machines -----------------------------------------------------------------------------------
 */

static void guarded_ended(struct loop *l, uint32_t slot)
{
    struct held *held = &l->held[slot];

    guard_say(6, "%s (process %u) has ended", l->guard.machines[slot].name,
              l->guard.machines[slot].pid);
    unwatch_fd(l, held->pidfd);
    if (held->cgroup_kill >= 0) {
        (void)close(held->cgroup_kill);
    }
    guard_gone(&l->guard, slot);
}

static bool has_ended(int pidfd)
{
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

/* Is it a process that can be killed and waited for? */
static enum err check_pidfd(int pidfd)
{
    if (pidfd_send_signal(pidfd, 0, NULL, 0) != 0) {
        return errno == EPERM ? ERR_DENIED : ERR_INVALID;
    }
    return has_ended(pidfd) ? ERR_INVALID : OK;
}

/* `*is_kept`: its descriptors are the guard's now. */
static enum err hold_machine(struct loop *l, const struct guard_received *received, bool *is_kept)
{
    const struct guard_message *m = &received->message;
    uint32_t slot = guard_find(&l->guard, m->name);
    bool is_new = false;

    TRY(check_pidfd(received->fds[0]));
    if (slot != GUARD_SLOT_NONE && has_ended(l->held[slot].pidfd)) {
        guarded_ended(l, slot); /* what has yet to be heard of it is heard now */
    }
    TRY(guard_hold(&l->guard, boottime(), m->name, m->epoch, m->pid, &slot, &is_new));
    if (!is_new) {
        return OK;
    }
    if (!watch_fd(l, received->fds[0], EVENT_MACHINE, slot)) {
        guard_gone(&l->guard, slot);
        return ERR_INVALID;
    }
    *is_kept = true;
    l->held[slot] = (struct held){received->fds[0], received->fds[1], false};
    guard_say(6, "holding %s (process %u, epoch %" PRIu64 ")", m->name, m->pid, m->epoch);
    return OK;
}

/* --- peers --------------------------------------------------------------------------------------
 */

static void drop_peer(struct loop *l, uint32_t place)
{
    unwatch_fd(l, l->peers[place]);
    l->peers[place] = -1;
    if (l->daemon == (int)place) {
        l->daemon = -1;
    }
}

/* A free place; or that of whoever has been there for longest and is not the daemon. */
static uint32_t make_place(struct loop *l)
{
    uint32_t oldest = l->daemon == 0 ? 1 : 0;

    for (uint32_t i = 0; i < GUARD_PEERS_MAX; i++) {
        if (l->peers[i] < 0) {
            return i;
        }
        if (l->peer_since[i] < l->peer_since[oldest] && l->daemon != (int)i) {
            oldest = i;
        }
    }
    drop_peer(l, oldest);
    return oldest;
}

static void peer_arrives(struct loop *l)
{
    uid_t uid = 0;
    int fd = guard_socket_accept(l->listen, l->user, &uid);

    if (fd < 0) {
        if (uid != 0) {
            guard_say(4, "user %u may not speak to the guard", uid);
        }
        return;
    }
    uint32_t place = make_place(l);
    l->peers[place] = fd;
    l->peer_since[place] = ++l->peer_count;
    if (!watch_fd(l, fd, EVENT_PEER, place)) {
        drop_peer(l, place);
    }
}

static void become_daemon(struct loop *l, uint32_t place)
{
    if (l->daemon >= 0 && l->daemon != (int)place) {
        guard_say(6, "another daemon takes over");
        drop_peer(l, (uint32_t)l->daemon);
    }
    l->daemon = (int)place;
}

static void answer_peer(struct loop *l, uint32_t place, uint64_t number, enum err result)
{
    enum world_watchdog state = guard_watchdog_state(&l->watchdog);
    bool is_armed_or_idle = l->watchdog.fd >= 0 || l->guard.count == 0;
    struct guard_answer answer = {
        .result = result,
        .number = number,
        .instance = l->instance,
        .watchdog = is_armed_or_idle ? state : WORLD_WATCHDOG_NONE,
        .lease_until = l->guard.lease_until,
        .machines = l->guard.count,
        .doomed = l->guard.doomed,
    };

    if (answer.watchdog != WORLD_WATCHDOG_NONE) {
        answer.watchdog_timeout = guard_bound(l->watchdog.timeout_s * NANOS_PER_S);
    }
    if (!guard_socket_answer(l->peers[place], &answer)) {
        drop_peer(l, place);
    }
}

static enum err do_message(struct loop *l, uint32_t place, const struct guard_received *received)
{
    bool is_kept = false;
    enum err e = OK;

    switch (received->message.kind) {
    case GUARD_STATUS:
        break;
    case GUARD_LEASE:
        become_daemon(l, place);
        e = guard_lease(&l->guard, boottime(), received->message.until);
        break;
    case GUARD_HOLD:
        become_daemon(l, place);
        e = hold_machine(l, received, &is_kept);
        break;
    }
    for (size_t i = 0; !is_kept && i < GUARD_FDS_MAX; i++) {
        if (received->fds[i] >= 0) {
            (void)close(received->fds[i]);
        }
    }
    return e;
}

static void peer_speaks(struct loop *l, uint32_t place)
{
    struct guard_received received;
    enum err e = guard_socket_receive(l->peers[place], &received);

    if (e == ERR_CANCELED) {
        return;
    }
    if (e != OK) {
        if (e != ERR_CLOSED) {
            guard_say(4, "what was said is no message: %s", err_text(e));
        }
        drop_peer(l, place);
        return;
    }
    e = do_message(l, place, &received);
    guard_carry_out(l);
    answer_peer(l, place, received.message.number, e);
}

/* --- signals ------------------------------------------------------------------------------------
 */

static void signal_arrives(struct loop *l)
{
    struct signalfd_siginfo info;

    if (read(l->signals, &info, sizeof info) != sizeof info) {
        return;
    }
    guard_stop(&l->guard);
    if (info.ssi_signo == SIGUSR1) {
        guard_say(4, "told to release: %u machines are ended now", l->guard.count);
        guard_release(&l->guard);
    } else if (l->guard.count > 0) {
        guard_say(4,
                  "told to stop, and holding %u machines: takes no more, and ends with the last "
                  "of them (SIGUSR1 ends them now)",
                  l->guard.count);
    }
}

/* --- the loop -----------------------------------------------------------------------------------
 */

static void loop_event(struct loop *l, uint64_t tag)
{
    uint32_t place = (uint32_t)tag;
    uint64_t expirations;

    switch ((enum event_kind)(tag >> 32)) {
    case EVENT_LISTEN:
        peer_arrives(l);
        break;
    case EVENT_SIGNAL:
        signal_arrives(l);
        break;
    case EVENT_TIMER:
        (void)!read(l->timer, &expirations, sizeof expirations);
        l->timer_at = NANOS_FOREVER;
        break;
    case EVENT_PEER:
        peer_speaks(l, place);
        break;
    case EVENT_MACHINE:
        guarded_ended(l, place);
        break;
    }
}

static bool guard_loop_open(struct loop *l, const struct guard_options *options)
{
    sigset_t signals;

    enum err e = guard_socket_listen(options->socket, options->group, &l->listen, &l->lock);
    if (e != OK) {
        guard_say(3, "cannot listen at %s: %s", options->socket,
                  e == ERR_EXISTS ? "another guard does" : strerrordesc_np(errno));
        return false;
    }
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGUSR1);
    CHECK(sigprocmask(SIG_BLOCK, &signals, NULL) == 0);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    l->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    CHECK(l->epoll >= 0 && l->signals >= 0 && l->timer >= 0);
    CHECK(watch_fd(l, l->listen, EVENT_LISTEN, 0) && watch_fd(l, l->signals, EVENT_SIGNAL, 0) &&
          watch_fd(l, l->timer, EVENT_TIMER, 0));
    return true;
}

static void loop_init(struct loop *l, const struct guard_options *options)
{
    const struct guard_config config = {
        .lease_max = options->lease_max,
        .feed_every = options->watchdog.timeout_s * NANOS_PER_S / 4,
        .has_watchdog = options->watchdog.is_usable,
    };

    guard_init(&l->guard, &config);
    l->watchdog = options->watchdog;
    l->user = options->user;
    l->instance = boottime() ^ (uint64_t)getpid() << 48;
    l->timer_at = NANOS_FOREVER;
    l->daemon = -1;
    for (size_t i = 0; i < GUARD_PEERS_MAX; i++) {
        l->peers[i] = -1;
    }
}

int guard_run(const struct guard_options *options)
{
    static struct loop loop;
    struct loop *l = &loop;
    struct epoll_event event;

    loop_init(l, options);
    if (!guard_loop_open(l, options)) {
        return 1;
    }
    guard_say(6, "listening at %s", options->socket);
    for (guard_carry_out(l); !l->ends; guard_carry_out(l)) {
        int n = epoll_wait(l->epoll, &event, 1, -1);
        CHECK(n >= 0 || errno == EINTR);
        if (n == 1) {
            loop_event(l, event.data.u64);
        }
    }
    (void)unlink(options->socket);
    guard_say(6, "holds nothing, and ends");
    return 0;
}
