#include "core/monitoring/health/seal.h"

#include <string.h>

#include "core/base/buf.h"
#include "core/base/check.h"
#include "core/base/cursor.h"
#include "core/base/hash.h"
#include "core/base/le.h"

#define SEAL_VERSION      0xA1
#define SEAL_NUMBER_BYTES 6

/* Tells the hashes of keys and labels apart. */
#define SEAL_HASH_KEY   UINT64_C(0x6b65792d74616731)
#define SEAL_HASH_LABEL UINT64_C(0x6c6162656c746167)

enum err seal_ring_put(struct seal_ring *ring, const uint8_t key[SEAL_KEY_BYTES], bool in_front)
{
    uint32_t at = 0;

    while (at < ring->n && memcmp(ring->keys[at], key, SEAL_KEY_BYTES) != 0) {
        at++;
    }
    if (at == ring->n) {
        if (ring->n == SEAL_KEYS_MAX) {
            return ERR_NO_SPACE;
        }
        memcpy(ring->keys[ring->n++], key, SEAL_KEY_BYTES);
    }
    if (in_front) {
        memmove(ring->keys[1], ring->keys[0], (size_t)at * SEAL_KEY_BYTES);
        memcpy(ring->keys[0], key, SEAL_KEY_BYTES);
    }
    return OK;
}

enum err seal_ring_drop(struct seal_ring *ring, const uint8_t key[SEAL_KEY_BYTES])
{
    for (uint32_t i = 0; i < ring->n; i++) {
        if (memcmp(ring->keys[i], key, SEAL_KEY_BYTES) == 0) {
            if (i == 0) {
                return ERR_REFUSED;
            }
            ring->n--;
            memmove(ring->keys[i], ring->keys[i + 1], (size_t)(ring->n - i) * SEAL_KEY_BYTES);
            return OK;
        }
    }
    return ERR_NOT_FOUND;
}

static uint8_t seal_key_tag(const uint8_t key[SEAL_KEY_BYTES])
{
    return (uint8_t)hash_bytes(SEAL_HASH_KEY, key, SEAL_KEY_BYTES);
}

static uint16_t seal_label_tag(const struct seal_label *label)
{
    return (uint16_t)hash_bytes(SEAL_HASH_LABEL, label->bytes, label->len);
}

static void seal_store48(uint8_t *p, uint64_t v)
{
    le32_store(p, (uint32_t)v);
    le16_store(p + 4, (uint16_t)(v >> 32));
}

static uint64_t seal_load48(const uint8_t *p)
{
    return le32_load(p) | (uint64_t)le16_load(p + 4) << 32;
}

static size_t seal_store_varint(uint8_t *p, uint64_t v)
{
    size_t n = 0;

    while (v >= 0x80) {
        p[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    p[n++] = (uint8_t)v;
    return n;
}

size_t seal_wrap(const struct seal_cipher *cipher, const struct seal_ring *ring,
                 const struct seal_label *label, struct seal_sender *sender, struct bytes text,
                 uint8_t *out)
{
    struct seal_context context = {.key = ring->keys[0], .sender = sender->id};
    size_t header = 4;

    CHECK(ring->n > 0);
    CHECK(sender->instance <= SEAL_NUMBER_MAX && sender->counter < SEAL_NUMBER_MAX);
    sender->counter++;
    out[0] = SEAL_VERSION;
    out[1] = seal_key_tag(ring->keys[0]);
    le16_store(out + 2, seal_label_tag(label));
    header += seal_store_varint(out + header, sender->id);
    seal_store48(out + header, sender->instance);
    seal_store48(out + header + SEAL_NUMBER_BYTES, sender->counter);
    memcpy(context.nonce, out + header, SEAL_NONCE_BYTES);
    header += SEAL_NONCE_BYTES;
    context.header = (struct bytes){out, header};
    context.label = (struct bytes){label->bytes, label->len};
    if (text.len > 0) {
        memcpy(out + header, text.data, text.len);
    }
    cipher->ops->seal(cipher->self, &context, out + header, text.len, out + header + text.len);
    return header + text.len + SEAL_TAG_BYTES;
}

enum err seal_unwrap(const struct seal_cipher *cipher, const struct seal_ring *ring,
                     const struct seal_label *label, struct bytes envelope, uint8_t *scratch,
                     struct seal_opened *ret)
{
    struct seal_context context = {.label = {label->bytes, label->len}};
    struct cursor c;
    struct bytes number;
    struct bytes text;
    uint8_t tag = 0;
    uint16_t label_tag = 0;

    cursor_init(&c, envelope);
    if (cursor_u8(&c) != SEAL_VERSION) {
        return envelope.len == 0 ? ERR_TRUNCATED : ERR_UNSUPPORTED;
    }
    tag = cursor_u8(&c);
    label_tag = cursor_u16(&c);
    context.sender = cursor_varint(&c);
    number = cursor_take(&c, SEAL_NONCE_BYTES);
    if (!cursor_ok(&c) || cursor_left(&c) < SEAL_TAG_BYTES) {
        return ERR_TRUNCATED;
    }
    if (context.sender == NODE_NONE) {
        return ERR_PROTOCOL;
    }
    if (label_tag != seal_label_tag(label)) {
        return ERR_NOT_FOUND;
    }
    context.header = (struct bytes){envelope.data, (size_t)(c.at - envelope.data)};
    memcpy(context.nonce, number.data, SEAL_NONCE_BYTES);
    text = cursor_take(&c, cursor_left(&c) - SEAL_TAG_BYTES);
    for (uint32_t i = 0; i < ring->n; i++) {
        if (seal_key_tag(ring->keys[i]) != tag) {
            continue;
        }
        context.key = ring->keys[i];
        if (text.len > 0) {
            memcpy(scratch, text.data, text.len);
        }
        if (cipher->ops->open(cipher->self, &context, scratch, text.len, c.at)) {
            ret->sender = context.sender;
            ret->instance = seal_load48(number.data);
            ret->counter = seal_load48(number.data + SEAL_NUMBER_BYTES);
            ret->text = (struct bytes){scratch, text.len};
            return OK;
        }
    }
    return ERR_DENIED;
}

enum err seal_window_admit(struct seal_window *window, uint64_t instance, uint64_t counter)
{
    uint64_t behind = 0;

    if (instance < window->instance) {
        return ERR_REFUSED;
    }
    if (instance > window->instance) {
        *window = (struct seal_window){.instance = instance, .highest = counter, .seen = 1};
        return OK;
    }
    if (counter > window->highest) {
        uint64_t ahead = counter - window->highest;

        window->seen = ahead < 64 ? window->seen << ahead | 1 : 1;
        window->highest = counter;
        return OK;
    }
    behind = window->highest - counter;
    if (behind >= 64 || (window->seen >> behind & 1) != 0) {
        return ERR_EXISTS;
    }
    window->seen |= UINT64_C(1) << behind;
    return OK;
}

/* --- The stand-in --------------------------------------------------------------------------------
 */

/* Everything but the text, in one number. */
static uint64_t stand_in_seed(const struct seal_context *context)
{
    uint64_t h = hash_bytes(context->sender, context->key, SEAL_KEY_BYTES);

    h = hash_bytes(h, context->nonce, SEAL_NONCE_BYTES);
    h = hash_bytes(h, context->header.data, context->header.len);
    return hash_bytes(h, context->label.data, context->label.len);
}

/* Adds a key stream; done twice, it takes it away again. */
static void stand_in_mask(uint64_t seed, uint8_t *text, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t stream = (seed + i) * UINT64_C(0x9E3779B97F4A7C15);

        stream ^= stream >> 29;
        for (size_t k = i; k < n && k < i + 8; k++) {
            text[k] ^= (uint8_t)(stream >> 8 * (k - i));
        }
    }
}

static void stand_in_tag(uint64_t seed, const uint8_t *text, size_t n, uint8_t tag[SEAL_TAG_BYTES])
{
    uint64_t h = n > 0 ? hash_bytes(seed, text, n) : seed;

    le64_store(tag, h);
    le64_store(tag + 8, hash_u64(h, seed));
}

static void stand_in_seal(void *self, const struct seal_context *context, uint8_t *text, size_t n,
                          uint8_t tag[SEAL_TAG_BYTES])
{
    uint64_t seed = stand_in_seed(context);

    (void)self;
    stand_in_mask(seed, text, n);
    stand_in_tag(seed, text, n, tag);
}

static bool stand_in_open(void *self, const struct seal_context *context, uint8_t *text, size_t n,
                          const uint8_t tag[SEAL_TAG_BYTES])
{
    uint64_t seed = stand_in_seed(context);
    uint8_t right[SEAL_TAG_BYTES];

    (void)self;
    stand_in_tag(seed, text, n, right);
    if (memcmp(right, tag, SEAL_TAG_BYTES) != 0) {
        return false;
    }
    stand_in_mask(seed, text, n);
    return true;
}

const struct seal_ops seal_stand_in = {.seal = stand_in_seal, .open = stand_in_open};
