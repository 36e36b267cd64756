//! Which rows go, and what a file's statistics say of it. Pure.

use std::collections::BTreeMap;

use arrow::array::{Array as _, AsArray as _, BooleanArray, RecordBatch, StringArray};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use iceberg::spec::{DataFile, Datum, PrimitiveLiteral};
use watershed_schema::Column;

use crate::schema;

/// Rows that go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doomed {
    /// All rows of a tenant, or those of one of its actors.
    Tenant {
        /// The tenant.
        ns: String,
        /// `actor_id` or `anonymous_id`.
        actor: Option<String>,
    },
    /// Rows that are older than their tenant keeps them. A file counts as old when its newest row is.
    Older {
        /// End of what goes, exclusive, in microseconds since the epoch; none: it stays for ever.
        than_us: Option<i64>,
        /// The same for single tenants.
        of_tenants: BTreeMap<String, Option<i64>>,
    },
}

/// Which of a file's rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    None,
    All,
    /// Some, or none: they must be looked at.
    Some,
}

/// Least and greatest text of a column, and whether some rows have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Texts {
    least: String,
    greatest: String,
    some_are_null: bool,
}

/// What a manifest says of a file; none: it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bounds {
    ns: Option<Texts>,
    actors: [Option<Texts>; 2],
    newest_us: Option<i64>,
}

/// Columns that say who a row is of.
const ACTORS: [Column; 2] = [Column::ActorId, Column::AnonymousId];

impl Bounds {
    pub(super) fn of(file: &DataFile) -> Self {
        let newest_us = match file.upper_bounds().get(&schema::id(Column::Timestamp)).map(Datum::literal) {
            Some(PrimitiveLiteral::Long(newest)) => Some(*newest),
            _ => None,
        };
        Self { ns: Texts::of(file, Column::Ns), actors: ACTORS.map(|column| Texts::of(file, column)), newest_us }
    }
}

impl Texts {
    fn of(file: &DataFile, column: Column) -> Option<Self> {
        let id = schema::id(column);
        let text = |bound: &Datum| match bound.literal() {
            PrimitiveLiteral::String(text) => Some(text.clone()),
            _ => None,
        };
        let (least, greatest) = file.lower_bounds().get(&id).and_then(text).zip(file.upper_bounds().get(&id).and_then(text))?;
        Some(Self { least, greatest, some_are_null: file.null_value_counts().get(&id) != Some(&0) })
    }

    fn may_hold(&self, text: &str) -> bool {
        self.least.as_str() <= text && text <= self.greatest.as_str()
    }

    fn is_only(&self, text: &str) -> bool {
        self.least == text && self.greatest == text && !self.some_are_null
    }
}

impl Doomed {
    pub(super) fn verdict(&self, bounds: &Bounds) -> Verdict {
        match self {
            Self::Tenant { ns, actor } => of_tenant(bounds, ns, actor.as_deref()),
            Self::Older { than_us, of_tenants } => older(bounds, *than_us, of_tenants),
        }
    }

    /// Columns that [`Self::mask`] looks at.
    pub(super) const COLUMNS: [Column; 4] = [Column::Ns, Column::ActorId, Column::AnonymousId, Column::Timestamp];

    /// Which rows go; columns by their names.
    pub(super) fn mask(&self, rows: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let ns = texts_of(rows, Column::Ns)?;
        let all = 0..rows.num_rows();
        match self {
            Self::Tenant { ns: tenant, actor: None } => Ok(all.map(|row| Some(text(ns, row) == Some(tenant))).collect()),
            Self::Tenant { ns: tenant, actor: Some(actor) } => {
                let [users, devices] = [texts_of(rows, ACTORS[0])?, texts_of(rows, ACTORS[1])?];
                let is_actor = |row| [users, devices].into_iter().any(|texts| text(texts, row) == Some(actor));
                Ok(all.map(|row| Some(text(ns, row) == Some(tenant) && is_actor(row))).collect())
            }
            Self::Older { than_us, of_tenants } => {
                let times = rows.column_by_name(Column::Timestamp.name());
                let times = times.and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
                let times = times.ok_or_else(|| unfit(Column::Timestamp))?;
                let end = |row| text(ns, row).map_or(*than_us, |ns| of_tenants.get(ns).copied().unwrap_or(*than_us));
                Ok(all.map(|row| Some(end(row).is_some_and(|end| times.value(row) < end))).collect())
            }
        }
    }
}

/// A column of texts; none in a file that is older than the column.
fn texts_of(rows: &RecordBatch, column: Column) -> Result<Option<&StringArray>, ArrowError> {
    let Some(texts) = rows.column_by_name(column.name()) else { return Ok(None) };
    texts.as_string_opt::<i32>().map(Some).ok_or_else(|| unfit(column))
}

fn text(texts: Option<&StringArray>, row: usize) -> Option<&str> {
    texts.filter(|texts| texts.is_valid(row)).map(|texts| texts.value(row))
}

fn unfit(column: Column) -> ArrowError {
    ArrowError::SchemaError(format!("column {} has another type than ours", column.name()))
}

fn of_tenant(bounds: &Bounds, ns: &str, actor: Option<&str>) -> Verdict {
    let may_be = |texts: &Option<Texts>, text: &str| texts.as_ref().is_none_or(|texts| texts.may_hold(text));
    let is_only = |texts: &Option<Texts>, text: &str| texts.as_ref().is_some_and(|texts| texts.is_only(text));
    let may_be_actor = |actor: &str| bounds.actors.iter().any(|texts| may_be(texts, actor));
    let is_only_actor = |actor: &str| bounds.actors.iter().any(|texts| is_only(texts, actor));
    if !may_be(&bounds.ns, ns) || !actor.is_none_or(may_be_actor) {
        Verdict::None
    } else if is_only(&bounds.ns, ns) && actor.is_none_or(is_only_actor) {
        Verdict::All
    } else {
        Verdict::Some
    }
}

fn older(bounds: &Bounds, than_us: Option<i64>, of_tenants: &BTreeMap<String, Option<i64>>) -> Verdict {
    let Some(newest_us) = bounds.newest_us else { return Verdict::None };
    let goes = |end: Option<i64>| end.is_some_and(|end| newest_us < end);
    let Some(ns) = &bounds.ns else {
        let any = of_tenants.values().copied().chain([than_us]).any(goes);
        return if any { Verdict::Some } else { Verdict::None };
    };
    if ns.is_only(&ns.least) {
        return if goes(of_tenants.get(&ns.least).copied().unwrap_or(than_us)) { Verdict::All } else { Verdict::None };
    }
    let named = of_tenants.iter().filter(|(name, _)| ns.may_hold(name)).map(|(_, end)| goes(*end));
    let verdicts: Vec<bool> = named.chain([goes(than_us)]).collect();
    match (verdicts.contains(&true), verdicts.contains(&false)) {
        (false, _) => Verdict::None,
        (true, false) => Verdict::All,
        (true, true) => Verdict::Some,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(least: &str, greatest: &str, some_are_null: bool) -> Option<Texts> {
        Some(Texts { least: least.to_owned(), greatest: greatest.to_owned(), some_are_null })
    }

    fn bounds(ns: Option<Texts>, actor: Option<Texts>, newest_us: i64) -> Bounds {
        Bounds { ns, actors: [actor.clone(), actor], newest_us: Some(newest_us) }
    }

    #[test]
    fn a_tenant_goes_whole_where_nobody_else_is() {
        let verdict = |ns| Doomed::Tenant { ns: "b".to_owned(), actor: None }.verdict(&bounds(ns, None, 0));
        assert_eq!(verdict(texts("b", "b", false)), Verdict::All);
        assert_eq!(verdict(texts("b", "b", true)), Verdict::Some);
        assert_eq!(verdict(texts("a", "c", false)), Verdict::Some);
        assert_eq!(verdict(texts("ba", "c", false)), Verdict::None);
        assert_eq!(verdict(None), Verdict::Some);
    }

    #[test]
    fn an_actor_goes_with_its_tenant_only() {
        let doomed = Doomed::Tenant { ns: "b".to_owned(), actor: Some("x".to_owned()) };
        let verdict = |ns, actor| doomed.verdict(&bounds(ns, actor, 0));
        assert_eq!(verdict(texts("b", "b", false), texts("x", "x", false)), Verdict::All);
        assert_eq!(verdict(texts("b", "b", false), texts("x", "x", true)), Verdict::Some);
        assert_eq!(verdict(texts("a", "b", false), texts("x", "x", false)), Verdict::Some);
        assert_eq!(verdict(texts("b", "b", false), texts("y", "z", false)), Verdict::None);
        assert_eq!(verdict(texts("c", "d", false), texts("x", "x", false)), Verdict::None);
    }

    #[test]
    fn a_file_is_as_old_as_its_newest_row_and_its_tenants_want() {
        let of_tenants = BTreeMap::from([("long".to_owned(), Some(10)), ("ever".to_owned(), None)]);
        let verdict = |least, greatest, newest| {
            Doomed::Older { than_us: Some(50), of_tenants: of_tenants.clone() }.verdict(&bounds(
                texts(least, greatest, false),
                None,
                newest,
            ))
        };
        assert_eq!(verdict("a", "a", 49), Verdict::All);
        assert_eq!(verdict("a", "a", 50), Verdict::None);
        assert_eq!(verdict("long", "long", 49), Verdict::None);
        assert_eq!(verdict("long", "long", 9), Verdict::All);
        assert_eq!(verdict("ever", "ever", 0), Verdict::None);
        assert_eq!(verdict("a", "b", 49), Verdict::All, "nobody of a name of its own is between");
        assert_eq!(verdict("a", "z", 49), Verdict::Some);
        assert_eq!(verdict("a", "z", 51), Verdict::None);
        let none = Doomed::Older { than_us: None, of_tenants: BTreeMap::new() };
        assert_eq!(none.verdict(&bounds(texts("a", "z", false), None, 0)), Verdict::None);
    }
}
