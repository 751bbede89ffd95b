#include "core/consensus/raft/raft_log.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"

/* Payloads begin at multiples of this, so that the state machine may read integers in them. */
#define RAFT_LOG_ALIGN 8

#define RAFT_LOG_RING_MIN 64

_Static_assert((RAFT_LOG_RING_MIN & (RAFT_LOG_RING_MIN - 1)) == 0, "a power of two");
_Static_assert(RAFT_LOG_BLOCK_BYTES % RAFT_LOG_ALIGN == 0, "blocks hold aligned payloads");

/* --- blocks -------------------------------------------------------------------------------- */

static struct raft_log_block *log_block_get(struct raft_log *log, size_t need)
{
    struct raft_log_block *block = log->spare;
    if (block && need <= RAFT_LOG_BLOCK_BYTES) {
        log->spare = block->next;
        log->spare_count--;
    } else {
        size_t cap = need > RAFT_LOG_BLOCK_BYTES ? need : RAFT_LOG_BLOCK_BYTES;
        CHECK(cap <= UINT32_MAX);
        block = mem_alloc(sizeof(*block) + cap);
        block->cap = (uint32_t)cap;
    }
    block->next = NULL;
    block->last = 0;
    block->used = 0;
    return block;
}

static void log_block_put(struct raft_log *log, struct raft_log_block *block)
{
    if (block->cap == RAFT_LOG_BLOCK_BYTES && log->spare_count < RAFT_LOG_SPARE_BLOCKS) {
        block->next = log->spare;
        log->spare = block;
        log->spare_count++;
        return;
    }
    mem_free(block);
}

static const uint8_t *log_store(struct raft_log *log, raft_index index, struct bytes payload)
{
    if (payload.len == 0) {
        return NULL;
    }
    size_t need = (payload.len + RAFT_LOG_ALIGN - 1) / RAFT_LOG_ALIGN * RAFT_LOG_ALIGN;
    struct raft_log_block *block = log->newest;
    if (!block || block->cap - block->used < need) {
        block = log_block_get(log, need);
        if (log->newest) {
            log->newest->next = block;
        } else {
            log->oldest = block;
        }
        log->newest = block;
    }
    uint8_t *at = block->bytes + block->used;
    memcpy(at, payload.data, payload.len);
    block->used += (uint32_t)need;
    block->last = u64_max(block->last, index);
    return at;
}

/* Frees the blocks whose entries all lie before `cached`. */
static void log_drop_old_blocks(struct raft_log *log)
{
    while (log->oldest && log->oldest->last < log->cached) {
        struct raft_log_block *block = log->oldest;
        log->oldest = block->next;
        if (!log->oldest) {
            log->newest = NULL;
        }
        log_block_put(log, block);
    }
}

static void log_drop_all_blocks(struct raft_log *log)
{
    while (log->oldest) {
        struct raft_log_block *block = log->oldest;
        log->oldest = block->next;
        log_block_put(log, block);
    }
    log->newest = NULL;
}

/* After a truncation: gives back the bytes behind the newest remaining payload, so that an append
 * and truncation without end do not pile up. */
static void log_rewind_blocks(struct raft_log *log)
{
    raft_index index = log->last;
    while (index >= log->cached && raft_log_entry(log, index)->payload.len == 0) {
        index--;
    }
    if (index < log->cached) {
        log_drop_all_blocks(log);
        return;
    }
    struct bytes end = raft_log_entry(log, index)->payload;
    struct raft_log_block *block = log->oldest;
    while (!(end.data >= block->bytes && end.data < block->bytes + block->cap)) {
        block = block->next;
        CHECK(block);
    }
    size_t used = (size_t)(end.data - block->bytes) + end.len;
    used = (used + RAFT_LOG_ALIGN - 1) / RAFT_LOG_ALIGN * RAFT_LOG_ALIGN;
    block->used = (uint32_t)used;
    block->last = u64_min(block->last, log->last);
    struct raft_log_block *rest = block->next;
    block->next = NULL;
    log->newest = block;
    while (rest) {
        struct raft_log_block *next = rest->next;
        log_block_put(log, rest);
        rest = next;
    }
}

/* --- the ring of bodies and the runs of terms ---------------------------------------------- */

static struct raft_entry *log_slot(const struct raft_log *log, raft_index index)
{
    return &log->ring[index & (log->ring_cap - 1)];
}

static void log_grow_ring(struct raft_log *log)
{
    uint64_t cap = log->ring_cap * 2;
    struct raft_entry *ring = mem_realloc_array(NULL, (size_t)cap, sizeof(*ring));
    for (raft_index i = log->cached; i <= log->last; i++) {
        ring[i & (cap - 1)] = *log_slot(log, i);
    }
    mem_free(log->ring);
    log->ring = ring;
    log->ring_cap = cap;
}

static void log_add_term(struct raft_log *log, raft_index index, raft_term term)
{
    CHECK(term >= raft_log_last_term(log));
    if (log->run_count == 0 || log->runs[log->run_count - 1].term != term) {
        mem_grow((void **)&log->runs, &log->run_cap, log->run_count + 1, sizeof(log->runs[0]));
        log->runs[log->run_count++] = (struct raft_term_run){index, term};
    }
}

/* The run that holds `index`, which lies in (snapshot_index, last]. */
static size_t log_run_of(const struct raft_log *log, raft_index index)
{
    size_t lo = 0;
    size_t hi = log->run_count - 1;
    if (log->runs[hi].first <= index) {
        return hi;
    }
    while (lo < hi) {
        size_t mid = lo + (hi - lo + 1) / 2;
        if (log->runs[mid].first <= index) {
            lo = mid;
        } else {
            hi = mid - 1;
        }
    }
    return lo;
}

static uint64_t log_cost(const struct raft_entry *e)
{
    return e->payload.len + RAFT_ENTRY_OVERHEAD_BYTES;
}

static void log_begin_at(struct raft_log *log, raft_index index, raft_term term)
{
    log->snapshot_index = index;
    log->snapshot_term = term;
    log->last = index;
    log->cached = index + 1;
    log->handed = index;
    log->durable = index;
    log->committed = index;
    log->applying = index;
    log->applied = index;
    log->run_count = 0;
    log->cached_bytes = 0;
}

void raft_log_init(struct raft_log *log, raft_index index, raft_term term)
{
    memset(log, 0, sizeof(*log));
    log->ring_cap = RAFT_LOG_RING_MIN;
    log->ring = mem_realloc_array(NULL, RAFT_LOG_RING_MIN, sizeof(*log->ring));
    log_begin_at(log, index, term);
}

void raft_log_deinit(struct raft_log *log)
{
    log_drop_all_blocks(log);
    while (log->spare) {
        struct raft_log_block *block = log->spare;
        log->spare = block->next;
        mem_free(block);
    }
    mem_free(log->ring);
    mem_free(log->runs);
    memset(log, 0, sizeof(*log));
}

/* --- questions ------------------------------------------------------------------------------ */

raft_term raft_log_term(const struct raft_log *log, raft_index index)
{
    if (!raft_log_knows(log, index)) {
        return 0;
    }
    if (index == log->snapshot_index) {
        return log->snapshot_term;
    }
    return log->runs[log_run_of(log, index)].term;
}

raft_term raft_log_last_term(const struct raft_log *log)
{
    return log->run_count == 0 ? log->snapshot_term : log->runs[log->run_count - 1].term;
}

bool raft_log_matches(const struct raft_log *log, raft_index index, raft_term term)
{
    return raft_log_knows(log, index) && raft_log_term(log, index) == term;
}

bool raft_log_is_up_to_date(const struct raft_log *log, raft_index index, raft_term term)
{
    raft_term last_term = raft_log_last_term(log);
    return term > last_term || (term == last_term && index >= log->last);
}

raft_index raft_log_conflict(const struct raft_log *log, raft_index index, raft_term term,
                             raft_term *ret_term)
{
    if (!raft_log_knows(log, index)) {
        *ret_term = 0;
        return index;
    }
    /* Whole runs of a higher term are skipped at once. */
    while (index > log->snapshot_index) {
        const struct raft_term_run *run = &log->runs[log_run_of(log, index)];
        if (run->term <= term) {
            *ret_term = run->term;
            return index;
        }
        index = run->first - 1;
    }
    if (log->snapshot_term <= term) {
        *ret_term = log->snapshot_term;
        return index;
    }
    *ret_term = 0;
    return u64_sub_sat(index, 1);
}

const struct raft_entry *raft_log_entry(const struct raft_log *log, raft_index index)
{
    CHECK(raft_log_has_body(log, index));
    return log_slot(log, index);
}

uint32_t raft_log_fit(const struct raft_log *log, raft_index from, raft_index to,
                      uint64_t max_bytes, uint64_t *ret_payload_bytes)
{
    uint32_t n = 0;
    uint64_t cost = 0;
    uint64_t payload = 0;
    for (raft_index i = from; i <= to && n < UINT32_MAX; i++) {
        const struct raft_entry *e = raft_log_entry(log, i);
        cost += log_cost(e);
        if (n > 0 && cost > max_bytes) {
            break;
        }
        payload += e->payload.len;
        n++;
    }
    *ret_payload_bytes = payload;
    return n;
}

/* --- changes -------------------------------------------------------------------------------- */

const struct raft_entry *raft_log_append(struct raft_log *log, raft_term term,
                                         enum raft_entry_type type, struct bytes payload)
{
    raft_index index = log->last + 1;
    log_add_term(log, index, term);
    if (index - log->cached == log->ring_cap) {
        log_grow_ring(log);
    }
    struct raft_entry *e = log_slot(log, index);
    e->index = index;
    e->term = term;
    e->type = type;
    e->payload.data = log_store(log, index, payload);
    e->payload.len = payload.len;
    log->last = index;
    log->cached_bytes += log_cost(e);
    return e;
}

void raft_log_truncate(struct raft_log *log, raft_index from)
{
    CHECK(from > log->committed && from <= log->last);
    for (raft_index i = u64_max(from, log->cached); i <= log->last; i++) {
        log->cached_bytes -= log_cost(log_slot(log, i));
    }
    while (log->run_count > 0 && log->runs[log->run_count - 1].first >= from) {
        log->run_count--;
    }
    log->last = from - 1;
    log->cached = u64_min(log->cached, from);
    log->handed = u64_min(log->handed, log->last);
    log->durable = u64_min(log->durable, log->last);
    log_rewind_blocks(log);
}

/* Drops the bodies before `index`. */
static void log_uncache(struct raft_log *log, raft_index index)
{
    for (; log->cached < index; log->cached++) {
        log->cached_bytes -= log_cost(log_slot(log, log->cached));
    }
    log_drop_old_blocks(log);
}

void raft_log_append_bodiless(struct raft_log *log, raft_term term)
{
    log_uncache(log, log->last + 1);
    log_add_term(log, log->last + 1, term);
    log->last++;
    log->cached = log->last + 1;
}

void raft_log_compact(struct raft_log *log, raft_index index)
{
    CHECK(index <= log->applied);
    if (index <= log->snapshot_index) {
        return;
    }
    raft_term term = raft_log_term(log, index);
    if (log->cached <= index) {
        log_uncache(log, index + 1);
    }
    size_t keep = index == log->last ? log->run_count : log_run_of(log, index + 1);
    memmove(log->runs, log->runs + keep, (log->run_count - keep) * sizeof(log->runs[0]));
    log->run_count -= keep;
    if (log->run_count > 0) {
        log->runs[0].first = index + 1;
    }
    log->snapshot_index = index;
    log->snapshot_term = term;
}

void raft_log_restore(struct raft_log *log, raft_index index, raft_term term)
{
    log_drop_all_blocks(log);
    log_begin_at(log, index, term);
}

void raft_log_trim(struct raft_log *log, uint64_t max_bytes, raft_index keep)
{
    if (log->cached_bytes <= max_bytes) {
        return;
    }
    raft_index limit = u64_min(u64_min(log->durable, log->applied) + 1, keep);
    uint64_t bytes = log->cached_bytes;
    raft_index index = log->cached;
    while (index < limit && index <= log->last && bytes > max_bytes) {
        bytes -= log_cost(log_slot(log, index));
        index++;
    }
    log_uncache(log, index);
}

void raft_log_check(const struct raft_log *log)
{
    CHECK(log->snapshot_index <= log->applied && log->applied <= log->applying);
    CHECK(log->applying <= log->committed && log->committed <= log->last);
    CHECK(log->durable <= log->handed && log->handed <= log->last);
    CHECK(log->snapshot_index < log->cached && log->cached <= log->last + 1);
    CHECK((log->run_count == 0) == (log->last == log->snapshot_index));
    CHECK(log->run_count == 0 || log->runs[0].first == log->snapshot_index + 1);
    CHECK((log->oldest == NULL) == (log->newest == NULL));
}
