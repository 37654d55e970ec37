// Packs what was built, once, so that the server need not. Uses nothing but Node.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const site = new URL('../dist/site', import.meta.url).pathname;

for (const name of readdirSync(site, { recursive: true })) {
  const path = join(site, String(name));
  if (!statSync(path).isFile() || !/\.(html|js|css|svg|webmanifest)$/.test(path)) continue;
  const plain = readFileSync(path);
  const brotli = brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
  const gzip = gzipSync(plain, { level: 9 });
  if (brotli.length < plain.length) writeFileSync(`${path}.br`, brotli);
  if (gzip.length < plain.length) writeFileSync(`${path}.gz`, gzip);
}
