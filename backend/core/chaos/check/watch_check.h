/*
 * Did a watch deliver what it promises? It is compared with the truth: the list of all changes that
 * were committed, in their order, which the driver keeps (an oracle sees what every node applies).
 *
 *   - Each change from the start revision on whose key is in the range is delivered once, in the
 *     order of the truth, and with the truth's key, kind and value. Nothing else is.
 *   - The changes of one revision come together: in one response, or, where the watch fragments, in
 *     responses of which all but the last say that they go on.
 *   - A progress notification at revision R promises that everything up to R has been delivered,
 * and that R is committed: each revision is a change.
 *   - After the watch was cancelled nothing follows. Compaction cancels only a watch that needs
 * what was compacted away.
 *   - A client that reconnects goes on with the same watch: from the revision that it asks for
 * then, which lies at most one behind what it has seen whole.
 *
 * The first fault is kept, and every later call returns it. Nothing that a watch delivers is more
 * than a fault.
 */
#ifndef NOVACRON_CHAOS_CHECK_WATCH_CHECK_H
#define NOVACRON_CHAOS_CHECK_WATCH_CHECK_H

#include "core/base/buf.h"

enum watch_kind { WATCH_PUT, WATCH_DELETE };

/* A change, as it was committed, or as a watch delivered it. */
struct watch_change {
    uint64_t revision;
    struct bytes key;
    uint64_t value; /* whatever identifies it, the same in the truth and in what is delivered */
    uint8_t kind;   /* enum watch_kind */
};

/* The committed changes so far; by revision, and within one as the transaction made them. */
struct watch_truth {
    const struct watch_change *changes;
    size_t count;
    uint64_t revision; /* of the newest, where others were made that are not among them; or 0 */
};

enum watch_fault {
    WATCH_RIGHT,
    WATCH_MISSING,  /* a change was passed over */
    WATCH_REPEATED, /* a change came again */
    WATCH_INVENTED, /* no such change was committed, or it is not as it is told */
    WATCH_OUT_OF_RANGE,
    WATCH_SPLIT, /* a response ends within a revision */
    WATCH_BROKEN_PROMISE,
    WATCH_AFTER_CANCEL,
    WATCH_NOT_COMPACTED, /* it was cancelled by a compaction that it did not need to fear */
    WATCH_RESUMED_LATE   /* the client asked for less than it had missed: a fault of the client */
};

struct watch_verdict {
    enum watch_fault fault;
    uint64_t revision; /* where */
};

/* What a watch is for. */
struct watch_interest {
    struct bytes from;       /* borrowed as long as the check, as `to` */
    struct bytes to;         /* empty: `from` alone; one zero byte: all keys from `from` on */
    uint64_t start_revision; /* the first that is delivered; above 0 */
    bool leaves_puts_out;
    bool leaves_deletes_out;
};

struct watch_check {
    struct watch_interest interest;
    struct watch_verdict verdict;
    size_t at;     /* in the truth: what was not delivered yet, or not looked at */
    uint64_t seen; /* all revisions up to here are delivered whole, or were promised */
    bool is_cancelled;
};

void watch_check_init(struct watch_check *w, const struct watch_interest *interest);

/* A response with `count` changes; `goes_on`: it is a fragment, and not the last. */
struct watch_verdict watch_check_events(struct watch_check *w, const struct watch_truth *truth,
                                        const struct watch_change *events, size_t count,
                                        bool goes_on, struct buf *text);

struct watch_verdict watch_check_progress(struct watch_check *w, const struct watch_truth *truth,
                                          uint64_t revision, struct buf *text);

/* The server cancelled the watch because `compact_revision` is the oldest that it still has. */
struct watch_verdict watch_check_compacted(struct watch_check *w, uint64_t compact_revision,
                                           struct buf *text);

/* The watch was cancelled for another reason, and the client has been told. */
struct watch_verdict watch_check_cancelled(struct watch_check *w, struct buf *text);

/* The connection broke; the client asks again from `start_revision` on. */
struct watch_verdict watch_check_resumed(struct watch_check *w, const struct watch_truth *truth,
                                         uint64_t start_revision, struct buf *text);

/* Faults are over, and there was time enough: all up to `revision` has been delivered. */
struct watch_verdict watch_check_caught_up(struct watch_check *w, const struct watch_truth *truth,
                                           uint64_t revision, struct buf *text);

const char *watch_fault_text(enum watch_fault fault);

#endif
