// Names in directories.
#include "show.h"
#include <dirent.h>
#include <limits.h>

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void list(const char *path) {
    char *names[100];
    int count = 0;
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        char line[300];
        snprintf(line, sizeof line, "%s/%d", e->d_name, e->d_type);
        if (count < 100) names[count++] = strdup(line);
    }
    if (d) closedir(d);
    qsort(names, count, sizeof *names, compare);
    for (int i = 0; i < count; i++) printf("%s ", names[i]);
    printf("\n");
}

int main(void) {
    char name[] = "/tmp/apus-directories-XXXXXX", buffer[PATH_MAX];
    TRUE(mkdtemp(name) != NULL);
    SHOW(chdir(name));
    TRUE(getcwd(buffer, sizeof buffer) && !strcmp(buffer, name));
    SHOW(syscall(SYS_getcwd, buffer, 3));
    SHOW(mkdir("d", 0755));
    SHOW(mkdir("d", 0755));
    SHOW(mkdir(BAD, 0755));
    SHOW(symlink("d", "l"));
    SHOW(readlink("l", buffer, sizeof buffer));
    SHOW(readlink("d", buffer, sizeof buffer));
    SHOW(readlink("l", buffer, 0));
    SHOW(readlink("l", BAD, 10));
    SHOW(close(open("d/f", O_CREAT | O_WRONLY, 0644)));
    SHOW(link("d/f", "d/g"));
    SHOW(rename("d/g", "h"));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "h", AT_FDCWD, "d/f", 1));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "h", AT_FDCWD, "d/f", 2));
    SHOW(mknod("fifo", S_IFIFO | 0600, 0));
    int d = open("d", O_RDONLY | O_DIRECTORY);
    SHOW(mkdirat(d, "e", 0700));
    SHOW(symlinkat("x", d, "s"));
    SHOW(readlinkat(d, "s", buffer, 10));
    SHOW(faccessat(d, "f", R_OK, 0));
    SHOW(linkat(d, "f", AT_FDCWD, "f2", 0));
    list(".");
    list("d");
    SHOW(syscall(SYS_getdents64, d, BAD, 1000));
    SHOW(syscall(SYS_getdents64, d, buffer, 3));
    SHOW(fchdir(d));
    list("..");
    SHOW(unlinkat(AT_FDCWD, "e", 0));
    SHOW(unlinkat(AT_FDCWD, "e", AT_REMOVEDIR));
    SHOW(rmdir(".."));
    SHOW(unlink("none"));
    SHOW(chdir(".."));
    SHOW(unlink("d/f")); SHOW(unlink("d/s")); SHOW(rmdir("d")); SHOW(unlink("l")); SHOW(unlink("h")); SHOW(unlink("f2"));
    SHOW(unlink("fifo"));
    list(".");
    SHOW(umount("/nowhere"));
    SHOW(chdir("/"));
    SHOW(rmdir(name));
    SHOW(chroot("/nowhere"));
}
