# npm: a package is made, packed, installed from its folder and from the archive, and its tests are run by node --test.
# tree: managed
# slow
# seconds: 240
export npm_config_offline=true npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false npm_config_cache=$PWD/cache npm_config_loglevel=error
mkdir pure pure/lib app; cd pure
cat > package.json <<'X'
{ "name": "pure", "version": "1.2.3", "main": "lib/index.js", "bin": { "pure": "lib/cli.js" }, "scripts": { "test": "node --test" } }
X
echo 'exports.twice = (x) => 2 * x;' > lib/index.js
printf '#!/usr/bin/env node\nconsole.log("cli", require("./index.js").twice(Number(process.argv[2])));\n' > lib/cli.js; chmod +x lib/cli.js
cat > pure.test.js <<'X'
const { test, describe, it } = require('node:test'); const assert = require('node:assert'); const { twice } = require('pure');
test('twice', () => assert.strictEqual(twice(21), 42));
describe('later', () => { it('awaits', async () => { await new Promise((f) => setTimeout(f, 10)); assert.deepStrictEqual([1, 2].map(twice), [2, 4]); }); it.skip('is left out', () => assert.fail()); });
X
npm pack 2>/dev/null; tar tzf pure-1.2.3.tgz | sort
cd ../app; npm init -y > /dev/null; npm pkg get name version
npm install ../pure | sed 's/ in [0-9a-z.]*//'; node -p 'require("pure").twice(4)'
npm uninstall pure | sed 's/ in [0-9a-z.]*//'; npm install ../pure/pure-1.2.3.tgz | sed 's/ in [0-9a-z.]*//'; npm ls | sed 1d; npx pure 8
node -e 'const lock = require("./package-lock.json"); console.log(Object.keys(lock.packages), lock.packages["node_modules/pure"].integrity.slice(0, 7))'
cp ../pure/pure.test.js .; node --test --test-reporter=tap | grep -E '^ *(ok|not ok|# (tests|pass|fail|skipped))' | sed -E 's#ok ([0-9]+) - /.*/#ok \1 - #'
npm test 2>&1 | grep -o 'no test specified' | head -1; npm run nothing > /dev/null 2>&1; echo $?
