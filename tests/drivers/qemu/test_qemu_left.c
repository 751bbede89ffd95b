/* What a machine leaves behind that dies in the middle of writing its image's own tables. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/drivers/qemu/qemu_lab.h"
#include "tests/support/test.h"

/* The tiny guest on an image of the format qcow2. Static. */
static struct bytes left_definition(void)
{
    static char text[2048];
    static const char with[] = "\"format\": \"qcow2\", ";
    const struct bytes plain = qemu_lab_definition("");
    const char *at = strstr((const char *)plain.data, "\"bus\"");

    assert_non_null(at);
    const int head = (int)(at - (const char *)plain.data);
    const int n = snprintf(text, sizeof text, "%.*s%s%s", head, (const char *)plain.data, with, at);
    assert_true(n > 0 && (size_t)n < sizeof text);
    return (struct bytes){(const uint8_t *)text, (size_t)n};
}

static enum err left_start(struct qemu_lab *lab, uint64_t epoch)
{
    struct qemu_lab_call call;
    const struct world_vm_spec spec = {
        .name = "vm", .volume = "disk", .epoch = epoch, .definition = left_definition()};

    qemu_lab_send(&call, lab, WORLD_VM_START, spec, QEMU_LAB_PATIENCE);
    qemu_lab_await(&call);
    return call.request.result;
}

/* True: qemu-img did as it was told. */
static bool image_tool(const char *const words[])
{
    int status = 0;
    const pid_t child = fork();

    if (child == 0) {
        (void)freopen("/dev/null", "w", stdout);
        (void)freopen("/dev/null", "w", stderr);
        execvp("qemu-img", (char *const *)(uintptr_t)words);
        _exit(127);
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The first byte of incompatible_features, of which bit 0 says that the image was not closed. */
static int left_features(const char *path)
{
    unsigned char header[80];
    FILE *file = fopen(path, "r");

    assert_non_null(file);
    assert_int_equal(fread(header, 1, sizeof header, file), sizeof header);
    (void)fclose(file);
    return header[79];
}

/* With lazy_refcounts an image is dirty for as long as it is open: whoever dies leaves it so, with
 * tables that are half-done. That mark is QEMU's own, which repairs what it is about at the next
 * start; a lock that somebody else holds is no such thing, and is not touched. */
static void an_image_that_was_left_half_done_is_gone_on_with(void **state)
{
    (void)state;
    struct qemu_lab lab;
    char path[128];

    qemu_lab_open(&lab);
    (void)snprintf(path, sizeof path, "%s/disk", lab.images);
    const char *const create[] = {"qemu-img",          "create", "-q", "-f", "qcow2", "-o",
                                  "lazy_refcounts=on", path,     "1M", NULL};
    assert_true(image_tool(create));
    assert_int_equal(left_start(&lab, 1), OK);
    qemu_lab_await_console(&lab, "vm", "tick 3\n");
    (void)qemu_lab_signal(&lab, "vm", SIGKILL);
    qemu_lab_await_exits(&lab, 1);
    assert_int_equal(left_features(path) & 1, 1);
    assert_int_equal(left_start(&lab, 2), OK);
    qemu_lab_await_console(&lab, "vm", " disk\n"); /* it has read what it wrote before */
    qemu_lab_await_console(&lab, "vm", "tick 2\n");

    /* While it runs it holds the lock, and nothing else gets at the image's snapshots. */
    const char *const snapshot[] = {"qemu-img", "snapshot", "-c", "half", path, NULL};
    assert_false(image_tool(snapshot));
    assert_int_equal(qemu_lab_ask(&lab, WORLD_VM_KILL, "vm"), OK);
    const char *const check[] = {"qemu-img", "check", "-q", "-r", "all", path, NULL};
    assert_true(image_tool(check));
    qemu_lab_close(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_that_was_left_half_done_is_gone_on_with),
    };
    const int missing = qemu_lab_missing();

    return missing != 0 ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
