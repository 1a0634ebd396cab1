// The scheduler of fibers: see block.hpp. A warp runs until all its lanes have ended or wait at the block's barrier, then the
// next one; within a warp the turn goes round.
#include "block.hpp"

#include <map>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

namespace karat {

Thread *current;
uint3 block_index;
dim3 grid_size, block_size;
unsigned char *dynamic_shared;
uint64_t Shared::block_number;
size_t Shared::used;

struct Warp {
    // Of the lanes that have begun: those that may run, that wait for lanes, that wait for the block.
    uint32_t runnable, waiting, parked;
    // All that have not ended, also those that have not begun.
    uint32_t live;
    // Lanes from here on have not begun.
    unsigned begun, lanes;
    Thread *threads;
};

namespace {

constexpr size_t STACK = 256 << 10;
constexpr size_t PAGE = 4096;

const Launch *launch;
Thread threads[MOST_THREADS];
Warp warps[MOST_THREADS / 32];
unsigned warp_count;
// Threads that have not ended, and of them those at the barrier.
unsigned live, arrived, saying, said_last;
// Where the caller of the block goes on.
void *caller;
std::vector<void *> stacks;
unsigned char *shared_end;

} // namespace

// Keeps what a function must keep, and goes on where another stack stopped.
extern "C" KARAT_HIDDEN void karat_switch(void **from, void *to);
asm(R"(
.text
.globl karat_switch
.hidden karat_switch
.type karat_switch,@function
karat_switch:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp,(%rdi)
    mov %rsi,%rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
.size karat_switch,.-karat_switch
)");

namespace {

std::string where() {
    if (!launch) return "outside of kernels";
    char text[400];
    int end = snprintf(text, sizeof(text), "kernel %s, grid %u %u %u, block %u %u %u of %u %u %u threads", launch->name,
                       grid_size.x, grid_size.y, grid_size.z, block_index.x, block_index.y, block_index.z, block_size.x,
                       block_size.y, block_size.z);
    if (current) {
        uint3 at = current->index;
        snprintf(text + end, sizeof(text) - end, ", thread %u %u %u", at.x, at.y, at.z);
    }
    return text;
}

[[noreturn]] void worker();

void *new_stack() {
    if (stacks.empty()) {
        static unsigned count;
        auto *pages = static_cast<unsigned char *>(mmap(nullptr, STACK + PAGE, PROT_READ | PROT_WRITE,
                                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0));
        if (pages == MAP_FAILED) die("no memory for stacks");
        mprotect(pages, PAGE, PROT_NONE);
        // Not all tops at the same place of a page: they would share few lines of the cache.
        stacks.push_back(pages + PAGE + STACK - 128 * (count++ % 32));
    }
    void *top = stacks.back();
    stacks.pop_back();
    return top;
}

// Goes on with a thread that has begun, or begins it on a stack of its own.
void resume(void **from, Thread &to, bool begins) {
    if (begins) {
        to.stack = new_stack();
        void **top = static_cast<void **>(to.stack);
        top[-1] = nullptr;
        top[-2] = reinterpret_cast<void *>(worker);
        to.stack_pointer = top - 8;
    }
    current = &to;
    karat_switch(from, to.stack_pointer);
}

// The next lane that can run: this warp's first, round from `lane`; then other warps'.
Thread *next(Warp &warp, unsigned lane, bool &begins) {
    unsigned first = &warp - warps;
    for (unsigned i = 0; i < warp_count; i++) {
        Warp &w = warps[(first + i) % warp_count];
        begins = false;
        if (w.runnable) {
            uint32_t behind = i || lane == 31 ? 0 : w.runnable & (~0u << (lane + 1));
            return &w.threads[__builtin_ctz(behind ? behind : w.runnable)];
        }
        if (w.begun < w.lanes) {
            begins = true;
            w.runnable |= 1u << w.begun;
            return &w.threads[w.begun++];
        }
    }
    return nullptr;
}

[[noreturn]] void stuck() {
    std::string lanes;
    for (unsigned i = 0; i < warp_count; i++) {
        char text[120];
        const Warp &w = warps[i];
        if (w.waiting || w.parked) {
            uint32_t awaited = w.waiting ? w.threads[__builtin_ctz(w.waiting)].mask : 0;
            snprintf(text, sizeof(text), "\n  warp %u: lanes %08x wait for lanes %08x, %08x at the barrier, %08x have not ended", i,
                     w.waiting, awaited, w.parked, w.live);
            lanes += text;
        }
    }
    die("threads wait for threads that do not come%s", lanes.c_str());
}

// Lets others run; this one is not runnable.
void switch_away() {
    Thread &me = *current;
    bool begins;
    Thread *to = next(*me.warp, me.lane, begins);
    if (!to) stuck();
    resume(&me.stack_pointer, *to, begins);
}

void release() {
    for (unsigned i = 0; i < warp_count; i++) warps[i].runnable |= warps[i].parked, warps[i].parked = 0;
    said_last = saying;
    arrived = saying = 0;
}

// Does what the members of a meeting came for, if all are there.
bool complete(Warp &warp, uint32_t mask) {
    uint32_t members = mask & warp.live;
    if (members & ~warp.waiting) return false;
    const Thread &first = warp.threads[__builtin_ctz(members)];
    void *brought[32];
    for (uint32_t left = members; left; left &= left - 1) {
        const Thread &thread = warp.threads[__builtin_ctz(left)];
        if ((thread.mask & warp.live) != members)
            die("lanes %u and %u of a warp wait for lanes %08x and %08x", first.lane, thread.lane, first.mask, thread.mask);
        if (thread.together != first.together)
            die("lanes %u and %u of a warp meet in different functions", first.lane, thread.lane);
        brought[thread.lane] = thread.brought;
    }
    first.together(brought, members);
    warp.waiting &= ~members;
    warp.runnable |= members;
    return true;
}

// A thread has ended: others may have waited for it.
void ended(Thread &me) {
    Warp &warp = *me.warp;
    warp.live &= ~(1u << me.lane);
    warp.runnable &= ~(1u << me.lane);
    live--;
    if (live && arrived == live) release();
    for (uint32_t left = warp.waiting; left; left &= left - 1) {
        unsigned lane = __builtin_ctz(left);
        if (warp.waiting >> lane & 1) complete(warp, warp.threads[lane].mask);
    }
}

// What a fiber does: a thread, then further ones that have not begun, until one that has is to go on.
[[noreturn]] void worker() {
    void *stack = current->stack;
    for (;;) {
        launch->invoke(launch->parameters);
        Thread &me = *current;
        ended(me);
        bool begins = false;
        Thread *to = live ? next(*me.warp, me.lane, begins) : nullptr;
        if (live && !to) stuck();
        if (to && begins) {
            to->stack = stack;
            current = to;
            continue;
        }
        stacks.push_back(stack);
        void *nowhere;
        current = to;
        karat_switch(&nowhere, to ? to->stack_pointer : caller);
        abort();
    }
}

void handle(int number, siginfo_t *info, void *) {
    if (launch) {
        if (number == SIGILL || number == SIGTRAP) die("an address at no multiple of its type's size, or an index beyond an array");
        die("%s", describe(info->si_addr).c_str());
    }
    // Not ours: as if we had not been asked.
    signal(number, SIG_DFL);
    raise(number);
}

// Faults of kernels get a message. Only while one runs: the program has its own handlers.
class Handlers {
  public:
    Handlers() {
        static unsigned char space[64 << 10];
        stack_t stack = {};
        stack.ss_sp = space, stack.ss_size = sizeof(space);
        sigaltstack(&stack, &stack_before);
        struct sigaction action = {};
        action.sa_sigaction = handle;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        for (int i = 0; i < 4; i++) sigaction(NUMBERS[i], &action, &before[i]);
    }
    ~Handlers() {
        for (int i = 0; i < 4; i++) sigaction(NUMBERS[i], &before[i], nullptr);
        sigaltstack(&stack_before, nullptr);
    }

  private:
    static constexpr int NUMBERS[4] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
    struct sigaction before[4];
    stack_t stack_before = {};
};

std::map<std::string, Kernel> &table() {
    static std::map<std::string, Kernel> kernels;
    return kernels;
}

} // namespace

void die(const char *format, ...) {
    fflush(stdout);
    fprintf(stderr, "\nemulated GPU: ");
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n  %s\n", where().c_str());
    signal(SIGABRT, SIG_DFL);
    abort();
}

void meet(uint32_t mask, Together together, void *brought) {
    Thread &me = *current;
    Warp &warp = *me.warp;
    uint32_t bit = 1u << me.lane;
    if (!(mask & bit)) die("lane %u waits for lanes %08x, not for itself", me.lane, mask);
    me.mask = mask, me.together = together, me.brought = brought;
    warp.waiting |= bit;
    warp.runnable &= ~bit;
    if (!complete(warp, mask)) switch_away();
}

unsigned sync_block(bool said) {
    Thread &me = *current;
    saying += said;
    if (++arrived == live) {
        release();
    } else {
        me.warp->parked |= 1u << me.lane;
        me.warp->runnable &= ~(1u << me.lane);
        switch_away();
    }
    return said_last;
}

uint32_t live_lanes() { return current->warp->live; }

void Shared::begin() {
    block = block_number;
    used += size;
    if (used + launch->shared > SHARED_ASKED) die("static and dynamic shared memory of %zu + %zu bytes", used, launch->shared);
    if (used > SHARED_UNASKED) die("static shared memory of %zu bytes", used);
    memset(at, 0xff, size);
}

void run(const Launch &what) {
    if (!shared_end) {
        size_t pages = (SHARED_ASKED + PAGE - 1) / PAGE * PAGE;
        auto *at = static_cast<unsigned char *>(
            mmap(nullptr, pages + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (at == MAP_FAILED) die("no memory for shared memory");
        shared_end = at + pages;
        mprotect(shared_end, PAGE, PROT_NONE);
    }
    launch = &what;
    grid_size = what.grid, block_size = what.block;
    size_t shared = (what.shared + 15) / 16 * 16;
    // At a multiple of 128, as on a GPU, where that leaves nothing between its end and the page behind.
    dynamic_shared = shared_end - shared;
    Handlers handlers;
    unsigned count = what.block.x * what.block.y * what.block.z;
    warp_count = (count + 31) / 32;
    for (unsigned i = 0; i < count; i++) {
        Thread &thread = threads[i];
        thread.index = {i % what.block.x, i / what.block.x % what.block.y, i / what.block.x / what.block.y};
        thread.warp = &warps[i / 32];
        thread.lane = i % 32;
    }
    for (unsigned z = 0; z < what.grid.z; z++)
        for (unsigned y = 0; y < what.grid.y; y++)
            for (unsigned x = 0; x < what.grid.x; x++) {
                block_index = {x, y, z};
                Shared::block_number++;
                Shared::used = 0;
                memset(dynamic_shared, 0xff, shared);
                for (unsigned i = 0; i < warp_count; i++) {
                    unsigned lanes = count - 32 * i < 32 ? count - 32 * i : 32;
                    warps[i] = {0, 0, 0, lanes == 32 ? ~0u : (1u << lanes) - 1, 0, lanes, threads + 32 * i};
                }
                for (unsigned i = 0; i < count; i++)
                    threads[i].fetches.clear(), threads[i].fetch_group = 0;
                live = count, arrived = saying = 0;
                bool begins;
                Thread *first = next(warps[0], 31, begins);
                resume(&caller, *first, begins);
            }
    current = nullptr;
    launch = nullptr;
}

void add(const Kernel &kernel) {
    if (!table().emplace(kernel.name, kernel).second) {
        fprintf(stderr, "emulated GPU: two kernels are called %s\n", kernel.name);
        abort();
    }
}

const Kernel *find(const char *name) {
    auto found = table().find(name);
    return found == table().end() ? nullptr : &found->second;
}

} // namespace karat
