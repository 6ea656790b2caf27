//! [`Gate`]: holds calls at a point until a test lets them go.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// A point where calls wait. A test awaits that one has arrived and then lets it go. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    released: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), released: Arc::new(Semaphore::new(0)) }
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits until a call has arrived that was not awaited before.
    pub async fn arrived(&self) {
        self.arrived.acquire().await.expect("never closed").forget();
    }

    /// Lets one call go, now or when it comes.
    pub fn release(&self) {
        self.released.add_permits(1);
    }

    /// Lets every call go, now and later.
    pub fn open(&self) {
        self.released.close();
    }

    /// What a fake does at this point: announce itself and wait.
    pub async fn pass(&self) {
        self.arrived.add_permits(1);
        // An error means that the gate is open.
        if let Ok(permit) = self.released.acquire().await {
            permit.forget();
        }
    }
}
