/* What a failing CHECK says in tests, benches and fuzz targets. */
#include "core/base/check.h"

#include <stdio.h>

void check_report(const char *file, int line, const char *cond)
{
    fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, cond);
}
