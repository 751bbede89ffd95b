#include "core/monitoring/health/health_math.h"

#include "core/base/check.h"

#include <string.h>

#define HALF_LN_2_PI 0.91893853320467274178

#define EXPONENT_SHIFT 52
#define EXPONENT_BIAS  1023
#define FRACTION_MASK  ((UINT64_C(1) << EXPONENT_SHIFT) - 1)

static uint64_t bits_of_real(double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double real_of_bits(uint64_t bits)
{
    double x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2 artanh(s) = ln((1 + s) / (1 - s)) by its series; |s| <= 1/3, where each term is at most a ninth
 * of the one before. */
static double twice_artanh(double s)
{
    double square = s * s;
    double power = s;
    double sum = 0;

    for (int k = 1; k <= 35; k += 2) {
        sum += power / k;
        power *= square;
    }
    return 2 * sum;
}

double health_ln(double x)
{
    CHECK(x > 0);
    uint64_t bits = bits_of_real(x);
    int exponent = (int)(bits >> EXPONENT_SHIFT) - EXPONENT_BIAS;
    double fraction = real_of_bits((bits & FRACTION_MASK) |
                                   ((uint64_t)EXPONENT_BIAS << EXPONENT_SHIFT)); /* [1, 2) */

    /* Around 1, so that the logarithm of a number close to 1 is not a difference of large ones. */
    if (fraction > 1.4142135623730951) {
        fraction /= 2;
        exponent++;
    }
    return exponent * HEALTH_LN_2 + twice_artanh((fraction - 1) / (fraction + 1));
}

double health_exp(double x)
{
    if (x < -708) {
        return 0;
    }
    if (x > 709) {
        x = 709;
    }
    /* x = n ln 2 + rest, with |rest| <= ln 2 / 2. The two parts of ln 2 make the product with n
     * exact in its first part. */
    int n = (int)(x / HEALTH_LN_2 + (x < 0 ? -0.5 : 0.5));
    double rest = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
    double term = 1;
    double sum = 1;

    for (int k = 1; k <= 16; k++) {
        term *= rest / k;
        sum += term;
    }
    return sum * real_of_bits((uint64_t)(n + EXPONENT_BIAS) << EXPONENT_SHIFT);
}

double health_softplus(double x)
{
    if (x > 40) {
        return x;
    }
    double power = health_exp(x);

    /* ln(1 + p) = 2 artanh(p / (2 + p)). */
    return power <= 1 ? twice_artanh(power / (2 + power)) : health_ln(1 + power);
}

double health_sqrt(double x)
{
    CHECK(x >= 0);
    if (x < 1e-300) {
        return 0;
    }
    /* Half the exponent is a guess good to a few per cent, and each step doubles its digits. */
    double root = real_of_bits((bits_of_real(x) >> 1) + (UINT64_C(0x1ff8) << 48));

    for (int i = 0; i < 6; i++) {
        root = (root + x / root) / 2;
    }
    return root;
}

uint64_t health_isqrt(unsigned __int128 x)
{
    unsigned __int128 root = 0;
    unsigned __int128 bit = (unsigned __int128)1 << 126;

    while (bit > x) {
        bit >>= 2;
    }
    for (; bit != 0; bit >>= 2) {
        if (x >= root + bit) {
            x -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return (uint64_t)root;
}

/* Q(y) / density(y) for y >= 2: Laplace's continued fraction 1/(y + 1/(y + 2/(y + 3/...))). */
static double mills_ratio(double y)
{
    double tail = y;

    for (int k = 60; k >= 1; k--) {
        tail = y + k / tail;
    }
    return 1 / tail;
}

static double ln_density(double y)
{
    return -y * y / 2 - HALF_LN_2_PI;
}

double health_ln_tail(double y)
{
    if (y >= 2) {
        return ln_density(y) + health_ln(mills_ratio(y));
    }
    if (y <= -2) {
        double other = health_exp(health_ln_tail(-y));

        return -twice_artanh(other / (2 - other)); /* ln(1 - other) */
    }
    double term = y;
    double sum = y;

    for (int k = 3; k <= 61; k += 2) {
        term *= y * y / k;
        sum += term;
    }
    return health_ln(0.5 - health_exp(ln_density(y)) * sum);
}

double health_phi_normal(double y)
{
    return -health_ln_tail(y) / HEALTH_LN_10;
}

double health_phi_normal_point(double phi)
{
    CHECK(phi > 0 && phi <= 10000);
    double low = -40;  /* phi is 0 in all its digits */
    double high = 220; /* above 10000 */

    for (int i = 0; i < 80; i++) {
        double middle = low + (high - low) / 2;

        if (health_phi_normal(middle) < phi) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high;
}

double health_real(nanos span)
{
    return (double)span;
}

nanos health_nanos(double span)
{
    if (!(span > 0)) {
        return 0;
    }
    return span < 18446744073709549568.0 ? (nanos)span : NANOS_FOREVER;
}
