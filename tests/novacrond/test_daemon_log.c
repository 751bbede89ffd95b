/* The daemon's log: whatever is said, each line can be taken apart again, in both forms, and gives
 * what was said. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <jansson.h>

#include "novacrond/daemon_log.h"
#include "tests/support/test.h"

#define FIELDS_MAX 16
#define LOG_BYTES  (256 * 1024)

/* What attackers and accidents put into names, addresses and reasons. */
static const char *const hostile[] = {
    "",
    "plain",
    "two words",
    "a=b",
    "quote\" and \\ backslash",
    "line\nts=2000-01-01T00:00:00.000Z level=error msg=forged",
    "\r\t\b\f\v\a",
    "\033[2J\033]0;owned\007",
    "\x01\x1f\x7f",
    "\"}{\"ts\":\"forged\"",
    "\xff\xfe",
    "\xc3",             /* cut off */
    "\xc0\xaf",         /* not the shortest */
    "\xed\xa0\x80",     /* half of a pair */
    "\xf4\x90\x80\x80", /* beyond the last */
    "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x98",
    "\xc2\x9b;2J",
    "null",
    "12",
};

static char written[LOG_BYTES];

static struct daemon_log log_opened(enum daemon_format format, int *ret_fd)
{
    struct daemon_log log;
    const struct daemon_log_settings settings = {.level = DAEMON_DEBUG, .format = format};
    *ret_fd = memfd_create("log", 0);
    assert_true(*ret_fd >= 0);
    daemon_log_open(&log, &settings, *ret_fd);
    return log;
}

static void log_read_back(struct daemon_log *log, int fd)
{
    ssize_t n = pread(fd, written, sizeof written - 1, 0);
    assert_true(n >= 0);
    written[n] = '\0';
    daemon_log_close(log);
    (void)close(fd);
}

/* --- the form key=value ----------------------------------------------------------------------- */

struct parsed {
    size_t n;
    char keys[FIELDS_MAX][32];
    char *values[FIELDS_MAX]; /* owned */
};

/* A value as logfmt has it: bare, or as a string of JSON. Returns what is behind it. */
static const char *parse_value(const char *at, char **ret)
{
    if (*at != '"') {
        size_t len = strcspn(at, " \n");
        for (size_t i = 0; i < len; i++) {
            assert_true(at[i] > ' ' && at[i] < 0x7f && at[i] != '=' && at[i] != '"');
        }
        assert_true(len > 0);
        *ret = strndup(at, len);
        return at + len;
    }
    const char *end = at + 1;
    while (*end != '"') {
        assert_true(*end != '\0' && *end != '\n');
        end += *end == '\\' ? 2 : 1;
    }
    json_t *value = json_loadb(at, (size_t)(end + 1 - at), JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    *ret = strdup(json_string_value(value));
    json_decref(value);
    return end + 1;
}

static struct parsed parse_text(const char *line)
{
    struct parsed p = {.n = 0};
    for (const char *at = line; *at != '\n'; p.n++) {
        size_t len = strcspn(at, "= \n");
        assert_true(len > 0 && at[len] == '=' && p.n < FIELDS_MAX);
        (void)snprintf(p.keys[p.n], sizeof p.keys[0], "%.*s", (int)len, at);
        at = parse_value(at + len + 1, &p.values[p.n]);
        assert_true(*at == ' ' || *at == '\n');
        at += *at == ' ' ? 1 : 0;
    }
    return p;
}

static const char *value_of_key(const struct parsed *p, const char *key)
{
    const char *found = NULL;
    for (size_t i = 0; i < p->n; i++) {
        if (strcmp(p->keys[i], key) == 0) {
            assert_null(found); /* a key is there once */
            found = p->values[i];
        }
    }
    assert_non_null(found);
    return found;
}

static void parsed_free(struct parsed *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->values[i]);
    }
}

/* --- what is expected ------------------------------------------------------------------------- */

/* The value, as far as it is UTF-8. */
static void expect_same(const char *found, const char *said)
{
    json_t *as_is = json_string(said);
    if (as_is != NULL) {
        assert_string_equal(found, said);
        json_decref(as_is);
    } else {
        assert_non_null(strstr(found, "\xEF\xBF\xBD"));
    }
}

/* No byte that a terminal obeys, and UTF-8 throughout. */
static void expect_clean(const char *line)
{
    for (const char *at = line; *at != '\n'; at++) {
        assert_true((uint8_t)*at >= 0x20 && (uint8_t)*at != 0x7f);
        assert_false((uint8_t)at[0] == 0xC2 && (uint8_t)at[1] >= 0x80 && (uint8_t)at[1] < 0xA0);
    }
    json_t *text = json_stringn(line, strcspn(line, "\n"));
    assert_non_null(text);
    json_decref(text);
}

static void say_all(struct daemon_log *log)
{
    /* Each under its own name, so that none is left out. */
    static char names[COUNT_OF(hostile)][16];
    for (size_t i = 0; i < COUNT_OF(hostile); i++) {
        (void)snprintf(names[i], sizeof names[i], "event %zu", i);
        LOG_SAY(log, DAEMON_WARN, names[i], log_text("why", hostile[i]), log_u64("port", 2380),
                log_hex("peer", 0xdead), log_text("at", hostile[COUNT_OF(hostile) - 1 - i]));
    }
}

static void writes_lines_of_keys_and_values_that_can_be_read(void **state)
{
    (void)state;
    int fd = -1;
    struct daemon_log log = log_opened(DAEMON_TEXT, &fd);
    say_all(&log);
    log_read_back(&log, fd);
    const char *line = written;
    for (size_t i = 0; i < COUNT_OF(hostile); i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "event %zu", i);
        expect_clean(line);
        struct parsed p = parse_text(line);
        assert_int_equal(p.n, 7);
        assert_string_equal(value_of_key(&p, "level"), "warn");
        assert_string_equal(value_of_key(&p, "msg"), name);
        assert_string_equal(value_of_key(&p, "port"), "2380");
        assert_string_equal(value_of_key(&p, "peer"), "dead");
        expect_same(value_of_key(&p, "why"), hostile[i]);
        expect_same(value_of_key(&p, "at"), hostile[COUNT_OF(hostile) - 1 - i]);
        parsed_free(&p);
        line = strchr(line, '\n') + 1;
    }
    assert_string_equal(line, "");
}

static void writes_lines_of_json_that_can_be_read(void **state)
{
    (void)state;
    int fd = -1;
    struct daemon_log log = log_opened(DAEMON_JSON, &fd);
    say_all(&log);
    log_read_back(&log, fd);
    const char *line = written;
    for (size_t i = 0; i < COUNT_OF(hostile); i++) {
        expect_clean(line);
        size_t len = strcspn(line, "\n");
        json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(o);
        assert_int_equal(json_object_size(o), 7);
        assert_int_equal(json_integer_value(json_object_get(o, "port")), 2380);
        assert_string_equal(json_string_value(json_object_get(o, "peer")), "dead");
        expect_same(json_string_value(json_object_get(o, "why")), hostile[i]);
        json_decref(o);
        line += len + 1;
    }
    assert_string_equal(line, "");
}

static void takes_any_bytes(void **state)
{
    (void)state;
    struct prng prng = test_prng("log");
    for (size_t round = 0; round < test_rounds(300); round++) {
        char text[64];
        size_t len = (size_t)prng_below(&prng, sizeof text);
        for (size_t i = 0; i < len; i++) {
            text[i] = (char)prng_range(&prng, 1, 255);
        }
        text[len] = '\0';
        for (int format = 0; format < 2; format++) {
            int fd = -1;
            struct daemon_log log = log_opened(format == 0 ? DAEMON_TEXT : DAEMON_JSON, &fd);
            LOG_SAY(&log, DAEMON_INFO, "event", log_text("why", text));
            log_read_back(&log, fd);
            assert_ptr_equal(strchr(written, '\n'), written + strlen(written) - 1);
            expect_clean(written);
            if (format == 0) {
                struct parsed p = parse_text(written);
                expect_same(value_of_key(&p, "why"), text);
                parsed_free(&p);
            } else {
                json_t *o = json_loadb(written, strlen(written), JSON_REJECT_DUPLICATES, NULL);
                assert_non_null(o);
                expect_same(json_string_value(json_object_get(o, "why")), text);
                json_decref(o);
            }
        }
    }
}

static void leaves_out_what_is_too_much_and_says_how_much(void **state)
{
    (void)state;
    int fd = -1;
    struct daemon_log log = log_opened(DAEMON_TEXT, &fd);
    for (int i = 0; i < LOG_BURST + 5; i++) {
        LOG_SAY(&log, DAEMON_WARN, "noise", log_u64("i", (uint64_t)i));
    }
    LOG_SAY(&log, DAEMON_WARN, "other", log_u64("i", 0));
    assert_int_equal(log.lines, LOG_BURST + 1);
    assert_int_equal(log.left_out, 5);
    for (size_t i = 0; i < LOG_EVENTS_MAX; i++) {
        log.counts[i].since -= log.counts[i].event != NULL ? LOG_WINDOW : 0; /* time passes */
    }
    LOG_SAY(&log, DAEMON_WARN, "noise", log_u64("i", 99));
    log_read_back(&log, fd);
    assert_non_null(strstr(written, "msg=noise i=99 left_out=5\n"));
    assert_null(strstr(written, "i=24"));
}

static void keeps_to_its_level(void **state)
{
    (void)state;
    int fd = -1;
    struct daemon_log log = log_opened(DAEMON_TEXT, &fd);
    log.level = DAEMON_WARN;
    LOG_SAY(&log, DAEMON_DEBUG, "d", log_u64("i", 1));
    LOG_SAY(&log, DAEMON_INFO, "i", log_u64("i", 1));
    LOG_SAY(&log, DAEMON_WARN, "w", log_u64("i", 1));
    LOG_SAY(&log, DAEMON_ERROR, "e", log_u64("i", 1));
    log_read_back(&log, fd);
    assert_null(strstr(written, "level=debug"));
    assert_null(strstr(written, "level=info"));
    assert_non_null(strstr(written, "level=warn msg=w"));
    assert_non_null(strstr(written, "level=error msg=e"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_lines_of_keys_and_values_that_can_be_read),
        cmocka_unit_test(writes_lines_of_json_that_can_be_read),
        cmocka_unit_test(takes_any_bytes),
        cmocka_unit_test(leaves_out_what_is_too_much_and_says_how_much),
        cmocka_unit_test(keeps_to_its_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
