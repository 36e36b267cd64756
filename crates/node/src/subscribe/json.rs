//! What a subscription says, as JSON: for WebSocket and server-sent events.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use watershed_schema::payload::quote;
use watershed_schema::proto::GapReason;
use watershed_schema::{ShardId, event_json};

use super::matching::Found;
use super::{Message, Told};
use crate::refusal::Refusal;

impl Message {
    /// The token as text.
    pub(crate) fn token_text(&self) -> String {
        token_text(&self.token)
    }

    /// One word for what is said.
    pub(crate) fn word(&self) -> &'static str {
        match self.told {
            Told::Subscribed { .. } => "subscribed",
            Told::Events { .. } => "events",
            Told::Gap { .. } => "gap",
        }
    }

    /// An object of `type`, what is said, `token`, and `id` where there is one.
    ///
    /// # Errors
    /// When an event in the log is damaged.
    pub(crate) fn to_json(&self, id: Option<&str>) -> Result<String, Refusal> {
        let mut out = format!("{{\"type\":\"{}\",", self.word());
        if let Some(id) = id {
            out.push_str("\"id\":");
            quote(id, &mut out);
            out.push(',');
        }
        match &self.told {
            Told::Subscribed { .. } => {}
            Told::Gap { shard, from, to, reason } => {
                let reason = reason_word(*reason);
                add(&mut out, format_args!("\"shard\":{shard},\"from_seq\":{from},\"to_seq\":{to},\"reason\":\"{reason}\","));
            }
            Told::Events { shard, found, .. } => events(*shard, found, &mut out)?,
        }
        add(&mut out, format_args!("\"token\":\"{}\"}}", self.token_text()));
        Ok(out)
    }
}

/// A token as text.
pub(crate) fn token_text(token: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(token)
}

/// The token that a text is, if it is one.
pub(crate) fn token_of(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn reason_word(reason: GapReason) -> &'static str {
    match reason {
        GapReason::Unspecified => "unknown",
        GapReason::PassedOver => "passed_over",
        GapReason::Lost => "lost",
        GapReason::DeadLetter => "dead_letter",
    }
}

fn events(shard: ShardId, found: &[Found], out: &mut String) -> Result<(), Refusal> {
    out.push_str("\"events\":[");
    let each = found.iter().flat_map(|one| one.wanted.iter().map(move |index| (one, *index)));
    for (place, (one, index)) in each.enumerate() {
        let comma = if place > 0 { "," } else { "" };
        add(out, format_args!("{comma}{{\"_shard\":{shard},\"_seq\":{},", one.first.0 + index as u64));
        event_json::members(&one.batch.row(index), out).map_err(|error| Refusal::Internal(format!("row in the log: {error}")))?;
        out.push('}');
    }
    out.push_str("],");
    Ok(())
}

fn add(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("invariant: a String takes every write");
}
