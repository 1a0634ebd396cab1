// CUDA C++ for g++: included before every kernel source. Types and conversions are the toolkit's own; what it has for device
// code alone is here.
#pragma once

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <type_traits>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "block.hpp"

// Words before declarations. KARAT_KERNEL, KARAT_BOUNDS and KARAT_SHARED are rewritten by rewrite.py.
#undef __global__
#undef __launch_bounds__
#undef __shared__
#undef __device__
#undef __host__
#undef __constant__
#undef __grid_constant__
#undef __managed__
#undef __cluster_dims__
#define __global__ KARAT_KERNEL
#define __launch_bounds__(...) KARAT_BOUNDS(__VA_ARGS__)
#define __shared__ KARAT_SHARED
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __managed__
#define __cluster_dims__(...)

#undef __CUDA_ARCH__
#define __CUDA_ARCH__ 900

#define threadIdx (::karat::current->index)
#define blockIdx (::karat::block_index)
#define blockDim (::karat::block_size)
#define gridDim (::karat::grid_size)
#ifndef warpSize
#define warpSize 32
#endif

// Waiting for each other.
inline void __syncthreads() { karat::sync_block(false); }
inline int __syncthreads_count(int said) { return karat::sync_block(said != 0); }
inline int __syncthreads_or(int said) { return karat::sync_block(said != 0) != 0; }
inline int __syncthreads_and(int said) { return karat::sync_block(said == 0) == 0; }
inline void __syncwarp(unsigned mask = 0xffffffffu) {
    char nothing = 0;
    karat::together(mask, nothing, [](char **, uint32_t) {});
}
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) {}
inline unsigned __activemask() { return karat::live_lanes(); }
[[noreturn]] inline void __trap() { karat::die("__trap"); }

// What lanes tell each other.
namespace karat {

template <typename T> struct Shuffle {
    T value;
    unsigned from;
};

// A lane that does not take part gives garbage, as on a GPU.
template <typename T> inline T shuffle(unsigned mask, T value, unsigned from) {
    static_assert(std::is_trivially_copyable<T>::value && sizeof(T) <= 16, "what a shuffle can carry");
    Shuffle<T> mine = {value, from};
    together(mask, mine, [](Shuffle<T> **brought, uint32_t members) {
        T values[32];
        memset(static_cast<void *>(values), 0xff, sizeof(values));
        for (unsigned lane = 0; lane < 32; lane++)
            if (members >> lane & 1) values[lane] = brought[lane]->value;
        for (unsigned lane = 0; lane < 32; lane++)
            if (members >> lane & 1) brought[lane]->value = values[brought[lane]->from];
    });
    return mine.value;
}

template <typename T> struct Reduction {
    T value;
    T (*step)(T, T);
};

// Every lane gets what all have, put together in the order of lanes.
template <typename T, typename Step> inline T reduce(unsigned mask, T value, Step step) {
    Reduction<T> mine = {value, step};
    together(mask, mine, [](Reduction<T> **brought, uint32_t members) {
        Reduction<T> &first = *brought[__builtin_ctz(members)];
        T result = first.value;
        for (uint32_t left = members & (members - 1); left; left &= left - 1)
            result = first.step(result, brought[__builtin_ctz(left)]->value);
        for (uint32_t left = members; left; left &= left - 1) brought[__builtin_ctz(left)]->value = result;
    });
    return mine.value;
}

} // namespace karat

// The base of a lane's segment of `width` lanes.
#define KARAT_SEGMENT(width) (lane & ~((unsigned)(width) - 1))
template <typename T> inline T __shfl_sync(unsigned mask, T value, int from, int width = 32) {
    unsigned lane = karat::current->lane;
    return karat::shuffle(mask, value, KARAT_SEGMENT(width) + ((unsigned)from & (width - 1)));
}
template <typename T> inline T __shfl_up_sync(unsigned mask, T value, unsigned apart, int width = 32) {
    unsigned lane = karat::current->lane;
    return karat::shuffle(mask, value, lane - KARAT_SEGMENT(width) >= apart ? lane - apart : lane);
}
template <typename T> inline T __shfl_down_sync(unsigned mask, T value, unsigned apart, int width = 32) {
    unsigned lane = karat::current->lane;
    return karat::shuffle(mask, value, lane - KARAT_SEGMENT(width) + apart < (unsigned)width ? lane + apart : lane);
}
template <typename T> inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32) {
    unsigned lane = karat::current->lane, from = lane ^ (unsigned)bits;
    return karat::shuffle(mask, value, from < KARAT_SEGMENT(width) + width ? from & 31 : lane);
}
#undef KARAT_SEGMENT

inline unsigned __ballot_sync(unsigned mask, int said) {
    unsigned mine = said ? 1u << karat::current->lane : 0;
    return karat::reduce(mask, mine, [](unsigned a, unsigned b) { return a | b; });
}
inline int __any_sync(unsigned mask, int said) { return __ballot_sync(mask, said) != 0; }
inline int __all_sync(unsigned mask, int said) { return __ballot_sync(mask, !said) == 0; }

template <typename T> inline T __reduce_add_sync(unsigned mask, T value) {
    return karat::reduce(mask, value, [](T a, T b) { return T(a + b); });
}
template <typename T> inline T __reduce_min_sync(unsigned mask, T value) {
    return karat::reduce(mask, value, [](T a, T b) { return a < b ? a : b; });
}
template <typename T> inline T __reduce_max_sync(unsigned mask, T value) {
    return karat::reduce(mask, value, [](T a, T b) { return a > b ? a : b; });
}
template <typename T> inline T __reduce_and_sync(unsigned mask, T value) {
    return karat::reduce(mask, value, [](T a, T b) { return T(a & b); });
}
template <typename T> inline T __reduce_or_sync(unsigned mask, T value) {
    return karat::reduce(mask, value, [](T a, T b) { return T(a | b); });
}
template <typename T> inline T __reduce_xor_sync(unsigned mask, T value) {
    return karat::reduce(mask, value, [](T a, T b) { return T(a ^ b); });
}

namespace karat {
template <typename T> struct Match {
    T value;
    uint32_t same, members;
};
template <typename T> inline Match<T> match(unsigned mask, T value) {
    Match<T> mine = {value, 0, 0};
    together(mask, mine, [](Match<T> **brought, uint32_t members) {
        for (unsigned lane = 0; lane < 32; lane++)
            for (unsigned other = 0; other < 32; other++)
                if (members >> lane & members >> other & 1) {
                    brought[lane]->members = members;
                    if (memcmp(&brought[lane]->value, &brought[other]->value, sizeof(T)) == 0)
                        brought[lane]->same |= 1u << other;
                }
    });
    return mine;
}
} // namespace karat
template <typename T> inline unsigned __match_any_sync(unsigned mask, T value) { return karat::match(mask, value).same; }
template <typename T> inline unsigned __match_all_sync(unsigned mask, T value, int *all) {
    auto found = karat::match(mask, value);
    *all = found.same == found.members;
    return *all ? found.members : 0;
}

// Atomics: nobody comes between.
namespace karat {
template <typename T, typename Step> inline T change(T *at, Step step) {
    T before = *at;
    *at = step(before);
    return before;
}
template <typename T> struct Same {
    using Type = T;
};
} // namespace karat
#define KARAT_ATOMIC(NAME, EXPRESSION)                                                                                         \
    template <typename T> inline T NAME(T *at, typename karat::Same<T>::Type value) {                                          \
        return karat::change(at, [&](T before) { return T(EXPRESSION); });                                                     \
    }                                                                                                                          \
    template <typename T> inline T NAME##_block(T *at, typename karat::Same<T>::Type value) { return NAME(at, value); }        \
    template <typename T> inline T NAME##_system(T *at, typename karat::Same<T>::Type value) { return NAME(at, value); }
KARAT_ATOMIC(atomicAdd, before + value)
KARAT_ATOMIC(atomicSub, before - value)
KARAT_ATOMIC(atomicExch, value)
KARAT_ATOMIC(atomicMin, value < before ? value : before)
KARAT_ATOMIC(atomicMax, value > before ? value : before)
KARAT_ATOMIC(atomicAnd, before &value)
KARAT_ATOMIC(atomicOr, before | value)
KARAT_ATOMIC(atomicXor, before ^ value)
KARAT_ATOMIC(atomicInc, before >= value ? 0 : before + 1)
KARAT_ATOMIC(atomicDec, before == 0 || before > value ? value : before - 1)
#undef KARAT_ATOMIC
template <typename T> inline T atomicCAS(T *at, typename karat::Same<T>::Type compare, typename karat::Same<T>::Type value) {
    return karat::change(at, [&](T before) { return before == compare ? value : before; });
}

// Memory.
template <typename T> inline T __ldg(const T *at) { return *at; }
template <typename T> inline T __ldcg(const T *at) { return *at; }
template <typename T> inline T __ldca(const T *at) { return *at; }
template <typename T> inline T __ldcs(const T *at) { return *at; }
template <typename T> inline T __ldlu(const T *at) { return *at; }
template <typename T> inline T __ldcv(const T *at) { return *at; }
template <typename T> inline void __stcg(T *at, T value) { *at = value; }
template <typename T> inline void __stcs(T *at, T value) { *at = value; }
template <typename T> inline void __stwb(T *at, T value) { *at = value; }
template <typename T> inline void __stwt(T *at, T value) { *at = value; }
inline size_t __cvta_generic_to_shared(const void *at) { return reinterpret_cast<size_t>(at); }
inline size_t __cvta_generic_to_global(const void *at) { return reinterpret_cast<size_t>(at); }
inline void *__cvta_shared_to_generic(size_t at) { return reinterpret_cast<void *>(at); }
#define __builtin_assume(...) ((void)0)
#define __assume(...) ((void)0)

// Bits.
template <typename To, typename From> inline To karat_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "as long");
    To to;
    memcpy(&to, &from, sizeof(to));
    return to;
}
inline int __float_as_int(float x) { return karat_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return karat_bits<unsigned>(x); }
inline float __int_as_float(int x) { return karat_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return karat_bits<float>(x); }
inline long long __double_as_longlong(double x) { return karat_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return karat_bits<double>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll((unsigned long long)x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
    unsigned result = 0;
    for (int i = 0; i < 32; i++) result |= (x >> i & 1) << (31 - i);
    return result;
}
inline unsigned long long __brevll(unsigned long long x) {
    return (unsigned long long)__brev((unsigned)x) << 32 | __brev((unsigned)(x >> 32));
}
inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline int __mul24(int a, int b) { return (a << 8 >> 8) * (b << 8 >> 8); }
inline unsigned __umul24(unsigned a, unsigned b) { return (a & 0xffffff) * (b & 0xffffff); }
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by) {
    return (unsigned)(((unsigned long long)high << 32 | low) << (by & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned by) {
    return (unsigned)(((unsigned long long)high << 32 | low) >> (by & 31));
}
inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
    unsigned long long bytes = (unsigned long long)b << 32 | a;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) {
        unsigned at = selector >> 4 * i & 15, byte = bytes >> 8 * (at & 7) & 255;
        if (at & 8) byte = byte & 128 ? 255 : 0;
        result |= byte << 8 * i;
    }
    return result;
}

// Arithmetic, every operation rounded by itself: -ffp-contract=off, so nothing is fused but by fmaf.
#define KARAT_ROUNDED(TYPE, PREFIX)                                                                                            \
    inline TYPE __##PREFIX##add_rn(TYPE a, TYPE b) { return a + b; }                                                           \
    inline TYPE __##PREFIX##sub_rn(TYPE a, TYPE b) { return a - b; }                                                           \
    inline TYPE __##PREFIX##mul_rn(TYPE a, TYPE b) { return a * b; }                                                           \
    inline TYPE __##PREFIX##div_rn(TYPE a, TYPE b) { return a / b; }                                                           \
    inline TYPE __##PREFIX##rcp_rn(TYPE a) { return TYPE(1) / a; }
KARAT_ROUNDED(float, f)
KARAT_ROUNDED(double, d)
#undef KARAT_ROUNDED
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline float __fsqrt_rn(float a) { return sqrtf(a); }
inline double __dsqrt_rn(double a) { return sqrt(a); }
inline float __frsqrt_rn(float a) { return (float)(1.0 / sqrt((double)a)); }
inline float rsqrtf(float a) { return (float)(1.0 / sqrt((double)a)); }
inline double rsqrt(double a) { return 1.0 / sqrt(a); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __saturatef(float a) { return a > 0.0f ? a < 1.0f ? a : 1.0f : 0.0f; }

// Functions of f32 by way of f64: nearer to the right ones than CUDA's, which err by up to two units in the last place, and the
// same on every machine.
#define KARAT_BY_DOUBLE(NAME)                                                                                                  \
    inline float karat_##NAME##f(float a) { return (float)NAME((double)a); }                                                   \
    inline float __##NAME##f(float a) { return (float)NAME((double)a); }
KARAT_BY_DOUBLE(exp)
KARAT_BY_DOUBLE(exp2)
KARAT_BY_DOUBLE(exp10)
KARAT_BY_DOUBLE(expm1)
KARAT_BY_DOUBLE(log)
KARAT_BY_DOUBLE(log2)
KARAT_BY_DOUBLE(log10)
KARAT_BY_DOUBLE(log1p)
KARAT_BY_DOUBLE(sin)
KARAT_BY_DOUBLE(cos)
KARAT_BY_DOUBLE(tanh)
KARAT_BY_DOUBLE(erf)
KARAT_BY_DOUBLE(erfc)
#undef KARAT_BY_DOUBLE
inline float karat_powf(float a, float b) { return (float)pow((double)a, (double)b); }
inline float __powf(float a, float b) { return karat_powf(a, b); }
inline float sinpif(float a) { return (float)sin(3.14159265358979323846 * a); }
inline float cospif(float a) { return (float)cos(3.14159265358979323846 * a); }
#define expf karat_expf
#define exp2f karat_exp2f
#define exp10f karat_exp10f
#define expm1f karat_expm1f
#define logf karat_logf
#define log2f karat_log2f
#define log10f karat_log10f
#define log1pf karat_log1pf
#define sinf karat_sinf
#define cosf karat_cosf
#define tanhf karat_tanhf
#define erff karat_erff
#define erfcf karat_erfcf
#define powf karat_powf

// Conversions. Those to nearest even are C++'s own; out of range they saturate, and a NaN is 0.
namespace karat {
template <typename To, typename From> inline To convert(From x) {
    if (x != x) return 0;
    constexpr bool negative = To(-1) < To(0);
    const From end = From(2) * From(To(1) << (8 * sizeof(To) - 1 - negative));
    if (x >= end) return ~(negative ? To(1) << (8 * sizeof(To) - 1) : To(0));
    if (x <= (negative ? -end : From(0))) return negative ? To(1) << (8 * sizeof(To) - 1) : To(0);
    return To(x);
}
} // namespace karat
#define KARAT_CONVERT(FROM, PREFIX, TYPE, NAME, TO)                                                                            \
    inline TO __##PREFIX##2##NAME##_rn(TYPE x) { return karat::convert<TO>(nearbyint(x)); }                                    \
    inline TO __##PREFIX##2##NAME##_rz(TYPE x) { return karat::convert<TO>(trunc(x)); }                                        \
    inline TO __##PREFIX##2##NAME##_rd(TYPE x) { return karat::convert<TO>(floor(x)); }                                        \
    inline TO __##PREFIX##2##NAME##_ru(TYPE x) { return karat::convert<TO>(ceil(x)); }
KARAT_CONVERT(float, float, float, int, int)
KARAT_CONVERT(float, float, float, uint, unsigned)
KARAT_CONVERT(float, float, float, ll, long long)
KARAT_CONVERT(float, float, float, ull, unsigned long long)
KARAT_CONVERT(double, double, double, int, int)
KARAT_CONVERT(double, double, double, uint, unsigned)
KARAT_CONVERT(double, double, double, ll, long long)
KARAT_CONVERT(double, double, double, ull, unsigned long long)
#undef KARAT_CONVERT
inline float __int2float_rn(int x) { return (float)x; }
inline float __uint2float_rn(unsigned x) { return (float)x; }
inline float __ll2float_rn(long long x) { return (float)x; }
inline float __ull2float_rn(unsigned long long x) { return (float)x; }
inline double __int2double_rn(int x) { return x; }
inline double __uint2double_rn(unsigned x) { return x; }
inline double __ll2double_rn(long long x) { return (double)x; }
inline double __ull2double_rn(unsigned long long x) { return (double)x; }
inline float __double2float_rn(double x) { return (float)x; }

// min and max of mixed integers, as CUDA has them: unsigned where one is.
#define KARAT_EXTREMES(TYPE, A, B)                                                                                             \
    inline TYPE min(A a, B b) { return (TYPE)a < (TYPE)b ? (TYPE)a : (TYPE)b; }                                                \
    inline TYPE max(A a, B b) { return (TYPE)a > (TYPE)b ? (TYPE)a : (TYPE)b; }
#define KARAT_INTEGERS(SIGNED, UNSIGNED)                                                                                       \
    KARAT_EXTREMES(SIGNED, SIGNED, SIGNED)                                                                                     \
    KARAT_EXTREMES(UNSIGNED, UNSIGNED, UNSIGNED)                                                                               \
    KARAT_EXTREMES(UNSIGNED, SIGNED, UNSIGNED)                                                                                 \
    KARAT_EXTREMES(UNSIGNED, UNSIGNED, SIGNED)
KARAT_INTEGERS(int, unsigned)
KARAT_INTEGERS(long, unsigned long)
KARAT_INTEGERS(long long, unsigned long long)
#undef KARAT_INTEGERS
#undef KARAT_EXTREMES
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline unsigned umin(unsigned a, unsigned b) { return a < b ? a : b; }
inline unsigned umax(unsigned a, unsigned b) { return a > b ? a : b; }

inline long long clock64() { return __builtin_ia32_rdtsc(); }
inline int clock() { return (int)__builtin_ia32_rdtsc(); }
