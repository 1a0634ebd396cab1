// One vector of the vectors of a text's tokens, as `pooling.rs` makes it, operation by operation.
#include "common.cuh"

constexpr int THREADS = 256;

// In the order of `Pooling`.
enum { MEAN, CLS, LAST, MAX, MEAN_SQRT_LEN, WEIGHTED_MEAN };

// out[text] of the f32 rows offsets[text]..offsets[text + 1] of x. A thread has a column and walks the tokens in order; the first
// skipped[text] do not count where tokens are averaged, and nothing left gives zeros. Block (text, part of the width).
extern "C" __global__ void __launch_bounds__(THREADS)
    pool(const float *x, unsigned tokens, const unsigned *offsets, const unsigned *skipped, const unsigned *texts,
         int width, int pooling, float *out) {
    unsigned text = blockIdx.x;
    int column = blockIdx.y * THREADS + threadIdx.x;
    if (text >= *texts || column >= width) return;
    unsigned start = min(offsets[text], tokens), end = max(start, min(offsets[text + 1], tokens));
    float *to = out + size_t(text) * width + column;
    unsigned counted = start + min(skipped[text], end - start);
    const float *from = x + column;
    if (start < end && (pooling == CLS || pooling == LAST)) {
        *to = from[size_t(pooling == CLS ? start : end - 1) * width];
        return;
    }
    if (counted == end) {
        *to = 0.0f;
        return;
    }
    unsigned count = end - counted, place = counted - start + 1;
    float result = from[size_t(counted) * width];
    if (pooling == WEIGHTED_MEAN) result = __fmul_rn(result, float(place));
    for (unsigned token = counted + 1; token < end; token++) {
        float value = from[size_t(token) * width];
        place++;
        if (pooling == MAX)
            result = value <= result ? result : value;
        else if (pooling == WEIGHTED_MEAN)
            result = __fadd_rn(result, __fmul_rn(value, float(place)));
        else
            result = __fadd_rn(result, value);
    }
    if (pooling == MEAN) result = __fdiv_rn(result, float(count));
    if (pooling == MEAN_SQRT_LEN) result = __fdiv_rn(result, __fsqrt_rn(float(count)));
    // The places first..=last add up to count · (first + last) / 2.
    if (pooling == WEIGHTED_MEAN) {
        unsigned long long first = counted - start + 1, last = end - start;
        result = __fdiv_rn(result, __ull2float_rn(count * (first + last) / 2));
    }
    *to = result;
}
