#include "drivers/qemu/qemu_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/check.h"
#include "drivers/qemu/qemu_args.h"
#include "drivers/qemu/qemu_place.h"

/* The gate's end in the process; the last of its descriptors. */
#define GATE_FD (QEMU_FD_QMP + 1)

/* Our own ends are moved above those that the process gets. */
#define LOWEST_FD 16

/* Shell and program are one process: its pid is known, and written down, before the program is. It
 * reads a line or, when we are gone, an end. */
static const char gate_script[] = "read -r go <&4 && exec \"$@\" 4<&-";
_Static_assert(GATE_FD == 4, "as the script has it");

static int move_up(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_FD);
}

static void close_if(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}

static int spawn_gated(char *const *argv, int dir, int out, int handed, int gate, pid_t *ret)
{
    char *const environment[] = {(char *)(uintptr_t) "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                 (char *)(uintptr_t) "LC_ALL=C", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t all;

    CHECK(sigemptyset(&none) == 0 && sigfillset(&all) == 0);
    CHECK(posix_spawnattr_init(&attributes) == 0);
    CHECK(posix_spawnattr_setsigmask(&attributes, &none) == 0);
    CHECK(posix_spawnattr_setsigdefault(&attributes, &all) == 0);
    CHECK(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                    POSIX_SPAWN_SETSIGDEF) == 0);
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, out, 1) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, out, 2) == 0);
    if (handed >= 0) {
        CHECK(posix_spawn_file_actions_adddup2(&actions, handed, QEMU_FD_QMP) == 0);
    } else {
        CHECK(posix_spawn_file_actions_addopen(&actions, QEMU_FD_QMP, "/dev/null", O_RDONLY, 0) ==
              0);
    }
    CHECK(posix_spawn_file_actions_adddup2(&actions, gate, GATE_FD) == 0);
    CHECK(posix_spawn_file_actions_addfchdir_np(&actions, dir) == 0);
    CHECK(posix_spawn_file_actions_addclosefrom_np(&actions, GATE_FD + 1) == 0);
    const int error = posix_spawn(ret, "/bin/sh", &actions, &attributes, argv, environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    return error;
}

static int spawn_moved(char *const *argv, int dir, int out, int handed, int gate, pid_t *ret)
{
    const int moved[] = {move_up(dir), move_up(out), move_up(handed), move_up(gate)};
    int error = EMFILE;

    if (moved[0] >= 0 && moved[1] >= 0 && (moved[2] >= 0 || handed < 0) && moved[3] >= 0) {
        error = spawn_gated(argv, moved[0], moved[1], moved[2], moved[3], ret);
    }
    for (size_t i = 0; i < COUNT_OF(moved); i++) {
        close_if(moved[i]);
    }
    return error;
}

enum err qemu_process_make(char *const *words, int dir, int out, int handed,
                           struct qemu_process *ret)
{
    char *argv[QEMU_WORDS_MAX + 5] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                                      (char *)(uintptr_t)gate_script, (char *)(uintptr_t) "sh"};
    size_t count = 4;
    int ends[2];
    pid_t pid = 0;

    for (; words[count - 4] != NULL; count++) {
        CHECK(count < COUNT_OF(argv) - 1);
        argv[count] = words[count - 4];
    }
    /* A socket, since who writes to it when its other end has died gets an error and no signal. */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return qemu_err(errno);
    }
    const int error = spawn_moved(argv, dir, out, handed, ends[0], &pid);
    (void)close(ends[0]);
    if (error != 0) {
        (void)close(ends[1]);
        return qemu_err(error);
    }
    const int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        const enum err e = qemu_err(errno);
        (void)close(ends[1]); /* and it ends */
        (void)waitpid(pid, NULL, 0);
        return e;
    }
    *ret = (struct qemu_process){pid, pidfd, ends[1]};
    return OK;
}

void qemu_process_release(struct qemu_process *process)
{
    /* Where this fails it has died already, which is found in its own way. */
    (void)send(process->gate, "go\n", 3, MSG_NOSIGNAL);
    (void)close(process->gate);
    process->gate = -1;
}

enum err qemu_socket_listen(int dir, const char *name, int *ret)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    const int n = snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/%s", dir, name);

    CHECK(n > 0 && (size_t)n < sizeof at.sun_path);
    (void)unlinkat(dir, name, 0);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return qemu_err(errno);
    }
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 8) != 0) {
        const enum err e = qemu_err(errno);
        (void)close(fd);
        return e;
    }
    *ret = fd;
    return OK;
}
