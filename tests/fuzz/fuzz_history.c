/*
 * Histories of any bytes. What can be read is judged, within bounds, whatever it says; and written
 * again it is read as the same operations.
 */
#include "tests/fuzz/fuzz_target.h"

#include <string.h>

#include "core/base/check.h"
#include "core/chaos/check/history.h"

static bool same_text(const struct history *a, uint64_t x, const struct history *b, uint64_t y)
{
    struct bytes s = lin_strings_get(&a->strings, (uint32_t)x);
    struct bytes t = lin_strings_get(&b->strings, (uint32_t)y);
    return s.len == t.len && (s.len == 0 || memcmp(s.data, t.data, s.len) == 0);
}

static void check_same_history(const struct history *a, const struct history *b)
{
    CHECK(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct lin_op *x = &a->ops[i];
        const struct lin_op *y = &b->ops[i];
        CHECK(x->kind == y->kind && x->outcome == y->outcome && x->process == y->process);
        CHECK(x->invoked == y->invoked && x->revision == y->revision);
        CHECK(x->outcome != LIN_OK || x->returned == y->returned);
        CHECK(same_text(a, x->key, b, y->key));
        CHECK(x->kind == LIN_DELETE || x->kind == LIN_READ || same_text(a, x->value, b, y->value));
        CHECK(same_text(a, x->expected, b, y->expected));
    }
}

static void write_and_read_again(const struct history *h)
{
    struct lin_names names = history_names(h);
    struct history again;
    struct buf text;
    buf_init(&text);
    history_init(&again);
    history_write(h->ops, h->count, &names, &text);
    bool is_read = history_read(&again, buf_view(&text)) == OK;
    /* Times that were read may contradict the order of lines: a process that begins one operation
     * before its last has returned. */
    if (!h->has_times) {
        CHECK(is_read);
        check_same_history(h, &again);
    }
    history_deinit(&again);
    buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct lin_limits limits = {
        .steps_max = 20000, .memory_bytes_max = (size_t)1 << 20, .shrink_max = 50};
    struct history h;
    history_init(&h);
    if (history_read(&h, (struct bytes){bytes, n}) == OK) {
        struct lin *lin = lin_open(&limits);
        struct lin_names names = history_names(&h);
        struct lin_report report;
        struct buf text;
        buf_init(&text);
        lin_check(lin, h.ops, h.count, &h.strings, &names, &report, &text);
        CHECK((report.verdict == LIN_LINEARIZABLE) == (text.len == 0));
        write_and_read_again(&h);
        buf_deinit(&text);
        lin_close(lin);
    } else {
        CHECK(h.error != NULL && h.error_line > 0);
    }
    history_deinit(&h);
    return 0;
}
