// The kernels on emulated threads against plain loops: scripts/emulate-cuda builds and runs
// it. What a GPU does with them is tests/cuda's to say; this holds the indices.
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
#include <algorithm>
#include <cstdio>
#include <cstdlib>

using emulated::launch;
typedef std::vector<float> Floats;
typedef std::vector<bf16> Halves;

static uint64_t state = 1;
static float number() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 40) / 8388608.f - 1.f;
}
static Floats numbers(size_t n) {
    Floats v(n);
    for (auto& x : v) x = number();
    return v;
}
static Halves rounded(const Floats& v) {
    Halves h(v.size());
    for (size_t i = 0; i < v.size(); i++) h[i] = bf16(v[i]);
    return h;
}
template <typename A, typename B>
static void check(const char* what, const A& got, const B& want, double limit) {
    double error = 0, size = 1e-30;
    for (size_t i = 0; i < want.size(); i++) {
        const double g = (float)got[i], w = (float)want[i];
        error += (g - w) * (g - w);
        size += w * w;
    }
    const bool ok = got.size() == want.size() && error / size < limit;
    printf("%s %s: NMSE %.1e\n", ok ? "ok  " : "FAIL", what, error / size);
    if (!ok) exit(1);
}

static void products() {
    for (int t : {1, 5, 8, 13, 27})
        for (int n : {48, 72}) {
            const int k = 32 * 11;
            const Halves w = rounded(numbers(n * k)), x = rounded(numbers(t * k));
            const Floats bias = numbers(n), onto = numbers(t * n);
            Floats want(t * n), plain(t * n);
            for (int i = 0; i < t * n; i++) {
                double s = 0;
                for (int j = 0; j < k; j++) s += (float)w[i % n * k + j] * (float)x[i / n * k + j];
                plain[i] = s;
                want[i] = s + bias[i % n] + onto[i];
            }
            for (int tiles : {1, 2}) {
                Floats y(t * n);
                auto kernel = tiles == 1 ? (t <= 8    ? product_cu::product_8
                                            : t <= 16 ? product_cu::product_16
                                                      : product_cu::product_32)
                                         : (t <= 8    ? product_cu::product_wide_8
                                            : t <= 16 ? product_cu::product_wide_16
                                                      : product_cu::product_wide_32);
                launch({(unsigned)((n + 16 * tiles - 1) / (16 * tiles)), 1}, 256, [&] {
                    kernel(w.data(), x.data(), bias.data(), onto.data(), y.data(), n, k, t);
                });
                check("product", y, want, 1e-10);
            }
            Halves y(t * n / 2);
            Floats gated(t * n / 2);
            for (int i = 0; i < t * n / 2; i++) {
                const float* row = &plain[i / (n / 2) * n];
                const float g = row[i % (n / 2)], u = row[n / 2 + i % (n / 2)];
                gated[i] = g / (1 + expf(-g)) * u;
            }
            auto kernel = t <= 8    ? product_cu::product_gated_8
                          : t <= 16 ? product_cu::product_gated_16
                                    : product_cu::product_gated_32;
            launch({(unsigned)((n / 2 + 15) / 16), 1}, 256, [&] {
                kernel(w.data(), x.data(), nullptr, nullptr, y.data(), n, k, t);
            });
            check("gated product", y, gated, 1e-4);
        }
}

// A matrix of random codes, and what it stands for.
template <typename Coding>
struct Coded {
    std::vector<uint4> codes;
    std::vector<typename Coding::Scales> scales;
    Floats factors, weights;
    Coded(int n, int k) : factors(numbers(n)), weights((size_t)n * k) {
        const int runs = k / Coding::RUN;
        codes.resize((size_t)n * runs * 4);
        scales.resize((size_t)n * runs);
        for (auto& v : codes)
            for (int i = 0; i < 4; i++) (&v.x)[i] = (uint32_t)(int64_t)(number() * 2e9f) * 2654435761u;
        // Halves between 0.5 and 1, in either place.
        for (auto& v : scales)
            for (size_t i = 0; i < sizeof v / 4; i++)
                (&v.x)[i] = 0x38003800u | ((uint32_t)(int64_t)(number() * 1e6f) & 0x03ff03ffu);
        const bool small = sizeof(typename Coding::Scales) == 16;
        for (int o = 0; o < n; o++)
            for (int c = 0; c < k; c++) {
                const size_t run = (size_t)o * runs + c / Coding::RUN;
                const int at = c % Coding::RUN;
                const uint8_t* code = reinterpret_cast<uint8_t*>(&codes[run * 4]);
                const uint16_t* half = reinterpret_cast<uint16_t*>(&scales[run]);
                float w;
                if (small) {
                    const int j = at % 8, nibble = j / 2 + 4 * (j % 2);
                    const int byte = at % 32 / 8 * 16 + at / 32 * 4 + nibble / 2;
                    w = half_to_float(half[at / 32 * 2]) * (code[byte] >> (4 * (nibble % 2)) & 15) -
                        half_to_float(half[at / 32 * 2 + 1]);
                } else {
                    const int byte = at % 16 / 4 * 16 + at / 16 * 4 + at % 4;
                    w = half_to_float(half[at / 16]) * (int8_t)code[byte];
                }
                weights[(size_t)o * k + c] = factors[o] * w;
            }
    }
};
template <typename Coding, typename Kernel, typename Unpack, typename Embed>
static void coded_products(Kernel const (&kernels)[6], Unpack unpack, Embed embed) {
    const int k = Coding::RUN * 11;
    for (int t : {1, 5, 13, 27})
        for (int n : {48, 72}) {
            const Coded<Coding> w(n, k);
            const Halves x = rounded(numbers(t * k));
            const int stride = n + 7;
            const Floats bias = numbers(n), onto = numbers(t * stride);
            Floats plain(t * n), want(t * stride, 3.f), y(t * stride, 3.f);
            for (int i = 0; i < t * n; i++) {
                double s = 0;
                for (int j = 0; j < k; j++) s += w.weights[i % n * k + j] * (float)x[i / n * k + j];
                plain[i] = s;
                const int at = i / n * stride + i % n;
                want[at] = s + bias[i % n] + onto[at];
            }
            const int width = t <= 8 ? 0 : t <= 16 ? 1 : 2;
            launch({(unsigned)(n + 15) / 16, 1}, 256, [&] {
                kernels[width](w.codes.data(), w.scales.data(), w.factors.data(), x.data(),
                               bias.data(), onto.data(), y.data(), n, k, t, stride);
            });
            check("product of codes", y, want, 1e-10);
            Halves gated(t * n / 2);
            Floats want_gated(t * n / 2);
            for (int i = 0; i < t * n / 2; i++) {
                const float* row = &plain[i / (n / 2) * n];
                const float g = row[i % (n / 2)], u = row[n / 2 + i % (n / 2)];
                want_gated[i] = g / (1 + expf(-g)) * u;
            }
            launch({(unsigned)(n / 2 + 15) / 16, 1}, 256, [&] {
                kernels[3 + width](w.codes.data(), w.scales.data(), w.factors.data(), x.data(),
                                   nullptr, nullptr, gated.data(), n, k, t, n / 2);
            });
            check("gated product of codes", gated, want_gated, 1e-4);
            Halves all((size_t)n * k);
            launch({3, 1}, 64, [&] {
                unpack(w.codes.data(), w.scales.data(), w.factors.data(), nullptr, all.data(), k,
                       (size_t)n * k / Coding::RUN * 4);
            });
            check("unpacked codes", all, w.weights, 1e-4);
            const std::vector<uint32_t> ids = {7, 0, 41};
            Floats some(3 * k), want_some;
            for (uint32_t id : ids)
                want_some.insert(want_some.end(), &w.weights[id * k], &w.weights[id * k] + k);
            launch({2, 1}, 64, [&] {
                embed(w.codes.data(), w.scales.data(), w.factors.data(), ids.data(), some.data(), k,
                      (size_t)3 * k / Coding::RUN * 4);
            });
            check("rows of codes", some, want_some, 1e-12);
        }
}
static void coded() {
    coded_products<coded_cu::Nibbles>(
        {coded_cu::nibbles_8, coded_cu::nibbles_16, coded_cu::nibbles_32, coded_cu::nibbles_gated_8,
         coded_cu::nibbles_gated_16, coded_cu::nibbles_gated_32},
        coded_cu::unpack_nibbles, coded_cu::embed_nibbles);
    coded_products<coded_cu::Bytes>(
        {coded_cu::bytes_8, coded_cu::bytes_16, coded_cu::bytes_32, coded_cu::bytes_gated_8,
         coded_cu::bytes_gated_16, coded_cu::bytes_gated_32},
        coded_cu::unpack_bytes, coded_cu::embed_bytes);
}

// Rows of one step through the cache: what every row sees is given by a table of blocks.
struct Piece {
    std::vector<uint32_t> rows, blocks;
    uint32_t first;
};
template <int D>
static void attention(int h, int k, bool normed) {
    const int n_blocks = 40, len = n_blocks * k * 16 * D, group = h / k, all = h + 2 * k;
    Halves keys(len), values(len);
    const Floats cos = numbers(512 * D / 2), sin = numbers(512 * D / 2);
    const Floats qw = numbers(D), kw = numbers(D);
    // Reference cache by position for every block: [block][head][pos][dim].
    Floats ref_keys(len), ref_values(len);
    auto run = [&](const std::vector<uint32_t>& positions, const std::vector<uint32_t>& slots,
                   const std::vector<std::vector<uint32_t>>& tables,
                   const std::vector<Piece>& pieces, const char* what) {
        const int t = positions.size();
        const Floats rows = numbers(t * all * D);
        Halves q(t * h * D);
        launch({(unsigned)t, (unsigned)(all + 3) / 4}, 128, [&] {
            cache_cu::turn_and_store(rows.data(), cos.data(), sin.data(), positions.data(),
                                     slots.data(), normed ? qw.data() : nullptr,
                                     normed ? kw.data() : nullptr, 1e-6f, q.data(), keys.data(),
                                     values.data(), h, k, D);
        });
        Floats ref_q(t * h * D);
        for (int r = 0; r < t; r++)
            for (int head = 0; head < all; head++) {
                Floats x(rows.begin() + (r * all + head) * D, rows.begin() + (r * all + head + 1) * D);
                const size_t block = slots[r] / 16, pos = slots[r] % 16;
                if (head >= h + k) {
                    const size_t at = ((block * k + head - h - k) * 16 + pos) * D;
                    for (int i = 0; i < D; i++) ref_values[at + i] = x[i];
                    continue;
                }
                if (normed) {
                    float sum = 0;
                    for (float v : x) sum += v * v;
                    for (int i = 0; i < D; i++)
                        x[i] *= (head < h ? qw : kw)[i] / sqrtf(sum / D + 1e-6f);
                }
                for (int i = 0; i < D / 2; i++) {
                    const float c = cos[positions[r] * D / 2 + i], s = sin[positions[r] * D / 2 + i];
                    const float a = x[i], b = x[i + D / 2];
                    x[i] = a * c - b * s;
                    x[i + D / 2] = b * c + a * s;
                }
                float* to = head < h ? &ref_q[(r * h + head) * D]
                                     : &ref_keys[((block * k + head - h) * 16 + pos) * D];
                for (int i = 0; i < D; i++) to[i] = x[i];
            }
        Floats want(t * h * D);
        for (int r = 0; r < t; r++)
            for (int head = 0; head < h; head++) {
                const int n = positions[r] + 1;
                Floats score(n);
                float most = -INFINITY, mass = 0;
                auto at = [&](int p) { return ((tables[r][p / 16] * k + head / group) * 16 + p % 16) * D; };
                for (int p = 0; p < n; p++) {
                    float s = 0;
                    for (int i = 0; i < D; i++) s += ref_q[(r * h + head) * D + i] * ref_keys[at(p) + i];
                    score[p] = s / sqrtf(D);
                    most = fmaxf(most, score[p]);
                }
                for (float& s : score) mass += s = expf(s - most);
                for (int p = 0; p < n; p++)
                    for (int i = 0; i < D; i++)
                        want[(r * h + head) * D + i] += score[p] / mass * ref_values[at(p) + i];
            }
        std::vector<uint32_t> plan, blocks, list, seen, of(t + 1), slot_list;
        for (uint32_t p : positions) seen.push_back(p + 1);
        std::vector<std::vector<uint32_t>> by_row(t);
        for (const Piece& piece : pieces) {
            uint32_t tiles = (piece.rows.size() * group + 15) / 16;
            if (tiles == 3) tiles = 4;
            for (size_t figure : {(size_t)piece.first, piece.blocks.size(), blocks.size(), list.size(),
                                  piece.rows.size(), list.size(), (size_t)tiles, (size_t)0})
                plan.push_back(figure);
            for (uint32_t row : piece.rows) by_row[row].push_back(list.size()), list.push_back(row);
            blocks.insert(blocks.end(), piece.blocks.begin(), piece.blocks.end());
        }
        for (int r = 0; r < t; r++) {
            of[r + 1] = of[r] + by_row[r].size();
            slot_list.insert(slot_list.end(), by_row[r].begin(), by_row[r].end());
        }
        Floats sums(list.size() * h * D);
        std::vector<float2> masses(list.size() * h);
        Halves out(t * h * D);
        launch({(unsigned)pieces.size(), (unsigned)k}, 128, [&] {
            attention_cu::attend<D>(q.data(), keys.data(), values.data(), plan.data(), blocks.data(),
                                    list.data(), seen.data(), sums.data(), masses.data(), h, k,
                                    1.44269504f / sqrtf(D));
        });
        launch({(unsigned)(t * h + 3) / 4, 1}, 128, [&] {
            attention_cu::merge<D>(sums.data(), masses.data(), of.data(), slot_list.data(),
                                   out.data(), h, t * h);
        });
        check(what, out, want, 1e-4);
    };
    // A prefill of 150 rows in scattered blocks, in pieces of as many rows as 4 tiles hold.
    std::vector<uint32_t> table, positions, slots;
    for (int b = 0; b < 10; b++) table.push_back(b * 7 % n_blocks);
    for (uint32_t p = 0; p < 150; p++) positions.push_back(p), slots.push_back(table[p / 16] * 16 + p % 16);
    std::vector<Piece> pieces;
    for (uint32_t r = 0; r < 150; r += 64 / group) {
        Piece piece = {{}, {}, 0};
        for (uint32_t i = r; i < 150 && i < r + 64 / group; i++) piece.rows.push_back(i);
        piece.blocks.assign(table.begin(), table.begin() + (piece.rows.back() / 16 + 1));
        pieces.push_back(piece);
    }
    run(positions, slots, std::vector<std::vector<uint32_t>>(150, table), pieces, "prefill");
    // Branches off its first 144 tokens, one block each, over a shared trunk in two runs.
    for (uint32_t branches : {1, 3, 6}) {
        std::vector<Piece> shared;
        std::vector<std::vector<uint32_t>> tables;
        positions.assign(branches, 144);
        slots.clear();
        const std::vector<uint32_t> trunk(table.begin(), table.begin() + 9);
        std::vector<uint32_t> rows;
        for (uint32_t b = 0; b < branches; b++) {
            const uint32_t own = 11 + 2 * b;  // not one of the trunk's
            rows.push_back(b);
            slots.push_back(own * 16);
            tables.push_back(trunk);
            tables.back().push_back(own);
            shared.push_back({{b}, {own}, 144});
        }
        for (uint32_t r = 0; r < branches; r += 64 / group) {
            std::vector<uint32_t> some(rows.begin() + r,
                                       rows.begin() + (branches < r + 64 / group ? branches : r + 64 / group));
            shared.push_back({some, {trunk.begin(), trunk.begin() + 5}, 0});
            shared.push_back({some, {trunk.begin() + 5, trunk.end()}, 80});
        }
        run(positions, slots, tables, shared, "branches over a trunk");
    }
}

// A token drawn by the filters' definition: sort what is allowed, cut, walk.
static int drawn_by_sorting(const float* row, int v, const logits_cu::Draw& draw,
                            const uint32_t* mask) {
    std::vector<int> order;
    for (int i = 0; i < v; i++)
        if (row[i] > -INFINITY && (!mask || mask[i / 32] >> (i % 32) & 1)) order.push_back(i);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return row[a] > row[b]; });
    const float top = row[order[0]];
    if (draw.beta == 0) return order[0];
    auto weight = [&](int i) { return exp((double)draw.beta * (row[i] - top)); };
    if (draw.top_k > 0 && draw.top_k < order.size()) order.resize(draw.top_k);
    if (draw.top_p < 1) {
        double all = 0, sum = 0;
        for (int i : order) all += weight(i);
        size_t n = 0;
        while (n < order.size() && sum < draw.top_p * all) sum += weight(order[n++]);
        order.resize(std::max<size_t>(n, 1));
    }
    while (order.size() > 1 && weight(order.back()) < draw.min_p) order.pop_back();
    std::sort(order.begin(), order.end());
    double all = 0, sum = 0;
    for (int i : order) all += weight(i);
    for (int i : order)
        if ((sum += weight(i)) > draw.u * all) return i;
    return order.back();
}

static void logits() {
    constexpr uint32_t NONE = logits_cu::NONE;
    const int v = 5003, words = (v + 31) / 32;
    std::vector<uint32_t> masks(2 * words);
    for (int w = 0; w < words; w++) masks[w] = w % 3 == 0 ? 0x80f1u : 0;
    masks[words + 41] = 1 << 7;  // one token alone
    //                                        u, 1/T, top-p, min-p, top-k, mask, token
    const std::vector<logits_cu::Draw> draws = {
        {0.37, 1.25f, 1, 0, 0, NONE, NONE},   {0.37, 1.25f, 1, 0, 0, 0, NONE},
        {0.99, 0.50f, 1, 0, 0, 0, NONE},      {0.50, 1.00f, 1, 0, 0, 1, NONE},
        {0.00, 0.00f, 1, 0, 0, NONE, NONE},   {0.00, 0.00f, 1, 0, 0, 0, NONE},
        {0.61, 0.70f, 1, 0, 20, NONE, NONE},  {0.61, 0.70f, 0.8f, 0, 20, 0, NONE},
        {0.20, 1.00f, 0.9f, 0, 0, NONE, NONE}, {0.83, 0.30f, 1, 0.2f, 0, NONE, NONE},
        {0.83, 0.30f, 0.9f, 0.2f, 300, 0, NONE}, {0.42, 3.00f, 0, 0, 0, NONE, NONE},
        {0.42, 1.00f, 1, 0, 0, NONE, 4999},   {0.42, 1.00f, 1, 0, 1, 1, NONE},
        {0.42, 1.00f, 0.5f, 0, 4000, 0, NONE}, {0.42, 0.01f, 0.9f, 0, 0, NONE, NONE},
        {0.42, 1.00f, 0.99f, 0, 0, NONE, NONE},
        {0.42, 1.00f, 1, 0, 0, NONE, NONE},
    };
    const int n = draws.size();
    Floats rows = numbers((size_t)n * v);
    for (auto& x : rows) x *= 9;
    for (int i = 0; i < 3000; i++) rows[2 * v + i] = -INFINITY;
    for (int i = 0; i < v; i += 3) rows[6 * v + i] = rows[6 * v];  // ties
    rows[(n - 1) * v + 4321] = NAN;
    std::vector<logits_cu::Part> parts(n * logits_cu::PARTS);
    std::vector<logits_cu::Row> got(n);
    launch({logits_cu::PARTS, (unsigned)n}, logits_cu::THREADS, [&] {
        logits_cu::read_parts(rows.data(), draws.data(), masks.data(), parts.data(), v);
    });
    launch({(unsigned)n, 1}, logits_cu::THREADS, [&] {
        logits_cu::finish_rows(rows.data(), draws.data(), masks.data(), parts.data(), got.data(), v);
    });
    launch({(unsigned)n, 1}, logits_cu::DRAWERS, [&] {
        logits_cu::draw_truncated(rows.data(), draws.data(), masks.data(), parts.data(), got.data(), v);
    });
    for (int r = 0; r < n - 1; r++) {
        const float* row = &rows[(size_t)r * v];
        const logits_cu::Draw& draw = draws[r];
        const uint32_t* mask = draw.mask == NONE ? nullptr : &masks[draw.mask * words];
        int top = 0, first = -1;
        for (int i = 0; i < v; i++) {
            if (row[i] > row[top]) top = i;
            if ((!mask || mask[i / 32] >> (i % 32) & 1) && (first < 0 || row[i] > row[first])) first = i;
        }
        float second = -INFINITY;
        double e = 0, e_d = 0, e_d2 = 0, allowed_e = 0, allowed_e_d = 0;
        for (int i = 0; i < v; i++) {
            if (i != top) second = fmaxf(second, row[i]);
            if (row[i] == -INFINITY) continue;
            const double d = row[i] - row[top], w = exp(d);
            e += w, e_d += w * d, e_d2 += w * d * d;
            if (mask && !(mask[i / 32] >> (i % 32) & 1)) continue;
            const double d_allowed = row[i] - row[first];
            allowed_e += exp(d_allowed), allowed_e_d += d_allowed * exp(d_allowed);
        }
        int drawn = draw.token != NONE ? draw.token : drawn_by_sorting(row, v, draw, mask);
        if (draw.beta == 0.01f) drawn = NONE;  // more are kept than it can gather
        const logits_cu::Row& g = got[r];
        auto close = [](double a, double b) { return fabs(a - b) <= 1e-5 * (1e-9 + fabs(b)); };
        const bool ok = g.index == (uint32_t)top && g.second == second && g.first == row[top] &&
                        g.bad == NONE && close(g.e, e) && close(g.e_d, e_d) && close(g.e_d2, e_d2) &&
                        close(g.allowed_e, allowed_e) && close(g.allowed_e_d, allowed_e_d) &&
                        g.drawn == (uint32_t)drawn && g.drawn_logit == (drawn < 0 ? -INFINITY : row[drawn]);
        printf("%s row of logits %d: drawn %d, %d wanted\n", ok ? "ok  " : "FAIL", r, (int)g.drawn, drawn);
        if (!ok) exit(1);
    }
    if (got[n - 1].bad != 4321) printf("FAIL a NaN is at %u\n", got[n - 1].bad), exit(1);
    if (got[n - 1].drawn != NONE) printf("FAIL drawn from a row with a NaN\n"), exit(1);
}

int main() {
    products();
    coded();
    attention<32>(4, 2, false);
    attention<64>(14, 2, false);
    attention<128>(8, 2, true);
    logits();
}
