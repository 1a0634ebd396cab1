// Copies: pages of the KV cache, rows of the stream that are read.
#include "common.cuh"

constexpr int THREADS = 256;

// Copies whole pages of keys and values, `[layers][pages][words]` in words of 16 bytes: pairs from, to, one after the other.
// Each thread has one word of a page and copies it for every pair in turn, so that the pages come out as if a page at a time
// were copied, whatever pages the list repeats. Pairs beyond the cache, and beyond the `most` there is room for, are left out.
// Block (part of a page, layer, keys or values).
extern "C" __global__ void __launch_bounds__(THREADS)
    copy_pages(uint4 *keys, uint4 *values, const unsigned *pairs, const unsigned *count, unsigned most, unsigned pages,
               unsigned page_words) {
    unsigned word = blockIdx.x * THREADS + threadIdx.x;
    if (word >= page_words) return;
    uint4 *layer = (blockIdx.z == 0 ? keys : values) + size_t(blockIdx.y) * pages * page_words;
    unsigned end = min(*count, most);
    for (unsigned pair = 0; pair < end; pair++) {
        unsigned from = pairs[2 * pair], to = pairs[2 * pair + 1];
        if (from < pages && to < pages) layer[size_t(to) * page_words + word] = layer[size_t(from) * page_words + word];
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
