/*
 * Linearizable reads that write nothing [Ongaro14 §6.4].
 *
 * ReadIndex: a leader that has committed in its own term (readindex-fresh-leader) notes its commit
 * index, makes sure that it still led after the read arrived, and answers with the index. It is
 * sure once a quorum answers a heartbeat that was sent later. Reads are numbered within a term; a
 * heartbeat carries the number of the newest, and an answer to it confirms all up to there, so one
 * round serves every read of a batch. Numbers, unlike the readers' own ids, never come again in a
 * term (readindex-retry-stale).
 *
 * A follower that asks for a read's index is one of that quorum: its question left after the read
 * arrived, and names the term in which it follows. Where it and the leader are a quorum, as of
 * three voters, the leader is sure at once, and no heartbeat goes. No later leader can have been
 * elected before the question left: that took the vote of one of the two, who were in this term
 * still, the leader because it is so now. What others commit after that was not over when the read
 * began.
 *
 * Leases (off by default) [Ongaro14 §6.4.1]: a follower that heard a leader grants no vote for an
 * election timeout on its clock. The leader's lease therefore lasts that long from when the
 * heartbeat left that a quorum has answered, less what the clocks may drift apart. It ends at once
 * when a transfer begins, which lets a voter off its promise, and when the host slept. A voter that
 * restarted keeps the promise that it may have given before (raft_vote_is_barred).
 */
#include "core/base/mem.h"
#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/consensus/quorum.h"
#include "core/consensus/raft/raft_int.h"

#define RAFT_PPM 1000000

static struct raft_read *reads_at(struct raft *r, uint32_t offset)
{
    struct raft_reads *q = &r->reads;
    return &q->ring[(q->start + offset) % q->cap];
}

static void reads_ready(struct raft *r, const struct raft_read *read)
{
    if (read->from != r->cfg.id) {
        struct raft_message *m = raft_send(r, RAFT_MSG_READ_INDEX_RESP, read->from);
        m->index = read->index;
        m->context = read->id;
        return;
    }
    struct raft_outbox *o = raft_out(r);
    mem_grow((void **)&o->reads, &o->read_cap, o->read_count + 1, sizeof(o->reads[0]));
    o->reads[o->read_count++] = (struct raft_read_ready){read->id, read->index};
}

static void reads_lose(struct raft *r, uint64_t id)
{
    struct raft_outbox *o = raft_out(r);
    mem_grow((void **)&o->lost, &o->lost_cap, o->lost_count + 1, sizeof(o->lost[0]));
    o->lost[o->lost_count++] = id;
}

void raft_reads_reset(struct raft *r)
{
    struct raft_reads *q = &r->reads;
    for (uint32_t i = 0; i < q->count; i++) {
        if (reads_at(r, i)->from == r->cfg.id) {
            PROBE(RAFT_READ_LOST);
            reads_lose(r, reads_at(r, i)->id);
        }
    }
    q->start = 0;
    q->count = 0;
    q->waiting = 0;
    q->confirmed = 0;
    q->announced = 0;
}

uint64_t raft_read_round(const struct raft *r)
{
    uint32_t numbered = r->reads.count - r->reads.waiting;
    return numbered == 0 ? 0 : r->reads.confirmed + numbered;
}

/* The number that a quorum has acknowledged, in both halves. */
static uint64_t reads_quorum(const struct raft *r, nanos *ret_lease)
{
    uint64_t rounds[2];
    nanos leases[2];
    const uint8_t halves[2] = {RAFT_VOTER, RAFT_VOTER_OUTGOING};
    for (int h = 0; h < 2; h++) {
        uint64_t round[RAFT_MEMBERS_MAX];
        uint64_t lease[RAFT_MEMBERS_MAX];
        unsigned n = 0;
        for (uint32_t i = 0; i < r->membership.n; i++) {
            const struct raft_member *m = &r->membership.member[i];
            if (m->roles & halves[h]) {
                bool own = m->id == r->cfg.id;
                round[n] = own ? UINT64_MAX : r->peer[i].pr.read_acked;
                lease[n] = own ? r->now : r->peer[i].pr.lease_acked;
                n++;
            }
        }
        rounds[h] = quorum_committed(round, n);
        leases[h] = quorum_committed(lease, n);
    }
    *ret_lease = u64_min(leases[0], leases[1]);
    return u64_min(rounds[0], rounds[1]);
}

void raft_reads_acked(struct raft *r)
{
    struct raft_reads *q = &r->reads;
    nanos lease;
    uint64_t round = u64_min(reads_quorum(r, &lease), raft_read_round(r));
    while (q->confirmed < round) {
        reads_ready(r, reads_at(r, 0));
        q->start = (q->start + 1) % q->cap;
        q->count--;
        q->confirmed++;
    }
}

bool raft_lease_holds(const struct raft *r, nanos now)
{
    if (!r->cfg.lease_reads || !r->cfg.check_quorum || r->role != RAFT_LEADER || r->lease_void ||
        !raft_committed_in_term(r)) {
        return false;
    }
    nanos since;
    reads_quorum(r, &since);
    /* A voter's clock may run fast and the leader's slow: E (1 - d) / (1 + d) > E (1 - 2 d). */
    nanos length = (MUTANT(LEASE_TOO_LONG) ? 3 : 1) * r->cfg.election_timeout / RAFT_PPM *
                   (RAFT_PPM - 2 * r->cfg.clock_drift_ppm);
    return now >= since && now - since < length;
}

/* Are these two a quorum, in both halves? */
static bool reads_two_suffice(const struct raft *r, node_id a, node_id b)
{
    uint32_t two = 0;
    for (uint32_t i = 0; i < r->membership.n; i++) {
        node_id id = r->membership.member[i].id;
        two |= (uint32_t)(id == a || id == b) << i;
    }
    return raft_membership_is_quorum(&r->membership, two);
}

/* `vouched`: the term in which `from`, another node, says that it follows; 0: it does not say. */
static enum err reads_admit(struct raft *r, uint64_t id, node_id from, raft_term vouched)
{
    struct raft_reads *q = &r->reads;
    struct raft_read read = {id, from, r->log.committed};
    bool alone = raft_membership_count(&r->membership, RAFT_VOTER | RAFT_VOTER_OUTGOING) == 1 &&
                 raft_own_member(r) && raft_member_votes(raft_own_member(r));
    bool fresh = !raft_committed_in_term(r) && !MUTANT(READ_BY_FRESH_LEADER);
    if (!fresh && (alone || MUTANT(READ_WITHOUT_ROUND) || raft_lease_holds(r, r->now))) {
        if (!alone) {
            PROBE(RAFT_READ_BY_LEASE);
        }
        reads_ready(r, &read);
        return OK;
    }
    if (!fresh && vouched == r->term && reads_two_suffice(r, from, r->cfg.id)) {
        PROBE(RAFT_READ_VOUCHED);
        reads_ready(r, &read);
        return OK;
    }
    if (q->count == r->cfg.max_reads) {
        PROBE(RAFT_READ_QUEUE_FULL);
        return ERR_BUSY;
    }
    if (!q->ring) {
        q->cap = r->cfg.max_reads;
        q->ring = mem_realloc_array(NULL, q->cap, sizeof(*q->ring));
    }
    *reads_at(r, q->count) = read;
    q->count++;
    q->waiting += fresh;
    return OK;
}

enum err raft_read_local(struct raft *r, uint64_t id)
{
    if (r->role == RAFT_LEADER) {
        return r->stopping ? ERR_DROPPED : reads_admit(r, id, r->cfg.id, 0);
    }
    if (r->role != RAFT_FOLLOWER || r->leader == NODE_NONE) {
        return ERR_NO_LEADER;
    }
    struct raft_message *m = raft_send(r, RAFT_MSG_READ_INDEX, r->leader);
    m->context = id;
    /* With its vote lost it cannot say that nobody else leads by now. */
    m->log_term = r->repair.lost_vote ? 0 : r->term;
    PROBE(RAFT_READ_FORWARDED);
    return OK;
}

void raft_on_read_request(struct raft *r, const struct raft_message *m)
{
    /* Whoever asks a node that does not lead, or one that is full, hears nothing and asks again. */
    if (r->role == RAFT_LEADER) {
        enum err ignored = reads_admit(r, m->context, m->from, m->log_term);
        (void)ignored;
        raft_await_commit(r, m->from, r->log.committed);
    }
}

void raft_on_read_response(struct raft *r, const struct raft_message *m)
{
    if (r->role == RAFT_FOLLOWER) {
        struct raft_read read = {m->context, r->cfg.id, m->index};
        reads_ready(r, &read);
        /* It is the leader's commit index, of this term, and may be newer than what is known. */
        raft_commit_to(r, u64_min(m->index, r->matched));
    }
}

/* The commit index moved: once it is of this term, the reads that came too early get their index.
 */
void raft_reads_committed(struct raft *r)
{
    struct raft_reads *q = &r->reads;
    if (q->waiting == 0 || !raft_committed_in_term(r)) {
        return;
    }
    for (uint32_t i = q->count - q->waiting; i < q->count; i++) {
        reads_at(r, i)->index = r->log.committed;
    }
    q->waiting = 0;
    raft_reads_acked(r); /* where this node alone is the quorum */
    PROBE(RAFT_READ_WAITED);
}

/* One round of heartbeats for all reads that came since the last one. */
void raft_reads_announce(struct raft *r)
{
    if (r->role == RAFT_LEADER && raft_read_round(r) > r->reads.announced) {
        raft_broadcast_heartbeat(r);
    }
}
