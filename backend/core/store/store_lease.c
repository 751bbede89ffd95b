#include "core/store/store_lease.h"

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/mem.h"
#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/base/sort.h"
#include "core/store/store_bytes.h"
#include "core/store/store_slab.h"

static int lease_compare(const void *key, const struct store_avl_node *node)
{
    int64_t id = *(const int64_t *)key;
    int64_t other = ((const struct store_lease *)(const void *)node)->id;
    return (id > other) - (id < other);
}

static uint64_t lease_hash(const struct store_lease *lease)
{
    return hash_u64(hash_u64(0, (uint64_t)lease->id), (uint64_t)lease->ttl_s);
}

void store_leases_init(struct store_leases *l, struct store_slab *slab)
{
    *l = (struct store_leases){.slab = slab, .by_id = {.compare = lease_compare}};
}

static void attachment_free(struct store_leases *l, struct store_attachment *a)
{
    if (a->prev != NULL) {
        a->prev->next = a->next;
    } else {
        a->lease->attachments = a->next;
    }
    if (a->next != NULL) {
        a->next->prev = a->prev;
    }
    a->lease->attachment_count--;
    l->attachment_count--;
    a->key->attachment = NULL;
    store_slab_free(l->slab, a, sizeof *a);
}

void store_leases_deinit(struct store_leases *l)
{
    while (l->by_id.root != NULL) {
        struct store_lease *lease = (void *)l->by_id.root;
        while (lease->attachments != NULL) {
            attachment_free(l, lease->attachments);
        }
        store_leases_remove(l, lease);
    }
    mem_free(l->heap);
    *l = (struct store_leases){0};
}

struct store_lease *store_leases_find(const struct store_leases *l, int64_t id)
{
    return (void *)store_avl_find(&l->by_id, &id);
}

struct store_lease *store_leases_above(const struct store_leases *l, int64_t id)
{
    if (id == INT64_MAX) {
        return NULL;
    }
    int64_t above = id + 1;
    return (void *)store_avl_seek(&l->by_id, &above);
}

static bool lease_is_sooner(const struct store_lease *a, const struct store_lease *b)
{
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->id < b->id;
}

static void heap_place(struct store_leases *l, size_t at, struct store_lease *lease)
{
    l->heap[at] = lease;
    lease->heap_at = at;
}

/* Moves the lease at `at` to where its deadline belongs. */
static void heap_settle(struct store_leases *l, size_t at)
{
    struct store_lease *lease = l->heap[at];
    while (at > 0 && lease_is_sooner(lease, l->heap[(at - 1) / 2])) {
        heap_place(l, at, l->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= l->heap_count) {
            break;
        }
        if (child + 1 < l->heap_count && lease_is_sooner(l->heap[child + 1], l->heap[child])) {
            child++;
        }
        if (!lease_is_sooner(l->heap[child], lease)) {
            break;
        }
        heap_place(l, at, l->heap[child]);
        at = child;
    }
    heap_place(l, at, lease);
}

static void heap_add(struct store_leases *l, struct store_lease *lease)
{
    void *heap = l->heap;
    mem_grow(&heap, &l->heap_cap, l->heap_count + 1, sizeof(struct store_lease *));
    l->heap = heap;
    heap_place(l, l->heap_count++, lease);
    heap_settle(l, lease->heap_at);
}

static void heap_drop(struct store_leases *l, struct store_lease *lease)
{
    CHECK(l->heap_count > 0 && l->heap[lease->heap_at] == lease);
    size_t at = lease->heap_at;
    struct store_lease *last = l->heap[--l->heap_count];
    if (last != lease) {
        heap_place(l, at, last);
        heap_settle(l, at);
    }
}

static nanos lease_span(int64_t seconds)
{
    uint64_t s = seconds < 1 ? 1 : (uint64_t)seconds;
    return s > UINT64_MAX / NANOS_PER_S ? NANOS_FOREVER : s * NANOS_PER_S;
}

static void lease_arm(struct store_leases *l, struct store_lease *lease, nanos deadline,
                      enum store_lease_phase phase)
{
    lease->deadline = deadline;
    if (lease->phase == STORE_LEASE_IDLE) {
        lease->phase = phase;
        heap_add(l, lease);
    } else {
        lease->phase = phase;
        heap_settle(l, lease->heap_at);
    }
}

struct store_lease *store_leases_add(struct store_leases *l, int64_t id, int64_t ttl_s, nanos now)
{
    struct store_lease *lease = store_slab_alloc(l->slab, sizeof *lease);
    *lease = (struct store_lease){.id = id, .ttl_s = ttl_s};
    store_avl_insert(&l->by_id, &id, &lease->node);
    l->sum += lease_hash(lease);
    if (l->armed) {
        lease_arm(l, lease, u64_add_sat(now, lease_span(ttl_s)), STORE_LEASE_ARMED);
    }
    return lease;
}

void store_leases_remove(struct store_leases *l, struct store_lease *lease)
{
    CHECK(lease->attachments == NULL && lease->attachment_count == 0);
    if (lease->phase != STORE_LEASE_IDLE) {
        heap_drop(l, lease);
    }
    l->sum -= lease_hash(lease);
    CHECK(store_avl_remove(&l->by_id, &lease->id) == &lease->node);
    store_slab_free(l->slab, lease, sizeof *lease);
}

void store_leases_attach(struct store_leases *l, struct store_key *key, int64_t id)
{
    if (key->attachment != NULL) {
        if (key->attachment->lease->id == id) {
            return;
        }
        attachment_free(l, key->attachment);
    }
    struct store_lease *lease = id == 0 ? NULL : store_leases_find(l, id);
    if (lease == NULL) {
        return;
    }
    struct store_attachment *a = store_slab_alloc(l->slab, sizeof *a);
    *a = (struct store_attachment){.key = key, .lease = lease, .next = lease->attachments};
    if (a->next != NULL) {
        a->next->prev = a;
    }
    lease->attachments = a;
    lease->attachment_count++;
    l->attachment_count++;
    key->attachment = a;
}

static int compare_attached(const void *a, const void *b)
{
    const struct store_key *const *left = a;
    const struct store_key *const *right = b;
    return store_bytes_cmp(store_key_view(*left), store_key_view(*right));
}

struct store_key **store_leases_keys(const struct store_lease *lease)
{
    if (lease->attachment_count == 0) {
        return NULL;
    }
    struct store_key **keys =
        mem_realloc_array(NULL, (size_t)lease->attachment_count, sizeof(struct store_key *));
    size_t n = 0;
    for (const struct store_attachment *a = lease->attachments; a != NULL; a = a->next) {
        keys[n++] = a->key;
    }
    CHECK(n == lease->attachment_count);
    sort_items(keys, n, sizeof(struct store_key *), compare_attached);
    return keys;
}

void store_leases_promote(struct store_leases *l, nanos now)
{
    l->armed = true;
    for (struct store_lease *lease = store_leases_above(l, INT64_MIN); lease != NULL;
         lease = store_leases_above(l, lease->id)) {
        PROBE(STORE_LEASE_REARMED);
        nanos span = lease_span(MUTANT(KV_LEASE_NOT_REARMED) ? 1 : lease->ttl_s);
        lease_arm(l, lease, u64_add_sat(now, span), STORE_LEASE_ARMED);
    }
}

void store_leases_demote(struct store_leases *l)
{
    l->armed = false;
    for (size_t i = 0; i < l->heap_count; i++) {
        l->heap[i]->phase = STORE_LEASE_IDLE;
    }
    l->heap_count = 0;
}

void store_leases_renew(struct store_leases *l, struct store_lease *lease, nanos now)
{
    CHECK(lease->phase == STORE_LEASE_ARMED);
    lease_arm(l, lease, u64_add_sat(now, lease_span(lease->ttl_s)), STORE_LEASE_ARMED);
}

struct store_lease *store_leases_next_due(struct store_leases *l, nanos now)
{
    if (l->heap_count == 0 || l->heap[0]->deadline > now) {
        return NULL;
    }
    struct store_lease *lease = l->heap[0];
    PROBE(STORE_LEASE_DUE);
    lease_arm(l, lease, u64_add_sat(now, STORE_LEASE_RETRY_NS), STORE_LEASE_EXPIRING);
    return lease;
}

nanos store_leases_next_deadline(const struct store_leases *l)
{
    return l->heap_count == 0 ? NANOS_FOREVER : l->heap[0]->deadline;
}
