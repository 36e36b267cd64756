//! Rules as settings have them, and which tenant has which.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use watershed_schema::{InvalidTenant, TenantId};

use super::{Redaction, builtin};

/// What must not be stored. Nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// The usual secrets: passwords, tokens, cookies, authorization headers, card numbers. Those are looked for in texts and
    /// in JSON, also where they are numbers; integers of OTLP and of columns are left alone.
    pub builtin: bool,
    /// Names whose members, attributes and columns disappear, whatever their case, at any depth; `password` is also the
    /// last part of `user.password`. In texts, a parameter `password=…` loses its value.
    pub keys: Vec<String>,
    /// What is written over in texts, in order.
    pub patterns: Vec<Pattern>,
}

/// A pattern and what is written over its matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// A regular expression: <https://docs.rs/regex/latest/regex/#syntax>.
    pub pattern: String,
    /// Up to 256 bytes; `$1` and `$name` are groups of the match, `$$` is a dollar.
    pub replacement: String,
}

/// Section `[redaction]` of the settings. A tenant that is named has its own rules and none of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// [`Rules::builtin`] of all other tenants.
    pub builtin: bool,
    /// [`Rules::keys`] of all other tenants.
    pub keys: Vec<String>,
    /// [`Rules::patterns`] of all other tenants.
    pub patterns: Vec<Pattern>,
    /// Rules by tenant.
    pub tenants: BTreeMap<String, Rules>,
}

/// Why rules cannot be.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRules {
    /// An event is no event without this column.
    #[error("key {0}: a column of this name must not be dropped")]
    RequiredColumn(String),
    /// It would name everything or nothing.
    #[error("key is empty")]
    EmptyKey,
    /// No regular expression, or too large a one.
    #[error("pattern {pattern}: {reason}")]
    Pattern {
        /// As it was given.
        pattern: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// More bytes than a replacement may have.
    #[error("pattern {pattern}: replacement has {has} bytes, limit {max}")]
    LongReplacement {
        /// As it was given.
        pattern: String,
        /// Bytes of the replacement.
        has: usize,
        /// The limit.
        max: usize,
    },
    /// No name of a tenant.
    #[error("tenant {name}: {reason}")]
    Tenant {
        /// As it was given.
        name: String,
        /// What is wrong with it.
        reason: InvalidTenant,
    },
    /// Rules of one tenant.
    #[error("tenant {0}: {1}")]
    OfTenant(TenantId, Box<Self>),
}

/// The rules of every tenant, compiled.
#[derive(Clone, Debug, Default)]
pub struct Redactions {
    others: Option<Redaction>,
    tenants: BTreeMap<TenantId, Option<Redaction>>,
}

impl Redactions {
    /// Compiles the rules of all tenants.
    ///
    /// # Errors
    /// [`InvalidRules`] that names the tenant, if it is one's, and what is wrong.
    pub fn new(settings: &Settings) -> Result<Self, InvalidRules> {
        let Settings { builtin, keys, patterns, tenants } = settings.clone();
        let others = compiled(&Rules { builtin, keys, patterns })?;
        let mut own = BTreeMap::new();
        for (name, rules) in tenants {
            let tenant = TenantId::new(&name).map_err(|reason| InvalidRules::Tenant { name, reason })?;
            let compiled = compiled(&rules).map_err(|error| InvalidRules::OfTenant(tenant.clone(), Box::new(error)))?;
            own.insert(tenant, compiled);
        }
        Ok(Self { others, tenants: own })
    }

    /// What is taken out of a tenant's events; `None`: nothing.
    #[must_use]
    pub fn for_tenant(&self, tenant: &TenantId) -> Option<&Redaction> {
        self.tenants.get(tenant).unwrap_or(&self.others).as_ref()
    }
}

fn compiled(rules: &Rules) -> Result<Option<Redaction>, InvalidRules> {
    (*rules != Rules::default()).then(|| Redaction::new(rules)).transpose()
}

/// All keys, in lower case.
pub(super) fn keys(rules: &Rules) -> Vec<String> {
    let builtin = if rules.builtin { builtin::KEYS } else { &[] };
    rules.keys.iter().map(String::as_str).chain(builtin.iter().copied()).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_its_own_rules_or_those_of_all_others() {
        let rules = |key: &str| Rules { keys: vec![key.into()], ..Rules::default() };
        let tenants = [("acme", rules("b")), ("open", Rules::default())].map(|(name, rules)| (name.to_owned(), rules));
        let settings = Settings { keys: vec!["a".into()], tenants: tenants.into(), ..Settings::default() };
        let redactions = Redactions::new(&settings).unwrap();
        let of = |name| redactions.for_tenant(&TenantId::new(name).unwrap());
        let drops = |name, key| of(name).unwrap().names.drops(key);
        assert!(drops("globex", "a") && !drops("globex", "b") && drops("acme", "b") && !drops("acme", "a"));
        assert!(of("open").is_none() && Redactions::default().for_tenant(&TenantId::default()).is_none());
    }

    #[test]
    fn what_cannot_be_a_rule_is_named() {
        let told = |keys: &[&str], patterns: &[(&str, &str)]| {
            let pattern = |(pattern, replacement): &(&str, &str)| Pattern {
                pattern: (*pattern).into(),
                replacement: (*replacement).into(),
            };
            let keys = keys.iter().map(|key| (*key).to_owned()).collect();
            let rules = Rules { builtin: false, keys, patterns: patterns.iter().map(pattern).collect() };
            Redaction::new(&rules).unwrap_err().to_string()
        };
        for column in ["id", "ID", "event_type", "event_name", "ns", "timestamp", "day", "batch_id", "_seq"] {
            assert!(told(&[column], &[]).contains("must not be dropped"), "{column}");
        }
        assert_eq!(told(&[""], &[]), "key is empty");
        assert!(told(&[], &[("(a", "")]).contains("unclosed group"));
        for empty in ["a*", r"\b", "", "a|", "^$"] {
            assert!(told(&[], &[(empty, "")]).contains("matches empty text"), "{empty}");
        }
        assert!(told(&[], &[("a", &"x".repeat(257))]).contains("257 bytes, limit 256"));
        assert!(told(&[], &[(r"(?:\pL{1000}){1000}", "")]).contains("size limit"));
        let tenants = BTreeMap::from([("no tenant".to_owned(), Rules::default())]);
        let told = Redactions::new(&Settings { tenants, ..Settings::default() }).unwrap_err().to_string();
        assert!(told.starts_with("tenant no tenant: "));
    }
}
