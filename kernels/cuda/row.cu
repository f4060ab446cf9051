// What is done to one row of activations.
#include "common.cuh"

// x: [T, e] f32 to y = x weight / sqrt(mean(x^2) + eps) as bf16 (or f32); a thread block
// a row, e a multiple of 4.
template <typename Out>
__device__ __forceinline__ void rms_norm(const float* x, const float* weight, Out* y, int e,
                                         float eps) {
    __shared__ float shared[WARP];
    let_next_begin();
    wait_for_previous();
    const float4* row = reinterpret_cast<const float4*>(x + (size_t)blockIdx.x * e);
    float sum = 0.f;
    for (int i = threadIdx.x; i < e / 4; i += blockDim.x) {
        const float4 v = row[i];
        sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
    }
    const float scale = rsqrtf(block_sum(sum, shared) / e + eps);
    for (int i = threadIdx.x; i < e / 4; i += blockDim.x) {
        const float4 v = row[i], w = reinterpret_cast<const float4*>(weight)[i];
        Out* out = y + (size_t)blockIdx.x * e + 4 * i;
        out[0] = Out(v.x * scale * w.x);
        out[1] = Out(v.y * scale * w.y);
        out[2] = Out(v.z * scale * w.z);
        out[3] = Out(v.w * scale * w.w);
    }
}

extern "C" __global__ void rms_norm_bf16(const float* x, const float* weight, bf16* y, int e,
                                         float eps) {
    rms_norm(x, weight, y, e, eps);
}

extern "C" __global__ void rms_norm_f32(const float* x, const float* weight, float* y, int e,
                                        float eps) {
    rms_norm(x, weight, y, e, eps);
}

// n values from f32 to bf16.
extern "C" __global__ void to_bf16(const float* x, bf16* y, int n) {
    let_next_begin();
    wait_for_previous();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        y[i] = __float2bfloat16(x[i]);
}

// silu(gate) * up of [T, 2f], gate before up, to [T, f] bf16.
extern "C" __global__ void silu_gate(const float* x, bf16* y, int f, int n) {
    let_next_begin();
    wait_for_previous();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        const int row = i / f, column = i % f;
        const float gate = x[(size_t)row * 2 * f + column];
        const float up = x[(size_t)row * 2 * f + f + column];
        y[i] = __float2bfloat16(gate / (1.f + __expf(-gate)) * up);
    }
}

// Behind a library's product: y: [T, n] f32 = x + bias + onto.
extern "C" __global__ void finish_product(const float* x, const float* bias, const float* onto,
                                          float* y, int n, int total) {
    let_next_begin();
    wait_for_previous();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < total; i += gridDim.x * blockDim.x) {
        float v = x[i];
        if (bias) v += bias[i % n];
        if (onto) v += onto[i];
        y[i] = v;
    }
}

// Rows of w: [V, e] bf16 by ids: [T] to f32; a thread block a row.
extern "C" __global__ void embed(const bf16* w, const uint32_t* ids, float* y, int e) {
    let_next_begin();
    wait_for_previous();
    const bf16* row = w + (size_t)ids[blockIdx.x] * e;
    for (int i = threadIdx.x; i < e; i += blockDim.x)
        y[(size_t)blockIdx.x * e + i] = __bfloat162float(row[i]);
}

// Reads n times 16 bytes and nothing else: what the memory gives.
extern "C" __global__ void read_all(const uint4* x, uint32_t* out, size_t n) {
    let_next_begin();
    wait_for_previous();
    uint32_t all = 0;
    const size_t step = (size_t)gridDim.x * blockDim.x;
    size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
    for (; i + 7 * step < n; i += 8 * step) {
        uint4 v[8];
#pragma unroll
        for (int j = 0; j < 8; j++) v[j] = load_once(x + i + j * step);
#pragma unroll
        for (int j = 0; j < 8; j++) all ^= v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
    }
    for (; i < n; i += step) all ^= load_once(x + i).x;
    if (all == 0x9e3779b9u) *out = all;  // so that nothing is left out
}

// Some rows of x: [T, e] f32 by their numbers; a thread block a row.
extern "C" __global__ void take_rows(const float* x, const uint32_t* ids, float* y, int e) {
    let_next_begin();
    wait_for_previous();
    const float* row = x + (size_t)ids[blockIdx.x] * e;
    for (int i = threadIdx.x; i < e; i += blockDim.x) y[(size_t)blockIdx.x * e + i] = row[i];
}
