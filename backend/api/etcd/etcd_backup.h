/*
 * A backup: the file that clients make of Maintenance.Snapshot. The blocks of
 * docs/formats/store-snapshot.md, zeros up to a multiple of 512 bytes, and the SHA-256 of all that.
 * Who may call it: the daemon, which founds clusters with it, and the CLI, which verifies it.
 */
#ifndef NOVACRON_API_ETCD_ETCD_BACKUP_H
#define NOVACRON_API_ETCD_ETCD_BACKUP_H

#include "core/base/err.h"
#include "core/base/types.h"

struct store;

/* Checks size and digest. OK: `ret_blocks` is the part of `file` that holds the blocks, of which
 * nothing is known but that they are as they were written. ERR_CORRUPT: `ret_why` says what is
 * wrong, a static string. */
MUST_USE enum err etcd_backup_check(struct bytes file, struct bytes *ret_blocks,
                                    const char **ret_why);

/* The state in it, all of it checked; the caller's to close. Fails as above. */
MUST_USE enum err etcd_backup_read(struct bytes file, struct store **ret, const char **ret_why);

/* A file into memory, read-only: for the two above. ERR_NOT_FOUND, ERR_DENIED, ERR_IO; ERR_CORRUPT:
 * it is empty. */
MUST_USE enum err etcd_backup_map(const char *path, struct bytes *ret);
void etcd_backup_unmap(struct bytes file);

#endif
