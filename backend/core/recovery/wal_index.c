#include "core/recovery/wal_index.h"

#include "core/base/check.h"
#include "core/base/mem.h"

void wal_index_init(struct wal_index *x)
{
    *x = (struct wal_index){0};
}

void wal_index_deinit(struct wal_index *x)
{
    mem_free(x->extents);
    wal_index_init(x);
}

void wal_index_clear(struct wal_index *x)
{
    x->count = 0;
}

static void insert_extent(struct wal_index *x, size_t at, struct wal_extent extent)
{
    mem_grow((void **)&x->extents, &x->cap, x->count + 1, sizeof *x->extents);
    for (size_t i = x->count; i > at; i--) {
        x->extents[i] = x->extents[i - 1];
    }
    x->extents[at] = extent;
    x->count++;
}

void wal_index_cut(struct wal_index *x, uint64_t index)
{
    while (x->count > 0 && x->extents[x->count - 1].first >= index) {
        x->count--;
    }
    if (x->count > 0) {
        struct wal_extent *newest = &x->extents[x->count - 1];
        newest->last = u64_min(newest->last, index - 1);
    }
}

void wal_index_append(struct wal_index *x, const struct wal_extent *extent)
{
    CHECK(extent->first <= extent->last && extent->sector < extent->end);
    wal_index_cut(x, extent->first);
    if (x->count > 0) {
        struct wal_extent *newest = &x->extents[x->count - 1];
        bool continues = newest->last + 1 == extent->first && newest->segment == extent->segment &&
                         newest->end == extent->sector &&
                         extent->end - newest->sector <= WAL_EXTENT_SECTORS;
        if (continues) {
            newest->last = extent->last;
            newest->end = extent->end;
            return;
        }
    }
    insert_extent(x, x->count, *extent);
}

/* The place of the first extent that ends at or after `index`. */
static size_t extent_at_or_after(const struct wal_index *x, uint64_t index)
{
    size_t lo = 0;
    size_t hi = x->count;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (x->extents[mid].last < index) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

void wal_index_repair(struct wal_index *x, const struct wal_extent *extent)
{
    CHECK(extent->first == extent->last && extent->sector < extent->end);
    uint64_t index = extent->first;
    size_t at = extent_at_or_after(x, index);

    if (at < x->count && x->extents[at].first <= index) {
        struct wal_extent whole = x->extents[at];
        if (whole.first == index && whole.last == index) {
            x->extents[at] = *extent;
            return;
        }
        if (whole.last > index) {
            x->extents[at].first = index + 1;
        } else {
            x->extents[at].last = index - 1;
            insert_extent(x, at + 1, *extent);
            return;
        }
        if (whole.first < index) {
            whole.last = index - 1;
            insert_extent(x, at++, whole);
        }
    }
    insert_extent(x, at, *extent);
}

void wal_index_drop_through(struct wal_index *x, uint64_t index)
{
    size_t gone = extent_at_or_after(x, index + 1);

    for (size_t i = gone; i < x->count; i++) {
        x->extents[i - gone] = x->extents[i];
    }
    x->count -= gone;
    if (x->count > 0) {
        x->extents[0].first = u64_max(x->extents[0].first, index + 1);
    }
}

const struct wal_extent *wal_index_find(const struct wal_index *x, uint64_t index)
{
    size_t at = extent_at_or_after(x, index);
    return at < x->count && x->extents[at].first <= index ? &x->extents[at] : NULL;
}
