/*
 * fuzz_<name> DIRECTORY: gives each file of a corpus to the fuzz target that this is linked with,
 * in the order of their names. A crash is the failure; so is a corpus without files.
 */
#include "tests/fuzz/fuzz_target.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/buf.h"
#include "core/base/check.h"

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    struct buf input;
    buf_init(&input);
    uint8_t block[4096];
    for (size_t n; (n = fread(block, 1, sizeof block, file)) > 0;) {
        buf_put(&input, block, n);
    }
    CHECK(!ferror(file));
    (void)fclose(file);

    /* In a block of exactly its size, so that a sanitizer sees a read past the end. */
    uint8_t *exact = malloc(input.len == 0 ? 1 : input.len);
    CHECK(exact != NULL);
    for (size_t i = 0; i < input.len; i++) {
        exact[i] = input.data[i];
    }
    (void)LLVMFuzzerTestOneInput(exact, input.len);
    free(exact);
    buf_deinit(&input);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    struct dirent **entries = NULL;
    int count = scandir(argv[1], &entries, is_visible, alphasort);
    if (count <= 0) {
        fprintf(stderr, "%s: no corpus here\n", argv[1]);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        char path[4096];
        int len = snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
        CHECK(len > 0 && (size_t)len < sizeof path);
        replay_file(path);
        free(entries[i]);
    }
    free(entries);
    printf("%d inputs replayed\n", count);
    return 0;
}
