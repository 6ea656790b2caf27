//! Scans everything that was traced, at every level, for secrets.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{Dispatch, dispatcher::DefaultGuard};
use tracing_subscriber::{
    filter::LevelFilter,
    fmt::{MakeWriter, format::FmtSpan},
    layer::SubscriberExt,
};

/// Every token of the fakes begins with this, so that a leak can be seen.
pub const CANARY: &str = "cAnArY-9f3b";

/// Collects what is traced, at every level, with the fields of every span.
pub struct Traces {
    written: Written,
    _guard: Option<DefaultGuard>,
}

impl Traces {
    /// Collects what this thread traces while the value lives: enough for a single-threaded runtime.
    pub fn collect() -> Self {
        let (written, dispatch) = Written::collector();
        Self { written, _guard: Some(tracing::dispatcher::set_default(&dispatch)) }
    }

    /// Collects what every thread of this process traces from now on, also after the value was dropped.
    ///
    /// # Panics
    ///
    /// When this process already has a global collector.
    pub fn collect_from_all_threads() -> Self {
        let (written, dispatch) = Written::collector();
        tracing::dispatcher::set_global_default(dispatch).expect("no other global collector");
        Self { written, _guard: None }
    }

    /// Everything that was traced so far.
    pub fn text(&self) -> String {
        let bytes = self.written.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Fails when any of `secrets`, or the canary of the fakes, was traced.
    ///
    /// # Panics
    ///
    /// Then.
    pub fn assert_clean(&self, secrets: &[&str]) {
        let text = self.text();
        for secret in secrets.iter().copied().chain([CANARY]) {
            if let Some(at) = text.find(secret) {
                let line = text[..at].lines().count();
                panic!("a secret was traced, in line {line}");
            }
        }
    }
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn collector() -> (Self, Dispatch) {
        let written = Self::default();
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
            .with_writer(written.clone());
        (written, Dispatch::new(tracing_subscriber::registry().with(LevelFilter::TRACE).with(layer)))
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
