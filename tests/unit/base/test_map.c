#include "base/map.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { MODEL_CAP = 3000 };

struct pair {
    char key[24];
    size_t length;
    uint64_t value;
};

static struct pair *model_find(struct pair *model, size_t count, const char *key, size_t length)
{
    for (size_t i = 0; i < count; i++)
        if (model[i].length == length && memcmp(model[i].key, key, length) == 0)
            return &model[i];
    return NULL;
}

/* Random keys, of all bytes and of all lengths down to none, against a list. */
static void test_random(void **state)
{
    (void)state;
    static struct pair model[MODEL_CAP];
    size_t count = 0;
    struct map map;
    map_init(&map, MODEL_CAP);
    struct random random;
    random_seed(&random, 21);
    for (int round = 0; round < 20000; round++) {
        struct pair fresh = {.length = (size_t)random_below(&random, sizeof fresh.key)};
        for (size_t i = 0; i < fresh.length; i++)
            fresh.key[i] = (char)random_below(&random, fresh.length < 3 ? 4 : 2);
        struct bytes key = bytes_of(fresh.key, fresh.length);
        struct pair *known = model_find(model, count, fresh.key, fresh.length);
        uint64_t *found = map_find(&map, key);
        assert_int_equal(found != NULL, known != NULL);
        assert_true(!found || *found == known->value);
        if (random_below(&random, 2) == 0) {
            bool added;
            uint64_t *place = map_put(&map, key, &added);
            if (!known && count == MODEL_CAP) {
                assert_null(place);
                continue;
            }
            assert_non_null(place);
            assert_int_equal(added, known == NULL);
            assert_int_equal(*place, known ? known->value : 0);
            if (!known) {
                known = &model[count++];
                *known = fresh;
            }
            *place = known->value = random_u64(&random);
        }
        assert_int_equal(map.count, count);
    }
    assert_true(count > 1000);
    for (size_t i = 0; i < count; i++) {
        uint64_t *found = map_find(&map, bytes_of(model[i].key, model[i].length));
        assert_true(found && *found == model[i].value);
    }
    map_release(&map);
    assert_null(map_find(&map, BYTES("a")));
}

static void test_cap(void **state)
{
    (void)state;
    struct map map;
    map_init(&map, 20);
    bool added;
    for (uint64_t i = 0; i < 20; i++) {
        uint64_t *place = map_put(&map, bytes_of((const char *)&i, sizeof i), &added);
        assert_true(place && added);
        *place = i;
    }
    assert_null(map_put(&map, BYTES("one more"), &added));
    assert_false(added);
    assert_null(map_find(&map, BYTES("one more")));
    for (uint64_t i = 0; i < 20; i++) { /* known keys go on being found and put */
        uint64_t *place = map_put(&map, bytes_of((const char *)&i, sizeof i), &added);
        assert_true(place && !added && *place == i);
    }
    map_release(&map);
    map_init(&map, 0);
    assert_null(map_put(&map, BYTES("a"), &added));
    map_release(&map);
}

/* Keys are copied: the caller's may go. */
static void test_keys_are_copied(void **state)
{
    (void)state;
    struct map map;
    map_init(&map, 10);
    char key[] = "BTC";
    bool added;
    *map_put(&map, bytes_of_string(key), &added) = 5;
    key[0] = 'X';
    assert_null(map_find(&map, bytes_of_string(key)));
    assert_int_equal(*map_find(&map, BYTES("BTC")), 5);
    assert_non_null(map_put(&map, BYTES_NONE, &added)); /* the empty key is a key */
    assert_true(added);
    assert_non_null(map_find(&map, BYTES("")));
    map_release(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_cap),
                                       cmocka_unit_test(test_keys_are_copied)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
