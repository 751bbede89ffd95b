/*
 * health_host_int: what the files of health_host share. health_host.c runs it, health_own.c judges
 * this host, health_ladder.c all of them.
 */
#ifndef NOVACRON_HEALTH_HEALTH_HOST_INT_H
#define NOVACRON_HEALTH_HEALTH_HOST_INT_H

#include "core/monitoring/health/health_host.h"
#include "core/monitoring/health/probe_storage.h"

/* Pauses of this host that are remembered. */
#define HEALTH_PAUSES_KEPT 3

/* One rung of our own: as it is told, and since when it has been better than that. */
struct health_own_rung {
    struct host_told_rung told;
    nanos better_since; /* 0: it is not */
};

/* A host that is not well, as it was told. */
struct health_trouble {
    node_id id;
    enum host_condition condition;
};

struct health_probed {
    uint64_t id;
    struct health_prober *prober; /* borrowed */
};

struct health_host {
    const struct world *world; /* borrowed */
    struct health_host_events events;
    struct health_agent *agent; /* owned; NULL once it was stopped */
    struct health_look look;
    struct pause pause;
    struct world_timer timer;
    nanos armed_at;
    nanos judge_at;
    nanos tell_at; /* not before this */
    char name[HOST_NAME_MAX_BYTES];

    struct probe_set probes;
    struct health_probed probed[PROBE_TARGETS_MAX];
    uint32_t n_probed;
    bool has_storage;
    struct storage_probe storage;
    struct health_prober storage_prober;
    uint64_t storage_ticket;
    enum probe_purpose storage_purpose;
    struct gray_signal storage_signal;
    nanos storage_took; /* the last one that was answered */

    struct health_own_rung own[RUNGS];
    struct host_told_rung said[RUNGS]; /* health_host_set_rung */
    nanos paused_at[HEALTH_PAUSES_KEPT];
    nanos paused_for[HEALTH_PAUSES_KEPT];
    uint32_t pauses;
    struct host_status told; /* the last one */

    struct gray_map map;
    struct gray_verdict verdicts[HEALTH_VERDICTS_MAX];
    nanos verdict_at[HEALTH_VERDICTS_MAX]; /* since when each is there */
    uint32_t n_verdicts;
    struct health_trouble troubled[HEALTH_TROUBLED_MAX];
    uint32_t n_troubled;
};

/* --- health_own.c: how this host is ------------------------------------------------------------
 */

/* The storage's target and prober, if it is probed. */
void health_own_begin(struct health_host *h, const char *storage_path);

/* This host did not run. */
void health_own_paused(struct health_host *h, nanos now);

/* Judges the rungs, and tells the others what has changed. */
void health_own_judge(struct health_host *h, nanos now);

/* What it tells at present. */
void health_own_describe(const struct health_host *h, struct host_status *ret);

/* --- health_ladder.c: how all are --------------------------------------------------------------
 */

/* Joins what they tell, and says who has become better or worse. */
void health_ladders_judge(struct health_host *h);

#endif
