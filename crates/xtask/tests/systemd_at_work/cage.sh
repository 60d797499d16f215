# Runs a program in namespaces and a control group of its own, until it ends or standard input does: cage.sh PLACE PROGRAM...
#
# With one control group for all, a systemd would find the services of another one there, and end them. Whoever holds the
# other end of standard input and closes it, or dies, has everything ended and the group removed.
set -e
place=$1
shift
trap '' HUP INT TERM

# All namespaces but that of users: the users of the host are the ones that callers are.
namespaces=(--mount --pid --fork --net --uts --ipc --cgroup --kill-child)

# Wherever the host has mounted it, if it has.
mkdir "$place/groups"
mount -t cgroup2 cgroup2 "$place/groups"
own=$(sed -n 's/^0:://p' /proc/self/cgroup)
group=$place/groups$own/tokenbroker-test-$$
mkdir "$group"

exec 3<&0
(
    echo "$BASHPID" >"$group/cgroup.procs"
    exec unshare "${namespaces[@]}" -- "$@" 3<&- </dev/null
) &
program=$!
cat <&3 >/dev/null 2>&1 &
holder=$!

status=0
wait -n "$program" "$holder" || status=$?
echo 1 >"$group/cgroup.kill"
while grep --quiet '^populated 1' "$group/cgroup.events"; do
    sleep 0.02
done
find "$group" -depth -type d -exec rmdir {} +
exit "$status"
