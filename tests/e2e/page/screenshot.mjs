// Makes docs/screenshot.png from the program with its demo data: DATAFLOW=build/release/dataflow node screenshot.mjs [OUT.png]
import {withBrowser} from "./browser.mjs";
import {withProgram} from "./program.mjs";

const out = process.argv[2] ?? new URL("../../../docs/screenshot.png", import.meta.url).pathname;
const fillMs = 75_000; // the charts show the last minute

await withProgram(process.env.DATAFLOW, ["--demo"], (url) =>
  withBrowser({viewport: {width: 1440, height: 1120}, colorScheme: "dark"}, async (page) => {
    await page.goto(url);
    await page.waitForSelector(".line");
    await page.waitForTimeout(fillMs);
    await page.screenshot({path: out});
  }));
