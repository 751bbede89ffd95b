/*
 * Reading a range, in steps.
 *
 * In the order of keys, up or down, matches are written as they are met. In any other order they
 * are gathered first, in a heap whose root is the one that comes last: with a limit the heap never
 * holds more than that, and in the end it is taken apart from the back [Williams64], so that no
 * step is a whole sort. Equal ones come in the order of their keys.
 *
 * The count of a span now is a question to the tree; in the past it needs a look at each key. etcd
 * counts before it filters, and limits after it sorted and filtered; so do we.
 */
#ifndef NOVACRON_STORE_RANGE_H
#define NOVACRON_STORE_RANGE_H

#include "core/store/store_mvcc.h"
#include "core/store/store_request.h"

enum store_scan_stage { STORE_SCAN_WALK, STORE_SCAN_SORT, STORE_SCAN_WRITE, STORE_SCAN_DONE };

struct store_scan {
    const struct store_mvcc *mvcc;      /* borrowed */
    struct store_range_request request; /* views: the caller's, until the scan ends */
    struct store_span span;
    int64_t revision;
    enum store_scan_stage stage;
    bool backward;
    bool gathers; /* sorts by something else than the key */
    bool count_known;
    bool more;
    bool started; /* `at` holds the last key that was visited */
    uint64_t count;
    uint64_t written;
    struct buf at;                      /* owned */
    const struct store_version **found; /* owned: a heap, then in order */
    size_t found_count;
    size_t found_cap;
    size_t sorted; /* how many at the end of `found` are in place */
};

/* Starts at the state of now, or at the request's revision, which was checked. */
void store_scan_init(struct store_scan *scan, const struct store_mvcc *mvcc,
                     const struct store_range_request *request);
void store_scan_deinit(struct store_scan *scan);

/* Looks at `budget` keys at most and appends KeyValues; at the end `more` and `count`, and returns
 * true. Between two steps anything may be written, while what the scan reads is pinned. */
bool store_scan_step(struct store_scan *scan, size_t budget, struct buf *response);

#endif
