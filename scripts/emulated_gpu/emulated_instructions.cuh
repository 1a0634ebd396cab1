// In the place of what `kernels/instructions.cuh` has in PTX: the same functions, their lanes and registers as the PTX manual has
// them.
#pragma once

namespace karat {

inline float number(uint16_t bits, __nv_bfloat16) { return karat_bits<float>((uint32_t)bits << 16); }
inline float number(uint16_t bits, __half) { return (float)karat_bits<_Float16>(bits); }

struct Multiply {
    float *c;
    const uint32_t *a;
    uint32_t b[2];
};

// Lane 4g + t has: of A rows g and g + 8, columns 2t, 2t + 1, and 8 further; of B the same as rows, column g; of C rows g and
// g + 8, columns 2t and 2t + 1. Products of 16-bit numbers are exact in f64; their sum with c is rounded once.
template <typename T> inline void multiply(Multiply **brought, uint32_t members) {
    if (members != 0xffffffffu) die("mma by lanes %08x alone", members);
    double a[16][16], b[16][8];
    for (unsigned lane = 0; lane < 32; lane++) {
        unsigned g = lane / 4, t = lane % 4;
        for (unsigned half = 0; half < 2; half++) {
            for (unsigned part = 0; part < 4; part++)
                a[g + 8 * (part % 2)][2 * t + half + 8 * (part / 2)] = number(brought[lane]->a[part] >> 16 * half, T());
            for (unsigned part = 0; part < 2; part++)
                b[2 * t + half + 8 * part][g] = number(brought[lane]->b[part] >> 16 * half, T());
        }
    }
    for (unsigned row = 0; row < 16; row++) {
        double c[8];
        for (unsigned column = 0; column < 8; column++)
            c[column] = brought[4 * (row % 8) + column / 2]->c[2 * (row / 8) + column % 2];
        for (unsigned k = 0; k < 16; k++)
            for (unsigned column = 0; column < 8; column++) c[column] += a[row][k] * b[k][column];
        for (unsigned column = 0; column < 8; column++)
            brought[4 * (row % 8) + column / 2]->c[2 * (row / 8) + column % 2] = (float)c[column];
    }
}

struct Load {
    uint32_t *to;
    const unsigned char *row;
};

// Lane 8i + r names row r of matrix i; lane 4g + t gets its row g (or column g), numbers 2t and 2t + 1.
template <bool transposed> inline void load(Load **brought, uint32_t members) {
    if (members != 0xffffffffu) die("ldmatrix by lanes %08x alone", members);
    for (unsigned matrix = 0; matrix < 4; matrix++) {
        uint16_t numbers[8][8];
        for (unsigned row = 0; row < 8; row++) {
            const unsigned char *from = brought[8 * matrix + row]->row;
            if ((size_t)from % 16) die("ldmatrix from a row at no multiple of 16 bytes");
            memcpy(numbers[row], from, 16);
        }
        for (unsigned lane = 0; lane < 32; lane++) {
            unsigned g = lane / 4, t = lane % 4;
            uint32_t low = transposed ? numbers[2 * t][g] : numbers[g][2 * t];
            uint32_t high = transposed ? numbers[2 * t + 1][g] : numbers[g][2 * t + 1];
            brought[lane]->to[matrix] = high << 16 | low;
        }
    }
}

// Copies of all groups up to one are there.
inline void arrive(unsigned groups) {
    auto &fetches = current->fetches;
    size_t done = 0;
    for (; done < fetches.size() && fetches[done].group < groups; done++) {
        const Fetch &fetch = fetches[done];
        if (fetch.real)
            memcpy(fetch.to, fetch.from, 16);
        else
            memset(fetch.to, 0, 16);
    }
    fetches.erase(fetches.begin(), fetches.begin() + done);
}

} // namespace karat

inline uint64_t shared_address(const void *p) { return (uint64_t)p; }

template <typename T> inline void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    karat::Multiply mine = {c, a, {b0, b1}};
    karat::together(0xffffffffu, mine, karat::multiply<T>);
}

inline void load_matrices(uint32_t (&to)[4], const void *row) {
    karat::Load mine = {to, (const unsigned char *)row};
    karat::together(0xffffffffu, mine, karat::load<false>);
}

inline void load_transposed(uint32_t (&to)[4], const void *row) {
    karat::Load mine = {to, (const unsigned char *)row};
    karat::together(0xffffffffu, mine, karat::load<true>);
}

// A copy happens as late as it may: when it is waited for. Who reads before sees what was there.
inline void fetch_16(void *to, const void *from, bool real) {
    if ((size_t)to % 16 || (size_t)from % 16) karat::die("cp.async at no multiple of 16 bytes");
    karat::current->fetches.push_back({to, from, real, karat::current->fetch_group});
}

inline void end_fetches() { karat::current->fetch_group++; }

template <int LEFT> inline void await_fetches() {
    unsigned groups = karat::current->fetch_group;
    karat::arrive(groups > LEFT ? groups - LEFT : 0);
}
