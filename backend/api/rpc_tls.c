#include "api/rpc_tls.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "api/rpc_tls_int.h"
#include "core/base/check.h"
#include "core/base/mem.h"

/* What one SSL_read is offered: a record holds no more. */
#define RECORD_BYTES 16384

struct rpc_tls {
    SSL_CTX *ctx;
    enum rpc_tls_side side;
    bool skip_verify;
};

struct tls_stream {
    SSL *ssl;
    BIO *in, *out;   /* owned by ssl */
    const char *why; /* it failed, in OpenSSL's words; static. NULL: it has not */
};

static const unsigned char ALPN[] = "\x02h2\x08http/1.1";
#define ALPN_BYTES  (sizeof ALPN - 1)
#define ALPN_H2_LEN 3

/* --- The files -------------------------------------------------------------------------------- */

static enum err tls_say(char *text, const char *what, const char *file)
{
    unsigned long code = ERR_get_error();
    const char *reason = ERR_reason_error_string(code);
    bool missing = ERR_GET_LIB(code) == ERR_LIB_SYS && ERR_GET_REASON(code) == ENOENT;
    bool denied = ERR_GET_LIB(code) == ERR_LIB_SYS && ERR_GET_REASON(code) == EACCES;
    if (reason == NULL) {
        reason = missing ? "no such file" : denied ? "permission denied" : "not a PEM file";
    }
    snprintf(text, RPC_TLS_TEXT_BYTES, "cannot use %s as %s: %s", file, what, reason);
    ERR_clear_error();
    return missing ? ERR_NOT_FOUND : denied ? ERR_DENIED : ERR_CORRUPT;
}

static int tls_select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                               const unsigned char *in, unsigned in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    unsigned char *selected = NULL;
    if (SSL_select_next_proto(&selected, out_len, ALPN, ALPN_BYTES, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    *out = selected;
    return SSL_TLSEXT_ERR_OK;
}

static enum err tls_load(struct rpc_tls *tls, const struct rpc_tls_files *files, char *text)
{
    SSL_CTX *ctx = tls->ctx;
    if (files->certificate != NULL) {
        if (SSL_CTX_use_certificate_chain_file(ctx, files->certificate) != 1) {
            return tls_say(text, "certificate", files->certificate);
        }
        const char *key = files->key == NULL ? files->certificate : files->key;
        if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
            return tls_say(text, "key", key);
        }
        if (SSL_CTX_check_private_key(ctx) != 1) {
            return tls_say(text, "key of the certificate", key);
        }
    }
    int mode = SSL_VERIFY_NONE;
    if (files->ca != NULL) {
        if (SSL_CTX_load_verify_locations(ctx, files->ca, NULL) != 1) {
            return tls_say(text, "list of authorities", files->ca);
        }
        mode = SSL_VERIFY_PEER;
        if (tls->side == RPC_TLS_SERVER) {
            SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(files->ca));
            mode |= files->require_peer ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
        }
    } else if (tls->side == RPC_TLS_CLIENT) {
        (void)SSL_CTX_set_default_verify_paths(ctx);
        mode = SSL_VERIFY_PEER;
    }
    SSL_CTX_set_verify(ctx, tls->skip_verify ? SSL_VERIFY_NONE : mode, NULL);
    return OK;
}

enum err rpc_tls_open(const struct rpc_tls_files *files, enum rpc_tls_side side, char *text,
                      struct rpc_tls **ret)
{
    struct rpc_tls *tls = mem_alloc_zero(sizeof *tls);
    tls->side = side;
    tls->skip_verify = side == RPC_TLS_CLIENT && files->skip_verify;
    tls->ctx = SSL_CTX_new(side == RPC_TLS_SERVER ? TLS_server_method() : TLS_client_method());
    CHECK(tls->ctx != NULL);
    CHECK(SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION) == 1);
    SSL_CTX_set_mode(tls->ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(tls->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    static const unsigned char session_context[] = "novacron api";
    (void)SSL_CTX_set_session_id_context(tls->ctx, session_context, sizeof session_context - 1);
    if (side == RPC_TLS_SERVER) {
        SSL_CTX_set_alpn_select_cb(tls->ctx, tls_select_protocol, NULL);
    } else {
        CHECK(SSL_CTX_set_alpn_protos(tls->ctx, ALPN, ALPN_H2_LEN) == 0);
    }
    enum err e = tls_load(tls, files, text);
    if (e != OK) {
        rpc_tls_close(tls);
        return e;
    }
    *ret = tls;
    return OK;
}

enum err rpc_tls_reload(struct rpc_tls *tls, const struct rpc_tls_files *files, char *text)
{
    struct rpc_tls *fresh = NULL;
    TRY(rpc_tls_open(files, tls->side, text, &fresh));
    SSL_CTX *old = tls->ctx;
    tls->ctx = fresh->ctx; /* a connection holds a reference to the one that it began with */
    tls->skip_verify = fresh->skip_verify;
    fresh->ctx = old;
    rpc_tls_close(fresh);
    return OK;
}

void rpc_tls_close(struct rpc_tls *tls)
{
    if (tls != NULL) {
        SSL_CTX_free(tls->ctx);
        mem_free(tls);
    }
}

/* --- A connection ----------------------------------------------------------------------------- */

/* Is `host` a numeric address? Certificates name those in a field of their own. */
static bool tls_host_is_address(const char *host)
{
    return strchr(host, ':') != NULL || strspn(host, "0123456789.") == strlen(host);
}

struct tls_stream *tls_stream_open(const struct rpc_tls *tls, const char *host)
{
    struct tls_stream *stream = mem_alloc_zero(sizeof *stream);
    stream->ssl = SSL_new(tls->ctx);
    stream->in = BIO_new(BIO_s_mem());
    stream->out = BIO_new(BIO_s_mem());
    CHECK(stream->ssl != NULL && stream->in != NULL && stream->out != NULL);
    SSL_set_bio(stream->ssl, stream->in, stream->out);
    if (tls->side == RPC_TLS_SERVER) {
        SSL_set_accept_state(stream->ssl);
        return stream;
    }
    SSL_set_connect_state(stream->ssl);
    if (host != NULL && tls_host_is_address(host)) {
        (void)X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(stream->ssl), host);
    } else if (host != NULL) {
        (void)SSL_set1_host(stream->ssl, host);
        /* SSL_set_tlsext_host_name, whose macro drops a const. */
        (void)SSL_ctrl(stream->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                       (void *)(uintptr_t)host);
    }
    return stream;
}

void tls_stream_close(struct tls_stream *stream)
{
    SSL_free(stream->ssl);
    mem_free(stream);
}

static enum err tls_failure(struct tls_stream *stream)
{
    unsigned long code = ERR_peek_error();
    int reason = ERR_GET_REASON(code);
    long verified = SSL_get_verify_result(stream->ssl);
    ERR_clear_error();
    stream->why = reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK
                      ? X509_verify_cert_error_string(verified)
                      : ERR_reason_error_string(code);
    bool certificate = reason == SSL_R_CERTIFICATE_VERIFY_FAILED ||
                       reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE ||
                       reason == SSL_R_TLSV1_ALERT_UNKNOWN_CA ||
                       reason == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE ||
                       reason == SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED ||
                       reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED;
    return certificate ? ERR_DENIED : ERR_PROTOCOL;
}

enum err tls_stream_receive(struct tls_stream *stream, struct bytes cipher, struct buf *plain)
{
    CHECK(cipher.len <= INT32_MAX);
    CHECK(BIO_write(stream->in, cipher.data, (int)cipher.len) == (int)cipher.len);
    for (;;) {
        buf_reserve(plain, RECORD_BYTES);
        ERR_clear_error();
        int count = SSL_read(stream->ssl, plain->data + plain->len, RECORD_BYTES);
        if (count > 0) {
            plain->len += (size_t)count;
            continue;
        }
        switch (SSL_get_error(stream->ssl, count)) {
        case SSL_ERROR_WANT_READ:
        case SSL_ERROR_WANT_WRITE:
            return OK;
        case SSL_ERROR_ZERO_RETURN:
            return ERR_CLOSED;
        default:
            return tls_failure(stream);
        }
    }
}

void tls_stream_send(struct tls_stream *stream, struct bytes plain, bool last, struct buf *cipher)
{
    ERR_clear_error();
    if (plain.len > 0) {
        /* A memory BIO takes everything, so one call writes all of it. */
        size_t written = 0;
        int ok = SSL_write_ex(stream->ssl, plain.data, plain.len, &written);
        CHECK(ok != 1 || written == plain.len);
    } else if (!SSL_is_init_finished(stream->ssl)) {
        (void)SSL_do_handshake(stream->ssl);
    }
    if (last && SSL_is_init_finished(stream->ssl)) {
        (void)SSL_shutdown(stream->ssl);
    }
    ERR_clear_error();
    char *pending = NULL;
    long count = BIO_get_mem_data(stream->out, &pending);
    if (count > 0) {
        buf_put(cipher, pending, (size_t)count);
        (void)BIO_reset(stream->out);
    }
}

const char *tls_stream_why(const struct tls_stream *stream)
{
    return stream->why != NULL ? stream->why : "";
}

bool tls_stream_ready(const struct tls_stream *stream)
{
    return SSL_is_init_finished(stream->ssl) != 0;
}

bool tls_stream_peer_name(const struct tls_stream *stream, char *text, size_t cap)
{
    X509 *certificate = SSL_get0_peer_certificate(stream->ssl);
    if (certificate == NULL || SSL_get_verify_result(stream->ssl) != X509_V_OK) {
        return false;
    }
    int length = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text,
                                           (int)cap);
    /* A name with a zero byte inside is a trick. */
    return length > 0 && (size_t)length < cap && strlen(text) == (size_t)length;
}
