#include "core/recovery/snapshot_format.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/crc.h"
#include "core/base/hash.h"
#include "core/base/le.h"

static const uint8_t header_magic[8] = {'N', 'C', 'R', 'N', 'S', 'N', 'A', 'P'};
static const uint8_t trailer_magic[8] = {'N', 'C', 'R', 'N', 'S', 'E', 'N', 'D'};

static uint64_t block_count(uint64_t payload_bytes)
{
    return (payload_bytes + SNAPFILE_BLOCK_PAYLOAD - 1) / SNAPFILE_BLOCK_PAYLOAD;
}

uint64_t snapfile_bytes(uint64_t payload_bytes)
{
    return SNAPFILE_HEADER_BYTES + payload_bytes +
           block_count(payload_bytes) * SNAPFILE_BLOCK_TRAILER + SNAPFILE_TRAILER_BYTES;
}

static uint32_t header_crc(const uint8_t *bytes)
{
    return crc32c(crc32c(0, bytes, 12), bytes + 16, SNAPFILE_HEADER_BYTES - 16);
}

void snapfile_header_encode(const struct snapfile_meta *meta, uint8_t *bytes)
{
    CHECK(meta->membership.len <= SNAPFILE_MEMBERSHIP_MAX_BYTES);
    memset(bytes, 0, SNAPFILE_HEADER_BYTES);
    memcpy(bytes, header_magic, sizeof header_magic);
    le32_store(bytes + 8, SNAPFILE_FORMAT_VERSION);
    le64_store(bytes + 16, meta->cluster);
    le64_store(bytes + 24, meta->index);
    le64_store(bytes + 32, meta->term);
    le64_store(bytes + 40, meta->payload_bytes);
    le32_store(bytes + 48, (uint32_t)meta->membership.len);
    le32_store(bytes + 52, SNAPFILE_BLOCK_BYTES);
    if (meta->membership.len > 0) {
        memcpy(bytes + SNAPFILE_FIXED_BYTES, meta->membership.data, meta->membership.len);
    }
    le32_store(bytes + 12, header_crc(bytes));
}

enum err snapfile_header_decode(const uint8_t *bytes, struct snapfile_meta *ret)
{
    if (memcmp(bytes, header_magic, sizeof header_magic) != 0 ||
        le32_load(bytes + 12) != header_crc(bytes)) {
        return ERR_CORRUPT;
    }
    if (le32_load(bytes + 8) != SNAPFILE_FORMAT_VERSION) {
        return ERR_UNSUPPORTED;
    }
    struct snapfile_meta meta = {
        .cluster = le64_load(bytes + 16),
        .index = le64_load(bytes + 24),
        .term = le64_load(bytes + 32),
        .membership = {bytes + SNAPFILE_FIXED_BYTES, le32_load(bytes + 48)},
        .payload_bytes = le64_load(bytes + 40),
    };
    if (meta.membership.len > SNAPFILE_MEMBERSHIP_MAX_BYTES || meta.index == 0 ||
        meta.payload_bytes > SNAPFILE_PAYLOAD_MAX_BYTES ||
        le32_load(bytes + 52) != SNAPFILE_BLOCK_BYTES) {
        return ERR_CORRUPT;
    }
    *ret = meta;
    return OK;
}

/* A block's checksum starts from its number, so that blocks cannot change places. */
static uint32_t block_crc(const uint8_t *block, size_t n, uint32_t number)
{
    return crc32c(number + 1, block, n);
}

uint64_t snapfile_block_seal(uint8_t *block, size_t n, uint32_t number, uint64_t digest)
{
    CHECK(n > 0 && n <= SNAPFILE_BLOCK_PAYLOAD);
    uint32_t crc = block_crc(block, n, number);
    le32_store(block + n, crc);
    le32_store(block + n + 4, number);
    return hash_u64(digest, (uint64_t)number << 32 | crc);
}

void snapfile_trailer_encode(const struct snapfile_meta *meta, uint64_t digest, uint8_t *bytes)
{
    memcpy(bytes, trailer_magic, sizeof trailer_magic);
    le64_store(bytes + 8, meta->index);
    le64_store(bytes + 16, meta->payload_bytes);
    le64_store(bytes + 24, digest);
    le32_store(bytes + 32, 0);
    le32_store(bytes + 36, crc32c(0, bytes, 36));
}

static bool trailer_is_right(const struct snapfile_check *c, const uint8_t *bytes)
{
    uint8_t expected[SNAPFILE_TRAILER_BYTES];

    snapfile_trailer_encode(&c->meta, c->digest, expected);
    return memcmp(bytes, expected, sizeof expected) == 0;
}

void snapfile_check_init(struct snapfile_check *c)
{
    *c = (struct snapfile_check){0};
    buf_init(&c->unit);
    buf_init(&c->header);
}

void snapfile_check_deinit(struct snapfile_check *c)
{
    buf_deinit(&c->unit);
    buf_deinit(&c->header);
}

void snapfile_check_rewind(struct snapfile_check *c)
{
    buf_clear(&c->unit);
    c->error = OK;
}

/* The length of the unit that begins at `verified`; 0 behind the trailer. */
static size_t unit_bytes(const struct snapfile_check *c)
{
    if (!c->has_header) {
        return SNAPFILE_HEADER_BYTES;
    }
    uint64_t done = (uint64_t)c->blocks * SNAPFILE_BLOCK_PAYLOAD;
    if (done < c->meta.payload_bytes) {
        return (size_t)u64_min(SNAPFILE_BLOCK_PAYLOAD, c->meta.payload_bytes - done) +
               SNAPFILE_BLOCK_TRAILER;
    }
    return snapfile_check_is_done(c) ? 0 : SNAPFILE_TRAILER_BYTES;
}

bool snapfile_check_is_done(const struct snapfile_check *c)
{
    return c->has_header && c->verified == snapfile_bytes(c->meta.payload_bytes);
}

static enum err check_header(struct snapfile_check *c, const uint8_t *bytes)
{
    struct snapfile_meta meta;

    TRY(snapfile_header_decode(bytes, &meta));
    buf_clear(&c->header);
    buf_put(&c->header, meta.membership.data, meta.membership.len);
    meta.membership = buf_view(&c->header);
    c->meta = meta;
    c->has_header = true;
    return OK;
}

static enum err check_block(struct snapfile_check *c, const uint8_t *bytes, size_t n)
{
    size_t payload = n - SNAPFILE_BLOCK_TRAILER;
    uint32_t crc = block_crc(bytes, payload, c->blocks);

    if (le32_load(bytes + payload) != crc || le32_load(bytes + payload + 4) != c->blocks) {
        return ERR_CORRUPT;
    }
    c->digest = hash_u64(c->digest, (uint64_t)c->blocks << 32 | crc);
    if (c->payload != NULL) {
        c->payload(c->ctx, (uint64_t)c->blocks * SNAPFILE_BLOCK_PAYLOAD,
                   (struct bytes){bytes, payload});
    }
    c->blocks++;
    return OK;
}

static enum err check_unit(struct snapfile_check *c, const uint8_t *bytes, size_t n)
{
    enum err e = OK;

    if (!c->has_header) {
        e = check_header(c, bytes);
    } else if ((uint64_t)c->blocks * SNAPFILE_BLOCK_PAYLOAD < c->meta.payload_bytes) {
        e = check_block(c, bytes, n);
    } else {
        e = trailer_is_right(c, bytes) ? OK : ERR_CORRUPT;
    }
    c->verified += e == OK ? n : 0;
    return e;
}

enum err snapfile_check_feed(struct snapfile_check *c, struct bytes bytes)
{
    while (c->error == OK && bytes.len > 0) {
        size_t wanted = unit_bytes(c);
        if (wanted == 0) {
            c->error = ERR_CORRUPT; /* the file goes on behind its trailer */
        } else if (c->unit.len == 0 && bytes.len >= wanted) {
            c->error = check_unit(c, bytes.data, wanted);
            bytes = (struct bytes){bytes.data + wanted, bytes.len - wanted};
        } else {
            size_t part = (size_t)u64_min(wanted - c->unit.len, bytes.len);
            buf_put(&c->unit, bytes.data, part);
            bytes = (struct bytes){bytes.data + part, bytes.len - part};
            if (c->unit.len == wanted) {
                c->error = check_unit(c, c->unit.data, wanted);
                buf_clear(&c->unit);
            }
        }
    }
    return c->error;
}
