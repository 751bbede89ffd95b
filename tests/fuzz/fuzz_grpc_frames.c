/* Any bytes as the body of a call, in pieces that its first byte says: each whole message comes
 * back as it went, whatever lies behind it. */
#include "tests/fuzz/fuzz_target.h"

#include <string.h>

#include "core/base/check.h"
#include "tests/support/rpc_peer.h"

/* The bytes of whole, plain messages at the beginning of `body`. */
static size_t fuzz_whole_messages(const uint8_t *body, size_t n, size_t max)
{
    size_t at = 0;
    while (n - at >= GRPC_PREFIX_BYTES && body[at] == 0) {
        size_t length = (size_t)body[at + 1] << 24 | (size_t)body[at + 2] << 16 |
                        (size_t)body[at + 3] << 8 | body[at + 4];
        if (length > max || n - at - GRPC_PREFIX_BYTES < length) {
            break;
        }
        at += GRPC_PREFIX_BYTES + length;
    }
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n == 0) {
        return 0;
    }
    struct rpc_peer peer;
    struct rpc_limits limits = rpc_limits_default();
    peer_open(&peer, &limits);
    size_t piece = bytes[0] == 0 ? n : bytes[0];
    bytes++;
    n--;
    struct peer_reply *reply =
        peer_request(&peer, "/test.Echo/Open", NULL, (struct bytes){NULL, 0}, false);
    for (size_t at = 0; at < n && !reply->ended; at += piece) {
        size_t part = n - at < piece ? n - at : piece;
        peer_more(&peer, reply, (struct bytes){bytes + at, part}, false);
    }
    size_t whole = fuzz_whole_messages(bytes, n, limits.request_max_bytes);
    CHECK(reply->data.len == whole);
    CHECK(whole == 0 || memcmp(reply->data.data, bytes, whole) == 0);
    nanos timeout = 0;
    (void)grpc_timeout_parse((struct bytes){bytes, n}, &timeout);
    peer_close(&peer);
    CHECK(peer.log.gone == 1);
    return 0;
}
