// A caller in Node: `caller.mjs SOCKET HOW ...`, and what it got goes to standard output as JSON.
//
// - `get PATH...`: Node's own http over the socket, all paths on one connection: [[status, body], ...]
// - `fetch PATH...`: the same with the fetch of undici, which is Node's
// - `oauth CLIENT METHOD SCOPE`: the token that openid-client gets from the drop-in endpoint

import http from 'node:http';
import * as oauth from 'openid-client';
import * as undici from 'undici';

const ORIGIN = 'http://tokenbroker';
const [socketPath, how, ...parameters] = process.argv.slice(2);
const dispatcher = new undici.Agent({ connect: { socketPath } });

function get(agent, path) {
  return new Promise((resolve, reject) => {
    http
      .get({ socketPath, path, agent }, async (response) => {
        const body = (await response.toArray()).join('');
        resolve([response.statusCode, JSON.parse(body)]);
      })
      .on('error', reject);
  });
}

const METHODS = {
  none: oauth.None(),
  client_secret_post: oauth.ClientSecretPost('nobody looks at it'),
  client_secret_basic: oauth.ClientSecretBasic('nobody looks at it'),
};

const callers = {
  async get(...paths) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const replies = [];
    for (const path of paths) {
      replies.push(await get(agent, path));
    }
    agent.destroy();
    return replies;
  },

  async fetch(...paths) {
    const replies = [];
    for (const path of paths) {
      const response = await undici.fetch(ORIGIN + path, { dispatcher });
      replies.push([response.status, await response.json()]);
    }
    return replies;
  },

  async oauth(client, method, scope) {
    const server = { issuer: ORIGIN, token_endpoint: `${ORIGIN}/oauth2/token` };
    const config = new oauth.Configuration(server, client, undefined, METHODS[method]);
    oauth.allowInsecureRequests(config);
    config[oauth.customFetch] = (url, options) => undici.fetch(url, { ...options, dispatcher });
    try {
      return await oauth.clientCredentialsGrant(config, scope ? { scope } : {});
    } catch (error) {
      return { refused: error.error ?? error.cause?.error ?? error.code, status: error.status ?? error.cause?.status };
    }
  },
};

const answer = await callers[how](...parameters);
process.stdout.write(JSON.stringify(answer));
await dispatcher.close();
