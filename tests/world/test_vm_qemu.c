/* The contract of virtual machines, held against QEMU. */
#include <signal.h>
#include <sys/wait.h>

#include "tests/drivers/qemu/qemu_lab.h"
#include "tests/support/test.h"
#include "tests/world/vm_contract.h"

static struct qemu_lab yard_lab;
static struct qemu_lab second_lab; /* with the images of the first */

static void qemu_yard_open(struct vm_bench *bench)
{
    static const char plain[] = "{\"memory_mib\": 16}";

    qemu_lab_open(&yard_lab);
    qemu_lab_open(&second_lab);
    qemu_lab_driver_close(&second_lab);
    second_lab.config.folders[0] = yard_lab.images;
    qemu_lab_driver_open(&second_lab);
    *bench = (struct vm_bench){
        .w = yard_lab.w,
        .second = second_lab.w,
        .second_name = "127.0.0.1",
        .definition = qemu_lab_definition(""),
        .plain = {(const uint8_t *)plain, sizeof plain - 1},
    };
}

static void qemu_yard_close(struct vm_bench *bench)
{
    (void)bench;
    qemu_lab_close(&yard_lab);
    qemu_lab_close(&second_lab);
}

static void qemu_yard_step(struct vm_bench *bench)
{
    (void)bench;
    (void)linux_world_poll(second_lab.lw, 0);
    qemu_lab_step(&yard_lab);
}

static void qemu_yard_boots(struct vm_bench *bench, const char *name)
{
    (void)bench;
    qemu_lab_await_console(&yard_lab, name, "READY");
}

static void qemu_yard_restart(struct vm_bench *bench, void (*between)(struct vm_bench *bench))
{
    qemu_lab_driver_close(&yard_lab);
    if (between != NULL) {
        between(bench);
    }
    qemu_lab_driver_open(&yard_lab);
}

/* The tiny guest has them. */
static void qemu_yard_will_run(struct vm_bench *bench, const char *name, const char *program)
{
    (void)bench;
    (void)name;
    (void)program;
}

/* Its end is waited for where nobody else does: a process that ends is still there for a moment. */
static void qemu_yard_crash(struct vm_bench *bench, const char *name)
{
    const pid_t pid = qemu_lab_signal(&yard_lab, name, SIGKILL);
    siginfo_t info;

    (void)bench;
    if (yard_lab.driver == NULL) {
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
    }
}

static void qemu_yard_crash_second(struct vm_bench *bench)
{
    const pid_t pid = qemu_lab_pid(&second_lab, "vm");

    (void)bench;
    if (pid > 1) { /* or it has ended by itself */
        (void)kill(pid, SIGKILL);
    }
    for (int i = 0; qemu_lab_pid(&second_lab, "vm") != 0; i++) {
        assert_true(i < 60000);
        qemu_lab_step(&second_lab);
    }
}

static void qemu_yard_freeze(struct vm_bench *bench, const char *name, bool is_frozen)
{
    (void)bench;
    (void)qemu_lab_signal(&yard_lab, name, is_frozen ? SIGSTOP : SIGCONT);
}

int main(void)
{
    struct vm_place place = {
        .name = "QEMU",
        .open = qemu_yard_open,
        .close = qemu_yard_close,
        .step = qemu_yard_step,
        .boots = qemu_yard_boots,
        .restart = qemu_yard_restart,
        .will_run = qemu_yard_will_run,
        .crash = qemu_yard_crash,
        .crash_second = qemu_yard_crash_second,
        .freeze = qemu_yard_freeze,
    };
    const int missing = qemu_lab_missing();

    return missing != 0 ? missing : vm_contract_run(&place);
}
