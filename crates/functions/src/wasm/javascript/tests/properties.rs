//! What holds for any text and any bytes, compared with what others wrote in Rust.

use std::cell::RefCell;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::{
    bench::Running,
    web::{evaluator, value},
};

thread_local! {
    static RUNNING: RefCell<Running> = RefCell::new(evaluator());
}

/// What an expression is in which `$` is `argument` as JSON.
fn with(expression: &str, argument: &serde_json::Value) -> serde_json::Value {
    let expression = expression.replace('$', &argument.to_string());
    let text = RUNNING.with_borrow_mut(|running| value(running, &expression));
    serde_json::from_str(&text).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bytes_become_text_as_in_rust(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let ours = with("new TextDecoder('utf-8', { ignoreBOM: true }).decode(new Uint8Array($))", &bytes.into());
        prop_assert_eq!(ours, text);
    }

    #[test]
    fn text_survives_its_encoding(text in any::<String>()) {
        let ours = with("new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode($))", &text.clone().into());
        prop_assert_eq!(ours, text);
    }

    #[test]
    fn base64_is_that_of_rust(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let ours = with("btoa(String.fromCharCode(...$))", &bytes.clone().into());
        prop_assert_eq!(&ours, &STANDARD.encode(&bytes));
        let back = with("[...atob($)].map((c) => c.charCodeAt(0))", &ours);
        prop_assert_eq!(back, serde_json::Value::from(bytes));
    }

    // Of schemes that are not special only what both agree on: the crate is lenient where the standard says failure, as
    // for `foo://@`.
    #[test]
    fn urls_are_written_as_in_rust(text in r"(https?://[a-z0-9.:@]{0,8}[/a-z.%?#&=ü '\\]{0,16}|foo://[a-z0-9.]{0,8}(/[/a-z.%?#&=ü ']{0,16})?)") {
        let theirs = url::Url::parse(&text).map(String::from).ok();
        let ours = with("URL.parse($)?.href", &text.clone().into());
        prop_assert_eq!(ours.as_str().map(str::to_owned), theirs, "{}", text);
    }

    // Three slashes lead to a host by the standard, as two do; the crate finds an empty host there.
    #[test]
    fn relative_urls_are_resolved_as_in_rust(text in r"[/a-z.%?#&=:\\]{0,12}") {
        prop_assume!(text.chars().take_while(|c| matches!(c, '/' | '\\')).count() < 3);
        let base = url::Url::parse("http://h/a/b/c?q#f").unwrap();
        let theirs = base.join(&text).map(String::from).ok();
        let ours = with("URL.parse($, 'http://h/a/b/c?q#f')?.href", &text.clone().into());
        prop_assert_eq!(ours.as_str().map(str::to_owned), theirs, "{}", text);
    }

    #[test]
    fn forms_are_written_as_in_rust(pairs in proptest::collection::vec((any::<String>(), any::<String>()), 0..4)) {
        let theirs = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let ours = with("new URLSearchParams($).toString()", &serde_json::json!(pairs));
        prop_assert_eq!(&ours, &theirs);
        let back = with("[...new URLSearchParams($)]", &ours);
        prop_assert_eq!(back, serde_json::json!(pairs));
    }
}
