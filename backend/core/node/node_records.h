/*
 * node_records: the records below /novacron/ as changes, read out of a store: all there are, page
 * by page at one revision, and then what a watch tells. For the store of HA on a member
 * (node_ha.h) and for agents that a member serves (node_session.h).
 */
#ifndef NOVACRON_NODE_NODE_RECORDS_H
#define NOVACRON_NODE_NODE_RECORDS_H

#include "core/ha/ha_store.h"
#include "core/store/store.h"

/* Who is told; the change is borrowed for the call. */
struct node_records_ear {
    void *ctx;
    void (*changed)(void *ctx, const struct ha_change *change);
};

/* Where a reading has come to. */
struct node_records_page {
    struct buf key;      /* the next page begins here */
    struct buf response; /* scratch */
    bool has_more;
};

void node_records_page_init(struct node_records_page *p);
void node_records_page_deinit(struct node_records_page *p);

/* From the first record on. */
void node_records_begin(struct node_records_page *p);

/* Tells of the next page as of `revision`, 0: of now; `has_more` says whether there is another.
 * ERR_COMPACTED: that revision can be read no longer. */
MUST_USE enum err node_records_read(struct node_records_page *p, struct store *store,
                                    int64_t revision, const struct node_records_ear *ear);

/* A stream with one watch on all records, from this revision on; with the tag NODE_HA_TAG. */
struct store_stream *node_records_watch(struct store *store, int64_t start_revision);

/* Tells of one WatchResponse. False: the watch was canceled, as what it had not read was compacted.
 */
bool node_records_tell(struct bytes response, const struct node_records_ear *ear);

/* Is there a record of this host? */
bool node_records_have_host(struct store *store, const char *host);

#endif
