# A PID namespace whose PID 1 has the place of systemd, with groups as systemd makes them: pid_reuse.sh PLACE PROGRAM...
#
# Everything ends when standard input does.
set -e
place=$1
shift
mount -t cgroup2 cgroup2 "$place"
group=$place$(sed -n 's/^0:://p' /proc/self/cgroup)/tokenbroker-pid-reuse-$$
mkdir "$group"
inside='set -e
mount -t proc proc /proc
mount -t cgroup2 cgroup2 /sys/fs/cgroup
cd /sys/fs/cgroup
mkdir init.scope system.slice system.slice/signer.service system.slice/other.service
echo 1 >init.scope/cgroup.procs
cd /
exec "$@"'
status=0
(
    echo "$BASHPID" >"$group/cgroup.procs"
    exec unshare --mount --pid --fork --cgroup --kill-child -- bash -c "$inside" inside "$@"
) <&0 || status=$?
echo 1 >"$group/cgroup.kill"
while grep --quiet '^populated 1' "$group/cgroup.events"; do
    sleep 0.02
done
find "$group" -depth -type d -exec rmdir {} +
exit "$status"
