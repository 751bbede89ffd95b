/*
 * The tiny guest's agent: as much of QEMU's guest agent as can be heard on a serial line
 * ("guest_agent": "serial"), to show that a guest answers. A request is a line of JSON, of which it
 * looks at the words that it knows, and not at the grammar.
 *
 *   guest-sync-delimited, guest-ping
 *   guest-exec of /counter, which says the counter; of /fails, which exits with 3; and of /hangs,
 *   which never ends; guest-exec-status
 */
#include "demo/guest/guest.h"

#define COM2       0x2f8
#define LINE_BYTES 1024

/* Polls of an empty line before it is believed to be empty for a while. */
#define PATIENCE 2000

/* Programs, by their numbers. */
#define COUNTER 1
#define FAILS   2
#define HANGS   3

static char line[LINE_BYTES];
static unsigned line_length;

void guest_agent_open(void)
{
    port_put8(COM2 + 2, 7); /* with its queue of 16 bytes, emptied */
}

static void agent_say(const char *text)
{
    for (; *text != '\0'; text++) {
        while ((port_get8(COM2 + 5) & 0x20) == 0) {
        }
        port_put8(COM2, (uint8_t)*text);
    }
}

static void agent_say_number(uint64_t n)
{
    char digits[21];
    agent_say(guest_number(n, digits));
}

/* What follows the text in the line; NULL: it is not in it. */
static const char *line_find(const char *text)
{
    for (const char *at = line; *at != '\0'; at++) {
        unsigned n = 0;
        while (text[n] != '\0' && at[n] == text[n]) {
            n++;
        }
        if (text[n] == '\0') {
            return at + n;
        }
    }
    return (const char *)0;
}

static uint32_t line_number(const char *key)
{
    const char *at = line_find(key);
    uint32_t n = 0;

    for (; at != (const char *)0 && *at >= '0' && *at <= '9'; at++) {
        n = n * 10 + (uint32_t)(*at - '0');
    }
    return n;
}

static void agent_say_base64(const char *text)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char group[5] = {0};

    while (*text != '\0') {
        uint32_t bits = 0;
        unsigned n = 0;
        for (; n < 3 && *text != '\0'; n++) {
            bits |= (uint32_t)(uint8_t)*text++ << (16 - 8 * n);
        }
        for (unsigned i = 0; i < 4; i++) {
            group[i] = i <= n ? letters[(bits >> (18 - 6 * i)) & 63] : '=';
        }
        agent_say(group);
    }
}

static void answer_status(uint64_t counter)
{
    const uint32_t program = line_number("\"pid\":");
    char digits[21];

    if (program == HANGS) {
        agent_say("{\"return\": {\"exited\": false}");
        return;
    }
    agent_say("{\"return\": {\"exited\": true, \"exitcode\": ");
    agent_say(program == FAILS ? "3" : "0");
    if (program == COUNTER) {
        agent_say(", \"out-data\": \"");
        agent_say_base64(guest_number(counter, digits));
        agent_say("\"");
    }
    agent_say("}");
}

static void answer_exec(void)
{
    const uint32_t program = line_find("\"/counter\"") ? COUNTER
                             : line_find("\"/fails\"") ? FAILS
                             : line_find("\"/hangs\"") ? HANGS
                                                       : 0;

    if (program == 0) {
        agent_say("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no such program\"}");
        return;
    }
    agent_say("{\"return\": {\"pid\": ");
    agent_say_number(program);
    agent_say("}");
}

static void line_ends(uint64_t counter)
{
    const uint32_t id = line_number("\"id\":");

    if (line_find("\"guest-sync-delimited\"")) {
        agent_say("\xff{\"return\": ");
        agent_say_number(id);
        agent_say("}\n");
        return;
    }
    if (line_find("\"guest-exec-status\"")) {
        answer_status(counter);
    } else if (line_find("\"guest-exec\"")) {
        answer_exec();
    } else if (line_find("\"guest-ping\"")) {
        agent_say("{\"return\": {}");
    } else {
        agent_say("{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"no such command\"}");
    }
    agent_say(", \"id\": ");
    agent_say_number(id);
    agent_say("}\n");
}

void guest_agent_hear(uint64_t counter)
{
    for (unsigned idle = 0; idle < PATIENCE; idle++) {
        const uint8_t status = port_get8(COM2 + 5);
        if (status == 0xff || (line_length == 0 && (status & 1) == 0)) {
            return; /* there is no line, or nobody on it */
        }
        if ((status & 1) == 0) {
            continue;
        }
        const uint8_t byte = port_get8(COM2);
        idle = 0;
        if (byte == 0xff) {
            line_length = 0;
        } else if (byte != '\n') {
            line[line_length] = (char)byte;
            line_length += line_length < LINE_BYTES - 1 ? 1 : 0;
        } else {
            line[line_length] = '\0';
            line_length = 0;
            line_ends(counter);
        }
    }
}
