// The few things of CUDA that the kernels use, on a host: threads are fibers that take
// turns, and whatever a warp does together waits for all its lanes. Slow, and exact in the
// order of lanes, so that the kernels' indices can be tested where there is no GPU.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <csetjmp>
#include <functional>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)

struct Dim { unsigned x, y; };
struct uint2 { uint32_t x, y; };
struct uint4 { uint32_t x, y, z, w; };
struct float2 { float x, y; };
struct float4 { float x, y, z, w; };
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }

struct __nv_bfloat16 {
    uint16_t bits;
    __nv_bfloat16() = default;
    explicit __nv_bfloat16(float f) {
        uint32_t u;
        memcpy(&u, &f, 4);
        bits = (u + 0x7fff + (u >> 16 & 1)) >> 16;
    }
    operator float() const {
        uint32_t u = (uint32_t)bits << 16;
        float f;
        memcpy(&f, &u, 4);
        return f;
    }
};
struct __nv_bfloat162 { __nv_bfloat16 x, y; };
inline __nv_bfloat16 __float2bfloat16(float f) { return __nv_bfloat16(f); }
inline float __bfloat162float(__nv_bfloat16 b) { return b; }
inline __nv_bfloat162 __floats2bfloat162_rn(float a, float b) {
    return {__nv_bfloat16(a), __nv_bfloat16(b)};
}
inline float half_to_float(uint32_t bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const float size = exponent == 0 ? ldexpf(fraction, -24) : ldexpf(1024 + fraction, exponent - 25);
    return bits >> 15 & 1 ? -size : size;
}
inline float __expf(float x) { return expf(x); }
inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline uint32_t min(uint32_t a, uint32_t b) { return a < b ? a : b; }
using std::isnan;

namespace emulated {
// A fiber begins on a stack of its own by its context, and from then on takes turns by
// jumps, which cost no call of the system's.
struct Fiber {
    ucontext_t context;
    jmp_buf at;
    std::vector<char> stack;
    bool begun, done;
};
struct Warp {
    uint32_t in[32][8], out[32][4];
    int arrived = 0, round = 0;
};
inline Dim thread_, block_, threads_, blocks_;
inline jmp_buf scheduler;
inline std::vector<Fiber> fibers;
inline std::vector<Warp> warps;
inline int current, block_arrived, block_round;
inline std::function<void()> body;

inline void yield() {
    Fiber& me = fibers[current];
    if (_setjmp(me.at) == 0) _longjmp(scheduler, 1);
}
inline void start() {
    body();
    fibers[current].done = true;
    _longjmp(scheduler, 1);
}
inline void resume(int i) {
    current = i;
    thread_ = {(unsigned)i, 0};
    Fiber& fiber = fibers[i];
    if (_setjmp(scheduler) != 0) return;
    if (fiber.begun) _longjmp(fiber.at, 1);
    fiber.begun = true;
    setcontext(&fiber.context);
}
inline int lane() { return current % 32; }
// All lanes of a warp bring n words; `f` makes everybody's answer once the last has come.
inline uint32_t* together(const uint32_t* words, int n, const std::function<void(Warp&)>& f) {
    Warp& warp = warps[current / 32];
    memcpy(warp.in[lane()], words, 4 * n);
    const int round = warp.round, l = lane();
    if (++warp.arrived == 32) {
        warp.arrived = 0;
        f(warp);
        warp.round++;
    } else {
        while (warp.round == round) yield();
    }
    return warp.out[l];
}
// Runs a kernel block after block.
inline void launch(Dim grid, int threads, std::function<void()> kernel) {
    body = kernel;
    threads_ = {(unsigned)threads, 1};
    blocks_ = grid;
    for (unsigned y = 0; y < grid.y; y++)
        for (unsigned x = 0; x < grid.x; x++) {
            block_ = {x, y};
            fibers.resize(threads);
            warps.assign((threads + 31) / 32, Warp());
            block_arrived = block_round = 0;
            for (auto& fiber : fibers) {
                fiber.begun = fiber.done = false;
                fiber.stack.resize(64 << 10);
                getcontext(&fiber.context);
                fiber.context.uc_stack.ss_sp = fiber.stack.data();
                fiber.context.uc_stack.ss_size = fiber.stack.size();
                fiber.context.uc_link = nullptr;
                makecontext(&fiber.context, start, 0);
            }
            for (bool any = true; any;) {
                any = false;
                for (int i = 0; i < threads; i++)
                    if (!fibers[i].done) {
                        any = true;
                        resume(i);
                    }
            }
        }
}
}  // namespace emulated

#define threadIdx emulated::thread_
#define blockIdx emulated::block_
#define blockDim emulated::threads_
#define gridDim emulated::blocks_

inline void __syncthreads() {
    const int round = emulated::block_round;
    if (++emulated::block_arrived == (int)emulated::fibers.size()) {
        emulated::block_arrived = 0;
        emulated::block_round++;
    } else {
        while (emulated::block_round == round) emulated::yield();
    }
}
template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask) {
    uint32_t word;
    memcpy(&word, &value, 4);
    uint32_t* out = emulated::together(&word, 1, [mask](emulated::Warp& warp) {
        for (int l = 0; l < 32; l++) warp.out[l][0] = warp.in[l ^ mask][0];
    });
    memcpy(&value, out, 4);
    return value;
}
template <typename T>
T __shfl_sync(unsigned, T value, int from) {
    uint32_t word;
    memcpy(&word, &value, 4);
    uint32_t* out = emulated::together(&word, 1, [from](emulated::Warp& warp) {
        for (int l = 0; l < 32; l++) warp.out[l][0] = warp.in[from][0];
    });
    memcpy(&value, out, 4);
    return value;
}
template <typename T>
T atomicAdd(T* at, T more) {
    const T before = *at;
    *at += more;
    return before;
}
inline void let_next_begin() {}
inline void wait_for_previous() {}
inline uint4 load_once(const void* p) { return *static_cast<const uint4*>(p); }

inline void mma(float c[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0,
                uint32_t b1) {
    const uint32_t words[6] = {a0, a1, a2, a3, b0, b1};
    uint32_t* sums = emulated::together(words, 6, [](emulated::Warp& warp) {
        float a[16][16], b[8][16];
        auto number = [&](int lane, int word, int half) {
            __nv_bfloat16 b;
            b.bits = warp.in[lane][word] >> (16 * half);
            return (float)b;
        };
        for (int l = 0; l < 32; l++)
            for (int half = 0; half < 2; half++) {
                const int g = l / 4, k = l % 4 * 2 + half;
                for (int w = 0; w < 4; w++) a[g + 8 * (w % 2)][k + 8 * (w / 2)] = number(l, w, half);
                for (int w = 0; w < 2; w++) b[g][k + 8 * w] = number(l, 4 + w, half);
            }
        for (int l = 0; l < 32; l++)
            for (int i = 0; i < 4; i++) {
                const int row = l / 4 + 8 * (i / 2), column = l % 4 * 2 + i % 2;
                float sum = 0;
                for (int k = 0; k < 16; k++) sum += a[row][k] * b[column][k];
                memcpy(&warp.out[l][i], &sum, 4);
            }
    });
    for (int i = 0; i < 4; i++) {
        float sum;
        memcpy(&sum, &sums[i], 4);
        c[i] += sum;
    }
}
