// V8: warm loops through all its compilers, deoptimisation, worker threads on shared memory, collection, WebAssembly.
const { Worker, isMainThread, workerData, parentPort } = require('node:worker_threads');
const assert = require('node:assert');

function mix(n) { let h = 2166136261; for (let i = 0; i < n; i++) { h ^= i & 255; h = Math.imul(h, 16777619) >>> 0; } return h; }
function sum(a) { let s = 0; for (const x of a) s += x.v; return s; }

if (!isMainThread) {
  const shared = new Int32Array(workerData);
  for (let i = 0; i < 20000; i++) { Atomics.add(shared, 0, 1); if (i % 5000 === 0) new Array(5000).fill({}).map(() => ({ a: i })); }
  parentPort.postMessage(mix(200000));
} else (async () => {
  assert.strictEqual(mix(1000000), mix(1000000));
  assert.strictEqual(mix(3), 581859880);
  const one = Array.from({ length: 1000 }, (_, i) => ({ v: i }));
  for (let i = 0; i < 2000; i++) assert.strictEqual(sum(one), 499500);
  one[999] = { w: 1, v: 0.5 };                                    // another shape and a double: the code is thrown away
  assert.strictEqual(sum(one), 498501.5 - 0);
  let kept = []; for (let i = 0; i < 300000; i++) { kept.push({ i, s: 'x' + i }); if (kept.length > 1000) kept = []; }
  const memory = new SharedArrayBuffer(4);
  const answers = await Promise.all([1, 2, 3].map(() => new Promise((done, fail) => {
    const w = new Worker(__filename, { workerData: memory }); w.on('message', done); w.on('error', fail);
  })));
  assert.deepStrictEqual(answers, Array(3).fill(mix(200000)));
  assert.strictEqual(new Int32Array(memory)[0], 60000);
  const wasm = new Uint8Array([0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,7,1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11]);
  const { instance } = await WebAssembly.instantiate(wasm);
  for (let i = 0; i < 10000; i++) assert.strictEqual(instance.exports.add(i, 2), i + 2);
  console.log('ok');
})();
