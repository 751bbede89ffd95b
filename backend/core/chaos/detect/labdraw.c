#include "core/chaos/detect/labdraw.h"

#include "core/base/check.h"
#include "core/monitoring/health/health_math.h"

double labdraw_unit(struct prng *p)
{
    return (double)((prng_u64(p) >> 11) + 1) * 0x1p-53;
}

double labdraw_normal(struct prng *p)
{
    for (;;) {
        double u = 2 * labdraw_unit(p) - 1;
        double v = 2 * labdraw_unit(p) - 1;
        double s = u * u + v * v;
        if (s > 0 && s < 1) {
            return u * health_sqrt(-2 * health_ln(s) / s);
        }
    }
}

double labdraw_exponential(struct prng *p)
{
    return -health_ln(labdraw_unit(p));
}

double labdraw_pareto(struct prng *p, double alpha)
{
    CHECK(alpha > 0);
    return health_exp(labdraw_exponential(p) / alpha);
}
