/**
 * A client in a thread of its own, so that the server's thread can be timed alone: sends lists of requests over a
 * few connections that are kept, and says when all were answered.
 */
import { Agent, request } from 'node:http';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

export type Requests = readonly (readonly [method: string, target: string, body?: string])[];

const CONNECTIONS = 4;

interface Order {
  port: number;
  requests: Requests;
}

export class HttpClient {
  private readonly worker: Worker;

  /** @param connections that are used at once */
  constructor(connections = CONNECTIONS) {
    this.worker = new Worker(new URL(import.meta.url), { workerData: connections });
  }

  /** Resolves when every request was answered with success, and rejects with the first that was not. */
  send(port: number, requests: Requests): Promise<void> {
    return new Promise((resolve, reject) => {
      this.worker.once('message', (failed: string | undefined) =>
        failed === undefined ? resolve() : reject(new Error(failed)),
      );
      this.worker.postMessage({ port, requests } satisfies Order);
    });
  }

  close(): Promise<number> {
    return this.worker.terminate();
  }
}

function serveOrders(): void {
  const agent = new Agent({ keepAlive: true, maxSockets: workerData as number });
  const one = (port: number, [method, path, body]: Requests[number]) =>
    new Promise<void>((resolve, reject) => {
      const sent = request({ port, host: '127.0.0.1', method, path, agent }, (response) => {
        response.on('end', () =>
          response.statusCode! < 400
            ? resolve()
            : reject(new Error(`${method} ${path}: ${response.statusCode}`)),
        );
        response.resume();
      });
      sent.on('error', reject);
      sent.end(body);
    });
  parentPort!.on('message', async ({ port, requests }: Order) => {
    try {
      await Promise.all(requests.map((r) => one(port, r)));
      parentPort!.postMessage(undefined);
    } catch (error) {
      parentPort!.postMessage(String(error));
    }
  });
}

if (!isMainThread && parentPort) serveOrders();
