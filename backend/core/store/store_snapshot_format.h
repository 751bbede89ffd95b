/*
 * The snapshot's blocks and their numbers; docs/formats/store-snapshot.md has the bytes.
 *
 *     header, system, leases*, origin*, keys*, changes*, end
 *
 * Blocks of one kind are cut where STORE_SNAPSHOT_BLOCK_BYTES are full, and nowhere else: equal
 * states give equal bytes, whatever the budgets of the steps were.
 */
#ifndef NOVACRON_STORE_SNAPSHOT_FORMAT_H
#define NOVACRON_STORE_SNAPSHOT_FORMAT_H

#include "core/base/types.h"

#define STORE_SNAPSHOT_VERSION      2 /* 1 below STORE_SYSTEM_LEVEL: it has no system block */
#define STORE_SNAPSHOT_MAGIC        0x31504e5345524f54u /* "TORESNP1" */
#define STORE_SNAPSHOT_HEADER_BYTES 120
#define STORE_SNAPSHOT_END_BYTES    24

enum store_block {
    STORE_BLOCK_HEADER = 1,
    STORE_BLOCK_LEASES = 2,
    STORE_BLOCK_ORIGIN = 3,
    STORE_BLOCK_KEYS = 4,
    STORE_BLOCK_CHANGES = 5,
    STORE_BLOCK_END = 6,
    STORE_BLOCK_SYSTEM = 7
};

/* Before each block: kind (1), zero (3), payload length (4), CRC32C of these eight and the payload.
 */
#define STORE_BLOCK_PREFIX_BYTES 12

enum store_change { STORE_CHANGE_PUT = 0, STORE_CHANGE_DELETE = 1 };

/* The header's fields, in their order after magic, version, level and four bytes of zero. */
struct store_snapshot_header {
    uint16_t feature_level;
    uint64_t applied_index;
    int64_t revision;
    int64_t compact_revision;
    uint64_t first_seq;
    uint64_t next_seq;
    uint64_t chain_before;
    uint64_t chain;
    uint64_t live_sum;
    uint64_t live_keys;
    uint64_t dedup_chain;
    uint64_t lease_count;
    uint64_t lease_sum;
    uint64_t origin_count;
};

#endif
