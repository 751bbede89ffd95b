#include "core/base/crc.h"

#include <isa-l/crc.h>
#include <limits.h>

/* isa-l works on the register, which begins and ends inverted; a checksum is the register inverted
 * again, so both turn at its edge, and a chain of calls equals one. */
uint32_t crc32c(uint32_t crc, const void *data, size_t n)
{
    /* isa-l reads only, but its prototype knows no const. */
    unsigned char *at = (unsigned char *)(uintptr_t)data;
    while (n > 0) {
        int chunk = n > INT_MAX ? INT_MAX : (int)n;
        crc = ~crc32_iscsi(at, chunk, ~crc);
        at += chunk;
        n -= (size_t)chunk;
    }
    return crc;
}
