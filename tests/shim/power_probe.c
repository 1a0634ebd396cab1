/* Writes files in the current folder as its argument says, and tells on standard output what it has made durable: what the
 * shim of power losses is tested with. Every record is RECORD bytes of one letter and a line break.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RECORD = 700, RECORDS = 20 };

static void must(int good, const char *what) {
    if (!good) {
        perror(what);
        exit(1);
    }
}

static void record(int fd, int n) {
    char bytes[RECORD];
    memset(bytes, 'a' + n, RECORD - 1);
    bytes[RECORD - 1] = '\n';
    must(write(fd, bytes, RECORD) == RECORD, "write");
}

static void sync_folder(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    must(fd >= 0 && !fsync(fd) && !close(fd), "sync a folder");
}

static int create(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND, 0644);
    must(fd >= 0, "create");
    return fd;
}

static void tell(int n) {
    char line[16];
    int length = snprintf(line, sizeof line, "%d\n", n);
    must(write(1, line, (size_t)length) == length, "tell");
}

/* A name that is durable, records that are not. */
static void unsynced(void) {
    int fd = create("file");
    sync_folder(".");
    for (int i = 0; i < RECORDS; i++) record(fd, i);
    tell(RECORDS);
}

/* Records that are durable, in a file whose name is not. */
static void nameless(void) {
    int fd = create("file");
    for (int i = 0; i < RECORDS; i++) record(fd, i);
    must(!fdatasync(fd), "sync");
    tell(RECORDS);
}

/* A new folder that its own folder was not synced for; all below it was. */
static void in_new_folder(void) {
    must(!mkdir("new", 0755), "make a folder");
    int fd = create("new/file");
    record(fd, 0);
    must(!fsync(fd), "sync");
    sync_folder("new");
    tell(1);
}

/* A journal: each record durable before the next one. */
static void journal(void) {
    int fd = create("file");
    sync_folder(".");
    for (int i = 0; i < RECORDS; i++) {
        record(fd, i);
        must(!fdatasync(fd), "sync");
        tell(i + 1);
    }
}

/* One file, replaced as a whole; `rename` without libc, as some libraries do it. */
static void replace(void) {
    for (int i = 0; i < RECORDS; i++) {
        int fd = create("next");
        for (int k = 0; k <= i; k++) record(fd, k);
        must(!fsync(fd) && !close(fd), "sync");
        long result;
        __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_rename), "D"("next"), "S"("file") : "rcx", "r11", "memory");
        must(!result, "rename");
        sync_folder(".");
        tell(i + 1);
    }
}

/* A file that is overwritten in place, cut and removed. */
static void changes(void) {
    int fd = open("there", O_WRONLY);
    must(fd >= 0 && pwrite(fd, "new", 3, 0) == 3, "overwrite");
    int cut = open("cut", O_WRONLY);
    must(cut >= 0 && !ftruncate(cut, 10), "cut");
    must(!unlink("gone"), "remove");
    must(!rename("sub/old", "moved"), "move");
    must(!rmdir("sub"), "remove a folder");
    tell(1);
}

int main(int count, char **args) {
    const struct {
        const char *name;
        void (*act)(void);
    } acts[] = {{"unsynced", unsynced}, {"nameless", nameless}, {"in_new_folder", in_new_folder}, {"journal", journal},
                {"replace", replace},   {"changes", changes}};
    for (size_t i = 0; count == 2 && i < sizeof acts / sizeof *acts; i++) {
        if (strcmp(args[1], acts[i].name)) continue;
        acts[i].act();
        return 0;
    }
    return 1;
}
