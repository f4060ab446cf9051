// What all kernels share. Letters as in the crate that calls them: T rows, H query
// heads, K key/value heads, D head dimension, S = 16 positions of a block, V vocabulary.
#pragma once
#include <stdint.h>
#ifdef EGSS_EMULATED
#include "emulated.h"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

typedef __nv_bfloat16 bf16;

constexpr int WARP = 32;
constexpr unsigned ALL = 0xffffffffu;
constexpr int BLOCK_SIZE = 16;

#ifndef EGSS_EMULATED
// Kernels of one stream are launched so that the next may begin while the one before
// still runs. Each lets its follower begin at once, and waits for all that was launched
// before it, before it touches anything but weights.
__device__ __forceinline__ void let_next_begin() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
__device__ __forceinline__ void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// IEEE 754's half.
__device__ __forceinline__ float half_to_float(uint32_t bits) {
    return __half2float(__ushort_as_half((unsigned short)bits));
}

// 16 bytes of weights: each is read once a step, so none is kept near the processor.
__device__ __forceinline__ uint4 load_once(const void* p) {
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
}

// c += a b for a: 16 x 16, b: 16 x 8. Lane (g, q) = (lane / 4, lane % 4) holds of a the
// rows g and g + 8 (a0, a2 and a1, a3), of b the column g, of c the rows g (c0, c1) and
// g + 8 (c2, c3) of columns 2q and 2q + 1. Which of the 16 inner indices a register
// stands for is the caller's choice, as long as a and b agree.
__device__ __forceinline__ void mma(float c[4], uint32_t a0, uint32_t a1, uint32_t a2,
                                    uint32_t a3, uint32_t b0, uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
        "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
#endif

__device__ __forceinline__ uint32_t pack(float low, float high) {
    __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<uint32_t*>(&v);
}

__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) v += __shfl_xor_sync(ALL, v, d);
    return v;
}

// The sum over a thread block of at most 32 warps, given to all its threads.
__device__ __forceinline__ float block_sum(float v, float* shared) {
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    v = warp_sum(v);
    if (lane == 0) shared[warp] = v;
    __syncthreads();
    v = warp_sum(lane < blockDim.x / WARP ? shared[lane] : 0.f);
    __syncthreads();
    return v;
}
