use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::gateway::AddressPolicy;

fn table(routes: &[Value]) -> RouteTable {
    let open = AddressPolicy { loopback: true, private: true };
    routes.iter().enumerate().fold(RouteTable::default(), |table, (at, body)| {
        let mut body = body.clone();
        body["id"] = format!("r{at}").into();
        body["backend_url"] = "http://127.0.0.1:1".into();
        table.with(&format!("r{at}"), Some(Route::from_json(&body, open).unwrap()), at as u64)
    })
}

#[expect(clippy::needless_pass_by_value, reason = "a test reads better when it gives the method away")]
fn find(table: &RouteTable, method: Method, host: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let headers = headers.iter().map(|(name, value)| {
        (name.parse::<http::HeaderName>().unwrap(), value.parse::<http::HeaderValue>().unwrap())
    });
    match table.find(host, path, &method, &headers.collect()) {
        Found::Route(route) => route.id.to_string(),
        Found::WrongMethod(allowed) => format!("405 {}", allowed.join(",")),
        Found::Nothing => "404".to_owned(),
    }
}

fn get(table: &RouteTable, path: &str) -> String {
    find(table, Method::GET, "any", path, &[])
}

#[test]
fn an_exact_path_wins_over_a_prefix_and_a_longer_prefix_over_a_shorter_one() {
    let table = table(&[
        json!({"pattern": "/*"}),
        json!({"pattern": "/shop/*"}),
        json!({"pattern": "/shop/cart/*"}),
        json!({"pattern": "/shop/cart"}),
    ]);
    assert_eq!(get(&table, "/shop/cart"), "r3");
    assert_eq!(get(&table, "/shop/cart/1"), "r2");
    assert_eq!(get(&table, "/shop/list"), "r1");
    assert_eq!(get(&table, "/shop"), "r1");
    assert_eq!(get(&table, "/shopping"), "r0");
    assert_eq!(get(&table, "/"), "r0");
}

#[test]
fn a_route_of_the_host_wins_and_others_still_find_the_rest() {
    let table = table(&[json!({"pattern": "/x"}), json!({"pattern": "/*", "host": "shop.example.com"})]);
    assert_eq!(find(&table, Method::GET, "shop.example.com", "/x", &[]), "r1");
    assert_eq!(find(&table, Method::GET, "other.example.com", "/x", &[]), "r0");
    assert_eq!(find(&table, Method::GET, "other.example.com", "/y", &[]), "404");
}

#[test]
fn headers_select_among_routes_of_one_path() {
    let table = table(&[
        json!({"pattern": "/x"}),
        json!({"pattern": "/x", "headers": [{"name": "x-beta", "value": "1"}]}),
        json!({"pattern": "/y", "headers": [{"name": "cookie", "present": false}]}),
    ]);
    assert_eq!(find(&table, Method::GET, "", "/x", &[("x-beta", "1")]), "r1");
    assert_eq!(find(&table, Method::GET, "", "/x", &[("x-beta", "2")]), "r0");
    assert_eq!(find(&table, Method::GET, "", "/y", &[("cookie", "a")]), "404");
    assert_eq!(get(&table, "/y"), "r2");
}

#[test]
fn a_method_nobody_takes_is_told_which_ones_are_taken() {
    let table = table(&[
        json!({"pattern": "/x", "methods": ["GET"]}),
        json!({"pattern": "/x", "methods": ["POST", "PUT"]}),
        json!({"pattern": "/z/*"}),
        json!({"pattern": "/z/y", "methods": ["GET"]}),
    ]);
    assert_eq!(get(&table, "/x"), "r0");
    assert_eq!(find(&table, Method::DELETE, "", "/x", &[]), "405 GET,POST,PUT");
    assert_eq!(find(&table, Method::POST, "", "/z/y", &[]), "r2");
}

#[test]
fn an_edit_leaves_the_old_table_and_the_other_routes_as_they_were() {
    let before = table(&[json!({"pattern": "/x"}), json!({"pattern": "/y"})]);
    let kept = Arc::clone(before.route("r1").unwrap());
    let after = before.with("r0", None, 9);
    assert_eq!((get(&before, "/x"), get(&after, "/x")), ("r0".to_owned(), "404".to_owned()));
    assert!(Arc::ptr_eq(&kept, after.route("r1").unwrap()));
    assert_eq!(after.routes().count(), 1);
    assert!(after.with("r1", None, 10).is_empty());
}

proptest! {
    #[test]
    fn the_longest_prefix_wins(
        prefixes in prop::collection::hash_set("(/[ab]{1,2}){0,4}", 1..12),
        path in "(/[abc]{1,3}){1,6}",
    ) {
        let prefixes: Vec<String> = prefixes.into_iter().collect();
        let bodies: Vec<Value> = prefixes.iter().map(|p| json!({"pattern": format!("{p}/*")})).collect();
        let table = table(&bodies);
        let best = (0..prefixes.len())
            .filter(|&at| {
                path.strip_prefix(prefixes[at].as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .max_by_key(|&at| prefixes[at].len());
        let expected = best.map_or("404".to_owned(), |at| format!("r{at}"));
        prop_assert_eq!(get(&table, &path), expected);
    }

    #[test]
    fn finding_never_panics(path in "\\PC*", host in "\\PC*") {
        let table = table(&[json!({"pattern": "/a/*"}), json!({"pattern": "/é/*"}), json!({"pattern": "/*"})]);
        let _ = table.find(&host, &path, &Method::GET, &HeaderMap::new());
    }
}
