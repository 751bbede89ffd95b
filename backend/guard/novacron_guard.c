/*
 * novacron-guard, the program: its command line, and what a process does to be dependable: memory
 * that is not swapped out, a real-time priority, and not being chosen when memory is short. What it
 * is not allowed is told, and it goes on.
 *
 * Exit statuses: 0, it was told to stop and holds nothing; 1, its socket cannot be had; 2, the
 * command line is wrong. Nothing was armed in the last two cases.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/base/check.h"
#include "guard/guard_core.h"
#include "guard/guard_loop.h"
#include "guard/guard_wire.h"

/* A time-out of hardware that is long enough for a guard that has to wait for its processor, and
 * short enough for its double to fit into a recovery (docs/guard.md). */
#define TIMEOUT_S_DEFAULT   5
#define TIMEOUT_S_MAX       300
#define LEASE_MAX_S_DEFAULT 60
#define LEASE_MAX_S_MAX     3600

/* Above everything that is not real time, and below what the kernel runs for its devices. */
#define PRIORITY 40

/* Touched before memory is locked, so that no page of the stack is missing later. */
#define STACK_BYTES (128 * 1024)

static const char usage[] =
    "usage: novacron-guard [OPTION]...\n"
    "Ends the virtual machines of this host when the host's lease ends.\n"
    "  --socket PATH          where it listens (" GUARD_SOCKET_DEFAULT ")\n"
    "  --user USER            who may speak to it, besides root: the daemon's user\n"
    "  --watchdog PATH        a hardware watchdog: /dev/watchdog0\n"
    "  --timeout SECONDS      the watchdog's (5)\n"
    "  --trust-softdog        softdog counts as hardware: docs/guard.md says what that means\n"
    "  --stand-in PATH        a file that plays a watchdog, for tests; proves nothing\n"
    "  --lease-max SECONDS    longer leases are refused (60)\n"
    "  --status               asks the guard that runs at the socket, and ends\n";

enum option_id {
    OPTION_SOCKET = 256,
    OPTION_USER,
    OPTION_WATCHDOG,
    OPTION_TIMEOUT,
    OPTION_TRUST,
    OPTION_STAND_IN,
    OPTION_LEASE_MAX,
    OPTION_STATUS,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"socket", required_argument, NULL, OPTION_SOCKET},
    {"user", required_argument, NULL, OPTION_USER},
    {"watchdog", required_argument, NULL, OPTION_WATCHDOG},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"trust-softdog", no_argument, NULL, OPTION_TRUST},
    {"stand-in", required_argument, NULL, OPTION_STAND_IN},
    {"lease-max", required_argument, NULL, OPTION_LEASE_MAX},
    {"status", no_argument, NULL, OPTION_STATUS},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

void check_report(const char *file, int line, const char *cond)
{
    guard_say(2, "%s:%d: CHECK failed: %s", file, line, cond);
}

static bool number_option(const char *text, unsigned long max, unsigned long *ret)
{
    char *end = NULL;
    unsigned long n = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || n == 0 || n > max) {
        guard_say(3, "'%s' is not a number of seconds from 1 to %lu", text, max);
        return false;
    }
    *ret = n;
    return true;
}

static bool take_path(const char *text, char *ret)
{
    if (text[0] != '/' || strlen(text) >= GUARD_PATH_MAX_BYTES) {
        guard_say(3, "'%s' is not an absolute path of at most %d bytes", text,
                  GUARD_PATH_MAX_BYTES - 1);
        return false;
    }
    memcpy(ret, text, strlen(text) + 1);
    return true;
}

static bool take_user(const char *text, struct guard_options *options)
{
    const struct passwd *user = getpwnam(text);
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);

    if (user == NULL && text[0] >= '0' && text[0] <= '9' && *end == '\0' && number < UINT32_MAX) {
        user = getpwuid((uid_t)number);
        options->user = (uid_t)number;
        options->group = user != NULL ? user->pw_gid : (gid_t)-1;
        return true;
    }
    if (user == NULL) {
        guard_say(3, "there is no user '%s'", text);
        return false;
    }
    options->user = user->pw_uid;
    options->group = user->pw_gid;
    return true;
}

struct command {
    struct guard_options options;
    char socket[GUARD_PATH_MAX_BYTES];
    bool asks;
    bool wants_help;
};

static bool take_option(struct command *c, int id)
{
    struct guard_watchdog *w = &c->options.watchdog;
    unsigned long n = 0;

    switch (id) {
    case OPTION_SOCKET:
        return take_path(optarg, c->socket);
    case OPTION_USER:
        return take_user(optarg, &c->options);
    case OPTION_WATCHDOG:
    case OPTION_STAND_IN:
        if (w->path[0] != '\0') {
            guard_say(3, "there is one watchdog, or none");
            return false;
        }
        w->is_stand_in = id == OPTION_STAND_IN;
        return take_path(optarg, w->path);
    case OPTION_TIMEOUT:
        if (!number_option(optarg, TIMEOUT_S_MAX, &n)) {
            return false;
        }
        w->timeout_s = (uint32_t)n;
        return true;
    case OPTION_TRUST:
        w->trusts_softdog = true;
        return true;
    case OPTION_LEASE_MAX:
        if (!number_option(optarg, LEASE_MAX_S_MAX, &n)) {
            return false;
        }
        c->options.lease_max = n * NANOS_PER_S;
        return true;
    case OPTION_STATUS:
        c->asks = true;
        return true;
    case OPTION_HELP:
        c->wants_help = true;
        return true;
    default:
        return false;
    }
}

static bool take_options(struct command *c, int argc, char **argv)
{
    int id = 0;

    while ((id = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (!take_option(c, id)) {
            return false;
        }
    }
    if (optind < argc) {
        guard_say(3, "'%s' is more than it understands", argv[optind]);
        return false;
    }
    return true;
}

/* --- asking one that runs -----------------------------------------------------------------------
 */

static bool ask_guard(const char *path, struct guard_answer *ret)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = 2};
    const struct guard_message message = {.kind = GUARD_STATUS, .number = 1};
    uint8_t bytes[GUARD_MESSAGE_BYTES];
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    memcpy(at.sun_path, path, strlen(path) + 1);
    guard_message_encode(&message, bytes);
    bool is_sent = fd >= 0 &&
                   setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
                   connect(fd, (const struct sockaddr *)&at, sizeof at) == 0 &&
                   send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) == sizeof bytes;
    ssize_t n = is_sent ? recv(fd, bytes, sizeof bytes, 0) : -1;
    if (fd >= 0) {
        (void)close(fd);
    }
    return n > 0 && guard_answer_decode((struct bytes){bytes, (size_t)n}, ret) == OK;
}

static int print_status(const char *path)
{
    static const char *const watchdogs[] = {"none", "a stand-in: proves nothing", "ready, disarmed",
                                            "armed"};
    struct guard_answer answer;
    struct timespec now;

    if (!ask_guard(path, &answer)) {
        (void)fprintf(stderr, "no guard answers at %s\n", path);
        return 1;
    }
    CHECK(clock_gettime(CLOCK_BOOTTIME, &now) == 0);
    nanos at = (nanos)now.tv_sec * NANOS_PER_S + (nanos)now.tv_nsec;
    (void)printf("watchdog: %s\nbound: %llu s\nmachines: %u, of these being killed: %u\n",
                 watchdogs[answer.watchdog],
                 (unsigned long long)(answer.watchdog_timeout / NANOS_PER_S), answer.machines,
                 answer.doomed);
    if (answer.lease_until > at) {
        (void)printf("lease: for another %llu ms\n",
                     (unsigned long long)((answer.lease_until - at) / NANOS_PER_MS));
    } else {
        (void)printf("lease: %s\n", answer.lease_until == 0 ? "none yet" : "over");
    }
    return 0;
}

/* --- being dependable ---------------------------------------------------------------------------
 */

static void touch_stack(void)
{
    volatile uint8_t stack[STACK_BYTES];

    for (size_t i = 0; i < sizeof stack; i += 1024) {
        stack[i] = 0;
    }
}

static void be_dependable(void)
{
    const struct sched_param priority = {.sched_priority = PRIORITY};

    touch_stack();
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        guard_say(4, "memory is not locked: %s", strerrordesc_np(errno));
    }
    if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority) != 0) {
        guard_say(4, "no real-time priority: %s", strerrordesc_np(errno));
    }
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "-1000", 5) != 5) {
        guard_say(4, "may be killed when memory is short: %s", strerrordesc_np(errno));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void tell_watchdog(const struct guard_watchdog *w)
{
    if (w->path[0] == '\0') {
        guard_say(4, "no watchdog: this host's lease ends machines, and proves nothing");
    } else if (!w->is_usable) {
        guard_say(3, "%s is not used: %s", w->path, w->why);
    } else if (guard_watchdog_state(w) == WORLD_WATCHDOG_SOFT) {
        guard_say(4, "%s is %s: it proves nothing", w->path,
                  w->is_stand_in ? "a stand-in" : "softdog");
    }
}

int main(int argc, char **argv)
{
    struct command c = {
        .socket = GUARD_SOCKET_DEFAULT,
        .options =
            {
                .user = (uid_t)-1,
                .group = (gid_t)-1,
                .lease_max = LEASE_MAX_S_DEFAULT * NANOS_PER_S,
                .watchdog = {.timeout_s = TIMEOUT_S_DEFAULT},
            },
    };

    if (!take_options(&c, argc, argv)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    if (c.wants_help) {
        (void)fputs(usage, stdout);
        return 0;
    }
    if (c.asks) {
        return print_status(c.socket);
    }
    c.options.socket = c.socket;
    guard_watchdog_look(&c.options.watchdog);
    tell_watchdog(&c.options.watchdog);
    be_dependable();
    return guard_run(&c.options);
}
