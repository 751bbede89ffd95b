/* Manifests: what YAML becomes, and that every complaint has its line. */
#include "cli/manifest.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <string.h>

#include "core/base/say.h"

static enum err read_manifest(const char *text, enum ha_kind assumed, struct manifest *m,
                              struct buf *why)
{
    return manifest_read((struct bytes){(const uint8_t *)text, strlen(text)}, assumed, m, why);
}

static void expect_json(const char *text, const char *json)
{
    struct manifest m;
    struct buf why;

    buf_init(&why);
    assert_int_equal(OK, read_manifest(text, HA_VM, &m, &why));
    assert_int_equal(1, m.n);
    assert_string_equal(json, say_end(&m.documents[0].json));
    manifest_free(&m);
    buf_deinit(&why);
}

static void expect_complaint(const char *text, enum ha_kind assumed, const char *complaint)
{
    struct manifest m = {0};
    struct buf why;

    buf_init(&why);
    assert_int_equal(ERR_INVALID, read_manifest(text, assumed, &m, &why));
    assert_string_equal(complaint, say_end(&why));
    assert_null(m.documents);
    buf_deinit(&why);
}

static void mappings_sequences_and_scalars_become_json(void **state)
{
    (void)state;
    expect_json("name: a\nmemory_mib: 16\nplacement: {hosts: [x, 'y']}\n",
                "{\"name\":\"a\",\"memory_mib\":16,\"placement\":{\"hosts\":[\"x\",\"y\"]}}");
    expect_json("a: true\nb: false\nc: null\nd: ~\ne:\nf: ''\n",
                "{\"a\":true,\"b\":false,\"c\":null,\"d\":null,\"e\":null,\"f\":\"\"}");
    expect_json("a: []\nb: {}\n", "{\"a\":[],\"b\":{}}");
}

static void what_is_quoted_is_a_text(void **state)
{
    (void)state;
    expect_json("a: '16'\nb: \"true\"\nc: |\n  two\n  lines\n",
                "{\"a\":\"16\",\"b\":\"true\",\"c\":\"two\\u000alines\\u000a\"}");
    expect_json("a: \"say \\\"hi\\\" \\\\\"\n", "{\"a\":\"say \\\"hi\\\" \\\\\"}");
}

static void only_numbers_of_json_are_numbers(void **state)
{
    (void)state;
    expect_json("a: -5\nb: 1.25\nc: 007\nd: 0x10\ne: 1.\nf: '-'\ng: 10.0.0.1\n",
                "{\"a\":-5,\"b\":1.25,\"c\":\"007\",\"d\":\"0x10\",\"e\":\"1.\",\"f\":\"-\","
                "\"g\":\"10.0.0.1\"}");
}

static void a_file_has_documents_of_many_kinds(void **state)
{
    struct manifest m;
    struct buf why;
    (void)state;

    buf_init(&why);
    assert_int_equal(OK, read_manifest("kind: vm\nname: a\n---\n# the host\nname: b\nkind: host\n",
                                       HA_KINDS, &m, &why));
    assert_int_equal(2, m.n);
    assert_int_equal(HA_VM, m.documents[0].kind);
    assert_string_equal("{\"name\":\"a\"}", say_end(&m.documents[0].json));
    assert_int_equal(HA_HOST, m.documents[1].kind);
    assert_string_equal("{\"name\":\"b\"}", say_end(&m.documents[1].json));
    manifest_free(&m);
    buf_deinit(&why);
}

static void complaints_are_found_again_as_lines(void **state)
{
    struct manifest m;
    struct buf why;
    (void)state;

    buf_init(&why);
    assert_int_equal(
        OK, read_manifest("name: a\nrestart:\n  limit: 3\n  delay_ms: x\nlist:\n- p\n- q\n", HA_VM,
                          &m, &why));
    const struct manifest_document *d = &m.documents[0];
    assert_true(manifest_has(d, "restart.delay_ms"));
    assert_false(manifest_has(d, "delay_ms"));
    assert_int_equal(4, manifest_line(d, "restart.delay_ms: a number from 1 to 5"));
    assert_int_equal(2, manifest_line(d, "restart.stable_s: is missing"));
    assert_int_equal(7, manifest_line(d, "list[1]: no"));
    assert_int_equal(1, manifest_line(d, "memory_mib: is missing"));
    assert_int_equal(1, manifest_line(d, ""));
    manifest_free(&m);
    buf_deinit(&why);
}

static void what_is_no_manifest_is_told_with_its_line(void **state)
{
    (void)state;
    expect_complaint("name: a\n\tb: 1\n", HA_VM,
                     "2: found a tab character that violates indentation");
    expect_complaint("name: a\nname: b\n", HA_VM, "2: this key was there before");
    expect_complaint("a: &x 1\nb: *x\n", HA_VM, "1: a manifest has no anchors (&): write it out");
    expect_complaint("a: !!str 1\n", HA_VM, "1: a manifest has no tags (!): leave it out");
    expect_complaint("- a\n", HA_VM, "1: a document is a mapping: `name: ...` and so on");
    expect_complaint("? [a]\n: b\n", HA_VM, "1: a key is a word");
    expect_complaint("", HA_VM, "1: there is nothing in it");
    expect_complaint("name: a\n", HA_KINDS,
                     "1: kind is missing: one of vm, host, device, storage, settings");
    expect_complaint("kind: pod\n", HA_KINDS,
                     "1: kind: one of vm, host, device, storage, settings");
    expect_complaint("kind: host\nname: a\n", HA_VM,
                     "1: kind: this command takes another kind; `novacron apply` takes all");
}

static void what_lies_too_deep_is_refused(void **state)
{
    char text[200];
    struct manifest m;
    struct buf why;
    (void)state;

    buf_init(&why);
    (void)snprintf(text, sizeof text, "a: %.*s1%.*s\n", 15, "[[[[[[[[[[[[[[[[[[[[", 15,
                   "]]]]]]]]]]]]]]]]]]]]");
    assert_int_equal(OK, read_manifest(text, HA_VM, &m, &why));
    manifest_free(&m);
    (void)snprintf(text, sizeof text, "a: %.*s1%.*s\n", 17, "[[[[[[[[[[[[[[[[[[[[", 17,
                   "]]]]]]]]]]]]]]]]]]]]");
    assert_int_equal(ERR_INVALID, read_manifest(text, HA_VM, &m, &why));
    assert_string_equal("1: this lies too deep", say_end(&why));
    buf_deinit(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mappings_sequences_and_scalars_become_json),
        cmocka_unit_test(what_is_quoted_is_a_text),
        cmocka_unit_test(only_numbers_of_json_are_numbers),
        cmocka_unit_test(a_file_has_documents_of_many_kinds),
        cmocka_unit_test(complaints_are_found_again_as_lines),
        cmocka_unit_test(what_is_no_manifest_is_told_with_its_line),
        cmocka_unit_test(what_lies_too_deep_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
