/* CRC-32C (Castagnoli, RFC 3720 appendix B.4).  Hardware instructions where the machine has them, chosen at
 * run time; the table-driven path gives the same results. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/bytes.h"

/* Continues from `crc` (0 at the start). */
uint32_t crc32c(uint32_t crc, struct bytes data);
uint32_t crc32c_portable(uint32_t crc, struct bytes data);

#endif
