// What attention's kernels share: who sees what, and how the chunks of a row are put together.
//
// Keys are walked in KV blocks of 32 at absolute positions, KV blocks in chunks of 512 keys. Within a chunk a row's softmax runs online
// (Milakov and Gimelshein, 2018), KV block after KV block, from nothing: its maximum, its sum, its weighted values. Chunks are put
// together in ascending order by `merge`, by the block that walked them or, where each was computed by a block of its own, by
// `combine`. So a row has the same bits however its keys were shared out, and however many rows were beside it.
#pragma once

#include "common.cuh"

constexpr int BLOCK_SIZE = 32;
constexpr int CHUNK_BLOCKS = 16;
constexpr uint32_t WHOLE = 0xffffffffu;

// A share of the work, the same for every key head: query rows `tile·ROWS…` of one sequence, over some of its chunks. A query row
// is a token and one of the query heads of the key head's group, token by token.
struct Item {
    // Row of the step's first token of the sequence, their number, and the position of the first.
    uint32_t first, tokens, start;
    // Where its KV blocks stand in the table.
    uint32_t kv_blocks;
    uint32_t tile;
    // Chunks from…to, and where the state of the only one goes; WHOLE: the item walks all of them and writes the result.
    uint32_t from, to, partial;
};

// What there is room for: items that ask for more are left out, and KV blocks that there are not are zeros. Nothing is read or written
// outside a buffer, whatever an item says.
struct Capacity {
    // Rows of the step, numbers of the table, KV blocks of the cache, states in `space`. No table: keys are those of the rows.
    uint32_t rows, table, kv_blocks, partials;
};

// Heads, and what a token sees: keys from `before` positions before it to `after` behind it, within the sequence.
struct Heads {
    int queries, keys, size;
    float scale, cap;
    int before, after;
};

// A row's softmax so far: its maximum, the sum of exp(score - maximum); the values weighted likewise stand elsewhere.
struct State {
    float highest, sum;
};

// A maximum of no key is -inf; zero stands in, so that -inf - -inf is never taken.
__device__ __forceinline__ float reference(float highest) { return highest == -INFINITY ? 0.0f : highest; }

// A result. Whether a sum of nothing is 0 or -0 depends on keys that add nothing to it: here it becomes 0.
__device__ __forceinline__ float quotient(float total, float sum) { return __fadd_rn(__fdiv_rn(total, sum), 0.0f); }

// What both sides are multiplied by when they are put together: x = before, y = what is added. Nothing stays exactly as it is
// when nothing is added: the factors are then 1 and 0.
__device__ __forceinline__ float2 factors(State &before, State added) {
    float highest = fmaxf(before.highest, added.highest), zero = reference(highest);
    float2 f = {expf(before.highest - zero), expf(added.highest - zero)};
    before.sum = fmaf(before.sum, f.x, __fmul_rn(added.sum, f.y));
    before.highest = highest;
    return f;
}

__device__ __forceinline__ float merge(float before, float added, float2 f) { return fmaf(before, f.x, __fmul_rn(added, f.y)); }

// A score of a key that may be seen. Rounded after every step, so that no compiler fuses it here and not there.
__device__ __forceinline__ float score(float product, const Heads &heads) {
    float s = __fmul_rn(product, heads.scale);
    return heads.cap > 0.0f ? __fmul_rn(tanhf(__fdiv_rn(s, heads.cap)), heads.cap) : s;
}

// The keys that any row of a tile sees, within an item's chunks.
struct Keys {
    int from, to;
};

template <int ROWS> __device__ __forceinline__ Keys keys_of(const Item &item, const Heads &heads) {
    int group = heads.queries / heads.keys, end = item.start + item.tokens;
    int first = item.start + item.tile * ROWS / group;
    int last = min(item.start + ((int)item.tile * ROWS + ROWS - 1) / group, end - 1);
    int from = max(first - heads.before, 0), to = heads.after >= end - 1 - last ? end : last + heads.after + 1;
    return {max(from, (int)item.from * CHUNK_BLOCKS * BLOCK_SIZE), min(to, (int)item.to * CHUNK_BLOCKS * BLOCK_SIZE)};
}

// Whether an item is one: of rows, KV blocks, chunks and states that there are. `states` are those it writes or reads.
__device__ __forceinline__ bool fits(const Item &item, const Heads &heads, const Capacity &capacity, int rows, uint32_t states) {
    uint64_t end = (uint64_t)item.start + item.tokens, chunk = CHUNK_BLOCKS * BLOCK_SIZE;
    uint64_t group = heads.queries / heads.keys, kv_blocks = (end + BLOCK_SIZE - 1) / BLOCK_SIZE;
    bool inside = (uint64_t)item.first + item.tokens <= capacity.rows && end < 1u << 30 && item.from <= item.to;
    inside = inside && item.to <= (end + chunk - 1) / chunk && (uint64_t)item.tile * rows < item.tokens * group;
    inside = inside && (capacity.table ? item.kv_blocks + kv_blocks <= capacity.table : item.start == 0);
    return inside && (item.partial == WHOLE || (uint64_t)item.partial + states <= capacity.partials);
}

// Where the keys or values of a KV block begin, and how far apart they are: in the cache `[kv_block][key head][BLOCK_SIZE][size]`, or in the
// rows of the step themselves where there is no table.
template <typename T> struct Source {
    const T *cache;
    const uint32_t *table;
    // Of the head in a row of the step, and the width of such a row.
    const T *rows;
    int width;

    // The first of the keys, and in `count` how many there are.
    __device__ const T *at(const Item &item, const Heads &heads, const Capacity &capacity, int head, int kv_block, int &count) const {
        count = min((int)(item.start + item.tokens) - kv_block * BLOCK_SIZE, BLOCK_SIZE);
        if (!capacity.table) return rows + (size_t)(item.first + kv_block * BLOCK_SIZE) * width;
        uint32_t number = table[item.kv_blocks + kv_block];
        if (number >= capacity.kv_blocks) count = 0, number = 0;
        return cache + ((size_t)number * heads.keys + head) * BLOCK_SIZE * heads.size;
    }

    __device__ int stride(const Heads &heads, const Capacity &capacity) const { return capacity.table ? heads.size : width; }
};

// The state of one chunk as `combine` finds it: `[partial][key head][16 rows][SIZE + 2]`.
template <int SIZE> __device__ __forceinline__ float *state_of(float *space, const Item &item, int keys, int head, int row) {
    return space + (((size_t)item.partial * keys + head) * 16 + row) * (SIZE + 2);
}
