/*
 * core/chaos/check: judges what the clients of a simulated cluster saw. What lives here: the
 * checker of linearizability (lin.h), the files that hold histories (history.h), and the checkers
 * of watches and of leases (watch_check.h, lease_check.h). All are pure: a history goes in, a
 * verdict and its reasons come out, and no history, however wrong, is more than a verdict. Who may
 * call it: the simulator and tests.
 *
 * lin: is a history linearizable [Herlihy90]? Each key is a register of its own, and since
 * linearizability is local, keys are checked one by one [Horn15]. A key's check is the search of
 * Wing and Gong [Wing93] with the cache of configurations by Lowe [Lowe17], entries in a doubly
 * linked list, as Porcupine [Athalye17] does it, and with these reductions, all of which keep the
 * verdict (lin_search.c gives the arguments):
 *
 *   - a read that fits now is taken now; so is a write that nobody saw where nobody waits for the
 *     value under it;
 *   - a value is not overwritten while somebody still has to read it and nobody is left to write
 * it;
 *   - an operation of unknown outcome takes effect only where the next operation needs it; ones
 * whose effect nobody can have seen are left out, ones of equal effect are used in order, and one
 * whose value only it wrote and somebody read has happened before that read returned.
 *
 * A store like etcd says more: each answer names the store's revision. Where operations carry it,
 * the order of revisions must be an order that explains the history: there is then hardly anything
 * left to search, and orders that contradict each other across keys are found as well.
 */
#ifndef NOVACRON_CHAOS_CHECK_LIN_H
#define NOVACRON_CHAOS_CHECK_LIN_H

#include "core/base/buf.h"
#include "core/chaos/check/lin_strings.h"

enum lin_kind {
    LIN_READ,     /* saw `value`; also a delete that answered that there was nothing */
    LIN_WRITE,    /* wrote `value` */
    LIN_DELETE,   /* wrote absence; `value` is not looked at */
    LIN_CAS,      /* found `expected` and wrote `value` */
    LIN_CAS_MISS, /* answered that it did not find `expected`; `value` is not looked at */
    LIN_APPEND,   /* appended the string `value` to the string that was there */
    LIN_KINDS
};

enum lin_outcome {
    LIN_OK,
    LIN_FAILED,  /* certainly without effect: such operations are left out */
    LIN_UNKNOWN, /* took effect at any time after its invocation, or never will */
    LIN_OUTCOMES
};

/* One operation on one key. A process has one operation at a time; which process it was matters to
 * people alone, and to transactions: changes of several keys by one process, invoked at one time,
 * may have made one revision.
 *
 * One operation comes before another where it returned at an earlier time than the other was
 * invoked. Equal times are concurrent, so a driver whose events fall on one instant gives them
 * times that differ, if their order means anything. */
struct lin_op {
    nanos invoked;
    nanos returned; /* unless the outcome is unknown */
    uint64_t key;
    uint64_t value; /* an id of the caller's; 0: absent */
    uint64_t expected;
    /* The store's revision right after the operation took effect: the one that a write made, or the
     * one that a read was answered from. 0: not known. Below LIN_REVISION_MAX. */
    uint64_t revision;
    uint64_t
        mod_revision; /* of a read that found a value: the revision that made it; 0: not known */
    uint32_t process;
    uint8_t kind;    /* enum lin_kind */
    uint8_t outcome; /* enum lin_outcome */
};

#define LIN_REVISION_MAX ((uint64_t)1 << 62)

/* The most operations of one history: indexes and links are 32 bits. */
#define LIN_OPS_MAX ((size_t)1 << 28)

enum lin_verdict { LIN_LINEARIZABLE, LIN_NOT_LINEARIZABLE, LIN_UNDECIDED };

/* Why a history is undecided. */
enum lin_bound {
    LIN_BOUND_NONE,
    LIN_BOUND_STEPS,
    LIN_BOUND_MEMORY,
    LIN_BOUND_MALFORMED /* an operation is none: it returned before it was invoked, say */
};

/* Bounds for each key's search. */
struct lin_limits {
    uint64_t steps_max;      /* operations that are looked at in some place; some 10^8 a second */
    size_t memory_bytes_max; /* of the cache and of strings that appends make */
    /* Searches that looking for a smaller failing part may take, 0 for none; together they may take
     * eight times steps_max. */
    uint64_t shrink_max;
};

struct lin_limits lin_limits_plain(void);

/* How values and keys look to people. NULL: as numbers, and 0 as nil. */
struct lin_names {
    const void *ctx;
    void (*key)(const void *ctx, uint64_t key, struct buf *out);
    void (*value)(const void *ctx, uint64_t value, struct buf *out);
    bool times_are_lines; /* and not nanoseconds */
};

/* An operation of the smallest failing part. */
struct lin_culprit {
    uint32_t op; /* index into the history */
    /* That it returned does not matter to the contradiction, only that it may have taken effect. */
    bool is_open;
};

struct lin_report {
    enum lin_verdict verdict;
    enum lin_bound bound;
    uint64_t key;   /* the one that fails, or the first that is undecided */
    uint32_t keys;  /* in the history */
    uint64_t steps; /* over all keys */
    uint64_t cached_max;
    /* The smallest failing part (docs/checkers.md says what that is), in the order of invocation.
     * Borrowed from the checker until its next call. */
    const struct lin_culprit *part;
    size_t part_count;
    bool is_part_late; /* the part begins in the middle: no state before it helps */
};

struct lin; /* a checker: memory that is kept from one history to the next */

struct lin *lin_open(const struct lin_limits *limits);
void lin_close(struct lin *lin);

/* Judges `n` operations, in any order. `strings` gives appends their meaning: then values are its
 * ids; NULL where there are none. It is left as it was. Where the history is not linearizable, or
 * undecided, `text` gets the reasons for people to read; it may be NULL, `names` too. */
void lin_check(struct lin *lin, const struct lin_op *ops, size_t n, struct lin_strings *strings,
               const struct lin_names *names, struct lin_report *report, struct buf *text);

const char *lin_verdict_text(enum lin_verdict verdict);
const char *lin_kind_text(enum lin_kind kind);

#endif
