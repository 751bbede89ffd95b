#include "core/base/err.h"

#include "core/base/types.h"

static const struct {
    const char *name;
    const char *text;
} errors[] = {
#define ERR_ROW(name, text) [name] = {#name, text},
    ERR_TABLE(ERR_ROW)
#undef ERR_ROW
};

_Static_assert(COUNT_OF(errors) == ERR_COUNT, "every result has its row");

const char *err_name(enum err e)
{
    return (size_t)e < COUNT_OF(errors) ? errors[e].name : "ERR_OUT_OF_TABLE";
}

const char *err_text(enum err e)
{
    return (size_t)e < COUNT_OF(errors) ? errors[e].text : "the result is not one that we know";
}
