/* Elections: who leads (I1, I4, I19), who voted for whom (I23), and what an impaired node may not
 * do (I22). */
#include "core/chaos/oracle/oracle_int.h"

/* --- leaders --------------------------------------------------------------------------------- */

bool oracle_log_has_truth(const struct oracle *o, const struct raft_log *log, raft_index index)
{
    const struct oracle_place *place = oracle_place_find(o, index);
    bool known = place && place->committed != 0;
    return index < log->snapshot_index || (known && raft_log_matches(log, index, place->committed));
}

static void lead_check_votes(struct oracle *o, const struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    bool has[RAFT_MEMBERS_MAX];
    uint64_t votes = 0;
    for (uint32_t i = 0; i < r->membership.n; i++) {
        const struct oracle_host *voter = oracle_host_of(o, r->membership.member[i].id);
        const struct oracle_mark *vote = voter ? oracle_mark_find(&voter->votes, r->term) : NULL;
        has[i] = vote && vote->value == h->id;
        votes += has[i];
    }
    if (!oracle_is_quorum(&r->membership, has)) {
        ORACLE_BLAME(o, h, "I1", "node % leads term % with the votes of % of % members", h->id,
                     r->term, votes, r->membership.n);
    }
}

/* What was committed in earlier terms is in its log. A candidate of an old term may still win it,
 * late, and knows nothing of what newer terms committed. */
static void lead_check_log(struct oracle *o, const struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    raft_index index = o->committed;
    while (index > 0 && o->place[index].committed != 0 && o->place[index].known_in >= r->term) {
        index--;
    }
    /* With the last of them it has all before it: the register makes sure of that (I3). */
    if (index > 0 && o->place[index].committed != 0 && !oracle_log_has_truth(o, &r->log, index)) {
        ORACLE_BLAME(o, h, "I4",
                     "node % leads term % without entry %, which term % committed in term %", h->id,
                     r->term, index, o->place[index].known_in, o->place[index].committed);
    }
}

/* Of those changes of the in-sync set that its log holds, the last one decides. */
static void lead_check_in_sync(struct oracle *o, const struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    const struct raft_member *own = raft_membership_lookup(&r->membership, h->id);
    if (h->is_witness || (own && (own->roles & RAFT_WITNESS))) {
        ORACLE_BLAME(o, h, "I19", "node %, a witness, leads term %", h->id, r->term);
        return;
    }
    if (!raft_membership_has_witness(&r->membership)) {
        return;
    }
    bool is_in = own && (own->roles & RAFT_IN_SYNC);
    for (size_t i = 0; i < r->conf_count; i++) {
        struct raft_in_sync set;
        struct bytes payload = {r->conf[i].payload, r->conf[i].len};
        if (r->conf[i].type == RAFT_ENTRY_IN_SYNC && oracle_in_sync_read(payload, &set)) {
            is_in = false;
            for (uint32_t k = 0; k < set.n; k++) {
                is_in = is_in || set.ids[k] == h->id;
            }
        }
    }
    if (!is_in) {
        ORACLE_BLAME(o, h, "I19",
                     "node % leads term %, and is not in the in-sync set that it holds", h->id,
                     r->term);
    }
}

static void lead_begins(struct oracle *o, struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    const struct oracle_mark *before = oracle_mark_find(&o->leaders, r->term);
    o->counts.leaders++;
    if (before) {
        ORACLE_BLAME(o, h, "I1", "node % was elected in term %, and node % was before", h->id,
                     r->term, before->value);
    }
    oracle_mark_set(&o->leaders, r->term, h->id);
    oracle_voted_for(o, h, r->term, h->id);
    if (!h->is_forced) {
        lead_check_votes(o, h);
    }
    lead_check_log(o, h);
    lead_check_in_sync(o, h);
}

void oracle_look_at_role(struct oracle *o, struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    if (r->role == RAFT_LEADER && !(h->role == RAFT_LEADER && h->term == r->term)) {
        lead_begins(o, h);
    }
    bool changed = r->term == h->term && r->vote != h->vote;
    if (changed && h->vote != NODE_NONE) {
        ORACLE_BLAME(o, h, "I23", "node % took its vote for % back in term %, and gave it to %",
                     h->id, h->vote, r->term, r->vote);
    }
    /* That it may not vote in a term, it notes as a vote for itself. */
    if (r->vote != h->vote && r->vote != NODE_NONE && r->vote != h->id && h->is_impaired &&
        raft_is_impaired(r)) {
        ORACLE_BLAME(o, h, "I22", "node % is impaired, and votes for % in term %", h->id, r->vote,
                     r->term);
    }
    if (raft_is_impaired(r) && r->role != RAFT_FOLLOWER) {
        ORACLE_BLAME(o, h, "I22", "node % is impaired, and a leader or candidate in term %", h->id,
                     r->term);
    }
    h->is_impaired = raft_is_impaired(r);
}

void oracle_look_at_damage(struct oracle *o, struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    (void)o;
    if (raft_is_impaired(r) && !h->is_impaired) {
        h->was_impaired_at_start = false;
        h->impaired_term = r->term;
        h->impaired_vote = r->vote;
    }
    if (!raft_is_impaired(r)) {
        h->was_impaired_at_start = false;
    }
    raft_index damage = r->repair.range_count > 0 ? r->repair.range[0].first : 0;
    bool is_new = damage != 0 && (h->damage == 0 || damage < h->damage);
    if (is_new) {
        h->damage_guard = r->log.last;
    }
    h->damage = damage;
}

/* --- votes ----------------------------------------------------------------------------------- */

void oracle_voted_for(struct oracle *o, struct oracle_host *h, raft_term term, node_id candidate)
{
    const struct oracle_mark *before = oracle_mark_find(&h->votes, term);
    o->counts.votes++;
    h->promised = u64_max(h->promised, term);
    if (before && before->value != candidate) {
        ORACLE_BLAME(o, h, "I23", "node % votes for % in term %, and voted for % before", h->id,
                     candidate, term, before->value);
        return;
    }
    if (!before) {
        oracle_mark_set(&h->votes, term, candidate);
    }
}

/* Was it granted while the node was impaired? A grant waits for the disk, and the node may have
 * found damage meanwhile; so only where it cannot be older than that. */
static bool vote_is_of_impaired(const struct oracle_host *h, raft_term term)
{
    if (!h->is_impaired || !raft_is_impaired(oracle_raft(h))) {
        return false;
    }
    return h->was_impaired_at_start || term > h->impaired_term ||
           (term == h->impaired_term && h->impaired_vote == NODE_NONE);
}

void oracle_vote_left(struct oracle *o, struct oracle_host *h, const struct raft_message *m)
{
    if (m->reject) {
        return;
    }
    bool is_vote = m->type == RAFT_MSG_VOTE_RESP;
    /* A pre-vote names a term that nobody has begun: it says nothing of when it was given. */
    if (is_vote ? vote_is_of_impaired(h, m->term)
                : h->was_impaired_at_start && raft_is_impaired(oracle_raft(h))) {
        ORACLE_BLAME(o, h, "I22", "node % is impaired, and grants a vote to % in term %", h->id,
                     m->to, m->term);
    }
    if (is_vote) {
        oracle_voted_for(o, h, m->term, m->to);
    }
}

void oracle_campaign_left(struct oracle *o, struct oracle_host *h)
{
    if (h->is_impaired && raft_is_impaired(oracle_raft(h))) {
        ORACLE_BLAME(o, h, "I22", "node % is impaired, and asks for votes", h->id);
    }
}

/* --- acknowledgements ------------------------------------------------------------------------ */

void oracle_ack_left(struct oracle *o, struct oracle_host *h, const struct raft_message *m)
{
    if (m->reject || m->index == 0) {
        return;
    }
    const struct raft *r = oracle_raft(h);
    o->counts.acks++;
    h->promised = u64_max(h->promised, m->term);
    const struct oracle_mark *before = oracle_mark_find(&h->acks, m->term);
    if (!before || before->value < m->index) {
        oracle_mark_set(&h->acks, m->term, m->index);
    }
    /* One of an earlier term speaks of entries that may have been replaced since, on this disk and
     * in this order: it was true when they were there. */
    if (m->term == r->term) {
        h->acked = h->acked_term == r->term ? u64_max(h->acked, m->index) : m->index;
        h->acked_term = r->term;
        h->ack_due = u64_max(h->ack_due, m->index);
    }
    raft_index damage = r->repair.range_count > 0 ? r->repair.range[0].first : 0;
    if (damage != 0 && h->damage != 0 && m->index >= u64_max(damage, h->damage) &&
        m->index > h->damage_guard) {
        ORACLE_BLAME(o, h, "I22", "node % acknowledges entry %, and entry % is damaged", h->id,
                     m->index, damage);
    }
}
