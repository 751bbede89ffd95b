/*
 * HA on simulated members: an agent and, on the leader, the manager beside each node, as the daemon
 * has them; and the operator who declares hosts, fence devices, storage and machines to the store.
 *
 * Each host has two levels of fence devices: its management controller, and then an outlet. All
 * machines are on one shared storage, whose I/O in flight lands within SIM_FLIGHT.
 */
#ifndef NOVACRON_CHAOS_SIM_SIMMACHINES_H
#define NOVACRON_CHAOS_SIM_SIMMACHINES_H

#include "core/chaos/sim/simcluster.h"
#include "core/ha/ha_member.h"
#include "core/ha/ha_session.h"
#include "core/node/node_ha.h"
#include "core/node/node_session.h"

/* How late a write may land whose machine has ended. */
#define SIM_FLIGHT (500 * NANOS_PER_MS)

/* Hosts that were fenced stay off: somebody comes and looks. */
#define SIM_OFF_PATIENCE (15 * NANOS_PER_S)

/* Beside a node that is being opened: `simmachines_open` before node_open, `_attach` after it,
 * `_close` once the process is gone, and before node_close. On a host that never votes a session
 * stands for the node. Nothing happens where hosts run no machines. */
void simmachines_open(struct simmember *m);
void simmachines_attach(struct simmember *m);
void simmachines_close(struct simmember *m);

/* The operator. It writes one transaction at a time, through a member that serves, and again where
 * one came to nothing. */
struct simoperator {
    struct simcluster *cluster;
    struct simmember *through; /* NULL: nothing is under way */
    uint32_t life;             /* of that member then */
    struct ha_txn txn;
    bool is_applied;                /* what was written last */
    bool is_declaring;              /* that is everything */
    bool is_declared;               /* the records are there */
    uint32_t without_devices;       /* hosts that are declared without fence devices: a bit each */
    nanos off_since[SIM_HOSTS_MAX]; /* NANOS_FOREVER: it is on */
    uint64_t start_count[SIM_MACHINES_MAX];
};

void simoperator_init(struct simoperator *o, struct simcluster *c);
void simoperator_deinit(struct simoperator *o);

/* To be called now and then: declares everything, until it is there. */
void simoperator_declare(struct simoperator *o);

/* To be called now and then: a host that has been off for SIM_OFF_PATIENCE is switched on again,
 * unless it is to stay down. */
void simoperator_switch_on(struct simoperator *o);

/* What it declares of a machine. */
void simoperator_machine(const struct simoperator *o, uint32_t machine, struct ha_vm *ret);

/* Writes one record, or deletes its key; `is_applied` says whether that was done. False: there is
 * nobody to ask, or something is under way. */
bool simoperator_write(struct simoperator *o, enum ha_kind kind, const void *record,
                       bool is_deleted);

/* Wants machines anew that have FAILED, and none elsewhere any more. True: there is none such, as
 * that member sees it. */
bool simoperator_retry(struct simoperator *o, const struct simmember *m);

#endif
