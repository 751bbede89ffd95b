/*
 * What a stopped member's data directory says of it, read offline and without changing anything:
 * how far its log goes and whether it can be trusted, who the members were as far as it knows. From
 * several of them: is a majority left, and which is the newest (`novacron cluster survivors`).
 *
 * A report is that in one line, so that it can be carried from host to host:
 *
 *     novacron-survivor cluster=HEX member=HEX verdict=NAME whole=0|1 witness=0|1 term=N last=N
 *         last_term=N commit=N lineage=HEX voters=HEX,... dir=PATH
 */
#ifndef NOVACRON_CLI_SURVIVOR_H
#define NOVACRON_CLI_SURVIVOR_H

#include "core/base/err.h"
#include "core/consensus/raft/raft_membership.h"
#include "core/recovery/recovery_table.h"

#define SURVIVOR_PATH_BYTES 1024
#define SURVIVOR_WHY_BYTES  512

struct survivor {
    char dir[SURVIVOR_PATH_BYTES];
    uint64_t cluster;
    node_id id;
    enum recovery_verdict verdict;
    bool is_whole;   /* its log lost nothing that it had */
    bool is_witness; /* votes, and holds no data */
    bool is_voter;   /* as far as it knows */
    uint64_t term;
    uint64_t last;
    uint64_t last_term; /* of the entry `last` */
    uint64_t commit;    /* as far as it knows */
    uint32_t lineage;
    uint32_t voter_count;
    node_id voters[RAFT_MEMBERS_MAX];
};

/* Of a member's data_dir, or of a file with a report. On failure `why` says what is the matter:
 * ERR_EXISTS where a daemon runs there, ERR_NOT_FOUND where there is no member's disk. */
MUST_USE enum err survivor_read(const char *path, char why[SURVIVOR_WHY_BYTES],
                                struct survivor *ret);

/* As one line, with its end. */
void survivor_report(const struct survivor *s);
MUST_USE enum err survivor_parse(const char *line, struct survivor *ret);

/* Is `a` newer than `b`: are there things in its log that the other's may lack? Both are whole. */
bool survivor_is_newer(const struct survivor *a, const struct survivor *b);

/* May it be chosen: a voter with data, and whole? */
static inline bool survivor_may_lead(const struct survivor *s)
{
    return s->is_whole && s->is_voter && !s->is_witness;
}

#endif
