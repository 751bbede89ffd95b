/*
 * ha_explain: why a machine is where it is, or why it does not run; and what is up with a host.
 * From the records alone, and what was seen of the hosts where that is known: `novacron vm
 * explain`, events, reasons.
 */
#ifndef NOVACRON_HA_EXPLAIN_H
#define NOVACRON_HA_EXPLAIN_H

#include "core/ha/ha_place.h"

/* Whole lines of text, the answer first, then the evidence, then what would help. `ledger` is of
 * the view that is explained. */
void ha_explain_vm(const struct ha_ledger *ledger, const char *vm, struct buf *text);
void ha_explain_host(const struct ha_ledger *ledger, const char *host, struct buf *text);

/* All that cannot be read, one a line: key, then reason. Nothing where all is well. */
void ha_explain_unreadable(const struct ha_view *view, struct buf *text);

/* A name in a record of a machine or host which no record has. It may come yet; until then whoever
 * names it waits, or cannot be fenced by it. */
struct ha_missing_name {
    enum ha_kind by_kind; /* the record that names it */
    const char *by;
    char path[HA_PATH_BYTES]; /* where in it: "storage", "apart[1]", "levels[0][1]" */
    enum ha_kind kind;        /* what it would be */
    const char *name;
};

typedef void (*ha_missing_told)(void *context, const struct ha_missing_name *m);

/* Tells each of them, machines first, in the order of their names and of the fields. `m` and what
 * it points to are valid during the call. */
void ha_missing_names(const struct ha_view *view, ha_missing_told told, void *context);

/* Appends "allowed[1]: there is no host node-x". */
void ha_missing_name_tell(const struct ha_missing_name *m, struct buf *text);

/* All of them, one a line: "vms/web: allowed[1]: there is no host node-x". */
void ha_explain_references(const struct ha_view *view, struct buf *text);

/* What the settings promise and cannot keep, with the longest watchdog and the longest flight there
 * are (ha_settings_check); or that they cannot be read. Nothing where all is well. */
void ha_explain_settings(const struct ha_view *view, struct buf *text);

#endif
