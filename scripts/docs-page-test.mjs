// The docs page as a newcomer uses it: "Try it out" drives register, login, /protected-auto and logout.
// Every host but 127.0.0.1 is blocked; whatever asks for one, or breaks the page's policy, fails the test.
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";

const PATIENCE = 20_000;
const EMAIL = "page@example.com";
const PASSWORD = "pAsSwOrD-of-a-page";

let passed = 0;
let failed = 0;

function check(claim, holds, seen) {
  if (holds) {
    passed += 1;
    console.log(`ok      ${claim}`);
  } else {
    failed += 1;
    console.log(`FAILED  ${claim}${seen === undefined ? "" : `: ${JSON.stringify(seen).slice(0, 600)}`}`);
  }
}

/** Starts `authproxy dev` on a free port; resolves to its origin once it serves. */
function serve(program) {
  const child = spawn(program, ["dev", "--listen", "127.0.0.1:0"], { env: {}, stdio: ["ignore", "pipe", "pipe"] });
  const origin = new Promise((resolve, reject) => {
    let log = "";
    const late = setTimeout(() => reject(new Error(`not serving: ${log}`)), PATIENCE);
    child.on("error", reject);
    child.on("exit", () => reject(new Error(`it ended: ${log}`)));
    child.stderr.on("data", (chunk) => {
      log += chunk;
      const found = /public_url="([^"]+)"/.exec(log);
      if (found) {
        clearTimeout(late);
        resolve(found[1]);
      }
    });
    child.stdout.resume();
  });
  return { child, origin };
}

/** Fills in and executes one operation on the page; returns the answer that the browser got. */
async function execute(page, method, route, fill) {
  const block = page.locator(`.opblock-${method}`, { has: page.locator(`.opblock-summary-path[data-path="${route}"]`) });
  if ((await block.locator(".opblock-body").count()) === 0) {
    await block.locator(".opblock-summary-control").first().click();
  }
  const tryIt = block.locator(".try-out__btn:not(.cancel)");
  await block.locator(".execute").or(tryIt).first().waitFor();
  if ((await tryIt.count()) > 0) {
    await tryIt.click();
  }
  await fill?.(block);
  const [answer] = await Promise.all([
    page.waitForResponse((response) => new URL(response.url()).pathname === route),
    block.locator(".execute").click(),
  ]);
  const text = await answer.text();
  const shown = block.locator(".live-responses-table .response .response-col_status", { hasText: `${answer.status()}` });
  const isShown = await shown.first().waitFor().then(() => true, () => false);
  check(`${method} ${route}: the page shows the answer's status`, isShown, answer.status());
  return { status: answer.status(), text };
}

async function drive(page, context, origin) {
  const opened = await page.goto(`${origin}/docs`);
  check("GET /docs is 200", opened.status() === 200, opened.status());
  const policy = opened.headers()["content-security-policy"] ?? "";
  check("its policy allows no inline script and no other host", /script-src 'self'(;|$)/.test(policy), policy);
  await page.locator(".opblock").first().waitFor();

  const json = JSON.stringify({ email: EMAIL, password: PASSWORD });
  const registered = await execute(page, "post", "/register", (block) => block.locator("textarea").first().fill(json));
  check("register succeeds", registered.status >= 200 && registered.status < 300, registered);

  const login = await execute(page, "post", "/login", async (block) => {
    const field = (name) => block.locator(`tr[data-property-name="${name}"], tr[data-param-name="${name}"]`).locator("input, textarea").first();
    await field("username").fill(EMAIL);
    await field("password").fill(PASSWORD);
  });
  check("login with the form succeeds", login.status === 200, login);
  check("login hands the page no token", !/access_token|refresh_token|eyJ/.test(login.text), login.text);

  const [cookie] = (await context.cookies()).filter(({ name }) => name === "session_id");
  check("the browser holds an HttpOnly, SameSite=Lax session cookie", cookie?.httpOnly && cookie?.sameSite === "Lax", {
    ...cookie,
    value: "",
  });
  const visible = await page.evaluate(() => document.cookie);
  check("document.cookie does not show the session", visible === "", visible);

  const seen = await execute(page, "get", "/protected-auto");
  check("GET /protected-auto is 200", seen.status === 200 && seen.text.includes(EMAIL), seen);
  const dom = await page.content();
  check("no token stands in the page", !/eyJ[\w-]{8,}\.[\w-]+\.[\w-]+/.test(dom), dom.match(/.{40}eyJ.{40}/)?.[0]);
  check("the session id does not stand in the page", cookie !== undefined && !dom.includes(cookie.value));

  const logout = await execute(page, "post", "/logout");
  check("POST /logout is 200", logout.status === 200 && logout.text.includes("Logged out successfully"), logout);
  const after = await execute(page, "get", "/protected-auto");
  check("GET /protected-auto is 401 again", after.status === 401 && after.text.includes("Please login first"), after);
  const left = (await context.cookies()).filter(({ name }) => name === "session_id");
  check("the browser holds no session cookie any more", left.length === 0);
}

const { child, origin: serving } = serve(process.argv[2]);
let browser;
try {
  const origin = await serving;
  const profile = mkdtempSync(path.join(tmpdir(), "profile-"));
  browser = await chromium.launchPersistentContext(profile, {
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
  browser.setDefaultTimeout(PATIENCE);
  const strangers = [];
  const asked = [];
  browser.on("request", (request) => {
    const url = new URL(request.url());
    asked.push(url.pathname);
    // data: and blob: stay inside the page.
    if (!["data:", "blob:"].includes(url.protocol) && url.origin !== origin) {
      strangers.push(request.url());
    }
  });
  const complaints = [];
  const page = await browser.newPage();
  page.on("pageerror", (error) => complaints.push(`uncaught: ${error.message}`));
  page.on("console", (message) => {
    // Chromium writes a line for each answer of 4xx; one 401 is what the test asks for.
    const wanted = message.text().includes("status of 401") && message.location().url.endsWith("/protected-auto");
    if (["error", "warning"].includes(message.type()) && !wanted) {
      complaints.push(`${message.type()}: ${message.text()} (${message.location().url})`);
    }
  });
  await page.addInitScript(() => {
    globalThis.violations = [];
    addEventListener("securitypolicyviolation", (event) => {
      globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  await drive(page, browser, origin);

  const violations = await page.evaluate(() => globalThis.violations);
  check("nothing violates the page's policy", violations.length === 0, violations);
  check("the console has no error and no warning", complaints.length === 0, complaints);
  check("no request left 127.0.0.1", strangers.length === 0 && asked.includes("/openapi.json"), strangers);

  // The same page with an inline script and a foreign image: what is watched above does see them.
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "globalThis.ran = true";
    document.body.append(script);
    document.body.append(Object.assign(new Image(), { src: "http://elsewhere.example/pixel.png" }));
  });
  const noticed = await page.waitForFunction(() => globalThis.violations.length >= 2).then(() => true, () => false);
  check("a violation would be noticed", noticed && complaints.length >= 2, complaints);
  check("an inline script does not run", (await page.evaluate(() => globalThis.ran)) === undefined);
} catch (error) {
  check("the page can be driven to the end", false, `${error.stack}`);
} finally {
  await browser?.close();
  child.removeAllListeners("exit");
  const ended = new Promise((resolve) => child.once("exit", resolve));
  if (child.exitCode === null && child.kill("SIGTERM")) {
    const late = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
    const code = await ended;
    clearTimeout(late);
    check("the program ends with exit code 0", code === 0, code);
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
