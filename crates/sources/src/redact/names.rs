//! Keys: which members, columns and parameters they name.

use regex::Regex;
use watershed_schema::{Column, Origin};

use super::InvalidRules;
use super::suspicion::invalid;
use super::text::Replacement;

/// One kind of comparison for everything, so that what is suspected and what is dropped cannot differ.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    columns: Vec<Column>,
    of_keys: Option<OfKeys>,
}

#[derive(Clone, Debug)]
struct OfKeys {
    /// A whole name, or the last parts of a dotted one.
    name: Regex,
    /// Somewhere in a text.
    anywhere: Regex,
    parameter: Replacement,
}

impl Names {
    /// `keys` in lower case.
    pub(super) fn new(keys: &[String]) -> Result<Self, InvalidRules> {
        if keys.iter().any(String::is_empty) {
            return Err(InvalidRules::EmptyKey);
        }
        if keys.is_empty() {
            return Ok(Self::default());
        }
        let columns: Vec<_> = keys.iter().filter_map(|key| Column::from_name(key)).collect();
        if let Some(column) = columns.iter().find(|column| must_stay(**column)) {
            return Err(InvalidRules::RequiredColumn(column.name().to_owned()));
        }
        Ok(Self { columns, of_keys: Some(OfKeys::new(keys)?) })
    }

    /// Whether a member of this name disappears.
    pub(super) fn drops(&self, name: &str) -> bool {
        self.of_keys.as_ref().is_some_and(|keys| keys.name.is_match(name))
    }

    pub(super) fn drops_column(&self, column: Column) -> bool {
        self.columns.contains(&column)
    }

    pub(super) fn no_column(&self) -> bool {
        self.columns.is_empty()
    }

    /// Whether a text that should be JSON and is not may have members that are to be dropped.
    pub(super) fn may_be_in(&self, text: &str) -> bool {
        self.of_keys.as_ref().is_some_and(|keys| keys.anywhere.is_match(text) || text.contains("\\u"))
    }

    pub(super) fn parameters(&self) -> Option<Replacement> {
        self.of_keys.as_ref().map(|keys| keys.parameter.clone())
    }
}

impl OfKeys {
    fn new(keys: &[String]) -> Result<Self, InvalidRules> {
        let any = any_of(keys);
        // `a=1&password=…` and `user[password]=…` of a URL or a form, `password="…"` of a log line.
        let parameter = format!(r#"((?:^|[^\pL\pN_-])(?:{any})\]?=)(?:"[^"]*"|[^&;,"\s]+)"#);
        let regex = |pattern: &str| Regex::new(pattern).map_err(|error| invalid(pattern, &error));
        Ok(Self {
            name: regex(&format!(r"(?:^|\.)(?:{any})$"))?,
            anywhere: regex(&any)?,
            parameter: Replacement::new(&parameter, "$1")?,
        })
    }
}

fn any_of(keys: &[String]) -> String {
    keys.iter().map(|key| expression(key)).collect::<Vec<_>>().join("|")
}

/// A key in any case: that of ASCII for one of ASCII, so that it stands for as many bytes as it has.
pub(super) fn expression(key: &str) -> String {
    let flags = if key.is_ascii() { "i-u" } else { "i" };
    format!("(?{flags}:{})", regex::escape(key))
}

/// Events are found, ordered and stored by these.
fn must_stay(column: Column) -> bool {
    column.required() || column == Column::Timestamp || column.spec().origin == Origin::System
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(keys: &[&str]) -> Names {
        Names::new(&keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_key_names_whole_names_and_last_parts_in_any_case() {
        let names = names(&["password", "x.y", "straße"]);
        for dropped in ["password", "PassWord", "user.password", "http.request.header.PASSWORD", "x.y", "a.x.y", "STRAßE"] {
            assert!(names.drops(dropped), "{dropped}");
        }
        for kept in
            ["passwords", "my_password", "password.hash", "xay", "y", "", "pass word", "user\npassword", "pa\u{17f}\u{17f}word"]
        {
            assert!(!names.drops(kept), "{kept}");
        }
        assert!(!Names::default().drops("password"));
    }

    #[test]
    fn a_key_names_a_column() {
        let names = names(&["http_url", "traits"]);
        assert!(
            names.drops_column(Column::HttpUrl) && names.drops_column(Column::Traits) && !names.drops_column(Column::HttpHost)
        );
    }
}
