# What the service's sandbox refuses: the unit as it is, with a program in place of the daemon that tries things.
. /tests/common.sh

cc -o /probe /tests/probe.c
systemd-sysusers tokenbroker.conf
mkdir -p /home/probe /var/lib/tokenbroker /var/log/tokenbroker
chmod 755 /home/probe
echo readable | tee /home/probe/readable /root/readable >/tmp/readable
chmod a+r /home/probe/readable /root/readable /tmp/readable
mount --bind /probe /usr/bin/tokenbrokerd

# Runs the unit, once and to its end. What it says is in /run/NAME.
probe() {
    cat >/etc/systemd/system/tokenbrokerd.service.d/probe.conf <<UNIT
[Service]
Type=oneshot
Restart=no
WatchdogSec=0
StandardOutput=truncate:/run/$1
$2
UNIT
    systemctl daemon-reload
    systemctl start tokenbrokerd.service
}

# Outside of it, root can do all of that. In a container not even root may load a module.
/probe >/run/outside
refused grep --invert-match --extended-regexp ' let$|^module ' /run/outside

# In it, the user of the service can do nothing of it, and root could not either.
probe service
probe root User=root
cut --delimiter=' ' --fields=1 /run/outside >/run/tries
for who in service root; do
    sed 's/$/ refused/' /run/tries | diff - "/run/$who"
done

# A directory for audit files, as the unit has it in a comment: both lines are needed.
probe logs "$(sed -n 's/^#\(LogsDirectory=\|NoExecPaths=\)/\1/p' /units/tokenbrokerd.service)"
grep '^execute-in-logs refused' /run/logs
probe logs "$(sed -n 's/^#\(LogsDirectory=\)/\1/p' /units/tokenbrokerd.service)"
grep '^execute-in-logs let' /run/logs

# Each of these directives is what keeps root in it from something: without it, that is let.
unit=/etc/systemd/system/tokenbrokerd.service
without() {
    local directive=$1
    shift
    grep --quiet "^$directive=" /units/tokenbrokerd.service
    sed "/^$directive=/d" /units/tokenbrokerd.service >"$unit"
    probe without User=root
    for try in "$@"; do
        grep "^$try let" /run/without
    done
}
without CapabilityBoundingSet raw-socket
without LimitCORE core-file
without LockPersonality personality
without MemoryDenyWriteExecute executable-memory
without NoExecPaths execute-a-shell execute-in-state execute-in-tmp execute-in-var-tmp execute-in-shm
without PrivateDevices devices
without PrivateTmp read-tmp-of-others
without ProcSubset kernel-in-proc
without ProtectControlGroups control-group
without ProtectHome read-home read-home-of-root
without ProtectProc processes-of-others
without ProtectSystem write-etc write-usr write-var
without RestrictAddressFamilies netlink-socket
without RestrictNamespaces namespace-of-users namespace-of-another
without RestrictSUIDSGID setuid-file
without SystemCallFilter attach-to-a-process bpf execute-in-memory mount other-memory perf
without UMask file-for-others
