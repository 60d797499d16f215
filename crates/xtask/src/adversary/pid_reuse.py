# PID 1 of a small PID namespace: has a caller's number given to a process of a unit that may have the token.
#
# A caller outside the unit connects and ends, while the connection is held. Then processes are started until one of them
# has the caller's number, and that one enters the unit. Whoever takes the number for the caller takes the wrong one.
import json, os, signal, socket, subprocess, sys

path, daemon, config, hello, asked, wanted = sys.argv[1:]
hello, asked, wanted = bytes.fromhex(hello), bytes.fromhex(asked), int(wanted)
STRANGER = 2001
GROUPS = "/sys/fs/cgroup/system.slice/"
TOKEN = bytes([7, 2])  # the reply to request 7 is a token

if tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) < (6, 14):
    sys.exit("a PID namespace has a pid_max of its own from Linux 6.14 on")
with open("/proc/sys/kernel/pid_max", "w") as pid_max:
    pid_max.write("400")


def become(group):
    with open(GROUPS + group + "/cgroup.procs", "w") as processes:
        processes.write("0")
    os.setgroups([])
    os.setgid(STRANGER)
    os.setuid(STRANGER)


def frame(caller):
    length = int.from_bytes(caller.recv(4, socket.MSG_WAITALL), "little")
    return caller.recv(length, socket.MSG_WAITALL)


def connect(caller, group, greets):
    """Connects in a process of its own, which has ended then; says what number it had."""
    child = os.fork()
    if child == 0:
        become(group)
        caller.connect(path)
        if greets:
            caller.sendall(hello)
            frame(caller)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit("a caller could not connect")
    return child


def got_a_token(caller, greeted):
    try:
        if not greeted:
            frame(caller)
        return frame(caller)[:2] == TOKEN
    except OSError:
        return False


def state(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]


def reuse(number):
    """A process in the unit that has this number."""
    entered, enters = os.pipe()
    for _ in range(2000):
        child = os.fork()
        if child == 0:
            if os.getpid() != number:
                os._exit(0)
            become("signer.service")
            os.write(enters, b"x")
            signal.pause()
        if child == number:
            os.read(entered, 1)
            os.close(entered)
            os.close(enters)
            with open(f"/proc/{number}/cgroup") as cgroup:
                assert "0::/system.slice/signer.service\n" in cgroup.read()
            return
        os.waitpid(child, 0)
    sys.exit(f"the number {number} did not come again")


def asks(group):
    """What a process of this group gets that is there when it is identified."""
    child = os.fork()
    if child == 0:
        become(group)
        caller = socket.socket(socket.AF_UNIX)
        caller.connect(path)
        caller.sendall(hello + asked)
        os._exit(0 if got_a_token(caller, False) else 1)
    return os.waitpid(child, 0)[1] == 0


# The kernel keeps the first 300 numbers for what starts early, and does not give them again.
child = 0
while child < 300:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

broker = subprocess.Popen([daemon, "--config", config], stdin=subprocess.DEVNULL)
while not os.path.exists(path):
    if broker.poll() is not None:
        sys.exit("the daemon did not start")
print("ready", flush=True)
sys.stdin.readline()

right = asks("signer.service") and not asks("other.service")
before, during, wrong = 0, 0, 0
while before + during < wanted:
    caller = socket.socket(socket.AF_UNIX)
    caller.settimeout(20)
    if (before + during) % 2 == 0:
        # The number is another's before the daemon looks at it.
        os.kill(broker.pid, signal.SIGSTOP)
        while state(broker.pid) != "T":
            pass
        number = connect(caller, "other.service", greets=False)
        caller.sendall(hello + asked)
        reuse(number)
        os.kill(broker.pid, signal.SIGCONT)
        before += 1
        wrong += got_a_token(caller, greeted=False)
    else:
        # It was looked at, and asks when its number is another's.
        number = connect(caller, "other.service", greets=True)
        reuse(number)
        caller.sendall(asked)
        wrong += got_a_token(caller, greeted=True)
        during += 1
    caller.close()
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
right = right and asks("signer.service") and not asks("other.service")
print(json.dumps({"before": before, "during": during, "wrong": wrong, "right": right}), flush=True)
