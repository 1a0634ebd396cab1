// Query, key and value heads between the product that makes them and attention: norms, rotation, the KV cache.
//
// A row of the product is `[queries + 2·keys][size]`. A warp has a head, in shared memory as f32 between being read and being
// written; a block has a token, or eight heads of one. How heads are spread over warps and blocks changes no bit: a head is
// computed by one warp alone. Where all heads of a token share a norm, one block has the token.
#include "fours.cuh"
#include "norm.cuh"

constexpr int THREADS = 256;
constexpr int WARPS = THREADS / 32;
// Tokens of a KV block.
constexpr unsigned BLOCK_SIZE = 32;

// The norm of the heads of one side, queries or keys: none without weights; weights of head h begin at h·stride; where `whole`,
// all heads are one row.
struct Side {
    Norm norm;
    int stride;
    int whole;
};

// Cosines and sines `[count, pairs]`, and the row of them that each token takes. None without cosines.
struct Rotation {
    const float *cosines;
    const float *sines;
    const unsigned *index;
    unsigned count;
    int pairs;
};

// Where keys and values go: `[kv_blocks][keys][BLOCK_SIZE][size]` each, the KV block of each token and its position in its text. Without a
// cache keys stay where they are, like queries.
template <typename T> struct Cache {
    T *keys;
    T *values;
    const unsigned *kv_block;
    const unsigned *position;
    unsigned kv_blocks;
};

// Moments of all heads of a side as one row.
template <typename T> __device__ Moments whole_moments(const T *row, int width, const Norm &norm) {
    __shared__ float space[WARPS];
    Moments found = {0.0f, 1.0f};
    if (norm.layer) {
        float sum = 0.0f;
        for (int at = threadIdx.x; at < width; at += THREADS) sum = __fadd_rn(sum, wide<T>(row[at]));
        found.mean = __fdiv_rn(block_sum<THREADS>(sum, space), float(width));
    }
    float squares = 0.0f;
    for (int at = threadIdx.x; at < width; at += THREADS) {
        float apart = __fsub_rn(wide<T>(row[at]), found.mean);
        squares = fmaf(apart, apart, squares);
    }
    found.factor = norm_factor(__fdiv_rn(block_sum<THREADS>(squares, space), float(width)), norm.eps);
    return found;
}

// Moments of one head: each lane adds its numbers in order, then `warp_sum`.
__device__ __forceinline__ Moments head_moments(const float *head, int size, const Norm &norm, int lane) {
    Moments found = {0.0f, 1.0f};
    if (norm.layer) {
        float sum = 0.0f;
        for (int at = lane; at < size; at += 32) sum = __fadd_rn(sum, head[at]);
        found.mean = __fdiv_rn(warp_sum(sum), float(size));
    }
    float squares = 0.0f;
    for (int at = lane; at < size; at += 32) {
        float apart = __fsub_rn(head[at], found.mean);
        squares = fmaf(apart, apart, squares);
    }
    found.factor = norm_factor(__fdiv_rn(warp_sum(squares), float(size)), norm.eps);
    return found;
}

template <typename T>
__device__ void prepare_heads_kernel(T *qkv, const unsigned *rows, int queries, int keys, int size, Side query_side,
                                     Side key_side, Rotation rotation, Cache<T> cache) {
    unsigned token = blockIdx.x;
    if (token >= *rows) return;
    extern __shared__ float head_space[];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float *head = head_space + warp * size;
    T *row = qkv + size_t(token) * (queries + 2 * keys) * size;

    Moments of_queries = {0.0f, 1.0f}, of_keys = {0.0f, 1.0f};
    if (query_side.norm.weight && query_side.whole) of_queries = whole_moments(row, queries * size, query_side.norm);
    if (key_side.norm.weight && key_side.whole)
        of_keys = whole_moments(row + queries * size, keys * size, key_side.norm);

    unsigned turn = 0, kv_block = 0, slot = 0;
    bool turns = rotation.cosines, turn_known = false, cached = cache.keys;
    if (turns) turn = rotation.index[token], turn_known = turn < rotation.count;
    if (cached) kv_block = cache.kv_block[token], slot = cache.position[token] % BLOCK_SIZE;
    bool block_known = kv_block < cache.kv_blocks;
    const float *cosines = rotation.cosines + size_t(turn_known ? turn : 0) * rotation.pairs;
    const float *sines = rotation.sines + size_t(turn_known ? turn : 0) * rotation.pairs;

    // Queries are written over what whole norms read: nobody may write before the moments are there. `block_sum` has seen to
    // that within a block, and with whole norms a token has but one.
    int heads = queries + (cached ? 2 * keys : keys);
    for (int number = blockIdx.y * WARPS + warp; number < heads; number += gridDim.y * WARPS) {
        T *from = row + number * size;
        bool is_query = number < queries, is_value = number >= queries + keys;
        int of_side = number - (is_query ? 0 : is_value ? queries + keys : queries);
        T *to = from;
        if (!is_query && cached) {
            if (!block_known) continue;
            to = (is_value ? cache.values : cache.keys) + ((size_t(kv_block) * keys + of_side) * BLOCK_SIZE + slot) * size;
        }
        Side side = is_query ? query_side : key_side;
        bool normed = side.norm.weight && !is_value, turned = turns && !is_value;
        if (to == from && !normed && !turned) continue;

        // A lane reads and writes the same fours, and norms single numbers.
        bool fours = in_fours(from, size);
        for (int at = 4 * lane; at < size; at += 128) {
            float four[4];
            read_four(four, from, at, size, fours);
            for (int i = 0; i < 4 && at + i < size; i++) head[at + i] = four[i];
        }
        __syncwarp();
        if (normed) {
            Moments found = is_query ? of_queries : of_keys;
            if (!side.whole) found = head_moments(head, size, side.norm, lane);
            for (int at = lane; at < size; at += 32)
                head[at] = norm_value(__fsub_rn(head[at], found.mean), found.factor, side.norm, of_side * side.stride + at);
            __syncwarp();
        }
        if (turned) {
            // Pairs are (i, i + pairs), as in `rotary.rs`; what is beyond both halves does not turn.
            for (int pair = lane; pair < rotation.pairs; pair += 32) {
                float cosine = turn_known ? cosines[pair] : __int_as_float(0x7fffffff);
                float sine = turn_known ? sines[pair] : __int_as_float(0x7fffffff);
                float a = head[pair], b = head[pair + rotation.pairs];
                head[pair] = __fsub_rn(__fmul_rn(a, cosine), __fmul_rn(b, sine));
                head[pair + rotation.pairs] = __fadd_rn(__fmul_rn(b, cosine), __fmul_rn(a, sine));
            }
            __syncwarp();
        }
        fours = in_fours(to, size);
        for (int at = 4 * lane; at < size; at += 128) {
            float four[4];
            for (int i = 0; i < 4; i++) four[i] = at + i < size ? head[at + i] : 0.0f;
            write_four(to, four, at, size, fours);
        }
    }
}

FOR_TYPES(prepare_heads, THREADS,
          (T *qkv, const unsigned *rows, int queries, int keys, int size, Side query_side, Side key_side,
           Rotation rotation, Cache<T> cache),
          (qkv, rows, queries, keys, size, query_side, key_side, rotation, cache))
