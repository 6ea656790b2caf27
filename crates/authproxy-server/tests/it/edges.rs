//! The edges between the server's files, read from the source.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut found) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap();
                found.push((name, code.to_owned()));
            }
        }
    }
    assert!(found.len() > 20, "the sources are found");
    found
}

/// The files, outside their tests, that contain any of `words`.
fn files_with(words: &[&str]) -> Vec<String> {
    let mut names: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| words.iter().any(|word| text.contains(word)))
        .map(|(name, _)| name)
        .collect();
    names.sort();
    names
}

#[test]
fn only_three_files_take_a_secret_out_of_its_type() {
    assert_eq!(files_with(&[".expose_secret()"]), ["cookie.rs", "forward/claims.rs", "handoff.rs"]);
}

#[test]
fn only_main_sets_process_globals_and_reads_the_environment() {
    let globals =
        ["set_hook(", "try_init(", "set_global_default(", "signal(", "process::exit(", "env::args", "env::var"];
    assert_eq!(files_with(&globals), ["main.rs"]);
}

#[test]
fn handlers_never_import_handlers() {
    for (name, text) in sources().into_iter().filter(|(name, _)| name.starts_with("handlers/")) {
        assert!(!text.contains("handlers::") && !text.contains("super::"), "{name}");
    }
}

#[test]
fn only_the_connection_files_know_hyper() {
    let mut files = files_with(&["hyper::"]);
    files.retain(|name| !name.starts_with("forward"));
    assert_eq!(files, ["body.rs", "server/http1/answer.rs", "server/http2.rs", "server/http2/streams.rs"]);
}
