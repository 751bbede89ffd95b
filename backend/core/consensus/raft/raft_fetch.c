/*
 * Snapshots: offered by the leader, fetched by the member that needs one.
 *
 *   leader                      member                          source (a follower, or the leader)
 *     | -- MsgSnap: name, source -> |                                 |
 *     |                             | -- MsgSnapFetch: name, offset ->|  reads the disk
 *     |                             | <-- MsgSnapChunk: bytes --------|
 *     |                             |    ... until all is durable ... |
 *     |  <- MsgAppResp: installed --|                                 |
 *
 * The member pulls: it knows how far it is, asks for a few chunks at a time, goes on where it was
 * after a new leader or a restart, and turns to the leader when the source falls silent. The source
 * serves at a bounded rate. On a slow network it learns how long a chunk takes, and waits twice as
 * long before it asks again: what is asked for twice is sent twice. A source may offer a snapshot
 * of its own in place of the one asked for, if the leader's log continues from it. All state below
 * a snapshot's index is committed, so it does not matter whose snapshot it is, nor which term it
 * was asked for in.
 *
 * The leader forgets its offer when the member shows no progress for two election timeouts, and
 * probes again (crashed-mid-snapshot); it does not compact what follows a snapshot that is being
 * fetched (far-behind-snapshot-loop; raft_compactable).
 */
#include <string.h>

#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/consensus/raft/raft_int.h"

/* The longest that a fetch waits for a chunk before it asks again, in election timeouts. */
#define FETCH_PATIENCE_MAX 32

/* --- the leader ------------------------------------------------------------------------------ */

/* A follower that is up to date spares the leader's disk and network. The first offer names the
 * first one, the next offer another one, and so on: a file may be damaged without its node's
 * knowledge, and only who fetches it sees that. */
static node_id fetch_choose_source(const struct raft *r, node_id member, uint32_t offers)
{
    node_id source[RAFT_MEMBERS_MAX + 1];
    uint32_t n = 0;
    for (uint32_t i = 0; r->cfg.follower_snapshots && i < r->membership.n; i++) {
        const struct raft_member *m = &r->membership.member[i];
        const struct raft_progress *pr = &r->peer[i].pr;
        if (m->id != r->cfg.id && m->id != member && !(m->roles & RAFT_WITNESS) &&
            pr->recent_active && pr->state == RAFT_REPLICATE && pr->match >= r->log.committed) {
            source[n++] = m->id;
        }
    }
    source[n++] = r->cfg.id;
    return source[offers % n];
}

bool raft_offer_snapshot(struct raft *r, uint32_t slot)
{
    struct raft_progress *pr = &r->peer[slot].pr;
    const struct raft_member *member = &r->membership.member[slot];
    bool connects = r->snapshot.index != 0 && r->snapshot.index >= r->log.snapshot_index;
    if (!pr->recent_active || !connects) {
        return false;
    }
    struct raft_snapshot offer = r->snapshot;
    if (member->roles & RAFT_WITNESS) {
        offer.size = 0; /* it keeps the name alone */
        offer.digest = 0;
    }
    raft_progress_become_snapshot(pr, offer.index, r->now);
    struct raft_message *m = raft_send(r, RAFT_MSG_SNAP, member->id);
    m->snapshot = raft_arena_copy_snapshot(r, &offer);
    m->source = fetch_choose_source(r, member->id, pr->offers++);
    m->hint = r->log.snapshot_index;
    return true;
}

void raft_tick_offers(struct raft *r)
{
    for (uint32_t i = 0; i < r->membership.n; i++) {
        struct raft_progress *pr = &r->peer[i].pr;
        if (pr->state == RAFT_SNAPSHOT && !MUTANT(OFFER_NEVER_ENDS) &&
            r->now - pr->snapshot_alive >= 2 * r->cfg.election_timeout) {
            pr->pending_snapshot = 0;
            PROBE(RAFT_OFFER_EXPIRED);
            raft_progress_become_probe(pr);
            pr->append_paused = true; /* until the next heartbeat is answered */
        }
    }
}

/* --- the member ------------------------------------------------------------------------------ */

static bool fetch_same(const struct raft_snapshot *a, const struct raft_snapshot *b)
{
    return a->index == b->index && a->term == b->term && a->size == b->size &&
           a->digest == b->digest;
}

/* The snapshot is complete: it becomes the log's beginning. */
static void fetch_install(struct raft *r, const struct raft_snapshot *s, bool keeps_log)
{
    raft_outbox_drop_appends(r);
    r->fetch.active = false;
    if (keeps_log) {
        PROBE(RAFT_SNAPSHOT_KEEPS_LOG);
        raft_commit_to(r, s->index);
        /* Changes among the damaged entries were never seen, so the membership is the snapshot's.
         */
        raft_conf_restored(r, s);
        r->log.applied = s->index;
        r->log.applying = u64_max(r->log.applying, s->index);
        raft_log_compact(&r->log, s->index);
    } else {
        raft_forget_conf_from(r, 0);
        r->in_sync_count = 0;
        raft_batches_truncated(r, 0);
        raft_repair_truncated(r, s->index + 1); /* damage behind its end went with the log */
        raft_log_restore(&r->log, s->index, s->term);
        PROBE(RAFT_SNAPSHOT_RESTARTS_LOG);
        r->matched = s->index;
        raft_switch_membership(r, &s->membership);
    }
    raft_repair_restored(r, s->index);
    r->apply_loading = false;
    r->apply_loaded = NULL;
    r->apply_loaded_count = 0;
    r->applying_bytes = 0;
    r->health.apply_since = 0;
    r->installing = true;
    r->install_handed = false;
    r->install_keeps_log = keeps_log;
    r->installing_snapshot = *s;
    if (r->leader != NODE_NONE) {
        raft_acknowledge(r, r->leader, s->index);
    }
}

/* Bodies before the snapshot's end are damaged and cannot be applied: the snapshot stands in for
 * them, and the log after it stays. */
static bool fetch_fills_damage(const struct raft *r, const struct raft_snapshot *s)
{
    return r->repair.range_count > 0 && r->repair.range[0].first <= s->index &&
           s->index > r->log.applied && raft_log_matches(&r->log, s->index, s->term);
}

static void fetch_open(struct raft *r, const struct raft_snapshot *s, node_id source,
                       node_id leader)
{
    memset(&r->fetch, 0, sizeof(r->fetch));
    r->fetch.active = true;
    r->fetch.snapshot = *s;
    r->fetch.source = source;
    r->fetch.leader = leader;
    r->fetch.heard = r->now;
    r->fetch.waits_since = r->now;
    r->fetch.patience = r->cfg.election_timeout;
    r->fetch.window = r->cfg.max_chunks;
    struct raft_outbox *o = raft_out(r);
    RAFT_PUSH(o->chunk_writes, o->chunk_write_count, o->chunk_write_cap,
              ((struct raft_chunk){.peer = source,
                                   .snapshot = s->index,
                                   .snapshot_term = s->term,
                                   .digest = s->digest,
                                   .size = s->size}));
    r->fetch.opening = true;
}

static void fetch_ask(struct raft *r)
{
    struct raft_fetch *f = &r->fetch;
    uint64_t window = (uint64_t)f->window * r->cfg.chunk_bytes;
    while (f->asked < f->snapshot.size && f->asked - f->durable < window) {
        uint64_t len = u64_min(r->cfg.chunk_bytes, f->snapshot.size - f->asked);
        struct raft_message *m = raft_send(r, RAFT_MSG_SNAP_FETCH, f->source);
        m->snapshot = raft_arena_copy_snapshot(r, &f->snapshot);
        m->offset = f->asked;
        m->hint = len;
        f->asked += len;
    }
}

static void fetch_begin(struct raft *r, const struct raft_message *m)
{
    bool elsewhere = m->source != NODE_NONE && m->source != r->cfg.id;
    node_id source = elsewhere ? m->source : m->from;
    if (r->fetch.active && fetch_same(&r->fetch.snapshot, m->snapshot)) {
        r->fetch.leader = m->from; /* offered again: go on */
        r->fetch.offered = source;
        return;
    }
    fetch_open(r, m->snapshot, source, m->from);
    r->fetch.offered = source;
    r->fetch.oldest = m->hint;
}

/* A snapshot from before this node joined will do: its membership does not name the node, but the
 * entries that follow it add it. */
enum err raft_on_snapshot(struct raft *r, const struct raft_message *m)
{
    const struct raft_snapshot *s = m->snapshot;
    if (MUTANT(SNAPSHOT_LOWERS_TERM)) {
        r->term = s->term;
    }
    bool fills = fetch_fills_damage(r, s);
    bool needed = s->index > r->log.committed || fills || MUTANT(SNAPSHOT_OVER_NEWER_LOG);
    if (!needed || r->installing) {
        raft_acknowledge(r, m->from, r->log.committed);
        return OK;
    }
    if (!fills && raft_log_matches(&r->log, s->index, s->term) &&
        !MUTANT(SNAPSHOT_OVER_NEWER_LOG)) {
        raft_commit_to(r, s->index); /* the entries are all here */
        raft_acknowledge(r, m->from, r->log.committed);
        return OK;
    }
    if (s->size == 0) {
        fetch_install(r, s, fills);
        return OK;
    }
    fetch_begin(r, m);
    return OK;
}

/* Asks again for what has not arrived, one chunk at a time: something is lost or out of order. */
static void fetch_turn_to(struct raft *r, node_id source)
{
    r->fetch.source = source;
    r->fetch.window = 1;
    PROBE(RAFT_FETCH_ASKS_AGAIN);
    r->fetch.asked = r->fetch.arrived;
    r->fetch.heard = r->now;
    fetch_ask(r);
}

/* The source does not have it. Perhaps what it has will do; else the leader does. */
static void fetch_refused(struct raft *r, const struct raft_message *m)
{
    struct raft_fetch *f = &r->fetch;
    const struct raft_snapshot *other = m->snapshot;
    if (fetch_same(other, &f->snapshot)) {
        return; /* it refused an earlier request, for another one */
    }
    bool useful = other->size > 0 && other->index >= f->oldest && other->index <= RAFT_INDEX_MAX &&
                  other->term <= r->term && other->index > r->log.committed &&
                  raft_membership_valid(&other->membership);
    if (useful) {
        raft_index oldest = f->oldest;
        fetch_open(r, other, m->from, f->leader);
        PROBE(RAFT_FETCH_OTHER);
        r->fetch.offered = m->from;
        r->fetch.oldest = oldest;
    } else if (f->source != f->leader) {
        PROBE(RAFT_FETCH_TURNS);
        fetch_turn_to(r, f->leader);
    } else {
        f->active = false; /* the leader has a newer one, and will offer it */
    }
}

void raft_on_chunk(struct raft *r, const struct raft_message *m)
{
    struct raft_fetch *f = &r->fetch;
    if (!f->active || f->opening) {
        return;
    }
    if (m->reject) {
        if (m->from == f->source) {
            fetch_refused(r, m);
        }
        return;
    }
    bool next = fetch_same(m->snapshot, &f->snapshot) && m->offset == f->arrived &&
                m->chunk.len > 0 && m->chunk.len <= f->snapshot.size - f->arrived;
    if (!next) {
        return; /* a duplicate, or one overtook another: what is missing is asked for again */
    }
    /* Late, from who was asked before another one was: it is the same snapshot, and who gives. */
    f->source = m->from;
    nanos took = r->now - f->waits_since;
    f->patience = u64_min(u64_max(r->cfg.election_timeout, 2 * took),
                          FETCH_PATIENCE_MAX * r->cfg.election_timeout);
    f->waits_since = r->now;
    struct raft_outbox *o = raft_out(r);
    RAFT_PUSH(o->chunk_writes, o->chunk_write_count, o->chunk_write_cap,
              ((struct raft_chunk){.peer = m->from,
                                   .snapshot = f->snapshot.index,
                                   .snapshot_term = f->snapshot.term,
                                   .digest = f->snapshot.digest,
                                   .size = f->snapshot.size,
                                   .offset = f->arrived,
                                   .len = m->chunk.len,
                                   .data = raft_arena_copy_bytes(r, m->chunk)}));
    f->arrived += m->chunk.len;
    f->asked = u64_max(f->asked, f->arrived);
    f->heard = r->now;
}

/* All bytes are here. Meanwhile this node may have been elected, or have caught up: then the leader
 * still waits to hear of it. */
static void fetch_complete(struct raft *r)
{
    struct raft_snapshot s = r->fetch.snapshot;
    bool fills = fetch_fills_damage(r, &s);
    bool holds = raft_log_matches(&r->log, s.index, s.term);
    r->fetch.active = false;
    if (r->role != RAFT_FOLLOWER || r->installing) {
        return;
    }
    if (fills || (s.index > r->log.committed && !holds) || MUTANT(SNAPSHOT_OVER_NEWER_LOG)) {
        fetch_install(r, &s, fills);
        return;
    }
    if (s.index > r->log.committed) {
        raft_commit_to(r, s.index); /* the entries are all here */
    }
    if (r->leader != NODE_NONE) {
        raft_acknowledge(r, r->leader, r->log.committed);
    }
}

void raft_on_chunk_written(struct raft *r, const struct raft_event *e)
{
    struct raft_fetch *f = &r->fetch;
    if (!f->active || e->chunk.snapshot != f->snapshot.index) {
        return;
    }
    if (e->chunk.error != OK || e->chunk.offset > f->snapshot.size) {
        f->active = false; /* the leader offers again, later */
        return;
    }
    f->durable = u64_max(f->durable, e->chunk.offset);
    if (f->opening) {
        f->opening = false;
        f->arrived = f->durable;
        if (f->durable > 0) {
            PROBE(RAFT_FETCH_GOES_ON);
        }
        f->asked = f->durable;
        f->heard = r->now;
        f->waits_since = r->now;
    }
    if (f->durable == f->snapshot.size) {
        fetch_complete(r);
    } else {
        fetch_ask(r);
    }
}

/* --- the source ------------------------------------------------------------------------------ */

static void serve_refill(struct raft *r)
{
    uint64_t rate = r->cfg.snapshot_bytes_per_s;
    nanos elapsed = u64_min(r->now - r->serve.filled, NANOS_PER_S);
    uint64_t burst = u64_max(rate / 4, r->cfg.chunk_bytes);
    /* rate x elapsed / 1 s, without overflow. */
    uint64_t more = rate / NANOS_PER_S * elapsed + rate % NANOS_PER_S * elapsed / NANOS_PER_S;
    if (more > 0) {
        r->serve.tokens = u64_min(burst, u64_add_sat(r->serve.tokens, more));
        r->serve.filled = r->now; /* not before: what is too little to count must not be lost */
    }
}

static void serve_next(struct raft *r)
{
    struct raft_serve *q = &r->serve;
    uint32_t served = 0;
    bool limited = r->cfg.snapshot_bytes_per_s != 0;
    struct raft_outbox *o = raft_out(r);
    while (served < q->count && (!limited || q->tokens >= q->queue[served].len)) {
        RAFT_PUSH(o->chunk_reads, o->chunk_read_count, o->chunk_read_cap, q->queue[served]);
        q->tokens -= limited ? q->queue[served].len : 0;
        served++;
    }
    q->count -= served;
    memmove(q->queue, q->queue + served, q->count * sizeof(q->queue[0]));
}

static void serve_refuse(struct raft *r, node_id to)
{
    struct raft_message *out = raft_send(r, RAFT_MSG_SNAP_CHUNK, to);
    out->snapshot = raft_arena_copy_snapshot(r, &r->snapshot);
    out->reject = true;
}

/* Does this very request wait for its turn? */
static bool serve_is_queued(const struct raft_serve *q, const struct raft_message *m)
{
    for (uint32_t i = 0; i < q->count; i++) {
        if (q->queue[i].peer == m->from && q->queue[i].offset == m->offset &&
            q->queue[i].snapshot == m->snapshot->index && q->queue[i].len >= m->hint) {
            return true;
        }
    }
    return false;
}

void raft_on_fetch(struct raft *r, const struct raft_message *m)
{
    const struct raft_snapshot *s = &r->snapshot;
    if (!fetch_same(m->snapshot, s) || s->size == 0) {
        serve_refuse(r, m->from);
        return;
    }
    bool sane = m->hint > 0 && m->hint <= r->cfg.chunk_bytes && m->offset < s->size &&
                m->hint <= s->size - m->offset;
    if (!sane || r->serve.count == RAFT_SERVE_QUEUE_MAX) {
        return; /* it asks again */
    }
    if (r->serve.asked != 0 && r->now > r->serve.asked) {
        r->serve.pace =
            u64_min(r->now - r->serve.asked, FETCH_PATIENCE_MAX * r->cfg.election_timeout);
    }
    r->serve.asked = r->now;
    if (serve_is_queued(&r->serve, m)) {
        return;
    }
    r->serve.queue[r->serve.count++] = (struct raft_chunk){.peer = m->from,
                                                           .snapshot = s->index,
                                                           .snapshot_term = s->term,
                                                           .digest = s->digest,
                                                           .size = s->size,
                                                           .offset = m->offset,
                                                           .len = m->hint};
    serve_refill(r);
    serve_next(r);
}

/* A member that fetches this node's snapshot would have to begin anew with another one, and never
 * end where they are taken faster than they are fetched (far-behind-snapshot-loop). */
static bool serve_is_being_fetched(const struct raft *r)
{
    /* On a slow network the next request comes with the next chunk. */
    nanos patience = 2 * u64_max(r->cfg.election_timeout, r->serve.pace);
    bool asked = r->serve.asked != 0 && r->now - r->serve.asked < patience;
    for (uint32_t i = 0; r->role == RAFT_LEADER && i < r->membership.n; i++) {
        const struct raft_progress *pr = &r->peer[i].pr;
        asked = asked || (pr->state == RAFT_SNAPSHOT && pr->pending_snapshot == r->snapshot.index);
    }
    return asked && r->snapshot.size > 0 && !r->serve.unread && !MUTANT(FETCHED_SNAPSHOT_REPLACED);
}

enum err raft_on_snapshot_taken(struct raft *r, const struct raft_snapshot *s)
{
    if (s->index < r->snapshot.index || fetch_same(s, &r->snapshot)) {
        return OK;
    }
    if (serve_is_being_fetched(r)) {
        PROBE(RAFT_SNAPSHOT_HELD);
        return ERR_BUSY;
    }
    r->snapshot = *s;
    r->serve.asked = 0;
    r->serve.pace = 0;
    r->serve.unread = false;
    return OK;
}

void raft_on_chunk_read(struct raft *r, const struct raft_event *e)
{
    if (e->chunk.error != OK || e->chunk.snapshot != r->snapshot.index) {
        r->serve.unread = r->serve.unread || e->chunk.snapshot == r->snapshot.index;
        serve_refuse(r, e->chunk.peer);
        return;
    }
    struct raft_message *out = raft_send(r, RAFT_MSG_SNAP_CHUNK, e->chunk.peer);
    out->snapshot = raft_arena_copy_snapshot(r, &r->snapshot);
    out->offset = e->chunk.offset;
    out->chunk = raft_arena_copy_bytes(r, e->chunk.data);
}

/* --- time ------------------------------------------------------------------------------------ */

void raft_tick_fetch(struct raft *r)
{
    if (r->serve.count > 0) {
        serve_refill(r);
        serve_next(r);
    }
    struct raft_fetch *f = &r->fetch;
    if (f->active && !f->opening && r->now - f->heard >= f->patience) {
        /* Once more from the same source, more slowly; then from the leader and the source that it
         * named last, by turns. */
        node_id next = f->source == f->leader ? f->offered : f->leader;
        fetch_turn_to(r, f->window > 1 ? f->source : next);
    }
}

nanos raft_fetch_deadline(const struct raft *r)
{
    nanos deadline = NANOS_FOREVER;
    if (r->serve.count > 0) {
        deadline = r->now + r->cfg.heartbeat_interval / 10 + 1;
    }
    if (r->fetch.active && !r->fetch.opening) {
        deadline = u64_min(deadline, r->fetch.heard + r->fetch.patience);
    }
    return deadline;
}
