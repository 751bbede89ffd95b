#include "core/consensus/raft/raft_membership.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/cursor.h"
#include "core/consensus/quorum.h"

_Static_assert(RAFT_CONF_CHANGES_MAX <= 255, "the number of changes is one byte on the wire");
_Static_assert(RAFT_MEMBERS_MAX <= 32, "a set of slots is a word");

const char *raft_change_text(enum raft_change_result result)
{
    static const char *const texts[] = {
#define RAFT_CHANGE_TEXT(name, text) text,
        RAFT_CHANGE_TABLE(RAFT_CHANGE_TEXT)
#undef RAFT_CHANGE_TEXT
    };
    return (unsigned)result < COUNT_OF(texts) ? texts[result] : "an unknown reason";
}

int raft_membership_slot(const struct raft_membership *ms, node_id id)
{
    for (uint32_t i = 0; i < ms->n; i++) {
        if (ms->member[i].id == id) {
            return (int)i;
        }
    }
    return -1;
}

const struct raft_member *raft_membership_lookup(const struct raft_membership *ms, node_id id)
{
    int slot = raft_membership_slot(ms, id);
    return slot < 0 ? NULL : &ms->member[slot];
}

struct raft_member *raft_membership_find(struct raft_membership *ms, node_id id)
{
    int slot = raft_membership_slot(ms, id);
    return slot < 0 ? NULL : &ms->member[slot];
}

struct raft_member *raft_membership_insert(struct raft_membership *ms, node_id id, uint8_t roles)
{
    CHECK(ms->n < RAFT_MEMBERS_MAX);
    CHECK(id != NODE_NONE && raft_membership_slot(ms, id) < 0);
    uint32_t at = ms->n;
    for (; at > 0 && ms->member[at - 1].id > id; at--) {
        ms->member[at] = ms->member[at - 1];
    }
    memset(&ms->member[at], 0, sizeof(ms->member[at]));
    ms->member[at].id = id;
    ms->member[at].roles = roles;
    ms->member[at].priority = RAFT_PRIORITY_DEFAULT;
    ms->n++;
    return &ms->member[at];
}

static void membership_erase(struct raft_membership *ms, uint32_t slot)
{
    CHECK(slot < ms->n);
    ms->n--;
    memmove(&ms->member[slot], &ms->member[slot + 1], (ms->n - slot) * sizeof(ms->member[0]));
    memset(&ms->member[ms->n], 0, sizeof(ms->member[0]));
}

unsigned raft_membership_count(const struct raft_membership *ms, uint8_t roles)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < ms->n; i++) {
        count += (ms->member[i].roles & roles) != 0;
    }
    return count;
}

bool raft_membership_is_quorum(const struct raft_membership *ms, uint32_t slots)
{
    enum quorum_result result[2];
    const uint8_t halves[2] = {RAFT_VOTER, RAFT_VOTER_OUTGOING};
    for (int h = 0; h < 2; h++) {
        unsigned in = 0;
        unsigned n = 0;
        for (uint32_t i = 0; i < ms->n; i++) {
            if (ms->member[i].roles & halves[h]) {
                n++;
                in += slots >> i & 1;
            }
        }
        result[h] = quorum_tally(in, n - in, n);
    }
    return quorum_both(result[0], result[1]) == QUORUM_WON;
}

bool raft_membership_is_joint(const struct raft_membership *ms)
{
    return raft_membership_count(ms, RAFT_VOTER_OUTGOING) > 0;
}

bool raft_membership_has_witness(const struct raft_membership *ms)
{
    return raft_membership_count(ms, RAFT_WITNESS) > 0;
}

static bool member_valid(const struct raft_membership *ms, uint32_t i)
{
    const struct raft_member *m = &ms->member[i];
    bool votes = raft_member_votes(m);
    bool learner = (m->roles & RAFT_LEARNER) != 0;
    bool ordered = i == 0 || ms->member[i - 1].id < m->id;
    bool next_is_leaving =
        !(m->roles & RAFT_LEARNER_NEXT) ||
        ((m->roles & RAFT_VOTER_OUTGOING) && !(m->roles & (RAFT_VOTER | RAFT_LEARNER)));
    bool witness_votes = !(m->roles & RAFT_WITNESS) || votes;
    bool in_sync_is_full = !(m->roles & RAFT_IN_SYNC) || raft_member_is_full_voter(m);
    return m->id != NODE_NONE && ordered && votes != learner && next_is_leaving && witness_votes &&
           in_sync_is_full;
}

bool raft_membership_valid(const struct raft_membership *ms)
{
    if (ms->n > RAFT_MEMBERS_MAX || RAFT_LINEAGE_COUNT(ms->lineage) > RAFT_LINEAGE_COUNT_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < ms->n; i++) {
        if (!member_valid(ms, i)) {
            return false;
        }
    }
    bool joint = raft_membership_is_joint(ms);
    if (!joint && (ms->auto_leave || raft_membership_count(ms, RAFT_LEARNER_NEXT) > 0)) {
        return false;
    }
    if (ms->n > 0 && raft_membership_count(ms, RAFT_VOTER) == 0) {
        return false;
    }
    return raft_membership_has_witness(ms)
               ? raft_membership_count(ms, RAFT_IN_SYNC) > 0
               : raft_membership_count(ms, RAFT_IN_SYNC) == 0 && ms->in_sync_since == 0;
}

void raft_membership_check(const struct raft_membership *ms)
{
    CHECK(raft_membership_valid(ms));
}

/* Takes a member out of the incoming configuration; it stays where it still votes in the outgoing
 * one. */
static void membership_remove(struct raft_membership *ms, node_id id)
{
    int slot = raft_membership_slot(ms, id);
    if (slot < 0) {
        return;
    }
    struct raft_member *m = &ms->member[slot];
    m->roles &= (uint8_t) ~(RAFT_VOTER | RAFT_LEARNER | RAFT_LEARNER_NEXT | RAFT_AUTO_PROMOTE);
    if (!(m->roles & RAFT_VOTER_OUTGOING)) {
        membership_erase(ms, (uint32_t)slot);
    }
}

static enum raft_change_result membership_make_voter(struct raft_membership *ms,
                                                     const struct raft_conf_single *c)
{
    bool witness = c->op == RAFT_ADD_WITNESS;
    struct raft_member *m = raft_membership_find(ms, c->node);
    if (!m) {
        if (ms->n == RAFT_MEMBERS_MAX) {
            return RAFT_CHANGE_TOO_MANY;
        }
        m = raft_membership_insert(ms, c->node, RAFT_FRESH | (witness ? RAFT_WITNESS : 0));
    } else if (witness != ((m->roles & RAFT_WITNESS) != 0)) {
        /* What a witness stored without payload, or a replica with it, cannot change its nature:
         * such a member leaves and joins under a new id. */
        return RAFT_CHANGE_WITNESS_FLIP;
    }
    m->roles &= (uint8_t) ~(RAFT_LEARNER | RAFT_LEARNER_NEXT | RAFT_AUTO_PROMOTE);
    m->roles |= RAFT_VOTER;
    m->priority = c->priority;
    return RAFT_CHANGE_OK;
}

/* A voter of the outgoing configuration cannot be a learner yet: the two would intersect. It is
 * marked, and becomes one when the joint configuration is left. */
static enum raft_change_result membership_make_learner(struct raft_membership *ms,
                                                       const struct raft_conf_single *c)
{
    struct raft_member *m = raft_membership_find(ms, c->node);
    if (!m) {
        if (ms->n == RAFT_MEMBERS_MAX) {
            return RAFT_CHANGE_TOO_MANY;
        }
        m = raft_membership_insert(ms, c->node, RAFT_FRESH | RAFT_LEARNER);
    } else if (m->roles & RAFT_WITNESS) {
        return RAFT_CHANGE_WITNESS_FLIP;
    } else if (!(m->roles & RAFT_LEARNER)) {
        m->roles &= (uint8_t) ~(RAFT_VOTER | RAFT_LEARNER_NEXT);
        m->roles |= m->roles & RAFT_VOTER_OUTGOING ? RAFT_LEARNER_NEXT : RAFT_LEARNER;
        if (!raft_member_votes(m)) {
            m->roles &= (uint8_t)~RAFT_IN_SYNC;
        }
    }
    if (c->auto_promote) {
        m->roles |= RAFT_AUTO_PROMOTE;
    }
    m->priority = c->priority;
    return RAFT_CHANGE_OK;
}

static enum raft_change_result membership_change_one(struct raft_membership *ms,
                                                     const struct raft_conf_single *c)
{
    if (c->node == NODE_NONE) {
        return RAFT_CHANGE_OK;
    }
    switch (c->op) {
    case RAFT_ADD_VOTER:
    case RAFT_ADD_WITNESS:
        return membership_make_voter(ms, c);
    case RAFT_ADD_LEARNER:
        return membership_make_learner(ms, c);
    case RAFT_REMOVE:
        membership_remove(ms, c->node);
        return RAFT_CHANGE_OK;
    case RAFT_UPDATE: {
        struct raft_member *m = raft_membership_find(ms, c->node);
        if (m) {
            m->priority = c->priority;
        }
        return RAFT_CHANGE_OK;
    }
    case RAFT_CONF_OPS:
        break;
    }
    CHECK(c->op < RAFT_CONF_OPS);
    return RAFT_CHANGE_OK;
}

/* The in-sync set follows the membership: it begins with every full voter when the first witness
 * joins, ends when the last one leaves, and must never become empty between (raft_witness.c). */
static enum raft_change_result membership_settle_in_sync(struct raft_membership *ms,
                                                         bool had_witness)
{
    bool has_witness = raft_membership_has_witness(ms);
    unsigned full = 0;
    unsigned in_sync = 0;
    ms->in_sync_since = has_witness ? ms->in_sync_since : 0;
    for (uint32_t i = 0; i < ms->n; i++) {
        struct raft_member *m = &ms->member[i];
        bool counts = (m->roles & RAFT_VOTER) && !(m->roles & RAFT_WITNESS);
        if (!has_witness) {
            m->roles &= (uint8_t)~RAFT_IN_SYNC;
        } else if (!had_witness && raft_member_is_full_voter(m) && !(m->roles & RAFT_FRESH)) {
            m->roles |= RAFT_IN_SYNC;
        }
        full += counts;
        in_sync += counts && (m->roles & RAFT_IN_SYNC);
    }
    if (full == 0) {
        return RAFT_CHANGE_NO_FULL_VOTER;
    }
    /* While joint, the incoming half may still be catching up; it is left only once it has a
     * replica that is in sync. */
    if (has_witness && in_sync == 0 && !raft_membership_is_joint(ms)) {
        return RAFT_CHANGE_NO_IN_SYNC;
    }
    return RAFT_CHANGE_OK;
}

static enum raft_change_result membership_change_all(struct raft_membership *ms, bool had_witness,
                                                     const struct raft_conf_single *changes,
                                                     uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        enum raft_change_result result = membership_change_one(ms, &changes[i]);
        if (result != RAFT_CHANGE_OK) {
            return result;
        }
    }
    if (raft_membership_count(ms, RAFT_VOTER) == 0) {
        return RAFT_CHANGE_NO_VOTERS;
    }
    return membership_settle_in_sync(ms, had_witness);
}

static void membership_forget_fresh(struct raft_membership *ms)
{
    for (uint32_t i = 0; i < ms->n; i++) {
        ms->member[i].roles &= (uint8_t)~RAFT_FRESH;
    }
}

/* How many ids are voters of the incoming configuration in just one of the two. */
static unsigned membership_voters_differ(const struct raft_membership *a,
                                         const struct raft_membership *b)
{
    unsigned count = 0;
    const struct raft_membership *pair[2][2] = {{a, b}, {b, a}};
    for (int p = 0; p < 2; p++) {
        for (uint32_t i = 0; i < pair[p][0]->n; i++) {
            const struct raft_member *m = &pair[p][0]->member[i];
            const struct raft_member *other = raft_membership_lookup(pair[p][1], m->id);
            count += (m->roles & RAFT_VOTER) && !(other && (other->roles & RAFT_VOTER));
        }
    }
    return count;
}

enum raft_change_result raft_membership_simple(const struct raft_membership *ms,
                                               const struct raft_conf_single *changes, uint32_t n,
                                               struct raft_membership *ret)
{
    if (raft_membership_is_joint(ms)) {
        return RAFT_CHANGE_SIMPLE_IN_JOINT;
    }
    struct raft_membership next = *ms;
    membership_forget_fresh(&next);
    bool had_witness = raft_membership_has_witness(ms);
    enum raft_change_result result = membership_change_all(&next, had_witness, changes, n);
    if (result != RAFT_CHANGE_OK) {
        return result;
    }
    if (membership_voters_differ(ms, &next) > 1) {
        return RAFT_CHANGE_TOO_WIDE;
    }
    raft_membership_check(&next);
    *ret = next;
    return RAFT_CHANGE_OK;
}

enum raft_change_result raft_membership_enter_joint(const struct raft_membership *ms,
                                                    bool auto_leave,
                                                    const struct raft_conf_single *changes,
                                                    uint32_t n, struct raft_membership *ret)
{
    if (raft_membership_is_joint(ms)) {
        return RAFT_CHANGE_ALREADY_JOINT;
    }
    if (raft_membership_count(ms, RAFT_VOTER) == 0) {
        return RAFT_CHANGE_EMPTY_BASE;
    }
    struct raft_membership next = *ms;
    membership_forget_fresh(&next);
    for (uint32_t i = 0; i < next.n; i++) {
        if (next.member[i].roles & RAFT_VOTER) {
            next.member[i].roles |= RAFT_VOTER_OUTGOING;
        }
    }
    bool had_witness = raft_membership_has_witness(ms);
    enum raft_change_result result = membership_change_all(&next, had_witness, changes, n);
    if (result != RAFT_CHANGE_OK) {
        return result;
    }
    next.auto_leave = auto_leave;
    raft_membership_check(&next);
    *ret = next;
    return RAFT_CHANGE_OK;
}

enum raft_change_result raft_membership_leave_joint(const struct raft_membership *ms,
                                                    struct raft_membership *ret)
{
    if (!raft_membership_is_joint(ms)) {
        return RAFT_CHANGE_NOT_JOINT;
    }
    struct raft_membership next = *ms;
    bool had_witness = raft_membership_has_witness(ms);
    membership_forget_fresh(&next);
    next.auto_leave = false;
    for (uint32_t i = next.n; i-- > 0;) {
        struct raft_member *m = &next.member[i];
        if (m->roles & RAFT_LEARNER_NEXT) {
            m->roles = RAFT_LEARNER | (m->roles & RAFT_AUTO_PROMOTE);
        }
        m->roles &= (uint8_t)~RAFT_VOTER_OUTGOING;
        if (!(m->roles & (RAFT_VOTER | RAFT_LEARNER))) {
            membership_erase(&next, i);
        }
    }
    enum raft_change_result result = membership_settle_in_sync(&next, had_witness);
    if (result != RAFT_CHANGE_OK) {
        return result;
    }
    raft_membership_check(&next);
    *ret = next;
    return RAFT_CHANGE_OK;
}

bool raft_conf_change_leaves(const struct raft_conf_change *change)
{
    return change->transition == RAFT_TRANSITION_AUTO && change->n == 0;
}

/* One voter, alone, whatever was before. */
static enum raft_change_result membership_force(const struct raft_conf_change *change,
                                                struct raft_membership *ret)
{
    if (change->n != 1 || change->single[0].op != RAFT_ADD_VOTER ||
        change->single[0].node == NODE_NONE) {
        return RAFT_CHANGE_NO_VOTERS;
    }
    struct raft_membership next;
    memset(&next, 0, sizeof(next));
    raft_membership_insert(&next, change->single[0].node, RAFT_VOTER)->priority =
        change->single[0].priority;
    next.lineage = change->lineage;
    *ret = next;
    return RAFT_CHANGE_OK;
}

enum raft_change_result raft_membership_apply(const struct raft_membership *ms,
                                              const struct raft_conf_change *change,
                                              struct raft_membership *ret)
{
    if (change->transition == RAFT_TRANSITION_FORCED) {
        return membership_force(change, ret);
    }
    if (raft_conf_change_leaves(change)) {
        return raft_membership_leave_joint(ms, ret);
    }
    bool joint = change->transition == RAFT_TRANSITION_JOINT_IMPLICIT ||
                 change->transition == RAFT_TRANSITION_JOINT_EXPLICIT ||
                 (change->transition == RAFT_TRANSITION_AUTO && change->n > 1);
    if (joint) {
        bool auto_leave = change->transition != RAFT_TRANSITION_JOINT_EXPLICIT;
        return raft_membership_enter_joint(ms, auto_leave, change->single, change->n, ret);
    }
    return raft_membership_simple(ms, change->single, change->n, ret);
}

void raft_conf_change_encode(const struct raft_conf_change *change, struct buf *b)
{
    CHECK(change->n <= RAFT_CONF_CHANGES_MAX && change->context.len <= RAFT_CONF_CONTEXT_MAX);
    if (raft_conf_change_leaves(change) && change->context.len == 0) {
        return;
    }
    buf_put_u8(b, (uint8_t)change->transition);
    buf_put_u8(b, (uint8_t)change->n);
    for (uint32_t i = 0; i < change->n; i++) {
        const struct raft_conf_single *c = &change->single[i];
        buf_put_u8(b, (uint8_t)c->op);
        buf_put_u8(b, c->auto_promote ? 1 : 0);
        buf_put_u8(b, c->priority);
        buf_put_varint(b, c->node);
    }
    if (change->transition == RAFT_TRANSITION_FORCED) {
        buf_put_u32(b, change->lineage);
    }
    buf_put_bytes(b, change->context);
}

enum err raft_conf_change_decode(struct bytes b, struct raft_conf_change *ret)
{
    struct raft_conf_change change;
    memset(&change, 0, sizeof(change));
    if (b.len == 0) {
        *ret = change;
        return OK;
    }
    struct cursor c;
    cursor_init(&c, b);
    uint8_t transition = cursor_u8(&c);
    uint8_t n = cursor_u8(&c);
    if (transition >= RAFT_TRANSITIONS || n > RAFT_CONF_CHANGES_MAX) {
        return ERR_CORRUPT;
    }
    change.transition = (enum raft_transition)transition;
    change.n = n;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t op = cursor_u8(&c);
        uint8_t flags = cursor_u8(&c);
        if (op >= RAFT_CONF_OPS || flags > 1) {
            return ERR_CORRUPT;
        }
        change.single[i].op = (enum raft_conf_op)op;
        change.single[i].auto_promote = flags == 1;
        change.single[i].priority = cursor_u8(&c);
        change.single[i].node = cursor_varint(&c);
    }
    if (change.transition == RAFT_TRANSITION_FORCED) {
        change.lineage = cursor_u32(&c);
    }
    change.context = cursor_bytes(&c, RAFT_CONF_CONTEXT_MAX);
    if (!cursor_done(&c)) {
        return cursor_ok(&c) ? ERR_CORRUPT : ERR_TRUNCATED;
    }
    if (change.transition == RAFT_TRANSITION_FORCED &&
        (change.lineage == 0 || RAFT_LINEAGE_COUNT(change.lineage) > RAFT_LINEAGE_COUNT_MAX)) {
        return ERR_CORRUPT;
    }
    if (raft_conf_change_leaves(&change) && change.context.len == 0) {
        return ERR_CORRUPT; /* that change is no bytes at all: each has one encoding */
    }
    *ret = change;
    return OK;
}
