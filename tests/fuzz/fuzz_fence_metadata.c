/* What a fence agent prints of itself, and then parameters that are held against it: the bytes
 * after a zero, as lines of name and value. */
#include <string.h>

#include "core/base/buf.h"
#include "core/base/check.h"
#include "drivers/fence/fence_params.h"
#include "tests/fuzz/fuzz_target.h"

#define TEXT_BYTES 4096

static size_t split_params(char *text, struct fence_param *params)
{
    size_t count = 0;
    char *rest = text;

    while (rest != NULL && count < FENCE_PARAMS_MAX) {
        char *line = strsep(&rest, "\n");
        char *equals = strchr(line, '=');
        if (equals != NULL) {
            *equals = '\0';
            params[count++] = (struct fence_param){line, equals + 1};
        }
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct fence_param params[FENCE_PARAMS_MAX];
    struct fence_metadata m;
    char why[FENCE_WHY_MAX_BYTES];
    char text[TEXT_BYTES] = "";
    const uint8_t *zero = n > 0 ? memchr(bytes, 0, n) : NULL;
    size_t xml = zero != NULL ? (size_t)(zero - bytes) : n;

    if (zero != NULL) {
        memcpy(text, zero + 1, u64_min(n - xml - 1, sizeof text - 1));
    }
    if (fence_metadata_decode((struct bytes){bytes, xml}, &m, why, sizeof why) != OK) {
        CHECK(strlen(why) > 0);
        return 0;
    }
    size_t count = split_params(text, params);
    if (fence_params_check(params, count, why, sizeof why) == OK &&
        fence_params_fit(&m, params, count, why, sizeof why) == OK) {
        struct buf out;
        buf_init(&out);
        fence_params_write(&m, params, count, FENCE_OFF, &out);
        CHECK(out.len > 0 && out.data[out.len - 1] == '\n');
        buf_deinit(&out);
    }
    fence_metadata_deinit(&m);
    return 0;
}
