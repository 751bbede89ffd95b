/*
 * A node's disk in a script: hard state, log, snapshot, and a snapshot that is being fetched; what
 * survives a restart, and what a script can damage.
 *
 * The body of a snapshot is made from its index alone, because every state machine that has applied
 * the same entries is in the same state. So a script need not carry bodies around to tell whether
 * one arrived whole.
 */
#ifndef NOVACRON_TESTS_SCRIPT_DISK_H
#define NOVACRON_TESTS_SCRIPT_DISK_H

#include "core/consensus/raft/raft.h"
#include "tests/core/consensus/entry_list.h"

struct script_disk {
    struct raft_hard_state hard_state;
    struct raft_snapshot snapshot; /* index 0: none */
    raft_index base;               /* the entries follow this one */
    raft_term base_term;
    struct entry_list entries;
    raft_index damaged_first; /* bodies that cannot be read; 0: none */
    raft_index damaged_last;

    struct raft_snapshot fetching; /* what `fetched` is a part of */
    struct buf fetched;
};

void script_disk_deinit(struct script_disk *d);

raft_index script_disk_last(const struct script_disk *d);

/* The entry at `index`, which is there. */
const struct raft_entry *script_disk_entry(const struct script_disk *d, raft_index index);

bool script_disk_is_damaged(const struct script_disk *d, raft_index index);

/* Entries replace whatever the log held from the first one's index on. */
void script_disk_append(struct script_disk *d, const struct raft_entry *entries, size_t n);

/* Bodies that were damaged are whole again. */
void script_disk_repair(struct script_disk *d, const struct raft_entry *entries, size_t n);

/* The snapshot replaces the log; what follows it stays where `keeps_log`. One that has a body has
 * been fetched, and is compared with what it should be. */
void script_disk_install(struct script_disk *d, const struct raft_snapshot *s, bool keeps_log);

/* Forgets the log up to `index`. False where it is gone already, or not there yet. */
bool script_disk_compact(struct script_disk *d, raft_index index);

/* Forgets the log from `index` on, which is behind the base. */
void script_disk_lose(struct script_disk *d, raft_index index);

/* Writes a piece of a snapshot that is being fetched, or with an empty one opens it. Returns up to
 * where it is there. */
uint64_t script_disk_write_chunk(struct script_disk *d, const struct raft_chunk *chunk);

/* The body of a snapshot of `size` bytes at `index`, appended to `ret`; and its digest. */
void script_snapshot_body(raft_index index, uint64_t size, struct buf *ret);
uint64_t script_snapshot_digest(raft_index index, uint64_t size);

#endif
