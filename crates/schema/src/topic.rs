//! Topics: the name under which an event is followed, and patterns over it.
//!
//! Topic = `{event_type}.{event_name}`. Patterns: `*` everything, `p.*` one more level, `p.**` p or anything below,
//! `p.>` anything below, else equality. Case-sensitive.

mod trie;

pub use trie::Trie;

use crate::limits::{TOPIC_CHARS_MAX, TOPIC_SEGMENTS_MAX};

/// A pattern that cannot be used; the words are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Nothing there.
    #[error("EMPTY_TOPIC: a topic has at least one character")]
    Empty,
    /// Too long.
    #[error("TOPIC_TOO_LONG: limit {TOPIC_CHARS_MAX} characters")]
    TooLong,
    /// `../`.
    #[error("PATH_TRAVERSAL: a topic is no path")]
    PathTraversal,
    /// Ours.
    #[error("RESERVED_PREFIX: `__`, `_system`, `$` and `internal.` are reserved")]
    ReservedPrefix,
    /// Outside the alphabet.
    #[error("INVALID_CHARACTER: allowed are A-Z a-z 0-9 _ - . and the wildcards * and >")]
    InvalidCharacter,
    /// At an end.
    #[error("INVALID_DOT_POSITION: a topic neither begins nor ends with a dot")]
    InvalidDotPosition,
    /// An empty segment.
    #[error("CONSECUTIVE_DOTS: a segment is empty")]
    ConsecutiveDots,
    /// Too deep.
    #[error("MAX_DEPTH_EXCEEDED: limit {TOPIC_SEGMENTS_MAX} segments")]
    MaxDepthExceeded,
    /// Not alone in the last segment.
    #[error("INVALID_WILDCARD: a wildcard is the whole last segment")]
    InvalidWildcard,
}

/// The topic of an event.
#[must_use]
pub fn of(event_type: &str, event_name: &str) -> String {
    let mut topic = String::with_capacity(event_type.len() + event_name.len() + 1);
    let mut segments = 1;
    for character in event_type.chars().chain(['.']).chain(event_name.chars()) {
        match character {
            '.' if topic.is_empty() || topic.ends_with('.') => {}
            '.' if segments == TOPIC_SEGMENTS_MAX => break,
            '.' => {
                segments += 1;
                topic.push('.');
            }
            allowed if allowed.is_ascii_alphanumeric() || matches!(allowed, '_' | '-') => topic.push(allowed),
            _ => topic.push('_'),
        }
    }
    topic.truncate(TOPIC_CHARS_MAX);
    topic.truncate(topic.trim_end_matches('.').len());
    topic
}

/// What a subscriber asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// With its last dot when something must or may follow.
    prefix: String,
    tail: Tail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Everything,
    Exact,
    OneLevel,
    SelfOrBelow,
    Below,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`TopicError`], checked in the order of its variants.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        check(text)?;
        let (prefix, last) = text.rsplit_once('.').map_or(("", text), |(prefix, last)| (prefix, last));
        let tail = match last {
            "*" | "**" | ">" if prefix.is_empty() => return Ok(Self { prefix: String::new(), tail: Tail::Everything }),
            "*" => Tail::OneLevel,
            "**" => Tail::SelfOrBelow,
            ">" => Tail::Below,
            _ => return Ok(Self { prefix: text.to_owned(), tail: Tail::Exact }),
        };
        Ok(Self { prefix: format!("{prefix}."), tail })
    }

    /// Whether it asks for every topic.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.tail == Tail::Everything
    }

    /// Whether it asks for this topic.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        let below = || topic.strip_prefix(self.prefix.as_str());
        match self.tail {
            Tail::Everything => true,
            Tail::Exact => topic == self.prefix,
            Tail::OneLevel => below().is_some_and(|rest| !rest.contains('.')),
            Tail::Below => below().is_some(),
            Tail::SelfOrBelow => below().is_some() || self.prefix.strip_suffix('.') == Some(topic),
        }
    }
}

fn check(text: &str) -> Result<(), TopicError> {
    let is_wildcard = |byte: u8| matches!(byte, b'*' | b'>');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') || is_wildcard(byte);
    let reserved = ["__", "_system", "$", "internal."];
    let segments: Vec<&str> = text.split('.').collect();
    let misplaced = |(index, segment): (usize, &&str)| {
        segment.bytes().any(is_wildcard) && (index + 1 < segments.len() || !matches!(*segment, "*" | "**" | ">"))
    };
    let faults = [
        (text.is_empty(), TopicError::Empty),
        (text.chars().count() > TOPIC_CHARS_MAX, TopicError::TooLong),
        (text.contains("../") || text.contains("..\\") || text == "..", TopicError::PathTraversal),
        (reserved.iter().any(|prefix| text.starts_with(prefix)), TopicError::ReservedPrefix),
        (!text.bytes().all(allowed), TopicError::InvalidCharacter),
        (text.starts_with('.') || text.ends_with('.'), TopicError::InvalidDotPosition),
        (text.contains(".."), TopicError::ConsecutiveDots),
        (segments.len() > TOPIC_SEGMENTS_MAX, TopicError::MaxDepthExceeded),
        (segments.iter().enumerate().any(misplaced), TopicError::InvalidWildcard),
    ];
    faults.into_iter().find(|(is_so, _)| *is_so).map_or(Ok(()), |(_, fault)| Err(fault))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn topics_of_events() {
        assert_eq!(of("trace", "GET /checkout"), "trace.GET__checkout");
        assert_eq!(of("log", "otel.log"), "log.otel.log");
        assert_eq!(of("cdc", "orders..INSERT."), "cdc.orders.INSERT");
        assert_eq!(of("track", ""), "track");
        assert_eq!(of("track", "Bestellung für Ä"), "track.Bestellung_f_r__");
        assert_eq!(of("log", "a.b.c.d.e.f.g.h.i.j.k"), "log.a.b.c.d.e.f.g.h.i");
        assert_eq!(of("log", &"x".repeat(300)).len(), TOPIC_CHARS_MAX);
    }

    #[test]
    fn patterns() {
        let cases = [
            ("*", "a.b", true),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("a.**", "a", true),
            ("a.**", "a.b.c", true),
            ("a.**", "ab", false),
            ("a.>", "a", false),
            ("a.>", "a.b.c", true),
            ("a.b", "a.b", true),
            ("a.b", "A.b", false),
        ];
        for (pattern, topic, expected) in cases {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(topic), expected, "{pattern} {topic}");
        }
    }

    #[test]
    fn refused_in_this_order() {
        let long = "x".repeat(257);
        let cases = [
            ("", TopicError::Empty),
            (long.as_str(), TopicError::TooLong),
            ("../x", TopicError::PathTraversal),
            ("__x", TopicError::ReservedPrefix),
            ("internal.x", TopicError::ReservedPrefix),
            ("a b", TopicError::InvalidCharacter),
            (".a", TopicError::InvalidDotPosition),
            ("a..b", TopicError::ConsecutiveDots),
            ("a.b.c.d.e.f.g.h.i.j.k", TopicError::MaxDepthExceeded),
            ("a.*.b", TopicError::InvalidWildcard),
            ("a.b*", TopicError::InvalidWildcard),
        ];
        for (text, fault) in cases {
            assert_eq!(Pattern::parse(text), Err(fault), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_topic_can_be_asked_for(kind in "[a-z]{1,6}", name in ".{0,40}") {
            let topic = of(&kind, &name);
            prop_assert!(Pattern::parse(&topic).unwrap().matches(&topic));
            let below = format!("{kind}.**");
            prop_assert!(Pattern::parse(&below).unwrap().matches(&topic));
        }
    }
}
