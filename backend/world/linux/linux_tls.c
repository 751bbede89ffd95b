#include "world/linux/linux_tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "world/linux/linux_tls_int.h"
#include "world/linux/linux_world.h"

/* What the handshake offers, in the order of preference: a block cipher of 128 bits is as far out
 * of reach as one of 256, and costs less for each byte. */
#define CIPHERS "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

/* The longest name of a certificate that a reason quotes. */
#define SUBJECT_BYTES 160

struct linux_tls {
    char *ca; /* paths, owned */
    char *cert;
    char *key;
    SSL_CTX *context;
    BIO_METHOD *method;
    int64_t expiry;
};

struct linux_tls_end {
    SSL *ssl;
    struct bytes incoming; /* borrowed: what OpenSSL has not taken yet */
    struct buf cipher;
    enum err error;
    char subject[SUBJECT_BYTES]; /* of the certificate that was refused */
    char why[LINUX_TLS_WHY_BYTES];
};

/* --- what is wrong --------------------------------------------------------------------------- */

/* OpenSSL's words for the last thing that went wrong. */
static const char *tls_last_reason(void)
{
    unsigned long e = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(e);

    if (reason == NULL && ERR_SYSTEM_ERROR(e)) {
        return "it cannot be read";
    }
    return reason != NULL ? reason : "no reason was given";
}

__attribute__((format(printf, 3, 4))) static enum err tls_refuse(char why[LINUX_TLS_WHY_BYTES],
                                                                 enum err e, const char *format,
                                                                 ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(why, LINUX_TLS_WHY_BYTES, format, args);
    va_end(args);
    ERR_clear_error();
    return e;
}

static void subject_of(const X509 *cert, char subject[SUBJECT_BYTES])
{
    if (cert == NULL || X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName,
                                                  subject, SUBJECT_BYTES) < 0) {
        (void)snprintf(subject, SUBJECT_BYTES, "without a name");
    }
}

/* --- certificates ---------------------------------------------------------------------------- */

static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)arg;
    return -1; /* nobody is there to type it */
}

/* Called for each certificate of the other end's chain that OpenSSL has an opinion on. */
static int remember_refused(int ok, X509_STORE_CTX *chain)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct linux_tls_end *end = ssl != NULL ? SSL_get_app_data(ssl) : NULL;

    if (!ok && end != NULL) {
        subject_of(X509_STORE_CTX_get_current_cert(chain), end->subject);
    }
    return ok;
}

static enum err check_file(const char *path, bool is_secret, char why[LINUX_TLS_WHY_BYTES])
{
    struct stat st;

    if (stat(path, &st) != 0) {
        int error = errno;
        return tls_refuse(why, linux_err(error), "%s: %s", path, strerror(error));
    }
    if (is_secret && (st.st_mode & S_IRWXO) != 0) {
        return tls_refuse(why, ERR_DENIED,
                          "%s: everybody on this host can read the key; chmod it to 0600", path);
    }
    return OK;
}

/* Would peers take our own certificate, now and at either end? */
static enum err check_own(const struct linux_tls *tls, SSL_CTX *context,
                          char why[LINUX_TLS_WHY_BYTES])
{
    static const int purposes[] = {X509_PURPOSE_SSL_SERVER, X509_PURPOSE_SSL_CLIENT};
    X509 *cert = SSL_CTX_get0_certificate(context);
    STACK_OF(X509) *chain = NULL;
    enum err e = OK;

    CHECK(SSL_CTX_get0_chain_certs(context, &chain) == 1);
    for (size_t i = 0; i < COUNT_OF(purposes) && e == OK; i++) {
        X509_STORE_CTX *checked = X509_STORE_CTX_new();
        CHECK(checked != NULL);
        CHECK(X509_STORE_CTX_init(checked, SSL_CTX_get_cert_store(context), cert, chain) == 1);
        CHECK(X509_STORE_CTX_set_purpose(checked, purposes[i]) == 1);
        if (X509_verify_cert(checked) != 1) {
            e = tls_refuse(why, ERR_INVALID,
                           "%s: peers would refuse this certificate by the authority in %s: %s",
                           tls->cert, tls->ca,
                           X509_verify_cert_error_string(X509_STORE_CTX_get_error(checked)));
        }
        X509_STORE_CTX_free(checked);
    }
    return e;
}

static enum err fill_context(const struct linux_tls *tls, SSL_CTX *context,
                             char why[LINUX_TLS_WHY_BYTES])
{
    TRY(check_file(tls->ca, false, why));
    TRY(check_file(tls->cert, false, why));
    TRY(check_file(tls->key, true, why));
    if (SSL_CTX_load_verify_locations(context, tls->ca, NULL) != 1) {
        return tls_refuse(why, ERR_INVALID, "%s: this is no authority's certificate: %s", tls->ca,
                          tls_last_reason());
    }
    if (SSL_CTX_use_certificate_chain_file(context, tls->cert) != 1) {
        return tls_refuse(why, ERR_INVALID, "%s: this is no certificate: %s", tls->cert,
                          tls_last_reason());
    }
    if (SSL_CTX_use_PrivateKey_file(context, tls->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        return tls_refuse(why, ERR_INVALID, "%s: this is not the key of the certificate in %s: %s",
                          tls->key, tls->cert, tls_last_reason());
    }
    return check_own(tls, context, why);
}

static SSL_CTX *new_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_method());

    CHECK(context != NULL);
    CHECK(SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1);
    CHECK(SSL_CTX_set_ciphersuites(context, CIPHERS) == 1);
    CHECK(SSL_CTX_set_num_tickets(context, 0) == 1);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_default_passwd_cb(context, no_passphrase);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       remember_refused);
    return context;
}

static int64_t expiry_of(const X509 *cert)
{
    struct tm end;

    CHECK(ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end) == 1);
    return (int64_t)timegm(&end);
}

enum err linux_tls_reload(struct linux_tls *tls, char why[LINUX_TLS_WHY_BYTES])
{
    SSL_CTX *context = new_context();
    enum err e = fill_context(tls, context, why);

    if (e != OK) {
        SSL_CTX_free(context);
        return e;
    }
    SSL_CTX_free(tls->context); /* streams that are there keep it */
    tls->context = context;
    tls->expiry = expiry_of(SSL_CTX_get0_certificate(context));
    return OK;
}

void linux_tls_close(struct linux_tls *tls)
{
    SSL_CTX_free(tls->context);
    BIO_meth_free(tls->method);
    mem_free(tls->ca);
    mem_free(tls->cert);
    mem_free(tls->key);
    mem_free(tls);
}

int64_t linux_tls_expiry(const struct linux_tls *tls)
{
    return tls->expiry;
}

struct ssl_ctx_st *linux_tls_context(const struct linux_tls *tls)
{
    return tls->context;
}

/* --- bytes in and out ------------------------------------------------------------------------ */

static int end_gives(BIO *bio, char *ret, int size)
{
    struct linux_tls_end *end = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (end->incoming.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = u64_min(end->incoming.len, (uint64_t)size);
    memcpy(ret, end->incoming.data, n);
    end->incoming.data += n;
    end->incoming.len -= n;
    return (int)n;
}

static int end_takes(BIO *bio, const char *bytes, int size)
{
    struct linux_tls_end *end = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    buf_put(&end->cipher, bytes, (size_t)size);
    return size;
}

static long end_control(BIO *bio, int command, long number, void *ptr)
{
    (void)bio;
    (void)number;
    (void)ptr;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

enum err linux_tls_open(const struct linux_tls_files *files, char why[LINUX_TLS_WHY_BYTES],
                        struct linux_tls **ret)
{
    struct linux_tls *tls = mem_alloc_zero(sizeof *tls);
    const char *const from[] = {files->ca, files->cert, files->key};
    char **const to[] = {&tls->ca, &tls->cert, &tls->key};

    for (size_t i = 0; i < COUNT_OF(from); i++) {
        size_t n = strlen(from[i]) + 1;
        *to[i] = mem_alloc(n);
        memcpy(*to[i], from[i], n);
    }
    tls->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream");
    CHECK(tls->method != NULL);
    CHECK(BIO_meth_set_read(tls->method, end_gives) == 1);
    CHECK(BIO_meth_set_write(tls->method, end_takes) == 1);
    CHECK(BIO_meth_set_ctrl(tls->method, end_control) == 1);
    enum err e = linux_tls_reload(tls, why);
    if (e != OK) {
        linux_tls_close(tls);
        return e;
    }
    *ret = tls;
    return OK;
}

/* --- one end --------------------------------------------------------------------------------- */

struct linux_tls_end *linux_tls_end_new(struct linux_tls *tls, bool is_server)
{
    struct linux_tls_end *end = mem_alloc_zero(sizeof *end);
    BIO *bio = BIO_new(tls->method);

    end->ssl = SSL_new(tls->context);
    CHECK(end->ssl != NULL && bio != NULL);
    buf_init(&end->cipher);
    BIO_set_data(bio, end);
    BIO_set_init(bio, 1);
    SSL_set_bio(end->ssl, bio, bio);
    CHECK(SSL_set_app_data(end->ssl, end) == 1);
    if (is_server) {
        SSL_set_accept_state(end->ssl);
    } else {
        SSL_set_connect_state(end->ssl);
    }
    return end;
}

void linux_tls_end_free(struct linux_tls_end *end)
{
    SSL_free(end->ssl);
    buf_deinit(&end->cipher);
    mem_free(end);
}

void linux_tls_feed(struct linux_tls_end *end, struct bytes cipher)
{
    CHECK(end->incoming.len == 0);
    end->incoming = cipher;
}

/* Puts a failure into words. */
static void end_blame(struct linux_tls_end *end)
{
    unsigned long e = ERR_peek_last_error();
    long verdict = SSL_get_verify_result(end->ssl);
    int reason = ERR_GET_REASON(e);

    if (verdict != X509_V_OK) {
        end->error = tls_refuse(end->why, ERR_DENIED, "its certificate (%s) is refused: %s",
                                end->subject, X509_verify_cert_error_string(verdict));
    } else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        end->error = tls_refuse(end->why, ERR_DENIED, "it shows no certificate");
    } else if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
        end->error =
            tls_refuse(end->why, ERR_DENIED, "it refuses our certificate or our TLS, and says: %s",
                       tls_last_reason());
    } else {
        end->error =
            tls_refuse(end->why, ERR_PROTOCOL, "it does not speak our TLS: %s", tls_last_reason());
    }
}

/* What a call of OpenSSL that returned `r` came to. */
static enum linux_tls_result end_result(struct linux_tls_end *end, int r)
{
    switch (SSL_get_error(end->ssl, r)) {
    case SSL_ERROR_NONE:
        return TLS_DONE;
    case SSL_ERROR_WANT_READ:
        return TLS_WANTS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_ENDED;
    default:
        end_blame(end);
        return TLS_FAILED;
    }
}

enum linux_tls_result linux_tls_handshake(struct linux_tls_end *end)
{
    ERR_clear_error();
    return end_result(end, SSL_do_handshake(end->ssl));
}

enum linux_tls_result linux_tls_read(struct linux_tls_end *end, uint8_t *plain, size_t size,
                                     size_t *n)
{
    enum linux_tls_result result = TLS_DONE;

    *n = 0;
    ERR_clear_error();
    while (*n < size && result == TLS_DONE) {
        size_t more = 0;
        result = end_result(end, SSL_read_ex(end->ssl, plain + *n, size - *n, &more));
        *n += more;
    }
    return result;
}

bool linux_tls_write(struct linux_tls_end *end, struct bytes plain)
{
    size_t written = 0;

    ERR_clear_error();
    int r = SSL_write_ex(end->ssl, plain.data, plain.len, &written);
    if (r != 1) {
        end_blame(end);
        return false;
    }
    CHECK(written == plain.len);
    return true;
}

void linux_tls_goodbye(struct linux_tls_end *end)
{
    ERR_clear_error();
    (void)SSL_shutdown(end->ssl);
    ERR_clear_error();
}

struct buf *linux_tls_cipher(struct linux_tls_end *end)
{
    return &end->cipher;
}

const char *linux_tls_end_why(const struct linux_tls_end *end)
{
    return end->why;
}

enum err linux_tls_end_error(const struct linux_tls_end *end)
{
    return end->error;
}

bool linux_tls_end_bears(const struct linux_tls_end *end, const char *name)
{
    X509 *cert = SSL_get0_peer_certificate(end->ssl);

    return cert != NULL && X509_check_host(cert, name, 0, X509_CHECK_FLAG_NO_WILDCARDS, NULL) == 1;
}
