// A page behind authproxy, as you would copy it.
//
// The page holds no token and no session id. Logging in sets a cookie that scripts cannot read (HttpOnly); the browser
// sends it with every request to this origin, and the proxy puts a fresh access token in its place. So there is nothing
// to store, nothing to refresh and nothing to attach: `fetch("/api/…")` is all that a call takes.
//
// What is left for a page to do stands in three places: `send` (503: not now), `call` (401: log in again) and `follow`
// (a stream that ends).

const $ = (id) => document.getElementById(id);

/** How often a call is tried while the server answers 503. */
const ATTEMPTS = 5;
/** How often the session is asked after, in ms. Asking does not prolong it. */
const ASK_EVERY = 5_000;
/** How many events are shown. */
const EVENTS = 10;

/** The session on show, or null. Its `signal` stops everything that was begun for it. */
let current = null;

/** An answer that is not the wanted one. */
class Failure extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// ---- Asking the server -----------------------------------------------------------------------------------------------

/**
 * Sends a request to this origin; the browser adds the cookie by itself. Resolves to the answer's JSON.
 *
 * 503 with `Retry-After` says "not now": the session is kept, the same request is tried again. The proxy says so before
 * it passes anything on; if your own API might say it *after* it has done something, give such requests an idempotency
 * key, or do not repeat them.
 */
async function send(path, options = {}) {
  for (let attempt = 1; ; attempt += 1) {
    const response = await fetch(path, { cache: "no-store", ...options });
    if (response.ok) {
      if (attempt > 1) say("");
      return response.json();
    }
    const pause = Number(response.headers.get("Retry-After"));
    if (response.status !== 503 || !(pause > 0) || attempt === ATTEMPTS) {
      throw new Failure(response.status, await reason(response));
    }
    say(`The server is busy: retrying in ${pause} s. Your session is kept.`);
    await wait(Math.min(pause, 30) * 1000, options.signal);
  }
}

/** Calls the API for the session on show. 401 means that the session is over: back to the login form, once. */
async function call(path, options = {}) {
  const { signal } = current;
  try {
    return await send(path, { ...options, signal });
  } catch (error) {
    // No reload, no second try: the form is shown and nothing is asked until somebody logs in.
    if (error.status === 401 && !signal.aborted) showLogin("Your session has ended. Please log in again.");
    throw error;
  }
}

/** Sends JSON. Browsers say with each POST which page it comes from; the proxy refuses those of other sites. */
function json(body) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

/** What an error's answer says: `{"detail": …}` with text, a list of wrong fields, or the auth service's own answer. */
async function reason(response) {
  const body = await response.json().catch(() => null);
  const detail = body?.detail?.detail ?? body?.detail;
  if (Array.isArray(detail)) return detail.map(({ loc, msg }) => `${loc?.at(-1)}: ${msg}`).join("; ");
  return typeof detail === "string" ? detail : `The server answered ${response.status}.`;
}

/** Resolves after `ms`, or rejects when the signal is aborted. */
function wait(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

// ---- Showing ---------------------------------------------------------------------------------------------------------

function say(text) {
  $("notice").textContent = text;
}

/** Says what went wrong, unless it was said already (401), or was stopped on purpose. */
function report(error) {
  if (error.name === "AbortError" || error.status === 401) return;
  say(error instanceof Failure ? error.message : "The server cannot be reached.");
}

/** Puts a copy of a template in place of whatever is shown. Text goes in with `textContent`, never as HTML. */
function show(template) {
  $("view").replaceChildren($(template).content.cloneNode(true));
}

/** Stops whatever belongs to the session and takes what it showed off the page. */
function leave() {
  current?.abort();
  current = null;
  $("view").replaceChildren();
}

function showLogin(message = "") {
  leave();
  show("login");
  say(message);
  $("login-form").addEventListener("submit", logIn);
  $("email").focus();
}

function showPrivate(session) {
  leave();
  const controller = new AbortController();
  const { signal } = controller;
  current = { signal, abort: () => controller.abort() };
  show("private");
  say("");
  $("user").textContent = session.user;
  $("logout").addEventListener("click", logOut);
  $("me").addEventListener("click", () => callApi("/api/me"));
  $("order").addEventListener("submit", (event) => {
    event.preventDefault();
    callApi("/api/orders", json({ item: $("item").value }));
  });
  every(1_000, signal, () => $("often").checked && callApi("/api/me"));
  countDown(session, signal);
  follow(signal);
  $("heading").focus(); // the form that had the focus is gone
}

function every(ms, signal, act) {
  const timer = setInterval(act, ms);
  signal.addEventListener("abort", () => clearInterval(timer));
}

// ---- Logging in and out ----------------------------------------------------------------------------------------------

async function logIn(event) {
  event.preventDefault();
  const form = event.target;
  const { email, password } = Object.fromEntries(new FormData(form));
  const fields = form.querySelector("fieldset");
  fields.disabled = true;
  say("");
  try {
    if (event.submitter?.value === "register") await send("/register", json({ email, password }));
    // The answer to a page has no tokens, only the cookie. URLSearchParams makes it a form.
    await send("/login", { method: "POST", body: new URLSearchParams({ username: email, password }) });
    await enter();
  } catch (error) {
    say(error instanceof Failure ? error.message : "The server cannot be reached.");
    fields.disabled = false;
    $("password")?.focus();
  }
}

async function logOut() {
  try {
    await send("/logout", { method: "POST" });
    showLogin("You are logged out.");
  } catch (error) {
    report(error); // the session may live on: stay, and let the person try again
  }
}

/** Shows the session that the browser has, or the login form. */
async function enter() {
  try {
    showPrivate(await send("/session"));
  } catch (error) {
    showLogin();
    report(error);
  }
}

// ---- The session's remaining time ------------------------------------------------------------------------------------

/** Counts down by the page's own clock, and asks now and then: refreshes and other tabs prolong the session. */
function countDown(session, signal) {
  let asked, sessionEnds, accessEnds;
  const measure = ({ session_expires_in, access_expires_in }) => {
    sessionEnds = performance.now() + session_expires_in * 1000;
    accessEnds = performance.now() + access_expires_in * 1000;
    draw();
  };
  const draw = () => {
    const left = (end) => Math.max(0, Math.ceil((end - performance.now()) / 1000));
    $("session-left").textContent = `${left(sessionEnds)} s`;
    $("access-left").textContent = `${left(accessEnds)} s`;
  };
  const ask = async () => {
    asked = performance.now();
    measure(await call("/session"));
  };
  asked = performance.now();
  measure(session);
  every(250, signal, () => {
    draw();
    const now = performance.now();
    const isDue = now - asked > ASK_EVERY || (now >= sessionEnds && now - asked > 1_000);
    if (isDue && !document.hidden) ask().catch(report);
  });
  // A laptop that slept, a tab that was away: the clock may have stood still.
  document.addEventListener("visibilitychange", () => !document.hidden && ask().catch(report), { signal });
}

// ---- Calling the API -------------------------------------------------------------------------------------------------

const count = (id) => ($(id).textContent = String(Number($(id).textContent) + 1));

async function callApi(path, options) {
  const { signal } = current;
  try {
    const answer = await call(path, options);
    count("calls");
    $("answer").textContent = JSON.stringify(answer);
  } catch (error) {
    if (!signal.aborted) {
      count("calls");
      count("failed");
    }
    report(error);
  }
}

// ---- The event stream ------------------------------------------------------------------------------------------------

/**
 * Follows the API's events. A refresh does not touch the stream: it lives as long as the session, and the proxy ends it
 * when the session ends, in every tab.
 *
 * Over HTTP/1.1 a browser opens six connections to a server, and each stream takes one: with many tabs, use HTTP/2.
 */
function follow(signal) {
  const stream = new EventSource("/api/events");
  const state = (text) => ($("stream").textContent = text);
  signal.addEventListener("abort", () => {
    stream.close();
    state("ended");
  });
  state("connecting");
  stream.onopen = () => state("connected");
  stream.onmessage = ({ data }) => {
    const { number, tokens_seen } = JSON.parse(data);
    const entry = document.createElement("li");
    entry.value = number;
    entry.textContent = `event ${number}: the API has seen ${tokens_seen} access tokens of yours`;
    $("events").prepend(entry);
    while ($("events").childElementCount > EVENTS) $("events").lastElementChild.remove();
    $("changes").textContent = String(Math.max(0, tokens_seen - 1));
  };
  stream.onerror = () => {
    state("interrupted");
    // A page is not told why. If the session is over, `call` sees 401 and shows the login form.
    call("/session").catch(report);
    // After a lost connection the browser tries again by itself; after an answer such as 503 it does not.
    if (stream.readyState === EventSource.CLOSED) {
      wait(2_000, signal).then(() => follow(signal), () => {});
    }
  };
}

// ---- Coming and going ------------------------------------------------------------------------------------------------

// A page that is left may be kept as it is and come back with the back button, after a logout elsewhere. So it is left
// empty, and looks for its session when it comes back.
addEventListener("pagehide", leave);
addEventListener("pageshow", (event) => event.persisted && enter());

enter();
