/*
 * Logs, and what a disk owes.
 *
 * A log changes at its end: it grows, or loses its end and grows from there. So what is new since
 * the last look begins behind the longest beginning that is as it was. Where the entry that was
 * last still is there with its term, everything before it is, too, or two entries of one index and
 * term would have different ones before them, which the register finds out (I3) when it looks at
 * whole logs.
 *
 * What a node told to be durable, it has to have after every restart whose disk lost nothing (I24):
 * the entry at raft_log.durable, the term in which it promised something, and its vote in that.
 */
#include <string.h>

#include "core/base/hash.h"
#include "core/chaos/oracle/oracle_int.h"
#include "core/recovery/wal_int.h"

/* What a leader may append beyond the bound on entries in memory: it must not fail to open its
 * term, nor to change the members or the in-sync set; and what a follower must take of it. */
#define ORACLE_CACHE_EXTRA (RAFT_IN_SYNC_PENDING_MAX * 2 * (uint64_t)RAFT_CONF_CONTEXT_MAX)

uint64_t oracle_hash_of(const struct raft_entry *e)
{
    return hash_bytes((uint64_t)e->type, e->payload.data, e->payload.len);
}

/* --- the register ---------------------------------------------------------------------------- */

static void log_compare(struct oracle *o, const struct oracle_host *h, raft_index index,
                        struct oracle_entry *known, raft_term prev_term, const uint64_t *hash)
{
    if (known->prev_term != prev_term) {
        ORACLE_BLAME(o, h, "I3",
                     "entry % of term % follows one of term % in the log of node %, and one of "
                     "term % in another",
                     index, known->term, prev_term, h->id, known->prev_term);
    }
    if (hash && known->has_body && known->hash != *hash) {
        ORACLE_BLAME(o, h, "I3",
                     "entry % of term % in the log of node % has another payload than elsewhere",
                     index, known->term, h->id);
    }
    if (hash && !known->has_body) {
        known->has_body = true;
        known->hash = *hash;
    }
}

void oracle_register(struct oracle *o, const struct oracle_host *h, raft_index index)
{
    const struct raft_log *log = &oracle_raft(h)->log;
    if (index > ORACLE_INDEX_MAX) {
        ORACLE_BLAME(o, h, "I3", "the log of node % has an entry %", h->id, index);
        return;
    }
    raft_term term = raft_log_term(log, index);
    raft_term prev_term = raft_log_term(log, index - 1);
    uint64_t hash = 0;
    bool has_body = raft_log_has_body(log, index);
    if (has_body) {
        const struct raft_entry *e = raft_log_entry(log, index);
        bool is_state = e->type == RAFT_ENTRY_NORMAL;
        if (h->is_witness && is_state && e->payload.len > 0) {
            ORACLE_BLAME(o, h, "I21", "node %, a witness, holds % bytes of entry %", h->id,
                         e->payload.len, index);
        }
        has_body = !(h->is_witness && is_state);
        hash = oracle_hash_of(e);
    }
    struct oracle_entry *known = oracle_entry_find(o, index, term);
    if (!known) {
        known = oracle_entry_add(o, index, term);
        known->prev_term = prev_term;
    }
    log_compare(o, h, index, known, prev_term, has_body ? &hash : NULL);
}

/* --- one log --------------------------------------------------------------------------------- */

/* The term at `index` as of the last look; 0: unknown. */
static raft_term log_old_term(const struct oracle_host *h, raft_index index)
{
    if (index == h->begin) {
        return h->begin_term;
    }
    size_t at = h->run_count;
    while (at > 0 && h->runs[at - 1].first > index) {
        at--;
    }
    return at == 0 || index > h->last ? 0 : h->runs[at - 1].term;
}

static void log_remember(struct oracle_host *h, const struct raft_log *log)
{
    bool same = h->run_count == log->run_count &&
                (h->run_count == 0 ||
                 (h->runs[h->run_count - 1].first == log->runs[log->run_count - 1].first &&
                  h->runs[h->run_count - 1].term == log->runs[log->run_count - 1].term));
    if (!same) {
        mem_grow((void **)&h->runs, &h->run_cap, log->run_count, sizeof(h->runs[0]));
        if (log->run_count > 0) {
            memcpy(h->runs, log->runs, log->run_count * sizeof(h->runs[0]));
        }
        h->run_count = log->run_count;
    }
    h->begin = log->snapshot_index;
    h->begin_term = log->snapshot_term;
    h->last = log->last;
    h->last_term = raft_log_last_term(log);
}

/* The end of the beginning that is as it was. */
static raft_index log_unchanged(const struct oracle_host *h, const struct raft_log *log)
{
    if (raft_log_matches(log, h->last, h->last_term)) {
        return h->last;
    }
    raft_index index = u64_min(h->last, log->last);
    while (index > log->snapshot_index && log_old_term(h, index) != raft_log_term(log, index)) {
        index--;
    }
    return u64_max(index, log->snapshot_index);
}

static void log_was_cut(struct oracle *o, struct oracle_host *h, raft_index kept)
{
    const struct raft *r = oracle_raft(h);
    o->counts.truncations++;
    if (h->role == RAFT_LEADER && h->term == r->term) {
        ORACLE_BLAME(o, h, "I2", "node % leads term % and lost its entries % to %", h->id, r->term,
                     kept + 1, h->last);
    }
    if (kept < h->committed) {
        ORACLE_BLAME(o, h, "I5", "node % had committed entry %, and cut its log behind entry %",
                     h->id, h->committed, kept);
    }
    if (h->acked_term == r->term && h->acked > kept) {
        ORACLE_BLAME(o, h, "I24",
                     "node % acknowledged entry % in term %, and cut its log behind entry % in the "
                     "same",
                     h->id, h->acked, r->term, kept);
    }
    if (h->ack_due > kept) {
        h->ack_due = 0; /* of what a newer leader has just replaced */
    }
}

void oracle_look_at_log(struct oracle *o, struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    const struct raft_log *log = &r->log;
    raft_term last_term = raft_log_last_term(log);
    if (log->last == h->last && last_term == h->last_term && log->snapshot_index == h->begin) {
        return;
    }
    raft_index kept = log_unchanged(h, log);
    if (kept < h->last) {
        log_was_cut(o, h, kept);
    }
    for (raft_index i = kept + 1; i <= log->last; i++) {
        oracle_register(o, h, i);
    }
    if (log->last > kept && r->conf_count > 0) {
        oracle_look_at_changes(o, h);
    }
    uint64_t most = u64_max(r->cfg.max_cached_bytes, h->cached_at_start) + ORACLE_CACHE_EXTRA;
    if (log->cached_bytes > most && log->cached < log->last) {
        ORACLE_BLAME(o, h, "I26", "node % holds % bytes of entries in memory, of % allowed", h->id,
                     log->cached_bytes, r->cfg.max_cached_bytes);
    }
    log_remember(h, log);
}

/* --- disks ----------------------------------------------------------------------------------- */

void oracle_look_at_disk(struct oracle *o, struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    const struct raft_log *log = &r->log;
    if (h->ack_due > log->durable && !r->installing) {
        ORACLE_BLAME(o, h, "I24", "node % acknowledged entry %, and its log is durable up to %",
                     h->id, h->ack_due, log->durable);
    }
    raft_index written = u64_max(h->node->wal->durable_index, log->snapshot_index);
    if (log->durable > written && !r->installing) {
        ORACLE_BLAME(o, h, "I24", "node % takes entry % for durable, and its disk has entry %",
                     h->id, log->durable, written);
    }
    h->ack_due = 0;
    h->durable = log->durable;
    if (r->installing) {
        /* The disk holds the old log or the new snapshot: either has what was committed. */
        const struct oracle_place *place = oracle_place_find(o, h->committed);
        if (h->kept > h->committed && place) {
            h->kept = h->committed;
            h->kept_term = place->committed;
        }
    } else if (log->durable >= log->snapshot_index) {
        h->kept = log->durable;
        h->kept_term = raft_log_term(log, log->durable);
    }
}

/* What the life before left behind, on a disk that lost nothing. */
static void log_recovered(struct oracle *o, const struct oracle_host *h)
{
    const struct raft *r = oracle_raft(h);
    const struct raft_log *log = &r->log;
    o->counts.recovered++;
    if (raft_is_impaired(r)) {
        ORACLE_BLAME(o, h, "I27", "node % cannot vouch for its log, and its disk lost nothing",
                     h->id);
    }
    if (h->kept > log->snapshot_index && !raft_log_matches(log, h->kept, h->kept_term)) {
        ORACLE_BLAME(o, h, "I24",
                     "node % told entry % of term % durable, and has term % there after a restart",
                     h->id, h->kept, h->kept_term, raft_log_term(log, h->kept));
    }
    if (r->term < h->promised) {
        ORACLE_BLAME(o, h, "I24", "node % promised something in term %, and restarts in term %",
                     h->id, h->promised, r->term);
    }
    const struct oracle_mark *vote = oracle_mark_find(&h->votes, r->term);
    if (vote && r->term > h->forgiven && r->vote != vote->value) {
        ORACLE_BLAME(o, h, "I24", "node % voted for % in term %, and restarts with a vote for %",
                     h->id, vote->value, r->term, r->vote);
    }
}

void oracle_begin_log(struct oracle *o, struct oracle_host *h, uint32_t lost)
{
    const struct raft *r = oracle_raft(h);
    const struct raft_log *log = &r->log;
    bool owes = h->kept > 0 || h->promised > 0;
    if (owes && lost == ORACLE_LOST_NOTHING) {
        log_recovered(o, h);
    }
    if (lost != ORACLE_LOST_NOTHING) {
        size_t votes = h->votes.count;
        h->forgiven = votes > 0 ? h->votes.mark[votes - 1].term : 0;
        h->promised = 0;
    }
    h->last = log->snapshot_index;
    h->last_term = log->snapshot_term;
    h->run_count = 0;
    h->begin = log->snapshot_index;
    h->begin_term = log->snapshot_term;
    h->committed = 0;
    for (raft_index i = log->snapshot_index + 1; i <= log->last; i++) {
        oracle_register(o, h, i);
    }
    log_remember(h, log);
    h->kept = 0;
    h->kept_term = 0;
    oracle_look_at_disk(o, h);
}
