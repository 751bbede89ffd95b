/*
 * The primitives under every record and message: what a layer above costs, compared with what its
 * checksums and integers cost by themselves.
 */
#include "bench/bench.h"

#include <stdio.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/crc.h"
#include "core/base/cursor.h"
#include "core/base/hash.h"
#include "core/base/prng.h"

#define BLOCK_BYTES   4096
#define BLOCK_ROUNDS  500000
#define VARINTS       1000
#define VARINT_ROUNDS 20000

static void bench_checksums(struct prng *prng)
{
    uint8_t block[BLOCK_BYTES];
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = (uint8_t)prng_u64(prng);
    }

    uint32_t crc = 0;
    nanos start = bench_now();
    for (size_t i = 0; i < BLOCK_ROUNDS; i++) {
        crc = crc32c(crc, block, sizeof block);
    }
    nanos crc_spent = bench_now() - start;
    bench_keep(crc);

    uint64_t hash = 0;
    start = bench_now();
    for (size_t i = 0; i < BLOCK_ROUNDS; i++) {
        hash = hash_bytes(hash, block, sizeof block);
    }
    nanos hash_spent = bench_now() - start;
    bench_keep(hash);

    uint64_t total = (uint64_t)BLOCK_BYTES * BLOCK_ROUNDS;
    bench_report("base_crc32c_bytes_per_s", bench_rate(total, crc_spent), "B/s");
    bench_report("base_hash_bytes_per_s", bench_rate(total, hash_spent), "B/s");
}

/* Numbers of all lengths, as indexes, lengths and revisions are. */
static void bench_varints(struct prng *prng)
{
    uint64_t numbers[VARINTS];
    for (size_t i = 0; i < VARINTS; i++) {
        numbers[i] = prng_u64(prng) >> prng_below(prng, 64);
    }
    struct buf b;
    buf_init(&b);

    nanos encode_spent = 0;
    nanos decode_spent = 0;
    for (size_t round = 0; round < VARINT_ROUNDS; round++) {
        buf_clear(&b);
        nanos start = bench_now();
        for (size_t i = 0; i < VARINTS; i++) {
            buf_put_varint(&b, numbers[i]);
        }
        nanos middle = bench_now();
        struct cursor c;
        cursor_init(&c, buf_view(&b));
        uint64_t sum = 0;
        for (size_t i = 0; i < VARINTS; i++) {
            sum += cursor_varint(&c);
        }
        decode_spent += bench_now() - middle;
        encode_spent += middle - start;
        bench_keep(sum);
    }
    buf_deinit(&b);

    uint64_t total = (uint64_t)VARINTS * VARINT_ROUNDS;
    bench_report("base_varint_encodes_per_s", bench_rate(total, encode_spent), "1/s");
    bench_report("base_varint_decodes_per_s", bench_rate(total, decode_spent), "1/s");
}

int main(void)
{
    struct prng prng;
    prng_init(&prng, 1);
    printf("blocks of %d bytes; varints of 1 to 10 bytes; one thread\n", BLOCK_BYTES);
    bench_checksums(&prng);
    bench_varints(&prng);
    return 0;
}
