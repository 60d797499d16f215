/*
 * Tries what somebody would who has taken the daemon over, and prints a line for each: whether it is "let" or "refused".
 *
 * Nothing is changed by what is let: where a system call could, it is made with an argument that the kernel refuses in other
 * words than EPERM.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATE "/var/lib/tokenbroker"

static void report(const char *what, bool let)
{
    printf("%s %s\n", what, let ? "let" : "refused");
}

static bool reads(const char *path)
{
    int file = open(path, O_RDONLY);
    char byte;
    bool let = file >= 0 && read(file, &byte, 1) == 1;
    close(file);
    return let;
}

static bool writes(const char *path)
{
    int file = open(path, O_CREAT | O_WRONLY, 0600);
    if (file < 0)
        return false;
    close(file);
    unlink(path);
    return true;
}

/* Whether the kernel has looked at a system call at all. */
static bool looked_at(long outcome)
{
    return outcome >= 0 || errno != EPERM;
}

static bool exits_with_zero(pid_t child)
{
    int status;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool executes(const char *program)
{
    pid_t child = fork();
    if (child == 0) {
        execl(program, "true", "-c", "true", NULL);
        _exit(1);
    }
    return exits_with_zero(child);
}

static void copy(const char *program, int to)
{
    char buffer[65536];
    int from = open(program, O_RDONLY);
    ssize_t length;
    while ((length = read(from, buffer, sizeof buffer)) > 0)
        if (write(to, buffer, length) != length)
            exit(2);
    close(from);
}

/* Executes what was written there, and maps it as a library is. */
static bool executes_in(const char *directory)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/probe-true", directory);
    int file = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0700);
    if (file < 0)
        return false;
    copy("/bin/true", file);
    fchmod(file, 0700);
    close(file);
    file = open(path, O_RDONLY);
    void *mapped = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
    close(file);
    bool let = executes(path) || mapped != MAP_FAILED;
    unlink(path);
    return let;
}

static bool executes_in_memory(void)
{
    int file = memfd_create("probe", MFD_CLOEXEC);
    if (file < 0)
        return false;
    copy("/bin/true", file);
    pid_t child = fork();
    if (child == 0) {
        char *arguments[] = {"true", NULL}, *none[] = {NULL};
        fexecve(file, arguments, none);
        _exit(1);
    }
    return exits_with_zero(child);
}

static bool makes_memory_executable(void)
{
    void *both = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *first = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return both != MAP_FAILED || mprotect(first, 4096, PROT_READ | PROT_EXEC) == 0;
}

static bool makes_a_setuid_file(void)
{
    int file = open(STATE "/probe-setuid", O_CREAT | O_WRONLY, 0700);
    bool let = fchmod(file, 04700) == 0;
    close(file);
    unlink(STATE "/probe-setuid");
    return let;
}

static bool makes_a_file_for_others(void)
{
    struct stat status = {0};
    int file = open(STATE "/probe-mode", O_CREAT | O_WRONLY, 0666);
    fstat(file, &status);
    close(file);
    unlink(STATE "/probe-mode");
    return status.st_mode & 077;
}

static bool sees_devices(void)
{
    static const char *names[] = {"/dev/kmsg", "/dev/mem", "/dev/fuse", "/dev/net", "/dev/console", "/dev/vda"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (access(names[i], F_OK) == 0)
            return true;
    return false;
}

static bool attaches_to_a_process(void)
{
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    bool let = ptrace(PTRACE_SEIZE, child, NULL, NULL) == 0;
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return let;
}

static bool enters_a_namespace(int kind)
{
    pid_t child = fork();
    if (child == 0)
        _exit(unshare(kind) == 0 ? 0 : 1);
    return exits_with_zero(child);
}

static bool has_socket(int family, int type, int protocol)
{
    int descriptor = socket(family, type, protocol);
    close(descriptor);
    return descriptor >= 0;
}

static bool may_dump_core(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max > 0;
}

static bool makes_a_control_group(void)
{
    bool let = mkdir("/sys/fs/cgroup/probe", 0700) == 0;
    rmdir("/sys/fs/cgroup/probe");
    return let;
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    report("write-etc", writes("/etc/probe"));
    report("write-usr", writes("/usr/probe"));
    report("write-var", writes("/var/probe"));
    report("read-home", reads("/home/probe/readable"));
    report("read-home-of-root", reads("/root/readable"));
    report("read-tmp-of-others", reads("/tmp/readable"));
    report("execute-a-shell", executes("/bin/sh"));
    report("execute-in-state", executes_in(STATE));
    report("execute-in-tmp", executes_in("/tmp"));
    report("execute-in-var-tmp", executes_in("/var/tmp"));
    report("execute-in-shm", executes_in("/dev/shm"));
    report("execute-in-logs", executes_in("/var/log/tokenbroker"));
    report("execute-in-memory", executes_in_memory());
    report("executable-memory", makes_memory_executable());
    report("setuid-file", makes_a_setuid_file());
    report("file-for-others", makes_a_file_for_others());
    report("processes-of-others", reads("/proc/1/cgroup"));
    report("kernel-in-proc", reads("/proc/meminfo"));
    report("devices", sees_devices());
    report("control-group", makes_a_control_group());
    report("attach-to-a-process", attaches_to_a_process());
    report("namespace-of-users", enters_a_namespace(CLONE_NEWUSER));
    report("namespace-of-mounts", enters_a_namespace(CLONE_NEWNS));
    report("namespace-of-another", looked_at(setns(-1, CLONE_NEWNET)));
    report("raw-socket", has_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    report("packet-socket", has_socket(AF_PACKET, SOCK_DGRAM, 0));
    report("netlink-socket", has_socket(AF_NETLINK, SOCK_RAW, 0));
    report("core-file", may_dump_core());
    report("personality", personality(ADDR_NO_RANDOMIZE) >= 0);
    report("realtime", looked_at(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, NULL)));
    report("clock", looked_at(syscall(SYS_clock_settime, CLOCK_REALTIME, NULL)));
    report("mount", looked_at(syscall(SYS_mount, "none", 1, 1, 0, NULL)));
    report("module", looked_at(syscall(SYS_finit_module, -1, NULL, 0)));
    report("hostname", looked_at(syscall(SYS_sethostname, NULL, 1)));
    report("bpf", looked_at(syscall(SYS_bpf, -1, NULL, 0)));
    report("perf", looked_at(syscall(SYS_perf_event_open, NULL, 0, 0, -1, 0)));
    report("other-memory", looked_at(syscall(SYS_process_vm_readv, getppid(), NULL, -1, NULL, 0, 0)));
    return 0;
}
