/*
 * Any bytes as what a member says after its hello, to a node of three that hears nobody else:
 * frames of Raft messages and notes. The first byte says in which pieces they come. The input is a
 * list of frames, each with its length in two bytes and its kind in one: a message, a note, or raw
 * bytes; those of the first two get a right checksum, so that the fuzzer gets behind it. Whatever
 * comes, the node goes on, or ends the stream.
 */
#include "tests/fuzz/fuzz_target.h"

#include <string.h>

#include "core/base/crc.h"
#include "core/chaos/simworld.h"
#include "core/node/node_int.h"

#define CLUSTER 77
#define PORT    2380

enum { FRAME_RAW, FRAME_MESSAGE, FRAME_NOTE, FRAME_KINDS };

static void fuzz_ignore(struct world_stream_sink *sink)
{
    (void)sink;
}

static void fuzz_ignore_bytes(struct world_stream_sink *sink, struct bytes bytes)
{
    (void)sink;
    (void)bytes;
}

static void stream_on_closed(struct world_stream_sink *sink, enum err why)
{
    bool *closed = sink->owner;
    (void)why;
    *closed = true;
}

static void fuzz_run(struct simworld *sim, nanos span)
{
    simworld_run(sim, simworld_now(sim) + span);
}

/* The frames that the input asks for. */
static void stream_put_frames(struct buf *b, const uint8_t *bytes, size_t n)
{
    for (size_t at = 0; at + 3 <= n;) {
        size_t length = (size_t)bytes[at] | (size_t)bytes[at + 1] << 8;
        uint8_t kind = bytes[at + 2] % FRAME_KINDS;
        at += 3;
        length = length < n - at ? length : n - at;
        if (kind != FRAME_RAW) {
            buf_put_u32(b, (uint32_t)length | (kind == FRAME_NOTE ? 0x80000000U : 0));
            buf_put_u32(b, crc32c(0, bytes + at, length));
        }
        buf_put(b, bytes + at, length);
        at += length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const size_t pieces[] = {SIZE_MAX, 1, 11, 1000};
    if (n < 1) {
        return 0;
    }
    struct simworld *sim = simworld_new(1);
    struct simhost *host = simhost_new(sim, "one", 64 * 1024 * 1024);
    struct simhost *other = simhost_new(sim, "two", 1024 * 1024);
    struct node_config config = node_config_default(1);
    struct raft_membership founders = {.n = 3};
    static const char *const names[] = {"one", "two", "three"};
    for (uint32_t i = 0; i < 3; i++) {
        founders.member[i] = (struct raft_member){
            .id = i + 1, .roles = RAFT_VOTER, .priority = RAFT_PRIORITY_DEFAULT};
        config.peers[i] = (struct node_peer){.id = i + 1, .at = {.port = PORT}};
        memcpy(config.peers[i].at.host, names[i], strlen(names[i]) + 1);
    }
    config.dir = "node";
    config.cluster = CLUSTER;
    config.founders = &founders;
    config.port = PORT;
    config.peer_count = 3;
    config.segment_bytes = 1024 * 1024;
    config.batch_bytes = 128 * 1024;
    config.reserve_bytes = 64 * 1024;
    const struct node_events events = {0};
    struct node *node = node_open(simhost_world(host), &config, &events);
    fuzz_run(sim, 200 * NANOS_PER_MS);

    const struct world *w = simhost_world(other);
    bool closed = false;
    struct world_stream_sink sink = {.opened = fuzz_ignore,
                                     .received = fuzz_ignore_bytes,
                                     .writable = fuzz_ignore,
                                     .closed = stream_on_closed,
                                     .owner = &closed};
    const struct world_endpoint to = {.host = "one", .port = PORT};
    struct world_stream *stream = w->net->connect(w->self, &to, &sink);
    struct buf said;
    buf_init(&said);
    const struct node_hello hello = {
        .kind = NODE_STREAM_LOG, .cluster = CLUSTER, .from = 2, .to = 1};
    node_hello_encode(&hello, &said);
    stream_put_frames(&said, bytes + 1, n - 1);
    size_t piece = pieces[bytes[0] % COUNT_OF(pieces)];
    for (size_t at = 0; at < said.len && !closed;) {
        size_t length = said.len - at < piece ? said.len - at : piece;
        if (w->net->stream_send(w->self, stream, (struct bytes){said.data + at, length}) != OK) {
            break;
        }
        at += length;
        if (piece != 1 || at % 64 == 0) {
            fuzz_run(sim, NANOS_PER_MS);
        }
    }
    fuzz_run(sim, 3 * NANOS_PER_S);
    node_check(node);
    if (!closed) {
        w->net->stream_close(w->self, stream);
    }
    buf_deinit(&said);
    simhost_kill(host);
    node_close(node);
    simworld_free(sim);
    return 0;
}
