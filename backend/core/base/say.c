#include "core/base/say.h"

#include <string.h>

void say(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

static void say_digits(struct buf *b, uint64_t number, uint64_t base, unsigned least)
{
    char digits[24];
    size_t at = sizeof digits;

    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0 || sizeof digits - at < least);
    buf_put(b, digits + at, sizeof digits - at);
}

void say_u64(struct buf *b, uint64_t number)
{
    say_digits(b, number, 10, 1);
}

void say_i64(struct buf *b, int64_t number)
{
    if (number < 0) {
        say(b, "-");
        say_u64(b, 0 - (uint64_t)number);
    } else {
        say_u64(b, (uint64_t)number);
    }
}

void say_hex(struct buf *b, uint64_t number)
{
    say_digits(b, number, 16, 1);
}

void say_seconds(struct buf *b, nanos time)
{
    say_u64(b, time / NANOS_PER_S);
    say(b, ".");
    say_digits(b, time % NANOS_PER_S / NANOS_PER_US, 10, 6);
    say(b, "s");
}

void say_time(struct buf *b, nanos time)
{
    say_u64(b, time / NANOS_PER_S);
    say(b, ".");
    say_digits(b, time % NANOS_PER_S, 10, 9);
    say(b, " s");
}

void say_column(struct buf *b, size_t begin, size_t column)
{
    do {
        say(b, " ");
    } while (b->len - begin < column);
}

const char *say_end(struct buf *b)
{
    buf_put_u8(b, 0);
    b->len--;
    return (const char *)b->data;
}
