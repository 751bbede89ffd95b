/*
 * A member's page of metrics and a list of members, of any bytes: the first half of the input is
 * the one, the rest the other. What `novacron top` makes of them are lines that fit, and whose
 * characters are printable.
 */
#include "tests/fuzz/fuzz_target.h"

#include <string.h>

#include "cli/top_members.h"
#include "core/base/check.h"
#include "core/base/mem.h"

#define COLUMNS 80
#define ROWS    24

static void check_lines(struct bytes text, size_t columns, size_t rows)
{
    size_t width = 0;
    size_t lines = 0;
    for (size_t i = 0; i < text.len; i++) {
        bool ends = text.data[i] == '\n';
        CHECK(ends || (text.data[i] >= 0x20 && text.data[i] < 0x7F));
        width = ends ? 0 : width + 1;
        lines += ends ? 1 : 0;
        CHECK(width <= columns && lines <= rows);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct top_members *t = mem_alloc_zero(sizeof *t);
    struct top_shape shape = {.columns = COLUMNS, .rows = ROWS};
    struct buf b;
    buf_init(&b);
    top_members_watch(t, "http://10.0.0.1:2379");
    top_members_list(t, (struct bytes){bytes + n / 2, n - n / 2});
    top_members_page(&t->targets[0], (struct bytes){bytes, n / 4}, 1);
    top_members_page(&t->targets[0], (struct bytes){bytes, n / 2}, NANOS_PER_S);
    struct top_view view = top_members_view(t);
    top_frame_draw(&view, &shape, &b);
    check_lines(buf_view(&b), COLUMNS, ROWS);
    buf_clear(&b);
    top_frame_json(&view, &b);
    check_lines(buf_view(&b), SIZE_MAX, 1);
    buf_deinit(&b);
    mem_free(t);
    return 0;
}
