/* The files and folders under the root: what there is, what of it is durable, and what a crash may leave.
 *
 * A file's contents are durable as of its last fsync. An entry of a folder (a name made, renamed, removed) is durable once that
 * folder was synced; a sync of the file does not make its name durable. What there was when the program started is durable.
 * After a crash an entry stands anywhere in its own history since the last sync; a rename is atomic; names do not wait for
 * each other. That is weaker than ext4 or XFS, and what POSIX promises.
 */
#ifndef TREE_H
#define TREE_H
#include "trap.h"

enum { OBJECTS = 1 << 15, OPS = 1 << 16, NAME = 256, PATH = 4096, SECTOR = 512 };
#define NEVER UINT64_MAX

struct object {
    int folder, journal, dirty, saved; /* saved: its durable contents stand in the side folder */
    int fd, linked;                    /* linked: its live contents stand there as well */
    uint64_t device, inode;            /* inode 0: no longer there */
    uint64_t synced;                   /* durable size */
    uint64_t low, cut;                 /* first byte written since then, smallest size since then */
    uint64_t born, dirty_since;        /* milliseconds */
    uint32_t mode;
    char built[PATH / 4];              /* where a crash has put it */
};
struct entry {
    int folder, object; /* object -1: no such name */
    char name[NAME];
};
struct op {
    struct entry entries[2];
    int count, durable;
    int removed; /* the folder that is no longer, or 0 */
};
/* What the caller of the program reads afterwards, eight bytes each. */
struct report {
    uint64_t calls, crashed, journal_lag, entry_lag, lost_lag;
};

static struct object objects[OBJECTS];
static struct op ops[OPS];
static struct entry tree[OPS];
static unsigned char applied[OPS];
static int object_count, op_count, tree_size;
static struct report *report;
static char root[PATH], side[PATH];
static uint64_t random_state;

static uint64_t draw(uint64_t below) {
    uint64_t z = (random_state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    z ^= z >> 31;
    return below ? z % below : z;
}

static uint64_t now(void) {
    struct timespec t;
    sys(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void raise_to(uint64_t *most, uint64_t value) {
    if (value > *most) *most = value;
}

/* `folder`/`name`. */
static char *join(char *out, const char *folder, const char *name) {
    size_t a = strlen(folder), b = strlen(name);
    if (a + b + 2 > PATH) give_up("a path is too long");
    memcpy(out, folder, a);
    out[a] = '/';
    memcpy(out + a + 1, name, b + 1);
    return out;
}

/* The side folder's file of an object: `l` is what it was when the power failed, `d` its durable contents. */
static char *kept(char *out, int object, const char *what) {
    char name[32], *end = name + sizeof name;
    size_t n = strlen(what) + 1;
    end -= n;
    memcpy(end, what, n);
    do *--end = (char)('0' + object % 10);
    while (object /= 10);
    return join(out, side, end);
}

static int find(const struct stat *s) {
    for (int i = 0; i < object_count; i++)
        if (objects[i].inode == s->st_ino && objects[i].device == s->st_dev) return i;
    return -1;
}

static int add_object(const struct stat *s) {
    if (object_count == OBJECTS) give_up("too many files");
    struct object *o = &objects[object_count];
    o->folder = S_ISDIR(s->st_mode);
    o->device = s->st_dev, o->inode = s->st_ino, o->mode = s->st_mode & 07777;
    o->cut = NEVER, o->born = now();
    return object_count++;
}

/* An open file keeps its inode and its bytes, whatever the program does to its names. A second name would show. */
static void keep_file(int object, int folder_fd, const char *path) {
    long fd = sys(SYS_openat, folder_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);
    /* Far from those that the program gets. */
    long far = sys(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 300L);
    if (fd < 0 || far < 0) give_up("cannot open a file of the program");
    sys(SYS_close, fd);
    objects[object].fd = (int)far;
}

static int same(const struct entry *a, const struct entry *b) {
    return a->folder == b->folder && !strcmp(a->name, b->name);
}

/* Whether a change cannot last without an earlier one: of the same name, or in a folder that it removes. */
static int rests_on(const struct op *later, const struct op *earlier) {
    for (int j = 0; j < earlier->count; j++) {
        if (later->removed && earlier->entries[j].folder == later->removed) return 1;
        for (int i = 0; i < later->count; i++)
            if (same(&later->entries[i], &earlier->entries[j])) return 1;
    }
    return 0;
}

static void set_entry(struct op *op, int folder, const char *name, int object) {
    struct entry *e = &op->entries[op->count++];
    e->folder = folder, e->object = object;
    strcpy(e->name, name);
    size_t n = strlen(name);
    if (object >= 0) objects[object].journal = n > 8 && !strcmp(name + n - 8, ".journal");
}

static struct op *add_op(void) {
    if (op_count == OPS) give_up("too many changes of folders");
    return &ops[op_count++];
}

/* The folder was synced: what happened in it lasts, and what that rests on. */
static void sync_entries(int folder) {
    for (int i = op_count - 1; i >= 0; i--) {
        if (ops[i].durable) continue;
        int lasts = 0;
        /* A rename between folders lasts with the one that it goes to. */
        const struct entry *last = &ops[i].entries[ops[i].count - 1];
        if (last->folder == folder) lasts = 1;
        for (int j = i + 1; j < op_count && !lasts; j++) lasts = ops[j].durable && rests_on(&ops[j], &ops[i]);
        ops[i].durable = lasts;
    }
}

/* Copies what a file holds from there on; its length. */
static uint64_t copy_from(int object, uint64_t low, const char *what) {
    static char buffer[1 << 16];
    char to[PATH];
    long in = objects[object].fd, out = sys(SYS_open, kept(to, object, what), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), n;
    if (out < 0) give_up("cannot copy into the side folder");
    for (uint64_t at = low; (n = sys(SYS_pread64, in, buffer, sizeof buffer, at)) > 0; at += (uint64_t)n)
        if (sys(SYS_pwrite64, out, buffer, n, at) != n) give_up("the side folder is full");
    struct stat s;
    sys(SYS_fstat, in, &s);
    sys(SYS_ftruncate, out, s.st_size);
    sys(SYS_fchmod, out, (long)objects[object].mode);
    sys(SYS_close, out);
    return (uint64_t)s.st_size;
}

/* What it holds now is durable. */
static void save_from(int object, uint64_t low) {
    objects[object].synced = copy_from(object, low, "d");
    objects[object].saved = 1;
}

static void sync_file(int object) {
    struct object *o = &objects[object];
    if (!o->dirty) return;
    if (o->journal) raise_to(&report->journal_lag, now() - o->dirty_since);
    save_from(object, o->saved ? o->low : 0);
    o->dirty = 0, o->cut = NEVER;
}

/* Before the first change of a file that was there. */
static void save(int object) {
    struct object *o = &objects[object];
    if (!o->folder && !o->saved && !o->dirty) save_from(object, 0);
}

static void soil(int object, uint64_t from, uint64_t cut) {
    struct object *o = &objects[object];
    if (!o->dirty) o->dirty = 1, o->low = from, o->dirty_since = now();
    if (from < o->low) o->low = from;
    if (cut < o->cut) o->cut = cut;
}

/* ---- the crash ---------------------------------------------------------------------------------------------------- */

enum { NONE, ALL, A_PREFIX, ANY, WAYS };

/* Which entries there are after a crash that keeps of the changes that need not last none, all, the first or any. */
static void choose_entries(int way) {
    int pending = 0, first;
    for (int i = 0; i < op_count; i++) pending += !ops[i].durable;
    first = way == A_PREFIX ? (int)draw((uint64_t)pending + 1) : 0;
    for (int i = 0; i < op_count; i++) {
        int chosen = way == ALL || (way == A_PREFIX && first-- > 0) || (way == ANY && draw(2));
        if (ops[i].durable && way == A_PREFIX) first++;
        applied[i] = ops[i].durable || chosen;
        for (int j = 0; j < i && applied[i] && !ops[i].durable; j++)
            if (!applied[j] && rests_on(&ops[i], &ops[j])) applied[i] = 0;
    }
    tree_size = 0;
    for (int i = 0; i < op_count; i++) {
        for (int k = 0; k < ops[i].count && applied[i]; k++) {
            int at = 0;
            while (at < tree_size && !same(&tree[at], &ops[i].entries[k])) at++;
            tree[at] = ops[i].entries[k];
            if (at == tree_size) tree_size++;
        }
    }
}

static int reachable(int object) {
    for (int i = 0; i < tree_size; i++)
        if (tree[i].object == object) return tree[i].folder == 0 || reachable(tree[i].folder);
    return 0;
}

/* How long ago something was journalled that the crash may take. */
static void note_lags(void) {
    static unsigned char there[OBJECTS];
    choose_entries(ALL);
    for (int i = 0; i < object_count; i++) there[i] = objects[i].journal && reachable(i);
    choose_entries(NONE);
    for (int i = 0; i < object_count; i++) {
        if (!there[i]) continue;
        if (!reachable(i)) raise_to(&report->entry_lag, now() - objects[i].born);
        if (objects[i].dirty) raise_to(&report->lost_lag, now() - objects[i].dirty_since);
    }
}

static unsigned char *load(int object, const char *what, uint64_t *size) {
    char path[PATH];
    struct stat s;
    *size = 0;
    long fd = sys(SYS_open, kept(path, object, what), O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0 || sys(SYS_fstat, fd, &s) || !s.st_size) return NULL;
    *size = (uint64_t)s.st_size;
    long at = sys(SYS_mmap, NULL, s.st_size, PROT_READ, MAP_PRIVATE, fd, 0L);
    if (at < 0 && at > -4096) give_up("cannot read a file again");
    return (unsigned char *)at;
}

/* What a file that was not synced may hold. `out` has room for the longer one of the old and the new contents. */
static uint64_t tear(const struct object *o, unsigned char *out, const unsigned char *new, uint64_t size,
                     const unsigned char *old) {
    enum { OLD, NEW, CUT, ZEROS, GARBAGE, SECTORS, MODES };
    uint64_t synced = o->synced, equal = o->low;
    int mode = (int)draw(MODES);
    if (o->cut < equal) equal = o->cut;
    if (synced < equal) equal = synced;
    if (mode == OLD) return memcpy(out, old, synced), synced;
    if (mode == NEW) return memcpy(out, new, size), size;
    uint64_t tail = synced < o->cut ? synced : o->cut;
    memcpy(out, new, equal);
    /* What was overwritten in place: every sector is the old or the new one. */
    for (uint64_t at = equal, end; at < tail; at = end) {
        end = (at / SECTOR + 1) * SECTOR;
        if (end > tail) end = tail;
        memcpy(out + at, (draw(2) ? old : new) + at, end - at);
    }
    if (mode == SECTORS) {
        uint64_t whole = size < synced && draw(2) ? synced : size;
        for (uint64_t at = tail, end; at < whole; at = end) {
            end = (at / SECTOR + 1) * SECTOR;
            if (end > whole) end = whole;
            int from = (int)draw(3);
            for (uint64_t i = at; i < end; i++)
                out[i] = from == 0 && i < synced ? old[i] : from <= 1 && i < size ? new[i] : 0;
        }
        return whole;
    }
    uint64_t good = tail + draw(size - tail + 1);
    memcpy(out + tail, new + tail, good - tail);
    if (mode == CUT) return good;
    uint64_t whole = good + draw(size - good + 1);
    for (uint64_t i = good; i < whole; i++) out[i] = mode == ZEROS ? 0 : (unsigned char)draw(256);
    return whole;
}

static void put_file(int object, const char *path) {
    struct object *o = &objects[object];
    char name[PATH];
    if (o->built[0] || !o->dirty) {
        const char *from = o->built[0] ? o->built : kept(name, object, "l");
        if (sys(SYS_linkat, AT_FDCWD, from, AT_FDCWD, path, 0)) give_up("cannot put a file back");
        return;
    }
    uint64_t size, synced, room;
    unsigned char *new = load(object, "l", &size), *old = load(object, "d", &synced);
    if (synced != o->synced) give_up("the shim lost count of a file");
    room = (size > synced ? size : synced) + SECTOR;
    unsigned char *out = (unsigned char *)sys(SYS_mmap, NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1L, 0L);
    uint64_t whole = tear(o, out, new, size, old), at = 0;
    long fd = sys(SYS_open, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, o->mode), n;
    if (fd < 0) give_up("cannot write a torn file");
    sys(SYS_fchmod, fd, o->mode);
    for (; at < whole; at += (uint64_t)n)
        if ((n = sys(SYS_pwrite64, fd, out + at, whole - at, at)) <= 0) give_up("cannot write a torn file");
    sys(SYS_close, fd);
    if (strlen(path) < sizeof o->built) strcpy(o->built, path);
}

static void put_folder(int folder, const char *path) {
    char below[PATH];
    for (int i = 0; i < tree_size; i++) {
        if (tree[i].folder != folder || tree[i].object < 0) continue;
        const struct object *o = &objects[tree[i].object];
        join(below, path, tree[i].name);
        if (!o->folder) {
            put_file(tree[i].object, below);
            continue;
        }
        if (sys(SYS_mkdir, below, o->mode)) give_up("cannot make a folder again");
        put_folder(tree[i].object, below);
    }
}

struct dirent64 {
    uint64_t inode, offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

/* Calls `each` for all entries of a folder, and says how many there were. */
static int walk(const char *path, void (*each)(const char *path, const char *name, int folder, int below), int folder) {
    char buffer[4096], below[PATH];
    long fd = sys(SYS_open, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), n;
    int count = 0;
    if (fd < 0) give_up("cannot list a folder");
    while ((n = sys(SYS_getdents64, fd, buffer, sizeof buffer)) > 0) {
        for (long at = 0; at < n;) {
            struct dirent64 *d = (struct dirent64 *)(buffer + at);
            at += d->length;
            if (!strcmp(d->name, ".") || !strcmp(d->name, "..")) continue;
            each(join(below, path, d->name), d->name, folder, d->type == 4);
            count++;
        }
    }
    sys(SYS_close, fd);
    return count;
}

static void remove_below(const char *path, const char *name, int folder, int is_folder) {
    (void)name;
    /* Again, for some file systems pass over entries while others are removed. */
    while (is_folder && walk(path, remove_below, folder)) {}
    if (sys(is_folder ? SYS_rmdir : SYS_unlink, path)) give_up("cannot remove what the crash takes");
}

static void scan(const char *path, const char *name, int folder, int is_folder) {
    struct stat s;
    if (sys(SYS_newfstatat, AT_FDCWD, path, &s, AT_SYMLINK_NOFOLLOW)) give_up("cannot look at a file");
    int object = find(&s);
    if (object < 0) {
        object = add_object(&s);
        if (!is_folder) keep_file(object, AT_FDCWD, path), objects[object].synced = (uint64_t)s.st_size;
    }
    struct op *op = add_op();
    op->durable = 1;
    set_entry(op, folder, name, object);
    if (is_folder) walk(path, scan, object);
}

/* Brings the files that have a name into the side folder. */
static void link_file(const char *path, const char *name, int folder, int is_folder) {
    char to[PATH];
    struct stat s;
    (void)name;
    if (is_folder) {
        walk(path, link_file, folder);
        return;
    }
    int object = sys(SYS_newfstatat, AT_FDCWD, path, &s, AT_SYMLINK_NOFOLLOW) ? -1 : find(&s);
    if (object < 0 || objects[object].linked) return;
    if (sys(SYS_linkat, AT_FDCWD, path, AT_FDCWD, kept(to, object, "l"), 0)) give_up("cannot link into the side folder");
    objects[object].linked = 1;
}

/* The power fails, or the program alone is killed: then nothing is lost. */
static void crash(int lossless) {
    report->crashed = 1;
    if (!lossless) {
        note_lags();
        choose_entries((int)draw(WAYS));
        walk(root, link_file, 0);
        for (int i = 0; i < object_count; i++)
            if (!objects[i].folder && !objects[i].linked) copy_from(i, 0, "l");
        while (walk(root, remove_below, 0)) {}
        put_folder(0, root);
    }
    sys(SYS_kill, sys(SYS_getpid), SIGKILL);
    for (;;) sys(SYS_pause);
}
#endif
