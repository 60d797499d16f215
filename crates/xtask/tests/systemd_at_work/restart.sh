# Callers get their tokens while the service restarts again and again, once by a crash: not one get fails.
. /tests/common.sh

start_app
ask_on() {
    { set +x; } 2>/dev/null
    while [ ! -e /run/enough ]; do
        if [ "$(broker get app --wait 20s)" = "$token" ]; then
            echo answered
        else
            echo failed
        fi
    done >"/run/caller-$1"
}
callers=()
for caller in 1 2 3; do
    ask_on "$caller" &
    callers+=($!)
done
answers() {
    cat /run/caller-* | grep --count answered || true
}
# Each restart has its share: callers get on before the next.
more_answers() {
    [ "$(answers)" -ge "$1" ]
}
for restart in 1 2 3 4; do
    wait_for more_answers $((restart * 100))
    systemctl restart tokenbrokerd.service
done
wait_for more_answers 500
kill -KILL "$(main_pid)"
wait_for more_answers 600
touch /run/enough
wait "${callers[@]}"
refused grep failed /run/caller-*
[ "$(cat /run/token-requests)" = 1 ]
