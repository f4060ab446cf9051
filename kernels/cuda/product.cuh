// What products of few rows share: how their sums come together, and what becomes of them.
#pragma once
#include "common.cuh"

constexpr int WARPS = 8;
constexpr int CHUNK = 32;  // inputs of a row that two tiles of a warp take

// What becomes of the sums.
enum Ending {
    PLAIN,  // + bias, + onto, as f32
    GATED,  // silu(first) * second as bf16: two matrices under one another in w
};

// Of lane (g, q), as mma() gives them: 16 outputs by 8 tokens a tile.
template <int NT, int RT>
struct Sums {
    float of[RT][NT][4];
};

// Adds up the sums of a thread block's warps, and writes them. Rows of y (and onto) lie
// `stride` apart; a gated y has rows of n / 2.
template <int NT, int RT, Ending ENDING>
__device__ __forceinline__ void finish(const Sums<NT, RT>& sums, const float* bias,
                                       const float* onto, void* y, int n, int t, int stride) {
    __shared__ float shared[WARPS][RT * 16 * NT * 8];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int g = lane / 4, q = lane % 4;
    // shared[warp][token][output]
#pragma unroll
    for (int r = 0; r < RT; r++)
#pragma unroll
        for (int j = 0; j < NT; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int output = r * 16 + g + 8 * (i / 2), token = j * 8 + 2 * q + i % 2;
                shared[warp][token * RT * 16 + output] = sums.of[r][j][i];
            }
    __syncthreads();
    auto sum = [&](int at) {
        float s = 0.f;
#pragma unroll
        for (int v = 0; v < WARPS; v++) s += shared[v][at];
        return s;
    };
    if (ENDING == GATED) {
        for (int i = threadIdx.x; i < 16 * t; i += blockDim.x) {
            const int token = i / 16, output = i % 16, o = blockIdx.x * 16 + output;
            if (o >= n / 2) continue;
            const float gate = sum(token * RT * 16 + output);
            const float up = sum(token * RT * 16 + 16 + output);
            static_cast<bf16*>(y)[(size_t)token * (n / 2) + o] =
                __float2bfloat16(gate / (1.f + __expf(-gate)) * up);
        }
    } else {
        for (int i = threadIdx.x; i < RT * 16 * t; i += blockDim.x) {
            const int token = i / (RT * 16), output = i % (RT * 16);
            const int o = blockIdx.x * RT * 16 + output;
            if (o >= n) continue;
            float s = sum(token * RT * 16 + output);
            if (bias) s += bias[o];
            if (onto) s += onto[(size_t)token * stride + o];
            static_cast<float*>(y)[(size_t)token * stride + o] = s;
        }
    }
}
