#include "core/base/json.h"

#include <string.h>

#include "core/base/check.h"

_Static_assert(JSON_NESTING_MAX <= 32, "one bit a level in `is_object`");

/* A text that is being scanned. `what` is set with the first fault, and `at` stands there then. */
struct scan {
    const uint8_t *at;
    const uint8_t *end;
    const char *what;
    uint32_t is_object; /* a bit a level: is it an object, or else an array? */
    uint32_t depth;
};

static bool scan_fails(struct scan *s, const char *what)
{
    if (s->what == NULL) {
        s->what = what;
    }
    return false;
}

static const uint8_t *skip_blanks(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) {
        at++;
    }
    return at;
}

/* The next byte that is not white space; 0 at the end: no text may hold one outside of strings. */
static uint8_t scan_peek(struct scan *s)
{
    s->at = skip_blanks(s->at, s->end);
    return s->at < s->end ? *s->at : 0;
}

/* --- Strings ---------------------------------------------------------------------------------- */

size_t utf8_length(const uint8_t *at, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = at[0] < 0x80 ? 1 : at[0] < 0xC2 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;

    if (n == 0 || n > left || at[0] > 0xF4) {
        return 0;
    }
    uint32_t code = n == 1 ? at[0] : (uint32_t)at[0] & (0x7FU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
        code = code << 6 | (at[i] & 0x3FU);
    }
    bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code < least[n] || surrogate || code > 0x10FFFF ? 0 : n;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits behind "\u", or -1. */
static int32_t hex_unit(const uint8_t *at, size_t left)
{
    int32_t unit = 0;

    for (size_t i = 0; i < 4; i++) {
        int digit = i < left ? hex_digit(at[i]) : -1;
        if (digit < 0) {
            return -1;
        }
        unit = unit * 16 + digit;
    }
    return unit;
}

static bool unit_is_high(int32_t unit)
{
    return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool unit_is_low(int32_t unit)
{
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

/* The escape at `at`, which is a backslash: its length and its character; 0: it is malformed. */
static size_t escape_read(const uint8_t *at, size_t left, uint32_t *ret)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";

    if (left < 2) {
        return 0;
    }
    const char *letter = memchr(letters, at[1], sizeof letters - 1);
    if (letter != NULL) {
        *ret = (uint8_t)meanings[letter - letters];
        return 2;
    }
    int32_t unit = at[1] == 'u' ? hex_unit(at + 2, left - 2) : -1;
    if (unit <= 0 || unit_is_low(unit)) {
        return 0;
    }
    if (!unit_is_high(unit)) {
        *ret = (uint32_t)unit;
        return 6;
    }
    bool is_pair = left >= 8 && at[6] == '\\' && at[7] == 'u';
    int32_t low = is_pair ? hex_unit(at + 8, left - 8) : -1;
    if (!unit_is_low(low)) {
        return 0;
    }
    *ret = 0x10000 + (((uint32_t)unit & 0x3FF) << 10 | ((uint32_t)low & 0x3FF));
    return 12;
}

static bool scan_string(struct scan *s)
{
    if (scan_peek(s) != '"') {
        return scan_fails(s, "a string was expected");
    }
    s->at++;
    while (s->at < s->end && *s->at != '"') {
        uint32_t ignored;
        size_t left = (size_t)(s->end - s->at);
        if (*s->at < 0x20) {
            return scan_fails(s, "a control character stands in a string; write it as an escape");
        }
        size_t n = *s->at == '\\' ? escape_read(s->at, left, &ignored) : utf8_length(s->at, left);
        if (n == 0) {
            return scan_fails(s, *s->at == '\\' ? "an escape is malformed" : "this is no UTF-8");
        }
        s->at += n;
    }
    if (s->at == s->end) {
        return scan_fails(s, "a string does not end");
    }
    s->at++;
    return true;
}

static size_t utf8_put(uint32_t code, uint8_t ret[4])
{
    if (code < 0x80) {
        ret[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        ret[0] = (uint8_t)(0xC0 | code >> 6);
        ret[1] = (uint8_t)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        ret[0] = (uint8_t)(0xE0 | code >> 12);
        ret[1] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
        ret[2] = (uint8_t)(0x80 | (code & 0x3F));
        return 3;
    }
    ret[0] = (uint8_t)(0xF0 | code >> 18);
    ret[1] = (uint8_t)(0x80 | (code >> 12 & 0x3F));
    ret[2] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
    ret[3] = (uint8_t)(0x80 | (code & 0x3F));
    return 4;
}

size_t json_read_string(struct bytes value, char *ret, size_t size)
{
    const uint8_t *at = value.data + 1;
    const uint8_t *end = value.data + value.len - 1;
    size_t whole = 0;
    size_t kept = 0;

    CHECK(size > 0 && json_shape_of(value) == JSON_IS_STRING);
    while (at < end) {
        uint8_t utf8[4];
        const uint8_t *from = at;
        uint32_t code = 0;
        size_t n = 0;
        if (*at == '\\') {
            at += escape_read(at, (size_t)(end - at), &code);
            n = utf8_put(code, utf8);
            from = utf8;
        } else {
            n = utf8_length(at, (size_t)(end - at));
            at += n;
        }
        if (whole + n < size) { /* and never again behind a cut, as `whole` only grows */
            memcpy(ret + kept, from, n);
            kept += n;
        }
        whole += n;
    }
    ret[kept] = '\0';
    return whole;
}

/* --- Values ----------------------------------------------------------------------------------- */

static bool scan_word(struct scan *s, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0) {
        return scan_fails(s, "a value was expected: an object, an array, a string in quotes, a "
                             "number, true, false or null");
    }
    s->at += n;
    return true;
}

static bool scan_digits(struct scan *s)
{
    const uint8_t *begin = s->at;

    while (s->at < s->end && *s->at >= '0' && *s->at <= '9') {
        s->at++;
    }
    return s->at > begin || scan_fails(s, "a digit was expected");
}

static bool scan_number(struct scan *s)
{
    if (*s->at == '-') {
        s->at++;
    }
    if (s->at < s->end && *s->at == '0') {
        s->at++;
        if (s->at < s->end && *s->at >= '0' && *s->at <= '9') {
            return scan_fails(s, "a number begins with 0");
        }
    } else if (!scan_digits(s)) {
        return false;
    }
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (!scan_digits(s)) {
            return false;
        }
    }
    if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-')) {
            s->at++;
        }
        return scan_digits(s);
    }
    return true;
}

static bool scan_key(struct scan *s)
{
    if (!scan_string(s)) {
        return false;
    }
    if (scan_peek(s) != ':') {
        return scan_fails(s, "a ':' was expected behind the name");
    }
    s->at++;
    return true;
}

/* Enters an object or array. Its first value follows, unless `*is_empty`: it has ended then. */
static bool scan_enter(struct scan *s, bool is_object, bool *is_empty)
{
    if (s->depth == JSON_NESTING_MAX) {
        return scan_fails(s, "objects and arrays are nested too deeply");
    }
    s->at++;
    *is_empty = scan_peek(s) == (is_object ? '}' : ']');
    if (*is_empty) {
        s->at++;
        return true;
    }
    uint32_t bit = 1U << s->depth;
    s->is_object = is_object ? s->is_object | bit : s->is_object & ~bit;
    s->depth++;
    return !is_object || scan_key(s);
}

/* What begins a value: a whole scalar, or an object or array as far as its first value. */
static bool scan_begin(struct scan *s, bool *is_whole)
{
    uint8_t c = scan_peek(s);

    *is_whole = true;
    switch (c) {
    case '{':
    case '[':
        return scan_enter(s, c == '{', is_whole);
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    default:
        return c == '-' || (c >= '0' && c <= '9') ? scan_number(s) : scan_word(s, "null");
    }
}

/* What stands behind a value inside of an object or array: its end, or the next value's begin. */
static bool scan_behind(struct scan *s, bool *is_whole)
{
    bool is_object = (s->is_object >> (s->depth - 1) & 1) != 0;
    uint8_t c = scan_peek(s);

    if (c == (is_object ? '}' : ']')) {
        s->at++;
        s->depth--;
        *is_whole = true;
        return true;
    }
    if (c != ',') {
        return scan_fails(s, is_object ? "a ',' or '}' was expected" : "a ',' or ']' was expected");
    }
    s->at++;
    *is_whole = false;
    return !is_object || scan_key(s);
}

static bool scan_value(struct scan *s)
{
    bool is_whole = false;

    do {
        if (!(is_whole ? scan_behind(s, &is_whole) : scan_begin(s, &is_whole))) {
            return false;
        }
    } while (!is_whole || s->depth > 0);
    return true;
}

enum err json_scan(struct bytes text, struct bytes *value, struct json_fault *fault)
{
    if (text.len == 0) {
        *fault = (struct json_fault){.at = 0, .what = "it is empty"};
        return ERR_INVALID;
    }
    struct scan s = {.at = text.data, .end = text.data + text.len, .what = NULL};
    (void)scan_peek(&s);
    const uint8_t *begin = s.at;
    if (scan_value(&s)) {
        const uint8_t *end = s.at;
        if (skip_blanks(end, s.end) == s.end) {
            *value = (struct bytes){begin, (size_t)(end - begin)};
            return OK;
        }
        s.at = skip_blanks(end, s.end);
        (void)scan_fails(&s, "something follows behind the value");
    }
    *fault = (struct json_fault){.at = (size_t)(s.at - text.data), .what = s.what};
    return ERR_INVALID;
}

/* --- Reading what was scanned ----------------------------------------------------------------- */

const char *json_shape_name(enum json_shape shape)
{
    static const char *const names[] = {"an object", "an array",      "a string",
                                        "a number",  "true or false", "null"};

    return names[shape];
}

enum json_shape json_shape_of(struct bytes value)
{
    CHECK(value.len > 0);
    switch (value.data[0]) {
    case '{':
        return JSON_IS_OBJECT;
    case '[':
        return JSON_IS_ARRAY;
    case '"':
        return JSON_IS_STRING;
    case 't':
    case 'f':
        return JSON_IS_BOOL;
    case 'n':
        return JSON_IS_NULL;
    default:
        return JSON_IS_NUMBER;
    }
}

void json_walk_begin(struct json_walk *w, struct bytes value)
{
    enum json_shape shape = json_shape_of(value);

    CHECK(shape == JSON_IS_OBJECT || shape == JSON_IS_ARRAY);
    w->at = value.data + 1;
    w->end = value.data + value.len;
    w->has_keys = shape == JSON_IS_OBJECT;
}

bool json_walk_next(struct json_walk *w, struct bytes *key, struct bytes *value)
{
    struct scan s = {.at = w->at, .end = w->end, .what = NULL};

    if (scan_peek(&s) == ',') {
        s.at++;
    }
    if (scan_peek(&s) == (w->has_keys ? '}' : ']')) {
        return false;
    }
    *key = (struct bytes){s.at, 0};
    if (w->has_keys) {
        CHECK(scan_string(&s));
        key->len = (size_t)(s.at - key->data);
        CHECK(scan_peek(&s) == ':');
        s.at++;
    }
    (void)scan_peek(&s);
    const uint8_t *begin = s.at;
    CHECK(scan_value(&s));
    *value = (struct bytes){begin, (size_t)(s.at - begin)};
    w->at = s.at;
    return true;
}

enum err json_read_u64(struct bytes value, uint64_t *ret)
{
    uint64_t v = 0;

    for (size_t i = 0; i < value.len; i++) {
        uint8_t digit = (uint8_t)(value.data[i] - '0');
        if (digit > 9) {
            return ERR_INVALID;
        }
        if (v > (UINT64_MAX - digit) / 10) {
            return ERR_TOO_LARGE;
        }
        v = v * 10 + digit;
    }
    *ret = v;
    return OK;
}

bool json_read_bool(struct bytes value)
{
    return value.data[0] == 't';
}

/* --- Writing ---------------------------------------------------------------------------------- */

static void put_chars(struct buf *text, const char *chars)
{
    buf_put(text, chars, strlen(chars));
}

static void put_escaped(struct buf *text, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";

    switch (c) {
    case '"':
        put_chars(text, "\\\"");
        break;
    case '\\':
        put_chars(text, "\\\\");
        break;
    case '\n':
        put_chars(text, "\\n");
        break;
    case '\r':
        put_chars(text, "\\r");
        break;
    case '\t':
        put_chars(text, "\\t");
        break;
    default:
        if (c < 0x20 || c == 0x7F) {
            put_chars(text, "\\u00");
            buf_put_u8(text, (uint8_t)hex[c >> 4]);
            buf_put_u8(text, (uint8_t)hex[c & 15]);
        } else {
            buf_put_u8(text, c);
        }
    }
}

void json_put_bytes_string(struct buf *text, struct bytes string)
{
    buf_put_u8(text, '"');
    for (size_t i = 0; i < string.len;) {
        size_t n = utf8_length(string.data + i, string.len - i);
        if (n == 0) {
            put_chars(text, "\xEF\xBF\xBD");
            n = 1;
        } else if (n == 1) {
            put_escaped(text, string.data[i]);
        } else {
            buf_put(text, string.data + i, n);
        }
        i += n;
    }
    buf_put_u8(text, '"');
}

void json_put_string(struct buf *text, const char *string)
{
    json_put_bytes_string(text, (struct bytes){(const uint8_t *)string, strlen(string)});
}
