/* Any bytes as what a client says on a connection, HTTP/2 or HTTP/1.1: the first byte says in which
 * pieces they come, and whether time passes between them. Every call that began must be told that
 * it is gone, and nothing may stay accounted for. */
#include "tests/fuzz/fuzz_target.h"

#include "core/base/check.h"
#include "tests/support/rpc_peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const size_t chunks[] = {0, 1, 7, 100};
    struct rpc_limits limits = rpc_limits_default();
    limits.json_body_max_bytes = 1 << 16;
    limits.request_max_bytes = 1 << 16;
    struct rpc_peer peer;
    peer_open_raw(&peer, &limits);
    if (n > 0) {
        uint8_t how = bytes[0];
        size_t half = how & 4 ? n / 2 : n;
        peer.input_chunk = chunks[how & 3];
        peer_raw(&peer, bytes + 1, half - (half > 0 ? 1 : 0));
        peer_pump(&peer);
        if (half < n) {
            peer_advance(&peer, how & 8 ? 40 * NANOS_PER_S : NANOS_PER_S);
            peer_raw(&peer, bytes + half, n - half);
            peer_pump(&peer);
        }
        echo_answer_all(&peer.log);
        peer_pump(&peer);
    }
    if (peer.conn != NULL) {
        conn_close(peer.conn);
        peer.conn = NULL;
    }
    CHECK(peer.server.counters.calls_open == 0 && peer.server.counters.queued_bytes == 0);
    CHECK(peer.log.waiting_count == 0);
    for (size_t i = 0; i < peer.server.method_count; i++) {
        CHECK(peer.server.method_counters[i].open == 0);
    }
    peer_close(&peer);
    return 0;
}
