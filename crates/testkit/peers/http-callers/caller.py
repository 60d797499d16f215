"""A caller in Python: `caller.py SOCKET HOW ...`, and what it got goes to standard output as JSON.

- `get PATH...`: httpx over the socket, all paths on one connection: [[status, body], ...]
- `oauth CLIENT METHOD SCOPE`: the token that Authlib's client fetches from the drop-in endpoint
- `metrics`: what the Prometheus client's own parser reads from /metrics: {family: [type, help, [[labels, value], ...]]}
"""

import json
import sys

import httpx
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from prometheus_client.parser import text_string_to_metric_families

ORIGIN = "http://tokenbroker"


def get(transport, *paths):
    with httpx.Client(transport=transport, base_url=ORIGIN) as client:
        replies = [client.get(path) for path in paths]
    return [[reply.status_code, reply.json()] for reply in replies]


def oauth(transport, client, method, scope):
    # The transport's connections are the client's only here: it makes its own for whatever else it is asked.
    with OAuth2Client(
        client_id=client,
        client_secret="nobody looks at it",
        token_endpoint_auth_method=method,
        scope=scope or None,
        transport=transport,
    ) as session:
        try:
            return session.fetch_token(f"{ORIGIN}/oauth2/token", grant_type="client_credentials")
        except OAuthError as error:
            return {"refused": error.error, "description": error.description}


def metrics(transport):
    with httpx.Client(transport=transport, base_url=ORIGIN) as client:
        text = client.get("/metrics").raise_for_status().text
    return {
        family.name: [
            family.type,
            family.documentation,
            [[sample.name, sample.labels, sample.value] for sample in family.samples],
        ]
        for family in text_string_to_metric_families(text)
    }


socket, how, *arguments = sys.argv[1:]
answer = {"get": get, "oauth": oauth, "metrics": metrics}[how](httpx.HTTPTransport(uds=socket), *arguments)
json.dump(answer, sys.stdout)
