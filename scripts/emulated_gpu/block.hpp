// A block of threads on the CPU: every thread is a fiber with a stack of its own, and they take turns wherever threads of CUDA
// wait for each other. One block at a time, under one lock: there is no parallelism and no preemption.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string>
#include <utility>
#include <vector>
#include <vector_types.h>

#define KARAT_HIDDEN __attribute__((visibility("hidden")))

namespace karat {

constexpr unsigned MOST_THREADS = 1024;
constexpr size_t SHARED_UNASKED = 48 << 10;
constexpr size_t SHARED_ASKED = 227 << 10;

struct Warp;

// What the lanes of a warp do together, given what each brings; `members` are the lanes that take part.
using Together = void (*)(void **brought, uint32_t members);

// A copy to shared memory that is on its way, and the group it belongs to.
struct Fetch {
    void *to;
    const void *from;
    bool real;
    unsigned group;
};

struct Thread {
    uint3 index;
    Warp *warp;
    unsigned lane;
    // Where it goes on.
    void *stack_pointer;
    // Its stack, to be given back at its end.
    void *stack;
    // The meeting it waits in.
    uint32_t mask;
    Together together;
    void *brought;
    // What cp.async has begun.
    std::vector<Fetch> fetches;
    unsigned fetch_group;
};

// One launch.
struct Launch {
    const char *name;
    void (*invoke)(void **parameters);
    void **parameters;
    dim3 grid, block;
    size_t shared;
};

// The thread that runs now, and its block. Only valid in kernels.
extern KARAT_HIDDEN Thread *current;
extern KARAT_HIDDEN uint3 block_index;
extern KARAT_HIDDEN dim3 grid_size, block_size;
// Dynamic shared memory; behind its end lies a page that nobody may touch.
extern KARAT_HIDDEN unsigned char *dynamic_shared;

// Runs all blocks, first to last.
KARAT_HIDDEN void run(const Launch &launch);

// Ends the process with a message that names kernel, block and thread.
[[noreturn]] KARAT_HIDDEN void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Which allocation an address belongs to, or lies beside. (driver.cpp)
KARAT_HIDDEN std::string describe(const void *address);

// Waits until all lanes of `mask` are here, then the last one to come does `together` for all.
KARAT_HIDDEN void meet(uint32_t mask, Together together, void *brought);

// __syncthreads, and what its relatives tell: how many threads said so.
KARAT_HIDDEN unsigned sync_block(bool said);

// Lanes that have not ended.
KARAT_HIDDEN uint32_t live_lanes();

// `all(brought, members)` by the last lane to come; a lambda that captures nothing.
template <typename Brought, typename All> inline void together(uint32_t mask, Brought &mine, All all) {
    void (*function)(Brought **, uint32_t) = all;
    meet(mask, reinterpret_cast<Together>(function), &mine);
}

// A variable in static shared memory: garbage when a block first comes to it. One lies where the variable was declared.
class KARAT_HIDDEN Shared {
  public:
    Shared(void *at, size_t size) : at(at), size(size) {}
    void declared() {
        if (block != block_number) begin();
    }
    // Counts blocks of all launches.
    static uint64_t block_number;
    // Bytes of the block so far.
    static size_t used;

  private:
    void begin();
    void *at;
    size_t size;
    uint64_t block = 0;
};

// Dynamic shared memory that is declared outside of functions.
template <typename T> struct Dynamic {
    operator T *() const { return reinterpret_cast<T *>(dynamic_shared); }
};

// A kernel of the table.
struct Kernel {
    const char *name;
    void (*invoke)(void **parameters);
    std::vector<size_t> sizes;
    unsigned most_threads;
};

KARAT_HIDDEN void add(const Kernel &kernel);
KARAT_HIDDEN const Kernel *find(const char *name);

template <auto function> struct Invoke;
template <typename... P, void (*function)(P...)> struct Invoke<function> {
    template <size_t... I> static void call(void **parameters, std::index_sequence<I...>) {
        function(*static_cast<P *>(parameters[I])...);
    }
    static void invoke(void **parameters) { call(parameters, std::index_sequence_for<P...>()); }
    static std::vector<size_t> sizes() { return {sizeof(P)...}; }
};

template <auto function> struct Registration {
    Registration(const char *name, unsigned most_threads) {
        add({name, Invoke<function>::invoke, Invoke<function>::sizes(), most_threads});
    }
};

} // namespace karat
