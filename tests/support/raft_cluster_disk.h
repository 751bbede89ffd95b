/*
 * What a simulated replica's disk holds (tests/support/raft_cluster.h): entries, and writes that
 * become durable in their order. Private to the cluster.
 */
#ifndef NOVACRON_TESTS_SUPPORT_RAFT_CLUSTER_DISK_H
#define NOVACRON_TESTS_SUPPORT_RAFT_CLUSTER_DISK_H

#include "tests/support/raft_cluster.h"

struct cluster_entry entry_copy(const struct raft_entry *e);
void entries_free(struct cluster_entry *entries, size_t n);
struct raft_entry entry_view(const struct cluster_entry *e, raft_index index);
bool entry_equal(const struct cluster_entry *a, const struct raft_entry *b);
void disk_truncate(struct cluster_disk *d, raft_index from);
void disk_append(struct cluster_disk *d, struct cluster_entry e);
void disk_drop_head(struct cluster_disk *d, raft_index to);
void disk_install(struct cluster_disk *d, const struct cluster_write *w);
void disk_perform(struct cluster_disk *d, struct cluster_write *w);
void write_free(struct cluster_write *w);

#endif
