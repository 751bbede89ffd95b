/* etcd's KeyValue and Event messages, written from a version (mvccpb/kv.proto). */
#ifndef NOVACRON_STORE_KV_H
#define NOVACRON_STORE_KV_H

#include "core/base/buf.h"
#include "core/store/store_version.h"

/* Appends the version as a KeyValue in field `number`, without its value if `keys_only`. */
void store_kv_put(struct buf *b, uint32_t number, const struct store_version *v, bool keys_only);

/* Appends the change as an Event in field `number`; `prev` may be NULL. */
void store_event_put(struct buf *b, uint32_t number, const struct store_version *v,
                     const struct store_version *prev);

/* Bytes that store_event_put appends. */
size_t store_event_bytes(uint32_t number, const struct store_version *v,
                         const struct store_version *prev);

#endif
