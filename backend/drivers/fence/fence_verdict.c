#include "drivers/fence/fence_verdict.h"

#include <string.h>
#include <strings.h>

/* fencing.py of the fence-agents project. */
enum {
    EXIT_GENERIC = 1,
    EXIT_BAD_ARGUMENTS = 2, /* of `status`: off */
    EXIT_LOGIN_DENIED = 3,
    EXIT_CONNECTION_LOST = 4,
    EXIT_TIMED_OUT = 5,
    EXIT_WAITING_ON = 6,
    EXIT_WAITING_OFF = 7,
    EXIT_NO_STATUS = 8,
    EXIT_NO_STATUS_HMC = 9,
    EXIT_NO_PASSWORD = 10,
    EXIT_NO_PRIVILEGES = 11
};

const char *fence_exit_text(int status)
{
    switch (status) {
    case 0:
        return "success";
    case EXIT_GENERIC:
        return "failure";
    case EXIT_BAD_ARGUMENTS:
        return "bad arguments";
    case EXIT_LOGIN_DENIED:
        return "login denied";
    case EXIT_CONNECTION_LOST:
        return "connection lost";
    case EXIT_TIMED_OUT:
        return "connection timed out";
    case EXIT_WAITING_ON:
        return "the power did not come on in time";
    case EXIT_WAITING_OFF:
        return "the power did not go off in time";
    case EXIT_NO_STATUS:
    case EXIT_NO_STATUS_HMC:
        return "no status to be had";
    case EXIT_NO_PASSWORD:
        return "no password";
    case EXIT_NO_PRIVILEGES:
        return "the user lacks privileges";
    default:
        return "an exit status of its own";
    }
}

static enum err result_of_exit(int status)
{
    switch (status) {
    case 0:
        return OK;
    case EXIT_LOGIN_DENIED:
    case EXIT_NO_PASSWORD:
    case EXIT_NO_PRIVILEGES:
        return ERR_DENIED;
    case EXIT_CONNECTION_LOST:
    case EXIT_TIMED_OUT:
        return ERR_CLOSED;
    default:
        return ERR_IO;
    }
}

enum err fence_result_of(const struct world_command_request *run)
{
    enum err e = run->result;

    if (e == OK) {
        return run->end == WORLD_COMMAND_EXITED ? result_of_exit(run->status) : ERR_IO;
    }
    /* The program or the parameters that the configuration names. */
    bool is_misconfigured =
        e == ERR_NOT_FOUND || e == ERR_DENIED || e == ERR_INVALID || e == ERR_TOO_LARGE;
    if (is_misconfigured) {
        return ERR_INVALID;
    }
    return e == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_IO;
}

/* What stands behind the word "Status:" at the start of a line; UNKNOWN where none does, or
 * something else, or lines that contradict each other. */
static enum world_power_state state_in_words(struct bytes output)
{
    static const char key[] = "status:";
    enum world_power_state said = WORLD_POWER_UNKNOWN;
    size_t at = 0;

    while (at < output.len) {
        const char *line = (const char *)output.data + at;
        const char *end = memchr(line, '\n', output.len - at);
        size_t n = end != NULL ? (size_t)(end - line) : output.len - at;
        at += n + 1;
        if (n < sizeof key - 1 || strncasecmp(line, key, sizeof key - 1) != 0) {
            continue;
        }
        const char *word = line + sizeof key - 1;
        n -= sizeof key - 1;
        while (n > 0 && *word == ' ') {
            word++;
            n--;
        }
        while (n > 0 && (word[n - 1] == ' ' || word[n - 1] == '\r')) {
            n--;
        }
        enum world_power_state state = WORLD_POWER_UNKNOWN;
        if (n == 2 && strncasecmp(word, "on", n) == 0) {
            state = WORLD_POWER_IS_ON;
        } else if (n == 3 && strncasecmp(word, "off", n) == 0) {
            state = WORLD_POWER_IS_OFF;
        }
        if (state == WORLD_POWER_UNKNOWN || (said != WORLD_POWER_UNKNOWN && said != state)) {
            return WORLD_POWER_UNKNOWN;
        }
        said = state;
    }
    return said;
}

static bool says_anything(struct bytes output)
{
    static const char key[] = "status:";

    for (size_t i = 0; i + sizeof key - 1 <= output.len; i++) {
        if (strncasecmp((const char *)output.data + i, key, sizeof key - 1) == 0) {
            return true;
        }
    }
    return false;
}

static struct fence_reading reading_unknown(const char *why)
{
    return (struct fence_reading){.result = OK, .state = WORLD_POWER_UNKNOWN, .why = why};
}

struct fence_reading fence_reading_of(const struct world_command_request *run, bool is_seen_on)
{
    struct bytes output = {run->output.buffer, run->output.kept};
    bool has_exited = run->result == OK && run->end == WORLD_COMMAND_EXITED;

    if (!has_exited || (run->status != 0 && run->status != EXIT_BAD_ARGUMENTS)) {
        return (struct fence_reading){.result = fence_result_of(run)};
    }
    enum world_power_state said = state_in_words(output);
    if (run->output.total > run->output.kept) {
        return reading_unknown("the agent says more than it is listened to");
    }
    if (run->status == 0) {
        if (said == WORLD_POWER_IS_ON || !says_anything(output)) {
            return (struct fence_reading){.state = WORLD_POWER_IS_ON};
        }
        return reading_unknown("the agent's exit status says on, and its words do not");
    }
    if (said != WORLD_POWER_IS_OFF) {
        return reading_unknown("the agent's exit status may be off or bad arguments, and it does "
                               "not write 'Status: OFF'");
    }
    if (!is_seen_on) {
        struct fence_reading reading = reading_unknown(
            "the device says off, and has never been seen to say on: it may be all that it can "
            "say");
        reading.is_unproven = true;
        return reading;
    }
    return (struct fence_reading){.state = WORLD_POWER_IS_OFF};
}

enum fence_next fence_after_reading(enum world_power_state wanted, enum err switched,
                                    const struct fence_reading *reading, enum err *ret)
{
    if (reading->result == OK && reading->state == wanted) {
        return FENCE_DONE;
    }
    if (reading->is_unproven && wanted == WORLD_POWER_IS_OFF) {
        *ret = ERR_IO;
        return FENCE_FAILED;
    }
    if (switched == OK || switched == ERR_TIMEOUT) {
        return FENCE_AGAIN;
    }
    *ret = switched;
    return FENCE_FAILED;
}
