/*
 * What the daemon itself keeps in its data directory, beside the node's: a lock, so that no two
 * run on one disk, and the note that this member took part in the cluster. With that note an empty
 * disk is a lost one, and not a founder's new one (node_config.is_member).
 *
 *     DATA_DIR/lock      held while the daemon runs
 *     DATA_DIR/member    one line: cluster=HEX member=HEX
 *     DATA_DIR/node/     the node's
 *
 * Blocking calls, at start and once in a member's life.
 */
#ifndef NOVACRON_NOVACROND_DAEMON_DISK_H
#define NOVACRON_NOVACROND_DAEMON_DISK_H

#include "novacrond/daemon_config.h"

struct daemon_disk {
    const char *dir; /* borrowed */
    int lock;        /* its descriptor; the end of the process gives it back */
    bool is_member;
};

/* Makes the directory if it is missing, locks it, reads the note. On failure `why` says what to do:
 * ERR_EXISTS (another daemon runs there), ERR_REFUSED (the note is another member's), ERR_CORRUPT,
 * or the disk's. */
MUST_USE enum err daemon_disk_open(const struct daemon_config *config, char why[DAEMON_WHY_BYTES],
                                   struct daemon_disk *ret);

/* Writes the note, durably. ERR_IO: it did not work, and should be tried again. */
MUST_USE enum err daemon_disk_note(struct daemon_disk *disk, const struct daemon_config *config);

void daemon_disk_close(struct daemon_disk *disk);

#endif
