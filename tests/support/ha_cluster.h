/*
 * ha_cluster: whole members with HA on simulated hosts: node, agent, guard, management controller,
 * and on the leader the manager; machines on one shared storage. Virtual time passes only in the
 * functions that wait, and after each of them nothing may have been written by two.
 *
 * Health is played: a host that is down or told to be unheard for HA_TEST_DETECT is cut, as all
 * members hear; one that is heard again is back at once.
 */
#ifndef NOVACRON_TESTS_SUPPORT_HA_CLUSTER_H
#define NOVACRON_TESTS_SUPPORT_HA_CLUSTER_H

#include "core/chaos/simguard.h"
#include "core/chaos/simnet.h"
#include "core/chaos/simpower.h"
#include "core/chaos/simvm.h"
#include "core/ha/ha_member.h"
#include "core/ha/ha_session.h"
#include "core/node/node_ha.h"
#include "core/node/node_session.h"

#define HA_BOXES_MAX   7
#define HA_TOLD_MAX    8
#define HA_TEST_DETECT (1200 * NANOS_PER_MS)

struct ha_cluster;

struct ha_box {
    struct ha_cluster *cluster;
    uint32_t i;
    char name[16];
    struct simhost *host;
    struct node *node; /* NULL: down, or a host that does not vote */
    struct node_ha *store;
    struct node_sessions *sessions;
    struct ha_session *session; /* of a host that does not vote; NULL: down */
    struct ha_member *member;   /* NULL: down */
    bool stays_down;            /* it is not started when its power comes back */
    bool is_unheard;            /* by health: a test says so */
    nanos silent_since;
    bool is_cut;
};

struct ha_cluster {
    struct simworld *sim;
    uint32_t n;
    uint32_t voters; /* the first; the others do not vote */
    struct ha_box box[HA_BOXES_MAX];
    struct raft_membership founders;
    bool has_health;
    bool is_loud;         /* what is said is printed */
    uint64_t first_epoch; /* of the machine that was looked at first */

    /* Incidents that were told as closed; a ring. */
    uint32_t incidents_told;
    struct ha_incident incident_told[HA_TOLD_MAX];
};

/* `watchdog`: of all hosts; NONE: there is no guard. */
void ha_cluster_init(struct ha_cluster *c, uint64_t seed, uint32_t n, enum world_watchdog watchdog);
/* The same with hosts behind them that do not vote. */
void ha_cluster_init_agents(struct ha_cluster *c, uint64_t seed, uint32_t voters, uint32_t agents,
                            enum world_watchdog watchdog);
void ha_cluster_deinit(struct ha_cluster *c);

/* Starts all, waits until each has a lease. Declares the storage "nfs" without flight and the
 * hosts, with their management controllers as fence devices where `has_fences`. */
void ha_cluster_start(struct ha_cluster *c, bool has_fences);

void ha_box_start(struct ha_box *b);
/* The process dies; the power goes. */
void ha_box_kill(struct ha_box *b);
void ha_box_power_off(struct ha_box *b);
/* From all others; and from fence devices it is reached all the same. */
void ha_box_isolate(struct ha_box *b, bool is_isolated);

void ha_cluster_run(struct ha_cluster *c, nanos span);

/* The member that leads with a manager; NULL: none. */
struct ha_box *ha_cluster_leader(struct ha_cluster *c);

/* What has befallen its session. */
struct ha_session_status ha_box_session(const struct ha_box *b);

/* Any voter that is up and no leader. */
struct ha_box *ha_cluster_follower(struct ha_cluster *c);
struct ha_box *ha_cluster_box(struct ha_cluster *c, const char *name);

/* The newest view of all that are up. */
const struct ha_view *ha_cluster_view(struct ha_cluster *c);

/* An operator's put, done when it returns. */
void ha_cluster_put(struct ha_cluster *c, enum ha_kind kind, const void *record);
#define HA_APPLY(c, record) ha_cluster_put(c, HA_KIND_OF(record), record)
void ha_cluster_put_text(struct ha_cluster *c, const char *key, const char *text);
void ha_cluster_delete(struct ha_cluster *c, enum ha_kind kind, const char *name);
/* Another fence device of the host, "second", as the only one of its level 2. */
void ha_cluster_add_second_device(struct ha_cluster *c, const struct ha_box *b);

/* A machine on "nfs", wanted, with a volume of its name. */
struct ha_vm ha_cluster_vm(struct ha_cluster *c, const char *name);
/* One that prefers that host. */
struct ha_vm ha_cluster_vm_at(struct ha_cluster *c, const char *name, const struct ha_box *b);
/* Declares it; it must run there soon. */
void ha_cluster_run_vm(struct ha_cluster *c, const struct ha_vm *vm, const struct ha_box *b);
/* A cluster of so many, with the machine "web" on the box that it returns, which does not lead. */
struct ha_box *ha_cluster_with_web(struct ha_cluster *c, uint64_t seed, uint32_t n,
                                   bool has_fences);

/* Waits until the machine is in the phase, on `host` unless that is NULL, for at most `span`.
 * False: it is not; says what is. */
bool ha_cluster_wait_vm(struct ha_cluster *c, const char *vm, enum ha_phase phase, const char *host,
                        nanos span);
bool ha_cluster_wait_fate(struct ha_cluster *c, const char *host, enum ha_fate_phase phase,
                          nanos span);
const struct ha_owner *ha_cluster_owner(struct ha_cluster *c, const char *vm);
const struct ha_fate *ha_cluster_fate(struct ha_cluster *c, const char *host);

/* How many epochs it has begun, since it was first seen by ha_cluster_wait_vm or this. */
uint64_t ha_cluster_starts(struct ha_cluster *c, const char *vm);

/* The name of the host on which a machine of that name lives; NULL: none. */
const char *ha_cluster_lives_on(struct ha_cluster *c, const char *vm);

/* How many events of that kind there are, of the machine or host. */
uint32_t ha_cluster_events(struct ha_cluster *c, const char *what, const char *subject);

#endif
