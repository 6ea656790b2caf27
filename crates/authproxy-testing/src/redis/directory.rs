//! A directory of a server's own, removed with it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

pub(super) struct Directory(PathBuf);

impl Directory {
    /// A new, empty directory below the system's temporary one. Its path is short enough for a Unix socket's.
    pub(super) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("authproxy-redis-{}-{number}", process::id()));
        let _ = fs::remove_dir_all(&path); // of an earlier process with the same id, which was killed
        fs::create_dir_all(&path).expect("the temporary directory can be written to");
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn write(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, contents).expect("the temporary directory can be written to");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
