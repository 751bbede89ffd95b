/*
 * What a member does with the text of a datagram from another member, or from a stranger: the first
 * byte says which, and how long it takes until the next; then come a length and a text, again and
 * again. The texts are sealed here, or no input would get past the envelope. State stays sound and
 * bounded.
 */
#include "core/monitoring/health/swim.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/cursor.h"
#include "tests/fuzz/fuzz_target.h"

#define FUZZ_MEMBERS 12

static void fuzz_swim_step(struct swim *s, struct swim_update *u, struct swim_event *event)
{
    swim_step(s, event, u);
    swim_check(s);
    CHECK(u->n_sends < 400 && s->n_members <= FUZZ_MEMBERS);
    CHECK(u->deadline > event->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct seal_cipher cipher = {NULL, &seal_stand_in};
    const struct seal_ring ring = {.keys = {{1}}, .n = 1};
    const struct seal_label label = {.len = 0};
    struct swim_config config = {.self = 1, .instance = 5, .seed = 7, .at = {"a", 1}};
    struct swim_event event = {.kind = SWIM_EVENT_TIME, .now = NANOS_PER_S, .at = {"x", 9}};
    struct seal_sender senders[4] = {{.id = 2, .instance = 1},
                                     {.id = 3, .instance = 1},
                                     {.id = 900, .instance = 1},
                                     {.id = 1, .instance = 4}};
    uint8_t envelope[WORLD_DATAGRAM_MAX_BYTES + SEAL_OVERHEAD_MAX_BYTES];
    struct swim_update update;
    struct cursor c;
    struct swim s;

    swim_config_shipped(&config);
    config.members_max = FUZZ_MEMBERS;
    swim_init(&s, &config, &cipher, &ring, event.now);
    swim_update_init(&update);
    for (node_id id = 2; id <= 6; id++) {
        swim_assume(&s, id, 1, &(struct world_endpoint){"b", (uint16_t)id});
    }
    event.kind = SWIM_EVENT_LEADER;
    event.id = 1;
    fuzz_swim_step(&s, &update, &event);
    cursor_init(&c, (struct bytes){data, size});
    while (cursor_left(&c) > 2) {
        uint8_t how = cursor_u8(&c);
        uint8_t length = cursor_u8(&c);
        struct bytes text = cursor_take(&c, u64_min(length, cursor_left(&c)));

        event.now += (nanos)(how >> 4) * 40 * NANOS_PER_MS;
        event.kind = (how & 4) != 0 ? SWIM_EVENT_STREAM : SWIM_EVENT_DATAGRAM;
        event.stream = how & 8;
        event.bytes = (struct bytes){
            envelope, seal_wrap(&cipher, &ring, &label, &senders[how & 3], text, envelope)};
        fuzz_swim_step(&s, &update, &event);
        event.kind = SWIM_EVENT_TIME;
        event.now = u64_min(u64_max(update.deadline, event.now), event.now + NANOS_PER_S);
        fuzz_swim_step(&s, &update, &event);
    }
    swim_update_deinit(&update);
    swim_deinit(&s);
    return 0;
}
