// Attention in f32 with plain fused steps, and `combine`, which all types share. See attention.cuh for the order of sums.
//
// A block has four warps with four query rows each; the KV blocks of its key head are in shared memory. A lane has one key of a KV block
// for the scores and every 32nd value of a head for the results. For parity, not for speed: the GPU's tensor cores have no f32.
#include "attention.cuh"

constexpr int WARPS = 4;
constexpr int THREADS = 32 * WARPS;
constexpr int ROWS = 16;
constexpr int PER_WARP = ROWS / WARPS;

template <int SIZE>
__device__ void attention_kernel(const float *qkv, const float *key_cache, const float *value_cache, const uint32_t *table,
                                 float *out, float *space, const Item *items, const uint32_t *count, Heads heads, Capacity capacity) {
    constexpr int COLUMNS = SIZE / 32;
    extern __shared__ __align__(16) unsigned char memory[];
    // Keys are one number apart from whole rows, so that 32 lanes reach 32 banks.
    float(*keys_at)[SIZE + 1] = reinterpret_cast<float(*)[SIZE + 1]>(memory);
    float(*values_at)[SIZE] = reinterpret_cast<float(*)[SIZE]>(memory + sizeof(float) * BLOCK_SIZE * (SIZE + 1));
    float(*query)[SIZE] = reinterpret_cast<float(*)[SIZE]>(memory + sizeof(float) * BLOCK_SIZE * (2 * SIZE + 1));
    if (blockIdx.x >= count[0]) return;
    const Item item = items[blockIdx.x];
    if (!fits(item, heads, capacity, ROWS, 1)) return;
    const int head = blockIdx.y, size = heads.size, group = heads.queries / heads.keys;
    const int width = (heads.queries + 2 * heads.keys) * size, end = item.start + item.tokens;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const Source<float> keys{key_cache, table, qkv + (heads.queries + head) * size, width};
    const Source<float> values{value_cache, table, qkv + (heads.queries + heads.keys + head) * size, width};

    for (int i = threadIdx.x; i < ROWS * SIZE; i += THREADS) {
        int row = item.tile * ROWS + i / SIZE, token = row / group, at = i % SIZE;
        bool real = token < (int)item.tokens && at < size;
        query[i / SIZE][at] = real ? qkv[(size_t)(item.first + token) * width + (head * group + row % group) * size + at] : 0.0f;
    }
    int from[PER_WARP], to[PER_WARP];
    State chunk[PER_WARP], total[PER_WARP];
    float sum[PER_WARP][COLUMNS], totals[PER_WARP][COLUMNS];
    #pragma unroll
    for (int r = 0; r < PER_WARP; r++) {
        int token = (item.tile * ROWS + warp * PER_WARP + r) / group, position = item.start + token;
        bool real = token < (int)item.tokens;
        from[r] = real ? max(position - heads.before, 0) : end;
        to[r] = !real ? 0 : heads.after >= end - 1 - position ? end : position + heads.after + 1;
        chunk[r] = total[r] = {-INFINITY, 0.0f};
        #pragma unroll
        for (int n = 0; n < COLUMNS; n++) sum[r][n] = totals[r][n] = 0.0f;
    }
    const Keys seen = keys_of<ROWS>(item, heads);
    const int first_block = seen.from / BLOCK_SIZE, last_block = (seen.to + BLOCK_SIZE - 1) / BLOCK_SIZE;
    for (int kv_block = first_block; kv_block < last_block; kv_block++) {
        const int base = kv_block * BLOCK_SIZE;
        int there;
        const float *key = keys.at(item, heads, capacity, head, kv_block, there), *value = values.at(item, heads, capacity, head, kv_block, there);
        // What lies behind the sequence's end is zero: KV blocks are dirty there.
        for (int i = threadIdx.x; i < BLOCK_SIZE * SIZE; i += THREADS) {
            int n = i / SIZE, at = i % SIZE;
            bool real = n < there && at < size;
            keys_at[n][at] = real ? key[(size_t)n * keys.stride(heads, capacity) + at] : 0.0f;
            values_at[n][at] = real ? value[(size_t)n * values.stride(heads, capacity) + at] : 0.0f;
        }
        __syncthreads();
        #pragma unroll
        for (int r = 0; r < PER_WARP; r++) {
            if (kv_block == first_block || kv_block % CHUNK_BLOCKS == 0) {
                chunk[r] = {-INFINITY, 0.0f};
                #pragma unroll
                for (int n = 0; n < COLUMNS; n++) sum[r][n] = 0.0f;
            }
            if (base < to[r] && base + BLOCK_SIZE > from[r]) {
                float s = 0.0f;
                for (int i = 0; i < size; i++) s = fmaf(query[warp * PER_WARP + r][i], keys_at[lane][i], s);
                s = base + lane >= from[r] && base + lane < to[r] ? score(s, heads) : -INFINITY;
                float highest = fmaxf(chunk[r].highest, warp_max(s)), zero = reference(highest);
                float f = expf(chunk[r].highest - zero), weight = expf(s - zero);
                chunk[r].highest = highest;
                chunk[r].sum = fmaf(chunk[r].sum, f, warp_sum(weight));
                #pragma unroll
                for (int n = 0; n < COLUMNS; n++) sum[r][n] = __fmul_rn(sum[r][n], f);
                // The keys it sees and no others: what is not finite in another must not come in as 0 · inf.
                for (int k = max(from[r] - base, 0); k < min(to[r] - base, BLOCK_SIZE); k++) {
                    float w = __shfl_sync(0xffffffffu, weight, k);
                    #pragma unroll
                    for (int n = 0; n < COLUMNS; n++) sum[r][n] = fmaf(w, values_at[k][lane + 32 * n], sum[r][n]);
                }
            }
            if ((kv_block + 1 == last_block || (kv_block + 1) % CHUNK_BLOCKS == 0) && item.partial == WHOLE) {
                float2 f = factors(total[r], chunk[r]);
                #pragma unroll
                for (int n = 0; n < COLUMNS; n++) totals[r][n] = merge(totals[r][n], sum[r][n], f);
            }
        }
        __syncthreads();
    }
    #pragma unroll
    for (int r = 0; r < PER_WARP; r++) {
        int local = warp * PER_WARP + r, row = item.tile * ROWS + local, token = row / group;
        if (item.partial != WHOLE) {
            float *state = state_of<SIZE>(space, item, heads.keys, head, local);
            #pragma unroll
            for (int n = 0; n < COLUMNS; n++) state[lane + 32 * n] = sum[r][n];
            if (lane == 0) state[SIZE] = chunk[r].highest, state[SIZE + 1] = chunk[r].sum;
        } else if (token < (int)item.tokens) {
            float *to_row = out + ((size_t)(item.first + token) * heads.queries + head * group + row % group) * size;
            #pragma unroll
            for (int n = 0; n < COLUMNS; n++)
                if (lane + 32 * n < size) to_row[lane + 32 * n] = quotient(totals[r][n], total[r].sum);
        }
    }
}

// The chunks of a tile that were computed apart, put together as the block that walks them all does it. An item of `combine`
// names the first of their states, `partial`, and their chunks. One block per item and key head; a warp takes every fourth row.
template <typename T, int SIZE>
__device__ void combine_kernel(T *out, float *space, const Item *items, const uint32_t *count, Heads heads, Capacity capacity) {
    constexpr int COLUMNS = SIZE / 32;
    if (blockIdx.x >= count[0]) return;
    const Item item = items[blockIdx.x];
    if (item.partial == WHOLE || !fits(item, heads, capacity, 16, item.to - item.from)) return;
    const int head = blockIdx.y, group = heads.queries / heads.keys, lane = threadIdx.x % 32;
    for (int local = threadIdx.x / 32; local < 16; local += WARPS) {
        // Tiles of items in parts are the first of their sequences: they have no more rows than that.
        int token = local / group;
        if (token >= (int)item.tokens) return;
        State total = {-INFINITY, 0.0f};
        float totals[COLUMNS];
        #pragma unroll
        for (int n = 0; n < COLUMNS; n++) totals[n] = 0.0f;
        Item part = item;
        for (uint32_t chunk = item.from; chunk < item.to; chunk++, part.partial++) {
            const float *state = state_of<SIZE>(space, part, heads.keys, head, local);
            float2 f = factors(total, State{state[SIZE], state[SIZE + 1]});
            #pragma unroll
            for (int n = 0; n < COLUMNS; n++) totals[n] = merge(totals[n], state[lane + 32 * n], f);
        }
        T *to_row = out + ((size_t)(item.first + token) * heads.queries + head * group + local % group) * heads.size;
        #pragma unroll
        for (int n = 0; n < COLUMNS; n++)
            if (lane + 32 * n < heads.size) to_row[lane + 32 * n] = narrow<T>(quotient(totals[n], total.sum));
    }
}

#define FOR_SIZE(SIZE)                                                                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS) attention_##SIZE##_f32(                                              \
        const float *qkv, const float *keys, const float *values, const uint32_t *table, float *out, float *space,             \
        const Item *items, const uint32_t *count, Heads heads, Capacity capacity) {                                                    \
        attention_kernel<SIZE>(qkv, keys, values, table, out, space, items, count, heads, capacity);                               \
    }                                                                                                                          \
    FOR_COMBINE(SIZE, f32, float)                                                                                              \
    FOR_COMBINE(SIZE, bf16, __nv_bfloat16)                                                                                     \
    FOR_COMBINE(SIZE, f16, __half)
#define FOR_COMBINE(SIZE, SUFFIX, T)                                                                                           \
    extern "C" __global__ void __launch_bounds__(THREADS) combine_##SIZE##_##SUFFIX(                                           \
        T *out, float *space, const Item *items, const uint32_t *count, Heads heads, Capacity capacity) {                              \
        combine_kernel<T, SIZE>(out, space, items, count, heads, capacity);                                                        \
    }
FOR_SIZE(64)
FOR_SIZE(128)
FOR_SIZE(256)
