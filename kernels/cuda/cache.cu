// The paged cache, bf16: keys and values are [N, K, S D], in the order in which
// attention's tiles want them.
//
// Within a block of one head: key (pos, dim) stands at (dim / 32) 512 + pos 32 + dim % 32;
// value (pos, dim) at (dim / 16) 256 + (dim % 8) 32 + (pos / 4) 8 + (dim / 8 % 2) 4 + pos % 4.
#include "common.cuh"

__device__ __forceinline__ int key_at(int pos, int dim) {
    return (dim / 32) * 512 + pos * 32 + dim % 32;
}
__device__ __forceinline__ int value_at(int pos, int dim) {
    return (dim / 16) * 256 + (dim % 8) * 32 + (pos / 4) * 8 + (dim / 8 % 2) * 4 + pos % 4;
}

// Takes rows of [H queries | K keys | K values] of D, turns queries and keys by their
// positions (split halves), normalised by head before where weights are given, and writes
// queries to q: [T, H, D] bf16, keys and values to their slots. A warp a head; D at most
// 256. cos, sin: [context, D / 2].
extern "C" __global__ void turn_and_store(const float* rows, const float* cos, const float* sin,
                                          const uint32_t* positions, const uint32_t* slots,
                                          const float* q_weight, const float* k_weight,
                                          float eps, bf16* q, bf16* keys, bf16* values,
                                          int n_heads, int n_kv_heads, int d) {
    constexpr int PAIRS_MAX = 4;
    let_next_begin();
    wait_for_previous();
    const int lane = threadIdx.x % WARP;
    const int head = blockIdx.y * (blockDim.x / WARP) + threadIdx.x / WARP;
    const int row = blockIdx.x, n_all = n_heads + 2 * n_kv_heads;
    if (head >= n_all) return;
    const float* from = rows + ((size_t)row * n_all + head) * d;
    const uint32_t slot = slots[row];
    const size_t block = slot / BLOCK_SIZE;
    const int pos = slot % BLOCK_SIZE;
    if (head >= n_heads + n_kv_heads) {
        const int kv = head - n_heads - n_kv_heads;
        bf16* to = values + (block * n_kv_heads + kv) * BLOCK_SIZE * d;
        for (int i = lane; i < d; i += WARP) to[value_at(pos, i)] = __float2bfloat16(from[i]);
        return;
    }
    const bool is_query = head < n_heads;
    const int half = d / 2;
    float a[PAIRS_MAX], b[PAIRS_MAX], sum = 0.f;
#pragma unroll
    for (int p = 0; p < PAIRS_MAX; p++) {
        const int i = lane + p * WARP;
        a[p] = i < half ? from[i] : 0.f;
        b[p] = i < half ? from[i + half] : 0.f;
        sum += a[p] * a[p] + b[p] * b[p];
    }
    const float* weight = is_query ? q_weight : k_weight;
    if (weight) {
        const float scale = rsqrtf(warp_sum(sum) / d + eps);
#pragma unroll
        for (int p = 0; p < PAIRS_MAX; p++) {
            const int i = lane + p * WARP;
            if (i < half) {
                a[p] *= scale * weight[i];
                b[p] *= scale * weight[i + half];
            }
        }
    }
    const size_t angle = (size_t)positions[row] * half;
    const int kv = head - n_heads;
    bf16* query = q + ((size_t)row * n_heads + head) * d;
    bf16* key = keys + (block * n_kv_heads + (is_query ? 0 : kv)) * BLOCK_SIZE * d;
#pragma unroll
    for (int p = 0; p < PAIRS_MAX; p++) {
        const int i = lane + p * WARP;
        if (i < half) {
            const float c = cos[angle + i], s = sin[angle + i];
            const bf16 first = __float2bfloat16(a[p] * c - b[p] * s);
            const bf16 second = __float2bfloat16(b[p] * c + a[p] * s);
            if (is_query) {
                query[i] = first;
                query[i + half] = second;
            } else {
                key[key_at(pos, i)] = first;
                key[key_at(pos, i + half)] = second;
            }
        }
    }
}

// Copies block from over block to, in each of the planes of [planes, N, block]: all layers'
// keys and values. Blocks are of `vectors` times 16 bytes. Grid (copies, planes).
extern "C" __global__ void copy_blocks(uint4* cache, const uint32_t* copies, size_t plane,
                                       int vectors) {
    let_next_begin();
    wait_for_previous();
    uint4* base = cache + blockIdx.y * plane;
    const uint4* from = base + (size_t)copies[2 * blockIdx.x] * vectors;
    uint4* to = base + (size_t)copies[2 * blockIdx.x + 1] * vectors;
    for (int i = threadIdx.x; i < vectors; i += blockDim.x) to[i] = from[i];
}
