// Activations of feed-forward blocks, and the scale and cap of logits. Every number by itself. Thread t of block (row, part)
// has four of the part's 1024 numbers.
#include "fours.cuh"

constexpr int THREADS = 256;
// Numbers of a row that a block has.
constexpr int PART = 4 * THREADS;

// In the order of `Activation`.
enum { SILU, GELU, GELU_TANH, RELU, TANH };

// By the compiler's exp, erf and tanh, which are within two units in the last place; not the fast ones.
__device__ __forceinline__ float activated(int activation, float x) {
    switch (activation) {
    case SILU: return __fdiv_rn(x, __fadd_rn(1.0f, expf(-x)));
    case GELU: {
        float half = __fmul_rn(x, 0.5f);
        return fmaf(erff(__fmul_rn(x, 0.70710678118654752f)), half, half);
    }
    case GELU_TANH: {
        float cubic = fmaf(__fmul_rn(__fmul_rn(x, x), x), 0.044715f, x);
        float half = __fmul_rn(x, 0.5f);
        return fmaf(tanhf(__fmul_rn(cubic, 0.7978846f)), half, half);
    }
    // A NaN stays one, which fmaxf would not let.
    case RELU: return x < 0.0f ? 0.0f : x;
    default: return tanhf(x);
    }
}

// out[row, i] = act(x[row, i]) · x[row, width + i] where gated, act(x[row, i]) else. x is [rows, width] or [rows, 2·width].
template <typename T>
__device__ void activate_kernel(const T *x, const unsigned *rows, int width, int activation, int gated, T *out) {
    if (blockIdx.x >= *rows) return;
    const T *from = x + size_t(blockIdx.x) * width * (gated ? 2 : 1);
    T *to = out + size_t(blockIdx.x) * width;
    int at = blockIdx.y * PART + 4 * threadIdx.x;
    if (at >= width) return;
    float four[4], up[4];
    read_four(four, from, at, width, in_fours(from, width));
    for (int i = 0; i < 4; i++) four[i] = activated(activation, four[i]);
    if (gated) {
        read_four(up, from + width, at, width, in_fours(from + width, width));
        for (int i = 0; i < 4; i++) four[i] = __fmul_rn(four[i], up[i]);
    }
    write_four(to, four, at, width, in_fours(to, width));
}

FOR_TYPES(activate, THREADS, (const T *x, const unsigned *rows, int width, int activation, int gated, T *out),
          (x, rows, width, activation, gated, out))

// logits[row] = cap · tanh(logits[row] · scale / cap), f32 in place; without the cap where it is 0.
extern "C" __global__ void __launch_bounds__(THREADS)
    cap_logits(float *logits, const unsigned *rows, int width, float scale, float cap) {
    if (blockIdx.x >= *rows) return;
    float *row = logits + size_t(blockIdx.x) * width;
    int at = blockIdx.y * PART + 4 * threadIdx.x;
    if (at >= width) return;
    float four[4];
    bool fours = in_fours(row, width);
    read_four(four, row, at, width, fours);
    for (int i = 0; i < 4; i++) {
        four[i] = __fmul_rn(four[i], scale);
        if (cap != 0.0f) four[i] = __fmul_rn(tanhf(__fdiv_rn(four[i], cap)), cap);
    }
    write_four(row, four, at, width, fours);
}
