// Rows of the residual stream: token vectors, norms, and what a block adds to it. One block per row; the row lies in shared
// memory between being read and being written, each thread touching its own numbers alone: the fours t, t + 256, ...
//
// The stream is f32, `[rows, width]`; rows of products are T. `*rows` says how many rows there are; blocks beyond have nothing
// to do.
#include "fours.cuh"
#include "norm.cuh"

constexpr int THREADS = 256;

// The row in shared memory, filled up with zeros to a multiple of four.
extern __shared__ float4 row_space[];

__device__ __forceinline__ void keep(int at, const float four[4]) {
    row_space[at / 4] = make_float4(four[0], four[1], four[2], four[3]);
}

__device__ __forceinline__ void kept(float four[4], int at) {
    float4 numbers = row_space[at / 4];
    four[0] = numbers.x, four[1] = numbers.y, four[2] = numbers.z, four[3] = numbers.w;
}

// Moments of the kept row: each thread adds its numbers in order, then `block_sum`.
__device__ Moments moments(const Norm &norm, int width) {
    __shared__ float space[THREADS / 32];
    float four[4];
    Moments result = {0.0f, 1.0f};
    if (norm.layer) {
        float sum = 0.0f;
        for (int at = 4 * threadIdx.x; at < width; at += 4 * THREADS) {
            kept(four, at);
            for (int i = 0; i < 4; i++) sum = __fadd_rn(sum, four[i]);
        }
        result.mean = __fdiv_rn(block_sum<THREADS>(sum, space), float(width));
    }
    float squares = 0.0f;
    for (int at = 4 * threadIdx.x; at < width; at += 4 * THREADS) {
        kept(four, at);
        for (int i = 0; i < 4; i++) {
            float apart = at + i < width ? __fsub_rn(four[i], result.mean) : 0.0f;
            squares = fmaf(apart, apart, squares);
        }
    }
    result.factor = norm_factor(__fdiv_rn(block_sum<THREADS>(squares, space), float(width)), norm.eps);
    return result;
}

__device__ __forceinline__ void apply(float four[4], const Moments &moments, const Norm &norm, int at, int width) {
    for (int i = 0; i < 4; i++)
        if (at + i < width) four[i] = norm_value(__fsub_rn(four[i], moments.mean), moments.factor, norm, at + i);
}

// The norm of the kept row into `out` and, where it is given, into `wide_out`; as it is where there is no norm.
template <typename T> __device__ void write_normed(const Norm &norm, int width, T *out, float *wide_out) {
    Moments found = {0.0f, 1.0f};
    if (norm.weight) found = moments(norm, width);
    bool out_fours = in_fours(out, width), wide_fours = in_fours(wide_out, width);
    for (int at = 4 * threadIdx.x; at < width; at += 4 * THREADS) {
        float four[4];
        kept(four, at);
        if (norm.weight) apply(four, found, norm, at, width);
        if (out) write_four(out, four, at, width, out_fours);
        if (wide_out) write_four(wide_out, four, at, width, wide_fours);
    }
}

template <typename N> __device__ __forceinline__ N *row_of(N *matrix, int width) {
    return matrix ? matrix + size_t(blockIdx.x) * width : nullptr;
}

// A table of f32 rows that is added to token vectors, and the row that each token takes. A row that the table has not is zero.
struct Added {
    const float *table;
    const unsigned *index;
    unsigned count;
};

__device__ __forceinline__ void read_added(float four[4], const Added &added, int at, int width) {
    unsigned index = added.index[blockIdx.x];
    bool there = index < added.count;
    const float *row = added.table + size_t(there ? index : 0) * width;
    for (int i = 0; i < 4; i++) four[i] = there && at + i < width ? row[at + i] : 0.0f;
}

// stream[row] = table[ids[row]] * scale + (first[row] + second[row]). A token beyond the table is not a number.
template <typename T>
__device__ void embed_kernel(const unsigned *ids, const unsigned *rows, const T *table, unsigned vocab, float scale,
                             Added first, Added second, int width, float *stream) {
    if (blockIdx.x >= *rows) return;
    unsigned id = ids[blockIdx.x];
    bool there = id < vocab;
    const T *from = table + size_t(there ? id : 0) * width;
    float *to = row_of(stream, width);
    bool from_fours = in_fours(from, width), to_fours = in_fours(to, width);
    for (int at = 4 * threadIdx.x; at < width; at += 4 * THREADS) {
        float four[4], one[4], other[4];
        read_four(four, from, at, width, from_fours);
        for (int i = 0; i < 4; i++) four[i] = there ? __fmul_rn(four[i], scale) : __int_as_float(0x7fffffff);
        if (first.table) {
            read_added(one, first, at, width);
            if (second.table) {
                read_added(other, second, at, width);
                for (int i = 0; i < 4; i++) one[i] = __fadd_rn(one[i], other[i]);
            }
            for (int i = 0; i < 4; i++) four[i] = __fadd_rn(four[i], one[i]);
        }
        write_four(to, four, at, width, to_fours);
    }
}

FOR_TYPES(embed, THREADS,
          (const unsigned *ids, const unsigned *rows, const T *table, unsigned vocab, float scale, Added first,
           Added second, int width, float *stream),
          (ids, rows, table, vocab, scale, first, second, width, stream))

// out[row] = norm(from[row])
template <typename T>
__device__ void norm_kernel(const float *from, const unsigned *rows, Norm norm, int width, T *out) {
    if (blockIdx.x >= *rows) return;
    from = row_of(from, width);
    bool fours = in_fours(from, width);
    for (int at = 4 * threadIdx.x; at < width; at += 4 * THREADS) {
        float four[4];
        read_four(four, from, at, width, fours);
        keep(at, four);
    }
    write_normed(norm, width, row_of(out, width), (float *)nullptr);
}

FOR_TYPES(norm, THREADS, (const float *from, const unsigned *rows, Norm norm, int width, T *out),
          (from, rows, norm, width, out))

// stream[row] += scale * post(y[row]);  out[row] = next(stream[row]) where `out` is given.
template <typename T, typename Y>
__device__ void add_norm(float *stream, const Y *y, const unsigned *rows, Norm post, float scale, Norm next, int width,
                         T *out) {
    if (blockIdx.x >= *rows) return;
    stream = row_of(stream, width), y = row_of(y, width);
    bool stream_fours = in_fours(stream, width), y_fours = in_fours(y, width);
    Moments found = {0.0f, 1.0f};
    if (post.weight) {
        for (int at = 4 * threadIdx.x; at < width; at += 4 * THREADS) {
            float four[4];
            read_four(four, y, at, width, y_fours);
            keep(at, four);
        }
        found = moments(post, width);
    }
    for (int at = 4 * threadIdx.x; at < width; at += 4 * THREADS) {
        float four[4], added[4];
        read_four(four, stream, at, width, stream_fours);
        if (post.weight) {
            kept(added, at);
            apply(added, found, post, at, width);
        } else {
            read_four(added, y, at, width, y_fours);
        }
        for (int i = 0; i < 4; i++) four[i] = __fadd_rn(four[i], __fmul_rn(added[i], scale));
        write_four(stream, four, at, width, stream_fours);
        keep(at, four);
    }
    if (out) write_normed(next, width, row_of(out, width), (float *)nullptr);
}

template <typename T>
__device__ void add_norm_kernel(float *stream, const T *y, const unsigned *rows, Norm post, float scale, Norm next,
                                int width, T *out) {
    add_norm<T, T>(stream, y, rows, post, scale, next, width, out);
}

// The same with rows of a product in f32.
template <typename T>
__device__ void add_wide_norm_kernel(float *stream, const float *y, const unsigned *rows, Norm post, float scale,
                                     Norm next, int width, T *out) {
    add_norm<T, float>(stream, y, rows, post, scale, next, width, out);
}

FOR_TYPES(add_norm, THREADS,
          (float *stream, const T *y, const unsigned *rows, Norm post, float scale, Norm next, int width, T *out),
          (stream, y, rows, post, scale, next, width, out))
FOR_TYPES(add_wide_norm, THREADS,
          (float *stream, const float *y, const unsigned *rows, Norm post, float scale, Norm next, int width, T *out),
          (stream, y, rows, post, scale, next, width, out))

// The residual step of encoders with their norms behind: stream[row] = norm(stream[row] + y[row]), and the same as T. Without
// y it is the norm alone, in place.
template <typename T, typename Y>
__device__ void norm_sum(float *stream, const Y *y, const unsigned *rows, Norm norm, int width, T *out) {
    if (blockIdx.x >= *rows) return;
    stream = row_of(stream, width), y = row_of(y, width);
    bool stream_fours = in_fours(stream, width), y_fours = in_fours(y, width);
    for (int at = 4 * threadIdx.x; at < width; at += 4 * THREADS) {
        float four[4], added[4];
        read_four(four, stream, at, width, stream_fours);
        if (y) {
            read_four(added, y, at, width, y_fours);
            for (int i = 0; i < 4; i++) four[i] = __fadd_rn(four[i], added[i]);
        }
        keep(at, four);
    }
    write_normed(norm, width, row_of(out, width), stream);
}

template <typename T>
__device__ void norm_sum_kernel(float *stream, const T *y, const unsigned *rows, Norm norm, int width, T *out) {
    norm_sum<T, T>(stream, y, rows, norm, width, out);
}

template <typename T>
__device__ void norm_wide_sum_kernel(float *stream, const float *y, const unsigned *rows, Norm norm, int width, T *out) {
    norm_sum<T, float>(stream, y, rows, norm, width, out);
}

FOR_TYPES(norm_sum, THREADS, (float *stream, const T *y, const unsigned *rows, Norm norm, int width, T *out),
          (stream, y, rows, norm, width, out))
FOR_TYPES(norm_wide_sum, THREADS, (float *stream, const float *y, const unsigned *rows, Norm norm, int width, T *out),
          (stream, y, rows, norm, width, out))
