/*
 * Any bytes as the hello of a stream between members, as a refusal, and as the answer to a founder.
 * What is taken is what would have been written. Where the first byte's top bit is set, the
 * checksum is made right, so that the fuzzer gets behind it.
 */
#include "tests/fuzz/fuzz_target.h"

#include <string.h>

#include "core/base/crc.h"
#include "core/node/node_int.h"

static void seal(uint8_t *bytes, size_t n)
{
    uint32_t crc = crc32c(0, bytes, n - sizeof crc);
    for (size_t i = 0; i < sizeof crc; i++) {
        bytes[n - sizeof crc + i] = (uint8_t)(crc >> (8 * i));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    uint8_t hello_bytes[NODE_HELLO_BYTES] = {0};
    uint8_t refusal_bytes[NODE_REFUSAL_BYTES] = {0};
    struct node_hello hello;
    struct buf b;

    if (size < 1) {
        return 0;
    }
    memcpy(hello_bytes, bytes + 1, size - 1 < sizeof hello_bytes ? size - 1 : sizeof hello_bytes);
    memcpy(refusal_bytes, bytes + 1,
           size - 1 < sizeof refusal_bytes ? size - 1 : sizeof refusal_bytes);
    if (bytes[0] & 0x80) {
        seal(hello_bytes, sizeof hello_bytes);
        seal(refusal_bytes, sizeof refusal_bytes);
    }
    buf_init(&b);
    if (node_hello_decode((struct bytes){hello_bytes, sizeof hello_bytes}, &hello) ==
        NODE_REFUSAL_NONE) {
        node_hello_encode(&hello, &b);
        CHECK(memcmp(b.data, hello_bytes, sizeof hello_bytes) == 0);
    }
    enum node_refusal why =
        node_refusal_decode((struct bytes){refusal_bytes, sizeof refusal_bytes});
    CHECK(why < NODE_REFUSALS && node_refusal_told_text(why) != NULL);
    enum node_presence presence =
        node_presence_decode((struct bytes){refusal_bytes, sizeof refusal_bytes});
    CHECK(presence < NODE_PRESENCES &&
          (presence == NODE_PRESENCE_NONE || why == NODE_REFUSAL_NONE));
    buf_deinit(&b);
    return 0;
}
