#include "core/chaos/check/lin_strings.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/mem.h"

#define SLOTS_FIRST 64

static struct lin_string *add_string(struct lin_strings *s)
{
    mem_grow((void **)&s->strings, &s->cap, (size_t)s->count + 1, sizeof(s->strings[0]));
    return &s->strings[s->count++];
}

void lin_strings_init(struct lin_strings *s)
{
    memset(s, 0, sizeof(*s));
    buf_init(&s->bytes);
    s->slots = mem_alloc_zero(SLOTS_FIRST * sizeof(s->slots[0]));
    s->slot_mask = SLOTS_FIRST - 1;
    *add_string(s) = (struct lin_string){0, 0, 0};
}

void lin_strings_deinit(struct lin_strings *s)
{
    buf_deinit(&s->bytes);
    mem_free(s->strings);
    mem_free(s->slots);
    memset(s, 0, sizeof(*s));
}

static void double_slots(struct lin_strings *s)
{
    uint32_t mask = s->slot_mask * 2 + 1;
    mem_free(s->slots);
    s->slots = mem_alloc_zero(((size_t)mask + 1) * sizeof(s->slots[0]));
    s->slot_mask = mask;
    for (uint32_t id = 1; id < s->count; id++) {
        uint32_t slot = (uint32_t)s->strings[id].hash & mask;
        while (s->slots[slot] != 0) {
            slot = (slot + 1) & mask;
        }
        s->slots[slot] = id;
    }
}

/* The id of the last `len` bytes of s->bytes, which stay there if they are a new string. */
static uint32_t intern_tail(struct lin_strings *s, size_t len)
{
    size_t at = s->bytes.len - len;
    if (len == 0) {
        return 0;
    }
    uint64_t hash = hash_bytes(0, s->bytes.data + at, len);
    uint32_t slot = (uint32_t)hash & s->slot_mask;
    for (; s->slots[slot] != 0; slot = (slot + 1) & s->slot_mask) {
        const struct lin_string *known = &s->strings[s->slots[slot]];
        if (known->hash == hash && known->len == len &&
            memcmp(s->bytes.data + known->at, s->bytes.data + at, len) == 0) {
            s->bytes.len = at;
            return s->slots[slot];
        }
    }
    CHECK(s->count < UINT32_MAX / 4);
    uint32_t id = s->count;
    *add_string(s) = (struct lin_string){at, len, hash};
    s->slots[slot] = id;
    if (s->count > s->slot_mask / 2) {
        double_slots(s);
    }
    return id;
}

uint32_t lin_strings_intern(struct lin_strings *s, struct bytes string)
{
    buf_put(&s->bytes, string.data, string.len);
    return intern_tail(s, string.len);
}

uint32_t lin_strings_join(struct lin_strings *s, uint32_t a, uint32_t b)
{
    CHECK(a < s->count && b < s->count);
    struct lin_string x = s->strings[a];
    struct lin_string y = s->strings[b];
    buf_reserve(&s->bytes, x.len + y.len);
    buf_put(&s->bytes, s->bytes.data + x.at, x.len);
    buf_put(&s->bytes, s->bytes.data + y.at, y.len);
    return intern_tail(s, x.len + y.len);
}

struct bytes lin_strings_get(const struct lin_strings *s, uint32_t id)
{
    CHECK(id < s->count);
    const struct lin_string *string = &s->strings[id];
    return (struct bytes){string->len > 0 ? s->bytes.data + string->at : NULL, string->len};
}

bool lin_strings_is_prefix(const struct lin_strings *s, uint32_t prefix, uint32_t of)
{
    struct bytes a = lin_strings_get(s, prefix);
    struct bytes b = lin_strings_get(s, of);
    return a.len <= b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* The newest string is never in the way of an older one's slot, so that newest first each slot can
 * simply be emptied. */
void lin_strings_truncate(struct lin_strings *s, uint32_t count)
{
    CHECK(count > 0);
    while (s->count > count) {
        uint32_t id = --s->count;
        uint32_t slot = (uint32_t)s->strings[id].hash & s->slot_mask;
        while (s->slots[slot] != id) {
            slot = (slot + 1) & s->slot_mask;
        }
        s->slots[slot] = 0;
        s->bytes.len = s->strings[id].at;
    }
}
