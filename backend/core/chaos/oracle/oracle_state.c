/*
 * What is applied: the same entries everywhere (I5), which make the same state (I32), each proposal
 * once (I33); and the memberships, of which the oracle keeps its own history by the committed
 * entries, and which every node must have as of what it has applied (I32, I20). Neighbouring ones
 * have no quorums that miss each other (I15).
 */
#include <string.h>

#include "core/chaos/oracle/oracle_int.h"
#include "core/store/store_int.h"

/* Voters of two memberships together for which all their quorums are tried. */
#define ORACLE_OVERLAP_VOTERS 16

/* --- the store ------------------------------------------------------------------------------- */

bool oracle_holds_state(const struct oracle_host *h)
{
    return !h->is_witness && !h->node->is_witness;
}

static struct oracle_effect state_effect(const struct store *s)
{
    return (struct oracle_effect){.chain = s->mvcc.chain,
                                  .live_sum = s->mvcc.live_sum,
                                  .lease_sum = s->leases.sum,
                                  .compact_revision = s->mvcc.compact_revision,
                                  .feature_level = s->feature_level};
}

static bool state_same_effect(const struct oracle_effect *a, const struct oracle_effect *b)
{
    return a->chain == b->chain && a->live_sum == b->live_sum && a->lease_sum == b->lease_sum &&
           a->compact_revision == b->compact_revision && a->feature_level == b->feature_level;
}

/* The state after `applied`, against that of whoever was there first. */
static void state_compare(struct oracle *o, const struct oracle_host *h)
{
    const struct store *s = h->node->store;
    struct oracle_place *place = oracle_place_get(o, h->applied);
    if (!place || !s || !oracle_holds_state(h) || store_applied_index(s) == 0) {
        return; /* the state that a group is founded with has applied nothing */
    }
    if (store_applied_index(s) != h->applied) {
        ORACLE_BLAME(o, h, "I32", "node % applied entry %, and its store has reached entry %",
                     h->id, h->applied, store_applied_index(s));
        return;
    }
    uint64_t hash = store_hash(s);
    if (place->has_state && place->state != hash) {
        ORACLE_BLAME(o, h, "I32", "node % has another state after entry % than others had", h->id,
                     h->applied);
    }
    o->counts.states += place->has_state;
    place->has_state = true;
    place->state = hash;
}

void oracle_begin_state(struct oracle *o, struct oracle_host *h)
{
    if (h->node->applied == h->applied && h->node->store) {
        state_compare(o, h);
        h->effect = state_effect(h->node->store);
        h->has_effect = true;
    }
}

/* A snapshot took the place of the state. */
void oracle_look_at_state(struct oracle *o, struct oracle_host *h)
{
    raft_index applied = h->node->applied;
    if (applied == h->applied) {
        return;
    }
    if (applied < h->applied) {
        ORACLE_BLAME(o, h, "I36", "node % had applied entry %, and now has entry %", h->id,
                     h->applied, applied);
    }
    if (applied > o->committed) {
        ORACLE_BLAME(o, h, "I5", "node % installed a snapshot of entry %, and % are committed",
                     h->id, applied, o->committed);
    }
    o->counts.installs++;
    h->applied = applied;
    h->has_effect = false;
    state_compare(o, h);
}

static void state_applied_once(struct oracle *o, struct oracle_host *h, const struct raft_entry *e,
                               const struct oracle_effect *now)
{
    struct store_envelope envelope;
    bool is_proposal = e->type == RAFT_ENTRY_NORMAL && e->payload.len > 0 &&
                       store_envelope_decode(e->payload, &envelope) == OK;
    uint32_t *first =
        is_proposal ? oracle_first_applied(o, envelope.origin, envelope.boot, envelope.sequence)
                    : NULL;
    if (!first) {
        return;
    }
    if (*first == 0) {
        *first = (uint32_t)e->index;
        return;
    }
    if (*first == e->index) {
        return;
    }
    o->counts.copies++;
    if (h->has_effect && !state_same_effect(&h->effect, now)) {
        ORACLE_BLAME(o, h, "I33",
                     "the proposal % of node %, boot %, was applied with entry %, and took effect "
                     "again with entry %",
                     envelope.sequence, envelope.origin, envelope.boot, *first, e->index);
    }
}

/* --- memberships ----------------------------------------------------------------------------- */

/* The voters of two memberships as bits, and their halves as sets of these. */
struct members_voters {
    node_id id[2 * RAFT_MEMBERS_MAX];
    unsigned count;
    uint64_t half[2][2]; /* of which membership, incoming or outgoing */
};

static unsigned members_bit(struct members_voters *v, node_id id)
{
    for (unsigned i = 0; i < v->count; i++) {
        if (v->id[i] == id) {
            return i;
        }
    }
    v->id[v->count] = id;
    return v->count++;
}

static void members_gather(struct members_voters *v, unsigned which,
                           const struct raft_membership *ms)
{
    for (uint32_t i = 0; i < ms->n; i++) {
        const struct raft_member *m = &ms->member[i];
        if (raft_member_votes(m)) {
            uint64_t bit = (uint64_t)1 << members_bit(v, m->id);
            v->half[which][0] |= m->roles & RAFT_VOTER ? bit : 0;
            v->half[which][1] |= m->roles & RAFT_VOTER_OUTGOING ? bit : 0;
        }
    }
}

static unsigned members_in(uint64_t set)
{
    unsigned n = 0;
    for (; set != 0; set &= set - 1) {
        n++;
    }
    return n;
}

static bool members_decide(const uint64_t half[2], uint64_t set)
{
    for (int k = 0; k < 2; k++) {
        unsigned n = members_in(half[k]);
        if (n > 0 && 2 * members_in(half[k] & set) <= n) {
            return false;
        }
    }
    return true;
}

/* Tries all ways to split the voters in two. */
bool oracle_members_overlap(const struct raft_membership *a, const struct raft_membership *b)
{
    struct members_voters v;
    memset(&v, 0, sizeof(v));
    members_gather(&v, 0, a);
    members_gather(&v, 1, b);
    if (v.count > ORACLE_OVERLAP_VOTERS) {
        return true; /* more than any run has */
    }
    uint64_t all = ((uint64_t)1 << v.count) - 1;
    for (uint64_t set = 0; set <= all; set++) {
        if (members_decide(v.half[0], set) && members_decide(v.half[1], all & ~set)) {
            return false;
        }
    }
    return true;
}

static bool members_same(const struct raft_membership *a, const struct raft_membership *b)
{
    if (a->n != b->n || a->lineage != b->lineage || a->auto_leave != b->auto_leave ||
        a->in_sync_since != b->in_sync_since) {
        return false;
    }
    for (uint32_t i = 0; i < a->n; i++) {
        const struct raft_member *x = &a->member[i];
        const struct raft_member *y = &b->member[i];
        if (x->id != y->id || ((x->roles ^ y->roles) & (uint8_t)~RAFT_FRESH) != 0 ||
            x->priority != y->priority) {
            return false;
        }
    }
    return true;
}

const struct raft_membership *oracle_members_at(const struct oracle *o, raft_index index)
{
    size_t at = o->membership_count;
    while (at > 0 && o->membership[at - 1].index > index) {
        at--;
    }
    return at == 0 || index > o->membership_applied ? NULL : &o->membership[at - 1].members;
}

static void members_check_in_sync(struct oracle *o, const struct oracle_host *h,
                                  const struct raft_membership *ms)
{
    unsigned in_sync = 0;
    for (uint32_t i = 0; i < ms->n; i++) {
        const struct raft_member *m = &ms->member[i];
        in_sync += (m->roles & RAFT_IN_SYNC) != 0;
        if ((m->roles & RAFT_IN_SYNC) && !raft_member_is_full_voter(m)) {
            ORACLE_BLAME(o, h, "I20", "node % takes node %, no full voter, for in sync", h->id,
                         m->id);
        }
    }
    if ((in_sync > 0) != raft_membership_has_witness(ms)) {
        ORACLE_BLAME(o, h, "I20", "node % has % members in sync", h->id, in_sync);
    }
}

void oracle_look_at_members(struct oracle *o, struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    if (r->membership.n == 0) {
        return; /* it has not been told of any group yet */
    }
    if (!members_same(&h->members, &r->membership)) {
        o->counts.memberships++;
        h->members = r->membership;
        members_check_in_sync(o, h, &r->membership);
    }
    const struct raft_membership *truth = oracle_members_at(o, r->log.applied);
    if (truth && !h->is_forced && !members_same(truth, &r->membership)) {
        ORACLE_BLAME(o, h, "I32",
                     "node % has applied entry %, and has other members than that says", h->id,
                     r->log.applied);
    }
}

static void members_change(struct oracle *o, const struct oracle_host *h,
                           const struct raft_entry *e)
{
    struct raft_membership next = o->membership[o->membership_count - 1].members;
    struct raft_conf_change change;
    bool is_forced = false;
    if (e->type == RAFT_ENTRY_IN_SYNC) {
        if (!raft_in_sync_change(&next, e->index, e->payload)) {
            return;
        }
    } else {
        if (raft_conf_change_decode(e->payload, &change) != OK ||
            raft_membership_apply(&next, &change, &next) != RAFT_CHANGE_OK) {
            return; /* skipped, by every member alike */
        }
        is_forced = change.transition == RAFT_TRANSITION_FORCED;
        if (raft_membership_has_witness(&next) && next.in_sync_since == 0) {
            next.in_sync_since = e->index;
        }
    }
    for (uint32_t i = 0; i < next.n; i++) {
        next.member[i].roles &= (uint8_t)~RAFT_FRESH;
        for (uint32_t k = 0; k < o->host_count && next.member[i].roles & RAFT_WITNESS; k++) {
            o->host[k].is_witness = o->host[k].is_witness || o->host[k].id == next.member[i].id;
        }
    }
    const struct raft_membership *before = &o->membership[o->membership_count - 1].members;
    if (!is_forced && !oracle_members_overlap(before, &next)) {
        ORACLE_BLAME(o, h, "I15", "the members after entry % have a quorum without any of before",
                     e->index);
    }
    mem_grow((void **)&o->membership, &o->membership_cap, o->membership_count + 1,
             sizeof(o->membership[0]));
    o->membership[o->membership_count++] = (struct oracle_membership){e->index, next};
}

/* --- one entry ------------------------------------------------------------------------------- */

static void state_compare_entry(struct oracle *o, const struct oracle_host *h,
                                const struct raft_entry *e)
{
    const struct oracle_place *place = oracle_place_find(o, e->index);
    if (e->index > o->committed) {
        ORACLE_BLAME(o, h, "I35", "node % applies entry %, and % are committed", h->id, e->index,
                     o->committed);
        return;
    }
    if (place->committed != e->term) {
        ORACLE_BLAME(o, h, "I5",
                     "node % applies entry % of term %, and that of term % is committed", h->id,
                     e->index, e->term, place->committed);
        return;
    }
    struct oracle_entry *known = oracle_entry_find(o, e->index, e->term);
    if (!known || (!oracle_holds_state(h) && e->type == RAFT_ENTRY_NORMAL)) {
        return;
    }
    uint64_t hash = oracle_hash_of(e);
    if (known->has_body && known->hash != hash) {
        ORACLE_BLAME(o, h, "I5",
                     "node % applies entry % of term % with another payload than others", h->id,
                     e->index, e->term);
    }
    known->has_body = true;
    known->hash = hash;
}

void oracle_applied_one(struct oracle *o, struct oracle_host *h, const struct raft_entry *e)
{
    state_compare_entry(o, h, e);
    if (e->index > o->committed) {
        return;
    }
    if (e->index == o->membership_applied + 1) {
        o->membership_applied = e->index;
        if (e->type != RAFT_ENTRY_NORMAL && o->membership_count > 0) {
            members_change(o, h, e);
        }
    }
    if (!oracle_holds_state(h) || !h->node->store) {
        return;
    }
    struct oracle_effect now = state_effect(h->node->store);
    if (!o->place[e->index].has_state) {
        state_applied_once(o, h, e, &now);
    }
    state_compare(o, h);
    h->effect = now;
    h->has_effect = true;
}
