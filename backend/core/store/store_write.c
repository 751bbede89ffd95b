/* Puts, deletes and revokes: the only places that change keys. */
#include "core/store/store_int.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/store/store_kv.h"
#include "core/store/store_pb.h"

void store_header_put(struct buf *b, int64_t revision)
{
    size_t header = store_pb_open(b, 1);
    store_pb_put_i64(b, 3, revision);
    store_pb_close(b, header);
}

enum store_status store_write_put_check(const struct store *s, const struct store_put_request *r,
                                        bool key_first)
{
    bool lacks_lease = r->lease != 0 && store_leases_find(&s->leases, r->lease) == NULL;
    bool lacks_key = false;
    if (r->ignore_value || r->ignore_lease) {
        const struct store_key *key = store_tree_find(&s->mvcc.tree, r->key);
        lacks_key = key == NULL || !store_key_is_live(key);
    }
    if (lacks_key && (key_first || !lacks_lease)) {
        return STORE_KEY_NOT_FOUND;
    }
    return lacks_lease ? STORE_LEASE_NOT_FOUND : STORE_OK;
}

void store_write_put(struct store *s, const struct store_put_request *r, struct buf *response)
{
    struct store_tree_path path;
    struct store_key *key = store_tree_locate(&s->mvcc.tree, r->key, &path);
    const struct store_version *old = key != NULL && store_key_is_live(key) ? key->head : NULL;
    /* The key was there when the txn was checked. A delete in the same txn that the duplicate check
     * does not see, one up to "\0", may have taken it away: then what is ignored is empty. */
    struct bytes value = r->ignore_value && old != NULL ? store_version_value(old) : r->value;
    int64_t lease = r->ignore_lease && old != NULL ? old->lease : r->lease;
    struct store_version *v = store_mvcc_put(&s->mvcc, &path, key, r->key, value, lease);
    if (lease != 0 || v->key->attachment != NULL) {
        store_leases_attach(&s->leases, v->key, lease);
    }
    if (response != NULL && r->prev_kv && old != NULL) {
        store_kv_put(response, 2, old, false);
    }
}

static void write_tombstone(struct store *s, const struct store_tree_path *path,
                            struct store_key *key)
{
    store_mvcc_delete(&s->mvcc, path, key);
    if (key->attachment != NULL) {
        store_leases_attach(&s->leases, key, 0);
    }
}

static int64_t delete_one(struct store *s, struct bytes at)
{
    struct store_tree_path path;
    struct store_key *key = store_tree_locate(&s->mvcc.tree, at, &path);
    if (key == NULL || !store_key_is_live(key)) {
        return 0;
    }
    write_tombstone(s, &path, key);
    return 1;
}

int64_t store_write_delete(struct store *s, const struct store_delete_request *r,
                           struct buf *response)
{
    struct store_span span = store_span_of(r->key, r->range_end);
    if (response != NULL && r->prev_kv) {
        struct store_tree_pos pos = store_tree_seek(&s->mvcc.tree, span.first);
        for (; store_tree_at(pos) != NULL; pos = store_tree_next(pos)) {
            const struct store_key *key = store_tree_at(pos);
            if (store_span_is_past(&span, store_key_view(key))) {
                break;
            }
            if (store_key_is_live(key)) {
                store_kv_put(response, 3, key->head, false);
            }
        }
    }
    int64_t deleted = 0;
    if (store_span_is_point(&span)) {
        deleted = delete_one(s, span.first);
    } else {
        /* Tombstones do not move keys, so the position stays valid. */
        struct store_tree_pos pos = store_tree_seek(&s->mvcc.tree, span.first);
        for (; store_tree_at(pos) != NULL; pos = store_tree_next(pos)) {
            struct store_key *key = store_tree_at(pos);
            if (store_span_is_past(&span, store_key_view(key))) {
                break;
            }
            if (store_key_is_live(key)) {
                deleted += delete_one(s, store_key_view(key));
            }
        }
    }
    if (response != NULL) {
        store_pb_put_i64(response, 2, deleted);
    }
    return deleted;
}

void store_write_revoke(struct store *s, struct store_lease *lease)
{
    size_t count = (size_t)lease->attachment_count;
    struct store_key **keys = store_leases_keys(lease);
    for (size_t i = 0; i < count; i++) {
        CHECK(delete_one(s, store_key_view(keys[i])) == 1);
    }
    mem_free(keys);
    store_leases_remove(&s->leases, lease);
}
