/*
 * linux_seal: the cipher of health messages (core/monitoring/health/seal.h) as OpenSSL has it:
 * ChaCha20-Poly1305 [RFC8439], under a key for each sender that HMAC-SHA256 derives from the shared
 * one. Derived keys are kept in a small table, so that a message costs no derivation.
 */
#ifndef NOVACRON_WORLD_LINUX_LINUX_SEAL_H
#define NOVACRON_WORLD_LINUX_LINUX_SEAL_H

#include "core/monitoring/health/seal.h"

struct linux_seal; /* opaque */

extern const struct seal_ops linux_seal_ops;

/* Never NULL; its address is the `self` of the operations. */
struct linux_seal *linux_seal_open(void);

/* Wipes the keys. */
void linux_seal_close(struct linux_seal *seal);

/* Reads a file of keys: one a line, 64 hexadecimal digits, the first one seals; '#' begins a
 * comment. ERR_NOT_FOUND, ERR_DENIED, ERR_IO of the file; ERR_INVALID: *line is wrong (0: there is
 * no key, or one too many). */
MUST_USE enum err linux_seal_read_keys(const char *path, struct seal_ring *ret, unsigned *line);

/* What tells keys apart and tells nothing else of them: to see whether two hosts mean the same. */
#define LINUX_SEAL_PRINT_BYTES 17
void linux_seal_print(const uint8_t key[SEAL_KEY_BYTES], char text[LINUX_SEAL_PRINT_BYTES]);

#endif
