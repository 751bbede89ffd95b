/* What `cluster init` and `join` take for a member, and the configuration that they make of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/member_file.h"
#include "pki/pki.h"
#include "tests/support/test.h"

static void reads_names_hosts_and_ports(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *name;
        const char *host;
        uint16_t peer_port;
        uint16_t client_port;
    } cases[] = {
        {"a=10.0.0.1", "a", "10.0.0.1", 2380, 2379},
        {"host-1=host-1.lab:7000", "host-1", "host-1.lab", 7000, 2379},
        {"a=10.0.0.1:7000:7001", "a", "10.0.0.1", 7000, 7001},
        {"a=[fd00::1]:7000:7001", "a", "fd00::1", 7000, 7001},
        {"a=[fd00::1]", "a", "fd00::1", 2380, 2379},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct member_words w;
        assert_true(member_words_parse(cases[i].text, NULL, &w));
        assert_string_equal(w.name, cases[i].name);
        assert_string_equal(w.peer.host, cases[i].host);
        assert_int_equal(w.peer.port, cases[i].peer_port);
        assert_int_equal(w.client_port, cases[i].client_port);
    }
}

static void takes_nothing_else(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",          "a",          "=10.0.0.1", "a=",      "a=10.0.0.1:", "a=10.0.0.1:0",
        "a=b:1:2:3", "a=b:65536",  "a b=c",     "a=b c",   "a=[fd00::1",  "a=fd00::1",
        "a\n=b",     "a=b\nid: 1", "a=b#",      "a=\"b\"", "a=b:1:",      "a=b:-1",
        "..=b",      ".=b",        ".a=b",
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct member_words w;
        assert_false(member_words_parse(cases[i], NULL, &w));
    }
}

/* What is written is what the daemon reads back, and nothing of a word becomes a setting. */
static void composes_what_the_daemon_understands(void **state)
{
    (void)state;
    struct member_words m[3];
    static const char *const words[] = {"a=10.0.0.1", "b=[fd00::1]:7000:7001", "c=lab.example"};
    for (size_t i = 0; i < 3; i++) {
        assert_true(member_words_parse(words[i], NULL, &m[i]));
    }
    m[2].is_witness = true;
    m[0].priority = 200;
    struct member_file f = {.cluster_name = "lab",
                            .is_new = true,
                            .members = m,
                            .count = 3,
                            .has_certificates = true,
                            .etc = "/etc/novacron",
                            .data_dir = "/var/lib/novacron"};
    for (size_t i = 0; i < 3; i++) {
        struct buf text;
        char why[DAEMON_WHY_BYTES] = "";
        struct daemon_config c;
        buf_init(&text);
        f.own = &m[i];
        assert_int_equal(member_file_compose(&f, &text, why), OK);
        assert_int_equal(daemon_config_parse("x", buf_view(&text), NULL, why, &c), OK);
        assert_string_equal(c.settings->name, m[i].name);
        assert_int_equal(c.founders.n, 3);
        assert_int_equal(raft_membership_count(&c.founders, RAFT_WITNESS), 1);
        assert_int_equal(raft_membership_lookup(&c.founders, c.peers[0].id)->priority, 200);
        assert_true(c.settings->client.require_certificate);
        assert_string_equal(c.peer_advertise.host, m[i].peer.host);
        daemon_config_free(&c);
        buf_deinit(&text);
    }
    static const char *const bad[] = {"la b", "lab\nid: 1", "", "lab\""};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct buf text;
        char why[DAEMON_WHY_BYTES];
        buf_init(&text);
        f.cluster_name = bad[i];
        assert_int_equal(member_file_compose(&f, &text, why), ERR_INVALID);
        buf_deinit(&text);
    }
}

static void write_text(const char *dir, const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* What `cluster join` does again after the cluster refused the member. */
static void certifies_again_where_an_attempt_ended_early(void **state)
{
    (void)state;
    char dir[] = "/tmp/novacron-member-XXXXXX";
    char ca[64];
    char command[64];
    char why[DAEMON_WHY_BYTES] = "";
    int64_t now = (int64_t)time(NULL);
    assert_non_null(mkdtemp(dir));
    (void)snprintf(ca, sizeof ca, "%s/ca", dir);
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(pki_init(ca, "lab", (struct pki_span){now - 60, now + 86400}, why), OK);
    assert_int_equal(member_certify(ca, dir, "a", "10.0.0.1", why), OK);
    assert_int_equal(member_certify(ca, dir, "a", "10.0.0.2", why), OK);
    write_text(dir, "a/ca.crt", "another authority's\n");
    assert_int_equal(member_certify(ca, dir, "a", "10.0.0.2", why), ERR_EXISTS);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_names_hosts_and_ports),
        cmocka_unit_test(takes_nothing_else),
        cmocka_unit_test(composes_what_the_daemon_understands),
        cmocka_unit_test(certifies_again_where_an_attempt_ended_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
