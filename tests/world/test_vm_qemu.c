/* The contract of virtual machines, held against QEMU. */
#include <signal.h>
#include <sys/wait.h>

#include "tests/drivers/qemu/qemu_lab.h"
#include "tests/support/test.h"
#include "tests/world/vm_contract.h"

static struct qemu_lab yard_lab;

static void qemu_yard_open(struct vm_bench *bench)
{
    qemu_lab_open(&yard_lab);
    *bench = (struct vm_bench){.w = yard_lab.w, .definition = qemu_lab_definition("")};
}

static void qemu_yard_close(struct vm_bench *bench)
{
    (void)bench;
    qemu_lab_close(&yard_lab);
}

static void qemu_yard_step(struct vm_bench *bench)
{
    (void)bench;
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

/* Its end is waited for where nobody else does: a process that ends is still there for a moment. */
static void qemu_yard_crash(struct vm_bench *bench, const char *name)
{
    const pid_t pid = qemu_lab_pid(&yard_lab, name);
    siginfo_t info;

    (void)bench;
    assert_true(pid > 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    if (yard_lab.driver == NULL) {
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED), 0);
    }
}

static void qemu_yard_freeze(struct vm_bench *bench, const char *name, bool is_frozen)
{
    const pid_t pid = qemu_lab_pid(&yard_lab, name);

    (void)bench;
    assert_true(pid > 1);
    assert_int_equal(kill(pid, is_frozen ? SIGSTOP : SIGCONT), 0);
}

int main(void)
{
    struct vm_place place = {"QEMU",          qemu_yard_open,    qemu_yard_close, qemu_yard_step,
                             qemu_yard_boots, qemu_yard_restart, qemu_yard_crash, qemu_yard_freeze};
    const int missing = qemu_lab_missing();

    return missing != 0 ? missing : vm_contract_run(&place);
}
