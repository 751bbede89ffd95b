#include "core/base/check.h"
#include "core/monitoring/health/swim_int.h"

/* The binary logarithm, times 2^16: the integer part is the highest bit, and each further bit is
 * found by squaring what is left. */
static uint32_t swim_log2_q16(uint32_t n)
{
    uint32_t whole = 31U - (uint32_t)__builtin_clz(n);
    uint64_t x = (uint64_t)n << (31U - whole); /* in [1, 2), times 2^31 */
    uint32_t part = 0;

    for (uint32_t bit = 0; bit < 16; bit++) {
        x = x * x >> 31;
        part <<= 1;
        if (x >= UINT64_C(1) << 32) {
            x >>= 1;
            part |= 1;
        }
    }
    return whole << 16 | part;
}

uint32_t swim_log10_milli(uint32_t n)
{
    CHECK(n > 0);
    /* log10(2) is 0.30103. */
    return (uint32_t)((uint64_t)swim_log2_q16(n) * 30103 / 100 / 65536);
}

uint32_t swim_ceil_log10(uint32_t n)
{
    uint32_t digits = 0;

    for (uint64_t power = 1; power < n; power *= 10) {
        digits++;
    }
    return digits;
}

nanos swim_suspicion_span(const struct swim_config *config, uint32_t live, uint32_t confirmations)
{
    uint64_t scale_milli = u64_max(1000, swim_log10_milli(live));
    nanos shortest = config->suspicion_alpha * (config->probe_interval / 1000) * scale_milli;
    nanos longest = shortest * config->suspicion_beta;
    uint32_t k = config->confirmations;

    /* Where there are too few to confirm, nobody waits for them. */
    if (k == 0 || live < k + 2 || confirmations >= k) {
        return shortest;
    }
    return longest - (longest - shortest) / 65536 * swim_log2_q16(confirmations + 1) /
                         swim_log2_q16(k + 1) * 65536;
}

nanos swim_sync_span(const struct swim_config *config, uint32_t live)
{
    uint32_t doublings = 0;

    for (uint64_t n = 32; n < live; n *= 2) {
        doublings++;
    }
    return config->sync_interval * (1 + doublings);
}
