// What the tests in a browser share: a program to visit, headless Chromium that reaches nothing else, a count of claims.
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";

export const PATIENCE = 20_000;
const LONGEST_VISIT = 120_000;

let passed = 0;
let failed = 0;

export function check(claim, holds, seen) {
  if (holds) {
    passed += 1;
    console.log(`ok      ${claim}`);
  } else {
    failed += 1;
    console.log(`FAILED  ${claim}${seen === undefined ? "" : `: ${JSON.stringify(seen).slice(0, 600)}`}`);
  }
}

/** Starts a program; resolves to the origin that `announced` finds in what it writes, once it serves. */
function serve(program, args, announced, onLine) {
  const child = spawn(program, args, { env: {}, stdio: ["ignore", "pipe", "pipe"] });
  const origin = new Promise((resolve, reject) => {
    let log = "";
    const late = setTimeout(() => reject(new Error(`not serving: ${log}`)), PATIENCE);
    child.on("error", reject);
    child.on("exit", () => reject(new Error(`it ended: ${log}`)));
    const read = (chunk) => {
      log += chunk;
      const found = announced.exec(log);
      if (found) {
        clearTimeout(late);
        resolve(found[1]);
      }
    };
    child.stderr.on("data", read);
    child.stdout.on("data", (chunk) => {
      read(chunk);
      onLine?.(`${chunk}`);
    });
  });
  return { child, origin };
}

async function stop(child, signal) {
  child.removeAllListeners("exit");
  const ended = new Promise((resolve) => child.once("exit", resolve));
  if (child.exitCode === null && child.kill(signal)) {
    const late = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
    const code = await ended;
    clearTimeout(late);
    check("the program ends with exit code 0", code === 0, code);
  }
}

/** Chromium with a profile of its own. Every host but 127.0.0.1 is blocked. */
async function launch() {
  const context = await chromium.launchPersistentContext(mkdtempSync(path.join(tmpdir(), "profile-")), {
    executablePath: "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ],
  });
  context.setDefaultTimeout(PATIENCE);
  return context;
}

/** Collects what no page should do. `isWanted` picks the console's lines about answers that the test asks for. */
async function watch(context, origin, isWanted) {
  const seen = { strangers: [], asked: [], complaints: [] };
  context.on("request", (request) => {
    const url = new URL(request.url());
    seen.asked.push(url.pathname);
    // data: and blob: stay inside the page.
    if (!["data:", "blob:"].includes(url.protocol) && url.origin !== origin) {
      seen.strangers.push(request.url());
    }
  });
  context.on("weberror", (error) => seen.complaints.push(`uncaught: ${error.error().message}`));
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !isWanted(message.text(), message.location().url)) {
      seen.complaints.push(`${message.type()}: ${message.text()} (${message.location().url})`);
    }
  });
  await context.addInitScript(() => {
    globalThis.violations = [];
    addEventListener("securitypolicyviolation", (event) => {
      globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  return seen;
}

/**
 * Runs a test: `program` with `args`, whose origin `announced` finds, is visited by a browser in `drive(context, origin,
 * seen)` and told to end with `signal`. The process' exit code says whether every claim held.
 */
export async function visit({ program, args, announced, signal = "SIGTERM", onLine, isWanted = () => false, drive }) {
  const { child, origin: serving } = serve(program, args, announced, onLine);
  let context;
  try {
    const origin = await serving;
    context = await launch();
    const late = new Promise((_, reject) => {
      setTimeout(() => reject(new Error("the visit takes too long")), LONGEST_VISIT).unref();
    });
    await Promise.race([drive(context, origin, await watch(context, origin, isWanted)), late]);
  } catch (error) {
    check("the page can be driven to the end", false, `${error.stack}`);
  } finally {
    await context?.close();
    await stop(child, signal);
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
}
