/* Who starts before whom: `after`, priorities, and how the two meet. */
#include "core/ha/ha_place_int.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/base/sort.h"

/* A chain of machines that wait for each other is followed so far. */
#define CHAIN_MAX 64

/* --- waiting ---------------------------------------------------------------------------------- */

static enum ha_wait wait_of(const struct ha_seat *other)
{
    if (other->vm == NULL) {
        return HA_WAIT_MISSING;
    }
    if (other->phase == HA_RUNNING || other->phase == HA_MOVING) {
        return HA_WAIT_NOT;
    }
    return !other->vm->is_wanted || other->phase == HA_FAILED ? HA_WAIT_UNWANTED : HA_WAIT_AFTER;
}

/* Does a chain of machines that do not run lead from `from` to `to`? Each is visited once. */
static bool wait_leads_to(const struct ha_ledger *l, uint32_t from, uint32_t to, bool *visited,
                          uint32_t *stack)
{
    uint32_t n = 0;

    memset(visited, 0, l->n_seats * sizeof *visited);
    stack[n++] = from;
    visited[from] = true;
    while (n > 0) {
        const struct ha_seat *seat = &l->seats[stack[--n]];
        for (uint32_t i = 0; seat->vm != NULL && i < seat->vm->after.n; i++) {
            uint32_t next = ha_seat_index(l, seat->vm->after.name[i]);
            if (next == to) {
                return true;
            }
            bool runs = next != HA_NOBODY && wait_of(&l->seats[next]) == HA_WAIT_NOT;
            if (next != HA_NOBODY && !visited[next] && !runs) {
                visited[next] = true;
                stack[n++] = next;
            }
        }
    }
    return false;
}

static bool wait_is_circle(const struct ha_ledger *l, uint32_t from, uint32_t to)
{
    bool *visited = mem_alloc(l->n_seats * sizeof *visited);
    uint32_t *stack = mem_alloc(l->n_seats * sizeof *stack);
    bool is_circle = wait_leads_to(l, from, to, visited, stack);

    mem_free(visited);
    mem_free(stack);
    return is_circle;
}

enum ha_wait ha_place_waits(const struct ha_ledger *l, const struct ha_vm *vm, const char **other)
{
    uint32_t self = ha_seat_index(l, vm->name);

    *other = NULL;
    for (uint32_t i = 0; i < vm->after.n; i++) {
        uint32_t at = ha_seat_index(l, vm->after.name[i]);
        enum ha_wait wait = at != HA_NOBODY ? wait_of(&l->seats[at]) : HA_WAIT_MISSING;
        if (wait == HA_WAIT_NOT) {
            continue;
        }
        *other = vm->after.name[i];
        bool may_circle = wait == HA_WAIT_AFTER && self != HA_NOBODY;
        return may_circle && wait_is_circle(l, at, self) ? HA_WAIT_CIRCLE : wait;
    }
    return HA_WAIT_NOT;
}

/* --- order ------------------------------------------------------------------------------------ */

/* One machine that is to start. */
struct turn {
    size_t at;
    uint32_t rank;  /* its priority, or the highest of those that wait for it */
    uint32_t depth; /* how long the chain is that it waits for */
};

static int turn_compare(const void *a, const void *b)
{
    const struct turn *x = a;
    const struct turn *y = b;

    if (x->rank != y->rank) {
        return x->rank > y->rank ? -1 : 1;
    }
    if (x->depth != y->depth) {
        return x->depth < y->depth ? -1 : 1;
    }
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Lifts what `turn` waits for to its rank, and puts it behind them. True: something changed. */
static bool turn_spread(const struct ha_ledger *l, struct turn *turns, uint32_t at)
{
    const struct ha_vm *vm = l->seats[at].vm;
    bool has_changed = false;

    for (uint32_t i = 0; i < vm->after.n; i++) {
        uint32_t other = ha_seat_index(l, vm->after.name[i]);
        if (other == HA_NOBODY || !ha_seat_waits(&l->seats[other])) {
            continue;
        }
        if (turns[other].rank < turns[at].rank) {
            turns[other].rank = turns[at].rank;
            has_changed = true;
        }
        if (turns[at].depth <= turns[other].depth && turns[other].depth < CHAIN_MAX) {
            turns[at].depth = turns[other].depth + 1;
            has_changed = true;
        }
    }
    return has_changed;
}

size_t ha_place_order(const struct ha_ledger *l, size_t *order)
{
    struct turn *turns = mem_alloc_zero((l->n_seats + 1) * sizeof *turns);
    bool has_changed = true;
    size_t n = 0;

    for (uint32_t i = 0; i < l->n_seats; i++) {
        turns[i].at = i;
        turns[i].rank = l->seats[i].vm != NULL ? l->seats[i].vm->priority : 0;
    }
    for (uint32_t pass = 0; pass < CHAIN_MAX && has_changed; pass++) {
        has_changed = false;
        for (uint32_t i = 0; i < l->n_seats; i++) {
            if (ha_seat_waits(&l->seats[i]) && turn_spread(l, turns, i)) {
                has_changed = true;
            }
        }
    }
    for (uint32_t i = 0; i < l->n_seats; i++) {
        if (ha_seat_waits(&l->seats[i])) {
            turns[n++] = turns[i];
        }
    }
    sort_items(turns, n, sizeof *turns, turn_compare);
    for (size_t i = 0; i < n; i++) {
        order[i] = turns[i].at;
    }
    mem_free(turns);
    return n;
}
