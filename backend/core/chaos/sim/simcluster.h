/*
 * Whole nodes on simulated hosts: what an operator starts, kills, restarts and gives other disks.
 * One host, one node, one id (the host's number plus one) for as long as a run lasts. Hosts that
 * never vote come behind the others: they have no node, and the id of their agent's session; what
 * asks whether a member serves passes them over.
 *
 *     BLANK --start--> UP --kill, power, stop--> DOWN --start--> UP
 *                       |  node halted
 *                       +--------------> DOWN, to be started again by whoever watches processes
 *
 * A node's process is what simhost_kill ends; its disk stays. What a disk may have lost by a fault
 * is remembered per host, for the oracle, until the node is whole again.
 *
 * Where hosts run machines, each has a guard with a watchdog, a fence device of its own name and a
 * second one, an outlet; the process starts and ends with the power, whoever switches it.
 */
#ifndef NOVACRON_CHAOS_SIM_SIMCLUSTER_H
#define NOVACRON_CHAOS_SIM_SIMCLUSTER_H

#include "core/chaos/sim/profile.h"
#include "core/chaos/simnet.h"
#include "core/chaos/simvm.h"
#include "core/chaos/simworld.h"
#include "core/chaos/sim/simtenant.h"
#include "core/ha/ha_member.h"
#include "core/monitoring/health/health_host.h"
#include "core/node/node.h"

/* Of the cluster, and of all streams and datagrams between its hosts. */
#define SIM_CLUSTER 77
#define SIM_PORT    2380

struct node_ha; /* node_ha.h */
struct node_sessions;
struct ha_session;
struct simcluster;

enum simmember_state { MEMBER_BLANK, MEMBER_UP, MEMBER_DOWN };

struct simmember {
    struct simcluster *cluster;
    uint32_t i;
    node_id id;
    char name[16];
    char outlet[32]; /* its second fence device, where hosts run machines */
    struct simhost *host;
    bool is_agent;               /* it never votes */
    struct node *node;           /* NULL unless UP, and of an agent */
    struct world_listener guest; /* takes the agent's streams from the node */
    struct health_host *health;  /* likewise, and only where hosts watch each other */
    struct node_ha *ha_store;    /* likewise, and only where hosts run machines */
    struct node_sessions *sessions;
    struct ha_session *session; /* of an agent that is UP */
    struct ha_member *ha;
    struct simtenant *tenant; /* lives with the host */
    enum simmember_state state;
    uint32_t life;       /* counts starts */
    bool was_ready;      /* took part before: an empty disk is a lost one */
    bool is_ready;       /* in this life */
    bool is_halted;      /* in this life: the process is about to be ended */
    bool is_old_release; /* founded as the release before, and not upgraded yet */
    bool stays_down;     /* nobody starts it again: a host outside the core */
    enum err halt_error;
    const char *halt_why;
    enum recovery_verdict verdict; /* of this life, once it is ready */
    uint32_t alarms;               /* of all lives */
    nanos ready_at;
    struct simdisk *kept_disk; /* owned: a clone taken earlier, for FAULT_OLD_DISK */
};

/* What the run wants to hear. `ctx` is simcluster.ctx. */
struct simcluster_events {
    void (*opened)(void *ctx, struct simmember *m);
    void (*closing)(void *ctx, struct simmember *m); /* the node is still there */
    void (*ready)(void *ctx, struct simmember *m);
    void (*halted)(void *ctx, struct simmember *m);
    void (*stepping)(void *ctx, struct simmember *m, const struct raft_event *e); /* or NULL */
    void (*sent)(void *ctx, struct simmember *m, const struct raft_message *message);
    void (*applied)(void *ctx, struct simmember *m, const struct raft_entry *entry);
    void (*led)(void *ctx, struct simmember *m, enum raft_role role, raft_term term);
    void (*alarmed)(void *ctx, struct simmember *m, enum raft_alarm alarm);
    void (*diverged)(void *ctx, struct simmember *m, node_id who);
    /* The leader m found others lost, gray or back; or NULL. */
    void (*cut)(void *ctx, struct simmember *m, const struct cut_change *change);
    /* What HA on m says for the log; or NULL. */
    void (*ha_said)(void *ctx, struct simmember *m, enum ha_saying who, const char *what,
                    const char *subject, const char *detail);
    /* What befalls the session of an agent, at which voter; or NULL. */
    void (*served)(void *ctx, struct simmember *m, const char *what, const char *voter,
                   const char *why);
};

struct simcluster {
    struct simworld *world;
    const struct sim_settings *settings;
    struct simmember member[SIM_HOSTS_MAX];
    uint32_t n; /* founders, spares and agents */
    struct raft_membership founders;
    struct simvolume *volume[SIM_MACHINES_MAX]; /* one a machine; the world's */
    uint32_t n_machines;
    struct simcluster_events events;
    void *ctx;
};

/* Hosts with empty disks; nothing runs yet. */
void simcluster_init(struct simcluster *c, struct simworld *world, const struct sim_settings *s);
void simcluster_deinit(struct simcluster *c);

/* Starts the process of a host that is not UP. */
void simmember_start(struct simmember *m);

/* Those of all hosts that never vote. */
void simcluster_start_agents(struct simcluster *c);

/* The process dies; with `power`, unsynced writes survive in `num` of 4 cases each. */
void simmember_kill(struct simmember *m, bool power, uint64_t num);

/* Somebody switches its host on, if it is off: where hosts run machines its process starts with it.
 * False: it has no mains. */
bool simmember_switch_on(struct simmember *m);

/* The host does not reach the volumes of the machines, or reaches them again; and does it reach any
 * of them? */
void simcluster_cut_volumes(struct simcluster *c, struct simmember *m, bool is_cut);
bool simcluster_has_volume(const struct simcluster *c, const struct simmember *m);

/* The name of a machine, and of its volume. Borrowed: static. */
const char *simcluster_machine_name(uint32_t machine);
const char *simcluster_volume_name(uint32_t machine);

/* It is up, past recovery, and has not halted. */
bool simmember_serves(const struct simmember *m);

/* The host with this id of a member or agent; NULL: there is none. */
struct simmember *simcluster_find(struct simcluster *c, node_id id);

/* The newest leader that anybody knows of itself to be; NULL. */
struct simmember *simcluster_leader(struct simcluster *c);

/* Does anybody know of a newer term than this leader's? Then its successor may have changed the
 * members, or the in-sync set, and it does not know. */
bool simcluster_is_deposed(const struct simcluster *c, const struct simmember *leader);

/* The pick-th of those that `is_wanted`, counted round; NULL: there is none. */
struct simmember *simcluster_pick(struct simcluster *c, uint32_t pick,
                                  bool (*is_wanted)(const struct simmember *));

#endif
