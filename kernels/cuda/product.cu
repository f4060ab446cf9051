// Products of few rows with a matrix of bf16 weights, bound by reading the weights.
//
// y[t, o] = sum_i w[o, i] x[t, i], w: [n, k], x: [T, k] bf16, y f32. The weights are the
// left side of the tensor cores' tiles: 16 outputs by 16 inputs, the rows of x the right
// one, 8 to a tile. A lane reads 16 bytes of weights of one output, eight inputs side by
// side; x is read in the same order, so nothing has to be moved about. The 8 warps of a
// thread block share the inputs of 16 (or 2 x 16) outputs and add up in the end.
#include "product.cuh"

template <int NT, int RT, Ending ENDING>
__device__ __forceinline__ void product(const bf16* w, const bf16* x, const float* bias,
                                        const float* onto, void* y, int n, int k, int t) {
    constexpr int DEPTH = 8 / RT;  // loads of 16 bytes in flight: 2 RT DEPTH a lane
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int g = lane / 4, q = lane % 4;
    const int chunks = k / CHUNK;
    // First output of each of the tiles.
    int first[RT];
#pragma unroll
    for (int r = 0; r < RT; r++)
        first[r] = ENDING == GATED ? blockIdx.x * 16 + r * (n / 2) : (blockIdx.x * RT + r) * 16;

    const bf16* rows[RT][2];
#pragma unroll
    for (int r = 0; r < RT; r++)
#pragma unroll
        for (int h = 0; h < 2; h++)
            rows[r][h] = w + (size_t)min(first[r] + g + 8 * h, n - 1) * k + q * 8;

    let_next_begin();
    uint4 a[DEPTH][RT][2];
    const uint4 zero = make_uint4(0, 0, 0, 0);
#pragma unroll
    for (int d = 0; d < DEPTH; d++) {
        const int c = warp + d * WARPS;
#pragma unroll
        for (int r = 0; r < RT; r++)
#pragma unroll
            for (int h = 0; h < 2; h++)
                a[d][r][h] = c < chunks ? load_once(rows[r][h] + c * CHUNK) : zero;
    }
    wait_for_previous();

    const bf16* columns[NT];
#pragma unroll
    for (int j = 0; j < NT; j++) columns[j] = x + (size_t)min(j * 8 + g, t - 1) * k + q * 8;
    Sums<NT, RT> sums;
#pragma unroll
    for (int r = 0; r < RT; r++)
#pragma unroll
        for (int j = 0; j < NT; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) sums.of[r][j][i] = 0.f;

    for (int base = warp; base < chunks; base += DEPTH * WARPS) {
#pragma unroll
        for (int d = 0; d < DEPTH; d++) {
            const int c = base + d * WARPS;
            if (c < chunks) {
#pragma unroll
                for (int j = 0; j < NT; j++) {
                    const uint4 b = *reinterpret_cast<const uint4*>(columns[j] + c * CHUNK);
#pragma unroll
                    for (int r = 0; r < RT; r++) {
                        const uint4 low = a[d][r][0], high = a[d][r][1];
                        mma(sums.of[r][j], low.x, high.x, low.y, high.y, b.x, b.y);
                        mma(sums.of[r][j], low.z, high.z, low.w, high.w, b.z, b.w);
                    }
                }
            }
            const int next = c + DEPTH * WARPS;
#pragma unroll
            for (int r = 0; r < RT; r++)
#pragma unroll
                for (int h = 0; h < 2; h++)
                    if (next < chunks) a[d][r][h] = load_once(rows[r][h] + next * CHUNK);
        }
    }

    finish<NT, RT, ENDING>(sums, bias, onto, y, n, t, n);
}

#define PRODUCT(NAME, NT, RT, ENDING)                                                        \
    extern "C" __global__ void __launch_bounds__(256, 2)                                     \
        NAME(const bf16* w, const bf16* x, const float* bias, const float* onto, void* y,    \
             int n, int k, int t) {                                                          \
        product<NT, RT, ENDING>(w, x, bias, onto, y, n, k, t);                               \
    }

PRODUCT(product_8, 1, 1, PLAIN)
PRODUCT(product_16, 2, 1, PLAIN)
PRODUCT(product_32, 4, 1, PLAIN)
PRODUCT(product_wide_8, 1, 2, PLAIN)
PRODUCT(product_wide_16, 2, 2, PLAIN)
PRODUCT(product_wide_32, 4, 2, PLAIN)
PRODUCT(product_gated_8, 1, 2, GATED)
PRODUCT(product_gated_16, 2, 2, GATED)
PRODUCT(product_gated_32, 4, 2, GATED)
