// Opening, reading, writing, describing and locking files.
#include "show.h"
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/xattr.h>

int main(void) {
    char name[] = "/tmp/apus-files-XXXXXX", path[200], buffer[100];
    TRUE(mkdtemp(name) != NULL);
    SHOW(chdir(name));
    umask(022);
    int f = open("a", O_RDWR | O_CREAT | O_EXCL, 0666);
    TRUE(f >= 3);
    SHOW(open("a", O_RDWR | O_CREAT | O_EXCL, 0666));
    SHOW(open("a", O_RDONLY | O_DIRECTORY));
    SHOW(open("none", O_RDONLY));
    SHOW(open(BAD, O_RDONLY));
    SHOW(write(f, "hello, world", 12));
    SHOW(write(f, BAD, 12));
    SHOW(lseek(f, 0, SEEK_SET));
    SHOW(lseek(f, -1, SEEK_SET));
    SHOW(lseek(f, 0, SEEK_HOLE));
    SHOW(read(f, buffer, 5));
    SHOW(read(f, BAD, 5));
    SHOW(pread(f, buffer, 5, 7));
    printf("%.5s\n", buffer);
    SHOW(pwrite(f, "W", 1, 7));
    struct iovec v[3] = {{buffer, 3}, {buffer + 50, 4}, {NULL, 0}};
    SHOW(lseek(f, 0, SEEK_SET));
    SHOW(readv(f, v, 3));
    printf("%.3s %.4s\n", buffer, buffer + 50);
    SHOW(readv(f, v, -1));
    SHOW(writev(f, (struct iovec *)BAD, 1));
    SHOW(preadv(f, v, 2, 4));
    SHOW(pwritev(f, v, 2, 100));
    SHOW(preadv2(f, v, 2, -1, 0));
    SHOW(preadv2(f, v, 2, 0, RWF_NOWAIT | 0x4000));
    struct stat s;
    SHOW(fstat(f, &s));
    printf("%o %ld %ld %d\n", s.st_mode, (long)s.st_size, (long)s.st_nlink, s.st_uid == getuid());
    TRUE(s.st_blksize == 4096);
    TRUE(s.st_mtim.tv_sec > 1600000000 && s.st_ino != 0 && s.st_dev != 0);
    SHOW(fstat(f, BAD));
    SHOW(fstat(99, &s));
    SHOW(stat("/dev/null", &s));
    printf("%o %lx\n", s.st_mode, (long)s.st_rdev);
    SHOW(fstatat(f, "", &s, AT_EMPTY_PATH));
    SHOW(fstatat(AT_FDCWD, "", &s, 0));
    struct statx x;
    SHOW(statx(AT_FDCWD, "a", 0, STATX_ALL, &x));
    printf("%o %lld %d\n", x.stx_mode, x.stx_size, x.stx_nlink);
    SHOW(statx(AT_FDCWD, "a", 0, STATX_ALL, BAD));
    struct statfs fs;
    SHOW(fstatfs(f, &fs));
    TRUE(fs.f_bsize == 4096 && fs.f_namelen == 255 && fs.f_blocks > 0);
    SHOW(statfs("/proc", &fs));
    printf("%lx\n", (long)fs.f_type);
    SHOW(ftruncate(f, 5000));
    SHOW(truncate("a", 6000));
    SHOW(fallocate(f, 0, 0, 8192));
    SHOW(fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
    SHOW(fstat(f, &s));
    printf("%ld\n", (long)s.st_size);
    SHOW(fsync(f));
    SHOW(fdatasync(f));
    SHOW(sync_file_range(f, 0, 0, SYNC_FILE_RANGE_WRITE));
    SHOW(posix_fadvise(f, 0, 0, POSIX_FADV_SEQUENTIAL));
    SHOW(readahead(f, 0, 4096));
    SHOW(fchmod(f, 0640));
    SHOW(chmod("a", 04755));
    SHOW(fstat(f, &s));
    printf("%o\n", s.st_mode);
    SHOW(fchown(f, -1, -1));
    SHOW(chown("a", getuid(), getgid()));
    SHOW(lchown("none", 0, 0));
    SHOW(access("a", R_OK | W_OK));
    SHOW(access("none", F_OK));
    SHOW(faccessat(AT_FDCWD, "a", X_OK, AT_EACCESS));
    struct timespec t[2] = {{1000, 5}, {2000, 7}};
    SHOW(utimensat(AT_FDCWD, "a", t, 0));
    SHOW(fstat(f, &s));
    printf("%ld.%ld %ld.%ld\n", (long)s.st_atim.tv_sec, s.st_atim.tv_nsec, (long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
    t[0].tv_nsec = UTIME_OMIT; t[1].tv_nsec = UTIME_NOW;
    SHOW(futimens(f, t));
    SHOW(utimensat(AT_FDCWD, "a", BAD, 0));

    // Descriptors
    int d = dup(f);
    TRUE(d > f);
    SHOW(dup2(f, 50));
    SHOW(dup3(f, 50, O_CLOEXEC));
    SHOW(dup3(f, f, 0));
    SHOW(fcntl(50, F_GETFD));
    SHOW(fcntl(50, F_SETFD, 0));
    SHOW(fcntl(50, F_GETFD));
    SHOW(fcntl(f, F_DUPFD_CLOEXEC, 60));
    SHOW(fcntl(60, F_GETFD));
    SHOW(fcntl(f, F_GETFL) & ~0100000);
    SHOW(fcntl(f, F_SETFL, O_APPEND | O_NONBLOCK));
    SHOW(fcntl(f, F_GETFL) & ~0100000);
    SHOW(fcntl(f, F_SETFL, 0));
    SHOW(fcntl(f, 9999));
    SHOW(fcntl(99, F_GETFD));
    SHOW(syscall(SYS_close_range, 50, 70, 0));
    SHOW(fcntl(60, F_GETFD));
    SHOW(close(d));
    SHOW(close(d));

    // Locks, also those of another process
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 20};
    SHOW(fcntl(f, F_SETLK, &l));
    fflush(stdout);
    if (fork() == 0) {
        l = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
        SHOW(fcntl(f, F_GETLK, &l));
        printf("%d %d %ld %ld %d\n", l.l_type, l.l_whence, (long)l.l_start, (long)l.l_len, l.l_pid == getppid());
        l = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 12, .l_len = 1};
        SHOW(fcntl(f, F_SETLK, &l));
        int g = open("a", O_RDWR);
        SHOW(flock(g, LOCK_EX | LOCK_NB));
        l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
        SHOW(fcntl(g, F_OFD_SETLK, &l));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    SHOW(fcntl(f, F_SETLK, BAD));
    SHOW(flock(f, LOCK_SH));
    SHOW(flock(f, LOCK_UN));
    SHOW(fcntl(f, F_SETLEASE, F_UNLCK));
    struct f_owner_ex owner = {F_OWNER_PID, getpid()};
    SHOW(fcntl(f, F_SETOWN_EX, &owner));
    owner.pid = 0;
    SHOW(fcntl(f, F_GETOWN_EX, &owner));
    TRUE(owner.pid == getpid());
    TRUE(fcntl(f, F_GETOWN) == getpid());
    SHOW(fcntl(f, F_SETSIG, SIGUSR1));
    SHOW(fcntl(f, F_GETSIG));

    // Pipes, copies between descriptors
    int p[2], q[2];
    SHOW(pipe2(p, O_CLOEXEC | O_NONBLOCK));
    SHOW(pipe2(q, O_DIRECT));
    SHOW(pipe(BAD));
    SHOW(read(p[0], buffer, 10));
    SHOW(fcntl(p[0], F_GETPIPE_SZ));
    SHOW(fcntl(p[0], F_SETPIPE_SZ, 4096));
    off_t at = 0;
    SHOW(sendfile(p[1], f, &at, 100));
    SHOW(at);
    SHOW(tee(p[0], q[1], 50, 0));
    SHOW(splice(p[0], NULL, q[1], NULL, 100, 0));
    loff_t from = 0, to = 0;
    int g = open("b", O_RDWR | O_CREAT, 0600);
    SHOW(splice(q[0], NULL, g, &to, 100, 0));
    SHOW(to);
    to = 0;
    SHOW(copy_file_range(f, &from, g, &to, 200, 0));
    printf("%ld %ld\n", (long)from, (long)to);
    v[0].iov_len = 4;
    SHOW(vmsplice(q[1], v, 1, 0));
    SHOW(close(p[0]));
    signal(SIGPIPE, SIG_IGN);
    SHOW(write(p[1], "x", 1));
    int m = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    TRUE(m > 0);
    SHOW(ftruncate(m, 100));
    SHOW(fcntl(m, F_ADD_SEALS, F_SEAL_SHRINK));
    SHOW(fcntl(m, F_GET_SEALS));
    SHOW(ftruncate(m, 10));

    // Extended attributes
    WORKS(setxattr("a", "user.colour", "green", 5, XATTR_CREATE));
    SHOW(setxattr("a", "user.colour", "green", 5, XATTR_CREATE));
    SHOW(getxattr("a", "user.colour", buffer, 100));
    printf("%.5s\n", buffer);
    SHOW(fgetxattr(f, "user.colour", buffer, 2));
    SHOW(listxattr("a", buffer, 100));
    SHOW(lgetxattr("a", "user.none", buffer, 100));
    SHOW(removexattr("a", "user.colour"));

    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    WORKS(syscall(SYS_openat2, AT_FDCWD, "a", &how, sizeof how));
    symlink("a", "l");
    SHOW(syscall(SYS_openat2, AT_FDCWD, "l", &how, sizeof how));
    SHOW(syscall(SYS_openat2, AT_FDCWD, "a", &how, 4));
    struct { struct open_how how; long more; } large = {how, 1};
    SHOW(syscall(SYS_openat2, AT_FDCWD, "a", &large, sizeof large));
    WORKS(open("/tmp", O_TMPFILE | O_RDWR, 0600));
    SHOW(open("l", O_RDONLY | O_NOFOLLOW));
    WORKS(open("l", O_PATH | O_NOFOLLOW));
    unlink("a"); unlink("b"); unlink("l");
    chdir("/");
    SHOW(rmdir(name));
    (void)path;
}
