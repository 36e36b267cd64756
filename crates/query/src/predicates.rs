//! What of a WHERE clause can be said to the tiers before rows are read. Everything is checked again above the scan.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, expr::InList};
use watershed_lake::FileFilter;
use watershed_schema::{Column, EventType, key_hash, name_hash};

/// Necessary conditions of a query's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Predicates {
    pub(crate) from_us: Option<i64>,
    /// Exclusive.
    pub(crate) to_us: Option<i64>,
    pub(crate) event_types: Vec<EventType>,
    pub(crate) keys: Vec<u64>,
    pub(crate) names: Vec<u64>,
    /// For each of these columns, one of the values.
    pub(crate) ids: Vec<(Column, Vec<String>)>,
}

impl Predicates {
    /// All `filters` hold for every wanted row.
    pub(crate) fn of(filters: &[Expr]) -> Self {
        let mut predicates = Self::default();
        filters.iter().for_each(|filter| predicates.add(filter));
        predicates
    }

    pub(crate) fn type_mask(&self) -> u32 {
        self.event_types.iter().fold(0, |mask, kind| mask | kind.mask())
    }

    fn add(&mut self, filter: &Expr) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                self.add(left);
                self.add(right);
            }
            Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => {
                if let Some((name, values)) = one_of(filter) {
                    self.any_of(name, &values);
                }
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (column(left), literal(right)) {
                (Some(name), Some(value)) => self.compare(name, *op, value),
                _ => {
                    if let (Some(name), Some(value), Some(op)) = (column(right), literal(left), op.swap()) {
                        self.compare(name, op, value);
                    }
                }
            },
            Expr::InList(InList { expr, list, negated: false }) => {
                if let (Some(name), Some(values)) = (column(expr), list.iter().map(text).collect::<Option<Vec<_>>>()) {
                    self.any_of(name, &values);
                }
            }
            _ => {}
        }
    }

    fn compare(&mut self, name: &str, op: Operator, value: &ScalarValue) {
        match (op, text_of(value)) {
            (Operator::Eq, Some(word)) => self.any_of(name, &[word]),
            _ if name == Column::Timestamp.name() => self.time(op, value),
            _ => {}
        }
    }

    fn any_of(&mut self, name: &str, values: &[&str]) {
        if let Some(column) = FileFilter::IDS.into_iter().find(|column| column.name() == name) {
            self.ids.push((column, values.iter().map(|value| (*value).to_owned()).collect()));
        }
        if name == Column::EventType.name() {
            let known: Option<Vec<_>> = values.iter().map(|word| EventType::from_word(word)).collect();
            if let (true, Some(known)) = (self.event_types.is_empty(), known) {
                self.event_types = known;
            }
        } else if self.keys.is_empty() && (name == Column::TraceId.name() || name == Column::SessionId.name()) {
            self.keys = values.iter().map(|id| key_hash(id)).collect();
        } else if self.names.is_empty() && name == Column::EventName.name() {
            self.names = values.iter().map(|name| name_hash(name)).collect();
        }
    }

    fn time(&mut self, op: Operator, value: &ScalarValue) {
        let Some((floor, exact)) = micros(value) else { return };
        let above = if exact { floor } else { floor + 1 };
        match op {
            Operator::Gt | Operator::GtEq | Operator::Eq => self.from_us = Some(self.from_us.map_or(floor, |at| at.max(floor))),
            _ => {}
        }
        match op {
            Operator::Lt => self.to_us = Some(self.to_us.map_or(above, |at| at.min(above))),
            Operator::LtEq | Operator::Eq => self.to_us = Some(self.to_us.map_or(floor + 1, |at| at.min(floor + 1))),
            _ => {}
        }
    }
}

/// `a = 'x' OR a = 'y' OR …`, which is what the planner makes of a short `a IN (…)`.
fn one_of(expr: &Expr) -> Option<(&str, Vec<&str>)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    match op {
        Operator::Eq => Some((column(left)?, vec![text(right)?])),
        Operator::Or => {
            let ((name, mut values), (other, more)) = (one_of(left)?, one_of(right)?);
            values.extend(more);
            (name == other).then_some((name, values))
        }
        _ => None,
    }
}

fn column(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(column) => Some(&column.name),
        Expr::Alias(alias) => column(&alias.expr),
        _ => None,
    }
}

fn literal(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value),
        _ => None,
    }
}

fn text(expr: &Expr) -> Option<&str> {
    literal(expr).and_then(text_of)
}

fn text_of(value: &ScalarValue) -> Option<&str> {
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => Some(text),
        _ => None,
    }
}

/// Microseconds, rounded down, and whether nothing was lost.
fn micros(value: &ScalarValue) -> Option<(i64, bool)> {
    Some(match value {
        ScalarValue::TimestampSecond(Some(at), _) => (at.checked_mul(1_000_000)?, true),
        ScalarValue::TimestampMillisecond(Some(at), _) => (at.checked_mul(1_000)?, true),
        ScalarValue::TimestampMicrosecond(Some(at), _) => (*at, true),
        ScalarValue::TimestampNanosecond(Some(at), _) => (at.div_euclid(1_000), at.rem_euclid(1_000) == 0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    fn at(us: i64) -> Expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(us), Some("+00:00".into())), None)
    }

    #[test]
    fn bounds_are_never_tighter_than_the_clause() {
        let of = |filter: Expr| Predicates::of(&[filter]);
        assert_eq!((of(col("timestamp").gt(at(5))).from_us, of(at(5).lt(col("timestamp"))).from_us), (Some(5), Some(5)));
        assert_eq!((of(col("timestamp").lt(at(5))).to_us, of(col("timestamp").lt_eq(at(5))).to_us), (Some(5), Some(6)));
        assert_eq!(of(col("timestamp").eq(at(5)).or(col("trace_id").eq(lit("x")))), Predicates::default());
        let nanos = Expr::Literal(ScalarValue::TimestampNanosecond(Some(5_001), None), None);
        assert_eq!(of(col("timestamp").lt(nanos)).to_us, Some(6));
    }

    #[test]
    fn words_and_ids() {
        let both = col("event_type").in_list(vec![lit("log"), lit("trace")], false).and(col("trace_id").eq(lit("t")));
        let predicates = Predicates::of(&[both]);
        assert_eq!(predicates.type_mask(), EventType::Log.mask() | EventType::Trace.mask());
        assert_eq!(predicates.keys, [key_hash("t")]);
        let named = Predicates::of(&[col("event_name").eq(lit("paid")), col("event_name").eq(lit("sent"))]);
        assert_eq!(named.names, [name_hash("paid")], "one necessary condition is enough");
        let name = |name| col("event_name").eq(lit(name));
        assert_eq!(Predicates::of(&[name("a").or(name("b")).or(name("c"))]).names, ["a", "b", "c"].map(name_hash));
        assert_eq!(Predicates::of(&[name("a").or(col("trace_id").eq(lit("b")))]), Predicates::default());
        assert_eq!(Predicates::of(&[name("a").or(name("b").and(col("trace_id").eq(lit("b"))))]), Predicates::default());
        assert_eq!(Predicates::of(&[col("event_type").not_eq(lit("log"))]), Predicates::default());
        assert_eq!(Predicates::of(&[col("event_type").eq(lit("nonsense"))]), Predicates::default());
    }
}
