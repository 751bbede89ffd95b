/* One run of an agent. */
#include <stdio.h>
#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "drivers/fence/fence_driver_int.h"

/* What of a line of an agent's is shown, with its final zero. */
#define LINE_BYTES 200

static const char *const run_environment[] = {
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "PYTHONWARNINGS=ignore",
    "PYTHONDONTWRITEBYTECODE=1",          NULL,
};

void fence_run_init(struct fence_run *run, struct fence_driver *d, size_t output_bytes,
                    void (*ended)(struct fence_run *run), void *owner)
{
    run->driver = d;
    run->output = mem_alloc(output_bytes);
    run->output_bytes = output_bytes;
    run->ended = ended;
    run->owner = owner;
    buf_init(&run->input);
}

static void wipe_input(struct fence_run *run)
{
    if (run->input.cap > 0) {
        explicit_bzero(run->input.data, run->input.cap);
    }
    buf_clear(&run->input);
}

void fence_run_deinit(struct fence_run *run)
{
    wipe_input(run);
    buf_deinit(&run->input);
    mem_free(run->output);
}

static void run_done(struct world_command_request *request)
{
    struct fence_run *run = request->owner;

    run->is_under_way = false;
    run->driver->running--;
    wipe_input(run);
    run->ended(run);
}

void fence_run_start(struct fence_run *run, const char *path, nanos deadline)
{
    struct fence_driver *d = run->driver;

    CHECK(!run->is_under_way);
    run->is_under_way = true;
    d->running++;
    memcpy(run->path, path, strlen(path) + 1);
    run->arguments[0] = run->path;
    run->arguments[1] = NULL;
    run->request = (struct world_command_request){
        .arguments = run->arguments,
        .environment = run_environment,
        .input = buf_view(&run->input),
        .output = {.buffer = run->output, .room = run->output_bytes},
        .errors = {.buffer = run->errors, .room = sizeof run->errors},
        .deadline = u64_min(deadline, u64_add_sat(world_now(d->world), FENCE_RUN_MAX)),
        .done = run_done,
        .owner = run,
    };
    d->commands->submit(d->commands_self, &run->request);
}

/* The last line with anything in it, what is not printable as '?'. */
static void agent_last_line(struct bytes text, char *ret)
{
    size_t end = text.len;
    size_t n = 0;

    while (end > 0 && (text.data[end - 1] <= ' ' || text.data[end - 1] == 0x7f)) {
        end--;
    }
    size_t begin = end;
    while (begin > 0 && text.data[begin - 1] != '\n') {
        begin--;
    }
    for (; begin < end && n < LINE_BYTES - 1; begin++) {
        uint8_t byte = text.data[begin];
        ret[n++] = byte >= ' ' && byte < 0x7f ? (char)byte : '?';
    }
    ret[n] = '\0';
}

void fence_run_describe(const struct fence_run *run, const struct fence_setup *setup, char *why,
                        size_t why_bytes)
{
    const struct world_command_request *request = &run->request;
    char line[LINE_BYTES];
    char how[64];

    agent_last_line((struct bytes){run->errors, request->errors.kept}, line);
    fence_params_hide(setup->params, setup->param_count, line);
    if (request->result == ERR_TIMEOUT) {
        (void)snprintf(how, sizeof how, "it did not end in time and was killed");
    } else if (request->result != OK) {
        (void)snprintf(how, sizeof how, "it cannot be run: %s", err_text(request->result));
    } else if (request->end == WORLD_COMMAND_SIGNALED) {
        (void)snprintf(how, sizeof how, "it was ended by signal %d", (int)request->status);
    } else {
        (void)snprintf(how, sizeof how, "exit status %d (%s)", (int)request->status,
                       fence_exit_text(request->status));
    }
    (void)snprintf(why, why_bytes, "%s: %s%s%s", setup->agent->path, how,
                   line[0] != '\0' ? ": " : "", line);
}
