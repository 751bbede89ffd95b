#include "api/rpc_int.h"

#include <string.h>

#include "api/pb_wire.h"
#include "core/base/check.h"
#include "core/base/mem.h"

/*
 * Server reflection, v1alpha and v1, which differ in nothing but their names. What is told are the
 * FileDescriptorProtos that protoc made of proto/ when this was built: a FileDescriptorSet is a
 * repetition of them (field 1).
 */

extern const uint8_t proto_descriptor_set[];
extern const size_t proto_descriptor_set_len;

/* Numbers of the fields of ServerReflectionRequest and ServerReflectionResponse. */
enum {
    REQUEST_HOST = 1,
    REQUEST_FILE_BY_NAME = 3,
    REQUEST_FILE_OF_SYMBOL = 4,
    REQUEST_FILE_OF_EXTENSION = 5,
    REQUEST_EXTENSION_NUMBERS = 6,
    REQUEST_LIST_SERVICES = 7,
    RESPONSE_HOST = 1,
    RESPONSE_REQUEST = 2,
    RESPONSE_FILES = 4,
    RESPONSE_EXTENSIONS = 5,
    RESPONSE_SERVICES = 6,
    RESPONSE_ERROR = 7,
};

/* Numbers of the fields of FileDescriptorProto, DescriptorProto and their like. */
enum {
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    ANY_NAME = 1,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    SERVICE_METHOD = 2,
};

#define FILES_MAX 32
#define NEST_MAX  8

struct reflection_file {
    struct bytes name, descriptor;
};

static size_t reflection_files(struct reflection_file files[FILES_MAX])
{
    struct bytes set = {proto_descriptor_set, proto_descriptor_set_len};
    struct pb_field file, field;
    size_t count = 0;
    while (pb_next(&set, &file)) {
        CHECK(count < FILES_MAX);
        struct bytes rest = file.bytes;
        files[count].descriptor = file.bytes;
        files[count].name = (struct bytes){NULL, 0};
        while (pb_next(&rest, &field)) {
            if (field.number == FILE_NAME) {
                files[count].name = field.bytes;
            }
        }
        count++;
    }
    return count;
}

static bool bytes_are_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* --- Symbols ---------------------------------------------------------------------------------- */

/* Takes "first." off `symbol`, or all of it where it is `first`; false: it begins otherwise. */
static bool symbol_enter(struct bytes *symbol, struct bytes first)
{
    if (symbol->len < first.len || memcmp(symbol->data, first.data, first.len) != 0) {
        return false;
    }
    if (symbol->len == first.len) {
        *symbol = (struct bytes){NULL, 0};
        return true;
    }
    if (symbol->data[first.len] != '.' || symbol->len == first.len + 1) {
        return false;
    }
    symbol->data += first.len + 1;
    symbol->len -= first.len + 1;
    return true;
}

static struct bytes descriptor_name(struct bytes descriptor)
{
    struct pb_field field;
    struct bytes name = {NULL, 0};
    while (pb_next(&descriptor, &field)) {
        if (field.number == ANY_NAME && field.type == PB_BYTES) {
            name = field.bytes;
        }
    }
    return name;
}

/* Does a message, enum or service hold `symbol`, which is relative to its own scope? */
static bool descriptor_holds(struct bytes descriptor, struct bytes symbol, bool is_service,
                             int depth)
{
    struct pb_field field;
    if (!symbol_enter(&symbol, descriptor_name(descriptor)) || depth > NEST_MAX) {
        return false;
    }
    bool found = symbol.len == 0;
    while (!found && pb_next(&descriptor, &field)) {
        bool inside = is_service ? field.number == SERVICE_METHOD
                                 : field.number == MESSAGE_NESTED || field.number == MESSAGE_ENUM;
        found = inside && field.type == PB_BYTES &&
                descriptor_holds(field.bytes, symbol, false, depth + 1);
    }
    return found;
}

static bool file_holds(struct bytes descriptor, struct bytes symbol)
{
    struct pb_field field;
    struct bytes rest = descriptor;
    while (pb_next(&rest, &field)) {
        if (field.number == FILE_PACKAGE && !symbol_enter(&symbol, field.bytes)) {
            return false;
        }
    }
    while (symbol.len > 0 && pb_next(&descriptor, &field)) {
        bool scope = field.number == FILE_MESSAGE || field.number == FILE_ENUM ||
                     field.number == FILE_SERVICE;
        if (scope && descriptor_holds(field.bytes, symbol, field.number == FILE_SERVICE, 0)) {
            return true;
        }
    }
    return false;
}

/* --- Answers ---------------------------------------------------------------------------------- */

static void reflection_put_error(struct buf *wire, int status, const char *text)
{
    size_t begun = pb_begin(wire, RESPONSE_ERROR);
    pb_put_varint(wire, 1, (uint64_t)status);
    pb_put_text(wire, 2, text);
    pb_end(wire, begun);
}

/* The file, and those that it depends on, each once. */
static void reflection_put_files(struct buf *wire, const struct reflection_file *files,
                                 size_t count, size_t wanted)
{
    bool taken[FILES_MAX] = {false};
    size_t queue[FILES_MAX], length = 0;
    queue[length++] = wanted;
    taken[wanted] = true;
    size_t begun = pb_begin(wire, RESPONSE_FILES);
    for (size_t i = 0; i < length; i++) {
        struct bytes rest = files[queue[i]].descriptor;
        struct pb_field field;
        pb_put_bytes(wire, 1, rest);
        while (pb_next(&rest, &field)) {
            for (size_t j = 0; j < count && field.number == FILE_DEPENDENCY; j++) {
                if (!taken[j] && bytes_are_equal(files[j].name, field.bytes)) {
                    taken[j] = true;
                    queue[length++] = j;
                }
            }
        }
    }
    pb_end(wire, begun);
}

static void reflection_put_services(struct buf *wire, const struct rpc_server *server)
{
    size_t begun = pb_begin(wire, RESPONSE_SERVICES);
    for (size_t i = 0; i < server->method_count; i++) {
        const char *path = server->methods[i]->path;
        size_t n = (size_t)(strrchr(path, '/') - path);
        bool told = false;
        for (size_t j = 0; j < i && !told; j++) {
            told = strncmp(server->methods[j]->path, path, n + 1) == 0;
        }
        if (!told) {
            size_t service = pb_begin(wire, 1);
            pb_put_bytes(wire, 1, (struct bytes){(const uint8_t *)path + 1, n - 1});
            pb_end(wire, service);
        }
    }
    pb_end(wire, begun);
}

static void reflection_answer(const struct rpc_server *server, const struct pb_field *asked,
                              struct buf *wire)
{
    struct reflection_file files[FILES_MAX];
    size_t count = reflection_files(files);
    size_t found = FILES_MAX;
    switch (asked->number) {
    case REQUEST_LIST_SERVICES:
        reflection_put_services(wire, server);
        return;
    case REQUEST_FILE_BY_NAME:
        for (size_t i = 0; i < count; i++) {
            found = bytes_are_equal(files[i].name, asked->bytes) ? i : found;
        }
        break;
    case REQUEST_FILE_OF_SYMBOL:
        for (size_t i = 0; i < count; i++) {
            found = file_holds(files[i].descriptor, asked->bytes) ? i : found;
        }
        break;
    case REQUEST_FILE_OF_EXTENSION:
    case REQUEST_EXTENSION_NUMBERS: /* proto3 has no extensions */
        break;
    default:
        reflection_put_error(wire, RPC_INVALID_ARGUMENT, "the request asks for nothing known");
        return;
    }
    if (found == FILES_MAX) {
        reflection_put_error(wire, RPC_NOT_FOUND, "there is no such file or symbol");
    } else {
        reflection_put_files(wire, files, count, found);
    }
}

static void reflection_message(struct rpc_call *call, struct bytes message)
{
    struct pb_field field, asked = {.number = 0};
    struct bytes host = {NULL, 0}, rest = message;
    while (pb_next(&rest, &field)) {
        if (field.number == REQUEST_HOST && field.type == PB_BYTES) {
            host = field.bytes;
        } else if (field.type == PB_BYTES) {
            asked = field;
        }
    }
    if (rest.len > 0) {
        rpc_finish(call, RPC_INTERNAL, "grpc: error unmarshalling request");
        return;
    }
    struct buf wire = {.data = NULL};
    if (host.len > 0) {
        pb_put_bytes(&wire, RESPONSE_HOST, host);
    }
    pb_put_bytes(&wire, RESPONSE_REQUEST, message);
    reflection_answer(call->conn->server, &asked, &wire);
    if (!rpc_send(call, (struct bytes){NULL, 0}, buf_view(&wire))) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "too many answers are left unread");
    }
    buf_deinit(&wire);
}

static void reflection_half_closed(struct rpc_call *call)
{
    rpc_finish(call, RPC_OK, NULL);
}

const struct rpc_method reflection_methods[2] = {
    {
        .path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        .shape = RPC_BIDI,
        .message = reflection_message,
        .half_closed = reflection_half_closed,
    },
    {
        .path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        .shape = RPC_BIDI,
        .message = reflection_message,
        .half_closed = reflection_half_closed,
    },
};
