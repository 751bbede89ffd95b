#include "tests/core/consensus/entry_list.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

static void entry_list_release(struct entry_list *list, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        /* Copied in by entry_list_add, which alone made it const. */
        mem_free((void *)(uintptr_t)list->entries[i].payload.data);
    }
}

void entry_list_deinit(struct entry_list *list)
{
    entry_list_cut(list, 0);
    mem_free(list->entries);
    memset(list, 0, sizeof(*list));
}

void entry_list_add(struct entry_list *list, const struct raft_entry *entries, size_t n)
{
    mem_grow((void **)&list->entries, &list->cap, list->n + n, sizeof(list->entries[0]));
    for (size_t i = 0; i < n; i++) {
        struct raft_entry *e = &list->entries[list->n++];
        *e = entries[i];
        e->payload.data = NULL;
        if (e->payload.len > 0) {
            uint8_t *copy = mem_alloc(e->payload.len);
            memcpy(copy, entries[i].payload.data, e->payload.len);
            e->payload.data = copy;
        }
    }
}

void entry_list_cut(struct entry_list *list, size_t n)
{
    CHECK(n <= list->n);
    entry_list_release(list, n, list->n);
    list->n = n;
}

void entry_list_drop(struct entry_list *list, size_t n)
{
    CHECK(n <= list->n);
    entry_list_release(list, 0, n);
    list->n -= n;
    memmove(list->entries, list->entries + n, list->n * sizeof(list->entries[0]));
}
