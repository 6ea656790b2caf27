//! The `authproxy` program: reads arguments and environment, sets up logging and signals, binds, runs, says how it went.

use std::{
    io::{self, Write},
    net::SocketAddr,
    pin::pin,
    process::ExitCode,
};

use authproxy_server::{
    Store,
    cli::{self, Command, Exit},
    config::{Config, Loaded, LogFormat, LogLevel},
};
use tokio::{
    net::{TcpListener, TcpSocket},
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

// 13% less CPU a forwarded request than glibc's (paired runs of `scripts/bench --other-authproxy`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let exit = match cli::parse(std::env::args_os(), std::env::vars_os()) {
        Ok(Command::Dev(loaded)) => start(*loaded, true),
        Ok(Command::Serve(loaded)) => start(*loaded, false),
        Ok(Command::Check(loaded)) => cli::run_check(&loaded, &mut out, &mut err),
        Ok(Command::PrintConfig(loaded)) => cli::print_config(&loaded, &mut out, &mut err),
        Ok(Command::Healthcheck(healthcheck)) => cli::healthcheck(&healthcheck, &mut out, &mut err),
        Ok(Command::Openapi) => match writeln!(out, "{}", authproxy_server::openapi_json()) {
            Ok(()) => Exit::Success,
            Err(_) => Exit::Failure,
        },
        Err(stop) => stop.report(&mut out, &mut err),
    };
    exit.into()
}

/// Runs the proxy, with the embedded auth service or without, until it is told to stop.
fn start(loaded: Loaded, embedded: bool) -> Exit {
    log(&loaded.config);
    for note in &loaded.notes {
        tracing::warn!("{note}");
    }
    // All at once, and before anything is said to run.
    if let Err(errors) = authproxy_server::check_files(&loaded.config) {
        for error in errors {
            fail(&error.to_string());
        }
        return Exit::Failure;
    }
    // Accepts, refreshes and keeps house; connections are served by the library's workers.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}")),
    };
    let served = runtime.block_on(serve(loaded.config, embedded));
    runtime.shutdown_background();
    match served {
        Ok(()) => Exit::Success,
        Err(why) => fail(&why),
    }
}

async fn serve(config: Config, embedded: bool) -> Result<(), String> {
    let stop = stop_signals().map_err(|error| format!("cannot listen for signals: {error}"))?;
    let mut stop = pin!(stop);
    // Before anybody can connect: a balancer must not send users to a node that waits for its store.
    let store = match Store::open(&config, stop.as_mut()).await {
        Ok(Some(store)) => store,
        Ok(None) => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    // Kept to the end of the program, which takes all sessions at once: one by one, a million take five seconds, for
    // which a restart would have to wait.
    std::mem::forget(store.clone());
    let address = config.listen;
    let listener = listen(address, config.limits.connections).map_err(|error| cli::cannot_listen(address, &error))?;
    let report = if embedded {
        authproxy_server::dev(listener, config, store, &mut io::stdout(), stop).await.map_err(|error| error.to_string())
    } else {
        authproxy_server::run_with_store(listener, config, store, stop).await.map_err(|error| error.to_string())
    };
    report.map(drop)
}

/// Listens, with room for as many that connect at once as may be connected, up to what the system allows: whoever finds
/// no room hears nothing and tries again after a second.
fn listen(address: SocketAddr, connections: usize) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(connections.try_into().unwrap_or(i32::MAX.unsigned_abs()))
}

/// Resolves at the first SIGTERM or SIGINT. The second one ends the process where it stands.
fn stop_signals() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        let _ = tell.send(());
        next().await;
        let _ = writeln!(io::stderr(), "authproxy: told twice to stop; stopping at once");
        std::process::exit(i32::from(Exit::Failure.code()));
    });
    Ok(async {
        let _ = told.await;
    })
}

/// Writes our own lines at the configured level and foreign crates' only from warnings up: they may log headers.
fn log(config: &Config) {
    let level = tracing::Level::from(config.log.level);
    let foreign = level.min(LogLevel::Warn.into());
    let targets = Targets::new()
        .with_default(foreign)
        .with_target("authproxy", level)
        .with_target("authproxy_core", level)
        .with_target("authproxy_server", level)
        .with_target("authproxy_embedded", level);
    let registry = tracing_subscriber::registry().with(targets);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let set = match config.log.format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    set.expect("the process sets its logger once");
    // A panic's message may hold what a peer has sent; its place tells enough.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a panic; this is a bug in authproxy");
    }));
}

fn fail(why: &str) -> Exit {
    let _ = writeln!(io::stderr(), "authproxy: {why}");
    Exit::Failure
}
