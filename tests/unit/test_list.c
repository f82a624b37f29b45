#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

struct node {
    int number;
    struct list link;
};

static int first_number(struct list *head)
{
    return list_item(head->next, struct node, link)->number;
}

static void test_push_pop(void **state)
{
    struct node n[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    struct list head;
    int expected = 0;

    (void)state;
    list_init(&head);
    assert_true(list_empty(&head));
    assert_null(list_pop(&head));
    assert_false(list_linked(&n[0].link));
    list_push(&head, &n[1].link);
    list_push(&head, &n[2].link);
    list_push_front(&head, &n[0].link);
    list_push(&head, &n[3].link);
    assert_true(list_linked(&n[1].link));
    assert_false(list_empty(&head));
    list_each(&head, it) assert_int_equal(list_item(it, struct node, link)->number, expected++);
    assert_int_equal(expected, 4);
    for (expected = 0; !list_empty(&head); expected++) {
        assert_int_equal(first_number(&head), expected);
        assert_ptr_equal(list_pop(&head), &n[expected].link);
        assert_false(list_linked(&n[expected].link));
    }
    assert_int_equal(expected, 4);
}

static void test_del(void **state)
{
    struct node n[5] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    struct list head;
    int sum = 0;

    (void)state;
    list_init(&head);
    for (int i = 0; i < 5; i++)
        list_push(&head, &n[i].link);
    list_del(&n[2].link);
    assert_null(n[2].link.next);
    assert_null(n[2].link.prev);
    list_del(&n[2].link);
    list_del(&n[0].link);
    list_del(&n[4].link);
    list_each(&head, it) sum += list_item(it, struct node, link)->number;
    assert_int_equal(sum, 1 + 3);
    list_push(&head, &n[2].link);
    assert_ptr_equal(head.prev, &n[2].link);
}

static void test_each_safe(void **state)
{
    struct node n[6] = {0};
    struct list head;
    int visits = 0;

    (void)state;
    list_init(&head);
    for (int i = 0; i < 6; i++) {
        n[i].number = i;
        list_push(&head, &n[i].link);
    }
    list_each_safe(&head, it, tmp)
    {
        visits++;
        if (list_item(it, struct node, link)->number % 2)
            list_del(it);
    }
    assert_int_equal(visits, 6);
    visits = 0;
    list_each(&head, it) assert_int_equal(list_item(it, struct node, link)->number, 2 * visits++);
    assert_int_equal(visits, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push_pop),
        cmocka_unit_test(test_del),
        cmocka_unit_test(test_each_safe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
