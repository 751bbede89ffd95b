/* Finding, walking and counting. What changes the shape is in store_tree_shape.c. */
#include "core/store/store_tree.h"

#include "core/base/check.h"
#include "core/store/store_slab.h"
#include "core/store/store_tree_int.h"

static struct store_leaf *tree_leaf_make(struct store_slab *slab)
{
    struct store_leaf *leaf = store_slab_alloc(slab, sizeof *leaf);
    leaf->count = 0;
    leaf->skip = 0;
    leaf->live = 0;
    leaf->prev = NULL;
    leaf->next = NULL;
    return leaf;
}

void store_tree_init(struct store_tree *t, struct store_slab *slab)
{
    *t = (struct store_tree){.slab = slab, .root = tree_leaf_make(slab)};
}

/* Frees the children of a node at `level`, whose own level is counted from the leaves: 1 and up. */
static void tree_free_below(struct store_tree *t, struct store_inner *inner, uint32_t level)
{
    for (uint32_t i = 0; i < inner->count; i++) {
        if (level == 1) {
            store_slab_free(t->slab, inner->children[i], sizeof(struct store_leaf));
        } else {
            tree_free_below(t, inner->children[i], level - 1);
            store_slab_free(t->slab, inner->children[i], sizeof(struct store_inner));
        }
        if (i + 1 < inner->count) {
            store_separator_free(t, inner->seps[i]);
        }
    }
}

void store_tree_deinit(struct store_tree *t)
{
    if (t->height == 0) {
        store_slab_free(t->slab, t->root, sizeof(struct store_leaf));
    } else {
        tree_free_below(t, t->root, t->height);
        store_slab_free(t->slab, t->root, sizeof(struct store_inner));
    }
    *t = (struct store_tree){0};
}

/* The first of `n` ascending heads that is not below `head`. Without branches that depend on the
 * data: the heads of a node are unpredictable. */
static uint32_t heads_lower(const uint64_t *heads, uint32_t n, uint64_t head)
{
    const uint64_t *base = heads;
    while (n > 1) {
        uint32_t half = n / 2;
        base = base[half - 1] < head ? base + half : base;
        n -= half;
    }
    return (uint32_t)(base - heads) + (n == 1 && *base < head);
}

/* Asks for the lines of a node that its search reads, all at once: they are seldom in a cache, and
 * waiting for each in turn is what a search would otherwise do. */
static void node_prefetch(const void *node)
{
    const uint8_t *at = node;
    for (size_t line = 0; line < sizeof(struct store_leaf); line += 64) {
        __builtin_prefetch(at + line);
    }
}

static struct bytes tail_of(struct bytes key, uint32_t skip)
{
    CHECK(key.len >= skip);
    return skip == 0 ? key : (struct bytes){key.data + skip, key.len - skip};
}

uint32_t store_leaf_lower(const struct store_leaf *leaf, struct bytes key, bool *ret_equal)
{
    uint64_t head = store_tree_head(key, leaf->skip);
    uint32_t at = heads_lower(leaf->heads, leaf->count, head);
    bool equal = false;
    if (at < leaf->count && leaf->heads[at] == head) {
        uint32_t end = at + 1;
        while (end < leaf->count && leaf->heads[end] == head) {
            end++;
        }
        struct bytes tail = tail_of(key, leaf->skip);
        while (at < end) {
            uint32_t middle = at + (end - at) / 2;
            struct bytes other = tail_of(store_key_view(leaf->keys[middle]), leaf->skip);
            int order = store_bytes_cmp(other, tail);
            equal = equal || order == 0;
            if (order < 0) {
                at = middle + 1;
            } else {
                end = middle;
            }
        }
    }
    *ret_equal = equal;
    return at;
}

uint32_t store_inner_child(const struct store_inner *inner, struct bytes key)
{
    uint64_t head = store_tree_head(key, inner->skip);
    uint32_t seps = inner->count - 1;
    uint32_t at = heads_lower(inner->heads, seps, head);
    if (at == seps || inner->heads[at] != head) {
        return at;
    }
    uint32_t end = at + 1;
    while (end < seps && inner->heads[end] == head) {
        end++;
    }
    /* The first separator above the key: a key equal to a separator lives to its right. */
    struct bytes tail = tail_of(key, inner->skip);
    while (at < end) {
        uint32_t middle = at + (end - at) / 2;
        struct bytes other = tail_of(store_separator_view(inner->seps[middle]), inner->skip);
        if (store_bytes_cmp(other, tail) <= 0) {
            at = middle + 1;
        } else {
            end = middle;
        }
    }
    return at;
}

static struct store_tree_pos tree_descend(const struct store_tree *t, struct bytes key,
                                          bool *ret_equal)
{
    const void *node = t->root;
    for (uint32_t level = 0; level < t->height; level++) {
        const struct store_inner *inner = node;
        node = inner->children[store_inner_child(inner, key)];
        node_prefetch(node);
    }
    struct store_leaf *leaf = (void *)(uintptr_t)node;
    return (struct store_tree_pos){leaf, store_leaf_lower(leaf, key, ret_equal)};
}

struct store_key *store_tree_find(const struct store_tree *t, struct bytes key)
{
    bool equal;
    struct store_tree_pos pos = tree_descend(t, key, &equal);
    return equal ? pos.leaf->keys[pos.slot] : NULL;
}

struct store_key *store_tree_locate(const struct store_tree *t, struct bytes key,
                                    struct store_tree_path *ret)
{
    void *node = t->root;
    for (uint32_t level = 0; level < t->height; level++) {
        struct store_inner *inner = node;
        uint32_t child = store_inner_child(inner, key);
        ret->inner[level] = inner;
        ret->child[level] = child;
        node = inner->children[child];
        node_prefetch(node);
    }
    struct store_leaf *leaf = node;
    bool equal;
    uint32_t slot = store_leaf_lower(leaf, key, &equal);
    ret->pos = (struct store_tree_pos){leaf, slot};
    return equal ? leaf->keys[slot] : NULL;
}

/* Steps over the end of a leaf, so that a position with a leaf has a key. */
static struct store_tree_pos pos_normal(struct store_tree_pos pos)
{
    while (pos.leaf != NULL && pos.slot == pos.leaf->count) {
        pos = (struct store_tree_pos){pos.leaf->next, 0};
    }
    return pos;
}

struct store_tree_pos store_tree_seek(const struct store_tree *t, struct bytes key)
{
    bool equal;
    return pos_normal(tree_descend(t, key, &equal));
}

struct store_tree_pos store_tree_seek_before(const struct store_tree *t, struct bytes key)
{
    bool equal;
    return store_tree_prev(tree_descend(t, key, &equal));
}

struct store_tree_pos store_tree_last(const struct store_tree *t)
{
    const void *node = t->root;
    for (uint32_t level = 0; level < t->height; level++) {
        const struct store_inner *inner = node;
        node = inner->children[inner->count - 1];
    }
    struct store_leaf *leaf = (void *)(uintptr_t)node;
    return store_tree_prev((struct store_tree_pos){leaf, leaf->count});
}

struct store_key *store_tree_at(struct store_tree_pos pos)
{
    return pos.leaf == NULL ? NULL : pos.leaf->keys[pos.slot];
}

struct store_tree_pos store_tree_next(struct store_tree_pos pos)
{
    CHECK(pos.leaf != NULL);
    pos.slot++;
    return pos_normal(pos);
}

struct store_tree_pos store_tree_prev(struct store_tree_pos pos)
{
    while (pos.leaf != NULL && pos.slot == 0) {
        pos.leaf = pos.leaf->prev;
        pos.slot = pos.leaf == NULL ? 0 : pos.leaf->count;
    }
    if (pos.leaf != NULL) {
        pos.slot--;
    }
    return pos;
}

void store_tree_set_live(struct store_tree *t, const struct store_tree_path *path, bool live)
{
    uint64_t bit = (uint64_t)1 << path->pos.slot;
    CHECK(((path->pos.leaf->live & bit) != 0) != live);
    path->pos.leaf->live ^= bit;
    uint64_t change = live ? 1 : UINT64_MAX;
    for (uint32_t level = 0; level < t->height; level++) {
        path->inner[level]->live[path->child[level]] += change;
    }
    t->live += change;
}

uint64_t store_leaf_live(const struct store_leaf *leaf)
{
    return store_bits_count(leaf->live);
}

uint64_t store_inner_live(const struct store_inner *inner)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < inner->count; i++) {
        sum += inner->live[i];
    }
    return sum;
}

uint64_t store_tree_rank(const struct store_tree *t, struct bytes key)
{
    uint64_t rank = 0;
    const void *node = t->root;
    for (uint32_t level = 0; level < t->height; level++) {
        const struct store_inner *inner = node;
        uint32_t child = store_inner_child(inner, key);
        for (uint32_t i = 0; i < child; i++) {
            rank += inner->live[i];
        }
        node = inner->children[child];
    }
    const struct store_leaf *leaf = node;
    bool equal;
    uint32_t slot = store_leaf_lower(leaf, key, &equal);
    uint64_t below = slot == 64 ? UINT64_MAX : ((uint64_t)1 << slot) - 1;
    return rank + store_bits_count(leaf->live & below);
}

uint64_t store_tree_count(const struct store_tree *t, const struct store_span *span)
{
    if (store_span_is_point(span)) {
        const struct store_key *k = store_tree_find(t, span->first);
        return k != NULL && store_key_is_live(k) ? 1 : 0;
    }
    uint64_t from = store_tree_rank(t, span->first);
    uint64_t to = span->open ? t->live : store_tree_rank(t, span->end);
    return u64_sub_sat(to, from);
}
