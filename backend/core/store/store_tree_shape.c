/* Splitting and merging nodes, and the tree's self-check. */
#include "core/store/store_tree.h"

#include "core/base/check.h"
#include "core/store/store_slab.h"
#include "core/store/store_tree_int.h"

/* A node with fewer is merged, into one that then has no more than the latter. */
static uint32_t merge_below(bool is_leaf)
{
    return (is_leaf ? STORE_LEAF_FANOUT : STORE_INNER_FANOUT) / 8;
}

static uint32_t merge_fits(bool is_leaf)
{
    return (is_leaf ? STORE_LEAF_FANOUT : STORE_INNER_FANOUT) * 7 / 8;
}

void store_separator_free(struct store_tree *t, struct store_separator *s)
{
    store_slab_free(t->slab, s, sizeof *s + s->len);
}

/* The shortest string that is above `left` and not above `right`. */
static struct store_separator *separator_between(struct store_tree *t, struct bytes left,
                                                 struct bytes right)
{
    size_t len = store_bytes_common(left, right) + 1;
    CHECK(len <= right.len);
    struct store_separator *s = store_slab_alloc(t->slab, sizeof *s + len);
    s->len = (uint32_t)len;
    memcpy(s->bytes, right.data, len);
    return s;
}

struct store_fences store_path_fences(const struct store_tree_path *path, uint32_t level)
{
    struct store_fences f = {0};
    for (uint32_t up = level; up-- > 0 && !(f.has_lo && f.has_hi);) {
        const struct store_inner *inner = path->inner[up];
        uint32_t child = path->child[up];
        if (!f.has_lo && child > 0) {
            f.lo = store_separator_view(inner->seps[child - 1]);
            f.has_lo = true;
        }
        if (!f.has_hi && child + 1 < inner->count) {
            f.hi = store_separator_view(inner->seps[child]);
            f.has_hi = true;
        }
    }
    return f;
}

void store_leaf_refence(struct store_leaf *leaf, const struct store_fences *f)
{
    leaf->skip = store_fences_skip(f);
    for (uint32_t i = 0; i < leaf->count; i++) {
        leaf->heads[i] = store_tree_head(store_key_view(leaf->keys[i]), leaf->skip);
    }
}

void store_inner_refence(struct store_inner *inner, const struct store_fences *f)
{
    inner->skip = store_fences_skip(f);
    for (uint32_t i = 0; i + 1 < inner->count; i++) {
        inner->heads[i] = store_tree_head(store_separator_view(inner->seps[i]), inner->skip);
    }
}

static uint64_t bits_below(uint32_t n)
{
    return n == 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}

static void leaf_put(struct store_leaf *leaf, uint32_t slot, struct store_key *key)
{
    uint32_t after = leaf->count - slot;
    memmove(&leaf->heads[slot + 1], &leaf->heads[slot], after * sizeof leaf->heads[0]);
    memmove(&leaf->keys[slot + 1], &leaf->keys[slot], after * sizeof(struct store_key *));
    uint64_t low = bits_below(slot);
    leaf->live = (leaf->live & low) | ((leaf->live & ~low) << 1);
    leaf->heads[slot] = store_tree_head(store_key_view(key), leaf->skip);
    leaf->keys[slot] = key;
    leaf->count++;
}

static void inner_put(struct store_inner *inner, uint32_t left, struct store_separator *sep,
                      void *right, uint64_t right_live)
{
    uint32_t seps = inner->count - 1 - left;
    uint32_t children = inner->count - left - 1;
    memmove(&inner->heads[left + 1], &inner->heads[left], seps * sizeof inner->heads[0]);
    memmove(&inner->seps[left + 1], &inner->seps[left], seps * sizeof(void *));
    memmove(&inner->children[left + 2], &inner->children[left + 1], children * sizeof(void *));
    memmove(&inner->live[left + 2], &inner->live[left + 1], children * sizeof inner->live[0]);
    inner->heads[left] = store_tree_head(store_separator_view(sep), inner->skip);
    inner->seps[left] = sep;
    inner->children[left + 1] = right;
    inner->live[left + 1] = right_live;
    inner->live[left] -= right_live;
    inner->count++;
}

/* Moves the children from `from` on into a new node; returns it, and the separator that was between
 * the halves and now belongs to the parent. */
static struct store_inner *inner_split(struct store_tree *t, struct store_inner *inner,
                                       uint32_t from, struct store_separator **ret_sep)
{
    struct store_inner *right = store_slab_alloc(t->slab, sizeof *right);
    right->count = inner->count - from;
    right->skip = 0;
    memcpy(right->children, &inner->children[from], right->count * sizeof(void *));
    memcpy(right->live, &inner->live[from], right->count * sizeof right->live[0]);
    memcpy(right->seps, &inner->seps[from], (right->count - 1) * sizeof(void *));
    *ret_sep = inner->seps[from - 1];
    inner->count = from;
    return right;
}

static void tree_grow_root(struct store_tree *t, struct store_separator *sep, void *right,
                           uint64_t right_live)
{
    CHECK(t->height < STORE_TREE_DEPTH_MAX);
    struct store_inner *root = store_slab_alloc(t->slab, sizeof *root);
    root->count = 1;
    root->skip = 0;
    root->children[0] = t->root;
    root->live[0] = t->live;
    inner_put(root, 0, sep, right, right_live);
    t->root = root;
    t->height++;
}

/* Puts `right`, parted from its left sibling by `sep`, into the parent of `level`, splitting upward
 * as needed. A node that is split at its right edge stays full: keys often come in order. */
static void tree_put_child(struct store_tree *t, struct store_tree_path *path, uint32_t level,
                           struct store_separator *sep, void *right, uint64_t right_live)
{
    while (level > 0) {
        level--;
        struct store_inner *inner = path->inner[level];
        uint32_t left = path->child[level];
        if (inner->count < STORE_INNER_FANOUT) {
            inner_put(inner, left, sep, right, right_live);
            return;
        }
        struct store_fences f = store_path_fences(path, level);
        uint32_t from = left + 1 == inner->count ? inner->count - 1 : inner->count / 2;
        struct store_separator *middle;
        struct store_inner *half = inner_split(t, inner, from, &middle);
        if (left < from) {
            inner_put(inner, left, sep, right, right_live);
        } else {
            inner_put(half, left - from, sep, right, right_live);
        }
        struct bytes cut = store_separator_view(middle);
        store_inner_refence(inner, &(struct store_fences){f.lo, cut, f.has_lo, true});
        store_inner_refence(half, &(struct store_fences){cut, f.hi, true, f.has_hi});
        sep = middle;
        right = half;
        right_live = store_inner_live(half);
    }
    tree_grow_root(t, sep, right, right_live);
}

/* Splits a full leaf so that `key`, which belongs at `slot`, fits; returns the leaf and sets
 * `*slot` to where it goes now. */
static void leaf_split_insert(struct store_tree *t, struct store_tree_path *path,
                              struct store_key *key)
{
    struct store_leaf *leaf = path->pos.leaf;
    uint32_t slot = path->pos.slot;
    struct store_fences f = store_path_fences(path, t->height);
    uint32_t from = slot == leaf->count && leaf->next == NULL ? leaf->count : leaf->count / 2;

    struct store_leaf *right = store_slab_alloc(t->slab, sizeof *right);
    right->count = leaf->count - from;
    right->skip = 0;
    right->live = from == 64 ? 0 : leaf->live >> from;
    right->prev = leaf;
    right->next = leaf->next;
    if (right->next != NULL) {
        right->next->prev = right;
    }
    memcpy(right->keys, &leaf->keys[from], right->count * sizeof(struct store_key *));
    leaf->next = right;
    leaf->count = from;
    leaf->live &= bits_below(from);

    if (slot < from || (slot == from && right->count > 0)) {
        leaf_put(leaf, slot, key);
    } else {
        leaf_put(right, slot - from, key);
    }
    struct store_separator *sep = separator_between(t, store_key_view(leaf->keys[leaf->count - 1]),
                                                    store_key_view(right->keys[0]));
    struct bytes cut = store_separator_view(sep);
    store_leaf_refence(leaf, &(struct store_fences){f.lo, cut, f.has_lo, true});
    store_leaf_refence(right, &(struct store_fences){cut, f.hi, true, f.has_hi});
    tree_put_child(t, path, t->height, sep, right, store_leaf_live(right));
}

void store_tree_insert(struct store_tree *t, struct store_tree_path *path, struct store_key *key)
{
    t->keys++;
    if (path->pos.leaf->count < STORE_LEAF_FANOUT) {
        leaf_put(path->pos.leaf, path->pos.slot, key);
    } else {
        leaf_split_insert(t, path, key);
    }
}

/* Takes the separator after `left` and the child to its right out of a node. */
static void inner_drop(struct store_tree *t, struct store_inner *inner, uint32_t left)
{
    store_separator_free(t, inner->seps[left]);
    uint32_t seps = inner->count - 2 - left;
    uint32_t children = inner->count - left - 2;
    memmove(&inner->heads[left], &inner->heads[left + 1], seps * sizeof inner->heads[0]);
    memmove(&inner->seps[left], &inner->seps[left + 1], seps * sizeof(void *));
    inner->live[left] += inner->live[left + 1];
    memmove(&inner->children[left + 1], &inner->children[left + 2], children * sizeof(void *));
    memmove(&inner->live[left + 1], &inner->live[left + 2], children * sizeof inner->live[0]);
    inner->count--;
}

static void leaf_merge(struct store_tree *t, struct store_leaf *left, struct store_leaf *right,
                       const struct store_fences *f)
{
    memcpy(&left->keys[left->count], right->keys, right->count * sizeof(struct store_key *));
    if (right->count > 0) {
        left->live |= right->live << left->count;
    }
    left->count += right->count;
    left->next = right->next;
    if (left->next != NULL) {
        left->next->prev = left;
    }
    store_leaf_refence(left, f);
    store_slab_free(t->slab, right, sizeof *right);
}

static void inner_merge(struct store_tree *t, struct store_inner *left, struct store_inner *right,
                        struct bytes between, const struct store_fences *f)
{
    struct store_separator *sep = store_slab_alloc(t->slab, sizeof *sep + between.len);
    sep->len = (uint32_t)between.len;
    memcpy(sep->bytes, between.data, between.len);
    left->seps[left->count - 1] = sep;
    memcpy(&left->seps[left->count], right->seps, (right->count - 1) * sizeof(void *));
    memcpy(&left->children[left->count], right->children, right->count * sizeof(void *));
    memcpy(&left->live[left->count], right->live, right->count * sizeof right->live[0]);
    left->count += right->count;
    store_inner_refence(left, f);
    store_slab_free(t->slab, right, sizeof *right);
}

static uint32_t node_count(const void *node, bool is_leaf)
{
    return is_leaf ? ((const struct store_leaf *)node)->count
                   : ((const struct store_inner *)node)->count;
}

/* Merges the node at `level`, which is too small, with a sibling that fits; false if none does. */
static bool tree_merge_at(struct store_tree *t, struct store_tree_path *path, uint32_t level)
{
    struct store_inner *parent = path->inner[level - 1];
    uint32_t child = path->child[level - 1];
    bool is_leaf = level == t->height;
    uint32_t own = node_count(parent->children[child], is_leaf);
    uint32_t left = UINT32_MAX;
    if (child + 1 < parent->count &&
        own + node_count(parent->children[child + 1], is_leaf) <= merge_fits(is_leaf)) {
        left = child;
    } else if (child > 0 &&
               own + node_count(parent->children[child - 1], is_leaf) <= merge_fits(is_leaf)) {
        left = child - 1;
    }
    if (left == UINT32_MAX) {
        return false;
    }
    /* The merged node lies between the outer fences of both. */
    path->child[level - 1] = left;
    struct store_fences f = store_path_fences(path, level);
    path->child[level - 1] = left + 1;
    struct store_fences right_f = store_path_fences(path, level);
    f.hi = right_f.hi;
    f.has_hi = right_f.has_hi;
    if (is_leaf) {
        leaf_merge(t, parent->children[left], parent->children[left + 1], &f);
    } else {
        inner_merge(t, parent->children[left], parent->children[left + 1],
                    store_separator_view(parent->seps[left]), &f);
    }
    inner_drop(t, parent, left);
    return true;
}

void store_tree_remove(struct store_tree *t, struct store_tree_path *path)
{
    struct store_leaf *leaf = path->pos.leaf;
    uint32_t slot = path->pos.slot;
    CHECK(slot < leaf->count && (leaf->live >> slot & 1) == 0);
    uint32_t after = leaf->count - slot - 1;
    memmove(&leaf->heads[slot], &leaf->heads[slot + 1], after * sizeof leaf->heads[0]);
    memmove(&leaf->keys[slot], &leaf->keys[slot + 1], after * sizeof(struct store_key *));
    uint64_t low = bits_below(slot);
    leaf->live = (leaf->live & low) | ((leaf->live >> 1) & ~low);
    leaf->count--;
    t->keys--;

    uint32_t count = leaf->count;
    for (uint32_t level = t->height; level > 0 && count < merge_below(level == t->height);
         level--) {
        if (!tree_merge_at(t, path, level)) {
            break;
        }
        count = path->inner[level - 1]->count;
    }
    while (t->height > 0 && ((struct store_inner *)t->root)->count == 1) {
        struct store_inner *root = t->root;
        t->root = root->children[0];
        t->height--;
        store_slab_free(t->slab, root, sizeof *root);
    }
}

static void leaf_check(const struct store_leaf *leaf, const struct store_fences *f)
{
    CHECK(leaf->skip == store_fences_skip(f) && leaf->count <= STORE_LEAF_FANOUT);
    CHECK((leaf->live & ~bits_below(leaf->count)) == 0);
    CHECK(leaf->next == NULL || leaf->next->prev == leaf);
    for (uint32_t i = 0; i < leaf->count; i++) {
        struct bytes key = store_key_view(leaf->keys[i]);
        CHECK(!f->has_lo || store_bytes_cmp(f->lo, key) <= 0);
        CHECK(!f->has_hi || store_bytes_cmp(key, f->hi) < 0);
        CHECK(i == 0 || store_bytes_cmp(store_key_view(leaf->keys[i - 1]), key) < 0);
        CHECK(leaf->heads[i] == store_tree_head(key, leaf->skip));
        CHECK((leaf->live >> i & 1) == (store_key_is_live(leaf->keys[i]) ? 1u : 0u));
    }
}

/* Checks the node at `level` and all below it; returns its live keys. */
static uint64_t tree_check_node(const struct store_tree *t, struct store_tree_path *path,
                                void *node, uint32_t level, uint64_t *keys)
{
    struct store_fences f = store_path_fences(path, level);
    if (level == t->height) {
        leaf_check(node, &f);
        *keys += ((struct store_leaf *)node)->count;
        return store_leaf_live(node);
    }
    struct store_inner *inner = node;
    CHECK(inner->count >= 1 && inner->count <= STORE_INNER_FANOUT);
    CHECK(inner->skip == store_fences_skip(&f));
    path->inner[level] = inner;
    for (uint32_t i = 0; i < inner->count; i++) {
        path->child[level] = i;
        CHECK(tree_check_node(t, path, inner->children[i], level + 1, keys) == inner->live[i]);
        if (i + 1 < inner->count) {
            struct bytes sep = store_separator_view(inner->seps[i]);
            CHECK(inner->heads[i] == store_tree_head(sep, inner->skip));
        }
    }
    return store_inner_live(inner);
}

void store_tree_check(const struct store_tree *t)
{
    struct store_tree_path path = {0};
    uint64_t keys = 0;
    CHECK(tree_check_node(t, &path, t->root, 0, &keys) == t->live);
    CHECK(keys == t->keys);
}
