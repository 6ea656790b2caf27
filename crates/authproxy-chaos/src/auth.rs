//! The auth service behind the nodes: `/login`, `/refresh`, `/revoke`. Each node asks at an address of its own, so that
//! the ledger knows who has presented which token.

pub(crate) mod ledger;
mod mood;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use authproxy_testing::Gate;
use serde::Deserialize;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinSet,
    time::{Instant, sleep},
};

use self::ledger::{Issued, Ledger, Outcome};
pub(crate) use self::{ledger::Contract, mood::Mood};
use crate::{
    http::{self, Connection, Request},
    random::Random,
};

/// How long a service that is down goes without looking whether it is up again.
const ROUND: Duration = Duration::from_millis(5);

/// When a token is due that is to be refreshed soon: no token can be due earlier.
pub(crate) const DUE_SOON: Duration = Duration::from_secs(1);
/// No session ends by itself in a run.
const REFRESH_LIFE: Duration = Duration::from_hours(6);

/// The service; it ends with this handle.
pub(crate) struct AuthService {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

/// Where a refresh can be held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// The token has arrived; the service has not acted.
    Arrived,
    /// The service has acted; the answer was not sent.
    Acted,
}

struct Shared {
    ledger: Mutex<Ledger>,
    mood: Mutex<Mood>,
    delay: RangeInclusive<u64>,
    random: Mutex<Random>,
    held: Mutex<Option<(Point, Gate)>>,
}

#[derive(Deserialize)]
struct LoginForm {
    username: String,
}

#[derive(Deserialize)]
struct RefreshBody {
    refresh_token: String,
}

#[derive(Deserialize)]
struct RevokeForm {
    token: String,
}

impl AuthService {
    /// Starts it with an address for each node. Answers take so many milliseconds; half of that before it acts.
    pub(crate) async fn start(nodes: usize, ledger: Ledger, delay: RangeInclusive<u64>, seed: u64) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            ledger: Mutex::new(ledger),
            mood: Mutex::new(Mood::Well),
            delay,
            random: Mutex::new(Random::new(seed, "auth service")),
            held: Mutex::default(),
        });
        let (mut addresses, mut serving) = (Vec::new(), JoinSet::new());
        for node in 0..nodes {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            addresses.push(listener.local_addr()?);
            serving.spawn(listen(listener, node, shared.clone()));
        }
        Ok(Self { addresses, shared, _serving: serving })
    }

    /// Where a node asks.
    pub(crate) fn url(&self, node: usize) -> String {
        format!("http://{}", self.addresses[node])
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.shared.ledger)
    }

    pub(crate) fn set(&self, mood: Mood) {
        *lock(&self.shared.mood) = mood;
    }

    /// Holds the next refresh up at a point; the gate says when it is there.
    pub(crate) fn hold(&self, point: Point) -> Gate {
        let gate = Gate::new();
        *lock(&self.shared.held) = Some((point, gate.clone()));
        gate
    }
}

/// Accepts until the service is told to be down, and again when it is not; a connection lives no longer than that.
async fn listen(listener: TcpListener, node: usize, shared: Arc<Shared>) {
    let address = listener.local_addr();
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        if *lock(&shared.mood) == Mood::Down {
            listener = None;
            connections.shutdown().await;
            sleep(ROUND).await;
            continue;
        }
        if listener.is_none() {
            listener = address.as_ref().ok().and_then(|address| bind_again(*address).ok());
        }
        let Some(listener) = &listener else {
            sleep(ROUND).await;
            continue;
        };
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(serve(Connection::new(stream), node, shared.clone()));
            },
            Some(_) = connections.join_next() => {}
            () = sleep(ROUND) => {}
        }
    }
}

fn bind_again(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

async fn serve(mut connection: Connection, node: usize, shared: Arc<Shared>) {
    while let Ok(Some(request)) = connection.request().await {
        let answered = match request.target.as_str() {
            "/login" => shared.log_in(&request).await,
            "/refresh" => shared.refresh(&request, node).await,
            "/revoke" => Some((shared.revoke(&request), None)),
            _ => Some((http::answer("404 Not Found", "application/json", "{}"), None)),
        };
        let Some((answer, settles)) = answered else { return connection.reset() };
        if connection.write(&answer).await.is_err() {
            return;
        }
        if let Some((token, place)) = settles {
            lock(&shared.ledger).settle(&token, place, Outcome::Answered(Instant::now()));
        }
    }
}

/// An answer, and the presentation that it answers; `None` resets the connection.
type Answered = Option<(Vec<u8>, Option<(String, usize)>)>;

impl Shared {
    async fn log_in(&self, request: &Request) -> Answered {
        let mood = *lock(&self.mood);
        sleep(self.delay(mood)).await;
        let declined = match mood {
            Mood::Resets => return None,
            Mood::Overloaded => Some(overloaded()),
            Mood::Fails => Some(failed()),
            Mood::Well | Mood::Slow(_) | Mood::Down => None,
        };
        let form = serde_urlencoded::from_bytes::<LoginForm>(&request.body);
        let answer = match (declined, form) {
            (Some(answer), _) => answer,
            (None, Ok(form)) => tokens(&lock(&self.ledger).log_in(&form.username)),
            (None, Err(_)) => http::answer("422 Unprocessable Content", "application/json", "{}"),
        };
        Some((answer, None))
    }

    async fn refresh(&self, request: &Request, node: usize) -> Answered {
        let Ok(RefreshBody { refresh_token }) = serde_json::from_slice(&request.body) else {
            return Some((http::answer("422 Unprocessable Content", "application/json", "{}"), None));
        };
        let Some(place) = lock(&self.ledger).arrived(&refresh_token, node, Instant::now()) else {
            return Some((refused(), None));
        };
        let mood = *lock(&self.mood);
        let delay = self.delay(mood);
        self.pass(Point::Arrived).await;
        sleep(delay / 2).await;
        match mood {
            Mood::Overloaded => {
                lock(&self.ledger).settle(&refresh_token, place, Outcome::Declined);
                return Some((overloaded(), None));
            }
            Mood::Fails => return Some((failed(), None)),
            Mood::Resets if lock(&self.random).percent(50) => return None,
            Mood::Well | Mood::Slow(_) | Mood::Resets | Mood::Down => {}
        }
        let key = request.idempotency_key.as_deref();
        let issued = lock(&self.ledger).refresh(&refresh_token, place, key, Instant::now());
        let Some(issued) = issued else { return Some((refused(), None)) };
        self.pass(Point::Acted).await;
        sleep(delay / 2).await;
        (mood != Mood::Resets).then(|| (tokens(&issued), Some((refresh_token, place))))
    }

    fn revoke(&self, request: &Request) -> Vec<u8> {
        if let Ok(RevokeForm { token }) = serde_urlencoded::from_bytes(&request.body) {
            lock(&self.ledger).revoke(&token);
        }
        http::answer("200 OK", "application/json", "{}")
    }

    fn delay(&self, mood: Mood) -> Duration {
        match mood {
            Mood::Slow(delay) => delay,
            _ => lock(&self.random).millis(self.delay.clone()),
        }
    }

    /// Waits where somebody wants this refresh to be held up.
    async fn pass(&self, point: Point) {
        let gate = lock(&self.held).take_if(|(held, _)| *held == point);
        if let Some((_, gate)) = gate {
            gate.pass().await;
        }
    }
}

fn tokens(issued: &Issued) -> Vec<u8> {
    let mut body = json!({
        "access_token": issued.access_token,
        "token_type": "bearer",
        "expires_in": issued.access_life.as_secs_f64(),
        "refresh_expires_in": REFRESH_LIFE.as_secs(),
    });
    if issued.due_soon {
        body["refresh_in"] = DUE_SOON.as_secs().into();
    }
    if let Some(refresh_token) = &issued.refresh_token {
        body["refresh_token"] = refresh_token.as_str().into();
    }
    http::answer("200 OK", "application/json", &body.to_string())
}

fn refused() -> Vec<u8> {
    http::answer("401 Unauthorized", "application/json", r#"{"error":"invalid_grant"}"#)
}

fn failed() -> Vec<u8> {
    http::answer("500 Internal Server Error", "text/plain", "no")
}

fn overloaded() -> Vec<u8> {
    http::answer("429 Too Many Requests\r\nRetry-After: 1", "application/json", "{}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these locks hold is changed in single steps; a panic elsewhere spoils nothing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
