//! The first look at bytes: whether anything in them could match a rule.
//!
//! It may be wrong in one way only. A text stands in a batch as one run of bytes, so what matches in it matches in the
//! batch, too, if the pattern asks for nothing around the match (`^`, `$`, `\b`): these are left out here. In JSON a
//! text may be written with escapes; where there are some, the second look decides.

use regex::bytes::Regex;
use regex_syntax::hir::{Hir, HirKind};

use super::InvalidRules;
use super::card;
use super::names::expression;
use super::words::{WORD_BYTES_MIN, Words};

/// One look for words, one for card numbers, one for all else.
#[derive(Clone, Debug)]
pub(super) struct Suspicion {
    words: Option<Words>,
    cards: bool,
    others: Option<Regex>,
}

impl Suspicion {
    pub(super) fn is_about(&self, bytes: &[u8]) -> bool {
        let words = || self.words.as_ref().is_some_and(|words| words.is_any_in(bytes));
        let others = || self.others.as_ref().is_some_and(|others| others.is_match(bytes));
        words() || (self.cards && card::may_be_in(bytes)) || others()
    }
}

pub(super) struct Builder {
    words: Vec<String>,
    cards: bool,
    others: Vec<Hir>,
    escape: &'static str,
}

/// Letters and digits have one escape only; for all else others count, too.
const ESCAPED_LETTER: &str = r"\\u[0-9a-fA-F]{4}";
const ESCAPED: &str = r#"\\["\\/bfnrtu]"#;

impl Builder {
    pub(super) fn new(keys: &[String]) -> Result<Self, InvalidRules> {
        let (words, others): (Vec<_>, Vec<_>) =
            keys.iter().cloned().partition(|key| key.is_ascii() && key.len() >= WORD_BYTES_MIN);
        let is_word = |key: &String| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        let escape = if keys.iter().all(is_word) { ESCAPED_LETTER } else { ESCAPED };
        let others = others.iter().map(|key| parsed(&expression(key))).collect::<Result<_, _>>()?;
        Ok(Self { words, cards: false, others, escape })
    }

    /// A pattern of the settings.
    pub(super) fn add(&mut self, pattern: &str) -> Result<(), InvalidRules> {
        self.escape = ESCAPED;
        let hir = parsed(pattern)?;
        if hir.properties().minimum_len() == Some(0) {
            return Err(InvalidRules::Pattern { pattern: pattern.to_owned(), reason: "matches empty text".to_owned() });
        }
        self.others.push(without_looks(&hir));
        Ok(())
    }

    /// A word of letters that is in every match of a pattern.
    pub(super) fn add_word(&mut self, word: &str) {
        self.words.push(word.to_owned());
    }

    pub(super) fn add_cards(&mut self) {
        self.cards = true;
    }

    pub(super) fn finish(mut self) -> Result<Suspicion, InvalidRules> {
        let words = (!self.words.is_empty()).then(|| Words::new(&self.words));
        if words.is_none() && !self.cards && self.others.is_empty() {
            return Ok(Suspicion { words, cards: false, others: None });
        }
        self.others.push(parsed(self.escape)?);
        let others = Hir::alternation(self.others).to_string();
        let others = Regex::new(&others).map_err(|error| invalid("all patterns together", &error))?;
        Ok(Suspicion { words, cards: self.cards, others: Some(others) })
    }
}

fn parsed(pattern: &str) -> Result<Hir, InvalidRules> {
    regex_syntax::parse(pattern).map_err(|error| invalid(pattern, &error))
}

pub(super) fn invalid(pattern: &str, reason: &impl ToString) -> InvalidRules {
    InvalidRules::Pattern { pattern: pattern.to_owned(), reason: reason.to_string() }
}

/// The same without what it asks of its surroundings: it matches wherever the pattern does. Nesting is limited by the parser.
fn without_looks(hir: &Hir) -> Hir {
    let all = |parts: &[Hir]| parts.iter().map(without_looks).collect();
    match hir.kind() {
        HirKind::Look(_) => Hir::empty(),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) => hir.clone(),
        HirKind::Repetition(repetition) => Hir::repetition(repetition.with(without_looks(&repetition.sub))),
        HirKind::Capture(capture) => without_looks(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(all(parts)),
        HirKind::Alternation(parts) => Hir::alternation(all(parts)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspicion(keys: &[&str], patterns: &[&str]) -> Suspicion {
        let mut builder = Builder::new(&keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>()).unwrap();
        patterns.iter().for_each(|pattern| builder.add(pattern).unwrap());
        builder.finish().unwrap()
    }

    #[test]
    fn what_stands_around_a_match_does_not_matter() {
        let suspicion = suspicion(&[], &[r"^(?:\bab{2,3}\b)+$", r"(?m)^x\d{4}$"]);
        for text in ["zabbz", "abbb", "\u{1}x1234\u{2}"] {
            assert!(suspicion.is_about(text.as_bytes()), "{text}");
        }
        assert!(suspicion.is_about(b"\xff\xfeabb\xff") && !suspicion.is_about(b"\xffab\xffx123\xff4"));
    }

    #[test]
    fn escapes_are_suspect_if_a_rule_could_hide_in_them() {
        let (words, any) = (suspicion(&["password"], &[]), suspicion(&["a/b"], &[]));
        assert!(words.is_about(br#"{"p\u0061ssword":1}"#) && !words.is_about(br#"{"pass\nword":1}"#));
        assert!(any.is_about(br#"{"a\/b":1}"#) && words.is_about(b"PASSWORD") && !any.is_about(b"\\ab"));
        assert!(!suspicion(&[], &[]).is_about(br"\u0061"), "without rules nothing is");
    }
}
