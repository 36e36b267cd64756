//! Redaction: what must not be stored is taken out at the door, before a batch goes anywhere.
//!
//! Two kinds of rules: keys, whose members and columns disappear, and patterns, whose matches are written over. A whole
//! batch is looked through once first; what cannot match is copied, and if that is all, the batch is returned as it is.

mod builtin;
mod card;
mod json;
mod names;
mod otlp;
mod rows;
mod rules;
mod suspicion;
mod text;
mod words;

use watershed_schema::{BatchError, EventBatch};

use crate::{Reject, Transformed};
use names::Names;
pub use rules::{InvalidRules, Pattern, Redactions, Rules, Settings};
use suspicion::Suspicion;
use text::{Pass, Replacement};

/// Compiled rules.
#[derive(Clone, Debug)]
pub struct Redaction {
    names: Names,
    replacements: Vec<Replacement>,
    cards: bool,
    suspicion: Suspicion,
}

impl Redaction {
    /// Compiles rules, once for all batches.
    ///
    /// # Errors
    /// [`InvalidRules`] that names the key or pattern and says why it cannot be a rule.
    pub fn new(rules: &Rules) -> Result<Self, InvalidRules> {
        let keys = rules::keys(rules);
        let names = Names::new(&keys)?;
        let mut suspicion = suspicion::Builder::new(&keys)?;
        let mut replacements = Vec::new();
        for Pattern { pattern, replacement } in &rules.patterns {
            suspicion.add(pattern)?;
            replacements.push(Replacement::new(pattern, replacement)?);
        }
        // A parameter is named by a key, which is suspect already.
        replacements.extend(names.parameters());
        if rules.builtin {
            suspicion.add_word(builtin::BEARER_WORD);
            suspicion.add_cards();
            replacements.push(Replacement::new(builtin::BEARER, builtin::BEARER_REPLACEMENT)?);
        }
        Ok(Self { names, replacements, cards: rules.builtin, suspicion: suspicion.finish()? })
    }

    /// The events without what the rules take out. Ids stay, so that a retry is still recognised.
    ///
    /// A batch that replacements make larger than a batch may be is refused: its events become rejects.
    #[must_use]
    pub fn apply(&self, transformed: Transformed) -> Transformed {
        let Some(batch) = &transformed.batch else { return transformed };
        match self.apply_to(batch) {
            Ok(batch) => Transformed { batch: Some(batch), ..transformed },
            Err(error) => refused(&error, batch.len(), &transformed),
        }
    }

    /// Like [`Self::apply`], for a batch alone.
    ///
    /// # Errors
    /// [`BatchError`] when replacements make it larger than a batch may be.
    pub fn apply_to(&self, batch: &EventBatch) -> Result<EventBatch, BatchError> {
        let pass = Pass::new(self);
        let suspects = rows::suspects(&pass, batch)?;
        if !suspects.contains(&true) {
            return Ok(batch.clone());
        }
        let redacted = rows::rebuilt(&pass, batch, &suspects)?;
        Ok(if pass.has_changed() { redacted } else { batch.clone() })
    }
}

fn refused(error: &BatchError, rows: usize, transformed: &Transformed) -> Transformed {
    let mut rejects = transformed.rejects.clone();
    for index in 0..rows as u64 {
        rejects.add(Reject { index, field: "record", reason: format!("after redaction: {error}") });
    }
    Transformed { batch: None, rejects, dropped_attributes: transformed.dropped_attributes }
}
