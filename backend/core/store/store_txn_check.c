/*
 * What etcd checks of a txn before it runs [v3rpc/key.go].
 *
 * First the shape: each level may have as many operations as its longest list, and leaves the rest
 * of the budget to the txns in it. Then duplicates: no key may be put twice on any path, and none
 * may be put that a delete of the same level, or of a txn nested before it, covers. Both branches
 * of one nested txn may put the same key: only one of them runs. As in etcd, a delete whose
 * range_end is
 * "\0" covers nothing here, and a delete does not clash with a put of a txn nested before it.
 */
#include "core/store/store_request.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/sort.h"
#include "core/store/store_limits.h"

#define TXN_SUCCESS 2u
#define TXN_FAILURE 3u

static enum store_status txn_check_shape(const struct store_txn_request *txn, uint32_t budget,
                                         uint32_t *total);

static enum store_status op_check_shape(struct bytes item, uint32_t budget, uint32_t *total)
{
    struct store_op op;
    enum store_status s = store_op_decode(item, &op);
    if (s != STORE_OK) {
        return s;
    }
    switch (op.kind) {
    case STORE_OP_RANGE: {
        struct store_range_request r;
        s = store_range_decode(op.body, &r);
        return s == STORE_OK ? store_range_check(&r) : s;
    }
    case STORE_OP_PUT: {
        struct store_put_request r;
        s = store_put_decode(op.body, &r);
        return s == STORE_OK ? store_put_check(&r) : s;
    }
    case STORE_OP_DELETE: {
        struct store_delete_request r;
        s = store_delete_decode(op.body, &r);
        return s == STORE_OK ? store_delete_check(&r) : s;
    }
    case STORE_OP_TXN: {
        struct store_txn_request nested;
        s = store_txn_decode(op.body, &nested);
        return s == STORE_OK ? txn_check_shape(&nested, budget, total) : s;
    }
    case STORE_OP_NONE:
    default:
        return STORE_KEY_NOT_FOUND;
    }
}

static enum store_status txn_check_shape(const struct store_txn_request *txn, uint32_t budget,
                                         uint32_t *total)
{
    uint32_t ops = txn->successes > txn->failures ? txn->successes : txn->failures;
    ops = ops > txn->compares ? ops : txn->compares;
    if (ops > budget) {
        return STORE_TOO_MANY_OPS;
    }
    *total += txn->compares + txn->successes + txn->failures;
    if (*total > STORE_TXN_OPS_TOTAL_MAX) {
        return STORE_TOO_MANY_OPS;
    }
    struct bytes item;
    for (size_t at = 0; store_txn_item(txn, 1, &at, &item);) {
        struct store_compare c;
        enum store_status s = store_compare_decode(item, &c);
        if (s != STORE_OK || c.key.len == 0) {
            return s != STORE_OK ? s : STORE_KEY_EMPTY;
        }
    }
    for (uint32_t branch = TXN_SUCCESS; branch <= TXN_FAILURE; branch++) {
        for (size_t at = 0; store_txn_item(txn, branch, &at, &item);) {
            enum store_status s = op_check_shape(item, budget - ops, total);
            if (s != STORE_OK) {
                return s;
            }
        }
    }
    return STORE_OK;
}

/* Two stacks that the recursion works on: a call leaves what it found on top of both. */
struct txn_overlaps {
    struct bytes *puts; /* each call's part is sorted, and without doubles once it returned */
    size_t put_count;
    size_t put_cap;
    struct store_span *dels;
    size_t del_count;
    size_t del_cap;
};

static void overlaps_push_put(struct txn_overlaps *o, struct bytes key)
{
    void *puts = o->puts;
    mem_grow(&puts, &o->put_cap, o->put_count + 1, sizeof key);
    o->puts = puts;
    o->puts[o->put_count++] = key;
}

static void overlaps_push_del(struct txn_overlaps *o, const struct store_delete_request *r)
{
    void *dels = o->dels;
    mem_grow(&dels, &o->del_cap, o->del_count + 1, sizeof(struct store_span));
    o->dels = dels;
    o->dels[o->del_count++] = (struct store_span){.first = r->key, .end = r->range_end};
}

static int compare_keys(const void *a, const void *b)
{
    return store_bytes_cmp(*(const struct bytes *)a, *(const struct bytes *)b);
}

static void overlaps_sort(struct txn_overlaps *o, size_t from)
{
    size_t n = o->put_count - from;
    if (n < 2) {
        return;
    }
    sort_items(o->puts + from, n, sizeof(struct bytes), compare_keys);
    size_t kept = from + 1;
    for (size_t i = from + 1; i < o->put_count; i++) {
        if (compare_keys(&o->puts[i], &o->puts[kept - 1]) != 0) {
            o->puts[kept++] = o->puts[i];
        }
    }
    o->put_count = kept;
}

/* Is the key among the sorted puts[from, to)? */
static bool overlaps_has_put(const struct txn_overlaps *o, size_t from, size_t to, struct bytes key)
{
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = store_bytes_cmp(o->puts[middle], key);
        if (order == 0) {
            return true;
        }
        if (order < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return false;
}

/* Is any of puts[from, to) among the sorted puts[seen_from, seen_to), or in dels[del_from, del_to)?
 */
static bool overlaps_any(const struct txn_overlaps *o, size_t from, size_t to, size_t seen_from,
                         size_t seen_to, size_t del_from, size_t del_to)
{
    for (size_t i = from; i < to; i++) {
        if (overlaps_has_put(o, seen_from, seen_to, o->puts[i])) {
            return true;
        }
        for (size_t d = del_from; d < del_to; d++) {
            if (store_span_has(&o->dels[d], o->puts[i])) {
                return true;
            }
        }
    }
    return false;
}

/* Decodes the next operation of one kind in a branch; false at the end. */
static bool txn_next_of(const struct store_txn_request *txn, uint32_t branch,
                        enum store_op_kind kind, size_t *at, struct bytes *ret_body)
{
    struct bytes item;
    while (store_txn_item(txn, branch, at, &item)) {
        struct store_op op;
        CHECK(store_op_decode(item, &op) == STORE_OK);
        if (op.kind == kind) {
            *ret_body = op.body;
            return true;
        }
    }
    return false;
}

static bool branch_overlaps(struct txn_overlaps *o, const struct store_txn_request *txn,
                            uint32_t branch)
{
    size_t put_from = o->put_count;
    size_t del_from = o->del_count;
    struct bytes body;
    for (size_t at = 0; txn_next_of(txn, branch, STORE_OP_DELETE, &at, &body);) {
        struct store_delete_request r;
        CHECK(store_delete_decode(body, &r) == STORE_OK);
        overlaps_push_del(o, &r);
    }
    for (size_t at = 0; txn_next_of(txn, branch, STORE_OP_TXN, &at, &body);) {
        struct store_txn_request nested;
        CHECK(store_txn_decode(body, &nested) == STORE_OK);
        size_t nested_from = o->put_count;
        size_t del_to = o->del_count;
        if (branch_overlaps(o, &nested, TXN_SUCCESS) || branch_overlaps(o, &nested, TXN_FAILURE) ||
            overlaps_any(o, nested_from, o->put_count, put_from, nested_from, del_from, del_to)) {
            return true;
        }
        overlaps_sort(o, put_from);
    }
    size_t own_from = o->put_count;
    for (size_t at = 0; txn_next_of(txn, branch, STORE_OP_PUT, &at, &body);) {
        struct store_put_request r;
        CHECK(store_put_decode(body, &r) == STORE_OK);
        overlaps_push_put(o, r.key);
    }
    if (overlaps_any(o, own_from, o->put_count, put_from, own_from, del_from, o->del_count)) {
        return true;
    }
    size_t all = o->put_count;
    overlaps_sort(o, own_from);
    bool doubles = o->put_count < all;
    overlaps_sort(o, put_from);
    return doubles;
}

enum store_status store_txn_check(const struct store_txn_request *txn)
{
    uint32_t total = 0;
    enum store_status s = txn_check_shape(txn, STORE_TXN_OPS_MAX, &total);
    if (s != STORE_OK) {
        return s;
    }
    struct txn_overlaps o = {0};
    bool overlaps = branch_overlaps(&o, txn, TXN_SUCCESS);
    o.put_count = 0;
    o.del_count = 0;
    overlaps = overlaps || branch_overlaps(&o, txn, TXN_FAILURE);
    mem_free(o.puts);
    mem_free(o.dels);
    return overlaps ? STORE_DUPLICATE_KEY : STORE_OK;
}

enum store_status store_range_check(const struct store_range_request *r)
{
    if (r->key.len == 0) {
        return STORE_KEY_EMPTY;
    }
    if (r->sort_order < 0 || r->sort_order >= STORE_SORT_ORDERS || r->sort_target < 0 ||
        r->sort_target >= STORE_SORT_TARGETS) {
        return STORE_SORT_INVALID;
    }
    return STORE_OK;
}

enum store_status store_put_check(const struct store_put_request *r)
{
    if (r->key.len == 0) {
        return STORE_KEY_EMPTY;
    }
    if (r->ignore_value && r->value.len > 0) {
        return STORE_VALUE_PROVIDED;
    }
    if (r->ignore_lease && r->lease != 0) {
        return STORE_LEASE_PROVIDED;
    }
    return STORE_OK;
}

enum store_status store_delete_check(const struct store_delete_request *r)
{
    return r->key.len == 0 ? STORE_KEY_EMPTY : STORE_OK;
}
