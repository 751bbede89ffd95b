#include "core/chaos/oracle/oracle.h"

#include <string.h>

#include "core/chaos/oracle/oracle_int.h"

/* --- what was found -------------------------------------------------------------------------- */

static size_t blame_number(char *to, size_t room, uint64_t number)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    for (size_t i = 0; i < n && i < room; i++) {
        to[i] = digits[n - 1 - i];
    }
    return n < room ? n : room;
}

void oracle_blame(struct oracle *o, const struct oracle_host *h, const char *invariant,
                  const char *text, const uint64_t *values, size_t count)
{
    if (o->is_violated) {
        return;
    }
    o->is_violated = true;
    struct oracle_violation *v = &o->violation;
    v->invariant = invariant;
    v->at = o->now;
    v->host = (uint32_t)(h - o->host);
    size_t len = 0;
    size_t used = 0;
    for (; *text != '\0' && len < sizeof(v->text) - 1; text++) {
        if (*text == '%' && used < count) {
            len += blame_number(v->text + len, sizeof(v->text) - 1 - len, values[used++]);
        } else {
            v->text[len++] = *text;
        }
    }
    v->text[len] = '\0';
}

const struct oracle_violation *oracle_violation(const struct oracle *o)
{
    return o->is_violated ? &o->violation : NULL;
}

raft_index oracle_committed(const struct oracle *o)
{
    return o->committed;
}

bool oracle_truth(const struct oracle *o, raft_index index, raft_term *ret_term, uint64_t *ret_hash)
{
    const struct oracle_place *place = oracle_place_find(o, index);
    if (!place || place->committed == 0) {
        return false;
    }
    const struct oracle_entry *e = oracle_entry_find(o, index, place->committed);
    *ret_term = place->committed;
    *ret_hash = e && e->has_body ? e->hash : 0;
    return true;
}

struct oracle_counts oracle_counts(const struct oracle *o)
{
    return o->counts;
}

/* --- life ------------------------------------------------------------------------------------ */

struct oracle *oracle_new(uint32_t nodes_max)
{
    CHECK(nodes_max > 0 && nodes_max <= ORACLE_HOSTS_MAX);
    struct oracle *o = mem_alloc_zero(sizeof(*o));
    o->host_count = nodes_max;
    o->host = mem_alloc_zero(nodes_max * sizeof(o->host[0]));
    return o;
}

void oracle_free(struct oracle *o)
{
    if (o) {
        oracle_memory_free(o);
        mem_free(o);
    }
}

static struct oracle_host *host_at(struct oracle *o, uint32_t i)
{
    CHECK(i < o->host_count);
    return &o->host[i];
}

const struct oracle_host *oracle_host_of(const struct oracle *o, node_id id)
{
    for (uint32_t i = 0; i < o->host_count; i++) {
        if (o->host[i].id == id) {
            return &o->host[i];
        }
    }
    return NULL;
}

void oracle_opened(struct oracle *o, uint32_t i, struct node *node, uint32_t lost)
{
    struct oracle_host *h = host_at(o, i);
    CHECK(!h->node && (h->id == NODE_NONE || h->id == node->cfg.id));
    h->node = node;
    h->id = node->cfg.id;
    h->lost |= lost;
    h->has_begun = false;
    h->has_effect = false;
    h->is_forced = false;
}

void oracle_struck(struct oracle *o, uint32_t i, uint32_t lost)
{
    struct oracle_host *h = host_at(o, i);
    if (!h->has_begun) {
        h->lost |= lost;
    }
}

void oracle_closed(struct oracle *o, uint32_t i)
{
    struct oracle_host *h = host_at(o, i);
    h->node = NULL;
    h->has_begun = false;
    h->ack_due = 0;
    h->acked_term = 0;
    h->duty_due = 0;
    h->alone_since = 0;
    h->transferee = NODE_NONE;
}

void oracle_forced(struct oracle *o, uint32_t i)
{
    struct oracle_host *h = host_at(o, i);
    h->is_forced = true;
    if (!h->node || !oracle_raft(h)) {
        return;
    }
    const struct raft_log *log = &oracle_raft(h)->log;
    while (o->committed > log->snapshot_index && !oracle_log_has_truth(o, log, o->committed)) {
        memset(&o->place[o->committed], 0, sizeof(o->place[0]));
        o->committed--;
    }
    while (o->membership_count > 0 && o->membership[o->membership_count - 1].index > o->committed) {
        o->membership_count--;
    }
    o->membership_applied = u64_min(o->membership_applied, o->committed);
}

static bool host_runs(const struct oracle_host *h)
{
    return h->node && h->node->state == NODE_RUNNING;
}

static void host_note_witness(struct oracle_host *h, const struct raft_membership *ms)
{
    const struct raft_member *own = raft_membership_lookup(ms, h->id);
    h->is_witness = h->is_witness || (own && (own->roles & RAFT_WITNESS));
}

/* A life was seen running for the first time. */
static void host_begin(struct oracle *o, struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    uint32_t lost = h->lost | h->mending;
    h->lost = ORACLE_LOST_NOTHING;
    h->mending = lost;
    h->has_begun = true;
    o->counts.lives++;
    h->term = r->term;
    h->vote = r->vote;
    h->role = RAFT_FOLLOWER;
    h->is_installing = r->installing;
    h->is_impaired = raft_is_impaired(r);
    h->was_impaired_at_start = h->is_impaired;
    h->damage = r->repair.range_count > 0 ? r->repair.range[0].first : 0;
    h->damage_guard = 0;
    h->log_applied = r->log.applied;
    h->applied = r->log.applied;
    h->cached_at_start = r->log.cached_bytes;
    h->ack_due = 0;
    h->members = r->membership;
    if (o->membership_count == 0 && r->membership.n > 0 && r->log.snapshot_index > 0) {
        /* The founding snapshot: what the truth begins with. */
        struct oracle_place *place = oracle_place_get(o, r->log.snapshot_index);
        CHECK(place);
        place->committed = r->log.snapshot_term;
        o->committed = r->log.snapshot_index;
        o->membership_applied = r->log.snapshot_index;
        mem_grow((void **)&o->membership, &o->membership_cap, 1, sizeof(o->membership[0]));
        o->membership[o->membership_count++] =
            (struct oracle_membership){r->log.snapshot_index, r->membership};
    }
    host_note_witness(h, &r->membership);
    if (o->membership_count > 0) {
        host_note_witness(h, &o->membership[o->membership_count - 1].members);
    }
    oracle_begin_log(o, h, lost);
    h->committed = 0;
    oracle_look_at_commit(o, h);
    oracle_look_at_members(o, h);
    oracle_begin_state(o, h);
}

bool oracle_is_quorum(const struct raft_membership *ms, const bool has[RAFT_MEMBERS_MAX])
{
    const uint8_t halves[2] = {RAFT_VOTER, RAFT_VOTER_OUTGOING};
    for (int k = 0; k < 2; k++) {
        unsigned n = 0;
        unsigned yes = 0;
        for (uint32_t i = 0; i < ms->n; i++) {
            bool counts = (ms->member[i].roles & halves[k]) != 0;
            n += counts;
            yes += counts && has[i];
        }
        if (n > 0 && 2 * yes <= n) {
            return false; /* not by quorum.h, which is watched, too */
        }
    }
    return true;
}

/* --- steps ----------------------------------------------------------------------------------- */

static bool host_has_changed(const struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    const struct raft_log *log = &r->log;
    /* Without branches between: nearly always all are equal. */
    raft_index damage = r->repair.range_count > 0 ? r->repair.range[0].first : 0;
    uint64_t differs = (h->last ^ log->last) | (h->begin ^ log->snapshot_index) |
                       (h->committed ^ log->committed) | (h->durable ^ log->durable) |
                       (h->log_applied ^ log->applied) | (h->term ^ r->term) | (h->vote ^ r->vote) |
                       (h->applied ^ h->node->applied) | h->ack_due | (h->damage ^ damage) |
                       ((uint64_t)h->role ^ (uint64_t)r->role) |
                       ((uint64_t)h->is_installing ^ (uint64_t)r->installing);
    return differs != 0 || h->last_term != raft_log_last_term(log) ||
           h->is_impaired != raft_is_impaired(r);
}

static void host_look(struct oracle *o, struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    oracle_look_at_duty(o, h);
    if (!host_has_changed(h)) {
        return;
    }
    o->counts.changed++;
    if (r->term < h->term) {
        ORACLE_BLAME(o, h, "I36", "node % went back from term % to term %", h->id, h->term,
                     r->term);
    }
    oracle_look_at_log(o, h);
    oracle_look_at_damage(o, h);
    oracle_look_at_role(o, h);
    oracle_look_at_disk(o, h);
    oracle_look_at_commit(o, h);
    oracle_look_at_state(o, h);
    if (h->log_applied != r->log.applied || h->begin != r->log.snapshot_index ||
        h->is_installing != r->installing) {
        oracle_look_at_members(o, h);
    }
    h->term = r->term;
    h->vote = r->vote;
    h->role = r->role;
    h->begin = r->log.snapshot_index;
    h->begin_term = r->log.snapshot_term;
    h->log_applied = r->log.applied;
    h->is_installing = r->installing;
}

/* What a disk had lost is over once the node vouches for its log, and the log for itself, on the
 * disk: a death before that finds the loss again. */
static void host_mends(struct oracle_host *h)
{
    const struct node *n = h->node;
    const struct wal_state *log = wal_log(n->wal);
    bool whole = !raft_is_impaired(n->raft) && !n->raft->installing && !n->heal_due;
    if (whole && !log->in_doubt && log->damage_count == 0 && n->wal_durable == n->wal_seq) {
        h->mending = ORACLE_LOST_NOTHING;
    }
}

void oracle_step(struct oracle *o, uint32_t i, nanos now)
{
    struct oracle_host *h = host_at(o, i);
    o->now = now;
    if (!host_runs(h)) {
        return;
    }
    o->counts.steps++;
    if (!h->has_begun) {
        host_begin(o, h);
    }
    host_look(o, h);
    if (h->mending != ORACLE_LOST_NOTHING) {
        host_mends(h);
    }
}

/* --- taps ------------------------------------------------------------------------------------ */

void oracle_sent(struct oracle *o, uint32_t i, const struct raft_message *m)
{
    struct oracle_host *h = host_at(o, i);
    if (!h->node) {
        return;
    }
    if (!host_runs(h)) {
        ORACLE_BLAME(o, h, "I29", "node % sent a message of type % after it halted", h->id,
                     (uint64_t)m->type);
        return;
    }
    if (!h->has_begun) {
        host_begin(o, h);
    }
    if (m->type == RAFT_MSG_APP_RESP) {
        oracle_ack_left(o, h, m);
    } else if (m->type == RAFT_MSG_VOTE_RESP || m->type == RAFT_MSG_PRE_VOTE_RESP) {
        oracle_vote_left(o, h, m);
    } else if (m->type == RAFT_MSG_VOTE || m->type == RAFT_MSG_PRE_VOTE) {
        oracle_campaign_left(o, h);
        oracle_look_at_campaign(o, h);
    }
}

void oracle_applied_entry(struct oracle *o, uint32_t i, const struct raft_entry *e,
                          raft_term term_now)
{
    struct oracle_host *h = host_at(o, i);
    if (!host_runs(h)) {
        return;
    }
    if (!h->has_begun) {
        host_begin(o, h);
    }
    if (e->term > term_now) {
        ORACLE_BLAME(o, h, "I36", "node % applies entry % of term %, and is in term %", h->id,
                     e->index, e->term, term_now);
    }
    raft_index before = h->applied;
    bool installed = e->index == oracle_raft(h)->log.snapshot_index + 1;
    if (e->index != before + 1 && !installed) {
        ORACLE_BLAME(o, h, "I5", "node % applies entry % after entry %", h->id, e->index, before);
    }
    h->has_effect = h->has_effect && e->index == before + 1;
    h->applied = e->index;
    host_look(o, h); /* the commit index moved in this very event, perhaps */
    oracle_applied_one(o, h, e);
}
