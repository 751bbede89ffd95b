/*
 * What a leader knows of one member, and what it may send to it next (etcd-raft's Progress).
 *
 *                  reject, unreachable             +---------------+
 *            +------------------------------------ |   REPLICATE   |
 *            v                                     |  pipelined,   |
 *     +-------------+   ack connects the logs      |  windowed     |
 *     |    PROBE    | ---------------------------> +---------------+
 *     | one message |                                      ^
 *     | a heartbeat |   log too short        ack connects  |
 *     +-------------+ -------------------> +----------+ ---+
 *            ^                             | SNAPSHOT |
 *            +---------------------------- | nothing  |
 *               failed, or silent          +----------+
 *
 * PROBE:     the leader does not know where the logs meet. It sends one append and waits for the
 *            answer, or for the next heartbeat's.
 * REPLICATE: `next` runs ahead of `match` by what is in flight, bounded in messages and in bytes.
 * SNAPSHOT:  the entries that the member needs are compacted away; it fetches a snapshot.
 *
 * What always holds: match < next; in SNAPSHOT next > pending_snapshot; what is in flight are
 * indexes in (match, next).
 */
#ifndef NOVACRON_RAFT_PROGRESS_H
#define NOVACRON_RAFT_PROGRESS_H

#include "core/consensus/raft/raft_types.h"

enum raft_progress_state { RAFT_PROBE, RAFT_REPLICATE, RAFT_SNAPSHOT };

/* One append under way: its last index, and the payload bytes that it carries. */
struct raft_inflight {
    raft_index index;
    uint64_t bytes;
};

/* The window: a ring that grows by doubling up to its limit and is then reused for ever. */
struct raft_inflights {
    struct raft_inflight *ring; /* owned */
    uint32_t cap;
    uint32_t start;
    uint32_t count;
    uint64_t bytes;
    uint32_t max_messages; /* > 0 */
    uint64_t max_bytes;    /* 0: no limit; soft: one message may cross it */
};

/* The rounds in which a learner catches up before it may vote [Ongaro14 §4.2.1]: each replicates
 * the log as it stood when the round began; one that took less than an election timeout shows that
 * the learner keeps up. */
struct raft_catch_up {
    raft_index target; /* last index when the round began; 0: no round under way */
    nanos started;
    uint32_t rounds; /* finished */
    bool done;       /* the last finished round was short enough */
};

struct raft_progress {
    raft_index match;          /* the logs agree up to here, durably at the member */
    raft_index next;           /* the next entry to send */
    raft_index sent_commit;    /* the highest commit index on its way to the member */
    raft_index awaited_commit; /* up to here it waits for the commit index: it proposed, or reads */
    raft_index pending_snapshot; /* in SNAPSHOT: the index of the snapshot offered */
    nanos snapshot_alive;        /* in SNAPSHOT: when it was offered, or progress was last heard */
    uint32_t offers;             /* snapshots offered in this term: each names another source */
    enum raft_progress_state state;
    bool recent_active;  /* heard from since the last check of the quorum */
    bool append_paused;  /* wait for an answer to an append, or to a heartbeat */
    bool loading;        /* its next entries are being read from the disk */
    uint64_t read_acked; /* the newest read round that it confirmed (raft_read.c) */
    nanos lease_acked;   /* when the newest heartbeat that it answered was sent */
    nanos heard;         /* when anything was last heard from it; 0: never in this term */
    nanos impaired;      /* when it last said that it cannot vouch for its log; 0: never */
    struct raft_catch_up catch_up;
    struct raft_inflights inflights;
};

void raft_progress_init(struct raft_progress *pr, raft_index next, uint32_t max_messages,
                        uint64_t max_bytes);
void raft_progress_deinit(struct raft_progress *pr);

/* Begins anew for another term, keeping the window's memory. */
void raft_progress_reset(struct raft_progress *pr, raft_index match, raft_index next);

void raft_progress_become_probe(struct raft_progress *pr);
void raft_progress_become_replicate(struct raft_progress *pr);
void raft_progress_become_snapshot(struct raft_progress *pr, raft_index snapshot, nanos now);

/* Notes that an append of `n` entries with `bytes` of payload left, starting at `next`. */
void raft_progress_sent(struct raft_progress *pr, uint32_t n, uint64_t bytes);

/* An ack of everything up to `index`. False where it says nothing new. */
bool raft_progress_acked(struct raft_progress *pr, raft_index index);

/* A refusal of the append that followed `rejected`; `hint` is where the logs may meet. False where
 * it is stale: a duplicate, or overtaken by a later ack. */
bool raft_progress_rejected(struct raft_progress *pr, raft_index rejected, raft_index hint);

/* The member lost what it had acknowledged from `lost` on, or cannot vouch for it. What is left may
 * be older than that, and hold other entries: nothing is known to agree, and it is probed there. */
void raft_progress_regress(struct raft_progress *pr, raft_index lost);

/* Must appends wait? */
bool raft_progress_is_paused(const struct raft_progress *pr);

/* Could the member learn something from this commit index? */
bool raft_progress_can_bump_commit(const struct raft_progress *pr, raft_index commit);

bool raft_inflights_full(const struct raft_inflights *in);
void raft_inflights_add(struct raft_inflights *in, raft_index index, uint64_t bytes);
/* Frees everything up to `index`. */
void raft_inflights_free_to(struct raft_inflights *in, raft_index index);
void raft_inflights_clear(struct raft_inflights *in);

/* Asserts what the top of this file says. */
void raft_progress_check(const struct raft_progress *pr);

#endif
