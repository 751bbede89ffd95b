/*
 * Private to core/ha: the ladders of the machines on a host, as their agent asks them. The idea is
 * at the top of ha_agent_ladder.c.
 */
#ifndef NOVACRON_HA_AGENT_LADDER_H
#define NOVACRON_HA_AGENT_LADDER_H

#include "core/ha/ha_agent_int.h"
#include "core/monitoring/health/pause.h"
#include "core/monitoring/health/probe_app.h"
#include "core/monitoring/health/probe_set.h"

/* The world ends each question at its deadline. What it says then may come later to a process that
 * is slow, and is believed: so much later at the most. */
#define HA_ANSWER_SLACK (5 * NANOS_PER_S)

/* What is kept of what a command says. */
#define HA_SAYS_BYTES 256

/* The two sets. */
enum ha_ladder_set { HA_LADDER_PROCESSES, HA_LADDER_GUESTS, HA_LADDER_SETS };

/* One question of a machine to its driver or to the network; the last answer of one rung. */
struct ha_asking {
    struct ha_run *run;
    enum ha_rung rung;
    struct probe_order order;
    bool is_busy;     /* the driver has the request */
    bool is_answered; /* nobody waits for it any more */
    struct world_vm_request request;
    struct world_command_request command;
    const char *arguments[HA_COMMAND_WORDS_MAX + 1];
    char words[HA_COMMAND_WORDS_MAX][HA_VALUE_BYTES];
    uint8_t output[HA_SAYS_BYTES];
    uint8_t errors[HA_SAYS_BYTES];
    struct app_probe *app; /* owned; NULL: no connection is under way */
    char path[HA_VALUE_BYTES];
};

struct ha_ladder {
    uint64_t id;   /* in the sets, whether it is there or not */
    bool is_asked; /* it is in the sets */
    bool has_no_agent;
    bool stands; /* QEMU has stopped its guest, whose checks are not asked */
    bool was_agent_heard;
    bool has_started;              /* in this epoch: its start-up check was well once */
    bool was_held[HA_LADDER_SETS]; /* it is asked anew, since most others had failed, too */
    bool must_look;     /* its guest has failed, and QEMU was not asked since what it does */
    bool is_looked_for; /* that was asked */
    bool is_condemned;  /* it is to be ended, once that is known */
    uint32_t mute_ms;   /* as it is asked */
    struct ha_check checks[PROBE_PURPOSES];
    struct ha_rung_view rungs[HA_RUNGS]; /* as they are told */
    char heard[HA_RUNGS][HA_TEXT_BYTES]; /* the last answer of each */
    struct ha_asking *askings[HA_RUNGS]; /* owned, made when they are needed; none of QMP */
    struct probe_order query;            /* of QMP, under way: ticket 0: none */
};

struct ha_ladders {
    struct probe_set *sets[HA_LADDER_SETS]; /* owned */
    struct pause pause;
    uint64_t ids;
    nanos tried_at; /* when one was ended last though most others had failed */
    uint64_t ended;
};

/* ha_agent_ladder.c */

/* Whose check is asked for a purpose: a machine without a start-up check begins with its liveness.
 */
enum probe_purpose ha_ladder_check_of(const struct ha_ladder *l, enum probe_purpose purpose);

/* What an order of that rung was answered. `answer`: for people. */
void ha_ladder_answer(struct ha_run *run, enum ha_rung rung, const struct probe_order *order,
                      enum probe_outcome outcome, const char *answer);

/* ha_agent_ask.c */
void ha_ask_agent(struct ha_run *run, const struct probe_order *order);
void ha_ask_guest(struct ha_run *run, const struct probe_order *order);

/* Nobody waits for answers any more, of the rungs from `from` on. What the driver has stays in
 * place until it answers. */
void ha_asks_stop(struct ha_run *run, enum ha_rung from);
bool ha_asks_are_busy(const struct ha_run *run);
void ha_asks_free(struct ha_run *run);

/* ha_agent_run.c: asks QMP; false: another order is under way. */
bool ha_run_query(struct ha_run *run);

#endif
