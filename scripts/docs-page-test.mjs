// The docs page as a newcomer uses it: "Try it out" drives register, login, /protected-auto and logout.
// Every host but 127.0.0.1 is blocked; whatever asks for one, or breaks the page's policy, fails the test.
import { check, visit } from "./browser.mjs";

const EMAIL = "page@example.com";
const PASSWORD = "pAsSwOrD-of-a-page";

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

async function drive(context, origin, { strangers, asked, complaints }) {
  const page = await context.newPage();
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
}

await visit({
  program: process.argv[2],
  args: ["dev", "--listen", "127.0.0.1:0"],
  announced: /public_url="([^"]+)"/,
  // Chromium writes a line for each answer of 4xx; one 401 is what the test asks for.
  isWanted: (text, url) => text.includes("status of 401") && url.endsWith("/protected-auto"),
  drive,
});
