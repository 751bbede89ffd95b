#include "core/store/store_cold.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/crc.h"
#include "core/base/mem.h"

struct cold_record {
    uint32_t crc;   /* of `bytes` and what follows */
    uint32_t bytes; /* that follow: a version and its value */
};

#define COLD_ALIGN 8u

_Static_assert(sizeof(struct cold_record) % COLD_ALIGN == 0, "versions are aligned");
_Static_assert(COLD_ALIGN > STORE_REF_BITS, "references have room for their bits");

void store_cold_init(struct store_cold *c)
{
    *c = (struct store_cold){.segment_bytes = STORE_COLD_SEGMENT_BYTES};
}

/* The place of the first segment that begins above `at`. */
static size_t cold_seek(const struct store_cold *c, uintptr_t at)
{
    size_t lo = 0;
    size_t hi = c->count;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        if ((uintptr_t)c->by_address[middle]->bytes > at) {
            hi = middle;
        } else {
            lo = middle + 1;
        }
    }
    return lo;
}

/* The place of the segment that holds it; `count`: none does. */
static size_t cold_find(const struct store_cold *c, uintptr_t at)
{
    size_t place = cold_seek(c, at);
    if (place == 0) {
        return c->count;
    }
    const struct store_cold_segment *segment = c->by_address[place - 1];
    return at - (uintptr_t)segment->bytes < segment->cap ? place - 1 : c->count;
}

static void cold_free(struct store_cold *c, struct store_cold_segment *segment)
{
    c->held_bytes -= segment->cap;
    c->used_bytes -= segment->used;
    if (segment->memory != NULL) {
        c->memory->give(segment->memory);
    } else {
        mem_free(segment->bytes);
    }
    mem_free(segment);
}

void store_cold_deinit(struct store_cold *c)
{
    for (size_t i = 0; i < c->count; i++) {
        cold_free(c, c->by_address[i]);
    }
    mem_free(c->by_address);
    *c = (struct store_cold){0};
}

/* Begins a segment. In the one before nothing changes any more. */
static void cold_grow(struct store_cold *c, size_t need)
{
    if (c->newest != NULL && c->newest->memory != NULL) {
        c->memory->settle(c->newest->memory);
    }
    struct store_cold_segment *segment = mem_alloc_zero(sizeof *segment);
    segment->cap = need > c->segment_bytes ? need : c->segment_bytes;
    if (c->memory != NULL) {
        segment->memory = c->memory->take(c->memory_self, segment->cap, &segment->bytes);
    } else {
        segment->bytes = mem_alloc(segment->cap);
    }
    c->held_bytes += segment->cap;
    c->newest = segment;

    size_t place = cold_seek(c, (uintptr_t)segment->bytes);
    void *segments = c->by_address;
    mem_grow(&segments, &c->cap, c->count + 1, sizeof(struct store_cold_segment *));
    c->by_address = segments;
    memmove(&c->by_address[place + 1], &c->by_address[place],
            (c->count - place) * sizeof(struct store_cold_segment *));
    c->by_address[place] = segment;
    c->count++;
}

static uint32_t cold_crc(const struct cold_record *record)
{
    return crc32c(0, &record->bytes, sizeof record->bytes + record->bytes);
}

struct store_ref store_cold_put(struct store_cold *c, const struct store_version *v)
{
    size_t bytes = sizeof *v + v->value_len;
    size_t need = (sizeof(struct cold_record) + bytes + COLD_ALIGN - 1) / COLD_ALIGN * COLD_ALIGN;
    if (c->newest == NULL || c->newest->cap - c->newest->used < need) {
        cold_grow(c, need);
    }
    struct store_cold_segment *segment = c->newest;
    struct cold_record *record = (void *)(segment->bytes + segment->used);
    record->bytes = (uint32_t)bytes;
    memcpy(record + 1, v, bytes);
    record->crc = cold_crc(record);
    segment->used += need;
    segment->records++;
    c->used_bytes += need;
    return (struct store_ref){(uintptr_t)(record + 1) | STORE_REF_COLD};
}

void store_cold_drop(struct store_cold *c, struct store_ref ref)
{
    size_t place = cold_find(c, ref.bits & ~(uintptr_t)STORE_REF_BITS);
    CHECK(place < c->count);
    struct store_cold_segment *segment = c->by_address[place];
    CHECK(segment->records > 0);
    segment->records--;
    if (segment->records > 0) {
        return;
    }
    if (segment == c->newest) { /* is filled from its start again */
        c->used_bytes -= segment->used;
        segment->used = 0;
        return;
    }
    cold_free(c, segment);
    c->count--;
    memmove(&c->by_address[place], &c->by_address[place + 1],
            (c->count - place) * sizeof(struct store_cold_segment *));
}

/* Lets go of what was read. */
static void cold_rest(struct store_cold *c)
{
    const struct store_cold_segment *last = NULL;
    for (size_t i = 0; i < c->read_count; i++) {
        size_t place = cold_find(c, c->reads[i]);
        const struct store_cold_segment *segment =
            place < c->count ? c->by_address[place] : NULL; /* it may be gone */
        if (segment != NULL && segment != last && segment != c->newest && segment->memory != NULL) {
            c->memory->rest(segment->memory);
        }
        last = segment;
    }
    c->read_count = 0;
    c->last_read = 0;
}

static void cold_note_read(struct store_cold *c, uintptr_t at)
{
    uintptr_t block = at / STORE_COLD_BLOCK_BYTES;
    if (block == c->last_read) {
        return;
    }
    if (c->read_count == STORE_COLD_READS) {
        cold_rest(c);
    }
    c->reads[c->read_count++] = at;
    c->last_read = block;
}

struct store_version *store_cold_get(struct store_cold *c, struct store_ref ref)
{
    struct store_version *v = (void *)(ref.bits & ~(uintptr_t)STORE_REF_BITS);
    const struct cold_record *record = (const struct cold_record *)(const void *)v - 1;

    cold_note_read(c, (uintptr_t)record);
    CHECK(record->bytes == sizeof *v + v->value_len && record->crc == cold_crc(record));
    return v;
}
