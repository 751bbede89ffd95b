/* Compaction: forgetting at once, freeing in steps, and what holds freeing back. */
#include "core/base/probe.h"
#include "core/store/store_mvcc.h"

#include "core/base/check.h"

void store_mvcc_compact(struct store_mvcc *m, int64_t revision)
{
    CHECK(revision > m->compact_revision && revision <= m->revision);
    m->compact_revision = revision;
    m->compact_seq = store_log_seek(&m->log, revision);
    m->compact_chain = store_log_chain_before(&m->log, m->compact_seq);
}

void store_mvcc_pin(struct store_mvcc *m, struct store_pin *pin, uint64_t seq)
{
    CHECK(m->pin_count < STORE_READERS_MAX + STORE_SNAPSHOTS_MAX && seq >= m->log.first &&
          seq <= m->log.next);
    pin->seq = seq;
    pin->prev = m->pins.prev;
    pin->next = &m->pins;
    pin->prev->next = pin;
    m->pins.prev = pin;
    m->pin_count++;
}

void store_mvcc_unpin(struct store_mvcc *m, struct store_pin *pin)
{
    CHECK(m->pin_count > 0);
    pin->prev->next = pin->next;
    pin->next->prev = pin->prev;
    *pin = (struct store_pin){0};
    m->pin_count--;
}

static uint64_t reclaim_limit(const struct store_mvcc *m)
{
    uint64_t limit = m->compact_seq;
    for (const struct store_pin *pin = m->pins.next; pin != &m->pins; pin = pin->next) {
        limit = u64_min(limit, pin->seq);
    }
    return limit;
}

static void version_release(struct store_mvcc *m, struct store_version *v)
{
    store_slab_free(&m->slab, v, sizeof *v + v->value_len);
}

/* Takes a key out whose newest and only version is a tombstone. */
static void key_forget(struct store_mvcc *m, struct store_key *key)
{
    struct store_tree_path path;
    CHECK(store_tree_locate(&m->tree, store_key_view(key), &path) == key);
    CHECK(key->attachment == NULL);
    store_tree_remove(&m->tree, &path);
    version_release(m, key->head);
    store_slab_free(&m->slab, key, sizeof *key + key->len);
}

bool store_mvcc_reclaim(struct store_mvcc *m, size_t budget)
{
    uint64_t limit = reclaim_limit(m);
    for (; m->log.first < limit && budget > 0; budget--) {
        struct store_version *v = store_log_get(&m->log, m->log.first)->version;
        store_log_drop_first(&m->log);
        if (v->prev != NULL) {
            CHECK(v->prev->prev == NULL);
            version_release(m, v->prev);
            PROBE(STORE_RECLAIMED);
            v->prev = NULL;
        }
        if (v->tombstone && v->key->head == v) {
            key_forget(m, v->key);
            PROBE(STORE_KEY_FORGOTTEN);
        }
    }
    return m->log.first < limit;
}
