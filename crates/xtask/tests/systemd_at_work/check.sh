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

# A secret and a key that are encrypted to this host: systemd decrypts them, and the broker uses them and stores nothing.
cat >>/etc/tokenbroker/config.toml <<'END'
[issuers.passed]
issuer = "https://127.0.0.1:1"
[clients.app]
issuer = "passed"
client_id = "app"
auth = "client_secret_basic"
[clients.key]
issuer = "passed"
client_id = "key"
auth = "private_key_jwt"
assertion_alg = "ES256"
[clients.other]
issuer = "passed"
client_id = "other"
auth = "client_secret_post"
END
mkdir -p /etc/credstore.encrypted /etc/systemd/system/tokenbrokerd.service.d
printf 's3cret-canary' | systemd-creds --with-key=host --name=client_app.secret encrypt - /etc/credstore.encrypted/client_app.secret
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 |
    systemd-creds --with-key=host --name=client_key.key encrypt - /etc/credstore.encrypted/client_key.key
! grep --quiet s3cret /etc/credstore.encrypted/client_app.secret
mkdir /etc/plain
printf 's3cret-canary\n' >/etc/plain/other.secret
cat >/etc/systemd/system/tokenbrokerd.service.d/credentials.conf <<'END'
[Service]
LoadCredential=client:/etc/plain
LoadCredentialEncrypted=client_app.secret:/etc/credstore.encrypted/client_app.secret
LoadCredentialEncrypted=client_key.key:/etc/credstore.encrypted/client_key.key
END
systemctl daemon-reload
systemctl restart tokenbrokerd.service
broker() {
    tokenbroker --socket /run/tokenbroker/broker.sock "$@"
}
broker secret list | grep 'app.*systemd-credentials'
broker secret list | grep 'key.*systemd-credentials'
broker secret list | grep 'other.*systemd-credentials'
broker key public key --format jwk | grep '"kty":"EC"'
broker status app --json | grep '"store":"systemd-credentials"'
! broker secret set app </dev/null
printf other | broker secret set app 2>&1 | grep 'systemd-creds encrypt --name=client_app.secret'
# It is tried with what was decrypted: nobody listens there, which is another failure than having none.
broker test app | grep 'in the systemd-credentials'

# What a doctor finds of a host like this.
broker doctor | grep 'started by systemd, which passes credentials to it'
broker doctor | grep 'passed by systemd, mode 0666'
