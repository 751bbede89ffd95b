/*
 * The first bytes of a stream between members, and the answer to one that is refused;
 * docs/formats/peer-stream.md has both byte by byte.
 *
 *     hello:    magic u32 "NCPS", version u16, kind u8, level u8, cluster u64, from u64, to u64,
 *               lineage u32, CRC32C of the bytes before u32
 *     answer:   magic u32 "NCAN", version u16, enum node_presence u16,
 *               CRC32C of the bytes before u32
 *     refusal:  magic u32 "NCRF", version u16 of the hello that it would have taken, reason u16,
 *               CRC32C of the bytes before u32
 */
#include "core/base/crc.h"
#include "core/base/cursor.h"
#include "core/node/node_int.h"

#define HELLO_MAGIC   0x5350434eU /* "NCPS", read as little-endian */
#define HELLO_VERSION 1
#define REFUSAL_MAGIC 0x4652434eU /* "NCRF" */
#define ANSWER_MAGIC  0x4e41434eU /* "NCAN" */

bool node_hello_may_begin(struct bytes bytes)
{
    bool may = true;

    for (size_t i = 0; i < sizeof(uint32_t) && i < bytes.len; i++) {
        may = may && bytes.data[i] == (uint8_t)(HELLO_MAGIC >> (8 * i));
    }
    return may;
}

void node_hello_encode(const struct node_hello *hello, struct buf *b)
{
    size_t at = b->len;
    buf_put_u32(b, HELLO_MAGIC);
    buf_put_u16(b, HELLO_VERSION);
    buf_put_u8(b, (uint8_t)hello->kind);
    buf_put_u8(b, hello->level);
    buf_put_u64(b, hello->cluster);
    buf_put_u64(b, hello->from);
    buf_put_u64(b, hello->to);
    buf_put_u32(b, hello->lineage);
    buf_put_u32(b, crc32c(0, b->data + at, b->len - at));
    CHECK(b->len - at == NODE_HELLO_BYTES);
}

enum node_refusal node_hello_decode(struct bytes bytes, struct node_hello *ret)
{
    struct cursor c;
    CHECK(bytes.len == NODE_HELLO_BYTES);
    cursor_init(&c, bytes);
    uint32_t magic = cursor_u32(&c);
    uint16_t version = cursor_u16(&c);
    uint8_t kind = cursor_u8(&c);
    uint8_t level = cursor_u8(&c);
    uint64_t cluster = cursor_u64(&c);
    node_id from = cursor_u64(&c);
    node_id to = cursor_u64(&c);
    uint32_t lineage = cursor_u32(&c);
    uint32_t crc = cursor_u32(&c);
    if (magic != HELLO_MAGIC) {
        return NODE_REFUSAL_STRANGE;
    }
    if (version != HELLO_VERSION) {
        return NODE_REFUSAL_VERSION;
    }
    if (crc != crc32c(0, bytes.data, NODE_HELLO_BYTES - sizeof(crc)) || kind > NODE_STREAM_ASK ||
        from == NODE_NONE) {
        return NODE_REFUSAL_DAMAGED;
    }
    *ret = (struct node_hello){(enum node_stream_kind)kind, cluster, from, to, lineage, level};
    return NODE_REFUSAL_NONE;
}

static void reply_encode(uint32_t magic, uint16_t word, struct buf *b)
{
    size_t at = b->len;
    buf_put_u32(b, magic);
    buf_put_u16(b, HELLO_VERSION);
    buf_put_u16(b, word);
    buf_put_u32(b, crc32c(0, b->data + at, b->len - at));
    CHECK(b->len - at == NODE_REFUSAL_BYTES);
}

/* The word of a reply with this magic; 0: it is none. */
static uint16_t reply_decode(uint32_t wanted, struct bytes bytes)
{
    struct cursor c;
    CHECK(bytes.len == NODE_REFUSAL_BYTES);
    cursor_init(&c, bytes);
    uint32_t magic = cursor_u32(&c);
    uint16_t version = cursor_u16(&c);
    uint16_t word = cursor_u16(&c);
    uint32_t crc = cursor_u32(&c);
    (void)version; /* for people who look at the bytes */
    bool is_whole = crc == crc32c(0, bytes.data, NODE_REFUSAL_BYTES - sizeof(crc));
    return magic == wanted && is_whole ? word : 0;
}

void node_presence_encode(enum node_presence presence, struct buf *b)
{
    reply_encode(ANSWER_MAGIC, (uint16_t)presence, b);
}

enum node_presence node_presence_decode(struct bytes bytes)
{
    uint16_t word = reply_decode(ANSWER_MAGIC, bytes);
    return word < NODE_PRESENCES ? (enum node_presence)word : NODE_PRESENCE_NONE;
}

void node_refusal_encode(enum node_refusal why, struct buf *b)
{
    reply_encode(REFUSAL_MAGIC, (uint16_t)why, b);
}

enum node_refusal node_refusal_decode(struct bytes bytes)
{
    uint16_t why = reply_decode(REFUSAL_MAGIC, bytes);
    return why < NODE_REFUSALS ? (enum node_refusal)why : NODE_REFUSAL_STRANGE;
}

const char *node_refusal_text(enum node_refusal why)
{
    static const char *const texts[] = {
#define REFUSAL_TEXT(name, ours, theirs) ours,
        NODE_REFUSAL_TABLE(REFUSAL_TEXT)
#undef REFUSAL_TEXT
    };
    return texts[why];
}

const char *node_refusal_told_text(enum node_refusal why)
{
    static const char *const texts[] = {
#define REFUSAL_TOLD_TEXT(name, ours, theirs) theirs,
        NODE_REFUSAL_TABLE(REFUSAL_TOLD_TEXT)
#undef REFUSAL_TOLD_TEXT
    };
    return texts[why];
}
