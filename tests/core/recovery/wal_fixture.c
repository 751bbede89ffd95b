#include "tests/core/recovery/wal_fixture.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/hash.h"

uint64_t model_hash_of(uint8_t type, struct bytes payload)
{
    return hash_bytes(hash_u64(payload.len, type), payload.data, payload.len);
}

void model_append(struct log_model *model, const struct wal_entry *entry)
{
    CHECK(entry->index > 0 && entry->index < FIXTURE_ENTRIES_MAX);
    model->last = entry->index;
    model->entries[entry->index].term = entry->term;
    model->entries[entry->index].hash = model_hash_of(entry->type, entry->payload);
}

void model_adopt(struct log_model *model, uint64_t index, uint64_t term)
{
    if (index == 0 || (index <= model->last && model->entries[index].term == term)) {
        return;
    }
    model->last = index;
    model->entries[index].term = term;
}

uint64_t model_hash(const struct log_model *model, uint64_t index)
{
    uint64_t hash = hash_u64(model->hard.term, model->hard.vote);

    hash = hash_u64(hash_u64(hash, model->hard.commit), model->last);
    for (uint64_t i = index + 1; i <= model->last; i++) {
        hash = hash_u64(hash_u64(hash, model->entries[i].term), model->entries[i].hash);
    }
    return hash;
}

struct wal_config fixture_config(void)
{
    return (struct wal_config){
        .dir = "wal",
        .cluster = FIXTURE_CLUSTER,
        .node = FIXTURE_NODE,
        .segment_bytes = 16 * WAL_SECTOR_BYTES,
        .batch_bytes = 8 * WAL_SECTOR_BYTES,
        .reserve_bytes = 2 * WAL_SECTOR_BYTES,
    };
}

static void entry_read(void *ctx, const struct wal_entry *entry, bool is_repair)
{
    struct wal_fixture *f = ctx;
    uint64_t last = f->read.last;

    model_append(&f->read, entry);
    if (is_repair) {
        f->read.last = last;
    }
}

static void log_reset(void *ctx, uint64_t index, uint64_t term)
{
    struct wal_fixture *f = ctx;
    f->read.last = index;
    f->read.entries[index].term = term;
}

static void spot_met(void *ctx, const struct wal_spot *spot)
{
    struct wal_fixture *f = ctx;
    (void)spot;
    f->spots++;
}

static void recovered(void *owner, const struct wal_recovery *found)
{
    struct wal_fixture *f = owner;
    f->found = *found;
    f->is_recovered = true;
    f->read.hard = found->state->hard;
    f->read.last = found->state->last_index;
}

static void fixture_told_durable(void *ctx, uint64_t seq)
{
    struct wal_fixture *f = ctx;
    CHECK(seq > f->durable && seq <= f->appended);
    f->durable = seq;
}

static void fixture_told_status(void *ctx, enum wal_status status, enum err why)
{
    struct wal_fixture *f = ctx;
    (void)why;
    f->status = status;
}

static void fixture_told_synced(void *ctx, nanos latency)
{
    struct wal_fixture *f = ctx;
    CHECK(latency > 0);
    f->syncs++;
}

static void fixture_told_room(void *ctx)
{
    struct wal_fixture *f = ctx;
    f->rooms++;
}

void fixture_open(struct wal_fixture *f, struct simworld *sim, struct simhost *host,
                  const struct wal_config *config, uint64_t snapshot_index, uint64_t snapshot_term)
{
    memset(f, 0, sizeof *f);
    f->sim = sim;
    f->host = host;
    const struct wal_events events = {f, fixture_told_durable, fixture_told_status,
                                      fixture_told_synced, fixture_told_room};
    const struct wal_scan_sink sink = {
        .ctx = f, .entry = entry_read, .spot = spot_met, .reset = log_reset};
    f->wal = wal_new(simhost_world(host), config, &events);
    wal_recover(f->wal, snapshot_index, snapshot_term, &sink, recovered, f);
    while (!f->is_recovered && f->status == WAL_OK && simworld_step(sim)) {
    }
}

void fixture_close(struct wal_fixture *f)
{
    simhost_kill(f->host);
    wal_free(f->wal);
    f->wal = NULL;
}

enum err fixture_append(struct wal_fixture *f, struct wal_append append)
{
    append.seq = f->appended + 1;
    enum err e = wal_append(f->wal, &append);
    if (e == OK) {
        f->appended++;
        wal_flush(f->wal);
    }
    return e;
}

struct wal_entry fixture_make_entry(uint64_t index, uint64_t term, size_t length, uint8_t *storage)
{
    for (size_t i = 0; i < length; i++) {
        storage[i] = (uint8_t)(index * 31 + term * 7 + i);
    }
    return (struct wal_entry){
        .index = index, .term = term, .type = (uint8_t)(term % 3), .payload = {storage, length}};
}

enum err fixture_entry(struct wal_fixture *f, uint64_t index, uint64_t term, size_t length)
{
    uint8_t storage[8192];
    CHECK(length <= sizeof storage);
    struct wal_entry entry = fixture_make_entry(index, term, length, storage);
    return fixture_append(f, (struct wal_append){.entries = &entry, .entry_count = 1});
}

void fixture_settle(struct wal_fixture *f)
{
    while (f->durable < f->appended && f->status != WAL_FAILED && simworld_step(f->sim)) {
    }
}
