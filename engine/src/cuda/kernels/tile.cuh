// The tiles that grouped rows are multiplied in: `experts.cu` lists them, `gemm.cu` walks the list.
#pragma once

#include <stdint.h>

// Rows of a tile.
constexpr unsigned TILE_ROWS = 64;

// Rows of one expert: `rows` of them from `first` on.
struct Tile {
    uint32_t expert, first, rows;
};
