// Bundles the page and writes it as a C file for src/serve: node build.mjs OUT.c
// The output depends on the sources and the lock file alone: no times, no paths of the machine.
import {createHash} from "node:crypto";
import {readFileSync, writeFileSync} from "node:fs";
import {dirname, join} from "node:path";
import {fileURLToPath} from "node:url";
import {gzipSync} from "node:zlib";
import {build} from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const budgetBytes = 150 * 1024; // of all files together, compressed

const types = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

async function bundle(entry, extension) {
  const result = await build({
    entryPoints: [join(here, "src", entry)],
    absWorkingDir: here,
    bundle: true,
    minify: true,
    write: false,
    format: extension === "js" ? "esm" : undefined,
    target: ["chrome90", "firefox90", "safari15"],
    legalComments: "none",
    charset: "utf8",
    logLevel: "warning",
  });
  return Buffer.from(result.outputFiles[0].contents);
}

// The files of the page: {path, type, body}, the document first.
export async function buildPage() {
  const assets = {
    "app.js": await bundle("main.ts", "js"),
    "app.css": await bundle("style.css", "css"),
    "icon.svg": readFileSync(join(here, "src", "icon.svg")),
  };
  let document = readFileSync(join(here, "index.html"), "utf8");
  const files = [];
  for (const [name, body] of Object.entries(assets)) {
    const [stem, extension] = name.split(".");
    const hash = createHash("sha256").update(body).digest("hex").slice(0, 12);
    const path = `/${stem}-${hash}.${extension}`;
    if (!document.includes(`"/${name}"`)) throw new Error(`index.html does not name /${name}`);
    document = document.replaceAll(`"/${name}"`, `"${path}"`);
    files.push({path, type: types[extension], body});
  }
  return [{path: "/", type: types.html, body: Buffer.from(document)}, ...files];
}

function compress(body) {
  const packed = gzipSync(body, {level: 9});
  packed[9] = 255; // the byte that names the operating system, which differs between zlib builds
  return packed;
}

// The page as C: string literals with octal escapes, which compile faster than lists of numbers.
function literal(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 32) {
    let line = "";
    for (const byte of bytes.subarray(at, at + 32)) line += "\\" + byte.toString(8).padStart(3, "0");
    lines.push(`    "${line}"`);
  }
  return lines.join("\n");
}

export function writeC(files) {
  const out = [
    "/* Made by scripts/build-page from web/: do not edit. */",
    '#include "serve/serve.h"',
    "",
  ];
  files.forEach((file, index) => {
    out.push(`static const unsigned char file_${index}[] =\n${literal(file.packed)};`);
  });
  out.push("", "const struct serve_file serve_page_files[] = {");
  files.forEach((file, index) => {
    out.push(`    {"${file.path}", "${file.type}", "gzip", file_${index}, sizeof file_${index} - 1},`);
  });
  out.push("};", `const size_t serve_page_file_count = ${files.length};`, "");
  return out.join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const output = process.argv[2];
  if (!output) {
    console.error("usage: node build.mjs OUT.c");
    process.exit(2);
  }
  const files = (await buildPage()).map((file) => ({...file, packed: compress(file.body)}));
  const total = files.reduce((sum, file) => sum + file.packed.length, 0);
  if (total > budgetBytes) {
    console.error(`build-page: the page is ${total} bytes compressed, more than its budget of ${budgetBytes}`);
    process.exit(1);
  }
  writeFileSync(output, writeC(files));
}
