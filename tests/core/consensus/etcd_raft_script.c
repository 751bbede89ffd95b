/*
 * etcd-raft-script: runs etcd-raft's interaction scripts over our core.
 *
 *     etcd-raft-script [--level state|messages] FILE...
 *
 * At the level `state` the scripts must end in, and pass through, the expected states: what
 * raft-state, raft-log and status print. At the level `messages` every update and message must be
 * as expected, in order and content. Log lines never count. docs/etcd-raft.md lists where we differ
 * on purpose.
 */
#include <string.h>

#include "tests/core/consensus/etcd_verbs.h"
#include "tests/support/script_main.h"
#include "tests/support/text.h"

static void *begin_etcd_script(void)
{
    struct script_env *env = script_env_new();
    env->asks_at_once = true;
    return env;
}

static void end_etcd_script(void *env)
{
    script_env_free(env);
}

static void run_etcd_command(void *env, const struct script_command *c, struct buf *out)
{
    script_env_run(env, &(struct script_verbs){etcd_verbs, etcd_verb_count}, 1, c, out);
}

static bool line_is_logged(struct bytes line)
{
    static const char *const levels[] = {"DEBUG ", "INFO ", "WARN ", "ERROR ", "FATAL "};
    while (line.len > 0 && *line.data == ' ') {
        line.data++;
        line.len--;
    }
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        size_t n = strlen(levels[i]);
        if (line.len >= n && memcmp(line.data, levels[i], n) == 0) {
            return true;
        }
    }
    return false;
}

/* Takes away log lines. What is then empty said nothing, for which the word is "ok". */
static void drop_logged_lines(struct buf *text)
{
    struct buf kept;
    buf_init(&kept);
    struct bytes rest = buf_view(text);
    struct bytes line;
    while (text_next_line(&rest, &line)) {
        if (!line_is_logged(line)) {
            buf_put(&kept, line.data, line.len);
            buf_put_u8(&kept, '\n');
        }
    }
    if (kept.len == 0) {
        text_add(&kept, "ok\n");
    }
    buf_deinit(text);
    *text = kept;
}

static bool command_shows_state(const struct script_command *c)
{
    return strcmp(c->name, "raft-state") == 0 || strcmp(c->name, "raft-log") == 0 ||
           strcmp(c->name, "status") == 0;
}

int main(int argc, char **argv)
{
    static const struct script_level levels[] = {
        {"state", {run_etcd_command, drop_logged_lines, command_shows_state}},
        {"messages", {run_etcd_command, drop_logged_lines, NULL}},
    };
    static const struct script_program program = {
        .name = "etcd-raft-script",
        .summary = "Runs interaction scripts and compares what they print, log lines aside.",
        .conformance = "etcd-raft/interaction",
        .levels = levels,
        .level_count = COUNT_OF(levels),
        .begin = begin_etcd_script,
        .end = end_etcd_script,
    };
    return script_main(&program, argc, argv);
}
