// The docs page in headless Chromium, with every other host blocked: "try it out" drives the whole flow.
// Run by scripts/docs-page-test, which starts the server; the page's address is the one argument.
import { chromium } from "playwright-core";

const origin = process.argv[2];
const outcomes = [];
const check = (claim, holds, seen = "") => {
  outcomes.push(holds);
  console.log(`${holds ? "ok     " : "FAILED "} ${claim}${holds ? "" : `: ${seen}`}`);
};

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
  ],
});
try {
  const page = await browser.newPage();
  const outside = [], complaints = [];
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.origin !== origin && !["data:", "blob:"].includes(url.protocol)) outside.push(request.url());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    // A 401 is an answer that the flow asks for; everything else that Chromium calls an error is one.
    const refused = /Failed to load resource.*401/.test(message.text());
    if (message.type() === "error" && !refused) complaints.push(message.text());
  });

  await page.goto(`${origin}/docs`);
  await page.waitForSelector(".opblock");

  const execute = async (method, path) => {
    const block = page.locator(`.opblock-${method}`).filter({ has: page.locator(`[data-path="${path}"]`) });
    if (!(await block.locator(".execute").count())) await block.locator(".opblock-summary-control").first().click();
    const answered = page.waitForResponse((response) => new URL(response.url()).pathname === path);
    await block.locator(".execute").click();
    const answer = await answered;
    await block.locator(".live-responses-table .response-col_status").first().waitFor();
    return { status: answer.status(), body: await answer.text() };
  };
  const expect = async (method, path, status) => {
    const answer = await execute(method, path);
    check(`${method} ${path} answers ${status}`, answer.status === status, `${answer.status} ${answer.body}`);
    return answer.body;
  };

  await expect("post", "/register", 200);
  const login = await expect("post", "/login", 200);
  check("the page gets no token from the login", !/token/.test(login), "a token in the body");
  await expect("get", "/protected-auto", 200);
  await expect("get", "/session", 200);
  check("the page cannot see the session cookie", (await page.evaluate(() => document.cookie)) === "");
  const cookie = (await page.context().cookies()).find(({ name }) => name === "session_id");
  check("the cookie is HttpOnly and SameSite=Lax", cookie?.httpOnly === true && cookie?.sameSite === "Lax");
  const text = await page.content();
  check("neither a JWT nor the session id stands in the page", !/eyJ[\w-]+\.eyJ/.test(text) && !text.includes(cookie?.value));
  await expect("post", "/logout", 200);
  await expect("get", "/protected-auto", 401);
  check("no request left the machine", outside.length === 0, outside.join(" "));
  check("the page made no complaint", complaints.length === 0, complaints.join(" | "));
} finally {
  await browser.close();
}
const failed = outcomes.filter((holds) => !holds).length;
console.log(`${outcomes.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
