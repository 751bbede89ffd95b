#include "core/chaos/check/history.h"

#include "tests/support/test.h"

#include <string.h>

#include "tests/core/chaos/check/history_maker.h"

static enum err read_text(struct history *h, const char *text)
{
    history_init(h);
    return history_read(h, (struct bytes){(const uint8_t *)text, strlen(text)});
}

static void assert_says(const struct history *h, uint64_t id, const char *expected)
{
    struct bytes said = lin_strings_get(&h->strings, (uint32_t)id);
    assert_int_equal(said.len, strlen(expected));
    assert_memory_equal(said.len > 0 ? said.data : (const uint8_t *)"", expected, said.len);
}

static void reads_a_register_as_jepsen_logs_it(void **state)
{
    (void)state;
    struct history h;
    assert_int_equal(read_text(&h, "INFO  jepsen.util - 0\t:invoke\t:read\tnil\n"
                                   "INFO  jepsen.util - 4   :invoke :cas    [3 0]\n"
                                   "INFO  jepsen.util - 0\t:ok\t:read\t0\n"
                                   "INFO  jepsen.util - 4\t:fail\t:cas\t[3 0]\n"
                                   "INFO  jepsen.util - 2\t:invoke\t:write\t1\n"
                                   "INFO  jepsen.util - 2\t:info\t:write\t:timed-out\n"),
                     OK);
    assert_int_equal(h.count, 3);
    assert_false(h.has_times);
    assert_int_equal(h.ops[0].kind, LIN_READ);
    assert_int_equal(h.ops[0].invoked, 1);
    assert_int_equal(h.ops[0].returned, 3);
    assert_says(&h, h.ops[0].value, "0");
    /* Zero is a value, nil is none. */
    assert_true(h.ops[0].value != 0);
    assert_int_equal(h.ops[1].kind, LIN_CAS_MISS);
    assert_int_equal(h.ops[1].outcome, LIN_OK);
    assert_int_equal(h.ops[1].process, 4);
    assert_says(&h, h.ops[1].expected, "3");
    assert_int_equal(h.ops[2].outcome, LIN_UNKNOWN);
    assert_says(&h, h.ops[2].value, "1");
    history_deinit(&h);
}

static void reads_strings_of_many_keys(void **state)
{
    (void)state;
    struct history h;
    assert_int_equal(
        read_text(&h, "{:process 9, :type :invoke, :f :append, :key \"0\", :value \"x, 9 } y\"}\n"
                      "{:process 1, :type :invoke, :f :get, :key \"9\", :value nil}\n"
                      "{:process 1, :type :ok, :f :get, :key \"9\", :value \"\"}\n"
                      "{:process 1, :type :invoke, :f :put, :key \"9\", :value \"a\\\"b\\\\\\n\"}"),
        OK);
    assert_int_equal(h.count, 3);
    assert_int_equal(h.ops[0].kind, LIN_APPEND);
    assert_says(&h, h.ops[0].key, "0");
    assert_says(&h, h.ops[0].value, "x, 9 } y");
    assert_int_equal(h.ops[1].value, 0);
    assert_int_equal(h.ops[1].outcome, LIN_OK);
    assert_int_equal(h.ops[2].kind, LIN_WRITE);
    assert_says(&h, h.ops[2].value, "a\"b\\\n");
    history_deinit(&h);
}

static void reads_times_and_revisions(void **state)
{
    (void)state;
    struct history h;
    assert_int_equal(
        read_text(&h,
                  "; a comment\n\n"
                  "{:process 1, :type :invoke, :f :read, :key 7, :value nil, :time 100}\n"
                  "{:type :ok, :process 1, :f :read, :key 7, :value 12, :time 250, :revision 31,"
                  " :mod-revision 29, :node [\"n1\" 2 3]}\n"
                  "{:process 1, :type :invoke, :f :write, :key 7, :value 13, :time 300}\n"
                  "{:process 1, :type :fail, :f :write, :key 7, :value 13, :time 400}\n"),
        OK);
    assert_int_equal(h.count, 2);
    assert_true(h.has_times);
    assert_int_equal(h.ops[0].invoked, 100);
    assert_int_equal(h.ops[0].returned, 250);
    assert_int_equal(h.ops[0].revision, 31);
    assert_int_equal(h.ops[0].mod_revision, 29);
    assert_int_equal(h.ops[1].outcome, LIN_FAILED);
    history_deinit(&h);
}

static void failed_cas_is_no_miss_in_our_dialect(void **state)
{
    (void)state;
    struct history h;
    assert_int_equal(read_text(&h,
                               "{:process 1, :type :invoke, :f :cas, :value [1 2]}\n"
                               "{:process 1, :type :fail, :f :cas, :value [1 2]}\n"
                               "{:process 1, :type :invoke, :f :cas, :value [1 2]}\n"
                               "{:process 1, :type :ok, :f :cas, :value [1 2], :missed true}\n"
                               "{:process 1, :type :invoke, :f :cas, :value [1 2]}\n"
                               "{:process 1, :type :ok, :f :cas, :value [1 2], :missed false}\n"),
                     OK);
    assert_int_equal(h.ops[0].outcome, LIN_FAILED);
    assert_int_equal(h.ops[1].kind, LIN_CAS_MISS);
    assert_int_equal(h.ops[2].kind, LIN_CAS);
    history_deinit(&h);
}

static void process_that_goes_on_leaves_an_unknown_outcome(void **state)
{
    (void)state;
    struct history h;
    assert_int_equal(read_text(&h, "{:process 1, :type :invoke, :f :write, :value 1}\n"
                                   "{:process 1, :type :invoke, :f :write, :value 2}\n"
                                   "{:process 1, :type :ok, :f :write, :value 2}\n"),
                     OK);
    assert_int_equal(h.ops[0].outcome, LIN_UNKNOWN);
    assert_int_equal(h.ops[1].outcome, LIN_OK);
    history_deinit(&h);
}

static void wrong_lines_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t line;
    } cases[] = {
        {"hello\n", 1},
        {"\n\n{:process 1}", 3},
        {"{:process 1, :type :ok, :f :read, :value 1}", 1},
        {"{:process 1, :type :invoke, :f :read}\n{:process 1, :type :ok, :f :write}", 2},
        {"{:process 1, :type :invoke, :f :read, :key 1}\n{:process 1, :type :ok, :f :read, :key 2}",
         2},
        {"{:process 4294967296, :type :invoke, :f :read}", 1},
        {"{:process 99999999999999999999, :type :invoke, :f :read}", 1},
        {"{:process 1, :type :later, :f :read}", 1},
        {"{:process 1, :type :invoke, :f :jump}", 1},
        {"{:process 1, :type :invoke, :f :cas, :value 1}", 1},
        {"{:process 1, :type :invoke, :f :write, :value \"abc}", 1},
        {"{:process 1, :type :invoke, :f :write, :value [1 2}", 1},
        {"{:process 1, :type :invoke, :f :write, :value [[1 2]]}", 1},
        {"{:process 1, :type :invoke, :f :read, :time 5}\n{:process 1, :type :ok, :f :read, :time "
         "4}",
         2},
        {"{:process 1, :type :invoke, :f :read, :revision 4611686018427387904}", 1},
        {"INFO  jepsen.util - 0 :invoke :read", 1},
        {"INFO  jepsen.util - 0 :invoke :read nil nil", 1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct history h;
        assert_int_equal(read_text(&h, cases[i].text), ERR_CORRUPT);
        assert_int_equal(h.error_line, cases[i].line);
        assert_non_null(h.error);
        history_deinit(&h);
    }
}

static void what_is_written_is_read_as_it_was(void **state)
{
    (void)state;
    struct prng p = test_prng(__func__);
    const struct history_recipe recipe = {.count = 300,
                                          .processes = 7,
                                          .keys = 3,
                                          .unknown_ppm = 100000,
                                          .read_ppm = 400000,
                                          .cas_ppm = 200000,
                                          .delete_ppm = 50000,
                                          .has_revisions = true,
                                          .operation = 5,
                                          .pause = 1};
    struct lin_op ops[300];
    make_history(&p, &recipe, ops);
    ops[10].outcome = LIN_FAILED;
    struct buf text;
    buf_init(&text);
    history_write(ops, COUNT_OF(ops), NULL, &text);
    struct history h;
    history_init(&h);
    assert_int_equal(history_read(&h, buf_view(&text)), OK);
    assert_int_equal(h.count, COUNT_OF(ops));
    for (size_t i = 0; i < COUNT_OF(ops); i++) {
        assert_int_equal(h.ops[i].kind, ops[i].kind);
        assert_int_equal(h.ops[i].outcome, ops[i].outcome);
        assert_int_equal(h.ops[i].process, ops[i].process);
        assert_int_equal(h.ops[i].invoked, ops[i].invoked);
        if (ops[i].outcome == LIN_OK) {
            assert_int_equal(h.ops[i].returned, ops[i].returned);
            assert_int_equal(h.ops[i].revision, ops[i].revision);
            assert_int_equal(h.ops[i].mod_revision, ops[i].mod_revision);
        }
    }
    /* The same again, but for the ids, which names hide. */
    struct lin_names names = history_names(&h);
    struct buf again;
    buf_init(&again);
    history_write(h.ops, h.count, &names, &again);
    assert_int_equal(again.len, text.len);
    assert_memory_equal(again.data, text.data, text.len);
    buf_deinit(&again);
    buf_deinit(&text);
    history_deinit(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_register_as_jepsen_logs_it),
        cmocka_unit_test(reads_strings_of_many_keys),
        cmocka_unit_test(reads_times_and_revisions),
        cmocka_unit_test(failed_cas_is_no_miss_in_our_dialect),
        cmocka_unit_test(process_that_goes_on_leaves_an_unknown_outcome),
        cmocka_unit_test(wrong_lines_are_named),
        cmocka_unit_test(what_is_written_is_read_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
