/* Sorts what mostly comes sorted: by insertion while little has to move, else by radix. */
#include <string.h>

#include "core/chaos/check/lin_int.h"

/* Insertion gives up once it has moved so many items for each that it was given. */
#define INSERTION_MOVES 8

#define DIGIT_BITS 11
#define DIGITS     ((size_t)1 << DIGIT_BITS)

/* True where it finished; else the items are in another order, still stable. */
static bool sort_by_insertion(struct lin_item *items, size_t n)
{
    size_t moves_left = n * INSERTION_MOVES;
    for (size_t i = 1; i < n; i++) {
        struct lin_item item = items[i];
        size_t at = i;
        while (at > 0 && items[at - 1].key > item.key) {
            items[at] = items[at - 1];
            at--;
        }
        items[at] = item;
        if (i - at > moves_left) {
            return false;
        }
        moves_left -= i - at;
    }
    return true;
}

static void sort_by_digit(const struct lin_item *from, struct lin_item *to, size_t n,
                          unsigned shift)
{
    uint32_t starts[DIGITS + 1];
    memset(starts, 0, sizeof(starts));
    for (size_t i = 0; i < n; i++) {
        starts[((from[i].key >> shift) & (DIGITS - 1)) + 1]++;
    }
    for (size_t digit = 1; digit < DIGITS; digit++) {
        starts[digit] += starts[digit - 1];
    }
    for (size_t i = 0; i < n; i++) {
        to[starts[(from[i].key >> shift) & (DIGITS - 1)]++] = from[i];
    }
}

void lin_sort(struct lin_item *items, struct lin_item *scratch, size_t n)
{
    if (sort_by_insertion(items, n)) {
        return;
    }
    uint64_t differing = 0;
    for (size_t i = 1; i < n; i++) {
        differing |= items[i].key ^ items[0].key;
    }
    struct lin_item *from = items;
    struct lin_item *to = scratch;
    for (unsigned shift = 0; shift < 64; shift += DIGIT_BITS) {
        if ((differing >> shift & (DIGITS - 1)) != 0) {
            sort_by_digit(from, to, n, shift);
            struct lin_item *sorted = to;
            to = from;
            from = sorted;
        }
    }
    if (from != items) {
        memcpy(items, from, n * sizeof(*items));
    }
}
