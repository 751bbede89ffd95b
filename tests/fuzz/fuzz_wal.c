/*
 * Recovery of any bytes as a log. The first byte says how the rest is split into segments; where
 * its top bit is set, sectors are sealed again, so that the fuzzer gets behind the checksums.
 */
#include "tests/fuzz/fuzz_target.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/recovery/snapshot_format.h"
#include "core/recovery/wal_scan.h"

#define FUZZ_BYTES_MAX (64 * 1024)

static void count_entry(void *ctx, const struct wal_entry *entry, bool is_repair)
{
    uint64_t *sum = ctx;
    (void)is_repair;
    for (size_t i = 0; i < entry->payload.len; i++) {
        *sum += entry->payload.data[i];
    }
}

static void scan_all(uint8_t *sectors, uint64_t count, uint64_t per_segment, bool seals)
{
    struct wal_scan scan;
    uint64_t sum = 0;
    const struct wal_scan_sink sink = {.ctx = &sum, .entry = count_entry};

    wal_scan_init(&scan, 77, 3, 0, 0, &sink);
    for (uint64_t at = 0, segment = 1; at < count; at += per_segment, segment++) {
        uint64_t n = u64_min(per_segment, count - at);
        wal_scan_begin_segment(&scan, segment, n * WAL_SECTOR_BYTES);
        for (uint64_t i = 0; i < n; i++) {
            uint8_t *sector = sectors + (at + i) * WAL_SECTOR_BYTES;
            if (seals && i > 0) {
                uint64_t seq = 1 + sector[WAL_SECTOR_BODY_BYTES] % 8U;
                wal_sector_seal(sector, i, seq, (sector[WAL_SECTOR_BODY_BYTES + 7] & 0x80) != 0);
            }
            wal_scan_feed(&scan, sector, 1);
        }
        wal_scan_end_segment(&scan);
    }
    wal_scan_finish(&scan);
    if (!wal_scan_is_foreign(&scan)) {
        wal_state_infer_terms(&scan.state);
        wal_state_check(&scan.state);
    }
    wal_scan_deinit(&scan);
}

static void check_snapshot_file(const uint8_t *bytes, size_t n)
{
    struct snapfile_check check;

    snapfile_check_init(&check);
    (void)!snapfile_check_feed(&check, (struct bytes){bytes, n});
    CHECK(check.verified <= n);
    snapfile_check_deinit(&check);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n < 1 + WAL_SECTOR_BYTES || n > FUZZ_BYTES_MAX) {
        return 0;
    }
    uint64_t count = (n - 1) / WAL_SECTOR_BYTES;
    uint8_t *copy = mem_alloc((size_t)count * WAL_SECTOR_BYTES);
    memcpy(copy, bytes + 1, (size_t)count * WAL_SECTOR_BYTES);
    scan_all(copy, count, 1 + (bytes[0] & 0x1F), (bytes[0] & 0x80) != 0);
    mem_free(copy);
    check_snapshot_file(bytes + 1, n - 1);
    return 0;
}
