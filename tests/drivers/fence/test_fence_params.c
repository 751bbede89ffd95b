/* Parameters of fence devices: what is refused, in which words, and what an agent is sent. */
#include "drivers/fence/fence_params.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/test.h"

static const char sample[] =
    "<resource-agent name=\"x\"><parameters>"
    "<parameter name=\"action\" required=\"1\"/>"
    "<parameter name=\"ip\" required=\"1\" obsoletes=\"ipaddr\"/>"
    "<parameter name=\"ipaddr\" required=\"1\" deprecated=\"1\"/>"
    "<parameter name=\"plug\" required=\"1\"><getopt mixed=\"-n\"/></parameter>"
    "<parameter name=\"port\" required=\"1\" deprecated=\"1\"><getopt mixed=\"-n\"/></parameter>"
    "<parameter name=\"password\"/>"
    "<parameter name=\"lanplus\"><content type=\"boolean\"/></parameter>"
    "<parameter name=\"ipport\"><content type=\"integer\"/></parameter>"
    "<parameter name=\"power_wait\"><content type=\"second\"/></parameter>"
    "<parameter name=\"method\"><content type=\"select\"><option value=\"onoff\"/></content>"
    "</parameter></parameters><actions><action name=\"on\"/><action name=\"off\"/>"
    "<action name=\"reboot\"/><action name=\"status\"/></actions></resource-agent>";

static struct fence_metadata read_sample(const char *xml)
{
    struct fence_metadata m;
    char why[FENCE_WHY_MAX_BYTES];

    assert_int_equal(fence_metadata_decode((struct bytes){(const uint8_t *)xml, strlen(xml)}, &m,
                                           why, sizeof why),
                     OK);
    return m;
}

static void assert_fits(const struct fence_param *params, size_t count, const char *complaint)
{
    struct fence_metadata m = read_sample(sample);
    char why[FENCE_WHY_MAX_BYTES] = "";

    assert_int_equal(fence_params_check(params, count, why, sizeof why), OK);
    assert_int_equal(fence_params_fit(&m, params, count, why, sizeof why),
                     complaint[0] == '\0' ? OK : ERR_INVALID);
    assert_string_equal(why, complaint);
    fence_metadata_deinit(&m);
}

static void required_parameters_have_one_of_their_names(void **state)
{
    (void)state;
    const struct fence_param newest[] = {{"ip", "a"}, {"plug", "1"}};
    const struct fence_param older[] = {{"ipaddr", "a"}, {"port", "1"}};
    const struct fence_param both[] = {{"ip", "a"}, {"ipaddr", "b"}, {"plug", "1"}};

    assert_fits(newest, 2, "");
    assert_fits(older, 2, "");
    assert_fits(newest, 1, "plug is required");
    assert_fits(NULL, 0, "ip is required; plug is required");
    assert_fits(both, 3, "ip and ipaddr are the same parameter");
}

static void values_are_of_their_kind(void **state)
{
    (void)state;
    static const struct {
        struct fence_param param;
        const char *complaint;
    } cases[] = {
        {{"lanplus", "1"}, ""},
        {{"lanplus", "No"}, ""},
        {{"lanplus", ""}, "lanplus is neither 1 nor 0"},
        {{"lanplus", "2"}, "lanplus is neither 1 nor 0"},
        {{"ipport", "623"}, ""},
        {{"ipport", "-1"}, ""},
        {{"ipport", "0x26f"}, "ipport is not a number"},
        {{"ipport", ""}, "ipport is not a number"},
        {{"power_wait", "4"}, ""},
        {{"power_wait", "-4"}, "power_wait is not a number of seconds"},
        {{"power_wait", "99999999999"}, "power_wait is not a number of seconds"},
        {{"method", "onoff"}, ""},
        {{"method", "cycle"}, "method is not one of the 1 values that the agent knows"},
        {{"password", "anything = at all #"}, ""},
        {{"pasword", "x"}, "the agent knows no parameter pasword"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct fence_param params[] = {{"ip", "a"}, {"plug", "1"}, cases[i].param};
        assert_fits(params, 3, cases[i].complaint);
    }
}

static void agents_without_power_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *actions;
        const char *complaint;
    } cases[] = {
        {"<action name=\"off\"/><action name=\"status\"/><action name=\"reboot\"/>", ""},
        {"<action name=\"off\"/><action name=\"status\"/>",
         "the agent cannot reboot: it cuts something else than the power"},
        {"<action name=\"off\"/><action name=\"reboot\"/>",
         "the agent cannot tell whether a machine is off"},
        {"<action name=\"status\"/><action name=\"reboot\"/>", "the agent cannot switch off"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char xml[512];
        char why[FENCE_WHY_MAX_BYTES] = "";
        (void)snprintf(xml, sizeof xml, "<resource-agent>%s</resource-agent>", cases[i].actions);
        struct fence_metadata m = read_sample(xml);
        assert_int_equal(fence_params_fit(&m, NULL, 0, why, sizeof why), i == 0 ? OK : ERR_INVALID);
        assert_string_equal(why, cases[i].complaint);
        fence_metadata_deinit(&m);
    }
}

static void what_an_agent_would_read_otherwise_is_refused(void **state)
{
    (void)state;
    static const struct {
        struct fence_param param;
        const char *complaint;
    } cases[] = {
        {{"ip", "a\nb"}, "ip holds a control character"},
        {{"ip", "a\r"}, "ip holds a control character"},
        {{"ip", "a "}, "ip ends with a space, which agents take off"},
        {{"password", "\"x\""}, "password is in quotes, which agents take off"},
        {{"password", "\"x"}, ""},
        {{"password", ""}, ""},
        {{"password", "gr\xc3\xbc\xc3\x9f"}, ""},
        {{"action", "on"}, "action is the driver's to say"},
        {{"version", "1"}, "version would turn a request into a version number"},
        {{"help", "1"}, "help would turn a request into a page of help"},
        {{"debug_file", "/x"}, "debug_file would write secrets into a file"},
        {{"missing_as_off", "1"},
         "missing_as_off would take a machine that is not known for one that is off"},
        {{"", "x"}, "parameter 1 has a name that cannot be sent"},
        {{"a b", "x"}, "parameter 1 has a name that cannot be sent"},
        {{"a\n", "x"}, "parameter 1 has a name that cannot be sent"},
        {{"a=b", "x"}, "parameter 1 has a name that cannot be sent"},
        {{"#a", "x"}, "parameter 1 has a name that cannot be sent"},
    };
    char why[FENCE_WHY_MAX_BYTES];

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        why[0] = '\0';
        assert_int_equal(fence_params_check(&cases[i].param, 1, why, sizeof why),
                         cases[i].complaint[0] == '\0' ? OK : ERR_INVALID);
        assert_string_equal(why, cases[i].complaint);
    }
    const struct fence_param twice[] = {{"ip", "a"}, {"ip", "b"}};
    assert_int_equal(fence_params_check(twice, 2, why, sizeof why), ERR_INVALID);
    assert_string_equal(why, "ip is given twice");
    char long_value[FENCE_VALUE_MAX_BYTES + 1];
    memset(long_value, 'a', sizeof long_value - 1);
    long_value[sizeof long_value - 1] = '\0';
    const struct fence_param too_long = {"password", long_value};
    assert_int_equal(fence_params_check(&too_long, 1, why, sizeof why), ERR_INVALID);
    assert_string_equal(why, "password is too long");
    static const struct fence_param many[FENCE_PARAMS_MAX + 1];
    assert_int_equal(fence_params_check(many, COUNT_OF(many), why, sizeof why), ERR_INVALID);
}

static void complaints_fit_where_they_are_written(void **state)
{
    (void)state;
    struct fence_metadata m = read_sample(sample);
    char whole[FENCE_WHY_MAX_BYTES];

    assert_int_equal(fence_params_fit(&m, NULL, 0, whole, sizeof whole), ERR_INVALID);
    for (size_t room = 1; room <= strlen(whole) + 1; room++) {
        char why[FENCE_WHY_MAX_BYTES];
        memset(why, 0x55, sizeof why);
        assert_int_equal(fence_params_fit(&m, NULL, 0, why, room), ERR_INVALID);
        assert_true(strlen(why) < room);
        assert_int_equal(why[room], 0x55);
    }
    fence_metadata_deinit(&m);
}

static void assert_sends(const struct fence_param *params, size_t count, enum fence_action action,
                         const char *text)
{
    struct fence_metadata m = read_sample(sample);
    struct buf out;

    buf_init(&out);
    fence_params_write(&m, params, count, action, &out);
    assert_int_equal(out.len, strlen(text));
    assert_memory_equal(out.data, text, out.len);
    buf_deinit(&out);
    fence_metadata_deinit(&m);
}

static void waits_are_turned_off_unless_somebody_set_one(void **state)
{
    (void)state;
    const struct fence_param params[] = {{"ip", "a"}, {"power_wait", "3"}};

    assert_sends(params, 1, FENCE_OFF, "action=off\nip=a\npower_wait=0\n");
    assert_sends(params, 2, FENCE_OFF, "action=off\nip=a\npower_wait=3\n");
    assert_sends(params, 2, FENCE_ON, "action=on\nip=a\npower_wait=3\n");
    assert_sends(params, 1, FENCE_STATUS, "action=status\nip=a\npower_wait=0\n");
    assert_sends(params, 1, FENCE_METADATA, "action=metadata\n");
}

static void secrets_are_hidden_wherever_they_are_repeated(void **state)
{
    (void)state;
    const struct fence_param params[] = {
        {"ip", "10.0.0.1"}, {"password", "hush"}, {"api_key", "k1"}, {"snmp_priv_passwd", ""}};
    char text[] = "10.0.0.1: hush, hushhush and k1";

    fence_params_hide(params, COUNT_OF(params), text);
    assert_string_equal(text, "10.0.0.1: ****, ******** and **");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(required_parameters_have_one_of_their_names),
        cmocka_unit_test(values_are_of_their_kind),
        cmocka_unit_test(agents_without_power_are_refused),
        cmocka_unit_test(what_an_agent_would_read_otherwise_is_refused),
        cmocka_unit_test(complaints_fit_where_they_are_written),
        cmocka_unit_test(waits_are_turned_off_unless_somebody_set_one),
        cmocka_unit_test(secrets_are_hidden_wherever_they_are_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
