# What an administrator does with the socket for HTTP, and what comes of it.
. /tests/common.sh

sockets() {
    ls /run/tokenbroker | tr '\n' ' '
}

install_package
[ "$(sockets)" = "broker.sock " ]

# Somebody wants HTTP. A socket unit can't be started for a service that runs.
systemctl enable tokenbrokerd-http.socket
systemctl restart tokenbrokerd.service
[ "$(sockets)" = "broker.sock http.sock " ]
[ "$(http /readyz)" = ok ]
broker status

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
broker status

# Nobody wants HTTP any more.
systemctl disable --now tokenbrokerd-http.socket
systemctl restart tokenbrokerd.service
[ "$(sockets)" = "broker.sock " ]
