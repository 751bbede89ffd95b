#include "cli/sim/sim_timeline.h"

#include <inttypes.h>
#include <stdio.h>

void sim_timeline_json_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            (void)printf("\\%c", *text);
        } else if ((unsigned char)*text < 0x20) {
            (void)printf("\\u%04x", (unsigned)*text);
        } else {
            (void)putchar(*text);
        }
    }
}

void sim_timeline_line(void *ctx, nanos at, const char *text)
{
    const struct sim_timeline *timeline = ctx;

    if (timeline->is_json) {
        (void)printf("{\"at_ns\":%" PRIu64 ",\"event\":\"", at);
        sim_timeline_json_text(text);
        (void)printf("\"}\n");
    } else {
        (void)printf("%12.6f  %s\n", (double)at / 1e9, text);
    }
    (void)fflush(stdout); /* a crash must not lose it */
}

void sim_timeline_outcome(const struct sim_timeline *timeline, const struct sim_outcome *outcome)
{
    const struct sim_result *result = &outcome->result;
    char signature[320];

    sim_outcome_signature(outcome, signature, sizeof signature);
    if (timeline->is_json) {
        (void)printf("{\"verdict\":\"");
        sim_timeline_json_text(signature);
        (void)printf("\",\"text\":\"");
        sim_timeline_json_text(result->text);
        (void)printf("\",\"events\":%" PRIu64 ",\"operations\":%" PRIu64 ",\"entries\":%" PRIu64
                     ",\"hash\":\"%016" PRIx64 "\"}\n",
                     result->events, result->operations, result->committed, result->hash);
        return;
    }
    (void)printf("\n%s\n", signature);
    if (result->text[0] != '\0') {
        (void)printf("%s\n", result->text);
    }
    (void)printf("%.3f s simulated, %" PRIu64 " events, %" PRIu64 " operations, %" PRIu64
                 " entries, hash %016" PRIx64 "\n",
                 (double)(result->at - result->started) / 1e9, result->events, result->operations,
                 result->committed, result->hash);
}
