//! Which file may know which: read off the sources, so that a new edge is a decision and not an accident.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code =
                    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
                found.push((path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string(), code));
            }
        }
    }
    found
}

/// Fails for every file outside `allowed` in which `needle` occurs.
fn only(needle: &str, allowed: &[&str]) {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.iter().any(|(_, code)| code.contains(needle)), "nothing knows {needle}: the rule is out of date");
    for (path, code) in sources {
        let is_allowed = allowed.iter().any(|allowed| path.starts_with(allowed));
        assert!(is_allowed || !code.contains(needle), "{path} knows {needle}; only {allowed:?} may");
    }
}

#[test]
fn only_the_http_backend_knows_reqwest() {
    only("reqwest::", &["src/backend/http"]);
}

#[test]
fn only_the_memory_store_and_the_near_cache_know_moka() {
    only("moka::", &["src/store/memory", "src/store/redis/near"]);
    only("arc_swap::", &["src/store/index"]);
}

#[test]
fn only_the_redis_store_knows_its_driver() {
    only("use redis::", &["src/store/redis"]);
    only("tokio_rustls::", &["src/store/redis"]);
}

#[test]
fn only_the_flight_presents_a_refresh_token() {
    only("backend.refresh(", &["src/manager/refresh.rs"]);
}

#[test]
fn only_the_clock_reads_the_machines_clocks() {
    only("SystemTime::now", &["src/clock.rs"]);
    only("clock_gettime", &["src/clock.rs"]);
}

#[test]
fn stores_and_backends_do_not_see_each_other() {
    for (path, code) in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        if path.starts_with("src/store") {
            assert!(!code.contains("backend::"), "{path} sees a backend");
        }
        if path.starts_with("src/backend") {
            assert!(!code.contains("store::") && !code.contains("session::"), "{path} sees a store or a session");
        }
    }
}

#[test]
fn the_policy_does_no_input_or_output() {
    for (path, code) in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        if path.starts_with("src/manager/policy") || path.ends_with("breaker.rs") || path.ends_with("record.rs") {
            assert!(!code.contains("async ") && !code.contains("tokio::"), "{path} is not pure");
        }
    }
}
