#include "core/chaos/sim/fault.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/say.h"

static const struct {
    enum fault_family family;
    const char *name;
    const char *help;
} fault_rows[FAULT_KINDS] = {
#define FAULT_ROW(kind, family, text, help) [kind] = {family, text, help},
    FAULT_TABLE(FAULT_ROW)
#undef FAULT_ROW
};

static const char *const family_names[FAULT_FAMILIES] = {
#define FAULT_FAMILY_NAME(family, text) [family] = text,
    FAULT_FAMILY_TABLE(FAULT_FAMILY_NAME)
#undef FAULT_FAMILY_NAME
};

const char *fault_name(enum fault_kind kind)
{
    CHECK(kind < FAULT_KINDS);
    return fault_rows[kind].name;
}

const char *fault_help(enum fault_kind kind)
{
    CHECK(kind < FAULT_KINDS);
    return fault_rows[kind].help;
}

enum fault_family fault_family_of(enum fault_kind kind)
{
    CHECK(kind < FAULT_KINDS);
    return fault_rows[kind].family;
}

const char *fault_family_name(enum fault_family family)
{
    CHECK(family < FAULT_FAMILIES);
    return family_names[family];
}

void fault_print(const struct fault *row, struct buf *out)
{
    static const char *const targets[TARGET_KINDS] = {"any", "leader", "follower", "host"};

    say_seconds(out, row->at);
    say(out, " ");
    say(out, fault_name(row->kind));
    say(out, " ");
    say(out, targets[row->target]);
    say_u64(out, row->pick);
    if (row->span > 0) {
        say(out, " for ");
        say_seconds(out, row->span);
    }
    if (row->mode > 0) {
        say(out, " mode ");
        say_u64(out, row->mode);
    }
    if (row->number > 0) {
        say(out, " number ");
        say_u64(out, row->number);
    }
}
