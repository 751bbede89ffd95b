#include "core/chaos/sim/coverage.h"

#include "core/base/check.h"
#include "core/base/say.h"

static const struct {
    const char *name;
    const char *help;
} reached_rows[REACHED_STATES] = {
#define REACHED_ROW(state, text, help) [state] = {text, help},
    REACHED_TABLE(REACHED_ROW)
#undef REACHED_ROW
};

const char *reached_name(enum reached state)
{
    CHECK(state < REACHED_STATES);
    return reached_rows[state].name;
}

const char *reached_help(enum reached state)
{
    CHECK(state < REACHED_STATES);
    return reached_rows[state].help;
}

void coverage_add(struct coverage *sum, const struct coverage *run)
{
    for (size_t i = 0; i < FAULT_KINDS; i++) {
        for (size_t k = 0; k < INJECT_OUTCOMES; k++) {
            sum->faults[i][k] += run->faults[i][k];
        }
    }
    for (size_t i = 0; i < REACHED_STATES; i++) {
        sum->reached[i] += run->reached[i];
    }
}

size_t coverage_missing(const struct coverage *sum, struct buf *out)
{
    size_t missing = 0;

    for (size_t i = 0; i < FAULT_KINDS; i++) {
        if (sum->faults[i][INJECT_DONE] == 0 && !fault_is_scripted((enum fault_kind)i)) {
            say(out, missing++ > 0 ? " " : "");
            say(out, fault_name((enum fault_kind)i));
        }
    }
    for (size_t i = 0; i < REACHED_STATES; i++) {
        if (sum->reached[i] == 0 && i != REACHED_BEYOND) { /* what must not be reached */
            say(out, missing++ > 0 ? " " : "");
            say(out, reached_name((enum reached)i));
        }
    }
    return missing;
}
