# What every script begins with: the log, the status that the test waits for, and words for what they all do.
#
# The first command that fails ends a script, and is the last in the log.
exec >/place/log 2>&1
trap 'echo $? >/place/status; mv /place/status /place/ended' EXIT
set -ex

# As a package leaves it.
install_package() {
    systemd-sysusers tokenbroker.conf
    systemctl enable --now tokenbrokerd.socket tokenbrokerd.service
}

broker() {
    tokenbroker --socket /run/tokenbroker/broker.sock "$@"
}

http() {
    curl --silent --show-error --max-time 10 --unix-socket /run/tokenbroker/http.sock "http://tokenbroker$1"
}

# An authorization server on this host's loopback, which knows the secret `s3cret-canary`; $server is its process. It counts
# its token requests in /run/token-requests, and answers none while there is /run/hold-token-requests.
start_server() {
    python3 /tests/auth_server.py 2>/dev/null &
    server=$!
    wait_for curl --silent --output /dev/null http://127.0.0.1:8080/
}

# An issuer that is this server, by name, and the client `app` there.
configure_app() {
    cat >>/etc/tokenbroker/config.toml <<'TOML'
[issuers.local]
issuer = "http://localhost:8080"
token_endpoint = "http://localhost:8080/token"
allow_plain_http = true
[clients.app]
issuer = "local"
client_id = "app"
auth = "client_secret_post"
TOML
}

# The service with the client `app`, its secret and its first token, which is $token.
start_app() {
    start_server
    configure_app
    install_package
    printf s3cret-canary | broker secret set app
    token=$(broker get app --wait 20s)
    [ "$token" = token-1 ]
}

main_pid() {
    systemctl show --property=MainPID --value tokenbrokerd.service
}

# Succeeds if a command fails. With a mere `!` before it, a script would go on even if it succeeds.
refused() {
    if "$@"; then
        return 1
    fi
}

# Waits until a command succeeds, for half a minute at most.
wait_for() {
    { set +x; } 2>/dev/null
    local deadline=$((SECONDS + 30))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ]
        sleep 0.05
    done
    set -x
}
