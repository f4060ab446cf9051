// What a row of logits says, and the token drawn from it, without the row leaving the
// device: a first kernel reads all parts of all rows, a second puts each row together and
// draws, a third draws from rows of which top-k, top-p or min-p leave only some tokens.
#include "common.cuh"

constexpr int PARTS = 32;  // of a row, each a thread block's
constexpr int THREADS = 256;
constexpr uint32_t NONE = ~0u;

// One part of a row. `d` is relative to the part's largest logit, of all or of the
// allowed ones.
struct Part {
    float first, second;  // the two largest logits
    uint32_t index;       // where the first is, the lowest of several
    uint32_t bad;         // a NaN or +inf: where the first is, else NONE
    float e, e_d, e_d2;   // sums of e^d, d e^d, d^2 e^d
    float allowed_first;  // the largest allowed logit, and where it is
    uint32_t allowed_index;
    float allowed_e, allowed_e_d;  // sums over the allowed tokens
    float tempered;                // sum of e^(beta d) over them
};

// A row, as the host takes it. d is relative to the row's largest logit, of all or of
// the allowed ones.
struct Row {
    double e, e_d, e_d2;
    double allowed_e, allowed_e_d;
    float first, second;
    uint32_t index, bad;
    uint32_t drawn;  // NONE where nothing is allowed, or the host has to draw
    float drawn_logit;
};

// How to draw. A token that is no choice is taken as it is; beta = 1 / temperature, where
// 0 takes the most likely of the allowed tokens.
struct Draw {
    double u;  // in [0, 1)
    float beta, top_p, min_p;
    uint32_t top_k;  // 0 keeps all
    uint32_t mask;   // which of the masks says what is allowed, NONE where all is
    uint32_t token;  // NONE where there is a choice
    __device__ bool truncates() const {
        return token == NONE && beta > 0.f && (top_k > 0 || top_p < 1.f || min_p > 0.f);
    }
};

// Which tokens are allowed: one bit each, all without bits.
struct Mask {
    const uint32_t* bits;
    __device__ Mask(const uint32_t* masks, uint32_t which, int v)
        : bits(which == NONE ? nullptr : masks + (size_t)which * ((v + 31) / 32)) {}
    __device__ __forceinline__ bool allows(int token) const {
        return bits == nullptr || (bits[token / 32] >> (token % 32) & 1);
    }
};

struct Top {
    float first, second;
    uint32_t index, bad;
};

__device__ __forceinline__ Top better(Top a, Top b) {
    Top top;
    const bool is_b = b.first > a.first || (b.first == a.first && b.index < a.index);
    top.first = is_b ? b.first : a.first;
    top.index = is_b ? b.index : a.index;
    top.second = fmaxf(is_b ? a.first : b.first, is_b ? b.second : a.second);
    top.bad = min(a.bad, b.bad);
    return top;
}

__device__ __forceinline__ void take(Top& top, float logit, uint32_t at) {
    if (logit > top.first) {
        top.second = top.first;
        top.first = logit;
        top.index = at;
    } else {
        top.second = fmaxf(top.second, logit);
    }
}

// The best of a thread block's; `shared` may be used again behind the next barrier.
__device__ __forceinline__ Top block_better(Top a, Top* shared) {
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) {
        Top b;
        b.first = __shfl_xor_sync(ALL, a.first, d);
        b.second = __shfl_xor_sync(ALL, a.second, d);
        b.index = __shfl_xor_sync(ALL, a.index, d);
        b.bad = __shfl_xor_sync(ALL, a.bad, d);
        a = better(a, b);
    }
    if (threadIdx.x % WARP == 0) shared[threadIdx.x / WARP] = a;
    __syncthreads();
    a = shared[0];
    for (int w = 1; w < THREADS / WARP; w++) a = better(a, shared[w]);
    return a;
}

__device__ __forceinline__ int part_length(int v) { return (v + PARTS - 1) / PARTS; }

// Grid (PARTS, R). logits: [R, V] f32; masks: [n, V / 32] words.
extern "C" __global__ void __launch_bounds__(THREADS)
    read_parts(const float* logits, const Draw* draws, const uint32_t* masks, Part* parts, int v) {
    __shared__ Top tops[2][THREADS / WARP];
    __shared__ float shared[WARP];
    let_next_begin();
    wait_for_previous();
    const int length = part_length(v), from = blockIdx.x * length;
    const int n = max(0, min(length, v - from));
    const float* row = logits + (size_t)blockIdx.y * v + from;
    const float beta = draws[blockIdx.y].beta;
    const Mask mask(masks, draws[blockIdx.y].mask, v);

    Top top = {-INFINITY, -INFINITY, NONE, NONE}, allowed = top;
    for (int i = threadIdx.x; i < n; i += THREADS) {
        const float l = row[i];
        const uint32_t at = from + i;
        if (isnan(l) || l == INFINITY) top.bad = min(top.bad, at);
        take(top, l, at);
        if (mask.bits != nullptr && mask.allows(at)) take(allowed, l, at);
    }
    top = block_better(top, tops[0]);
    allowed = mask.bits == nullptr ? top : block_better(allowed, tops[1]);

    float e = 0.f, e_d = 0.f, e_d2 = 0.f, allowed_e = 0.f, allowed_e_d = 0.f, tempered = 0.f;
    if (top.first > -INFINITY) {
        for (int i = threadIdx.x; i < n; i += THREADS) {
            const float l = row[i], d = l - top.first;
            if (!(d > -INFINITY)) continue;
            const float w = __expf(d);
            e += w;
            e_d += d * w;
            e_d2 += d * d * w;
            if (!mask.allows(from + i)) continue;
            const float d_allowed = l - allowed.first;
            if (mask.bits != nullptr) {
                const float w = __expf(d_allowed);
                allowed_e += w;
                allowed_e_d += d_allowed * w;
            }
            if (beta > 0.f) tempered += __expf(beta * d_allowed);
        }
    }
    e = block_sum(e, shared);
    e_d = block_sum(e_d, shared);
    e_d2 = block_sum(e_d2, shared);
    tempered = block_sum(tempered, shared);
    if (mask.bits == nullptr) {
        allowed_e = e;
        allowed_e_d = e_d;
    } else {
        allowed_e = block_sum(allowed_e, shared);
        allowed_e_d = block_sum(allowed_e_d, shared);
    }
    if (threadIdx.x == 0) {
        Part part;
        part.first = top.first;
        part.second = top.second;
        part.index = top.index;
        part.bad = top.bad;
        part.e = e;
        part.e_d = e_d;
        part.e_d2 = e_d2;
        part.allowed_first = allowed.first;
        part.allowed_index = allowed.index;
        part.allowed_e = allowed_e;
        part.allowed_e_d = allowed_e_d;
        part.tempered = tempered;
        parts[(size_t)blockIdx.y * PARTS + blockIdx.x] = part;
    }
}

// What a draw needs to know of a row.
struct Weighed {
    float first;  // the largest allowed logit
    uint32_t index;
    double weights[PARTS];  // of the parts' allowed tokens, e^(beta d)
    double all;
};

__device__ __forceinline__ Weighed weigh(const Part* parts, float beta) {
    Weighed row;
    row.first = -INFINITY;
    row.index = NONE;
    row.all = 0;
    for (int p = 0; p < PARTS; p++)
        if (parts[p].allowed_first > row.first) {
            row.first = parts[p].allowed_first;
            row.index = parts[p].allowed_index;
        }
    for (int p = 0; p < PARTS; p++) {
        const double d = (double)parts[p].allowed_first - (double)row.first;
        row.weights[p] = 0;
        if (parts[p].allowed_first == -INFINITY) continue;
        row.weights[p] = exp((double)beta * d) * parts[p].tempered;
        row.all += row.weights[p];
    }
    return row;
}

// Grid R. Puts a row's parts together, and draws where all that is allowed may be drawn:
// the first token at which the running sum of weights passes u of the whole.
extern "C" __global__ void __launch_bounds__(THREADS)
    finish_rows(const float* logits, const Draw* draws, const uint32_t* masks, const Part* parts,
                Row* rows, int v) {
    __shared__ double before[THREADS];
    __shared__ double target;
    __shared__ int chosen;
    __shared__ float row_top;
    let_next_begin();
    wait_for_previous();
    const float* row = logits + (size_t)blockIdx.x * v;
    parts += (size_t)blockIdx.x * PARTS;
    const Draw draw = draws[blockIdx.x];
    if (threadIdx.x == 0) {
        Top top = {-INFINITY, -INFINITY, NONE, NONE};
        for (int p = 0; p < PARTS; p++) {
            const Top other = {parts[p].first, parts[p].second, parts[p].index, parts[p].bad};
            top = better(top, other);
        }
        const Weighed allowed = weigh(parts, draw.beta);
        Row out;
        out.e = out.e_d = out.e_d2 = out.allowed_e = out.allowed_e_d = 0;
        for (int p = 0; p < PARTS; p++) {
            if (parts[p].first == -INFINITY) continue;
            const double d = (double)parts[p].first - (double)top.first, w = exp(d);
            out.e += w * parts[p].e;
            out.e_d += w * (parts[p].e_d + d * parts[p].e);
            out.e_d2 += w * (parts[p].e_d2 + 2 * d * parts[p].e_d + d * d * parts[p].e);
            if (parts[p].allowed_first == -INFINITY) continue;
            const double d_allowed = (double)parts[p].allowed_first - (double)allowed.first;
            const double w_allowed = exp(d_allowed);
            out.allowed_e += w_allowed * parts[p].allowed_e;
            out.allowed_e_d +=
                w_allowed * (parts[p].allowed_e_d + d_allowed * parts[p].allowed_e);
        }
        out.first = top.first;
        out.second = top.second;
        out.index = top.index;
        out.bad = top.bad;
        out.drawn = NONE;
        out.drawn_logit = -INFINITY;
        chosen = -1;
        if (draw.token != NONE) {
            out.drawn = draw.token;
            if (draw.token < (uint32_t)v) out.drawn_logit = row[draw.token];
        } else if (draw.beta == 0.f) {
            out.drawn = allowed.index;
            out.drawn_logit = allowed.first;
        } else if (!draw.truncates() && allowed.first > -INFINITY && top.bad == NONE) {
            double rest = draw.u * allowed.all;
            for (int p = 0; p < PARTS; p++) {
                if (allowed.weights[p] <= 0) continue;
                chosen = p;  // the last of any weight, should rounding pass them all
                target = rest;
                if (rest < allowed.weights[p]) break;
                rest -= allowed.weights[p];
            }
        }
        row_top = allowed.first;
        rows[blockIdx.x] = out;
    }
    __syncthreads();
    if (chosen < 0) return;
    // Each thread sums a run of the part, then the run that holds the place is walked.
    const Mask mask(masks, draw.mask, v);
    const int length = part_length(v), from = chosen * length;
    const int n = max(0, min(length, v - from));
    const int run = (n + THREADS - 1) / THREADS;
    const int start = min((int)threadIdx.x * run, n), end = min(start + run, n);
    auto weight = [&](int i) {
        if (!mask.allows(from + i)) return 0.;
        return exp((double)draw.beta * (row[from + i] - row_top));
    };
    double sum = 0;
    for (int i = start; i < end; i++) sum += weight(i);
    before[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x != 0) return;
    double rest = target;
    int at = -1, last = 0;
    for (int t = 0; t < THREADS; t++) {
        if (before[t] <= 0) continue;
        last = t;
        if (rest < before[t]) {
            at = t;
            break;
        }
        rest -= before[t];
    }
    if (at < 0) at = last, rest = before[last];
    int token = -1;
    for (int i = at * run; i < min((at + 1) * run, n); i++) {
        const double w = weight(i);
        if (w <= 0) continue;
        token = from + i;
        if (rest < w) break;
        rest -= w;
    }
    if (token < 0) return;  // nothing of the part has any weight: the host draws
    rows[blockIdx.x].drawn = token;
    rows[blockIdx.x].drawn_logit = row[token];
}

// A truncated draw: tokens are counted by their distance to the most likely one, in bins
// of a 64th of beta d; the bins that the filters can reach are gathered and sorted. What
// lies beyond the last bin has together less than 1e-8 of the weight and is left out.
constexpr int DRAWERS = 1024;  // threads of a row
constexpr int BINS = 2048;
constexpr float BINS_PER_UNIT = 64.f;
constexpr int GATHERED_MAX = 2048;  // more are left to the host

struct Candidate {
    float logit;
    uint32_t token;
};

// Sorts the first n of candidates, n a power of two: by `before`.
template <typename Before>
__device__ __forceinline__ void sort(Candidate* candidates, int n, Before before) {
    for (int size = 2; size <= n; size *= 2)
        for (int stride = size / 2; stride > 0; stride /= 2) {
            for (int i = threadIdx.x; i < n / 2; i += DRAWERS) {
                const int a = 2 * i - (i & (stride - 1)), b = a + stride;
                const Candidate x = candidates[a], y = candidates[b];
                const bool ascends = (a & size) == 0;
                if (ascends ? before(y, x) : before(x, y)) {
                    candidates[a] = y;
                    candidates[b] = x;
                }
            }
            __syncthreads();
        }
}

__device__ __forceinline__ int power_of_two(int n) {
    int power = 1;
    while (power < n) power *= 2;
    return power;
}

// Grid R, behind finish_rows: draws where top-k, top-p or min-p keep some tokens only, each
// of what the one before left. Where they keep more than it can gather it draws nothing.
extern "C" __global__ void __launch_bounds__(DRAWERS)
    draw_truncated(const float* logits, const Draw* draws, const uint32_t* masks,
                   const Part* parts, Row* rows, int v) {
    __shared__ uint32_t bins[BINS];
    __shared__ Candidate candidates[GATHERED_MAX];
    __shared__ float weights[GATHERED_MAX];
    __shared__ float row_top;
    __shared__ double row_weight;
    __shared__ int gathered, bins_kept, kept;
    __shared__ bool all_gathered;
    let_next_begin();
    wait_for_previous();
    const float* row = logits + (size_t)blockIdx.x * v;
    const Draw draw = draws[blockIdx.x];
    if (!draw.truncates() || rows[blockIdx.x].bad != NONE) return;
    const Mask mask(masks, draw.mask, v);
    if (threadIdx.x == 0) {
        const Weighed allowed = weigh(parts + (size_t)blockIdx.x * PARTS, draw.beta);
        row_top = allowed.first;
        row_weight = allowed.all;
        gathered = 0;
    }
    for (int b = threadIdx.x; b < BINS; b += DRAWERS) bins[b] = 0;
    __syncthreads();
    const float top = row_top;
    if (top == -INFINITY) return;

    auto bin = [&](float logit) {
        const float at = draw.beta * (top - logit) * BINS_PER_UNIT;
        return at < (float)BINS ? (int)at : BINS;  // -inf and NaN too
    };
    for (int i = threadIdx.x; i < v; i += DRAWERS) {
        const int b = bin(row[i]);
        if (b < BINS && mask.allows(i)) atomicAdd(&bins[b], 1u);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        // Bins from the first on until the filters can ask for no more: k tokens (of all
        // of which top-p takes its share); else the nucleus, as every token has at least
        // the weight at its bin's end, or what min-p leaves. What can be gathered may hold
        // the nucleus even where that is not yet seen from the bins.
        const double wanted = draw.top_p * row_weight * 1.001;
        const bool by_min_p = draw.top_k == 0 && draw.min_p > 0.f;
        const float end_of_min_p = by_min_p ? -logf(draw.min_p) + 1e-3f : INFINITY;
        double weight = 0;
        uint32_t n = 0;
        int b = 0;
        all_gathered = true;
        while (b < BINS && b < end_of_min_p * BINS_PER_UNIT) {
            if (n + bins[b] > GATHERED_MAX) {
                all_gathered = false;
                break;
            }
            n += bins[b];
            weight += bins[b] * exp(-(b + 1) / (double)BINS_PER_UNIT);
            b++;
            if (draw.top_k > 0 ? n >= draw.top_k : draw.top_p < 1.f && weight >= wanted) break;
        }
        bins_kept = b;
    }
    __syncthreads();
    if (bins_kept == 0) return;
    for (int i = threadIdx.x; i < v; i += DRAWERS)
        if (bin(row[i]) < bins_kept && mask.allows(i))
            candidates[atomicAdd(&gathered, 1)] = {row[i], (uint32_t)i};
    __syncthreads();
    const int n = gathered;
    for (int i = n + threadIdx.x; i < power_of_two(n); i += DRAWERS)
        candidates[i] = {-INFINITY, NONE};
    __syncthreads();
    sort(candidates, power_of_two(n), [](Candidate a, Candidate b) {
        return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
    });
    for (int i = threadIdx.x; i < n; i += DRAWERS)
        weights[i] = expf(draw.beta * (candidates[i].logit - top));
    __syncthreads();
    if (threadIdx.x == 0) {
        kept = draw.top_k > 0 ? min(n, (int)min(draw.top_k, (uint32_t)v)) : n;
        if (draw.top_p < 1.f) {
            double whole = row_weight, sum = 0;
            if (draw.top_k > 0) {
                whole = 0;
                for (int i = 0; i < kept; i++) whole += weights[i];
            }
            int i = 0;
            while (i < kept) {
                sum += weights[i++];
                if (sum >= draw.top_p * whole) break;
            }
            kept = i;
            if (draw.top_k == 0 && sum >= draw.top_p * whole) all_gathered = true;
        }
        while (kept > 1 && candidates[kept - 1].logit != top && weights[kept - 1] < draw.min_p)
            kept--;
    }
    __syncthreads();
    if (!all_gathered) return;
    // Drawn in the order of tokens, as where all are kept.
    const int m = kept;
    for (int i = m + threadIdx.x; i < power_of_two(m); i += DRAWERS)
        candidates[i] = {-INFINITY, NONE};
    __syncthreads();
    sort(candidates, power_of_two(m),
         [](Candidate a, Candidate b) { return a.token < b.token; });
    for (int i = threadIdx.x; i < m; i += DRAWERS)
        weights[i] = expf(draw.beta * (candidates[i].logit - top));
    __syncthreads();
    if (threadIdx.x != 0) return;
    double all = 0, sum = 0;
    for (int i = 0; i < m; i++) all += weights[i];
    Candidate drawn = candidates[0];
    for (int i = 0; i < m; i++) {
        if (weights[i] <= 0.f) continue;
        drawn = candidates[i];
        sum += weights[i];
        if (sum > draw.u * all) break;
    }
    rows[blockIdx.x].drawn = drawn.token;
    rows[blockIdx.x].drawn_logit = drawn.logit;
}
