#include "core/store/store_log.h"

#include <string.h>

#include "core/base/mem.h"

#define LOG_SEGMENT_BYTES (STORE_LOG_SEGMENT_ENTRIES * sizeof(struct store_log_entry))

void store_log_init(struct store_log *log, uint64_t next, uint64_t chain)
{
    *log = (struct store_log){.base = next, .first = next, .next = next, .chain_before = chain};
}

void store_log_deinit(struct store_log *log)
{
    for (size_t i = 0; i < log->segment_count; i++) {
        mem_free(log->segments[i]);
    }
    mem_free(log->segments);
    *log = (struct store_log){0};
}

void store_log_append(struct store_log *log, struct store_version *v, uint64_t chain)
{
    uint64_t at = log->next - log->base;
    size_t segment = (size_t)(at / STORE_LOG_SEGMENT_ENTRIES);
    if (segment == log->segment_count) {
        void *segments = log->segments;
        mem_grow(&segments, &log->segment_cap, segment + 1, sizeof(struct store_log_entry *));
        log->segments = segments;
        log->segments[log->segment_count++] = mem_alloc(LOG_SEGMENT_BYTES);
    }
    log->segments[segment][at % STORE_LOG_SEGMENT_ENTRIES] = (struct store_log_entry){v, chain};
    log->next++;
}

void store_log_drop_first(struct store_log *log)
{
    log->chain_before = store_log_get(log, log->first)->chain;
    log->first++;
    if (log->first - log->base == STORE_LOG_SEGMENT_ENTRIES) {
        mem_free(log->segments[0]);
        log->segment_count--;
        memmove(log->segments, log->segments + 1, log->segment_count * sizeof(void *));
        log->base = log->first;
    }
}

uint64_t store_log_chain_before(const struct store_log *log, uint64_t seq)
{
    return seq == log->first ? log->chain_before : store_log_get(log, seq - 1)->chain;
}

uint64_t store_log_seek(const struct store_log *log, int64_t revision)
{
    uint64_t lo = log->first;
    uint64_t hi = log->next;
    while (lo < hi) {
        uint64_t middle = lo + (hi - lo) / 2;
        if (store_log_get(log, middle)->version->mod_revision < revision) {
            lo = middle + 1;
        } else {
            hi = middle;
        }
    }
    return lo;
}
