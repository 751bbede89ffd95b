#include "cli/plain.h"

const char *plain_copy(const char *text, char *ret, size_t n)
{
    size_t i = 0;
    for (; text[i] != '\0' && i + 1 < n; i++) {
        ret[i] = text[i] >= 0x20 && text[i] < 0x7F ? text[i] : '?';
    }
    ret[i] = '\0';
    return ret;
}
