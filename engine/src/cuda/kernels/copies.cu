// Copies: KV blocks of the KV cache, rows of the stream that are read.
#include "common.cuh"

constexpr int THREADS = 256;

// Copies whole KV blocks of keys and values, `[layers][kv_blocks][words]` in words of 16 bytes: pairs from, to, one after the other.
// Each thread has one word of a KV block and copies it for every pair in turn, so that the KV blocks come out as if a KV block at a time
// were copied, whatever KV blocks the list repeats. Pairs beyond the cache, and beyond the `most` there is room for, are left out.
// Block (part of a KV block, layer, keys or values).
extern "C" __global__ void __launch_bounds__(THREADS)
    copy_kv_blocks(uint4 *keys, uint4 *values, const unsigned *pairs, const unsigned *count, unsigned most, unsigned kv_blocks,
               unsigned block_words) {
    unsigned word = blockIdx.x * THREADS + threadIdx.x;
    if (word >= block_words) return;
    uint4 *layer = (blockIdx.z == 0 ? keys : values) + size_t(blockIdx.y) * kv_blocks * block_words;
    unsigned end = min(*count, most);
    for (unsigned pair = 0; pair < end; pair++) {
        unsigned from = pairs[2 * pair], to = pairs[2 * pair + 1];
        if (from < kv_blocks && to < kv_blocks) layer[size_t(to) * block_words + word] = layer[size_t(from) * block_words + word];
    }
}

// to[row] = from[index[row]], f32 rows. A row beyond `from` is not a number.
extern "C" __global__ void __launch_bounds__(THREADS)
    gather_rows(const float *from, unsigned from_rows, const unsigned *index, const unsigned *rows, int width, float *to) {
    if (blockIdx.x >= *rows) return;
    unsigned at = index[blockIdx.x];
    bool there = at < from_rows;
    const float *source = from + size_t(there ? at : 0) * width;
    float *row = to + size_t(blockIdx.x) * width;
    for (int i = threadIdx.x; i < width; i += THREADS) row[i] = there ? source[i] : __int_as_float(0x7fffffff);
}
