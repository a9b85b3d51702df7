// The program itself, started for a test on a free port with data of its own, and stopped after it.
import {spawn} from "node:child_process";
import {mkdtempSync, rmSync, writeFileSync} from "node:fs";
import {createServer} from "node:net";
import {tmpdir} from "node:os";
import {join} from "node:path";

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const {port} = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

class Program {
  constructor(path, sources, folder, port) {
    Object.assign(this, {path, sources, folder, port, output: ""});
    this.url = `http://127.0.0.1:${port}`;
  }

  async start() {
    const options = ["run", ...this.sources, "--listen", `127.0.0.1:${this.port}`, "--data", join(this.folder, "data")];
    this.child = spawn(this.path, options, {cwd: this.folder, stdio: ["ignore", "pipe", "pipe"]});
    this.ended = new Promise((done) => this.child.on("exit", done));
    this.running = true;
    void this.ended.then(() => { this.running = false; });
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on("data", (data) => { this.output = (this.output + data).slice(-20_000); });
    while (!(await fetch(`${this.url}/readyz`).then((answer) => answer.ok, () => false))) {
      if (!this.running) throw new Error(`the program ended:\n${this.output}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  }

  async stop() {
    if (this.running) this.child.kill("SIGTERM");
    await this.ended;
  }
}

// `what`: options that name sources, or {events} to be read from a file.
export async function withProgram(path, what, use) {
  const folder = mkdtempSync(join(tmpdir(), "page-program-"));
  let sources = what;
  if (!Array.isArray(what)) {
    writeFileSync(join(folder, "events.jsonl"), what.events.map((event) => `${JSON.stringify(event)}\n`).join(""));
    sources = ["--source", `jsonl:${join(folder, "events.jsonl")}`];
  }
  const program = new Program(path, sources, folder, await freePort());
  try {
    await program.start();
    return await use(program.url, program);
  } finally {
    await program.stop();
    rmSync(folder, {recursive: true, force: true});
  }
}
