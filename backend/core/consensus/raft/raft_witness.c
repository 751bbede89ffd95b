/*
 * Witnesses, by the in-sync rule.
 *
 * A witness votes and stores the heads of all entries, but no payloads. Counted like a replica it
 * would let an entry commit that one disk holds: {replica, witness} is a majority of three. If that
 * replica is then lost, the other two are a majority, too, but the remaining replica lacks the
 * entry. So, while a membership has a witness:
 *
 *  1. There is an in-sync set I of full voters, part of the replicated state. It begins with
 *     all of them, and changes by entries of type RAFT_ENTRY_IN_SYNC, each of which decides, for
 *     itself and what follows it, from where it stands in the log, applied or not.
 *  2. An entry commits when a majority of all voters (witnesses among them) has stored it,
 *     and min(|I|, N - q + 1) members of I have, where N is the number of voters and q their
 *     majority: then every majority that could elect contains a member of I with the entry. With
 *     two replicas and a witness that is both replicas while both are in sync.
 *  3. A replica campaigns only as a member of the newest I that it has stored.
 *  4. A voter grants its vote to a candidate whose log is up to date with its own, as ever.
 *     Let p be the position from which on, in the voter's log, every I has the candidate in it
 *     and the voter not. If there is one, the voter grants its vote also to a candidate whose
 *     log is up to date with the voter's cut at p. The first is Raft. The second is needed: what
 *     follows p may be entries that no member of those I has any more, and then one with
 *     everything that was committed could never be elected. And it is safe: let e be committed,
 *     and decided upon by some I. If e <= p, the ordinary argument holds for the voter's log cut
 *     at p. If e > p, then either all of I has e, and the candidate is in I; or N - q + 1
 *     members of I have it, any majority of voters contains one of them, and that one compares
 *     logs up to e at least: it is in the I that decided upon e, so its own p lies behind e. A
 *     change of the members may end I (with the last witness) or take the candidate out of it:
 *     what follows it in the voter's log is not cut off. A
 *     leader sends an entry that changes I or the members only when it is on its own disk, and
 *     outside of the I behind it only when a member of that which stays has it (the leader may be
 *     on its way out): whoever refuses a replica by it then knows that the remaining set has it.
 *  5. A change of the members changes N and q. From where its entry stands in the log, an
 *     entry must have the copies that rule 2 asks under the members before and after it. Whoever
 *     elects under the new members has applied the change, which is therefore committed with
 *     those copies, and all before it.
 *  6. A leader takes a replica out when it falls silent for an election timeout, or holds a
 *     commit up for one; it adds one that has caught up. A change that takes out may overtake
 *     one that is not committed yet, or a replica that dies while it is being added would block
 *     for ever.
 *
 *  7. A candidate that holds changes of the members which it has not applied must win under the
 *     members after each of them, as well as under its own. Elsewhere they may be applied, and
 *     entries commit with as few copies as the members then ask for (N - q + 1 of them, one less
 *     where an odd N becomes even): its own majority need not meet those, but for a witness, which
 *     by rule 4 does not compare.
 *
 * What rule 2 asks depends on the position: between two changes of I, the one before decides. The
 * commit index is the largest index that satisfies its own I; those before it come along.
 *
 * Payload of an in-sync entry: a count byte, then that many ids as varints, ascending.
 */
#include <string.h>

#include "core/base/cursor.h"
#include "core/base/mutant.h"
#include "core/base/probe.h"
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

/* Is `id` in the set of these members, and this node not? Where there is no witness there is none.
 */
static bool in_sync_has_but_not_own(const struct raft *r, const struct raft_membership *ms,
                                    node_id id)
{
    const struct raft_member *own = raft_membership_lookup(ms, r->cfg.id);
    const struct raft_member *other = raft_membership_lookup(ms, id);
    return other && (other->roles & RAFT_IN_SYNC) && !(own && (own->roles & RAFT_IN_SYNC));
}

/* Rule 4: the position from which on every set that the log holds has `id` in it and this node not;
 * false: the newest is not such a set. */
static bool in_sync_cut(const struct raft *r, node_id id, raft_index *ret)
{
    if (!raft_in_sync_rule_applies(r) || !raft_own_member(r)) {
        return false;
    }
    bool is_found = false;
    for (size_t n = 0; n <= r->conf_count; n++) {
        struct raft_membership ms;
        raft_membership_to_come(r, n, &ms);
        if (!in_sync_has_but_not_own(r, &ms, id)) {
            is_found = false;
        } else if (!is_found) {
            is_found = true;
            *ret = n == 0 ? ms.in_sync_since : r->conf[n - 1].index;
        }
    }
    return is_found;
}

bool raft_in_sync_lets_lead(const struct raft *r, node_id id, raft_index index, raft_term term)
{
    if (raft_log_is_up_to_date(&r->log, index, term) || MUTANT(VOTE_FOR_ANY_LOG)) {
        return true;
    }
    raft_index p;
    if (!in_sync_cut(r, id, &p) || p > r->log.last) {
        return false;
    }
    /* A position that was compacted away was committed, and so was the snapshot that covers it. */
    p = u64_max(p, r->log.snapshot_index);
    raft_term p_term = raft_log_term(&r->log, p);
    return term > p_term || (term == p_term && index >= p);
}

static raft_index in_sync_match(const struct raft *r, node_id id)
{
    int slot = raft_membership_slot(&r->membership, id);
    if (MUTANT(OWN_ACK_BEFORE_SYNC) && id == r->cfg.id) {
        return r->log.last;
    }
    return slot < 0 ? 0 : r->peer[slot].pr.match;
}

/* Does a member of the set of `ms` that stays have `index` on its disk? Also true if none stays. */
static bool in_sync_stayer_has(const struct raft *r, const struct raft_membership *ms,
                               const struct raft_membership *future, raft_index index)
{
    bool any = false;
    for (uint32_t i = 0; i < ms->n; i++) {
        const struct raft_member *then = raft_membership_lookup(future, ms->member[i].id);
        if ((ms->member[i].roles & RAFT_IN_SYNC) && then && (then->roles & RAFT_VOTER)) {
            any = true;
            if (in_sync_match(r, then->id) >= index) {
                return true;
            }
        }
    }
    return !any;
}

raft_index raft_in_sync_sendable(const struct raft *r, uint32_t slot)
{
    if (r->conf_count == 0 || !raft_in_sync_rule_applies(r)) {
        return r->log.last;
    }
    struct raft_membership future;
    raft_membership_to_come(r, r->conf_count, &future);
    struct raft_membership ms = r->membership;
    for (size_t i = 0; i < r->conf_count; i++) {
        struct raft_membership next;
        raft_membership_to_come(r, i + 1, &next);
        if (raft_membership_has_witness(&next)) {
            ms = next; /* else the last set there was decides who goes first */
        }
        raft_index index = r->conf[i].index;
        const struct raft_member *m = raft_membership_lookup(&ms, r->membership.member[slot].id);
        bool is_here = in_sync_match(r, r->cfg.id) >= index;
        bool goes_first = m && (m->roles & RAFT_IN_SYNC);
        if (!is_here || (!goes_first && !in_sync_stayer_has(r, &ms, &future, index))) {
            return index - 1;
        }
    }
    return r->log.last;
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
         * is committed, and decides about nothing that is still open. */
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

void raft_in_sync_drop_applied(struct raft *r, raft_index index)
{
    uint32_t n = 0;
    while (n < r->in_sync_count && r->in_sync[n].index <= index) {
        n++;
    }
    r->in_sync_count -= n;
    memmove(r->in_sync, r->in_sync + n, r->in_sync_count * sizeof(r->in_sync[0]));
}

bool raft_in_sync_change(struct raft_membership *ms, raft_index index, struct bytes payload)
{
    struct raft_in_sync set;
    if (in_sync_decode(payload, &set) != OK || !raft_membership_has_witness(ms)) {
        return false;
    }
    struct raft_membership next = *ms;
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
        return false; /* the membership moved on under it: the set never becomes empty */
    }
    next.in_sync_since = index;
    *ms = next;
    return true;
}

void raft_apply_in_sync(struct raft *r, raft_index index, struct bytes payload)
{
    bool was_exposed = raft_is_exposed(r);
    raft_in_sync_drop_applied(r, index);
    if (raft_in_sync_change(&r->membership, index, payload) && raft_is_exposed(r) && !was_exposed) {
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

/* One half of `ms`, which is this node's membership or one to come, while set `piece` decides. */
static void in_sync_gather(const struct raft *r, const struct raft_membership *ms, uint8_t half,
                           uint32_t piece, struct in_sync_half *ret)
{
    ret->voters = 0;
    ret->witnesses = 0;
    ret->in_sync = 0;
    for (uint32_t i = 0; i < ms->n; i++) {
        const struct raft_member *m = &ms->member[i];
        if (!(m->roles & half) && !(MUTANT(LEARNERS_COUNT) && (m->roles & RAFT_LEARNER))) {
            continue;
        }
        raft_index match = in_sync_match(r, m->id);
        ret->acked[ret->voters++] = match;
        ret->witnesses += (m->roles & RAFT_WITNESS) != 0;
        if (in_sync_piece_has(r, piece, m)) {
            ret->acked_in_sync[ret->in_sync++] = match;
        }
    }
}

/* How many in-sync copies every electable majority needs to meet one of (rule 2). */
static unsigned in_sync_copies(unsigned voters)
{
    return voters - quorum_size(voters) + 1;
}

/* The largest index that all of the set has, whichever half of `ms` they vote in. */
static raft_index in_sync_all(const struct raft *r, const struct raft_membership *ms,
                              uint32_t piece)
{
    raft_index all = QUORUM_ALL;
    for (uint32_t i = 0; i < ms->n; i++) {
        if (in_sync_piece_has(r, piece, &ms->member[i])) {
            all = u64_min(all, in_sync_match(r, ms->member[i].id));
        }
    }
    return all;
}

/* The largest index of which both halves of `ms` have the copies. */
static raft_index in_sync_copied(const struct raft *r, const struct raft_membership *ms,
                                 uint32_t piece)
{
    const uint8_t halves[2] = {RAFT_VOTER, RAFT_VOTER_OUTGOING};
    raft_index copied = QUORUM_ALL;
    for (int i = 0; i < 2; i++) {
        struct in_sync_half h;
        in_sync_gather(r, ms, halves[i], piece, &h);
        if (h.witnesses == 0) {
            continue;
        }
        /* With fewer of the set in this half than it asks for, the candidate must have the entry
         * itself, and that one may be of the set by the other half alone. */
        unsigned copies = in_sync_copies(h.voters);
        copied =
            u64_min(copied, h.in_sync < copies ? in_sync_all(r, ms, piece)
                                               : quorum_ranked(h.acked_in_sync, h.in_sync, copies));
    }
    return copied;
}

static raft_index in_sync_majority(const struct raft *r)
{
    struct in_sync_half h;
    in_sync_gather(r, &r->membership, RAFT_VOTER, 0, &h);
    raft_index incoming = quorum_committed(h.acked, h.voters);
    in_sync_gather(r, &r->membership, RAFT_VOTER_OUTGOING, 0, &h);
    if (MUTANT(JOINT_ONE_HALF)) {
        return u64_min(incoming, r->log.last);
    }
    return u64_min(u64_min(incoming, quorum_committed(h.acked, h.voters)), r->log.last);
}

/* The copies that an entry behind the first `n` configuration entries needs: under the members now,
 * and after each of those (rule 5), by the set that decides there. */
static raft_index in_sync_copied_behind(const struct raft *r, size_t n)
{
    uint32_t piece = 0;
    for (size_t i = 0; i < n; i++) {
        piece += piece < r->in_sync_count && r->in_sync[piece].index == r->conf[i].index;
    }
    raft_index copied = in_sync_copied(r, &r->membership, piece);
    for (size_t i = 0; i < n; i++) {
        if (r->conf[i].type == RAFT_ENTRY_CONF) {
            struct raft_membership to_come;
            raft_membership_to_come(r, i + 1, &to_come);
            copied = u64_min(copied, in_sync_copied(r, &to_come, piece));
        }
    }
    return copied;
}

raft_index raft_commit_candidate(const struct raft *r)
{
    raft_index end = in_sync_majority(r);
    if ((r->conf_count == 0 && !raft_in_sync_rule_applies(r)) || MUTANT(WITNESS_AS_REPLICA)) {
        return end;
    }
    /* From the newest stretch of the log to the oldest: the first that has its copies decides. */
    for (size_t n = r->conf_count;; n--) {
        raft_index begin = n == 0 ? 0 : r->conf[n - 1].index;
        raft_index index = end < begin ? 0 : u64_min(end, in_sync_copied_behind(r, n));
        if (n == 0 || (end >= begin && index >= begin)) {
            return index;
        }
        end = u64_min(end, begin - 1);
    }
}

bool raft_is_exposed(const struct raft *r)
{
    const uint8_t halves[2] = {RAFT_VOTER, RAFT_VOTER_OUTGOING};
    if (r->membership.in_sync_since == 0) {
        return false; /* no witness: every status asks */
    }
    for (int i = 0; i < 2; i++) {
        struct in_sync_half h;
        in_sync_gather(r, &r->membership, halves[i], 0, &h);
        if (h.witnesses > 0 && h.in_sync < in_sync_copies(h.voters)) {
            return true;
        }
    }
    return false;
}

/* --- who keeps up ---------------------------------------------------------------------------- */

/* May the set lose `id` and still have a member in the incoming half, also when the change of the
 * members that is under way has been applied? */
static bool in_sync_can_lose(const struct raft *r, const struct raft_in_sync *set, node_id id)
{
    struct raft_membership future;
    raft_membership_to_come(r, r->conf_count, &future);
    for (uint32_t i = 0; i < future.n; i++) {
        const struct raft_member *m = &future.member[i];
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

/* The present newest set, as a list. */
static struct raft_in_sync in_sync_newest(const struct raft *r)
{
    struct raft_in_sync set = {0};
    for (uint32_t i = 0; i < r->membership.n; i++) {
        if (in_sync_piece_has(r, r->in_sync_count, &r->membership.member[i])) {
            set.ids[set.n++] = r->membership.member[i].id;
        }
    }
    return set;
}

/* Once an election timeout, before the check of the quorum forgets who was heard. */
void raft_tick_in_sync(struct raft *r)
{
    if (!raft_in_sync_rule_applies(r) || r->in_sync_count == RAFT_IN_SYNC_PENDING_MAX) {
        return;
    }
    struct raft_in_sync next = in_sync_newest(r);
    bool changed = false;
    bool blocked = r->log.committed < r->in_sync_mark;
    for (uint32_t i = 0; i < r->membership.n; i++) {
        const struct raft_member *m = &r->membership.member[i];
        if (!raft_member_is_full_voter(m) || !in_sync_judge(r, i, &next, blocked)) {
            continue;
        }
        changed = true;
        if (in_sync_contains(&next, m->id)) {
            in_sync_erase(&next, m->id);
            PROBE(RAFT_IN_SYNC_SHRANK);
            continue;
        }
        uint32_t at = next.n++;
        for (; at > 0 && next.ids[at - 1] > m->id; at--) {
            next.ids[at] = next.ids[at - 1];
        }
        next.ids[at] = m->id;
        PROBE(RAFT_IN_SYNC_GREW);
    }
    r->in_sync_mark = r->log.last;
    if (changed && r->transferee == NODE_NONE) {
        in_sync_propose(r, &next);
    }
}
