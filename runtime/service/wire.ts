/**
 * HTTP/1.1 as bytes, in the small part of it that a guest speaks: one request in, one response out, both
 * whole (RFC 9112). A response that is not well formed is a {@link MalformedResponse}, which undoes the
 * request: half an answer is a sign that the guest is not well.
 */
import type { GuestRequest, GuestResponse } from './types.js';

/** The guest's answer is not one. The message says why; it is meant for the log. */
export class MalformedResponse extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MalformedResponse';
  }
}

/** Bytes that the head of a guest's answer may have. */
const MAX_HEAD = 256 * 1024;

/** Fields that belong to one connection (RFC 9110 §7.6.1): never passed on, in either direction. */
const HOP_BY_HOP = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Whether a field concerns the client's connection only, and not the guest. */
export function isHopByHop(name: string): boolean {
  return HOP_BY_HOP.has(name);
}

/** Header text as bytes: one byte a character, as HTTP has it, and not UTF-8. */
function latin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** The request as text on a reactor's standard input. */
export function formatRequest(request: GuestRequest): Uint8Array {
  let head = `${request.method} ${request.target} HTTP/1.1\r\n`;
  for (const [name, value] of request.headers) head += `${name}: ${value}\r\n`;
  const bytes = latin1(`${head}\r\n`);
  if (request.body.length === 0) return bytes;
  const whole = new Uint8Array(bytes.length + request.body.length);
  whole.set(bytes);
  whole.set(request.body, bytes.length);
  return whole;
}

export interface Head {
  lines: string[];
  /** Where the body begins. */
  end: number;
}

/** Splits a head from its body at the first empty line. Lines may end in CRLF or in LF. */
export function splitHead(bytes: Uint8Array): Head {
  const limit = Math.min(bytes.length, MAX_HEAD);
  const lines: string[] = [];
  let from = 0;
  for (;;) {
    const at = bytes.indexOf(10, from);
    if (at < 0 || at >= limit) {
      if (bytes.length === 0) throw new MalformedResponse('the guest answered nothing');
      if (limit < bytes.length) throw new MalformedResponse(`the head is longer than ${MAX_HEAD} bytes`);
      throw new MalformedResponse('the head does not end: there is no empty line after it');
    }
    const to = at > from && bytes[at - 1] === 13 ? at - 1 : at;
    if (to === from) return { lines, end: at + 1 };
    let line = '';
    for (let i = from; i < to; i++) line += String.fromCharCode(bytes[i]!);
    lines.push(line);
    from = at + 1;
  }
}

/** Parses `name: value` lines. Names come out in lower case. */
export function parseFields(lines: readonly string[]): [string, string][] {
  return lines.map((line) => {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    if (colon < 1 || !TOKEN.test(name)) {
      throw new MalformedResponse(`not a header field: ${JSON.stringify(line.slice(0, 80))}`);
    }
    const value = line.slice(colon + 1).replace(/^[\t ]+|[\t ]+$/g, '');
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      if ((code < 32 && code !== 9) || code === 127) {
        throw new MalformedResponse(`the header field ${name} contains a control character`);
      }
    }
    return [name.toLowerCase(), value];
  });
}

/** Statuses that have no body, ever. */
const BODILESS = new Set([204, 205, 304]);

/**
 * Checks status, length and body against each other and leaves only fields that may go on to the client.
 * @throws MalformedResponse
 */
export function checkResponse(
  method: string,
  status: number,
  fields: readonly [string, string][],
  body: Uint8Array,
): GuestResponse {
  if (status < 200 || status > 599) throw new MalformedResponse(`status ${status} cannot end a request`);
  const headers: [string, string][] = [];
  let length: number | undefined;
  for (const [name, value] of fields) {
    if (name === 'transfer-encoding') {
      throw new MalformedResponse('transfer-encoding: a guest answers with content-length, or with neither');
    }
    if (name === 'content-length') {
      const bytes = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
      if (Number.isNaN(bytes) || (length !== undefined && length !== bytes)) {
        throw new MalformedResponse(`content-length: ${JSON.stringify(value)}`);
      }
      length = bytes;
    } else if (!HOP_BY_HOP.has(name)) {
      headers.push([name, value]);
    }
  }
  if (BODILESS.has(status) && body.length > 0) {
    throw new MalformedResponse(`status ${status} has no body, but ${body.length} bytes came`);
  }
  const headOnly = method === 'HEAD' || status === 304;
  if (length !== undefined && length !== body.length && !(headOnly && body.length === 0)) {
    throw new MalformedResponse(`content-length is ${length}, but ${body.length} bytes came`);
  }
  if (method === 'HEAD') {
    if (length !== undefined || body.length > 0) {
      headers.push(['content-length', String(length ?? body.length)]);
    }
    return { status, headers, body: new Uint8Array(0) };
  }
  return { status, headers, body };
}

/**
 * Parses what a reactor wrote to its standard output: a status line, fields, an empty line, the body.
 * @throws MalformedResponse
 */
export function parseResponse(bytes: Uint8Array, method: string): GuestResponse {
  const { lines, end } = splitHead(bytes);
  const status = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(lines[0] ?? '');
  if (!status) {
    throw new MalformedResponse(`not a status line: ${JSON.stringify((lines[0] ?? '').slice(0, 80))}`);
  }
  return checkResponse(method, Number(status[1]), parseFields(lines.slice(1)), bytes.slice(end));
}
