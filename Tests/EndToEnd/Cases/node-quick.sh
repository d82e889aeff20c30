# Node.js: a loop that gets compiled, promises, a worker on shared memory, modules of its own.
# tree: managed
cat > t.js <<'X'
const { Worker, isMainThread, workerData } = require('node:worker_threads');
if (isMainThread) {
  let h = 0; for (let i = 0; i < 3e6; i++) h = Math.imul(h ^ i, 31) | 0;
  console.log(h, 2n ** 100n, [3, 1, 2].toSorted(), 'añb'.normalize('NFD').length, /(?<y>\d{4})-(?<m>\d\d)/.exec('on 2024-05').groups.m);
  console.log(require('node:crypto').createHash('sha256').update('abc').digest('hex').slice(0, 16), JSON.stringify({ a: [1, { b: null }] }));
  const memory = new SharedArrayBuffer(4);
  new Worker(__filename, { workerData: memory }).on('exit', async (code) => {
    console.log('worker', code, new Int32Array(memory)[0]);
    console.log(await Promise.all([1, 2, 3].map(async (x) => x * x)), new Intl.NumberFormat('de-DE').format(1234567.891));
  });
} else Atomics.add(new Int32Array(workerData), 0, 42);
X
node t.js
