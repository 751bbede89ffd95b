/*
 * An agent alone: that of the simulated host "a", of 1000 MiB and 4 processors, with a view and a
 * store that are the test's. There are the storage "nfs" and the machine "web" on it, which nobody
 * owns; "a" itself is not declared.
 *
 * Nothing is answered by itself: what it submits is kept until the test says how it ends, and its
 * renewals are granted when the test does so.
 */
#ifndef NOVACRON_TESTS_LONE_AGENT_H
#define NOVACRON_TESTS_LONE_AGENT_H

#include "core/chaos/simworld.h"
#include "core/ha/ha_agent.h"
#include "tests/core/ha/ha_samples.h"

#define LONE_TXNS_MAX 8

struct lone_agent {
    struct simworld *sim;
    struct simhost *host; /* "a", of `sim` */
    struct ha_view view;
    struct ha_store store;
    struct ha_agent *agent;
    struct ha_txn *txns[LONE_TXNS_MAX]; /* under way, oldest first */
    size_t n;
    bool is_due;
    struct ha_renew renew; /* the newest; number 0: none was sent */
    uint32_t renewals;
    char spoiler[HA_NAME_BYTES]; /* for which it has said that it attests nothing */
    uint32_t taken_back;         /* times it has said that it took "web" back */
    bool is_hidden;              /* it has said that it attests nothing, since then */
};

/* It has begun to register. Its watchdog, if it has one, bites after 5 s. */
void lone_open(struct lone_agent *b, enum world_watchdog watchdog);
void lone_close(struct lone_agent *b);

/* Its process dies, with what it had under way, and the next one begins. */
void lone_begin_anew(struct lone_agent *b);

/* Lets it work for so long. */
void lone_run(struct lone_agent *b, nanos span);

/* The oldest transaction ends so. */
void lone_answer(struct lone_agent *b, enum ha_txn_outcome outcome, int64_t revision);

/* The registration, which is all that is under way, is written, as it is. */
void lone_register(struct lone_agent *b);

/* The newest renewal is granted, by a store that is at `revision`. */
void lone_grant(struct lone_agent *b, uint64_t revision);

/* "web" is to be started here, as this epoch. */
void lone_assign(struct lone_agent *b, uint64_t epoch, enum ha_policy policy);

/* Machines that it has started, since its process began. */
uint64_t lone_starts(const struct lone_agent *b);

#endif
