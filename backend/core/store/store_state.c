/* What one can ask about the whole: hashes, figures, request checks, invariants. */
#include "core/store/store_int.h"

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/store/store_watch_group.h"

uint64_t store_applied_index(const struct store *s)
{
    return s->applied_index;
}

int64_t store_revision(const struct store *s)
{
    return s->mvcc.revision;
}

int64_t store_compact_revision(const struct store *s)
{
    return s->mvcc.compact_revision;
}

uint16_t store_feature_level(const struct store *s)
{
    return s->feature_level;
}

uint64_t store_hash(const struct store *s)
{
    uint64_t hash = hash_u64(0, s->applied_index);
    hash = hash_u64(hash, s->feature_level);
    hash = hash_u64(hash, (uint64_t)s->mvcc.revision);
    hash = hash_u64(hash, (uint64_t)s->mvcc.compact_revision);
    hash = hash_u64(hash, s->mvcc.log.next);
    hash = hash_u64(hash, s->mvcc.chain);
    hash = hash_u64(hash, s->mvcc.live_sum);
    hash = hash_u64(hash, s->leases.sum);
    hash = hash_u64(hash, s->dedup.chain);
    return s->feature_level < STORE_SYSTEM_LEVEL ? hash : hash_u64(hash, s->system.hash);
}

uint64_t store_origin_boot(const struct store *s, node_id origin)
{
    return store_dedup_boot(&s->dedup, origin);
}

enum store_status store_hash_kv(const struct store *s, int64_t revision, uint64_t *ret_hash,
                                int64_t *ret_revision)
{
    const struct store_mvcc *m = &s->mvcc;
    int64_t at = revision <= 0 ? m->revision : revision;
    if (at > m->revision) {
        return STORE_REVISION_FUTURE;
    }
    if (at < m->compact_revision) {
        return STORE_REVISION_COMPACTED;
    }
    *ret_hash = store_log_chain_before(&m->log, store_log_seek(&m->log, at + 1));
    *ret_revision = at;
    return STORE_OK;
}

void store_stats_read(const struct store *s, struct store_stats *ret)
{
    const struct store_log *log = &s->mvcc.log;
    const struct store_cold *cold = s->mvcc.cold;
    size_t log_bytes = log->segment_count * sizeof(struct store_log_segment);
    size_t other_bytes =
        log_bytes + log->segment_cap * sizeof(void *) + s->leases.heap_cap * sizeof(void *) +
        s->dedup.count * sizeof(struct store_origin) + s->system.encoded.cap + sizeof *s;
    *ret = (struct store_stats){
        .keys = s->mvcc.tree.live,
        .changes = log->next - s->mvcc.compact_seq,
        .reclaimable = s->mvcc.compact_seq - log->first,
        .data_bytes = s->mvcc.live_bytes,
        .used_bytes = s->mvcc.slab.used_bytes + cold->used_bytes + other_bytes,
        .held_bytes = s->mvcc.slab.held_bytes + cold->held_bytes + other_bytes,
        .cold_bytes = cold->held_bytes,
        .leases = s->leases.by_id.count,
        .watches = s->watches.count,
    };
}

enum store_status store_check_request(enum store_kind kind, struct bytes body)
{
    if (body.len > STORE_REQUEST_BYTES_MAX) {
        return STORE_REQUEST_TOO_LARGE;
    }
    switch (kind) {
    case STORE_KIND_PUT: {
        struct store_put_request r;
        enum store_status status = store_put_decode(body, &r);
        return status == STORE_OK ? store_put_check(&r) : status;
    }
    case STORE_KIND_DELETE: {
        struct store_delete_request r;
        enum store_status status = store_delete_decode(body, &r);
        return status == STORE_OK ? store_delete_check(&r) : status;
    }
    case STORE_KIND_TXN: {
        struct store_txn_request r;
        enum store_status status = store_txn_decode(body, &r);
        return status == STORE_OK ? store_txn_check(&r) : status;
    }
    case STORE_KIND_COMPACTION:
    case STORE_KIND_LEASE_GRANT:
    case STORE_KIND_LEASE_REVOKE:
    case STORE_KIND_LEASE_EXPIRE:
    case STORE_KIND_FEATURE_LEVEL:
    case STORE_KIND_ALARM:
    case STORE_KIND_MEMBER_SET:
    case STORE_KIND_MEMBER_FORGET:
    case STORE_KIND_AUTH_ENABLE:
    case STORE_KIND_AUTH_DISABLE:
    case STORE_KIND_AUTHENTICATE:
    case STORE_KIND_USER_ADD:
    case STORE_KIND_USER_DELETE:
    case STORE_KIND_USER_PASSWORD:
    case STORE_KIND_USER_GRANT:
    case STORE_KIND_USER_REVOKE:
    case STORE_KIND_ROLE_ADD:
    case STORE_KIND_ROLE_DELETE:
    case STORE_KIND_ROLE_GRANT:
    case STORE_KIND_ROLE_REVOKE:
    default:
        return STORE_OK;
    }
}

static void leases_check(const struct store *s)
{
    uint64_t attached = 0;
    for (const struct store_lease *lease = store_leases_above(&s->leases, INT64_MIN); lease != NULL;
         lease = store_leases_above(&s->leases, lease->id)) {
        uint64_t count = 0;
        for (const struct store_attachment *a = lease->attachments; a != NULL; a = a->next) {
            CHECK(a->lease == lease && a->key->attachment == a);
            CHECK(store_key_is_live(a->key) && a->key->head->lease == lease->id);
            count++;
        }
        CHECK(count == lease->attachment_count);
        attached += count;
        CHECK(lease->phase == STORE_LEASE_IDLE || s->leases.heap[lease->heap_at] == lease);
        CHECK((lease->phase == STORE_LEASE_IDLE) == !s->leases.armed);
    }
    uint64_t leased = 0;
    struct store_tree_pos pos = store_tree_seek(&s->mvcc.tree, (struct bytes){0});
    for (; store_tree_at(pos) != NULL; pos = store_tree_next(pos)) {
        const struct store_key *key = store_tree_at(pos);
        leased += key->attachment != NULL;
        CHECK((key->attachment != NULL) == (store_key_is_live(key) && key->head->lease != 0));
    }
    CHECK(leased == attached);
}

void store_check(const struct store *s)
{
    store_mvcc_check(&s->mvcc);
    store_avl_check(&s->leases.by_id);
    store_avl_check(&s->watches.groups.tree);
    leases_check(s);
}
