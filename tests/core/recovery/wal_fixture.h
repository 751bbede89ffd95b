/*
 * A log on a simulated disk, and a model of what it must hold: for the tests of recovery.
 *
 * The fixture is one run of one process on a host: it opens the log, remembers every entry that
 * recovery gave, and what was told durable. The model is the truth that the test keeps beside it.
 */
#ifndef NOVACRON_TESTS_WAL_FIXTURE_H
#define NOVACRON_TESTS_WAL_FIXTURE_H

#include "core/chaos/simworld.h"
#include "core/recovery/wal.h"

#define FIXTURE_ENTRIES_MAX 512
#define FIXTURE_CLUSTER     77
#define FIXTURE_NODE        3

/* Entry i at [i]; a term of 0 is no entry. */
struct log_model {
    struct wal_hard_state hard;
    uint64_t last;
    struct {
        uint64_t term;
        uint64_t hash; /* of type and payload */
    } entries[FIXTURE_ENTRIES_MAX];
};

struct wal_fixture {
    struct simworld *sim;
    struct simhost *host;
    struct wal *wal;
    struct wal_recovery found;
    bool is_recovered;
    struct log_model read; /* what recovery gave */
    uint64_t durable;      /* the newest seq told durable */
    uint64_t appended;
    uint64_t syncs;
    uint64_t rooms;
    enum wal_status status;
    uint64_t spots;
};

uint64_t model_hash_of(uint8_t type, struct bytes payload);
void model_append(struct log_model *model, const struct wal_entry *entry);

/* Brings the model to what a node must see that has a snapshot file at (index, term). */
void model_adopt(struct log_model *model, uint64_t index, uint64_t term);

/* Over the hard state and all entries above `index`. */
uint64_t model_hash(const struct log_model *model, uint64_t index);

/* Small segments: 16 sectors, batches of up to 8, 2 in reserve. */
struct wal_config fixture_config(void);

/* Opens the log and runs the world until recovery is done. */
void fixture_open(struct wal_fixture *f, struct simworld *sim, struct simhost *host,
                  const struct wal_config *config, uint64_t snapshot_index, uint64_t snapshot_term);

/* The process dies. */
void fixture_close(struct wal_fixture *f);

/* Appends with the next seq, and flushes. */
enum err fixture_append(struct wal_fixture *f, struct wal_append append);

/* One entry with `length` bytes of payload that depend on index and term. */
enum err fixture_entry(struct wal_fixture *f, uint64_t index, uint64_t term, size_t length);

/* The payload that fixture_entry makes. */
struct wal_entry fixture_make_entry(uint64_t index, uint64_t term, size_t length, uint8_t *storage);

/* Runs the world until everything appended is durable, or nothing happens any more. */
void fixture_settle(struct wal_fixture *f);

#endif
