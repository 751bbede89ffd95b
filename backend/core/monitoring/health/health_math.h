/*
 * health: who is alive, who is slow, and how sure of it one may be.
 *
 * What lives here: failure detectors behind one interface (detector.h), adaptive timeouts (rtt.h),
 * the observer's own pauses (pause.h), circuit breakers (breaker.h), probes (probe_set.h), host
 * scores and gray failures (host_score.h, gray.h), and the membership gossip (swim.h and its kin).
 * All of it is pure: time and randomness come as arguments, and nothing here acts on anybody. A
 * detector never kills; it raises a suspicion with evidence, and the HA manager decides. Who may
 * call it: core/node and what is glued there, the simulator, tests. docs/detection.md holds the
 * formulas, the choices and the limits.
 *
 * This header: the few functions of real numbers that detectors need. They are ours because the
 * core has no libm, and because a libm's last bit depends on its version: these use addition,
 * multiplication and division alone, which IEEE 754 rounds in one way, so that one seed gives one
 * history under every compiler. No number from here decides replicated or durable state.
 */
#ifndef NOVACRON_HEALTH_HEALTH_MATH_H
#define NOVACRON_HEALTH_HEALTH_MATH_H

#include "core/base/types.h"

#define HEALTH_LN_2  0.69314718055994530942
#define HEALTH_LN_10 2.30258509299404568402

/* The natural logarithm; x > 0, and not subnormal. Relative error below 1e-15. */
double health_ln(double x);

/* e to the x, between 0 (below -708) and e^709. Relative error below 1e-14. */
double health_exp(double x);

/* ln(1 + e^x), which is x where e^x would overflow and e^x where that vanishes beside 1. */
double health_softplus(double x);

/* The square root; x >= 0. */
double health_sqrt(double x);

/* The square root, rounded down. */
uint64_t health_isqrt(unsigned __int128 x);

/* ln Q(y): the logarithm of the chance that a standard normal variable exceeds y. It is taken in
 * the domain of logarithms throughout, so that it is finite for every finite y (Q itself underflows
 * near y = 38), and relatively exact on both sides (1 - Q does not swallow it below y = -8). */
double health_ln_tail(double y);

/* Phi of the normal distribution [Hayashibara04]: -log10 Q(y). */
double health_phi_normal(double y);

/* The y at which phi of the normal distribution is `phi`; 0 < phi <= 10000. */
double health_phi_normal_point(double phi);

/* Nanoseconds as a real number, and back: towards zero, negative ones to 0, and what does not fit
 * to the largest that does. */
double health_real(nanos span);
nanos health_nanos(double span);

#endif
