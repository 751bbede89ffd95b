/*
 * Transactions. As etcd does it [etcdserver/txn/txn.go]: first all compares on the way are answered
 * and all operations on that way are checked, against the state before the txn; only then are the
 * operations run, each seeing the writes before it. So nothing is ever undone.
 *
 * The way is kept as one byte a txn, in the order in which the txns are met. The recursion is as
 * deep as txns are nested, which store_txn_check bounds by STORE_TXN_OPS_MAX.
 */
#include "core/store/store_int.h"

#include "core/base/check.h"
#include "core/store/store_limits.h"
#include "core/store/store_pb.h"

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* Compares one version, or the lack of one (NULL), with what the compare gives. */
static bool compare_holds(const struct store_compare *c, const struct store_version *v)
{
    /* The target_union's member must be the target's; else the comparison is with zero. */
    static const uint32_t members[] = {4, 5, 6, 7, 8};
    bool matches =
        c->target >= 0 && c->target <= STORE_COMPARE_LEASE && members[c->target] == c->given;
    int64_t number = matches ? c->number : 0;
    int order = 0;
    switch (c->target) {
    case STORE_COMPARE_VERSION:
        order = compare_numbers(v == NULL ? 0 : v->version, number);
        break;
    case STORE_COMPARE_CREATE:
        order = compare_numbers(v == NULL ? 0 : v->create_revision, number);
        break;
    case STORE_COMPARE_MOD:
        order = compare_numbers(v == NULL ? 0 : v->mod_revision, number);
        break;
    case STORE_COMPARE_VALUE:
        CHECK(v != NULL);
        order = store_bytes_cmp(store_version_value(v), matches ? c->value : (struct bytes){0});
        break;
    case STORE_COMPARE_LEASE:
        order = compare_numbers(v == NULL ? 0 : v->lease, number);
        break;
    default:
        break;
    }
    switch (c->result) {
    case STORE_COMPARE_EQUAL:
        return order == 0;
    case STORE_COMPARE_NOT_EQUAL:
        return order != 0;
    case STORE_COMPARE_GREATER:
        return order > 0;
    case STORE_COMPARE_LESS:
        return order < 0;
    default:
        return true;
    }
}

/* Does the compare hold for every key of its span? With no key at all: as for a key of zeros, but a
 * value is never equal, unequal or anything to one that is not there. */
static bool compare_span_holds(const struct store *s, const struct store_compare *c)
{
    struct store_span span = store_span_of(c->key, c->range_end);
    bool found = false;
    struct store_tree_pos pos = store_tree_seek(&s->mvcc.tree, span.first);
    for (; store_tree_at(pos) != NULL; pos = store_tree_next(pos)) {
        const struct store_key *key = store_tree_at(pos);
        if (store_span_is_past(&span, store_key_view(key))) {
            break;
        }
        if (store_key_is_live(key)) {
            found = true;
            if (!compare_holds(c, key->head)) {
                return false;
            }
        }
    }
    return found || (c->target != STORE_COMPARE_VALUE && compare_holds(c, NULL));
}

static bool txn_compares_hold(const struct store *s, const struct store_txn_request *txn)
{
    struct bytes item;
    for (size_t at = 0; store_txn_item(txn, 1, &at, &item);) {
        struct store_compare c;
        CHECK(store_compare_decode(item, &c) == STORE_OK);
        if (!compare_span_holds(s, &c)) {
            return false;
        }
    }
    return true;
}

static enum store_status txn_range_check(const struct store *s, const struct store_range_request *r)
{
    if (r->revision == 0) {
        return STORE_OK;
    }
    if (r->revision > s->mvcc.revision) {
        return STORE_REVISION_FUTURE;
    }
    return r->revision < s->mvcc.compact_revision ? STORE_REVISION_COMPACTED : STORE_OK;
}

/* Does one pass check all, in order? Since feature level 2, as in etcd, all puts on the way are
 * checked before any range, and of a put its key before its lease: of a txn in which several are
 * wrong, that decides which error is the answer. */
static bool txn_checks_at_once(const struct store *s)
{
    return s->feature_level < STORE_SYSTEM_LEVEL;
}

/* Chooses the branch of this txn and of those in it, and checks the operations on the way. */
static enum store_status txn_plan(struct store *s, const struct store_txn_request *txn)
{
    bool holds = txn_compares_hold(s, txn);
    buf_put_u8(&s->txn_path, holds ? 1 : 0);
    struct bytes item;
    for (size_t at = 0; store_txn_item(txn, holds ? 2 : 3, &at, &item);) {
        struct store_op op;
        struct store_range_request range;
        struct store_put_request put;
        struct store_txn_request nested;
        enum store_status status = STORE_OK;
        CHECK(store_op_decode(item, &op) == STORE_OK);
        switch (op.kind) {
        case STORE_OP_RANGE:
            CHECK(store_range_decode(op.body, &range) == STORE_OK);
            status = txn_checks_at_once(s) ? txn_range_check(s, &range) : STORE_OK;
            break;
        case STORE_OP_PUT:
            CHECK(store_put_decode(op.body, &put) == STORE_OK);
            status = store_write_put_check(s, &put, !txn_checks_at_once(s));
            break;
        case STORE_OP_TXN:
            CHECK(store_txn_decode(op.body, &nested) == STORE_OK);
            status = txn_plan(s, &nested);
            break;
        case STORE_OP_DELETE:
        case STORE_OP_NONE:
        default:
            break;
        }
        if (status != STORE_OK) {
            return status;
        }
    }
    return STORE_OK;
}

/* The second pass, along the way that was chosen. */
static enum store_status txn_ranges_check(const struct store *s,
                                          const struct store_txn_request *txn, size_t *step)
{
    CHECK(*step < s->txn_path.len);
    bool holds = s->txn_path.data[(*step)++] != 0;
    enum store_status status = STORE_OK;
    struct bytes item;
    for (size_t at = 0; status == STORE_OK && store_txn_item(txn, holds ? 2 : 3, &at, &item);) {
        struct store_op op;
        struct store_range_request range;
        struct store_txn_request nested;
        CHECK(store_op_decode(item, &op) == STORE_OK);
        if (op.kind == STORE_OP_RANGE) {
            CHECK(store_range_decode(op.body, &range) == STORE_OK);
            status = txn_range_check(s, &range);
        } else if (op.kind == STORE_OP_TXN) {
            CHECK(store_txn_decode(op.body, &nested) == STORE_OK);
            status = txn_ranges_check(s, &nested, step);
        }
    }
    return status;
}

static void txn_execute(struct store *s, const struct store_txn_request *txn, size_t *step,
                        struct buf *response);

static size_t open_in(struct buf *b, uint32_t number)
{
    return b == NULL ? 0 : store_pb_open(b, number);
}

static void close_in(struct buf *b, size_t opened)
{
    if (b != NULL) {
        store_pb_close(b, opened);
    }
}

static void header_in(struct buf *b, int64_t revision)
{
    if (b != NULL) {
        store_header_put(b, revision);
    }
}

/* Runs one operation; its response is a ResponseOp, whose numbers are those of the request's. */
static void op_execute(struct store *s, const struct store_op *op, size_t *step,
                       struct buf *response)
{
    size_t outer = open_in(response, (uint32_t)op->kind);
    switch (op->kind) {
    case STORE_OP_RANGE: {
        struct store_range_request r;
        CHECK(store_range_decode(op->body, &r) == STORE_OK);
        if (response != NULL) {
            store_header_put(response, store_mvcc_read_revision(&s->mvcc));
            store_range_run(s, &r, response);
        }
        break;
    }
    case STORE_OP_PUT: {
        struct store_put_request r;
        CHECK(store_put_decode(op->body, &r) == STORE_OK);
        header_in(response, s->mvcc.revision + 1);
        store_write_put(s, &r, response);
        break;
    }
    case STORE_OP_DELETE: {
        struct store_delete_request r;
        CHECK(store_delete_decode(op->body, &r) == STORE_OK);
        struct store_span span = store_span_of(r.key, r.range_end);
        bool deletes = store_tree_count(&s->mvcc.tree, &span) > 0;
        header_in(response, deletes ? s->mvcc.revision + 1 : store_mvcc_read_revision(&s->mvcc));
        (void)store_write_delete(s, &r, response);
        break;
    }
    case STORE_OP_TXN: {
        struct store_txn_request nested;
        CHECK(store_txn_decode(op->body, &nested) == STORE_OK);
        size_t header = open_in(response, 1);
        close_in(response, header);
        txn_execute(s, &nested, step, response);
        break;
    }
    case STORE_OP_NONE:
    default:
        CHECK(false);
    }
    close_in(response, outer);
}

static void txn_execute(struct store *s, const struct store_txn_request *txn, size_t *step,
                        struct buf *response)
{
    CHECK(*step < s->txn_path.len);
    bool holds = s->txn_path.data[(*step)++] != 0;
    if (response != NULL) {
        store_pb_put_bool(response, 2, holds);
    }
    struct bytes item;
    for (size_t at = 0; store_txn_item(txn, holds ? 2 : 3, &at, &item);) {
        struct store_op op;
        CHECK(store_op_decode(item, &op) == STORE_OK);
        size_t outer = open_in(response, 3);
        op_execute(s, &op, step, response);
        close_in(response, outer);
    }
}

enum store_status store_txn_run(struct store *s, const struct store_txn_request *txn,
                                struct buf *response)
{
    buf_clear(&s->txn_path);
    size_t step = 0;
    enum store_status status = txn_plan(s, txn);
    if (status == STORE_OK && !txn_checks_at_once(s)) {
        status = txn_ranges_check(s, txn, &step);
    }
    if (status != STORE_OK) {
        return status;
    }
    step = 0;
    txn_execute(s, txn, &step, response);
    CHECK(step == s->txn_path.len);
    return STORE_OK;
}

enum store_status store_txn_read(struct store *s, struct bytes request, int64_t *ret_revision,
                                 struct buf *response)
{
    struct store_txn_request txn;
    enum store_status status = store_txn_decode(request, &txn);
    if (status == STORE_OK) {
        status = store_txn_check(&txn);
    }
    if (status == STORE_OK) {
        CHECK(store_txn_is_read_only(&txn));
        status = store_txn_run(s, &txn, response);
    }
    if (status == STORE_OK) {
        *ret_revision = s->mvcc.revision;
    }
    return status;
}
