#include "tests/support/raft_cluster_disk.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

/* --- entries --------------------------------------------------------------------------------- */

struct cluster_entry entry_copy(const struct raft_entry *e)
{
    struct cluster_entry copy = {.term = e->term, .type = e->type, .len = e->payload.len};
    copy.payload = mem_alloc(e->payload.len);
    if (e->payload.len > 0) {
        memcpy(copy.payload, e->payload.data, e->payload.len);
    }
    return copy;
}

void entries_free(struct cluster_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mem_free(entries[i].payload);
    }
}

struct raft_entry entry_view(const struct cluster_entry *e, raft_index index)
{
    return (struct raft_entry){.index = index,
                               .term = e->term,
                               .type = e->type,
                               .payload = {e->len > 0 ? e->payload : NULL, e->len}};
}

bool entry_equal(const struct cluster_entry *a, const struct raft_entry *b)
{
    return a->term == b->term && a->type == b->type && a->len == b->payload.len &&
           (a->len == 0 || memcmp(a->payload, b->payload.data, a->len) == 0);
}

/* --- the disk -------------------------------------------------------------------------------- */

void disk_truncate(struct cluster_disk *d, raft_index from)
{
    size_t keep = (size_t)(from - d->snapshot.index - 1);
    while (d->len > keep) {
        mem_free(d->log[--d->len].payload);
    }
}

void disk_append(struct cluster_disk *d, struct cluster_entry e)
{
    mem_grow((void **)&d->log, &d->cap, d->len + 1, sizeof(d->log[0]));
    d->log[d->len++] = e;
}

void disk_drop_head(struct cluster_disk *d, raft_index to)
{
    if (to <= d->snapshot.index) {
        return;
    }
    size_t n = (size_t)u64_min(to - d->snapshot.index, d->len);
    entries_free(d->log, n);
    memmove(d->log, d->log + n, (d->len - n) * sizeof(d->log[0]));
    d->len -= n;
}

void disk_install(struct cluster_disk *d, const struct cluster_write *w)
{
    if (w->install_keeps_log) {
        disk_drop_head(d, w->snapshot.index);
    } else {
        disk_truncate(d, d->snapshot.index + 1);
    }
    d->snapshot = w->snapshot;
}

/* What a write does to the disk once it is durable. */
void disk_perform(struct cluster_disk *d, struct cluster_write *w)
{
    if (w->install) {
        disk_install(d, w);
    }
    if (w->has_hard_state) {
        d->hard_state = w->hard_state;
    }
    for (uint32_t i = 0; i < w->n; i++) {
        raft_index index = w->first + i;
        if (index <= d->snapshot.index) {
            mem_free(w->entries[i].payload);
            continue;
        }
        CHECK(index <= d->snapshot.index + d->len + 1);
        if (index <= d->snapshot.index + d->len) {
            disk_truncate(d, index);
        }
        disk_append(d, w->entries[i]);
    }
    w->n = 0;
    for (uint32_t i = 0; i < w->repair_count; i++) {
        raft_index index = w->repair_index[i];
        bool here = index > d->snapshot.index && index <= d->snapshot.index + d->len;
        struct cluster_entry *e = here ? &d->log[index - d->snapshot.index - 1] : NULL;
        if (e && e->term == w->repairs[i].term) {
            mem_free(e->payload);
            *e = w->repairs[i];
        } else {
            mem_free(w->repairs[i].payload);
        }
    }
    w->repair_count = 0;
}

void write_free(struct cluster_write *w)
{
    entries_free(w->entries, w->n);
    entries_free(w->repairs, w->repair_count);
    for (uint32_t i = 0; i < w->message_count; i++) {
        buf_deinit(&w->messages[i]);
    }
    mem_free(w->entries);
    mem_free(w->repairs);
    mem_free(w->repair_index);
    mem_free(w->messages);
    mem_free(w);
}
