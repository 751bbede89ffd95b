/*
 * What the simulated clients say and hear, in etcd's messages.
 *
 * A value's first eight bytes are its number, little-endian; the rest is padding that depends on
 * the number, so that a mixed-up value shows.
 */
#ifndef NOVACRON_CHAOS_SIM_SIMCLIENT_WIRE_H
#define NOVACRON_CHAOS_SIM_SIMCLIENT_WIRE_H

#include "core/base/buf.h"
#include "core/store/store.h"

/* The number of a value whose padding is wrong. */
#define SIMCLIENT_MIXED_UP UINT64_MAX

void simclient_encode_put(struct buf *b, struct bytes key, uint64_t value, uint32_t value_bytes,
                          int64_t lease);
void simclient_encode_delete(struct buf *b, struct bytes key);

/* If the key's last change was at this revision (0: there is no such key), put `value`, else read
 * the key. */
void simclient_encode_swap(struct buf *b, struct bytes key, int64_t expected_modified,
                           uint64_t value, uint32_t value_bytes);
void simclient_encode_compaction(struct buf *b, int64_t revision);
void simclient_encode_grant(struct buf *b, int64_t ttl_s, int64_t id);
void simclient_encode_revoke(struct buf *b, int64_t id);

/* `succeeded` of a TxnResponse, or whether a DeleteRangeResponse has `deleted` any: one field. */
bool simclient_changed(struct bytes response);

/* The number that these bytes of a value hold. */
uint64_t simclient_value(struct bytes value);

/* Reads one key as the store has it now: its value's number and its last change, both 0 where there
 * is no such key, and the store's revision. */
void simclient_look(struct store *store, struct bytes key, uint64_t *ret_value,
                    int64_t *ret_modified, int64_t *ret_revision);

#endif
