/*
 * Watches: places in the history.
 *
 * A watch is a seq, `next`: all changes before it were delivered, or do not concern it. Nothing is
 * queued for it. When a change is committed, each group that it concerns notes it as its last one,
 * and the clean watches of that group become pending, with `next` at that change:
 *
 *               created at a past revision; a change concerns the group
 *      CLEAN -----------------------------------------------------------> PENDING
 *        ^                                                                   |  |
 *        +-------------------------------------------------------------------+  | next was
 * compacted next > last, all was delivered                           v canceled
 *
 * where last is the group's last change, or the end of history when the watch was created, if that
 * is later. Delivery reads from the log, or for a watch of one key from the chain of that key. A
 * revision's changes come in one response, unless the watch asked for fragments.
 */
#ifndef NOVACRON_STORE_WATCH_H
#define NOVACRON_STORE_WATCH_H

#include "core/store/store_mvcc.h"
#include "core/store/store_watch_group.h"

struct store_watch {
    struct store_avl_node node; /* by id, in its stream; first, so that a node is a watch */
    int64_t id;
    struct store_stream *stream;
    struct store_watch_group *group;
    struct store_link clean; /* in group->clean, while clean */
    struct store_link ready; /* in stream->ready, while there may be something to say */
    int64_t start_revision;  /* changes below are not delivered; 0: none are left out */
    uint64_t next;
    uint64_t until; /* the end of history when it was created or moved */
    bool no_put;
    bool no_delete;
    bool prev_kv;
    bool fragment;
    bool progress_notify;
    bool quiet;        /* no events since the last tick */
    bool progress_due; /* a tick asked for a progress response */
};

/* A response that is being put together, perhaps over several calls. */
struct store_watch_build {
    struct store_watch *watch; /* NULL: there is none, or what there was is to be thrown away */
    bool open;                 /* the caller's buffer holds a part of it, from `base` on */
    bool pinned;
    struct store_pin pin;
    size_t base;
    uint64_t start; /* the watch's `next` before it */
    uint64_t events;
    uint64_t revisions;
    int64_t last_revision;
};

struct store_stream {
    struct store *store;
    uint64_t tag;
    int64_t next_id;
    struct store_avl watches; /* owned, by id */
    struct store_link ready;  /* list of watches */
    struct store_link listed; /* in store->watches.ready */
    struct store_link all;    /* in store->watches.streams */
    struct store_watch_build build;
};

struct store_watches {
    struct store_watch_groups groups;
    struct store_link streams; /* list of all streams */
    struct store_link ready;   /* list of streams that may have something to say */
    size_t count;
};

void store_watches_init(struct store_watches *w);

/* Tells the groups of the changes in [from, to). */
void store_watches_notify(struct store_watches *w, const struct store_log *log, uint64_t from,
                          uint64_t to);

/* The last change that may concern the watch. */
uint64_t store_watch_last(const struct store_watch *w);

static inline bool store_watch_is_clean(const struct store_watch *w)
{
    return w->next > store_watch_last(w);
}

/* Puts the watch on the ready list of its stream, and the stream on that of the store. */
void store_watch_make_ready(struct store_watch *w);

/* Throws away what is half built; the watch is where it was before. */
void store_watch_build_abort(struct store_watch_build *build, struct store_mvcc *m);

/* Takes the watch out of everything and frees it. */
void store_watch_free(struct store_watch *w);

#endif
