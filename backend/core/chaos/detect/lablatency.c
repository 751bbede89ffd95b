#include "core/chaos/detect/lablatency.h"

#include "core/base/check.h"
#include "core/base/mem.h"

#define US_PER_S 1000000.0

/* The Ethernet of lablatency_draw. */
#define LAN_MIN_US      100
#define LAN_MAX_US      300
#define LAN_BUSY_IN     1000
#define LAN_BUSY_MAX_US 5000

void lablatency_deinit(struct lablatency *l)
{
    mem_free(l->rtt_us);
    *l = (struct lablatency){0};
}

static bool is_space_between(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* A decimal number of seconds, in microseconds; false: there is none at `*at`. */
static bool parse_seconds(const uint8_t **at, const uint8_t *end, uint32_t *ret_us)
{
    const uint8_t *c = *at;
    double value = 0;
    double scale = 1;
    size_t digits = 0;

    for (; c < end && is_digit(*c); c++, digits++) {
        value = value * 10 + (*c - '0');
        if (value > LABLATENCY_RTT_MAX_S) {
            return false;
        }
    }
    if (c < end && *c == '.') {
        for (c++; c < end && is_digit(*c); c++, digits++) {
            scale /= 10;
            value += scale * (*c - '0');
        }
    }
    if (digits == 0) {
        return false;
    }
    *at = c;
    *ret_us = (uint32_t)(value * US_PER_S + 0.5);
    return true;
}

/* Parses the square into `rtt_us`, which has room for the largest; returns its side, 0: damaged. */
static size_t parse_square(struct bytes text, uint32_t *rtt_us)
{
    const uint8_t *at = text.data;
    const uint8_t *end = text.data + text.len;
    size_t columns = 0;
    size_t column = 0;
    size_t line = 0;
    size_t count = 0;

    while (at < end) {
        if (is_space_between(*at)) {
            at++;
        } else if (*at == '\n') {
            at++;
            if (column == 0) {
                continue;
            }
            if (line > 0 && column != columns) {
                return 0;
            }
            columns = column;
            column = 0;
            line++;
        } else {
            if (column == LABLATENCY_HOSTS_MAX || line == LABLATENCY_HOSTS_MAX ||
                !parse_seconds(&at, end, &rtt_us[count]) ||
                (at < end && !is_space_between(*at) && *at != '\n')) {
                return 0;
            }
            column++;
            count++;
        }
    }
    if (column > 0) {
        if (line > 0 && column != columns) {
            return 0;
        }
        columns = column;
        line++;
    }
    return line == columns ? line : 0;
}

enum err lablatency_add(struct lablatency *l, struct bytes text)
{
    if (l->slices == LABLATENCY_SLICES_MAX) {
        return ERR_TOO_LARGE;
    }
    size_t room = (size_t)LABLATENCY_HOSTS_MAX * LABLATENCY_HOSTS_MAX;
    size_t used = l->slices * l->hosts * l->hosts;
    mem_grow((void **)&l->rtt_us, &l->cap, used + room, sizeof *l->rtt_us);
    size_t hosts = text.len == 0 ? 0 : parse_square(text, l->rtt_us + used);
    if (hosts == 0 || (l->slices > 0 && hosts != l->hosts)) {
        return ERR_CORRUPT;
    }
    l->hosts = hosts;
    l->slices++;
    return OK;
}

nanos lablatency_rtt(const struct lablatency *l, size_t slice, size_t from, size_t to)
{
    CHECK(slice < l->slices && from < l->hosts && to < l->hosts);
    return l->rtt_us[(slice * l->hosts + from) * l->hosts + to] * NANOS_PER_US;
}

static nanos draw_ethernet(struct prng *p)
{
    uint64_t word = prng_u64(p);
    /* Two draws out of one word: this is the hottest line of the laboratory. The bias is 2^-32. */
    uint64_t low = (word & UINT32_MAX) * (LAN_MAX_US - LAN_MIN_US + 1) * NANOS_PER_US >> 32;
    uint64_t high = (word >> 32) * LAN_BUSY_IN >> 32;
    nanos delay = LAN_MIN_US * NANOS_PER_US + low;
    return high == 0 ? delay + prng_below(p, LAN_BUSY_MAX_US * NANOS_PER_US) : delay;
}

nanos lablatency_draw(const struct lablatency *l, struct prng *p, size_t from, size_t to)
{
    if (l == NULL || l->slices == 0 || from % l->hosts == to % l->hosts) {
        return draw_ethernet(p);
    }
    size_t slice = (size_t)prng_below(p, l->slices);
    return draw_ethernet(p) + lablatency_rtt(l, slice, from % l->hosts, to % l->hosts) / 2;
}
