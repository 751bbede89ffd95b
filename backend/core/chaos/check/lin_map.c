#include <string.h>

#include "core/base/check.h"
#include "core/chaos/check/lin_int.h"

#define SLOTS_MIN ((size_t)16)

void lin_map_reset(struct lin_map *m, size_t n)
{
    size_t slots = SLOTS_MIN;
    while (slots < n * 2) {
        slots *= 2;
    }
    if (slots > m->cap) {
        mem_free(m->keys);
        mem_free(m->numbers);
        m->keys = mem_alloc(slots * sizeof(m->keys[0]));
        m->numbers = mem_alloc(slots * sizeof(m->numbers[0]));
        m->cap = slots;
    }
    memset(m->numbers, 0, slots * sizeof(m->numbers[0]));
    m->mask = (uint32_t)(slots - 1);
    m->count = 0;
}

void lin_map_deinit(struct lin_map *m)
{
    mem_free(m->keys);
    mem_free(m->numbers);
    memset(m, 0, sizeof(*m));
}

uint32_t lin_map_number(struct lin_map *m, uint64_t key)
{
    uint32_t slot = (uint32_t)lin_mix(key) & m->mask;
    while (m->numbers[slot] != 0) {
        if (m->keys[slot] == key) {
            return m->numbers[slot] - 1;
        }
        slot = (slot + 1) & m->mask;
    }
    CHECK(m->count < m->mask);
    m->keys[slot] = key;
    m->numbers[slot] = ++m->count;
    return m->count - 1;
}
