/* Compaction: forgetting at once, freeing in steps, and what holds freeing back. And before it,
 * what was superseded makes room for what exists. */
#include "core/base/probe.h"
#include "core/store/store_mvcc.h"

#include "core/base/check.h"

void store_mvcc_compact(struct store_mvcc *m, int64_t revision)
{
    CHECK(revision > m->compact_revision && revision <= m->revision);
    m->compact_revision = revision;
    m->compact_seq = store_log_seek(&m->log, revision);
    store_log_settle(&m->log, m->compact_seq);
    m->compact_chain = m->log.known_chain;
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

/* How far one may go, at most to `limit`: up to the first pin, or the first that holds versions. */
static uint64_t pin_limit(const struct store_mvcc *m, uint64_t limit, bool holding)
{
    for (const struct store_pin *pin = m->pins.next; pin != &m->pins; pin = pin->next) {
        if (pin->holds_versions || !holding) {
            limit = u64_min(limit, pin->seq);
        }
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

/* Frees what the first change of the log superseded, and of the change itself what nobody will look
 * at. */
static void first_forget(struct store_mvcc *m, struct store_ref own, struct store_version *v)
{
    struct store_version *prev = store_ref_hot(v->prev);
    if ((own.bits & STORE_REF_COLD) != 0) {
        if (v->prev.bits != 0) {
            store_cold_drop(m->cold, v->prev);
        }
        if ((own.bits & STORE_REF_CLAIMED) == 0) {
            store_cold_drop(m->cold, own); /* the slab has it as well */
        }
    } else {
        m->cool_seq++;
        m->hot_bytes -= sizeof *v + v->value_len;
        if (prev != NULL) {
            version_release(m, prev);
        }
    }
    if (prev != NULL) {
        PROBE(STORE_RECLAIMED);
    }
}

bool store_mvcc_reclaim(struct store_mvcc *m, size_t budget)
{
    uint64_t limit = pin_limit(m, m->compact_seq, false);
    for (; m->log.first < limit && budget > 0; budget--) {
        struct store_version *v = store_log_get(&m->log, m->log.first);
        struct store_key *key = v->key;
        bool is_dead = v->tombstone && key->head->seq == v->seq;
        first_forget(m, *store_log_ref(&m->log, m->log.first), v);
        store_log_drop_first(&m->log);
        if (is_dead) {
            key_forget(m, key);
            PROBE(STORE_KEY_FORGOTTEN);
        }
    }
    return m->log.first < limit;
}

/* Where the version that the next cold change superseded is cold, too: every change before it is
 * that the log still has; others, which were not to be superseded for long, follow now. */
static struct store_ref cool_prev(struct store_mvcc *m, struct store_version *prev)
{
    struct store_ref cold;
    if (store_log_has(&m->log, prev->seq)) {
        struct store_ref *ref = store_log_ref(&m->log, prev->seq);
        CHECK((ref->bits & STORE_REF_BITS) == STORE_REF_COLD);
        cold = *ref;
        ref->bits |= STORE_REF_CLAIMED;
    } else {
        cold = store_cold_put(m->cold, prev);
    }
    version_release(m, prev);
    return cold;
}

/* Asks for what the changes to come will need, each a cache miss, the farther from memory the
 * sooner: a change, then what it superseded, then where that is in the log. */
static void cool_prefetch(const struct store_mvcc *m)
{
    uint64_t seq = m->cool_seq;
    if (seq + 12 >= m->log.next) {
        return;
    }
    const struct store_version *v = store_ref_hot(*store_log_ref(&m->log, seq + 12));
    __builtin_prefetch(v);
    __builtin_prefetch(v->value);
    const struct store_version *prev =
        store_ref_hot(store_ref_hot(*store_log_ref(&m->log, seq + 8))->prev);
    __builtin_prefetch(prev);
    if (prev != NULL) {
        __builtin_prefetch(prev->value);
    }
    prev = store_ref_hot(store_ref_hot(*store_log_ref(&m->log, seq + 4))->prev);
    if (prev != NULL && store_log_has(&m->log, prev->seq)) {
        __builtin_prefetch(store_log_ref(&m->log, prev->seq));
    }
}

static void cool_next(struct store_mvcc *m)
{
    cool_prefetch(m);
    struct store_ref *ref = store_log_ref(&m->log, m->cool_seq++);
    CHECK((ref->bits & STORE_REF_BITS) == 0);
    struct store_version *v = store_ref_hot(*ref);
    struct store_version *prev = store_ref_hot(v->prev);
    m->hot_bytes -= sizeof *v + v->value_len;
    if (prev != NULL) {
        v->prev = cool_prev(m, prev);
    }
    *ref = store_cold_put(m->cold, v);
    PROBE(STORE_COOLED);
}

void store_mvcc_cool(struct store_mvcc *m, size_t budget)
{
    if (m->hot_bytes > m->hot_limit) {
        uint64_t limit = pin_limit(m, m->log.next, true);
        for (; m->hot_bytes > m->hot_limit && m->cool_seq < limit && budget > 0; budget--) {
            cool_next(m);
        }
    }
}
