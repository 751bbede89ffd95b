/* Leases as the leader and its clients see them: renewals, expiry, and what is left. */
#include "core/store/store_int.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/store/store_pb.h"

void store_lease_promote(struct store *s, nanos now)
{
    store_leases_promote(&s->leases, now);
}

void store_lease_demote(struct store *s)
{
    store_leases_demote(&s->leases);
}

enum store_renewal store_lease_renew(struct store *s, int64_t id, nanos now, struct buf *response)
{
    if (!s->leases.armed) {
        return STORE_RENEW_NOT_LEADER;
    }
    struct store_lease *lease = store_leases_find(&s->leases, id);
    if (lease != NULL && lease->phase == STORE_LEASE_EXPIRING) {
        return STORE_RENEW_WAIT;
    }
    store_pb_put_i64(response, 2, id);
    if (lease == NULL) {
        return STORE_RENEW_GONE;
    }
    store_leases_renew(&s->leases, lease, now);
    store_pb_put_i64(response, 3, lease->ttl_s);
    return STORE_RENEWED;
}

size_t store_lease_due(struct store *s, nanos now, int64_t *ret_ids, size_t max)
{
    size_t n = 0;
    while (n < max) {
        const struct store_lease *lease = store_leases_next_due(&s->leases, now);
        if (lease == NULL) {
            break;
        }
        ret_ids[n++] = lease->id;
    }
    return n;
}

nanos store_lease_next_due(const struct store *s)
{
    return store_leases_next_deadline(&s->leases);
}

void store_lease_time_to_live(const struct store *s, int64_t id, bool keys, nanos now,
                              struct buf *response)
{
    store_pb_put_i64(response, 2, id);
    const struct store_lease *lease = store_leases_find(&s->leases, id);
    if (lease == NULL) {
        store_pb_put_i64(response, 3, -1);
        return;
    }
    int64_t left = lease->ttl_s;
    if (lease->phase == STORE_LEASE_EXPIRING) {
        left = 0;
    } else if (lease->phase == STORE_LEASE_ARMED) {
        left = (int64_t)(u64_sub_sat(lease->deadline, now) / NANOS_PER_S);
    }
    store_pb_put_i64(response, 3, left);
    store_pb_put_i64(response, 4, lease->ttl_s);
    if (keys) {
        struct store_key **attached = store_leases_keys(lease);
        for (uint64_t i = 0; i < lease->attachment_count; i++) {
            store_pb_put_bytes(response, 5, store_key_view(attached[i]));
        }
        mem_free(attached);
    }
}

void store_lease_list(const struct store *s, struct buf *response)
{
    for (const struct store_lease *lease = store_leases_above(&s->leases, INT64_MIN); lease != NULL;
         lease = store_leases_above(&s->leases, lease->id)) {
        size_t status = store_pb_open(response, 2);
        store_pb_put_i64(response, 1, lease->id);
        store_pb_close(response, status);
    }
}
