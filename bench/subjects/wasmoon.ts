/** Lua (wasmoon): calls of a Lua function through Lua's C interface. */
import { readFileSync } from 'node:fs';
import { evaluate, Host, packageFile, type Subject } from './host.js';

const SCRIPT = `function work(n)
  local o, a, s = {}, {}, 0
  for i = 0, n - 1 do a[#a + 1] = { x = i, y = 'k' .. (i % 17) } local k = 'k' .. (i % 17) o[k] = (o[k] or 0) + i end
  for _, e in ipairs(a) do s = s + o[e.y] % 7 + e.x end
  table.sort(a, function(p, q) local u, v = p.x * 7919 % 101, q.x * 7919 % 101 if u ~= v then return u < v end return p.x < q.x end)
  local t = {}
  for i, e in ipairs(a) do t[i] = e.y end
  return s + #table.concat(t, ',')
end`;

interface Lua {
  lua_getglobal(state: number, name: string): void;
  lua_gettop(state: number): number;
  lua_settop(state: number, index: number): void;
  lua_pushvalue(state: number, index: number): void;
  lua_pushnumber(state: number, value: number): void;
  lua_pcallk(state: number, args: number, results: number, handler: number, ctx: number, k: null): number;
  lua_tonumberx(state: number, index: number, isNumber: null): number;
}

export const wasmoon: Subject = {
  name: 'wasmoon calls',
  request: 'a function that builds, sorts and joins 30 to 37 tables',
  bytes: async () => readFileSync(packageFile('wasmoon', 'dist', 'glue.wasm')),
  reserve: 128 << 20,
  async start(source) {
    const host = new Host(source);
    const path = packageFile('wasmoon', 'dist', 'index.js');
    const { LuaFactory } = evaluate<typeof import('wasmoon')>(path, host);
    const engine = await new LuaFactory().createEngine({ injectObjects: false });
    await engine.doString(SCRIPT);
    const { address } = engine.global;
    const lua = engine.global.lua as unknown as Lua;
    lua.lua_getglobal(address, 'work');
    const work = lua.lua_gettop(address);
    return {
      guest: host.guest,
      memory: host.memory,
      request(n) {
        lua.lua_pushvalue(address, work);
        lua.lua_pushnumber(address, 30 + (n & 7));
        if (lua.lua_pcallk(address, 1, 1, 0, 0, null)) throw new Error('Lua failed');
        const value = lua.lua_tonumberx(address, -1, null);
        lua.lua_settop(address, -2);
        return value;
      },
      tidy() {},
    };
  },
};
