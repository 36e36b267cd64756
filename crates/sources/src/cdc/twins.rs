//! Equal rows at one place in the log that neither a key nor a number tells apart: two such rows of a table are two rows.
//!
//! They are counted within a request, so that the same request again, or each of them again alone, adds nothing. Of twins
//! that come in two requests the second is taken for the first delivered again: senders for whom that matters tell a key
//! or a number.

use std::collections::HashMap;

use crate::ids::id_in;

#[derive(Default)]
pub(super) struct Twins(HashMap<String, u64>);

impl Twins {
    /// `which` for the first, `which` and a number for those that follow.
    pub(super) fn apart(&mut self, named: &[&str], which: String) -> String {
        let parts: Vec<&[u8]> = named.iter().map(|part| part.as_bytes()).chain([which.as_bytes()]).collect();
        let before = self.0.entry(id_in(b"", &parts).as_str().to_owned()).or_default();
        let apart = if *before == 0 { which } else { format!("{which}/{before}") };
        *before += 1;
        apart
    }
}
