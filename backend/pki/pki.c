#include "pki/pki.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/check.h"
#include "pki/pki_file.h"

/* Random bits of a serial number: below the 20 bytes that RFC 5280 allows, and never negative. */
#define SERIAL_BITS 127

#define KEY_MODE  0600U
#define CERT_MODE 0644U

/* Letters, digits, '-' and '.', none of these two first: a name for DNS and for files. */
static bool is_dns_name(const char *name)
{
    size_t n = strlen(name);

    if (n == 0 || n >= PKI_NAME_BYTES || name[0] == '-' || name[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '.';
        if (!fits) {
            return false;
        }
    }
    return true;
}

static enum err check_span(struct pki_span span, char why[PKI_WHY_BYTES])
{
    return span.from < span.until
               ? OK
               : pki_refuse(why, ERR_INVALID, "the certificate would end before it begins");
}

/* --- what a certificate says ----------------------------------------------------------------- */

static void set_serial(X509 *cert)
{
    BIGNUM *serial = BN_new();

    CHECK(serial != NULL);
    CHECK(BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1);
    CHECK(BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)) != NULL);
    BN_free(serial);
}

static void set_span(X509 *cert, struct pki_span span)
{
    CHECK(ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)span.from) != NULL);
    CHECK(ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)span.until) != NULL);
}

static X509_NAME *new_name(const char *name)
{
    X509_NAME *ret = X509_NAME_new();

    CHECK(ret != NULL);
    CHECK(X509_NAME_add_entry_by_NID(ret, NID_organizationName, MBSTRING_ASC,
                                     (const unsigned char *)"NovaCron", -1, -1, 0) == 1);
    CHECK(X509_NAME_add_entry_by_NID(ret, NID_commonName, MBSTRING_UTF8,
                                     (const unsigned char *)name, -1, -1, 0) == 1);
    return ret;
}

/* `value` is a literal of this file: nothing from outside is parsed. */
static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    CHECK(extension != NULL);
    CHECK(X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void add_dns(GENERAL_NAMES *names, const char *host)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();

    CHECK(name != NULL && text != NULL);
    CHECK(ASN1_STRING_set(text, host, -1) == 1);
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
    CHECK(sk_GENERAL_NAME_push(names, name) > 0);
}

/* False: it is no numeric address. */
static bool add_address(GENERAL_NAMES *names, const char *host)
{
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(host);

    if (address == NULL) {
        ERR_clear_error();
        return false;
    }
    GENERAL_NAME *name = GENERAL_NAME_new();
    CHECK(name != NULL);
    GENERAL_NAME_set0_value(name, GEN_IPADD, address);
    CHECK(sk_GENERAL_NAME_push(names, name) > 0);
    return true;
}

static void add_alternative_names(X509 *cert, const struct pki_member *member)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();

    CHECK(names != NULL);
    add_dns(names, member->name);
    for (size_t i = 0; i < member->host_count; i++) {
        if (!add_address(names, member->hosts[i]) && strcmp(member->hosts[i], member->name) != 0) {
            add_dns(names, member->hosts[i]);
        }
    }
    CHECK(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1);
    GENERAL_NAMES_free(names);
}

static X509 *new_certificate(const char *name, struct pki_span span, EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_NAME *subject = new_name(name);

    CHECK(cert != NULL);
    CHECK(X509_set_version(cert, X509_VERSION_3) == 1);
    set_serial(cert);
    set_span(cert, span);
    CHECK(X509_set_subject_name(cert, subject) == 1);
    CHECK(X509_set_pubkey(cert, key) == 1);
    X509_NAME_free(subject);
    return cert;
}

static void sign(X509 *cert, X509 *issuer, EVP_PKEY *issuer_key)
{
    CHECK(X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1);
    add_extension(cert, issuer, NID_subject_key_identifier, "hash");
    if (cert != issuer) {
        add_extension(cert, issuer, NID_authority_key_identifier, "keyid:always");
    }
    CHECK(X509_sign(cert, issuer_key, EVP_sha256()) > 0);
}

static EVP_PKEY *new_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    CHECK(key != NULL);
    return key;
}

/* --- files ----------------------------------------------------------------------------------- */

static struct bytes bytes_of(BIO *bio)
{
    char *text = NULL;
    long n = BIO_get_mem_data(bio, &text);

    return (struct bytes){(const uint8_t *)text, (size_t)n};
}

/* Key first: a certificate without its key is of no use to anybody. */
static enum err store_pair(const struct pki_file *cert_file, const struct pki_file *key_file,
                           X509 *cert, EVP_PKEY *key, char why[PKI_WHY_BYTES])
{
    TRY(pki_file_check_absent(cert_file, why));
    TRY(pki_file_check_absent(key_file, why));
    BIO *cert_text = BIO_new(BIO_s_mem());
    BIO *key_text = BIO_new(BIO_s_secmem());
    CHECK(cert_text != NULL && key_text != NULL);
    CHECK(PEM_write_bio_X509(cert_text, cert) == 1);
    CHECK(PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL) == 1);
    enum err e = pki_file_create(key_file, bytes_of(key_text), KEY_MODE, why);
    if (e == OK) {
        e = pki_file_create(cert_file, bytes_of(cert_text), CERT_MODE, why);
        if (e != OK) {
            pki_file_remove(key_file);
        }
    }
    BIO_free(cert_text);
    BIO_free(key_text);
    return e;
}

static enum err make_directory(const char *dir, char why[PKI_WHY_BYTES])
{
    if (mkdir(dir, 0700) == 0 || errno == EEXIST) {
        return OK;
    }
    return pki_refuse(why, errno == ENOENT ? ERR_NOT_FOUND : ERR_DENIED, "%s: %s", dir,
                      strerror(errno));
}

enum err pki_init(const char *dir, const char *name, struct pki_span span, char why[PKI_WHY_BYTES])
{
    struct pki_file cert_file;
    struct pki_file key_file;

    TRY(check_span(span, why));
    if (name[0] == '\0' || strlen(name) >= PKI_NAME_BYTES) {
        return pki_refuse(why, ERR_INVALID, "the authority's name has 1 to %d bytes",
                          PKI_NAME_BYTES - 1);
    }
    TRY(pki_file_name(&cert_file, dir, "ca", ".crt", why));
    TRY(pki_file_name(&key_file, dir, "ca", ".key", why));
    TRY(make_directory(dir, why));
    EVP_PKEY *key = new_key();
    X509 *cert = new_certificate(name, span, key);
    add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
    add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign");
    sign(cert, cert, key);
    enum err e = store_pair(&cert_file, &key_file, cert, key, why);
    X509_free(cert);
    EVP_PKEY_free(key);
    return e;
}

struct authority {
    X509 *cert;
    EVP_PKEY *key;
};

static void authority_free(struct authority *a)
{
    X509_free(a->cert);
    EVP_PKEY_free(a->key);
}

/* A passphrase would be asked for on the terminal. */
static int refuse_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf;
    (void)size;
    (void)rwflag;
    (void)arg;
    return -1;
}

static enum err authority_load(const char *dir, struct authority *ret, char why[PKI_WHY_BYTES])
{
    struct authority a = {NULL, NULL};
    struct pki_file cert_file;
    struct pki_file key_file;

    TRY(pki_file_name(&cert_file, dir, "ca", ".crt", why));
    TRY(pki_file_name(&key_file, dir, "ca", ".key", why));
    FILE *cert = fopen(cert_file.path, "re");
    FILE *key = fopen(key_file.path, "re");
    if (cert == NULL || key == NULL) {
        int error = errno;
        if (cert != NULL) {
            (void)fclose(cert);
        }
        return pki_refuse(why, error == ENOENT ? ERR_NOT_FOUND : ERR_DENIED,
                          "%s: %s; `novacron ca init %s` makes an authority",
                          cert == NULL ? cert_file.path : key_file.path, strerror(error), dir);
    }
    a.cert = PEM_read_X509(cert, NULL, refuse_passphrase, NULL);
    a.key = PEM_read_PrivateKey(key, NULL, refuse_passphrase, NULL);
    (void)fclose(cert);
    (void)fclose(key);
    if (a.cert == NULL || a.key == NULL || X509_check_private_key(a.cert, a.key) != 1) {
        ERR_clear_error();
        authority_free(&a);
        return pki_refuse(why, ERR_INVALID, "%s and %s are not an authority's certificate and key",
                          cert_file.path, key_file.path);
    }
    *ret = a;
    return OK;
}

static int64_t authority_end(const struct authority *a)
{
    struct tm end;

    CHECK(ASN1_TIME_to_tm(X509_get0_notAfter(a->cert), &end) == 1);
    return (int64_t)timegm(&end);
}

static bool is_numeric(const char *host)
{
    struct in6_addr any;

    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

enum err pki_names_check(const struct pki_member *member, char why[PKI_WHY_BYTES])
{
    if (!is_dns_name(member->name) || strcmp(member->name, "ca") == 0) {
        return pki_refuse(why, ERR_INVALID,
                          "\"%s\" is no name of a member: at most %d letters, digits, '-' and '.', "
                          "and not \"ca\"",
                          member->name, PKI_NAME_BYTES - 1);
    }
    if (member->host_count > PKI_HOSTS_MAX) {
        return pki_refuse(why, ERR_INVALID, "more than %d hosts", PKI_HOSTS_MAX);
    }
    for (size_t i = 0; i < member->host_count; i++) {
        if (!is_numeric(member->hosts[i]) && !is_dns_name(member->hosts[i])) {
            return pki_refuse(why, ERR_INVALID, "\"%s\" is neither a DNS name nor an address",
                              member->hosts[i]);
        }
    }
    return OK;
}

enum err pki_issue(const char *dir, const struct pki_member *member, char why[PKI_WHY_BYTES])
{
    struct authority a = {NULL, NULL};
    struct pki_file cert_file;
    struct pki_file key_file;
    struct pki_span span = member->span;

    TRY(pki_names_check(member, why));
    TRY(check_span(member->span, why));
    TRY(pki_file_name(&cert_file, dir, member->name, ".crt", why));
    TRY(pki_file_name(&key_file, dir, member->name, ".key", why));
    TRY(authority_load(dir, &a, why));
    span.until = authority_end(&a) < span.until ? authority_end(&a) : span.until;
    enum err e = check_span(span, why);
    if (e == OK) {
        EVP_PKEY *key = new_key();
        X509 *cert = new_certificate(member->name, span, key);
        add_extension(cert, a.cert, NID_basic_constraints, "critical,CA:FALSE");
        add_extension(cert, a.cert, NID_key_usage, "critical,digitalSignature");
        add_extension(cert, a.cert, NID_ext_key_usage, "serverAuth,clientAuth");
        add_alternative_names(cert, member);
        sign(cert, a.cert, a.key);
        e = store_pair(&cert_file, &key_file, cert, key, why);
        X509_free(cert);
        EVP_PKEY_free(key);
    }
    authority_free(&a);
    return e;
}
