/*
 * The fence driver on the real world, worked from standard input, for tests with real agents. A
 * line is a command, and is answered by a line once it is done; news come before it.
 *
 *     set NAME AGENT SEEN_ON [KEY=VALUE ...]   -> set ERR why
 *     check NAME                               -> check STATE why     (waits while it is checked)
 *     remove NAME                              -> remove ERR
 *     status|off|on NAME MILLISECONDS          -> ERR STATE milliseconds
 *     (a device told something)                -> news NAME NUMBER why
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/fence/fence_driver.h"
#include "tests/support/test.h"
#include "world/linux/linux_command.h"
#include "world/linux/linux_world.h"

#define LINE_BYTES 4096
#define WORDS_MAX  (3 + FENCE_PARAMS_MAX)

struct desk {
    struct linux_world *lw;
    struct linux_commands *commands;
    struct fence_driver *driver;
    bool is_answered;
};

static void desk_told(void *ctx, const char *device, enum fence_news news, const char *why)
{
    (void)ctx;
    (void)printf("news %s %d %s\n", device, (int)news, why);
}

static void desk_answered(struct world_power_request *request)
{
    struct desk *desk = request->owner;
    desk->is_answered = true;
}

static void desk_ask(struct desk *desk, enum world_power_op op, char **words)
{
    static const char *const states[] = {"UNKNOWN", "OFF", "ON"};
    const struct world *w = linux_world_table(desk->lw);
    nanos begin = world_now(w);
    struct world_power_request request = {
        .op = op,
        .device = words[1],
        .deadline = begin + strtoull(words[2], NULL, 10) * NANOS_PER_MS,
        .done = desk_answered,
        .owner = desk,
    };

    desk->is_answered = false;
    w->power->submit(w->self, &request);
    while (!desk->is_answered) {
        (void)linux_world_poll(desk->lw, 10 * NANOS_PER_MS);
    }
    (void)printf("%s %s %llu\n", err_name(request.result), states[request.state],
                 (unsigned long long)((world_now(w) - begin) / NANOS_PER_MS));
}

static void desk_set(struct desk *desk, char **words, size_t count)
{
    struct fence_param params[FENCE_PARAMS_MAX];
    struct fence_device_config config = {words[1], words[2], params, count - 4,
                                         strcmp(words[3], "1") == 0};
    char why[FENCE_WHY_MAX_BYTES] = "";

    for (size_t i = 4; i < count; i++) {
        char *equals = strchr(words[i], '=');
        *equals = '\0';
        params[i - 4] = (struct fence_param){words[i], equals + 1};
    }
    enum err e = fence_driver_set(desk->driver, &config, why, sizeof why);
    (void)printf("set %s %s\n", err_name(e), why);
}

static void desk_check(struct desk *desk, const char *name)
{
    struct fence_device_report report = {.state = FENCE_CHECKING};
    enum err e = OK;

    for (e = fence_driver_report(desk->driver, name, &report);
         e == OK && report.state == FENCE_CHECKING;
         e = fence_driver_report(desk->driver, name, &report)) {
        (void)linux_world_poll(desk->lw, 10 * NANOS_PER_MS);
    }
    (void)printf("check %d %s\n", (int)report.state, report.why);
}

static void desk_do(struct desk *desk, char **words, size_t count)
{
    static const char *const ops[] = {"status", "off", "on"};

    for (size_t i = 0; i < COUNT_OF(ops); i++) {
        if (strcmp(words[0], ops[i]) == 0 && count == 3) {
            desk_ask(desk, (enum world_power_op)i, words);
            return;
        }
    }
    if (strcmp(words[0], "set") == 0 && count >= 4) {
        desk_set(desk, words, count);
    } else if (strcmp(words[0], "check") == 0 && count == 2) {
        desk_check(desk, words[1]);
    } else if (strcmp(words[0], "remove") == 0 && count == 2) {
        (void)printf("remove %s\n", err_name(fence_driver_remove(desk->driver, words[1])));
    } else {
        (void)printf("what?\n");
    }
}

int main(void)
{
    struct desk desk = {0};
    char line[LINE_BYTES];

    if (linux_world_open("/", &desk.lw) != OK) {
        return 1;
    }
    desk.commands = linux_commands_open(desk.lw);
    const struct fence_listener listener = {desk_told, NULL};
    desk.driver =
        fence_driver_open(linux_world_table(desk.lw), &linux_command_ops, desk.commands, &listener);
    linux_world_plug_power(desk.lw, &fence_power_ops, desk.driver);
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *words[WORDS_MAX];
        size_t count = 0;
        char *rest = line;
        for (char *word = strsep(&rest, " \n"); word != NULL && count < WORDS_MAX;
             word = strsep(&rest, " \n")) {
            if (word[0] != '\0') {
                words[count++] = word;
            }
        }
        if (count > 0) {
            desk_do(&desk, words, count);
        }
        (void)fflush(stdout);
    }
    linux_world_plug_power(desk.lw, NULL, NULL);
    linux_commands_close(desk.commands);
    fence_driver_close(desk.driver);
    linux_world_close(desk.lw);
    return 0;
}
