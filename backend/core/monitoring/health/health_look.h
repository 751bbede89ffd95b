/*
 * health_look: how a host sees its neighbours, beside whether they live. It asks them short
 * questions in notes (swim.h), and one answer serves three purposes: how long it took and whether
 * it came are evidence for a gray failure (gray.h), the round trip adapts the patience (rtt.h), and
 * the wall clock in it is one more opinion of ours (probe_clock.h). Beats that membership sends
 * anyway, and that are missing, are evidence, too.
 *
 *     ASK    u8 1, sequence varint
 *     TELL   u8 2, sequence varint, wall clock u64: nanoseconds of the Unix epoch
 *
 * HOW OFTEN. In a cluster of at most SWIM_SMALL_CLUSTER hosts each neighbour twice a second; in a
 * larger one a host asks one neighbour every two seconds, in turn. Whoever is not known yet, and
 * whoever has given cause for suspicion, is asked five times a second until that is settled: to
 * look closer is what makes the evidence come in time, and skews nothing, since the sum weighs each
 * answer by itself [Page54].
 *
 * WHAT IS NOT HELD AGAINST A NEIGHBOUR. A question counts as lost only if the neighbour was heard
 * after it: one that is silent altogether is dead or stalled, which is membership's to judge. An
 * answer that comes after its time, out of such a stall, is a slow one, and all that come at once
 * are one piece of evidence. Who paused itself forgets what it had asked.
 *
 * Pure but for the notes: time and wall clock are handed in, and the agent carries what is sent.
 */
#ifndef NOVACRON_HEALTH_HEALTH_LOOK_H
#define NOVACRON_HEALTH_HEALTH_LOOK_H

#include "core/base/types.h"
#include "core/monitoring/health/gray.h"
#include "core/monitoring/health/health_agent.h"
#include "core/monitoring/health/host_status.h"
#include "core/monitoring/health/probe_clock.h"
#include "core/monitoring/health/rtt.h"

/* Questions to one neighbour that may be under way. */
#define HEALTH_LOOK_FLIGHTS_MAX 16

/* The longest of these notes. */
#define HEALTH_LOOK_NOTE_BYTES (1 + 5 + 8)

struct health_look_flight {
    uint32_t sequence; /* 0: free */
    nanos asked;
    nanos asked_wall;
    nanos patience; /* until then */
    nanos alive_at; /* overdue: when the neighbour was first heard all the same; 0: not yet */
};

struct health_look_peer {
    node_id peer;
    uint64_t instance;
    struct gray_signal signal;
    struct rtt rtt;
    nanos ask_at;
    uint32_t beat; /* the last one that was taken into account; 0: none */
    bool was_deaf; /* before the next beat: nobody knows how many were lost on the way */
    uint32_t sequence;
    uint32_t next_flight;
    uint32_t since; /* on our wall clock, in seconds: it is degraded; 0: it is not */
    struct health_look_flight flights[HEALTH_LOOK_FLIGHTS_MAX];
};

struct health_look {
    struct health_look_peer peers[SWIM_OBSERVERS_MAX];
    uint32_t count;
    struct clock_probe clock;
    nanos turned; /* the last turn, on both clocks */
    nanos turned_wall;
    nanos compare_at;
    nanos turn_at; /* large clusters: when the next neighbour has its turn */
    uint32_t turn;
    uint64_t asked;
    uint64_t lost;
};

void health_look_init(struct health_look *look, nanos now);

/* Something may be due, or have changed: who our neighbours are, what they sent. */
void health_look_turn(struct health_look *look, struct health_agent *agent, nanos now, nanos wall);

/* A note came. What is none of ours is left alone. */
void health_look_hear(struct health_look *look, struct health_agent *agent, node_id from,
                      struct bytes note, nanos now, nanos wall);

/* This host did not listen: what it had asked is forgotten. */
void health_look_woke(struct health_look *look);

/* When health_look_turn is due again. */
nanos health_look_due(const struct health_look *look, nanos now);

/* Whom it sees badly: as many as a status holds, the longest first. */
uint32_t health_look_tell(const struct health_look *look,
                          struct host_told_peer ret[HOST_STATUS_PEERS_MAX]);

/* NULL: no neighbour. */
const struct health_look_peer *health_look_find(const struct health_look *look, node_id peer);

void health_look_check(const struct health_look *look);

#endif
