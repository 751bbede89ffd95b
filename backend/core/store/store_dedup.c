#include "core/store/store_dedup.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/mutant.h"

void store_dedup_init(struct store_dedup *d)
{
    *d = (struct store_dedup){0};
}

void store_dedup_deinit(struct store_dedup *d)
{
    for (size_t i = 0; i < d->count; i++) {
        mem_free(d->origins[i]);
    }
    *d = (struct store_dedup){0};
}

/* The place of an origin: of the first whose id is not below. */
static size_t origin_place(const struct store_dedup *d, node_id origin)
{
    size_t at = 0;
    while (at < d->count && d->origins[at]->id < origin) {
        at++;
    }
    return at;
}

static struct store_origin *origin_find(const struct store_dedup *d, node_id origin)
{
    size_t at = origin_place(d, origin);
    return at < d->count && d->origins[at]->id == origin ? d->origins[at] : NULL;
}

/* The place of the origin that may go at `index`; `count` if none may. */
static size_t origin_idlest(const struct store_dedup *d, uint64_t index)
{
    size_t idlest = d->count;
    for (size_t i = 0; i < d->count; i++) {
        if (u64_sub_sat(index, d->origins[i]->last_index) > STORE_ORIGIN_IDLE_ENTRIES &&
            (idlest == d->count || d->origins[i]->last_index < d->origins[idlest]->last_index)) {
            idlest = i;
        }
    }
    return idlest;
}

enum store_dedup_verdict store_dedup_ask(const struct store_dedup *d, node_id origin, uint64_t boot,
                                         uint64_t sequence, uint64_t index,
                                         struct store_outcome *ret)
{
    const struct store_origin *o = origin_find(d, origin);
    if (o == NULL) {
        bool room = d->count < STORE_ORIGINS_MAX || origin_idlest(d, index) < d->count;
        return room ? STORE_DEDUP_NEW : STORE_DEDUP_FULL;
    }
    if (boot != o->boot) {
        return boot > o->boot ? STORE_DEDUP_NEW : STORE_DEDUP_OUTSIDE;
    }
    if (sequence > o->high || MUTANT(PROPOSAL_APPLIED_TWICE)) {
        return STORE_DEDUP_NEW;
    }
    if (o->high - sequence >= STORE_ORIGIN_WINDOW) {
        return STORE_DEDUP_OUTSIDE;
    }
    size_t slot = (size_t)(sequence % STORE_ORIGIN_WINDOW);
    if (o->statuses[slot] == STORE_DEDUP_UNSEEN) {
        return STORE_DEDUP_NEW;
    }
    *ret = (struct store_outcome){o->revisions[slot], (enum store_status)o->statuses[slot]};
    return STORE_DEDUP_DUPLICATE;
}

uint64_t store_dedup_boot(const struct store_dedup *d, node_id origin)
{
    const struct store_origin *o = origin_find(d, origin);
    return o ? o->boot : 0;
}

struct store_origin *store_dedup_add(struct store_dedup *d, node_id origin)
{
    CHECK(d->count < STORE_ORIGINS_MAX);
    size_t at = origin_place(d, origin);
    memmove(&d->origins[at + 1], &d->origins[at], (d->count - at) * sizeof(void *));
    struct store_origin *o = mem_alloc_zero(sizeof *o);
    o->id = origin;
    memset(o->statuses, STORE_DEDUP_UNSEEN, sizeof o->statuses);
    d->origins[at] = o;
    d->count++;
    return o;
}

static struct store_origin *origin_open(struct store_dedup *d, node_id origin, uint64_t index)
{
    struct store_origin *o = origin_find(d, origin);
    if (o != NULL) {
        return o;
    }
    if (d->count == STORE_ORIGINS_MAX) {
        size_t idlest = origin_idlest(d, index);
        CHECK(idlest < d->count);
        mem_free(d->origins[idlest]);
        d->count--;
        memmove(&d->origins[idlest], &d->origins[idlest + 1], (d->count - idlest) * sizeof(void *));
    }
    return store_dedup_add(d, origin);
}

void store_dedup_record(struct store_dedup *d, node_id origin, uint64_t boot, uint64_t sequence,
                        uint64_t index, struct store_outcome outcome)
{
    struct store_origin *o = origin_open(d, origin, index);
    if (boot != o->boot) {
        CHECK(boot > o->boot);
        o->boot = boot;
        o->high = 0;
        memset(o->statuses, STORE_DEDUP_UNSEEN, sizeof o->statuses);
        memset(o->revisions, 0, sizeof o->revisions);
    }
    uint64_t forgotten = u64_min(u64_sub_sat(sequence, o->high), STORE_ORIGIN_WINDOW);
    for (uint64_t i = 0; i < forgotten; i++) {
        size_t old = (size_t)((sequence - i) % STORE_ORIGIN_WINDOW);
        o->statuses[old] = STORE_DEDUP_UNSEEN;
        o->revisions[old] = 0;
    }
    o->high = u64_max(o->high, sequence);
    o->last_index = index;
    size_t slot = (size_t)(sequence % STORE_ORIGIN_WINDOW);
    CHECK(o->statuses[slot] == STORE_DEDUP_UNSEEN || MUTANT(PROPOSAL_APPLIED_TWICE));
    o->statuses[slot] = (uint8_t)outcome.status;
    o->revisions[slot] = outcome.revision;

    d->chain = hash_u64(d->chain, origin);
    d->chain = hash_u64(d->chain, boot);
    d->chain = hash_u64(d->chain, sequence);
    d->chain = hash_u64(d->chain, (uint64_t)outcome.revision << 8 | (uint64_t)outcome.status);
}
