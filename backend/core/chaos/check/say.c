#include "core/chaos/check/say.h"

#include <string.h>

/* UINT64_MAX in decimal. */
#define DIGITS_MAX 20

static void say_digits(struct buf *out, uint64_t v, size_t at_least)
{
    uint8_t digits[DIGITS_MAX];
    size_t n = 0;
    do {
        digits[DIGITS_MAX - ++n] = (uint8_t)('0' + v % 10);
        v /= 10;
    } while (v > 0 || n < at_least);
    buf_put(out, digits + DIGITS_MAX - n, n);
}

void say_words(struct buf *out, const char *words)
{
    buf_put(out, words, strlen(words));
}

void say_u64(struct buf *out, uint64_t v)
{
    say_digits(out, v, 1);
}

void say_time(struct buf *out, nanos t)
{
    say_digits(out, t / NANOS_PER_S, 1);
    buf_put_u8(out, '.');
    say_digits(out, t % NANOS_PER_S, 9);
    say_words(out, " s");
}

void say_column(struct buf *out, size_t begin, size_t column)
{
    do {
        buf_put_u8(out, ' ');
    } while (out->len - begin < column);
}
