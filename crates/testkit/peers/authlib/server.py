"""Authlib's authorization server, in Flask, as a peer for the tests: over TLS, with a protected resource.

    server.py CERTIFICATE KEY LIFETIME AUDIENCE

CERTIFICATE and KEY are PEM files, LIFETIME is that of a token in seconds, AUDIENCE is the one that assertions must have:
`issuer` or `token-endpoint`. It listens on 127.0.0.1, on a port the system chooses. Everything else goes over its standard
input and output, one JSON value a line:

    {"port": 12345}                             the first line it prints, once it is ready
    {"register": {"client_id": ..., ...}}       client metadata (RFC 7591); answered with {} or {"error": ...}
    {"counts": "CLIENT_ID"}                     answered with {"requests": 3, "accepted": 2, "rejected": 1}

It exits when its standard input is closed, so it can't outlive the test that started it.
"""

import json
import secrets
import ssl
import sys
import time
from collections import defaultdict
from threading import Lock, Thread

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2.rfc6749 import ClientMixin, InvalidClientError, TokenMixin, grants
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from flask import Flask, g, request
from joserfc.jwk import KeySet, OctKey
from werkzeug.serving import make_server

SCOPES = ["signtext_api", "api:read"]
SECRET_METHODS = ["client_secret_basic", "client_secret_post"]
ASSERTION_METHODS = ["client_secret_jwt", "private_key_jwt"]

certificate, key, lifetime, audience = sys.argv[1:]


class Client(ClientMixin):
    def __init__(self, metadata):
        self.id = metadata["client_id"]
        self.method = metadata["token_endpoint_auth_method"]
        self.scope = metadata["scope"].split()
        self.secret = metadata.get("client_secret")
        match self.method:
            case "private_key_jwt":
                self.keys = KeySet.import_key_set(metadata["jwks"])
            case "client_secret_jwt":
                self.keys = OctKey.import_key(self.secret)
            case method if method not in SECRET_METHODS:
                raise ValueError(f"{method} is not supported")

    def get_client_id(self):
        return self.id

    def get_allowed_scope(self, scope):
        asked = scope.split() if scope else self.scope
        return " ".join(asked) if set(asked) <= set(self.scope) else None

    def check_client_secret(self, secret):
        return self.secret is not None and secrets.compare_digest(self.secret.encode(), secret.encode())

    def check_endpoint_auth_method(self, method, endpoint):
        # The package calls both kinds of assertion by one name.
        if method == ClientAssertion.CLIENT_AUTH_METHOD:
            return self.method in ASSERTION_METHODS
        return self.method == method

    def check_grant_type(self, grant_type):
        return grant_type == ClientCredentialsGrant.GRANT_TYPE


class ClientAssertion(JWTBearerClientAssertion):
    used = set()

    def get_audiences(self):
        return [{"issuer": issuer, "token-endpoint": token_endpoint}[audience]]

    def validate_jti(self, claims, jti):
        first_use = (claims["sub"], jti) not in self.used
        self.used.add((claims["sub"], jti))
        return first_use

    def resolve_client_public_key(self, client):
        if client.method not in ASSERTION_METHODS:
            raise InvalidClientError(description="the client is registered for another method")
        return client.keys


class ClientCredentialsGrant(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = [*SECRET_METHODS, ClientAssertion.CLIENT_AUTH_METHOD]


class Token(TokenMixin):
    def __init__(self, token):
        self.scope = token["scope"]
        self.ends = time.monotonic() + token["expires_in"]

    def get_scope(self):
        return self.scope

    def is_expired(self):
        return time.monotonic() >= self.ends

    def is_revoked(self):
        return False


class TokenValidator(BearerTokenValidator):
    def authenticate_token(self, token):
        return tokens.get(token)


clients = {}
tokens = {}
counts = defaultdict(lambda: {"requests": 0, "accepted": 0, "rejected": 0})
counting = Lock()


def query_client(client_id):
    g.client_id = client_id
    return clients.get(client_id)


def save_token(token, request):
    tokens[token["access_token"]] = Token(token)


app = Flask(__name__)
app.config["OAUTH2_SCOPES_SUPPORTED"] = SCOPES
app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {ClientCredentialsGrant.GRANT_TYPE: int(lifetime)}
authorization_server = AuthorizationServer(app, query_client, save_token)
authorization_server.register_grant(ClientCredentialsGrant)
authorization_server.register_client_auth_method(ClientAssertion.CLIENT_AUTH_METHOD, ClientAssertion())
require_token = ResourceProtector()
require_token.register_token_validator(TokenValidator())


@app.get("/.well-known/oauth-authorization-server")
def metadata():
    metadata = AuthorizationServerMetadata(
        issuer=issuer,
        token_endpoint=token_endpoint,
        grant_types_supported=[ClientCredentialsGrant.GRANT_TYPE],
        response_types_supported=[],
        scopes_supported=SCOPES,
        token_endpoint_auth_methods_supported=[*SECRET_METHODS, *ASSERTION_METHODS],
        token_endpoint_auth_signing_alg_values_supported=["HS256", "RS256", "ES256"],
    )
    return dict(metadata)


@app.post("/token")
def token():
    return authorization_server.create_token_response()


@app.get("/data")
@require_token()
def data():
    return "This is the protected data."


@app.after_request
def count_token_request(response):
    if request.path == "/token":
        with counting:
            count = counts[g.get("client_id", "")]
            count["requests"] += 1
            count["accepted" if response.status_code == 200 else "rejected"] += 1
    return response


def obey(command):
    if "counts" in command:
        return counts[command["counts"]]
    try:
        client = Client(command["register"])
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    clients[client.id] = client
    return {}


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=context)
issuer = f"https://127.0.0.1:{server.port}"
token_endpoint = f"{issuer}/token"
Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps({"port": server.port}), flush=True)
for line in sys.stdin:
    print(json.dumps(obey(json.loads(line))), flush=True)
