/*
 * health_host: how this host is, how it sees the others, and how all of them are. It joins, on the
 * world's table and so in the daemon and in the simulator alike:
 *
 *     health_agent   membership: who lives
 *     health_look    questions to the neighbours: who is reached badly, whose clock is off
 *     probe_set      what is asked of this host: its storage here, anything else through probers
 *     pause          stalls and sleeps of this host, after which it judges nobody for a while
 *     host_status    what it tells of all that, as its metadata in membership
 *     gray_map       what all hosts tell of each other, joined into causes
 *     host_score     the ladder of each host, as points and reasons
 *
 * EVERY MEMBER knows what every host tells of itself, and computes from it the same verdicts, so
 * any of them can show every host's ladder. The leader's is the one that is acted on.
 *
 * RUNGS. Of the network the others judge (gray_map.h: by as few causes as possible), and membership
 * does. The daemon's rung is degraded where this host stalls again and again. Storage is broken
 * where two probes in a row made nothing durable in their time, and degraded where it has become
 * slow (gray.h). The clock is judged by those of a majority. The process, and any other rung, is
 * what its owner says, or its probes. A rung that gets worse is told within a second, one that gets
 * better once it has stayed so for ten.
 *
 * DEGRADED is for people and for whoever places new work. Nothing here makes a host lost: that
 * takes membership's cut.
 */
#ifndef NOVACRON_HEALTH_HEALTH_HOST_H
#define NOVACRON_HEALTH_HEALTH_HOST_H

#include "core/base/err.h"
#include "core/base/types.h"
#include "core/monitoring/health/gray_map.h"
#include "core/monitoring/health/health_agent.h"
#include "core/monitoring/health/health_look.h"
#include "core/monitoring/health/host_score.h"
#include "core/monitoring/health/host_status.h"
#include "core/monitoring/health/pause.h"
#include "core/monitoring/health/probe_set.h"
#include "core/world/world.h"

/* Causes that are told apart at once; hosts that are not well, likewise. */
#define HEALTH_VERDICTS_MAX 32
#define HEALTH_TROUBLED_MAX 64

/* The id of the storage's target. Those of others are above it. */
#define HEALTH_PROBE_STORAGE UINT64_C(1)

struct health_host; /* opaque */

/* Whoever carries probes out; the caller's, in place while one of its targets is there. It answers
 * each order with health_host_answer, then or later; what is late has failed already. */
struct health_prober {
    void (*ask)(struct health_prober *prober, const struct probe_order *order);
    void *owner;
};

struct health_host_config {
    struct health_agent_config agent; /* its metadata is made here */
    const char *name;                 /* of this host; borrowed for the call */
    const char *storage_path;         /* a file of the probe's own (probe_storage.h), borrowed until
                                         health_host_free; NULL: storage is not probed */
};

/* A host has become better or worse. `ladder` is borrowed for the call. */
struct health_ladder;
struct health_host_news {
    node_id id;
    enum host_condition was;
    enum host_condition is;
    const struct health_ladder *ladder;
};

/* Who wants to know. Called from within the world's callbacks; any may be NULL. */
struct health_host_events {
    void *ctx;
    void (*changed)(void *ctx, const struct swim_change *change);
    void (*cut)(void *ctx, const struct cut_change *change, uint64_t view);
    void (*condition)(void *ctx, const struct health_host_news *news);
    void (*leader_died)(void *ctx, node_id leader); /* as health_agent's */
    /* As health_agent's: does anything else here hear from this member? */
    bool (*hears)(void *ctx, node_id id, nanos span);
    /* Everything is judged now, as it is once a second: time for health_host_set_rung. */
    void (*judging)(void *ctx);
};

/* What one neighbour of a host says of how it reaches it. */
struct health_opinion {
    node_id observer;
    bool is_bad;
    struct host_told_peer told; /* where it is bad */
};

/* All that is known of one host. */
struct health_ladder {
    node_id id;
    char name[HOST_NAME_MAX_BYTES];
    enum swim_state state;
    bool is_told; /* false: it tells nothing of itself (host_status.h) */
    struct host_told_rung rungs[RUNGS];
    struct host_score score;
    bool has_verdict; /* on its network */
    struct gray_verdict verdict;
    uint32_t n_opinions;
    struct health_opinion opinions[SWIM_OBSERVERS_MAX];
};

/* The world stays in place until the host is freed. Errors are those of datagram_open. */
MUST_USE enum err health_host_open(const struct world *world,
                                   const struct health_host_config *config,
                                   const struct health_host_events *events,
                                   struct health_host **ret);

/* Ends all but what a file request may still write to; health_host_free, once the world will call
 * nothing any more, or was closed. */
void health_host_stop(struct health_host *host);
void health_host_free(struct health_host *host);

/* Membership alone: who leads, keys, curves, leaving. */
struct health_agent *health_host_agent(struct health_host *host);

/* Adds what is to be probed on this host, with PROBE_PURPOSES configurations, under an id above
 * HEALTH_PROBE_STORAGE. Errors are those of probe_set_add. */
MUST_USE enum err health_host_add_probe(struct health_host *host, uint64_t id, enum rung rung,
                                        const struct probe_config *probes,
                                        struct health_prober *prober);
void health_host_remove_probe(struct health_host *host, uint64_t id);
void health_host_answer(struct health_host *host, uint64_t id, enum probe_purpose purpose,
                        uint64_t ticket, enum probe_outcome outcome);
const struct probe_set *health_host_probes(const struct health_host *host);

/* How a rung of this host is that is not probed here: its process. */
void health_host_set_rung(struct health_host *host, enum rung rung, enum rung_state state,
                          uint32_t bad, uint32_t asked);

/* Of a member; false: it is not known. */
bool health_host_ladder(const struct health_host *host, node_id id, struct health_ladder *ret);

/* What is wrong with the network at present, the weightiest cause first. */
uint32_t health_host_verdicts(const struct health_host *host, const struct gray_verdict **ret);

/* How many hosts that live are not well; of them `failing` are so. */
uint32_t health_host_troubled(const struct health_host *host, uint32_t *failing);

/* This host's stalls, and what it asked of its neighbours. */
const struct pause *health_host_pause(const struct health_host *host);
const struct health_look *health_host_look(const struct health_host *host);

void health_host_check(const struct health_host *host);

#endif
