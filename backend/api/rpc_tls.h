/*
 * TLS for servers and clients of the API: keys and certificates from PEM files, ALPN "h2" before
 * "http/1.1", TLS 1.2 and later. On OpenSSL 3.
 */
#ifndef NOVACRON_API_RPC_TLS_H
#define NOVACRON_API_RPC_TLS_H

#include "core/base/err.h"
#include "core/base/types.h"

struct rpc_tls; /* opaque */

struct rpc_tls_files {
    const char *certificate; /* a server's chain, a client's certificate or NULL */
    const char *key;         /* NULL where there is no certificate */
    const char *ca;          /* whom to trust; NULL: a server asks for no client certificate, a
                                client trusts the system's list */
    bool require_peer;       /* a server refuses clients without a certificate of `ca` */
    bool skip_verify;        /* a client takes any certificate: for tests and for first contact */
};

enum rpc_tls_side { RPC_TLS_SERVER, RPC_TLS_CLIENT };

/* Reads the files. ERR_NOT_FOUND, ERR_DENIED, ERR_CORRUPT (not PEM, or key and certificate do not
 * belong together); `text` gets a sentence for people on failure, and is at least
 * RPC_TLS_TEXT_BYTES large. */
#define RPC_TLS_TEXT_BYTES 256
MUST_USE enum err rpc_tls_open(const struct rpc_tls_files *files, enum rpc_tls_side side,
                               char *text, struct rpc_tls **ret);

/* Reads files again: connections from then on use them, those that are open go on. On failure, as
 * above, what was read before stays. */
MUST_USE enum err rpc_tls_reload(struct rpc_tls *tls, const struct rpc_tls_files *files,
                                 char *text);

/* Connections that use it keep what they need. */
void rpc_tls_close(struct rpc_tls *tls);

#endif
