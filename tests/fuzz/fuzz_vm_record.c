/* The record of a machine in the run directory: any bytes are one, or are refused. */
#include "tests/fuzz/fuzz_target.h"

#include "core/base/check.h"
#include "drivers/qemu/qemu_place.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct qemu_record record;

    if (qemu_record_decode((struct bytes){bytes, n}, &record) == OK) {
        CHECK(qemu_name_is_one(record.name) && record.pid > 1);
    }
    return 0;
}
