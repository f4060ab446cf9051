// Products of few rows with a matrix of quantised weights, bound by reading the codes, and
// the weights themselves as floats. What lies where: coded.rs.
//
// The codes go into the tensor cores' tiles as they are: whole numbers, exact as bf16. So
// a sum over inputs that share a scale is one of codes times activations, and is scaled
// once, in f32; a minimum is taken off times the sum of the activations, which is a tile
// of ones. Tiles, warps and rows are those of product.cu.
#include "product.cuh"

// 128 inputs of 4 bits, four scales and minima.
struct Nibbles {
    static constexpr int RUN = 128;
    typedef uint4 Scales;
};

// 64 inputs of 8 bits, four scales.
struct Bytes {
    static constexpr int RUN = 64;
    typedef uint2 Scales;
};

__device__ __forceinline__ uint32_t word(uint4 v, int i) {
    return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}
__device__ __forceinline__ uint32_t word(uint2 v, int i) { return i == 0 ? v.x : v.y; }

__device__ __forceinline__ float low_half(uint32_t v) { return half_to_float(v & 0xffff); }
__device__ __forceinline__ float high_half(uint32_t v) { return half_to_float(v >> 16); }

// Inputs 2i and 2i + 1 of eight codes of 4 bits, each plus 128, as bf16.
constexpr uint32_t TIMES_128 = 0x43004300u;
__device__ __forceinline__ uint32_t nibbles(uint32_t codes, int i) {
    return (codes >> (4 * i) & 0x000f000fu) | TIMES_128;
}

// Inputs 2i and 2i + 1 of four codes of 8 bits with a sign, as bf16.
__device__ __forceinline__ uint32_t bytes(uint32_t codes, int i) {
    const uint32_t two = codes >> (16 * i);
    return pack((float)(int8_t)(two & 0xff), (float)(int8_t)(two >> 8 & 0xff));
}

constexpr uint32_t ONES = 0x3f803f80u;

// Adds a run's products. `x`: this lane's row of x at the run's first input. `a` and `s`:
// codes and scales of rows g and g + 8 of each tile.
template <int NT, int RT>
__device__ __forceinline__ void add_run(Nibbles, const uint4 (&a)[RT][2], const uint4 (&s)[RT][2],
                                        const bf16* const (&x)[NT], int q, Sums<NT, RT>& sums) {
#pragma unroll
    for (int c = 0; c < 4; c++) {
#pragma unroll
        for (int j = 0; j < NT; j++) {
            const uint4 b = *reinterpret_cast<const uint4*>(x[j] + c * CHUNK + q * 8);
            float all[4] = {0.f, 0.f, 0.f, 0.f};
            mma(all, ONES, ONES, ONES, ONES, b.x, b.y);
            mma(all, ONES, ONES, ONES, ONES, b.z, b.w);
#pragma unroll
            for (int r = 0; r < RT; r++) {
                const uint32_t low = word(a[r][0], c), high = word(a[r][1], c);
                float sum[4] = {0.f, 0.f, 0.f, 0.f};
                mma(sum, nibbles(low, 0), nibbles(high, 0), nibbles(low, 1), nibbles(high, 1), b.x,
                    b.y);
                mma(sum, nibbles(low, 2), nibbles(high, 2), nibbles(low, 3), nibbles(high, 3), b.z,
                    b.w);
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const uint32_t both = word(s[r][i / 2], c);
                    const float scale = low_half(both), minimum = high_half(both);
                    sums.of[r][j][i] += scale * sum[i] - (128.f * scale + minimum) * all[i];
                }
            }
        }
    }
}
template <int NT, int RT>
__device__ __forceinline__ void add_run(Bytes, const uint4 (&a)[RT][2], const uint2 (&s)[RT][2],
                                        const bf16* const (&x)[NT], int q, Sums<NT, RT>& sums) {
#pragma unroll
    for (int group = 0; group < 4; group++) {
#pragma unroll
        for (int j = 0; j < NT; j++) {
            const uint2 b = *reinterpret_cast<const uint2*>(x[j] + group * 16 + q * 4);
#pragma unroll
            for (int r = 0; r < RT; r++) {
                const uint32_t low = word(a[r][0], group), high = word(a[r][1], group);
                float sum[4] = {0.f, 0.f, 0.f, 0.f};
                mma(sum, bytes(low, 0), bytes(high, 0), bytes(low, 1), bytes(high, 1), b.x, b.y);
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const uint32_t two = word(s[r][i / 2], group / 2);
                    sums.of[r][j][i] += (group % 2 ? high_half(two) : low_half(two)) * sum[i];
                }
            }
        }
    }
}

template <typename Coding, int NT, int RT, Ending ENDING>
__device__ __forceinline__ void coded_product(const uint4* codes,
                                              const typename Coding::Scales* scales,
                                              const float* factors, const bf16* x,
                                              const float* bias, const float* onto, void* y, int n,
                                              int k, int t, int stride) {
    // Runs in flight: as many as registers hold beside the sums.
    constexpr int DEPTH = RT * NT == 1 ? 4 : RT * NT == 2 ? 2 : 1;
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int g = lane / 4, q = lane % 4;
    const int runs = k / Coding::RUN;
    int outputs[RT][2];
#pragma unroll
    for (int r = 0; r < RT; r++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int first =
                ENDING == GATED ? blockIdx.x * 16 + r * (n / 2) : (blockIdx.x * RT + r) * 16;
            outputs[r][h] = min(first + g + 8 * h, n - 1);
        }

    let_next_begin();
    uint4 a[DEPTH][RT][2];
    typename Coding::Scales s[DEPTH][RT][2];
    auto load = [&](int d, int run) {
        if (run >= runs) return;
#pragma unroll
        for (int r = 0; r < RT; r++)
#pragma unroll
            for (int h = 0; h < 2; h++) {
                const size_t at = (size_t)outputs[r][h] * runs + run;
                a[d][r][h] = load_once(codes + at * 4 + q);
                s[d][r][h] = scales[at];
            }
    };
#pragma unroll
    for (int d = 0; d < DEPTH; d++) load(d, warp + d * WARPS);
    wait_for_previous();

    const bf16* columns[NT];
#pragma unroll
    for (int j = 0; j < NT; j++) columns[j] = x + (size_t)min(j * 8 + g, t - 1) * k;
    Sums<NT, RT> sums;
#pragma unroll
    for (int r = 0; r < RT; r++)
#pragma unroll
        for (int j = 0; j < NT; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) sums.of[r][j][i] = 0.f;

    for (int base = warp; base < runs; base += DEPTH * WARPS) {
#pragma unroll
        for (int d = 0; d < DEPTH; d++) {
            const int run = base + d * WARPS;
            if (run < runs) {
                const bf16* at[NT];
#pragma unroll
                for (int j = 0; j < NT; j++) at[j] = columns[j] + run * Coding::RUN;
                add_run<NT, RT>(Coding(), a[d], s[d], at, q, sums);
            }
            load(d, run + DEPTH * WARPS);
        }
    }
#pragma unroll
    for (int r = 0; r < RT; r++)
#pragma unroll
        for (int j = 0; j < NT; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) sums.of[r][j][i] *= factors[outputs[r][i / 2]];
    finish<NT, RT, ENDING>(sums, bias, onto, y, n, t, stride);
}

#define PRODUCT(NAME, CODING, NT, RT, ENDING)                                                   \
    extern "C" __global__ void __launch_bounds__(256, 2)                                        \
        NAME(const uint4* codes, const CODING::Scales* scales, const float* factors,            \
             const bf16* x, const float* bias, const float* onto, void* y, int n, int k, int t, \
             int stride) {                                                                      \
        coded_product<CODING, NT, RT, ENDING>(codes, scales, factors, x, bias, onto, y, n, k, t, \
                                              stride);                                          \
    }
#define PRODUCTS(NAME, CODING)                      \
    PRODUCT(NAME##_8, CODING, 1, 1, PLAIN)          \
    PRODUCT(NAME##_16, CODING, 2, 1, PLAIN)         \
    PRODUCT(NAME##_32, CODING, 4, 1, PLAIN)         \
    PRODUCT(NAME##_gated_8, CODING, 1, 2, GATED)    \
    PRODUCT(NAME##_gated_16, CODING, 2, 2, GATED)   \
    PRODUCT(NAME##_gated_32, CODING, 4, 2, GATED)

PRODUCTS(nibbles, Nibbles)
PRODUCTS(bytes, Bytes)

// Weights as numbers, `to`: [rows, k]: all rows, or those that `ids` names. A thread takes
// the 16 bytes of a lane of a run.
template <typename To>
__device__ __forceinline__ void put(To* to, float weight) {
    *to = To(weight);
}
template <typename To>
__device__ __forceinline__ void unpack(Nibbles, uint4 codes, uint4 scales, float factor, int lane,
                                       To* to) {
#pragma unroll
    for (int c = 0; c < 4; c++) {
        const float scale = low_half(word(scales, c)), minimum = high_half(word(scales, c));
#pragma unroll
        for (int j = 0; j < 8; j++) {
            const int code = word(codes, c) >> (4 * (j / 2 + 4 * (j % 2))) & 15;
            put(to + c * CHUNK + lane * 8 + j, factor * (scale * code - minimum));
        }
    }
}
template <typename To>
__device__ __forceinline__ void unpack(Bytes, uint4 codes, uint2 scales, float factor, int lane,
                                       To* to) {
#pragma unroll
    for (int group = 0; group < 4; group++) {
        const uint32_t two = word(scales, group / 2);
        const float scale = group % 2 ? high_half(two) : low_half(two);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int code = (int8_t)(word(codes, group) >> (8 * j) & 0xff);
            put(to + group * 16 + lane * 4 + j, factor * (scale * code));
        }
    }
}
template <typename Coding, typename To>
__device__ __forceinline__ void unpack_rows(const uint4* codes,
                                            const typename Coding::Scales* scales,
                                            const float* factors, const uint32_t* ids, To* to,
                                            int k, size_t units) {
    let_next_begin();
    wait_for_previous();
    const int runs = k / Coding::RUN, in_row = 4 * runs;
    const size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < units; i += step) {
        const size_t row = i / in_row, from = ids ? ids[row] : row;
        const int unit = i % in_row, run = unit / 4, lane = unit % 4;
        const size_t at = from * runs + run;
        unpack(Coding(), codes[at * 4 + lane], scales[at], factors[from], lane,
               to + row * k + run * Coding::RUN);
    }
}

#define UNPACK(NAME, CODING, TO)                                                              \
    extern "C" __global__ void NAME(const uint4* codes, const CODING::Scales* scales,         \
                                    const float* factors, const uint32_t* ids, TO* to, int k, \
                                    size_t units) {                                           \
        unpack_rows<CODING>(codes, scales, factors, ids, to, k, units);                       \
    }

UNPACK(unpack_nibbles, Nibbles, bf16)
UNPACK(unpack_bytes, Bytes, bf16)
UNPACK(embed_nibbles, Nibbles, float)
UNPACK(embed_bytes, Bytes, float)
