#include "core/chaos/simprogram.h"

#include <string.h>

#include "core/chaos/simcall_int.h"

struct simprogram {
    struct simprogram *next;
    char path[WORLD_PATH_MAX_BYTES];
    struct simprogram_conduct conduct;
    uint64_t runs;
};

struct simprograms {
    struct simprogram *programs; /* owned list */
    struct simcall *calls;       /* owned */
};

void simprogram_init(struct simhost *host)
{
    host->programs = mem_alloc_zero(sizeof *host->programs);
}

void simprogram_forget(struct simhost *host)
{
    simcall_forget(&host->programs->calls);
}

void simprogram_deinit(struct simhost *host)
{
    while (host->programs->programs != NULL) {
        struct simprogram *program = host->programs->programs;
        host->programs->programs = program->next;
        mem_free(program);
    }
    mem_free(host->programs);
}

static struct simprogram *program_find(const struct simhost *host, const char *path)
{
    struct simprogram *program = host->programs->programs;

    while (program != NULL && strcmp(program->path, path) != 0) {
        program = program->next;
    }
    return program;
}

void simprogram_install(struct simhost *host, const char *path,
                        const struct simprogram_conduct *conduct)
{
    struct simprogram *program = program_find(host, path);

    if (program == NULL) {
        CHECK(strlen(path) < sizeof program->path);
        program = mem_alloc_zero(sizeof *program);
        memcpy(program->path, path, strlen(path) + 1);
        program->next = host->programs->programs;
        host->programs->programs = program;
    }
    program->conduct = *conduct;
}

uint64_t simprogram_runs(const struct simhost *host, const char *path)
{
    const struct simprogram *program = program_find(host, path);

    CHECK(program != NULL);
    return program->runs;
}

/* --- running --------------------------------------------------------------------------------- */

static void program_say(struct world_command_says *says, const void *bytes, size_t n)
{
    size_t fits = says->buffer == NULL ? 0 : u64_min(says->room - says->kept, n);

    if (fits > 0) {
        memcpy(says->buffer + says->kept, bytes, fits);
        says->kept += fits;
    }
    says->total += n;
}

static void program_say_text(struct world_command_says *says, const char *text)
{
    if (text != NULL) {
        program_say(says, text, strlen(text));
    }
}

static void program_flood(struct world_command_says *says, uint64_t bytes)
{
    static const uint8_t zeros[256];

    for (uint64_t left = bytes; left > 0; left -= u64_min(left, sizeof zeros)) {
        program_say(says, zeros, u64_min(left, sizeof zeros));
    }
}

static void answer_command(struct simcall *call, enum err result)
{
    struct world_command_request *request = call->request;

    request->result = result;
    simworld_mix(call->host->sim, (uint64_t)result << 32 | (uint32_t)request->status);
    simcall_close(call);
    request->done(request);
}

static void command_expired(struct simcall *call)
{
    struct world_command_request *request = call->request;

    request->end = WORLD_COMMAND_NO_END;
    request->status = 0;
    answer_command(call, ERR_TIMEOUT);
}

static void program_ends(struct simcall *call)
{
    answer_command(call, OK);
}

/* What it will have said and how it will end is known when it begins; a deadline takes the end
 * back.
 */
static void program_begins(struct simcall *call)
{
    struct world_command_request *request = call->request;
    struct simprogram *program = program_find(call->host, request->arguments[0]);

    if (program == NULL) {
        answer_command(call, ERR_NOT_FOUND);
        return;
    }
    const struct simprogram_conduct *conduct = &program->conduct;

    program->runs++;
    program_say_text(&request->output, conduct->output);
    program_flood(&request->output, conduct->flood);
    program_say_text(&request->errors, conduct->errors);
    if (conduct->manner == SIMPROGRAM_ECHOES) {
        program_say(&request->output, request->input.data, request->input.len);
    }
    if (conduct->manner != SIMPROGRAM_HANGS) {
        bool dies = conduct->manner == SIMPROGRAM_DIES;
        request->end = dies ? WORLD_COMMAND_SIGNALED : WORLD_COMMAND_EXITED;
        request->status = conduct->status;
        simcall_after(call, conduct->span, program_ends);
    }
}

/* --- the table ------------------------------------------------------------------------------- */

static size_t count_strings(const char *const *strings, size_t *bytes)
{
    size_t count = 0;

    while (strings != NULL && strings[count] != NULL && count <= WORLD_COMMAND_STRINGS_MAX) {
        *bytes += strlen(strings[count]) + 1;
        count++;
    }
    return count;
}

static enum err check_command(const struct simhost *host,
                              const struct world_command_request *request)
{
    size_t bytes = 0;
    size_t arguments = count_strings(request->arguments, &bytes);
    size_t strings = arguments + count_strings(request->environment, &bytes);
    size_t running = 0;

    for (const struct simcall *call = host->programs->calls; call != NULL; call = call->next) {
        running++;
    }
    if (running >= SIMPROGRAM_RUNS_MAX) {
        return ERR_BUSY;
    }
    if (arguments == 0 || request->arguments[0][0] != '/') {
        return ERR_INVALID;
    }
    bool is_large = strings > WORLD_COMMAND_STRINGS_MAX || bytes > WORLD_COMMAND_BYTES_MAX ||
                    request->input.len > WORLD_COMMAND_INPUT_MAX_BYTES;
    return is_large ? ERR_TOO_LARGE : OK;
}

static void program_refused(struct simcall *call)
{
    const struct world_command_request *request = call->request;

    answer_command(call, request->result);
}

static void simcommand_submit(void *self, struct world_command_request *request)
{
    struct simhost *host = self;

    CHECK(request->done != NULL && request->output.room <= WORLD_COMMAND_SAYS_MAX_BYTES &&
          request->errors.room <= WORLD_COMMAND_SAYS_MAX_BYTES);
    request->output.kept = request->errors.kept = 0;
    request->output.total = request->errors.total = 0;
    request->end = WORLD_COMMAND_NO_END;
    request->status = 0;
    request->result = check_command(host, request);
    struct simcall *call =
        simcall_open(&host->programs->calls, host, request, request->deadline, command_expired);
    if (request->result == OK) {
        simcall_after(call, SIMPROGRAM_START, program_begins);
    } else {
        simcall_after(call, 0, program_refused);
    }
}

const struct world_command_ops simcommand_ops = {.submit = simcommand_submit};
