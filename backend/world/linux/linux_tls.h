/*
 * TLS of streams between members: both ends show a certificate that the cluster's own authority
 * signed, or there is no stream. TLS 1.3 alone; no resumption, so that each handshake looks at the
 * certificates as they are now; no renegotiation, no tickets.
 *
 * Whether a certificate is that of the member which is meant is decided above: the world answers
 * stream_may_be by the names in it (its subject alternative names, or the common name where it has
 * none; no wildcards), and core/node asks for the name of the peer.
 *
 * Certificates are exchanged while streams go on: linux_tls_reload reads the files again, and
 * handshakes from then on use them. A file that is of no use changes nothing.
 */
#ifndef NOVACRON_WORLD_LINUX_LINUX_TLS_H
#define NOVACRON_WORLD_LINUX_LINUX_TLS_H

#include "core/base/err.h"
#include "core/base/types.h"

struct linux_tls;  /* opaque */
struct ssl_ctx_st; /* SSL_CTX, of <openssl/ssl.h> */

/* The longest reason, with its final zero. */
#define LINUX_TLS_WHY_BYTES 512

/* PEM files. `cert` holds the certificate and, behind it, what leads to one in `ca`. */
struct linux_tls_files {
    const char *ca;
    const char *cert;
    const char *key; /* which only its owner, or its group too, may read */
};

/* The paths are copied. On failure `why` says what is wrong with which file:
 *   ERR_NOT_FOUND, ERR_DENIED, ERR_IO   it cannot be read, or all can read the key;
 *   ERR_INVALID                         it does not hold what it should, the key is not the
 *                                       certificate's, or the certificate not of this authority, or
 *                                       not for both ends of a stream, or not valid at this time.
 */
MUST_USE enum err linux_tls_open(const struct linux_tls_files *files, char why[LINUX_TLS_WHY_BYTES],
                                 struct linux_tls **ret);

/* Reads the files again. On failure, as above, what was read before goes on being used. */
MUST_USE enum err linux_tls_reload(struct linux_tls *tls, char why[LINUX_TLS_WHY_BYTES]);

/* No world may use it any more. */
void linux_tls_close(struct linux_tls *tls);

/* When our certificate ends, in seconds since 1970. */
int64_t linux_tls_expiry(const struct linux_tls *tls);

/* What handshakes use now; for other servers of this process. Borrowed until the next reload. */
struct ssl_ctx_st *linux_tls_context(const struct linux_tls *tls);

#endif
