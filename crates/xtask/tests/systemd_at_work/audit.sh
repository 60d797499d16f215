# Audit records in a file: the drop-in that the unit has in a comment is all that the service needs for it.
. /tests/common.sh

sed -i 's/^#\[daemon\]/[daemon]\naudit = "\/var\/log\/tokenbroker\/audit.jsonl"/' /etc/tokenbroker/config.toml
{ echo '[Service]' && sed -n 's/^#\(LogsDirectory=\|NoExecPaths=\)/\1/p' /units/tokenbrokerd.service; } \
    >/etc/systemd/system/tokenbrokerd.service.d/audit.conf
start_app
written() {
    grep "$1" /var/log/tokenbroker/audit.jsonl
}
wait_for written '"app"'
refused written "$token"
