// The program of this sample: edit it and start again. It runs in QuickJS, inside of WebAssembly.
// handle(request) gets { method, url, path, headers, body } and returns { status, headers, body }, or a promise.

let visits = 0;

const json = (value) => ({
  headers: { 'content-type': 'application/json' },
  body: `${JSON.stringify(value)}\n`,
});

const routes = {
  '/': () => ({ body: 'Try /count, /poison, /random, /loop, /recurse, /hog or /throw, or POST to /echo.\n' }),
  // Always 1: the next request does not see what this one did.
  '/count': () => json({ visits: ++visits }),
  '/poison': () => {
    Array.prototype.map = JSON.stringify = globalThis.handle = () => 'poisoned';
    globalThis.leak = 'secret';
    return { body: 'Everything is broken now. Or is it?\n' };
  },
  '/leak': () => json({ leak: typeof globalThis.leak }),
  '/echo': ({ method, headers, body }) => json({ method, type: headers['content-type'], body }),
  '/random': () => json({ random: Math.random(), time: new Date().toISOString() }),
  '/later': async () => {
    await Promise.resolve();
    console.log('logged on the server');
    return { status: 201, body: 'Done.\n' };
  },
  // Each of these costs this request only.
  '/throw': () => {
    throw new Error('out of luck');
  },
  '/loop': () => {
    for (;;);
  },
  '/recurse': () => {
    const down = (n) => down(n + 1) + 1;
    return down(0);
  },
  '/hog': () => {
    const kept = [];
    for (;;) kept.push(new Uint8Array(1 << 20).fill(1));
  },
};

globalThis.handle = (request) => {
  const route = routes[request.path];
  return route ? route(request) : { status: 404, body: 'There is nothing here.\n' };
};
