/* The first byte is a kind, the rest a record of it, as anybody may have written it: it is refused
 * with a reason, or is written again as the same record. */
#include "tests/fuzz/fuzz_target.h"

#include <string.h>

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/ha/ha_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct buf why;
    struct buf first;
    struct buf second;
    struct ha_key key;

    if (n == 0) {
        return 0;
    }
    enum ha_kind kind = (enum ha_kind)(bytes[0] % HA_KINDS);
    void *record = mem_alloc(ha_record_size(kind));
    buf_init(&why);
    buf_init(&first);
    buf_init(&second);
    enum err error = ha_record_decode(kind, (struct bytes){bytes + 1, n - 1}, record, &why);
    CHECK((error == OK) == (why.len == 0));
    if (error == OK) {
        CHECK(ha_record_check(kind, record, NULL) == OK);
        ha_record_key(kind, record, &key);
        ha_record_encode(kind, record, &first);
        if (first.len <= HA_RECORD_BYTES_MAX) {
            CHECK(ha_record_decode(kind, buf_view(&first), record, NULL) == OK);
            ha_record_encode(kind, record, &second);
            CHECK(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
        }
    }
    if (ha_key_parse((struct bytes){bytes, n}, &key) == OK) {
        char text[HA_KEY_BYTES];
        ha_key_format(key.kind, key.name, key.vm, text);
        CHECK(strlen(text) == n && memcmp(text, bytes, n) == 0);
    }
    mem_free(record);
    buf_deinit(&why);
    buf_deinit(&first);
    buf_deinit(&second);
    return 0;
}
