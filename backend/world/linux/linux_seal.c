#include "world/linux/linux_seal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "core/base/check.h"
#include "core/base/le.h"
#include "core/base/mem.h"
#include "world/linux/linux_world.h"

/* A power of two; more senders than this cost a derivation now and then. */
#define SEAL_DERIVED_KEYS 256

#define SEAL_PURPOSE "novacron health 1"

/* That of a key's print. */
#define SEAL_PRINT_PURPOSE "novacron health key print 1"

/* The longest line of a file of keys. */
#define SEAL_LINE_BYTES 256

struct seal_derived {
    node_id sender; /* NODE_NONE: free */
    uint8_t shared[SEAL_KEY_BYTES];
    uint8_t key[SEAL_KEY_BYTES];
};

struct linux_seal {
    EVP_CIPHER_CTX *ctx;
    struct seal_derived derived[SEAL_DERIVED_KEYS];
};

struct linux_seal *linux_seal_open(void)
{
    struct linux_seal *seal = mem_alloc_zero(sizeof(*seal));

    seal->ctx = EVP_CIPHER_CTX_new();
    CHECK(seal->ctx != NULL);
    return seal;
}

void linux_seal_close(struct linux_seal *seal)
{
    EVP_CIPHER_CTX_free(seal->ctx);
    OPENSSL_cleanse(seal, sizeof(*seal));
    mem_free(seal);
}

static const uint8_t *seal_key_of(struct linux_seal *seal, const struct seal_context *context)
{
    struct seal_derived *d =
        &seal->derived[(context->sender ^ context->key[0]) & (SEAL_DERIVED_KEYS - 1)];
    uint8_t input[sizeof(SEAL_PURPOSE) + 8] = SEAL_PURPOSE;
    unsigned length = 0;

    if (d->sender == context->sender && memcmp(d->shared, context->key, SEAL_KEY_BYTES) == 0) {
        return d->key;
    }
    le64_store(input + sizeof(SEAL_PURPOSE), context->sender);
    CHECK(HMAC(EVP_sha256(), context->key, SEAL_KEY_BYTES, input, sizeof(input), d->key, &length) !=
          NULL);
    CHECK(length == SEAL_KEY_BYTES);
    memcpy(d->shared, context->key, SEAL_KEY_BYTES);
    d->sender = context->sender;
    return d->key;
}

static void seal_begin(struct linux_seal *seal, const struct seal_context *context, int encrypts)
{
    int n = 0;

    CHECK(EVP_CipherInit_ex(seal->ctx, EVP_chacha20_poly1305(), NULL, seal_key_of(seal, context),
                            context->nonce, encrypts) == 1);
    CHECK(EVP_CipherUpdate(seal->ctx, NULL, &n, context->header.data, (int)context->header.len) ==
          1);
    if (context->label.len > 0) {
        CHECK(EVP_CipherUpdate(seal->ctx, NULL, &n, context->label.data, (int)context->label.len) ==
              1);
    }
}

static void linux_seal_seal(void *self, const struct seal_context *context, uint8_t *text, size_t n,
                            uint8_t tag[SEAL_TAG_BYTES])
{
    struct linux_seal *seal = self;
    int written = 0;

    seal_begin(seal, context, 1);
    if (n > 0) {
        CHECK(EVP_CipherUpdate(seal->ctx, text, &written, text, (int)n) == 1);
    }
    CHECK(EVP_CipherFinal_ex(seal->ctx, text + written, &written) == 1);
    CHECK(EVP_CIPHER_CTX_ctrl(seal->ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_BYTES, tag) == 1);
}

static bool linux_seal_unseal(void *self, const struct seal_context *context, uint8_t *text,
                              size_t n, const uint8_t tag[SEAL_TAG_BYTES])
{
    struct linux_seal *seal = self;
    uint8_t expected[SEAL_TAG_BYTES];
    int written = 0;

    memcpy(expected, tag, sizeof(expected));
    seal_begin(seal, context, 0);
    CHECK(EVP_CIPHER_CTX_ctrl(seal->ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_BYTES, expected) == 1);
    if (n > 0 && EVP_CipherUpdate(seal->ctx, text, &written, text, (int)n) != 1) {
        return false;
    }
    return EVP_CipherFinal_ex(seal->ctx, text + written, &written) == 1;
}

const struct seal_ops linux_seal_ops = {.seal = linux_seal_seal, .open = linux_seal_unseal};

/* --- keys ------------------------------------------------------------------------------------ */

static int seal_digit(char c)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    int digit = at == NULL ? -1 : (int)(at - digits);

    return digit < 16 ? digit : digit - 6;
}

static bool seal_key_parse(const char *text, uint8_t key[SEAL_KEY_BYTES])
{
    for (size_t i = 0; i < SEAL_KEY_BYTES; i++) {
        int high = seal_digit(text[2 * i]);
        int low = high < 0 ? -1 : seal_digit(text[2 * i + 1]);

        if (low < 0) {
            return false;
        }
        key[i] = (uint8_t)(high << 4 | low);
    }
    return text[2 * SEAL_KEY_BYTES + strspn(text + 2 * SEAL_KEY_BYTES, " \t\r\n")] == '\0';
}

enum err linux_seal_read_keys(const char *path, struct seal_ring *ret, unsigned *line)
{
    struct seal_ring ring = {.n = 0};
    char text[SEAL_LINE_BYTES];
    FILE *file = fopen(path, "re");
    enum err e = OK;
    unsigned at = 0;

    if (file == NULL) {
        return linux_err(errno);
    }
    while (e == OK && fgets(text, sizeof(text), file) != NULL) {
        uint8_t key[SEAL_KEY_BYTES];
        const char *first = text + strspn(text, " \t\r\n");

        at++;
        if (*first == '#' || *first == '\0') {
            continue;
        }
        if (!seal_key_parse(first, key) || seal_ring_put(&ring, key, false) != OK) {
            e = ERR_INVALID;
        }
        OPENSSL_cleanse(key, sizeof(key));
    }
    if (e == OK && ferror(file)) {
        e = ERR_IO;
    }
    if (e == OK && ring.n == 0) {
        e = ERR_INVALID;
        at = 0;
    }
    (void)fclose(file);
    OPENSSL_cleanse(text, sizeof(text));
    if (e == OK) {
        *ret = ring;
    } else {
        *line = at;
    }
    return e;
}

void linux_seal_print(const uint8_t key[SEAL_KEY_BYTES], char text[LINUX_SEAL_PRINT_BYTES])
{
    static const uint8_t purpose[] = SEAL_PRINT_PURPOSE;
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned length = 0;

    CHECK(HMAC(EVP_sha256(), key, SEAL_KEY_BYTES, purpose, sizeof purpose, mac, &length) != NULL);
    (void)snprintf(text, LINUX_SEAL_PRINT_BYTES, "%016llx", (unsigned long long)le64_load(mac));
}
