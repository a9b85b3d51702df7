#include "base/arena.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_takes_nothing_at_first(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1000);
    assert_int_equal(arena.total_bytes, 0);
    arena_reset(&arena);
    arena_release(&arena);
    struct bytes empty = arena_copy(&arena, BYTES_NONE);
    assert_non_null(empty.at);
    assert_int_equal(arena.total_bytes, 0);
}

static void test_cap(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1000);
    assert_non_null(arena_alloc(&arena, 1000));
    assert_null(arena_alloc(&arena, 1));
    assert_null(arena_text(&arena, 1));
    assert_null(arena_copy(&arena, BYTES("x")).at);
    arena_reset(&arena);
    assert_null(arena_alloc(&arena, 1001));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 15));
    assert_null(arena_text(&arena, SIZE_MAX));
    assert_non_null(arena_alloc(&arena, 1000)); /* a refusal spoils nothing */
    assert_int_equal(arena.total_bytes, 1000);
    arena_release(&arena);
    /* Small pieces: as many as fit, no chunk beyond the cap. */
    arena_init(&arena, 100000);
    size_t count = 0;
    while (arena_alloc(&arena, 16))
        count++;
    assert_int_equal(arena.total_bytes, 100000);
    assert_true(count >= 100000 / 16 - 8);
    arena_release(&arena);
}

static void test_larger_than_any_chunk(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 64 << 20);
    char *small = arena_alloc(&arena, 10);
    char *large = arena_alloc(&arena, 5 << 20);
    assert_true(small && large);
    memset(small, 1, 10);
    memset(large, 2, 5 << 20);
    char *after = arena_alloc(&arena, 10);
    assert_non_null(after);
    memset(after, 3, 10);
    assert_int_equal(small[9], 1);
    assert_int_equal(large[(5 << 20) - 1], 2);
    size_t total = arena.total_bytes;
    /* The same batch again finds its memory. */
    for (int round = 0; round < 10; round++) {
        arena_reset(&arena);
        assert_ptr_equal(arena_alloc(&arena, 10), small);
        assert_ptr_equal(arena_alloc(&arena, 5 << 20), large);
        assert_non_null(arena_alloc(&arena, 10));
        assert_int_equal(arena.total_bytes, total);
    }
    arena_release(&arena);
    assert_int_equal(arena.total_bytes, 0);
}

struct piece {
    unsigned char *at;
    size_t size;
    unsigned char fill;
};

/* Random allocations: aligned, apart from one another, and memory that settles when batches repeat. */
static void test_random(void **state)
{
    (void)state;
    enum { PIECES = 500 };
    static struct piece pieces[PIECES];
    struct arena arena;
    arena_init(&arena, 64 << 20);
    size_t settled = 0;
    for (int batch = 0; batch < 60; batch++) {
        struct random random;
        random_seed(&random, (uint64_t)(batch < 30 ? batch : 7)); /* then always the same batch */
        arena_reset(&arena);
        for (size_t i = 0; i < PIECES; i++) {
            struct piece *piece = &pieces[i];
            piece->size = (size_t)random_below(&random, random_below(&random, 50) == 0 ? 50000 : 100);
            bool text = random_below(&random, 2) == 0;
            piece->at = text ? (unsigned char *)arena_text(&arena, piece->size) : arena_alloc(&arena, piece->size);
            assert_non_null(piece->at);
            assert_true(text || (uintptr_t)piece->at % 16 == 0);
            piece->fill = (unsigned char)random_u64(&random);
            memset(piece->at, piece->fill, piece->size);
        }
        for (size_t i = 0; i < PIECES; i++)
            for (size_t j = 0; j < pieces[i].size; j++)
                assert_int_equal(pieces[i].at[j], pieces[i].fill);
        if (batch == 30)
            settled = arena.total_bytes;
    }
    assert_int_equal(arena.total_bytes, settled);
    arena_release(&arena);
}

static void test_copy(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    char text[] = "price";
    struct bytes copy = arena_copy(&arena, bytes_of_string(text));
    text[0] = 'x';
    assert_true(bytes_equal(copy, BYTES("price")));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_nothing_at_first),
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_larger_than_any_chunk),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
