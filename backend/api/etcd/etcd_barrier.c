/*
 * Linearizable reads share questions to Raft: all that came in one turn of the loop wait for one
 * node_read, and while ETCD_BARRIERS_MAX are under way, for the next one. A read may share a
 * question that was asked after it came, never one from before.
 */
#include "api/etcd/etcd_int.h"

struct barrier {
    struct node_read read;
    struct etcd_api *api;
    struct store_link waits;
    struct store_link all; /* in api->barriers */
};

void etcd_wait_begin(struct etcd_api *api, struct etcd_wait *wait)
{
    store_link_init(&wait->link);
    store_link_append(&api->waits, &wait->link);
    etcd_wake(api);
}

void etcd_wait_cancel(struct etcd_wait *wait)
{
    if (wait->link.next) {
        store_link_remove(&wait->link);
    }
}

static void barrier_end(struct barrier *b, enum err result)
{
    struct etcd_api *api = b->api;
    store_link_remove(&b->all);
    api->barrier_count--;
    while (!store_link_is_alone(&b->waits)) {
        struct etcd_wait *wait = STORE_LINK_OWNER(b->waits.next, struct etcd_wait, link);
        store_link_remove(&wait->link);
        wait->done(wait, result);
    }
    mem_free(b);
    if (!store_link_is_alone(&api->waits)) {
        etcd_wake(api);
    }
}

static void barrier_on_read(struct node_read *read)
{
    barrier_end(read->owner, read->result);
}

void etcd_barrier_begin(struct etcd_api *api)
{
    if (store_link_is_alone(&api->waits) || api->barrier_count == ETCD_BARRIERS_MAX) {
        return;
    }
    struct barrier *b = mem_alloc_zero(sizeof(*b));
    b->api = api;
    b->read.done = barrier_on_read;
    b->read.owner = b;
    /* The list of those that wait becomes this one's. */
    b->waits = api->waits;
    b->waits.next->prev = &b->waits;
    b->waits.prev->next = &b->waits;
    store_link_init(&api->waits);
    store_link_init(&b->all);
    store_link_append(&api->barriers, &b->all);
    api->barrier_count++;
    enum err result = api->node ? node_read(api->node, &b->read) : ERR_CLOSED;
    if (result != OK) {
        barrier_end(b, result);
    }
}

/* The node is gone and will not answer; those that waited went before. */
void etcd_barriers_free(struct etcd_api *api)
{
    while (!store_link_is_alone(&api->barriers)) {
        struct barrier *b = STORE_LINK_OWNER(api->barriers.next, struct barrier, all);
        store_link_remove(&b->all);
        api->barrier_count--;
        mem_free(b);
    }
}
