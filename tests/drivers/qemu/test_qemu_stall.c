/* A real QEMU whose disk fails while its guest writes: it stands still, and goes on without a gap.
 *
 * The disk fails by a limit on the size of its files (RLIMIT_FSIZE), which is set on the process
 * while it runs and taken away again; the signal that comes with that is ignored by a script that
 * becomes QEMU. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/drivers/qemu/qemu_lab.h"
#include "tests/support/test.h"

static void stall_limit(const struct qemu_lab *lab, rlim_t bytes)
{
    const struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};

    assert_int_equal(prlimit(qemu_lab_pid(lab, "vm"), RLIMIT_FSIZE, &limit, NULL), 0);
}

static bool is_disk_lost; /* by the last answer */

static enum world_vm_state stall_state(struct qemu_lab *lab)
{
    struct qemu_lab_call query;

    qemu_lab_send(&query, lab, WORLD_VM_QUERY, (struct world_vm_spec){.name = "vm"},
                  QEMU_LAB_PATIENCE);
    qemu_lab_await(&query);
    assert_int_equal(query.request.result, OK);
    is_disk_lost = query.request.is_disk_lost;
    return query.request.state;
}

static void stall_await(struct qemu_lab *lab, enum world_vm_state state)
{
    for (int i = 0; stall_state(lab) != state; i++) {
        assert_true(i < 60000);
        qemu_lab_step(lab);
    }
}

static void write_script(const char *path, const char *binary)
{
    FILE *script = fopen(path, "w");

    assert_non_null(script);
    assert_true(fprintf(script, "#!/bin/sh\ntrap '' XFSZ\nexec %s \"$@\"\n", binary) > 0);
    assert_int_equal(fclose(script), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

/* How far the guest has counted, by its console. */
static unsigned long stall_ticks(const struct qemu_lab *lab)
{
    const char *console = qemu_lab_file(lab, "vm", "console.log");
    const char *last = NULL;

    for (const char *at = console; (at = strstr(at, "tick ")) != NULL; at++) {
        last = at;
    }
    return last != NULL ? strtoul(last + strlen("tick "), NULL, 10) : 0;
}

static void a_disk_that_fails_stops_the_guest_until_it_is_told_to_go_on(void **state)
{
    (void)state;
    struct qemu_lab lab;
    char script[128];
    static char binary[256];

    qemu_lab_open(&lab);
    qemu_lab_driver_close(&lab);
    (void)snprintf(binary, sizeof binary, "%s",
                   lab.config.binary != NULL ? lab.config.binary : "qemu-system-x86_64");
    (void)snprintf(script, sizeof script, "%s/qemu", lab.root);
    write_script(script, binary);
    lab.config.binary = script;
    qemu_lab_driver_open(&lab);
    assert_int_equal(qemu_lab_start(&lab, "vm", "disk"), OK);
    qemu_lab_await_console(&lab, "vm", "tick 2\n");
    assert_int_equal(stall_state(&lab), WORLD_VM_RUNNING);

    stall_limit(&lab, 0);
    stall_await(&lab, WORLD_VM_PAUSED);
    assert_non_null(strstr(lab.told, "since its disk fails"));
    assert_true(is_disk_lost); /* for it was no want of room */
    /* As long as it fails it does not get far. */
    assert_int_equal(qemu_lab_ask(&lab, WORLD_VM_RESUME, "vm"), OK);
    stall_await(&lab, WORLD_VM_PAUSED);

    stall_limit(&lab, RLIM_INFINITY);
    const unsigned long ticks = stall_ticks(&lab);
    assert_int_equal(qemu_lab_ask(&lab, WORLD_VM_RESUME, "vm"), OK);
    stall_await(&lab, WORLD_VM_RUNNING);
    assert_false(is_disk_lost);
    char next[32];
    (void)snprintf(next, sizeof next, "tick %lu\n", ticks + 3);
    qemu_lab_await_console(&lab, "vm", next);
    assert_int_equal(lab.exit_count, 0);
    /* Its guest has heard nothing of it: no error, and no second beginning. */
    assert_null(strstr(qemu_lab_file(&lab, "vm", "console.log"), "error"));
    assert_int_equal(qemu_lab_ask(&lab, WORLD_VM_KILL, "vm"), OK);
    qemu_lab_close(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_that_fails_stops_the_guest_until_it_is_told_to_go_on),
    };
    const int missing = qemu_lab_missing();

    return missing != 0 ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
