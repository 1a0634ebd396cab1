// Products of our own: y = x · wᵀ in f32 sums, a row's bits independent of the other rows. For experts, whose rows differ in
// their weights, and for products that cuBLASLt has no such algorithm for.
//
// A block has a tile of 64 rows of one expert × 128 outputs and walks the inputs 64 bytes at a time, three steps in shared
// memory: one computed on, two on their way (cp.async). Every output is one sum, in one order that depends on `inputs` alone:
//   bf16, f16   mma.m16n8k16, four warps of 32 × 64: an output row of an mma is the dot products of its own input row, and the
//               order inside is the instruction's; the sixteens follow each other
//   f32         fmaf by ascending input; thread (r, c) has the rows r + 8i and the columns c + 16j
// Rows and outputs that do not exist, and inputs beyond the last, are zeros in shared memory and are not written.
//
// Floor: the weights of the experts that have rows, read once: bytes = experts · outputs · inputs · size, which is what bounds a
// step of few tokens; 2 · rows · outputs · inputs operations, which bound one of more than some 300 rows an expert (bf16 on an
// H100: 990 TFLOP/s over 3.35 TB/s).
// Shared memory: 3 · (64 + 128) · 80 bytes = 45 KiB, and four blocks on an SM of compute capability 9.0 (228 KiB), which have
// 4 · 2 · 12 KiB on their way: some three times what the memory's latency needs. Registers by ptxas: 128 in bf16 and f16 on 9.0
// (four blocks), 136 on 8.0 (three, as its shared memory has room for), 161 in f32 (three). Nothing is spilled.
#include "common.cuh"
#include "instructions.cuh"
#include "tile.cuh"

constexpr int THREADS = 128;
constexpr int COLUMNS = 128;
constexpr int STAGES = 3;
// Rows of x and of w that a step fetches, and the 16 bytes that a thread fetches of each 32nd.
constexpr int LINES = TILE_ROWS + COLUMNS;
constexpr int FETCHES = LINES / 32;
// Inputs of 16 bytes, of a step, and from a row to the next in shared memory, 80 bytes: eight rows then lie in different banks.
template <typename T> constexpr int WORD = 16 / sizeof(T);
template <typename T> constexpr int STEP = 4 * WORD<T>;
template <typename T> constexpr int STRIDE = 5 * WORD<T>;

// The sums of a thread.
template <typename T> struct Sums {
    float of[2][8][4] = {};

    // Adds a step. 16 rows that do not exist are left out.
    __device__ __forceinline__ void add(const T *x, const T *w, int rows) {
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        x += (warp / 2 * 32 + lane % 16) * STRIDE<T> + lane / 16 * 8;
        w += (warp % 2 * 64 + lane / 16 * 8 + lane % 8) * STRIDE<T> + lane / 8 % 2 * 8;
        #pragma unroll
        for (int k = 0; k < STEP<T>; k += 16) {
            uint32_t a[2][4];
            #pragma unroll
            for (int m = 0; m < 2; m++) load_matrices(a[m], x + m * 16 * STRIDE<T> + k);
            #pragma unroll
            for (int n = 0; n < 8; n += 2) {
                uint32_t b[4];
                load_matrices(b, w + n * 8 * STRIDE<T> + k);
                #pragma unroll
                for (int m = 0; m < 2; m++) {
                    if (warp / 2 * 32 + m * 16 >= rows) continue;
                    mma<T>(of[m][n], a[m], b[0], b[1]);
                    mma<T>(of[m][n + 1], a[m], b[2], b[3]);
                }
            }
        }
    }

    // Gives all of them to `out`, two columns at a time.
    template <typename Out> __device__ __forceinline__ void give(const Out &out) const {
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        #pragma unroll
        for (int m = 0; m < 2; m++)
            #pragma unroll
            for (int half = 0; half < 2; half++)
                #pragma unroll
                for (int n = 0; n < 8; n++)
                    out.two(warp / 2 * 32 + m * 16 + half * 8 + lane / 4, warp % 2 * 64 + n * 8 + lane % 4 * 2,
                            of[m][n][2 * half], of[m][n][2 * half + 1]);
    }
};

template <> struct Sums<float> {
    float of[8][8] = {};

    __device__ __forceinline__ void add(const float *x, const float *w, int rows) {
        x += threadIdx.x / 16 * STRIDE<float>;
        w += threadIdx.x % 16 * STRIDE<float>;
        // Not unrolled: two fours in registers would leave no room for a third block.
        #pragma unroll 1
        for (int k = 0; k < STEP<float>; k += 4) {
            float4 a[8];
            #pragma unroll
            for (int i = 0; i < 8; i++) a[i] = *reinterpret_cast<const float4 *>(x + 8 * i * STRIDE<float> + k);
            #pragma unroll
            for (int j = 0; j < 8; j++) {
                float4 b = *reinterpret_cast<const float4 *>(w + 16 * j * STRIDE<float> + k);
                #pragma unroll
                for (int i = 0; i < 8; i++) {
                    if (8 * i >= rows) continue;
                    of[i][j] = fmaf(a[i].x, b.x, of[i][j]);
                    of[i][j] = fmaf(a[i].y, b.y, of[i][j]);
                    of[i][j] = fmaf(a[i].z, b.z, of[i][j]);
                    of[i][j] = fmaf(a[i].w, b.w, of[i][j]);
                }
            }
        }
    }

    template <typename Out> __device__ __forceinline__ void give(const Out &out) const {
        #pragma unroll
        for (int i = 0; i < 8; i++)
            #pragma unroll
            for (int j = 0; j < 8; j++) out.one(threadIdx.x / 16 + 8 * i, threadIdx.x % 16 + 16 * j, of[i][j]);
    }
};

// Where sums go: y, from a tile's first row and output on.
template <typename O> struct Out {
    O *y;
    const O *bias;
    int rows, columns, outputs;
    bool add, pairs;

    __device__ __forceinline__ O value(size_t at, int column, float sum) const {
        if (bias) sum = __fadd_rn(sum, wide<O>(bias[column]));
        if (add) sum = __fadd_rn(sum, wide<O>(y[at]));
        return narrow<O>(sum);
    }

    __device__ __forceinline__ void one(int row, int column, float sum) const {
        if (row >= rows || column >= columns) return;
        size_t at = size_t(row) * outputs + column;
        y[at] = value(at, column, sum);
    }

    __device__ __forceinline__ void two(int row, int column, float low, float high) const {
        struct alignas(2 * sizeof(O)) Two {
            O low, high;
        };
        if (pairs && row < rows && column < columns) {
            size_t at = size_t(row) * outputs + column;
            *reinterpret_cast<Two *>(y + at) = {value(at, column, low), value(at + 1, column + 1, high)};
        } else {
            one(row, column, low);
            one(row, column + 1, high);
        }
    }
};

// y[row] = x[order[row]] · w[expert]ᵀ + bias[expert] (+ y[row]) for the `*count` tiles; without `order` x[row], without `bias`
// none. Without `tiles` for the rows 0..*count, all of the first expert. w is [experts, outputs, inputs], bias [experts, outputs].
//
// Blocks go by bands of `band` tiles: through all outputs, the tiles of the band at each. So a band's rows of x and its experts'
// weights stay in the L2 cache, and weights are read once for `band` tiles.
template <typename T, typename O>
__device__ void gemm(const T *x, const T *w, const O *bias, O *y, const unsigned *count, const Tile *tiles,
                     const uint32_t *order, int inputs, int outputs, int band, int add) {
    __shared__ __align__(16) unsigned char memory[STAGES * LINES * STRIDE<T> * sizeof(T)];
    T *stages = reinterpret_cast<T *>(memory);
    const unsigned across = (outputs + COLUMNS - 1) / COLUMNS, in_band = blockIdx.x % (band * across);
    const unsigned at = blockIdx.x / (band * across) * band + in_band % band;
    const int column = in_band / band * COLUMNS;
    Tile tile;
    if (tiles) {
        if (at >= *count) return;
        tile = tiles[at];
    } else {
        if (at * TILE_ROWS >= *count) return;
        tile = {0, at * TILE_ROWS, min(*count - at * TILE_ROWS, TILE_ROWS)};
    }
    w += (size_t(tile.expert) * outputs + column) * inputs;
    const int columns = min(outputs - column, COLUMNS);

    // This thread's lines: of each the same 16 bytes of every step. Null where there is no line.
    const int line = threadIdx.x / 4, word = threadIdx.x % 4 * WORD<T>;
    const T *from[FETCHES];
    #pragma unroll
    for (int i = 0; i < FETCHES; i++) {
        int row = line + 32 * i, output = row - int(TILE_ROWS);
        if (output < 0)
            from[i] = row < tile.rows ? x + size_t(order ? order[tile.first + row] : tile.first + row) * inputs + word : nullptr;
        else
            from[i] = output < columns ? w + size_t(output) * inputs + word : nullptr;
    }
    const bool whole = inputs % WORD<T> == 0 && (reinterpret_cast<uintptr_t>(x) | reinterpret_cast<uintptr_t>(w)) % 16 == 0;
    auto fetch = [&](int step) {
        T *to = stages + (step % STAGES * LINES + line) * STRIDE<T> + word;
        const int first = step * STEP<T>, left = inputs - first - word;
        #pragma unroll
        for (int i = 0; i < FETCHES; i++, to += 32 * STRIDE<T>) {
            if (whole) {
                bool real = from[i] && left > 0;
                fetch_16(to, real ? from[i] + first : x, real);
            } else {
                for (int n = 0; n < WORD<T>; n++) to[n] = from[i] && n < left ? from[i][first + n] : narrow<T>(0.0f);
            }
        }
    };

    Sums<T> sums;
    const int steps = (inputs + STEP<T> - 1) / STEP<T>;
    #pragma unroll
    for (int step = 0; step < STAGES - 1; step++) {
        if (step < steps) fetch(step);
        end_fetches();
    }
    for (int step = 0; step < steps; step++) {
        await_fetches<STAGES - 2>();
        // The step is there for all, and all are done with the one before, where the one fetched now goes.
        __syncthreads();
        if (step + STAGES - 1 < steps) fetch(step + STAGES - 1);
        end_fetches();
        const T *stage = stages + step % STAGES * LINES * STRIDE<T>;
        sums.add(stage, stage + TILE_ROWS * STRIDE<T>, tile.rows);
    }

    y += size_t(tile.first) * outputs + column;
    if (bias) bias += size_t(tile.expert) * outputs + column;
    const bool pairs = outputs % 2 == 0 && reinterpret_cast<uintptr_t>(y) % (2 * sizeof(O)) == 0;
    sums.give(Out<O>{y, bias, int(tile.rows), columns, outputs, add != 0, pairs});
}

template <typename T>
__device__ void gemm_kernel(const T *x, const T *w, const T *bias, T *y, const unsigned *count, const Tile *tiles,
                            const uint32_t *order, int inputs, int outputs, int band, int add) {
    gemm<T, T>(x, w, bias, y, count, tiles, order, inputs, outputs, band, add);
}

// The same with y and bias in f32.
template <typename T>
__device__ void wide_gemm_kernel(const T *x, const T *w, const float *bias, float *y, const unsigned *count, const Tile *tiles,
                                 const uint32_t *order, int inputs, int outputs, int band, int add) {
    gemm<T, float>(x, w, bias, y, count, tiles, order, inputs, outputs, band, add);
}

FOR_TYPES(gemm, THREADS,
          (const T *x, const T *w, const T *bias, T *y, const unsigned *count, const Tile *tiles, const uint32_t *order,
           int inputs, int outputs, int band, int add),
          (x, w, bias, y, count, tiles, order, inputs, outputs, band, add))
FOR_TYPES(wide_gemm, THREADS,
          (const T *x, const T *w, const float *bias, float *y, const unsigned *count, const Tile *tiles,
           const uint32_t *order, int inputs, int outputs, int band, int add),
          (x, w, bias, y, count, tiles, order, inputs, outputs, band, add))
