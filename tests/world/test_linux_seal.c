#include "world/linux/linux_seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/core/monitoring/health/seal_contract.h"

static void openssl_keeps_the_contract(void **state)
{
    (void)state;
    struct linux_seal *seal = linux_seal_open();
    const struct seal_cipher cipher = {seal, &linux_seal_ops};

    seal_contract(&cipher);
    linux_seal_close(seal);
}

/* More senders than the table has places: each still has a key of its own. */
static void each_sender_has_a_key_of_its_own(void **state)
{
    (void)state;
    struct linux_seal *seal = linux_seal_open();
    const struct seal_cipher cipher = {seal, &linux_seal_ops};
    const struct seal_ring ring = {.keys = {{5}}, .n = 1};
    const struct seal_label label = {.len = 0};
    uint8_t first[64];
    uint8_t other[64];
    uint8_t scratch[64];
    struct seal_opened opened;

    for (node_id id = 1; id < 2000; id += 100) {
        struct seal_sender a = {.id = id, .instance = 1};
        struct seal_sender b = {.id = id + 256, .instance = 1};
        struct bytes text = {(const uint8_t *)"the same text", 13};
        size_t n = seal_wrap(&cipher, &ring, &label, &a, text, first);
        size_t m = seal_wrap(&cipher, &ring, &label, &b, text, other);

        assert_memory_not_equal(first + n - SEAL_TAG_BYTES - 13, other + m - SEAL_TAG_BYTES - 13,
                                13);
        assert_int_equal(
            seal_unwrap(&cipher, &ring, &label, (struct bytes){first, n}, scratch, &opened), OK);
        assert_int_equal(opened.sender, id);
    }
    linux_seal_close(seal);
}

static enum err read_keys_of(const char *text, struct seal_ring *ring, unsigned *line)
{
    char path[] = "/tmp/novacron-keys-XXXXXX";
    int fd = mkstemp(path);
    enum err e = OK;

    assert_true(fd >= 0);
    assert_true(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
    e = linux_seal_read_keys(path, ring, line);
    (void)unlink(path);
    return e;
}

#define KEY_A "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\n"
#define KEY_B "ff112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\n"

static void keys_are_read_in_order_and_mistakes_have_a_line(void **state)
{
    (void)state;
    struct seal_ring ring;
    unsigned line = 99;

    assert_int_equal(read_keys_of("# ours\n" KEY_A "\n" KEY_B, &ring, &line), OK);
    assert_int_equal(ring.n, 2);
    assert_int_equal(ring.keys[0][1], 0x11);
    assert_int_equal(ring.keys[0][31], 0xFF);
    assert_int_equal(ring.keys[1][0], 0xFF);
    assert_int_equal(read_keys_of(KEY_A "0011\n", &ring, &line), ERR_INVALID);
    assert_int_equal(line, 2);
    assert_int_equal(read_keys_of("# none\n", &ring, &line), ERR_INVALID);
    assert_int_equal(line, 0);
    assert_int_equal(linux_seal_read_keys("/nonexistent/keys", &ring, &line), ERR_NOT_FOUND);
    assert_int_equal(linux_seal_read_keys("/tmp", &ring, &line), ERR_IO);
    char odd[] = KEY_A;
    odd[0] = '\x10';
    assert_int_equal(read_keys_of(odd, &ring, &line), ERR_INVALID);
    assert_int_equal(line, 1);
}

static void prints_tell_keys_apart_and_are_none_of_them(void **state)
{
    (void)state;
    uint8_t keys[2][SEAL_KEY_BYTES] = {{0}};
    char prints[3][LINUX_SEAL_PRINT_BYTES];

    keys[1][SEAL_KEY_BYTES - 1] = 1;
    linux_seal_print(keys[0], prints[0]);
    linux_seal_print(keys[1], prints[1]);
    linux_seal_print(keys[0], prints[2]);
    assert_int_equal(strspn(prints[0], "0123456789abcdef"), LINUX_SEAL_PRINT_BYTES - 1);
    assert_string_equal(prints[0], prints[2]);
    assert_string_not_equal(prints[0], prints[1]);
    assert_string_not_equal(prints[0], "0000000000000000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openssl_keeps_the_contract),
        cmocka_unit_test(each_sender_has_a_key_of_its_own),
        cmocka_unit_test(keys_are_read_in_order_and_mistakes_have_a_line),
        cmocka_unit_test(prints_tell_keys_apart_and_are_none_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
