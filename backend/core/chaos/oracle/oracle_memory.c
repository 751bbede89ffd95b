/* The register of entries, marks by term, and which proposals were applied where. Memory grows with
 * the entries of a run, by doubling; nothing is freed before the oracle is. */
#include <string.h>

#include "core/chaos/oracle/oracle_int.h"

void oracle_memory_free(struct oracle *o)
{
    for (uint32_t i = 0; i < o->host_count; i++) {
        mem_free(o->host[i].runs);
        mem_free(o->host[i].votes.mark);
        mem_free(o->host[i].acks.mark);
    }
    for (size_t i = 0; i < o->origin_count; i++) {
        mem_free(o->origin[i].first);
    }
    mem_free(o->host);
    mem_free(o->entry);
    mem_free(o->place);
    mem_free(o->membership);
    mem_free(o->leaders.mark);
    mem_free(o->origin);
}

/* --- entries --------------------------------------------------------------------------------- */

struct oracle_place *oracle_place_get(struct oracle *o, raft_index index)
{
    if (index > ORACLE_INDEX_MAX) {
        return NULL;
    }
    if (index >= o->place_count) {
        size_t count = (size_t)index + 1;
        mem_grow((void **)&o->place, &o->place_cap, count, sizeof(o->place[0]));
        memset(o->place + o->place_count, 0, (count - o->place_count) * sizeof(o->place[0]));
        o->place_count = count;
    }
    return &o->place[index];
}

const struct oracle_place *oracle_place_find(const struct oracle *o, raft_index index)
{
    return index < o->place_count ? &o->place[index] : NULL;
}

struct oracle_entry *oracle_entry_find(const struct oracle *o, raft_index index, raft_term term)
{
    const struct oracle_place *place = oracle_place_find(o, index);
    uint32_t at = place ? place->first : 0;
    while (at != 0 && o->entry[at].term != term) {
        at = o->entry[at].other;
    }
    return at == 0 ? NULL : &o->entry[at];
}

struct oracle_entry *oracle_entry_add(struct oracle *o, raft_index index, raft_term term)
{
    struct oracle_place *place = oracle_place_get(o, index);
    CHECK(place && o->entry_count < UINT32_MAX - 1);
    uint32_t at = (uint32_t)(o->entry_count == 0 ? 1 : o->entry_count);
    mem_grow((void **)&o->entry, &o->entry_cap, (size_t)at + 1, sizeof(o->entry[0]));
    o->entry_count = (size_t)at + 1;
    o->entry[at] = (struct oracle_entry){.term = term, .other = place->first};
    place->first = at;
    return &o->entry[at];
}

/* --- marks ----------------------------------------------------------------------------------- */

/* How many have a term at or below this. The newest are asked for most. */
static size_t mark_rank(const struct oracle_marks *marks, raft_term term)
{
    size_t at = marks->count;
    while (at > 0 && marks->mark[at - 1].term > term) {
        at--;
    }
    return at;
}

const struct oracle_mark *oracle_mark_find(const struct oracle_marks *marks, raft_term term)
{
    size_t at = mark_rank(marks, term);
    return at > 0 && marks->mark[at - 1].term == term ? &marks->mark[at - 1] : NULL;
}

void oracle_mark_set(struct oracle_marks *marks, raft_term term, uint64_t value)
{
    size_t at = mark_rank(marks, term);
    if (at > 0 && marks->mark[at - 1].term == term) {
        marks->mark[at - 1].value = value;
        return;
    }
    mem_grow((void **)&marks->mark, &marks->cap, marks->count + 1, sizeof(marks->mark[0]));
    memmove(marks->mark + at + 1, marks->mark + at, (marks->count - at) * sizeof(marks->mark[0]));
    marks->mark[at] = (struct oracle_mark){term, value};
    marks->count++;
}

/* --- proposals ------------------------------------------------------------------------------- */

static struct oracle_origin *origin_get(struct oracle *o, node_id id, uint64_t boot)
{
    /* The lives of now are the last ones. */
    for (size_t i = o->origin_count; i > 0; i--) {
        if (o->origin[i - 1].id == id && o->origin[i - 1].boot == boot) {
            return &o->origin[i - 1];
        }
    }
    mem_grow((void **)&o->origin, &o->origin_cap, o->origin_count + 1, sizeof(o->origin[0]));
    o->origin[o->origin_count] = (struct oracle_origin){.id = id, .boot = boot};
    return &o->origin[o->origin_count++];
}

uint32_t *oracle_first_applied(struct oracle *o, node_id origin, uint64_t boot, uint64_t sequence)
{
    if (sequence > ORACLE_INDEX_MAX) {
        return NULL;
    }
    struct oracle_origin *life = origin_get(o, origin, boot);
    if (sequence >= life->count) {
        size_t count = (size_t)u64_max(2 * life->count, sequence + 16);
        life->first = mem_realloc_array(life->first, count, sizeof(life->first[0]));
        memset(life->first + life->count, 0, (count - life->count) * sizeof(life->first[0]));
        life->count = count;
    }
    return &life->first[sequence];
}
