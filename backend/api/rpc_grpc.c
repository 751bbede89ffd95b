#include "api/rpc_int.h"

#include <stdio.h>

#include "core/base/check.h"

/* grpc-timeout has at most eight digits. */
#define TIMEOUT_DIGITS_MAX 8

bool grpc_timeout_parse(struct bytes text, nanos *ret)
{
    static const struct {
        char unit;
        nanos span;
    } units[] = {
        {'n', 1},           {'u', NANOS_PER_US},     {'m', NANOS_PER_MS},
        {'S', NANOS_PER_S}, {'M', 60 * NANOS_PER_S}, {'H', 3600 * NANOS_PER_S},
    };
    if (text.len < 2 || text.len > TIMEOUT_DIGITS_MAX + 1) {
        return false;
    }
    nanos count = 0;
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        count = count * 10 + (nanos)(text.data[i] - '0');
    }
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (text.data[text.len - 1] == (uint8_t)units[i].unit) {
            *ret = count > NANOS_FOREVER / units[i].span ? NANOS_FOREVER : count * units[i].span;
            return true;
        }
    }
    return false;
}

void grpc_message_encode(const char *text, struct buf *ret)
{
    static const char digits[] = "0123456789ABCDEF";
    for (const uint8_t *at = (const uint8_t *)text; *at != '\0'; at++) {
        if (*at >= 0x20 && *at <= 0x7E && *at != '%') {
            buf_put_u8(ret, *at);
        } else {
            buf_put_u8(ret, '%');
            buf_put_u8(ret, (uint8_t)digits[*at >> 4]);
            buf_put_u8(ret, (uint8_t)digits[*at & 15]);
        }
    }
}

/* The prefix of a message is complete. False: the call has been refused. */
static bool grpc_take_prefix(struct rpc_call *call)
{
    const uint8_t *p = call->prefix;
    size_t max = call->conn->server->config.limits.request_max_bytes;
    call->message_len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | (size_t)p[4];
    if (p[0] != 0) {
        call_fail(call, RPC_INTERNAL, "grpc: compressed flag set with identity or empty encoding");
        return false;
    }
    if (call->message_len > max) {
        char text[96];
        snprintf(text, sizeof text, "grpc: received message larger than max (%zu vs. %zu)",
                 call->message_len, max);
        call_fail(call, RPC_RESOURCE_EXHAUSTED, text);
        return false;
    }
    return true;
}

/* Takes what belongs to the prefix; false: it is not complete, or was refused. */
static bool grpc_read_prefix(struct rpc_call *call, struct bytes *input)
{
    while (call->prefix_len < GRPC_PREFIX_BYTES && input->len > 0) {
        call->prefix[call->prefix_len++] = *input->data++;
        input->len--;
        if (call->prefix_len == GRPC_PREFIX_BYTES && !grpc_take_prefix(call)) {
            return false;
        }
    }
    return call->prefix_len == GRPC_PREFIX_BYTES;
}

/* Takes what belongs to the message, and delivers it when it is whole: as it lies in the input if
 * it came in one piece. */
static void grpc_read_message(struct rpc_call *call, struct bytes *input)
{
    size_t missing = call->message_len - call->in.len;
    struct bytes part = {input->data, (size_t)u64_min(missing, input->len)};
    input->data += part.len;
    input->len -= part.len;
    if (part.len < missing) {
        call_keep_input(call, part);
        return;
    }
    call->prefix_len = 0;
    if (call->in.len == 0) {
        call_deliver(call, part);
    } else {
        call_keep_input(call, part);
        if (!call->finished) {
            call_deliver(call, buf_view(&call->in));
        }
    }
    call_drop_message(call);
}

void grpc_input(struct rpc_call *call, struct bytes input)
{
    do {
        if (!grpc_read_prefix(call, &input)) {
            if (!call->finished) {
                call_keep_input(call, input); /* nothing, but it has begun */
            }
            break;
        }
        grpc_read_message(call, &input);
    } while (input.len > 0 && !call->finished);
}
