/*
 * What every unit test includes: cmocka, and the few things which it lacks.
 *
 * A test program is one file, its tests are sentences, and its main is
 *
 *     const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_what_was_put)};
 *     return cmocka_run_group_tests(tests, NULL, NULL);
 *
 * A property test draws its cases from test_prng, which prints the seed. NOVACRON_SEED=N runs it
 * under another; NOVACRON_SCALE=N gives it N times the rounds (`make test-long` sets both).
 */
#ifndef NOVACRON_TESTS_SUPPORT_TEST_H
#define NOVACRON_TESTS_SUPPORT_TEST_H

/* cmocka.h wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/prng.h"
#include "core/base/types.h"

/* The generator of one test, called `label`; prints the label and the seed. */
struct prng test_prng(const char *label);

/* `rounds`, times NOVACRON_SCALE. */
size_t test_rounds(size_t rounds);

/* Does `body(arg)` end in a failed CHECK? It runs in a child process, which may not print. */
bool test_aborts(void (*body)(void *), void *arg);

#endif
