#include "api/etcd/etcd_error.h"

#include "core/base/check.h"

static const struct {
    int code;
    const char *text;
} etcd_errors[] = {
#define ETCD_ERROR_ROW(name, code, text) {code, text},
    ETCD_ERROR_TABLE(ETCD_ERROR_ROW)
#undef ETCD_ERROR_ROW
};

int etcd_error_code(enum etcd_error e)
{
    CHECK((unsigned)e < ETCD_ERROR_COUNT);
    return etcd_errors[e].code;
}

const char *etcd_error_text(enum etcd_error e)
{
    CHECK((unsigned)e < ETCD_ERROR_COUNT);
    return etcd_errors[e].text;
}
