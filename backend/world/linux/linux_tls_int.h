/* Private to the Linux world: the TLS of one stream, between its socket's bytes and its sink's. It
 * makes no system call: bytes go in by linux_tls_feed, and come out in `cipher`. */
#ifndef NOVACRON_WORLD_LINUX_LINUX_TLS_INT_H
#define NOVACRON_WORLD_LINUX_LINUX_TLS_INT_H

#include "core/base/buf.h"
#include "world/linux/linux_tls.h"

struct linux_tls_end; /* opaque */

enum linux_tls_result {
    TLS_WANTS_MORE, /* bytes of the other end */
    TLS_DONE,       /* the handshake is; or bytes were read */
    TLS_ENDED,      /* the other end said goodbye */
    TLS_FAILED      /* see linux_tls_end_why */
};

struct linux_tls_end *linux_tls_end_new(struct linux_tls *tls, bool is_server);
void linux_tls_end_free(struct linux_tls_end *end);

/* What arrived, borrowed until it was used up: until handshake or read say TLS_WANTS_MORE. */
void linux_tls_feed(struct linux_tls_end *end, struct bytes cipher);

enum linux_tls_result linux_tls_handshake(struct linux_tls_end *end);

/* Reads at most `size` bytes; their count in *n, also where it is not DONE. */
enum linux_tls_result linux_tls_read(struct linux_tls_end *end, uint8_t *plain, size_t size,
                                     size_t *n);

/* Encrypts all of it, behind what is in `cipher` already. False: it failed. */
MUST_USE bool linux_tls_write(struct linux_tls_end *end, struct bytes plain);

/* Says goodbye. */
void linux_tls_goodbye(struct linux_tls_end *end);

/* What waits to be sent; whoever sent it takes it out. */
struct buf *linux_tls_cipher(struct linux_tls_end *end);

/* Of a failure: in words, and as an error. */
const char *linux_tls_end_why(const struct linux_tls_end *end);
enum err linux_tls_end_error(const struct linux_tls_end *end);

/* Does the other end's certificate bear the name? */
bool linux_tls_end_bears(const struct linux_tls_end *end, const char *name);

#endif
