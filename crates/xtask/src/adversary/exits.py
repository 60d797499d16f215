# Processes that connect, ask for a token and end at once, one after the other.
import os, socket, sys

path, asked, wanted = sys.argv[1], bytes.fromhex(sys.argv[2]), int(sys.argv[3])
for _ in range(wanted):
    child = os.fork()
    if child == 0:
        caller = socket.socket(socket.AF_UNIX)
        caller.connect(path)
        caller.send(asked)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit("a caller failed")
