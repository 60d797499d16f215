# Rules that name units: who is in one, who only says so, and what the owner of a group can't lend.
. /tests/common.sh

install_package
start_server
useradd --uid 2001 --create-home ann
configure_app
cat >>/etc/tokenbroker/config.toml <<'TOML'
allow = [{ unit = "signer.service" }, { unit = "delegated.service", user = "ann" }, { unit = "delegated2.service", user = "ann" }, { user_unit = "own.service", user = "ann" }, { user = 0 }]
TOML
systemctl restart tokenbrokerd.service
printf 's3cret-canary' | broker secret set app
wait_for broker get app

get="tokenbroker --socket /run/tokenbroker/broker.sock get app"
cat >/run/get <<SH
#!/bin/bash
cat /proc/self/cgroup >\$1.group
$get >\$1.out 2>\$1.err
echo \$? >\$1.code
SH
chmod 755 /run/get
mkdir /run/results
chmod 1777 /run/results
as_ann() {
    setpriv --reuid=2001 --regid=2001 --clear-groups -- "$@"
}
code() {
    cat "/run/results/$1.group" "/run/results/$1.err"
    [ "$(cat "/run/results/$1.code")" = "$2" ]
}
# Units by hand: there is no bus here for systemd-run. A unit is started once its command has ended, unless it says otherwise.
write_unit() {
    unit=$1 directory=$2
    shift 2
    mkdir -p "$directory"
    printf '[Service]\nType=oneshot\nExecStart=%s\n' "$1" >"$directory/$unit"
    shift
    printf '%s\n' "$@" >>"$directory/$unit"
}
in_unit() {
    unit=$1 command=$2
    shift 2
    write_unit "$unit" /etc/systemd/system "$command" User=ann "$@"
    systemctl daemon-reload
    systemctl start "$unit"
}
explain() {
    broker policy explain app "$@"
}

# In the unit that a rule names, ann gets the token; outside of it she does not, and reads what a stranger reads.
in_unit signer.service "/run/get /run/results/inside"
code inside 0
as_ann /run/get /run/results/outside
code outside 4
grep 'is not for this caller, or does not exist' /run/results/outside.err
in_unit another.service "/run/get /run/results/another"
code another 4

# A user's own unit of the same name is not the system's, and one that a rule names as a user's counts.
# The host's has to do with logins, of which there are none here.
cat >/etc/systemd/system/user@.service <<'UNIT'
[Service]
Type=notify
User=%i
Slice=user-%i.slice
Delegate=pids memory
Environment=XDG_RUNTIME_DIR=/run/user/%i
ExecStart=/usr/lib/systemd/systemd --user
KillMode=mixed
UNIT
install --directory --owner=2001 --group=2001 --mode=0700 /run/user/2001
systemctl daemon-reload
systemctl start user@2001.service
of_ann() {
    write_unit "$1" /etc/systemd/user "$2"
    as_ann env XDG_RUNTIME_DIR=/run/user/2001 systemctl --user daemon-reload
    as_ann env XDG_RUNTIME_DIR=/run/user/2001 systemctl --user start "$1"
}
of_ann signer.service "/run/get /run/results/same-name"
code same-name 4
grep user@2001.service /run/results/same-name.group
of_ann own.service "/run/get /run/results/own"
code own 0

# The group of a unit with Delegate= is its user's, any process of whom can enter it: it counts for nobody, not even for the
# unit's own processes.
in_unit delegated.service "sleep infinity" Type=exec Delegate=yes
in_unit plain.service "sleep infinity" Type=exec
explain --pid "$(systemctl show --property=MainPID --value delegated.service)" >/run/explained
cat /run/explained
grep 'may not have the token' /run/explained
grep 'control group /system.slice/delegated.service belongs to uid 2001, any process of whom can enter it' /run/explained
# Entered as systemd does it for AttachProcessesToUnit, which ann may ask for.
bash -c 'echo $$ >/sys/fs/cgroup/system.slice/delegated.service/cgroup.procs
    exec setpriv --reuid=2001 --regid=2001 --clear-groups /run/get /run/results/entered'
grep /system.slice/delegated.service /run/results/entered.group
code entered 4
in_unit delegated2.service "/run/get /run/results/delegated" Delegate=yes
code delegated 4

# What is explained is what counts.
in_unit signer.service "sleep infinity" Type=exec
signer=$(systemctl show --property=MainPID --value signer.service)
explain --pid "$signer" | grep "process $signer of uid 2001, unit signer.service may have the token"
explain --pid "$(systemctl show --property=MainPID --value plain.service)" |
    grep 'its unit is plain.service, not signer.service'
explain --user ann | grep 'that depends on the process'
broker doctor | grep 'callers are pinned, and rules with .unit. can hold'
