//! `watershed trace`: a waterfall in the terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use clap::Args;
use watershed_client::Event;

use crate::Target;
use crate::out::{self, Failure};

pub(crate) const EXAMPLES: &str = "Examples:
  watershed trace 4bf92f3577b34da6a3ce929d0e0e4736
  watershed trace --json 4bf92f3577b34da6a3ce929d0e0e4736 | jq -s length";

#[derive(Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    target: Target,
    /// Print each event as JSON.
    #[arg(long)]
    json: bool,
    /// 32 hexadecimal characters.
    trace_id: String,
}

const NAME_CHARS: usize = 44;
const BAR_CHARS: usize = 40;

pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let events = flags.target.connect().await?.get_trace(&flags.trace_id).await?;
    if events.is_empty() {
        return Err(Failure::refused(&format!("trace {} has no events", flags.trace_id)));
    }
    if flags.json {
        let line = |event: &Event| format!("{}\n", serde_json::Value::Object(crate::columns::of(event)));
        return Ok(out::data(&events.iter().map(line).collect::<String>())?);
    }
    Ok(out::data(&waterfall(&events))?)
}

/// Every event once: spans as a tree by parent, other events under their span; what has no known parent is a root.
fn waterfall(events: &[Event]) -> String {
    let begin = events.iter().filter_map(|event| event.timestamp).min().unwrap_or_default();
    let end = events.iter().map(|event| event.timestamp.unwrap_or_default() + micros(event)).max().unwrap_or_default();
    let is_span = |event: &Event| event.event_type.as_deref() == Some("trace");
    let known: BTreeSet<&str> =
        events.iter().filter(|event| is_span(event)).filter_map(|event| event.span_id.as_deref()).collect();
    let mut children: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        let parent = if is_span(event) { event.parent_id.as_deref() } else { event.span_id.as_deref() };
        children.entry(parent.filter(|id| known.contains(id))).or_default().push(index);
    }
    let mut painter =
        Painter { events, children, begin, whole: (end - begin).max(1), done: BTreeSet::new(), text: String::new() };
    painter.below(None, 0);
    painter.rest();
    painter.text
}

fn micros(event: &Event) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a bar's length, milliseconds to microseconds")]
    event.duration_ms.map_or(0, |ms| (ms * 1_000.0) as i64)
}

struct Painter<'a> {
    events: &'a [Event],
    children: BTreeMap<Option<&'a str>, Vec<usize>>,
    begin: i64,
    whole: i64,
    done: BTreeSet<usize>,
    text: String,
}

impl<'a> Painter<'a> {
    fn below(&mut self, parent: Option<&'a str>, depth: usize) {
        for index in self.children.get(&parent).cloned().unwrap_or_default() {
            if self.done.insert(index) {
                let event = &self.events[index];
                self.line(event, depth);
                if let (Some("trace"), Some(id)) = (event.event_type.as_deref(), event.span_id.as_deref()) {
                    self.below(Some(id), depth + 1);
                }
            }
        }
    }

    /// Spans that are each other's parents hang on nothing; they are shown all the same.
    fn rest(&mut self) {
        for index in 0..self.events.len() {
            if self.done.insert(index) {
                self.line(&self.events[index], 0);
            }
        }
    }

    fn line(&mut self, event: &Event, depth: usize) {
        let word = |value: &Option<String>| value.clone().unwrap_or_default();
        let what = if event.event_type.as_deref() == Some("trace") {
            word(&event.event_name)
        } else {
            format!("· {}", event.log_message.clone().unwrap_or_else(|| word(&event.event_name)))
        };
        let name = format!("{:indent$}{} {what}", "", word(&event.service_name), indent = (depth * 2).min(20))
            .replace(['\n', '\r'], " ");
        let name: String = name.chars().take(NAME_CHARS).collect();
        let mark = if event.outcome.as_deref() == Some("error") { " ERROR" } else { "" };
        let took = event.duration_ms.map_or_else(String::new, |ms| format!("{ms:.2}ms"));
        writeln!(self.text, "{name:<NAME_CHARS$} |{}| {took:>10}{mark}", self.bar(event))
            .expect("invariant: a String takes every write");
    }

    fn bar(&self, event: &Event) -> String {
        let place = |us: i64| usize::try_from(us.max(0) * BAR_CHARS as i64 / self.whole).unwrap_or_default();
        let from = place(event.timestamp.unwrap_or_default() - self.begin).min(BAR_CHARS - 1);
        let length = place(micros(event)).clamp(1, BAR_CHARS - from);
        let sign = if event.event_type.as_deref() == Some("trace") { "█" } else { "·" };
        format!("{}{}{}", " ".repeat(from), sign.repeat(length), " ".repeat(BAR_CHARS - from - length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: Option<&str>, at: i64, ms: f64) -> Event {
        Event {
            event_type: Some("trace".into()),
            event_name: Some(format!("op {id}")),
            service_name: Some("shop".into()),
            span_id: Some(id.into()),
            parent_id: parent.map(Into::into),
            timestamp: Some(at),
            duration_ms: Some(ms),
            ..Event::default()
        }
    }

    #[test]
    fn a_tree_with_bars_in_proportion() {
        let text = waterfall(&[span("a", None, 0, 4.0), span("b", Some("a"), 1_000, 2.0)]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("{:<44} |{}|     4.00ms", "shop op a", "█".repeat(40)));
        assert_eq!(
            lines[1],
            format!("{:<44} |{}{}{}|     2.00ms", "  shop op b", " ".repeat(10), "█".repeat(20), " ".repeat(10))
        );
    }

    #[test]
    fn every_event_is_shown_once_whatever_its_parents_say() {
        let log = Event {
            event_type: Some("log".into()),
            span_id: Some("a".into()),
            log_message: Some("hi\nyou".into()),
            ..Event::default()
        };
        let events = [
            span("a", Some("b"), 0, 1.0),
            span("b", Some("a"), 0, 1.0),
            span("c", Some("gone"), 5, 0.0),
            log,
            span("d", Some("d"), 1, 1.0),
        ];
        assert_eq!(waterfall(&events).lines().count(), 5);
        assert_eq!(waterfall(&[]), "");
    }
}
