#include "core/monitoring/health/detector_int.h"

#include "core/base/check.h"
#include "core/monitoring/health/health_math.h"

#include <string.h>

_Static_assert(DETECTOR_WINDOW_MAX <= 1 << 10, "sums of 2^10 samples of 2^52 fit in 63 bits");

static uint64_t magnitude_of_sample(int64_t sample)
{
    return sample < 0 ? (uint64_t)-sample : (uint64_t)sample;
}

void detector_window_init(struct detector_window *w, uint32_t size)
{
    CHECK(size >= 1 && size <= DETECTOR_WINDOW_MAX);
    memset(w, 0, sizeof *w);
    w->size = size;
}

void detector_window_push(struct detector_window *w, int64_t sample)
{
    CHECK(sample <= DETECTOR_SAMPLE_MAX && sample >= -DETECTOR_SAMPLE_MAX);
    unsigned __int128 size = magnitude_of_sample(sample);

    if (w->count == w->size) {
        int64_t old = w->samples[w->next];
        unsigned __int128 old_size = magnitude_of_sample(old);

        w->sum -= old;
        w->squares -= old_size * old_size;
    } else {
        w->count++;
    }
    w->samples[w->next] = sample;
    w->next = w->next + 1 == w->size ? 0 : w->next + 1;
    w->sum += sample;
    w->squares += size * size;
}

double detector_window_mean(const struct detector_window *w)
{
    CHECK(w->count > 0);
    return (double)w->sum / w->count;
}

double detector_window_mean_of_last(const struct detector_window *w, uint32_t n)
{
    CHECK(n >= 1 && n <= w->count);
    int64_t sum = 0;
    uint32_t at = w->next;

    for (uint32_t i = 0; i < n; i++) {
        at = at == 0 ? w->size - 1 : at - 1;
        sum += w->samples[at];
    }
    return (double)sum / n;
}

double detector_window_deviation(const struct detector_window *w)
{
    CHECK(w->count > 0);
    unsigned __int128 sum = magnitude_of_sample(w->sum);
    unsigned __int128 n = w->count;

    /* n * sum of squares >= square of the sum [Cauchy]; both are exact, and below 2^126. */
    return (double)health_isqrt(n * w->squares - sum * sum) / w->count;
}
