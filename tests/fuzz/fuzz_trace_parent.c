/* A traceparent of any bytes. What is taken is written again as the same context. */
#include "tests/fuzz/fuzz_target.h"

#include <string.h>

#include "core/base/check.h"
#include "core/monitoring/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct trace_context c;
    struct trace_context again;
    char text[TRACE_PARENT_BYTES];
    if (trace_parent_parse((struct bytes){bytes, n}, &c) != OK) {
        return 0;
    }
    CHECK((c.trace.hi | c.trace.lo) != 0 && c.span != 0 && n >= TRACE_PARENT_BYTES - 1);
    trace_parent_format(&c, text);
    CHECK(memcmp(text + 3, bytes + 3, TRACE_PARENT_BYTES - 1 - 3 - 2) == 0);
    CHECK(trace_parent_parse((struct bytes){(const uint8_t *)text, sizeof text - 1}, &again) == OK);
    CHECK(again.span == c.span && again.trace.lo == c.trace.lo && again.trace.hi == c.trace.hi);
    CHECK(again.is_sampled == c.is_sampled);
    return 0;
}
