/* Any bytes as JSON of a message, and as the encoding of one. What JSON is accepted says the same
 * after a way there and back, is an encoding that protobuf-c reads, and what is encoded is JSON. */
#include "tests/fuzz/fuzz_target.h"

#include <string.h>

#include <etcdserverpb.pb-c.h>
#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "api/json_wire.h"
#include "core/base/check.h"

static void fuzz_text(const ProtobufCMessageDescriptor *type, struct bytes text)
{
    struct buf wire = {.data = NULL}, back = {.data = NULL}, again = {.data = NULL};
    char why[JSON_WHY_BYTES];
    if (json_decode(type, &text, &wire, why) == OK) {
        ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, wire.len, wire.data);
        CHECK(message != NULL);
        protobuf_c_message_free_unpacked(message, NULL);
        json_encode(type, buf_view(&wire), &back);
        struct bytes view = buf_view(&back);
        CHECK(json_decode(type, &view, &again, why) == OK && view.len == 0);
        buf_clear(&wire);
        json_encode(type, buf_view(&again), &wire);
        CHECK(wire.len == back.len && memcmp(wire.data, back.data, back.len) == 0);
    }
    buf_deinit(&wire);
    buf_deinit(&back);
    buf_deinit(&again);
}

static void fuzz_wire(const ProtobufCMessageDescriptor *type, struct bytes wire)
{
    struct buf text = {.data = NULL};
    json_error_t error;
    json_encode(type, wire, &text);
    json_t *root = json_loadb((const char *)text.data, text.len, JSON_ALLOW_NUL, &error);
    CHECK(root != NULL);
    json_decref(root);
    buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        &etcdserverpb__txn_request__descriptor,
        &etcdserverpb__watch_request__descriptor,
        &etcdserverpb__range_response__descriptor,
        &etcdserverpb__status_response__descriptor,
        &etcdserverpb__watch_response__descriptor,
        &etcdserverpb__auth_role_get_response__descriptor,
    };
    if (n == 0) {
        return 0;
    }
    const ProtobufCMessageDescriptor *type = types[(bytes[0] & 0x7F) % COUNT_OF(types)];
    struct bytes view = {bytes + 1, n - 1};
    if ((bytes[0] & 0x80) == 0) {
        fuzz_text(type, view);
    } else {
        fuzz_wire(type, view);
    }
    return 0;
}
