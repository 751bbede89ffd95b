#include "core/chaos/sim/simlessee.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/chaos/sim/simclient.h"
#include "core/chaos/sim/simclient_wire.h"

#define TTL_MIN_S   2
#define TTL_MAX_S   (SIMLEASE_TTL_MAX / NANOS_PER_S)
#define RETRY_AFTER (100 * NANOS_PER_MS)

/* What it is doing; the request of that step is under way, or its timer is set. */
enum lessee_step { LESSEE_GRANTS, LESSEE_PUTS, LESSEE_RENEWS, LESSEE_REVOKES, LESSEE_WAITS_END };

struct simlessee {
    struct simlessees *all;
    uint32_t i;
    struct prng prng;
    struct world_timer timer;
    enum lessee_step step;
    int64_t lease;
    int64_t ttl_s;
    uint32_t renewals_left;
    uint32_t at;
    bool is_asking; /* a request is under way */
    nanos asked;
    struct node_request request;
    struct node_read read;
    struct buf body;
};

static void note_lease(struct simlessee *lessee, enum simlease_note_kind kind, nanos called)
{
    struct simlessees *l = lessee->all;

    mem_grow((void **)&l->notes, &l->note_cap, l->note_count + 1, sizeof *l->notes);
    l->notes[l->note_count++] = (struct simlease_note){.kind = kind,
                                                       .lease = lessee->lease,
                                                       .ttl_s = lessee->ttl_s,
                                                       .called = called,
                                                       .returned = world_now(l->world)};
}

static void lessee_later(struct simlessee *lessee, nanos span)
{
    world_timer_set(lessee->all->world, &lessee->timer, world_now(lessee->all->world) + span);
}

/* With a lease of its own again: the one before is left to run out. */
static void lessee_begins_anew(struct simlessee *lessee)
{
    lessee->step = LESSEE_GRANTS;
    lessee->lease = ++lessee->all->next_lease;
    lessee->ttl_s = (int64_t)prng_range(&lessee->prng, TTL_MIN_S, TTL_MAX_S);
    lessee->renewals_left = (uint32_t)prng_below(&lessee->prng, 12);
}

static nanos renewal_pause(struct simlessee *lessee)
{
    return prng_range(&lessee->prng, 1, (uint64_t)lessee->ttl_s * NANOS_PER_S / 2);
}

/* --- requests --------------------------------------------------------------------------------- */

static void lessee_answered(struct node_request *request)
{
    struct simlessee *lessee = request->owner;
    bool is_done = request->result == OK && request->status == STORE_OK;

    lessee->is_asking = false;
    if (lessee->step == LESSEE_GRANTS && is_done) {
        note_lease(lessee, SIMLEASE_GRANTED, lessee->asked);
        lessee->step = LESSEE_PUTS;
        lessee_later(lessee, 1);
    } else if (lessee->step == LESSEE_GRANTS && request->result == OK) {
        lessee_begins_anew(lessee);
        lessee_later(lessee, RETRY_AFTER);
    } else if (lessee->step == LESSEE_PUTS && request->result == OK) {
        if (request->status == STORE_LEASE_NOT_FOUND) {
            note_lease(lessee, SIMLEASE_GONE, lessee->asked);
            lessee_begins_anew(lessee);
        } else {
            lessee->step = LESSEE_RENEWS;
        }
        lessee_later(lessee, renewal_pause(lessee));
    } else if (lessee->step == LESSEE_REVOKES && request->result == OK) {
        lessee_begins_anew(lessee);
        lessee_later(lessee, RETRY_AFTER);
    } else {
        lessee->at++;
        lessee_later(lessee, RETRY_AFTER);
    }
}

static void lessee_confirmed(struct node_read *read)
{
    struct simlessee *lessee = read->owner;
    struct simlessees *l = lessee->all;
    struct simmember *m = &l->cluster->member[lessee->at % l->cluster->n];
    struct store *store = read->result == OK ? node_store(m->node) : NULL;
    enum store_renewal renewal = STORE_RENEW_NOT_LEADER;

    lessee->is_asking = false;
    if (store != NULL) {
        struct buf response;
        buf_init(&response);
        /* On the node's clock, as the API would. */
        renewal =
            store_lease_renew(store, lessee->lease, world_now(simhost_world(m->host)), &response);
        buf_deinit(&response);
    }
    if (renewal == STORE_RENEWED) {
        note_lease(lessee, SIMLEASE_RENEWED, lessee->asked);
        lessee->renewals_left -= lessee->renewals_left > 0;
        lessee_later(lessee, lessee->step == LESSEE_WAITS_END
                                 ? 3 * (nanos)lessee->ttl_s * NANOS_PER_S / 2
                                 : renewal_pause(lessee));
    } else if (renewal == STORE_RENEW_GONE) {
        note_lease(lessee, SIMLEASE_GONE, lessee->asked);
        lessee_begins_anew(lessee);
        lessee_later(lessee, RETRY_AFTER);
    } else {
        lessee_later(lessee, RETRY_AFTER);
    }
}

static void lessee_encode(struct simlessee *lessee)
{
    uint8_t name[SIM_KEY_BYTES];

    buf_clear(&lessee->body);
    lessee->request = (struct node_request){.done = lessee_answered, .owner = lessee};
    if (lessee->step == LESSEE_GRANTS) {
        lessee->request.kind = STORE_KIND_LEASE_GRANT;
        simclient_encode_grant(&lessee->body, lessee->ttl_s, lessee->lease);
    } else if (lessee->step == LESSEE_PUTS) {
        simclient_key(SIM_KEYS_MAX + (uint32_t)(lessee->lease % SIM_KEYS_MAX), name);
        lessee->request.kind = STORE_KIND_PUT;
        simclient_encode_put(&lessee->body, (struct bytes){name, sizeof name},
                             (uint64_t)lessee->lease, 8, lessee->lease);
    } else {
        lessee->request.kind = STORE_KIND_LEASE_REVOKE;
        simclient_encode_revoke(&lessee->body, lessee->lease);
    }
    lessee->request.body = buf_view(&lessee->body);
}

/* One that waits for the end of its lease asks for it by renewing: a lease that has not ended then
 * lives on, and the wait begins anew. */
static bool is_renewal(const struct simlessee *lessee)
{
    return lessee->step == LESSEE_RENEWS || lessee->step == LESSEE_WAITS_END;
}

static void lessee_asks(struct simlessee *lessee)
{
    struct simlessees *l = lessee->all;
    struct simmember *leader = simcluster_leader(l->cluster);
    enum err refused;

    if (is_renewal(lessee) && leader != NULL) {
        lessee->at = leader->i;
    }
    uint32_t at = lessee->at % l->cluster->n;
    struct simmember *m = &l->cluster->member[at];
    lessee->asked = world_now(l->world);
    if (!simmember_serves(m) || simhost_is_paused(m->host)) {
        lessee->at++;
        lessee_later(lessee, RETRY_AFTER);
        return;
    }
    if (is_renewal(lessee)) {
        lessee->read = (struct node_read){.done = lessee_confirmed, .owner = lessee};
        refused = node_read(m->node, &lessee->read);
    } else {
        lessee_encode(lessee);
        if (lessee->step == LESSEE_REVOKES) {
            note_lease(lessee, SIMLEASE_REVOKED, lessee->asked);
        }
        refused = node_propose(m->node, &lessee->request);
    }
    lessee->is_asking = refused == OK;
    l->touched(l->ctx, at);
    if (!lessee->is_asking) {
        lessee->at++;
        lessee_later(lessee, RETRY_AFTER);
    }
}

static void lessee_timer(struct world_timer *timer)
{
    struct simlessee *lessee = timer->owner;

    if (lessee->all->are_stopping) {
        return;
    }
    if (lessee->step == LESSEE_RENEWS && lessee->renewals_left == 0) {
        /* Half of them are revoked, the others run out; whether they end is asked by renewing. */
        if (prng_chance(&lessee->prng, 1, 2)) {
            lessee->step = LESSEE_REVOKES;
        } else {
            lessee->step = LESSEE_WAITS_END;
            lessee_later(lessee, 3 * (nanos)lessee->ttl_s * NANOS_PER_S / 2);
            return;
        }
    }
    lessee_asks(lessee);
}

/* --- life ------------------------------------------------------------------------------------- */

void simlessees_init(struct simlessees *l, struct simcluster *cluster, const struct prng *root)
{
    memset(l, 0, sizeof *l);
    l->cluster = cluster;
    l->count = cluster->settings->lessees;
    CHECK(l->count <= SIM_LESSEES_MAX);
    l->world = simhost_world(simhost_new(cluster->world, "lessees", 0));
    l->lessee = mem_alloc_zero(SIM_LESSEES_MAX * sizeof *l->lessee);
    for (uint32_t k = 0; k < l->count; k++) {
        struct simlessee *lessee = &l->lessee[k];
        *lessee = (struct simlessee){.all = l, .i = k, .at = k};
        lessee->prng = prng_fork(root, SIM_STREAM_CLIENTS + SIM_CLIENTS_MAX + SIM_LESSEES_MAX + k);
        lessee->timer = (struct world_timer){.fire = lessee_timer, .owner = lessee};
        buf_init(&lessee->body);
        lessee_begins_anew(lessee);
    }
}

void simlessees_deinit(struct simlessees *l)
{
    for (uint32_t k = 0; k < l->count; k++) {
        buf_deinit(&l->lessee[k].body);
    }
    mem_free(l->lessee);
    mem_free(l->notes);
}

void simlessees_start(struct simlessees *l)
{
    for (uint32_t k = 0; k < l->count; k++) {
        lessee_later(&l->lessee[k], k + 1);
    }
}

void simlessees_stop(struct simlessees *l)
{
    l->are_stopping = true;
}

void simlessees_member_gone(struct simlessees *l, uint32_t i)
{
    for (uint32_t k = 0; k < l->count; k++) {
        struct simlessee *lessee = &l->lessee[k];
        if (lessee->is_asking && lessee->at % l->cluster->n == i) {
            lessee->is_asking = false;
            lessee->at++;
            lessee_later(lessee, RETRY_AFTER);
        }
    }
}
