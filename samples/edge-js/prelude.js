// What the sandbox adds to plain JavaScript; runs in QuickJS before the user's program. All that the host needs
// of it is held by handles that are made before the checkpoint, so that no request can take it away.
(() => {
  const { parse, stringify } = JSON;
  const { imul } = Math;
  const { entries } = Object;
  let state = 0;
  const lines = [];
  let answer;

  // QuickJS seeds Math.random once; every request starts from the same state, and would get the same numbers.
  Math.random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = imul(state ^ (state >>> 15), 1 | state);
    t = (t + imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };

  const show = (value) => (typeof value === 'string' ? value : (stringify(value) ?? String(value)));
  const log = (...values) => {
    let line = '';
    for (const value of values) line += (line && ' ') + show(value);
    lines.push(line);
  };
  globalThis.console = { log, info: log, warn: log, error: log, debug: log };

  const normal = (response) => {
    if (typeof response === 'string') return { status: 200, headers: [], body: response };
    if (typeof response !== 'object' || response === null) throw new TypeError('handle() returned no response');
    const { status = 200, headers = {}, body = '' } = response;
    const list = entries(headers);
    for (const pair of list) pair[1] = `${pair[1]}`;
    return { status, headers: list, body: `${body}` };
  };

  return {
    /** Starts handling one request; the answer may need pending jobs to run. */
    begin(request) {
      const { seed, ...rest } = parse(request);
      state = seed;
      Promise.resolve(rest)
        .then((r) => globalThis.handle(r))
        .then((response) => {
          answer = { response: normal(response) };
        })
        .catch((error) => {
          answer = { error: `${error}\n${error?.stack ?? ''}` };
        });
    },
    /** The answer, or undefined when the handler is not done. */
    end: () => answer && stringify({ ...answer, lines }),
  };
})();
