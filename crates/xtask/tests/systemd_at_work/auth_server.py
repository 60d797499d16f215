"""An authorization server on loopback: a token for whoever shows the secret, as many as are asked for.

It writes how many token requests have arrived to one file, and answers them while there is no other."""

import http.server
import os
import time
import urllib.parse

SECRET = "s3cret-canary"
COUNT = "/run/token-requests"
HOLD = "/run/hold-token-requests"


class Endpoint(http.server.BaseHTTPRequestHandler):
    requests = 0

    def do_GET(self):
        self.answer(404, "{}")

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        Endpoint.requests += 1
        with open(COUNT, "w") as count:
            count.write(str(Endpoint.requests))
        request = Endpoint.requests
        while os.path.exists(HOLD):
            time.sleep(0.02)
        if form.get("client_secret") == [SECRET]:
            token = f"token-{request}"
            self.answer(200, f'{{"access_token": "{token}", "token_type": "Bearer", "expires_in": 3600}}')
        else:
            self.answer(401, '{"error": "invalid_client"}')

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Endpoint).serve_forever()
