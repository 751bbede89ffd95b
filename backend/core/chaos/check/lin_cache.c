/*
 * Configurations that a search has been in: a place, which is a record of words, and what was used
 * up on the way there. A place is found by its hash, which is its first word, and compared word by
 * word, so that no collision ever decides a verdict.
 *
 * At one place, whoever has used up less can do all that one who has used up more can. So a
 * configuration is known as soon as one is that used no more of anything. Each place keeps a list
 * of what was used.
 *
 *     place: words, place of the first of its list, the words of the record
 *     list:  place of the next, pairs, the pairs: a number << 32 | what it counts, in order of that
 *
 * Places in the list are offsets + 1; 0 ends it.
 */
#include <string.h>

#include "core/base/check.h"
#include "core/chaos/check/lin_int.h"

#define CACHE_SLOTS_FIRST ((size_t)256)

/* In front of a record, and of the pairs of a list. */
#define HEAD_WORDS ((size_t)2)

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
    c->place_count = 0;
    c->count = 0;
    cache_use_slots(c, CACHE_SLOTS_FIRST);
}

void lin_cache_deinit(struct lin_cache *c)
{
    mem_free(c->words);
    mem_free(c->slots);
    mem_free(c->places);
    memset(c, 0, sizeof(*c));
}

size_t lin_cache_bytes(const struct lin_cache *c)
{
    return (c->word_count + c->place_count + c->mask + 1) * sizeof(uint64_t);
}

uint64_t *lin_cache_draft(struct lin_cache *c, size_t words, size_t pairs, uint64_t **ret_pairs)
{
    size_t need = HEAD_WORDS + words + HEAD_WORDS + pairs;
    mem_grow((void **)&c->words, &c->word_cap, c->word_count + need, sizeof(c->words[0]));
    uint64_t *place = c->words + c->word_count;
    uint64_t *list = place + HEAD_WORDS + words;
    place[0] = words;
    place[1] = 0;
    list[0] = 0;
    list[1] = pairs;
    *ret_pairs = list + HEAD_WORDS;
    return place + HEAD_WORDS;
}

static void cache_double_slots(struct lin_cache *c)
{
    cache_use_slots(c, (c->mask + 1) * 2);
    for (size_t i = 0; i < c->place_count; i++) {
        size_t slot = c->words[c->places[i] + HEAD_WORDS] & c->mask;
        while (c->slots[slot] != 0) {
            slot = (slot + 1) & c->mask;
        }
        c->slots[slot] = c->places[i] + 1;
    }
}

/* Has `less` used no more of anything than `more`? Both are lists of pairs. */
static bool uses_no_more(const uint64_t *less, const uint64_t *more)
{
    size_t at = 0;
    for (size_t i = 0; i < less[1]; i++) {
        uint64_t pair = less[HEAD_WORDS + i];
        while (at < more[1] && more[HEAD_WORDS + at] >> 32 < pair >> 32) {
            at++;
        }
        if (at == more[1] || more[HEAD_WORDS + at] >> 32 != pair >> 32 ||
            (uint32_t)more[HEAD_WORDS + at] < (uint32_t)pair) {
            return false;
        }
    }
    return true;
}

/* The slot of the place that was drafted, or the free one where it belongs. */
static size_t find_slot(const struct lin_cache *c, const uint64_t *draft)
{
    size_t slot = draft[HEAD_WORDS] & c->mask;
    for (; c->slots[slot] != 0; slot = (slot + 1) & c->mask) {
        const uint64_t *known = c->words + c->slots[slot] - 1;
        if (known[0] == draft[0] &&
            memcmp(known + HEAD_WORDS, draft + HEAD_WORDS, draft[0] * sizeof(draft[0])) == 0) {
            break;
        }
    }
    return slot;
}

static void keep_place(struct lin_cache *c, size_t slot)
{
    uint64_t *place = c->words + c->word_count;
    size_t list = c->word_count + HEAD_WORDS + place[0];
    mem_grow((void **)&c->places, &c->place_cap, c->place_count + 1, sizeof(c->places[0]));
    c->places[c->place_count++] = c->word_count;
    c->slots[slot] = c->word_count + 1;
    place[1] = list + 1;
    c->word_count = list + HEAD_WORDS + c->words[list + 1];
    if (c->place_count > c->mask / 2) {
        cache_double_slots(c);
    }
}

bool lin_cache_keep(struct lin_cache *c, uint64_t *steps)
{
    uint64_t *draft = c->words + c->word_count;
    size_t slot = find_slot(c, draft);
    c->count++;
    if (c->slots[slot] == 0) {
        keep_place(c, slot);
        return true;
    }
    uint64_t *place = c->words + c->slots[slot] - 1;
    uint64_t *list = draft + HEAD_WORDS + draft[0];
    for (uint64_t known = place[1]; known != 0; known = c->words[known - 1]) {
        ++*steps;
        if (uses_no_more(c->words + known - 1, list)) {
            c->count--;
            return false;
        }
    }
    /* The list alone takes the draft's place. */
    list[0] = place[1];
    place[1] = c->word_count + 1;
    size_t words = HEAD_WORDS + list[1];
    memmove(draft, list, words * sizeof(draft[0]));
    c->word_count += words;
    return true;
}
