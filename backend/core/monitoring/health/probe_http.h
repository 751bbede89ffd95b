/*
 * What a probe says to an HTTP server, and what it makes of the answer; without sockets. HTTP/1.1
 * in clear text: one GET, and the connection is closed after it.
 *
 * An answer is well if its status is in the expected range and, where a text is expected, its body
 * holds that within the first HTTP_PROBE_BODY_MAX_BYTES. Redirects are not followed: an application
 * is judged by what it says itself. Interim answers (1xx) are passed over. Without a text the
 * verdict is there with the last byte of the headers, and no body is read.
 *
 * The bytes are a stranger's: parsed by http-parser, which is bounded in its headers, and bounded
 * here in everything.
 */
#ifndef NOVACRON_HEALTH_PROBE_HTTP_H
#define NOVACRON_HEALTH_PROBE_HTTP_H

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/types.h"
#include "core/world/world.h"

/* The longest path and Host header, and the longest text, in bytes without a final zero. */
#define HTTP_PROBE_PATH_MAX_BYTES 512
#define HTTP_PROBE_HOST_MAX_BYTES 255
#define HTTP_PROBE_TEXT_MAX_BYTES 128

/* In which the text has to be; and of an answer with everything: at most. */
#define HTTP_PROBE_BODY_MAX_BYTES   (64 * 1024)
#define HTTP_PROBE_ANSWER_MAX_BYTES (256 * 1024)

struct http_expect {
    const char *path;    /* borrowed; with its query */
    const char *host;    /* borrowed; NULL: the endpoint */
    uint32_t status_min; /* 100 .. 599 */
    uint32_t status_max; /* not less */
    const char *text;    /* borrowed; NULL: any body will do */
};

enum http_verdict {
    HTTP_UNDECIDED, /* there has to be more */
    HTTP_WELL,
    HTTP_OTHER_STATUS,
    HTTP_OTHER_TEXT,  /* the text is not there */
    HTTP_MALFORMED,   /* it is no answer of HTTP */
    HTTP_BROKEN_OFF,  /* it ended too early */
    HTTP_WITHOUT_END, /* too much came, and no verdict */
    HTTP_VERDICTS
};

struct http_answer; /* opaque */

/* "/", 200 to 399, any body. */
struct http_expect http_expect_of(void);

/* ERR_INVALID: `*why` says what is wrong, a static text. */
enum err http_expect_check(const struct http_expect *expect, const char **why) MUST_USE;

/* Appends the request. */
void http_expect_ask(struct buf *b, const struct http_expect *expect,
                     const struct world_endpoint *at);

/* An answer that is about to come. `expect` was checked, and stays in place. */
struct http_answer *http_answer_new(const struct http_expect *expect);
void http_answer_free(struct http_answer *answer);

/* Bytes came. After the first verdict that is not UNDECIDED it does not change any more. */
enum http_verdict http_answer_take(struct http_answer *answer, struct bytes bytes);

/* The connection was ended by the other side. Never UNDECIDED. */
enum http_verdict http_answer_end(struct http_answer *answer);

/* Appends the verdict in words: "503 instead of 200-399". */
void http_answer_say(struct buf *b, const struct http_answer *answer);

#endif
