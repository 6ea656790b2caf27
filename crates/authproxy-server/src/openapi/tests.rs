#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::routes::{Credential, CsrfRule, TABLE};

fn document() -> Value {
    serde_json::from_str(&to_json()).unwrap()
}

#[test]
fn the_document_and_the_route_table_have_the_same_endpoints() {
    let document = document();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
        })
        .collect();
    let routed: BTreeSet<(String, String)> = TABLE
        .iter()
        .filter(|row| row.route.credential() != Credential::Public)
        .map(|row| (row.method.to_string(), row.path.to_owned()))
        .collect();
    assert_eq!(described, routed);
}

#[test]
fn each_endpoint_says_what_its_route_demands() {
    let document = document();
    for row in TABLE.iter().filter(|row| row.route.credential() != Credential::Public) {
        let operation = &document["paths"][row.path][row.method.as_str().to_lowercase()];
        let security = operation["security"].to_string();
        assert_eq!(security.contains("bearer"), row.route.credential() == Credential::Bearer, "{}", row.path);
        assert_eq!(security.contains("session"), row.route.credential() == Credential::Session, "{}", row.path);
        let responses = operation["responses"].as_object().unwrap();
        if row.route.credential() != Credential::Body {
            assert!(responses.contains_key("401") || row.route.csrf() != CsrfRule::Safe, "{}", row.path);
        }
        assert_eq!(operation["requestBody"].is_object(), responses.contains_key("422"), "{}", row.path);
        assert!(operation["summary"].is_string(), "{}", row.path);
    }
}

#[test]
fn the_document_is_openapi_3_1_and_names_no_host() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document.get("servers").is_none());
    assert!(!to_json().contains("http://") && !to_json().contains("https://"));
    assert_eq!(document["components"]["securitySchemes"]["session"]["in"], "cookie");
}
