/*
 * Writing a snapshot while writes go on.
 *
 * What is small is copied at the start: the counters, the leases, the dedup window. The rest is
 * versioned anyway: the snapshot pins the history from its first change on, so that the versions it
 * needs stay; keys that came later have no version in it. It walks the keys for what is older than
 * the history, then the history itself, and lets go of the pin as it proceeds. So what it costs in
 * memory is what was superseded since it began.
 */
#include "core/store/store_int.h"

#include "core/base/check.h"
#include "core/base/crc.h"
#include "core/base/mem.h"
#include "core/store/store_snapshot_format.h"

struct lease_copy {
    int64_t id;
    int64_t ttl_s;
};

struct store_snapshot {
    struct store *store; /* borrowed; outlives the snapshot */
    struct store_pin pin;
    struct store_snapshot_header header;
    uint64_t hash;
    struct buf system;            /* a copy */
    struct lease_copy *leases;    /* owned */
    struct store_origin *origins; /* owned copies */
    enum store_block stage;       /* what is written next */
    uint64_t at;                  /* in the stage: a lease, an origin, or a seq */
    struct buf key;               /* in STORE_BLOCK_KEYS: where to go on */
    struct buf block;             /* the payload so far */
    uint64_t keys;
};

static void snapshot_copy_leases(struct store_snapshot *snap)
{
    const struct store_leases *leases = &snap->store->leases;
    snap->leases = mem_realloc_array(NULL, leases->by_id.count + 1, sizeof(struct lease_copy));
    size_t n = 0;
    for (const struct store_lease *l = store_leases_above(leases, INT64_MIN); l != NULL;
         l = store_leases_above(leases, l->id)) {
        snap->leases[n++] = (struct lease_copy){l->id, l->ttl_s};
    }
    CHECK(n == leases->by_id.count);
}

struct store_snapshot *store_snapshot_begin(struct store *s)
{
    struct store_mvcc *m = &s->mvcc;
    struct store_snapshot *snap = mem_alloc_zero(sizeof *snap);
    snap->store = s;
    snap->stage = STORE_BLOCK_HEADER;
    snap->hash = store_hash(s);
    snap->header = (struct store_snapshot_header){
        .feature_level = s->feature_level,
        .applied_index = s->applied_index,
        .revision = m->revision,
        .compact_revision = m->compact_revision,
        .first_seq = m->compact_seq,
        .next_seq = m->log.next,
        .chain_before = m->compact_chain,
        .chain = m->chain,
        .live_sum = m->live_sum,
        .live_keys = m->tree.live,
        .dedup_chain = s->dedup.chain,
        .lease_count = s->leases.by_id.count,
        .lease_sum = s->leases.sum,
        .origin_count = s->dedup.count,
    };
    buf_init(&snap->system);
    buf_put(&snap->system, s->system.encoded.data, s->system.encoded.len);
    snapshot_copy_leases(snap);
    snap->origins = mem_realloc_array(NULL, s->dedup.count + 1, sizeof(struct store_origin));
    for (size_t i = 0; i < s->dedup.count; i++) {
        snap->origins[i] = *s->dedup.origins[i];
    }
    buf_init(&snap->key);
    buf_init(&snap->block);
    store_mvcc_pin(m, &snap->pin, m->compact_seq);
    return snap;
}

uint64_t store_snapshot_index(const struct store_snapshot *snap)
{
    return snap->header.applied_index;
}

void store_snapshot_end(struct store_snapshot *snap)
{
    store_mvcc_unpin(&snap->store->mvcc, &snap->pin);
    buf_deinit(&snap->system);
    mem_free(snap->leases);
    mem_free(snap->origins);
    buf_deinit(&snap->key);
    buf_deinit(&snap->block);
    mem_free(snap);
}

/* Moves the payload, if there is any, as a block of the current stage to `out`. */
static void block_flush(struct store_snapshot *snap, struct buf *out)
{
    if (snap->block.len == 0) {
        return;
    }
    size_t start = out->len;
    buf_reserve(out, STORE_BLOCK_PREFIX_BYTES + snap->block.len);
    buf_put_u32(out, (uint32_t)snap->stage);
    buf_put_u32(out, (uint32_t)snap->block.len);
    uint32_t crc = crc32c(0, out->data + start, 8);
    buf_put_u32(out, crc32c(crc, snap->block.data, snap->block.len));
    buf_put(out, snap->block.data, snap->block.len);
    buf_clear(&snap->block);
}

static bool block_is_full(const struct store_snapshot *snap)
{
    return snap->block.len >= STORE_SNAPSHOT_BLOCK_BYTES;
}

static void put_header(struct buf *b, const struct store_snapshot_header *h)
{
    buf_put_u64(b, STORE_SNAPSHOT_MAGIC);
    buf_put_u16(b, h->feature_level < STORE_SYSTEM_LEVEL ? 1 : STORE_SNAPSHOT_VERSION);
    buf_put_u16(b, h->feature_level);
    buf_put_u32(b, 0);
    buf_put_u64(b, h->applied_index);
    buf_put_u64(b, (uint64_t)h->revision);
    buf_put_u64(b, (uint64_t)h->compact_revision);
    buf_put_u64(b, h->first_seq);
    buf_put_u64(b, h->next_seq);
    buf_put_u64(b, h->chain_before);
    buf_put_u64(b, h->chain);
    buf_put_u64(b, h->live_sum);
    buf_put_u64(b, h->live_keys);
    buf_put_u64(b, h->dedup_chain);
    buf_put_u64(b, h->lease_count);
    buf_put_u64(b, h->lease_sum);
    buf_put_u64(b, h->origin_count);
    CHECK(b->len == STORE_SNAPSHOT_HEADER_BYTES);
}

static void put_origin(struct buf *b, const struct store_origin *o)
{
    buf_put_u64(b, o->id);
    buf_put_u64(b, o->boot);
    buf_put_u64(b, o->high);
    buf_put_u64(b, o->last_index);
    size_t count_at = b->len;
    buf_put_u32(b, 0);
    uint32_t count = 0;
    for (uint64_t back = 0; back < STORE_ORIGIN_WINDOW && back < o->high; back++) {
        size_t slot = (size_t)((o->high - back) % STORE_ORIGIN_WINDOW);
        if (o->statuses[slot] != STORE_DEDUP_UNSEEN) {
            buf_put_u16(b, (uint16_t)back);
            buf_put_u16(b, o->statuses[slot]);
            buf_put_u64(b, (uint64_t)o->revisions[slot]);
            count++;
        }
    }
    buf_set_u32(b, count_at, count);
}

static void put_survivor(struct buf *b, const struct store_version *v)
{
    buf_put_bytes(b, store_key_view(v->key));
    buf_put_varint(b, v->seq);
    buf_put_varint(b, (uint64_t)v->mod_revision);
    buf_put_varint(b, (uint64_t)v->create_revision);
    buf_put_varint(b, (uint64_t)v->version);
    buf_put_varint(b, (uint64_t)v->lease);
    buf_put_bytes(b, store_version_value(v));
}

static void put_change(struct buf *b, const struct store_version *v)
{
    buf_put_u8(b, v->tombstone ? STORE_CHANGE_DELETE : STORE_CHANGE_PUT);
    buf_put_varint(b, (uint64_t)v->mod_revision);
    buf_put_bytes(b, store_key_view(v->key));
    if (!v->tombstone) {
        buf_put_varint(b, (uint64_t)v->lease);
        buf_put_bytes(b, store_version_value(v));
    }
}

static bool step_leases(struct store_snapshot *snap, size_t *budget)
{
    while (snap->at < snap->header.lease_count) {
        if (*budget == 0 || block_is_full(snap)) {
            return false;
        }
        (*budget)--;
        const struct lease_copy *l = &snap->leases[snap->at++];
        buf_put_u64(&snap->block, (uint64_t)l->id);
        buf_put_u64(&snap->block, (uint64_t)l->ttl_s);
    }
    return true;
}

/* The version that was the newest before the snapshot's history, if the key existed then. */
static const struct store_version *snapshot_survivor(const struct store_snapshot *snap,
                                                     const struct store_key *key)
{
    const struct store_mvcc *m = &snap->store->mvcc;
    const struct store_version *later = store_mvcc_since(m, key, snap->header.first_seq);
    const struct store_version *v = later == NULL ? key->head : store_mvcc_prev(m, later);
    return v == NULL || v->tombstone ? NULL : v;
}

static bool step_keys(struct store_snapshot *snap, size_t *budget)
{
    if (snap->header.first_seq == 1) {
        return true; /* the history has every change: nothing was before it */
    }
    struct store_tree_pos pos = store_tree_seek(&snap->store->mvcc.tree, buf_view(&snap->key));
    const struct store_key *last = NULL;
    for (; store_tree_at(pos) != NULL; pos = store_tree_next(pos)) {
        if (*budget == 0 || block_is_full(snap)) {
            if (last != NULL) {
                buf_clear(&snap->key);
                buf_put(&snap->key, last->bytes, last->len);
                buf_put_u8(&snap->key, 0);
            }
            return false;
        }
        (*budget)--;
        last = store_tree_at(pos);
        const struct store_version *v = snapshot_survivor(snap, last);
        if (v != NULL) {
            put_survivor(&snap->block, v);
            snap->keys++;
        }
    }
    return true;
}

static bool step_changes(struct store_snapshot *snap, size_t *budget)
{
    const struct store_log *log = &snap->store->mvcc.log;
    bool done = true;
    while (snap->at < snap->header.next_seq) {
        if (*budget == 0 || block_is_full(snap)) {
            done = false;
            break;
        }
        (*budget)--;
        put_change(&snap->block, store_log_get(log, snap->at));
        snap->at++;
    }
    snap->pin.seq = snap->at;
    return done;
}

/* Works on the current stage; true when it is done. */
static bool step_stage(struct store_snapshot *snap, size_t *budget)
{
    switch (snap->stage) {
    case STORE_BLOCK_HEADER:
        put_header(&snap->block, &snap->header);
        return true;
    case STORE_BLOCK_SYSTEM:
        if (snap->header.feature_level >= STORE_SYSTEM_LEVEL) {
            buf_put(&snap->block, snap->system.data, snap->system.len);
        }
        return true;
    case STORE_BLOCK_LEASES:
        return step_leases(snap, budget);
    case STORE_BLOCK_ORIGIN:
        if (snap->at < snap->header.origin_count) {
            put_origin(&snap->block, &snap->origins[snap->at++]);
        }
        return snap->at == snap->header.origin_count;
    case STORE_BLOCK_KEYS:
        return step_keys(snap, budget);
    case STORE_BLOCK_CHANGES:
        return step_changes(snap, budget);
    case STORE_BLOCK_END:
    default:
        buf_put_u64(&snap->block, snap->keys);
        buf_put_u64(&snap->block, snap->header.next_seq - snap->header.first_seq);
        buf_put_u64(&snap->block, snap->hash);
        return true;
    }
}

static enum store_block stage_after(enum store_block stage)
{
    switch (stage) {
    case STORE_BLOCK_HEADER:
        return STORE_BLOCK_SYSTEM;
    case STORE_BLOCK_SYSTEM:
        return STORE_BLOCK_LEASES;
    case STORE_BLOCK_LEASES:
        return STORE_BLOCK_ORIGIN;
    case STORE_BLOCK_ORIGIN:
        return STORE_BLOCK_KEYS;
    case STORE_BLOCK_KEYS:
        return STORE_BLOCK_CHANGES;
    case STORE_BLOCK_CHANGES:
    case STORE_BLOCK_END:
    default:
        return STORE_BLOCK_END;
    }
}

enum err store_snapshot_step(struct store_snapshot *snap, size_t budget, struct buf *out)
{
    CHECK(budget > 0);
    bool done = step_stage(snap, &budget);
    if (done || block_is_full(snap) || snap->stage == STORE_BLOCK_ORIGIN) {
        block_flush(snap, out);
    }
    if (!done) {
        return ERR_PENDING;
    }
    if (snap->stage == STORE_BLOCK_END) {
        return OK;
    }
    snap->stage = stage_after(snap->stage);
    snap->at = snap->stage == STORE_BLOCK_CHANGES ? snap->header.first_seq : 0;
    return ERR_PENDING;
}
