/* A circular doubly-linked list of embedded links. A link that is in no list points to itself. */
#ifndef NOVACRON_STORE_LINK_H
#define NOVACRON_STORE_LINK_H

#include "core/base/types.h"

struct store_link {
    struct store_link *prev;
    struct store_link *next;
};

/* What embeds the link as its `member`. */
#define STORE_LINK_OWNER(link, type, member)                                                       \
    ((type *)(void *)((uint8_t *)(link)-offsetof(type, member)))

static inline void store_link_init(struct store_link *l)
{
    l->prev = l;
    l->next = l;
}

/* Is a list empty, or a link in none? */
static inline bool store_link_is_alone(const struct store_link *l)
{
    return l->next == l;
}

static inline void store_link_append(struct store_link *list, struct store_link *l)
{
    l->prev = list->prev;
    l->next = list;
    l->prev->next = l;
    list->prev = l;
}

static inline void store_link_remove(struct store_link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    store_link_init(l);
}

#endif
