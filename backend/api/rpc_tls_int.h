/*
 * One TLS connection without its socket: cipher text in and out through buffers.
 */
#ifndef NOVACRON_API_RPC_TLS_INT_H
#define NOVACRON_API_RPC_TLS_INT_H

#include "api/rpc_tls.h"
#include "core/base/buf.h"

struct tls_stream; /* opaque */

/* `host`: the name that a server's certificate must have; NULL on the server's side. */
struct tls_stream *tls_stream_open(const struct rpc_tls *tls, const char *host);
void tls_stream_close(struct tls_stream *stream);

/* Takes cipher text and appends what it decrypts to. ERR_CLOSED: the other side ended the
 * connection in order. ERR_DENIED: it refused our certificate, or we its. ERR_PROTOCOL. */
MUST_USE enum err tls_stream_receive(struct tls_stream *stream, struct bytes cipher,
                                     struct buf *plain);

/* Appends what is to be sent: what the handshake has to say, then `plain` encrypted; `plain` is
 * empty until the handshake is done. `last`: then that no more will come. */
void tls_stream_send(struct tls_stream *stream, struct bytes plain, bool last, struct buf *cipher);

/* Why it failed, in words; a static string, "" where it did not. */
const char *tls_stream_why(const struct tls_stream *stream);

/* Is the handshake done? */
bool tls_stream_ready(const struct tls_stream *stream);

/* The common name of the verified certificate of the other side; false without one. */
bool tls_stream_peer_name(const struct tls_stream *stream, char *text, size_t cap);

#endif
