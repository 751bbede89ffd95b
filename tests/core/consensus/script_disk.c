#include "tests/core/consensus/script_disk.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"
#include "tests/support/text.h"

void script_disk_deinit(struct script_disk *d)
{
    entry_list_deinit(&d->entries);
    buf_deinit(&d->fetched);
}

/* --- the log --------------------------------------------------------------------------------- */

raft_index script_disk_last(const struct script_disk *d)
{
    return d->base + d->entries.n;
}

const struct raft_entry *script_disk_entry(const struct script_disk *d, raft_index index)
{
    CHECK(index > d->base && index <= script_disk_last(d));
    return &d->entries.entries[index - d->base - 1];
}

bool script_disk_is_damaged(const struct script_disk *d, raft_index index)
{
    return d->damaged_first != 0 && index >= d->damaged_first && index <= d->damaged_last;
}

/* Nothing at or behind `index` is damaged any more. */
static void disk_undamage_from(struct script_disk *d, raft_index index)
{
    d->damaged_last = u64_min(d->damaged_last, index - 1);
    if (d->damaged_last < d->damaged_first) {
        d->damaged_first = 0;
    }
}

/* Nothing up to `index` is. */
static void disk_undamage_to(struct script_disk *d, raft_index index)
{
    if (d->damaged_first != 0) {
        d->damaged_first = u64_max(d->damaged_first, index + 1);
    }
    if (d->damaged_last < d->damaged_first) {
        d->damaged_first = 0;
    }
}

void script_disk_append(struct script_disk *d, const struct raft_entry *entries, size_t n)
{
    while (n > 0 && entries->index <= d->base) {
        entries++;
        n--;
    }
    if (n > 0) {
        CHECK(entries->index <= script_disk_last(d) + 1);
        disk_undamage_from(d, entries->index);
        entry_list_cut(&d->entries, entries->index - d->base - 1);
        entry_list_add(&d->entries, entries, n);
    }
}

void script_disk_repair(struct script_disk *d, const struct raft_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct raft_entry *held = script_disk_entry(d, entries[i].index);
        CHECK(script_disk_is_damaged(d, entries[i].index));
        CHECK(held->term == entries[i].term && held->type == entries[i].type);
        CHECK(text_equal(held->payload, entries[i].payload));
    }
    if (n > 0) {
        CHECK(entries[0].index == d->damaged_first);
        disk_undamage_to(d, entries[n - 1].index);
    }
}

bool script_disk_compact(struct script_disk *d, raft_index index)
{
    if (index <= d->base || index > script_disk_last(d)) {
        return false;
    }
    d->base_term = script_disk_entry(d, index)->term;
    entry_list_drop(&d->entries, index - d->base);
    d->base = index;
    disk_undamage_to(d, index);
    return true;
}

void script_disk_lose(struct script_disk *d, raft_index index)
{
    CHECK(index > d->base);
    if (index <= script_disk_last(d)) {
        disk_undamage_from(d, index);
        entry_list_cut(&d->entries, index - d->base - 1);
    }
}

/* --- snapshots ------------------------------------------------------------------------------- */

void script_snapshot_body(raft_index index, uint64_t size, struct buf *ret)
{
    uint8_t *body = buf_extend(ret, size);
    for (uint64_t i = 0; i < size; i++) {
        body[i] = (uint8_t)hash_u64(index, i);
    }
}

uint64_t script_snapshot_digest(raft_index index, uint64_t size)
{
    struct buf body;
    buf_init(&body);
    script_snapshot_body(index, size, &body);
    uint64_t digest = hash_bytes(0, body.data, body.len);
    buf_deinit(&body);
    return digest;
}

static bool disk_is_fetching(const struct script_disk *d, const struct raft_chunk *chunk)
{
    const struct raft_snapshot *s = &d->fetching;
    return s->index == chunk->snapshot && s->term == chunk->snapshot_term &&
           s->size == chunk->size && s->digest == chunk->digest;
}

uint64_t script_disk_write_chunk(struct script_disk *d, const struct raft_chunk *chunk)
{
    if (!disk_is_fetching(d, chunk)) {
        CHECK(chunk->len == 0);
        buf_clear(&d->fetched);
        d->fetching = (struct raft_snapshot){.index = chunk->snapshot,
                                             .term = chunk->snapshot_term,
                                             .size = chunk->size,
                                             .digest = chunk->digest};
    }
    if (chunk->len > 0) {
        CHECK(chunk->offset == d->fetched.len && chunk->len == chunk->data.len);
        buf_put(&d->fetched, chunk->data.data, chunk->data.len);
    }
    return d->fetched.len;
}

static void disk_check_fetched(const struct script_disk *d, const struct raft_snapshot *s)
{
    CHECK(d->fetching.index == s->index && d->fetching.digest == s->digest);
    struct buf body;
    buf_init(&body);
    script_snapshot_body(s->index, s->size, &body);
    CHECK(text_equal(buf_view(&body), buf_view(&d->fetched)));
    buf_deinit(&body);
}

void script_disk_install(struct script_disk *d, const struct raft_snapshot *s, bool keeps_log)
{
    if (s->size > 0) {
        disk_check_fetched(d, s);
    }
    if (keeps_log) {
        (void)script_disk_compact(d, s->index);
    } else {
        entry_list_cut(&d->entries, 0);
        d->base = s->index;
        d->base_term = s->term;
        d->damaged_first = 0;
    }
    d->snapshot = *s;
}
