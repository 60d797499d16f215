# SIGTERM: the daemon ends in good order, and whoever is waiting for a token gets it.
. /tests/common.sh

cat >>/etc/tokenbroker/config.toml <<'TOML'
[clients.cold]
issuer = "local"
client_id = "cold"
auth = "client_secret_post"
TOML
start_app
first=$(main_pid)

# A caller waits for a token that the server takes its time with.
touch /run/hold-token-requests
printf s3cret-canary | broker secret set cold
broker get cold --wait 30s >/run/cold &
caller=$!
asked() {
    [ "$(cat /run/token-requests)" = "$1" ]
}
wait_for asked 2
[ "$(broker get app)" = "$token" ]

kill -TERM "$first"
gone() {
    [ ! -e "/proc/$first" ]
}
wait_for gone
rm /run/hold-token-requests
wait "$caller"
grep '^token-' /run/cold

# It was no failure to systemd: the socket brought the next one, not a restart.
[ "$(main_pid)" != "$first" ]
[ "$(systemctl show --property=NRestarts --value tokenbrokerd.service)" = 0 ]
broker get app --wait 20s

# A stop is that and an end, well before systemd would use force.
SECONDS=0
systemctl stop tokenbrokerd.socket tokenbrokerd.service
[ "$SECONDS" -lt 10 ]
[ "$(systemctl show --property=Result,ExecMainStatus tokenbrokerd.service | tr '\n' ' ')" = "Result=success ExecMainStatus=0 " ]
refused broker get app
