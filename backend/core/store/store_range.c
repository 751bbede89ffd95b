#include "core/store/store_range.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/store/store_kv.h"
#include "core/store/store_pb.h"

/* What it costs of a step's budget to put one found version into its place. */
#define SCAN_SORT_PRICE 8

void store_scan_init(struct store_scan *scan, const struct store_mvcc *mvcc,
                     const struct store_range_request *request)
{
    int64_t now = store_mvcc_read_revision(mvcc);
    *scan = (struct store_scan){
        .mvcc = mvcc,
        .request = *request,
        .span = store_span_of(request->key, request->range_end),
        .revision = request->revision > 0 ? request->revision : now,
        .backward =
            request->sort_target == STORE_SORT_KEY && request->sort_order == STORE_SORT_DESCEND,
        .gathers = request->sort_target != STORE_SORT_KEY && request->sort_order != STORE_SORT_NONE,
    };
    /* etcd takes a target without an order for ascending, as long as it is not the key. */
    if (request->sort_target != STORE_SORT_KEY && request->sort_order == STORE_SORT_NONE) {
        scan->gathers = true;
    }
    buf_init(&scan->at);
    if (scan->revision == now) {
        scan->count = store_tree_count(&mvcc->tree, &scan->span);
        scan->count_known = true;
        if (scan->count == 0 || request->count_only) {
            scan->stage = STORE_SCAN_WRITE;
        }
    }
}

void store_scan_deinit(struct store_scan *scan)
{
    buf_deinit(&scan->at);
    mem_free(scan->found);
    *scan = (struct store_scan){0};
}

static bool passes_filters(const struct store_range_request *r, const struct store_version *v)
{
    return !((r->max_mod_revision != 0 && v->mod_revision > r->max_mod_revision) ||
             (r->min_mod_revision != 0 && v->mod_revision < r->min_mod_revision) ||
             (r->max_create_revision != 0 && v->create_revision > r->max_create_revision) ||
             (r->min_create_revision != 0 && v->create_revision < r->min_create_revision));
}

static int order_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* Does `a` come before `b` in the response? */
static bool comes_before(const struct store_scan *scan, const struct store_version *a,
                         const struct store_version *b)
{
    int order = 0;
    switch (scan->request.sort_target) {
    case STORE_SORT_VERSION:
        order = order_numbers(a->version, b->version);
        break;
    case STORE_SORT_CREATE:
        order = order_numbers(a->create_revision, b->create_revision);
        break;
    case STORE_SORT_MOD:
        order = order_numbers(a->mod_revision, b->mod_revision);
        break;
    case STORE_SORT_VALUE:
        order = store_bytes_cmp(store_version_value(a), store_version_value(b));
        break;
    default:
        CHECK(false);
    }
    if (order != 0) {
        return scan->request.sort_order == STORE_SORT_DESCEND ? order > 0 : order < 0;
    }
    return store_bytes_cmp(store_key_view(a->key), store_key_view(b->key)) < 0;
}

/* Moves found[at] down to its place in the heap found[0, n), whose root comes last. */
static void heap_sink(struct store_scan *scan, size_t at, size_t n)
{
    const struct store_version *v = scan->found[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= n) {
            break;
        }
        if (child + 1 < n && comes_before(scan, scan->found[child], scan->found[child + 1])) {
            child++;
        }
        if (!comes_before(scan, v, scan->found[child])) {
            break;
        }
        scan->found[at] = scan->found[child];
        at = child;
    }
    scan->found[at] = v;
}

static void gather(struct store_scan *scan, const struct store_version *v)
{
    uint64_t limit = scan->request.limit > 0 ? (uint64_t)scan->request.limit : UINT64_MAX;
    if (scan->found_count == limit) {
        scan->more = true;
        if (comes_before(scan, v, scan->found[0])) {
            scan->found[0] = v;
            heap_sink(scan, 0, scan->found_count);
        }
        return;
    }
    void *found = scan->found;
    mem_grow(&found, &scan->found_cap, scan->found_count + 1, sizeof(struct store_version *));
    scan->found = found;
    size_t at = scan->found_count++;
    while (at > 0 && comes_before(scan, scan->found[(at - 1) / 2], v)) {
        scan->found[at] = scan->found[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    scan->found[at] = v;
}

/* Takes in a version that the scan sees; false once nothing further can matter. */
static bool scan_visit(struct store_scan *scan, const struct store_version *v, struct buf *response)
{
    const struct store_range_request *r = &scan->request;
    if (!scan->count_known) {
        scan->count++;
    }
    if (r->count_only || !passes_filters(r, v)) {
        return true;
    }
    if (scan->gathers) {
        gather(scan, v);
        return true;
    }
    if (r->limit > 0 && scan->written == (uint64_t)r->limit) {
        scan->more = true;
        return !scan->count_known;
    }
    store_kv_put(response, 2, v, r->keys_only);
    scan->written++;
    return true;
}

static struct store_tree_pos scan_position(const struct store_scan *scan)
{
    const struct store_tree *tree = &scan->mvcc->tree;
    if (!scan->backward) {
        return store_tree_seek(tree, scan->started ? buf_view(&scan->at) : scan->span.first);
    }
    if (scan->started) {
        return store_tree_seek_before(tree, buf_view(&scan->at));
    }
    if (scan->span.open) {
        return store_tree_last(tree);
    }
    if (store_span_is_point(&scan->span)) {
        return store_tree_seek(tree, scan->span.first);
    }
    return store_tree_seek_before(tree, scan->span.end);
}

/* Remembers where to go on: upward at the smallest key above the last one, which it appends a zero
 * to; downward below the last one. */
static void scan_remember(struct store_scan *scan, struct bytes last)
{
    buf_clear(&scan->at);
    buf_put(&scan->at, last.data, last.len);
    if (!scan->backward) {
        buf_put_u8(&scan->at, 0);
    }
    scan->started = true;
}

/* Walks `*budget` keys; true when the span is done. */
static bool scan_walk(struct store_scan *scan, size_t *budget, struct buf *response)
{
    const struct store_key *last = NULL;
    struct store_tree_pos pos = scan_position(scan);
    for (;;) {
        const struct store_key *key = store_tree_at(pos);
        if (key == NULL || !store_span_has(&scan->span, store_key_view(key))) {
            return true;
        }
        if (*budget == 0) {
            CHECK(last != NULL);
            scan_remember(scan, store_key_view(last));
            return false;
        }
        (*budget)--;
        const struct store_version *v = store_mvcc_at(scan->mvcc, key, scan->revision);
        if (v != NULL && !scan_visit(scan, v, response)) {
            return true;
        }
        last = key;
        pos = scan->backward ? store_tree_prev(pos) : store_tree_next(pos);
    }
}

/* Takes the last of the heap to the end, again and again; true when all are in order. Each time
 * compares as many values as the heap has levels, hence the price. */
static bool scan_sort(struct store_scan *scan, size_t *budget)
{
    while (scan->sorted < scan->found_count) {
        if (*budget == 0) {
            return false;
        }
        *budget -= *budget < SCAN_SORT_PRICE ? *budget : SCAN_SORT_PRICE;
        size_t last = scan->found_count - 1 - scan->sorted;
        const struct store_version *v = scan->found[0];
        scan->found[0] = scan->found[last];
        scan->found[last] = v;
        scan->sorted++;
        if (last > 0) {
            heap_sink(scan, 0, last);
        }
    }
    return true;
}

bool store_scan_step(struct store_scan *scan, size_t budget, struct buf *response)
{
    CHECK(budget > 0);
    if (scan->stage == STORE_SCAN_WALK) {
        if (!scan_walk(scan, &budget, response)) {
            return false;
        }
        scan->stage = STORE_SCAN_SORT;
    }
    if (scan->stage == STORE_SCAN_SORT) {
        if (!scan_sort(scan, &budget)) {
            return false;
        }
        scan->stage = STORE_SCAN_WRITE;
    }
    if (scan->stage == STORE_SCAN_WRITE) {
        while (scan->gathers && scan->written < scan->found_count) {
            if (budget == 0) {
                return false;
            }
            budget--;
            store_kv_put(response, 2, scan->found[scan->written++], scan->request.keys_only);
        }
        store_pb_put_bool(response, 3, scan->more);
        store_pb_put_u64(response, 4, scan->count);
        scan->stage = STORE_SCAN_DONE;
    }
    return true;
}
