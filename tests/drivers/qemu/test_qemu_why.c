/* What the driver answers beyond a result: why a start has failed, and why a guest stands still.
 * Whoever reads it has nothing else to go by. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/drivers/qemu/qemu_lab.h"
#include "tests/support/test.h"

static int why_open_lab(void **state)
{
    static struct qemu_lab lab;

    qemu_lab_open(&lab);
    *state = &lab;
    return 0;
}

static int why_close_lab(void **state)
{
    qemu_lab_close(*state);
    return 0;
}

/* The answer to a START; static. */
static const struct world_vm_request *why_start(struct qemu_lab *lab, const char *name,
                                                const char *volume, struct bytes definition)
{
    static struct qemu_lab_call call;
    const struct world_vm_spec spec = {
        .name = name, .volume = volume, .epoch = 1, .definition = definition};

    qemu_lab_send(&call, lab, WORLD_VM_START, spec, QEMU_LAB_PATIENCE);
    qemu_lab_await(&call);
    return &call.request;
}

static struct bytes why_text(const char *json)
{
    return (struct bytes){(const uint8_t *)json, strlen(json)};
}

static void why_says(const struct world_vm_request *request, enum err result, const char *text)
{
    print_message("# %s: %s\n", err_text(request->result), request->why);
    assert_int_equal(request->result, result);
    if (strstr(request->why, text) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", text, request->why);
    }
}

static void an_image_that_is_missing_is_named(void **state)
{
    struct qemu_lab *lab = *state;
    char path[160];

    (void)snprintf(path, sizeof path, "the image %s/none: No such file or directory", lab->images);
    why_says(why_start(lab, "vm", "none", qemu_lab_definition("")), ERR_NOT_FOUND, path);
    why_says(why_start(lab, "vm", "disk",
                       why_text("{\"memory_mib\": 16, \"firmware\": \"/usr/share/qemu/none\"}")),
             ERR_NOT_FOUND, "the firmware /usr/share/qemu/none: No such file or directory");
    /* A start that is well has nothing to say. */
    assert_string_equal(why_start(lab, "vm", "disk", qemu_lab_definition(""))->why, "");
}

static void what_qemu_says_is_answered(void **state)
{
    struct qemu_lab *lab = *state;

    char image[160];

    (void)snprintf(image, sizeof image, "its image %s/disk: Image is not in qcow2 format",
                   lab->images);
    why_says(why_start(lab, "vm", "disk",
                       why_text("{\"memory_mib\": 16, \"disk\": {\"format\": \"qcow2\"}}")),
             ERR_IO, image);
    why_says(why_start(lab, "vm", "disk", why_text("{\"memory_mib\": 16777216}")), ERR_IO,
             "Cannot allocate memory");
    why_says(why_start(lab, "vm", "disk", why_text("{\"memory_mib\": 16, \"colour\": 1}")),
             ERR_INVALID, "\"colour\"");
    (void)why_start(lab, "vm", "disk", qemu_lab_definition(""));
    why_says(why_start(lab, "vm", "other", qemu_lab_definition("")), ERR_EXISTS,
             "lives here already, in epoch 1");
}

static void firmware_that_is_none_is_named(void **state)
{
    struct qemu_lab *lab = *state;
    char path[160];
    char json[256];

    (void)snprintf(path, sizeof path, "%s/bios", lab->images);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "x", 1), 1);
    (void)close(fd);
    (void)snprintf(json, sizeof json, "{\"memory_mib\": 16, \"firmware\": \"%s\"}", path);
    why_says(why_start(lab, "vm", "disk", why_text(json)), ERR_IO, path);
}

static void a_lock_has_its_holder(void **state)
{
    struct qemu_lab *lab = *state;
    char path[160];
    char holder[64];

    (void)snprintf(path, sizeof path, "%s/link", lab->images);
    assert_int_equal(symlink("disk", path), 0);
    why_says(why_start(lab, "first", "disk", qemu_lab_definition("")), OK, "");
    const pid_t pid = qemu_lab_pid(lab, "first");
    (void)snprintf(holder, sizeof holder, "machine first of this host (process %d)", (int)pid);
    why_says(why_start(lab, "vm", "link", qemu_lab_definition("")), ERR_REFUSED, holder);
    /* To another driver it is just a process. */
    char run[100];
    struct qemu_driver *second = NULL;
    struct qemu_config config = lab->config;
    struct qemu_lab_call call;
    (void)snprintf(run, sizeof run, "%s/run-2", lab->root);
    config.run_dir = run;
    assert_int_equal(qemu_open(linux_world_loop(lab->lw), lab->w, &config, &second), OK);
    qemu_lab_prepare(
        &call, lab, WORLD_VM_START,
        (struct world_vm_spec){
            .name = "vm", .volume = "disk", .epoch = 1, .definition = qemu_lab_definition("")},
        QEMU_LAB_PATIENCE);
    qemu_vm_ops.submit(second, &call.request);
    qemu_lab_await(&call);
    qemu_close(second);
    (void)snprintf(holder, sizeof holder, "process %d of this host (qemu-system-", (int)pid);
    why_says(&call.request, ERR_REFUSED, holder);
}

static const struct world_vm_request *why_query(struct qemu_lab *lab)
{
    static struct qemu_lab_call call;

    qemu_lab_send(&call, lab, WORLD_VM_QUERY, (struct world_vm_spec){.name = "vm"},
                  QEMU_LAB_PATIENCE);
    qemu_lab_await(&call);
    return &call.request;
}

static void a_disk_without_room_stops_the_guest_and_says_so(void **state)
{
    struct qemu_lab *lab = *state;
    char path[160];
    char image[180];

    (void)snprintf(path, sizeof path, "%s/small", lab->images);
    assert_int_equal(mkdir(path, 0700), 0);
    if (mount("none", path, "tmpfs", 0, "size=4k") != 0) {
        print_message("# only root can mount a small file system\n");
        skip();
    }
    (void)snprintf(image, sizeof image, "%s/image", path);
    const int fd = open(image, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool is_made = fd >= 0 && ftruncate(fd, 1024 * 1024) == 0;
    (void)close(fd);
    /* The only page there is has the other file. */
    (void)snprintf(image, sizeof image, "%s/other", path);
    const int other = open(image, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    is_made = is_made && other >= 0 && write(other, "x", 1) == 1;
    (void)close(other);
    const struct world_vm_request *start =
        why_start(lab, "vm", "small/image", qemu_lab_definition(""));
    const bool is_started = start->result == OK;
    const struct world_vm_request *query = why_query(lab);
    for (int i = 0; i < 10000 && query->state != WORLD_VM_PAUSED; i++) {
        qemu_lab_step(lab);
        query = why_query(lab);
    }
    const struct world_vm_request full = *query;
    const bool is_larger = mount(NULL, path, NULL, MS_REMOUNT, "size=4m") == 0;
    const enum err resumed = qemu_lab_ask(lab, WORLD_VM_RESUME, "vm");
    qemu_lab_await_console(lab, "vm", "tick 3\n");
    query = why_query(lab);
    const enum err killed = qemu_lab_ask(lab, WORLD_VM_KILL, "vm");
    assert_int_equal(umount2(path, MNT_DETACH), 0);
    assert_true(is_made && is_started && is_larger);
    assert_int_equal(full.state, WORLD_VM_PAUSED);
    why_says(&full, OK, "its disk fails: No space left on device");
    assert_int_equal(resumed, OK);
    assert_int_equal(query->state, WORLD_VM_RUNNING);
    assert_string_equal(query->why, "");
    assert_int_equal(killed, OK);
}

#define WHY_TEST(body) cmocka_unit_test_setup_teardown(body, why_open_lab, why_close_lab)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WHY_TEST(an_image_that_is_missing_is_named),
        WHY_TEST(what_qemu_says_is_answered),
        WHY_TEST(firmware_that_is_none_is_named),
        WHY_TEST(a_lock_has_its_holder),
        WHY_TEST(a_disk_without_room_stops_the_guest_and_says_so),
    };
    const int missing = qemu_lab_missing();

    return missing != 0 ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
