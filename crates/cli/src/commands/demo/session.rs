//! The recorded session: requests of all sources with marks where ids and times go.

use anyhow::Context as _;
use serde_json::Value;
use watershed_sample::{Random, now_ns};

const RECORDED: &str = include_str!("session.json");

/// One playing of it.
pub(super) struct Session {
    trace: String,
    span: String,
    session: String,
    start_ms: u64,
}

impl Session {
    /// Ids nobody had before, and now as the beginning.
    pub(super) fn now() -> Self {
        let now = now_ns();
        let mut random = Random::new(now);
        let mut hex = || format!("{:016x}", random.draw());
        let (trace, span, session) = (hex() + &hex(), hex(), hex());
        Self { trace, span, session: format!("session-{session}"), start_ms: now / 1_000_000 - 10_000 }
    }

    pub(super) fn trace(&self) -> &str {
        &self.trace
    }

    pub(super) fn start_us(&self) -> u64 {
        self.start_ms * 1000
    }

    /// Path and body of each request, in order.
    pub(super) fn requests(&self) -> anyhow::Result<Vec<(String, String)>> {
        let recorded: Vec<(String, Value)> = serde_json::from_str(RECORDED).context("session.json")?;
        Ok(recorded.into_iter().map(|(path, body)| (path, self.filled(body).to_string())).collect())
    }

    fn filled(&self, value: Value) -> Value {
        match value {
            Value::String(text) => self.mark(&text).unwrap_or(Value::String(text)),
            Value::Array(list) => list.into_iter().map(|value| self.filled(value)).collect(),
            Value::Object(members) => members.into_iter().map(|(name, value)| (name, self.filled(value))).collect(),
            other => other,
        }
    }

    /// `@trace`, `@session`, `@traceparent`; `@ms+120`, `@ns+120`, `@iso+120` are 120 ms after the beginning.
    fn mark(&self, text: &str) -> Option<Value> {
        let after = |prefix| Some(self.start_ms + text.strip_prefix(prefix)?.parse::<u64>().ok()?);
        if let Some(ms) = after("@ms+") {
            return Some(ms.into());
        }
        if let Some(ms) = after("@ns+") {
            return Some((ms * 1_000_000).to_string().into());
        }
        if let Some(ms) = after("@iso+") {
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms);
            return Some(humantime::format_rfc3339_millis(at).to_string().into());
        }
        Some(Value::String(match text {
            "@trace" => self.trace.clone(),
            "@span" => self.span.clone(),
            "@session" => self.session.clone(),
            "@traceparent" => format!("00-{}-{}-01", self.trace, self.span),
            _ => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_ids_and_times() {
        let session = Session { trace: "t".into(), span: "s".into(), session: "v".into(), start_ms: 1_790_000_000_000 };
        let marked = serde_json::json!({"a": ["@trace", "@ms+5"], "b": "@ns+5", "c": "@iso+250", "d": "@traceparent", "e": "@x"});
        let filled = serde_json::json!({"a": ["t", 1_790_000_000_005_u64], "b": "1790000000005000000",
            "c": "2026-09-21T14:13:20.250Z", "d": "00-t-s-01", "e": "@x"});
        assert_eq!(session.filled(marked), filled);
    }

    #[test]
    fn no_mark_is_left_in_the_recorded_requests() {
        let requests = Session::now().requests().expect("JSON");
        assert!(requests.len() > 8 && requests.iter().all(|(_, body)| !body.contains("\"@")));
    }
}
