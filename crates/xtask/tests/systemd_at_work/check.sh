# What an administrator does with the units, and what comes of it. The first that fails is the last in the log.
exec >/place/log 2>&1
trap 'echo $? >/place/status; mv /place/status /place/ended' EXIT
set -ex

http() {
    curl --silent --show-error --max-time 10 --unix-socket /run/tokenbroker/http.sock "http://tokenbroker$1"
}
sockets() {
    ls /run/tokenbroker | tr '\n' ' '
}

# As a package leaves it.
systemd-sysusers tokenbroker.conf
systemctl enable --now tokenbrokerd.socket tokenbrokerd.service
[ "$(sockets)" = "broker.sock " ]

# Somebody wants HTTP. A socket unit can't be started for a service that runs.
systemctl enable tokenbrokerd-http.socket
systemctl restart tokenbrokerd.service
[ "$(sockets)" = "broker.sock http.sock " ]
[ "$(http /readyz)" = ok ]
tokenbroker --socket /run/tokenbroker/broker.sock status

# Any user may ask, and the daemon knows who it is.
[ "$(setpriv --reuid=2001 --regid=2001 --clear-groups curl --silent \
    --unix-socket /run/tokenbroker/http.sock http://tokenbroker/v1/status)" = "[]" ]

# A restart leaves both sockets where they are.
before=$(stat --format=%i /run/tokenbroker/*)
systemctl restart tokenbrokerd.service
[ "$(stat --format=%i /run/tokenbroker/*)" = "$before" ]
[ "$(http /livez)" = ok ]
systemctl reload tokenbrokerd.service

# As after a boot: the sockets are there first, and a caller of either starts the service, which gets both.
systemctl stop tokenbrokerd.service tokenbrokerd.socket tokenbrokerd-http.socket
systemctl start tokenbrokerd.socket tokenbrokerd-http.socket
[ "$(systemctl is-active tokenbrokerd.service)" = inactive ]
[ "$(http /readyz)" = ok ]
systemctl is-active tokenbrokerd.service
tokenbroker --socket /run/tokenbroker/broker.sock status

# Nobody wants HTTP any more.
systemctl disable --now tokenbrokerd-http.socket
systemctl restart tokenbrokerd.service
[ "$(sockets)" = "broker.sock " ]
