# The authorization server can't be reached, and the service restarts: the tokens are back.
. /tests/common.sh

start_app
kept() {
    [ -e /var/lib/tokenbroker/tokens-1 ]
}
wait_for kept
kill "$server"
refused curl --silent http://127.0.0.1:8080/

systemctl restart tokenbrokerd.service
[ "$(broker get app)" = "$token" ]
# After a crash, too.
first=$(main_pid)
kill -KILL "$first"
[ "$(broker get app --wait 20s)" = "$token" ]
[ "$(main_pid)" != "$first" ]

# What may be tried in vain is tried, and takes nothing away.
refused broker renew app
[ "$(broker get app)" = "$token" ]
