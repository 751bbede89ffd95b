#include "guard/guard_wire.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/le.h"

#define MESSAGE_MAGIC 0x3147434eU /* "NCG1" */
#define ANSWER_MAGIC  0x3141434eU /* "NCA1" */
#define VERSION       1

_Static_assert(WORLD_NAME_MAX_BYTES == 64, "the message has room for such a name");

/* Results have numbers of their own: those of enum err may change. */
static const enum err results[] = {OK, ERR_INVALID, ERR_EXISTS, ERR_REFUSED, ERR_BUSY, ERR_DENIED};

void guard_message_encode(const struct guard_message *message, uint8_t bytes[GUARD_MESSAGE_BYTES])
{
    memset(bytes, 0, GUARD_MESSAGE_BYTES);
    le32_store(bytes, MESSAGE_MAGIC);
    le16_store(bytes + 4, VERSION);
    le16_store(bytes + 6, (uint16_t)message->kind);
    le64_store(bytes + 8, message->number);
    le64_store(bytes + 16, message->until);
    le64_store(bytes + 24, message->epoch);
    le32_store(bytes + 32, message->pid);
    memcpy(bytes + 40, message->name, strnlen(message->name, WORLD_NAME_MAX_BYTES - 1));
}

static bool are_zeros(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

enum err guard_message_decode(struct bytes bytes, struct guard_message *ret)
{
    const uint8_t *p = bytes.data;
    struct guard_message m = {0};

    if (bytes.len != GUARD_MESSAGE_BYTES || le32_load(p) != MESSAGE_MAGIC) {
        return ERR_PROTOCOL;
    }
    if (le16_load(p + 4) != VERSION) {
        return ERR_UNSUPPORTED;
    }
    uint16_t kind = le16_load(p + 6);
    size_t name = strnlen((const char *)p + 40, WORLD_NAME_MAX_BYTES);
    bool is_hold = kind == GUARD_HOLD;
    if (kind < GUARD_STATUS || kind > GUARD_HOLD || name == WORLD_NAME_MAX_BYTES ||
        is_hold != (name > 0) || !are_zeros(p + 40 + name, WORLD_NAME_MAX_BYTES - name) ||
        !are_zeros(p + 36, 4) || !are_zeros(p + 104, 8)) {
        return ERR_PROTOCOL;
    }
    m.kind = (enum guard_kind)kind;
    m.number = le64_load(p + 8);
    m.until = le64_load(p + 16);
    m.epoch = le64_load(p + 24);
    m.pid = le32_load(p + 32);
    memcpy(m.name, p + 40, WORLD_NAME_MAX_BYTES);
    if ((kind != GUARD_LEASE && m.until != 0) || (!is_hold && (m.epoch != 0 || m.pid != 0))) {
        return ERR_PROTOCOL;
    }
    *ret = m;
    return OK;
}

void guard_answer_encode(const struct guard_answer *answer, uint8_t bytes[GUARD_ANSWER_BYTES])
{
    uint16_t result = 0;

    while (result < COUNT_OF(results) && results[result] != answer->result) {
        result++;
    }
    CHECK(result < COUNT_OF(results));
    memset(bytes, 0, GUARD_ANSWER_BYTES);
    le32_store(bytes, ANSWER_MAGIC);
    le16_store(bytes + 4, VERSION);
    le16_store(bytes + 6, result);
    le64_store(bytes + 8, answer->number);
    le64_store(bytes + 16, answer->instance);
    le64_store(bytes + 24, answer->watchdog_timeout);
    le64_store(bytes + 32, answer->lease_until);
    le32_store(bytes + 40, answer->machines);
    le32_store(bytes + 44, answer->doomed);
    le16_store(bytes + 48, (uint16_t)answer->watchdog);
}

enum err guard_answer_decode(struct bytes bytes, struct guard_answer *ret)
{
    const uint8_t *p = bytes.data;

    if (bytes.len != GUARD_ANSWER_BYTES || le32_load(p) != ANSWER_MAGIC) {
        return ERR_PROTOCOL;
    }
    if (le16_load(p + 4) != VERSION) {
        return ERR_UNSUPPORTED;
    }
    uint16_t result = le16_load(p + 6);
    uint16_t watchdog = le16_load(p + 48);
    if (result >= COUNT_OF(results) || watchdog >= WORLD_WATCHDOG_STATES ||
        !are_zeros(p + 50, 14)) {
        return ERR_PROTOCOL;
    }
    *ret = (struct guard_answer){
        .result = results[result],
        .number = le64_load(p + 8),
        .instance = le64_load(p + 16),
        .watchdog_timeout = le64_load(p + 24),
        .lease_until = le64_load(p + 32),
        .machines = le32_load(p + 40),
        .doomed = le32_load(p + 44),
        .watchdog = (enum world_watchdog)watchdog,
    };
    return OK;
}
