//! What a condition asks of single columns: texts of which an event must have one to meet it.
//!
//! Only what can be told from `=`, `IN`, `AND` and `OR` over the columns that filters of streams look at ([`FILTERED`]); the
//! condition itself is held against the event all the same.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use watershed_schema::Column;
use watershed_schema::batch::FILTERED;

/// By column; a column that is not there may have any value. Of no texts: nothing meets the condition.
type Needs = BTreeMap<Column, BTreeSet<String>>;

/// What an event must have in order to meet a condition.
pub(super) fn of(condition: &Expr) -> Vec<(Column, BTreeSet<String>)> {
    needs(condition).into_iter().collect()
}

fn needs(condition: &Expr) -> Needs {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => both(needs(left), needs(right)),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => either(needs(left), &needs(right)),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            equal(left, right).or_else(|| equal(right, left)).unwrap_or_default()
        }
        Expr::InList(InList { expr, list, negated: false }) => one_of(expr, list).unwrap_or_default(),
        _ => Needs::new(),
    }
}

fn equal(column: &Expr, value: &Expr) -> Option<Needs> {
    one_of(column, std::slice::from_ref(value))
}

/// None when a value is not known, or no text. To be equal to NULL is never true.
fn one_of(column: &Expr, values: &[Expr]) -> Option<Needs> {
    let Expr::Column(column) = column else { return None };
    let column = Column::from_name(&column.name).filter(|column| FILTERED.contains(column))?;
    let mut texts = BTreeSet::new();
    for value in values {
        match value {
            Expr::Literal(ScalarValue::Null, _) => {}
            Expr::Literal(ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text), _) => {
                texts.extend(text.clone());
            }
            _ => return None,
        }
    }
    Some(Needs::from([(column, texts)]))
}

fn both(mut left: Needs, right: Needs) -> Needs {
    for (column, texts) in right {
        match left.get_mut(&column) {
            Some(known) => known.retain(|text| texts.contains(text)),
            None => drop(left.insert(column, texts)),
        }
    }
    left
}

/// What one side does not ask for, the other may not ask for, either.
fn either(mut left: Needs, right: &Needs) -> Needs {
    left.retain(|column, _| right.contains_key(column));
    for (column, texts) in &mut left {
        texts.extend(right[column].iter().cloned());
    }
    left
}

#[cfg(test)]
mod tests {
    use super::super::Condition;

    fn told(text: &str) -> Vec<String> {
        let condition = Condition::compile(text).unwrap();
        let told = |(column, texts): &(watershed_schema::Column, std::collections::BTreeSet<String>)| {
            format!("{}: {}", column.name(), texts.iter().cloned().collect::<Vec<_>>().join(","))
        };
        condition.needs().iter().map(told).collect()
    }

    #[test]
    fn what_must_be_there_is_found() {
        assert_eq!(told("event_type = 'log' AND duration_ms > 1"), ["event_type: log"]);
        assert_eq!(told("'x' = event_name AND service_name IN ('b', 'a')"), ["event_name: x", "service_name: a,b"]);
        assert_eq!(told("trace_id = 'a' OR trace_id = 'b'"), ["trace_id: a,b"]);
        assert_eq!(told("(session_id = 'a' AND service_name = 's') OR session_id IN ('b')"), ["session_id: a,b"]);
        assert_eq!(told("event_name = 'a' AND event_name = 'b'"), ["event_name: "], "nothing is both");
        assert_eq!(told("event_name IN ('a', NULL)"), ["event_name: a"]);
    }

    #[test]
    fn what_cannot_be_told_asks_for_nothing() {
        for text in [
            "true",
            "duration_ms > 1",
            "event_name = 'a' OR duration_ms > 1",
            "event_name <> 'a'",
            "event_name NOT IN ('a')",
            "NOT (event_name = 'a')",
            "event_name LIKE 'a%'",
            "lower(event_name) = 'a'",
            "event_name = service_name",
            "event_name IN ('a', service_name)",
            "duration_ms = 1",
            "id = 'a'",
        ] {
            assert_eq!(told(text), [""; 0], "{text}");
        }
    }
}
