#include "core/monitoring/health/probe_http.h"

#include <string.h>

#include <http_parser.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/base/say.h"

#define STATUS_MIN 100
#define STATUS_MAX 599

/* What http-parser wants to be told. */
#define SKIPS_BODY 1

/* The text is found by the automaton of Knuth, Morris and Pratt, which never looks back: a body
 * comes in pieces that are cut anywhere. back[i]: of the first i bytes, which matched, so many are
 * the beginning of the text again. */
struct http_answer {
    http_parser parser;
    const struct http_expect *expect; /* borrowed */
    enum http_verdict verdict;
    uint32_t status; /* of the final answer; 0: not there yet */
    size_t bytes;
    size_t body_bytes;
    size_t matched;
    size_t text_len;
    uint8_t back[HTTP_PROBE_TEXT_MAX_BYTES + 1];
};

_Static_assert(HTTP_PROBE_TEXT_MAX_BYTES <= UINT8_MAX, "a place in it is a byte");
_Static_assert(HTTP_PROBE_BODY_MAX_BYTES < HTTP_PROBE_ANSWER_MAX_BYTES, "a body has room");

/* --- what is expected ------------------------------------------------------------------------ */

struct http_expect http_expect_of(void)
{
    return (struct http_expect){.path = "/", .status_min = 200, .status_max = 399};
}

/* Printable, without spaces: what can neither end a line of the request nor part it. */
static bool is_one_word(const char *text, size_t max)
{
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f) {
            return false;
        }
    }
    return n > 0 && n <= max;
}

enum err http_expect_check(const struct http_expect *e, const char **why)
{
    if (e->path[0] != '/' || !is_one_word(e->path, HTTP_PROBE_PATH_MAX_BYTES)) {
        *why = "the path begins with \"/\", has no spaces and at most 512 bytes";
        return ERR_INVALID;
    }
    if (e->host != NULL && !is_one_word(e->host, HTTP_PROBE_HOST_MAX_BYTES)) {
        *why = "the host header has no spaces and at most 255 bytes";
        return ERR_INVALID;
    }
    if (e->status_min < STATUS_MIN || e->status_max > STATUS_MAX || e->status_min > e->status_max) {
        *why = "statuses are from 100 to 599, the lower one first";
        return ERR_INVALID;
    }
    if (e->text != NULL && (e->text[0] == '\0' || strlen(e->text) > HTTP_PROBE_TEXT_MAX_BYTES)) {
        *why = "the text in the body has 1 to 128 bytes";
        return ERR_INVALID;
    }
    return OK;
}

void http_expect_ask(struct buf *b, const struct http_expect *e, const struct world_endpoint *at)
{
    bool is_v6 = memchr(at->host, ':', strnlen(at->host, sizeof at->host)) != NULL;

    say(b, "GET ");
    say(b, e->path);
    say(b, " HTTP/1.1\r\nHost: ");
    if (e->host != NULL) {
        say(b, e->host);
    } else {
        say(b, is_v6 ? "[" : "");
        say(b, at->host);
        say(b, is_v6 ? "]:" : ":");
        say_u64(b, at->port);
    }
    say(b, "\r\nUser-Agent: novacron-probe\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
           "Connection: close\r\n\r\n");
}

/* --- the answer ------------------------------------------------------------------------------ */

static void answer_decide(struct http_answer *a, enum http_verdict verdict)
{
    if (a->verdict == HTTP_UNDECIDED) {
        a->verdict = verdict;
    }
}

/* What switches the protocol is final, what else is below 200 is not. */
static bool is_interim(uint32_t status)
{
    return status >= STATUS_MIN && status < 200 && status != 101;
}

static int answer_has_headers(http_parser *parser)
{
    struct http_answer *a = parser->data;
    uint32_t status = parser->status_code;

    if (is_interim(status)) {
        return SKIPS_BODY; /* it has none, whatever its headers announce */
    }
    if (a->verdict != HTTP_UNDECIDED) {
        return 0;
    }
    a->status = status;
    if (status < STATUS_MIN) {
        answer_decide(a, HTTP_MALFORMED);
    } else if (status < a->expect->status_min || status > a->expect->status_max) {
        answer_decide(a, HTTP_OTHER_STATUS);
    } else if (a->expect->text == NULL) {
        answer_decide(a, HTTP_WELL);
    }
    return 0;
}

static int answer_has_body(http_parser *parser, const char *at, size_t n)
{
    struct http_answer *a = parser->data;
    const char *text = a->expect->text;

    for (size_t i = 0; i < n && a->verdict == HTTP_UNDECIDED; i++) {
        while (a->matched > 0 && text[a->matched] != at[i]) {
            a->matched = a->back[a->matched];
        }
        a->matched += text[a->matched] == at[i];
        a->body_bytes++;
        if (a->matched == a->text_len) {
            answer_decide(a, HTTP_WELL);
        } else if (a->body_bytes == HTTP_PROBE_BODY_MAX_BYTES) {
            answer_decide(a, HTTP_OTHER_TEXT);
        }
    }
    return 0;
}

static int answer_is_complete(http_parser *parser)
{
    struct http_answer *a = parser->data;

    if (!is_interim(parser->status_code)) {
        answer_decide(a, HTTP_OTHER_TEXT);
    }
    return 0;
}

static void learn_text(struct http_answer *a, const char *text)
{
    size_t matched = 0;

    a->text_len = strlen(text);
    for (size_t i = 1; i < a->text_len; i++) {
        while (matched > 0 && text[matched] != text[i]) {
            matched = a->back[matched];
        }
        matched += text[matched] == text[i];
        a->back[i + 1] = (uint8_t)matched;
    }
}

struct http_answer *http_answer_new(const struct http_expect *expect)
{
    struct http_answer *a = mem_alloc_zero(sizeof *a);

    http_parser_init(&a->parser, HTTP_RESPONSE);
    a->parser.data = a;
    a->expect = expect;
    if (expect->text != NULL) {
        learn_text(a, expect->text);
    }
    return a;
}

void http_answer_free(struct http_answer *a)
{
    mem_free(a);
}

static bool answer_parse(struct http_answer *a, struct bytes bytes)
{
    http_parser_settings settings;

    http_parser_settings_init(&settings);
    settings.on_headers_complete = answer_has_headers;
    settings.on_body = answer_has_body;
    settings.on_message_complete = answer_is_complete;
    size_t taken = http_parser_execute(&a->parser, &settings, (const char *)bytes.data, bytes.len);
    return taken == bytes.len && HTTP_PARSER_ERRNO(&a->parser) == HPE_OK;
}

enum http_verdict http_answer_take(struct http_answer *a, struct bytes bytes)
{
    if (a->verdict != HTTP_UNDECIDED || bytes.len == 0) {
        return a->verdict;
    }
    a->bytes += bytes.len;
    if (!answer_parse(a, bytes)) {
        answer_decide(a, HTTP_MALFORMED);
    }
    if (a->bytes > HTTP_PROBE_ANSWER_MAX_BYTES) {
        answer_decide(a, HTTP_WITHOUT_END);
    }
    return a->verdict;
}

enum http_verdict http_answer_end(struct http_answer *a)
{
    if (a->verdict == HTTP_UNDECIDED) {
        /* Where neither a length nor chunks were announced, this is the end of the body. */
        (void)answer_parse(a, (struct bytes){NULL, 0});
        answer_decide(a, HTTP_BROKEN_OFF);
    }
    return a->verdict;
}

static void say_range(struct buf *b, const struct http_expect *e)
{
    say_u64(b, e->status_min);
    if (e->status_max > e->status_min) {
        say(b, "-");
        say_u64(b, e->status_max);
    }
}

void http_answer_say(struct buf *b, const struct http_answer *a)
{
    switch (a->verdict) {
    case HTTP_UNDECIDED:
        say(b, a->status != 0 ? "the answer did not end" : "no answer");
        break;
    case HTTP_WELL:
        say_u64(b, a->status);
        break;
    case HTTP_OTHER_STATUS:
        say_u64(b, a->status);
        say(b, " instead of ");
        say_range(b, a->expect);
        break;
    case HTTP_OTHER_TEXT:
        say_u64(b, a->status);
        say(b, ", without the expected text");
        break;
    case HTTP_MALFORMED:
        say(b, "the answer is not HTTP/1.x");
        break;
    case HTTP_BROKEN_OFF:
        say(b, a->bytes > 0 ? "the answer broke off" : "closed without an answer");
        break;
    case HTTP_WITHOUT_END:
        say(b, "the answer has no end within 256 KiB");
        break;
    case HTTP_VERDICTS:
        break;
    }
}
