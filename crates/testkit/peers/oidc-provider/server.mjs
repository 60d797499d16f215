// The npm package oidc-provider as a peer for the tests: a real authorization server over TLS, with stricter rules
// for assertions than its own, and a protected resource.
//
//   node server.mjs CERTIFICATE KEY LIFETIME CLIENT_CA
//
// CERTIFICATE and KEY are PEM files, LIFETIME is that of a token in seconds, CLIENT_CA is the certificate of the authority
// of client certificates, in PEM. It listens on 127.0.0.1, on two ports the system chooses: on the second one it asks for
// client certificates, and its metadata name that one for them (RFC 8705 section 5). Everything else goes over its
// standard input and output, one JSON value a line:
//
//   {"port": 12345, "mtls_port": 12346}         the first line it prints, once it is ready
//   {"register": {"client_id": ..., ...}}       client metadata (RFC 7591); answered with {} or {"error": ...}
//   {"counts": "CLIENT_ID"}                     answered with {"requests": 3, "accepted": 2, "rejected": 1}
//
// It exits when its standard input is closed, so it can't outlive the test that started it.

import { X509Certificate, hash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';

import { Provider, errors } from 'oidc-provider';

const LONGEST_ASSERTION_LIFE = 120;

const [certificateFile, keyFile, lifetime, clientCa] = process.argv.slice(2);

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

function getCertificate(ctx) {
  return ctx.socket.getPeerX509Certificate();
}

// What the package leaves to whoever ends TLS.
function certificateSubjectMatches(ctx, property, expected) {
  const { subject, subjectAltName } = getCertificate(ctx);
  switch (property) {
    case 'tls_client_auth_subject_dn':
      // RFC 4514 begins with what comes last in the certificate.
      return subject?.split('\n').reverse().join(',') === expected;
    case 'tls_client_auth_san_dns':
      return subjectAltName?.split(', ').includes(`DNS:${expected}`) ?? false;
    default:
      throw new Error(`${property} is not supported`);
  }
}

function createProvider(issuer, mtlsOrigin) {
  const provider = new Provider(issuer, {
    adapter: (model) => MemoryAdapter.of(model),
    assertJwtClientAuthClaimsAndHeader,
    clientAuthMethods: [
      ...['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt'],
      ...['tls_client_auth', 'self_signed_tls_client_auth'],
    ],
    discovery: {
      mtls_endpoint_aliases: {
        introspection_endpoint: `${mtlsOrigin}/token/introspection`,
        token_endpoint: `${mtlsOrigin}/token`,
      },
    },
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
      introspection: {
        enabled: true,
        allowedPolicy: (_, client, token) => token.clientId === client.clientId,
      },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        selfSignedTlsClientAuth: true,
        tlsClientAuth: true,
        getCertificate,
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches,
      },
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
  const [, value] = /^Bearer (.+)$/u.exec(ctx.get('authorization')) ?? [];
  const token = await ctx.app.ClientCredentials.find(value);
  if (token && fitsCertificate(token, getCertificate(ctx))) {
    ctx.body = 'This is the protected data.';
  } else {
    ctx.status = 401;
    ctx.set('www-authenticate', value ? 'Bearer error="invalid_token"' : 'Bearer');
  }
}

// RFC 8705 section 3.
function fitsCertificate(token, certificate) {
  const bound = token['x5t#S256'];
  return bound === undefined || (certificate && bound === hash('sha256', certificate.raw, 'base64url'));
}

async function register(provider, metadata) {
  const client = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [], ...metadata };
  client.jwks?.keys.forEach(addPublicKey);
  await MemoryAdapter.of('Client').upsert(client.client_id, client);
  // The package looks at the metadata when the client is first used: the mistake should come up here.
  await provider.Client.find(client.client_id);
}

// A key may come as nothing but its certificate.
function addPublicKey(jwk) {
  if (!jwk.x5c) return;
  const { publicKey } = new X509Certificate(Buffer.from(jwk.x5c[0], 'base64'));
  Object.assign(jwk, publicKey.export({ format: 'jwk' }));
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

async function listen(server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
}

const tls = { cert: readFileSync(certificateFile), key: readFileSync(keyFile) };
const server = createServer(tls);
// Whoever comes with a certificate that is not good, or with none, learns that from the package.
const mtlsServer = createServer({ ...tls, ca: clientCa, requestCert: true, rejectUnauthorized: false });
const [port, mtlsPort] = [await listen(server), await listen(mtlsServer)];

const provider = createProvider(`https://127.0.0.1:${port}`, `https://127.0.0.1:${mtlsPort}`);
provider.use(protectedResource);
provider.use(countTokenRequests);
server.on('request', provider.callback());
mtlsServer.on('request', provider.callback());
print({ port, mtls_port: mtlsPort });

for await (const line of createInterface({ input: process.stdin })) {
  print(await obey(provider, JSON.parse(line)));
}
process.exit(0);
