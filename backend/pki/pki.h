/*
 * pki: a cluster's own certificate authority, for the TLS between its members.
 *
 * What lives here: making an authority, and certificates which it signs, as files. Who may call it:
 * the CLI and tests. It is built on OpenSSL and knows nothing of the cluster's state: whoever holds
 * ca.key can let anybody in, so that file belongs on no member, and in a safe.
 *
 * Keys are ECDSA on P-256. The authority may sign members and no further authorities (path length
 * 0). A member's certificate names the member as common name and as DNS name, names the addresses
 * at which it is reached, and serves at both ends of a stream. Profile after RFC 5280.
 *
 *     DIR/ca.crt    the authority's certificate: on every member
 *     DIR/ca.key    its key, readable by its owner alone
 *     DIR/NAME.crt  a member's certificate
 *     DIR/NAME.key  its key, likewise
 *
 * Files appear whole or not at all, and nothing that exists is ever replaced.
 */
#ifndef NOVACRON_PKI_PKI_H
#define NOVACRON_PKI_PKI_H

#include "core/base/err.h"
#include "core/base/types.h"

/* The longest reason of a failure, and the longest path, each with its final zero. */
#define PKI_WHY_BYTES  512
#define PKI_PATH_BYTES 512

/* The longest name of a member, with its final zero: it is a DNS label, and a peer's name. */
#define PKI_NAME_BYTES 64

/* Names and addresses of one certificate. */
#define PKI_HOSTS_MAX 32

/* From when to when, in seconds since 1970. */
struct pki_span {
    int64_t from;
    int64_t until;
};

/* A new authority in `dir`, which is made if it is missing. `name` is for people. On failure `why`
 * says what is wrong: ERR_EXISTS (there is one), ERR_INVALID (a name, a span), or what the files
 * said. */
MUST_USE enum err pki_init(const char *dir, const char *name, struct pki_span span,
                           char why[PKI_WHY_BYTES]);

struct pki_member {
    const char *name;         /* letters, digits, '-' and '.' */
    const char *const *hosts; /* DNS names, or numeric addresses */
    size_t host_count;
    struct pki_span span; /* ends with the authority's at the latest */
};

/* Can this be the name of a member, and can these be its hosts? ERR_INVALID: no. */
MUST_USE enum err pki_names_check(const struct pki_member *member, char why[PKI_WHY_BYTES]);

/* A key and a certificate for a member, in the same directory. Fails as above; ERR_NOT_FOUND: there
 * is no authority. */
MUST_USE enum err pki_issue(const char *dir, const struct pki_member *member,
                            char why[PKI_WHY_BYTES]);

#endif
