// A mixture of experts, but for its products (`gemm.cu`): which experts a token takes, its rows grouped by expert, and what the
// experts say put together. What the CPU's `experts.rs` computes.
#include "fours.cuh"
#include "tile.cuh"

constexpr int THREADS = 256;
// Numbers of a row that a block has.
constexpr int PART = 4 * THREADS;
// Experts that there can be.
constexpr int EXPERTS = 256;
// Experts of a lane: 32 apart.
constexpr int SLOTS = EXPERTS / 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

// A number that is the higher the earlier an expert is chosen: by its logit, both zeros being equal and NaNs being beyond the
// infinities of their signs as `f32::total_cmp` has them, then by its number, low ones first. Never 0.
__device__ __forceinline__ unsigned long long key_of(float logit, unsigned expert) {
    unsigned bits = __float_as_uint(logit);
    if (bits == 0x80000000u) bits = 0;
    bits = bits >> 31 ? ~bits : bits | 0x80000000u;
    return (unsigned long long)bits << 32 | (EXPERTS - expert);
}

// Its logit.
__device__ __forceinline__ double logit_of(unsigned long long key) {
    unsigned bits = key >> 32;
    return __uint_as_float(bits >> 31 ? bits & 0x7fffffffu : ~bits);
}

// experts[token, ..] are those of the `chosen` highest logits in ascending order, weights[token, ..] their parts of the softmax
// over all, in f64; normalised: of the softmax over the chosen. A warp per token; lane l has the experts l, l + 32, ...
//
// exp is the compiler's, within one unit in the last place of f64, so that weights are those of the CPU but for a rounding
// that is close between two f32. Which experts are chosen is exact.
extern "C" __global__ void __launch_bounds__(THREADS)
    route(const float *logits, const unsigned *rows, int count, int chosen, int normalised, uint32_t *experts, float *weights) {
    unsigned token = blockIdx.x * (THREADS / 32) + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (token >= *rows) return;
    const float *row = logits + size_t(token) * count;
    unsigned long long keys[SLOTS];
    #pragma unroll
    for (int slot = 0; slot < SLOTS; slot++) {
        int expert = 32 * slot + lane;
        keys[slot] = expert < count ? key_of(row[expert], expert) : 0;
    }
    unsigned taken = 0;
    double highest = 0.0, sum = 0.0;
    for (int i = 0; i < chosen; i++) {
        unsigned long long best = 0;
        #pragma unroll
        for (int slot = 0; slot < SLOTS; slot++)
            if (!(taken >> slot & 1)) best = max(best, keys[slot]);
        for (int apart = 16; apart > 0; apart /= 2) best = max(best, __shfl_xor_sync(ALL_LANES, best, apart));
        if (i == 0) highest = logit_of(best);
        if (normalised) sum += exp(logit_of(best) - highest);
        #pragma unroll
        for (int slot = 0; slot < SLOTS; slot++)
            if (keys[slot] == best) taken |= 1u << slot;
    }
    if (!normalised) {
        #pragma unroll
        for (int slot = 0; slot < SLOTS; slot++)
            if (keys[slot]) sum += exp(logit_of(keys[slot]) - highest);
        for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, apart);
    }
    unsigned before = 0;
    #pragma unroll
    for (int slot = 0; slot < SLOTS; slot++) {
        bool mine = taken >> slot & 1;
        unsigned those = __ballot_sync(ALL_LANES, mine);
        if (mine) {
            size_t at = size_t(token) * chosen + before + __popc(those & ((1u << lane) - 1));
            experts[at] = 32 * slot + lane;
            weights[at] = __double2float_rn(__ddiv_rn(exp(logit_of(keys[slot]) - highest), sum));
        }
        before += __popc(those);
    }
}

// The lanes that have the same expert, of those that have one.
__device__ __forceinline__ unsigned same_expert(unsigned expert, bool real) {
    unsigned same = __ballot_sync(ALL_LANES, real);
    #pragma unroll
    for (int bit = 0; bit < 8; bit++) {
        bool set = expert >> bit & 1;
        unsigned those = __ballot_sync(ALL_LANES, set);
        same &= set ? those : ~those;
    }
    return same;
}

constexpr int GROUP_THREADS = 1024;
constexpr int GROUP_WARPS = GROUP_THREADS / 32;

// Sorts the pairs (token, expert) of `experts` [tokens, chosen] by expert, stable: a counting sort of one block. Each warp has a
// part of the pairs, in order; it counts them, and then knows where its first of every expert goes, behind those of lower
// experts and of lower warps. A step of 32 pairs finds who shares an expert by ballots, so that nothing depends on who is first.
//
// Rows of expert e begin at offsets[e], a multiple of `multiple`; offsets[count] is the end of all. order[row] is the token of a
// row, place[token, i] the row of its i-th expert, and tiles are the rows of every expert by TILE_ROWS. Rows between two
// experts are nobody's.
extern "C" __global__ void __launch_bounds__(GROUP_THREADS)
    group(const uint32_t *experts, const unsigned *rows, int most, int count, int chosen, int multiple, uint32_t *offsets,
          uint32_t *order, uint32_t *place, Tile *tiles, uint32_t *tile_count) {
    // How many pairs a warp has of an expert, then where its next one goes.
    __shared__ unsigned next[GROUP_WARPS][EXPERTS];
    // Rows of an expert, with its gap, and its tiles.
    __shared__ unsigned room_of[EXPERTS], tiles_of[EXPERTS];
    const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const unsigned pairs = min(*rows, unsigned(most)) * chosen;
    const unsigned part = (pairs + GROUP_THREADS - 1) / GROUP_THREADS * 32;
    const unsigned begin = min(warp * part, pairs), end = min(begin + part, pairs);

    for (unsigned expert = lane; expert < EXPERTS; expert += 32) next[warp][expert] = 0;
    __syncwarp();
    for (unsigned first = begin; first < end; first += 32) {
        bool real = first + lane < end;
        unsigned expert = real ? experts[first + lane] : 0, same = same_expert(expert, real);
        if (real && __ffs(same) == lane + 1) next[warp][expert] += __popc(same);
        __syncwarp();
    }
    __syncthreads();

    const unsigned expert = threadIdx.x;
    unsigned own = 0;
    if (expert < EXPERTS) {
        for (int of = 0; of < GROUP_WARPS; of++) own += next[of][expert];
        room_of[expert] = (own + multiple - 1) / multiple * multiple;
        tiles_of[expert] = (own + TILE_ROWS - 1) / TILE_ROWS;
    }
    __syncthreads();
    if (expert < count) {
        unsigned start = 0, tile = 0;
        #pragma unroll 8
        for (unsigned below = 0; below < expert; below++) start += room_of[below], tile += tiles_of[below];
        offsets[expert] = start;
        for (unsigned at = 0; at < own; at += TILE_ROWS) tiles[tile++] = {expert, start + at, min(own - at, TILE_ROWS)};
        if (expert == count - 1) {
            offsets[count] = start + room_of[expert];
            *tile_count = tile;
        }
        for (int of = 0; of < GROUP_WARPS; of++) {
            unsigned here = next[of][expert];
            next[of][expert] = start;
            start += here;
        }
    }
    __syncthreads();

    for (unsigned first = begin; first < end; first += 32) {
        unsigned pair = first + lane;
        bool real = pair < end;
        unsigned expert = real ? experts[pair] : 0, same = same_expert(expert, real);
        unsigned row = next[warp][expert] + __popc(same & ((1u << lane) - 1));
        __syncwarp();
        if (real) {
            order[row] = pair / chosen;
            place[pair] = row;
            if (__ffs(same) == lane + 1) next[warp][expert] = row + __popc(same);
        }
        __syncwarp();
    }
}

// out[token] = Σ weights[token, i] · y[place[token, i]], added in order from 0, and at the end the rows of the block that every
// token takes, where there is one: sigmoid(gates[token]) · shared[token]. Thread t of block (token, part) has four numbers.
//
// Floor: `chosen` rows of T read and one of f32 written per token.
template <typename T>
__device__ void combine_kernel(const T *y, const uint32_t *place, const float *weights, const unsigned *rows, int chosen,
                               const T *shared, const float *gates, int width, float *out) {
    if (blockIdx.x >= *rows) return;
    size_t token = blockIdx.x;
    int at = blockIdx.y * PART + 4 * threadIdx.x;
    if (at >= width) return;
    float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    auto add = [&](const T *row, float weight) {
        float four[4];
        read_four(four, row, at, width, in_fours(row, width));
        for (int i = 0; i < 4; i++) sum[i] = fmaf(four[i], weight, sum[i]);
    };
    for (int i = 0; i < chosen; i++)
        add(y + size_t(place[token * chosen + i]) * width, weights[token * chosen + i]);
    if (shared)
        add(shared + token * width, __double2float_rn(__ddiv_rn(1.0, 1.0 + exp(-double(gates[token])))));
    float *to = out + token * width;
    write_four(to, sum, at, width, in_fours(to, width));
}

FOR_TYPES(combine, THREADS,
          (const T *y, const uint32_t *place, const float *weights, const unsigned *rows, int chosen, const T *shared,
           const float *gates, int width, float *out),
          (y, place, weights, rows, chosen, shared, gates, width, out))
