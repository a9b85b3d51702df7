#include "base/crc32c.h"

#include <pthread.h>

#define CRC32C_POLYNOMIAL 0x82F63B78u /* reflected */

static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void build_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (CRC32C_POLYNOMIAL & -(crc & 1));
        tables[0][i] = crc;
    }
    for (size_t t = 1; t < 8; t++)
        for (size_t i = 0; i < 256; i++)
            tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xFF];
}

uint32_t crc32c_portable(uint32_t crc, struct bytes data)
{
    pthread_once(&tables_once, build_tables);
    const unsigned char *at = (const unsigned char *)data.at;
    size_t left = data.length;
    crc = ~crc;
    for (; left >= 8; left -= 8, at += 8) { /* slicing by 8 */
        crc ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        crc = tables[7][crc & 0xFF] ^ tables[6][(crc >> 8) & 0xFF] ^ tables[5][(crc >> 16) & 0xFF] ^ tables[4][crc >> 24] ^
              tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^ tables[0][at[7]];
    }
    for (; left > 0; left--, at++)
        crc = (crc >> 8) ^ tables[0][(crc ^ *at) & 0xFF];
    return ~crc;
}

#if defined(__x86_64__) || defined(__aarch64__)
/* The instruction takes one word a cycle, but answers only three cycles later: long data is summed in three lanes at a
 * time, whose sums are then put together (as in Gopal et al., "Fast CRC computation for iSCSI polynomial using CRC32
 * instruction", Intel 2011).  For that a lane's sum is moved over the LANE_BYTES that follow it, as if they were zeros: a
 * linear map of 32 bits, kept as a table for each byte. */
enum { LANE_BYTES = 1024 };

static uint32_t lane_tables[4][256];
static pthread_once_t lane_tables_once = PTHREAD_ONCE_INIT;

static void build_lane_tables(void)
{
    pthread_once(&tables_once, build_tables);
    for (size_t bit = 0; bit < 32; bit++) {
        uint32_t sum = (uint32_t)1 << bit;
        for (size_t i = 0; i < LANE_BYTES; i++)
            sum = (sum >> 8) ^ tables[0][sum & 0xFF];
        for (size_t byte = 0; byte < 256; byte++)
            if (byte >> bit % 8 & 1)
                lane_tables[bit / 8][byte] ^= sum;
    }
}

static uint32_t over_lane(uint32_t sum)
{
    return lane_tables[0][sum & 0xFF] ^ lane_tables[1][sum >> 8 & 0xFF] ^ lane_tables[2][sum >> 16 & 0xFF] ^
           lane_tables[3][sum >> 24];
}
#endif

#if defined(__x86_64__)
#include <nmmintrin.h>
/* Three lanes of LANE_BYTES; takes and gives the sum as it is inside, not inverted. */
__attribute__((target("sse4.2"))) static uint32_t three_lanes(uint32_t first, const char *at)
{
    uint64_t sums[3] = {first, 0, 0};
    for (size_t i = 0; i < LANE_BYTES; i += 8) {
        uint64_t words[3];
        memcpy(&words[0], at + i, 8);
        memcpy(&words[1], at + LANE_BYTES + i, 8);
        memcpy(&words[2], at + 2 * LANE_BYTES + i, 8);
        sums[0] = _mm_crc32_u64(sums[0], words[0]);
        sums[1] = _mm_crc32_u64(sums[1], words[1]);
        sums[2] = _mm_crc32_u64(sums[2], words[2]);
    }
    return over_lane(over_lane((uint32_t)sums[0]) ^ (uint32_t)sums[1]) ^ (uint32_t)sums[2];
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_hardware(uint32_t crc, struct bytes data)
{
    uint64_t sum = ~crc;
    const char *at = data.at;
    size_t left = data.length;
    if (left >= 3 * LANE_BYTES)
        pthread_once(&lane_tables_once, build_lane_tables);
    for (; left >= 3 * LANE_BYTES; left -= 3 * LANE_BYTES, at += 3 * LANE_BYTES)
        sum = three_lanes((uint32_t)sum, at);
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        sum = _mm_crc32_u64(sum, word);
    }
    for (; left > 0; left--, at++)
        sum = _mm_crc32_u8((uint32_t)sum, (unsigned char)*at);
    return ~(uint32_t)sum;
}
static bool hardware_has_crc32c(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
/* Three lanes of LANE_BYTES; takes and gives the sum as it is inside, not inverted. */
__attribute__((target("+crc"))) static uint32_t three_lanes(uint32_t first, const char *at)
{
    uint32_t sums[3] = {first, 0, 0};
    for (size_t i = 0; i < LANE_BYTES; i += 8) {
        uint64_t words[3];
        memcpy(&words[0], at + i, 8);
        memcpy(&words[1], at + LANE_BYTES + i, 8);
        memcpy(&words[2], at + 2 * LANE_BYTES + i, 8);
        sums[0] = __crc32cd(sums[0], words[0]);
        sums[1] = __crc32cd(sums[1], words[1]);
        sums[2] = __crc32cd(sums[2], words[2]);
    }
    return over_lane(over_lane(sums[0]) ^ sums[1]) ^ sums[2];
}

__attribute__((target("+crc"))) static uint32_t crc32c_hardware(uint32_t crc, struct bytes data)
{
    uint32_t sum = ~crc;
    const char *at = data.at;
    size_t left = data.length;
    if (left >= 3 * LANE_BYTES)
        pthread_once(&lane_tables_once, build_lane_tables);
    for (; left >= 3 * LANE_BYTES; left -= 3 * LANE_BYTES, at += 3 * LANE_BYTES)
        sum = three_lanes(sum, at);
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        sum = __crc32cd(sum, word);
    }
    for (; left > 0; left--, at++)
        sum = __crc32cb(sum, (unsigned char)*at);
    return ~sum;
}
static bool hardware_has_crc32c(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}
#else
static uint32_t crc32c_hardware(uint32_t crc, struct bytes data)
{
    return crc32c_portable(crc, data);
}
static bool hardware_has_crc32c(void)
{
    return false;
}
#endif

uint32_t crc32c(uint32_t crc, struct bytes data)
{
    return hardware_has_crc32c() ? crc32c_hardware(crc, data) : crc32c_portable(crc, data);
}
