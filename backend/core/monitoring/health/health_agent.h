/*
 * health_agent: membership on a host: swim, the detectors of its neighbours and, while this member
 * leads, the cut, on the world's datagrams, streams, timers and randomness. The same in the daemon
 * and in the simulator.
 *
 * The agent opens one datagram port, and takes streams at the port of the same number; where
 * others' streams come to that too, whoever listens there hands over what is ours
 * (health_agent_accept). Streams are for where datagrams do not get through (health_streams.h,
 * swim_stream.c). It introduces itself to one seed after the other until somebody answers, and to a
 * seed that is not among the living every now and then for ever, so that clusters which began apart
 * find each other.
 *
 * Whoever has started with a clock that went back is younger than its earlier self only by name.
 * The others say so; in the first seconds the agent then takes the next instance above the one that
 * they know, and goes on. Later it is displaced: it falls silent, and says so.
 */
#ifndef NOVACRON_HEALTH_HEALTH_AGENT_H
#define NOVACRON_HEALTH_HEALTH_AGENT_H

#include "core/base/err.h"
#include "core/monitoring/health/cut.h"
#include "core/monitoring/health/health_streams.h"
#include "core/monitoring/health/swim.h"
#include "core/world/world.h"

/* Where others may be found at the start. */
#define HEALTH_SEEDS_MAX 64

/* Points of a curve: one a second. */
#define HEALTH_CURVE_POINTS 120

struct health_agent; /* opaque */

struct health_agent_config {
    struct swim_config swim; /* `instance` too: the time of the start, say; the seed is drawn */
    struct cut_config cut;
    struct seal_cipher cipher;
    struct seal_ring ring;
    uint16_t port;
    bool shares_port; /* somebody else listens for streams there */
    struct world_endpoint seeds[HEALTH_SEEDS_MAX];
    uint32_t n_seeds;
    struct bytes meta; /* borrowed for the call */
};

/* Who wants to know. Called from within the world's callbacks; any may be NULL. */
struct health_agent_events {
    void *ctx;
    void (*changed)(void *ctx, const struct swim_change *change);
    void (*cut)(void *ctx, const struct cut_change *change, uint64_t view);
    /* What another member's health_agent_note sent. The bytes are borrowed for the call. */
    void (*note)(void *ctx, node_id from, struct bytes bytes);
    /* The member that led last is dead, or this one accuses it: said again and again for a while,
     * until somebody else leads. It is an opinion, as all of gossip's: good for an election, in
     * which the others have a say. */
    void (*leader_died)(void *ctx, node_id leader);
    /* Has anything else here heard from this member within `span`: the replicated log, say? */
    bool (*hears)(void *ctx, node_id id, nanos span);
};

/* The presets of swim and cut, and nothing else. */
void health_agent_config_default(struct health_agent_config *config);

/* The world stays in place until the agent is closed. Errors are those of datagram_open and of
 * listen. */
MUST_USE enum err health_agent_open(const struct world *world,
                                    const struct health_agent_config *config,
                                    const struct health_agent_events *events,
                                    struct health_agent **ret);
void health_agent_close(struct health_agent *agent);

/* Who leads the cluster now; NODE_NONE: nobody. While it is this member, it makes the cuts. */
void health_agent_lead(struct health_agent *agent, node_id leader);

/* A stream came to the port that begins as health_frame.h has it; what was read of it already goes
 * to the sink that this returns. NULL: it is refused. */
struct world_stream_sink *health_agent_accept(struct health_agent *agent,
                                              struct world_stream *stream,
                                              const struct world_endpoint *from);

/* Says good-bye to the others. */
void health_agent_leave(struct health_agent *agent);

/* A datagram to a member that lives, at most SWIM_NOTE_MAX_BYTES; without promise, as datagrams
 * are.
 */
void health_agent_note(struct health_agent *agent, node_id to, struct bytes bytes);

/* What all others shall know of this member from now on, at most SWIM_META_MAX_BYTES. */
void health_agent_set_meta(struct health_agent *agent, struct bytes meta);

/* This host did not run for a while, and judges nobody by what it missed: neither membership now,
 * nor the curves before `judges_from`. */
void health_agent_woke(struct health_agent *agent, nanos judges_from);

void health_agent_set_keys(struct health_agent *agent, const struct seal_ring *ring);

/* What it holds, to be looked at; valid until the next turn of the world. */
const struct swim *health_agent_swim(const struct health_agent *agent);

const struct health_streams *health_agent_streams(const struct health_agent *agent);

/* NULL: this member does not lead. */
const struct cut *health_agent_cut(const struct health_agent *agent);

/* How late the next beat of a neighbour was, a second at a time, latest last, as phi
 * [Hayashibara04]. Returns how many points there are; 0: it is no neighbour. */
uint32_t health_agent_curve(const struct health_agent *agent, node_id peer,
                            float ret[HEALTH_CURVE_POINTS]);

/* phi of this moment: -log10 of the chance that the silence of a neighbour lasts yet. 0: it is no
 * neighbour. */
double health_agent_phi(const struct health_agent *agent, node_id peer);

/* Since when a member is in its state, on this host's clock, and what time it is. */
nanos health_agent_now(const struct health_agent *agent);

#endif
