/* A cache of records of words. The hash picks the slot; records are compared word by word, so that
 * no collision of hashes ever decides a verdict. */
#include <string.h>

#include "core/chaos/check/lin_int.h"

#define CACHE_SLOTS_FIRST ((size_t)256)

/* One more word in front of each record: how many it has. */
#define RECORD_HEAD ((size_t)1)

static void cache_use_slots(struct lin_cache *c, size_t slots)
{
    if (slots > c->slot_cap) {
        mem_free(c->slots);
        c->slots = mem_alloc(slots * sizeof(c->slots[0]));
        c->slot_cap = slots;
    }
    memset(c->slots, 0, slots * sizeof(c->slots[0]));
    c->mask = slots - 1;
}

void lin_cache_reset(struct lin_cache *c)
{
    c->word_count = 0;
    c->count = 0;
    cache_use_slots(c, CACHE_SLOTS_FIRST);
}

void lin_cache_deinit(struct lin_cache *c)
{
    mem_free(c->words);
    mem_free(c->slots);
    memset(c, 0, sizeof(*c));
}

size_t lin_cache_bytes(const struct lin_cache *c)
{
    return (c->word_count + c->mask + 1) * sizeof(uint64_t);
}

uint64_t *lin_cache_draft(struct lin_cache *c, size_t words)
{
    mem_grow((void **)&c->words, &c->word_cap, c->word_count + RECORD_HEAD + words,
             sizeof(c->words[0]));
    c->words[c->word_count] = words;
    return c->words + c->word_count + RECORD_HEAD;
}

static void cache_double_slots(struct lin_cache *c)
{
    cache_use_slots(c, (c->mask + 1) * 2);
    for (size_t at = 0; at < c->word_count; at += RECORD_HEAD + c->words[at]) {
        size_t slot = c->words[at + RECORD_HEAD] & c->mask;
        while (c->slots[slot] != 0) {
            slot = (slot + 1) & c->mask;
        }
        c->slots[slot] = at + 1;
    }
}

bool lin_cache_keep(struct lin_cache *c, size_t words)
{
    const uint64_t *draft = c->words + c->word_count;
    size_t bytes = (RECORD_HEAD + words) * sizeof(uint64_t);
    size_t slot = draft[RECORD_HEAD] & c->mask;
    for (; c->slots[slot] != 0; slot = (slot + 1) & c->mask) {
        const uint64_t *known = c->words + c->slots[slot] - 1;
        if (known[0] == words && memcmp(known, draft, bytes) == 0) {
            return false;
        }
    }
    c->slots[slot] = c->word_count + 1;
    c->word_count += RECORD_HEAD + words;
    c->count++;
    if (c->count > c->mask / 2) {
        cache_double_slots(c);
    }
    return true;
}
