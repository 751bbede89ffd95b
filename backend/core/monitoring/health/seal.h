/*
 * seal: what every datagram and stream message of the health protocols travels in.
 *
 * A message is encrypted and authenticated (AEAD) under a key that the whole cluster shares, bound
 * to the cluster's label and to its sender. The cipher itself is a table that the shell gives: the
 * daemon's is ChaCha20-Poly1305, the simulator's a keyed stand-in that is held to the same contract
 * test. Nothing that fails to open is answered, ever.
 *
 * ENVELOPE, byte by byte:
 *
 *     0      1   0xA1: the format's version
 *     1      1   the key's tag: its first byte after a hash, which tells the keys of a ring apart
 *     2      2   the label's tag, so that a stranger is told from a wrong key
 *     4      v   the sender, a varint
 *     .      6   the sender's instance: drawn at each start, larger than those of earlier starts
 *     .      6   the counter: 1 for the first message of this instance, then one more each time
 *     .      n   the text, encrypted
 *     .     16   the tag of the cipher, over all of the above and the whole label
 *
 * NONCE. Instance and counter, 96 bits. The cipher derives a key for each sender from the shared
 * one, so a nonce must be unique for its sender alone: the counter never repeats within an
 * instance, and the shell promises that no two starts of a host share an instance.
 *
 * REPLAY. `struct seal_window` remembers, for one sender, the newest instance, the highest counter
 * of it and which of the 64 before it have come. What is older, doubled or of an earlier instance
 * is told apart, and takes no effect.
 *
 * ROTATION. A ring holds up to SEAL_KEYS_MAX keys; all of them open, the first one seals. To
 * rotate: add the new key behind the old on every host, then put it first on every host, then drop
 * the old one. Between any two of these steps all hosts understand each other.
 */
#ifndef NOVACRON_HEALTH_SEAL_H
#define NOVACRON_HEALTH_SEAL_H

#include "core/base/err.h"
#include "core/base/types.h"

#define SEAL_KEY_BYTES   32
#define SEAL_NONCE_BYTES 12
#define SEAL_TAG_BYTES   16

/* How many keys a ring holds: the one in use, one that comes, one that goes, and a spare. */
#define SEAL_KEYS_MAX 4

/* The longest header: 1 + 1 + 2 + a varint of ten + 6 + 6. */
#define SEAL_HEADER_MAX_BYTES 26

/* What an envelope adds at most to its text. */
#define SEAL_OVERHEAD_MAX_BYTES (SEAL_HEADER_MAX_BYTES + SEAL_TAG_BYTES)

/* The longest label of a cluster, in bytes, without a final zero. */
#define SEAL_LABEL_MAX_BYTES 32

/* Instance and counter have 48 bits. */
#define SEAL_NUMBER_MAX ((UINT64_C(1) << 48) - 1)

/* What is sealed together with a text, and not encrypted. */
struct seal_context {
    const uint8_t *key; /* SEAL_KEY_BYTES, shared by the cluster */
    node_id sender;     /* the cipher's key is derived from `key` and this */
    uint8_t nonce[SEAL_NONCE_BYTES];
    struct bytes header; /* authenticated, as is `label` */
    struct bytes label;
};

/* The cipher. Both work in place on `n` bytes of text. `open` leaves the text undefined where it
 * returns false. They keep no state that a caller could see. */
struct seal_ops {
    void (*seal)(void *self, const struct seal_context *context, uint8_t *text, size_t n,
                 uint8_t tag[SEAL_TAG_BYTES]);
    bool (*open)(void *self, const struct seal_context *context, uint8_t *text, size_t n,
                 const uint8_t tag[SEAL_TAG_BYTES]);
};

struct seal_cipher {
    void *self; /* borrowed */
    const struct seal_ops *ops;
};

/* The simulator's: fast, keyed, and of no use against an adversary. */
extern const struct seal_ops seal_stand_in;

struct seal_ring {
    uint8_t keys[SEAL_KEYS_MAX][SEAL_KEY_BYTES]; /* the first one seals */
    uint32_t n;
};

/* Puts a key into the ring: in front, where it seals from now on, or behind. Moves it if it is
 * there. ERR_NO_SPACE: the ring is full. */
MUST_USE enum err seal_ring_put(struct seal_ring *ring, const uint8_t key[SEAL_KEY_BYTES],
                                bool in_front);

/* Takes a key out. ERR_NOT_FOUND; ERR_REFUSED: it is the last one, or the one that seals. */
MUST_USE enum err seal_ring_drop(struct seal_ring *ring, const uint8_t key[SEAL_KEY_BYTES]);

/* Who seals: one sender's side. */
struct seal_sender {
    node_id id;
    uint64_t instance; /* at most SEAL_NUMBER_MAX */
    uint64_t counter;  /* of the last message */
};

struct seal_label {
    uint8_t bytes[SEAL_LABEL_MAX_BYTES];
    uint8_t len;
};

/* Writes the envelope of `text` to `out`, which has room for SEAL_OVERHEAD_MAX_BYTES more than the
 * text has, and returns its length. Takes the next counter. The ring is not empty. */
size_t seal_wrap(const struct seal_cipher *cipher, const struct seal_ring *ring,
                 const struct seal_label *label, struct seal_sender *sender, struct bytes text,
                 uint8_t *out);

struct seal_opened {
    node_id sender;
    uint64_t instance;
    uint64_t counter;
    struct bytes text; /* within the caller's `scratch` */
};

/* Checks and decrypts. `scratch` has room for as many bytes as the envelope has.
 *   ERR_TRUNCATED, ERR_UNSUPPORTED (another version), ERR_PROTOCOL: no envelope
 *   ERR_NOT_FOUND  another cluster's label
 *   ERR_DENIED     no key of the ring opens it */
MUST_USE enum err seal_unwrap(const struct seal_cipher *cipher, const struct seal_ring *ring,
                              const struct seal_label *label, struct bytes envelope,
                              uint8_t *scratch, struct seal_opened *ret);

/* One sender's replay window. Zeroed: nothing has come yet. */
struct seal_window {
    uint64_t instance;
    uint64_t highest; /* counter */
    uint64_t seen;    /* bit i: `highest - i` has come */
};

/* Takes note of a message that opened. OK: it is new. ERR_EXISTS: it came before, or is so old that
 * nobody can tell. ERR_REFUSED: it is of an earlier instance than one that was heard. */
MUST_USE enum err seal_window_admit(struct seal_window *window, uint64_t instance,
                                    uint64_t counter);

#endif
