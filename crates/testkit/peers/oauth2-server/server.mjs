// The npm package @node-oauth/oauth2-server as a peer for the tests: an authorization server over TLS, with a protected
// resource. The package is only the OAuth in it: HTTP is node's own.
//
//   node server.mjs CERTIFICATE KEY LIFETIME
//
// CERTIFICATE and KEY are PEM files, LIFETIME is that of a token in seconds. It listens on 127.0.0.1, on a port the
// system chooses. Everything else goes over its standard input and output, one JSON value a line:
//
//   {"port": 12345}                             the first line it prints, once it is ready
//   {"register": {"client_id": ..., ...}}       client metadata (RFC 7591); answered with {} or {"error": ...}
//   {"counts": "CLIENT_ID"}                     answered with {"requests": 3, "accepted": 2, "rejected": 1}
//
// It exits when its standard input is closed, so it can't outlive the test that started it.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

import OAuth2Server from '@node-oauth/oauth2-server';

// To the package it is one and the same where the secret was.
const METHODS = ['client_secret_basic', 'client_secret_post'];

const [certificateFile, keyFile, lifetime] = process.argv.slice(2);

const clients = new Map();
const tokens = new Map();
const counts = new Map();

const model = {
  getUserFromClient: (client) => ({ id: client.id }),
  validateScope(user, client, scope = client.scope) {
    return scope.every((name) => client.scope.includes(name)) && scope;
  },
  saveToken(token, client, user) {
    const saved = { ...token, client, user };
    tokens.set(token.accessToken, saved);
    return saved;
  },
  getAccessToken: (token) => tokens.get(token),
};

async function token(request, response) {
  let asked = '';
  const getClient = (id, secret) => {
    asked = id;
    const client = clients.get(id);
    return client?.secret === secret && client;
  };
  const oauth = new OAuth2Server({ accessTokenLifetime: Number(lifetime), model: { ...model, getClient } });
  await oauth.token(request, response).catch((error) => refuse(response, error));
  count(asked, response.status === 200);
}

async function data(request, response) {
  try {
    await new OAuth2Server({ model }).authenticate(request, response);
    response.body = 'This is the protected data.';
    response.set('content-type', 'text/plain');
  } catch (error) {
    refuse(response, error);
  }
}

function refuse(response, error) {
  response.status = error.code;
  response.body = { error: error.name, error_description: error.message };
}

function count(id, accepted) {
  const count = counts.get(id) ?? { requests: 0, accepted: 0, rejected: 0 };
  count.requests += 1;
  count[accepted ? 'accepted' : 'rejected'] += 1;
  counts.set(id, count);
}

async function answer(incoming, outgoing) {
  const { headers, method, url } = incoming;
  const body = Object.fromEntries(new URLSearchParams(await text(incoming)));
  const request = new OAuth2Server.Request({ headers, method, query: {}, body });
  const response = new OAuth2Server.Response({ headers: { 'content-type': 'application/json' } });
  const handler = { '/token': token, '/data': data }[url];
  if (handler) {
    await handler(request, response);
  } else {
    response.status = 404;
  }
  outgoing.writeHead(response.status, response.headers);
  outgoing.end(typeof response.body === 'string' ? response.body : JSON.stringify(response.body));
}

function register(metadata) {
  if (!METHODS.includes(metadata.token_endpoint_auth_method)) {
    return { error: `${metadata.token_endpoint_auth_method} is not supported` };
  }
  clients.set(metadata.client_id, {
    id: metadata.client_id,
    secret: metadata.client_secret,
    scope: metadata.scope.split(' '),
    grants: ['client_credentials'],
  });
  return {};
}

function obey(command) {
  if (command.register) return register(command.register);
  return counts.get(command.counts) ?? { requests: 0, accepted: 0, rejected: 0 };
}

function print(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

const server = createServer({ cert: readFileSync(certificateFile), key: readFileSync(keyFile) }, answer);
server.listen(0, '127.0.0.1');
await once(server, 'listening');
print({ port: server.address().port });

for await (const line of createInterface({ input: process.stdin })) {
  print(obey(JSON.parse(line)));
}
process.exit(0);
