/*
 * Building a store from a snapshot's bytes, which may be anybody's.
 *
 * Blocks must come in their order, items within them in theirs, and each count, sum and hash of the
 * header must come out of what was read: the history's chain hash is computed anew from its
 * changes, the sum over the current keys from their versions. Whatever is wrong ends in
 * ERR_CORRUPT.
 */
#include "core/base/probe.h"
#include "core/store/store_int.h"

#include "core/base/check.h"
#include "core/base/crc.h"
#include "core/base/cursor.h"
#include "core/base/mem.h"
#include "core/store/store_snapshot_format.h"

struct store_restore {
    struct store *store; /* owned until the finish */
    struct buf part;     /* a block that is not whole yet */
    struct store_snapshot_header header;
    enum store_block stage; /* of the last block */
    uint64_t leases;
    uint64_t origins;
    uint64_t keys;
    uint64_t changes;
    const struct store_key *last_key;
    bool has_system; /* the format has that block */
    bool system_read;
    bool failed;
    bool done;
};

struct store_restore *store_restore_begin(void)
{
    struct store_restore *r = mem_alloc_zero(sizeof *r);
    r->store = store_open(0);
    buf_init(&r->part);
    return r;
}

void store_restore_keep_history(struct store_restore *r, const struct store_history *history)
{
    store_keep_history(r->store, history);
}

void store_restore_abort(struct store_restore *r)
{
    store_close(r->store);
    buf_deinit(&r->part);
    mem_free(r);
}

static bool header_is_sane(const struct store_snapshot_header *h)
{
    bool fresh = h->next_seq == 1;
    return h->revision >= 1 && h->revision < INT64_MAX && h->compact_revision >= -1 &&
           h->compact_revision <= h->revision && h->first_seq >= 1 && h->first_seq <= h->next_seq &&
           h->next_seq < UINT64_MAX && fresh == (h->revision == 1) &&
           (uint64_t)h->revision <= h->next_seq &&
           /* The history begins at the compacted revision; only a fresh store has none. */
           (h->first_seq < h->next_seq || fresh) &&
           (h->compact_revision > 1 || h->first_seq == 1) && h->origin_count <= STORE_ORIGINS_MAX;
}

static enum err read_head_block(struct store_restore *r, struct cursor *c)
{
    struct store_snapshot_header h = {0};
    uint64_t magic = cursor_u64(c);
    uint16_t version = cursor_u16(c);
    if (!cursor_ok(c) || magic != STORE_SNAPSHOT_MAGIC) {
        return ERR_CORRUPT;
    }
    if (version == 0 || version > STORE_SNAPSHOT_VERSION) {
        return ERR_UNSUPPORTED;
    }
    h.feature_level = cursor_u16(c);
    r->has_system = version > 1;
    uint32_t reserved = cursor_u32(c);
    h.applied_index = cursor_u64(c);
    h.revision = (int64_t)cursor_u64(c);
    h.compact_revision = (int64_t)cursor_u64(c);
    h.first_seq = cursor_u64(c);
    h.next_seq = cursor_u64(c);
    h.chain_before = cursor_u64(c);
    h.chain = cursor_u64(c);
    h.live_sum = cursor_u64(c);
    h.live_keys = cursor_u64(c);
    h.dedup_chain = cursor_u64(c);
    h.lease_count = cursor_u64(c);
    h.lease_sum = cursor_u64(c);
    h.origin_count = cursor_u64(c);
    bool fits = r->has_system == (h.feature_level >= STORE_SYSTEM_LEVEL);
    if (!cursor_done(c) || reserved != 0 || !fits || !header_is_sane(&h)) {
        return ERR_CORRUPT;
    }
    if (h.feature_level > STORE_FEATURE_LEVEL_MAX) {
        return ERR_UNSUPPORTED;
    }
    r->header = h;
    struct store *s = r->store;
    s->feature_level = h.feature_level;
    s->applied_index = h.applied_index;
    s->dedup.chain = h.dedup_chain;
    store_mvcc_resume(&s->mvcc, h.first_seq, h.chain_before, h.compact_revision);
    return OK;
}

static enum err read_system(struct store_restore *r, struct bytes payload)
{
    if (!r->has_system) {
        return ERR_CORRUPT;
    }
    r->system_read = true;
    return store_system_decode(&r->store->system, payload);
}

static enum err read_leases(struct store_restore *r, struct cursor *c)
{
    struct store_leases *leases = &r->store->leases;
    while (cursor_left(c) > 0) {
        int64_t id = (int64_t)cursor_u64(c);
        int64_t ttl = (int64_t)cursor_u64(c);
        if (!cursor_ok(c) || id == 0 || ttl < 1 || ttl > STORE_LEASE_TTL_MAX_S) {
            return ERR_CORRUPT;
        }
        if (store_leases_find(leases, id) != NULL || store_leases_above(leases, id) != NULL) {
            return ERR_CORRUPT;
        }
        (void)store_leases_add(leases, id, ttl, 0);
        r->leases++;
    }
    return OK;
}

static enum err read_origin(struct store_restore *r, struct cursor *c)
{
    struct store_dedup *d = &r->store->dedup;
    node_id id = cursor_u64(c);
    uint64_t boot = cursor_u64(c);
    uint64_t high = cursor_u64(c);
    uint64_t last_index = cursor_u64(c);
    uint32_t count = cursor_u32(c);
    if (!cursor_ok(c) || id == NODE_NONE || high == 0 || last_index > r->header.applied_index ||
        d->count == STORE_ORIGINS_MAX || (d->count > 0 && d->origins[d->count - 1]->id >= id)) {
        return ERR_CORRUPT;
    }
    struct store_origin *o = store_dedup_add(d, id);
    o->boot = boot;
    o->high = high;
    o->last_index = last_index;
    uint64_t least = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t back = cursor_u16(c);
        uint16_t status = cursor_u16(c);
        int64_t revision = (int64_t)cursor_u64(c);
        if (!cursor_ok(c) || back < least || back >= STORE_ORIGIN_WINDOW || back >= high ||
            status >= STORE_STATUS_COUNT) {
            return ERR_CORRUPT;
        }
        size_t slot = (size_t)((high - back) % STORE_ORIGIN_WINDOW);
        o->statuses[slot] = (uint8_t)status;
        o->revisions[slot] = revision;
        least = back + 1;
    }
    r->origins++;
    return cursor_done(c) ? OK : ERR_CORRUPT;
}

static enum err read_key(struct store_restore *r, struct cursor *c)
{
    struct store_version fields = {0};
    struct bytes key = cursor_bytes(c, STORE_REQUEST_BYTES_MAX);
    fields.seq = cursor_varint(c);
    fields.mod_revision = (int64_t)cursor_varint(c);
    fields.create_revision = (int64_t)cursor_varint(c);
    fields.version = (int64_t)cursor_varint(c);
    fields.lease = (int64_t)cursor_varint(c);
    struct bytes value = cursor_bytes(c, STORE_REQUEST_BYTES_MAX);
    if (!cursor_ok(c) || key.len == 0 || fields.seq == 0 || fields.seq >= r->header.first_seq ||
        fields.mod_revision < 2 || fields.mod_revision >= r->header.compact_revision ||
        fields.create_revision < 2 || fields.create_revision > fields.mod_revision ||
        fields.version < 1 || (uint64_t)fields.version > fields.seq) {
        return ERR_CORRUPT;
    }
    if (r->last_key != NULL && store_bytes_cmp(store_key_view(r->last_key), key) >= 0) {
        return ERR_CORRUPT;
    }
    struct store *s = r->store;
    struct store_tree_path path;
    CHECK(store_tree_locate(&s->mvcc.tree, key, &path) == NULL);
    struct store_version *v = store_mvcc_restore(&s->mvcc, &path, key, value, &fields);
    store_leases_attach(&s->leases, v->key, v->lease);
    r->last_key = v->key;
    r->keys++;
    return OK;
}

static enum err read_change(struct store_restore *r, struct cursor *c)
{
    struct store *s = r->store;
    uint8_t kind = cursor_u8(c);
    int64_t revision = (int64_t)cursor_varint(c);
    struct bytes key = cursor_bytes(c, STORE_REQUEST_BYTES_MAX);
    if (!cursor_ok(c) || key.len == 0 || kind > STORE_CHANGE_DELETE ||
        s->mvcc.log.next >= r->header.next_seq) {
        return ERR_CORRUPT;
    }
    /* Each revision has at least one change, and they come in order. */
    if (revision == s->mvcc.revision + 2 && s->mvcc.changes > 0) {
        store_mvcc_commit(&s->mvcc);
    }
    if (revision != s->mvcc.revision + 1) {
        return ERR_CORRUPT;
    }
    struct store_tree_path path;
    struct store_key *found = store_tree_locate(&s->mvcc.tree, key, &path);
    if (kind == STORE_CHANGE_DELETE) {
        if (found == NULL || !store_key_is_live(found)) {
            return ERR_CORRUPT;
        }
        store_leases_attach(&s->leases, found, 0);
        (void)store_mvcc_delete(&s->mvcc, &path, found);
    } else {
        int64_t lease = (int64_t)cursor_varint(c);
        struct bytes value = cursor_bytes(c, STORE_REQUEST_BYTES_MAX);
        if (!cursor_ok(c)) {
            return ERR_CORRUPT;
        }
        struct store_version *v = store_mvcc_put(&s->mvcc, &path, found, key, value, lease);
        store_leases_attach(&s->leases, v->key, lease);
    }
    store_mvcc_cool(&s->mvcc, STORE_COOL_BUDGET);
    r->changes++;
    return OK;
}

static enum err read_end(struct store_restore *r, struct cursor *c)
{
    struct store *s = r->store;
    const struct store_snapshot_header *h = &r->header;
    uint64_t keys = cursor_u64(c);
    uint64_t changes = cursor_u64(c);
    uint64_t hash = cursor_u64(c);
    store_mvcc_commit(&s->mvcc);
    bool sums_match = cursor_done(c) && keys == r->keys && changes == r->changes &&
                      r->system_read == r->has_system && r->leases == h->lease_count &&
                      r->origins == h->origin_count && s->leases.sum == h->lease_sum &&
                      s->mvcc.revision == h->revision && s->mvcc.log.next == h->next_seq &&
                      s->mvcc.chain == h->chain && s->mvcc.live_sum == h->live_sum &&
                      s->mvcc.tree.live == h->live_keys &&
                      s->mvcc.leased_keys == s->leases.attachment_count && store_hash(s) == hash;
    r->done = sums_match;
    return sums_match ? OK : ERR_CORRUPT;
}

/* The place of a kind in the order of blocks. */
static uint32_t block_rank(enum store_block kind)
{
    uint32_t rank = (uint32_t)kind * 2;
    return kind == STORE_BLOCK_SYSTEM ? STORE_BLOCK_HEADER * 2 + 1 : rank;
}

static enum err read_block(struct store_restore *r, enum store_block kind, struct bytes payload)
{
    struct cursor c;
    cursor_init(&c, payload);
    bool repeats = kind == r->stage && kind >= STORE_BLOCK_LEASES && kind <= STORE_BLOCK_CHANGES;
    bool in_order = block_rank(kind) > block_rank(r->stage);
    bool begins = (kind == STORE_BLOCK_HEADER) == (r->stage == 0);
    if (payload.len == 0 || !(repeats || in_order) || !begins) {
        return ERR_CORRUPT;
    }
    r->stage = kind;
    switch (kind) {
    case STORE_BLOCK_HEADER:
        return read_head_block(r, &c);
    case STORE_BLOCK_SYSTEM:
        return read_system(r, payload);
    case STORE_BLOCK_LEASES:
        return read_leases(r, &c);
    case STORE_BLOCK_ORIGIN:
        return read_origin(r, &c);
    case STORE_BLOCK_KEYS:
        while (cursor_left(&c) > 0) {
            TRY(read_key(r, &c));
        }
        return OK;
    case STORE_BLOCK_CHANGES:
        while (cursor_left(&c) > 0) {
            TRY(read_change(r, &c));
        }
        return OK;
    case STORE_BLOCK_END:
        return read_end(r, &c);
    default:
        return ERR_CORRUPT;
    }
}

/* Reads the block at the start of `b`, if it is whole: *ret_used is then its length, else 0. */
static enum err take_block(struct store_restore *r, struct bytes b, size_t *ret_used)
{
    *ret_used = 0;
    if (b.len < STORE_BLOCK_PREFIX_BYTES) {
        return OK;
    }
    struct cursor c;
    cursor_init(&c, b);
    uint32_t kind = cursor_u32(&c);
    uint32_t len = cursor_u32(&c);
    uint32_t crc = cursor_u32(&c);
    if (r->done || kind == 0 || kind > STORE_BLOCK_SYSTEM || len > STORE_SNAPSHOT_BLOCK_BYTES_MAX) {
        return ERR_CORRUPT;
    }
    if (cursor_left(&c) < len) {
        return OK;
    }
    struct bytes payload = cursor_take(&c, len);
    if (crc32c(crc32c(0, b.data, 8), payload.data, payload.len) != crc) {
        return ERR_CORRUPT;
    }
    TRY(read_block(r, (enum store_block)kind, payload));
    *ret_used = STORE_BLOCK_PREFIX_BYTES + len;
    return OK;
}

enum err store_restore_feed(struct store_restore *r, struct bytes part)
{
    if (r->failed) {
        return ERR_CORRUPT;
    }
    buf_put(&r->part, part.data, part.len);
    size_t at = 0;
    size_t used = 0;
    do {
        struct bytes rest = {r->part.data + at, r->part.len - at};
        enum err e = rest.len == 0 ? OK : take_block(r, rest, &used);
        if (e != OK) {
            r->failed = true;
            return e;
        }
        used = rest.len == 0 ? 0 : used;
        at += used;
    } while (used > 0);
    if (at > 0) {
        memmove(r->part.data, r->part.data + at, r->part.len - at);
        r->part.len -= at;
    }
    return OK;
}

enum err store_restore_finish(struct store_restore *r, struct store **ret)
{
    if (r->failed) {
        return ERR_CORRUPT;
    }
    if (!r->done || r->part.len > 0) {
        return ERR_TRUNCATED;
    }
    *ret = r->store;
    buf_deinit(&r->part);
    PROBE(STORE_RESTORED);
    mem_free(r);
    return OK;
}
