/* CRC32C (Castagnoli), by isa-l: the checksum of every record on disk and every frame on the wire.
 * RFC 3720, appendix B.4: crc32c(0, "123456789") is 0xE3069283. */
#ifndef NOVACRON_BASE_CRC_H
#define NOVACRON_BASE_CRC_H

#include "core/base/types.h"

/* `crc` is 0 to begin with, or the result for the bytes before these. */
uint32_t crc32c(uint32_t crc, const void *data, size_t n);

#endif
