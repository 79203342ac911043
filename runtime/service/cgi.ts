/**
 * CGI/1.1 (RFC 3875), in the way WAGI serves WebAssembly with it: the request in the environment and on
 * standard input, the answer on standard output. The program is the whole site: SCRIPT_NAME is empty and
 * PATH_INFO is the path.
 */
import type { GuestRequest, GuestResponse } from './types.js';
import { checkResponse, MalformedResponse, parseFields, splitHead } from './wire.js';

/** Fields that have a variable of their own, or that a program should not see (RFC 3875 §4.1.18). */
const NOT_PASSED = new Set([
  'authorization',
  'connection',
  'content-length',
  'content-type',
  'proxy-authorization',
]);

/**
 * The meta-variables of a request (§4.1). `PROXY` is left out on purpose: as HTTP_PROXY it would redirect
 * the guest's own requests. A name with an underscore is left out because `x_y` and `x-y` become one.
 */
export function metaVariables(request: GuestRequest): Record<string, string> {
  const question = request.target.indexOf('?');
  const path = question < 0 ? request.target : request.target.slice(0, question);
  const env: Record<string, string> = {
    GATEWAY_INTERFACE: 'CGI/1.1',
    SERVER_SOFTWARE: 'belay',
    SERVER_PROTOCOL: 'HTTP/1.1',
    SERVER_NAME: request.host,
    SERVER_PORT: String(request.port),
    REQUEST_METHOD: request.method,
    REQUEST_SCHEME: request.scheme,
    REQUEST_URI: request.target,
    SCRIPT_NAME: '',
    PATH_INFO: decodePath(path),
    QUERY_STRING: question < 0 ? '' : request.target.slice(question + 1),
  };
  if (request.scheme === 'https') env.HTTPS = 'on';
  if (request.remoteAddress !== undefined) {
    env.REMOTE_ADDR = request.remoteAddress;
    env.REMOTE_HOST = request.remoteAddress;
  }
  if (request.body.length > 0) env.CONTENT_LENGTH = String(request.body.length);
  for (const [name, value] of request.headers) {
    if (name === 'content-type') env.CONTENT_TYPE = value;
    if (NOT_PASSED.has(name) || name === 'proxy' || name.includes('_')) continue;
    env[`HTTP_${name.toUpperCase().replaceAll('-', '_')}`] = value;
  }
  return env;
}

/** §4.1.5: PATH_INFO is not URL-encoded. What cannot be decoded, or holds a NUL, stays as it came. */
function decodePath(path: string): string {
  try {
    const decoded = decodeURIComponent(path);
    return decoded.includes('\0') ? path : decoded;
  } catch {
    return path;
  }
}

/** An answer, or the path that the request shall be tried on again (§6.2.2, a local redirect). */
export type CgiResponse = { response: GuestResponse } | { redirect: string };

/**
 * Parses a CGI answer: `Content-Type`, `Location` or `Status` and other fields, an empty line, the body.
 * @throws MalformedResponse
 */
export function parseCgiResponse(bytes: Uint8Array, method: string): CgiResponse {
  const { lines, end } = splitHead(bytes);
  const fields = parseFields(lines);
  const body = bytes.slice(end);
  const once = (name: string): string | undefined => {
    const values = fields.filter((field) => field[0] === name);
    if (values.length > 1) throw new MalformedResponse(`${name} came ${values.length} times`);
    return values[0]?.[1];
  };
  const statusField = once('status');
  const location = once('location');
  const type = once('content-type');
  if (statusField === undefined && location === undefined && type === undefined) {
    throw new MalformedResponse('neither content-type nor location nor status');
  }
  if (type === undefined && body.length > 0) throw new MalformedResponse('a body without content-type');
  const status = statusField === undefined ? undefined : /^(\d{3})(?: |$)/.exec(statusField)?.[1];
  if (statusField !== undefined && status === undefined) {
    throw new MalformedResponse(`status: ${JSON.stringify(statusField.slice(0, 80))}`);
  }
  if (location?.startsWith('/') && fields.length === 1 && body.length === 0) return { redirect: location };
  const rest = fields.filter((field) => field[0] !== 'status');
  const code = status !== undefined ? Number(status) : location !== undefined ? 302 : 200;
  return { response: checkResponse(method, code, rest, body) };
}
