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

/* What records name and there is not, one a line: "vms/web: allowed: there is no host node-x". It
 * may come yet; until then whoever names it waits, or cannot be fenced by it. */
void ha_explain_references(const struct ha_view *view, struct buf *text);

/* What the settings promise and cannot keep, with the longest watchdog and the longest flight there
 * are (ha_settings_check); or that they cannot be read. Nothing where all is well. */
void ha_explain_settings(const struct ha_view *view, struct buf *text);

#endif
