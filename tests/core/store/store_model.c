#include "tests/core/store/store_model.h"

#include <stdlib.h>

#include "core/base/check.h"
#include "core/base/mem.h"

void model_init(struct model *m)
{
    *m = (struct model){.revision = 1, .compacted = -1};
}

void model_deinit(struct model *m)
{
    mem_free(m->changes);
}

/* The newest change of a key up to a revision, a tombstone too; NULL if there is none. */
static const struct model_change *model_newest(const struct model *m, struct bytes key,
                                               int64_t revision)
{
    const struct model_change *newest = NULL;
    for (size_t i = 0; i < m->count; i++) {
        if (m->changes[i].mod <= revision && store_bytes_cmp(model_key(&m->changes[i]), key) == 0) {
            newest = &m->changes[i];
        }
    }
    return newest;
}

static struct model_change *model_add(struct model *m, struct bytes key)
{
    void *changes = m->changes;
    mem_grow(&changes, &m->cap, m->count + 1, sizeof *m->changes);
    m->changes = changes;
    struct model_change *c = &m->changes[m->count++];
    *c = (struct model_change){.key_len = key.len, .mod = m->revision + 1};
    CHECK(key.len <= sizeof c->key);
    memcpy(c->key, key.data, key.len);
    m->in_change = true;
    return c;
}

void model_put(struct model *m, struct bytes key, struct bytes value, int64_t lease)
{
    const struct model_change *old = model_newest(m, key, INT64_MAX);
    bool exists = old != NULL && !old->tombstone;
    int64_t create = exists ? old->create : m->revision + 1;
    int64_t version = exists ? old->version + 1 : 1;
    struct model_change *c = model_add(m, key);
    CHECK(value.len <= sizeof c->value);
    memcpy(c->value, value.data, value.len);
    c->value_len = value.len;
    c->create = create;
    c->version = version;
    c->lease = lease;
}

static int compare_changes(const void *a, const void *b)
{
    const struct model_change *const *left = a;
    const struct model_change *const *right = b;
    return store_bytes_cmp(model_key(*left), model_key(*right));
}

size_t model_range(const struct model *m, const struct store_span *span, int64_t revision,
                   const struct model_change **ret, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct model_change *c = &m->changes[i];
        if (!c->tombstone && c->mod <= revision && store_span_has(span, model_key(c)) &&
            model_newest(m, model_key(c), revision) == c) {
            CHECK(n < max);
            ret[n++] = c;
        }
    }
    qsort(ret, n, sizeof *ret, compare_changes);
    return n;
}

size_t model_delete(struct model *m, const struct store_span *span)
{
    const struct model_change *found[256];
    size_t n = model_range(m, span, INT64_MAX, found, COUNT_OF(found));
    struct model_change keys[256];
    for (size_t i = 0; i < n; i++) {
        keys[i] = *found[i];
    }
    for (size_t i = 0; i < n; i++) {
        model_add(m, model_key(&keys[i]))->tombstone = true;
    }
    return n;
}

void model_revoke(struct model *m, int64_t lease)
{
    const struct model_change *found[256];
    struct store_span all = {.first = {(const uint8_t *)"", 0}, .open = true};
    size_t n = model_range(m, &all, INT64_MAX, found, COUNT_OF(found));
    struct model_change keys[256];
    for (size_t i = 0; i < n; i++) {
        keys[i] = *found[i];
    }
    for (size_t i = 0; i < n; i++) {
        if (keys[i].lease == lease) {
            model_add(m, model_key(&keys[i]))->tombstone = true;
        }
    }
    m->lease_exists[lease] = false;
}

void model_commit(struct model *m)
{
    m->revision += m->in_change ? 1 : 0;
    m->in_change = false;
}
