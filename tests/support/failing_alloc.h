/* Memory that runs out, for tests: each allocation of a piece of work is made to fail in turn, alone and together with all
 * that follow, as SQLite's own tests do.  The work must say that it failed, or do without; it must not crash, and, under
 * AddressSanitizer, not leak.
 *
 * Programs named test_torture_* are linked with malloc, calloc, realloc and strdup wrapped (CMakeLists.txt); one file of
 * the program includes this.  Only calls from our own code pass through here; those inside shared libraries do not. */
#ifndef SUPPORT_FAILING_ALLOC_H
#define SUPPORT_FAILING_ALLOC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

static struct {
    _Atomic size_t countdown; /* the allocation that brings it to 0 fails; 0: none does */
    _Atomic bool lasting;     /* and all after it */
    _Atomic bool struck;
} failing_alloc;

/* True if the allocation that asks is one to fail.  Libraries with allocators of their own can ask as well. */
static inline bool failing_alloc_strikes(void)
{
    size_t left = atomic_load(&failing_alloc.countdown);
    while (left > 0 && !atomic_compare_exchange_weak(&failing_alloc.countdown, &left, left - 1))
        continue;
    if (left == 1)
        atomic_store(&failing_alloc.struck, true);
    return left == 1 || (left == 0 && atomic_load(&failing_alloc.struck) && atomic_load(&failing_alloc.lasting));
}

/* From now on the nth allocation fails, from 1; `lasting`: and all after it. */
static inline void failing_alloc_arm(size_t nth, bool lasting)
{
    atomic_store(&failing_alloc.struck, false);
    atomic_store(&failing_alloc.lasting, lasting);
    atomic_store(&failing_alloc.countdown, nth);
}

/* All succeed again.  True if one had failed. */
static inline bool failing_alloc_disarm(void)
{
    atomic_store(&failing_alloc.countdown, 0);
    return atomic_exchange(&failing_alloc.struck, false);
}

/* Does `attempt` again and again, failing its first allocation, then the one `step` behind it, and so on, until none is left
 * to fail.  `attempt` returns true if all went well, and cleans up after itself either way.  Returns how many allocations
 * it makes, up to a step less; 0 also if an attempt without a failure did not go well. */
static inline size_t failing_alloc_some(bool (*attempt)(void *context), void *context, size_t step)
{
    size_t allocations = 0;
    for (int lasting = 0; lasting < 2; lasting++) {
        for (size_t nth = 1;; nth += step) {
            failing_alloc_arm(nth, lasting == 1);
            bool well = attempt(context);
            if (!failing_alloc_disarm()) {
                if (!well)
                    return 0;
                allocations = nth - 1;
                break;
            }
        }
    }
    return allocations;
}

/* Every allocation in turn. */
static inline size_t failing_alloc_each(bool (*attempt)(void *context), void *context)
{
    return failing_alloc_some(attempt, context, 1);
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return failing_alloc_strikes() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return failing_alloc_strikes() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return failing_alloc_strikes() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return failing_alloc_strikes() ? NULL : __real_strdup(text);
}

#endif
