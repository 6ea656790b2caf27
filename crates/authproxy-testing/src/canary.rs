//! Scans everything that was traced, at every level, for secrets.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt};

/// Every token of the fakes begins with this, so that a leak can be seen.
pub const CANARY: &str = "cAnArY-9f3b";

/// Collects what is traced while it lives, on this thread.
pub struct Traces {
    written: Written,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Traces {
    /// Begins to collect, at every level.
    pub fn collect() -> Self {
        let written = Written::default();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(written.clone());
        let guard = tracing_subscriber::registry()
            .with(tracing_subscriber::filter::LevelFilter::TRACE)
            .with(layer)
            .set_default();
        Self { written, _guard: guard }
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
