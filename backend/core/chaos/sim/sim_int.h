/* Private to one run: sim.c is its course, sim_observe.c what it notes of nodes, sim_heal.c the
 * liveness phase, sim_judge.c the verdict over what clients saw. A run that a script directs
 * (core/chaos/scenario) is made of the same parts. */
#ifndef NOVACRON_CHAOS_SIM_SIM_INT_H
#define NOVACRON_CHAOS_SIM_SIM_INT_H

#include "core/chaos/oracle/oracle.h"
#include "core/chaos/sim/sim.h"
#include "core/chaos/sim/simlessee.h"
#include "core/chaos/sim/simmachines.h"
#include "core/chaos/sim/simtruth.h"
#include "core/chaos/sim/simwatch.h"
#include "core/chaos/sim/tla_trace.h"

struct sim {
    const struct sim_options *options;
    struct sim_result *result;
    struct sim_settings settings;
    struct fault_plan plan;
    struct prng root;
    struct simworld *world;
    struct simcluster cluster;
    struct simclients clients;
    struct simwatches watches;
    struct simlessees lessees;
    struct simtruth truth;
    struct simoperator operator;
    struct inject inject;
    struct oracle *oracle;
    uint32_t touched;    /* a bit for each host that the next look is due at */
    bool is_over;        /* a violation was found */
    bool is_beyond;      /* more was lost than the fault model allows: what follows counts not */
    uint32_t lost_alive; /* hosts that were up, and found lost by a leader */
    uint64_t next_full;  /* events at which everything is checked again */
    nanos next_look;
    struct {
        nanos led;        /* when somebody last led */
        uint64_t leaders; /* seen so far */
        node_id leader;
        node_id transferee;
        bool was_exposed;
        uint8_t member[SIM_HOSTS_MAX]; /* roles, as the leader sees them */
        bool had_no_space[SIM_HOSTS_MAX];
        uint8_t roles[SIM_HOSTS_MAX];
        raft_index snapshot[SIM_HOSTS_MAX];
    } seen;
    struct {
        uint64_t revision; /* of the newest view that was looked at */
        uint64_t epoch[SIM_MACHINES_MAX];
        uint64_t restarts[SIM_MACHINES_MAX];
        uint64_t issued[SIM_MACHINES_MAX];
        uint64_t moves[SIM_MACHINES_MAX];
        uint64_t noted[SIM_MACHINES_MAX]; /* epochs that the coverage knows */
        uint64_t offs[SIM_HOSTS_MAX];     /* commands to switch off, at the last look */
        nanos owed_at[SIM_HOSTS_MAX];     /* one was seen, and no record; 0: none */
        nanos fencing_at[SIM_HOSTS_MAX];  /* a record was seen; 0: never */
    } ha;
    struct buf line;
    struct tla_trace tla;
};

/* Something was violated: the run is over. The first one counts. */
void sim_fail(struct sim *s, enum sim_verdict verdict, const char *invariant, const char *text);

/* A line of the timeline begins; NULL: nobody listens. Its end is sim_line_end. */
struct buf *sim_line(struct sim *s);
void sim_line_end(struct sim *s);

/* The parts of a run, in their order: nothing is there but the seed's generator, and `settings` are
 * to be filled in; the world and hosts on which nothing runs; at last, what there is to be known of
 * the run is in the result, and everything freed. */
void sim_open(struct sim *s, const struct sim_options *options, struct sim_result *ret);
void sim_begin(struct sim *s);
void sim_end(struct sim *s);

/* One event, and what must be checked after it. False: the run is over, or the world at rest. */
bool sim_step(struct sim *s);

/* Time passes until `until`, or a violation. */
void sim_pass(struct sim *s, nanos until);

void sim_reach(struct sim *s, enum reached state);

/* sim_observe.c */
struct simcluster_events sim_observers(void);
void sim_injected(void *ctx, const struct fault *row, enum inject_outcome outcome,
                  const struct simmember *struck);
void sim_look(struct sim *s);
void sim_trace_network(struct sim *s);

/* sim_heal.c */
void sim_heal(struct sim *s);

/* sim_hosts.c */
void sim_hosts_cut(void *ctx, struct simmember *m, const struct cut_change *change);
void sim_hosts_settle(struct sim *s);

/* sim_ha.c */
void sim_ha_said(void *ctx, struct simmember *m, enum ha_saying who, const char *what,
                 const char *subject, const char *detail);
void sim_ha_served(void *ctx, struct simmember *m, const char *what, const char *voter,
                   const char *why);
void sim_ha_check(struct sim *s);
void sim_ha_look(struct sim *s);
void sim_ha_settle(struct sim *s);

/* Whose view is the newest; NULL: nobody serves. */
const struct simmember *sim_ha_newest(const struct sim *s);

/* On how many hosts a machine lives; the last of them. */
uint32_t sim_ha_lives(const struct sim *s, const char *name, const struct simmember **ret);

/* sim_ladder.c: an agent ends a machine, with this reason; and is the ladder of a machine told to
 * be well? */
void sim_ladder_ended(struct sim *s, const struct simmember *m, const char *machine,
                      const char *reason);
bool sim_ladder_is_well(const struct ha_view *view, uint32_t machine);

/* It runs, once, on a host that is up, as its record says. */
bool sim_ha_is_well(const struct sim *s, const struct ha_view *view, uint32_t machine);

/* sim_judge.c */
void sim_judge(struct sim *s);

#endif
