/* The follower's part: what a leader says about the log [Ongaro14 §3.5]. */
#include "core/base/mutant.h"
#include "core/base/probe.h"
#include "core/consensus/raft/raft_int.h"

void raft_commit_to(struct raft *r, raft_index index)
{
    CHECK(index <= r->log.last);
    if (index <= r->log.committed) {
        return;
    }
    if (r->role == RAFT_LEADER) {
        for (raft_index i = r->log.committed + 1; i <= index; i++) {
            /* Entries of earlier terms were not counted when this term began. */
            if (raft_log_has_body(&r->log, i) && raft_log_entry(&r->log, i)->term == r->term) {
                uint64_t bytes = raft_log_entry(&r->log, i)->payload.len;
                r->uncommitted_bytes = u64_sub_sat(r->uncommitted_bytes, bytes);
            }
        }
    }
    r->log.committed = index;
}

bool raft_cache_takes(const struct raft *r, uint64_t cost)
{
    return r->log.cached_bytes == 0 || r->log.cached_bytes + cost <= r->cfg.max_cached_bytes;
}

void raft_append_entry(struct raft *r, raft_term term, enum raft_entry_type type,
                       struct bytes payload)
{
    const struct raft_entry *e = raft_log_append(&r->log, term, type, payload);
    if (type != RAFT_ENTRY_NORMAL) {
        raft_note_conf(r, e->index, type, payload);
    }
}

void raft_truncate(struct raft *r, raft_index from)
{
    raft_outbox_drop_appends(r);
    raft_forget_conf_from(r, from);
    raft_forget_in_sync_from(r, from);
    raft_repair_truncated(r, from);
    raft_log_truncate(&r->log, from);
    raft_batches_truncated(r, r->log.last);
    r->matched = u64_min(r->matched, r->log.last);
}

/* An acknowledgement vouches for a durable copy of everything up to its index. What is damaged here
 * is not counted until it is repaired. And a node that lost its vote may have given it to a later
 * leader, who will not have what this one would commit with its help: it vouches for what is
 * committed already. */
void raft_acknowledge(struct raft *r, node_id to, raft_index index)
{
    raft_index vouched = MUTANT(DAMAGE_ACKNOWLEDGED) ? index : u64_min(index, raft_vouched(r));
    if (r->repair.lost_vote) {
        vouched = u64_min(vouched, r->log.committed);
    }
    raft_send(r, RAFT_MSG_APP_RESP, to)->index = vouched;
}

/* Memory may be full of what earlier leaders left uncommitted, and that leaves it only once the
 * entry with which this term begins is committed, and what comes before it [Ongaro14 §3.6.2]. These
 * are taken, whatever room there is: they were in some leader's memory, within its bound. What this
 * leader proposes can wait, and so can what it has committed: once that is known here, what is here
 * is applied, and makes room. Beside a witness its own uncommitted entries cannot wait either: one
 * of them may change the in-sync set, without which none before it commits. */
static bool follower_must_take(const struct raft *r, const struct raft_message *m, uint32_t i)
{
    const struct raft_entry *e = &m->entries[i];
    const raft_term before = i > 0 ? m->entries[i - 1].term : m->log_term;

    return e->index > m->commit &&
           (e->term < m->term || before < e->term || raft_in_sync_rule_applies(r));
}

static bool follower_takes(const struct raft *r, const struct raft_message *m, uint32_t i)
{
    return raft_cache_takes(r, m->entries[i].payload.len + RAFT_ENTRY_OVERHEAD_BYTES) ||
           follower_must_take(r, m, i);
}

/* Appends what of the message's entries is new, after removing what conflicts with it. Stores the
 * index up to which the log then agrees with the leader's: less than all where memory is full, and
 * the leader will send the rest again. */
static enum err follower_store(struct raft *r, const struct raft_message *m, raft_index *ret_last)
{
    uint32_t i = 0;
    while (i < m->entry_count &&
           raft_log_matches(&r->log, m->entries[i].index, m->entries[i].term)) {
        i++;
    }
    if (i == m->entry_count) {
        raft_index end = u64_max(m->index + i, r->log.committed);
        if (MUTANT(LATE_APPEND_TRUNCATES) && end < r->log.last) {
            raft_truncate(r, end + 1);
        }
        *ret_last = m->index + m->entry_count;
        return OK;
    }
    raft_index from = m->entries[i].index;
    if (from <= r->log.committed) {
        return ERR_PROTOCOL; /* a committed entry never changes: State Machine Safety */
    }
    if (from <= r->log.last) {
        PROBE(RAFT_CONFLICT);
        raft_truncate(r, from);
    }
    raft_make_room(r, m->entries[i].payload.len + RAFT_ENTRY_OVERHEAD_BYTES);
    for (; i < m->entry_count && follower_takes(r, m, i); i++) {
        raft_append_entry(r, m->entries[i].term, m->entries[i].type, m->entries[i].payload);
    }
    *ret_last = m->index + i;
    return OK;
}

/* The logs do not agree before the entries: tells the leader where they may, skipping everything
 * here whose term is too high to be in its log. */
static void follower_reject(struct raft *r, const struct raft_message *m)
{
    raft_term hint_term;
    raft_index hint =
        raft_log_conflict(&r->log, u64_min(m->index, r->log.last), m->log_term, &hint_term);
    struct raft_message *out = raft_send(r, RAFT_MSG_APP_RESP, m->from);
    out->index = m->index;
    out->reject = true;
    out->hint = hint;
    out->log_term = hint_term;
}

enum err raft_on_append(struct raft *r, const struct raft_message *m)
{
    if (m->index < r->log.committed) {
        raft_acknowledge(r, m->from, r->log.committed);
        return OK;
    }
    bool matches = raft_log_matches(&r->log, m->index, m->log_term) ||
                   (MUTANT(APPEND_UNMATCHED) && m->index <= r->log.last);
    if (!matches) {
        follower_reject(r, m);
        return OK;
    }
    raft_index last;
    TRY(follower_store(r, m, &last));
    r->matched = u64_max(r->matched, last);
    raft_commit_to(r, u64_min(m->commit, MUTANT(COMMIT_BEYOND_APPEND) ? r->log.last : last));
    raft_acknowledge(r, m->from, last);
    return OK;
}

enum err raft_on_heartbeat(struct raft *r, const struct raft_message *m)
{
    if (m->commit > r->log.last) {
        /* The leader never tells more than what this node acknowledged in this term. It did, and
         * the disk has lost it (amnesiac-voter). */
        r->alarms |= RAFT_ALARM_LOST_ACKED;
        PROBE(RAFT_LOST_ACKED);
        raft_repair_lost_log(r, r->log.last + 1);
    } else {
        /* The leader never tells more than what this node acknowledged in this term, in this life
         * or an earlier one. If the disk went back in time since, there may be other entries: but
         * none of this term, whose leader alone makes them. */
        if (raft_log_matches(&r->log, m->commit, r->term)) {
            r->matched = u64_max(r->matched, m->commit);
        }
        raft_commit_to(r, u64_min(m->commit, r->matched));
    }
    struct raft_message *out = raft_send(r, RAFT_MSG_HEARTBEAT_RESP, m->from);
    if (!r->repair.lost_vote) {
        /* With its vote lost it cannot say that nobody else leads by now: no reads on its word. */
        out->context = m->context;
        out->sent_at = m->sent_at;
    }
    if (r->fetch.active) {
        out->index = r->fetch.snapshot.index;
        out->hint = r->fetch.durable;
    }
    return OK;
}
