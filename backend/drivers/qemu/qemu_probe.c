#include "drivers/qemu/qemu_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/check.h"
#include "drivers/qemu/qemu_args.h"
#include "drivers/qemu/qemu_place.h"
#include "drivers/qemu/qemu_process.h"

/* isa-debug-exit makes (value << 1) | 1 of what the guest wrote: 0x10. */
#define EXIT_SUCCESS_OF_GUEST 33

/* QEMU stays, with its guest stopped, when KVM fails; what it says then. */
#define KVM_FAILED "KVM internal error"

#define LOOK_EVERY_MS 20

#if defined(__x86_64__)
extern const unsigned char qemu_probe_guest[];
extern const unsigned char qemu_probe_guest_end[];
#define HAS_GUEST true
#else
#define HAS_GUEST false
static const unsigned char qemu_probe_guest[1];
static const unsigned char qemu_probe_guest_end[1];
#endif

/* The guest as a file, for QEMU to load; -1: there is none for this processor, or no memory. */
static int guest_file(void)
{
    const size_t n = (size_t)((uintptr_t)qemu_probe_guest_end - (uintptr_t)qemu_probe_guest);
    const int fd = HAS_GUEST ? memfd_create("novacron-probe", MFD_CLOEXEC) : -1;

    if (fd >= 0 && write(fd, qemu_probe_guest, n) != (ssize_t)n) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static bool says_failed(int out)
{
    char text[8192];
    const ssize_t n = pread(out, text, sizeof text - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    return strstr(text, KVM_FAILED) != NULL;
}

/* Until it ends, says that it failed, or its time is over. */
static enum qemu_probe_verdict await_guest(const struct qemu_process *process, int out)
{
    struct pollfd pollfd = {process->pidfd, POLLIN, 0};
    siginfo_t info = {.si_code = 0};

    for (int waited = 0; waited < QEMU_PROBE_SECONDS * 1000; waited += LOOK_EVERY_MS) {
        if (poll(&pollfd, 1, LOOK_EVERY_MS) > 0) {
            (void)waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED);
            const bool is_right =
                info.si_code == CLD_EXITED && info.si_status == EXIT_SUCCESS_OF_GUEST;
            return is_right ? QEMU_PROBE_RUNS : QEMU_PROBE_FAILS;
        }
        if (says_failed(out)) {
            return QEMU_PROBE_FAILS;
        }
    }
    return QEMU_PROBE_UNSURE;
}

enum qemu_probe_verdict qemu_probe_run(const char *binary, const char *accel, int dir)
{
    /* By way of timeout(1), so that nothing stays when we die meanwhile. */
    const char *const words[] = {
        "timeout",
        "-s",
        "KILL",
        "30",
        binary,
        "-accel",
        accel,
        "-machine",
        "pc,graphics=off",
        "-m",
        "16",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-device",
        "isa-debug-exit,iobase=0xf4",
        "-kernel",
        "/proc/self/fd/3",
        NULL,
    };
    enum qemu_probe_verdict verdict = QEMU_PROBE_UNSURE;
    struct qemu_process process;
    const int guest = guest_file();
    const int out = memfd_create("novacron-probe-log", MFD_CLOEXEC);

    _Static_assert(QEMU_FD_QMP == 3, "where the guest's file is");
    if (guest >= 0 && out >= 0 &&
        qemu_process_make((char *const *)(uintptr_t)words, dir, out, guest, &process) == OK) {
        qemu_process_release(&process);
        verdict = await_guest(&process, out);
        (void)kill(-process.pid, SIGKILL);
        (void)waitid(P_PIDFD, (id_t)process.pidfd, &(siginfo_t){.si_code = 0}, WEXITED);
        (void)close(process.pidfd);
    }
    if (guest >= 0) {
        (void)close(guest);
    }
    if (out >= 0) {
        (void)close(out);
    }
    return verdict;
}

static void verdict_note(int run, const char *line)
{
    const int fd = openat(run, "accel.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line) &&
        renameat(run, "accel.new", run, QEMU_FILE_ACCEL) == 0) {
        (void)close(fd);
        return;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    (void)unlinkat(run, "accel.new", 0); /* it is found out anew the next time */
}

enum qemu_probe_verdict qemu_probe_kvm(const char *binary, int run)
{
    char boot[QEMU_BOOT_ID_BYTES];
    char noted[1200];
    char yes[1200];
    char no[1200];

    qemu_boot_id(boot);
    (void)snprintf(yes, sizeof yes, "%s yes %s\n", boot, binary);
    (void)snprintf(no, sizeof no, "%s no %s\n", boot, binary);
    (void)qemu_file_read(run, QEMU_FILE_ACCEL, noted, sizeof noted - 1);
    if (strcmp(noted, yes) == 0) {
        return QEMU_PROBE_RUNS;
    }
    if (strcmp(noted, no) == 0) {
        return QEMU_PROBE_FAILS;
    }
    if (access("/dev/kvm", R_OK | W_OK) != 0) {
        return QEMU_PROBE_FAILS; /* a module may be loaded yet: not noted */
    }
    const enum qemu_probe_verdict verdict = qemu_probe_run(binary, "kvm", run);
    if (verdict != QEMU_PROBE_UNSURE) {
        verdict_note(run, verdict == QEMU_PROBE_RUNS ? yes : no);
    }
    return verdict;
}
