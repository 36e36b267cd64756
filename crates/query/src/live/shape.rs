//! What a live query may say: aggregates over events, and which of them in which groups. Nothing else has a meaning there.

use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParser, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, ObjectNamePart, Query, Select, SetExpr, Statement, TableFactor, TableWithJoins, Visit, Visitor,
};

use crate::QueryError;

/// Checks that `sql` is one `SELECT … FROM events [WHERE …] [GROUP BY …]`.
///
/// # Errors
/// [`QueryError::InvalidSql`] that names the clause.
pub(super) fn check(sql: &str) -> Result<(), QueryError> {
    let parsed = DFParser::parse_sql(sql).map_err(|error| QueryError::InvalidSql { message: error.to_string() })?;
    let only = match (parsed.len(), parsed.front()) {
        (1, Some(Parsed::Statement(statement))) => statement,
        (0, _) => return Err(refused("an empty statement")),
        (1, _) => return Err(refused("a statement that is no SELECT")),
        _ => return Err(refused("more than one statement")),
    };
    let Statement::Query(query) = only.as_ref() else { return Err(refused("a statement that is no SELECT")) };
    query_clause(query).or_else(|| inner_clause(query)).map_or(Ok(()), |clause| Err(refused(clause)))
}

pub(super) fn refused(clause: &str) -> QueryError {
    let form = "a live query is SELECT aggregates FROM events [WHERE …] [GROUP BY …]";
    QueryError::InvalidSql { message: format!("{clause} is not allowed: {form}") }
}

/// The first clause of a query that it may not have.
fn query_clause(query: &Query) -> Option<&'static str> {
    let Query { with, body, order_by, limit_clause, fetch, locks, .. } = query;
    let SetExpr::Select(select) = body.as_ref() else { return Some("UNION, VALUES or a query in parentheses") };
    first([
        (with.is_some(), "WITH"),
        (order_by.is_some(), "ORDER BY"),
        (limit_clause.is_some(), "LIMIT"),
        (fetch.is_some(), "FETCH"),
        (!locks.is_empty(), "FOR UPDATE"),
    ])
    .or_else(|| select_clause(select))
    .or_else(|| from(&select.from))
}

fn select_clause(select: &Select) -> Option<&'static str> {
    let grouped_otherwise = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(_, modifiers) => !modifiers.is_empty(),
    };
    first([
        (select.distinct.is_some(), "SELECT DISTINCT"),
        (select.into.is_some(), "INTO"),
        (select.having.is_some(), "HAVING"),
        (select.qualify.is_some(), "QUALIFY"),
        (!select.named_window.is_empty(), "WINDOW"),
        (!select.sort_by.is_empty(), "SORT BY"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
        (grouped_otherwise, "GROUP BY ALL or with a modifier"),
    ])
}

fn from(tables: &[TableWithJoins]) -> Option<&'static str> {
    let [TableWithJoins { relation, joins }] = tables else { return Some("FROM anything but one table") };
    if !joins.is_empty() {
        return Some("JOIN");
    }
    let TableFactor::Table { name, args: None, .. } = relation else { return Some("FROM anything but events") };
    let [ObjectNamePart::Identifier(name)] = name.0.as_slice() else { return Some("FROM anything but events") };
    (!name.value.eq_ignore_ascii_case("events")).then_some("FROM anything but events")
}

/// The first of these that is there.
fn first<const N: usize>(clauses: [(bool, &'static str); N]) -> Option<&'static str> {
    clauses.into_iter().find(|(is_there, _)| *is_there).map(|(_, clause)| clause)
}

fn inner_clause(query: &Query) -> Option<&'static str> {
    match query.visit(&mut Inside { queries: 0 }) {
        ControlFlow::Break(clause) => Some(clause),
        ControlFlow::Continue(()) => None,
    }
}

struct Inside {
    queries: usize,
}

impl Visitor for Inside {
    type Break = &'static str;

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
        self.queries += 1;
        if self.queries > 1 { ControlFlow::Break("a query inside") } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Self::Break> {
        match expression {
            Expr::Function(function) if function.over.is_some() => ControlFlow::Break("OVER"),
            Expr::Rollup(_) => ControlFlow::Break("ROLLUP"),
            Expr::Cube(_) => ControlFlow::Break("CUBE"),
            Expr::GroupingSets(_) => ControlFlow::Break("GROUPING SETS"),
            _ => ControlFlow::Continue(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_may_not_say_is_named() {
        for (sql, clause) in [
            ("SELECT count(*) FROM events HAVING count(*) > 1", "HAVING"),
            ("SELECT count(*) FROM events ORDER BY 1", "ORDER BY"),
            ("SELECT count(*) FROM events LIMIT 1", "LIMIT"),
            ("SELECT DISTINCT count(*) FROM events", "SELECT DISTINCT"),
            ("SELECT count(*) FROM events UNION SELECT 1", "UNION"),
            ("WITH a AS (SELECT 1) SELECT count(*) FROM events", "WITH"),
            ("SELECT count(*) FROM events a JOIN events b ON true", "JOIN"),
            ("SELECT count(*) FROM events, events", "one table"),
            ("SELECT count(*) FROM (SELECT * FROM events)", "FROM anything but events"),
            ("SELECT count(*) FROM events_at('2026-01-01')", "FROM anything but events"),
            ("SELECT count(*) FROM other", "FROM anything but events"),
            ("SELECT 1", "FROM anything but one table"),
            ("SELECT count(*) FROM events WHERE id IN (SELECT id FROM events)", "a query inside"),
            ("SELECT count(*) OVER () FROM events", "OVER"),
            ("SELECT count(*) FROM events GROUP BY ROLLUP (ns)", "ROLLUP"),
            ("SELECT count(*) FROM events GROUP BY CUBE (ns)", "CUBE"),
            ("SELECT count(*) FROM events GROUP BY ALL", "GROUP BY ALL"),
            ("DELETE FROM events", "no SELECT"),
            ("SELECT count(*) FROM events; SELECT 1", "more than one statement"),
            ("", "an empty statement"),
        ] {
            let refused = check(sql).unwrap_err().to_string();
            assert!(refused.contains(clause), "{sql}: {refused}");
        }
        for sql in ["SELECT count(*) FROM events", "select ns, avg(duration_ms) from events e where ns = 'a' group by ns"] {
            assert!(check(sql).is_ok(), "{sql}: {:?}", check(sql));
        }
    }
}
