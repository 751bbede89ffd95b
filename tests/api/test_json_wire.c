/* JSON to protobuf and back, as grpc-gateway does it for etcd: tables. */
#include "tests/support/test.h"

#include <string.h>

#include <etcdserverpb.pb-c.h>

#include "api/json_wire.h"
#include "api/pb_wire.h"
#include "core/base/mem.h"

struct json_case {
    const ProtobufCMessageDescriptor *type;
    const char *text; /* what comes in */
    const char *back; /* what goes out for the same message; NULL: as it came in */
};

#define PUT     (&etcdserverpb__put_request__descriptor)
#define RANGE   (&etcdserverpb__range_request__descriptor)
#define RANGED  (&etcdserverpb__range_response__descriptor)
#define TXN     (&etcdserverpb__txn_request__descriptor)
#define WATCH   (&etcdserverpb__watch_request__descriptor)
#define WATCHED (&etcdserverpb__watch_response__descriptor)
#define GRANT   (&etcdserverpb__lease_grant_request__descriptor)
#define GRANTED (&etcdserverpb__lease_grant_response__descriptor)
#define STATUS  (&etcdserverpb__status_response__descriptor)
#define MEMBERS (&etcdserverpb__member_list_response__descriptor)
#define HASH    (&etcdserverpb__hash_response__descriptor)
#define ALARM   (&etcdserverpb__alarm_response__descriptor)
#define TTL     (&etcdserverpb__lease_time_to_live_response__descriptor)

static const struct json_case cases[] = {
    {PUT, "{}", NULL},
    {PUT, "", "{}"},
    {PUT, " \n\t ", "{}"},
    {PUT, "{\"key\":\"Zm9v\",\"value\":\"YmFy\",\"lease\":\"7587848390000000000\"}", NULL},
    /* 64-bit integers: strings or numbers in, strings out; zero is left out */
    {PUT, "{\"lease\":123}", "{\"lease\":\"123\"}"},
    {PUT, "{\"lease\":\"-9223372036854775808\"}", NULL},
    {PUT, "{\"lease\":9223372036854775807}", "{\"lease\":\"9223372036854775807\"}"},
    {PUT, "{\"lease\":3.0}", "{\"lease\":\"3\"}"},
    {PUT, "{\"lease\":1e3}", "{\"lease\":\"1000\"}"},
    {PUT, "{\"lease\":0,\"key\":\"\",\"prev_kv\":false}", "{}"},
    {PUT, "{\"lease\":\"0\"}", "{}"},
    /* both spellings in, the .proto's out */
    {PUT, "{\"prevKv\":true,\"ignore_value\":true,\"ignoreLease\":true}",
     "{\"prev_kv\":true,\"ignore_value\":true,\"ignore_lease\":true}"},
    {PUT, "{\"prevkv\":true}", "{}"},
    {PUT, "{\"PrevKv\":true}", "{}"},
    /* unknown fields and null are ignored */
    {PUT, "{\"nope\":{\"deep\":[1,2,{}]},\"key\":\"Zm9v\",\"value\":null}", "{\"key\":\"Zm9v\"}"},
    /* base64, either alphabet, padded or not */
    {PUT, "{\"key\":\"/+8=\"}", NULL},
    {PUT, "{\"key\":\"_-8\"}", "{\"key\":\"/+8=\"}"},
    {PUT, "{\"key\":\"Zg\"}", "{\"key\":\"Zg==\"}"},
    {PUT, "{\"key\":\"AA==\"}", NULL},
    {PUT, "{\"key\":\"\\u0041A==\"}", "{\"key\":\"AA==\"}"},
    /* enums: names or numbers in, names out; zero is left out; unknown numbers stay */
    {RANGE, "{\"sort_order\":\"DESCEND\",\"sort_target\":\"MOD\"}", NULL},
    {RANGE, "{\"sortOrder\":2,\"sortTarget\":3}",
     "{\"sort_order\":\"DESCEND\",\"sort_target\":\"MOD\"}"},
    {RANGE, "{\"sort_order\":\"NONE\"}", "{}"},
    {RANGE, "{\"sort_order\":77}", NULL},
    /* oneof: what is set is said, also where it is zero */
    {TXN,
     "{\"compare\":[{\"target\":\"CREATE\",\"key\":\"Zm9v\",\"create_revision\":\"0\"}],"
     "\"success\":[{\"request_put\":{\"key\":\"Zm9v\",\"value\":\"YmFy\"}}],"
     "\"failure\":[{\"request_txn\":{\"compare\":[{\"result\":\"NOT_EQUAL\",\"target\":\"VALUE\","
     "\"key\":\"Zm9v\",\"value\":\"\"}],\"success\":[{\"request_range\":{\"key\":\"Zm9v\"}}]}}]}",
     NULL},
    {TXN, "{\"compare\":[{\"key\":\"Zm9v\",\"createRevision\":0}]}",
     "{\"compare\":[{\"key\":\"Zm9v\",\"create_revision\":\"0\"}]}"},
    {TXN, "{\"success\":[{\"requestDeleteRange\":{\"rangeEnd\":\"AA==\"}}]}",
     "{\"success\":[{\"request_delete_range\":{\"range_end\":\"AA==\"}}]}"},
    {TXN, "{\"success\":[]}", "{}"},
    {TXN, "{\"compare\":[{\"range_end\":\"eg==\"}]}", NULL},
    /* a message that is there is said, also where it is empty */
    {WATCH, "{\"progress_request\":{}}", NULL},
    {WATCH,
     "{\"create_request\":{\"key\":\"L3NlcnZpY2Uv\",\"range_end\":\"L3NlcnZpY2Uw\","
     "\"start_revision\":\"42\",\"filters\":[]}}",
     "{\"create_request\":{\"key\":\"L3NlcnZpY2Uv\",\"range_end\":\"L3NlcnZpY2Uw\","
     "\"start_revision\":\"42\"}}"},
    {WATCH, "{\"create_request\":{\"filters\":[\"NODELETE\",0,\"NOPUT\"]}}",
     "{\"create_request\":{\"filters\":[\"NODELETE\",\"NOPUT\",\"NOPUT\"]}}"},
    {WATCHED,
     "{\"header\":{\"cluster_id\":\"1\",\"revision\":\"5\"},\"created\":true,"
     "\"events\":[{\"kv\":{\"key\":\"YQ==\",\"version\":\"1\"}},{\"type\":\"DELETE\"}]}",
     NULL},
    /* odd names of etcd's */
    {GRANT, "{\"TTL\":30}", "{\"TTL\":\"30\"}"},
    {GRANT, "{\"TTL\":\"30\",\"ID\":\"7\"}", NULL},
    {GRANTED, "{\"ID\":\"448\",\"TTL\":\"30\",\"error\":\"a \\\"quoted\\\" \\\\ text\"}", NULL},
    {TTL, "{\"ID\":\"1\",\"TTL\":\"-1\",\"grantedTTL\":\"9\",\"keys\":[\"YQ==\",\"\"]}", NULL},
    {STATUS,
     "{\"version\":\"3.5.21\",\"dbSize\":\"1\",\"leader\":\"18446744073709551615\","
     "\"raftIndex\":\"2\",\"raftAppliedIndex\":\"3\",\"errors\":[\"\",\"x\"],\"isLearner\":true}",
     NULL},
    {MEMBERS,
     "{\"members\":[{\"ID\":\"1\",\"name\":\"a\",\"peerURLs\":[\"http://127.0.0.1:1\"],"
     "\"clientURLs\":[\"http://127.0.0.1:2\",\"http://127.0.0.1:2\"]}]}",
     NULL},
    {ALARM, "{\"alarms\":[{\"memberID\":\"1\",\"alarm\":\"NOSPACE\"}]}", NULL},
    /* 32-bit integers are numbers, and may come as strings */
    {HASH, "{\"hash\":4294967295}", NULL},
    {HASH, "{\"hash\":\"7\"}", "{\"hash\":7}"},
    {GRANTED, "{\"error\":\"\\u00fc\\ud83d\\ude00\\n\"}",
     "{\"error\":\"\xC3\xBC\xF0\x9F\x98\x80\\n\"}"},
};

static void maps_each_message_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct json_case *c = &cases[i];
        struct buf wire = {.data = NULL}, back = {.data = NULL};
        struct bytes text = {(const uint8_t *)c->text, strlen(c->text)};
        char why[JSON_WHY_BYTES] = "";
        if (json_decode(c->type, &text, &wire, why) != OK) {
            fail_msg("%s: %s", c->text, why);
        }
        assert_int_equal(text.len, 0);
        json_encode(c->type, buf_view(&wire), &back);
        buf_put_u8(&back, 0);
        assert_string_equal((const char *)back.data, c->back == NULL ? c->text : c->back);
        /* protobuf-c must read it too. */
        ProtobufCMessage *message = protobuf_c_message_unpack(c->type, NULL, wire.len, wire.data);
        assert_non_null(message);
        protobuf_c_message_free_unpacked(message, NULL);
        buf_deinit(&wire);
        buf_deinit(&back);
    }
}

static void refuses_each_text_as_the_table_says(void **state)
{
    (void)state;
    static const struct {
        const ProtobufCMessageDescriptor *type;
        const char *text, *why;
    } bad[] = {
        {PUT, "{", "malformed JSON"},
        {PUT, "{\"key\":\"Zm9v\"", "malformed JSON"},
        {PUT, "nonsense", "malformed JSON"},
        {PUT, "{\"key\":\"\xFF\"}", "malformed JSON"},
        {PUT, "[1]", "the body: an object was expected"},
        {PUT, "7", "the body: an object was expected"},
        {PUT, "{\"key\":1}", "key: a string was expected"},
        {PUT, "{\"key\":\"@@@\"}", "key: base64 was expected"},
        {PUT, "{\"key\":\"A\"}", "key: base64 was expected"},
        {PUT, "{\"key\":\"AA=\"}", "key: base64 was expected"},
        {PUT, "{\"key\":\"AAA==\"}", "key: base64 was expected"},
        {PUT, "{\"lease\":\"x\"}", "lease: a whole number was expected"},
        {PUT, "{\"lease\":\"\"}", "lease: a whole number was expected"},
        {PUT, "{\"lease\":\"-\"}", "lease: a whole number was expected"},
        {PUT, "{\"lease\":1.5}", "lease: a whole number was expected"},
        {PUT, "{\"lease\":true}", "lease: a whole number was expected"},
        {PUT, "{\"lease\":\"9223372036854775808\"}", "lease: the number is out of range"},
        {PUT, "{\"lease\":\"-9223372036854775809\"}", "lease: the number is out of range"},
        {PUT, "{\"lease\":\"99999999999999999999\"}", "lease: a whole number was expected"},
        {PUT, "{\"prev_kv\":\"true\"}", "prev_kv: true or false was expected"},
        {RANGE, "{\"sort_order\":\"UP\"}", "sort_order: there is no value of this name"},
        {RANGE, "{\"sort_order\":1.5}", "sort_order: a name or a number was expected"},
        {TXN, "{\"compare\":{}}", "compare: an array was expected"},
        {TXN, "{\"compare\":[1]}", "compare: an object was expected"},
        {WATCH, "{\"create_request\":[]}", "create_request: an object was expected"},
        {HASH, "{\"hash\":4294967296}", "hash: the number is out of range"},
        {HASH, "{\"hash\":-1}", "hash: the number is out of range"},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct buf wire = {.data = NULL};
        struct bytes text = {(const uint8_t *)bad[i].text, strlen(bad[i].text)};
        char why[JSON_WHY_BYTES] = "";
        assert_int_equal(json_decode(bad[i].type, &text, &wire, why), ERR_INVALID);
        if (strncmp(why, bad[i].why, strlen(bad[i].why)) != 0) {
            fail_msg("%s: %s, and not %s", bad[i].text, why, bad[i].why);
        }
        buf_deinit(&wire);
    }
}

/* `depth` transactions inside one another. */
static struct buf nested_txn(size_t depth)
{
    static const char open[] = "{\"success\":[{\"request_txn\":", close[] = "}]}";
    struct buf text = {.data = NULL};
    for (size_t i = 0; i < depth; i++) {
        buf_put(&text, open, sizeof open - 1);
    }
    buf_put(&text, "{}", 2);
    for (size_t i = 0; i < depth; i++) {
        buf_put(&text, close, sizeof close - 1);
    }
    return text;
}

static void nests_as_deep_as_the_limit_and_no_deeper(void **state)
{
    (void)state;
    for (size_t depth = JSON_DEPTH_MAX / 2; depth <= JSON_DEPTH_MAX / 2 + 1; depth++) {
        struct buf text = nested_txn(depth), wire = {.data = NULL};
        struct bytes view = buf_view(&text);
        char why[JSON_WHY_BYTES] = "";
        enum err expected = depth <= JSON_DEPTH_MAX / 2 ? OK : ERR_INVALID;
        assert_int_equal(json_decode(TXN, &view, &wire, why), expected);
        buf_deinit(&text);
        buf_deinit(&wire);
    }
    struct buf text = nested_txn(100000), wire = {.data = NULL};
    struct bytes view = buf_view(&text);
    char why[JSON_WHY_BYTES] = "";
    assert_int_equal(json_decode(TXN, &view, &wire, why), ERR_INVALID);
    buf_deinit(&text);
    buf_deinit(&wire);
}

static void takes_one_object_after_the_other(void **state)
{
    (void)state;
    struct buf wire = {.data = NULL};
    const char *text = "{\"TTL\":1} {\"TTL\":2}\n{}";
    struct bytes view = {(const uint8_t *)text, strlen(text)};
    char why[JSON_WHY_BYTES];
    assert_int_equal(json_decode(GRANT, &view, &wire, why), OK);
    assert_int_equal(view.len, 12);
    assert_int_equal(json_decode(GRANT, &view, &wire, why), OK);
    assert_int_equal(json_decode(GRANT, &view, &wire, why), OK);
    assert_int_equal(view.len, 0);
    buf_deinit(&wire);
}

static void encodes_parts_of_a_repeated_field_from_anywhere(void **state)
{
    (void)state;
    struct buf wire = {.data = NULL}, text = {.data = NULL};
    /* kvs, count, kvs, header: as a header put in front, or behind, would have it */
    for (int i = 0; i < 2; i++) {
        size_t kv = pb_begin(&wire, 2);
        pb_put_text(&wire, 1, i == 0 ? "a" : "b");
        pb_end(&wire, kv);
        pb_put_varint(&wire, 4, (uint64_t)i);
    }
    size_t header = pb_begin(&wire, 1);
    pb_put_varint(&wire, 3, 9);
    pb_end(&wire, header);
    pb_put_varint(&wire, 999, 1);
    json_encode(RANGED, buf_view(&wire), &text);
    buf_put_u8(&text, 0);
    assert_string_equal((const char *)text.data,
                        "{\"header\":{\"revision\":\"9\"},"
                        "\"kvs\":[{\"key\":\"YQ==\"},{\"key\":\"Yg==\"}],\"count\":\"1\"}");
    buf_deinit(&wire);
    buf_deinit(&text);
}

/* Surrogates, sequences that are too long for what they say, ends in the middle. */
static void encodes_strings_that_are_no_utf8_as_replacements(void **state)
{
    (void)state;
#define REPLACED "\xEF\xBF\xBD"
    struct buf text = {.data = NULL};
    json_put_string(&text, "a\x80\xC3\xBC\xED\xA0\x80\xF5\x01\x7F\xF0\x8F\xBF\xBF\xC1\x81\xC3");
    buf_put_u8(&text, 0);
    assert_string_equal(
        (const char *)text.data,
        "\"a" REPLACED "\xC3\xBC" REPLACED REPLACED REPLACED REPLACED
        "\\u0001\\u007f" REPLACED REPLACED REPLACED REPLACED REPLACED REPLACED REPLACED "\"");
    buf_deinit(&text);
}

static void puts_lengths_of_any_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 127, 128, 16383, 16384, 2097152};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct buf wire = {.data = NULL};
        uint8_t *payload = mem_alloc_zero(sizes[i]);
        buf_put_u8(&wire, 0x7F); /* what stands before stays */
        size_t begun = pb_begin(&wire, 5);
        buf_put(&wire, payload, sizes[i]);
        pb_end(&wire, begun);
        struct bytes view = {wire.data + 1, wire.len - 1};
        struct pb_field field;
        assert_true(pb_next(&view, &field));
        assert_int_equal(field.number, 5);
        assert_int_equal(field.bytes.len, sizes[i]);
        assert_int_equal(view.len, 0);
        assert_int_equal(wire.data[0], 0x7F);
        mem_free(payload);
        buf_deinit(&wire);
    }
}

static void stops_at_fields_that_are_broken(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
    } broken[] = {
        {"\x08", 1}, /* no value */
        {"\x0A\x05"
         "abcd",
         6},                                              /* too short */
        {"\x09\x01\x02", 3},                              /* eight bytes */
        {"\x0D\x01\x02", 3},                              /* four bytes */
        {"\x0B", 1},                                      /* a group */
        {"\x00\x00", 2},                                  /* number 0 */
        {"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 10}, /* no end */
        {"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", 10}, /* a length of nearly 2^63 */
    };
    for (size_t i = 0; i < COUNT_OF(broken); i++) {
        struct bytes view = {(const uint8_t *)broken[i].text, broken[i].n};
        struct pb_field field;
        assert_false(pb_next(&view, &field));
        assert_int_equal(view.len, broken[i].n);
    }
}

static void decodes_back_what_it_encodes(void **state)
{
    (void)state;
    struct prng prng = test_prng(__func__);
    for (size_t round = 0; round < test_rounds(2000); round++) {
        struct buf wire = {.data = NULL}, text = {.data = NULL}, again = {.data = NULL};
        uint8_t key[32];
        for (size_t i = 0; i < sizeof key; i++) {
            key[i] = (uint8_t)prng_u64(&prng);
        }
        pb_put_bytes(&wire, 1, (struct bytes){key, (size_t)prng_range(&prng, 1, sizeof key)});
        pb_put_bytes(&wire, 2, (struct bytes){key, (size_t)prng_range(&prng, 1, sizeof key)});
        pb_put_varint(&wire, 3, prng_u64(&prng) >> prng_below(&prng, 64) | 1);
        json_encode(PUT, buf_view(&wire), &text);
        struct bytes view = buf_view(&text);
        char why[JSON_WHY_BYTES];
        assert_int_equal(json_decode(PUT, &view, &again, why), OK);
        assert_int_equal(again.len, wire.len);
        assert_memory_equal(again.data, wire.data, wire.len);
        buf_deinit(&wire);
        buf_deinit(&text);
        buf_deinit(&again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_each_message_as_the_table_says),
        cmocka_unit_test(refuses_each_text_as_the_table_says),
        cmocka_unit_test(nests_as_deep_as_the_limit_and_no_deeper),
        cmocka_unit_test(takes_one_object_after_the_other),
        cmocka_unit_test(encodes_parts_of_a_repeated_field_from_anywhere),
        cmocka_unit_test(encodes_strings_that_are_no_utf8_as_replacements),
        cmocka_unit_test(puts_lengths_of_any_size),
        cmocka_unit_test(stops_at_fields_that_are_broken),
        cmocka_unit_test(decodes_back_what_it_encodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
