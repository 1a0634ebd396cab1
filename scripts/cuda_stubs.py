#!/usr/bin/env python3
"""Writes static libraries that stand for NVIDIA's when karat is linked, and find the real ones when it runs.

    cuda_stubs.py CUDARC_SOURCES OUT_FOLDER

A function of lib*.a jumps through a pointer. At its first call the real library is opened (dlopen) and the pointer set to
the real function; where there is no library, to one that returns an error. So one program starts on machines with and
without a driver, and says what is missing. KARAT_CUDA_LIBRARIES=1 prints what is opened.

Only for x86-64 and the System V calling convention: the first call keeps every register that may hold an argument.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

# Library, module of cudarc, file, what a call returns where the file is missing. The driver's is CUDA_ERROR_STUB_LIBRARY,
# which a real driver does not return: karat tells a missing driver from a missing GPU by it.
LIBRARIES = [
    ("cuda", "driver", "libcuda.so.1", 34),
    ("cublas", "cublas", "libcublas.so.13", 1),  # CUBLAS_STATUS_NOT_INITIALIZED
    ("cublasLt", "cublaslt", "libcublasLt.so.13", 1),
    ("nvrtc", "nvrtc", "libnvrtc.so.13", 11),  # NVRTC_ERROR_INTERNAL_ERROR
]

# Where the dynamic linker does not look by itself: containers, NVIDIA's installer.
FOLDERS = {"cuda": ["/usr/local/nvidia/lib64"]}
TOOLKIT = ["/usr/local/cuda/lib64", "/usr/local/cuda/targets/x86_64-linux/lib"]

RESOLVER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static const char *const files[] = {@FILES@, 0};
extern const char *const karat_@NAME@_names[];
extern void *karat_@NAME@_functions[];
static void *library;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static long missing(void) { return @MISSING@; }
static void open_library(void) {
    for (int i = 0; !library && files[i]; i++) {
        library = dlopen(files[i], RTLD_LAZY | RTLD_GLOBAL);
        if (getenv("KARAT_CUDA_LIBRARIES")) fprintf(stderr, "%s: %s\n", files[i], library ? "opened" : dlerror());
    }
}
__attribute__((visibility("hidden"))) void *karat_@NAME@_resolve(unsigned long i) {
    pthread_once(&once, open_library);
    void *function = library ? dlsym(library, karat_@NAME@_names[i]) : 0;
    if (!function) function = (void *)missing;
    __atomic_store_n(&karat_@NAME@_functions[i], function, __ATOMIC_RELEASE);
    return function;
}
"""

INTEGERS = ["rdi", "rsi", "rdx", "rcx", "r8", "r9", "rax", "r10"]


def assembly(name, functions):
    """Entry points, their pointers and names. %r11 carries the index: the convention leaves it to such glue."""
    saved = [f"mov %{register},{8 * i}(%rsp)" for i, register in enumerate(INTEGERS)]
    saved += [f"movups %xmm{i},{64 + 16 * i}(%rsp)" for i in range(8)]
    restored = [f"movups {64 + 16 * i}(%rsp),%xmm{i}" for i in range(8)]
    restored += [f"mov {8 * i}(%rsp),%{register}" for i, register in enumerate(INTEGERS)]
    lines = [".text", f".hidden karat_{name}_resolve", "first:"]
    lines += ["push %rbp", "mov %rsp,%rbp", "and $-16,%rsp", "sub $192,%rsp", *saved]
    lines += ["mov %r11,%rdi", f"call karat_{name}_resolve", "mov %rax,%r11", *restored]
    lines += ["mov %rbp,%rsp", "pop %rbp", "jmp *%r11"]
    for i, function in enumerate(functions):
        lines += [f".globl {function}", f".type {function},@function", f"{function}:"]
        lines += [f"jmp *karat_{name}_functions+{8 * i}(%rip)", f".size {function},.-{function}"]
        lines += [f".L{i}: mov ${i},%r11d", "jmp first"]
    lines += [".data", ".balign 8", f".globl karat_{name}_functions", f".hidden karat_{name}_functions"]
    lines += [f"karat_{name}_functions:", *(f".quad .L{i}" for i in range(len(functions)))]
    lines += ['.section .data.rel.ro,"aw"', ".balign 8", f".globl karat_{name}_names", f".hidden karat_{name}_names"]
    lines += [f"karat_{name}_names:", *(f".quad .N{i}" for i in range(len(functions)))]
    lines += [".section .rodata", *(f'.N{i}: .string "{function}"' for i, function in enumerate(functions))]
    return "\n".join([*lines, '.section .note.GNU-stack,"",@progbits', ""])


def main():
    sources, out = map(pathlib.Path, sys.argv[1:])
    for name, module, file, missing in LIBRARIES:
        text = (sources / module / "sys" / "mod.rs").read_text()
        declared = re.findall(r'extern "C" \{\s*(?:#\[[^\]]*\]\s*)*(?:pub )?fn (\w+)\s*\(', text)
        functions = sorted(set(declared))
        if not functions:
            sys.exit(f"no functions of {file} in {sources / module}")
        files = [file, *(f"{folder}/{file}" for folder in FOLDERS.get(name, TOOLKIT))]
        resolver = RESOLVER.replace("@NAME@", name).replace("@MISSING@", str(missing))
        resolver = resolver.replace("@FILES@", ", ".join(f'"{path}"' for path in files))
        archive = out / f"lib{name}.a"
        archive.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            resolve, entries = os.path.join(folder, f"{name}_resolve"), os.path.join(folder, f"{name}_entries")
            pathlib.Path(resolve + ".c").write_text(resolver)
            pathlib.Path(entries + ".s").write_text(assembly(name, functions))
            for source, object_file in [(resolve + ".c", resolve + ".o"), (entries + ".s", entries + ".o")]:
                subprocess.run(["gcc", "-O2", "-fPIC", "-c", "-o", object_file, source], check=True)
            subprocess.run(["ar", "rcs", archive, resolve + ".o", entries + ".o"], check=True)
        print(f"{archive.name}: {len(functions)} functions of {file}")


if __name__ == "__main__":
    main()
