/** HTTP for a handler, by @hono/node-server: limits in time and size, and an end that loses nothing. Node only. */
import type { Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createAdaptorServer, type HttpBindings } from '@hono/node-server';
import { BelayError } from '../../contract/errors.js';
import { DEFAULTS, wholeNumber } from './options.js';
import type { ClientInfo } from './types.js';

export interface ServerOptions {
  /** Default 8080; 0 for any that is free. */
  port?: number;
  /** Default 127.0.0.1: only this machine. */
  host?: string;
  /** Bytes of a request's head; more is answered with 431. Default 16 KiB. */
  maxHeader?: number;
  /** Milliseconds for a request's head to arrive; then 408. Default 10,000. */
  headerTimeout?: number;
  /** Milliseconds for a whole request to arrive; then 408. Default 30,000. */
  requestTimeout?: number;
  /** Milliseconds that a response may make no progress; then the connection ends. Default 30,000. */
  responseTimeout?: number;
  /** Milliseconds that an idle connection is kept. Default 5,000. */
  keepAlive?: number;
  /** Connections at a time; more are closed at once. Default 1,024. */
  maxConnections?: number;
}

export interface HttpServer {
  readonly port: number;
  /** `http://127.0.0.1:8080` */
  readonly url: string;
  /** Connections that are open. */
  connections(): Promise<number>;
  /**
   * Accepts no more connections, and lets those that are open end after the response they are waiting for.
   * Resolves when all are closed; what is still open after `grace` milliseconds is cut off.
   */
  close(grace: number): Promise<void>;
}

export const SERVER_DEFAULTS = {
  port: 8080,
  host: '127.0.0.1',
  headerTimeout: 10_000,
  requestTimeout: 30_000,
  responseTimeout: 30_000,
  keepAlive: 5_000,
  maxConnections: 1024,
} as const;

/**
 * Serves `handler`.
 * @throws ERR_BELAY_OPTION; ERR_BELAY_SERVICE when the port cannot be listened on.
 */
export async function listen(
  handler: (request: Request, client: ClientInfo) => Response | Promise<Response>,
  options: ServerOptions = {},
): Promise<HttpServer> {
  const number = <K extends keyof typeof SERVER_DEFAULTS & keyof ServerOptions>(name: K, least = 0): number =>
    wholeNumber(name, options[name], SERVER_DEFAULTS[name] as number, least);
  const port = number('port');
  if (port > 65535) throw new BelayError('ERR_BELAY_OPTION', `port must be at most 65535; it is ${port}`);
  const host = options.host ?? SERVER_DEFAULTS.host;
  const headersTimeout = number('headerTimeout', 1);
  const requestTimeout = number('requestTimeout', 1);
  const responseTimeout = number('responseTimeout', 1);
  const keepAliveTimeout = number('keepAlive', 1);
  let closing = false;

  const server = createAdaptorServer({
    hostname: host,
    async fetch(request, env) {
      const { incoming, outgoing } = env as HttpBindings;
      const { socket } = incoming;
      // From the last byte handed over until the client has taken it.
      outgoing.once('prefinish', () => {
        if (!outgoing.writableFinished) socket.setTimeout(responseTimeout);
      });
      const response = await handler(request, {
        ...(socket.remoteAddress !== undefined && { remoteAddress: socket.remoteAddress }),
      });
      // Asked after the guest has answered: the end may have begun meanwhile.
      if (closing) outgoing.setHeader('connection', 'close');
      return response;
    },
    serverOptions: {
      maxHeaderSize: wholeNumber('maxHeader', options.maxHeader, DEFAULTS.maxHeader, 1),
      headersTimeout: Math.min(headersTimeout, requestTimeout),
      requestTimeout,
      keepAliveTimeout,
      connectionsCheckingInterval: Math.max(20, Math.min(1000, headersTimeout / 4, requestTimeout / 4)),
    },
  }) as Server;
  server.maxConnections = number('maxConnections', 1);
  server.on('timeout', (socket: Socket) => socket.destroy());

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why =
        error.code === 'EADDRINUSE'
          ? 'the port is taken: choose another, or 0 for any that is free'
          : error.code === 'EACCES'
            ? 'this port needs more rights: choose one above 1023'
            : error.message;
      reject(
        new BelayError('ERR_BELAY_SERVICE', `cannot listen on ${host}:${port}: ${why}`, { cause: error }),
      );
    });
    server.listen(port, host, resolve);
  });
  const actual = (server.address() as AddressInfo).port;

  return {
    port: actual,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${actual}`,
    connections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
    close(grace) {
      closing = true;
      return new Promise((resolve) => {
        const cut = setTimeout(() => server.closeAllConnections(), grace);
        server.close(() => {
          clearTimeout(cut);
          resolve();
        });
        server.closeIdleConnections();
      });
    },
  };
}
