/* Private to the simulated disk: simdisk.c is the model of what is durable, simdisk_ops.c the file
 * operations on it, simdisk_faults.c the damage. */
#ifndef NOVACRON_CHAOS_SIMDISK_INT_H
#define NOVACRON_CHAOS_SIMDISK_INT_H

#include "core/base/buf.h"
#include "core/chaos/simdisk.h"
#include "core/chaos/simdisk_image_int.h"

/* What a file keeps of its buffer for pending writes when it is clean again, in bytes. */
#define SIMDISK_WRITTEN_KEPT_MAX (256 * 1024)

/* Changes of names that wait for a sync, at most; then the older half becomes durable by itself. */
#define SIMDISK_NAME_CHANGES_MAX 256

/* Odds are parts of it. */
#define SIMDISK_MILLION 1000000U

#define SIMDISK_DIRECTORY ((int32_t)-1)
#define SIMDISK_CLOSED    ((int32_t)-2)

enum simdisk_change_kind {
    SIMDISK_WRITE, /* the bytes [offset, offset + length) */
    SIMDISK_GROW,  /* the size becomes at least `length` */
    SIMDISK_CUT    /* the size becomes `length` */
};

/* A change of a file that is not durable. */
struct simdisk_change {
    uint64_t stamp;
    uint64_t offset;
    uint64_t length;
    size_t at; /* of a write: where its bytes begin in `written` of the file */
    enum simdisk_change_kind kind;
    bool in_limbo; /* a sync that was for it failed */
    bool is_owed;  /* a sync lied about it */
};

struct simdisk_inode {
    struct simdisk_image live;
    struct simdisk_image stable;
    struct simdisk_change *changes; /* owned, in the order they were made */
    size_t change_count;
    size_t change_cap;
    struct buf written;              /* the bytes of all pending writes, in their order */
    struct simdisk_image remembered; /* for stale reads */
    uint64_t *spoiled;               /* owned: sectors that cannot be read */
    size_t spoiled_count;
    size_t spoiled_cap;
    bool is_used; /* while files are collected that nothing leads to */
};

struct simdisk_name {
    char path[WORLD_PATH_MAX_BYTES];
    int32_t inode; /* or SIMDISK_DIRECTORY */
};

struct simdisk_names {
    struct simdisk_name *names; /* owned, ascending */
    size_t count;
    size_t cap;
};

/* An atomic change of names that is not durable. */
struct simdisk_name_change {
    uint64_t stamp;
    char removed[WORLD_PATH_MAX_BYTES]; /* "": none */
    char set[WORLD_PATH_MAX_BYTES];
    int32_t inode;
    bool is_removed_synced;
    bool is_set_synced;
    bool is_owed; /* a sync lied about it */
};

struct simdisk_open {
    int32_t inode;
    bool may_write;
};

struct simdisk_fault {
    enum err error; /* of the next `count` */
    uint32_t count;
    uint32_t ppm;
    enum err odds_error;
};

struct simdisk_armed {
    enum simdisk_class class;
    uint32_t count;
    uint64_t played;
    struct simdisk_spot at; /* of the last */
};

struct simdisk {
    uint64_t capacity;
    uint64_t stamp;
    struct simdisk_inode **inodes; /* owned; NULL: free */
    size_t inode_count;
    size_t inode_cap;
    struct simdisk_names live;
    struct simdisk_names stable;
    struct simdisk_name_change *name_changes; /* owned, in the order they were made */
    size_t name_change_count;
    size_t name_change_cap;
    struct simdisk_open *open; /* owned; by descriptor */
    size_t open_count;
    size_t open_cap;
    struct simdisk_fault faults[WORLD_FILE_OPS];
    struct simdisk_armed armed[SIMDISK_TRICKS];
    struct prng prng;
    uint64_t quota;
    bool is_lying;
    bool is_forgetful;
    bool is_armed; /* does any trick wait? */
    struct simpage_pool pool;
};

size_t simdisk_names_at(const struct simdisk_names *names, const char *path);
struct simdisk_name *simdisk_names_find(const struct simdisk_names *names, const char *path);
void simdisk_names_set(struct simdisk_names *names, const char *path, int32_t inode);
void simdisk_names_unset(struct simdisk_names *names, const char *path);

/* Change the live state, and remember that it is not durable. Bytes are copied. */
void simdisk_change_name(struct simdisk *d, const char *removed, const char *set, int32_t inode);
void simdisk_change_bytes(struct simdisk *d, struct simdisk_inode *inode, uint64_t offset,
                          const uint8_t *bytes, size_t n);
void simdisk_change_size(struct simdisk *d, struct simdisk_inode *inode, uint64_t size,
                         enum simdisk_change_kind kind);

/* The live file of that name, or NULL. */
struct simdisk_inode *simdisk_file_at(const struct simdisk *d, const char *path);

/* Writes below everything: stable, where the file reaches that far, and live too. */
void simdisk_damage(struct simdisk *d, struct simdisk_inode *inode, uint64_t offset,
                    const uint8_t *bytes, size_t n);

/* A sector of the file that is stable and not blank, by the disk's generator; false: none. */
bool simdisk_pick_sector(struct simdisk *d, const struct simdisk_inode *inode, uint64_t *offset);

/* A name of the class whose file has such a sector; NULL: none. Borrowed. */
const char *simdisk_pick_file(struct simdisk *d, enum simdisk_class class);

/* Plays the tricks that wait for such an operation. A write: true, if nothing is left to be done. A
 * read: after it was done right. */
bool simdisk_trick_write(struct simdisk *d, struct simdisk_inode *inode,
                         const struct world_file_request *request);
void simdisk_trick_read(struct simdisk *d, const struct simdisk_inode *inode,
                        const struct world_file_request *request);

/* Frees files that nothing leads to. */
void simdisk_collect(struct simdisk *d);

#endif
