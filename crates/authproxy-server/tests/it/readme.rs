//! The README's tables say what the code does.

use std::path::PathBuf;

use authproxy_server::{
    config::{Inputs, Purpose, keys, load, route},
    routes::TABLE,
};

const README: &str = include_str!("../../../../README.md");
/// What the files hold that its configurations name.
const SECRET: &str = "a secret of more than 32 characters";

#[test]
fn the_readme_lists_every_key_as_it_is() {
    let table = keys::markdown();
    assert!(README.contains(&table), "README.md is to have this table of the configuration:\n{table}");
}

#[test]
fn the_readme_lists_every_key_of_a_route_as_it_is_and_no_other() {
    let section = README.split("\n## ").find(|section| section.starts_with("Routes\n")).expect("a section on routes");
    let rows: Vec<_> = section.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(rows, route::keys::markdown().lines().collect::<Vec<_>>());
}

#[test]
fn the_readme_lists_every_endpoint_and_no_other() {
    let documented: Vec<_> = README
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(request, _)| request.to_owned())
        .filter(|request| request.starts_with("GET /") || request.starts_with("POST /"))
        .collect();
    let mut expected: Vec<_> = TABLE
        .iter()
        .filter(|row| !row.path.starts_with("/docs/"))
        .map(|row| format!("{} {}", row.method, row.path))
        .collect();
    let mut found = documented.clone();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn the_readmes_configurations_can_be_loaded() {
    let configurations: Vec<_> =
        README.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!configurations.is_empty());
    for text in configurations {
        let auth_url = ("AUTH_URL".into(), "http://127.0.0.1:9".into());
        let inputs = Inputs {
            purpose: Purpose::Serve,
            file: Some(PathBuf::from("readme.toml")),
            environment: if text.contains("auth_url =") { Vec::new() } else { vec![auth_url] },
            flags: Vec::new(),
            read: &|path| Ok(if path.ends_with("readme.toml") { text.to_owned() } else { SECRET.to_owned() }.into()),
        };
        let loaded = load(&inputs).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
        assert!(loaded.notes.is_empty(), "{:?}", loaded.notes);
    }
}
