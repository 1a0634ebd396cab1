// What driver and cuBLASLt share: the lock, and streams that work is put on.
#pragma once

#include <functional>
#include <mutex>

#include <cuda.h>

namespace karat {

// Held through every call: one thing at a time, kernels included.
struct Guard {
    Guard();
    ~Guard();
};

// Does it, or records it where the stream is being captured, or keeps it for later.
CUresult put(CUstream stream, std::function<void()> work);

// Whether these bytes of a GPU's memory are allocated.
bool allocated(CUdeviceptr at, size_t bytes);

} // namespace karat
