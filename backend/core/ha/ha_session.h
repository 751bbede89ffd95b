/*
 * ha_session: the store of HA (ha_store.h) on a host that does not vote. It has no log and no copy
 * of the store: it keeps a stream to one of the voters, which tells it what it needs to know of the
 * records below /novacron/ and hands on its transactions and renewals (node_session.h is the other
 * end, docs/formats/agent-stream.md what passes between them). Agent and view above it are those of
 * every member, and know no difference.
 *
 *     LOST --a voter is tried--> CALLING --WELCOME--> SERVED --see below--> LOST
 *       ^                           | refused, silent, not who it should be
 *       +---------------------------+
 *
 *   LOST     nobody leads as far as HA above can tell; what it asks for is refused.
 *   CALLING  the hello is sent: whose host this is, and what its view has. Answered within
 *            HA_SESSION_SILENCE, or another is tried.
 *   SERVED   changes are told in the order of revisions. What came is handed on at each REACHED
 *            alone, in one go, so that nobody acts on half a picture.
 *
 * A VOTER IS LEFT for another when nothing came of it for HA_SESSION_SILENCE; when it knows of no
 * leader for HA_SESSION_LEADERLESS; when renewals found no answer for HA_SESSION_UNANSWERED, so
 * that a voter which is cut off from the leader costs no lease; when it lags behind a grant for
 * HA_SESSION_BEHIND; when who listens wants everything anew; and when it says good-bye. The next is
 * drawn by chance from those that were not tried yet in this round, so that the agents of a voter
 * that died spread over the others; a round without success is followed by a pause that grows up to
 * HA_SESSION_PAUSE_MAX.
 *
 * Whoever comes with a view tells its revision, and is told what followed; the whole anew if that
 * is compacted, or the members are of another lineage. Within a lineage nothing that was handed on
 * is taken back: what is told anew is gathered until it has come as far. A voter that knows no term
 * as late as the agent's last leader had sends it on: either it lags, or the cluster was founded
 * anew from a backup, where terms and revisions begin again and those of this view mean nothing;
 * then only an agent that begins anew itself is served. Transactions that were under way when a
 * stream was lost have the outcome UNKNOWN: the view will tell.
 */
#ifndef NOVACRON_HA_SESSION_H
#define NOVACRON_HA_SESSION_H

#include "core/ha/ha_session_wire.h"
#include "core/ha/ha_store.h"
#include "core/world/world.h"

/* Voters that an agent can be told of. */
#define HA_SESSION_VOTERS_MAX 32

/* Each end says something so often, ... */
#define HA_SESSION_BEAT (250 * NANOS_PER_MS)
/* ... and takes the other for lost after so long without a word. */
#define HA_SESSION_SILENCE NANOS_PER_S

#define HA_SESSION_LEADERLESS (2 * NANOS_PER_S)
#define HA_SESSION_UNANSWERED (1500 * NANOS_PER_MS)
#define HA_SESSION_BEHIND     (3 * NANOS_PER_S)

/* Between two voters of a round, up to; between rounds, from, and up to. */
#define HA_SESSION_STEP_MAX  (60 * NANOS_PER_MS)
#define HA_SESSION_PAUSE_MIN (100 * NANOS_PER_MS)
#define HA_SESSION_PAUSE_MAX NANOS_PER_S

/* Transactions under way at the voter; further ones wait here. */
#define HA_SESSION_TXNS_MAX 32

/* Of changes that came and are not handed on yet. */
#define HA_SESSION_BATCH_MAX (256 * 1024 * 1024)

struct ha_session_voter {
    /* What its certificate must name, where streams have certificates; empty: any. */
    char name[WORLD_HOST_MAX_BYTES];
    struct world_endpoint at;
};

struct ha_session_config {
    uint64_t cluster;
    char host[HA_NAME_BYTES];
    struct ha_session_voter voters[HA_SESSION_VOTERS_MAX];
    uint32_t n_voters;
};

/* Any may be NULL. From within the world's callbacks. */
struct ha_session_events {
    void *ctx;
    /* For the log; `why` is "" where all is well. */
    void (*said)(void *ctx, const char *what, const char *voter, const char *why);
    /* Who leads the cluster, whenever that is known anew. */
    void (*led)(void *ctx, node_id leader);
};

struct ha_session; /* opaque */

/* The world outlives it. It calls nobody before its store has a feed. */
struct ha_session *ha_session_open(const struct world *world,
                                   const struct ha_session_config *config,
                                   const struct ha_session_events *events);

/* As node_close: the world is idle, or was torn down. Whoever used the store has been closed. */
void ha_session_close(struct ha_session *h);

/* Borrowed for the life of `h`. Its member is ha_session_id. */
const struct ha_store *ha_session_store(struct ha_session *h);

struct ha_session_status {
    bool is_served;
    char voter[WORLD_HOST_MAX_BYTES]; /* by whom, or who is being called; "": nobody */
    uint64_t revision;                /* that was handed on */
    node_id leader;
    uint64_t term;
    uint64_t losses;     /* of voters that served it */
    uint64_t beginnings; /* times that it was told everything */
    uint64_t refusals;
    enum ha_farewell refusal; /* the last */
    uint32_t txns;            /* that wait or are under way */
};

void ha_session_status(const struct ha_session *h, struct ha_session_status *ret);

#endif
