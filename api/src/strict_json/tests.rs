use proptest::prelude::*;

use super::*;

fn pointer_of(body: &str) -> String {
    members(body.as_bytes()).unwrap_err().pointer
}

fn nested(levels: usize) -> String {
    format!(
        "{{\"payload\":{}{}}}",
        "[".repeat(levels),
        "]".repeat(levels)
    )
}

#[test]
fn a_member_keeps_its_bytes() {
    let body = br#" { "payload" : { "b": 1.0,  "a":"\u0041" } , "kind":"x" } "#;
    let members = members(body).unwrap();
    assert_eq!(members[0].raw, r#"{ "b": 1.0,  "a":"\u0041" }"#);
    assert_eq!(members[1].value, "x");
}

#[test]
fn what_is_refused_is_named_where_it_stands() {
    assert_eq!(pointer_of(r#"{"a":1,"a":1}"#), "/a");
    assert_eq!(
        pointer_of(r#"{"p":{"x":[0,{"a/b":1,"a/b":2}]}}"#),
        "/p/x/1/a~1b"
    );
    assert_eq!(pointer_of(r#"{"p":{"x":[0,"\ud800"]}}"#), "/p/x/1");
    for malformed in [
        "",
        "[]",
        "null",
        "{",
        "{}x",
        "{\"a\":1,}",
        "{\"a\":01}",
        "\u{feff}{}",
    ] {
        assert_eq!(pointer_of(malformed), "", "{malformed}");
    }
    assert!(members(b"{\"a\":\"\xff\"}").is_err());
}

#[test]
fn the_escaped_form_of_a_name_is_the_same_name() {
    assert_eq!(pointer_of(r#"{"a":1,"\u0061":1}"#), "/a");
    assert_eq!(pointer_of(r#"{"p":{"a":1,"\u0061":1}}"#), "/p/a");
}

#[test]
fn depth_is_bounded_and_counts_the_outermost_object() {
    assert!(members(nested(DEEPEST - 1).as_bytes()).is_ok());
    assert!(members(nested(DEEPEST).as_bytes()).is_err());
    assert!(members(nested(200_000).as_bytes()).is_err());
}

/// Arbitrary JSON, written with members doubled now and then.
fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>()
            .prop_filter("JSON has no other numbers", |value| value.is_finite())
            .prop_map(|value| value.to_string()),
        any::<String>().prop_map(|value| Value::String(value).to_string()),
    ];
    leaf.prop_recursive(6, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec(("[a-e]", inner), 0..4).prop_map(|members| {
                let members: Vec<String> = members
                    .iter()
                    .map(|(name, value)| format!("\"{name}\" : {value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Whether a text that serde_json accepts has a member twice, found by another way: serde_json
/// keeps one of the two, so its own writing is shorter by a colon.
fn has_a_member_twice(text: &str) -> bool {
    fn colons(text: &str) -> usize {
        let (mut count, mut in_string, mut escaped) = (0, false, false);
        for byte in text.bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b':' if !in_string => count += 1,
                _ => {}
            }
        }
        count
    }
    let value: Value = serde_json::from_str(text).unwrap();
    colons(text) != colons(&value.to_string())
}

proptest! {
    #[test]
    fn accepts_what_serde_json_accepts_unless_a_member_is_there_twice(payload in json_text()) {
        let body = format!("{{\"payload\":{payload}}}");
        let accepted = members(body.as_bytes());
        prop_assert_eq!(accepted.is_err(), has_a_member_twice(&body));
        if let Ok(members) = accepted {
            prop_assert_eq!(members[0].raw, &payload);
            prop_assert_eq!(&members[0].value, &serde_json::from_str::<Value>(&payload).unwrap());
        }
    }

    #[test]
    fn refuses_what_serde_json_refuses(
        payload in json_text(),
        cut in any::<prop::sample::Index>(),
        junk in "[\\x00-\\x7f]{0,2}",
    ) {
        let mut body = format!("{{\"payload\":{payload}}}");
        let at = body.floor_char_boundary(cut.index(body.len()));
        body.replace_range(at..body.ceil_char_boundary(at + 1), &junk);
        let theirs = serde_json::from_str::<Map<String, Value>>(&body);
        if members(body.as_bytes()).is_ok() {
            prop_assert!(theirs.is_ok(), "{}", body);
        } else if theirs.is_ok() {
            prop_assert!(has_a_member_twice(&body), "{}", body);
        }
    }
}
