/*
 * The first process of a guest that tests the guard on a real watchdog of the kernel: softdog. It
 * is the daemon: it starts the guard, and a machine, which is a process that prints the time again
 * and again, and hands it over. Then it does what `scenario=` on the kernel's command line says:
 *
 *     stop    the guard is stopped, and stays so
 *     kill    the guard is killed
 *     lease   nothing: the lease ends
 *     empty   the machine ends, then the guard is killed
 *     both    everything is stopped but the machine
 *     distrust  as `kill`; softdog was not declared to count as hardware
 *     nowayout  as `kill`; softdog cannot be disarmed
 *
 * What is printed is judged outside: "lease MS", "watchdog N", "tick MS", on CLOCK_BOOTTIME; and
 * "still here" where the guest was not reset when it could have been.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guard/guard_wire.h"

#define SOCKET_PATH "/guard.sock"
#define LEASE_S     6
#define TIMEOUT_S   "2"

/* Longer than lease and bound. */
#define WATCH_S 16

static unsigned long long boot_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_BOOTTIME, &ts);
    return (unsigned long long)ts.tv_sec * 1000 + (unsigned long long)ts.tv_nsec / 1000000;
}

static void nap_ms(long ms)
{
    const struct timespec span = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&span, NULL);
}

static void guest_fail(const char *what)
{
    (void)printf("failed: %s\n", what);
    (void)fflush(stdout);
    (void)reboot(RB_POWER_OFF);
}

static void load_module(const char *path, const char *parameters)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0) != 0) {
        guest_fail(path);
    }
    (void)close(fd);
}

static pid_t start_guard(bool trusts_softdog)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)execl("/novacron-guard", "novacron-guard", "--socket", SOCKET_PATH, "--watchdog",
                    "/dev/watchdog0", "--timeout", TIMEOUT_S,
                    trusts_softdog ? "--trust-softdog" : NULL, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static pid_t start_machine(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        for (;;) {
            (void)printf("tick %llu\n", boot_ms());
            (void)fflush(stdout);
            nap_ms(50);
        }
    }
    return pid;
}

static int connect_guard(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = SOCKET_PATH};

    for (int i = 0; i < 600; i++) {
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (connect(fd, (const struct sockaddr *)&at, sizeof at) == 0) {
            return fd;
        }
        (void)close(fd);
        nap_ms(50);
    }
    guest_fail("no guard");
    return -1;
}

static struct guard_answer ask_over(int fd, const struct guard_message *message, int pidfd)
{
    uint8_t bytes[GUARD_MESSAGE_BYTES];
    struct iovec iov = {bytes, sizeof bytes};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    struct guard_answer answer = {.result = ERR_IO};

    guard_message_encode(message, bytes);
    if (pidfd >= 0) {
        header.msg_control = &control;
        header.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &pidfd, sizeof pidfd);
    }
    ssize_t n = -1;
    if (sendmsg(fd, &header, 0) == sizeof bytes) {
        n = recv(fd, bytes, sizeof bytes, 0);
    }
    if (n < 0 || guard_answer_decode((struct bytes){bytes, (size_t)n}, &answer) != OK ||
        answer.result != OK) {
        guest_fail("the guard refuses");
    }
    return answer;
}

static void guest_hand_over(int fd, pid_t machine)
{
    struct guard_message message = {.kind = GUARD_LEASE, .number = 1};
    unsigned long long until_ms = boot_ms() + LEASE_S * 1000;

    message.until = until_ms * NANOS_PER_MS;
    (void)ask_over(fd, &message, -1);
    message = (struct guard_message){
        .kind = GUARD_HOLD, .number = 2, .epoch = 1, .pid = (uint32_t)machine, .name = "vm"};
    struct guard_answer answer = ask_over(fd, &message, pidfd_open(machine, 0));
    (void)printf("lease %llu\nbound %llu\nwatchdog %d\n", until_ms,
                 (unsigned long long)(answer.watchdog_timeout / NANOS_PER_MS),
                 (int)answer.watchdog);
    (void)fflush(stdout);
}

static void read_scenario(char *ret, size_t room)
{
    char line[1024];
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, line, sizeof line - 1);

    line[n > 0 ? n : 0] = '\0';
    const char *at = strstr(line, "scenario=");
    (void)snprintf(ret, room, "%.*s", at != NULL ? (int)strcspn(at + 9, " \n") : 0,
                   at != NULL ? at + 9 : "");
}

static void run_scenario(const char *scenario, pid_t guard, pid_t machine)
{
    nap_ms(1000);
    (void)printf("begin %llu\n", boot_ms());
    (void)fflush(stdout);
    if (strcmp(scenario, "stop") == 0 || strcmp(scenario, "both") == 0) {
        (void)kill(guard, SIGSTOP);
    } else if (strcmp(scenario, "kill") == 0 || strcmp(scenario, "distrust") == 0 ||
               strcmp(scenario, "nowayout") == 0) {
        (void)kill(guard, SIGKILL);
    } else if (strcmp(scenario, "empty") == 0) {
        (void)kill(machine, SIGKILL);
        (void)waitpid(machine, NULL, 0);
        nap_ms(1000);
        (void)kill(guard, SIGKILL);
    }
    if (strcmp(scenario, "both") == 0) {
        for (;;) { /* the daemon does nothing either */
            (void)pause();
        }
    }
}

int main(void)
{
    char scenario[32] = "";

    (void)mount("proc", "/proc", "proc", 0, NULL);
    (void)mount("sysfs", "/sys", "sysfs", 0, NULL);
    (void)mount("dev", "/dev", "devtmpfs", 0, NULL);
    read_scenario(scenario, sizeof scenario);
    load_module("/watchdog.ko", "");
    load_module("/softdog.ko", strcmp(scenario, "nowayout") == 0 ? "nowayout=1" : "");
    pid_t guard = start_guard(strcmp(scenario, "distrust") != 0);
    int fd = connect_guard();
    pid_t machine = start_machine();
    guest_hand_over(fd, machine);
    run_scenario(scenario, guard, machine);
    nap_ms(WATCH_S * 1000L);
    (void)printf("still here %llu\n", boot_ms());
    (void)fflush(stdout);
    (void)reboot(RB_POWER_OFF);
    return 0;
}
