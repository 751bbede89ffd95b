/* What agents say of themselves: a sample, what is refused, and every agent that is installed. */
#include "drivers/fence/fence_metadata.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "tests/support/test.h"

#define AGENTS_DIR "/usr/sbin"

#define HEAD "<?xml version=\"1.0\" ?>\n<resource-agent name=\"x\">"
#define TAIL "</resource-agent>\n"

static enum err decode(const char *xml, struct fence_metadata *ret, char *why)
{
    return fence_metadata_decode((struct bytes){(const uint8_t *)xml, strlen(xml)}, ret, why,
                                 FENCE_WHY_MAX_BYTES);
}

static void reads_parameters_and_actions(void **state)
{
    (void)state;
    struct fence_metadata m;
    char why[FENCE_WHY_MAX_BYTES];

    assert_int_equal(
        decode(HEAD "<longdesc>a &lt;parameter&gt; is text</longdesc><parameters>"
                    "<parameter name=\"ip\" required=\"1\" obsoletes=\"ipaddr\">"
                    "<getopt mixed=\"-a\"/><content type=\"string\"/></parameter>"
                    "<parameter name=\"ipaddr\" deprecated=\"1\"><getopt mixed=\"-a\"/></parameter>"
                    "<parameter name=\"login\"><getopt mixed=\"-l\"/></parameter>"
                    "<parameter name=\"user\"><getopt mixed=\"-l\"/></parameter>"
                    "<parameter name=\"mode\"><content type=\"select\"><option value=\"a\"/>"
                    "<option value=\"b\"/></content></parameter>"
                    "</parameters><actions><action name=\"off\"/><action name=\"status\"/>"
                    "<action name=\"list\"/></actions>" TAIL,
               &m, why),
        OK);
    assert_int_equal(m.parameter_count, 5);
    assert_int_equal(m.actions, FENCE_ACTION_OFF | FENCE_ACTION_STATUS);
    const struct fence_parameter *ip = fence_metadata_find(&m, "ip");
    assert_true(ip->is_required && !ip->is_deprecated);
    assert_true(fence_parameters_are_one(ip, fence_metadata_find(&m, "ipaddr")));
    assert_true(fence_parameters_are_one(fence_metadata_find(&m, "ipaddr"), ip));
    assert_true(fence_parameters_are_one(fence_metadata_find(&m, "user"),
                                         fence_metadata_find(&m, "login")));
    assert_false(fence_parameters_are_one(ip, fence_metadata_find(&m, "login")));
    assert_false(fence_parameters_are_one(ip, fence_metadata_find(&m, "mode")));
    assert_int_equal(fence_metadata_find(&m, "mode")->content, FENCE_SELECT);
    assert_int_equal(fence_metadata_find(&m, "mode")->option_count, 2);
    assert_null(fence_metadata_find(&m, "parameter"));
    fence_metadata_deinit(&m);
}

static void refuses_what_is_no_metadata(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "usage: fence_x",
        "<html></html>",
        HEAD,
        HEAD "</parameters>" TAIL,
        "<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY a \"aaaa\">]><resource-agent>&a;" TAIL,
        "<!DOCTYPE r SYSTEM \"file:///etc/passwd\"><resource-agent>" TAIL,
        HEAD "<parameter/>" TAIL,
        HEAD "<parameter name=\"\"/>" TAIL,
        HEAD "<parameter name=\"a b\"/>" TAIL,
        HEAD "<parameter name=\"a=b\"/>" TAIL,
        HEAD "<parameter name=\"#a\"/>" TAIL,
        HEAD "<parameter name=\"a\"><parameter name=\"b\"/></parameter>" TAIL,
        HEAD "<parameter name=\"a\"/><parameter name=\"a\"/>" TAIL,
        HEAD TAIL "<more/>",
    };
    struct fence_metadata m = {.actions = 77};
    char why[FENCE_WHY_MAX_BYTES];

    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        why[0] = '\0';
        assert_int_equal(decode(wrong[i], &m, why), ERR_CORRUPT);
        assert_string_not_equal(why, "");
        assert_int_equal(m.actions, 77);
    }
}

static enum err decode_many(const char *open, const char *each, size_t times, const char *close)
{
    struct fence_metadata m;
    struct buf b;
    char why[FENCE_WHY_MAX_BYTES];
    char text[128];

    buf_init(&b);
    buf_put(&b, HEAD, strlen(HEAD));
    buf_put(&b, open, strlen(open));
    for (size_t i = 0; i < times; i++) {
        int n = snprintf(text, sizeof text, "%s%zu\"/>", each, i);
        buf_put(&b, text, (size_t)n);
    }
    buf_put(&b, close, strlen(close));
    buf_put(&b, TAIL, strlen(TAIL));
    enum err e = fence_metadata_decode(buf_view(&b), &m, why, sizeof why);
    if (e == OK) {
        fence_metadata_deinit(&m);
    }
    buf_deinit(&b);
    return e;
}

static void bounds_counts_and_lengths(void **state)
{
    (void)state;
    struct fence_metadata m;
    char why[FENCE_WHY_MAX_BYTES];
    static uint8_t spaces[FENCE_METADATA_MAX_BYTES + 1];

    assert_int_equal(decode_many("", "<parameter name=\"p", FENCE_PARAMETERS_MAX, ""), OK);
    assert_int_equal(decode_many("", "<parameter name=\"p", FENCE_PARAMETERS_MAX + 1, ""),
                     ERR_TOO_LARGE);
    assert_int_equal(decode_many("<parameter name=\"s\">", "<option value=\"o", FENCE_OPTIONS_MAX,
                                 "</parameter>"),
                     OK);
    assert_int_equal(decode_many("<parameter name=\"s\">", "<option value=\"o",
                                 FENCE_OPTIONS_MAX + 1, "</parameter>"),
                     ERR_TOO_LARGE);
    assert_int_equal(decode_many("<parameter name=\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                 "aaaaaaaaaaaaaaaaaaaaaaaaaa\"/>",
                                 "", 0, ""),
                     ERR_TOO_LARGE);
    assert_int_equal(
        decode("<resource-agent><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a>", &m, why),
        ERR_TOO_LARGE);
    memset(spaces, ' ', sizeof spaces);
    assert_int_equal(
        fence_metadata_decode((struct bytes){spaces, sizeof spaces}, &m, why, sizeof why),
        ERR_TOO_LARGE);
}

static size_t read_program(const char *command, uint8_t *bytes, size_t room)
{
    FILE *pipe = popen(command, "r");

    assert_non_null(pipe);
    size_t n = fread(bytes, 1, room, pipe);
    (void)pclose(pipe);
    return n;
}

/* Agents that are no programs of the API: they print a usage, or nothing. */
static bool speaks_the_api(const char *name)
{
    return strcmp(name, "fence_ack_manual") != 0;
}

static void check_installed(const char *name)
{
    static uint8_t bytes[FENCE_METADATA_MAX_BYTES];
    struct fence_metadata m;
    char command[512];
    char why[FENCE_WHY_MAX_BYTES];

    (void)snprintf(command, sizeof command,
                   "echo action=metadata | PYTHONDONTWRITEBYTECODE=1 " AGENTS_DIR "/%s 2>/dev/null",
                   name);
    size_t n = read_program(command, bytes, sizeof bytes);
    enum err e = fence_metadata_decode((struct bytes){bytes, n}, &m, why, sizeof why);
    if (!speaks_the_api(name)) {
        assert_int_equal(e, ERR_CORRUPT);
        return;
    }
    if (e != OK) {
        fail_msg("%s: %s", name, why);
    }
    assert_true(m.parameter_count >= 5);
    assert_true((m.actions & (FENCE_ACTION_OFF | FENCE_ACTION_REBOOT)) != 0);
    fence_metadata_deinit(&m);
}

static int is_agent(const struct dirent *entry)
{
    return strncmp(entry->d_name, "fence_", 6) == 0;
}

/* Some of them; with NOVACRON_SCALE all. */
static void understands_the_agents_that_are_installed(void **state)
{
    (void)state;
    struct dirent **names = NULL;
    int count = scandir(AGENTS_DIR, &names, is_agent, alphasort);
    struct prng prng = test_prng(__func__);
    size_t left = test_rounds(12);

    if (count <= 0) {
        print_message("# no fence agents are installed (fence-agents)\n");
        free(names);
        skip();
        return;
    }
    for (int i = 0; i < count; i++) {
        if (prng_range(&prng, 1, (uint64_t)(count - i)) <= left) {
            check_installed(names[i]->d_name);
            left--;
        }
        free(names[i]);
    }
    free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_parameters_and_actions),
        cmocka_unit_test(refuses_what_is_no_metadata),
        cmocka_unit_test(bounds_counts_and_lengths),
        cmocka_unit_test(understands_the_agents_that_are_installed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
