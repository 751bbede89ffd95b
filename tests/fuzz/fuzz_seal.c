/* Envelopes: whatever does not open leaves nothing behind, and what opens has a text within the
 * scratch. */
#include "core/monitoring/health/seal.h"

#include "core/base/check.h"
#include "tests/fuzz/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct seal_cipher cipher = {NULL, &seal_stand_in};
    const struct seal_ring ring = {.keys = {{1}, {2}}, .n = 2};
    const struct seal_label label = {.bytes = "ab", .len = 2};
    static uint8_t scratch[4096];
    struct seal_opened opened;

    if (size <= sizeof(scratch) &&
        seal_unwrap(&cipher, &ring, &label, (struct bytes){data, size}, scratch, &opened) == OK) {
        CHECK(opened.text.data >= scratch && opened.text.len < size);
        CHECK(opened.sender != NODE_NONE && opened.instance <= SEAL_NUMBER_MAX);
    }
    return 0;
}
