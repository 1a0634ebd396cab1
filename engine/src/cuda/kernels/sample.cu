// Reads rows of logits: the next token, or the score of a token, as `sampler.rs` has them. One block per row.
//
// A candidate's mass is its weight exp((logit - highest) · factor) as an integer, in steps of 2^-44 of the weight of the highest.
// Sums of integers are exact, so neither their order nor the number of threads matters, masses may be added with atomics, and
// "the first candidate whose running mass exceeds a goal" is found without sorting: `reach` narrows an interval of the order
// down by the masses of its parts. Next to sums of weights in f64 a candidate gains or loses at most 2^-45 of the highest's
// weight, and one below e^-31 of it gets nothing. Top-k, top-p and the pick are three goals in one order, logit descending and
// id ascending; without top-k and top-p the order of the pick is that of ids.
//
// What is kept of a row is kept as functions of the row alone: its logits are read again rather than copied, from L2 where they
// still are. At most 2^19 logits, so that no sum overflows.
#include "common.cuh"

constexpr unsigned THREADS = 1024, WARPS = THREADS / 32;
// Parts of an interval: one a thread.
constexpr unsigned BIN_BITS = 10, BINS = 1 << BIN_BITS;
// Candidates that `reach` holds against each other: one a thread.
constexpr unsigned LIST = THREADS;
// Below the highest by more than this, in natural logarithms, a candidate has no mass: e^-32 · 2^44 is less than a half.
constexpr float LEAST = -32.0f;
constexpr float ONE = 17592186044416.0f; // 2^44
constexpr unsigned NOT_FINITE = 0xffffffffu;
static_assert(BINS == THREADS && LIST == THREADS, "a thread has one of each");

using Mass = unsigned long long;
// A candidate's place in the order of top-k and top-p.
using Rank = unsigned long long;

// `Asked` and `Found` of `sample.rs`.
enum { NOTHING, NEXT, SCORE };
struct Asked {
    double top_p;
    unsigned long long key;
    unsigned position, kind, target, top_k;
    float factor;
    unsigned unused;
};
struct Found {
    double logprob;
    unsigned token, unused;
};
static_assert(sizeof(Asked) == 40 && sizeof(Found) == 16, "as in sample.rs");

struct Row {
    const float *x;
    unsigned width;
    float highest, factor;
};

// Calls f(logit, id) for every logit; a thread's ids ascend. By fours wherever the row begins and ends, and several of them on
// their way at once.
template <typename F> __device__ __forceinline__ void every(const float *x, unsigned width, F f) {
    constexpr unsigned BATCH = 4;
    unsigned head = min(width, unsigned(-(reinterpret_cast<uintptr_t>(x) / 4)) % 4);
    if (threadIdx.x < head) f(x[threadIdx.x], threadIdx.x);
    const float4 *fours = reinterpret_cast<const float4 *>(x + head);
    auto four = [&](float4 four, unsigned at) {
        unsigned id = head + 4 * at;
        f(four.x, id), f(four.y, id + 1), f(four.z, id + 2), f(four.w, id + 3);
    };
    unsigned count = (width - head) / 4, at = threadIdx.x;
    for (; at + (BATCH - 1) * THREADS < count; at += BATCH * THREADS) {
        float4 batch[BATCH];
#pragma unroll
        for (unsigned i = 0; i < BATCH; i++) batch[i] = __ldg(fours + at + i * THREADS);
#pragma unroll
        for (unsigned i = 0; i < BATCH; i++) four(batch[i], at + i * THREADS);
    }
    for (; at < count; at += THREADS) four(__ldg(fours + at), at);
    unsigned tail = head + 4 * count + threadIdx.x;
    if (tail < width) f(x[tail], tail);
}

// The integers of a block put together, in every thread; `join` does not mind any order.
template <typename Join> __device__ __forceinline__ unsigned long long together(unsigned long long x, Join join) {
    __shared__ unsigned long long space[WARPS];
    for (int apart = 16; apart > 0; apart /= 2) x = join(x, __shfl_xor_sync(0xffffffffu, x, apart));
    if (threadIdx.x % 32 == 0) space[threadIdx.x / 32] = x;
    __syncthreads();
    x = space[0];
    for (unsigned warp = 1; warp < WARPS; warp++) x = join(x, space[warp]);
    __syncthreads();
    return x;
}

__device__ __forceinline__ Mass sum(Mass x) {
    return together(x, [](Mass a, Mass b) { return a + b; });
}

// The thread at which the running sum of the threads' amounts first exceeds `goal`, and the sum before it. The sum of all must
// exceed it.
struct Place {
    unsigned thread;
    Mass before;
};
__device__ __forceinline__ Place locate(Mass amount, Mass goal) {
    __shared__ Mass space[WARPS];
    __shared__ Place place;
    unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    Mass running = amount;
    for (unsigned apart = 1; apart < 32; apart *= 2) {
        Mass other = __shfl_up_sync(0xffffffffu, running, apart);
        if (lane >= apart) running += other;
    }
    if (lane == 31) space[warp] = running;
    __syncthreads();
    for (unsigned before = 0; before < warp; before++) running += space[before];
    if (running - amount <= goal && goal < running) place.thread = threadIdx.x, place.before = running - amount;
    __syncthreads();
    Place found = place;
    __syncthreads();
    return found;
}

// Ascends with x, -0 below 0, as `f32::total_cmp` does.
__device__ __forceinline__ unsigned ordered(float x) {
    unsigned bits = __float_as_uint(x);
    return bits ^ (bits >> 31 ? 0xffffffffu : 0x80000000u);
}
__device__ __forceinline__ float unordered(unsigned key) {
    return __uint_as_float(key ^ (key >> 31 ? 0x80000000u : 0xffffffffu));
}

// The highest logit above the complement of the lowest id that has it, 0 and -0 being one; a NaN stands above all.
__device__ __forceinline__ unsigned long long highest(const float *x, unsigned width) {
    float best = -INFINITY;
    unsigned at = 0;
    bool nan = false;
    every(x, width, [&](float x, unsigned id) {
        nan = nan || x != x;
        if (x > best) best = x, at = id;
    });
    unsigned long long key = nan ? ~0ull : (unsigned long long)(ordered(__fadd_rn(best, 0.0f))) << 32 | ~at;
    return together(key, [](unsigned long long a, unsigned long long b) { return a > b ? a : b; });
}

// How far a logit is below the highest, in natural logarithms of its weight: 0 or less, or a NaN where the factor has no use.
__device__ __forceinline__ float scaled(const Row &row, float x) {
    return __fmul_rn(__fsub_rn(x, row.highest), row.factor);
}

// The mass of a candidate scaled to t: e^t, operation by operation as `simd::Lanes::exp` has it, in steps of 2^-44.
__device__ __forceinline__ Mass mass_at(float t) {
    if (!(t >= LEAST)) return 0;
    float n = rintf(__fmul_rn(t, 1.44269504f));
    float r = fmaf(n, 2.1219444e-4f, fmaf(n, -0.6933594f, t));
    float p = 1.9875691e-4f;
    p = fmaf(p, r, 1.3982e-3f);
    p = fmaf(p, r, 8.333452e-3f);
    p = fmaf(p, r, 4.1665796e-2f);
    p = fmaf(p, r, 1.6666665e-1f);
    p = fmaf(p, r, 0.5f);
    float y = __fadd_rn(fmaf(p, __fmul_rn(r, r), r), 1.0f);
    float weight = __fmul_rn(y, __int_as_float((int(n) + 127) << 23));
    return __float2ull_rn(__fmul_rn(weight, ONE));
}
__device__ __forceinline__ Mass mass_of(const Row &row, float x) { return mass_at(scaled(row, x)); }

// Philox 4x32-10 at a position of a stream: the first 64 bits.
__device__ __forceinline__ unsigned long long philox(unsigned long long key, unsigned position) {
    unsigned k0 = unsigned(key), k1 = unsigned(key >> 32);
    unsigned c0 = position, c1 = 0, c2 = 0, c3 = 0;
    for (int round = 0; round < 10; round++) {
        unsigned high0 = __umulhi(c0, 0xD2511F53u), low0 = c0 * 0xD2511F53u;
        unsigned high1 = __umulhi(c2, 0xCD9E8D57u), low1 = c2 * 0xCD9E8D57u;
        c0 = high1 ^ c1 ^ k0, c1 = low1, c2 = high0 ^ c3 ^ k1, c3 = low0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    return (unsigned long long)(c0) << 32 | c1;
}

// The whole part of random · total, for the random number in [0, 1) that the first 53 bits are. Exact, and less than the total.
__device__ __forceinline__ Mass share(unsigned long long bits, Mass total) { return __umul64hi(bits & ~0x7ffull, total); }

// Candidates and their mass in every part of an interval. Masses lie in halves, for which shared memory has atomics.
struct Histogram {
    unsigned count[BINS], low[BINS], high[BINS];
};
__device__ __forceinline__ void clear(Histogram &histogram) {
    histogram.count[threadIdx.x] = histogram.low[threadIdx.x] = histogram.high[threadIdx.x] = 0;
    __syncthreads();
}
__device__ __forceinline__ void add(Histogram &histogram, unsigned bin, Mass mass) {
    unsigned low = unsigned(mass), high = unsigned(mass >> 32);
    atomicAdd(&histogram.count[bin], 1u);
    unsigned before = atomicAdd(&histogram.low[bin], low);
    high += before + low < low;
    if (high) atomicAdd(&histogram.high[bin], high);
}
// That of the thread's bin.
__device__ __forceinline__ Mass mass_in(const Histogram &histogram) {
    return Mass(histogram.high[threadIdx.x]) << 32 | histogram.low[threadIdx.x];
}

// The candidate at which a goal is reached, and the running mass up to and with it.
struct Reached {
    unsigned id;
    Mass mass;
};
struct Space {
    // By `bin_of`, made once; and of the interval that `reach` looks at.
    Histogram first, next;
    Rank ranks[LIST];
    Mass masses[LIST];
    unsigned members, edges[2];
    Reached reached;
};

// The upper half of a rank, from which the logit can be had again: ascends where logits descend.
__device__ __forceinline__ unsigned upper(float x) { return ~ordered(x); }
__device__ __forceinline__ Rank rank_of(float x, unsigned id) { return Rank(upper(x)) << 32 | id; }

// The first bins, 32 to a natural logarithm: logits spread over them more evenly than over the bits of floats, and threads
// seldom meet. BINS where there is no mass.
__device__ __forceinline__ unsigned bin_of(float t) {
    return t >= LEAST ? min(unsigned(int(__fmul_rn(t, -float(BINS) / -LEAST))), BINS - 1) : BINS;
}

// The first upper half, from that of the highest logit on, whose bin is this one or a later one.
__device__ unsigned edge(const Row &row, unsigned bin) {
    unsigned low = upper(row.highest), high = upper(-INFINITY);
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (bin_of(scaled(row, unordered(~middle))) >= bin)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

// The bin in which a goal is reached; of the goal what is left in it stays, and `before` grows by the mass before it.
__device__ __forceinline__ unsigned narrow(const Histogram &histogram, bool counted, Mass &goal, Mass &before) {
    Mass mass = mass_in(histogram);
    Place place = locate(counted ? histogram.count[threadIdx.x] : mass, goal);
    goal -= place.before;
    before += sum(threadIdx.x < place.thread ? mass : 0);
    return place.thread;
}

// The first candidate in the order of ranks at which the running mass, or number, exceeds `goal`. There must be one, and
// `space.first` must be that of the row.
__device__ __forceinline__ Reached reach(const Row &row, Space &space, bool counted, Mass goal) {
    Mass before = 0;
    unsigned bin = narrow(space.first, counted, goal, before), members = space.first.count[bin];
    if (threadIdx.x < 2) space.edges[threadIdx.x] = edge(row, bin + threadIdx.x);
    __syncthreads();
    Rank begin = Rank(space.edges[0]) << 32, length = (Rank(space.edges[1]) << 32) - begin;
    // An interval of at most 2^64 ranks has one candidate a rank, so seven rounds are the most.
    while (members > LIST) {
        int shift = max(0, 64 - __clzll(length - 1) - int(BIN_BITS));
        clear(space.next);
        every(row.x, row.width, [&](float x, unsigned id) {
            Rank at = rank_of(x, id) - begin;
            if (at < length) add(space.next, unsigned(at >> shift), mass_of(row, x));
        });
        __syncthreads();
        bin = narrow(space.next, counted, goal, before);
        members = space.next.count[bin];
        begin += Rank(bin) << shift, length = min(length - (Rank(bin) << shift), Rank(1) << shift);
        __syncthreads();
    }
    if (threadIdx.x == 0) space.members = 0;
    __syncthreads();
    every(row.x, row.width, [&](float x, unsigned id) {
        Rank rank = rank_of(x, id);
        if (rank - begin < length) {
            unsigned at = atomicAdd(&space.members, 1u);
            space.ranks[at] = rank, space.masses[at] = mass_of(row, x);
        }
    });
    __syncthreads();
    // The list is in any order; each candidate adds up what is before it.
    if (threadIdx.x < members) {
        Rank mine = space.ranks[threadIdx.x];
        Mass own = space.masses[threadIdx.x], mass = 0;
        unsigned count = 0;
        for (unsigned i = 0; i < members; i++)
            if (space.ranks[i] < mine) count++, mass += space.masses[i];
        Mass running = counted ? count : mass;
        if (running <= goal && goal < running + (counted ? 1 : own))
            space.reached.id = unsigned(mine), space.reached.mass = before + mass + own;
    }
    __syncthreads();
    return space.reached;
}

// The pick among what top-k and then top-p keep.
__device__ unsigned pick_by_rank(const Row &row, const Asked &asked, unsigned best) {
    __shared__ Space space;
    clear(space.first);
    every(row.x, row.width, [&](float x, unsigned) {
        float t = scaled(row, x);
        if (t >= LEAST) add(space.first, bin_of(t), mass_at(t));
    });
    __syncthreads();
    Mass total = sum(mass_in(space.first)), count = sum(space.first.count[threadIdx.x]);
    if (total == 0) return best;
    if (asked.top_k && asked.top_k < count) total = reach(row, space, true, asked.top_k - 1).mass;
    if (asked.top_p < 1.0) {
        double limit = fmax(ceil(__dmul_rn(asked.top_p, __ull2double_rn(total))), 1.0);
        total = reach(row, space, false, min(__double2ull_rz(limit), total) - 1).mass;
    }
    return reach(row, space, false, share(philox(asked.key, asked.position), total)).id;
}

// The pick among all, by id: each warp has a part of the row, the part where the goal is reached is cut into parts again.
__device__ unsigned pick_by_id(const Row &row, const Asked &asked, unsigned best) {
    unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32, begin = 0, end = row.width;
    Mass goal = 0;
    do {
        unsigned part = (end - begin + WARPS - 1) / WARPS;
        unsigned from = min(begin + warp * part, end), to = min(from + part, end);
        Mass mass = 0;
#pragma unroll 8
        for (unsigned id = from + lane; id < to; id += 32) mass += mass_of(row, __ldg(row.x + id));
        for (int apart = 16; apart > 0; apart /= 2) mass += __shfl_xor_sync(0xffffffffu, mass, apart);
        if (lane != 0) mass = 0;
        if (begin == 0 && end == row.width) {
            Mass total = sum(mass);
            if (total == 0) return best;
            goal = share(philox(asked.key, asked.position), total);
        }
        Place place = locate(mass, goal);
        goal -= place.before;
        begin += place.thread / 32 * part, end = min(begin + part, end);
    } while (end - begin > THREADS);
    unsigned id = begin + threadIdx.x;
    return begin + locate(id < end ? mass_of(row, row.x[id]) : 0, goal).thread;
}

// found[row] = what asked[row] asks of the logits [rows, width]; nothing where it asks nothing. The token that a row gives is the
// next one, the greedy choice where a token is scored, and NOT_FINITE for a row with a NaN or without a finite highest logit.
extern "C" __global__ void __launch_bounds__(THREADS)
    sample(const float *logits, const Asked *all_asked, const unsigned *rows, unsigned width, Found *found) {
    if (blockIdx.x >= *rows) return;
    Asked asked = all_asked[blockIdx.x];
    if (asked.kind != NEXT && asked.kind != SCORE) return;
    Row row = {logits + size_t(blockIdx.x) * width, width, 0.0f, asked.factor};
    unsigned long long key = highest(row.x, width);
    row.highest = unordered(unsigned(key >> 32));
    unsigned best = ~unsigned(key), token = best;
    double logprob = 0.0;
    if (!isfinite(row.highest) || (asked.kind == SCORE && asked.target >= width)) {
        token = NOT_FINITE;
    } else if (asked.kind == SCORE) {
        Mass mass = 0;
        every(row.x, width, [&](float x, unsigned) { mass += mass_of(row, x); });
        double total = __dmul_rn(__ull2double_rn(sum(mass)), 1.0 / ONE);
        logprob = __dsub_rn(__dsub_rn(double(row.x[asked.target]), double(row.highest)), log(total));
    } else if (asked.top_k != 1) {
        bool all = asked.top_k == 0 && !(asked.top_p < 1.0);
        token = all ? pick_by_id(row, asked, best) : pick_by_rank(row, asked, best);
    }
    if (threadIdx.x == 0) found[blockIdx.x] = {logprob, token, 0};
}

// Tokens that the step before found: ids[row] = found[output].token, for pairs row, output. A row that is no token stays none. Pairs
// beyond the `most` there is room for, and those of rows or outputs that there are not, are left out.
extern "C" __global__ void __launch_bounds__(THREADS)
    fill_deferred(const Found *found, unsigned outputs, const unsigned *pairs, const unsigned *count, unsigned most,
                  unsigned *ids, unsigned rows) {
    unsigned pair = blockIdx.x * THREADS + threadIdx.x;
    if (pair >= min(*count, most)) return;
    unsigned row = pairs[2 * pair], output = pairs[2 * pair + 1];
    if (row < rows && output < outputs) ids[row] = found[output].token;
}
