/* Private to the scan: wal_scan.c decides by sectors, wal_scan_batch.c by the records inside. */
#ifndef NOVACRON_RECOVERY_WAL_SCAN_INT_H
#define NOVACRON_RECOVERY_WAL_SCAN_INT_H

#include "core/recovery/wal_scan.h"

/* Reports a place of damage. */
void wal_scan_spot(struct wal_scan *s, uint64_t segment, uint64_t sector, const char *what);

/* A first sector: settles what was pending, and begins to assemble. False, and nothing happens, if
 * the sector does not hold the beginning of that batch. */
bool wal_scan_begin_batch(struct wal_scan *s, uint64_t seq, const uint8_t *bytes, uint64_t number);

/* Follows the headers of the records as far as bytes are there; accepts a whole batch at its END.
 */
void wal_scan_walk(struct wal_scan *s);

/* At the end of the log: takes over a batch of which only bodies are lost. False if that is not
 * possible, as it leaves the hard state unknown. */
bool wal_scan_salvage_last(struct wal_scan *s);

#endif
