/* What a member tells of itself, as another one reads it: whatever makes sense is written again as
 * what it was, and nothing is told that has no place. */
#include "core/monitoring/health/host_status.h"

#include <string.h>

#include "core/base/check.h"
#include "core/monitoring/health/gray.h"
#include "tests/fuzz/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct host_status status;
    struct host_status again;
    struct buf b;

    host_status_decode((struct bytes){data, size}, &status);
    CHECK(memchr(status.name, 0, sizeof status.name) != NULL);
    CHECK(status.n_peers <= HOST_STATUS_PEERS_MAX);
    CHECK(status.rungs[RUNG_NETWORK].state == RUNG_UNKNOWN);
    CHECK(status.is_told || status.n_peers == 0);
    for (uint32_t i = 0; i < status.n_peers; i++) {
        CHECK(status.peers[i].id != NODE_NONE && status.peers[i].loss_percent <= 100);
        CHECK(status.peers[i].symptoms >> GRAY_SYMPTOMS == 0);
    }
    buf_init(&b);
    host_status_encode(&b, &status);
    CHECK(b.len <= SWIM_META_MAX_BYTES);
    host_status_decode(buf_view(&b), &again);
    CHECK(again.is_told && strcmp(again.name, status.name) == 0);
    CHECK(again.n_peers == status.n_peers);
    for (enum rung i = 0; i < RUNGS; i++) {
        CHECK(again.rungs[i].state == status.rungs[i].state);
        CHECK(status.rungs[i].state == RUNG_UNKNOWN ||
              again.rungs[i].measure == status.rungs[i].measure);
    }
    buf_deinit(&b);
    return 0;
}
