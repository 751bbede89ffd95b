/*
 * Witnesses, by the in-sync rule.
 *
 * A witness votes and stores the heads of all entries, but no payloads. Counted like a replica it
 * would let an entry commit that one disk holds: {replica, witness} is a majority of three. If that
 * replica is then lost, the other two are a majority, too, but the witness's log is ahead of the
 * remaining replica's, and nobody can be elected. So, while a membership has a witness:
 *
 *  1. There is an in-sync set I of full voters, part of the replicated state. It begins with all of
 *     them, and changes by entries of type RAFT_ENTRY_IN_SYNC, each of which takes effect, for
 *     itself and what follows it, where it stands in the log, applied or not.
 *  2. An entry commits when a majority of all voters (witnesses among them) has stored it, and
 *     min(|I|, N - q + 1) members of I have, where N is the number of voters and q their majority:
 *     then every majority that could elect contains a member of I with the entry. With two replicas
 *     and a witness that is both replicas while both are in sync.
 *  3. A node grants a vote only to a member of the newest I that it has stored, and campaigns only
 *     as one. The entry that takes a replica out of I is itself committed by a majority that has
 *     stored it, so any later majority of voters contains somebody who refuses that replica.
 *  4. A leader takes a replica out when it falls silent for an election timeout, or holds a commit
 *     up for one; it adds one that has caught up. A change that takes out may overtake one that is
 *     not committed yet, or a replica that dies while it is being added would block for ever.
 *
 * What rule 2 asks depends on the position: between two changes of I, the one before decides. The
 * commit index is the largest index that satisfies its own I; those before it come along.
 *
 * Payload of an in-sync entry: a count byte, then that many ids as varints, ascending.
 */
#include <string.h>

#include "core/base/cursor.h"
#include "core/consensus/quorum.h"
#include "core/consensus/raft/raft_int.h"

bool raft_in_sync_rule_applies(const struct raft *r)
{
    return raft_membership_has_witness(&r->membership);
}

/* --- the sets -------------------------------------------------------------------------------- */

static bool in_sync_contains(const struct raft_in_sync *set, node_id id)
{
    for (uint32_t i = 0; i < set->n; i++) {
        if (set->ids[i] == id) {
            return true;
        }
    }
    return false;
}

/* Set number `k` of those that the log holds: 0 is the applied one, the highest the newest. */
static bool in_sync_piece_has(const struct raft *r, uint32_t k, const struct raft_member *m)
{
    if (!raft_member_is_full_voter(m)) {
        return false;
    }
    return k == 0 ? (m->roles & RAFT_IN_SYNC) != 0 : in_sync_contains(&r->in_sync[k - 1], m->id);
}

bool raft_in_sync_has(const struct raft *r, node_id id)
{
    if (!raft_in_sync_rule_applies(r)) {
        return true;
    }
    const struct raft_member *m = raft_membership_lookup(&r->membership, id);
    return m && in_sync_piece_has(r, r->in_sync_count, m);
}

static enum err in_sync_decode(struct bytes payload, struct raft_in_sync *ret)
{
    struct cursor c;
    cursor_init(&c, payload);
    struct raft_in_sync set;
    memset(&set, 0, sizeof(set));
    set.n = cursor_u8(&c);
    if (set.n == 0 || set.n > RAFT_MEMBERS_MAX) {
        return ERR_CORRUPT;
    }
    for (uint32_t i = 0; i < set.n; i++) {
        set.ids[i] = cursor_varint(&c);
        if (set.ids[i] == NODE_NONE || (i > 0 && set.ids[i] <= set.ids[i - 1])) {
            return ERR_CORRUPT;
        }
    }
    if (!cursor_done(&c)) {
        return ERR_CORRUPT;
    }
    *ret = set;
    return OK;
}

void raft_note_in_sync(struct raft *r, raft_index index, struct bytes payload)
{
    struct raft_in_sync set;
    if (in_sync_decode(payload, &set) != OK) {
        r->alarms |= RAFT_ALARM_PROTOCOL; /* skipped, by every member alike */
        return;
    }
    set.index = index;
    if (r->in_sync_count == RAFT_IN_SYNC_PENDING_MAX) {
        /* A leader does not propose so many; a follower that applies late may see them. The oldest
         * decides about nothing that is still open. */
        memmove(r->in_sync, r->in_sync + 1, (RAFT_IN_SYNC_PENDING_MAX - 1) * sizeof(set));
        r->in_sync_count--;
    }
    uint32_t at = r->in_sync_count++;
    for (; at > 0 && r->in_sync[at - 1].index > index; at--) {
        r->in_sync[at] = r->in_sync[at - 1];
    }
    r->in_sync[at] = set;
}

void raft_forget_in_sync_from(struct raft *r, raft_index from)
{
    while (r->in_sync_count > 0 && r->in_sync[r->in_sync_count - 1].index >= from) {
        r->in_sync_count--;
    }
}

static void in_sync_drop_applied(struct raft *r, raft_index index)
{
    uint32_t n = 0;
    while (n < r->in_sync_count && r->in_sync[n].index <= index) {
        n++;
    }
    r->in_sync_count -= n;
    memmove(r->in_sync, r->in_sync + n, r->in_sync_count * sizeof(r->in_sync[0]));
}

void raft_apply_in_sync(struct raft *r, raft_index index, struct bytes payload)
{
    struct raft_in_sync set;
    in_sync_drop_applied(r, index);
    if (in_sync_decode(payload, &set) != OK || !raft_in_sync_rule_applies(r)) {
        return;
    }
    struct raft_membership next = r->membership;
    unsigned left = 0;
    for (uint32_t i = 0; i < next.n; i++) {
        struct raft_member *m = &next.member[i];
        m->roles &= (uint8_t)~RAFT_IN_SYNC;
        if (raft_member_is_full_voter(m) && in_sync_contains(&set, m->id)) {
            m->roles |= RAFT_IN_SYNC;
            left++;
        }
    }
    if (left == 0) {
        return; /* the membership moved on under it: the set never becomes empty */
    }
    bool was_exposed = raft_is_exposed(r);
    r->membership = next;
    if (raft_is_exposed(r) && !was_exposed) {
        r->alarms |= RAFT_ALARM_EXPOSED;
    }
}

/* --- commitment ------------------------------------------------------------------------------ */

struct in_sync_half {
    unsigned voters;
    unsigned witnesses;
    unsigned in_sync;
    uint64_t acked[RAFT_MEMBERS_MAX];         /* by every voter */
    uint64_t acked_in_sync[RAFT_MEMBERS_MAX]; /* by those of the set */
};

static void in_sync_gather(const struct raft *r, uint8_t half, uint32_t piece,
                           struct in_sync_half *ret)
{
    ret->voters = 0;
    ret->witnesses = 0;
    ret->in_sync = 0;
    for (uint32_t i = 0; i < r->membership.n; i++) {
        const struct raft_member *m = &r->membership.member[i];
        if (!(m->roles & half)) {
            continue;
        }
        ret->acked[ret->voters++] = r->peer[i].pr.match;
        ret->witnesses += (m->roles & RAFT_WITNESS) != 0;
        if (in_sync_piece_has(r, piece, m)) {
            ret->acked_in_sync[ret->in_sync++] = r->peer[i].pr.match;
        }
    }
}

/* How many in-sync copies every electable majority needs to meet one of (rule 2). */
static unsigned in_sync_copies(unsigned voters, unsigned in_sync)
{
    unsigned copies = voters - quorum_size(voters) + 1;
    return in_sync < copies ? in_sync : copies;
}

/* The largest index that one half would commit while set `piece` decides. */
static raft_index in_sync_half_commits(const struct raft *r, uint8_t half, uint32_t piece)
{
    struct in_sync_half h;
    in_sync_gather(r, half, piece, &h);
    raft_index majority = quorum_committed(h.acked, h.voters);
    /* A half that comes in may have nobody in sync yet: the other half holds the copies. */
    if (h.witnesses == 0 || h.in_sync == 0) {
        return majority;
    }
    unsigned copies = in_sync_copies(h.voters, h.in_sync);
    return u64_min(majority, quorum_ranked(h.acked_in_sync, h.in_sync, copies));
}

raft_index raft_commit_candidate(const struct raft *r)
{
    raft_index end = r->log.last;
    for (uint32_t piece = r->in_sync_count;; piece--) {
        raft_index begin = piece == 0 ? 0 : r->in_sync[piece - 1].index;
        raft_index index = u64_min(in_sync_half_commits(r, RAFT_VOTER, piece),
                                   in_sync_half_commits(r, RAFT_VOTER_OUTGOING, piece));
        index = u64_min(index, end);
        if (index >= begin) {
            return index;
        }
        end = begin - 1;
    }
}

bool raft_is_exposed(const struct raft *r)
{
    const uint8_t halves[2] = {RAFT_VOTER, RAFT_VOTER_OUTGOING};
    for (int i = 0; i < 2; i++) {
        struct in_sync_half h;
        in_sync_gather(r, halves[i], 0, &h);
        if (h.witnesses > 0 && h.in_sync < h.voters - quorum_size(h.voters) + 1) {
            return true;
        }
    }
    return false;
}

/* --- who keeps up ---------------------------------------------------------------------------- */

/* May the set lose `id` and still have a member in the incoming half? */
static bool in_sync_can_lose(const struct raft *r, const struct raft_in_sync *set, node_id id)
{
    for (uint32_t i = 0; i < r->membership.n; i++) {
        const struct raft_member *m = &r->membership.member[i];
        if (m->id != id && (m->roles & RAFT_VOTER) && raft_member_is_full_voter(m) &&
            in_sync_contains(set, m->id)) {
            return true;
        }
    }
    return false;
}

static void in_sync_erase(struct raft_in_sync *set, node_id id)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < set->n; i++) {
        if (set->ids[i] != id) {
            set->ids[n++] = set->ids[i];
        }
    }
    set->n = n;
}

/* Looks at one full voter; returns whether it should change its place in `set`. */
static bool in_sync_judge(const struct raft *r, uint32_t slot, const struct raft_in_sync *set,
                          bool blocked)
{
    const struct raft_progress *pr = &r->peer[slot].pr;
    node_id id = r->membership.member[slot].id;
    if (id == r->cfg.id) {
        return false; /* a leader is in sync with itself */
    }
    bool keeps_up = pr->match >= r->in_sync_mark && pr->match >= r->log.committed;
    if (!in_sync_contains(set, id)) {
        /* Grow only from settled ground: a set that is not applied may still be taken back. */
        return pr->recent_active && keeps_up && r->in_sync_count == 0 && raft_committed_in_term(r);
    }
    bool gone = !pr->recent_active || (blocked && pr->match < r->in_sync_mark);
    return gone && in_sync_can_lose(r, set, id);
}

static void in_sync_propose(struct raft *r, const struct raft_in_sync *set)
{
    struct buf payload;
    buf_init(&payload);
    buf_put_u8(&payload, (uint8_t)set->n);
    for (uint32_t i = 0; i < set->n; i++) {
        buf_put_varint(&payload, set->ids[i]);
    }
    raft_leader_append(r, RAFT_ENTRY_IN_SYNC, buf_view(&payload));
    buf_deinit(&payload);
    raft_broadcast_append(r);
}

/* Once an election timeout, before the check of the quorum forgets who was heard. */
void raft_tick_in_sync(struct raft *r)
{
    if (!raft_in_sync_rule_applies(r) || r->in_sync_count == RAFT_IN_SYNC_PENDING_MAX) {
        return;
    }
    struct raft_in_sync now = {0};
    struct raft_in_sync next = {0};
    bool changed = false;
    for (uint32_t i = 0; i < r->membership.n; i++) {
        if (in_sync_piece_has(r, r->in_sync_count, &r->membership.member[i])) {
            now.ids[now.n++] = r->membership.member[i].id;
        }
    }
    next = now;
    bool blocked = r->log.committed < r->in_sync_mark;
    for (uint32_t i = 0; i < r->membership.n; i++) {
        const struct raft_member *m = &r->membership.member[i];
        if (!raft_member_is_full_voter(m) || !in_sync_judge(r, i, &next, blocked)) {
            continue;
        }
        changed = true;
        if (in_sync_contains(&next, m->id)) {
            in_sync_erase(&next, m->id);
            continue;
        }
        uint32_t at = next.n++;
        for (; at > 0 && next.ids[at - 1] > m->id; at--) {
            next.ids[at] = next.ids[at - 1];
        }
        next.ids[at] = m->id;
    }
    r->in_sync_mark = r->log.last;
    if (changed && r->transferee == NODE_NONE) {
        in_sync_propose(r, &next);
    }
}
