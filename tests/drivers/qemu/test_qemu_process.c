/* Real QEMU processes: how machines start, fail to, end, and survive us. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drivers/qemu/qemu_place.h"
#include "drivers/qemu/qemu_probe.h"
#include "tests/drivers/qemu/qemu_lab.h"
#include "tests/support/test.h"

static int open_lab(void **state)
{
    static struct qemu_lab lab;

    qemu_lab_open(&lab);
    *state = &lab;
    return 0;
}

static int close_lab(void **state)
{
    qemu_lab_close(*state);
    return 0;
}

static enum err start_with(struct qemu_lab *lab, const char *volume, struct bytes definition,
                           bool is_guarded)
{
    struct qemu_lab_call call;
    const struct world_vm_spec spec = {.name = "vm",
                                       .volume = volume,
                                       .epoch = 1,
                                       .is_guarded = is_guarded,
                                       .definition = definition};

    qemu_lab_send(&call, lab, WORLD_VM_START, spec, QEMU_LAB_PATIENCE);
    qemu_lab_await(&call);
    return call.request.result;
}

static enum err start_text(struct qemu_lab *lab, const char *json)
{
    const struct bytes definition = {(const uint8_t *)json, strlen(json)};
    return start_with(lab, "disk", definition, false);
}

static void list_all(struct qemu_lab *lab, struct qemu_lab_call *call)
{
    qemu_lab_send(call, lab, WORLD_VM_LIST, (struct world_vm_spec){.name = NULL},
                  QEMU_LAB_PATIENCE);
    qemu_lab_await(call);
    assert_int_equal(call->request.result, OK);
}

static size_t count_listed(struct qemu_lab *lab)
{
    struct qemu_lab_call call;

    list_all(lab, &call);
    return call.count;
}

/* Neither a process nor a file of the machine "vm". */
static void nothing_is_left(struct qemu_lab *lab)
{
    char path[128];

    assert_int_equal(count_listed(lab), 0);
    assert_int_equal(qemu_lab_processes(lab), 0);
    (void)snprintf(path, sizeof path, "%s/vm", lab->run);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(lab->exit_count, 0);
}

static void the_guest_counts_on_where_its_disk_says(void **state)
{
    struct qemu_lab *lab = *state;

    assert_int_equal(qemu_lab_start(lab, "vm", "disk"), OK);
    qemu_lab_await_console(lab, "vm", "READY start=0 empty");
    qemu_lab_await_console(lab, "vm", "tick 2\n");
    assert_int_equal(qemu_lab_ask(lab, WORLD_VM_KILL, "vm"), OK);
    const char *console = qemu_lab_file(lab, "vm", "console.log");
    /* What it has printed was durable; what it had not, may have been. */
    const char *last = strrchr(console, 't');
    const unsigned long ticked = strtoul(last + strcspn(last, "0123456789"), NULL, 10);
    assert_int_equal(qemu_lab_start(lab, "vm", "disk"), OK);
    qemu_lab_await_console(lab, "vm", " disk\n");
    console = strstr(qemu_lab_file(lab, "vm", "console.log"), "disk\n");
    while (console[-1] != '=') {
        console--;
    }
    assert_in_range(strtoul(console, NULL, 10), ticked + 1, ticked + 2);
}

static void a_kill_from_outside_is_seen_at_once(void **state)
{
    struct qemu_lab *lab = *state;

    assert_int_equal(qemu_lab_start(lab, "vm", "disk"), OK);
    const nanos before = world_now(lab->w);
    (void)qemu_lab_signal(lab, "vm", SIGKILL);
    qemu_lab_await_exits(lab, 1);
    print_message("# told after %.1f ms\n", (double)(world_now(lab->w) - before) / 1e6);
    assert_int_equal(lab->exits[0].end, WORLD_VM_CRASHED);
    /* Its files say nothing any more of a process, and its logs are there. */
    assert_string_equal(qemu_lab_file(lab, "vm", QEMU_FILE_MACHINE), "");
    assert_int_equal(qemu_lab_ask(lab, WORLD_VM_QUERY, "vm"), ERR_NOT_FOUND);
    assert_int_equal(qemu_lab_start(lab, "vm", "disk"), OK);
}

static void a_signal_to_end_is_no_guest_that_shuts_down(void **state)
{
    struct qemu_lab *lab = *state;

    assert_int_equal(qemu_lab_start(lab, "vm", "disk"), OK);
    (void)qemu_lab_signal(lab, "vm", SIGTERM);
    qemu_lab_await_exits(lab, 1);
    assert_int_equal(lab->exits[0].end, WORLD_VM_CRASHED);
}

/* --- starts that fail ------------------------------------------------------------------------- */

static void bad_definitions_are_refused_with_the_reason(void **state)
{
    struct qemu_lab *lab = *state;

    assert_int_equal(start_text(lab, "{"), ERR_INVALID);
    assert_int_equal(start_text(lab, "{\"memory_mib\": 16, \"colour\": 1}"), ERR_INVALID);
    assert_non_null(strstr(lab->told, "\"colour\""));
    nothing_is_left(lab);
}

static void images_outside_of_their_directories_are_denied(void **state)
{
    struct qemu_lab *lab = *state;
    const char *const volumes[] = {"/etc/passwd", "../run/accel", "link", "way/other"};
    char path[160];

    (void)snprintf(path, sizeof path, "%s/link", lab->images);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    (void)snprintf(path, sizeof path, "%s/way", lab->images);
    assert_int_equal(symlink("/var/tmp", path), 0);
    for (size_t i = 0; i < COUNT_OF(volumes); i++) {
        assert_int_equal(start_with(lab, volumes[i], qemu_lab_definition(""), false), ERR_DENIED);
    }
    assert_int_equal(
        start_text(lab, "{\"memory_mib\": 16, \"boot\": {\"kernel\": \"/etc/passwd\"}}"),
        ERR_DENIED);
    assert_int_equal(start_text(lab, "{\"memory_mib\": 16, \"disk\": {\"path\": \"/etc/passwd\"}}"),
                     ERR_DENIED);
    nothing_is_left(lab);
}

static void a_link_within_its_directory_is_followed(void **state)
{
    struct qemu_lab *lab = *state;
    char path[160];

    (void)snprintf(path, sizeof path, "%s/link", lab->images);
    assert_int_equal(symlink("disk", path), 0);
    assert_int_equal(start_with(lab, "link", qemu_lab_definition(""), false), OK);
}

static void what_is_no_image_is_refused(void **state)
{
    struct qemu_lab *lab = *state;
    char path[160];

    (void)snprintf(path, sizeof path, "%s/folder", lab->images);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(start_with(lab, "folder", qemu_lab_definition(""), false), ERR_INVALID);
    (void)snprintf(path, sizeof path, "%s/pipe", lab->images);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(start_with(lab, "pipe", qemu_lab_definition(""), false), ERR_INVALID);
    /* No qcow2 file; this QEMU has to find out. */
    assert_int_equal(start_text(lab, "{\"memory_mib\": 16, \"disk\": {\"format\": \"qcow2\"}}"),
                     ERR_IO);
    assert_non_null(strstr(lab->told, "qcow2"));
    nothing_is_left(lab);
}

static void a_qemu_that_is_not_there_is_told(void **state)
{
    struct qemu_lab *lab = *state;

    qemu_lab_driver_close(lab);
    lab->config.binary = "/nowhere/qemu";
    qemu_lab_driver_open(lab);
    assert_int_equal(qemu_lab_start(lab, "vm", "disk"), ERR_IO);
    assert_non_null(strstr(lab->told, "/nowhere/qemu"));
    nothing_is_left(lab);
}

static void a_run_directory_without_room_starts_nothing(void **state)
{
    struct qemu_lab *lab = *state;
    char options[] = "size=4k,nr_inodes=3";

    qemu_lab_driver_close(lab);
    if (mount("none", lab->run, "tmpfs", 0, options) != 0) {
        print_message("# only root can mount a small file system\n");
        qemu_lab_driver_open(lab);
        skip();
    }
    qemu_lab_driver_open(lab);
    const enum err e = qemu_lab_start(lab, "vm", "disk");
    const size_t processes = qemu_lab_processes(lab);
    const size_t exits = lab->exit_count;
    qemu_lab_driver_close(lab);
    const int gone = umount2(lab->run, MNT_DETACH);
    assert_int_equal(gone, 0);
    assert_int_equal(e, ERR_NO_SPACE);
    assert_int_equal(processes, 0);
    assert_int_equal(exits, 0);
}

static void a_start_past_its_deadline_is_given_up_and_killed(void **state)
{
    struct qemu_lab *lab = *state;
    const nanos patience[] = {0, NANOS_PER_MS, 10 * NANOS_PER_MS, 30 * NANOS_PER_MS};

    for (size_t i = 0; i < COUNT_OF(patience); i++) {
        struct qemu_lab_call call;
        const struct world_vm_spec spec = {
            .name = "vm", .volume = "disk", .epoch = 1, .definition = qemu_lab_definition("")};
        /* An earlier one may still be about to be thrown away. */
        do {
            qemu_lab_send(&call, lab, WORLD_VM_START, spec, patience[i]);
            qemu_lab_await(&call);
        } while (call.request.result == ERR_EXISTS);
        if (call.request.result == OK) { /* on a host with nothing else to do */
            assert_int_equal(qemu_lab_ask(lab, WORLD_VM_KILL, "vm"), OK);
            continue;
        }
        assert_int_equal(call.request.result, ERR_TIMEOUT);
        for (int tries = 0; count_listed(lab) > 0 || qemu_lab_processes(lab) > 0; tries++) {
            assert_true(tries < 10000);
            qemu_lab_step(lab);
        }
    }
    enum err e = ERR_EXISTS;
    for (int tries = 0; e == ERR_EXISTS && tries < 10000; tries++) {
        e = qemu_lab_start(lab, "vm", "disk");
    }
    assert_int_equal(e, OK);
}

static void a_kill_reaches_a_machine_that_is_still_starting(void **state)
{
    struct qemu_lab *lab = *state;
    struct qemu_lab_call start;
    const struct world_vm_spec spec = {
        .name = "vm", .volume = "disk", .epoch = 1, .definition = qemu_lab_definition("")};

    for (int steps = 1; steps < 64; steps *= 2) {
        qemu_lab_send(&start, lab, WORLD_VM_START, spec, QEMU_LAB_PATIENCE);
        for (int i = 0; i < steps; i++) {
            qemu_lab_step(lab);
        }
        assert_int_equal(qemu_lab_ask(lab, WORLD_VM_KILL, "vm"), OK);
        qemu_lab_await(&start);
        assert_true(start.request.result == ERR_CLOSED || start.request.result == OK);
        assert_int_equal(count_listed(lab), 0);
        assert_int_equal(qemu_lab_processes(lab), 0);
    }
}

/* --- the guard -------------------------------------------------------------------------------- */

struct lab_guard {
    struct qemu_hold *hold; /* that waits for an answer */
    unsigned holds;
};

static void hold_later(void *ctx, struct qemu_hold *hold)
{
    struct lab_guard *guard = ctx;
    guard->hold = hold;
    guard->holds++;
}

static void lab_with_guard(struct qemu_lab *lab, struct lab_guard *guard)
{
    qemu_lab_driver_close(lab);
    lab->config.guard = (struct qemu_guard){hold_later, guard};
    qemu_lab_driver_open(lab);
}

static void a_guarded_machine_is_denied_without_a_guard(void **state)
{
    struct qemu_lab *lab = *state;

    assert_int_equal(start_with(lab, "disk", qemu_lab_definition(""), true), ERR_DENIED);
    nothing_is_left(lab);
}

static void start_guarded(struct qemu_lab *lab, struct qemu_lab_call *call, struct lab_guard *guard)
{
    const struct world_vm_spec spec = {.name = "vm",
                                       .volume = "disk",
                                       .epoch = 1,
                                       .is_guarded = true,
                                       .definition = qemu_lab_definition("")};

    qemu_lab_send(call, lab, WORLD_VM_START, spec, QEMU_LAB_PATIENCE);
    for (int i = 0; guard->hold == NULL; i++) {
        assert_true(i < 60000 && !call->is_done);
        qemu_lab_step(lab);
    }
}

static void a_guest_does_not_run_before_the_guard_has_it(void **state)
{
    struct qemu_lab *lab = *state;
    struct lab_guard guard = {.hold = NULL};
    struct qemu_lab_call call;
    char path[160];

    lab_with_guard(lab, &guard);
    start_guarded(lab, &call, &guard);
    assert_string_equal(guard.hold->name, "vm");
    for (int i = 0; i < 200; i++) {
        qemu_lab_step(lab);
    }
    assert_false(call.is_done);
    assert_string_equal(qemu_lab_file(lab, "vm", "console.log"), "");
    (void)snprintf(path, sizeof path, "%s/vm/%s", lab->run, QEMU_FILE_STARTING);
    assert_int_equal(access(path, F_OK), 0);
    guard.hold->held(guard.hold, OK);
    qemu_lab_await(&call);
    assert_int_equal(call.request.result, OK);
    qemu_lab_await_console(lab, "vm", "READY");
    assert_int_equal(guard.holds, 1);
    /* The guard may be another one by now. */
    guard.hold = NULL;
    qemu_lab_driver_close(lab);
    qemu_lab_driver_open(lab);
    assert_int_equal(guard.holds, 2);
    assert_string_equal(guard.hold->name, "vm");
    assert_int_equal(guard.hold->epoch, 1);
    guard.hold->held(guard.hold, OK);
    list_all(lab, &call);
    assert_int_equal(call.count, 1);
    assert_true(call.listed[0].is_guarded);
}

/* Its next question to the guard, which is then answered so. */
static void lab_answer_hold(struct qemu_lab *lab, struct lab_guard *guard, enum err result)
{
    for (int i = 0; guard->hold == NULL; i++) {
        assert_true(i < 60000);
        qemu_lab_step(lab);
    }
    struct qemu_hold *hold = guard->hold;
    guard->hold = NULL;
    assert_string_equal(hold->name, "vm");
    hold->held(hold, result);
}

static unsigned told_times(const struct qemu_lab *lab, const char *text)
{
    unsigned n = 0;

    for (const char *at = lab->told; (at = strstr(at, text)) != NULL; at++) {
        n++;
    }
    return n;
}

/* The guard was slow, was away, or had no lease when it was asked. */
static void what_is_adopted_is_handed_over_until_the_guard_has_it(void **state)
{
    struct qemu_lab *lab = *state;
    struct lab_guard guard = {.hold = NULL};
    struct qemu_lab_call call;

    lab_with_guard(lab, &guard);
    start_guarded(lab, &call, &guard);
    lab_answer_hold(lab, &guard, OK);
    qemu_lab_await(&call);
    assert_int_equal(call.request.result, OK);
    qemu_lab_driver_close(lab);
    qemu_lab_driver_open(lab);
    const nanos began = world_now(lab->w);
    lab_answer_hold(lab, &guard, ERR_TIMEOUT);
    lab_answer_hold(lab, &guard, ERR_REFUSED);
    lab_answer_hold(lab, &guard, ERR_REFUSED);
    assert_true(world_now(lab->w) >= began + 2 * QEMU_HOLD_AGAIN);      /* no storm */
    assert_int_equal(told_times(lab, "the guard does not hold it"), 2); /* once each */
    lab_answer_hold(lab, &guard, OK);
    assert_int_equal(told_times(lab, "the guard holds it now"), 1);
    assert_int_equal(guard.holds, 5);
    const nanos held = world_now(lab->w);
    while (world_now(lab->w) < held + 2 * QEMU_HOLD_AGAIN) {
        qemu_lab_step(lab);
    }
    assert_int_equal(guard.holds, 5);
}

static void a_guard_that_says_no_ends_the_start(void **state)
{
    struct qemu_lab *lab = *state;
    struct lab_guard guard = {.hold = NULL};
    struct qemu_lab_call call;

    lab_with_guard(lab, &guard);
    start_guarded(lab, &call, &guard);
    guard.hold->held(guard.hold, ERR_CLOSED);
    qemu_lab_await(&call);
    assert_int_equal(call.request.result, ERR_DENIED);
    nothing_is_left(lab);
}

static void a_guard_may_answer_when_the_machine_is_gone(void **state)
{
    struct qemu_lab *lab = *state;
    struct lab_guard guard = {.hold = NULL};
    struct qemu_lab_call call;

    lab_with_guard(lab, &guard);
    start_guarded(lab, &call, &guard);
    assert_int_equal(qemu_lab_ask(lab, WORLD_VM_KILL, "vm"), OK);
    qemu_lab_await(&call);
    assert_int_equal(call.request.result, ERR_CLOSED);
    guard.hold->held(guard.hold, OK);
    assert_int_equal(count_listed(lab), 0);
}

/* --- our own death ---------------------------------------------------------------------------- */

/* A process with a driver of its own in the laboratory's run directory, which starts the machine
 * "vm" and is killed after `steps` of the loop, or, 0, once it runs. */
static void a_daemon_starts_and_is_killed(struct qemu_lab *lab, int steps)
{
    int ends[2];
    char byte = 0;

    qemu_lab_driver_close(lab);
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct qemu_lab_call call;
        const struct world_vm_spec spec = {
            .name = "vm", .volume = "disk", .epoch = 9, .definition = qemu_lab_definition("")};
        /* The loop is the parent's; this one is new. */
        if (linux_world_open("/", &lab->lw) != OK) {
            _exit(1);
        }
        lab->w = linux_world_table(lab->lw);
        lab->config.told = NULL;
        qemu_lab_driver_open(lab);
        qemu_lab_send(&call, lab, WORLD_VM_START, spec, QEMU_LAB_PATIENCE);
        for (int i = 0; steps == 0 || i < steps; i++) {
            (void)linux_world_poll(lab->lw, NANOS_PER_MS);
            if (steps == 0 && call.is_done && call.request.result == OK) {
                break;
            }
        }
        (void)!write(ends[1], "x", 1);
        for (;;) {
            (void)pause();
        }
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    (void)close(ends[0]);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void a_machine_survives_the_kill_of_its_daemon(void **state)
{
    struct qemu_lab *lab = *state;
    struct qemu_lab_call list;

    a_daemon_starts_and_is_killed(lab, 0);
    const pid_t pid = qemu_lab_signal(lab, "vm", 0);
    qemu_lab_driver_open(lab);
    qemu_lab_send(&list, lab, WORLD_VM_LIST, (struct world_vm_spec){.name = NULL},
                  QEMU_LAB_PATIENCE);
    qemu_lab_await(&list);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.listed[0].name, "vm");
    assert_int_equal(list.listed[0].epoch, 9);
    assert_int_equal(list.listed[0].state, WORLD_VM_RUNNING);
    qemu_lab_await_console(lab, "vm", "tick");
    assert_int_equal(qemu_lab_ask(lab, WORLD_VM_PAUSE, "vm"), OK);
    assert_int_equal(qemu_lab_pid(lab, "vm"), pid);
    assert_int_equal(kill(pid, SIGKILL), 0);
    qemu_lab_await_exits(lab, 1);
    assert_int_equal(lab->exits[0].epoch, 9);
    assert_int_equal(lab->exits[0].end, WORLD_VM_CRASHED);
}

/* Whatever moment of a START it dies at, nothing runs that is not found. */
static void a_start_that_is_cut_off_leaves_nothing_unknown(void **state)
{
    struct qemu_lab *lab = *state;

    for (int steps = 1; steps <= 64; steps *= 2) {
        a_daemon_starts_and_is_killed(lab, steps);
        qemu_lab_driver_open(lab);
        (void)count_listed(lab);
        if (qemu_lab_pid(lab, "vm") != 0) {
            assert_int_equal(qemu_lab_ask(lab, WORLD_VM_KILL, "vm"), OK);
        }
        for (int tries = 0; qemu_lab_processes(lab) > 0; tries++) {
            assert_true(tries < 10000);
            qemu_lab_step(lab);
        }
        lab->exit_count = 0;
        assert_int_equal(qemu_lab_start(lab, "vm", "disk"), OK);
        assert_int_equal(qemu_lab_ask(lab, WORLD_VM_KILL, "vm"), OK);
        lab->exit_count = 0;
    }
}

/* -no-shutdown keeps the process for us to see. */
static void a_guest_that_shut_down_meanwhile_is_told_as_such(void **state)
{
    struct qemu_lab *lab = *state;

    assert_int_equal(qemu_lab_start(lab, "vm", "disk"), OK);
    qemu_lab_await_console(lab, "vm", "READY");
    struct qemu_lab_call call;
    qemu_lab_send(&call, lab, WORLD_VM_STOP, (struct world_vm_spec){.name = "vm"},
                  QEMU_LAB_PATIENCE);
    qemu_lab_await(&call);
    qemu_lab_driver_close(lab);
    qemu_lab_await_console(lab, "vm", "BYE");
    if (lab->exit_count == 0) { /* or it was very quick, and seen before the driver was gone */
        qemu_lab_driver_open(lab);
        assert_int_equal(count_listed(lab), 0);
        qemu_lab_await_exits(lab, 1);
    }
    assert_int_equal(lab->exits[0].end, WORLD_VM_SHUT_DOWN);
}

static void a_run_directory_is_of_one_driver(void **state)
{
    struct qemu_lab *lab = *state;
    struct qemu_driver *second = NULL;

    assert_int_equal(qemu_open(linux_world_loop(lab->lw), lab->w, &lab->config, &second), ERR_BUSY);
    assert_null(second);
    lab->config.folder_count = 0;
    assert_int_equal(qemu_open(linux_world_loop(lab->lw), lab->w, &lab->config, &second),
                     ERR_INVALID);
}

/* A pid alone is nobody: the process that has it now was started at another time. */
static void a_pid_that_was_given_anew_is_not_taken_for_the_machine(void **state)
{
    struct qemu_lab *lab = *state;
    struct qemu_record record = {.name = "vm", .volume = "disk", .epoch = 4, .order = 1};
    char path[128];

    qemu_lab_driver_close(lab);
    (void)snprintf(path, sizeof path, "%s/vm", lab->run);
    assert_int_equal(mkdir(path, 0700), 0);
    const int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const pid_t bystander = fork();
    if (bystander == 0) {
        for (;;) {
            (void)pause();
        }
    }
    qemu_boot_id(record.boot);
    record.pid = bystander;
    record.began = qemu_process_began(bystander) + 1;
    assert_int_equal(qemu_record_write(dir, QEMU_FILE_STARTING, &record), OK);
    qemu_lab_driver_open(lab);
    assert_int_equal(count_listed(lab), 0);
    assert_int_equal(lab->exit_count, 0);
    qemu_lab_driver_close(lab);
    assert_int_equal(qemu_record_write(dir, QEMU_FILE_MACHINE, &record), OK);
    qemu_lab_driver_open(lab);
    assert_int_equal(count_listed(lab), 0);
    assert_int_equal(lab->exit_count, 1);
    /* A machine of an earlier boot went with its power. */
    qemu_lab_driver_close(lab);
    record.began--;
    record.boot[0] = record.boot[0] == '0' ? '1' : '0';
    assert_int_equal(qemu_record_write(dir, QEMU_FILE_MACHINE, &record), OK);
    qemu_lab_driver_open(lab);
    assert_int_equal(count_listed(lab), 0);
    assert_int_equal(lab->exit_count, 1);
    assert_int_equal(waitpid(bystander, NULL, WNOHANG), 0);
    assert_int_equal(kill(bystander, SIGKILL), 0);
    assert_int_equal(waitpid(bystander, NULL, 0), bystander);
    (void)close(dir);
}

/* --- moves ------------------------------------------------------------------------------------ */

static void a_moved_guest_counts_on_without_a_gap(void **state)
{
    struct qemu_lab *lab = *state;
    static struct qemu_lab other;
    struct qemu_lab_call call;
    struct world_vm_spec spec = {.name = "vm",
                                 .volume = "disk",
                                 .epoch = 2,
                                 .is_incoming = true,
                                 .definition = qemu_lab_definition("")};

    qemu_lab_open(&other);
    qemu_lab_driver_close(&other);
    other.config.folders[0] = lab->images;
    qemu_lab_driver_open(&other);
    assert_int_equal(qemu_lab_start(lab, "vm", "disk"), OK);
    qemu_lab_await_console(lab, "vm", "tick 1\n");
    qemu_lab_send(&call, &other, WORLD_VM_START, spec, QEMU_LAB_PATIENCE);
    qemu_lab_await(&call);
    assert_int_equal(call.request.result, OK);
    const uint16_t port = call.request.port;
    memset(&call, 0, sizeof call);
    qemu_lab_prepare(&call, lab, WORLD_VM_MIGRATE, (struct world_vm_spec){.name = "vm"},
                     QEMU_LAB_PATIENCE);
    call.request.to = (struct world_endpoint){"127.0.0.1", port};
    const nanos before = world_now(lab->w);
    lab->w->vm->submit(lab->w->self, &call.request);
    qemu_lab_await(&call);
    const nanos moved = world_now(lab->w);
    assert_int_equal(call.request.result, OK);
    assert_int_equal(qemu_lab_ask(&other, WORLD_VM_RESUME, "vm"), OK);
    print_message("# moved in %.1f ms, runs again %.1f ms later\n", (double)(moved - before) / 1e6,
                  (double)(world_now(lab->w) - moved) / 1e6);
    assert_int_equal(qemu_lab_ask(lab, WORLD_VM_KILL, "vm"), OK);
    const char *console = qemu_lab_file(lab, "vm", "console.log");
    const char *last = strrchr(console, 'k');
    char next[32];
    (void)snprintf(next, sizeof next, "tick %lu\n", strtoul(last + 1, NULL, 10) + 1);
    qemu_lab_await_console(&other, "vm", next);
    /* It did not boot there: it went on. */
    assert_null(strstr(qemu_lab_file(&other, "vm", "console.log"), "READY"));
    qemu_lab_close(&other);
}

/* --- the agent: Debian's, in the place of the guest's ------------------------------------------
 */

#define AGENT_BINARY "/usr/sbin/qemu-ga"

/* Listens where the machine's agent is, and works in the laboratory, for the sweeper to find. */
static pid_t agent_begin(struct qemu_lab *lab)
{
    char path[160];

    (void)snprintf(path, sizeof path, "%s/vm/agent", lab->run);
    assert_int_equal(unlink(path), 0);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        (void)dup2(null, 0);
        (void)dup2(null, 1);
        (void)dup2(null, 2);
        if (chdir(lab->root) == 0) {
            (void)execl(AGENT_BINARY, AGENT_BINARY, "-m", "unix-listen", "-p", path, "-t",
                        lab->root, (char *)NULL);
        }
        _exit(127);
    }
    /* Its socket has a name before it listens. */
    for (int i = 0; qemu_lab_ask(lab, WORLD_VM_PING, "vm") != OK; i++) {
        assert_true(i < 60000);
        qemu_lab_step(lab);
    }
    return pid;
}

static enum err run_in_guest(struct qemu_lab *lab, struct world_command_request *command,
                             nanos patience)
{
    struct qemu_lab_call call;

    qemu_lab_prepare(&call, lab, WORLD_VM_EXEC, (struct world_vm_spec){.name = "vm"}, patience);
    call.request.command = command;
    lab->w->vm->submit(lab->w->self, &call.request);
    qemu_lab_await(&call);
    return call.request.result;
}

static void the_agent_of_debian_is_understood(void **state)
{
    struct qemu_lab *lab = *state;
    static uint8_t output[WORLD_COMMAND_SAYS_MAX_BYTES];
    uint8_t errors[4];
    const char *const echo[] = {"/bin/sh", "-c",        "cat; echo $NAME \"$1\" 1>&2; exit 5",
                                "sh",      "a \"b\"\n", NULL};
    const char *const environment[] = {"NAME=x", NULL};
    const char *const much[] = {"/usr/bin/head", "-c", "60000", "/dev/zero", NULL};
    const char *const none[] = {"/nowhere", NULL};
    const char *const dies[] = {"/bin/sh", "-c", "kill -9 $$", NULL};
    const char *const sleeps[] = {"/bin/sleep", "1000", NULL};

    if (access(AGENT_BINARY, X_OK) != 0) {
        print_message("# there is no " AGENT_BINARY "\n");
        skip();
    }
    assert_int_equal(qemu_lab_start(lab, "vm", "disk"), OK);
    const pid_t agent = agent_begin(lab);
    assert_int_equal(qemu_lab_ask(lab, WORLD_VM_PING, "vm"), OK);
    struct world_command_request command = {
        .arguments = echo,
        .environment = environment,
        .input = {(const uint8_t *)"input\0x", 7},
        .output = {.buffer = output, .room = sizeof output},
        .errors = {.buffer = errors, .room = sizeof errors},
    };
    assert_int_equal(run_in_guest(lab, &command, QEMU_LAB_PATIENCE), OK);
    assert_int_equal(command.end, WORLD_COMMAND_EXITED);
    assert_int_equal(command.status, 5);
    assert_int_equal(command.output.kept, 7);
    assert_memory_equal(output, "input\0x", 7);
    assert_int_equal(command.errors.kept, sizeof errors);
    assert_int_equal(command.errors.total, strlen("x a \"b\"\n\n"));
    assert_memory_equal(errors, "x a ", sizeof errors);
    command.input.len = 0;
    command.environment = NULL;
    command.arguments = much;
    assert_int_equal(run_in_guest(lab, &command, QEMU_LAB_PATIENCE), OK);
    assert_int_equal(command.output.total, 60000);
    command.arguments = dies;
    assert_int_equal(run_in_guest(lab, &command, QEMU_LAB_PATIENCE), OK);
    assert_int_equal(command.end, WORLD_COMMAND_SIGNALED);
    assert_int_equal(command.status, SIGKILL);
    command.arguments = none;
    assert_int_equal(run_in_guest(lab, &command, QEMU_LAB_PATIENCE), ERR_REFUSED);
    assert_non_null(strstr(lab->told, "its agent refuses"));
    command.arguments = sleeps;
    assert_int_equal(run_in_guest(lab, &command, 300 * NANOS_PER_MS), ERR_TIMEOUT);
    assert_int_equal(kill(agent, SIGSTOP), 0);
    for (int i = 0; i < 3; i++) {
        struct qemu_lab_call ping;
        qemu_lab_send(&ping, lab, WORLD_VM_PING, (struct world_vm_spec){.name = "vm"},
                      100 * NANOS_PER_MS);
        qemu_lab_await(&ping);
        /* It takes no connection but the one that it has. */
        assert_true(ping.request.result == ERR_TIMEOUT || ping.request.result == ERR_CLOSED);
    }
    assert_int_equal(kill(agent, SIGKILL), 0);
    assert_int_equal(waitpid(agent, NULL, 0), agent);
    assert_int_equal(qemu_lab_ask(lab, WORLD_VM_PING, "vm"), ERR_CLOSED);
}

/* --- logs, watchdog, accelerator -------------------------------------------------------------- */

static void logs_do_not_grow_without_end(void **state)
{
    struct qemu_lab *lab = *state;
    char path[160];
    struct stat stat_now;
    char older[200];

    qemu_lab_driver_close(lab);
    lab->config.log_bytes_max = 64;
    qemu_lab_driver_open(lab);
    assert_int_equal(qemu_lab_start(lab, "vm", "disk"), OK);
    (void)snprintf(path, sizeof path, "%s/vm/console.log", lab->run);
    (void)snprintf(older, sizeof older, "%s.1", path);
    for (int i = 0; access(older, F_OK) != 0; i++) {
        assert_true(i < 60000);
        qemu_lab_step(lab);
    }
    assert_int_equal(stat(older, &stat_now), 0);
    assert_in_range(stat_now.st_size, 1, 64);
    /* It goes on at the beginning of the file, not behind a hole. */
    qemu_lab_await_console(lab, "vm", "tick");
    assert_int_not_equal(qemu_lab_file(lab, "vm", "console.log")[0], '\0');
}

static bool keeps_place(const struct qemu_lab *lab, const char *name)
{
    char path[160];

    (void)snprintf(path, sizeof path, "%s/%s", lab->run, name);
    return access(path, F_OK) == 0;
}

static void the_logs_of_the_last_machines_are_kept(void **state)
{
    struct qemu_lab *lab = *state;
    const char *const names[] = {"c", "b", "d", "a"};
    char path[160];

    qemu_lab_driver_close(lab);
    lab->config.places_max = 2;
    qemu_lab_driver_open(lab);
    (void)snprintf(path, sizeof path, "%s/odd", lab->run);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/odd/%s", lab->run, QEMU_FILE_MACHINE);
    const int odd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    (void)close(odd);
    assert_int_equal(qemu_lab_start(lab, "lives", "other"), OK);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_int_equal(qemu_lab_start(lab, names[i], "disk"), OK);
        assert_int_equal(qemu_lab_ask(lab, WORLD_VM_KILL, names[i]), OK);
    }
    assert_true(keeps_place(lab, "lives"));
    assert_false(keeps_place(lab, "c"));
    assert_false(keeps_place(lab, "b"));
    assert_true(keeps_place(lab, "d"));
    assert_true(keeps_place(lab, "a"));
    /* What cannot be read may be of something that lives. */
    assert_true(keeps_place(lab, "odd"));
}

static void a_watchdog_that_runs_out_pauses_the_guest(void **state)
{
    struct qemu_lab *lab = *state;
    struct qemu_lab_call query;

    assert_int_equal(start_with(lab, "disk", qemu_lab_definition("watchdog hang=2"), false), OK);
    for (int i = 0; strstr(lab->told, "its watchdog has run out") == NULL; i++) {
        assert_true(i < 60000);
        qemu_lab_step(lab);
    }
    qemu_lab_send(&query, lab, WORLD_VM_QUERY, (struct world_vm_spec){.name = "vm"},
                  QEMU_LAB_PATIENCE);
    qemu_lab_await(&query);
    assert_int_equal(query.request.state, WORLD_VM_PAUSED);
}

static void the_probe_sees_whether_an_accelerator_runs_a_guest(void **state)
{
    struct qemu_lab *lab = *state;
    const int run = open(lab->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char noted[256];
    char boot[QEMU_BOOT_ID_BYTES];

    assert_int_equal(qemu_probe_run(QEMU_BINARY, "tcg", run), QEMU_PROBE_RUNS);
    assert_int_equal(qemu_probe_run("/bin/true", "tcg", run), QEMU_PROBE_FAILS);
    assert_int_equal(qemu_probe_run(QEMU_BINARY, "no-such-thing", run), QEMU_PROBE_FAILS);
    const enum qemu_probe_verdict kvm = qemu_probe_kvm(QEMU_BINARY, run);
    print_message("# /dev/kvm %s; a guest %s under KVM\n",
                  access("/dev/kvm", R_OK | W_OK) == 0 ? "opens" : "does not open",
                  kvm == QEMU_PROBE_RUNS ? "runs" : "does not run");
    (void)qemu_file_read(run, QEMU_FILE_ACCEL, noted, sizeof noted - 1);
    qemu_boot_id(boot);
    if (access("/dev/kvm", R_OK | W_OK) == 0 && kvm != QEMU_PROBE_UNSURE) {
        assert_memory_equal(noted, boot, strlen(boot));
        assert_non_null(strstr(noted, kvm == QEMU_PROBE_RUNS ? " yes " : " no "));
    }
    /* What is noted is believed, for this boot. */
    (void)snprintf(noted, sizeof noted, "%s yes /bin/true\n", boot);
    const int file = openat(run, QEMU_FILE_ACCEL, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(file, noted, strlen(noted)), strlen(noted));
    assert_int_equal(qemu_probe_kvm("/bin/true", run), QEMU_PROBE_RUNS);
    noted[0] = noted[0] == '0' ? '1' : '0';
    assert_int_equal(pwrite(file, noted, 1, 0), 1);
    assert_int_equal(qemu_probe_kvm("/bin/true", run), QEMU_PROBE_FAILS);
    (void)close(file);
    (void)close(run);
    /* The last of them may be dying yet. */
    for (int i = 0; qemu_lab_processes(lab) > 0; i++) {
        assert_true(i < 60000);
        qemu_lab_step(lab);
    }
}

static void an_accelerator_that_works_is_chosen_by_itself(void **state)
{
    struct qemu_lab *lab = *state;

    qemu_lab_driver_close(lab);
    lab->config.accel = QEMU_ACCEL_AUTO;
    qemu_lab_driver_open(lab);
    assert_int_equal(qemu_lab_start(lab, "vm", "disk"), OK);
    qemu_lab_await_console(lab, "vm", "tick 3\n");
}

#define LAB_TEST(body) cmocka_unit_test_setup_teardown(body, open_lab, close_lab)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(the_guest_counts_on_where_its_disk_says),
        LAB_TEST(a_kill_from_outside_is_seen_at_once),
        LAB_TEST(a_signal_to_end_is_no_guest_that_shuts_down),
        LAB_TEST(bad_definitions_are_refused_with_the_reason),
        LAB_TEST(images_outside_of_their_directories_are_denied),
        LAB_TEST(a_link_within_its_directory_is_followed),
        LAB_TEST(what_is_no_image_is_refused),
        LAB_TEST(a_qemu_that_is_not_there_is_told),
        LAB_TEST(a_run_directory_without_room_starts_nothing),
        LAB_TEST(a_start_past_its_deadline_is_given_up_and_killed),
        LAB_TEST(a_kill_reaches_a_machine_that_is_still_starting),
        LAB_TEST(a_guarded_machine_is_denied_without_a_guard),
        LAB_TEST(a_guest_does_not_run_before_the_guard_has_it),
        LAB_TEST(what_is_adopted_is_handed_over_until_the_guard_has_it),
        LAB_TEST(a_guard_that_says_no_ends_the_start),
        LAB_TEST(a_guard_may_answer_when_the_machine_is_gone),
        LAB_TEST(a_machine_survives_the_kill_of_its_daemon),
        LAB_TEST(a_start_that_is_cut_off_leaves_nothing_unknown),
        LAB_TEST(a_guest_that_shut_down_meanwhile_is_told_as_such),
        LAB_TEST(a_run_directory_is_of_one_driver),
        LAB_TEST(a_pid_that_was_given_anew_is_not_taken_for_the_machine),
        LAB_TEST(a_moved_guest_counts_on_without_a_gap),
        LAB_TEST(the_agent_of_debian_is_understood),
        LAB_TEST(logs_do_not_grow_without_end),
        LAB_TEST(the_logs_of_the_last_machines_are_kept),
        LAB_TEST(a_watchdog_that_runs_out_pauses_the_guest),
        LAB_TEST(the_probe_sees_whether_an_accelerator_runs_a_guest),
        LAB_TEST(an_accelerator_that_works_is_chosen_by_itself),
    };
    const int missing = qemu_lab_missing();

    return missing != 0 ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
