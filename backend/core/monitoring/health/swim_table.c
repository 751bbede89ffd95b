#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/monitoring/health/swim_int.h"

/* Ids are drawn by whoever names hosts, so slots come from a keyed hash, which nobody can aim at.
 */
static uint32_t swim_slot(const struct swim *s, node_id id)
{
    return (uint32_t)hash_u64(s->config.seed, id) & (s->n_slots - 1);
}

uint32_t swim_index(const struct swim *s, node_id id)
{
    for (uint32_t at = swim_slot(s, id);; at = (at + 1) & (s->n_slots - 1)) {
        if (s->slots[at] == 0) {
            return SWIM_NOBODY;
        }
        if (s->members[s->slots[at] - 1].id == id) {
            return s->slots[at] - 1;
        }
    }
}

static void swim_slot_fill(struct swim *s, uint32_t index)
{
    uint32_t at = swim_slot(s, s->members[index].id);

    while (s->slots[at] != 0) {
        at = (at + 1) & (s->n_slots - 1);
    }
    s->slots[at] = index + 1;
}

/* Empties the slot of a member, and moves up what had to go behind it. */
static void swim_slot_empty(struct swim *s, uint32_t index)
{
    uint32_t mask = s->n_slots - 1;
    uint32_t hole = swim_slot(s, s->members[index].id);

    while (s->slots[hole] != index + 1) {
        hole = (hole + 1) & mask;
    }
    for (uint32_t at = (hole + 1) & mask; s->slots[at] != 0; at = (at + 1) & mask) {
        uint32_t home = swim_slot(s, s->members[s->slots[at] - 1].id);

        if (((at - home) & mask) >= ((at - hole) & mask)) {
            s->slots[hole] = s->slots[at];
            hole = at;
        }
    }
    s->slots[hole] = 0;
}

static void swim_table_grow(struct swim *s)
{
    uint32_t cap = s->members_cap == 0 ? 16 : s->members_cap * 2;

    if (cap > s->config.members_max) {
        cap = s->config.members_max;
    }
    s->members = mem_realloc_array(s->members, cap, sizeof(*s->members));
    s->order = mem_realloc_array(s->order, cap, sizeof(*s->order));
    s->members_cap = cap;
    while (s->n_slots < 2 * cap) {
        s->n_slots = s->n_slots == 0 ? 32 : s->n_slots * 2;
    }
    s->slots = mem_realloc_array(s->slots, s->n_slots, sizeof(*s->slots));
    memset(s->slots, 0, s->n_slots * sizeof(*s->slots));
    for (uint32_t i = 0; i < s->n_members; i++) {
        swim_slot_fill(s, i);
    }
}

/* The tombstone that has been one for longest gives way. */
static uint32_t swim_table_evict(struct swim *s)
{
    uint32_t oldest = SWIM_NOBODY;

    for (uint32_t i = 1; i < s->n_members; i++) {
        if (!swim_is_live(&s->members[i]) &&
            (oldest == SWIM_NOBODY || s->members[i].since < s->members[oldest].since)) {
            oldest = i;
        }
    }
    if (oldest != SWIM_NOBODY) {
        swim_rumor_drop(s, oldest);
        swim_slot_empty(s, oldest);
        mem_free(s->members[oldest].meta);
    }
    return oldest;
}

uint32_t swim_table_add(struct swim *s, node_id id)
{
    uint32_t at = s->n_members;

    if (at == s->config.members_max) {
        at = swim_table_evict(s);
        if (at == SWIM_NOBODY) {
            return SWIM_NOBODY;
        }
    } else {
        if (at == s->members_cap) {
            swim_table_grow(s);
        }
        s->n_members++;
        if (at > 0) {
            /* Somewhere in the order, so that those who joined together are not probed together. */
            uint32_t place = (uint32_t)prng_below(&s->prng, s->order_n + 1);

            s->order[s->order_n++] = s->order[place];
            s->order[place] = at;
        }
    }
    memset(&s->members[at], 0, sizeof(s->members[at]));
    s->members[at].id = id;
    s->members[at].state = SWIM_LEFT;
    s->members[at].since = s->now;
    swim_slot_fill(s, at);
    return at;
}

void swim_table_set_state(struct swim *s, uint32_t at, enum swim_state state)
{
    struct swim_member *m = &s->members[at];
    bool was = swim_is_live(m);

    m->state = (uint8_t)state;
    m->since = s->now;
    s->changed_at = s->now;
    if (swim_is_live(m) != was) {
        s->n_live = was ? s->n_live - 1 : s->n_live + 1;
        swim_rings_changed(s);
    }
}

uint32_t swim_pick(struct swim *s, uint32_t n, uint32_t except, uint32_t *ret)
{
    uint32_t found = 0;

    if (s->n_members < 2) {
        return 0;
    }
    /* In a table full of tombstones one does not look for ever. */
    for (uint32_t tries = 0; tries < 3 * n + 8 && found < n; tries++) {
        uint32_t at = 1 + (uint32_t)prng_below(&s->prng, s->n_members - 1);
        bool is_new = at != except && swim_is_live(&s->members[at]);

        for (uint32_t i = 0; i < found && is_new; i++) {
            is_new = ret[i] != at;
        }
        if (is_new) {
            ret[found++] = at;
        }
    }
    return found;
}

uint32_t swim_next_in_order(struct swim *s)
{
    for (uint32_t tries = 0; tries < s->order_n; tries++) {
        if (s->order_at >= s->order_n) {
            for (uint32_t i = s->order_n; i > 1; i--) {
                uint32_t k = (uint32_t)prng_below(&s->prng, i);
                uint32_t kept = s->order[i - 1];

                s->order[i - 1] = s->order[k];
                s->order[k] = kept;
            }
            s->order_at = 0;
        }
        if (swim_is_live(&s->members[s->order[s->order_at++]])) {
            return s->order[s->order_at - 1];
        }
    }
    return SWIM_NOBODY;
}
