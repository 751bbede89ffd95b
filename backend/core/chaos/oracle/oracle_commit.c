/*
 * The commit index. It moves on a leader, over entries that it counted (I35, I18), or on a
 * follower, not beyond what a leader had moved it to.
 *
 * Replicas are counted by what they acknowledged in the leader's term, not by what their logs hold:
 * an acknowledgement is true when it leaves (I24), and counts though its sender dies or moves to
 * another term while it is on its way.
 */
#include <string.h>

#include "core/base/cursor.h"
#include "core/chaos/oracle/oracle_int.h"

/* --- who has it ------------------------------------------------------------------------------ */

static bool commit_is_acked(const struct oracle *o, const struct oracle_host *leader,
                            raft_term term, raft_index index, node_id id)
{
    if (id == leader->id) {
        return oracle_raft(leader)->log.durable >= index;
    }
    const struct oracle_host *h = oracle_host_of(o, id);
    const struct oracle_mark *ack = h ? oracle_mark_find(&h->acks, term) : NULL;
    return ack && ack->value >= index;
}

bool oracle_in_sync_read(struct bytes payload, struct raft_in_sync *ret)
{
    struct cursor c;
    cursor_init(&c, payload);
    memset(ret, 0, sizeof(*ret));
    ret->n = cursor_u8(&c);
    if (ret->n == 0 || ret->n > RAFT_MEMBERS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < ret->n; i++) {
        ret->ids[i] = cursor_varint(&c);
        if (ret->ids[i] == NODE_NONE || (i > 0 && ret->ids[i] <= ret->ids[i - 1])) {
            return false;
        }
    }
    return cursor_done(&c);
}

static bool commit_set_has(const struct raft_in_sync *set, const struct raft_member *m)
{
    bool has = set->n == 0 && (m->roles & RAFT_IN_SYNC) != 0;
    for (uint32_t i = 0; i < set->n; i++) {
        has = has || set->ids[i] == m->id;
    }
    return has && raft_member_is_full_voter(m);
}

/* --- copies under a witness (I18) ------------------------------------------------------------ */

struct commit_question {
    const struct oracle *o;
    const struct oracle_host *leader;
    raft_term term;
    raft_index index;
    struct raft_in_sync set; /* which decides there; n 0: the one in the membership */
};

/* Does each half of `ms` have its copies? */
static bool commit_has_copies(const struct commit_question *q, const struct raft_membership *ms)
{
    const uint8_t halves[2] = {RAFT_VOTER, RAFT_VOTER_OUTGOING};
    for (int k = 0; k < 2; k++) {
        unsigned voters = 0;
        unsigned witnesses = 0;
        unsigned in_sync = 0;
        unsigned copies = 0;
        for (uint32_t i = 0; i < ms->n; i++) {
            const struct raft_member *m = &ms->member[i];
            if (!(m->roles & halves[k])) {
                continue;
            }
            voters++;
            witnesses += (m->roles & RAFT_WITNESS) != 0;
            if (commit_set_has(&q->set, m)) {
                in_sync++;
                copies += commit_is_acked(q->o, q->leader, q->term, q->index, m->id);
            }
        }
        unsigned wanted = voters - voters / 2; /* every majority meets one of so many */
        if (witnesses > 0 && in_sync > 0 && copies < (in_sync < wanted ? in_sync : wanted)) {
            return false;
        }
    }
    return true;
}

/* Under the members now, and after each change of them in the log up to the entry. */
static bool commit_copies_hold(struct commit_question *q)
{
    const struct raft *r = oracle_raft(q->leader);
    for (size_t i = 0; i < r->conf_count && r->conf[i].index <= q->index; i++) {
        struct raft_in_sync set;
        struct bytes payload = {r->conf[i].payload, r->conf[i].len};
        if (r->conf[i].type == RAFT_ENTRY_IN_SYNC && oracle_in_sync_read(payload, &set)) {
            q->set = set;
        }
    }
    struct raft_membership ms = r->membership;
    if (!commit_has_copies(q, &ms)) {
        return false;
    }
    for (size_t i = 0; i < r->conf_count && r->conf[i].index <= q->index; i++) {
        struct raft_conf_change change;
        struct bytes payload = {r->conf[i].payload, r->conf[i].len};
        if (r->conf[i].type == RAFT_ENTRY_IN_SYNC) {
            raft_in_sync_change(&ms, r->conf[i].index, payload);
        } else if (raft_conf_change_decode(payload, &change) == OK &&
                   raft_membership_apply(&ms, &change, &ms) == RAFT_CHANGE_OK &&
                   !commit_has_copies(q, &ms)) {
            return false;
        }
    }
    return true;
}

/* --- a leader counts ------------------------------------------------------------------------- */

static void commit_count(struct oracle *o, const struct oracle_host *h, raft_term term,
                         raft_index index)
{
    const struct raft *r = oracle_raft(h);
    const struct raft_membership *ms = &r->membership;
    o->counts.commits++;
    if (raft_log_term(&r->log, index) != term) {
        ORACLE_BLAME(o, h, "I35",
                     "node % leads term % and commits entry % of term % by counting replicas",
                     h->id, term, index, raft_log_term(&r->log, index));
    }
    bool has[RAFT_MEMBERS_MAX];
    uint64_t copies = 0;
    for (uint32_t i = 0; i < ms->n; i++) {
        has[i] = commit_is_acked(o, h, term, index, ms->member[i].id);
        copies += has[i];
    }
    if (!oracle_is_quorum(ms, has)) {
        ORACLE_BLAME(o, h, "I35",
                     "node % leads term % and commits entry %, which % of % members acknowledged",
                     h->id, term, index, copies, ms->n);
    }
    if (raft_membership_has_witness(ms) || r->conf_count > 0) {
        o->counts.in_sync += raft_membership_has_witness(ms);
        struct commit_question q = {.o = o, .leader = h, .term = term, .index = index};
        if (!commit_copies_hold(&q)) {
            ORACLE_BLAME(o, h, "I18",
                         "node % leads term % and commits entry % without its in-sync copies",
                         h->id, term, index);
        }
    }
}

/* --- the truth ------------------------------------------------------------------------------- */

/* A leader of a later term that was elected before has it, too. */
static void commit_check_leaders(struct oracle *o, raft_term term)
{
    for (uint32_t i = 0; i < o->host_count; i++) {
        const struct oracle_host *h = &o->host[i];
        if (!h->node || !h->has_begun || h->role != RAFT_LEADER || h->term <= term) {
            continue;
        }
        const struct raft *r = oracle_raft(h);
        bool leads = r->role == RAFT_LEADER && r->term == h->term;
        if (leads && !oracle_log_has_truth(o, &r->log, o->committed)) {
            ORACLE_BLAME(o, h, "I4", "node % leads term % without entry %, which term % committed",
                         h->id, h->term, o->committed, term);
        }
    }
}

static void commit_extend(struct oracle *o, const struct oracle_host *h, raft_term term,
                          raft_index index)
{
    const struct raft_log *log = &oracle_raft(h)->log;
    if (!oracle_log_has_truth(o, log, o->committed) && o->committed > 0) {
        ORACLE_BLAME(o, h, "I5", "node % commits entry %, and its entry % is not the committed one",
                     h->id, index, o->committed);
    }
    for (raft_index i = o->committed + 1; i <= index; i++) {
        struct oracle_place *place = oracle_place_get(o, i);
        if (!place || !raft_log_knows(log, i)) {
            ORACLE_BLAME(o, h, "I5", "node % commits up to entry %, and nobody committed entry %",
                         h->id, index, i);
            return;
        }
        place->committed = raft_log_term(log, i);
        place->known_in = term;
    }
    o->committed = index;
    commit_check_leaders(o, term);
}

void oracle_look_at_commit(struct oracle *o, struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    raft_index index = r->log.committed;
    if (index == h->committed) {
        return;
    }
    if (index < h->committed) {
        ORACLE_BLAME(o, h, "I36", "the commit index of node % went back from % to %", h->id,
                     h->committed, index);
    }
    if (index > r->log.last || index < h->node->applied) {
        ORACLE_BLAME(o, h, "I36", "node % has applied entry %, committed %, and ends with %", h->id,
                     h->node->applied, index, r->log.last);
    }
    if (index > o->committed) {
        /* It may have been deposed in this very event, after it counted. */
        raft_term term = r->role == RAFT_LEADER ? r->term : h->role == RAFT_LEADER ? h->term : 0;
        if (term == 0) {
            ORACLE_BLAME(o, h, "I35",
                         "node %, no leader, takes entry % for committed; nobody committed more "
                         "than %",
                         h->id, index, o->committed);
        } else {
            commit_count(o, h, term, index);
            commit_extend(o, h, term, index);
        }
    } else if (!oracle_log_has_truth(o, &r->log, index)) {
        ORACLE_BLAME(o, h, "I5",
                     "node % takes its entry % of term % for committed, which is another", h->id,
                     index, raft_log_term(&r->log, index));
    }
    h->committed = index;
}
