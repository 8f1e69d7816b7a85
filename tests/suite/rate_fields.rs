//! What clients are told, read by a parser that is not ours: RFC 9651, draft-ietf-httpapi-ratelimit-headers.

use std::{convert::Infallible, num::NonZeroU32};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use sfv::{BareItem, List, ListEntry, Parser};
use tower::{Layer, ServiceExt, service_fn};
use tower_warden::{
    layer::{ConcurrencyLayer, RateLimitLayer},
    rate_limit::{LimitBy, LocalRateLimiter, ManualStopwatch, Quota, QuotaSet, RateLimitFields},
};

use crate::{
    rate_limits::{Limited, from},
    support::{Answer, answer, request, seconds},
};

/// An item: its name, and its parameters as text.
type Item = (String, Vec<(String, String)>);

/// Reads a field as the draft has it, or says what is wrong.
fn read(field: &str, value: &str) -> Result<Vec<Item>, String> {
    let list = Parser::new(value).parse::<List>().map_err(|error| error.to_string())?;
    if list.is_empty() {
        return Err("the list is empty".to_owned());
    }
    list.iter().map(|entry| read_item(field, entry)).collect()
}

fn read_item(field: &str, entry: &ListEntry) -> Result<Item, String> {
    let ListEntry::Item(item) = entry else { return Err("an inner list".to_owned()) };
    let BareItem::String(name) = &item.bare_item else { return Err("the name is no String".to_owned()) };
    let (needed, least) = if field == "RateLimit-Policy" { ("q", ("w", 1)) } else { ("r", ("t", 0)) };
    let mut parameters = Vec::new();
    for (key, value) in &item.params {
        let key = key.as_str();
        let text = match (key, value) {
            ("pk", BareItem::ByteSequence(bytes)) => format!("{bytes:?}"),
            ("qu", BareItem::String(unit)) => unit.as_str().to_owned(),
            (key, BareItem::Integer(number)) if key == needed && i64::from(*number) >= 0 => number.to_string(),
            (key, BareItem::Integer(number)) if key == least.0 && i64::from(*number) >= least.1 => number.to_string(),
            _ => return Err(format!("{key} has the wrong type, or is too small")),
        };
        parameters.push((key.to_owned(), text));
    }
    if !parameters.iter().any(|(key, _)| key == needed) {
        return Err(format!("{needed} is missing"));
    }
    Ok((name.as_str().to_owned(), parameters))
}

fn item(name: &str, parameters: &[(&str, u64)]) -> Item {
    (name.to_owned(), parameters.iter().map(|(key, value)| ((*key).to_owned(), value.to_string())).collect())
}

/// The fields of an answer, as a client reads them: lines of one name are one list.
fn field(answer: &Answer, name: &str) -> Vec<Item> {
    let lines: Vec<_> = answer.headers.iter().filter(|(known, _)| *known == name.to_lowercase()).collect();
    let value = lines.iter().map(|(_, value)| &**value).collect::<Vec<_>>().join(", ");
    read(name, &value).unwrap()
}

#[test]
fn the_reader_reads_the_examples_of_the_draft_and_refuses_what_it_forbids() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../vectors/ratelimit-headers/fields.json")).unwrap();
    let rows = vectors["tests"].as_array().unwrap();
    assert_eq!(rows.len(), 24);
    for row in rows {
        let (name, value) = (row["field"].as_str().unwrap(), row["value"].as_str().unwrap());
        let read = read(name, value);
        assert_eq!(read.is_ok(), row["result"] == "valid", "{name}: {value}: {read:?}");
        let Some(items) = row["items"].as_array().filter(|_| read.is_ok()) else { continue };
        for (item, expected) in read.unwrap().iter().zip(items) {
            assert_eq!(item.0, expected[0].as_str().unwrap());
            for (key, value) in item.1.iter().filter(|(key, _)| key != "pk") {
                assert_eq!(*value, expected[1][key].to_string().trim_matches('"'));
            }
        }
    }
}

#[tokio::test]
async fn success_and_refusal_tell_the_policy_and_where_the_caller_stands() {
    let plan =
        QuotaSet::new([Quota::per_second(1).burst(2).named("burst"), Quota::per_day(1_000).named("daily")]).unwrap();
    let app = Limited::new(|limiter| RateLimitLayer::new("peers", limiter, LimitBy::peer(), plan));
    let policy = [item("burst", &[("q", 2), ("w", 2)]), item("daily", &[("q", 1_000), ("w", 86_400)])];
    for (left, reset) in [(1, 1), (0, 1)] {
        let answer = app.send(from(request(), "192.0.2.1")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(field(&answer, "RateLimit-Policy"), policy);
        assert_eq!(field(&answer, "RateLimit"), [item("burst", &[("r", left), ("t", reset)])]);
        assert_eq!(answer.header("retry-after"), None);
    }
    let refused = app.send(from(request(), "192.0.2.1")).await;
    assert_eq!((refused.status.as_u16(), refused.reason), (429, Some("quota_exceeded")));
    assert_eq!(field(&refused, "RateLimit-Policy"), policy);
    assert_eq!(field(&refused, "RateLimit"), [item("burst", &[("r", 0), ("t", 1)])]);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert_eq!(refused.header("www-authenticate"), None);
    let problem = refused.json();
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["code"], "quota_exceeded");
    assert_eq!(problem["violated-policies"], serde_json::json!(["burst"]));
}

#[tokio::test]
async fn retry_after_is_rounded_up_never_zero_and_enough() {
    // (119)
    for (quota, wait) in [
        (Quota::per_second(1_000), "1"),
        (Quota::per_second(3), "1"),
        (Quota::per_minute(7), "9"),
        (Quota::per_day(1), "86400"),
    ] {
        let stopwatch = ManualStopwatch::default();
        let limiter = LocalRateLimiter::default().stopwatch(stopwatch.clone());
        let app = Limited::of(RateLimitLayer::new("peers", limiter, LimitBy::peer(), quota.clone().burst(1)));
        let send = || app.send(from(request(), "192.0.2.1"));
        assert_eq!(send().await.status, 200);
        let refused = send().await;
        assert_eq!(refused.header("retry-after"), Some(wait), "{quota:?}");
        // Retry-After and `t` are one time.
        assert_eq!(field(&refused, "RateLimit")[0].1[1].1, wait);
        stopwatch.advance(seconds(wait.parse().unwrap()));
        assert_eq!(send().await.status, 200);
    }
}

#[tokio::test]
async fn the_older_fields_are_there_if_asked_for() {
    let quota = Quota::per_minute(10).burst(20);
    let app = |fields| {
        Limited::new(|limiter| RateLimitLayer::new("peers", limiter, LimitBy::peer(), quota.clone()).fields(fields))
    };
    let old = |answer: &Answer| {
        ["limit", "remaining", "reset"].map(|name| answer.header(&format!("x-ratelimit-{name}")).map(str::to_owned))
    };
    let some = |values: [&str; 3]| values.map(|value| Some(value.to_owned()));

    let legacy = app(RateLimitFields::DraftAndLegacy);
    let answer = legacy.send(from(request(), "192.0.2.1")).await;
    assert_eq!(old(&answer), some(["20", "19", "6"]));
    assert_eq!(field(&answer, "RateLimit"), [item("per-minute", &[("r", 19), ("t", 6)])]);
    for _ in 0..19 {
        legacy.send(from(request(), "192.0.2.1")).await;
    }
    let refused = legacy.send(from(request(), "192.0.2.1")).await;
    assert_eq!((refused.status.as_u16(), old(&refused)), (429, some(["20", "0", "6"])));

    let silent = app(RateLimitFields::Silent);
    let draft = app(RateLimitFields::Draft).send(from(request(), "192.0.2.1")).await;
    assert_eq!(old(&draft), [None, None, None]);
    for _ in 0..21 {
        let answer = silent.send(from(request(), "192.0.2.1")).await;
        assert!(answer.headers.iter().all(|(name, _)| !name.contains("ratelimit")), "{answer:?}");
        assert_eq!(answer.status == 429, answer.header("retry-after").is_some());
    }
}

#[tokio::test]
async fn the_fields_of_two_layers_are_one_list() {
    let stack = Limited::new(|limiter| {
        tower::ServiceBuilder::new()
            .layer(RateLimitLayer::new("peers", limiter.clone(), LimitBy::peer(), Quota::per_minute(100).named("peer")))
            .layer(RateLimitLayer::new("calls", limiter, LimitBy::global(), Quota::per_hour(1).named("all")))
            .into_inner()
    });
    for (status, left) in [(200, 99), (429, 98)] {
        let answer = stack.send(from(request(), "192.0.2.1")).await;
        assert_eq!(answer.status, status);
        let names = |field: Vec<Item>| field.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(field(&answer, "RateLimit-Policy")), ["all", "peer"]);
        let limits = field(&answer, "RateLimit");
        assert_eq!(limits[1].1[0].1, left.to_string());
        assert_eq!(names(limits), ["all", "peer"]);
    }
}

#[tokio::test]
async fn a_quota_of_requests_in_flight_says_that_it_is_one() {
    let app = Limited::of_any(&ConcurrencyLayer::new(LimitBy::peer(), NonZeroU32::new(3).unwrap()));
    let answer = app.send(from(request(), "192.0.2.1")).await;
    let mut policy = item("concurrency", &[("q", 3)]);
    policy.1.push(("qu".to_owned(), "concurrent-requests".to_owned()));
    assert_eq!(field(&answer, "RateLimit-Policy"), [policy]);
    assert_eq!(field(&answer, "RateLimit"), [item("concurrency", &[("r", 2)])]);
}

#[tokio::test]
async fn several_limits_of_requests_in_flight_have_names_of_their_own() {
    let few = ConcurrencyLayer::new(LimitBy::peer(), NonZeroU32::MIN).named("one");
    let many = ConcurrencyLayer::new(LimitBy::global(), NonZeroU32::new(9).unwrap());
    let service = tower::ServiceBuilder::new().layer(many).layer(few).service_fn(answer);
    let request = || from(request(), "192.0.2.1").body(Full::<Bytes>::default()).unwrap();
    let first = service.clone().oneshot(request()).await.unwrap();
    let names: Vec<_> = first.headers().get_all("ratelimit").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(names, ["\"one\";r=0", "\"concurrency\";r=8"]);
    let refused = service.oneshot(request()).await.unwrap();
    let policy = refused.headers()["ratelimit-policy"].to_str().unwrap();
    assert_eq!(policy, "\"one\";q=1;qu=\"concurrent-requests\"");
    let body = refused.into_body().collect().await.unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem["violated-policies"], serde_json::json!(["one"]));
    drop(first);
}

#[tokio::test]
async fn units_that_are_not_requests_are_named() {
    let quotas = [Quota::per_hour(100).named("tokens").unit("tokens"), Quota::per_day(9)];
    let app = Limited::new(|limiter| RateLimitLayer::new("calls", limiter, LimitBy::peer(), quotas));
    let mut policy = item("tokens", &[("q", 100), ("w", 3_600)]);
    policy.1.insert(1, ("qu".to_owned(), "tokens".to_owned()));
    let answer = app.send(from(request(), "192.0.2.1")).await;
    assert_eq!(field(&answer, "RateLimit-Policy"), [policy, item("per-day", &[("q", 9), ("w", 86_400)])]);
    assert!(std::panic::catch_unwind(|| Quota::per_day(1).unit("two units")).is_err());
}

#[tokio::test]
async fn retry_after_of_an_inner_refusal_is_not_before_the_outer_limit_admits_it() {
    let inner = || {
        service_fn(async |_: Request<Full<Bytes>>| {
            let response = Response::builder().status(503).header("retry-after", "10").body(Full::<Bytes>::default());
            Ok::<_, Infallible>(response.unwrap())
        })
    };
    let retry_after = async |quota: Quota| {
        let limiter = LocalRateLimiter::default().stopwatch(ManualStopwatch::default());
        let layer = RateLimitLayer::new("calls", limiter, LimitBy::global(), quota);
        let response = layer.layer(inner()).oneshot(request().body(Full::default()).unwrap()).await.unwrap();
        response.headers()["retry-after"].to_str().unwrap().to_owned()
    };
    assert_eq!(retry_after(Quota::per_minute(1)).await, "60");
    assert_eq!(retry_after(Quota::per_second(1)).await, "10", "the longer time");
    assert_eq!(retry_after(Quota::per_minute(2)).await, "10", "a unit is available");
}

proptest! {
    #![proptest_config(crate::support::cases(256))]

    #[test]
    fn whatever_quotas_there_are_the_fields_can_be_read(
        names in proptest::collection::hash_set("[!#-\\[\\]-~]{1,64}", 1..8),
        count in 1..u32::MAX, period in 1..1_000_000_u64, burst in 1..10_000_u32, cost in 0..u32::MAX,
    ) {
        let (count, burst) = (NonZeroU32::new(count).unwrap(), NonZeroU32::new(burst).unwrap());
        let quotas: Vec<_> = names.iter().flat_map(|name| Quota::new(name, count, seconds(period), burst)).collect();
        prop_assume!(quotas.len() == names.len());
        let plan = QuotaSet::new(quotas.clone()).unwrap();
        let app = Limited::new(|limiter| {
            RateLimitLayer::new("peers", limiter, LimitBy::peer(), plan).cost(move |_| cost).fields(RateLimitFields::DraftAndLegacy)
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for _ in 0..3 {
            let answer = runtime.block_on(app.send(from(request(), "192.0.2.1")));
            if cost == 0 {
                prop_assert!(answer.header("ratelimit").is_none());
                continue;
            }
            let policy = field(&answer, "RateLimit-Policy");
            let told: Vec<_> = policy.iter().map(|(name, _)| &**name).collect();
            prop_assert_eq!(told, quotas.iter().map(Quota::name).collect::<Vec<_>>());
            let limits = field(&answer, "RateLimit");
            prop_assert!(limits.len() == 1 && names.contains(&limits[0].0));
            let left: u64 = limits[0].1[0].1.parse().unwrap();
            prop_assert!(left <= u64::from(burst.get()), "no more than there is at once");
        }
    }
}
