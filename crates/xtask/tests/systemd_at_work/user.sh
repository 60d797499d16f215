# A user's own broker: the units under the manager of a user, and what their sandbox refuses.
. /tests/common.sh

echo 'u ann 2001 "Ann" /home/ann' | systemd-sysusers -
mkdir -p /home/ann/.config/tokenbroker /run/user/2001
cat >/units/manager.service <<'UNIT'
[Service]
Type=notify
User=ann
Environment=XDG_RUNTIME_DIR=/run/user/2001
ExecStart=/usr/lib/systemd/systemd --user --unit=basic.target
Delegate=yes
UNIT
start_server
configure_app
mv /etc/tokenbroker/config.toml /home/ann/.config/tokenbroker/
chown -R ann:ann /home/ann /run/user/2001
systemctl daemon-reload
systemctl start manager.service

as_ann() {
    setpriv --reuid=ann --regid=ann --clear-groups --no-new-privs \
        env HOME=/home/ann XDG_RUNTIME_DIR=/run/user/2001 "$@"
}
as_ann systemctl --user enable --now tokenbrokerd.socket tokenbrokerd.service
printf s3cret-canary | as_ann tokenbroker secret set app
[ "$(as_ann tokenbroker get app --wait 20s)" = token-1 ]
[ "$(stat --format='%a %U' /run/user/2001/tokenbroker /run/user/2001/tokenbroker/broker.sock | tr '\n' ' ')" = "700 ann 600 ann " ]
[ -d /home/ann/.local/state/tokenbroker ]

# A restart leaves the socket where it is, and the token is back; a reload is taken; a caller starts the service.
before=$(stat --format=%i /run/user/2001/tokenbroker/broker.sock)
as_ann systemctl --user restart tokenbrokerd.service
as_ann systemctl --user reload tokenbrokerd.service
as_ann systemctl --user stop tokenbrokerd.service
[ "$(as_ann tokenbroker get app --wait 20s)" = token-1 ]
[ "$(stat --format=%i /run/user/2001/tokenbroker/broker.sock)" = "$before" ]
[ "$(cat /run/token-requests)" = 1 ]

# Another user gets nowhere near it.
refused setpriv --reuid=2002 --regid=2002 --clear-groups tokenbroker --socket /run/user/2001/tokenbroker/broker.sock get app

# What a user may do outside, and nobody in the sandbox. The first of each line is the directive without which it is let.
cc -o /probe /tests/probe.c
mkdir -p /var/lib/tokenbroker
chown ann: /var/lib/tokenbroker
as_ann systemctl --user stop tokenbrokerd.socket tokenbrokerd.service
mount --bind /probe /usr/bin/tokenbrokerd
units=/home/ann/.config/systemd/user
as_ann mkdir -p "$units/tokenbrokerd.service.d"
as_ann tee "$units/tokenbrokerd.service.d/probe.conf" <<'UNIT'
[Service]
Type=oneshot
Restart=no
WatchdogSec=0
StandardOutput=truncate:/run/user/2001/probe
UNIT
probe() {
    sed "/^$1=/d" /usr/lib/systemd/user/tokenbrokerd.service | as_ann tee "$units/tokenbrokerd.service" >/dev/null
    as_ann systemctl --user daemon-reload
    as_ann systemctl --user start tokenbrokerd.service
}
probe nothing
cp /run/user/2001/probe /run/inside
while read -r directive tries; do
    probe "$directive"
    for try in $tries; do
        grep "^$try refused" /run/inside
        grep "^$try let" /run/user/2001/probe
    done
done <<'TABLE'
LimitCORE core-file
LockPersonality personality
MemoryDenyWriteExecute executable-memory
RestrictAddressFamilies netlink-socket
RestrictNamespaces namespace-of-users namespace-of-another
RestrictSUIDSGID setuid-file
SystemCallFilter attach-to-a-process clock mount other-memory
UMask file-for-others
TABLE
