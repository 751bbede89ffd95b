#include "core/consensus/raft/raft.h"

#include <string.h>

#include "core/base/mem.h"
#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/consensus/quorum.h"
#include "core/consensus/raft/raft_int.h"

const char *raft_role_name(enum raft_role role)
{
    static const char *const names[RAFT_ROLES] = {
        [RAFT_FOLLOWER] = "follower",
        [RAFT_PRE_CANDIDATE] = "pre-candidate",
        [RAFT_CANDIDATE] = "candidate",
        [RAFT_LEADER] = "leader",
    };
    return (unsigned)role < RAFT_ROLES ? names[role] : "unknown";
}

/* --- members --------------------------------------------------------------------------------- */

int raft_own_slot(const struct raft *r)
{
    return raft_membership_slot(&r->membership, r->cfg.id);
}

const struct raft_member *raft_own_member(const struct raft *r)
{
    return raft_membership_lookup(&r->membership, r->cfg.id);
}

struct raft_peer *raft_peer_of(struct raft *r, node_id id)
{
    int slot = raft_membership_slot(&r->membership, id);
    return slot < 0 ? NULL : &r->peer[slot];
}

/* --- terms and roles ------------------------------------------------------------------------- */

void raft_draw_election_timeout(struct raft *r)
{
    /* Uniform in [1, 2) timeouts, so that splits of the vote are rare [Ongaro14 §3.4]. */
    nanos base = r->now < r->hurry_until ? r->cfg.reset_campaign_delay : r->cfg.election_timeout;
    r->election_timeout_drawn = base + prng_below(&r->prng, base) + raft_priority_delay(r);
}

static void raft_reset(struct raft *r, raft_term term)
{
    CHECK(term >= r->term);
    if (term != r->term) {
        r->term = term;
        r->vote = NODE_NONE;
        r->matched = 0;
        r->lease_void = false;
    }
    if (MUTANT(VOTE_TWICE)) {
        r->vote = NODE_NONE;
    }
    r->leader = NODE_NONE;
    r->leader_suspected = false;
    r->election_start = r->now;
    r->heartbeat_start = r->now;
    r->commit_due = 0;
    raft_draw_election_timeout(r);
    raft_transfer_abort(r);
    for (uint32_t i = 0; i < r->membership.n; i++) {
        bool own = r->membership.member[i].id == r->cfg.id;
        r->peer[i].vote = RAFT_VOTE_NONE;
        raft_progress_reset(&r->peer[i].pr, own ? r->log.last : 0, r->log.last + 1);
    }
    r->pending_conf_index = 0;
    r->uncommitted_bytes = 0;
    raft_reads_reset(r);
}

void raft_become_follower(struct raft *r, raft_term term, node_id leader)
{
    raft_reset(r, term);
    r->leader = leader;
    r->role = RAFT_FOLLOWER;
}

/* Asks whether it could win, and changes neither term nor vote for that [Ongaro14 §9.6]. */
void raft_become_pre_candidate(struct raft *r)
{
    CHECK(r->role != RAFT_LEADER);
    for (uint32_t i = 0; i < r->membership.n; i++) {
        r->peer[i].vote = RAFT_VOTE_NONE;
    }
    r->leader = NODE_NONE;
    r->role = RAFT_PRE_CANDIDATE;
    PROBE(RAFT_PRE_CANDIDATE);
}

void raft_become_candidate(struct raft *r)
{
    CHECK(r->role != RAFT_LEADER);
    raft_reset(r, r->term + 1);
    r->vote = r->cfg.id;
    r->role = RAFT_CANDIDATE;
    PROBE(RAFT_CANDIDATE);
}

void raft_become_leader(struct raft *r)
{
    CHECK(r->role == RAFT_CANDIDATE || r->role == RAFT_PRE_CANDIDATE);
    raft_reset(r, r->term);
    r->leader = r->cfg.id;
    r->role = RAFT_LEADER;
    PROBE(RAFT_LEADER);
    r->lead_since = r->now;
    int slot = raft_own_slot(r);
    CHECK(slot >= 0);
    raft_progress_become_replicate(&r->peer[slot].pr);
    r->peer[slot].pr.recent_active = true;
    /* There may be a change of the membership among the entries that are not applied yet. Rather
     * than to look for it, wait until all of them are. */
    r->pending_conf_index = MUTANT(CHANGE_BY_FRESH_LEADER) ? 0 : r->log.last;
    if (MUTANT(LEADER_TRUNCATES) && r->log.last > r->log.committed) {
        raft_truncate(r, r->log.committed + 1);
    }
    /* A leader may not count replicas for entries of earlier terms [Ongaro14 §3.6.2]; this entry
     * commits them along with itself. */
    raft_leader_append(r, RAFT_ENTRY_NORMAL, (struct bytes){NULL, 0});
}

/* --- life ------------------------------------------------------------------------------------ */

static void raft_restore_membership(struct raft *r, const struct raft_snapshot *s)
{
    struct raft_membership next = s->membership;
    for (uint32_t i = 0; i < next.n; i++) {
        next.member[i].roles &= (uint8_t)~RAFT_FRESH;
    }
    /* A bootstrap membership need not say who is in sync: everybody with the data is. */
    if (raft_membership_has_witness(&next) && raft_membership_count(&next, RAFT_IN_SYNC) == 0) {
        for (uint32_t i = 0; i < next.n; i++) {
            if (raft_member_is_full_voter(&next.member[i])) {
                next.member[i].roles |= RAFT_IN_SYNC;
            }
        }
    }
    if (raft_membership_has_witness(&next) && next.in_sync_since == 0) {
        next.in_sync_since = s->index;
    }
    raft_switch_membership(r, &next);
}

struct raft *raft_new(const struct raft_config *c, const struct raft_saved *saved, nanos now)
{
    const char *why = NULL;
    CHECK(raft_config_check(c, &why) == OK);
    CHECK(saved->snapshot.index > 0 || saved->snapshot.membership.n == 0);
    struct raft *r = mem_alloc_zero(sizeof(*r));
    r->cfg = *c;
    r->now = now;
    r->booted = now;
    r->serve.filled = now;
    prng_init(&r->prng, c->seed);
    raft_log_init(&r->log, saved->snapshot.index, saved->snapshot.term);
    r->term = saved->hard_state.term;
    r->vote = saved->hard_state.vote;
    r->log.applied = u64_max(saved->applied, saved->snapshot.index);
    r->log.applying = r->log.applied;
    r->log.committed = u64_max(saved->hard_state.commit, r->log.applied);
    r->snapshot = saved->snapshot;
    raft_restore_membership(r, &saved->snapshot);
    r->snapshot.membership = r->membership;
    r->repair.lost_vote = saved->lost_vote;
    r->repair.nonce = prng_u64(&r->prng);
    if (saved->lost_from != 0) {
        raft_repair_lost_log(r, saved->lost_from);
    }
    return r;
}

void raft_free(struct raft *r)
{
    if (!r) {
        return;
    }
    for (uint32_t i = 0; i < r->membership.n; i++) {
        raft_progress_deinit(&r->peer[i].pr);
    }
    for (size_t i = 0; i < r->conf_count; i++) {
        mem_free(r->conf[i].payload);
    }
    mem_free(r->conf);
    mem_free(r->reads.ring);
    raft_outbox_deinit(&r->outbox[0]);
    raft_outbox_deinit(&r->outbox[1]);
    raft_log_deinit(&r->log);
    mem_free(r);
}

enum err raft_load_entry(struct raft *r, const struct raft_entry *e, bool damaged)
{
    CHECK(!r->loaded);
    if (e->index != r->log.last + 1 || e->term < raft_log_last_term(&r->log) || e->term == 0) {
        return ERR_CORRUPT;
    }
    if (damaged) {
        raft_log_append_bodiless(&r->log, e->term);
        raft_repair_note_damage(r, e->index, e->index);
    } else {
        raft_log_append(&r->log, e->term, e->type, e->payload);
        if (e->index > r->log.applied && e->type != RAFT_ENTRY_NORMAL) {
            raft_note_conf(r, e->index, e->type, e->payload);
        }
    }
    r->log.handed = r->log.last;
    r->log.durable = r->log.last;
    return OK;
}

enum err raft_load_done(struct raft *r)
{
    CHECK(!r->loaded);
    if (r->log.committed > r->log.last) {
        /* What was known as committed and is not there was lost. */
        if (r->repair.lost_from == 0) {
            return ERR_CORRUPT;
        }
        r->log.committed = u64_max(r->log.last, r->log.applied);
        if (r->log.committed > r->log.last) {
            return ERR_CORRUPT;
        }
    }
    /* The hard state never goes below the terms of the log's entries. (It may be below that of a
     * snapshot: a group may be begun from one that was made elsewhere. Its first leader then takes
     * that term, at least: terms in a log never fall.) */
    if (r->term + 1 < r->log.snapshot_term) {
        r->term = r->log.snapshot_term - 1;
        r->vote = NODE_NONE;
    }
    if (r->log.last > r->log.snapshot_index && raft_log_last_term(&r->log) > r->term) {
        r->term = raft_log_last_term(&r->log);
        r->vote = NODE_NONE;
        r->repair.lost_vote = true;
    }
    r->told_hard_state = (struct raft_hard_state){r->term, r->vote, r->log.committed};
    raft_become_follower(r, r->term, NODE_NONE);
    r->told_role = r->role;
    r->told_leader = r->leader;
    raft_log_trim(&r->log, r->cfg.max_cached_bytes / 2, r->log.last + 1);
    r->loaded = true;
    if (raft_is_impaired(r)) {
        r->alarms |= RAFT_ALARM_IMPAIRED;
    }
    return OK;
}

/* --- time ------------------------------------------------------------------------------------ */

/* Was this node asleep: called long after it asked to be? Then silence proves nothing: messages
 * wait in its queues. A follower starts its timer anew; a leader must doubt itself. */
static void raft_notice_sleep(struct raft *r, nanos before)
{
    nanos limit = u64_add_sat(u64_max(before, r->deadline), r->cfg.election_timeout / 2);
    if (r->deadline == 0 || r->now <= limit) {
        return;
    }
    if (r->role == RAFT_LEADER) {
        bool alone = raft_membership_count(&r->membership, RAFT_VOTER | RAFT_VOTER_OUTGOING) == 1;
        if (r->cfg.check_quorum && !alone && r->now - before >= r->cfg.election_timeout) {
            raft_become_follower(r, r->term, NODE_NONE);
        }
        return;
    }
    r->election_start = r->now;
}

static void raft_pass_time(struct raft *r)
{
    raft_tick_health(r);
    if (r->role == RAFT_LEADER) {
        raft_tick_leader(r);
    } else {
        raft_tick_election(r);
    }
    raft_tick_fetch(r);
    raft_tick_repair(r);
}

/* --- messages -------------------------------------------------------------------------------- */

static bool message_is_response(enum raft_message_type type)
{
    return type == RAFT_MSG_APP_RESP || type == RAFT_MSG_VOTE_RESP ||
           type == RAFT_MSG_PRE_VOTE_RESP || type == RAFT_MSG_HEARTBEAT_RESP ||
           type == RAFT_MSG_READ_INDEX_RESP;
}

/* Messages that do not belong to a term. */
static bool message_is_termless(enum raft_message_type type)
{
    return type == RAFT_MSG_PROP || type == RAFT_MSG_READ_INDEX || type == RAFT_MSG_SNAP_FETCH ||
           type == RAFT_MSG_SNAP_CHUNK || type == RAFT_MSG_REPAIR;
}

static bool message_entries_sane(const struct raft_message *m)
{
    if (m->entry_count == 0) {
        return true;
    }
    if (m->entry_count > RAFT_MESSAGE_ENTRIES_MAX || m->index > RAFT_INDEX_MAX) {
        return false;
    }
    if (m->type != RAFT_MSG_APP) {
        return true;
    }
    raft_term before = m->log_term;
    for (uint32_t i = 0; i < m->entry_count; i++) {
        const struct raft_entry *e = &m->entries[i];
        if (e->index != m->index + 1 + i || e->term < before || e->term > m->term || e->term == 0 ||
            (unsigned)e->type >= RAFT_ENTRY_TYPES) {
            return false;
        }
        before = e->term;
    }
    return true;
}

/* Could an honest member have sent this? The decoder checked its form; this checks its sense. */
static bool message_is_sane(const struct raft *r, const struct raft_message *m)
{
    if ((unsigned)m->type >= RAFT_MSG_TYPES || m->from == NODE_NONE || m->to != r->cfg.id ||
        m->term > RAFT_TERM_MAX) {
        return false;
    }
    /* Only a node that has seen no election yet speaks in term 0, and then only to refuse. */
    bool refusal = m->type == RAFT_MSG_PRE_VOTE_RESP || m->type == RAFT_MSG_REPAIR_RESP;
    bool termless = message_is_termless(m->type);
    if ((termless && m->term != 0) || (!termless && !refusal && m->term == 0)) {
        return false;
    }
    bool from_self = m->type == RAFT_MSG_APP_RESP || m->type == RAFT_MSG_VOTE_RESP ||
                     m->type == RAFT_MSG_PRE_VOTE_RESP;
    if (m->from == r->cfg.id && !from_self) {
        return false;
    }
    if (m->type == RAFT_MSG_SNAP &&
        (!m->snapshot || m->snapshot->index == 0 || m->snapshot->index > RAFT_INDEX_MAX ||
         m->snapshot->term > m->term || !raft_membership_valid(&m->snapshot->membership))) {
        return false;
    }
    if ((m->type == RAFT_MSG_SNAP_FETCH || m->type == RAFT_MSG_SNAP_CHUNK) && !m->snapshot) {
        return false;
    }
    return message_entries_sane(m);
}

/* A message of a higher term: this node's own is over. Returns false where a lease forbids to
 * listen. */
static bool raft_enter_term(struct raft *r, const struct raft_message *m)
{
    bool asks_vote = m->type == RAFT_MSG_VOTE || m->type == RAFT_MSG_PRE_VOTE;
    if (asks_vote && raft_vote_is_barred(r, m)) {
        PROBE(RAFT_VOTE_BARRED);
        return false;
    }
    if (m->type == RAFT_MSG_PRE_VOTE || (m->type == RAFT_MSG_PRE_VOTE_RESP && !m->reject)) {
        return true; /* speaks of a term that nobody has begun */
    }
    bool from_leader =
        m->type == RAFT_MSG_APP || m->type == RAFT_MSG_HEARTBEAT || m->type == RAFT_MSG_SNAP;
    raft_become_follower(r, m->term, from_leader ? m->from : NODE_NONE);
    return true;
}

/* A message of a term that is over. */
static void raft_refuse_old_term(struct raft *r, const struct raft_message *m)
{
    bool from_leader = m->type == RAFT_MSG_APP || m->type == RAFT_MSG_HEARTBEAT;
    if (MUTANT(OLD_TERM_MET_WITH_SILENCE)) {
        return;
    }
    if (from_leader && (r->cfg.check_quorum || r->cfg.pre_vote)) {
        /* With pre-vote and check-quorum nobody takes this node's higher term from its requests for
         * votes: tell the old leader, or this node is stuck outside for ever. */
        PROBE(RAFT_OLD_LEADER_TOLD);
        raft_send(r, RAFT_MSG_APP_RESP, m->from);
    } else if (m->type == RAFT_MSG_PRE_VOTE) {
        PROBE(RAFT_OLD_PRE_VOTE_REFUSED);
        /* Silence would deadlock against a candidate with an old term and a new log
         * (prevote-two-alive-deadlock). */
        struct raft_message *out = raft_send(r, RAFT_MSG_PRE_VOTE_RESP, m->from);
        out->reject = true;
    }
}

static enum err raft_forward(struct raft *r, const struct raft_message *m)
{
    if (r->leader == NODE_NONE || !r->cfg.forward_proposals) {
        return ERR_DROPPED;
    }
    struct raft_message *out = raft_send(r, RAFT_MSG_PROP, r->leader);
    out->entry_count = m->entry_count;
    out->entries = raft_arena_copy_entries(r, m->entries, m->entry_count);
    return OK;
}

static enum err raft_on_forwarded(struct raft *r, const struct raft_message *m)
{
    if (r->role != RAFT_LEADER) {
        PROBE(RAFT_FORWARDED_TWICE);
        /* One hop more, never back: a proposal must not travel in circles. */
        return r->role == RAFT_FOLLOWER && r->leader != m->from ? raft_forward(r, m) : ERR_DROPPED;
    }
    struct raft_conf_change change;
    for (uint32_t i = 0; i < m->entry_count; i++) {
        const struct raft_entry *e = &m->entries[i];
        bool conf = e->type == RAFT_ENTRY_CONF;
        if ((!conf && e->type != RAFT_ENTRY_NORMAL) ||
            (conf && raft_conf_change_decode(e->payload, &change) != OK)) {
            return ERR_PROTOCOL;
        }
    }
    for (uint32_t i = 0; i < m->entry_count; i++) {
        const struct raft_entry *e = &m->entries[i];
        if (e->type == RAFT_ENTRY_CONF) {
            TRY(raft_conf_change_decode(e->payload, &change));
            TRY(raft_propose_change(r, &change));
        } else {
            TRY(raft_propose(r, &e->payload, 1));
        }
    }
    raft_await_commit(r, m->from, r->log.last);
    return OK;
}

static enum err raft_leader_message(struct raft *r, const struct raft_message *m)
{
    int slot = raft_membership_slot(&r->membership, m->from);
    if (slot < 0) {
        return OK;
    }
    if (m->type == RAFT_MSG_APP_RESP) {
        raft_on_append_response(r, (uint32_t)slot, m);
    } else if (m->type == RAFT_MSG_HEARTBEAT_RESP) {
        raft_on_heartbeat_response(r, (uint32_t)slot, m);
    }
    return OK;
}

/* From the leader of this term. */
static enum err raft_message_from_leader(struct raft *r, const struct raft_message *m)
{
    if (r->role == RAFT_LEADER) {
        return ERR_PROTOCOL; /* two leaders in one term: Election Safety is broken elsewhere */
    }
    if (r->role != RAFT_FOLLOWER) {
        raft_become_follower(r, m->term, m->from);
    }
    r->election_start = r->now;
    r->leader_heard = r->now;
    r->leader = m->from;
    r->led_by = m->from;
    r->leader_suspected = false;
    if (r->hurry_until != 0) {
        r->hurry_until = 0;
        raft_draw_election_timeout(r);
    }
    if (m->type == RAFT_MSG_APP) {
        return raft_on_append(r, m);
    }
    return m->type == RAFT_MSG_HEARTBEAT ? raft_on_heartbeat(r, m) : raft_on_snapshot(r, m);
}

static enum err raft_dispatch(struct raft *r, const struct raft_message *m)
{
    switch (m->type) {
    case RAFT_MSG_VOTE:
    case RAFT_MSG_PRE_VOTE:
        raft_on_vote_request(r, m);
        return OK;
    case RAFT_MSG_VOTE_RESP:
    case RAFT_MSG_PRE_VOTE_RESP:
        raft_on_vote_response(r, m);
        return OK;
    case RAFT_MSG_APP:
    case RAFT_MSG_HEARTBEAT:
    case RAFT_MSG_SNAP:
        return raft_message_from_leader(r, m);
    case RAFT_MSG_APP_RESP:
    case RAFT_MSG_HEARTBEAT_RESP:
        return r->role == RAFT_LEADER ? raft_leader_message(r, m) : OK;
    case RAFT_MSG_PROP:
        return raft_on_forwarded(r, m);
    case RAFT_MSG_READ_INDEX:
        raft_on_read_request(r, m);
        return OK;
    case RAFT_MSG_READ_INDEX_RESP:
        raft_on_read_response(r, m);
        return OK;
    case RAFT_MSG_TRANSFER_LEADER:
        return r->role == RAFT_LEADER ? raft_transfer(r, m->source) : ERR_DROPPED;
    case RAFT_MSG_TIMEOUT_NOW:
        /* The leader knows that no partition is being recovered from: no pre-vote. */
        return r->role == RAFT_FOLLOWER ? raft_campaign(r, RAFT_CAMPAIGN_TRANSFER) : OK;
    case RAFT_MSG_SNAP_FETCH:
        raft_on_fetch(r, m);
        return OK;
    case RAFT_MSG_SNAP_CHUNK:
        raft_on_chunk(r, m);
        return OK;
    case RAFT_MSG_REPAIR:
        raft_on_repair_request(r, m);
        return OK;
    case RAFT_MSG_REPAIR_RESP:
        return raft_on_repair_response(r, m);
    case RAFT_MSG_TYPES:
        break;
    }
    return ERR_PROTOCOL;
}

/* Does it count though its term is over? */
static bool message_outlives_term(const struct raft *r, const struct raft_message *m)
{
    if (MUTANT(LATE_ACK_COUNTS) && m->type == RAFT_MSG_APP_RESP) {
        return !m->reject && m->index <= r->log.last;
    }
    if (MUTANT(LATE_VOTE_COUNTS) && m->type == RAFT_MSG_VOTE_RESP) {
        return true;
    }
    return message_is_termless(m->type) || m->type == RAFT_MSG_REPAIR_RESP;
}

static enum err raft_on_message(struct raft *r, const struct raft_message *m)
{
    if (!message_is_sane(r, m)) {
        r->alarms |= RAFT_ALARM_PROTOCOL;
        return ERR_PROTOCOL;
    }
    if (message_is_response(m->type) && raft_membership_slot(&r->membership, m->from) < 0) {
        return ERR_NOT_FOUND;
    }
    if (m->term > r->term) {
        if (!raft_enter_term(r, m)) {
            return OK;
        }
    } else if (m->term < r->term && !message_outlives_term(r, m)) {
        raft_refuse_old_term(r, m);
        return OK;
    }
    enum err e = raft_dispatch(r, m);
    if (e == ERR_PROTOCOL) {
        r->alarms |= RAFT_ALARM_PROTOCOL;
    }
    return e;
}

/* --- the other events ------------------------------------------------------------------------ */

static enum err raft_on_propose(struct raft *r, const struct raft_event *e)
{
    if (r->role == RAFT_LEADER) {
        return raft_propose(r, e->propose.payloads, e->propose.n);
    }
    if (r->role != RAFT_FOLLOWER || r->leader == NODE_NONE || !r->cfg.forward_proposals) {
        return ERR_DROPPED;
    }
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < e->propose.n; i++) {
        bytes = u64_add_sat(bytes, e->propose.payloads[i].len);
    }
    if (e->propose.n > RAFT_MESSAGE_ENTRIES_MAX || bytes > RAFT_MESSAGE_BYTES_MAX / 2) {
        return ERR_TOO_LARGE; /* for one message */
    }
    struct raft_message *out = raft_send(r, RAFT_MSG_PROP, r->leader);
    struct raft_entry *entries = raft_arena_alloc(r, e->propose.n * sizeof(*entries));
    PROBE(RAFT_PROPOSAL_FORWARDED);
    memset(entries, 0, e->propose.n * sizeof(*entries));
    for (uint32_t i = 0; i < e->propose.n; i++) {
        entries[i].payload = e->propose.payloads[i];
    }
    out->entry_count = e->propose.n;
    out->entries = raft_arena_copy_entries(r, entries, e->propose.n);
    return OK;
}

static enum err raft_on_change(struct raft *r, const struct raft_conf_change *change)
{
    if (r->role == RAFT_LEADER) {
        return raft_propose_change(r, change);
    }
    struct buf payload;
    buf_init(&payload);
    raft_conf_change_encode(change, &payload);
    struct raft_entry e = {.type = RAFT_ENTRY_CONF, .payload = buf_view(&payload)};
    struct raft_message m = {.entry_count = 1, .entries = &e};
    enum err result = r->role == RAFT_FOLLOWER ? raft_forward(r, &m) : ERR_DROPPED;
    buf_deinit(&payload);
    return result;
}

static enum err raft_on_transfer(struct raft *r, node_id to)
{
    if (r->role == RAFT_LEADER) {
        return raft_transfer(r, to);
    }
    if (r->role != RAFT_FOLLOWER || r->leader == NODE_NONE) {
        return ERR_NO_LEADER;
    }
    raft_send(r, RAFT_MSG_TRANSFER_LEADER, r->leader)->source = to;
    return OK;
}

static enum err raft_on_forget_leader(struct raft *r)
{
    if (r->role != RAFT_FOLLOWER) {
        return OK;
    }
    if (r->cfg.lease_reads) {
        return ERR_REFUSED; /* the leader relies on being believed for its lease */
    }
    r->leader = NODE_NONE;
    return OK;
}

static void raft_on_unreachable(struct raft *r, node_id node)
{
    struct raft_peer *p = r->role == RAFT_LEADER ? raft_peer_of(r, node) : NULL;
    if (p && p->pr.state == RAFT_REPLICATE && node != r->cfg.id) {
        raft_progress_become_probe(&p->pr);
    }
}

/* The process at the other end has gone, or the path to it: no need to wait for a time-out before
 * asking the others. They agree only if they have lost it, too. The same is worth saying again
 * while nobody else leads: those who were asked may have stood still. */
static void raft_on_stream_reset(struct raft *r, node_id node)
{
    node_id leader = r->leader != NODE_NONE ? r->leader : r->led_by;

    raft_on_unreachable(r, node);
    if (r->role == RAFT_LEADER || node == NODE_NONE || node != leader || r->cfg.lease_reads) {
        return;
    }
    r->leader_suspected = true;
    PROBE(RAFT_LEADER_SUSPECTED);
    r->hurry_until = r->now + r->cfg.election_timeout; /* if the vote splits, not a timeout later */
    nanos soon = 1 + prng_below(&r->prng, r->cfg.reset_campaign_delay) + raft_priority_delay(r);
    nanos elapsed = raft_election_elapsed(r);
    r->election_timeout_drawn = u64_min(r->election_timeout_drawn, elapsed + soon);
}

static void raft_on_applied(struct raft *r, raft_index index)
{
    CHECK(index <= r->log.applying);
    if (index <= r->log.applied) {
        return; /* overtaken by a snapshot */
    }
    raft_apply_conf_to(r, index);
    r->log.applied = u64_max(r->log.applied, index);
    if (r->log.applied == r->log.applying) {
        r->applying_bytes = 0;
        r->health.apply_since = 0;
        r->apply_loaded = NULL;
        r->apply_loaded_count = 0;
    } else {
        r->health.apply_since = r->now;
    }
    raft_leave_joint_if_due(r);
}

static void raft_on_suspended(struct raft *r)
{
    /* While it slept, others may have been elected: a lease proves nothing any more. */
    if (r->role == RAFT_LEADER) {
        PROBE(RAFT_SUSPENDED_LEADER);
        r->lease_void = true;
        if (r->cfg.check_quorum &&
            raft_membership_count(&r->membership, RAFT_VOTER | RAFT_VOTER_OUTGOING) > 1) {
            raft_become_follower(r, r->term, NODE_NONE);
        }
        return;
    }
    r->election_start = r->now;
}

static enum err raft_on_stop(struct raft *r)
{
    r->stopping = true;
    if (r->role != RAFT_LEADER) {
        return OK;
    }
    node_id to = raft_best_successor(r);
    return to == NODE_NONE ? OK : raft_transfer(r, to);
}

static void raft_on_compact(struct raft *r, raft_index index)
{
    index = u64_min(index, r->log.applied);
    if (index > r->log.snapshot_index) {
        raft_outbox_drop_appends(r);
        raft_log_compact(&r->log, index);
        raft_repair_restored(r, index);
    }
}

static void raft_on_snapshot_failed(struct raft *r, node_id node)
{
    struct raft_peer *p = r->role == RAFT_LEADER ? raft_peer_of(r, node) : NULL;
    if (p && p->pr.state == RAFT_SNAPSHOT) {
        p->pr.pending_snapshot = 0;
        raft_progress_become_probe(&p->pr);
        p->pr.append_paused = true; /* until the next heartbeat is answered */
    }
}

static enum err raft_handle(struct raft *r, const struct raft_event *e)
{
    switch (e->type) {
    case RAFT_EVENT_TICK:
        return OK;
    case RAFT_EVENT_MESSAGE:
        return raft_on_message(r, e->message);
    case RAFT_EVENT_PROPOSE:
        return raft_on_propose(r, e);
    case RAFT_EVENT_CHANGE:
        return raft_on_change(r, e->change);
    case RAFT_EVENT_READ:
        return raft_read_local(r, e->read.id);
    case RAFT_EVENT_CAMPAIGN:
        return raft_campaign(r, r->cfg.pre_vote ? RAFT_CAMPAIGN_PRE : RAFT_CAMPAIGN_REAL);
    case RAFT_EVENT_TRANSFER:
        return raft_on_transfer(r, e->node);
    case RAFT_EVENT_FORGET_LEADER:
        return raft_on_forget_leader(r);
    case RAFT_EVENT_UNREACHABLE:
        raft_on_unreachable(r, e->node);
        return OK;
    case RAFT_EVENT_STREAM_RESET:
        raft_on_stream_reset(r, e->node);
        return OK;
    case RAFT_EVENT_DURABLE:
        raft_batch_done(r, e->seq);
        return OK;
    case RAFT_EVENT_APPLIED:
        raft_on_applied(r, e->index);
        return OK;
    case RAFT_EVENT_LOADED:
        raft_on_loaded(r, e);
        return OK;
    case RAFT_EVENT_SNAPSHOT_TAKEN:
        return raft_on_snapshot_taken(r, e->snapshot);
    case RAFT_EVENT_SNAPSHOT_FAILED:
        raft_on_snapshot_failed(r, e->node);
        return OK;
    case RAFT_EVENT_CHUNK_READ:
        raft_on_chunk_read(r, e);
        return OK;
    case RAFT_EVENT_CHUNK_WRITTEN:
        raft_on_chunk_written(r, e);
        return OK;
    case RAFT_EVENT_COMPACT:
        raft_on_compact(r, e->index);
        return OK;
    case RAFT_EVENT_DISK:
        r->health.disk_stalled = e->stalled;
        raft_tick_health(r);
        return OK;
    case RAFT_EVENT_DAMAGED:
        raft_repair_note_damage(r, e->damaged.first, e->damaged.last);
        return OK;
    case RAFT_EVENT_SUSPENDED:
        raft_on_suspended(r);
        return OK;
    case RAFT_EVENT_STOP:
        return raft_on_stop(r);
    case RAFT_EVENT_RECOVER_QUORUM:
        return raft_recover_quorum(r, e->recover.consent);
    case RAFT_EVENT_TYPES:
        break;
    }
    CHECK_UNREACHABLE("an event without a type");
}

enum err raft_step(struct raft *r, const struct raft_event *e)
{
    CHECK(r->loaded && e->now >= r->now);
    nanos before = r->now;
    r->now = e->now;
    raft_notice_sleep(r, before);
    /* A follower campaigns on ticks alone: the message at hand may be from its leader. A leader
     * judges time first: one that slept through its check of the quorum must not act on what comes
     * after as if it had not (frozen-leader-two-leaders). */
    if (e->type == RAFT_EVENT_TICK || (r->now > before && r->role == RAFT_LEADER)) {
        raft_pass_time(r);
    }
    enum err result = raft_handle(r, e);
    raft_repair_progress(r);
    return result;
}
