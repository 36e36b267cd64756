//! Texts under redaction: JSON inside them, patterns, card numbers, and how much they may grow.

use std::borrow::Cow;
use std::cell::Cell;

use regex::Regex;
use watershed_schema::limits::MESSAGE_BYTES_MAX;

use super::suspicion::invalid;
use super::{InvalidRules, Redaction, card, json};

const REPLACEMENT_BYTES_MAX: usize = 256;
/// How much longer all texts of a batch may become, bytes; a text that would go beyond is emptied.
const GROWTH_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
/// JSON in a text of a JSON is looked into so deep; what is deeper and may have members to drop is emptied.
const LEVELS_MAX: usize = 8;

/// A pattern and what is written over its matches.
#[derive(Clone, Debug)]
pub(super) struct Replacement {
    regex: Regex,
    with: String,
    groups: usize,
}

impl Replacement {
    pub(super) fn new(pattern: &str, with: &str) -> Result<Self, InvalidRules> {
        if with.len() > REPLACEMENT_BYTES_MAX {
            let (pattern, has, max) = (pattern.to_owned(), with.len(), REPLACEMENT_BYTES_MAX);
            return Err(InvalidRules::LongReplacement { pattern, has, max });
        }
        let regex = Regex::new(pattern).map_err(|error| invalid(pattern, &error))?;
        Ok(Self { regex, with: with.to_owned(), groups: with.matches('$').count() })
    }

    /// The text with all matches written over, in one pass; nothing when it would be longer than `bytes_max`.
    fn apply<'t>(&self, text: &'t str, bytes_max: usize) -> Cow<'t, str> {
        if !self.regex.is_match(text) {
            return Cow::Borrowed(text);
        }
        let (mut out, mut copied) = (String::new(), 0);
        for groups in self.regex.captures_iter(text) {
            let found = groups.get(0).expect("invariant: group 0 is the match");
            out.push_str(&text[copied..found.start()]);
            // No group is longer than the match.
            if out.len() + self.with.len() + self.groups * found.len() > bytes_max {
                return Cow::Borrowed("");
            }
            groups.expand(&self.with, &mut out);
            copied = found.end();
        }
        out.push_str(&text[copied..]);
        Cow::Owned(out)
    }
}

/// One batch under redaction.
pub(super) struct Pass<'r> {
    pub(super) rules: &'r Redaction,
    growth_left: Cell<usize>,
    changed: Cell<bool>,
}

impl<'r> Pass<'r> {
    pub(super) fn new(rules: &'r Redaction) -> Self {
        Self { rules, growth_left: Cell::new(GROWTH_BYTES_MAX), changed: Cell::new(false) }
    }

    pub(super) fn has_changed(&self) -> bool {
        self.changed.get()
    }

    pub(super) fn change(&self) {
        self.changed.set(true);
    }

    pub(super) fn suspects(&self, bytes: &[u8]) -> bool {
        self.rules.suspicion.is_about(bytes)
    }

    /// A text; `level` texts around it are JSON that holds it.
    pub(super) fn text<'t>(&self, text: &'t str, level: usize) -> Cow<'t, str> {
        if !self.suspects(text.as_bytes()) {
            return Cow::Borrowed(text);
        }
        let inside = text.trim_start().starts_with(['{', '[']).then(|| self.json_in_text(text, level)).flatten();
        let mut new = inside.unwrap_or(Cow::Borrowed(text));
        let bytes_max = text.len() + self.growth_left.get();
        for replacement in &self.rules.replacements {
            new = over(new, |text| replacement.apply(text, bytes_max));
        }
        if self.rules.cards {
            new = over(new, card::without_cards);
        }
        self.settle(text, new)
    }

    /// What is written instead of a number of a JSON, if it is that of a card.
    pub(super) fn number(&self, number: &str) -> Option<Cow<'static, str>> {
        let may_be_card = self.rules.cards && !number.starts_with('-');
        let new = may_be_card.then(|| card::without_cards(number)).filter(|new| new != number)?;
        Some(Cow::Owned(self.settle(number, new).into_owned()))
    }

    fn json_in_text<'t>(&self, text: &'t str, level: usize) -> Option<Cow<'t, str>> {
        if level >= LEVELS_MAX {
            return self.rules.names.may_be_in(text).then_some(Cow::Borrowed(""));
        }
        json::rewritten(self, text, level + 1)
    }

    /// Text that should be JSON. `None`: it is not, and may have members that must not stay.
    pub(super) fn json<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        if !self.suspects(text.as_bytes()) {
            return Some(Cow::Borrowed(text));
        }
        let whole = json::rewritten(self, text, 1);
        whole.or_else(|| (!self.rules.names.may_be_in(text)).then(|| self.text(text, LEVELS_MAX)))
    }

    /// Bytes, if they are text; others are left alone.
    pub(super) fn bytes<'t>(&self, bytes: &'t [u8]) -> Option<Cow<'t, [u8]>> {
        let Ok(text) = std::str::from_utf8(bytes) else { return Some(Cow::Borrowed(bytes)) };
        Some(match self.json(text)? {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }

    fn settle<'t>(&self, old: &'t str, new: Cow<'t, str>) -> Cow<'t, str> {
        if new == old {
            return Cow::Borrowed(old);
        }
        self.change();
        let growth = new.len().saturating_sub(old.len());
        match self.growth_left.get().checked_sub(growth) {
            Some(left) => self.growth_left.set(left),
            None => return Cow::Borrowed(""),
        }
        new
    }
}

/// `change` of a text that may be owned already.
fn over<'t>(text: Cow<'t, str>, change: impl FnOnce(&str) -> Cow<'_, str>) -> Cow<'t, str> {
    let changed = match change(&text) {
        Cow::Borrowed(same) if same.len() == text.len() => None,
        other => Some(other.into_owned()),
    };
    changed.map_or(text, Cow::Owned)
}
