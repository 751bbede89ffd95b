/*
 * A list of log entries that owns their payloads: what a disk holds in a test, and copies of what
 * an update lent.
 */
#ifndef NOVACRON_TESTS_ENTRY_LIST_H
#define NOVACRON_TESTS_ENTRY_LIST_H

#include "core/consensus/raft/raft_types.h"

struct entry_list {
    struct raft_entry *entries; /* owned, with their payloads */
    size_t n;
    size_t cap;
};

void entry_list_deinit(struct entry_list *list);

/* Appends copies. */
void entry_list_add(struct entry_list *list, const struct raft_entry *entries, size_t n);

/* Forgets all but the first `n`. */
void entry_list_cut(struct entry_list *list, size_t n);

/* Forgets the first `n`. */
void entry_list_drop(struct entry_list *list, size_t n);

#endif
