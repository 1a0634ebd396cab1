// The CUDA driver's functions, as far as karat and cudarc call them.
//
// A GPU is memory of this process, address for address. Each allocation lies between pages that nobody may touch, its end as
// near to the one behind it as its alignment lets it; what is between is guarded by a pattern. It begins as 0xff bytes: NaN.
#include "block.hpp"
#include "gpu.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

#define EXPORT extern "C" __attribute__((visibility("default")))

using karat::Guard;
using Work = std::function<void()>;

struct CUctx_st {
    int gpu;
};

struct CUgraph_st {
    std::vector<Work> nodes;
};

struct CUgraphExec_st {
    std::shared_ptr<std::vector<Work>> nodes;
    int gpu;
};

struct CUstream_st {
    int gpu = 0;
    // Work that was put on it and is not done, in late mode.
    std::deque<Work> waiting;
    uint64_t put = 0, done = 0;
    // While it is captured.
    std::unique_ptr<CUgraph_st> graph;
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
    std::thread::id capturer;
    bool invalid = false;
};

struct CUevent_st {
    // What was put on the stream when it was last recorded.
    CUstream stream = nullptr;
    uint64_t put = 0;
    std::chrono::steady_clock::time_point time;
    bool captured = false;
};

struct CUfunc_st {
    const karat::Kernel *kernel;
    int gpu;
    int asked = 0;
};

struct CUmod_st {
    int gpu;
    // Parameters of the entries of its PTX.
    std::map<std::string, size_t> entries;
    std::map<std::string, std::unique_ptr<CUfunc_st>> functions;
};

namespace {

constexpr int MAX_GPUS = 16;
constexpr size_t PAGE = 4096;
// Larger allocations begin as copies of one piece of memory: only what is written takes room.
constexpr size_t PIECE = 8 << 20;
constexpr unsigned char GUARD = 0xdb;

std::recursive_mutex &lock() {
    static auto *mutex = new std::recursive_mutex;
    return *mutex;
}

struct Allocation {
    size_t bytes;
    int gpu;
    // What was mapped.
    unsigned char *pages;
    size_t mapped;
};

struct Gpu {
    CUctx_st context;
    CUstream_st stream;
    size_t used = 0;
};

// Everything there is. It lives as long as the process: threads may end after it.
struct State {
    Gpu gpus[MAX_GPUS];
    int count;
    size_t memory;
    bool late;
    std::map<CUdeviceptr, Allocation> allocations;
    std::map<const unsigned char *, size_t> pinned;
    std::set<CUstream> streams;
    int piece = -1;

    State() {
        auto number = [](const char *name, size_t otherwise) {
            const char *text = getenv(name);
            return text && *text ? strtoull(text, nullptr, 10) : otherwise;
        };
        count = std::min<size_t>(number("KARAT_EMULATED_GPUS", 1), MAX_GPUS);
        memory = number("KARAT_EMULATED_MEMORY", size_t(2) << 30);
        late = number("KARAT_EMULATED_LATE", 0);
        for (int i = 0; i < MAX_GPUS; i++) gpus[i].context.gpu = gpus[i].stream.gpu = i, streams.insert(&gpus[i].stream);
    }
};

State &state() {
    static auto *made = new State;
    return *made;
}

thread_local CUcontext context;

// The stream itself, for those that have names: the default streams of the current GPU.
CUstream stream_of(CUstream stream) {
    if (stream != nullptr && stream != CU_STREAM_LEGACY && stream != CU_STREAM_PER_THREAD) return stream;
    return context ? &state().gpus[context->gpu].stream : nullptr;
}

// Does what a stream has, up to a number of things put on it.
void drain(CUstream stream, uint64_t until = UINT64_MAX) {
    while (!stream->waiting.empty() && stream->done < until) {
        Work work = std::move(stream->waiting.front());
        stream->waiting.pop_front();
        stream->done++;
        work();
    }
}

void drain_gpu(int gpu) {
    for (CUstream stream : state().streams)
        if (stream->gpu == gpu) drain(stream);
}

// A call that a capture does not bear, such as waiting. It spoils the capture.
CUresult unsupported(CUstream stream) {
    stream->invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

// Whether captures forbid this thread what may wait for the GPU: allocations, and copies without a stream.
bool forbidden() {
    for (CUstream stream : state().streams) {
        if (!stream->graph || stream->mode == CU_STREAM_CAPTURE_MODE_RELAXED) continue;
        if (stream->mode == CU_STREAM_CAPTURE_MODE_GLOBAL || stream->capturer == std::this_thread::get_id()) return true;
    }
    return false;
}

CUresult wait(CUstream stream) {
    if (!stream) return CUDA_ERROR_INVALID_CONTEXT;
    if (stream->graph) return unsupported(stream);
    drain(stream);
    return CUDA_SUCCESS;
}

// Before something that belongs to no stream.
CUresult alone() {
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    return forbidden() ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}

std::map<CUdeviceptr, Allocation>::iterator allocation_of(CUdeviceptr at) {
    auto &all = state().allocations;
    auto behind = all.upper_bound(at);
    return behind == all.begin() ? all.end() : std::prev(behind);
}

CUresult allocate(CUdeviceptr *to, size_t bytes) {
    State &s = state();
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    Gpu &gpu = s.gpus[context->gpu];
    if (bytes > s.memory - gpu.used) drain_gpu(context->gpu);
    if (bytes > s.memory - gpu.used) return CUDA_ERROR_OUT_OF_MEMORY;
    size_t rounded = (bytes + 255) / 256 * 256, inner = (rounded + PAGE - 1) / PAGE * PAGE;
    auto *pages = static_cast<unsigned char *>(
        mmap(nullptr, inner + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    if (pages == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
    unsigned char *first = pages + PAGE, *at = first + inner - rounded;
    bool made = true;
    if (inner < PIECE) {
        made = mprotect(first, inner, PROT_READ | PROT_WRITE) == 0;
        if (made) memset(at, 0xff, bytes);
    } else {
        if (s.piece < 0) {
            s.piece = memfd_create("emulated GPU", MFD_CLOEXEC);
            std::vector<unsigned char> ones(PIECE, 0xff);
            made = write(s.piece, ones.data(), PIECE) == ssize_t(PIECE);
        }
        for (size_t done = 0; made && done < inner; done += PIECE)
            made = mmap(first + done, std::min(PIECE, inner - done), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, s.piece, 0) != MAP_FAILED;
    }
    if (!made) {
        munmap(pages, inner + 2 * PAGE);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    memset(first, GUARD, at - first);
    memset(at + bytes, GUARD, rounded - bytes);
    gpu.used += bytes;
    *to = reinterpret_cast<CUdeviceptr>(at);
    s.allocations[*to] = {bytes, context->gpu, pages, inner + 2 * PAGE};
    return CUDA_SUCCESS;
}

void check_guards(CUdeviceptr at, const Allocation &allocation) {
    auto *begin = reinterpret_cast<unsigned char *>(at);
    auto *first = allocation.pages + PAGE, *end = allocation.pages + allocation.mapped - PAGE;
    size_t bytes = allocation.bytes;
    for (auto *p = first; p < begin; p++)
        if (*p != GUARD) karat::die("something was written %td bytes before an allocation of %zu bytes", begin - p, bytes);
    for (auto *p = begin + bytes; p < end; p++)
        if (*p != GUARD) karat::die("something was written at byte %td of an allocation of %zu bytes", p - begin, bytes);
}

CUresult release(CUdeviceptr at) {
    State &s = state();
    if (at == 0) return CUDA_SUCCESS;
    auto found = s.allocations.find(at);
    if (found == s.allocations.end()) return CUDA_ERROR_INVALID_VALUE;
    check_guards(at, found->second);
    s.gpus[found->second.gpu].used -= found->second.bytes;
    munmap(found->second.pages, found->second.mapped);
    s.allocations.erase(found);
    return CUDA_SUCCESS;
}

bool is_pinned(const void *at, size_t bytes) {
    auto &all = state().pinned;
    auto *byte = static_cast<const unsigned char *>(at);
    auto behind = all.upper_bound(byte);
    if (behind == all.begin()) return false;
    auto found = std::prev(behind);
    return byte + bytes <= found->first + found->second;
}

void *at(CUdeviceptr address) { return reinterpret_cast<void *>(address); }

bool on_gpu(CUdeviceptr address, size_t bytes) { return bytes == 0 || karat::allocated(address, bytes); }

CUresult copy(CUstream stream, void *to, const void *from, size_t bytes) {
    return karat::put(stream, [=] { memmove(to, from, bytes); });
}

struct Named {
    const char *name, *text;
};

const Named *error_of(CUresult error) {
    static const std::map<int, Named> names = {
#define ERROR(NAME, TEXT)                                                                                                      \
    {                                                                                                                          \
        NAME, { #NAME, TEXT }                                                                                                  \
    }
        ERROR(CUDA_SUCCESS, "no error"),
        ERROR(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
        ERROR(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
        ERROR(CUDA_ERROR_NOT_INITIALIZED, "initialization error"),
        ERROR(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected"),
        ERROR(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
        ERROR(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
        ERROR(CUDA_ERROR_INVALID_PTX, "a PTX JIT compilation failed"),
        ERROR(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"),
        ERROR(CUDA_ERROR_ILLEGAL_STATE, "the operation cannot be performed in the present state"),
        ERROR(CUDA_ERROR_NOT_FOUND, "named symbol not found"),
        ERROR(CUDA_ERROR_NOT_READY, "device not ready"),
        ERROR(CUDA_ERROR_NOT_SUPPORTED, "operation not supported"),
        ERROR(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "operation not permitted when stream is capturing"),
        ERROR(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "operation failed due to a previous error during capture"),
        ERROR(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "attempt to terminate a thread-local capture sequence from another thread"),
        ERROR(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "dependency created on uncaptured work in another stream"),
#undef ERROR
    };
    auto found = names.find(error);
    return found == names.end() ? nullptr : &found->second;
}

} // namespace

namespace karat {

Guard::Guard() { lock().lock(); }
Guard::~Guard() { lock().unlock(); }

CUresult put(CUstream name, Work work) {
    CUstream stream = stream_of(name);
    if (!stream) return CUDA_ERROR_INVALID_CONTEXT;
    if (!context || stream->gpu != context->gpu) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->graph) {
        stream->graph->nodes.push_back(std::move(work));
        return CUDA_SUCCESS;
    }
    stream->put++;
    stream->waiting.push_back(std::move(work));
    if (!state().late) drain(stream);
    return CUDA_SUCCESS;
}

bool allocated(CUdeviceptr address, size_t bytes) {
    auto found = allocation_of(address);
    return found != state().allocations.end() && address + bytes <= found->first + found->second.bytes;
}

std::string describe(const void *address) {
    auto wanted = reinterpret_cast<CUdeviceptr>(address);
    auto &all = state().allocations;
    char text[200];
    auto before = allocation_of(wanted);
    if (before != all.end()) {
        const Allocation &found = before->second;
        auto end = reinterpret_cast<CUdeviceptr>(found.pages + found.mapped);
        if (wanted < end) {
            snprintf(text, sizeof(text), "access at byte %llu of an allocation of %zu bytes on GPU %d",
                     (unsigned long long)(wanted - before->first), found.bytes, found.gpu);
            return text;
        }
    }
    auto after = all.upper_bound(wanted);
    if (after != all.end() && wanted >= reinterpret_cast<CUdeviceptr>(after->second.pages)) {
        snprintf(text, sizeof(text), "access %llu bytes before an allocation of %zu bytes on GPU %d",
                 (unsigned long long)(after->first - wanted), after->second.bytes, after->second.gpu);
        return text;
    }
    snprintf(text, sizeof(text), "access to %p, which is in no allocation: null, freed, or behind shared memory", address);
    return text;
}

} // namespace karat

// Errors, devices, contexts.

EXPORT CUresult cuInit(unsigned) { return state().count > 0 ? CUDA_SUCCESS : CUDA_ERROR_NO_DEVICE; }

EXPORT CUresult cuDriverGetVersion(int *version) {
    *version = 13000;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuGetErrorName(CUresult error, const char **name) {
    auto found = error_of(error);
    *name = found ? found->name : nullptr;
    return found ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuGetErrorString(CUresult error, const char **text) {
    auto found = error_of(error);
    *text = found ? found->text : nullptr;
    return found ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuDeviceGetCount(int *count) {
    *count = state().count;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    if (ordinal < 0 || ordinal >= state().count) return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetName(char *name, int length, CUdevice) {
    snprintf(name, length, "Emulated GPU");
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device) {
    memset(uuid, 0, sizeof(*uuid));
    uuid->bytes[15] = device;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice) {
    *bytes = state().memory;
    return CUDA_SUCCESS;
}

// As an H100 has them; 0 for what nobody asked about yet.
EXPORT CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
    if (device < 0 || device >= state().count) return CUDA_ERROR_INVALID_DEVICE;
    static const std::map<int, int> values = {
        {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, karat::MOST_THREADS},
        {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, 1024},
        {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, 1024},
        {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, 64},
        {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, 0x7fffffff},
        {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 65535},
        {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, 65535},
        {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, karat::SHARED_UNASKED},
        {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, karat::SHARED_ASKED},
        {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, 228 << 10},
        {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, 2048},
        {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, 65536},
        {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, 65536},
        {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
        {CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1980000},
        {CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 2619000},
        {CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 5120},
        {CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 50 << 20},
        {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 132},
        {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 9},
        {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0},
        {CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1},
        {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
        {CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 1},
        {CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 0},
        {CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 1},
        {CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, 1},
    };
    auto found = values.find(attribute);
    *value = found == values.end() ? 0 : found->second;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *to, CUdevice device) {
    if (device < 0 || device >= state().count) return CUDA_ERROR_INVALID_DEVICE;
    *to = &state().gpus[device].context;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) { return CUDA_SUCCESS; }

EXPORT CUresult cuCtxGetCurrent(CUcontext *to) {
    *to = context;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSetCurrent(CUcontext to) {
    context = to;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxGetDevice(CUdevice *device) {
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    *device = context->gpu;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSetFlags(unsigned) { return CUDA_SUCCESS; }
EXPORT CUresult cuCtxSetLimit(CUlimit, size_t) { return CUDA_SUCCESS; }
EXPORT CUresult cuCtxSetCacheConfig(CUfunc_cache) { return CUDA_SUCCESS; }

EXPORT CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest) {
    *least = *greatest = 0;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuCtxSynchronize() {
    Guard guard;
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    for (CUstream stream : state().streams)
        if (stream->gpu == context->gpu && stream->graph) return unsupported(stream);
    drain_gpu(context->gpu);
    return CUDA_SUCCESS;
}

// Memory.

EXPORT CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
    Guard guard;
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    *total = state().memory;
    *free = state().memory - state().gpus[context->gpu].used;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *to, size_t bytes) {
    Guard guard;
    CUresult error = alone();
    return error ? error : allocate(to, bytes);
}

EXPORT CUresult cuMemFree_v2(CUdeviceptr address) {
    Guard guard;
    CUresult error = alone();
    if (error) return error;
    drain_gpu(context->gpu);
    return release(address);
}

// A real capture would make an allocation part of the graph. karat's allocate nothing, and whether that is so is to be seen.
EXPORT CUresult cuMemAllocAsync(CUdeviceptr *to, size_t bytes, CUstream name) {
    Guard guard;
    CUstream stream = stream_of(name);
    if (!stream) return CUDA_ERROR_INVALID_CONTEXT;
    return stream->graph ? unsupported(stream) : allocate(to, bytes);
}

EXPORT CUresult cuMemFreeAsync(CUdeviceptr address, CUstream name) {
    Guard guard;
    CUstream stream = stream_of(name);
    if (!stream) return CUDA_ERROR_INVALID_CONTEXT;
    if (stream->graph) return unsupported(stream);
    if (!state().allocations.count(address)) return address ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
    return karat::put(name, [=] {
        if (release(address)) karat::die("memory is freed twice");
    });
}

EXPORT CUresult cuMemHostAlloc(void **to, size_t bytes, unsigned) {
    Guard guard;
    CUresult error = alone();
    if (error) return error;
    *to = aligned_alloc(PAGE, (bytes + PAGE - 1) / PAGE * PAGE);
    if (!*to) return CUDA_ERROR_OUT_OF_MEMORY;
    memset(*to, 0xff, bytes);
    state().pinned[static_cast<unsigned char *>(*to)] = bytes;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuMemAllocHost_v2(void **to, size_t bytes) { return cuMemHostAlloc(to, bytes, 0); }

EXPORT CUresult cuMemFreeHost(void *memory) {
    Guard guard;
    if (!state().pinned.erase(static_cast<unsigned char *>(memory))) return CUDA_ERROR_INVALID_VALUE;
    for (CUstream stream : state().streams) drain(stream);
    free(memory);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
    Guard guard;
    if (!on_gpu(to, count)) return CUDA_ERROR_INVALID_VALUE;
    return karat::put(stream, [=] { memset(at(to), value, count); });
}

EXPORT CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) {
    Guard guard;
    CUresult error = alone();
    return error ? error : cuMemsetD8Async(to, value, count, nullptr);
}

EXPORT CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
    Guard guard;
    if (!on_gpu(to, 4 * count) || to % 4) return CUDA_ERROR_INVALID_VALUE;
    return karat::put(stream, [=] { std::fill_n(static_cast<unsigned *>(at(to)), count, value); });
}

EXPORT CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t count) {
    Guard guard;
    CUresult error = alone();
    return error ? error : cuMemsetD32Async(to, value, count, nullptr);
}

// From pageable memory the driver has read everything when it returns, unless it only records.
EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream name) {
    Guard guard;
    CUstream stream = stream_of(name);
    if (!stream) return CUDA_ERROR_INVALID_CONTEXT;
    if (!on_gpu(to, bytes)) return CUDA_ERROR_INVALID_VALUE;
    if (stream->graph || !state().late || is_pinned(from, bytes)) return copy(name, at(to), from, bytes);
    auto *begin = static_cast<const unsigned char *>(from);
    std::vector<unsigned char> staged(begin, begin + bytes);
    return karat::put(name, [to, staged] { memcpy(at(to), staged.data(), staged.size()); });
}

EXPORT CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream name) {
    Guard guard;
    CUstream stream = stream_of(name);
    if (!stream) return CUDA_ERROR_INVALID_CONTEXT;
    if (!on_gpu(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
    CUresult error = copy(name, to, at(from), bytes);
    if (!error && !stream->graph && !is_pinned(to, bytes)) drain(stream);
    return error;
}

EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    Guard guard;
    if (!on_gpu(to, bytes) || !on_gpu(from, bytes)) return CUDA_ERROR_INVALID_VALUE;
    return copy(stream, at(to), at(from), bytes);
}

EXPORT CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext, CUdeviceptr from, CUcontext, size_t bytes, CUstream stream) {
    return cuMemcpyDtoDAsync_v2(to, from, bytes, stream);
}

EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
    Guard guard;
    CUresult error = alone();
    if (!error) error = cuMemcpyHtoDAsync_v2(to, from, bytes, nullptr);
    return error ? error : wait(stream_of(nullptr));
}

EXPORT CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
    Guard guard;
    CUresult error = alone();
    if (!error) error = cuMemcpyDtoHAsync_v2(to, from, bytes, nullptr);
    return error ? error : wait(stream_of(nullptr));
}

EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    Guard guard;
    CUresult error = alone();
    if (!error) error = cuMemcpyDtoDAsync_v2(to, from, bytes, nullptr);
    return error ? error : wait(stream_of(nullptr));
}

// Modules and functions.

EXPORT CUresult cuModuleLoadData(CUmodule *to, const void *image) {
    Guard guard;
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    std::string ptx = static_cast<const char *>(image);
    if (ptx.find(".version") == std::string::npos) return CUDA_ERROR_INVALID_PTX;
    auto module = std::make_unique<CUmod_st>();
    module->gpu = context->gpu;
    const std::string word = ".entry ";
    for (size_t found = ptx.find(word); found != std::string::npos; found = ptx.find(word, found + 1)) {
        size_t name = found + word.size(), open = ptx.find('(', name), close = ptx.find(')', open);
        if (close == std::string::npos) return CUDA_ERROR_INVALID_PTX;
        size_t count = 0;
        for (size_t at = ptx.find(".param", open); at < close; at = ptx.find(".param", at + 1)) count++;
        std::string text = ptx.substr(name, open - name);
        module->entries[text.substr(0, text.find_first_of(" \t\n"))] = count;
    }
    *to = module.release();
    return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleUnload(CUmodule module) {
    Guard guard;
    drain_gpu(module->gpu);
    delete module;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleGetFunction(CUfunction *to, CUmodule module, const char *name) {
    Guard guard;
    auto entry = module->entries.find(name);
    if (entry == module->entries.end()) return CUDA_ERROR_NOT_FOUND;
    const karat::Kernel *kernel = karat::find(name);
    if (!kernel || kernel->sizes.size() != entry->second) {
        fprintf(stderr, "emulated GPU: it has no kernel %s of %zu parameters: scripts/emulated_gpu.sh builds it anew\n", name,
                entry->second);
        return CUDA_ERROR_NOT_FOUND;
    }
    auto &function = module->functions[name];
    if (!function) function.reset(new CUfunc_st{kernel, module->gpu});
    *to = function.get();
    return CUDA_SUCCESS;
}

EXPORT CUresult cuModuleGetGlobal_v2(CUdeviceptr *, size_t *, CUmodule, const char *) { return CUDA_ERROR_NOT_FOUND; }

EXPORT CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
    Guard guard;
    if (attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
        if (value < 0 || value > int(karat::SHARED_ASKED)) return CUDA_ERROR_INVALID_VALUE;
        function->asked = value;
    }
    return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function) {
    Guard guard;
    unsigned most = function->kernel->most_threads;
    *value = attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK           ? int(most ? most : karat::MOST_THREADS)
             : attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES ? std::max<int>(function->asked, karat::SHARED_UNASKED)
                                                                            : 0;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuFuncSetCacheConfig(CUfunction, CUfunc_cache) { return CUDA_SUCCESS; }

EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, CUfunction, int threads, size_t shared,
                                                                     unsigned) {
    int by_shared = shared ? (228 << 10) / (shared + 1024) : 32;
    *blocks = std::min({threads ? 2048 / threads : 0, by_shared, 32});
    return CUDA_SUCCESS;
}

EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction function, int threads, size_t shared) {
    return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads, shared, 0);
}

EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                               unsigned block_y, unsigned block_z, unsigned shared, CUstream stream, void **parameters,
                               void **extra) {
    Guard guard;
    if (!context || function->gpu != context->gpu) return CUDA_ERROR_INVALID_HANDLE;
    const karat::Kernel &kernel = *function->kernel;
    unsigned long long threads = 1ull * block_x * block_y * block_z;
    bool fits = grid_x && grid_y && grid_z && threads && grid_x <= 0x7fffffff && grid_y <= 65535 && grid_z <= 65535;
    fits = fits && block_x <= 1024 && block_y <= 1024 && block_z <= 64 && threads <= karat::MOST_THREADS;
    fits = fits && (!kernel.most_threads || threads <= kernel.most_threads);
    fits = fits && shared <= std::max<size_t>(function->asked, karat::SHARED_UNASKED) && !extra;
    if (!fits) return CUDA_ERROR_INVALID_VALUE;
    // Parameters as they are now, each at a multiple of 16.
    std::vector<size_t> places;
    size_t bytes = 0;
    for (size_t size : kernel.sizes) places.push_back(bytes), bytes += (size + 15) / 16 * 16;
    std::vector<max_align_t> copies(bytes / sizeof(max_align_t) + 1);
    for (size_t i = 0; i < places.size(); i++)
        memcpy(reinterpret_cast<char *>(copies.data()) + places[i], parameters[i], kernel.sizes[i]);
    return karat::put(stream, [=, &kernel]() mutable {
        std::vector<void *> pointers;
        for (size_t place : places) pointers.push_back(reinterpret_cast<char *>(copies.data()) + place);
        dim3 grid(grid_x, grid_y, grid_z), block(block_x, block_y, block_z);
        karat::run({kernel.name, kernel.invoke, pointers.data(), grid, block, shared});
    });
}

EXPORT CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void *data) {
    Guard guard;
    return karat::put(stream, [=] { function(data); });
}

// Streams and events.

EXPORT CUresult cuStreamCreate(CUstream *to, unsigned) {
    Guard guard;
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    auto *stream = new CUstream_st;
    stream->gpu = context->gpu;
    state().streams.insert(stream);
    *to = stream;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamCreateWithPriority(CUstream *to, unsigned flags, int) { return cuStreamCreate(to, flags); }

EXPORT CUresult cuStreamDestroy_v2(CUstream stream) {
    Guard guard;
    if (!state().streams.count(stream)) return CUDA_ERROR_INVALID_HANDLE;
    drain(stream);
    state().streams.erase(stream);
    delete stream;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamSynchronize(CUstream stream) {
    Guard guard;
    return wait(stream_of(stream));
}

EXPORT CUresult cuStreamQuery(CUstream stream) {
    Guard guard;
    return wait(stream_of(stream));
}

EXPORT CUresult cuStreamGetCtx(CUstream stream, CUcontext *to) {
    Guard guard;
    stream = stream_of(stream);
    if (!stream) return CUDA_ERROR_INVALID_CONTEXT;
    *to = &state().gpus[stream->gpu].context;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamWaitEvent(CUstream name, CUevent event, unsigned) {
    Guard guard;
    CUstream stream = stream_of(name);
    if (!stream) return CUDA_ERROR_INVALID_CONTEXT;
    if (!event->stream || event->stream == stream) return CUDA_SUCCESS;
    // Captures that fork are not emulated.
    if (stream->graph || event->captured) {
        stream->invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
    }
    CUstream other = event->stream;
    uint64_t until = event->put;
    return karat::put(name, [=] {
        if (state().streams.count(other)) drain(other, until);
    });
}

EXPORT CUresult cuEventCreate(CUevent *to, unsigned) {
    *to = new CUevent_st;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuEventDestroy_v2(CUevent event) {
    Guard guard;
    // Work that is kept for later may still mark the time in it.
    for (CUstream stream : state().streams) drain(stream);
    delete event;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuEventRecord(CUevent event, CUstream name) {
    Guard guard;
    CUstream stream = stream_of(name);
    if (!stream) return CUDA_ERROR_INVALID_CONTEXT;
    event->captured = stream->graph != nullptr;
    event->stream = stream;
    if (event->captured) return CUDA_SUCCESS;
    event->put = stream->put + 1;
    return karat::put(name, [=] { event->time = std::chrono::steady_clock::now(); });
}

EXPORT CUresult cuEventSynchronize(CUevent event) {
    Guard guard;
    if (event->captured) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (event->stream && state().streams.count(event->stream)) drain(event->stream, event->put);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuEventQuery(CUevent event) { return cuEventSynchronize(event); }

EXPORT CUresult cuEventElapsedTime_v2(float *milliseconds, CUevent start, CUevent end) {
    Guard guard;
    *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
    return CUDA_SUCCESS;
}

// Captures and graphs.

EXPORT CUresult cuStreamBeginCapture_v2(CUstream name, CUstreamCaptureMode mode) {
    Guard guard;
    CUstream stream = stream_of(name);
    if (!stream) return CUDA_ERROR_INVALID_CONTEXT;
    // The default stream cannot be captured.
    if (stream->graph || stream != name) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    stream->graph = std::make_unique<CUgraph_st>();
    stream->mode = mode;
    stream->capturer = std::this_thread::get_id();
    stream->invalid = false;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamEndCapture(CUstream name, CUgraph *to) {
    Guard guard;
    CUstream stream = stream_of(name);
    *to = nullptr;
    if (!stream || !stream->graph) return CUDA_ERROR_ILLEGAL_STATE;
    if (stream->mode != CU_STREAM_CAPTURE_MODE_RELAXED && stream->capturer != std::this_thread::get_id())
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    std::unique_ptr<CUgraph_st> graph = std::move(stream->graph);
    if (stream->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    *to = graph.release();
    return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamIsCapturing(CUstream name, CUstreamCaptureStatus *to) {
    Guard guard;
    CUstream stream = stream_of(name);
    if (!stream) return CUDA_ERROR_INVALID_CONTEXT;
    *to = !stream->graph      ? CU_STREAM_CAPTURE_STATUS_NONE
          : stream->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                            : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec *to, CUgraph graph, unsigned long long) {
    Guard guard;
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    *to = new CUgraphExec_st{std::make_shared<std::vector<Work>>(graph->nodes), context->gpu};
    return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode *nodes, size_t *count) {
    Guard guard;
    if (nodes) return CUDA_ERROR_NOT_SUPPORTED;
    *count = graph->nodes.size();
    return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphUpload(CUgraphExec, CUstream name) {
    Guard guard;
    CUstream stream = stream_of(name);
    if (!stream) return CUDA_ERROR_INVALID_CONTEXT;
    return stream->graph ? unsupported(stream) : CUDA_SUCCESS;
}

EXPORT CUresult cuGraphLaunch(CUgraphExec graph, CUstream stream) {
    Guard guard;
    auto nodes = graph->nodes;
    return karat::put(stream, [nodes] {
        for (Work &node : *nodes) node();
    });
}

EXPORT CUresult cuGraphExecDestroy(CUgraphExec graph) {
    Guard guard;
    delete graph;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphDestroy(CUgraph graph) {
    Guard guard;
    delete graph;
    return CUDA_SUCCESS;
}
