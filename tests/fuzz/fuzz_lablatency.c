/* Measured round-trip times of any bytes: a square is taken whole, anything else changes nothing.
 */
#include "tests/fuzz/fuzz_target.h"

#include "core/base/check.h"
#include "core/chaos/detect/lablatency.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t good[] = "0 0.25\n1.5 0\n";
    struct lablatency l = {0};

    CHECK(lablatency_add(&l, (struct bytes){good, sizeof good - 1}) == OK);
    enum err result = lablatency_add(&l, (struct bytes){data, size});
    CHECK(result == OK || result == ERR_CORRUPT);
    CHECK(l.hosts == 2 && l.slices == (result == OK ? 2U : 1U));
    CHECK(lablatency_rtt(&l, 0, 1, 0) == 1500 * NANOS_PER_MS);
    lablatency_deinit(&l);
    if (lablatency_add(&l, (struct bytes){data, size}) == OK) {
        CHECK(l.hosts > 0 && l.hosts <= LABLATENCY_HOSTS_MAX);
        for (size_t i = 0; i < l.hosts; i++) {
            CHECK(lablatency_rtt(&l, 0, i, l.hosts - 1) <= 601 * NANOS_PER_S);
        }
    }
    lablatency_deinit(&l);
    return 0;
}
