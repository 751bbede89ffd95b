/*
 * A fuzz target: libFuzzer's entry point, and by fuzz_replay.c a test of its corpus.
 *
 * It is given any bytes, returns 0, and finds a bug by crashing: a sanitizer's report or a failed
 * CHECK. It keeps nothing between two calls.
 */
#ifndef NOVACRON_TESTS_FUZZ_TARGET_H
#define NOVACRON_TESTS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#endif
