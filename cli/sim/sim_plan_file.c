#include "cli/sim/sim_plan_file.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/base/buf.h"

#define LINE_BYTES_MAX 512

static const char *const target_names[TARGET_KINDS] = {"any", "leader", "follower", "host"};

static bool find_kind(const char *name, enum fault_kind *ret)
{
    for (size_t i = 0; i < FAULT_KINDS; i++) {
        if (strcmp(fault_name((enum fault_kind)i), name) == 0) {
            *ret = (enum fault_kind)i;
            return true;
        }
    }
    return false;
}

static bool find_target(const char *name, enum fault_target *ret)
{
    for (size_t i = 0; i < TARGET_KINDS; i++) {
        if (strcmp(target_names[i], name) == 0) {
            *ret = (enum fault_target)i;
            return true;
        }
    }
    return false;
}

static bool parse_row(const char *line, struct fault *row)
{
    char kind[32];
    char target[16];

    *row = (struct fault){0};
    return sscanf(line,
                  "%" SCNu64 " %" SCNu64 " %31s %15s %" SCNu32 " %" SCNu32 " %" SCNu64 " %" SCNu64,
                  &row->at, &row->span, kind, target, &row->pick, &row->mode, &row->number,
                  &row->draw) == 8 &&
           find_kind(kind, &row->kind) && find_target(target, &row->target);
}

bool sim_plan_file_read(const char *path, struct fault_plan *ret)
{
    char line[LINE_BYTES_MAX];
    unsigned number = 0;
    bool is_good = true;

    FILE *f = fopen(path, "r");
    if (f == NULL) {
        (void)fprintf(stderr, "novacron-sim: %s: %s\n", path, strerror(errno));
        return false;
    }
    ret->count = 0;
    while (is_good && fgets(line, sizeof line, f) != NULL) {
        number++;
        if (line[strspn(line, " \t\n")] == '\0' || line[0] == '#') {
            continue;
        }
        is_good = ret->count < FAULT_ROWS_MAX && parse_row(line, &ret->rows[ret->count]);
        is_good = is_good &&
                  (ret->count == 0 || ret->rows[ret->count - 1].at <= ret->rows[ret->count].at);
        ret->count++;
    }
    if (!is_good) {
        (void)fprintf(stderr,
                      "novacron-sim: %s:%u: this is no row of a plan, or comes before the one "
                      "above it: AT_NS SPAN_NS KIND TARGET PICK MODE NUMBER DRAW\n",
                      path, number);
    }
    (void)fclose(f);
    return is_good;
}

void sim_plan_file_write(FILE *out, const struct fault_plan *plan)
{
    struct buf text;

    buf_init(&text);
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct fault *row = &plan->rows[i];
        buf_clear(&text);
        fault_print(row, &text);
        (void)fprintf(out,
                      "%" PRIu64 " %" PRIu64 " %s %s %" PRIu32 " %" PRIu32 " %" PRIu64 " %" PRIu64
                      "   # %.*s\n",
                      row->at, row->span, fault_name(row->kind), target_names[row->target],
                      row->pick, row->mode, row->number, row->draw, (int)text.len,
                      (const char *)text.data);
    }
    buf_deinit(&text);
}
