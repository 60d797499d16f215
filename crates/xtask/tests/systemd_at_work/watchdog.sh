# A daemon that hangs: systemd notices, whichever thread it is, and callers get their tokens from another one.
. /tests/common.sh

# What the unit says is for hosts. The rest of it counts here, too.
printf '[Service]\nWatchdogSec=2s\n' >/etc/systemd/system/tokenbrokerd.service.d/watchdog.conf

start_app

restarts() {
    systemctl show --property=NRestarts --value tokenbrokerd.service
}
restarted() {
    [ "$(restarts)" -eq "$1" ] && [ "$(systemctl is-active tokenbrokerd.service)" = active ]
}

told() {
    systemctl show --property=WatchdogTimestampMonotonic --value tokenbrokerd.service
}
told_again() {
    [ "$(told)" != "$1" ]
}

# A daemon that gets on with its work says so every second, and is left alone.
for time in 1 2 3 4; do
    wait_for told_again "$(told)"
done
[ "$(restarts)" = 0 ]

# The event loop hangs. A warm token needs none: it is served until the end, and by the next daemon.
kill -USR1 "$(main_pid)"
[ "$(broker get app)" = "$token" ]
wait_for restarted 1
[ "$(broker get app --wait 20s)" = "$token" ]

# Who answers callers hangs. They wait, and the next daemon answers.
kill -USR2 "$(main_pid)"
[ "$(broker get app --wait 20s)" = "$token" ]
wait_for restarted 2
[ "$(cat /run/token-requests)" = 1 ]
