/* Answers to HTTP probes: whatever comes, in whatever pieces, there is one verdict, it stays, and
 * it is the same however the bytes are cut. The first byte says what is expected, the second how
 * they are cut. */
#include "core/monitoring/health/probe_http.h"

#include "core/base/check.h"
#include "tests/fuzz/fuzz_target.h"

static enum http_verdict judged_in_pieces(const struct http_expect *expect, struct bytes answer,
                                          size_t piece)
{
    struct http_answer *a = http_answer_new(expect);
    enum http_verdict first = HTTP_UNDECIDED;

    for (size_t at = 0; at < answer.len; at += piece) {
        size_t n = u64_min(piece, answer.len - at);
        enum http_verdict verdict = http_answer_take(a, (struct bytes){answer.data + at, n});
        CHECK(first == HTTP_UNDECIDED || verdict == first);
        first = verdict;
    }
    enum http_verdict last = http_answer_end(a);
    struct buf b;

    CHECK(last != HTTP_UNDECIDED && (first == HTTP_UNDECIDED || last == first));
    buf_init(&b);
    http_answer_say(&b, a);
    CHECK(b.len > 0 && b.len < 64);
    buf_deinit(&b);
    http_answer_free(a);
    return last;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_expect expect = http_expect_of();

    if (size < 2) {
        return 0;
    }
    expect.text = (data[0] & 1) != 0 ? "aab" : NULL;
    expect.status_max = (data[0] & 2) != 0 ? 200 : 399;
    struct bytes answer = {data + 2, size - 2};
    enum http_verdict whole = judged_in_pieces(&expect, answer, u64_max(answer.len, 1));
    enum http_verdict pieces = judged_in_pieces(&expect, answer, (size_t)data[1] + 1);

    /* Bytes behind a verdict are looked at only if they come with it. */
    CHECK((whole == HTTP_WELL) == (pieces == HTTP_WELL));
    return 0;
}
