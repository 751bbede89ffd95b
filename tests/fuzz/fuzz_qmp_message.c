/* What a QEMU says: any line is a message, or is refused. */
#include "tests/fuzz/fuzz_target.h"

#include "core/base/check.h"
#include "drivers/qemu/qmp_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct qmp_message m;

    if (qmp_message_decode((struct bytes){bytes, n}, &m) == OK) {
        CHECK(m.kind != QMP_ERROR || (m.name != NULL && m.text != NULL));
        CHECK(m.kind != QMP_EVENT || m.name != NULL);
        CHECK(m.kind != QMP_RETURN || m.body != NULL);
        qmp_message_deinit(&m);
    }
    return 0;
}
