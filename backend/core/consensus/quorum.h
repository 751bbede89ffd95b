/*
 * consensus: quorum arithmetic, shared by every engine; the engines live in folders of their own.
 *
 * A majority of n is any set of n/2+1 of them, so that two majorities always share a member
 * [Ongaro14 §3.4]. A joint decision needs a majority of both halves [Ongaro14 §4.3]; a half without
 * members agrees to everything, which makes a plain configuration a joint one with an empty half.
 *
 * Callers: the engines. Includes: base.
 */
#ifndef NOVACRON_CONSENSUS_QUORUM_H
#define NOVACRON_CONSENSUS_QUORUM_H

#include "core/base/types.h"

/* What an empty half answers: everything is committed. */
#define QUORUM_ALL UINT64_MAX

enum quorum_result {
    QUORUM_PENDING, /* both outcomes are still possible */
    QUORUM_LOST,    /* so many said no, or are gone, that a majority of yes is out of reach */
    QUORUM_WON,     /* a majority said yes */
};

static inline unsigned quorum_size(unsigned n)
{
    return n / 2 + 1;
}

/* The largest value that at least `rank` of the `n` values reach: the rank-th largest. The array is
 * sorted in place. 1 <= rank <= n. */
uint64_t quorum_ranked(uint64_t *values, unsigned n, unsigned rank);

/* The largest index that a majority has acknowledged, where `acked[i]` is what member i
 * acknowledged (0: nothing). QUORUM_ALL for n = 0. The array is sorted in place. */
uint64_t quorum_committed(uint64_t *acked, unsigned n);

/* The outcome when, of `n` members, `yes` agreed, `no` declined and the others have not spoken. */
enum quorum_result quorum_tally(unsigned yes, unsigned no, unsigned n);

/* Both halves must agree: lost where one is lost, won where both are won. */
enum quorum_result quorum_both(enum quorum_result a, enum quorum_result b);

#endif
