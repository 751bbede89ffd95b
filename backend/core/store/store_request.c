#include "core/store/store_request.h"

#include "core/base/check.h"
#include "core/store/store_limits.h"
#include "core/store/store_pb.h"

enum store_status store_range_decode(struct bytes b, struct store_range_request *ret)
{
    struct store_range_request r = {0};
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, b);
    while (store_pb_next(&pb, &f)) {
        switch (f.number) {
        case 1:
            r.key = store_pb_bytes(&pb, &f);
            break;
        case 2:
            r.range_end = store_pb_bytes(&pb, &f);
            break;
        case 3:
            r.limit = store_pb_i64(&pb, &f);
            break;
        case 4:
            r.revision = store_pb_i64(&pb, &f);
            break;
        case 5:
            r.sort_order = store_pb_enum(&pb, &f);
            break;
        case 6:
            r.sort_target = store_pb_enum(&pb, &f);
            break;
        case 7:
            r.serializable = store_pb_bool(&pb, &f);
            break;
        case 8:
            r.keys_only = store_pb_bool(&pb, &f);
            break;
        case 9:
            r.count_only = store_pb_bool(&pb, &f);
            break;
        case 10:
            r.min_mod_revision = store_pb_i64(&pb, &f);
            break;
        case 11:
            r.max_mod_revision = store_pb_i64(&pb, &f);
            break;
        case 12:
            r.min_create_revision = store_pb_i64(&pb, &f);
            break;
        case 13:
            r.max_create_revision = store_pb_i64(&pb, &f);
            break;
        default:
            break;
        }
    }
    if (pb.failed) {
        return STORE_MALFORMED;
    }
    *ret = r;
    return STORE_OK;
}

enum store_status store_put_decode(struct bytes b, struct store_put_request *ret)
{
    struct store_put_request r = {0};
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, b);
    while (store_pb_next(&pb, &f)) {
        switch (f.number) {
        case 1:
            r.key = store_pb_bytes(&pb, &f);
            break;
        case 2:
            r.value = store_pb_bytes(&pb, &f);
            break;
        case 3:
            r.lease = store_pb_i64(&pb, &f);
            break;
        case 4:
            r.prev_kv = store_pb_bool(&pb, &f);
            break;
        case 5:
            r.ignore_value = store_pb_bool(&pb, &f);
            break;
        case 6:
            r.ignore_lease = store_pb_bool(&pb, &f);
            break;
        default:
            break;
        }
    }
    if (pb.failed) {
        return STORE_MALFORMED;
    }
    *ret = r;
    return STORE_OK;
}

enum store_status store_delete_decode(struct bytes b, struct store_delete_request *ret)
{
    struct store_delete_request r = {0};
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, b);
    while (store_pb_next(&pb, &f)) {
        if (f.number == 1) {
            r.key = store_pb_bytes(&pb, &f);
        } else if (f.number == 2) {
            r.range_end = store_pb_bytes(&pb, &f);
        } else if (f.number == 3) {
            r.prev_kv = store_pb_bool(&pb, &f);
        }
    }
    if (pb.failed) {
        return STORE_MALFORMED;
    }
    *ret = r;
    return STORE_OK;
}

enum store_status store_compare_decode(struct bytes b, struct store_compare *ret)
{
    struct store_compare c = {0};
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, b);
    while (store_pb_next(&pb, &f)) {
        switch (f.number) {
        case 1:
            c.result = store_pb_enum(&pb, &f);
            break;
        case 2:
            c.target = store_pb_enum(&pb, &f);
            break;
        case 3:
            c.key = store_pb_bytes(&pb, &f);
            break;
        case 4:
        case 5:
        case 6:
        case 8:
            c.given = f.number;
            c.number = store_pb_i64(&pb, &f);
            break;
        case 7:
            c.given = f.number;
            c.value = store_pb_bytes(&pb, &f);
            break;
        case 64:
            c.range_end = store_pb_bytes(&pb, &f);
            break;
        default:
            break;
        }
    }
    if (pb.failed) {
        return STORE_MALFORMED;
    }
    *ret = c;
    return STORE_OK;
}

enum store_status store_op_decode(struct bytes b, struct store_op *ret)
{
    struct store_op op = {0};
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, b);
    while (store_pb_next(&pb, &f)) {
        if (f.number >= STORE_OP_RANGE && f.number <= STORE_OP_TXN) {
            op.kind = (enum store_op_kind)f.number;
            op.body = store_pb_bytes(&pb, &f);
        }
    }
    if (pb.failed) {
        return STORE_MALFORMED;
    }
    *ret = op;
    return STORE_OK;
}

enum store_status store_txn_decode(struct bytes b, struct store_txn_request *ret)
{
    struct store_txn_request txn = {.body = b};
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, b);
    while (store_pb_next(&pb, &f)) {
        if (f.number >= 1 && f.number <= 3) {
            (void)store_pb_bytes(&pb, &f);
            txn.compares += f.number == 1;
            txn.successes += f.number == 2;
            txn.failures += f.number == 3;
        }
    }
    if (pb.failed) {
        return STORE_MALFORMED;
    }
    *ret = txn;
    return STORE_OK;
}

bool store_txn_item(const struct store_txn_request *txn, uint32_t number, size_t *at,
                    struct bytes *ret)
{
    CHECK(*at <= txn->body.len);
    if (*at == txn->body.len) {
        return false;
    }
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, (struct bytes){txn->body.data + *at, txn->body.len - *at});
    while (store_pb_next(&pb, &f)) {
        if (f.number == number) {
            *at = (size_t)(pb.at - txn->body.data);
            *ret = f.bytes;
            return true;
        }
    }
    CHECK(!pb.failed);
    *at = txn->body.len;
    return false;
}

enum store_status store_compaction_decode(struct bytes b, int64_t *ret_revision, bool *ret_physical)
{
    int64_t revision = 0;
    bool physical = false;
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, b);
    while (store_pb_next(&pb, &f)) {
        if (f.number == 1) {
            revision = store_pb_i64(&pb, &f);
        } else if (f.number == 2) {
            physical = store_pb_bool(&pb, &f);
        }
    }
    if (pb.failed) {
        return STORE_MALFORMED;
    }
    *ret_revision = revision;
    *ret_physical = physical;
    return STORE_OK;
}

enum store_status store_grant_decode(struct bytes b, struct store_lease_grant *ret)
{
    struct store_lease_grant r = {0};
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, b);
    while (store_pb_next(&pb, &f)) {
        if (f.number == 1) {
            r.ttl = store_pb_i64(&pb, &f);
        } else if (f.number == 2) {
            r.id = store_pb_i64(&pb, &f);
        }
    }
    if (pb.failed) {
        return STORE_MALFORMED;
    }
    *ret = r;
    return STORE_OK;
}

enum store_status store_revoke_decode(struct bytes b, int64_t *ret_id)
{
    struct store_lease_grant r = {0};
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, b);
    while (store_pb_next(&pb, &f)) {
        if (f.number == 1) {
            r.id = store_pb_i64(&pb, &f);
        }
    }
    if (pb.failed) {
        return STORE_MALFORMED;
    }
    *ret_id = r.id;
    return STORE_OK;
}

/* Filters come one by one, or packed into one field of varints. */
static void watch_filter_add(struct store_watch_request *r, uint64_t filter)
{
    r->no_put = r->no_put || filter == 0;
    r->no_delete = r->no_delete || filter == 1;
}

static void watch_filters_decode(struct store_pb *pb, const struct store_pb_field *f,
                                 struct store_watch_request *r)
{
    if (f->wire != STORE_PB_LEN) {
        watch_filter_add(r, store_pb_u64(pb, f));
        return;
    }
    uint64_t filter = 0;
    unsigned shift = 0;
    for (size_t i = 0; i < f->bytes.len; i++) {
        uint8_t byte = f->bytes.data[i];
        if (shift > 63) {
            pb->failed = true;
            return;
        }
        filter |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
        if ((byte & 0x80) == 0) {
            watch_filter_add(r, filter);
            filter = 0;
            shift = 0;
        }
    }
    pb->failed = pb->failed || shift != 0;
}

enum store_status store_watch_decode(struct bytes b, struct store_watch_request *ret)
{
    struct store_watch_request r = {0};
    struct store_pb pb;
    struct store_pb_field f;
    store_pb_init(&pb, b);
    while (store_pb_next(&pb, &f)) {
        switch (f.number) {
        case 1:
            r.key = store_pb_bytes(&pb, &f);
            break;
        case 2:
            r.range_end = store_pb_bytes(&pb, &f);
            break;
        case 3:
            r.start_revision = store_pb_i64(&pb, &f);
            break;
        case 4:
            r.progress_notify = store_pb_bool(&pb, &f);
            break;
        case 5:
            watch_filters_decode(&pb, &f, &r);
            break;
        case 6:
            r.prev_kv = store_pb_bool(&pb, &f);
            break;
        case 7:
            r.watch_id = store_pb_i64(&pb, &f);
            break;
        case 8:
            r.fragment = store_pb_bool(&pb, &f);
            break;
        default:
            break;
        }
    }
    if (pb.failed) {
        return STORE_MALFORMED;
    }
    *ret = r;
    return STORE_OK;
}
