/* states [n][inner] times a weight, bf16 both, -> output [n][width] in float32: what torch's functions do not give on a CPU.

   The products of blocks are torch's own (at::native::cpublas::brgemm, oneDNN's with AMX where there is AMX), whose address
   comes from rl/policy/wide.py. There the weight is laid out: for each BLOCK columns of the output, the last block may have
   fewer, [inner / 2][columns][2]. */

#include <stdbool.h>
#include <stdint.h>

#define BLOCK 64 /* columns: with 576 to 4096 inner numbers a block of the weight fits the second cache */
#define TOGETHER 32 /* rows: two tiles of AMX; oneDNN makes a kernel for each number that occurs */

typedef void (*Product)(int64_t m, int64_t n, int64_t k, int64_t a_stride, int64_t b_stride, int64_t c_stride, bool add,
                        const uint16_t *a, const uint16_t *b, float *c, bool in_pairs);
typedef void (*Release)(bool in_pairs);

void wide_product(Product product, Release release, const uint16_t *states, int64_t n, int64_t inner, const uint16_t *weight,
                  int64_t width, float *output, int threads) {
    int64_t blocks = (width + BLOCK - 1) / BLOCK;
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int64_t block = 0; block < blocks; block++) {
            int64_t first = block * BLOCK, columns = width - first < BLOCK ? width - first : BLOCK;
            for (int64_t row = 0; row < n; row += TOGETHER) {
                int64_t rows = n - row < TOGETHER ? n - row : TOGETHER;
                product(rows, columns, inner, inner, columns, width, false, states + row * inner, weight + first * inner,
                        output + row * width + first, true);
            }
        }
        release(true); /* the tiles that AMX has set up in this thread */
    }
}
