/*
 * ha_view: the picture of all records under /novacron/, as of one revision of the store.
 *
 * It is fed with puts and deletes in the order of their revisions, and is a pure function of the
 * newest value of each key: two views that have seen the same store at the same revision are equal,
 * whatever was before. Entries of a kind are in the order of their names (of reports: host, then
 * machine).
 *
 * A record that cannot be read is an entry all the same: without a record, and with the reason. So
 * is one whose name is not that of its key. Whoever looks for a record gets NULL then, and whoever
 * goes through them sees it: what cannot be read is never taken for what is not there. Keys under
 * /novacron/ that are of no kind are entries of the kind HA_KINDS, under their whole key; but for
 * /novacron/leader, which is the manager's and no record.
 *
 * Limits: HA_VIEW_ENTRIES_MAX entries of a kind; with more the view is incomplete until it is
 * cleared and fed anew: what it has not kept cannot come back otherwise. `has_room` says that this
 * is worth a try. Nobody decides on an incomplete view. Keys of no kind are kept to be told of, and
 * nothing is decided by them: beyond HA_VIEW_STRANGERS_MAX they are counted only, and the view is
 * as complete as before.
 */
#ifndef NOVACRON_HA_VIEW_H
#define NOVACRON_HA_VIEW_H

#include "core/ha/ha_record.h"

#define HA_VIEW_ENTRIES_MAX   65536
#define HA_VIEW_STRANGERS_MAX 64

struct ha_entry {
    enum ha_kind kind;        /* HA_KINDS: the key is of no kind */
    struct ha_key key;        /* of HA_KINDS: zeroed */
    const char *text;         /* the key as it is in the store, with a final zero */
    uint64_t create_revision; /* of the key: 1 .. */
    uint64_t mod_revision;
    const void *record; /* the struct of the kind; NULL: unreadable */
    const char *why;    /* unreadable: the reason, for people; else "" */
    uint64_t mark;      /* the caller's own; 0 at first, kept while the key lives */
};

/* Entries are owned; pointers to them, and to records, are valid until the key is put or deleted,
 * and to entries also as long as no other key is. */
struct ha_view_list {
    struct ha_entry **entries; /* ordered by `text` */
    size_t n;
    size_t cap;
    size_t unreadable;
};

struct ha_view {
    struct ha_view_list lists[HA_KINDS + 1];
    size_t n;
    uint64_t revision;
    bool is_incomplete;
    bool has_room;             /* a record was deleted since it became incomplete */
    uint64_t strangers_passed; /* puts of keys of no kind that were not kept */
    struct ha_settings defaults;
};

void ha_view_init(struct ha_view *v);
void ha_view_deinit(struct ha_view *v);

/* Forgets everything, the revision too. */
void ha_view_clear(struct ha_view *v);

/* A key was put, or deleted, at `mod_revision`, which becomes the view's if it is newer. Keys that
 * do not begin with HA_PREFIX are passed over. Bytes are copied. A put that is older than what the
 * view has of the key is passed over: a watch may repeat what a range has told. So is a delete. */
void ha_view_put(struct ha_view *v, struct bytes key, struct bytes value, uint64_t create_revision,
                 uint64_t mod_revision);
void ha_view_delete(struct ha_view *v, struct bytes key, uint64_t revision);

/* The store has applied `revision`, and all changes up to it were told. Never goes back. */
void ha_view_advance(struct ha_view *v, uint64_t revision);

/* --- looking ---------------------------------------------------------------------------------- */

static inline size_t ha_view_count(const struct ha_view *v, enum ha_kind kind)
{
    return v->lists[kind].n;
}

/* The i-th entry of the kind, in the order of names; i < ha_view_count. */
struct ha_entry *ha_view_at(const struct ha_view *v, enum ha_kind kind, size_t i);

/* The entry of a name (of reports: of host and machine; else `vm` is NULL), or NULL. It may be
 * unreadable. */
struct ha_entry *ha_view_find(const struct ha_view *v, enum ha_kind kind, const char *name,
                              const char *vm);

/* Its mod_revision; 0: there is none. For the guards of transactions: 0 is "does not exist" there
 * too. */
uint64_t ha_view_mod_revision(const struct ha_view *v, enum ha_kind kind, const char *name,
                              const char *vm);

/* The record of a name; NULL: there is none, or it cannot be read. */
const struct ha_vm *ha_view_vm(const struct ha_view *v, const char *name);
const struct ha_host *ha_view_host(const struct ha_view *v, const char *name);
const struct ha_device *ha_view_device(const struct ha_view *v, const char *name);
const struct ha_storage *ha_view_storage(const struct ha_view *v, const char *name);
const struct ha_confirmed *ha_view_confirmed(const struct ha_view *v, const char *host);
const struct ha_owner *ha_view_owner(const struct ha_view *v, const char *vm);
const struct ha_fate *ha_view_fate(const struct ha_view *v, const char *host);
const struct ha_agent_record *ha_view_agent(const struct ha_view *v, const char *host);
const struct ha_report *ha_view_report(const struct ha_view *v, const char *host, const char *vm);
const struct ha_incident *ha_view_incident(const struct ha_view *v, const char *id);
const struct ha_sight *ha_view_sight(const struct ha_view *v, const char *device);

/* The settings; where nobody wrote any, the defaults. NULL: they cannot be read, and then nobody
 * can say what leases or waits are. */
const struct ha_settings *ha_view_settings(const struct ha_view *v);

/* Asserts order, counts and the entries' own consistency. */
void ha_view_check(const struct ha_view *v);

#endif
