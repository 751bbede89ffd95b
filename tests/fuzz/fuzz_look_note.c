/* Questions between neighbours, and their answers: what is read is written again as it was. */
#include "core/monitoring/health/health_look.h"

#include <string.h>

#include "core/base/check.h"
#include "tests/fuzz/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct health_look_note note;
    struct health_look_note again;
    struct buf b;

    if (health_look_decode((struct bytes){data, size}, &note) != OK) {
        return 0;
    }
    CHECK(note.sequence != 0);
    buf_init(&b);
    health_look_encode(&b, &note);
    CHECK(b.len <= HEALTH_LOOK_NOTE_BYTES);
    CHECK(health_look_decode(buf_view(&b), &again) == OK);
    CHECK(again.kind == note.kind && again.sequence == note.sequence && again.wall == note.wall);
    buf_deinit(&b);
    return 0;
}
