//! `GET /metrics`, as the parser of the Prometheus client for Python reads it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use tokenbroker_testkit::{HttpCaller, require_or_skip};

use crate::Site;

#[derive(Deserialize)]
struct Family(String, String, Vec<(String, BTreeMap<String, String>, f64)>);

#[test]
fn prometheus_reads_what_the_status_says() {
    if !require_or_skip("HTTP callers in Python", HttpCaller::Python.available()) {
        return;
    }
    let site = Site::new(&[("one", "scope = \"a b\""), ("two", "")]);
    for path in ["/v1/tokens/one", "/v1/tokens/one?scope=a", "/v1/tokens/two?min_ttl=24h"] {
        assert_eq!(site.get(path).status, 200);
    }
    let printed = site.http_caller(&HttpCaller::Python, &["metrics"]);
    let families: BTreeMap<String, Family> = serde_json::from_value(printed).unwrap();
    let value = |name: &str, client: &str, label: Option<(&str, &str)>| {
        let name = format!("tokenbroker_{name}");
        let family = name.strip_suffix("_total").unwrap_or(&name);
        let Family(kind, help, samples) = &families[family];
        assert_eq!(kind, if name.ends_with("_total") { "counter" } else { "gauge" }, "{name}");
        assert!(help.ends_with('.'), "{name}: {help}");
        let is_it = |(sample, labels, _): &&(String, BTreeMap<String, String>, f64)| {
            *sample == name
                && labels.get("client").is_none_or(|of| of == client)
                && label.is_none_or(|(label, of)| labels[label] == of)
        };
        let found: Vec<_> = samples.iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{name} of {client}: {samples:?}");
        found[0].2
    };

    for client in ["one", "two"] {
        let status = site.install.status(client);
        let number = |of: &str| status.pointer(of).and_then(Value::as_f64).unwrap();
        for (name, pointer) in [
            ("client_gets_total", "/gets"),
            ("client_gets_from_cache_total", "/gets_from_cache"),
            ("client_generation", "/generation"),
            ("client_waiting_callers", "/waiting"),
            ("client_narrowed_tokens", "/narrowed"),
        ] {
            assert_eq!(value(name, client, None), number(pointer), "{name} of {client}");
        }
        for outcome in ["issued", "transient", "credential", "request"] {
            let count = value("client_token_requests_total", client, Some(("outcome", outcome)));
            assert_eq!(count, number(&format!("/outcomes/{outcome}")));
        }
        for state in ["pending", "warm", "degraded", "unavailable", "blocked"] {
            let is_in = value("client_state", client, Some(("state", state)));
            assert_eq!(is_in == 1.0, status["state"] == state, "{state}");
        }
        for (name, pointer) in [
            ("client_token_expires_in_seconds", "/expires_in"),
            ("client_next_renewal_in_seconds", "/renew_in"),
        ] {
            // It was asked before the status was.
            let later = value(name, client, None) - number(pointer);
            assert!((0.0..60.0).contains(&later), "{name}: {later}");
        }
        assert_eq!(value("client_info", client, Some(("issuer", "as"))), 1.0);
    }
    assert_eq!(value("client_gets_total", "one", None), 2.0);
    assert_eq!(value("client_gets_from_cache_total", "one", None), 1.0);
    assert_eq!(value("build_info", "", Some(("version", env!("CARGO_PKG_VERSION")))), 1.0);
    // Two secrets that were set, and three tokens, if they are written by now.
    assert!((0.0..=6.0).contains(&value("audit_records_total", "", None)));
    assert_eq!(value("audit_records_dropped_total", "", None), 0.0);
    assert_eq!(families.len(), 16, "{:?}", families.keys());
}
