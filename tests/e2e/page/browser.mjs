// The browser that the tests use, and a page in it that remembers everything that went wrong.
import {existsSync, mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {chromium} from "playwright-core";

const flags = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

function executable() {
  const found = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(
    (path) => path && existsSync(path));
  if (!found) throw new Error("no Chromium found: install it or name it in CHROMIUM");
  return found;
}

export async function withBrowser(options, use) {
  const profile = mkdtempSync(join(tmpdir(), "page-test-"));
  const context = await chromium.launchPersistentContext(profile, {executablePath: executable(), headless: true, args: flags, ...options});
  try {
    await context.addInitScript(() => {
      window.violations = [];
      document.addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
    });
    const page = context.pages()[0] ?? (await context.newPage());
    const faults = [];
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") faults.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => faults.push(`exception: ${error.message}`));
    page.on("dialog", async (dialog) => {
      faults.push(`dialog: ${dialog.message()}`);
      await dialog.dismiss();
    });
    return await use(page, faults);
  } finally {
    await context.close();
    rmSync(profile, {recursive: true, force: true});
  }
}
