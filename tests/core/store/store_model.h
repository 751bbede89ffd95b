/*
 * The reference: the store as a list of all changes ever, and nothing clever. Slow, and short
 * enough to be believed. Revisions, reads and compaction are as etcd documents them.
 */
#ifndef NOVACRON_TESTS_STORE_MODEL_H
#define NOVACRON_TESTS_STORE_MODEL_H

#include "core/store/store_bytes.h"

#define MODEL_KEY_BYTES   16
#define MODEL_VALUE_BYTES 32
#define MODEL_LEASES      8

struct model_change {
    uint8_t key[MODEL_KEY_BYTES];
    size_t key_len;
    uint8_t value[MODEL_VALUE_BYTES];
    size_t value_len;
    int64_t create;
    int64_t mod;
    int64_t version;
    int64_t lease;
    bool tombstone;
};

struct model {
    struct model_change *changes; /* owned */
    size_t count;
    size_t cap;
    int64_t revision;
    int64_t compacted;
    bool lease_exists[MODEL_LEASES + 1]; /* by id, from 1 */
    bool in_change;                      /* did the open transaction change something? */
};

void model_init(struct model *m);
void model_deinit(struct model *m);

/* Writes in the open transaction. */
void model_put(struct model *m, struct bytes key, struct bytes value, int64_t lease);
size_t model_delete(struct model *m, const struct store_span *span);
void model_revoke(struct model *m, int64_t lease);
void model_commit(struct model *m);

/* The keys that a read at `revision` sees in a span, in order; at most `max`. Returns how many. */
size_t model_range(const struct model *m, const struct store_span *span, int64_t revision,
                   const struct model_change **ret, size_t max);

static inline struct bytes model_key(const struct model_change *c)
{
    return (struct bytes){c->key, c->key_len};
}

#endif
