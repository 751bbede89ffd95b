#include "core/chaos/detect/labstat.h"

#include "core/base/check.h"
#include "core/base/sort.h"
#include "core/monitoring/health/health_math.h"

/* What may lie outside the interval on each side. */
#define TAIL_MAX 0.025

/* From here on the binomial distribution is taken to be normal: exact sums would cost more than
 * they tell. Both n q and n (1 - q) must be above it. */
#define NORMAL_FROM 200.0

#define NORMAL_Z 1.959963984540054

static int double_order(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

void labstat_sort(double *values, size_t count)
{
    sort_items(values, count, sizeof *values, double_order);
}

double labstat_quantile(const double *sorted, size_t count, double q)
{
    CHECK(q >= 0 && q <= 1);
    if (count == 0) {
        return 0;
    }
    double place = q * (double)(count - 1);
    size_t low = (size_t)place;
    if (low + 1 >= count) {
        return sorted[count - 1];
    }
    double part = place - (double)low;
    return sorted[low] + part * (sorted[low + 1] - sorted[low]);
}

/* The largest r such that P(B <= r - 1) <= TAIL_MAX for B binomial of n and q: the r-th smallest
 * value (from 1) is then a lower bound of the quantile. 0: there is none. */
static size_t lower_rank(size_t count, double q)
{
    double n = (double)count;
    if (n * q > NORMAL_FROM && n * (1 - q) > NORMAL_FROM) {
        double rank = n * q - NORMAL_Z * health_sqrt(n * q * (1 - q));
        return rank < 1 ? 0 : (size_t)rank;
    }
    double ln_q = health_ln(q);
    double ln_p = health_ln(1 - q);
    double ln_choose = 0;
    double sum = 0;
    size_t rank = 0;
    for (size_t k = 0; k < count; k++) {
        sum += health_exp(ln_choose + (double)k * ln_q + (n - (double)k) * ln_p);
        if (sum > TAIL_MAX) {
            break;
        }
        rank = k + 1;
        ln_choose += health_ln(n - (double)k) - health_ln((double)k + 1);
    }
    return rank;
}

struct labstat_estimate labstat_estimate_quantile(const double *sorted, size_t count, double q)
{
    struct labstat_estimate ret = {0, 0, 0};

    if (count == 0) {
        return ret;
    }
    ret.value = labstat_quantile(sorted, count, q);
    ret.lo = sorted[0];
    ret.hi = sorted[count - 1];
    if (q > 0 && q < 1) {
        size_t below = lower_rank(count, q);
        size_t above = lower_rank(count, 1 - q); /* the same, counted from the other end */
        ret.lo = below > 0 ? sorted[below - 1] : sorted[0];
        ret.hi = above > 0 ? sorted[count - above] : sorted[count - 1];
    }
    return ret;
}

bool labstat_is_sure(size_t count, double q)
{
    return count > 0 && q > 0 && q < 1 && lower_rank(count, q) > 0 && lower_rank(count, 1 - q) > 0;
}

double labstat_mean(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += values[i];
    }
    return count == 0 ? 0 : sum / (double)count;
}
