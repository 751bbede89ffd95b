#include "core/consensus/quorum.h"

#include "core/base/check.h"
#include "core/base/mutant.h"

/* Insertion sort: a group has a handful of voters, and they are nearly sorted most of the time. */
static void quorum_sort(uint64_t *values, unsigned n)
{
    for (unsigned i = 1; i < n; i++) {
        uint64_t v = values[i];
        unsigned j = i;
        for (; j > 0 && values[j - 1] > v; j--) {
            values[j] = values[j - 1];
        }
        values[j] = v;
    }
}

uint64_t quorum_ranked(uint64_t *values, unsigned n, unsigned rank)
{
    CHECK(rank >= 1 && rank <= n);
    if (!MUTANT(COMMIT_UNSORTED)) {
        quorum_sort(values, n);
    }
    return values[n - rank];
}

uint64_t quorum_committed(uint64_t *acked, unsigned n)
{
    if (n == 0) {
        return QUORUM_ALL;
    }
    return quorum_ranked(acked, n, quorum_size(n));
}

enum quorum_result quorum_tally(unsigned yes, unsigned no, unsigned n)
{
    CHECK(yes + no <= n);
    if (n == 0 || yes >= quorum_size(n)) {
        return QUORUM_WON;
    }
    return n - no >= quorum_size(n) ? QUORUM_PENDING : QUORUM_LOST;
}

enum quorum_result quorum_both(enum quorum_result a, enum quorum_result b)
{
    if (a == QUORUM_LOST || b == QUORUM_LOST) {
        return QUORUM_LOST;
    }
    return a == QUORUM_WON && b == QUORUM_WON ? QUORUM_WON : QUORUM_PENDING;
}
