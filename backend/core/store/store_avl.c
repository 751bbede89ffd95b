#include "core/store/store_avl.h"

#include "core/base/check.h"
#include "core/store/store_limits.h"

/* The links from the root to a node: each the place that points to the next one. */
struct avl_path {
    struct store_avl_node **links[STORE_AVL_DEPTH_MAX];
    size_t count;
};

static int32_t avl_height(const struct store_avl_node *node)
{
    return node == NULL ? 0 : node->height;
}

static int32_t avl_balance(const struct store_avl_node *node)
{
    return avl_height(node->left) - avl_height(node->right);
}

static void avl_refresh(const struct store_avl *t, struct store_avl_node *node)
{
    int32_t left = avl_height(node->left);
    int32_t right = avl_height(node->right);
    node->height = 1 + (left > right ? left : right);
    if (t->update != NULL) {
        t->update(node);
    }
}

static struct store_avl_node *rotate_right(const struct store_avl *t, struct store_avl_node *node)
{
    struct store_avl_node *top = node->left;
    node->left = top->right;
    top->right = node;
    avl_refresh(t, node);
    avl_refresh(t, top);
    return top;
}

static struct store_avl_node *rotate_left(const struct store_avl *t, struct store_avl_node *node)
{
    struct store_avl_node *top = node->right;
    node->right = top->left;
    top->left = node;
    avl_refresh(t, node);
    avl_refresh(t, top);
    return top;
}

/* Restores balance and summaries from the end of the path up. */
static void avl_rebalance(const struct store_avl *t, struct avl_path *path)
{
    while (path->count > 0) {
        struct store_avl_node **link = path->links[--path->count];
        struct store_avl_node *node = *link;
        if (node == NULL) {
            continue;
        }
        avl_refresh(t, node);
        int32_t balance = avl_balance(node);
        if (balance > 1) {
            if (avl_balance(node->left) < 0) {
                node->left = rotate_left(t, node->left);
            }
            *link = rotate_right(t, node);
        } else if (balance < -1) {
            if (avl_balance(node->right) > 0) {
                node->right = rotate_right(t, node->right);
            }
            *link = rotate_left(t, node);
        }
    }
}

static void path_push(struct avl_path *path, struct store_avl_node **link)
{
    CHECK(path->count < STORE_AVL_DEPTH_MAX);
    path->links[path->count++] = link;
}

struct store_avl_node *store_avl_find(const struct store_avl *t, const void *key)
{
    struct store_avl_node *node = t->root;
    while (node != NULL) {
        int order = t->compare(key, node);
        if (order == 0) {
            return node;
        }
        node = order < 0 ? node->left : node->right;
    }
    return NULL;
}

struct store_avl_node *store_avl_seek(const struct store_avl *t, const void *key)
{
    struct store_avl_node *node = t->root;
    struct store_avl_node *best = NULL;
    while (node != NULL) {
        if (t->compare(key, node) <= 0) {
            best = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return best;
}

void store_avl_insert(struct store_avl *t, const void *key, struct store_avl_node *node)
{
    struct avl_path path = {.count = 0};
    struct store_avl_node **link = &t->root;
    while (*link != NULL) {
        int order = t->compare(key, *link);
        CHECK(order != 0);
        path_push(&path, link);
        link = order < 0 ? &(*link)->left : &(*link)->right;
    }
    *node = (struct store_avl_node){.height = 1};
    *link = node;
    path_push(&path, link);
    avl_rebalance(t, &path);
    t->count++;
}

struct store_avl_node *store_avl_remove(struct store_avl *t, const void *key)
{
    struct avl_path path = {.count = 0};
    struct store_avl_node **link = &t->root;
    for (;;) {
        CHECK(*link != NULL);
        int order = t->compare(key, *link);
        path_push(&path, link);
        if (order == 0) {
            break;
        }
        link = order < 0 ? &(*link)->left : &(*link)->right;
    }
    struct store_avl_node *node = *link;
    if (node->left == NULL || node->right == NULL) {
        *link = node->left != NULL ? node->left : node->right;
    } else {
        /* The next greater node takes the place of the one that goes. */
        size_t at = path.count;
        struct store_avl_node **below = &node->right;
        path_push(&path, below);
        while ((*below)->left != NULL) {
            below = &(*below)->left;
            path_push(&path, below);
        }
        struct store_avl_node *heir = *below;
        *below = heir->right;
        heir->left = node->left;
        heir->right = node->right;
        *link = heir;
        path.links[at] = &heir->right;
    }
    avl_rebalance(t, &path);
    t->count--;
    return node;
}

static int32_t avl_check_node(const struct store_avl_node *node)
{
    if (node == NULL) {
        return 0;
    }
    int32_t left = avl_check_node(node->left);
    int32_t right = avl_check_node(node->right);
    CHECK(left - right <= 1 && right - left <= 1);
    CHECK(node->height == 1 + (left > right ? left : right));
    return node->height;
}

void store_avl_check(const struct store_avl *t)
{
    CHECK(avl_check_node(t->root) < STORE_AVL_DEPTH_MAX);
}
