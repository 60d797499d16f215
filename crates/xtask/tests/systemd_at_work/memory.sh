# Secrets in the service's memory: locked, in no core file, not swapped out, and words where they can't be locked.
. /tests/common.sh

configure_app
sed -i 's/^#\[daemon\]/[daemon]\nmemory = "require"/' /etc/tokenbroker/config.toml
start_server
install_package
printf s3cret-canary | broker secret set app
broker get app --wait 20s

# What is required is there, and where the kernel has memory without a map of its own, the service may have it, too.
pid=$(main_pid)
grep --extended-regexp 'VmLck:\s+[1-9]' "/proc/$pid/status"
if python3 -c 'import ctypes; exit(ctypes.CDLL(None).syscall(447, 0) < 0)'; then
    grep secretmem "/proc/$pid/maps"
fi
broker doctor | grep --ignore-case 'locked'

# No core file, and nothing for others of the same user to look at.
grep --extended-regexp 'Max core file size +0 +0' "/proc/$pid/limits"
[ "$(stat --format=%U "/proc/$pid/environ")" = root ]
refused setpriv --reuid=tokenbroker --regid=tokenbroker --clear-groups cat "/proc/$pid/mem"
refused setpriv --reuid=tokenbroker --regid=tokenbroker --clear-groups cat "/proc/$pid/environ"

# Nothing of it is swapped out. Where the kernel's controller of memory is somebody else's, there is nothing to be seen.
group=/sys/fs/cgroup$(systemctl show --property=ControlGroup --value tokenbrokerd.service)
[ "$(systemctl show --property=MemorySwapMax --value tokenbrokerd.service)" = 0 ]
if [ -e "$group/memory.swap.max" ]; then
    [ "$(cat "$group/memory.swap.max")" = 0 ]
fi

# Where none can be had, what is required is missing, and it is said what to do.
printf '[Service]\nLimitMEMLOCK=0\n' >/etc/systemd/system/tokenbrokerd.service.d/memory.conf
systemctl daemon-reload
refused systemctl restart tokenbrokerd.service
grep "error: secrets can't be kept in locked memory" /place/daemon.log
grep 'hint: set LimitMEMLOCK=64M in the unit' /place/daemon.log

# What is preferred is not, and that is said, too.
sed -i 's/^memory = .*/memory = "prefer"/' /etc/tokenbroker/config.toml
systemctl restart tokenbrokerd.service
broker get app --wait 20s
grep 'WARN secrets are in memory that may be swapped' /place/daemon.log
