/* A message to the guard, or its answer: what is decoded is encoded as it came. */
#include <string.h>

#include "core/base/check.h"
#include "guard/guard_wire.h"
#include "tests/fuzz/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct guard_message message;
    struct guard_answer answer;
    uint8_t again[GUARD_MESSAGE_BYTES];

    if (guard_message_decode((struct bytes){bytes, n}, &message) == OK) {
        guard_message_encode(&message, again);
        CHECK(n == GUARD_MESSAGE_BYTES && memcmp(again, bytes, n) == 0);
    }
    if (guard_answer_decode((struct bytes){bytes, n}, &answer) == OK) {
        guard_answer_encode(&answer, again);
        CHECK(n == GUARD_ANSWER_BYTES && memcmp(again, bytes, n) == 0);
    }
    return 0;
}
