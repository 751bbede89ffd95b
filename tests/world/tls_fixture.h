/* Certificates for tests of TLS: a directory with an authority and what it signed, made anew for
 * each test that wants one. */
#ifndef NOVACRON_TESTS_WORLD_TLS_FIXTURE_H
#define NOVACRON_TESTS_WORLD_TLS_FIXTURE_H

#include "world/linux/linux_tls.h"

struct tls_fixture {
    char dir[64];
};

/* An authority. */
void tls_fixture_open(struct tls_fixture *f);
void tls_fixture_close(struct tls_fixture *f);

/* A certificate for `name`, valid from so many days from now until so many. */
void tls_fixture_issue(const struct tls_fixture *f, const char *name, int from, int until);

/* With the certificate of `name`, and the authority of `authority`. */
struct linux_tls *tls_fixture_load(const struct tls_fixture *authority, const struct tls_fixture *f,
                                   const char *name);

/* The path of a file there, in one of a few buffers that take turns. */
const char *tls_fixture_path(const struct tls_fixture *f, const char *name, const char *suffix);

#endif
