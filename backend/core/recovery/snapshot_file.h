/*
 * Snapshot files: what the state machine was after an entry, so that the log before it may go.
 *
 * They lie in a directory of their own, "<index>-<term>.snap" in hexadecimal. Each of the three
 * ways to handle one is an asynchronous machine on the world's bulk lane, beside the running log:
 *
 *   writing     snapfile_create, snapfile_put..., snapfile_finish. Under a temporary name until it
 *               is whole: written, synced, renamed, directory synced. Then only the newest
 *               SNAPFILE_KEEP stay.
 *   installing  snapfile_install, snapfile_install_put..., from a peer, who sends the file's bytes
 *               in order. What was received survives a restart: installing again says from where to
 *               go on. Ends like writing, after every byte was verified.
 *   loading     snapfile_load: the newest whole one is read to the end and its payload handed on;
 *               a damaged one is passed over for the one before. snapfile_send reads pieces for a
 *               peer.
 *
 * A failed sync or rename is told as an error; the snapshot is then not installed, and the log must
 * not be compacted for it. Formats: docs/formats/snapshot-file.md.
 */
#ifndef NOVACRON_RECOVERY_SNAPSHOT_FILE_H
#define NOVACRON_RECOVERY_SNAPSHOT_FILE_H

#include "core/recovery/snapshot_format.h"
#include "core/world/world.h"

/* So many snapshots stay: one more than is needed, for the case that the newest is damaged. */
#define SNAPFILE_KEEP 2

/* Blocks that a writer has under way; further payload is refused until one is back. */
#define SNAPFILE_BUFFERS 4

/* Snapshots in the directory, at most; more are not looked at. */
#define SNAPFILE_LISTED_MAX 64

/* Something that is under way at a place, so that its owner can forget it. */
struct snapfile_task {
    struct snapfile_task *next;
    struct snapfile_task **link; /* what points here; NULL: nothing */
    void (*forget)(struct snapfile_task *task);
};

/* Where snapshots are. `dir` is borrowed for as long as it is used. */
struct snapfile_place {
    const struct world *world;
    const char *dir;
    uint64_t cluster;
    struct snapfile_task **tasks; /* the owner's list of what is under way; NULL: it keeps none */
};

/* Frees all that is under way, as a crash would, and tells nobody: the world was torn down. */
void snapfile_forget(struct snapfile_task **tasks);

struct snapfile_writer; /* opaque */

/* Begins a file for (index, term); membership is copied. `room` is called after a put said ERR_BUSY
 * and there is room again. `ctx` is for both callbacks. */
struct snapfile_writer *snapfile_create(const struct snapfile_place *place, uint64_t index,
                                        uint64_t term, struct bytes membership,
                                        void (*room)(void *ctx), void *ctx);

/* Takes the next bytes of payload, all of them, or ERR_BUSY and none. At most
 * SNAPFILE_BLOCK_PAYLOAD at a time. Errors of the disk are told by finish. */
MUST_USE enum err snapfile_put(struct snapfile_writer *w, struct bytes payload);

/* No more payload: makes it durable, then calls `done` and frees the writer. */
void snapfile_finish(struct snapfile_writer *w, void (*done)(void *ctx, enum err result));

/* Gives up: removes the file, and frees the writer, in the background. */
void snapfile_abort(struct snapfile_writer *w);

struct snapfile_installer; /* opaque */

/* Begins, or goes on with, the file that a peer has for (index, term). `ready` tells at which
 * offset the peer shall go on. */
struct snapfile_installer *snapfile_install(const struct snapfile_place *place, uint64_t index,
                                            uint64_t term,
                                            void (*ready)(void *ctx, uint64_t offset), void *ctx);

/* The next bytes of the file, copied; one put at a time. `done`: OK, go on at *offset; or
 * ERR_EXISTS: that was the last, the snapshot is durable under its name, and the installer is
 * freed; or an error: the bytes were not this snapshot's (ERR_CORRUPT), or the disk's. Then go on
 * at the offset that is told, or close; once the disk has failed, every put ends so. */
void snapfile_install_put(struct snapfile_installer *i, struct bytes bytes,
                          void (*done)(void *ctx, enum err result, uint64_t offset));

/* Frees it; what was received stays for the next time. Not while a put is under way. */
void snapfile_install_close(struct snapfile_installer *i);

/* What loading found. */
struct snapfile_found {
    enum err result;           /* OK, or ERR_NOT_FOUND: no whole snapshot; or what went wrong */
    struct snapfile_meta meta; /* with OK; the membership is valid during the call */
    uint32_t damaged;          /* newer ones that were passed over */
};

struct snapfile_sink {
    void *ctx;
    /* A snapshot begins: payload told before belonged to a damaged one. May be NULL. */
    void (*begin)(void *ctx, const struct snapfile_meta *meta);
    void (*payload)(void *ctx, uint64_t offset, struct bytes payload); /* may be NULL */
    void (*done)(void *ctx, const struct snapfile_found *found);
};

/* Loads the newest whole snapshot. The sink is copied. */
void snapfile_load(const struct snapfile_place *place, const struct snapfile_sink *sink);

/* The snapshot (index, term) alone. */
void snapfile_load_one(const struct snapfile_place *place, uint64_t index, uint64_t term,
                       const struct snapfile_sink *sink);

/* Names. The path of a snapshot, and what a name stands for. */
void snapfile_path(const char *dir, uint64_t index, uint64_t term, const char *suffix,
                   char path[WORLD_PATH_MAX_BYTES]);
MUST_USE enum err snapfile_name_parse(const char *name, const char *suffix, uint64_t *index,
                                      uint64_t *term);

/* Removes all but the newest SNAPFILE_KEEP snapshots, and pieces older than they are; then `done`.
 * `written` stays, and what is newer than that: newer files may be damaged. */
void snapfile_prune(const struct snapfile_place *place, uint64_t written,
                    void (*done)(void *ctx, enum err result), void *ctx);

#endif
