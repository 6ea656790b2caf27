//! The README's tables say what the code does.

use std::path::PathBuf;

use authproxy_server::{
    config::{Inputs, Purpose, keys, load, route},
    routes::TABLE,
};

const README: &str = include_str!("../../../../README.md");
/// What begins the block that is no configuration.
const DEPENDENCIES: &str = "[dependencies]\n";
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

/// Its program is compiled with core's documentation; these are the lines beside it.
#[test]
fn the_readmes_dependencies_are_crates_of_this_repository_and_tokio() {
    let text = toml().find(|text| text.starts_with(DEPENDENCIES)).expect("a program's dependencies");
    let tables: toml::Table = text.parse().expect("TOML");
    let dependencies = tables["dependencies"].as_table().expect("a table");
    assert_eq!(dependencies.keys().collect::<Vec<_>>(), ["authproxy-core", "tokio"]);
    let path = dependencies["authproxy-core"]["path"].as_str().and_then(|path| path.strip_prefix("../authproxy/"));
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let manifest = root.join(path.expect("a path in a checkout")).join("Cargo.toml");
    let manifest = std::fs::read_to_string(&manifest).expect("a crate");
    assert!(manifest.contains("name = \"authproxy-core\""), "{manifest}");
}

/// Every block of TOML.
fn toml() -> impl Iterator<Item = &'static str> {
    README.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next())
}

#[test]
fn the_readmes_configurations_can_be_loaded() {
    let configurations: Vec<_> = toml().filter(|text| !text.starts_with(DEPENDENCIES)).collect();
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
