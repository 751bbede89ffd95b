/* What the driver takes for a machine's definition, and what QEMU's command line makes of it. */
#include "drivers/qemu/qemu_args.h"
#include "drivers/qemu/qemu_definition.h"

#include <string.h>

#include "tests/support/test.h"

static enum err take_definition(const char *json, struct qemu_definition *ret, char *why)
{
    why[0] = '\0';
    return qemu_definition_decode((struct bytes){(const uint8_t *)json, strlen(json)}, ret, why);
}

static void refuses(const char *json, const char *reason)
{
    struct qemu_definition d;
    char why[QEMU_TEXT_MAX_BYTES];

    if (take_definition(json, &d, why) != ERR_INVALID || strstr(why, reason) == NULL) {
        print_error("%s: \"%s\" does not say \"%s\"\n", json, why, reason);
        fail();
    }
}

static void takes_the_least_there_is(void **state)
{
    (void)state;
    struct qemu_definition d;
    char why[QEMU_TEXT_MAX_BYTES];

    assert_int_equal(take_definition("{\"memory_mib\": 16}", &d, why), OK);
    assert_int_equal(d.memory_mib, 16);
    assert_int_equal(d.cpus, 1);
    assert_string_equal(d.machine, "pc");
    assert_string_equal(d.disk_format, "raw");
    assert_int_equal(d.bus, QEMU_BUS_VIRTIO);
    assert_int_equal(d.cache, QEMU_CACHE_NONE);
    assert_null(d.kernel);
    assert_false(d.has_agent);
    qemu_definition_deinit(&d);
}

static void refuses_what_is_no_definition(void **state)
{
    (void)state;
    refuses("", "line 1");
    refuses("[]", "no object");
    refuses("{\"memory_mib\": 16", "line 1");
    refuses("{\"memory_mib\": 16, \"memory_mib\": 17}", "duplicate");
    refuses("{\"memory_mib\": 16, \"memroy\": 1}", "\"memroy\"");
    refuses("{}", "memory_mib is to be a number");
    refuses("{\"memory_mib\": 0}", "from 1 to 16777216");
    refuses("{\"memory_mib\": 16777217}", "from 1 to 16777216");
    refuses("{\"memory_mib\": -1}", "memory_mib");
    refuses("{\"memory_mib\": 1.5}", "memory_mib");
    refuses("{\"memory_mib\": \"16\"}", "memory_mib");
    refuses("{\"memory_mib\": 16, \"cpus\": 256}", "cpus is to be a number from 1 to 255");
    refuses("{\"memory_mib\": 16, \"guest_agent\": 1}", "guest_agent");
    refuses("{\"memory_mib\": 16, \"uuid\": \"1\"}", "uuid");
    refuses("{\"memory_mib\": 16, \"watchdog\": \"poweroff\"}", "watchdog");
}

static void refuses_machines_and_paths_that_it_does_not_know(void **state)
{
    (void)state;
    refuses("{\"memory_mib\": 16, \"machine\": \"isapc\"}", "isapc");
    refuses("{\"memory_mib\": 16, \"machine\": \"pc,accel=kvm\"}", "machine cannot be");
    refuses("{\"memory_mib\": 16, \"machine\": \"pc-i440fx-7.2,x=y\"}", "machine cannot be");
    refuses("{\"memory_mib\": 16, \"firmware\": \"bios\"}", "path from the root");
    refuses("{\"memory_mib\": 16, \"boot\": {}}", "boot wants a kernel");
    refuses("{\"memory_mib\": 16, \"boot\": {\"kernel\": \"k\"}}", "path from the root");
    refuses("{\"memory_mib\": 16, \"boot\": {\"kernel\": \"/k\", \"dtb\": \"/d\"}}", "\"dtb\"");
    refuses("{\"memory_mib\": 16, \"boot\": {\"kernel\": \"/k\", \"append\": \"a\\nb\"}}",
            "append");
    refuses("{\"memory_mib\": 16, \"disk\": {\"format\": \"vmdk\"}}", "vmdk");
    refuses("{\"memory_mib\": 16, \"disk\": {\"bus\": \"usb\"}}", "usb");
    refuses("{\"memory_mib\": 16, \"disk\": {\"cache\": \"unsafe\"}}", "unsafe");
    refuses("{\"memory_mib\": 16, \"disk\": []}", "disk is no object");
}

static void refuses_networks_that_are_none(void **state)
{
    (void)state;
    refuses("{\"memory_mib\": 16, \"nics\": {}}", "nics");
    refuses("{\"memory_mib\": 16, \"nics\": [{\"kind\": \"tap\"}]}", "names its device");
    refuses("{\"memory_mib\": 16, \"nics\": [{\"kind\": \"user\", \"device\": \"t\"}]}",
            "names its device");
    refuses("{\"memory_mib\": 16, \"nics\": [{\"kind\": \"tap\", \"device\": \"t,x=y\"}]}",
            "device cannot be");
    refuses("{\"memory_mib\": 16, \"nics\": [{\"kind\": \"socket\"}]}", "socket");
    refuses("{\"memory_mib\": 16, \"nics\": [{\"mac\": \"01:00:00:00:00:00\"}]}", "mac");
    refuses("{\"memory_mib\": 16, \"nics\": [{\"mac\": \"0\"}]}", "mac");
}

/* Nothing that reaches a file or a socket of the host. */
static void refuses_arguments_that_are_not_on_the_list(void **state)
{
    (void)state;
    refuses("{\"memory_mib\": 16, \"args\": [\"-cpu\"]}", "each with its value");
    refuses("{\"memory_mib\": 16, \"args\": [\"-drive\", \"file=x\"]}", "not on the list");
    refuses("{\"memory_mib\": 16, \"args\": [\"-device\", \"vfio-pci\"]}", "not on the list");
    refuses("{\"memory_mib\": 16, \"args\": [\"-device\", \"VGA,romfile=/etc/passwd\"]}",
            "not on the list");
    refuses("{\"memory_mib\": 16, \"args\": [\"-device\", \"\"]}", "not on the list");
    refuses("{\"memory_mib\": 16, \"args\": [1, 2]}", "not on the list");
    refuses("{\"memory_mib\": 16, \"args\": [\"-cpu\", \"max -drive x\"]}", "not on the list");
}

static bool has_words(const struct qemu_args *args, const char *option, const char *value)
{
    for (size_t i = 0; i + 1 < args->count; i++) {
        if (strcmp(args->words[i], option) == 0 && strstr(args->words[i + 1], value) != NULL) {
            return true;
        }
    }
    return false;
}

static void makes_a_command_line_of_all_parts(void **state)
{
    (void)state;
    const char *json =
        "{\"memory_mib\": 512, \"cpus\": 2, \"machine\": \"pc-i440fx-7.2\","
        " \"uuid\": \"01234567-89ab-cdef-0123-456789abcdef\","
        " \"boot\": {\"kernel\": \"/k,1\", \"initrd\": \"/i\", \"append\": \"a b,c\"},"
        " \"disk\": {\"format\": \"qcow2\", \"bus\": \"scsi\", \"cache\": \"directsync\"},"
        " \"nics\": [{\"kind\": \"tap\", \"device\": \"tap0\", \"mac\": \"52:54:00:00:00:01\"},"
        " {\"kind\": \"user\", \"model\": \"e1000\"}], \"watchdog\": \"reset\","
        " \"guest_agent\": true, \"args\": [\"-cpu\", \"max\", \"-device\", \"pvpanic\"]}";
    const struct qemu_launch launch = {.binary = "/q",
                                       .name = "vm",
                                       .accel = "tcg",
                                       .image = "/images/with \"quotes\", and a comma"};
    struct qemu_definition d;
    struct qemu_args args;
    char why[QEMU_TEXT_MAX_BYTES];

    assert_int_equal(take_definition(json, &d, why), OK);
    qemu_args_make(&args, &launch, &d);
    assert_string_equal(args.words[0], "/q");
    assert_null(args.words[args.count]);
    assert_true(has_words(&args, "-m", "512M"));
    assert_true(has_words(&args, "-smp", "2"));
    assert_true(has_words(&args, "-machine", "pc-i440fx-7.2,"));
    assert_true(has_words(&args, "-kernel", "/k,1"));
    assert_true(has_words(&args, "-append", "a b,c"));
    assert_true(has_words(&args, "-blockdev", "\"locking\":\"on\""));
    assert_true(has_words(&args, "-blockdev", "with \\\"quotes\\\", and a comma"));
    assert_true(has_words(&args, "-blockdev", "\"driver\":\"qcow2\""));
    assert_true(
        has_words(&args, "-device", "scsi-hd,id=scsi0,drive=disk0,bus=scsi.0,write-cache=off"));
    assert_true(has_words(&args, "-device", "werror=stop,rerror=stop"));
    assert_true(has_words(&args, "-netdev", "tap,id=net0,ifname=tap0,script=no"));
    assert_true(has_words(&args, "-device", "e1000,netdev=net1"));
    assert_true(has_words(&args, "-device", "name=" QEMU_AGENT_PORT));
    assert_true(has_words(&args, "-action", "watchdog=reset"));
    assert_true(has_words(&args, "-cpu", "max"));
    assert_true(has_words(&args, "-device", "pvpanic"));
    qemu_args_deinit(&args);
    qemu_definition_deinit(&d);
}

/* The longest of everything still fits into the command line. */
static void holds_as_much_as_it_allows(void **state)
{
    (void)state;
    static char path[QEMU_PATH_MAX_BYTES];
    static char append[QEMU_APPEND_MAX_BYTES];
    char why[QEMU_TEXT_MAX_BYTES];
    struct qemu_definition d;
    struct qemu_args args;
    json_t *nics = json_array();
    json_t *extras = json_array();

    memset(path, '"', sizeof path - 1);
    path[0] = '/';
    memset(append, 'a', sizeof append - 1);
    for (int i = 0; i < QEMU_NICS_MAX; i++) {
        (void)json_array_append_new(nics, json_pack("{s:s, s:s}", "kind", "tap", "device", "t"));
    }
    for (int i = 0; i < QEMU_ARGS_MAX; i++) {
        (void)json_array_append_new(extras, json_string("-device"));
        (void)json_array_append_new(extras, json_string("virtio-rng-pci"));
    }
    json_t *root = json_pack("{s:i, s:s, s:s, s:{s:s, s:s, s:s}, s:{s:s, s:s}, s:o, s:b, s:s, s:o}",
                             "memory_mib", 16, "firmware", path, "uuid",
                             "01234567-89ab-cdef-0123-456789abcdef", "boot", "kernel", path,
                             "initrd", path, "append", append, "disk", "path", path, "bus", "scsi",
                             "nics", nics, "guest_agent", 1, "watchdog", "none", "args", extras);
    assert_non_null(root);
    char *json = json_dumps(root, 0);
    assert_int_equal(take_definition(json, &d, why), OK);
    const struct qemu_launch launch = {
        .binary = path, .name = "vm", .accel = "tcg", .image = d.disk_path, .is_block = true};
    qemu_args_make(&args, &launch, &d);
    assert_true(args.count < QEMU_WORDS_MAX);
    qemu_args_deinit(&args);
    qemu_definition_deinit(&d);
    json_decref(root);
    free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_least_there_is),
        cmocka_unit_test(refuses_what_is_no_definition),
        cmocka_unit_test(refuses_machines_and_paths_that_it_does_not_know),
        cmocka_unit_test(refuses_networks_that_are_none),
        cmocka_unit_test(refuses_arguments_that_are_not_on_the_list),
        cmocka_unit_test(makes_a_command_line_of_all_parts),
        cmocka_unit_test(holds_as_much_as_it_allows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
