#include "core/recovery/wal_format.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/crc.h"
#include "core/base/hash.h"
#include "core/base/le.h"

#define SECTOR_FIRST_FLAG (1ULL << 63)
#define SECTOR_TAG_AT     WAL_SECTOR_BODY_BYTES
#define SECTOR_CRC_AT     (WAL_SECTOR_BODY_BYTES + 8)

/* Spreads the sector's number over the checksum's starting value: a sector that was written to, or
 * read from, another place of the file fails. Odd, so that different numbers differ. */
#define SECTOR_CRC_SPREAD 0x9E3779B1U

static const uint8_t segment_magic[8] = {'N', 'C', 'R', 'N', 'W', 'A', 'L', 0};
static const uint8_t identity_magic[8] = {'N', 'C', 'R', 'N', 'N', 'O', 'D', 'E'};

static uint32_t sector_crc(const uint8_t *sector, uint64_t number)
{
    return crc32c(((uint32_t)number + 1) * SECTOR_CRC_SPREAD, sector, SECTOR_CRC_AT);
}

void wal_sector_seal(uint8_t *sector, uint64_t number, uint64_t batch_seq, bool is_first)
{
    CHECK(batch_seq > 0 && batch_seq < SECTOR_FIRST_FLAG);
    le64_store(sector + SECTOR_TAG_AT, batch_seq | (is_first ? SECTOR_FIRST_FLAG : 0));
    le32_store(sector + SECTOR_CRC_AT, sector_crc(sector, number));
}

static bool sector_is_zero(const uint8_t *sector)
{
    return sector[0] == 0 && memcmp(sector, sector + 1, WAL_SECTOR_BYTES - 1) == 0;
}

struct wal_sector wal_sector_read(const uint8_t *sector, uint64_t number)
{
    uint64_t tag = le64_load(sector + SECTOR_TAG_AT);
    if (tag == 0 && sector_is_zero(sector)) {
        return (struct wal_sector){.kind = WAL_SECTOR_ZERO};
    }
    if ((tag & ~SECTOR_FIRST_FLAG) == 0 ||
        le32_load(sector + SECTOR_CRC_AT) != sector_crc(sector, number)) {
        return (struct wal_sector){.kind = WAL_SECTOR_BAD};
    }
    return (struct wal_sector){
        .kind = WAL_SECTOR_SEALED,
        .is_first = (tag & SECTOR_FIRST_FLAG) != 0,
        .batch_seq = tag & ~SECTOR_FIRST_FLAG,
    };
}

void wal_record_encode(const struct wal_record *record, uint8_t *bytes)
{
    bytes[4] = (uint8_t)record->type;
    bytes[5] = record->entry_type;
    le16_store(bytes + 6, 0);
    le32_store(bytes + 8, record->body_bytes);
    le32_store(bytes + 12, record->body_crc);
    le64_store(bytes + 16, record->chain);
    le64_store(bytes + 24, record->index);
    le64_store(bytes + 32, record->term);
    le32_store(bytes, crc32c(0, bytes + 4, WAL_RECORD_HEADER_BYTES - 4));
}

/* The exact length of the body of each type; entries have any up to the limit. */
static bool record_body_fits(enum wal_record_type type, uint32_t body_bytes)
{
    switch (type) {
    case WAL_RECORD_BATCH:
        return body_bytes == WAL_BATCH_BODY_BYTES;
    case WAL_RECORD_ENTRY:
    case WAL_RECORD_REPAIR:
        return body_bytes <= WAL_PAYLOAD_MAX_BYTES;
    case WAL_RECORD_HARD_STATE:
    case WAL_RECORD_DAMAGE:
    case WAL_RECORD_HEAL:
        return body_bytes == 8;
    case WAL_RECORD_END:
    case WAL_RECORD_SNAPSHOT:
        return body_bytes == 0;
    case WAL_RECORD_TYPES:
        break;
    }
    return false;
}

enum err wal_record_decode(const uint8_t *bytes, struct wal_record *ret)
{
    if (le32_load(bytes) != crc32c(0, bytes + 4, WAL_RECORD_HEADER_BYTES - 4)) {
        return ERR_CORRUPT;
    }
    if (bytes[4] == 0 || bytes[4] >= WAL_RECORD_TYPES || le16_load(bytes + 6) != 0) {
        return ERR_CORRUPT;
    }
    struct wal_record record = {
        .type = (enum wal_record_type)bytes[4],
        .entry_type = bytes[5],
        .body_bytes = le32_load(bytes + 8),
        .body_crc = le32_load(bytes + 12),
        .chain = le64_load(bytes + 16),
        .index = le64_load(bytes + 24),
        .term = le64_load(bytes + 32),
    };
    if (!record_body_fits(record.type, record.body_bytes)) {
        return ERR_CORRUPT;
    }
    *ret = record;
    return OK;
}

uint64_t wal_chain_next(const uint8_t *header)
{
    return hash_bytes(0, header, WAL_RECORD_HEADER_BYTES);
}

uint64_t wal_chain_genesis(uint64_t cluster, node_id node)
{
    return hash_u64(hash_u64(0, cluster), node);
}

void wal_batch_head_encode(const struct wal_batch_head *head, uint8_t *bytes)
{
    const uint64_t fields[] = {head->term,          head->vote,      head->commit,
                               head->last_index,    head->last_term, head->snapshot_index,
                               head->snapshot_term, head->touched};
    _Static_assert(sizeof fields == WAL_BATCH_BODY_BYTES, "the body is these fields");
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        le64_store(bytes + 8 * i, fields[i]);
    }
}

struct wal_batch_head wal_batch_head_decode(const uint8_t *bytes)
{
    return (struct wal_batch_head){
        .term = le64_load(bytes),
        .vote = le64_load(bytes + 8),
        .commit = le64_load(bytes + 16),
        .last_index = le64_load(bytes + 24),
        .last_term = le64_load(bytes + 32),
        .snapshot_index = le64_load(bytes + 40),
        .snapshot_term = le64_load(bytes + 48),
        .touched = le64_load(bytes + 56),
    };
}

/*
 * Segment headers and the identity file begin alike, in this and in all later versions: magic
 * (8 bytes), version u32, CRC32C u32 over the whole sector without this field.
 */
static uint32_t preamble_crc(const uint8_t *sector)
{
    return crc32c(crc32c(0, sector, 12), sector + 16, WAL_SECTOR_BYTES - 16);
}

static void preamble_encode(uint8_t *sector, const uint8_t magic[8])
{
    memcpy(sector, magic, 8);
    le32_store(sector + 8, WAL_FORMAT_VERSION);
    le32_store(sector + 12, preamble_crc(sector));
}

static enum err preamble_decode(const uint8_t *sector, const uint8_t magic[8], uint32_t *version)
{
    if (memcmp(sector, magic, 8) != 0 || le32_load(sector + 12) != preamble_crc(sector)) {
        return ERR_CORRUPT;
    }
    *version = le32_load(sector + 8);
    return *version == WAL_FORMAT_VERSION ? OK : ERR_UNSUPPORTED;
}

void wal_segment_header_encode(const struct wal_segment_header *header, uint8_t *sector)
{
    memset(sector, 0, WAL_SECTOR_BYTES);
    le64_store(sector + 16, header->cluster);
    le64_store(sector + 24, header->node);
    le64_store(sector + 32, header->seq);
    le64_store(sector + 40, header->bytes);
    le64_store(sector + 48, header->first_batch);
    le64_store(sector + 56, header->chain);
    preamble_encode(sector, segment_magic);
}

enum err wal_segment_header_decode(const uint8_t *sector, uint32_t *version,
                                   struct wal_segment_header *ret)
{
    TRY(preamble_decode(sector, segment_magic, version));
    *ret = (struct wal_segment_header){
        .cluster = le64_load(sector + 16),
        .node = le64_load(sector + 24),
        .seq = le64_load(sector + 32),
        .bytes = le64_load(sector + 40),
        .first_batch = le64_load(sector + 48),
        .chain = le64_load(sector + 56),
    };
    return OK;
}

void wal_identity_encode(const struct wal_identity *identity, uint8_t *sector)
{
    memset(sector, 0, WAL_IDENTITY_BYTES);
    le64_store(sector + 16, identity->cluster);
    le64_store(sector + 24, identity->node);
    preamble_encode(sector, identity_magic);
}

enum err wal_identity_decode(const uint8_t *sector, uint32_t *version, struct wal_identity *ret)
{
    TRY(preamble_decode(sector, identity_magic, version));
    *ret = (struct wal_identity){
        .cluster = le64_load(sector + 16),
        .node = le64_load(sector + 24),
    };
    return OK;
}

void wal_segment_name(uint64_t seq, char name[WAL_NAME_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 16; i++) {
        name[i] = digits[seq >> (60 - 4 * i) & 0xF];
    }
    memcpy(name + 16, ".wal", 5);
}

uint64_t wal_segment_name_parse(const char *name)
{
    uint64_t seq = 0;

    for (size_t i = 0; i < 16; i++) {
        char c = name[i];
        if (c >= '0' && c <= '9') {
            seq = seq << 4 | (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            seq = seq << 4 | (uint64_t)(c - 'a' + 10);
        } else {
            return 0;
        }
    }
    return strcmp(name + 16, ".wal") == 0 ? seq : 0;
}

const char *wal_record_type_name(enum wal_record_type type)
{
    static const char *const names[WAL_RECORD_TYPES] = {
        [WAL_RECORD_BATCH] = "batch",           [WAL_RECORD_END] = "end",
        [WAL_RECORD_ENTRY] = "entry",           [WAL_RECORD_REPAIR] = "repair",
        [WAL_RECORD_HARD_STATE] = "hard-state", [WAL_RECORD_SNAPSHOT] = "snapshot",
        [WAL_RECORD_DAMAGE] = "damage",         [WAL_RECORD_HEAL] = "heal",
    };
    CHECK(type > 0 && type < WAL_RECORD_TYPES);
    return names[type];
}
