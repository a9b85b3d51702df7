/* Seeded random numbers: xoshiro256** (Blackman and Vigna, https://prng.di.unimi.it/), the same on every
 * machine.  For simulation, jitter and tests; never for secrets. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};

void random_seed(struct random *random, uint64_t seed);
uint64_t random_u64(struct random *random);
uint64_t random_below(struct random *random, uint64_t limit); /* 0 … limit-1, unbiased; limit > 0 */
double random_unit(struct random *random);                    /* [0, 1) */
double random_normal(struct random *random);                  /* mean 0, deviation 1 (Box-Muller) */
double random_exponential(struct random *random, double mean);

/* Drawn once a process from the system; for hash tables and jitter. */
uint64_t random_process_seed(void);

#endif
