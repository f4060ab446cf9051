// Attention of a ragged batch over the paged cache, cut into pieces: some rows and a run
// of blocks that all of them look at. Decode rows, branches over one trunk and chunks of a
// prefill are pieces alike, so a trunk is read once for all branches over it.
//
// A row counts once for each query head of its key/value head (grouped queries): 16 such
// rows fill a tile of the tensor cores. Pieces leave their sums unnormalised, with the
// maximum and the mass; a second kernel merges them by log-sum-exp.
#include "common.cuh"

// A piece's figures in the plan.
enum { FIRST, N_BLOCKS, BLOCKS_AT, ROWS_AT, N_ROWS, SLOT, TILES, UNUSED, PIECE };

constexpr int WARPS = 4;

// Grid (pieces, K), 4 warps. A piece has 1, 2 or 4 tiles of 16 rows: so many warps share
// its tiles, and the others share its blocks. sums: [slots, H, D], masses: [slots, H]
// (maximum, mass), with slot = SLOT + the row's place in the piece.
template <int D>
__device__ __forceinline__ void attend(const bf16* q, const bf16* keys, const bf16* values,
                                       const uint32_t* plan, const uint32_t* blocks,
                                       const uint32_t* rows, const uint32_t* seen, float* sums,
                                       float2* masses, int n_heads, int n_kv_heads,
                                       float scale) {
    constexpr int PAD = 4;
    __shared__ float shared_sums[WARPS][16][D + PAD];
    __shared__ float2 shared_masses[WARPS][16];
    let_next_begin();
    wait_for_previous();
    const uint32_t* piece = plan + (size_t)blockIdx.x * PIECE;
    const int kv = blockIdx.y, group = n_heads / n_kv_heads;
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int g = lane / 4, c4 = lane % 4;
    const int tiles = piece[TILES], parts = WARPS / tiles;
    const int tile = warp % tiles, part = warp / tiles;
    const int n_blocks = piece[N_BLOCKS], first = piece[FIRST];
    const int n_queries = piece[N_ROWS] * group;
    if (n_queries == 0) return;  // the plan's lists were filled up
    blocks += piece[BLOCKS_AT];
    rows += piece[ROWS_AT];

    // The lane's two query rows, and how many positions they see.
    uint4 query[D / 32][2];
    int visible[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
        const int i = tile * 16 + g + 8 * h;
        const bool is = i < n_queries;
        const int row = is ? rows[i / group] : 0;
        visible[h] = is ? seen[row] : 0;
        const bf16* from = q + ((size_t)row * n_heads + kv * group + i % group) * D + c4 * 8;
#pragma unroll
        for (int c = 0; c < D / 32; c++)
            query[c][h] = is ? *reinterpret_cast<const uint4*>(from + c * 32)
                             : make_uint4(0, 0, 0, 0);
    }
    int last = max(visible[0], visible[1]);
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) last = max(last, __shfl_xor_sync(ALL, last, d));

    float out[D / 8][4];
#pragma unroll
    for (int n = 0; n < D / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) out[n][i] = 0.f;
    float top[2] = {-INFINITY, -INFINITY}, mass[2] = {0.f, 0.f};

    uint32_t next = part < n_blocks ? blocks[part] : 0;
    for (int b = part; b < n_blocks; b += parts) {
        const int start = first + b * BLOCK_SIZE;
        if (start >= last) break;
        const size_t block = ((size_t)next * n_kv_heads + kv) * BLOCK_SIZE * D;
        if (b + parts < n_blocks) next = blocks[b + parts];
        // Tile j's column n is position 4 (n / 2) + 2 j + n % 2, so that a lane's four
        // probabilities are of four positions side by side.
        const bf16* key = keys + block + (4 * (g / 2) + g % 2) * 32 + c4 * 8;
        const bf16* value = values + block + g * 32 + c4 * 8;
        uint4 k[D / 32][2], v[D / 16];
#pragma unroll
        for (int c = 0; c < D / 32; c++)
#pragma unroll
            for (int j = 0; j < 2; j++)
                k[c][j] = *reinterpret_cast<const uint4*>(key + c * 512 + j * 64);
#pragma unroll
        for (int n = 0; n < D / 16; n++)
            v[n] = *reinterpret_cast<const uint4*>(value + n * 256);

        float s[2][4] = {{0.f, 0.f, 0.f, 0.f}, {0.f, 0.f, 0.f, 0.f}};
#pragma unroll
        for (int c = 0; c < D / 32; c++) {
            const uint4 low = query[c][0], high = query[c][1];
#pragma unroll
            for (int j = 0; j < 2; j++) {
                mma(s[j], low.x, high.x, low.y, high.y, k[c][j].x, k[c][j].y);
                mma(s[j], low.z, high.z, low.w, high.w, k[c][j].z, k[c][j].w);
            }
        }
        float grown[2];
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float most = -INFINITY;
#pragma unroll
            for (int j = 0; j < 2; j++)
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    const bool is = start + 4 * c4 + 2 * j + e < visible[h];
                    float& score = s[j][2 * h + e];
                    score = is ? score * scale : -INFINITY;
                    most = fmaxf(most, score);
                }
            most = fmaxf(most, __shfl_xor_sync(ALL, most, 1));
            most = fmaxf(most, __shfl_xor_sync(ALL, most, 2));
            const float now = fmaxf(top[h], most);
            const float base = now == -INFINITY ? 0.f : now;
            grown[h] = exp2f(top[h] - base);
            top[h] = now;
            float sum = 0.f;
#pragma unroll
            for (int j = 0; j < 2; j++)
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    float& score = s[j][2 * h + e];
                    score = exp2f(score - base);
                    sum += score;
                }
            sum += __shfl_xor_sync(ALL, sum, 1);
            sum += __shfl_xor_sync(ALL, sum, 2);
            mass[h] = mass[h] * grown[h] + sum;
        }
        const uint32_t p0 = pack(s[0][0], s[0][1]), p1 = pack(s[0][2], s[0][3]);
        const uint32_t p2 = pack(s[1][0], s[1][1]), p3 = pack(s[1][2], s[1][3]);
#pragma unroll
        for (int n = 0; n < D / 8; n++) {
            out[n][0] *= grown[0];
            out[n][1] *= grown[0];
            out[n][2] *= grown[1];
            out[n][3] *= grown[1];
        }
#pragma unroll
        for (int n = 0; n < D / 16; n++) {
            mma(out[2 * n], p0, p1, p2, p3, v[n].x, v[n].y);
            mma(out[2 * n + 1], p0, p1, p2, p3, v[n].z, v[n].w);
        }
    }

#pragma unroll
    for (int n = 0; n < D / 8; n++)
#pragma unroll
        for (int h = 0; h < 2; h++)
            *reinterpret_cast<float2*>(&shared_sums[warp][g + 8 * h][n * 8 + 2 * c4]) =
                make_float2(out[n][2 * h], out[n][2 * h + 1]);
    if (c4 == 0) {
#pragma unroll
        for (int h = 0; h < 2; h++)
            shared_masses[warp][g + 8 * h] = make_float2(top[h], mass[h]);
    }
    __syncthreads();
    // A warp takes every fourth query row of the piece.
    for (int i = warp; i < min(n_queries, tiles * 16); i += WARPS) {
        const int of = i / 16, r = i % 16;
        float most = -INFINITY;
        for (int p = 0; p < parts; p++) most = fmaxf(most, shared_masses[p * tiles + of][r].x);
        const float base = most == -INFINITY ? 0.f : most;
        float all = 0.f, sum[D / WARP];
#pragma unroll
        for (int n = 0; n < D / WARP; n++) sum[n] = 0.f;
        for (int p = 0; p < parts; p++) {
            const float2 m = shared_masses[p * tiles + of][r];
            const float weight = exp2f(m.x - base);
            all += weight * m.y;
#pragma unroll
            for (int n = 0; n < D / WARP; n++)
                sum[n] += weight * shared_sums[p * tiles + of][r][n * WARP + lane];
        }
        const size_t to = (size_t)(piece[SLOT] + i / group) * n_heads + kv * group + i % group;
        if (lane == 0) masses[to] = make_float2(most, all);
#pragma unroll
        for (int n = 0; n < D / WARP; n++) sums[to * D + n * WARP + lane] = sum[n];
    }
}

// Merges the pieces of each row: slots[of[t]..of[t + 1]] are row t's. out: [T, H, D] bf16.
// A warp a row and head.
template <int D>
__device__ __forceinline__ void merge(const float* sums, const float2* masses,
                                      const uint32_t* of, const uint32_t* slots, bf16* out,
                                      int n_heads, int n_all) {
    let_next_begin();
    wait_for_previous();
    const int lane = threadIdx.x % WARP;
    const int i = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (i >= n_all) return;
    const int row = i / n_heads, head = i % n_heads;
    const int from = of[row], to = of[row + 1];
    float most = -INFINITY;
    for (int s = from + lane; s < to; s += WARP)
        most = fmaxf(most, masses[(size_t)slots[s] * n_heads + head].x);
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) most = fmaxf(most, __shfl_xor_sync(ALL, most, d));
    float all = 0.f, sum[D / WARP];
#pragma unroll
    for (int n = 0; n < D / WARP; n++) sum[n] = 0.f;
    for (int base = from; base < to; base += WARP) {
        // A lane finds one slot's weight; then all add up slot after slot, with the loads
        // of several in flight.
        const bool is = base + lane < to;
        const int slot = is ? slots[base + lane] : 0;
        const float2 m = is ? masses[(size_t)slot * n_heads + head] : make_float2(-INFINITY, 0.f);
        const float weight = exp2f(m.x - most);
        all += weight * m.y;
        const int count = min(WARP, to - base);
#pragma unroll 8
        for (int s = 0; s < count; s++) {
            const float w = __shfl_sync(ALL, weight, s);
            const size_t at = (size_t)__shfl_sync(ALL, slot, s) * n_heads + head;
#pragma unroll
            for (int n = 0; n < D / WARP; n++) sum[n] += w * sums[at * D + n * WARP + lane];
        }
    }
    all = warp_sum(all);
#pragma unroll
    for (int n = 0; n < D / WARP; n++)
        out[(size_t)i * D + n * WARP + lane] = __float2bfloat16(sum[n] / all);
}

#define ATTENTION(D)                                                                          \
    extern "C" __global__ void __launch_bounds__(128, 2) attend_##D(                          \
        const bf16* q, const bf16* keys, const bf16* values, const uint32_t* plan,            \
        const uint32_t* blocks, const uint32_t* rows, const uint32_t* seen, float* sums,      \
        float2* masses, int n_heads, int n_kv_heads, float scale) {                           \
        attend<D>(q, keys, values, plan, blocks, rows, seen, sums, masses, n_heads,           \
                  n_kv_heads, scale);                                                         \
    }                                                                                         \
    extern "C" __global__ void merge_##D(const float* sums, const float2* masses,             \
                                         const uint32_t* of, const uint32_t* slots,           \
                                         bf16* out, int n_heads, int n_all) {                 \
        merge<D>(sums, masses, of, slots, out, n_heads, n_all);                               \
    }

ATTENTION(32)
ATTENTION(64)
ATTENTION(128)
