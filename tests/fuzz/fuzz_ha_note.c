/* A note between an agent and the leader, of any bytes. What is taken is written again the same. */
#include "tests/fuzz/fuzz_target.h"

#include <string.h>

#include "core/base/check.h"
#include "core/ha/ha_lease.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct ha_note note;
    struct buf again;

    if (ha_note_decode((struct bytes){bytes, n}, &note) != OK) {
        return 0;
    }
    buf_init(&again);
    ha_note_encode(&note, &again);
    CHECK(again.len == n && again.data[1] == HA_LEASE_VERSION);
    CHECK(bytes[1] != HA_LEASE_VERSION || memcmp(again.data, bytes, n) == 0);
    buf_deinit(&again);
    return 0;
}
