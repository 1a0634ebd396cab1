// Attention in bfloat16 and f16 with tensor cores: causal over the paged cache, or in both directions over the rows of a step.
//
// A block has four warps with 16 query rows each and walks the keys of one key head, whose KV blocks all four use. A KV block's values
// are on their way to shared memory (cp.async) while its scores are computed, and the next KV block's keys while its values are. A
// group's query heads are rows of one tile, so that decoding reads a key head's cache once. Scores are Q·Kᵀ by mma.m16n8k16, 16 rows × 32 keys; weights, rounded to T, times values likewise.
// Sums are f32. An output row of an mma is the dot products of its own input row: nothing of the other 15 goes into it, and
// the order of its sums is the instruction's. Rows that do not exist are zeros.
//
// Floor of a decoding step: the cache, read once (2·2·size bytes a key and head); of a prefill: 4·size operations for every
// query row and key.
#include "attention.cuh"
#include "instructions.cuh"

constexpr int WARPS = 4;
constexpr int THREADS = 32 * WARPS;
constexpr int ROWS = 16 * WARPS;

template <typename T> struct Pair;
template <> struct Pair<__nv_bfloat16> {
    static constexpr uint32_t EXPONENT = 0x7f80;
    static __device__ __forceinline__ uint32_t of(float low, float high) {
        __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
        return *reinterpret_cast<uint32_t *>(&pair);
    }
};
template <> struct Pair<__half> {
    static constexpr uint32_t EXPONENT = 0x7c00;
    static __device__ __forceinline__ uint32_t of(float low, float high) {
        __half2 pair = __floats2half2_rn(low, high);
        return *reinterpret_cast<uint32_t *>(&pair);
    }
};

// The bits of a pair's numbers that are not finite.
template <typename T> __device__ __forceinline__ uint32_t broken(uint32_t pair) {
    constexpr uint32_t LOW = Pair<T>::EXPONENT, HIGH = LOW << 16;
    return ((pair & LOW) == LOW ? 0xffffu : 0u) | ((pair & HIGH) == HIGH ? 0xffff0000u : 0u);
}

// Rows in shared memory are 8 numbers longer than a head: 8 rows then lie in different banks.
template <int SIZE> constexpr int STRIDE = SIZE + 8;

// A KV block's keys or values on their way to shared memory. What lies behind the sequence's end, or behind the head's, is zero:
// KV blocks are dirty there, and nothing may come of it.
template <typename T, int SIZE>
__device__ __forceinline__ void fetch(T *to, const T *from, int stride, int count, int size) {
    if (size % 8 == 0) {
        for (int i = threadIdx.x; i < BLOCK_SIZE * SIZE / 8; i += THREADS) {
            int key = i / (SIZE / 8), at = i % (SIZE / 8) * 8;
            bool real = key < count && at < size;
            const T *source = real ? from + (size_t)key * stride + at : from;
            fetch_16(to + key * STRIDE<SIZE> + at, source, real);
        }
    } else {
        for (int i = threadIdx.x; i < BLOCK_SIZE * SIZE; i += THREADS) {
            int key = i / SIZE, at = i % SIZE;
            bool real = key < count && at < size;
            to[key * STRIDE<SIZE> + at] = real ? from[(size_t)key * stride + at] : narrow<T>(0.0f);
        }
    }
}

// The keys of a KV block with a value that is not finite, a bit each. A lane looks at one of them.
template <typename T, int SIZE> __device__ __forceinline__ int broken_keys(const T *value_block, int lane) {
    bool found = false;
    const uint4 *row = reinterpret_cast<const uint4 *>(value_block + lane * STRIDE<SIZE>);
    for (int i = 0; i < SIZE / 8; i++) {
        uint4 x = row[i];
        found = found || (broken<T>(x.x) | broken<T>(x.y) | broken<T>(x.z) | broken<T>(x.w)) != 0;
    }
    int keys = found ? (int)(1u << lane) : 0;
    for (int apart = 16; apart > 0; apart /= 2) keys |= __shfl_xor_sync(0xffffffffu, keys, apart);
    return keys;
}

template <typename T, int SIZE>
__device__ void attention_kernel(const T *qkv, const T *key_cache, const T *value_cache, const uint32_t *table, T *out,
                                 float *space, const Item *items, const uint32_t *count, Heads heads, Capacity capacity) {
    constexpr int STEPS = SIZE / 16, COLUMNS = SIZE / 8;
    extern __shared__ __align__(16) unsigned char memory[];
    T *key_block = reinterpret_cast<T *>(memory), *value_block = key_block + BLOCK_SIZE * STRIDE<SIZE>;
    // What the chunks walked so far add up to, each thread's own numbers: `[column][thread]`.
    float4 *totals = reinterpret_cast<float4 *>(memory + 2 * BLOCK_SIZE * STRIDE<SIZE> * sizeof(T));
    if (blockIdx.x >= count[0]) return;
    const Item item = items[blockIdx.x];
    if (!fits(item, heads, capacity, ROWS, 1)) return;
    const int head = blockIdx.y, size = heads.size, group = heads.queries / heads.keys;
    const int width = (heads.queries + 2 * heads.keys) * size;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const Source<T> keys{key_cache, table, qkv + (heads.queries + head) * size, width};
    const Source<T> values{value_cache, table, qkv + (heads.queries + heads.keys + head) * size, width};

    // The two rows of this thread: which token and head, and what they see.
    int row_of[2], from[2], to[2], end = item.start + item.tokens;
    // The keys that any row of this warp sees, and those that all do.
    int any_from = end, any_to = 0, all_from = 0, all_to = end;
    #pragma unroll
    for (int n = 0; n < 2; n++) {
        int row = item.tile * ROWS + warp * 16 + g + 8 * n, token = row / group;
        bool real = token < (int)item.tokens;
        row_of[n] = real ? row : -1;
        int position = item.start + token;
        from[n] = real ? max(position - heads.before, 0) : end;
        to[n] = !real ? 0 : heads.after >= end - 1 - position ? end : position + heads.after + 1;
        any_from = min(any_from, from[n]), any_to = max(any_to, to[n]);
        if (real) all_from = max(all_from, from[n]), all_to = min(all_to, to[n]);
    }
    for (int apart = 16; apart > 0; apart /= 2) {
        any_from = min(any_from, __shfl_xor_sync(0xffffffffu, any_from, apart));
        any_to = max(any_to, __shfl_xor_sync(0xffffffffu, any_to, apart));
        all_from = max(all_from, __shfl_xor_sync(0xffffffffu, all_from, apart));
        all_to = min(all_to, __shfl_xor_sync(0xffffffffu, all_to, apart));
    }
    uint32_t query[STEPS][4];
    #pragma unroll
    for (int step = 0; step < STEPS; step++)
        #pragma unroll
        for (int part = 0; part < 4; part++) {
            int row = row_of[part % 2], at = 16 * step + 2 * t + 8 * (part / 2);
            const T *q = qkv + (size_t)(item.first + max(row, 0) / group) * width + (head * group + max(row, 0) % group) * size;
            float low = row >= 0 && at < size ? wide(q[at]) : 0.0f, high = row >= 0 && at + 1 < size ? wide(q[at + 1]) : 0.0f;
            query[step][part] = Pair<T>::of(low, high);
        }

    const Keys seen = keys_of<ROWS>(item, heads);
    const int first_block = seen.from / BLOCK_SIZE, last_block = (seen.to + BLOCK_SIZE - 1) / BLOCK_SIZE;
    float sum[COLUMNS][4];
    State chunk[2], total[2] = {{-INFINITY, 0.0f}, {-INFINITY, 0.0f}};
    #pragma unroll
    for (int column = 0; column < COLUMNS; column++) totals[column * THREADS + threadIdx.x] = {0.0f, 0.0f, 0.0f, 0.0f};
    auto nothing = [&] {
        chunk[0] = chunk[1] = {-INFINITY, 0.0f};
        #pragma unroll
        for (int column = 0; column < COLUMNS; column++)
            sum[column][0] = sum[column][1] = sum[column][2] = sum[column][3] = 0.0f;
    };
    nothing();

    auto start = [&](T *at, const Source<T> &source, int kv_block) {
        int there;
        const T *first = source.at(item, heads, capacity, head, kv_block, there);
        fetch<T, SIZE>(at, first, source.stride(heads, capacity), there, size);
        end_fetches();
    };
    if (first_block < last_block) {
        start(key_block, keys, first_block);
        start(value_block, values, first_block);
        await_fetches<1>();
        __syncthreads();
    }
    for (int kv_block = first_block; kv_block < last_block; kv_block++) {
        if (kv_block % CHUNK_BLOCKS == 0) nothing();
        const int base = kv_block * BLOCK_SIZE;
        // A KV block that no row of this warp sees changes nothing, and is left out.
        const bool visible = base < any_to && base + BLOCK_SIZE > any_from;
        float s[4][4] = {};
        if (visible) {
            #pragma unroll
            for (int step = 0; step < STEPS; step++)
                #pragma unroll
                for (int n = 0; n < 4; n++) {
                    const uint32_t *k = reinterpret_cast<const uint32_t *>(key_block + (8 * n + g) * STRIDE<SIZE> + 16 * step + 2 * t);
                    mma<T>(s[n], query[step], k[0], k[4]);
                }
        }
        // The values are there, and no warp reads the keys any more.
        await_fetches<0>();
        __syncthreads();
        if (kv_block + 1 < last_block) start(key_block, keys, kv_block + 1);
        if (visible) {
            // Keys with values that are not finite, where not all rows of the warp see the same. A row that sees one gets NaN by
            // its score. For the other rows such values are zeros, since 0 · inf would be NaN there too.
            int bad = base < all_from || min(base + BLOCK_SIZE, end) > all_to ? broken_keys<T, SIZE>(value_block, lane) : 0;
            float f[2];
            #pragma unroll
            for (int r = 0; r < 2; r++) {
                float before = chunk[r].highest, highest = before, added = 0.0f;
                #pragma unroll
                for (int n = 0; n < 4; n++)
                    #pragma unroll
                    for (int c = 0; c < 2; c++) {
                        int at = 8 * n + 2 * t + c, key = base + at;
                        float &x = s[n][2 * r + c];
                        // By what the row sees, not by its score: a seen key at -inf weighs 0, and 0 · NaN is NaN.
                        x = key < from[r] || key >= to[r] ? -INFINITY : bad >> at & 1 ? NAN : score(x, heads);
                        highest = fmaxf(highest, x);
                    }
                highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, 1));
                highest = fmaxf(highest, __shfl_xor_sync(0xffffffffu, highest, 2));
                chunk[r].highest = highest;
                float zero = reference(highest);
                f[r] = expf(before - zero);
                #pragma unroll
                for (int n = 0; n < 4; n++)
                    #pragma unroll
                    for (int c = 0; c < 2; c++) {
                        float &x = s[n][2 * r + c];
                        x = expf(x - zero);
                        added = __fadd_rn(added, x);
                    }
                // This thread's eight keys of every KV block; the four threads of a row are added up at the end of the chunk.
                chunk[r].sum = fmaf(chunk[r].sum, f[r], added);
            }
            #pragma unroll
            for (int column = 0; column < COLUMNS; column++)
                #pragma unroll
                for (int c = 0; c < 4; c++) sum[column][c] = __fmul_rn(sum[column][c], f[c / 2]);
            #pragma unroll
            for (int step = 0; step < 2; step++) {
                uint32_t weights[4] = {Pair<T>::of(s[2 * step][0], s[2 * step][1]), Pair<T>::of(s[2 * step][2], s[2 * step][3]),
                                       Pair<T>::of(s[2 * step + 1][0], s[2 * step + 1][1]),
                                       Pair<T>::of(s[2 * step + 1][2], s[2 * step + 1][3])};
                #pragma unroll
                for (int column = 0; column < COLUMNS; column += 2) {
                    uint32_t v[4];
                    load_transposed(v, value_block + (16 * step + lane % 16) * STRIDE<SIZE> + 8 * column + 8 * (lane / 16));
                    if (bad) {
                        #pragma unroll
                        for (int n = 0; n < 4; n++) v[n] &= ~broken<T>(v[n]);
                    }
                    mma<T>(sum[column], weights, v[0], v[1]);
                    mma<T>(sum[column + 1], weights, v[2], v[3]);
                }
            }
        }
        if (kv_block + 1 == last_block || (kv_block + 1) % CHUNK_BLOCKS == 0) {
            #pragma unroll
            for (int r = 0; r < 2; r++) {
                chunk[r].sum = __fadd_rn(chunk[r].sum, __shfl_xor_sync(0xffffffffu, chunk[r].sum, 1));
                chunk[r].sum = __fadd_rn(chunk[r].sum, __shfl_xor_sync(0xffffffffu, chunk[r].sum, 2));
            }
            if (item.partial == WHOLE) {
                float2 low = factors(total[0], chunk[0]), high = factors(total[1], chunk[1]);
                #pragma unroll
                for (int column = 0; column < COLUMNS; column++) {
                    float4 &x = totals[column * THREADS + threadIdx.x];
                    x.x = merge(x.x, sum[column][0], low), x.y = merge(x.y, sum[column][1], low);
                    x.z = merge(x.z, sum[column][2], high), x.w = merge(x.w, sum[column][3], high);
                }
            }
        }
        if (kv_block + 1 < last_block) {
            // The next keys are there, and no warp reads the values any more.
            await_fetches<0>();
            __syncthreads();
            start(value_block, values, kv_block + 1);
        }
    }

    if (item.partial != WHOLE) {
        // Items of one chunk have at most 16 rows: those of the first warp. Without a KV block the state is that of no key.
        if (warp > 0) return;
        #pragma unroll
        for (int r = 0; r < 2; r++) {
            float *state = state_of<SIZE>(space, item, heads.keys, head, g + 8 * r);
            #pragma unroll
            for (int column = 0; column < COLUMNS; column++) {
                state[8 * column + 2 * t] = sum[column][2 * r];
                state[8 * column + 2 * t + 1] = sum[column][2 * r + 1];
            }
            if (t == 0) state[SIZE] = chunk[r].highest, state[SIZE + 1] = chunk[r].sum;
        }
        return;
    }
    #pragma unroll
    for (int r = 0; r < 2; r++) {
        if (row_of[r] < 0) continue;
        int token = row_of[r] / group;
        T *to_row = out + ((size_t)(item.first + token) * heads.queries + head * group + row_of[r] % group) * size;
        #pragma unroll
        for (int column = 0; column < COLUMNS; column++) {
            float4 x = totals[column * THREADS + threadIdx.x];
            int at = 8 * column + 2 * t;
            if (at < size) to_row[at] = narrow<T>(quotient(r ? x.z : x.x, total[r].sum));
            if (at + 1 < size) to_row[at + 1] = narrow<T>(quotient(r ? x.w : x.y, total[r].sum));
        }
    }
}

#define FOR_SIZE(SIZE, SUFFIX, T)                                                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS) attention_##SIZE##_##SUFFIX(                                         \
        const T *qkv, const T *keys, const T *values, const uint32_t *table, T *out, float *space, const Item *items,          \
        const uint32_t *count, Heads heads, Capacity capacity) {                                                                       \
        attention_kernel<T, SIZE>(qkv, keys, values, table, out, space, items, count, heads, capacity);                            \
    }
FOR_SIZE(64, bf16, __nv_bfloat16)
FOR_SIZE(128, bf16, __nv_bfloat16)
FOR_SIZE(256, bf16, __nv_bfloat16)
FOR_SIZE(64, f16, __half)
FOR_SIZE(128, f16, __half)
FOR_SIZE(256, f16, __half)
