/** Turns a Request into what a guest gets, within limits, or says what is wrong with it. */
import type { ClientInfo, GuestRequest } from './types.js';
import { isHopByHop } from './wire.js';

/** A request that the guest never sees: the status that answers it. */
export class Refused extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'Refused';
    this.status = status;
  }
}

export interface Limits {
  maxBody: number;
  maxHeader: number;
}

/**
 * Reads the whole request.
 * @throws Refused: 413 for a body, 431 for a head past its limit, 400 for a body that broke off.
 */
export async function readRequest(
  request: Request,
  client: ClientInfo | undefined,
  { maxBody, maxHeader }: Limits,
): Promise<GuestRequest> {
  const url = new URL(request.url);
  const method = request.method.toUpperCase();
  const target = url.pathname + url.search;
  const headers: [string, string][] = [];
  // What the head takes on the wire: request line and fields, each with its punctuation and line end.
  let head = method.length + target.length + 12;
  let announced: number | undefined;
  let hasBody = false;
  for (const [name, value] of request.headers) {
    head += name.length + value.length + 4;
    if (name === 'content-length') {
      announced = Number(value);
      hasBody = true;
    } else if (name === 'transfer-encoding') {
      hasBody = true;
    } else if (!isHopByHop(name)) {
      headers.push([name, value]);
    }
  }
  if (head > maxHeader) throw new Refused(431, `the head has ${head} bytes, the limit is ${maxHeader}`);
  if (announced !== undefined && announced > maxBody) {
    throw new Refused(413, `the body has ${announced} bytes, the limit is ${maxBody}`);
  }
  const body = await readBody(request, announced, maxBody);
  if (hasBody || body.length > 0) headers.push(['content-length', String(body.length)]);
  return {
    method,
    target,
    headers,
    body,
    scheme: url.protocol.slice(0, -1),
    host: url.hostname,
    port: Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
    ...(client?.remoteAddress !== undefined && { remoteAddress: client.remoteAddress }),
  };
}

async function readBody(request: Request, announced: number | undefined, limit: number): Promise<Uint8Array> {
  if (request.method === 'GET' || request.method === 'HEAD') return new Uint8Array(0);
  if (announced === 0) return new Uint8Array(0);
  const reader = request.body?.getReader();
  if (!reader) return new Uint8Array(0);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    let chunk: Uint8Array | undefined;
    try {
      chunk = (await reader.read()).value;
    } catch (error) {
      throw new Refused(400, `the body broke off: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (chunk === undefined) break;
    length += chunk.length;
    if (length > limit) {
      reader.cancel().catch(() => {});
      throw new Refused(413, `the body has more than ${limit} bytes`);
    }
    chunks.push(chunk);
  }
  if (chunks.length === 1) return chunks[0]!;
  const body = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}
