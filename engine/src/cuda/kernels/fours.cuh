// How rows are read and written.
#pragma once

#include "common.cuh"
#include <string.h>

// Rows are read and written four numbers at a time. That a row begins at no multiple of their size, or is no multiple of four
// long, changes how they are read but neither who has what nor the order of a sum.
template <int BYTES> struct Word;
template <> struct Word<8> { using Type = uint2; };
template <> struct Word<16> { using Type = uint4; };

template <typename T> __device__ __forceinline__ bool in_fours(const T *row, int width) {
    return width % 4 == 0 && reinterpret_cast<uintptr_t>(row) % (4 * sizeof(T)) == 0;
}

// Numbers at..at + 4 of a row; zero beyond its end.
template <typename T> __device__ __forceinline__ void read_four(float four[4], const T *row, int at, int width, bool fours) {
    if (fours) {
        typename Word<4 * sizeof(T)>::Type word;
        word = *reinterpret_cast<const typename Word<4 * sizeof(T)>::Type *>(row + at);
        T numbers[4];
        memcpy(numbers, &word, sizeof(word));
        for (int i = 0; i < 4; i++) four[i] = wide<T>(numbers[i]);
    } else {
        for (int i = 0; i < 4; i++) four[i] = at + i < width ? wide<T>(row[at + i]) : 0.0f;
    }
}

template <typename T>
__device__ __forceinline__ void write_four(T *row, const float four[4], int at, int width, bool fours) {
    if (fours) {
        T numbers[4];
        for (int i = 0; i < 4; i++) numbers[i] = narrow<T>(four[i]);
        typename Word<4 * sizeof(T)>::Type word;
        memcpy(&word, numbers, sizeof(word));
        *reinterpret_cast<typename Word<4 * sizeof(T)>::Type *>(row + at) = word;
    } else {
        for (int i = 0; i < 4; i++)
            if (at + i < width) row[at + i] = narrow<T>(four[i]);
    }
}
