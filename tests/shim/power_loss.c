/* A power loss for one program: preloaded, it follows what the program does to the files below one folder, and at one of those
 * calls leaves the folder as a crash may leave it and kills the program.
 *
 *   cc -shared -fPIC -O1 -o power_loss.so power_loss.c
 *   KARAT_POWER_ROOT=/tmp/a KARAT_POWER_SIDE=/tmp/side KARAT_POWER_AT=17 KARAT_POWER_SEED=5 LD_PRELOAD=./power_loss.so program
 *
 * ROOT is the folder, an absolute path without links. SIDE is an empty folder elsewhere on the same file system. It keeps what
 * the crash may have to bring back (open files from number 300 on keep the rest), and `report` with the counts of `struct
 * report`. AT is the number of the call, from 1; 0 is the end of the program, after its last call. Without AT nothing fails and
 * the calls are counted. SEED chooses what is lost; where KARAT_POWER_LOSSLESS is set, nothing is: the program is killed between
 * two calls, as by SIGKILL.
 * tree.h says what a crash may leave, trap.h how calls are seen.
 *
 * Simple where that is on the safe side: data reaches the disk by fsync alone (or O_SYNC), never by closing, by age or by
 * sync_file_range and syncfs; fsync costs nothing here; a folder that was removed and comes back may be empty. Not seen, so
 * lost in a crash: links, devices, files of other processes. Not followed: files without a name (O_TMPFILE), mapped writes.
 */
#include "tree.h"

static int busy;
static uint64_t fail_at = NEVER;
static int fail_after, lossless;

static void lock(void) {
    while (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE)) sys(SYS_sched_yield);
}

static long unlock(long result) {
    __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
    return result;
}

/* Counts a call before and after it is carried out; the power fails on one side of it. */
static void before(void) {
    if (++report->calls == fail_at && !fail_after) crash(lossless);
}

static void after(void) {
    if (report->calls == fail_at) crash(lossless);
}

static int object_at(long folder_fd, const char *path, int flags) {
    struct stat s;
    return sys(SYS_newfstatat, folder_fd, path, &s, flags) ? -1 : find(&s);
}

static int object_of(long fd, struct stat *s) {
    return sys(SYS_fstat, fd, s) ? -1 : find(s);
}

/* A name in one of our folders. */
struct place {
    int folder;
    char name[NAME];
};

static int find_place(struct place *place, long folder_fd, const char *path) {
    char parent[PATH];
    size_t n = strlen(path), start;
    place->folder = -1;
    if (n >= PATH) return 0;
    while (n > 1 && path[n - 1] == '/') n--;
    for (start = n; start > 0 && path[start - 1] != '/';) start--;
    if (n == start || n - start >= NAME) return 0;
    memcpy(place->name, path + start, n - start);
    place->name[n - start] = 0;
    memcpy(parent, path, start);
    strcpy(parent + start, ".");
    place->folder = object_at(folder_fd, parent, 0);
    return place->folder >= 0 && strcmp(place->name, ".") && strcmp(place->name, "..");
}

/* A file that came from elsewhere; nothing of it is durable here. */
static int adopt(long folder_fd, const char *path) {
    struct stat s;
    if (sys(SYS_newfstatat, folder_fd, path, &s, AT_SYMLINK_NOFOLLOW)) return -1;
    int object = find(&s);
    if (object >= 0) return object;
    object = add_object(&s);
    if (S_ISDIR(s.st_mode)) return object;
    keep_file(object, (int)folder_fd, path);
    objects[object].saved = 1;
    if (s.st_size) soil(object, 0, NEVER);
    return object;
}

static void new_entry(const struct place *place, int object) {
    set_entry(add_op(), place->folder, place->name, object);
}

static long open_file(long folder_fd, const char *path, int flags, long mode) {
    struct place place;
    int writes = (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
    if (!writes || flags & (O_TMPFILE & ~O_DIRECTORY)) return sys(SYS_openat, folder_fd, path, (long)flags, mode);
    lock();
    int object = object_at(folder_fd, path, 0);
    int inside = find_place(&place, folder_fd, path);
    if (object < 0 && !inside) {
        unlock(0);
        return sys(SYS_openat, folder_fd, path, (long)flags, mode);
    }
    int changes = object < 0 ? flags & O_CREAT : flags & O_TRUNC;
    if (object >= 0) save(object);
    if (changes) before();
    long fd = sys(SYS_openat, folder_fd, path, (long)flags, mode);
    if (fd < 0) return unlock(fd);
    if (object < 0) {
        int made = adopt(folder_fd, path);
        if (made >= 0) new_entry(&place, made);
    } else if (changes) {
        soil(object, 0, 0);
    }
    if (changes) after();
    return unlock(fd);
}

/* `at` is where it is written to, negative for the file's own position. */
static long write_file(long nr, const long a[6], long fd, long at) {
    struct stat s;
    lock();
    int object = object_of(fd, &s);
    if (object < 0 || objects[object].folder) {
        unlock(0);
        return sys(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
    long flags = sys(SYS_fcntl, fd, F_GETFL);
    before();
    if (at < 0) at = sys(SYS_lseek, fd, 0L, SEEK_CUR);
    if (flags & O_APPEND || at > s.st_size) at = s.st_size;
    long n = sys(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (n > 0 || nr == SYS_fallocate) soil(object, (uint64_t)at, NEVER);
    if (flags & O_DSYNC) sync_file(object);
    after();
    return unlock(n);
}

static long sync_fd(long nr, long fd) {
    struct stat s;
    lock();
    int object = object_of(fd, &s);
    if (object < 0) {
        unlock(0);
        return sys(nr, fd);
    }
    before();
    if (objects[object].folder) sync_entries(object);
    else sync_file(object);
    after();
    return unlock(0);
}

static long cut_file(long nr, const long a[6]) {
    struct stat s;
    lock();
    int object = nr == SYS_ftruncate ? object_of(a[0], &s) : object_at(AT_FDCWD, (const char *)a[0], 0);
    if (object < 0) {
        unlock(0);
        return sys(nr, a[0], a[1]);
    }
    save(object);
    before();
    uint64_t size = (uint64_t)a[1];
    if (nr == SYS_ftruncate && size > (uint64_t)s.st_size) size = (uint64_t)s.st_size;
    long result = sys(nr, a[0], a[1]);
    if (!result) soil(object, size, size);
    after();
    return unlock(result);
}

static long rename_file(long from_fd, const char *from, long to_fd, const char *to, long flags) {
    struct place old, new;
    lock();
    int from_inside = find_place(&old, from_fd, from), to_inside = find_place(&new, to_fd, to);
    if (!from_inside && !to_inside) {
        unlock(0);
        return sys(SYS_renameat2, from_fd, from, to_fd, to, flags);
    }
    before();
    int object = object_at(from_fd, from, AT_SYMLINK_NOFOLLOW);
    int other = flags & RENAME_EXCHANGE ? object_at(to_fd, to, AT_SYMLINK_NOFOLLOW) : -1;
    long result = sys(SYS_renameat2, from_fd, from, to_fd, to, flags);
    if (result) return unlock(result);
    if (object < 0) object = adopt(to_fd, to);
    struct op *op = add_op();
    if (from_inside) set_entry(op, old.folder, old.name, other);
    if (to_inside) set_entry(op, new.folder, new.name, object);
    after();
    return unlock(0);
}

static long make_link(const long a[6]) {
    struct place new;
    lock();
    int inside = find_place(&new, a[2], (const char *)a[3]);
    if (!inside) {
        unlock(0);
        return sys(SYS_linkat, a[0], a[1], a[2], a[3], a[4]);
    }
    before();
    long result = sys(SYS_linkat, a[0], a[1], a[2], a[3], a[4]);
    if (!result) new_entry(&new, adopt(a[2], (const char *)a[3]));
    after();
    return unlock(result);
}

static long remove_entry(long folder_fd, const char *path, long flags) {
    struct place place;
    lock();
    if (!find_place(&place, folder_fd, path)) {
        unlock(0);
        return sys(SYS_unlinkat, folder_fd, path, flags);
    }
    before();
    int object = object_at(folder_fd, path, AT_SYMLINK_NOFOLLOW);
    long result = sys(SYS_unlinkat, folder_fd, path, flags);
    if (!result) {
        new_entry(&place, -1);
        /* Its number may be given to the next folder. */
        if (object >= 0 && objects[object].folder) objects[object].inode = 0, ops[op_count - 1].removed = object;
    }
    after();
    return unlock(result);
}

static long make_folder(long folder_fd, const char *path, long mode) {
    struct place place;
    lock();
    if (!find_place(&place, folder_fd, path)) {
        unlock(0);
        return sys(SYS_mkdirat, folder_fd, path, mode);
    }
    before();
    long result = sys(SYS_mkdirat, folder_fd, path, mode);
    if (!result) new_entry(&place, adopt(folder_fd, path));
    after();
    return unlock(result);
}

static long carry_out(long nr, const long a[6]) {
    const char *one = (const char *)a[0], *two = (const char *)a[1];
    switch (nr) {
    case SYS_open: return open_file(AT_FDCWD, one, (int)a[1], a[2]);
    case SYS_creat: return open_file(AT_FDCWD, one, O_CREAT | O_WRONLY | O_TRUNC, a[1]);
    case SYS_openat: return open_file((int)a[0], two, (int)a[2], a[3]);
    case SYS_write:
    case SYS_writev: return write_file(nr, a, a[0], -1);
    case SYS_pwrite64:
    case SYS_pwritev: return write_file(nr, a, a[0], a[3]);
    case SYS_pwritev2:
    case SYS_sendfile: return write_file(nr, a, a[0], 0);
    case SYS_copy_file_range: return write_file(nr, a, a[2], 0);
    case SYS_fallocate: return write_file(nr, a, a[0], a[2]);
    case SYS_fsync:
    case SYS_fdatasync: return sync_fd(nr, a[0]);
    case SYS_truncate:
    case SYS_ftruncate: return cut_file(nr, a);
    case SYS_rename: return rename_file(AT_FDCWD, one, AT_FDCWD, two, 0);
    case SYS_renameat: return rename_file((int)a[0], two, (int)a[2], (const char *)a[3], 0);
    case SYS_renameat2: return rename_file((int)a[0], two, (int)a[2], (const char *)a[3], a[4]);
    case SYS_link: return make_link((const long[6]){AT_FDCWD, a[0], AT_FDCWD, a[1]});
    case SYS_linkat: return make_link(a);
    case SYS_unlink: return remove_entry(AT_FDCWD, one, 0);
    case SYS_rmdir: return remove_entry(AT_FDCWD, one, AT_REMOVEDIR);
    case SYS_unlinkat: return remove_entry((int)a[0], two, a[2]);
    case SYS_mkdir: return make_folder(AT_FDCWD, one, a[1]);
    case SYS_mkdirat: return make_folder((int)a[0], two, a[2]);
    default: give_up("a call was trapped that is not known");
    }
    return -ENOSYS;
}

static const char *setting(char *out, const char *name) {
    const char *value = getenv(name);
    if (!value || strlen(value) >= PATH) give_up(name);
    return strcpy(out, value);
}

__attribute__((constructor)) static void begin(void) {
    char path[PATH];
    struct stat s;
    setting(root, "KARAT_POWER_ROOT"), setting(side, "KARAT_POWER_SIDE");
    const char *at = getenv("KARAT_POWER_AT"), *seed = getenv("KARAT_POWER_SEED");
    if (at) fail_at = strtoull(at, NULL, 10);
    lossless = getenv("KARAT_POWER_LOSSLESS") != NULL;
    random_state = seed ? strtoull(seed, NULL, 10) : 0;
    fail_after = (int)draw(2);
    long fd = sys(SYS_open, join(path, side, "report"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || sys(SYS_ftruncate, fd, sizeof *report)) give_up("KARAT_POWER_SIDE is no empty folder");
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
    sys(SYS_close, fd);
    if (report == MAP_FAILED || sys(SYS_newfstatat, AT_FDCWD, root, &s, 0)) give_up("KARAT_POWER_ROOT is no folder");
    add_object(&s);
    walk(root, scan, 0);
    trap_calls();
}

__attribute__((destructor)) static void end(void) {
    if (!report) return;
    lock();
    if (!fail_at) crash(lossless);
    note_lags();
    unlock(0);
}
