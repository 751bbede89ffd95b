#include "tests/world/tls_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "pki/pki.h"
#include "tests/support/test.h"

#define PATHS 8

static struct pki_span fixture_span(int from, int until)
{
    int64_t now = (int64_t)time(NULL);
    return (struct pki_span){now + from * 86400, now + until * 86400};
}

void tls_fixture_open(struct tls_fixture *f)
{
    char why[PKI_WHY_BYTES];

    (void)snprintf(f->dir, sizeof f->dir, "/tmp/novacron-tls-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(pki_init(f->dir, "test authority", fixture_span(-10, 10), why), OK);
}

void tls_fixture_close(struct tls_fixture *f)
{
    char command[96];

    (void)snprintf(command, sizeof command, "rm -r %s", f->dir);
    assert_int_equal(system(command), 0);
}

void tls_fixture_issue(const struct tls_fixture *f, const char *name, int from, int until)
{
    const struct pki_member member = {.name = name, .span = fixture_span(from, until)};
    char why[PKI_WHY_BYTES];

    assert_int_equal(pki_issue(f->dir, &member, why), OK);
}

const char *tls_fixture_path(const struct tls_fixture *f, const char *name, const char *suffix)
{
    static char paths[PATHS][128];
    static size_t turn;
    char *path = paths[turn++ % PATHS];

    (void)snprintf(path, sizeof paths[0], "%s/%s%s", f->dir, name, suffix);
    return path;
}

struct linux_tls *tls_fixture_load(const struct tls_fixture *authority, const struct tls_fixture *f,
                                   const char *name)
{
    const struct linux_tls_files files = {
        .ca = tls_fixture_path(authority, "ca", ".crt"),
        .cert = tls_fixture_path(f, name, ".crt"),
        .key = tls_fixture_path(f, name, ".key"),
    };
    char why[LINUX_TLS_WHY_BYTES] = "";
    struct linux_tls *tls = NULL;

    enum err e = linux_tls_open(&files, why, &tls);
    if (e != OK) {
        print_message("# %s\n", why);
    }
    assert_int_equal(e, OK);
    return tls;
}
