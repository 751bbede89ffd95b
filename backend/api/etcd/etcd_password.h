/*
 * Passwords: PBKDF2 with HMAC-SHA-256 [RFC 8018], so that a stolen log or snapshot gives none away
 * cheaply. What is stored is opaque to the store:
 *
 *     version u8 (1), rounds u32, salt 16 bytes, key 32 bytes; little-endian
 *
 * The functions take as long as the rounds say; they touch nothing but their arguments, so that
 * they can run on another thread.
 */
#ifndef NOVACRON_API_ETCD_ETCD_PASSWORD_H
#define NOVACRON_API_ETCD_ETCD_PASSWORD_H

#include "core/base/buf.h"

#define ETCD_SALT_BYTES 16

/* Appends what is to be stored. */
void etcd_password_hash(struct bytes password, const uint8_t *salt, uint32_t rounds, struct buf *b);

/* Is it the password of this hash? False also where the hash is none. */
bool etcd_password_matches(struct bytes password, struct bytes hash);

#endif
