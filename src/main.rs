//! The karat binary: everything is in the library's `cli`.

use std::alloc::{GlobalAlloc, Layout};

use mimalloc::MiMalloc;

/// The steps of a model allocate and free the same large buffers over and over. The C library's allocator gives them back
/// to the system each time and pays with page faults.
///
/// Where the system has no more memory, Rust ends a process by a signal; a batch job should hear a sentence and an exit code.
struct Allocator;

/// Memory that was asked for, or the end of the process.
fn given(pointer: *mut u8, bytes: usize) -> *mut u8 {
    if pointer.is_null() {
        karat::cli::out_of_memory(bytes);
    }
    pointer
}

// SAFETY: every call is mimalloc's own with the caller's arguments, and what it gives is passed on unchanged.
#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        given(unsafe { MiMalloc.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        given(unsafe { MiMalloc.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        given(unsafe { MiMalloc.realloc(pointer, layout, bytes) }, bytes)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> std::process::ExitCode {
    karat::cli::main()
}
