# Starts a systemd of its own in the namespaces that it is run in: boot.sh PLACE SCRIPT TOKENBROKERD TOKENBROKER WORKSPACE.
#
# The file system is the host's with another on top, which ends with the namespace. There are no units but a few targets,
# ours, and one that runs SCRIPT; what that says goes to PLACE/log, what the daemon says to PLACE/daemon.log.
set -e
place=$1 script=$2 daemon=$3 command_line=$4 workspace=$5

mkdir "$place/over"
mount -t tmpfs tmpfs "$place/over"
mkdir "$place"/over/{upper,work,root}
root=$place/over/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$place/over/upper,workdir=$place/over/work" "$root"

rm -rf "$root"/etc/systemd/system "$root"/etc/tokenbroker "$root"/var/lib/tokenbroker
mkdir -p "$root"/etc/systemd/system "$root"/etc/tokenbroker "$root"/units "$root"/place
cp -r "$(dirname "$0")" "$root/tests"
for target in basic local-fs multi-user network nss-user-lookup paths shutdown sockets sysinit timers umount; do
    cp "/usr/lib/systemd/system/$target.target" "$root/units/"
done
cp "$workspace"/systemd/*.service "$workspace"/systemd/*.socket "$root/units/"
cp "$workspace"/systemd/user/* "$root/usr/lib/systemd/user/"
cp "$workspace/systemd/tokenbroker.sysusers" "$root/usr/lib/sysusers.d/tokenbroker.conf"
cp "$workspace/packaging/config.toml" "$root/etc/tokenbroker/"
touch "$root/usr/bin/tokenbrokerd" "$root/usr/bin/tokenbroker"
mount --bind "$daemon" "$root/usr/bin/tokenbrokerd"
mount --bind "$command_line" "$root/usr/bin/tokenbroker"
mkdir "$root/etc/systemd/system/tokenbrokerd.service.d"
printf '[Service]\nStandardError=append:/place/daemon.log\n' >"$root/etc/systemd/system/tokenbrokerd.service.d/log.conf"
printf '[Unit]\nDefaultDependencies=no\nWants=script.service\n' >"$root/units/script.target"
printf '[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/bash /tests/%s\n' "$script" >"$root/units/script.service"

mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount --rbind /dev "$root/dev"
mount --bind "$place" "$root/place"
ip link set lo up
# Not chroot, in which nobody gets a namespace of users.
mkdir "$root/host"
cd "$root"
pivot_root . host
umount --lazy host
# As PID 1 of a host does it, and leaves it to the manager of a container: what is mounted for one service is seen by it.
mount --make-rshared /
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=oci \
    SYSTEMD_UNIT_PATH=/etc/systemd/system:/units \
    /usr/lib/systemd/systemd --system --unit=script.target --log-target=null --show-status=0
