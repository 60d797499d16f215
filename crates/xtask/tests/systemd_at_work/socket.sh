# Callers start the service by asking, and wait through its start. There is one daemon, whoever starts another.
. /tests/common.sh

start_app
systemctl stop tokenbrokerd.service
[ "$(systemctl is-active tokenbrokerd.service tokenbrokerd.socket | tr '\n' ' ')" = "inactive active " ]

# A start that takes its time. The `+` takes the pause out of the sandbox, where nothing else can be executed.
printf '[Service]\nExecStartPre=+/bin/sleep 2\n' >/etc/systemd/system/tokenbrokerd.service.d/slow.conf
systemctl daemon-reload
for caller in 1 2 3 4 5; do
    broker get app --wait 20s >"/run/caller-$caller" &
done
starting() {
    [ "$(systemctl is-active tokenbrokerd.service)" = activating ]
}
wait_for starting
answered() {
    [ "$(cat /run/caller-*)" = "$(printf "$token\n%.0s" 1 2 3 4 5)" ]
}
wait_for answered
[ "$(systemctl is-active tokenbrokerd.service)" = active ]

# Another daemon with the same state ends with an error, and the first does not notice.
first=$(main_pid)
refused setpriv --reuid=tokenbroker --regid=tokenbroker --clear-groups tokenbrokerd 2>/run/second
grep 'hint: stop the other one' /run/second
[ "$(main_pid)" = "$first" ]
[ "$(broker get app)" = "$token" ]

# A configuration that is refused is not tried for ever, however long somebody asks. Then an administrator has to look.
rm /etc/systemd/system/tokenbrokerd.service.d/slow.conf
systemctl daemon-reload
mkdir /etc/tokenbroker/conf.d
echo mistake >/etc/tokenbroker/conf.d/mistake.toml
systemctl stop tokenbrokerd.service
refused broker get app --wait 2s
given_up() {
    [ "$(systemctl is-active tokenbrokerd.socket)" = failed ]
}
wait_for given_up
grep 'mistake.toml' /place/daemon.log
rm /etc/tokenbroker/conf.d/mistake.toml
systemctl reset-failed tokenbrokerd.service
systemctl start tokenbrokerd.socket
[ "$(broker get app --wait 20s)" = "$token" ]
