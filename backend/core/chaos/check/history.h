/*
 * Histories of clients' operations in files, a line an event. Three dialects are read.
 *
 * A register as Jepsen logs it: process, type, function, value. The value of a cas is what it
 * expects and what it writes; a failed cas is one that did not find what it expected.
 *
 *     INFO  jepsen.util - 4  :invoke  :cas  [3 0]
 *
 * Many keys in EDN:
 *
 *     {:process 9, :type :invoke, :f :append, :key "0", :value "x 9 0 y"}
 *
 * And ours, which is the second with more fields; history_write writes it:
 *
 *     {:process 2, :type :invoke, :f :write, :key 7, :value 12, :time 1500000}
 *     {:process 2, :type :ok, :f :write, :key 7, :value 12, :time 2100000, :revision 31}
 *
 *     :type   :invoke; then :ok, :fail (certainly without effect) or :info (nobody knows), or
 * nothing :f      :read or :get, :write or :put, :delete, :cas, :append :value  nil, a number, a
 * string; for :cas the two of them, [expected written] :time   in ns; where it is missing, the
 * number of the line :revision, :mod-revision   as in struct lin_op :missed true   on :ok of a
 * :cas: it did not find what it expected
 *
 * Other fields are skipped, as are blank lines and lines that begin with `;`. Keys and values
 * become ids of strings: 0 for nil, "" and what is missing. A process that invokes again leaves
 * what it was at behind, with its outcome unknown.
 */
#ifndef NOVACRON_CHAOS_CHECK_HISTORY_H
#define NOVACRON_CHAOS_CHECK_HISTORY_H

#include "core/base/err.h"
#include "core/chaos/check/lin.h"

struct history {
    struct lin_op *ops; /* in the order of their invocations */
    size_t count;
    size_t cap;
    struct lin_strings strings; /* what the ids of keys and values say */
    bool has_times;             /* else times are numbers of lines */

    /* Where history_read failed: the line, from 1 on, and why, a static text. */
    size_t error_line;
    const char *error;
};

void history_init(struct history *h);
void history_deinit(struct history *h);

/* Reads all of `text` into a history that was just initialised. ERR_CORRUPT: a line is none of the
 * above, or completes nothing. ERR_TOO_LARGE: it has more operations than LIN_OPS_MAX. */
MUST_USE enum err history_read(struct history *h, struct bytes text);

/* For lin_check, how keys and values looked in the file; valid as long as `h`. */
struct lin_names history_names(const struct history *h);

/* Appends `n` operations as lines, in the order of time. `names` may be NULL: numbers then, which
 * history_read gives other ids, but the same look. */
void history_write(const struct lin_op *ops, size_t n, const struct lin_names *names,
                   struct buf *out);

#endif
