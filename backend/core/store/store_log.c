#include "core/store/store_log.h"

#include <string.h>

#include "core/base/hash.h"
#include "core/base/mem.h"

void store_log_init(struct store_log *log, struct store_cold *cold, uint64_t next, uint64_t chain)
{
    *log = (struct store_log){.cold = cold,
                              .base = next,
                              .first = next,
                              .next = next,
                              .known = next,
                              .known_chain = chain};
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
        mem_grow(&segments, &log->segment_cap, segment + 1, sizeof(struct store_log_segment *));
        log->segments = segments;
        log->segments[log->segment_count++] = mem_alloc(sizeof(struct store_log_segment));
    }
    size_t place = (size_t)(at % STORE_LOG_SEGMENT_ENTRIES);
    log->segments[segment]->versions[place] = store_ref_to(v);
    if (place % STORE_LOG_CHAIN_SPACING == 0) {
        log->segments[segment]->chains[place / STORE_LOG_CHAIN_SPACING] = chain;
    }
    log->next++;
}

void store_log_drop_first(struct store_log *log)
{
    CHECK(log->first < log->known);
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
    CHECK(seq >= log->known && seq <= log->next);
    uint64_t from = log->known;
    uint64_t chain = log->known_chain;
    uint64_t last = seq == log->base ? 0 : seq - 1 - log->base; /* a place that was written */
    uint64_t group = log->base + last / STORE_LOG_CHAIN_SPACING * STORE_LOG_CHAIN_SPACING;
    if (group > from) {
        uint64_t place = group - log->base;
        from = group;
        chain = log->segments[place / STORE_LOG_SEGMENT_ENTRIES]
                    ->chains[place % STORE_LOG_SEGMENT_ENTRIES / STORE_LOG_CHAIN_SPACING];
    }
    for (; from < seq; from++) {
        chain = hash_u64(chain, store_log_get(log, from)->hash);
    }
    return chain;
}

void store_log_settle(struct store_log *log, uint64_t seq)
{
    log->known_chain = store_log_chain_before(log, seq);
    log->known = seq;
}

uint64_t store_log_seek(const struct store_log *log, int64_t revision)
{
    uint64_t lo = log->first;
    uint64_t hi = log->next;
    while (lo < hi) {
        uint64_t middle = lo + (hi - lo) / 2;
        if (store_log_get(log, middle)->mod_revision < revision) {
            lo = middle + 1;
        } else {
            hi = middle;
        }
    }
    return lo;
}
