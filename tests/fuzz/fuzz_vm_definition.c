/* A machine's definition: any bytes make a command line, or are refused with a reason. */
#include "tests/fuzz/fuzz_target.h"

#include "core/base/check.h"
#include "drivers/qemu/qemu_args.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const struct qemu_launch launch = {
        .binary = "/q", .name = "vm", .accel = "tcg", .image = "/images/disk"};
    struct qemu_definition d;
    struct qemu_args args;
    char why[QEMU_TEXT_MAX_BYTES] = "";

    if (qemu_definition_decode((struct bytes){bytes, n}, &d, why) == OK) {
        qemu_args_make(&args, &launch, &d);
        CHECK(args.count > 0 && args.words[args.count] == NULL);
        qemu_args_deinit(&args);
        qemu_definition_deinit(&d);
    } else {
        CHECK(why[0] != '\0');
    }
    return 0;
}
