#include "core/store/store_mvcc.h"

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/le.h"
#include "core/base/mem.h"

void store_mvcc_init(struct store_mvcc *m)
{
    *m = (struct store_mvcc){.revision = 1, .compact_revision = -1, .compact_seq = 1};
    m->pins.prev = &m->pins;
    m->pins.next = &m->pins;
    store_slab_init(&m->slab);
    store_tree_init(&m->tree, &m->slab);
    m->cold = mem_alloc(sizeof *m->cold);
    store_cold_init(m->cold);
    store_log_init(&m->log, m->cold, 1, 0);
    m->cool_seq = 1;
    m->hot_limit = STORE_HISTORY_HOT_BYTES;
}

static size_t version_bytes(size_t value_len)
{
    return sizeof(struct store_version) + value_len;
}

static void version_free(struct store_mvcc *m, struct store_version *v)
{
    store_slab_free(&m->slab, v, version_bytes(v->value_len));
}

static void key_free(struct store_mvcc *m, struct store_key *key)
{
    store_slab_free(&m->slab, key, sizeof *key + key->len);
}

void store_mvcc_deinit(struct store_mvcc *m)
{
    struct store_tree_pos pos = store_tree_seek(&m->tree, (struct bytes){0});
    while (store_tree_at(pos) != NULL) {
        struct store_key *key = store_tree_at(pos);
        pos = store_tree_next(pos);
        struct store_version *v = key->head;
        while (v != NULL) {
            struct store_ref prev = v->seq < m->log.first ? (struct store_ref){0} : v->prev;
            version_free(m, v);
            v = (prev.bits & STORE_REF_COLD) != 0 ? NULL : store_ref_hot(prev);
        }
        key_free(m, key);
    }
    store_tree_deinit(&m->tree);
    store_log_deinit(&m->log);
    store_cold_deinit(m->cold);
    mem_free(m->cold);
    store_slab_deinit(&m->slab);
}

void store_mvcc_commit(struct store_mvcc *m)
{
    if (m->changes > 0) {
        m->revision++;
        m->changes = 0;
    }
}

uint64_t store_version_hash(const struct store_version *v)
{
    uint8_t fields[8 * 6];
    le64_store(fields, v->seq);
    le64_store(fields + 8, (uint64_t)v->mod_revision);
    le64_store(fields + 16, (uint64_t)v->create_revision);
    le64_store(fields + 24, (uint64_t)v->version);
    le64_store(fields + 32, (uint64_t)v->lease);
    le64_store(fields + 40, (uint64_t)v->key->len << 1 | (v->tombstone ? 1 : 0));
    uint64_t hash = hash_bytes(0, fields, sizeof fields);
    hash = hash_bytes(hash, v->key->bytes, v->key->len);
    return hash_bytes(hash, v->value, v->value_len);
}

struct store_version *store_mvcc_prev(const struct store_mvcc *m, const struct store_version *v)
{
    return v->seq < m->log.first ? NULL : store_ref_get(m->cold, v->prev);
}

static bool jump_leads(const struct store_mvcc *m, const struct store_version *v)
{
    return v->jump != 0 && v->seq - v->jump >= m->log.first;
}

/* The target of a jump, or NULL where there is none any more. */
static struct store_version *jump_target(const struct store_mvcc *m, const struct store_version *v)
{
    return jump_leads(m, v) ? store_log_get(&m->log, v->seq - v->jump) : NULL;
}

/* The same; NULL also where it would have to be read from where it is cold. */
static struct store_version *jump_target_hot(const struct store_mvcc *m,
                                             const struct store_version *v)
{
    if (!jump_leads(m, v)) {
        return NULL;
    }
    struct store_ref ref = *store_log_ref(&m->log, v->seq - v->jump);
    return (ref.bits & STORE_REF_COLD) != 0 ? NULL : store_ref_hot(ref);
}

/* How far to jump from `v`, whose prev is set, to the one at `target`; 0 where it does not fit or
 * is not in the log, which leads through prev instead. */
static uint32_t jump_distance(const struct store_mvcc *m, const struct store_version *v,
                              uint64_t target)
{
    uint64_t distance = v->seq - target;
    return distance > UINT32_MAX || target < m->log.first ? 0 : (uint32_t)distance;
}

static bool is_anchor(const struct store_version *v)
{
    return v->depth % STORE_ANCHOR_SPACING == 0;
}

/* `prev`, the key's newest version up to now, is not cold. What is, is not read for this: jumps are
 * as long as anchors are hot, and as the spacing beyond. */
static uint32_t jump_choose(const struct store_mvcc *m, const struct store_version *v,
                            const struct store_version *prev)
{
    if (prev == NULL || (!is_anchor(prev) && !jump_leads(m, prev))) {
        return 0;
    }
    uint64_t near_seq = is_anchor(prev) ? prev->seq : prev->seq - prev->jump;
    const struct store_version *near = is_anchor(prev) ? prev : jump_target_hot(m, prev);
    if (is_anchor(v) && near != NULL) {
        /* Two equal strides before this anchor become one that is twice as long, and this step. */
        const struct store_version *far = jump_target_hot(m, near);
        const struct store_version *farther = far == NULL ? NULL : jump_target_hot(m, far);
        if (farther != NULL && near->depth - far->depth == far->depth - farther->depth) {
            return jump_distance(m, v, farther->seq);
        }
    }
    return jump_distance(m, v, near_seq);
}

/* Takes the key's newest version out of the sums over live keys, and into them. */
static void count_out(struct store_mvcc *m, const struct store_key *key)
{
    if (store_key_is_live(key)) {
        m->live_sum -= key->head->hash;
        m->live_bytes -= key->len + key->head->value_len;
        m->leased_keys -= key->head->lease != 0;
    }
}

static void count_in(struct store_mvcc *m, const struct store_key *key)
{
    if (store_key_is_live(key)) {
        m->live_sum += key->head->hash;
        m->live_bytes += key->len + key->head->value_len;
        m->leased_keys += key->head->lease != 0;
    }
}

/* Chains `v`, whose fields are set up to the hash, onto its key and the log. */
static void version_link(struct store_mvcc *m, struct store_version *v)
{
    struct store_key *key = v->key;
    struct store_version *prev = key->head;
    v->prev = store_ref_to(prev);
    v->depth = prev == NULL ? 0 : prev->depth + 1;
    v->hash = store_version_hash(v);
    v->jump = jump_choose(m, v, prev);
    m->hot_bytes += version_bytes(v->value_len);
    count_out(m, key);
    key->head = v;
    count_in(m, key);
    store_log_append(&m->log, v, m->chain);
    m->chain = hash_u64(m->chain, v->hash);
    m->changes++;
}

static struct store_version *version_make(struct store_mvcc *m, struct store_key *key,
                                          struct bytes value)
{
    struct store_version *v = store_slab_alloc(&m->slab, version_bytes(value.len));
    v->key = key;
    v->seq = m->log.next;
    v->mod_revision = m->revision + 1;
    v->create_revision = 0;
    v->version = 0;
    v->lease = 0;
    v->tombstone = false;
    v->value_len = (uint32_t)value.len;
    if (value.len > 0) {
        memcpy(v->value, value.data, value.len);
    }
    return v;
}

static struct store_key *key_make(struct store_mvcc *m, struct bytes bytes)
{
    struct store_key *key = store_slab_alloc(&m->slab, sizeof *key + bytes.len);
    key->head = NULL;
    key->attachment = NULL;
    key->len = (uint32_t)bytes.len;
    memcpy(key->bytes, bytes.data, bytes.len);
    return key;
}

/* Makes a key, with a path to it as it lies now. */
static struct store_key *key_insert(struct store_mvcc *m, struct store_tree_path *path,
                                    struct bytes bytes)
{
    struct store_key *key = key_make(m, bytes);
    store_tree_insert(&m->tree, path, key);
    CHECK(store_tree_locate(&m->tree, bytes, path) == key);
    return key;
}

void store_mvcc_resume(struct store_mvcc *m, uint64_t first_seq, uint64_t chain_before,
                       int64_t compact_revision)
{
    CHECK(m->tree.keys == 0 && m->log.next == 1);
    store_log_init(&m->log, m->cold, first_seq, chain_before);
    m->cool_seq = first_seq;
    m->chain = chain_before;
    m->compact_seq = first_seq;
    m->compact_chain = chain_before;
    m->compact_revision = compact_revision;
    m->revision = compact_revision > 1 ? compact_revision - 1 : 1;
}

struct store_version *store_mvcc_restore(struct store_mvcc *m, struct store_tree_path *path,
                                         struct bytes key, struct bytes value,
                                         const struct store_version *fields)
{
    struct store_key *k = key_insert(m, path, key);
    struct store_version *v = version_make(m, k, value);
    v->prev = (struct store_ref){0};
    v->seq = fields->seq;
    v->mod_revision = fields->mod_revision;
    v->create_revision = fields->create_revision;
    v->version = fields->version;
    v->lease = fields->lease;
    v->depth = 0;
    v->jump = 0;
    v->hash = store_version_hash(v);
    k->head = v;
    count_in(m, k);
    store_tree_set_newest(path);
    store_tree_set_live(&m->tree, path, true);
    return v;
}

struct store_version *store_mvcc_put(struct store_mvcc *m, struct store_tree_path *path,
                                     struct store_key *found, struct bytes key, struct bytes value,
                                     int64_t lease)
{
    CHECK(key.len > 0);
    struct store_key *k = found;
    if (k == NULL) {
        k = key_insert(m, path, key);
    }
    bool was_live = store_key_is_live(k);
    struct store_version *v = version_make(m, k, value);
    v->lease = lease;
    v->create_revision = was_live ? k->head->create_revision : v->mod_revision;
    v->version = was_live ? k->head->version + 1 : 1;
    version_link(m, v);
    store_tree_set_newest(path);
    if (!was_live) {
        store_tree_set_live(&m->tree, path, true);
    }
    return v;
}

struct store_version *store_mvcc_delete(struct store_mvcc *m, const struct store_tree_path *path,
                                        struct store_key *key)
{
    CHECK(store_key_is_live(key));
    struct store_version *v = version_make(m, key, (struct bytes){0});
    v->tombstone = true;
    version_link(m, v);
    store_tree_set_newest(path);
    store_tree_set_live(&m->tree, path, false);
    return v;
}

struct store_version *store_mvcc_at(const struct store_mvcc *m, const struct store_key *key,
                                    int64_t revision)
{
    struct store_version *v = key->head;
    while (v != NULL && v->mod_revision > revision) {
        struct store_version *far = jump_target(m, v);
        v = far != NULL && far->mod_revision > revision ? far : store_mvcc_prev(m, v);
    }
    return v == NULL || v->tombstone ? NULL : v;
}

struct store_version *store_mvcc_find(const struct store_mvcc *m, struct bytes key,
                                      int64_t revision)
{
    const struct store_key *k = store_tree_find(&m->tree, key);
    return k == NULL ? NULL : store_mvcc_at(m, k, revision);
}

struct store_version *store_mvcc_since(const struct store_mvcc *m, const struct store_key *key,
                                       uint64_t seq)
{
    CHECK(seq >= m->log.first);
    struct store_version *v = key->head;
    if (v == NULL || v->seq < seq) {
        return NULL;
    }
    for (;;) {
        if (v->jump > 0 && v->seq - v->jump >= seq) {
            v = jump_target(m, v);
            continue;
        }
        struct store_version *prev = store_mvcc_prev(m, v);
        if (prev == NULL || prev->seq < seq) {
            return v;
        }
        v = prev;
    }
}

/* The history: the log, its chains, and where it says that versions are. */
static void history_check(const struct store_mvcc *m)
{
    CHECK(m->compact_seq >= m->log.first && m->compact_seq <= m->log.next);
    CHECK(m->cool_seq >= m->log.first && m->cool_seq <= m->log.next);
    uint64_t chain = m->compact_chain;
    size_t hot = 0;
    for (uint64_t seq = m->log.first; seq < m->log.next; seq++) {
        bool is_cold = (store_log_ref(&m->log, seq)->bits & STORE_REF_COLD) != 0;
        const struct store_version *v = store_log_get(&m->log, seq);
        CHECK(v->hash == store_version_hash(v) && is_cold == (seq < m->cool_seq));
        CHECK(v->prev.bits == 0 || is_cold == ((v->prev.bits & STORE_REF_COLD) != 0));
        hot += is_cold ? 0 : version_bytes(v->value_len);
        if (seq >= m->compact_seq) {
            CHECK(chain == store_log_chain_before(&m->log, seq));
            chain = hash_u64(chain, v->hash);
        }
    }
    CHECK(chain == m->chain && hot == m->hot_bytes);
}

void store_mvcc_check(const struct store_mvcc *m)
{
    store_tree_check(&m->tree);
    history_check(m);
    uint64_t sum = 0;
    struct store_tree_pos pos = store_tree_seek(&m->tree, (struct bytes){0});
    for (; store_tree_at(pos) != NULL; pos = store_tree_next(pos)) {
        const struct store_key *key = store_tree_at(pos);
        CHECK(key->head != NULL);
        sum += key->head->tombstone ? 0 : key->head->hash;
        for (const struct store_version *v = key->head; v != NULL; v = store_mvcc_prev(m, v)) {
            CHECK(v->key == key && v->hash == store_version_hash(v));
            const struct store_version *prev = store_mvcc_prev(m, v);
            CHECK(prev == NULL || prev->seq < v->seq);
            const struct store_version *far = jump_target(m, v);
            CHECK(far == NULL || (far->key == key && far->seq < v->seq));
        }
    }
    CHECK(sum == m->live_sum);
}
