// What a row of logits says, and the token drawn from it, without the row leaving the
// device: a first kernel reads all parts of all rows, a second puts each row together.
#include "common.cuh"

constexpr int PARTS = 32;  // of a row, each a thread block's
constexpr int THREADS = 256;

// One part of a row. `d` is relative to the part's largest logit.
struct Part {
    float first, second;  // the two largest logits
    uint32_t index;       // where the first is, the lowest of several
    uint32_t bad;         // a NaN or +inf: where the first is, else ~0
    float e, e_d, e_d2;   // sums of e^d, d e^d, d^2 e^d
    float tempered;       // sum of e^(beta d)
};

// A row, as the host takes it. d is relative to the row's largest logit.
struct Row {
    double e, e_d, e_d2;
    float first, second;
    uint32_t index, bad;
    uint32_t drawn;  // ~0 where none was asked for
    float drawn_logit;
};

// How to draw: beta = 1 / temperature, 0 where nothing is drawn; u in [0, 1).
struct Draw {
    double u;
    float beta;
    float unused;
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

__device__ __forceinline__ Top warp_better(Top a) {
#pragma unroll
    for (int d = 16; d > 0; d >>= 1) {
        Top b;
        b.first = __shfl_xor_sync(ALL, a.first, d);
        b.second = __shfl_xor_sync(ALL, a.second, d);
        b.index = __shfl_xor_sync(ALL, a.index, d);
        b.bad = __shfl_xor_sync(ALL, a.bad, d);
        a = better(a, b);
    }
    return a;
}

__device__ __forceinline__ int part_length(int v) { return (v + PARTS - 1) / PARTS; }

// Grid (PARTS, R). logits: [R, V] f32.
extern "C" __global__ void __launch_bounds__(THREADS)
    read_parts(const float* logits, const Draw* draws, Part* parts, int v) {
    __shared__ Top tops[THREADS / WARP];
    __shared__ float shared[WARP];
    let_next_begin();
    wait_for_previous();
    const int length = part_length(v), from = blockIdx.x * length;
    const int n = max(0, min(length, v - from));
    const float* row = logits + (size_t)blockIdx.y * v + from;
    const float beta = draws[blockIdx.y].beta;

    Top top = {-INFINITY, -INFINITY, ~0u, ~0u};
    for (int i = threadIdx.x; i < n; i += THREADS) {
        const float l = row[i];
        const uint32_t at = from + i;
        if (isnan(l) || l == INFINITY) top.bad = min(top.bad, at);
        if (l > top.first) {
            top.second = top.first;
            top.first = l;
            top.index = at;
        } else {
            top.second = fmaxf(top.second, l);
        }
    }
    top = warp_better(top);
    if (threadIdx.x % WARP == 0) tops[threadIdx.x / WARP] = top;
    __syncthreads();
    top = tops[0];
    for (int w = 1; w < THREADS / WARP; w++) top = better(top, tops[w]);

    float e = 0.f, e_d = 0.f, e_d2 = 0.f, tempered = 0.f;
    if (top.first > -INFINITY) {
        for (int i = threadIdx.x; i < n; i += THREADS) {
            const float d = row[i] - top.first;
            if (d > -INFINITY) {
                const float w = __expf(d);
                e += w;
                e_d += d * w;
                e_d2 += d * d * w;
                tempered += __expf(beta * d);
            }
        }
    }
    e = block_sum(e, shared);
    e_d = block_sum(e_d, shared);
    e_d2 = block_sum(e_d2, shared);
    tempered = block_sum(tempered, shared);
    if (threadIdx.x == 0) {
        Part part = {top.first, top.second, top.index, top.bad, e, e_d, e_d2, tempered};
        parts[(size_t)blockIdx.y * PARTS + blockIdx.x] = part;
    }
}

// Grid R. Puts a row's parts together, and draws where that is asked for: the first
// token at which the running sum of weights passes u of the whole.
extern "C" __global__ void __launch_bounds__(THREADS)
    finish_rows(const float* logits, const Draw* draws, const Part* parts, Row* rows, int v) {
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
        Top top = {-INFINITY, -INFINITY, ~0u, ~0u};
        for (int p = 0; p < PARTS; p++) {
            const Top other = {parts[p].first, parts[p].second, parts[p].index, parts[p].bad};
            top = better(top, other);
        }
        double e = 0, e_d = 0, e_d2 = 0, all = 0, weights[PARTS];
        for (int p = 0; p < PARTS; p++) {
            weights[p] = 0;
            if (parts[p].first == -INFINITY) continue;
            const double d = (double)parts[p].first - (double)top.first, w = exp(d);
            e += w * parts[p].e;
            e_d += w * (parts[p].e_d + d * parts[p].e);
            e_d2 += w * (parts[p].e_d2 + 2 * d * parts[p].e_d + d * d * parts[p].e);
            weights[p] = exp(draw.beta * d) * parts[p].tempered;
            all += weights[p];
        }
        Row out;
        out.e = e;
        out.e_d = e_d;
        out.e_d2 = e_d2;
        out.first = top.first;
        out.second = top.second;
        out.index = top.index;
        out.bad = top.bad;
        out.drawn = ~0u;
        out.drawn_logit = 0.f;
        rows[blockIdx.x] = out;
        row_top = top.first;
        chosen = -1;
        if (draw.beta > 0.f && top.first > -INFINITY && top.bad == ~0u) {
            double rest = draw.u * all;
            for (int p = 0; p < PARTS; p++) {
                if (weights[p] <= 0) continue;
                chosen = p;  // the last of any weight, should rounding pass them all
                target = rest;
                if (rest < weights[p]) break;
                rest -= weights[p];
            }
        }
    }
    __syncthreads();
    if (chosen < 0) return;
    // Each thread sums a run of the part, then the run that holds the place is walked.
    const int length = part_length(v), from = chosen * length;
    const int n = max(0, min(length, v - from));
    const int run = (n + THREADS - 1) / THREADS;
    const int start = min((int)threadIdx.x * run, n), end = min(start + run, n);
    double sum = 0;
    for (int i = start; i < end; i++) sum += exp((double)draw.beta * (row[from + i] - row_top));
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
        const double w = exp((double)draw.beta * (row[from + i] - row_top));
        if (w <= 0) continue;
        token = from + i;
        if (rest < w) break;
        rest -= w;
    }
    rows[blockIdx.x].drawn = token;
    rows[blockIdx.x].drawn_logit = row[token];
}
