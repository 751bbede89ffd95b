/* The cluster's own authority: what it signs is what others take, and it replaces nothing. */
#include "pki/pki.h"

#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "pki/pki_file.h"

static char pki_dir[64];
static char why[PKI_WHY_BYTES];

static struct pki_span days(int from, int until)
{
    int64_t now = (int64_t)time(NULL);
    return (struct pki_span){now + from * 86400, now + until * 86400};
}

static int make_directory_for_each(void **state)
{
    (void)state;
    (void)snprintf(pki_dir, sizeof pki_dir, "/tmp/novacron-pki-XXXXXX");
    return mkdtemp(pki_dir) != NULL ? 0 : -1;
}

static int remove_directory(void **state)
{
    char command[96];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -r %s", pki_dir);
    return system(command);
}

static enum err issue(const char *name)
{
    const struct pki_member member = {.name = name, .span = days(-1, 10)};
    return pki_issue(pki_dir, &member, why);
}

static bool has_mode(const char *name, mode_t mode)
{
    char path[128];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/%s", pki_dir, name);
    return stat(path, &st) == 0 && (st.st_mode & 0777) == mode;
}

/* Runs openssl in the directory; false where it fails, skips the test where it is missing. */
static bool openssl_says(const char *arguments)
{
    char command[512];
    if (system("command -v openssl >/dev/null") != 0) {
        print_message("# openssl, the program, is not here\n");
        skip();
    }
    (void)snprintf(command, sizeof command, "cd %s && openssl %s >/dev/null 2>&1", pki_dir,
                   arguments);
    return system(command) == 0;
}

static void signs_what_openssl_takes_at_both_ends(void **state)
{
    (void)state;
    const char *const hosts[] = {"127.0.0.1", "::1", "vm.example"};
    const struct pki_member member = {
        .name = "host-1", .hosts = hosts, .host_count = 3, .span = days(-1, 10)};
    assert_int_equal(pki_init(pki_dir, "test authority", days(-1, 100), why), OK);
    assert_int_equal(pki_issue(pki_dir, &member, why), OK);
    assert_true(openssl_says("verify -x509_strict -CAfile ca.crt -purpose sslserver host-1.crt"));
    assert_true(openssl_says("verify -x509_strict -CAfile ca.crt -purpose sslclient host-1.crt"));
    assert_true(openssl_says("verify -CAfile ca.crt -verify_hostname host-1 host-1.crt"));
    assert_true(openssl_says("verify -CAfile ca.crt -verify_hostname vm.example host-1.crt"));
    assert_true(openssl_says("verify -CAfile ca.crt -verify_ip ::1 host-1.crt"));
    assert_false(openssl_says("verify -CAfile ca.crt -verify_hostname host-2 host-1.crt"));
    /* A member is no authority, also where it tries to be. */
    assert_false(openssl_says("verify -CAfile host-1.crt -partial_chain ca.crt"));
}

static void an_authority_signs_no_authorities(void **state)
{
    (void)state;
    assert_int_equal(pki_init(pki_dir, "test authority", days(-1, 100), why), OK);
    assert_int_equal(issue("host-1"), OK);
    if (!openssl_says("req -new -key host-1.key -subj /CN=below -out below.csr")) {
        fail();
    }
    assert_true(openssl_says("x509 -req -in below.csr -CA host-1.crt -CAkey host-1.key "
                             "-CAcreateserial -out below.crt"));
    assert_false(openssl_says("verify -CAfile ca.crt -untrusted host-1.crt below.crt"));
    /* For two reasons. */
    assert_true(openssl_says("x509 -in host-1.crt -noout -ext basicConstraints | grep CA:FALSE"));
    assert_true(openssl_says("x509 -in ca.crt -noout -ext basicConstraints | grep pathlen:0"));
}

static void only_the_owner_reads_keys(void **state)
{
    (void)state;
    mode_t before = umask(0);
    assert_int_equal(pki_init(pki_dir, "test authority", days(-1, 100), why), OK);
    assert_int_equal(issue("host-1"), OK);
    (void)umask(before);
    assert_true(has_mode("ca.key", 0600));
    assert_true(has_mode("host-1.key", 0600));
    assert_true(has_mode("ca.crt", 0644));
    assert_true(has_mode("host-1.crt", 0644));
}

static void replaces_nothing(void **state)
{
    char command[128];
    (void)state;
    assert_int_equal(pki_init(pki_dir, "test authority", days(-1, 100), why), OK);
    assert_int_equal(issue("host-1"), OK);
    (void)snprintf(command, sizeof command, "cd %s && cp -r . ../before-%s", pki_dir,
                   strrchr(pki_dir, '/') + 1);
    assert_int_equal(system(command), 0);
    assert_int_equal(pki_init(pki_dir, "test authority", days(-1, 100), why), ERR_EXISTS);
    assert_int_equal(issue("host-1"), ERR_EXISTS);
    assert_non_null(strstr(why, "host-1.crt"));
    (void)snprintf(command, sizeof command, "cd %s && diff -r . ../before-%s && rm -r ../before-%s",
                   pki_dir, strrchr(pki_dir, '/') + 1, strrchr(pki_dir, '/') + 1);
    assert_int_equal(system(command), 0);
    (void)snprintf(command, sizeof command, "rm %s/host-1.crt", pki_dir);
    assert_int_equal(system(command), 0);
    /* One of a pair is enough. */
    assert_int_equal(issue("host-1"), ERR_EXISTS);
    assert_non_null(strstr(why, "host-1.key"));
}

static void a_file_that_appears_meanwhile_is_not_replaced(void **state)
{
    struct pki_file file;
    const struct bytes one = {(const uint8_t *)"1", 1};
    const struct bytes two = {(const uint8_t *)"22", 2};
    struct stat st;
    (void)state;
    assert_int_equal(pki_file_name(&file, pki_dir, "x", ".crt", why), OK);
    assert_int_equal(pki_file_create(&file, one, 0600, why), OK);
    assert_int_equal(pki_file_create(&file, two, 0600, why), ERR_EXISTS);
    assert_int_equal(stat(file.path, &st), 0);
    assert_int_equal(st.st_size, 1);
    assert_int_equal(st.st_nlink, 1);
}

static void refuses_names_that_are_none(void **state)
{
    static const char *const bad[] = {"",    "ca",  "../x", "a/b",   "-a",         ".a",
                                      "a b", "a,b", "a\n",  "DNS:x", "caf\xc3\xa9"};
    char longest[PKI_NAME_BYTES + 1] = {0};
    (void)state;
    assert_int_equal(pki_init(pki_dir, "test authority", days(-1, 100), why), OK);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(issue(bad[i]), ERR_INVALID);
        const struct pki_member member = {
            .name = "good", .hosts = &bad[i], .host_count = 1, .span = days(-1, 1)};
        if (strcmp(bad[i], "ca") != 0) {
            assert_int_equal(pki_issue(pki_dir, &member, why), ERR_INVALID);
        }
    }
    memset(longest, 'a', PKI_NAME_BYTES);
    assert_int_equal(issue(longest), ERR_INVALID);
    longest[PKI_NAME_BYTES - 1] = '\0';
    assert_int_equal(issue(longest), OK);
}

static void needs_an_authority_that_is_whole(void **state)
{
    char command[128];
    (void)state;
    assert_int_equal(issue("host-1"), ERR_NOT_FOUND);
    assert_non_null(strstr(why, "ca init"));
    assert_int_equal(pki_init(pki_dir, "test authority", days(-1, 100), why), OK);
    (void)snprintf(command, sizeof command, "cd %s && cp ca.crt ca.key", pki_dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(issue("host-1"), ERR_INVALID);
    assert_int_equal(pki_init("/dev/null/x", "test", days(-1, 1), why), ERR_DENIED);
}

static void ends_with_its_authority(void **state)
{
    (void)state;
    const struct pki_member member = {.name = "host-1", .span = days(-1, 1000)};
    assert_int_equal(pki_init(pki_dir, "test authority", days(-1, 5), why), OK);
    assert_int_equal(pki_issue(pki_dir, &member, why), OK);
    assert_true(openssl_says("x509 -in host-1.crt -checkend 345600"));
    assert_false(openssl_says("x509 -in host-1.crt -checkend 432060"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(signs_what_openssl_takes_at_both_ends,
                                        make_directory_for_each, remove_directory),
        cmocka_unit_test_setup_teardown(an_authority_signs_no_authorities, make_directory_for_each,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(only_the_owner_reads_keys, make_directory_for_each,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(replaces_nothing, make_directory_for_each,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(a_file_that_appears_meanwhile_is_not_replaced,
                                        make_directory_for_each, remove_directory),
        cmocka_unit_test_setup_teardown(refuses_names_that_are_none, make_directory_for_each,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(needs_an_authority_that_is_whole, make_directory_for_each,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(ends_with_its_authority, make_directory_for_each,
                                        remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
