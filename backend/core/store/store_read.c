/* Reading through the API: at once, or by a reader that pins what it reads. */
#include "core/store/store_int.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/store/store_kv.h"
#include "core/store/store_pb.h"
#include "core/store/store_range.h"

struct store_reader {
    struct store *store; /* borrowed; outlives the reader */
    struct store_pin pin;
    struct store_scan scan;
    struct buf request; /* owned: what the scan's views see */
    int64_t header_revision;
    bool done;
};

enum store_status store_range_revision_check(const struct store *s, int64_t revision)
{
    if (revision > s->mvcc.revision) {
        return STORE_REVISION_FUTURE;
    }
    return revision > 0 && revision < s->mvcc.compact_revision ? STORE_REVISION_COMPACTED
                                                               : STORE_OK;
}

static enum store_status range_prepare(const struct store *s, struct bytes request,
                                       struct store_range_request *ret)
{
    enum store_status status = store_range_decode(request, ret);
    if (status == STORE_OK) {
        status = store_range_check(ret);
    }
    return status == STORE_OK ? store_range_revision_check(s, ret->revision) : status;
}

/* One key and nothing that could keep it out: no scan is needed. */
static bool is_plain_get(const struct store_range_request *r)
{
    return r->range_end.len == 0 && !r->count_only && r->min_mod_revision == 0 &&
           r->max_mod_revision == 0 && r->min_create_revision == 0 && r->max_create_revision == 0;
}

void store_range_run(struct store *s, const struct store_range_request *r, struct buf *response)
{
    if (is_plain_get(r)) {
        int64_t revision = r->revision > 0 ? r->revision : store_mvcc_read_revision(&s->mvcc);
        const struct store_version *v = store_mvcc_find(&s->mvcc, r->key, revision);
        if (v != NULL) {
            store_kv_put(response, 2, v, r->keys_only);
            store_pb_put_u64(response, 4, 1);
        }
        return;
    }
    struct store_scan scan;
    store_scan_init(&scan, &s->mvcc, r);
    CHECK(store_scan_step(&scan, SIZE_MAX, response));
    store_scan_deinit(&scan);
}

enum store_status store_range_read(struct store *s, struct bytes request, int64_t *ret_revision,
                                   struct buf *response)
{
    struct store_range_request r;
    enum store_status status = range_prepare(s, request, &r);
    if (status == STORE_OK) {
        store_range_run(s, &r, response);
        *ret_revision = s->mvcc.revision;
    }
    return status;
}

enum store_status store_reader_open(struct store *s, struct bytes request,
                                    struct store_reader **ret)
{
    struct store_range_request r;
    enum store_status status = range_prepare(s, request, &r);
    if (status != STORE_OK) {
        return status;
    }
    if (s->mvcc.pin_count >= STORE_READERS_MAX) {
        return STORE_TOO_MANY_REQUESTS;
    }
    struct store_reader *reader = mem_alloc_zero(sizeof *reader);
    reader->store = s;
    reader->header_revision = s->mvcc.revision;
    buf_init(&reader->request);
    buf_put(&reader->request, request.data, request.len);
    CHECK(store_range_decode(buf_view(&reader->request), &r) == STORE_OK);
    store_scan_init(&reader->scan, &s->mvcc, &r);
    /* Changes up to the revision may be freed of what they superseded; later ones may not. */
    uint64_t seq = reader->scan.revision == INT64_MAX
                       ? s->mvcc.log.next
                       : store_log_seek(&s->mvcc.log, reader->scan.revision + 1);
    reader->pin.holds_versions = reader->scan.gathers;
    store_mvcc_pin(&s->mvcc, &reader->pin, seq);
    *ret = reader;
    return STORE_OK;
}

enum err store_reader_step(struct store_reader *r, size_t budget, struct buf *response)
{
    if (!r->done) {
        r->done = store_scan_step(&r->scan, budget, response);
    }
    if (response->len > STORE_RESPONSE_BYTES_MAX) {
        return ERR_TOO_LARGE;
    }
    return r->done ? OK : ERR_PENDING;
}

int64_t store_reader_revision(const struct store_reader *r)
{
    return r->header_revision;
}

void store_reader_close(struct store_reader *r)
{
    store_mvcc_unpin(&r->store->mvcc, &r->pin);
    store_scan_deinit(&r->scan);
    buf_deinit(&r->request);
    mem_free(r);
}
