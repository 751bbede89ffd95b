/*
 * A manager alone: the keeper of member 1 on a simulated host "a", with a view and a store that are
 * the test's. The hosts "a" and "b" are declared, of which "b" is member 2, and the storage "nfs".
 *
 * Nothing is answered by itself: what it submits is kept until the test says how it ends, and what
 * it asks of a quorum waits likewise.
 */
#ifndef NOVACRON_TESTS_KEEPER_BENCH_H
#define NOVACRON_TESTS_KEEPER_BENCH_H

#include "core/chaos/simworld.h"
#include "core/ha/ha_keeper.h"
#include "tests/core/ha/ha_samples.h"

#define KEEPER_TXNS_MAX 64

struct keeper_bench {
    struct simworld *sim;
    struct simhost *host; /* "a", of `sim` */
    struct ha_view view;
    struct ha_store store;
    struct ha_lessor lessor;
    struct ha_keeper *keeper;
    struct ha_txn *txns[KEEPER_TXNS_MAX]; /* that were submitted and have no answer */
    size_t n;
    struct ha_confirm *confirm; /* that waits for its answer; NULL: none does */
    struct ha_confirm *barrier; /* likewise */
    uint64_t renewals;          /* of "b" that were heard */
};

/* Its member has begun to lead, in term 3, and the token is not written yet. */
void keeper_open(struct keeper_bench *b);
void keeper_close(struct keeper_bench *b);

/* Lets it work for so long. */
void keeper_run(struct keeper_bench *b, nanos span);

/* The token, which is all that it has submitted, is written at the view's next revision. */
void keeper_take(struct keeper_bench *b);

/* Puts a machine with its owner's record; puts a host's fate. */
void put_owned(struct keeper_bench *b, const char *vm, enum ha_phase phase, const char *host,
               uint64_t epoch, bool is_wanted);
void put_fate(struct keeper_bench *b, const char *host, uint32_t losses, bool is_quarantined,
              bool is_tripped);

/* The host, whose agent is declared, is what time may prove something of: bare metal, with an armed
 * watchdog that bites after 5 s. Its agent's boot is 1. */
void put_covered(struct keeper_bench *b, const char *host);

/* The host renews, attesting that, and is granted what the keeper grants now. */
void grant_once(struct keeper_bench *b, const char *host);

/* One transaction that has to do with `key` ends so, and is forgotten; the test fails where there
 * is none. */
void answer_about(struct keeper_bench *b, const char *key, enum ha_txn_outcome outcome);

/* A quorum says that this member leads still, if that was asked. */
void answer_confirm(struct keeper_bench *b);

/* The barrier, which is under way, ends so. */
void answer_barrier(struct keeper_bench *b, enum err result);

/* Has a transaction without an answer to do with the key? */
bool one_is_about(const struct keeper_bench *b, const char *key);

/* The test fails unless each of them is applied only while the token has this revision. */
void all_are_guarded(const struct keeper_bench *b, int64_t token);

#endif
