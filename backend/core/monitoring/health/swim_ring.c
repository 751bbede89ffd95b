#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/monitoring/health/swim_int.h"

/* Where a member stands on a ring: the same for all who know it. */
static uint64_t swim_ring_place(uint32_t ring, node_id id)
{
    return hash_u64(UINT64_C(0x72696e672d706c61) + ring, id);
}

static bool swim_ring_has(const node_id *ids, uint32_t n, node_id id)
{
    for (uint32_t i = 0; i < n; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

/* The living member next to `id` on one ring, in one direction: the least distance, around the
 * ring.
 */
static node_id swim_ring_next(const struct swim *s, uint32_t ring, node_id id, bool forward)
{
    uint64_t place = swim_ring_place(ring, id);
    uint64_t least = UINT64_MAX;
    node_id next = NODE_NONE;

    for (uint32_t i = 0; i < s->n_members; i++) {
        const struct swim_member *m = &s->members[i];
        uint64_t distance = 0;

        if (!swim_is_live(m) || m->id == id) {
            continue;
        }
        distance = swim_ring_place(ring, m->id) - place;
        distance = forward ? distance : 0 - distance;
        if (next == NODE_NONE || distance < least || (distance == least && m->id < next)) {
            least = distance;
            next = m->id;
        }
    }
    return next;
}

uint32_t swim_neighbours(const struct swim *s, node_id id, node_id ret[SWIM_OBSERVERS_MAX])
{
    uint32_t n = 0;

    /* In a small cluster everybody observes everybody. */
    if (s->n_live <= 2 * s->config.rings + 1) {
        for (uint32_t i = 0; i < s->n_members && n < SWIM_OBSERVERS_MAX; i++) {
            if (swim_is_live(&s->members[i]) && s->members[i].id != id) {
                ret[n++] = s->members[i].id;
            }
        }
        return n;
    }
    for (uint32_t ring = 0; ring < s->config.rings; ring++) {
        for (uint32_t side = 0; side < 2; side++) {
            node_id next = swim_ring_next(s, ring, id, side == 0);

            if (next != NODE_NONE && !swim_ring_has(ret, n, next)) {
                ret[n++] = next;
            }
        }
    }
    return n;
}
