/* The live device and its tables: src/lwm2m/device.c, chain.c. */
#include "domain_fixture.h"

#include <stdio.h>

#define MANY 100000u

static struct claim *claim_of(unsigned n)
{
    char endpoint[32];
    struct claim *c;
    int length = snprintf(endpoint, sizeof(endpoint), "urn:dev:%u", n);

    c = mem_new(sizeof(*c) + sizeof(endpoint));
    assert_non_null(c);
    c->id = (uint64_t)n * UINT64_C(0x9e3779b97f4a7c15);
    c->row = n;
    c->endpoint_len = (uint8_t)length;
    memcpy(c->endpoint, endpoint, sizeof(endpoint));
    return c;
}

static struct device *add(struct fix *f, unsigned n)
{
    struct device *dev = device_new(f->d);
    struct flow flow = fix_flow(n);

    assert_non_null(dev);
    dev->claim = claim_of(n);
    dev->id = dev->claim->id;
    device_set_flow(f->d, dev, &flow);
    assert_int_equal(objlist_pool_parse(f->d, view_str(fix_links), &dev->list), ERR_OK);
    device_insert(f->d, dev);
    return dev;
}

static void drop(struct fix *f, struct device *dev)
{
    struct claim *c = dev->claim;

    device_remove(f->d, dev);
    device_delete(f->d, dev);
    mem_free(c);
}

static struct device *look(struct fix *f, unsigned n)
{
    struct claim *c = claim_of(n);
    struct flow flow = fix_flow(n);
    struct device *dev = chain_by_id(f->d, c->id);
    unsigned nth = 0;

    assert_ptr_equal(chain_by_addr(f->d, &flow.peer), dev);
    chain_prefetch(f->d, c->id);
    while (chain_guess(f->d, c->id, nth) != NULL && chain_guess(f->d, c->id, nth) != dev)
        nth++;
    assert_ptr_equal(chain_guess(f->d, c->id, nth), dev);
    if (dev != NULL)
        assert_true(view_eq_str(device_endpoint(dev), c->endpoint));
    mem_free(c);
    return dev;
}

/* Found by every name while the tables grow, and after half of them have gone and come again. */
static void test_tables(void **state)
{
    struct fix *f = *state;

    for (unsigned n = 1; n <= 20000; n++) {
        add(f, n);
        assert_non_null(look(f, 1 + n / 2));
    }
    for (unsigned n = 1; n <= 20000; n += 2)
        drop(f, look(f, n));
    for (unsigned n = 1; n <= 20000; n++)
        assert_true((look(f, n) == NULL) == (n % 2 == 1));
    assert_int_equal(f->d->device_count, 10000);
    for (unsigned n = 1; n <= 20000; n += 2)
        add(f, n);
    assert_int_equal(f->d->pool.made, 20000); /* the room of those that went */
    for (unsigned n = 1; n <= 20000; n++)
        drop(f, look(f, n));
    assert_int_equal(f->d->device_count, 0);
}

/* Room taken beforehand: nothing is split on the way to it, and all are found. */
static void test_reserve(void **state)
{
    struct fix *f = *state;
    const struct chain *c = &f->d->chains[CHAIN_ID];

    domain_reserve(f->d, 10000);
    assert_int_equal(c->buckets, 12288);
    assert_int_equal(c->mask, 16383);
    for (unsigned n = 1; n <= 14000; n++)
        add(f, n);
    assert_int_equal(c->buckets, 14000);
    domain_reserve(f->d, 100000); /* too late */
    assert_int_equal(c->buckets, 14000);
    for (unsigned n = 1; n <= 14000; n++)
        drop(f, look(f, n));
    domain_reserve(f->d, 100); /* enough already */
    assert_int_equal(c->buckets, 14000);
}

/* The longest chain stays short: no look-up is linear in the number of devices. */
static void test_chains_are_short(void **state)
{
    struct fix *f = *state;
    uint32_t longest = 0;

    for (unsigned n = 1; n <= 30000; n++)
        add(f, n);
    for (int kind = 0; kind < CHAIN_COUNT; kind++) {
        const struct chain *c = &f->d->chains[kind];

        assert_true(c->buckets >= 30000);
        for (uint32_t b = 0; b < c->buckets; b++) {
            uint32_t n = 0;

            for (uint32_t i = c->segments[b / 4096][b % 4096]; i != 0;
                 i = device_at(f->d, i)->next[kind])
                n++;
            if (n > longest)
                longest = n;
        }
    }
    assert_in_range(longest, 1, 20);
    for (unsigned n = 1; n <= 30000; n++)
        drop(f, look(f, n));
}

static void test_one_per_address(void **state)
{
    struct fix *f = *state;
    struct device *a = add(f, 1), *b = add(f, 2);
    struct flow flow = fix_flow(1);

    device_set_flow(f->d, b, &flow);
    assert_ptr_equal(chain_by_addr(f->d, &flow.peer), b);
    assert_int_equal(a->flags & DEVICE_AT_ADDR, 0);
    device_claim_addr(f->d, a);
    assert_ptr_equal(chain_by_addr(f->d, &flow.peer), a);
    device_claim_addr(f->d, a);
    assert_int_equal(f->d->chains[CHAIN_ADDR].size, 1);
    drop(f, b);
    assert_ptr_equal(chain_by_addr(f->d, &flow.peer), a);
    drop(f, a);
    assert_null(chain_by_addr(f->d, &flow.peer));
    assert_int_equal(f->d->chains[CHAIN_ADDR].size, 0);
}

static void test_extension(void **state)
{
    struct fix *f = *state;
    struct device *dev = add(f, 1);
    struct identity id = {.type = IDENTITY_X509, .name = TEXT("cn")}, read;

    device_trim(dev);
    assert_null(dev->rare);
    assert_non_null(device_rare(dev));
    device_trim(dev);
    assert_null(dev->rare);
    assert_int_equal(device_set_identity(dev, &id), ERR_OK);
    device_trim(dev);
    assert_non_null(dev->rare);
    device_identity(dev, &read);
    assert_true(identity_eq(&id, &read));
    id.type = IDENTITY_NONE;
    assert_int_equal(device_set_identity(dev, &id), ERR_OK);
    drop(f, dev);
}

/* What a device costs here, without its claim, which the directory owns. */
static void test_memory(void **state)
{
    struct fix *f = *state;
    size_t bytes;
    double each;

    for (unsigned n = 1; n <= MANY; n++)
        add(f, n);
    bytes = device_bytes(f->d);
    each = (double)bytes / MANY;
    print_message("%zu bytes a device, %.1f with its share of the tables\n", sizeof(struct device),
                  each);
    assert_true(each <= 150);
    for (unsigned n = 1; n <= MANY; n++)
        drop(f, look(f, n));
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_tables),          ROW(test_reserve),   ROW(test_chains_are_short),
        ROW(test_one_per_address), ROW(test_extension), ROW(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
