#include "core/store/store_watch_group.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/store/store_limits.h"

static int compare_ends(const struct store_span *a, const struct store_span *b)
{
    if (a->open || b->open) {
        return (a->open ? 1 : 0) - (b->open ? 1 : 0);
    }
    return store_bytes_cmp(a->end, b->end);
}

static struct store_watch_group *group_of(const struct store_avl_node *node)
{
    return (struct store_watch_group *)(uintptr_t)node;
}

static int group_compare(const void *key, const struct store_avl_node *node)
{
    const struct store_span *span = key;
    const struct store_watch_group *group = group_of(node);
    int order = store_bytes_cmp(span->first, group->span.first);
    return order != 0 ? order : compare_ends(span, &group->span);
}

static void group_update(struct store_avl_node *node)
{
    struct store_watch_group *group = group_of(node);
    group->furthest = group;
    const struct store_avl_node *children[] = {node->left, node->right};
    for (size_t i = 0; i < COUNT_OF(children); i++) {
        if (children[i] != NULL) {
            struct store_watch_group *far = group_of(children[i])->furthest;
            if (compare_ends(&far->span, &group->furthest->span) > 0) {
                group->furthest = far;
            }
        }
    }
}

void store_watch_groups_init(struct store_watch_groups *g)
{
    *g = (struct store_watch_groups){.tree = {.compare = group_compare, .update = group_update}};
}

static struct store_watch_group *group_make(const struct store_span *span)
{
    bool is_point = store_span_is_point(span);
    size_t end_len = is_point ? span->first.len + 1 : span->end.len;
    struct store_watch_group *group = mem_alloc_zero(sizeof *group + span->first.len + end_len);
    uint8_t *end = group->bytes + span->first.len;
    memcpy(group->bytes, span->first.data, span->first.len);
    if (is_point) {
        memcpy(end, span->first.data, span->first.len);
    } else if (end_len > 0) {
        memcpy(end, span->end.data, end_len);
    }
    group->span = (struct store_span){
        .first = {group->bytes, span->first.len},
        .end = {end, end_len},
        .open = span->open,
    };
    group->is_point = is_point;
    store_link_init(&group->clean);
    return group;
}

struct store_watch_group *store_watch_groups_get(struct store_watch_groups *g,
                                                 const struct store_span *span)
{
    CHECK(span->first.len > 0);
    struct store_watch_group *made = group_make(span);
    struct store_avl_node *found = store_avl_find(&g->tree, &made->span);
    if (found != NULL) {
        mem_free(made);
        return group_of(found);
    }
    store_avl_insert(&g->tree, &made->span, &made->node);
    return made;
}

void store_watch_groups_drop(struct store_watch_groups *g, struct store_watch_group *group)
{
    CHECK(group->watch_count == 0 && store_link_is_alone(&group->clean));
    CHECK(store_avl_remove(&g->tree, &group->span) == &group->node);
    mem_free(group);
}

void store_watch_groups_stab(const struct store_watch_groups *g, struct bytes key,
                             void (*visit)(struct store_watch_group *group, void *arg), void *arg)
{
    const struct store_avl_node *above[STORE_AVL_DEPTH_MAX];
    size_t depth = 0;
    const struct store_avl_node *node = g->tree.root;
    for (;;) {
        while (node != NULL && !store_span_is_past(&group_of(node)->furthest->span, key)) {
            CHECK(depth < STORE_AVL_DEPTH_MAX);
            above[depth++] = node;
            node = node->left;
        }
        if (depth == 0) {
            return;
        }
        node = above[--depth];
        struct store_watch_group *group = group_of(node);
        if (store_bytes_cmp(group->span.first, key) > 0) {
            return; /* so do all that are still to come: they are in order */
        }
        if (!store_span_is_past(&group->span, key)) {
            visit(group, arg);
        }
        node = node->right;
    }
}
