#include "core/store/store_status.h"

#include "core/base/check.h"

static const struct {
    const char *name;
    int code;
    const char *text;
} store_statuses[] = {
#define STORE_STATUS_ROW(name, code, text) {#name, code, text},
    STORE_STATUS_TABLE(STORE_STATUS_ROW)
#undef STORE_STATUS_ROW
};

const char *store_status_name(enum store_status s)
{
    CHECK((unsigned)s < STORE_STATUS_COUNT);
    return store_statuses[s].name;
}

const char *store_status_text(enum store_status s)
{
    CHECK((unsigned)s < STORE_STATUS_COUNT);
    return store_statuses[s].text;
}

int store_status_code(enum store_status s)
{
    CHECK((unsigned)s < STORE_STATUS_COUNT);
    return store_statuses[s].code;
}
