//! What holds for every protocol and any reply whatever: no panic, and no success without an output.

use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use crate::domain::ask::Body;
use crate::domain::provider::Repeat;

use super::protocol::{self, Call, HttpReply, Interpreted};
use super::question::Asked;
use super::recorded::{ask, clock, provider, recorded_bodies, recorded_protocols};

const CASES: u32 = 400;

/// Statuses, those that vendors use most of the time.
fn status() -> impl Strategy<Value = u16> {
    prop_oneof![4 => Just(200_u16), 1 => Just(201), 2 => 100_u16..600, 1 => any::<u16>()]
}

/// Any JSON, made of a protocol's own words.
fn document(keys: Vec<String>, words: Vec<String>) -> impl Strategy<Value = Value> + Clone {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        select(words).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(select(keys.clone()), inner, 0..6)
                .prop_map(|fields| Value::Object(Map::from_iter(fields))),
        ]
    })
}

/// Every key and every word in some documents.
fn vocabulary(value: &Value, keys: &mut Vec<String>, words: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                keys.push(key.clone());
                vocabulary(value, keys, words);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| vocabulary(item, keys, words)),
        Value::String(word) => words.push(word.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Puts `other` in the place of the `n`th node; takes a field or an item out where there is no other.
fn mutate(value: &mut Value, n: &mut usize, other: Option<&Value>) {
    let children: Vec<&mut Value> = match value {
        Value::Object(fields) => {
            if other.is_none() && *n < fields.len() {
                let key = fields.keys().nth(*n).cloned().unwrap_or_default();
                fields.remove(&key);
                *n = usize::MAX;
                return;
            }
            fields.values_mut().collect()
        }
        Value::Array(items) => items.iter_mut().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for child in children {
        if *n == usize::MAX {
            return;
        }
        match (*n, other) {
            (0, Some(other)) => {
                *child = other.clone();
                *n = usize::MAX;
                return;
            }
            (left, _) => *n = left.saturating_sub(1),
        }
        mutate(child, n, other);
    }
}

/// Interprets a reply to a generation and to a poll, paid and free.
fn holds(name: &str, status: u16, body: &[u8]) {
    let protocol = protocol::named(name).expect("a protocol");
    let (ask, clock) = (ask(), clock());
    for repeat in [Repeat::Paid, Repeat::Free] {
        let mut provider = provider(name, "m", "https://v.example");
        provider.repeat = repeat;
        let reply = HttpReply { status, body: body.to_vec().into(), ..HttpReply::default() };
        let asked = Asked { provider: &provider, now: clock() };
        assert!(protocol.answer(&asked, &reply).is_err() || (200..300).contains(&status), "{name}: {status}");
        for call in [
            Call::generation(&provider, &ask, &clock),
            Call::poll(&provider, &ask, &clock, "models/m/operations/o"),
        ] {
            let Ok(interpreted) = protocol.interpret(&call, &reply) else { continue };
            let shown = String::from_utf8_lossy(body);
            assert!((200..300).contains(&status), "{name}: {status} is no success: {shown}");
            match interpreted {
                Interpreted::Output(output) => {
                    let empty = match &output.body {
                        Body::Text(text) => text.trim().is_empty(),
                        Body::File(bytes) => bytes.is_empty(),
                    };
                    assert!(!empty, "{name}: a success without an output: {shown}");
                    assert!(output.cost_micros >= 0, "{name}: {shown}");
                }
                Interpreted::Fetch { output, .. } | Interpreted::FetchAndTell { output, .. } => {
                    assert!(output.cost_micros >= 0, "{name}: {shown}");
                }
                Interpreted::Then(_) => {
                    assert!(
                        protocol.is_long_running(&provider) && call.operation.is_some(),
                        "{name}: {shown}"
                    );
                }
                Interpreted::Accepted { operation } => {
                    assert!(protocol.is_long_running(&provider), "{name}: {shown}");
                    assert!(!operation.is_empty() || call.operation.is_none(), "{name}: {shown}");
                }
            }
        }
    }
}

fn runner() -> TestRunner {
    TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() })
}

#[test]
fn any_bytes_are_survived() {
    for name in recorded_protocols() {
        let bytes = (status(), vec(any::<u8>(), 0..200));
        let result = runner().run(&bytes, |(status, body)| {
            holds(&name, status, &body);
            Ok(())
        });
        result.unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn any_json_is_survived_and_no_success_without_an_output() {
    for name in recorded_protocols() {
        let bodies = recorded_bodies(&name);
        let (mut keys, mut words) = (Vec::new(), Vec::new());
        bodies.iter().for_each(|body| vocabulary(body, &mut keys, &mut words));
        let documents = document(keys, words);
        let whole = (status(), documents.clone());
        let result = runner().run(&whole, |(status, body)| {
            holds(&name, status, body.to_string().as_bytes());
            Ok(())
        });
        result.unwrap_or_else(|e| panic!("{name}: {e}"));
        // A recorded reply with one thing wrong gets further than anything random.
        let changed =
            (select(bodies), 0_usize..40, proptest::option::of(documents), any::<proptest::sample::Index>());
        let result = runner().run(&changed, |(mut body, mut n, other, cut)| {
            mutate(&mut body, &mut n, other.as_ref());
            let text = body.to_string();
            holds(&name, 200, text.as_bytes());
            holds(&name, 200, text.as_bytes().get(..cut.index(text.len().max(1))).unwrap_or_default());
            Ok(())
        });
        result.unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}
