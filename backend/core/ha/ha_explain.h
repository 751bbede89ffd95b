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

#endif
