/*
 * What a person wants to see of a Raft core that is not well, beyond raft_status: for debug pages.
 * Nothing decides anything by it.
 */
#ifndef NOVACRON_RAFT_DETAILS_H
#define NOVACRON_RAFT_DETAILS_H

#include "core/consensus/raft/raft.h"

/* Damaged ranges of the log that are told; there may be more. */
#define RAFT_DETAILS_RANGES_MAX 16

struct raft_details {
    /* Elections. */
    nanos leader_heard;   /* when any leader was last heard; 0: never */
    nanos election_after; /* without a leader for so long, this member campaigns */
    nanos lead_since;     /* of a leader */
    bool leader_suspected;
    bool lease_holds;

    /* Linearizable reads. */
    uint32_t reads_waiting;        /* for a quorum's answer */
    uint32_t reads_waiting_commit; /* of them: for the first commit of the term */
    uint64_t reads_announced;      /* the newest round that heartbeats carried */
    uint64_t reads_confirmed;      /* the newest that a quorum confirmed */

    /* The disk. */
    uint32_t batches; /* being written */
    nanos batch_since;
    nanos disk_stalled; /* for so long the disk does not answer */
    uint64_t applying_bytes;

    /* Membership. */
    uint32_t changes_pending;    /* entries that change it, and are not applied */
    raft_index change_barred_to; /* no change until this is applied */
    bool rule_applies;           /* there is a witness: commits follow the in-sync rule */
    uint32_t in_sync_count;      /* of the newest set that is in the log */
    node_id in_sync[RAFT_MEMBERS_MAX];
    uint32_t in_sync_pending; /* sets in the log that are not applied */

    /* A snapshot on its way to this member. */
    bool fetching;
    raft_index fetch_index;
    node_id fetch_source;
    uint64_t fetch_size;
    uint64_t fetch_durable;
    uint32_t serving; /* pieces of the own one that peers wait for */

    /* What this disk has lost. */
    raft_index lost_from; /* 0: nothing */
    bool lost_vote;
    bool floor_known;
    raft_index floor; /* vouches for its log again once it reaches this */
    uint32_t range_count;
    struct {
        raft_index first;
        raft_index last;
    } range[RAFT_DETAILS_RANGES_MAX];
};

/* As of `now`, the time that a step would be given. */
void raft_details_read(const struct raft *r, nanos now, struct raft_details *ret);

#endif
