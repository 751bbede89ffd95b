#include "core/base/check.h"

#include <stdlib.h>

__attribute__((weak)) void check_report(const char *file, int line, const char *cond)
{
    (void)file;
    (void)line;
    (void)cond;
}

void check_failed(const char *file, int line, const char *cond)
{
    check_report(file, line, cond);
    abort();
}
