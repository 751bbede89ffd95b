/* Random records that are well-formed, for tests of everything in core/ha. */
#ifndef NOVACRON_TESTS_HA_SAMPLES_H
#define NOVACRON_TESTS_HA_SAMPLES_H

#include "core/base/prng.h"
#include "core/ha/ha_store.h"
#include "core/ha/ha_view.h"

/* Fills a struct of the kind. `record` points to nothing that has to be freed. */
void sample_record(struct prng *p, enum ha_kind kind, void *record);

/* Any name. */
void sample_name(struct prng *p, char ret[HA_NAME_BYTES]);

/* Encodes the record and puts it into the view, under its key, at the view's next revision. */
void view_put_record(struct ha_view *v, enum ha_kind kind, const void *record);
#define VIEW_PUT(view, record) view_put_record(view, HA_KIND_OF(record), record)

/* Puts text, as if somebody had written it by hand; deletes. */
void view_put_text(struct ha_view *v, const char *key, const char *text);
void view_delete_key(struct ha_view *v, const char *key);

/* Records with all their defaults, and the given. Machines are wanted, on the storage "nfs". */
struct ha_vm vm_named(const char *name, uint32_t memory_mib);
struct ha_host host_named(const char *name, uint32_t memory_mib, uint32_t cpus);
struct ha_agent_record agent_of(const char *host);
struct ha_owner owner_of(const char *vm, enum ha_phase phase, const char *host, uint64_t epoch);

void names_add(struct ha_names *names, const char *name);

/* Is the transaction applied only while the key has this revision? Has it to do with the key? */
bool txn_is_guarded(const struct ha_txn *txn, const char *key, int64_t revision);
bool txn_names(const struct ha_txn *txn, const char *key);

#endif
