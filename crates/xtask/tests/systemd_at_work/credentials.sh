# Credentials that systemd decrypts or passes on, and what a doctor finds of a host like this.
. /tests/common.sh

start_server
configure_app
cat >>/etc/tokenbroker/config.toml <<'TOML'
[clients.key]
issuer = "local"
client_id = "key"
auth = "private_key_jwt"
assertion_alg = "ES256"
[clients.other]
issuer = "local"
client_id = "other"
auth = "client_secret_post"
TOML

# A secret and a key that are encrypted to this host, and a secret in a plain file.
mkdir -p /etc/credstore.encrypted /etc/plain
printf 's3cret-canary' | systemd-creds --with-key=host --name=client_app.secret encrypt - /etc/credstore.encrypted/client_app.secret
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 |
    systemd-creds --with-key=host --name=client_key.key encrypt - /etc/credstore.encrypted/client_key.key
refused grep --quiet s3cret /etc/credstore.encrypted/client_app.secret
printf 's3cret-canary\n' >/etc/plain/other.secret
cat >/etc/systemd/system/tokenbrokerd.service.d/credentials.conf <<'UNIT'
[Service]
LoadCredential=client:/etc/plain
LoadCredentialEncrypted=client_app.secret:/etc/credstore.encrypted/client_app.secret
LoadCredentialEncrypted=client_key.key:/etc/credstore.encrypted/client_key.key
UNIT
install_package

# systemd decrypts them, and the broker uses them and stores nothing.
broker secret list | grep 'app.*systemd-credentials'
broker secret list | grep 'key.*systemd-credentials'
broker secret list | grep 'other.*systemd-credentials'
broker get app --wait 10s | grep '^token-'
broker get other --wait 10s | grep '^token-'
broker key public key --format jwk | grep '"kty":"EC"'
broker status app --json | grep '"store":"systemd-credentials"'
refused grep --recursive s3cret /var/lib/tokenbroker

# What systemd passes is replaced with systemd, and a caller who tries otherwise is told so.
refused broker secret set app </dev/null
printf other | refused broker secret set app 2>&1 | grep 'systemd-creds encrypt --name=client_app.secret'

broker doctor | grep 'started by systemd, which passes credentials to it'
broker doctor | grep 'passed by systemd, mode 0666'
