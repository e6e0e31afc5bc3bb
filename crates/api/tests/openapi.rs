//! The committed description of the API is the one the code gives.

use std::path::Path;

#[test]
fn the_committed_description_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let mut current = flagbase_api::openapi().to_pretty_json().unwrap();
    current.push('\n');
    #[expect(clippy::disallowed_methods, reason = "a switch of this test, not of the product")]
    if std::env::var("UPDATE_OPENAPI").is_ok() {
        std::fs::write(&path, &current).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == current,
        "docs/openapi.json is out of date; run `UPDATE_OPENAPI=1 cargo test -p flagbase-api --test openapi` and commit it"
    );
}

#[test]
fn every_operation_says_what_it_does_and_belongs_to_a_tag() {
    let description = serde_json::to_value(flagbase_api::openapi()).unwrap();
    assert_eq!(description["openapi"], "3.1.0");
    let mut operations = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            assert!(operation["tags"][0].is_string(), "{method} {path} has no tag");
            operations += 1;
        }
    }
    assert!(operations > 40, "only {operations} operations are described");
}
