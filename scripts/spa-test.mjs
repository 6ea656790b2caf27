// The single-page app in a browser: what a person does with it, and what it must never get to see. Access tokens live
// two seconds; every claim about "across refreshes" is made after at least three of them.
import { check, PATIENCE, visit } from "./browser.mjs";

const EMAIL = "spa@example.com";
const PASSWORD = "pAsSwOrD-of-a-spa";

// ---- What the program says -------------------------------------------------------------------------------------------

let streamsOpen = 0;
let streamsChanged = () => {};

function onLine(text) {
  for (const [, count] of text.matchAll(/event streams open: (\d+)/g)) {
    streamsOpen = Number(count);
    streamsChanged();
  }
}

/** Resolves to the milliseconds since `begun` when the upstream has `count` streams open. */
function streams(count, begun = performance.now()) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${streamsOpen} streams are open, not ${count}`)), PATIENCE);
    streamsChanged = () => {
      if (streamsOpen === count) {
        clearTimeout(late);
        resolve(performance.now() - begun);
      }
    };
    streamsChanged();
  });
}

// ---- Looking for tokens ----------------------------------------------------------------------------------------------

/** What has the shape of an access token (JWT), a refresh token or a session id (43 characters of base64url). */
function secretsIn(text) {
  const opaque = (text.match(/[\w-]{40,}/g) ?? []).filter((run) => new Set(run).size > 8);
  return [...opaque, ...(text.match(/eyJ[\w-]{8,}\.[\w-]+/g) ?? [])];
}

/** Collects every answer that the pages get, as far as a page can read it: all but `Set-Cookie`, streams event by event. */
function listen(context) {
  const heard = { texts: [], pending: [], calls: [], authorized: [], unread: [] };
  const later = (path, reading) => heard.pending.push(reading.catch((error) => heard.unread.push(`${path}: ${error.message}`)));
  const readHeaders = async (path, response) => {
    const readable = (await response.headersArray()).filter(({ name }) => name.toLowerCase() !== "set-cookie");
    heard.texts.push({ of: `${path} (header)`, text: JSON.stringify(readable) });
    const sent = await response.request().allHeaders();
    if (sent.authorization !== undefined) heard.authorized.push(path);
  };
  context.on("response", (response) => {
    const { pathname: path } = new URL(response.url());
    const request = response.request();
    heard.calls.push({ path, method: request.method(), status: response.status(), page: response.frame().page() });
    // A stream is not finished until it is over.
    if (isStream(response)) later(path, readHeaders(path, response));
  });
  context.on("requestfinished", async (request) => {
    const { pathname: path } = new URL(request.url());
    const response = await request.response();
    if (isStream(response)) return;
    later(path, readHeaders(path, response));
    later(path, response.text().then((text) => heard.texts.push({ of: path, text })));
  });
  return heard;
}

const isStream = (response) => response.headers()["content-type"]?.startsWith("text/event-stream");

async function listenToEvents(context, page, heard) {
  const events = [];
  const devtools = await context.newCDPSession(page);
  await devtools.send("Network.enable");
  devtools.on("Network.eventSourceMessageReceived", ({ data }) => {
    events.push(JSON.parse(data));
    heard.texts.push({ of: "/api/events", text: data });
  });
  return events;
}

/** What scripts of the page could read without asking the server. */
function visible(page) {
  return page.evaluate(async () => ({
    cookie: document.cookie,
    local: { ...localStorage },
    session: { ...sessionStorage },
    databases: await indexedDB.databases(),
    caches: await caches.keys(),
    dom: document.documentElement.outerHTML,
    fields: [...document.querySelectorAll("input")].map(({ value }) => value),
    address: location.href,
    history: history.state,
  }));
}

// ---- Driving the page ------------------------------------------------------------------------------------------------

const number = async (page, id) => Number.parseInt(await page.locator(`#${id}`).innerText(), 10);
const until = (page, claim, ...args) => page.waitForFunction(claim, ...args);
const text = (page, id, wanted) =>
  until(page, ([id, wanted]) => document.getElementById(id)?.textContent.includes(wanted), [id, wanted]);

async function fillIn(page, password, button) {
  await page.getByLabel("Email").fill(EMAIL);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: button }).click();
}

async function ofAProgram(origin) {
  // Nobody but a page sends `Sec-Fetch-Site`; node's fetch does not.
  const form = new URLSearchParams({ username: "user@example.com", password: "password123" });
  const answer = await fetch(`${origin}/login`, { method: "POST", body: form });
  const found = secretsIn(await answer.text());
  check("what looks for tokens finds both where a program that is no page logs in", found.length >= 2, found.length);
}

async function logsIn(page, context, origin) {
  const opened = await page.goto(origin);
  const policy = opened.headers()["content-security-policy"] ?? "";
  check("the page's policy allows no inline script and no other host", /script-src 'self'(;|$)/.test(policy), policy);
  await page.getByLabel("Email").waitFor();
  check("without a session there is the login form and nothing else", (await page.locator("#user").count()) === 0);

  await fillIn(page, "wrong", "Log in");
  await text(page, "notice", "Invalid credentials");
  check("a wrong password is said, and the form stays", await page.getByLabel("Email").isVisible());

  await fillIn(page, PASSWORD, "Create account");
  await text(page, "user", EMAIL);
  check("registering through the form logs in", true);
  const cookies = await context.cookies();
  const [cookie] = cookies;
  check(
    "the browser holds one cookie, HttpOnly and SameSite=Lax",
    cookies.length === 1 && cookie.name === "session_id" && cookie.httpOnly && cookie.sameSite === "Lax",
    cookies.map(({ name, httpOnly, sameSite }) => ({ name, httpOnly, sameSite })),
  );
  return cookie.value;
}

async function calls(page, heard) {
  const before = await number(page, "session-left");
  await until(page, (before) => Number.parseInt(document.getElementById("session-left").textContent, 10) < before, before);
  check("the session's remaining time counts down", before > 0 && before <= 60, before);

  await page.getByRole("button", { name: "Who am I?" }).click();
  await text(page, "answer", `"user":"${EMAIL}"`);
  check("a call to the API is answered for the user", true);
  await page.getByLabel("Item").fill("tea & <b>biscuits</b>");
  await page.getByRole("button", { name: "Order" }).click();
  await text(page, "answer", '"item":"tea & <b>biscuits</b>"');
  const order = heard.calls.find(({ path }) => path === "/api/orders");
  check("a POST goes through with the cookie alone", order?.method === "POST" && order.status === 201, order);
  await text(page, "stream", "connected");
}

async function goesOnAcrossRefreshes(page, heard, events) {
  await page.getByLabel("ask every second").check();
  await until(page, () => Number(document.getElementById("changes").textContent) >= 3);
  // The stream's own view of the same: it was opened with the first token.
  const [first, last] = [events[0], events.at(-1)];
  check("three refreshes later the stream of the first token still lives", last.tokens_seen >= 4, [first, last]);
  check("no event is missing", events.every(({ number }, index) => number === first.number + index), events.map(({ number }) => number));
  check("the stream was opened once", heard.calls.filter(({ path }) => path === "/api/events").length === 1);
  const api = heard.calls.filter(({ path }) => path.startsWith("/api/"));
  const failures = api.filter(({ status }) => status >= 300);
  check("no call has failed on the way", failures.length === 0 && api.length >= 6, failures);
  const [made, failed] = [await number(page, "calls"), await number(page, "failed")];
  check("the page says the same", made >= 5 && failed === 0, { made, failed });
  await page.getByLabel("ask every second").uncheck();
}

async function waitsWhenToldTo(page, context) {
  let refusals = 0;
  await page.route("**/api/me", (route) => {
    refusals += 1;
    if (refusals > 2) return route.fallback();
    const body = JSON.stringify({ detail: "The auth service is not available; the session is kept" });
    return route.fulfill({ status: 503, headers: { "Retry-After": "1" }, contentType: "application/json", body });
  });
  await page.locator("#answer").evaluate((element) => (element.textContent = ""));
  await page.getByRole("button", { name: "Who am I?" }).click();
  await text(page, "notice", "retrying in 1 s");
  check("503 is said, and the session stays", await page.locator("#user").isVisible());
  await text(page, "answer", EMAIL);
  await until(page, () => document.getElementById("notice").textContent === "");
  check("the call succeeds as soon as it can", refusals === 3 && (await number(page, "failed")) === 0, refusals);
  check("503 costs no session", (await context.cookies()).length === 1);
  await page.unroute("**/api/me");
}

async function showsNoToken(pages, session, heard) {
  for (const [index, page] of pages.entries()) {
    const seen = await visible(page);
    const stored = [seen.cookie, seen.history, ...[seen.local, seen.session, seen.databases, seen.caches].map(Object.keys)];
    check(`page ${index + 1}: no cookie, storage, database or cache is visible`, stored.flat().join("") === "", stored);
    const all = JSON.stringify(seen);
    check(`page ${index + 1}: neither it nor its address shows a token`, secretsIn(all).length === 0, secretsIn(all));
    check(`page ${index + 1}: nor the session id, nor the password`, !all.includes(session) && !all.includes(PASSWORD));
  }
  await Promise.all(heard.pending);
  const leaks = heard.texts.filter(({ text }) => secretsIn(text).length > 0 || text.includes(session));
  const kinds = ["/", "/app.js", "/login", "/session", "/api/me", "/api/orders", "/api/events", "/api/events (header)"];
  const missing = kinds.filter((kind) => !heard.texts.some(({ of }) => of === kind));
  check("every kind of answer was looked at", missing.length === 0, missing);
  check("every answer could be read", heard.unread.length === 0, heard.unread);
  check("no answer has a token, in body or header", leaks.length === 0, leaks.map(({ of }) => of));
  check("the pages send no Authorization", heard.authorized.length === 0, heard.authorized);
}

/** Runs in a page: notes when its stream is said to have ended. */
function notesTheEnd() {
  const look = () => {
    if (document.getElementById("stream")?.textContent === "ended") {
      window.endedAt ??= performance.timeOrigin + performance.now();
    }
  };
  new MutationObserver(look).observe(document, { childList: true, characterData: true, subtree: true });
}

async function logsOut(page, other, left, context, heard) {
  // A tab in the background is looked at once a second only: the pages note the time themselves.
  await Promise.all([page, other].map((page) => page.evaluate(notesTheEnd)));
  const logout = page.waitForRequest("**/logout").then(() => performance.now());
  await page.getByRole("button", { name: "Log out" }).click();
  const begun = await logout;
  const gone = await streams(0, begun);
  check("logout ends the streams at the upstream within a second", gone < 1000, gone);
  await Promise.all([page, other].map((page) => text(page, "stream", "ended")));
  const noticed = (await other.evaluate(() => window.endedAt)) - (performance.timeOrigin + begun);
  check("logout ends the stream in the other tab within a second", noticed < 1000, noticed);
  await Promise.all([page, other].map((page) => page.getByLabel("Email").waitFor()));
  check("both tabs show the login form", true);
  const doms = await Promise.all([page, other].map((page) => page.content()));
  check("neither tab shows whose session it was", doms.every((dom) => !dom.includes(EMAIL)));
  check("the browser holds no cookie any more", (await context.cookies()).length === 0);
  const asked = heard.calls.length;

  const status = await page.evaluate(() => fetch("/api/me").then(({ status }) => status));
  check("the API answers 401", status === 401, status);
  const stream = await page.evaluate(() => fetch("/api/events").then(({ status }) => status));
  check("the stream answers 401", stream === 401, stream);

  await left.goBack();
  await left.getByLabel("Email").waitFor();
  const dom = await left.content();
  check("the back button shows the login form and nothing private", !dom.includes(EMAIL) && !dom.includes("biscuits"));
  return asked;
}

async function comesBackFromThePast(page) {
  // What a browser does that keeps pages as they were left (here it keeps none).
  const kept = await page.evaluate(() => {
    dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }));
    return document.body.innerText;
  });
  check("a page that is left is left empty", !kept.includes(EMAIL) && !kept.includes("event "), kept);
  await page.evaluate(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })));
  await text(page, "user", EMAIL);
  check("and looks for its session when it comes back", true);
}

async function ends(page, context) {
  await fillIn(page, PASSWORD, "Log in");
  await text(page, "user", EMAIL);
  await text(page, "stream", "connected");
  check("logging in again begins anew", !(await page.locator("#events").innerText()).includes("biscuits"));
  await context.clearCookies();
  await page.getByRole("button", { name: "Who am I?" }).click();
  await text(page, "notice", "Your session has ended");
  check("a call that gets 401 leads to the login form", await page.getByLabel("Email").isVisible());
}

async function drive(context, origin, { strangers, complaints }) {
  const heard = listen(context);
  const page = await context.newPage();
  const events = await listenToEvents(context, page, heard);
  await ofAProgram(origin);
  const session = await logsIn(page, context, origin);
  await calls(page, heard);
  await goesOnAcrossRefreshes(page, heard, events);
  await waitsWhenToldTo(page, context);

  const [other, left] = [await context.newPage(), await context.newPage()];
  for (const tab of [other, left]) {
    await tab.goto(origin);
    await text(tab, "stream", "connected");
  }
  check("other tabs have the session at once", (await other.locator("#user").innerText()) === EMAIL);
  await comesBackFromThePast(other);
  await text(other, "stream", "connected");
  await showsNoToken([page, other], session, heard);
  await left.goto("about:blank");
  await streams(2);

  const asked = await logsOut(page, other, left, context, heard);
  await ends(page, context);
  const since = heard.calls.slice(asked).filter(({ page }) => page === other).map(({ path }) => path);
  // One answer may have been on its way.
  check("a login form asks for nothing by itself", since.length <= 1, since);

  const violations = (await Promise.all([page, other, left].map((tab) => tab.evaluate(() => globalThis.violations)))).flat();
  check("nothing violates the page's policy", violations.length === 0, violations);
  check("the consoles have no error and no warning", complaints.length === 0, complaints);
  check("no request left 127.0.0.1", strangers.length === 0, strangers);
}

await visit({
  program: process.argv[2],
  args: ["--listen", "127.0.0.1:0", "--access", "2s", "--refresh", "60s"],
  announced: /open (http:\/\/127\.0\.0\.1:\d+)\//,
  signal: "SIGINT",
  onLine,
  // Chromium writes a line for each answer of 4xx and 5xx, and for a stream that is cut off.
  isWanted: (text, url) => {
    const path = new URL(url || "http://none/").pathname;
    return (
      (/status of (401|503)/.test(text) && ["/session", "/login", "/api/me", "/api/events"].includes(path)) ||
      (/ERR_INCOMPLETE_CHUNKED_ENCODING/.test(text) && path === "/api/events")
    );
  },
  drive,
});
