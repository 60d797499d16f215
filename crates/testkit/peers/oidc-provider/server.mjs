// The npm package oidc-provider as a peer for the tests: a real authorization server over TLS, with stricter rules
// for assertions than its own, and a protected resource.
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

import { Provider, errors } from 'oidc-provider';

const LONGEST_ASSERTION_LIFE = 120;

const [certificateFile, keyFile, lifetime] = process.argv.slice(2);

// The package's own memory adapter forgets its oldest entries after the first thousand.
class MemoryAdapter {
  static #models = new Map();

  #entries = new Map();

  constructor(model) {
    MemoryAdapter.#models.set(model, this);
  }

  static of(model) {
    return MemoryAdapter.#models.get(model) ?? new MemoryAdapter(model);
  }

  async upsert(id, payload) {
    this.#entries.set(id, payload);
  }

  async find(id) {
    return this.#entries.get(id);
  }

  async destroy(id) {
    this.#entries.delete(id);
  }
}

// The package takes an audience among several and a life of any length.
function assertJwtClientAuthClaimsAndHeader(ctx, claims) {
  const refuse = (why) => {
    throw new errors.InvalidClientAuth(why);
  };
  if (claims.aud !== ctx.oidc.issuer) refuse('aud is not the issuer as one string');
  if (!Number.isInteger(claims.iat)) refuse('iat is not a whole number');
  if (!Number.isInteger(claims.exp)) refuse('exp is not a whole number');
  if (claims.exp - claims.iat > LONGEST_ASSERTION_LIFE) refuse('it lives too long');
}

function createProvider(issuer) {
  const provider = new Provider(issuer, {
    adapter: (model) => MemoryAdapter.of(model),
    assertJwtClientAuthClaimsAndHeader,
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt'],
    enabledJWA: {
      clientAuthSigningAlgValues: [
        ...['HS256', 'HS384', 'HS512'],
        ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
        ...['ES256', 'ES384', 'ES512', 'EdDSA'],
      ],
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
    },
    responseTypes: [],
    scopes: ['signtext_api', 'api:read'],
    ttl: { ClientCredentials: Number(lifetime) },
  });
  provider.on('server_error', (_, error) => console.error(error));
  return provider;
}

const counts = new Map();

async function countTokenRequests(ctx, next) {
  await next();
  if (ctx.oidc?.route !== 'token') return;
  const id = ctx.oidc.client?.clientId ?? ctx.oidc.params?.client_id ?? '';
  const count = counts.get(id) ?? { requests: 0, accepted: 0, rejected: 0 };
  count.requests += 1;
  count[ctx.status === 200 ? 'accepted' : 'rejected'] += 1;
  counts.set(id, count);
}

async function protectedResource(ctx, next) {
  if (ctx.path !== '/data') return next();
  const [, token] = /^Bearer (.+)$/u.exec(ctx.get('authorization')) ?? [];
  if (await ctx.app.ClientCredentials.find(token)) {
    ctx.body = 'This is the protected data.';
  } else {
    ctx.status = 401;
    ctx.set('www-authenticate', token ? 'Bearer error="invalid_token"' : 'Bearer');
  }
}

async function register(provider, metadata) {
  const client = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [], ...metadata };
  await MemoryAdapter.of('Client').upsert(client.client_id, client);
  // The package looks at the metadata when the client is first used: the mistake should come up here.
  await provider.Client.find(client.client_id);
}

async function obey(provider, command) {
  try {
    if (command.register) {
      await register(provider, command.register);
      return {};
    }
    return counts.get(command.counts) ?? { requests: 0, accepted: 0, rejected: 0 };
  } catch (error) {
    return { error: `${error.message}: ${error.error_description ?? ''}` };
  }
}

function print(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

const server = createServer({ cert: readFileSync(certificateFile), key: readFileSync(keyFile) });
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address();

const provider = createProvider(`https://127.0.0.1:${port}`);
provider.use(protectedResource);
provider.use(countTokenRequests);
server.on('request', provider.callback());
print({ port });

for await (const line of createInterface({ input: process.stdin })) {
  print(await obey(provider, JSON.parse(line)));
}
process.exit(0);
