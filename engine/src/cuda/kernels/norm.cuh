// Norms of a row that a block or a warp holds.
#pragma once

#include "common.cuh"

// RMSNorm, or LayerNorm where `layer` is not 0. Without a weight there is no norm; the bias may be null. As `launch/norm.rs`
// hands it over.
struct Norm {
    const float *weight;
    const float *bias;
    float eps;
    int layer;
};

// Of a row: its mean, zero for RMSNorm, and what it is multiplied with after that is taken away.
struct Moments {
    float mean, factor;
};

// What a row is multiplied with after its mean is taken away. Each operation is rounded by itself: nothing here is left to
// the compiler to fuse, and the same for every row.
__device__ __forceinline__ float norm_factor(float variance, float eps) {
    return __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(variance, eps)));
}

// A number of a row without its mean -> its norm. `at` counts weights.
__device__ __forceinline__ float norm_value(float x, float factor, const Norm &norm, int at) {
    x = __fmul_rn(x, factor);
    float weight = norm.weight[at];
    return norm.bias ? fmaf(x, weight, norm.bias[at]) : __fmul_rn(x, weight);
}
