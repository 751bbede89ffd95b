#include "core/ha/ha_record.h"

#include <stdio.h>
#include <string.h>

#include "core/base/mem.h"
#include "core/base/say.h"
#include "core/store/store_limits.h"
#include "tests/core/ha/ha_samples.h"
#include "tests/support/test.h"

static struct bytes record_span_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

/* What decoding `json` says; "": it is well. */
static void assert_record_says(enum ha_kind kind, const char *json, const char *expected)
{
    struct buf why;
    void *record = mem_alloc_zero(ha_record_size(kind));

    buf_init(&why);
    enum err error = ha_record_decode(kind, record_span_of(json), record, &why);
    assert_string_equal(say_end(&why), expected);
    assert_int_equal(error, expected[0] == '\0' ? OK : ERR_INVALID);
    assert_int_equal(ha_record_decode(kind, record_span_of(json), record, NULL), error);
    mem_free(record);
    buf_deinit(&why);
}

/* --- keys ------------------------------------------------------------------------------------- */

static void keys_are_what_the_page_says(void **state)
{
    (void)state;
    char key[HA_KEY_BYTES];
    char number[HA_NAME_BYTES];
    ha_key_format(HA_VM, "web", NULL, key);
    assert_string_equal(key, "/novacron/vms/web");
    ha_key_format(HA_SETTINGS, NULL, NULL, key);
    assert_string_equal(key, "/novacron/settings");
    ha_key_format(HA_REPORT, "node-a", "web", key);
    assert_string_equal(key, "/novacron/reports/node-a/web");
    ha_event_name(42, number);
    ha_key_format(HA_EVENT, number, NULL, key);
    assert_string_equal(key, "/novacron/events/00000000000000000042");
    ha_event_name(UINT64_MAX, number);
    assert_string_equal(number, "18446744073709551615");
    ha_key_folder(HA_OWNER, key);
    assert_string_equal(key, "/novacron/owners/");
}

static void every_key_is_parsed_as_what_it_was_made_of(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(2000); round++) {
        struct ha_key in = {.kind = (enum ha_kind)prng_below(&p, HA_KINDS)};
        struct ha_key out;
        char text[HA_KEY_BYTES];
        if (in.kind == HA_EVENT) {
            ha_event_name(prng_u64(&p), in.name);
        } else if (in.kind != HA_SETTINGS) {
            sample_name(&p, in.name);
        }
        if (in.kind == HA_REPORT) {
            sample_name(&p, in.vm);
        }
        ha_key_format(in.kind, in.name, in.vm, text);
        assert_int_equal(ha_key_parse(record_span_of(text), &out), OK);
        assert_int_equal(out.kind, in.kind);
        assert_string_equal(out.name, in.name);
        assert_string_equal(out.vm, in.vm);
    }
}

static void keys_that_are_not_ours_are_told_from_malformed_ones(void **state)
{
    (void)state;
    static const char *const strange[] = {"",
                                          "/",
                                          "/novacron",
                                          "/novacron/",
                                          "/other/vms/web",
                                          "/novacron/vm/web",
                                          "/novacron/settings/x",
                                          "/novacron/setting"};
    static const char *const malformed[] = {
        "/novacron/vms/",
        "/novacron/vms/Web",
        "/novacron/vms/-web",
        "/novacron/vms/a/b",
        "/novacron/vms/w b",
        "/novacron/reports/node-a",
        "/novacron/reports/node-a/",
        "/novacron/reports//web",
        "/novacron/reports/a/b/c",
        "/novacron/events/42",
        "/novacron/events/99999999999999999999",
        "/novacron/events/0000000000000000004x",
        "/novacron/vms/0123456789012345678901234567890123456789012345678901234567890123",
    };
    struct ha_key key;
    for (size_t i = 0; i < COUNT_OF(strange); i++) {
        assert_int_equal(ha_key_parse(record_span_of(strange[i]), &key), ERR_NOT_FOUND);
    }
    for (size_t i = 0; i < COUNT_OF(malformed); i++) {
        assert_int_equal(ha_key_parse(record_span_of(malformed[i]), &key), ERR_INVALID);
    }
}

/* --- texts ------------------------------------------------------------------------------------ */

static void texts_are_cut_where_a_character_ends_and_made_readable(void **state)
{
    (void)state;
    char field[8];
    memset(field, 'x', sizeof field);
    ha_text_set(field, sizeof field, "a\nb\x01\xFF");
    assert_string_equal(field, "a b??");
    for (size_t i = strlen(field); i < sizeof field; i++) {
        assert_int_equal(field[i], 0); /* no rest of an earlier text */
    }
    ha_text_set(field, sizeof field, "12345\xC3\xA9\xC3\xA9");
    assert_string_equal(field, "12345\xC3\xA9");
    ha_text_set(field, sizeof field, "123456\xC3\xA9");
    assert_string_equal(field, "123456");
}

/* --- records ---------------------------------------------------------------------------------- */

static void a_record_reads_as_a_person_would_write_it(void **state)
{
    (void)state;
    struct ha_owner owner = owner_of("web", HA_RUNNING, "node-a", 7);
    struct buf json;
    buf_init(&json);
    HA_ENCODE(&owner, &json);
    assert_string_equal(say_end(&json),
                        "{\"vm\":\"web\",\"phase\":\"running\",\"host\":\"node-a\",\"epoch\":7,"
                        "\"term\":0,\"proof\":\"none\",\"policy\":\"stop\",\"failures\":0,\"here\":"
                        "0,\"restarts\":0,"
                        "\"start_count\":0}");
    buf_deinit(&json);
}

static void what_is_encoded_is_decoded_as_it_was(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    struct buf json;
    struct buf again;
    struct buf why;
    buf_init(&json);
    buf_init(&again);
    buf_init(&why);
    for (size_t round = 0; round < test_rounds(3000); round++) {
        enum ha_kind kind = (enum ha_kind)prng_below(&p, HA_KINDS);
        size_t size = ha_record_size(kind);
        void *in = mem_alloc_zero(size);
        void *out = mem_alloc_zero(size);
        sample_record(&p, kind, in);
        buf_clear(&why);
        if (ha_record_check(kind, in, &why) != OK) {
            fail_msg("%s: %s", ha_kind_name(kind), say_end(&why));
        }
        buf_clear(&json);
        ha_record_encode(kind, in, &json);
        assert_true(json.len <= HA_RECORD_BYTES_MAX);
        if (ha_record_decode(kind, buf_view(&json), out, &why) != OK) {
            fail_msg("%s: %s", ha_kind_name(kind), say_end(&why));
        }
        buf_clear(&again);
        ha_record_encode(kind, out, &again);
        assert_int_equal(again.len, json.len);
        assert_memory_equal(again.data, json.data, json.len);
        if (kind != HA_VM) { /* whose definition is a pointer */
            assert_memory_equal(in, out, size);
        }
        mem_free(in);
        mem_free(out);
    }
    buf_deinit(&json);
    buf_deinit(&again);
    buf_deinit(&why);
}

#define VM_MINIMUM "\"name\":\"web\",\"memory_mib\":64,\"volume\":\"web.img\",\"storage\":\"nfs\""

static void a_machine_needs_little_and_has_defaults_for_the_rest(void **state)
{
    (void)state;
    struct ha_vm vm;
    assert_int_equal(HA_DECODE(record_span_of("{" VM_MINIMUM "}"), &vm, NULL), OK);
    assert_true(vm.is_wanted);
    assert_int_equal(vm.policy, HA_POLICY_STOP);
    assert_int_equal(vm.priority, 100);
    assert_int_equal(vm.cpus, 1);
    assert_int_equal(vm.restart.limit, 10);
    assert_int_equal(vm.definition.len, 0);
    assert_int_equal(
        HA_DECODE(record_span_of("{" VM_MINIMUM ",\"desired\":\"stopped\",\"restart\":{"
                                 "\"limit\":2},\"definition\": {\"a\" : 1} }"),
                  &vm, NULL),
        OK);
    assert_false(vm.is_wanted);
    assert_int_equal(vm.restart.limit, 2);
    assert_int_equal(vm.restart.here_max, 3);
    assert_memory_equal(vm.definition.data, "{\"a\" : 1}", vm.definition.len);
}

static void says_which_field_is_wrong_and_what_is_allowed(void **state)
{
    (void)state;
    assert_record_says(HA_VM, "{" VM_MINIMUM "}", "");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",",
                       "malformed JSON at byte 65: a string was expected");
    assert_record_says(HA_VM, "[]", "the value: an object was expected");
    assert_record_says(HA_VM, "{\"memory_mib\":64,\"volume\":\"x\"}", "name: it is missing");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"cpus\":0}",
                       "cpus: 0 is too small; 1 to 4096 is allowed");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"cpus\":5000000000}",
                       "cpus: 5000000000 is too large; 1 to 4096 is allowed");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"cpus\":4097}",
                       "cpus: 4097 is too large; 1 to 4096 is allowed");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"cpus\":4096}", "");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"restart\":{\"delay_ms\":5,\"delay_max_ms\":4}}",
                       "restart.delay_max_ms: it is less than restart.delay_ms, which it is to "
                       "bound");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"allowed\":[\"a\"],\"move_to\":\"b\"}",
                       "move_to: `allowed` does not have this host");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"cpus\":1.5}",
                       "cpus: a whole number was expected, not negative, without fraction");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"cpus\":\"2\"}", "cpus: a number was expected");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"policy\":\"halt\"}",
                       "policy: \"halt\" is none of: stop, pause, keep");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"desired\":\"on\"}",
                       "desired: \"on\" is none of: stopped, running");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"cpus\":1,\"cpus\":2}", "cpus: it is there twice");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"restart\":{\"limit\":0}}",
                       "restart.limit: 0 is too small; 1 to 1000 is allowed");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"restart\":{\"limits\":1}}",
                       "restart.limits: there is no such field; there are: delay_ms, delay_max_ms, "
                       "here_max, limit, window_s, stable_s");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"allowed\":[\"a\",\"a\"]}",
                       "allowed[1]: it is there twice");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"apart\":[\"web\"]}",
                       "apart: it names the machine itself");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"apart\":[\"db\"],\"with\":[\"db\"]}",
                       "apart[0]: `with` names this machine, too");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"allowed\":[\"a\"],\"preferred\":[\"b\"]}",
                       "preferred[0]: `allowed` does not have this host");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"definition\":[]}",
                       "definition: an object was expected");
    assert_record_says(HA_VM, "{\"name\":\"web\",\"memory_mib\":64,\"volume\":\"a b\"}",
                       "volume: printable ASCII without blanks was expected");
    assert_record_says(
        HA_HOST, "{\"name\":\"Node\"}",
        "name: it is no name: letters a to z, digits, '-', '_' and '.', at most 63, a "
        "letter or digit first");
    assert_record_says(HA_HOST, "{\"name\":\"a\",\"levels\":[[]]}",
                       "levels[0]: a level without devices would prove nothing");
    assert_record_says(HA_HOST,
                       "{\"name\":\"a\",\"levels\":[[\"b\"],[\"b\"],[\"b\"],[\"b\"],[\"b\"]]}",
                       "levels: too many; at most 4 are allowed");
    assert_record_says(HA_HOST, "{\"name\":\"a\",\"levels\":[[\"b\"],[\"c\",7]]}",
                       "levels[1][1]: a string was expected");
    assert_record_says(HA_HOST, "{\"name\":\"a\",\"levels\":[[\"b\",\"b\"]]}",
                       "levels[0][1]: it is there twice");
    assert_record_says(HA_HOST, "{\"name\":\"a\",\"storages\":[\"b\",\"B\"]}",
                       "storages[1]: it is no name: letters a to z, digits, '-', '_' and '.', at "
                       "most 63, a letter or digit first");
    assert_record_says(HA_CONFIRMED,
                       "{\"host\":\"a\",\"incident\":\"i\",\"by\":\"\",\"reason\":\"x\"}",
                       "by: it is empty");
}

static void a_machine_without_shared_storage_names_its_one_host(void **state)
{
    (void)state;
    assert_record_says(
        HA_VM, "{\"name\":\"web\",\"memory_mib\":64,\"volume\":\"x\",\"allowed\":[\"a\"]}", "");
    struct ha_vm vm = vm_named("web", 64);
    vm.storage[0] = '\0';
    assert_int_equal(HA_CHECK_RECORD(&vm, NULL), ERR_INVALID);
    names_add(&vm.allowed, "a");
    names_add(&vm.allowed, "b");
    assert_int_equal(HA_CHECK_RECORD(&vm, NULL), ERR_INVALID);
    vm.allowed.n = 1;
    assert_int_equal(HA_CHECK_RECORD(&vm, NULL), OK);
}

/* What a fence agent is told is for the driver to say, and a value must not become two lines. */
static void parameters_cannot_tell_a_fence_agent_what_to_do(void **state)
{
    (void)state;
    assert_record_says(HA_DEVICE,
                       "{\"name\":\"b\",\"agent\":\"fence_ipmilan\",\"parameters\":{\"ip\":\"1\"}}",
                       "");
    assert_record_says(HA_DEVICE,
                       "{\"name\":\"b\",\"agent\":\"x\",\"parameters\":{\"action\":\"on\"}}",
                       "parameters.action: what the agent does is not a parameter; leave it out");
    assert_record_says(HA_DEVICE,
                       "{\"name\":\"b\",\"agent\":\"x\",\"parameters\":{\"option\":\"on\"}}",
                       "parameters.option: what the agent does is not a parameter; leave it out");
    assert_record_says(HA_DEVICE,
                       "{\"name\":\"b\",\"agent\":\"x\",\"parameters\":{\"ip\":\"1\\naction=on\"}}",
                       "parameters.ip: printable ASCII was expected");
    assert_record_says(
        HA_DEVICE, "{\"name\":\"b\",\"agent\":\"x\",\"parameters\":{\"a=b\":\"1\"}}",
        "parameters: it is no name: letters a to z, digits, '-', '_' and '.', at most 63, "
        "a letter or digit first");
    assert_record_says(
        HA_DEVICE, "{\"name\":\"b\",\"agent\":\"x\",\"parameters\":{\"ip\":\"1\",\"ip\":\"2\"}}",
        "parameters.ip: it is there twice");
}

static void checks_of_machines_are_whole_or_refused(void **state)
{
    static const struct {
        const char *check;
        const char *says;
    } cases[] = {
        {"{\"ask\":\"agent\"}", ""},
        {"{\"ask\":\"exec\",\"command\":[\"/bin/true\",\"a b\"]}", ""},
        {"{\"ask\":\"http\",\"address\":\"::1\",\"port\":80,\"path\":\"/x\",\"status\":204}", ""},
        {"{}", ""},
        {"{\"period_ms\":5000}", "ask: it is missing, or nothing: agent, exec, tcp, http"},
        {"{\"ask\":\"exec\"}", "command: exec, and nothing else, has one"},
        {"{\"ask\":\"agent\",\"command\":[\"/x\"]}", "command: exec, and nothing else, has one"},
        {"{\"ask\":\"exec\",\"command\":[\"true\"]}",
         "command: the absolute path of the program comes first"},
        {"{\"ask\":\"exec\",\"command\":[\"/a\\nb\"]}", "command: printable ASCII was expected"},
        {"{\"ask\":\"exec\",\"command\":[1]}", "command: a string was expected"},
        {"{\"ask\":\"exec\",\"command\":[\"/a\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"]}",
         "command: too many; at most 8 are allowed"},
        {"{\"ask\":\"tcp\",\"address\":\"10.0.0.7\"}",
         "port: tcp and http, and nothing else, have an address and a port"},
        {"{\"ask\":\"tcp\",\"port\":80}",
         "address: tcp and http, and nothing else, have an address and a port"},
        {"{\"ask\":\"agent\",\"port\":80}",
         "address: tcp and http, and nothing else, have an address and a port"},
        {"{\"ask\":\"tcp\",\"address\":\"a\",\"port\":65536}",
         "port: 65536 is too large; 0 to 65535 is allowed"},
        {"{\"ask\":\"tcp\",\"address\":\"a\",\"port\":80,\"path\":\"/\"}",
         "path: http alone has one"},
        {"{\"ask\":\"http\",\"address\":\"a\",\"port\":80,\"path\":\"x\"}",
         "path: it begins with \"/\""},
        {"{\"ask\":\"http\",\"address\":\"a\",\"port\":80,\"status\":99}",
         "status: statuses are from 100 to 599"},
        {"{\"ask\":\"agent\",\"failures\":0}", "failures: 0 is too small; 1 to 1000 is allowed"},
        {"{\"ask\":\"agent\",\"period_ms\":100}",
         "period_ms: 100 is too small; 500 to 3600000 is allowed"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (enum ha_rung rung = HA_RUNG_STARTUP; rung < HA_RUNGS; rung++) {
            char json[512];
            char says[256] = "";
            snprintf(json, sizeof(json), "{" VM_MINIMUM ",\"%s\":%s}", ha_rung_name(rung),
                     cases[i].check);
            if (cases[i].says[0] != '\0') {
                snprintf(says, sizeof(says), "%s.%s", ha_rung_name(rung), cases[i].says);
            }
            assert_record_says(HA_VM, json, says);
        }
    }
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"mute_ms\":9999}",
                       "mute_ms: below 10000 a busy machine would be taken for one that hangs; 0 "
                       "waits for ever");
    assert_record_says(HA_VM, "{" VM_MINIMUM ",\"mute_ms\":0}", "");
}

static void unknown_fields_are_errors_for_operators_alone(void **state)
{
    (void)state;
    assert_record_says(HA_STORAGE, "{\"name\":\"n\",\"type\":\"nfs\",\"path\":\"/x\",\"nice\":1}",
                       "nice: there is no such field; there are: name, type, path, flight_ms");
    assert_record_says(HA_OWNER, "{\"vm\":\"web\",\"phase\":\"stopped\",\"nice\":{\"deep\":[]}}",
                       "");
    assert_record_says(HA_INCIDENT, "{\"id\":\"i\",\"steps\":[{\"at_ms\":1,\"nice\":1}]}", "");
}

static void a_phase_has_the_host_and_epoch_that_it_needs(void **state)
{
    (void)state;
    assert_record_says(HA_REPORT,
                       "{\"host\":\"a\",\"vm\":\"web\",\"epoch\":1,\"boot\":1,\"state\":\"waits\","
                       "\"port\":5}",
                       "port: a port has an address, and an address a port");
    assert_record_says(HA_OWNER,
                       "{\"vm\":\"web\",\"phase\":\"stopped\",\"epoch\":18446744073709551615}",
                       "epoch: it is above any revision, and there must be one above it");
    assert_record_says(HA_OWNER, "{\"vm\":\"web\",\"phase\":\"running\",\"epoch\":1}",
                       "host: it is missing in a phase that has one");
    assert_record_says(HA_OWNER, "{\"vm\":\"web\",\"phase\":\"recovering\",\"host\":\"a\"}",
                       "epoch: it is 0 in a phase that has one");
    assert_record_says(HA_OWNER,
                       "{\"vm\":\"web\",\"phase\":\"waiting\",\"host\":\"a\",\"epoch\":1}",
                       "host: nobody owns a machine that is waiting");
    assert_record_says(
        HA_FATE, "{\"host\":\"a\",\"phase\":\"gone\"}",
        "proof: a host that is gone, and no other, has one: fenced, expired, confirmed");
    assert_record_says(
        HA_FATE, "{\"host\":\"a\",\"phase\":\"lost\",\"proof\":\"fenced\"}",
        "proof: a host that is gone, and no other, has one: fenced, expired, confirmed");
}

/* A terminal shows them: it must find nothing there that it obeys. */
static void texts_have_no_control_characters_whoever_wrote_them(void **state)
{
    (void)state;
    const char json[] = "{\"vm\":\"web\",\"phase\":\"failed\","
                        "\"reason\":\"a\\u001b[31mb\\u0007c\\u009bd\\ne \\u00e9\"}";
    struct ha_owner owner;

    assert_int_equal(
        HA_DECODE(((struct bytes){(const uint8_t *)json, sizeof(json) - 1}), &owner, NULL), OK);
    assert_string_equal(owner.reason, "a?[31mb?c?d e \xc3\xa9");
}

static void texts_of_programs_are_cut_and_those_of_operators_refused(void **state)
{
    (void)state;
    struct buf json;
    struct ha_owner owner;
    struct buf long_text;
    buf_init(&json);
    buf_init(&long_text);
    for (int i = 0; i < 300; i++) {
        say(&long_text, "x");
    }
    say(&json, "{\"vm\":\"web\",\"phase\":\"failed\",\"reason\":\"");
    say(&json, say_end(&long_text));
    say(&json, "\"}");
    assert_int_equal(HA_DECODE(buf_view(&json), &owner, NULL), OK);
    assert_int_equal(strlen(owner.reason), HA_TEXT_BYTES - 1);
    buf_clear(&json);
    say(&json, "{\"host\":\"a\",\"incident\":\"i\",\"by\":\"me\",\"reason\":\"");
    say(&json, say_end(&long_text));
    say(&json, "\"}");
    assert_record_says(HA_CONFIRMED, say_end(&json),
                       "reason: it is too long; at most 255 bytes are allowed");
    buf_deinit(&json);
    buf_deinit(&long_text);
}

static void a_record_that_is_refused_touches_nothing(void **state)
{
    (void)state;
    struct ha_storage storage;
    struct ha_storage before;
    memset(&storage, 0x55, sizeof storage);
    before = storage;
    assert_int_equal(HA_DECODE(record_span_of("{\"name\":\"n\",\"type\":\"nfs\",\"path\":\"\"}"),
                               &storage, NULL),
                     ERR_INVALID);
    assert_memory_equal(&storage, &before, sizeof storage);
}

/* "a00", "a01" ... as an array. */
static void say_list(struct buf *json, unsigned n)
{
    say(json, "[");
    for (unsigned i = 0; i < n; i++) {
        say(json, i > 0 ? ",\"a" : "\"a");
        say_u64(json, i);
        say(json, "\"");
    }
    say(json, "]");
}

static void lists_have_room_for_what_the_page_says(void **state)
{
    (void)state;
    struct buf json;
    buf_init(&json);
    for (unsigned n = HA_LIST_MAX; n <= HA_LIST_MAX + 1; n++) {
        buf_clear(&json);
        say(&json, "{\"name\":\"a\",\"storages\":");
        say_list(&json, n);
        say(&json, "}");
        assert_record_says(HA_HOST, say_end(&json),
                           n > HA_LIST_MAX ? "storages: too many; at most 32 are allowed" : "");
    }
    buf_deinit(&json);
}

static void a_record_that_is_too_long_is_told_as_such(void **state)
{
    (void)state;
    struct buf json;
    struct ha_settings settings;
    buf_init(&json);
    say(&json, "{}");
    memset(buf_extend(&json, HA_RECORD_BYTES_MAX - 2), ' ', HA_RECORD_BYTES_MAX - 2);
    assert_int_equal(HA_DECODE(buf_view(&json), &settings, NULL), OK);
    say(&json, " ");
    assert_int_equal(HA_DECODE(buf_view(&json), &settings, NULL), ERR_TOO_LARGE);
    buf_deinit(&json);
}

static void every_value_of_an_enum_has_a_name_and_others_have_none(void **state)
{
    (void)state;
    for (int i = 0; i < HA_PHASES; i++) {
        assert_string_not_equal(ha_phase_name((enum ha_phase)i), "?");
    }
    assert_string_equal(ha_phase_name(HA_PHASES), "?");
    assert_string_equal(ha_phase_name(HA_RECOVERING), "recovering");
    assert_string_equal(ha_proof_name(HA_PROOF_CONFIRMED), "confirmed");
    assert_string_equal(ha_fate_phase_name(HA_HOST_FENCING), "fencing");
    assert_string_equal(ha_watchdog_name(WORLD_WATCHDOG_ARMED), "armed");
    assert_string_equal(ha_vm_end_name(WORLD_VM_CRASHED), "crashed");
    assert_string_equal(ha_report_state_name(HA_REPORT_STOPPED), "stopped");
    assert_string_equal(ha_policy_name(HA_POLICY_KEEP), "keep");
    assert_string_equal(ha_kind_name(HA_EVENT), "events");
}

/* A report of a machine that runs says nothing about how it ended. */
static void a_report_tells_its_end_only_once_there_is_one(void **state)
{
    (void)state;
    struct ha_report report;
    struct buf json;
    buf_init(&json);
    ha_record_defaults(HA_REPORT, &report);
    ha_text_set(report.host, sizeof report.host, "node-a");
    ha_text_set(report.vm, sizeof report.vm, "web");
    report.epoch = 1;
    HA_ENCODE(&report, &json);
    assert_null(strstr(say_end(&json), "end"));
    report.state = HA_REPORT_STOPPED;
    report.end = WORLD_VM_CRASHED;
    report.error = ERR_NO_SPACE;
    buf_clear(&json);
    HA_ENCODE(&report, &json);
    assert_non_null(strstr(say_end(&json), "\"end\":\"crashed\",\"error\":\"ERR_NO_SPACE\""));
    buf_deinit(&json);
}

/* Or nobody would be recovered once a client has filled the store. */
static void records_are_written_when_there_is_no_space(void **state)
{
    (void)state;
    assert_string_equal(HA_PREFIX, STORE_RESERVED_PREFIX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_what_the_page_says),
        cmocka_unit_test(every_key_is_parsed_as_what_it_was_made_of),
        cmocka_unit_test(keys_that_are_not_ours_are_told_from_malformed_ones),
        cmocka_unit_test(texts_are_cut_where_a_character_ends_and_made_readable),
        cmocka_unit_test(a_record_reads_as_a_person_would_write_it),
        cmocka_unit_test(what_is_encoded_is_decoded_as_it_was),
        cmocka_unit_test(a_machine_needs_little_and_has_defaults_for_the_rest),
        cmocka_unit_test(says_which_field_is_wrong_and_what_is_allowed),
        cmocka_unit_test(a_machine_without_shared_storage_names_its_one_host),
        cmocka_unit_test(parameters_cannot_tell_a_fence_agent_what_to_do),
        cmocka_unit_test(checks_of_machines_are_whole_or_refused),
        cmocka_unit_test(unknown_fields_are_errors_for_operators_alone),
        cmocka_unit_test(a_phase_has_the_host_and_epoch_that_it_needs),
        cmocka_unit_test(texts_have_no_control_characters_whoever_wrote_them),
        cmocka_unit_test(texts_of_programs_are_cut_and_those_of_operators_refused),
        cmocka_unit_test(a_record_that_is_refused_touches_nothing),
        cmocka_unit_test(lists_have_room_for_what_the_page_says),
        cmocka_unit_test(a_record_that_is_too_long_is_told_as_such),
        cmocka_unit_test(every_value_of_an_enum_has_a_name_and_others_have_none),
        cmocka_unit_test(a_report_tells_its_end_only_once_there_is_one),
        cmocka_unit_test(records_are_written_when_there_is_no_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
