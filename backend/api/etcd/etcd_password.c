#include "api/etcd/etcd_password.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "core/base/check.h"
#include "core/base/cursor.h"

#define PASSWORD_VERSION   1
#define PASSWORD_KEY_BYTES 32

/* Beyond, a hash was made by no program of ours: nobody shall make a member compute for hours. */
#define PASSWORD_ROUNDS_MAX 10000000

static void password_derive(struct bytes password, const uint8_t *salt, uint32_t rounds,
                            uint8_t *key)
{
    static const char nothing[] = "";
    const char *text = password.len > 0 ? (const char *)password.data : nothing;
    CHECK(password.len <= INT_MAX && rounds > 0 && rounds <= PASSWORD_ROUNDS_MAX);
    CHECK(PKCS5_PBKDF2_HMAC(text, (int)password.len, salt, ETCD_SALT_BYTES, (int)rounds,
                            EVP_sha256(), PASSWORD_KEY_BYTES, key) == 1);
}

void etcd_password_hash(struct bytes password, const uint8_t *salt, uint32_t rounds, struct buf *b)
{
    uint8_t key[PASSWORD_KEY_BYTES];
    password_derive(password, salt, rounds, key);
    buf_put_u8(b, PASSWORD_VERSION);
    buf_put_u32(b, rounds);
    buf_put(b, salt, ETCD_SALT_BYTES);
    buf_put(b, key, sizeof(key));
    OPENSSL_cleanse(key, sizeof(key));
}

bool etcd_password_matches(struct bytes password, struct bytes hash)
{
    struct cursor c;
    cursor_init(&c, hash);
    uint8_t version = cursor_u8(&c);
    uint32_t rounds = cursor_u32(&c);
    struct bytes salt = cursor_take(&c, ETCD_SALT_BYTES);
    struct bytes stored = cursor_take(&c, PASSWORD_KEY_BYTES);
    if (!cursor_done(&c) || version != PASSWORD_VERSION || rounds == 0 ||
        rounds > PASSWORD_ROUNDS_MAX) {
        return false;
    }
    uint8_t key[PASSWORD_KEY_BYTES];
    password_derive(password, salt.data, rounds, key);
    bool matches = CRYPTO_memcmp(key, stored.data, sizeof(key)) == 0;
    OPENSSL_cleanse(key, sizeof(key));
    return matches;
}
