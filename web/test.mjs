// Runs the unit tests of the page: bundles each test/*.test.ts and hands them to node's test runner.
import {spawnSync} from "node:child_process";
import {mkdtempSync, readdirSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {dirname, join} from "node:path";
import {fileURLToPath} from "node:url";
import {build} from "esbuild";

const tests = join(dirname(fileURLToPath(import.meta.url)), "test");
const bundled = mkdtempSync(join(tmpdir(), "page-unit-"));
try {
  const names = readdirSync(tests).filter((name) => name.endsWith(".test.ts"));
  await build({
    entryPoints: names.map((name) => join(tests, name)),
    bundle: true, platform: "node", format: "esm", outExtension: {".js": ".mjs"}, outdir: bundled, sourcemap: "inline", logLevel: "warning",
  });
  const run = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...names.map((name) => join(bundled, name.replace(/\.ts$/, ".mjs")))], {stdio: "inherit"});
  process.exitCode = run.status ?? 1;
} finally {
  rmSync(bundled, {recursive: true, force: true});
}
