// A driver of CUDA on a host, as far as this project asks for one: memory is the host's,
// kernels run on emulated threads. Linked as libcuda, libcublas and libcurand before a CUDA
// build it lets kernels-test and gpu-test run, host side and all, where there is no GPU:
// scripts/emulate-cuda DIR. Far too slow for anything else.
#define EGSS_EMULATED
#include "common.cuh"
#include "product.cuh"
namespace attention_cu {
#include "attention.cu"
}
namespace cache_cu {
#include "cache.cu"
}
namespace coded_cu {
#include "coded.cu"
}
namespace logits_cu {
#include "logits.cu"
}
namespace product_cu {
#include "product.cu"
}
namespace row_cu {
#include "row.cu"
}
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <utility>

// Takes the arguments of a launch, and gives the call: they may change before it.
typedef std::function<std::function<void()>(void**)> Call;

template <typename... A, size_t... I>
static std::function<void()> bound(void (*f)(A...), void** args, std::index_sequence<I...>) {
    return std::bind(f, *static_cast<A*>(args[I])...);
}
template <typename... A>
static Call call(void (*f)(A...)) {
    return [f](void** args) { return bound(f, args, std::index_sequence_for<A...>()); };
}

#define OURS(NAMESPACE, NAME) {#NAME, call(NAMESPACE::NAME)}
static const std::map<std::string, Call> kernels = {
    OURS(attention_cu, attend_32), OURS(attention_cu, attend_64), OURS(attention_cu, attend_128),
    OURS(attention_cu, merge_32), OURS(attention_cu, merge_64), OURS(attention_cu, merge_128),
    OURS(cache_cu, turn_and_store), OURS(cache_cu, copy_blocks),
    OURS(coded_cu, nibbles_8), OURS(coded_cu, nibbles_16), OURS(coded_cu, nibbles_32),
    OURS(coded_cu, nibbles_gated_8), OURS(coded_cu, nibbles_gated_16),
    OURS(coded_cu, nibbles_gated_32), OURS(coded_cu, bytes_8), OURS(coded_cu, bytes_16),
    OURS(coded_cu, bytes_32), OURS(coded_cu, bytes_gated_8), OURS(coded_cu, bytes_gated_16),
    OURS(coded_cu, bytes_gated_32), OURS(coded_cu, unpack_nibbles), OURS(coded_cu, unpack_bytes),
    OURS(coded_cu, embed_nibbles), OURS(coded_cu, embed_bytes),
    OURS(logits_cu, read_parts), OURS(logits_cu, finish_rows), OURS(logits_cu, draw_truncated),
    OURS(product_cu, product_8), OURS(product_cu, product_16), OURS(product_cu, product_32),
    OURS(product_cu, product_wide_8), OURS(product_cu, product_wide_16),
    OURS(product_cu, product_wide_32), OURS(product_cu, product_gated_8),
    OURS(product_cu, product_gated_16), OURS(product_cu, product_gated_32),
    OURS(row_cu, rms_norm_bf16), OURS(row_cu, rms_norm_f32), OURS(row_cu, to_bf16),
    OURS(row_cu, silu_gate), OURS(row_cu, finish_product), OURS(row_cu, embed),
    OURS(row_cu, read_all), OURS(row_cu, take_rows),
};

// The few of candle's kernels that loading a model takes, on contiguous numbers.
static void affine(size_t n, size_t, size_t*, const float* x, float* y, float mul, float add) {
    for (size_t i = 0; i < n; i++) y[i] = (x ? x[i] : y[i]) * mul + add;
}
static void to_bf16(size_t n, size_t, size_t*, const float* x, bf16* y) {
    for (size_t i = 0; i < n; i++) y[i] = bf16(x[i]);
}
static void to_f32(size_t n, size_t, size_t*, const bf16* x, float* y) {
    for (size_t i = 0; i < n; i++) y[i] = x[i];
}
template <typename T>
static void copy2d(const T* x, T* y, uint32_t d1, uint32_t d2, uint32_t xs, uint32_t ys) {
    for (uint32_t i = 0; i < d1; i++) memcpy(y + (size_t)i * ys, x + (size_t)i * xs, d2 * sizeof(T));
}
static const std::map<std::string, Call> candles = {
    {"affine_f32", call(affine)},
    {"cast_f32_bf16", call(to_bf16)},
    {"cast_bf16_f32", call(to_f32)},
    {"copy2d_bf16", call(copy2d<bf16>)},
    {"copy2d_f32", call(copy2d<float>)},
};

struct Function {
    std::string name;
};
struct Config {  // CUlaunchConfig
    unsigned grid[3], block[3], shared;
    void* stream;
    void* attributes;
    unsigned n_attributes;
};

typedef std::vector<std::function<void()>> Graph;
struct Stream {
    Graph* records = nullptr;
};

static std::mutex one_at_a_time;
static const size_t memory_bytes = 4ull << 30;
static std::map<void*, size_t> taken;
static size_t taken_bytes = 0;
static int launch_named(const Function* f, Dim grid, int threads, void** args, Stream* stream) {
    std::lock_guard<std::mutex> lock(one_at_a_time);
    const auto ours = kernels.find(f->name);
    if (ours != kernels.end()) {
        const auto kernel = ours->second(args);
        const auto launch = [=] { emulated::launch(grid, threads, kernel); };
        if (stream->records) stream->records->push_back(launch);
        else launch();
        return 0;
    }
    if (stream->records) return 900;  // CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
    const auto theirs = candles.find(f->name);
    if (theirs == candles.end()) {
        fprintf(stderr, "emulated driver: no kernel %s\n", f->name.c_str());
        return 500;  // CUDA_ERROR_NOT_FOUND
    }
    theirs->second(args)();
    return 0;
}

extern "C" {
int cuInit(unsigned) { return 0; }
int cuDeviceGet(int* device, int) { return *device = 0; }
int cuDeviceGetAttribute(int* value, int attribute, int) {
    switch (attribute) {
        case 16: *value = 6; break;   // multiprocessors: few, so that pieces are cut
        case 75: *value = 9; break;   // compute capability
        case 76: *value = 0; break;
        default: *value = 1;
    }
    return 0;
}
int cuDeviceGetName(char* name, int n, int) { return snprintf(name, n, "emulated"), 0; }
int cuDevicePrimaryCtxRetain(void** context, int) { return *context = &one_at_a_time, 0; }
int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
int cuCtxDestroy_v2(void*) { return 0; }
int cuCtxGetCurrent(void** context) { return *context = &one_at_a_time, 0; }
int cuCtxSetCurrent(void*) { return 0; }
int cuCtxSynchronize() { return 0; }
int cuStreamCreate(Stream** stream, unsigned) { return *stream = new Stream, 0; }
int cuStreamDestroy_v2(Stream* stream) { return delete stream, 0; }
int cuStreamBeginCapture_v2(Stream* stream, int) { return stream->records = new Graph, 0; }
int cuStreamEndCapture(Stream* stream, Graph** graph) {
    *graph = stream->records;
    return stream->records = nullptr, 0;
}
int cuGraphInstantiateWithFlags(Graph** exec, const Graph* graph, unsigned long long) {
    return *exec = new Graph(*graph), 0;
}
int cuGraphLaunch(const Graph* exec, const Stream* stream) {
    if (stream->records) return 900;
    std::lock_guard<std::mutex> lock(one_at_a_time);
    for (const auto& launch : *exec) launch();
    return 0;
}
int cuGraphExecDestroy(Graph* exec) { return delete exec, 0; }
int cuGraphDestroy(Graph* graph) { return delete graph, 0; }
int cuStreamSynchronize(void*) { return 0; }
int cuStreamWaitEvent(void*, void*, unsigned) { return 0; }
int cuStreamIsCapturing(void*, int* is) { return *is = 0; }
int cuEventCreate(void** event, unsigned) { return *event = &one_at_a_time, 0; }
int cuEventDestroy_v2(void*) { return 0; }
int cuEventRecord(void*, void*) { return 0; }
int cuGetErrorString(int, const char** text) { return *text = "an error of the emulated driver", 0; }
int cuMemGetInfo_v2(size_t* free, size_t* total) {
    *total = memory_bytes;
    *free = memory_bytes - taken_bytes;
    return 0;
}
// Memory that was not written is not zero, so that reading it shows; what is this large is
// not read.
int cuMemAllocAsync(void** p, size_t n, void*) {
    std::lock_guard<std::mutex> lock(one_at_a_time);
    n = (n + 255) / 256 * 256;
    if (taken_bytes + n > memory_bytes) return 2;  // CUDA_ERROR_OUT_OF_MEMORY
    *p = aligned_alloc(256, n);
    if (!*p) return 2;
    if (n < 1ull << 28) memset(*p, 0xff, n);
    taken_bytes += taken[*p] = n;
    return 0;
}
int cuMemAlloc_v2(void** p, size_t n) { return cuMemAllocAsync(p, n, nullptr); }
int cuMemFreeAsync(void* p, void*) {
    std::lock_guard<std::mutex> lock(one_at_a_time);
    taken_bytes -= taken[p];
    taken.erase(p);
    free(p);
    return 0;
}
int cuMemFree_v2(void* p) { return cuMemFreeAsync(p, nullptr); }
int cuMemcpyHtoDAsync_v2(void* to, const void* from, size_t n, void*) { return memcpy(to, from, n), 0; }
int cuMemcpyDtoHAsync_v2(void* to, const void* from, size_t n, void*) { return memcpy(to, from, n), 0; }
int cuMemcpyDtoDAsync_v2(void* to, const void* from, size_t n, void*) { return memmove(to, from, n), 0; }
int cuMemcpyPeerAsync(void*, void*, void*, void*, size_t, void*) { return 801; }
int cuMemsetD8Async(void* p, unsigned char c, size_t n, void*) { return memset(p, c, n), 0; }
int cuModuleLoad(void** module, const char*) { return *module = &one_at_a_time, 0; }
int cuModuleLoadData(void** module, const void*) { return *module = &one_at_a_time, 0; }
int cuModuleUnload(void*) { return 0; }
int cuModuleGetFunction(void** function, void*, const char* name) {
    return *function = new Function{name}, 0;
}
int cuLaunchKernelEx(const Config* c, const Function* f, void** args, void**) {
    return launch_named(f, {c->grid[0], c->grid[1]}, c->block[0], args, static_cast<Stream*>(c->stream));
}
int cuLaunchKernel(const Function* f, unsigned x, unsigned y, unsigned, unsigned threads, unsigned,
                   unsigned, unsigned, Stream* stream, void** args, void**) {
    return launch_named(f, {x, y}, threads, args, stream);
}

int cublasCreate_v2(void** handle) { return *handle = &one_at_a_time, 0; }
int cublasDestroy_v2(void*) { return 0; }
int cublasSetStream_v2(void*, void*) { return 0; }
// As the one product asks for it: A transposed, B not, bf16 to f32.
int cublasGemmEx(void*, int ta, int tb, int m, int n, int k, const float* alpha, const bf16* a, int at,
                 int lda, const bf16* b, int bt, int ldb, const float* beta, float* c, int ct, int ldc,
                 int, int) {
    if (ta != 1 || tb != 0 || at != 14 || bt != 14 || ct != 0 || *alpha != 1 || *beta != 0) return 15;
    std::vector<float> left((size_t)m * k), right((size_t)n * k);
    for (int i = 0; i < m; i++)
        for (int l = 0; l < k; l++) left[(size_t)i * k + l] = a[(size_t)i * lda + l];
    for (int j = 0; j < n; j++)
        for (int l = 0; l < k; l++) right[(size_t)j * k + l] = b[(size_t)j * ldb + l];
    for (int j = 0; j < n; j++)
        for (int i = 0; i < m; i++) {
            float sums[8] = {};
            for (int l = 0; l < k; l++) sums[l % 8] += left[(size_t)i * k + l] * right[(size_t)j * k + l];
            float sum = 0;
            for (float s : sums) sum += s;
            c[(size_t)j * ldc + i] = sum;
        }
    return 0;
}
int cublasGemmStridedBatchedEx() { return 15; }
int cublasDgemmStridedBatched() { return 15; }
int curandCreateGenerator(void** g, int) { return *g = &one_at_a_time, 0; }
int curandDestroyGenerator(void*) { return 0; }
int curandSetPseudoRandomGeneratorSeed(void*, unsigned long long) { return 0; }
int curandSetStream(void*, void*) { return 0; }
int curandGenerateNormal() { return 102; }
int curandGenerateNormalDouble() { return 102; }
}
