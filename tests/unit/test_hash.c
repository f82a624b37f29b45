#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

/* The published SipHash-2-4 vectors: key 00 01 … 0f, message 00 01 … (n - 1). */
static const struct {
    size_t n;
    uint64_t hash;
} vectors[] = {
    {0, 0x726fdb47dd0e0e31},  {1, 0x74f839c593dc67fd},  {2, 0x0d6c8009d9a94f5a},
    {7, 0xab0200f58b01d137},  {8, 0x93f5f5799a932462},  {9, 0x9e0082df0ba9e4b0},
    {15, 0xa129ca6149be45e5}, {16, 0x3f2acc7f57c29bdb}, {63, 0x958a324ceb064572},
};

static const struct hash_key vector_key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static void test_vectors(void **state)
{
    uint8_t message[64];

    (void)state;
    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = (uint8_t)i;
    for (size_t i = 0; i < mem_count(vectors); i++)
        assert_int_equal(hash_bytes(&vector_key, view_of(message, vectors[i].n)), vectors[i].hash);
    assert_int_equal(hash_u64(&vector_key, 0x0706050403020100), vectors[4].hash);
    assert_int_equal(hash_bytes(&vector_key, VIEW_NONE), vectors[0].hash);
}

static void test_unaligned(void **state)
{
    uint8_t memory[80];

    (void)state;
    for (size_t shift = 0; shift < 8; shift++) {
        for (size_t i = 0; i < 63; i++)
            memory[shift + i] = (uint8_t)i;
        assert_int_equal(hash_bytes(&vector_key, view_of(memory + shift, 63)), vectors[8].hash);
    }
}

static void test_key_matters(void **state)
{
    struct hash_key other = vector_key;

    (void)state;
    other.k0 ^= 1;
    assert_true(hash_u64(&other, 1) != hash_u64(&vector_key, 1));
    other = vector_key;
    other.k1 ^= 1;
    assert_true(hash_u64(&other, 1) != hash_u64(&vector_key, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_unaligned),
        cmocka_unit_test(test_key_matters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
