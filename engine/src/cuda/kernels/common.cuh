// What all kernels share: the types that numbers are stored in, and sums of one fixed order.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

// All arithmetic is in f32; T is only how a number is stored.
template <typename T> __device__ __forceinline__ float wide(T x);
template <> __device__ __forceinline__ float wide(float x) { return x; }
template <> __device__ __forceinline__ float wide(__nv_bfloat16 x) { return __bfloat162float(x); }
template <> __device__ __forceinline__ float wide(__half x) { return __half2float(x); }

// Rounded to nearest even.
template <typename T> __device__ __forceinline__ T narrow(float x);
template <> __device__ __forceinline__ float narrow(float x) { return x; }
template <> __device__ __forceinline__ __nv_bfloat16 narrow(float x) { return __float2bfloat16_rn(x); }
template <> __device__ __forceinline__ __half narrow(float x) { return __float2half_rn(x); }

// The sum over a warp, in every lane. A butterfly: each step adds two numbers that both sides have, and a + b is b + a, so
// all lanes get the same bits.
__device__ __forceinline__ float warp_sum(float x) {
    for (int apart = 16; apart > 0; apart /= 2) x += __shfl_xor_sync(0xffffffffu, x, apart);
    return x;
}

__device__ __forceinline__ float warp_max(float x) {
    for (int apart = 16; apart > 0; apart /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, apart));
    return x;
}

// The sum over a block of THREADS threads, in every thread: warps first, their sums in the order of their numbers.
// `space` has one float per warp and is free again on return.
template <int THREADS> __device__ __forceinline__ float block_sum(float x, float *space) {
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0) space[threadIdx.x / 32] = x;
    __syncthreads();
    float sum = 0.0f;
    for (int warp = 0; warp < THREADS / 32; warp++) sum += space[warp];
    __syncthreads();
    return sum;
}

// Defines NAME_f32, NAME_bf16 and NAME_f16 for a kernel template NAME_kernel<T>: PARAMETERS in parentheses use T, ARGUMENTS
// are their names.
#define FOR_TYPES(NAME, THREADS, PARAMETERS, ARGUMENTS)                                                                 \
    FOR_TYPE(NAME, f32, float, THREADS, PARAMETERS, ARGUMENTS)                                                          \
    FOR_TYPE(NAME, bf16, __nv_bfloat16, THREADS, PARAMETERS, ARGUMENTS)                                                 \
    FOR_TYPE(NAME, f16, __half, THREADS, PARAMETERS, ARGUMENTS)
#define FOR_TYPE(NAME, SUFFIX, TYPE, THREADS, PARAMETERS, ARGUMENTS)                                                    \
    namespace NAME##_##SUFFIX##_types {                                                                                 \
    using T = TYPE;                                                                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS) NAME##_##SUFFIX PARAMETERS { NAME##_kernel<T> ARGUMENTS; }    \
    }
