/* System calls of a program, trapped inside the program itself.
 *
 * Names of libc functions are not enough: rustix, which the tempfile crate uses, makes its system calls itself. So a seccomp
 * filter has the kernel raise SIGSYS for every call that may change a file, and the handler carries the call out, through the
 * one `syscall` instruction that the filter lets pass. Neither a debugger nor a second process is needed. The filter outlives
 * `exec`, the handler does not: a traced program must start no other one (an empty PATH sees to that).
 */
#ifndef TRAP_H
#define TRAP_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

#if !defined(__x86_64__) || !defined(__linux__)
#error "the shim of power losses knows the system calls of Linux on x86-64 only"
#endif

/* A system call that is not trapped; gives -errno where it fails. */
__attribute__((visibility("hidden"))) long sys(long nr, ...);
extern __attribute__((visibility("hidden"))) const char after_sys[];
__asm__(".text\n.type sys,@function\n.hidden sys\n.hidden after_sys\nsys:\n"
        "mov %rdi,%rax\nmov %rsi,%rdi\nmov %rdx,%rsi\nmov %rcx,%rdx\nmov %r8,%r10\nmov %r9,%r8\nmov 8(%rsp),%r9\n"
        "syscall\nafter_sys:\nret\n");

/* Ends the program for a reason that is no power loss: the test must fail. */
static void give_up(const char *why) {
    sys(SYS_write, 2, "power_loss: ", 12L);
    sys(SYS_write, 2, why, (long)strlen(why));
    sys(SYS_write, 2, "\n", 1L);
    sys(SYS_exit_group, 99);
}

/* What may change a file or a folder. Other ways (mmap, io_uring, symbolic links) are not seen. */
static const int TRAPPED[] = {
    SYS_open, SYS_openat, SYS_creat, SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev, SYS_pwritev2, SYS_fsync,
    SYS_fdatasync, SYS_ftruncate, SYS_truncate, SYS_rename, SYS_renameat, SYS_renameat2, SYS_link, SYS_linkat, SYS_unlink,
    SYS_unlinkat, SYS_rmdir, SYS_mkdir, SYS_mkdirat, SYS_copy_file_range, SYS_sendfile, SYS_fallocate,
};
enum { TRAPPED_COUNT = sizeof TRAPPED / sizeof *TRAPPED };

/* Carries a trapped call out; the result is the kernel's. */
static long carry_out(long nr, const long a[6]);

static void on_trap(int signal, siginfo_t *info, void *context) {
    (void)signal;
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const long a[6] = {r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]};
    r[REG_RAX] = carry_out(info->si_syscall, a);
}

static void trap_calls(void) {
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    if (sigaction(SIGSYS, &action, NULL)) give_up("no handler for SIGSYS");
    struct sock_filter code[TRAPPED_COUNT + 12];
    int n = 0;
    const uint64_t let_pass = (uint64_t)(uintptr_t)after_sys;
#define LOAD(field, more) (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field) + (more))
#define EQUAL(value, yes, no) (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), yes, no)
#define RETURN(value) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, value)
    code[n++] = LOAD(arch, 0);
    code[n++] = EQUAL(AUDIT_ARCH_X86_64, 1, 0);
    code[n++] = RETURN(SECCOMP_RET_ALLOW);
    code[n++] = LOAD(nr, 0);
    for (int i = 0; i < TRAPPED_COUNT; i++) code[n++] = EQUAL(TRAPPED[i], TRAPPED_COUNT - i, 0);
    code[n++] = RETURN(SECCOMP_RET_ALLOW);
    code[n++] = LOAD(instruction_pointer, 0);
    code[n++] = EQUAL(let_pass, 0, 3);
    code[n++] = LOAD(instruction_pointer, 4);
    code[n++] = EQUAL(let_pass >> 32, 0, 1);
    code[n++] = RETURN(SECCOMP_RET_ALLOW);
    code[n++] = RETURN(SECCOMP_RET_TRAP);
    struct sock_fprog program = {.len = (unsigned short)n, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || sys(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
        give_up("the system takes no seccomp filter");
}
#endif
