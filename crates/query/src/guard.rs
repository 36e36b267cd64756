//! Lets one reading statement through and nothing else.

use std::ops::ControlFlow;

use datafusion::error::DataFusionError;
use datafusion::sql::parser::{DFParser, Statement as Parsed};
use datafusion::sql::sqlparser::ast::{
    ExprWithAlias, ObjectName, ObjectNamePart, Query, SetExpr, Statement, TableFactor, Visit, Visitor,
};

use crate::QueryError;
use crate::time_travel::EVENTS_AT;

/// Checks that `sql` is exactly one statement that only reads and calls no table function but `events_at`.
///
/// # Errors
/// [`QueryError::InvalidSql`] when it does not parse, [`QueryError::Refused`] for everything that is not a plain read.
pub(crate) fn check(sql: &str) -> Result<(), QueryError> {
    let parsed = DFParser::parse_sql(sql).map_err(|error| QueryError::InvalidSql { message: error.to_string() })?;
    let mut statements = parsed.iter();
    match (statements.next(), statements.next()) {
        (None, _) => Err(QueryError::InvalidSql { message: "no statement".into() }),
        (Some(_), Some(_)) => Err(QueryError::Refused { what: "more than one statement" }),
        (Some(only), None) => check_parsed(only),
    }
}

/// A condition as it may stand behind WHERE: one expression, no query inside.
///
/// # Errors
/// As [`check`]; what does not parse is named with its line and column.
pub(crate) fn condition(text: &str) -> Result<ExprWithAlias, QueryError> {
    let invalid = |error: DataFusionError| QueryError::InvalidSql { message: with_end(error.to_string(), text) };
    let parsed = DFParser::parse_sql_into_expr(text).map_err(invalid)?;
    if parsed.alias.is_some() {
        return Err(QueryError::Refused { what: "name for a condition" });
    }
    match parsed.expr.visit(&mut Condition) {
        ControlFlow::Break(what) => Err(QueryError::Refused { what }),
        ControlFlow::Continue(()) => Ok(parsed),
    }
}

/// The parser says where by itself, unless it is at the end.
fn with_end(message: String, text: &str) -> String {
    if !message.contains("found: EOF") {
        return message;
    }
    let (line, column) = (text.lines().count().max(1), text.lines().last().unwrap_or_default().chars().count() + 1);
    format!("{message} at Line: {line}, Column: {column}")
}

struct Condition;

impl Visitor for Condition {
    type Break = &'static str;

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
        ControlFlow::Break("query inside a condition")
    }
}

fn check_parsed(parsed: &Parsed) -> Result<(), QueryError> {
    match parsed {
        Parsed::Statement(statement) => check_statement(statement),
        Parsed::Explain(explain) => check_parsed(&explain.statement),
        Parsed::CopyTo(_) => Err(QueryError::Refused { what: "COPY" }),
        Parsed::CreateExternalTable(_) => Err(QueryError::Refused { what: "CREATE EXTERNAL TABLE" }),
        _ => Err(QueryError::Refused { what: "statement that does not read" }),
    }
}

fn check_statement(statement: &Statement) -> Result<(), QueryError> {
    match statement {
        Statement::Query(_) | Statement::ExplainTable { .. } => check_parts(statement),
        Statement::Explain { statement, .. } => check_statement(statement),
        _ => Err(QueryError::Refused { what: "statement that does not read" }),
    }
}

fn check_parts(statement: &Statement) -> Result<(), QueryError> {
    match statement.visit(&mut Parts) {
        ControlFlow::Break(what) => Err(QueryError::Refused { what }),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Parts;

impl Visitor for Parts {
    type Break = &'static str;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        check_body(&query.body)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        match factor {
            TableFactor::Table { name, args: Some(_), .. } if is_ours(name) => ControlFlow::Continue(()),
            TableFactor::Table { args: Some(_), .. } | TableFactor::TableFunction { .. } | TableFactor::Function { .. } => {
                ControlFlow::Break("table function")
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// The one table function that reads what `events` reads: the tenant's rows. DataFusion knows functions by their letters' case.
fn is_ours(name: &ObjectName) -> bool {
    let [ObjectNamePart::Identifier(name)] = name.0.as_slice() else { return false };
    name.quote_style.is_none() && name.value == EVENTS_AT
}

fn check_body(body: &SetExpr) -> ControlFlow<&'static str> {
    match body {
        SetExpr::Select(select) if select.into.is_some() => ControlFlow::Break("SELECT INTO"),
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { left, right, .. } => {
            check_body(left)?;
            check_body(right)
        }
        _ => ControlFlow::Break("data change inside a query"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSED: &[&str] = &[
        "COPY events TO '/tmp/x.parquet'",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '/etc'",
        "CREATE TABLE x AS SELECT 1",
        "CREATE VIEW x AS SELECT 1",
        "INSERT INTO events SELECT * FROM events",
        "UPDATE events SET ns = 'a'",
        "DELETE FROM events",
        "DROP TABLE events",
        "SET datafusion.execution.target_partitions = 9",
        "SHOW TABLES",
        "SELECT 1; SELECT 2",
        "SELECT * INTO x FROM events",
        "SELECT * FROM read_parquet('/etc/passwd')",
        "SELECT * FROM generate_series(1, 9)",
        "SELECT * FROM events(1)",
        "SELECT * FROM Events_At('2026-01-01')",
        "SELECT * FROM public.events_at('2026-01-01')",
        "SELECT * FROM \"events_at\"('2026-01-01')",
        "SELECT * FROM events_at('2026-01-01') JOIN read_csv('/etc/passwd') ON true",
        "SELECT * FROM TABLE(events_at('2026-01-01'))",
        "SELECT * FROM LATERAL read_csv('/etc/passwd')",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM read_csv('/etc/passwd'))",
        "WITH a AS (SELECT * FROM read_csv('/x')) SELECT * FROM a",
        "SELECT 1 UNION ALL SELECT * FROM range(1, 9)",
        "EXPLAIN DELETE FROM events",
        "EXPLAIN COPY events TO '/tmp/x'",
        "PREPARE p AS SELECT 1",
        "BEGIN",
        "TRUNCATE TABLE events",
    ];

    const ALLOWED: &[&str] = &[
        "SELECT count(*) FROM events GROUP BY event_type",
        "WITH a AS (SELECT * FROM events) SELECT * FROM a JOIN events USING (id)",
        "SELECT 1 UNION ALL (SELECT 2)",
        "EXPLAIN SELECT * FROM events",
        "DESCRIBE events",
        "SELECT count(*) FROM events_at('2026-01-01T00:00:00Z') AS past",
        "SELECT id FROM events EXCEPT SELECT id FROM events_at(77)",
        "SELECT * FROM (VALUES (1), (2)) AS v",
    ];

    #[test]
    fn nothing_but_reads_passes() {
        for sql in REFUSED {
            assert!(matches!(check(sql), Err(QueryError::Refused { .. })), "{sql}: {:?}", check(sql));
        }
    }

    #[test]
    fn reads_pass() {
        for sql in ALLOWED {
            assert!(check(sql).is_ok(), "{sql}: {:?}", check(sql));
        }
    }

    #[test]
    fn a_condition_is_one_expression_without_queries() {
        for text in ["a = 1", "json_get(properties, 'plan') IN ('a', 'b') AND NOT b", "a BETWEEN 1 AND 2 OR b IS NULL"] {
            assert!(condition(text).is_ok(), "{text}: {:?}", condition(text));
        }
        for text in ["a IN (SELECT id FROM events)", "EXISTS (SELECT 1)", "a = (SELECT max(id) FROM events)", "a = 1 AS b"] {
            assert!(matches!(condition(text), Err(QueryError::Refused { .. })), "{text}: {:?}", condition(text));
        }
        for text in ["", "a = ", "a = 1; DROP TABLE events", "a = 1) OR (b = 2", "a = 1 UNION SELECT 1"] {
            assert!(matches!(condition(text), Err(QueryError::InvalidSql { .. })), "{text}: {:?}", condition(text));
        }
    }

    #[test]
    fn nonsense_is_invalid() {
        for sql in ["", "SELEC 1", "SELECT (1"] {
            assert!(matches!(check(sql), Err(QueryError::InvalidSql { .. })), "{sql}");
        }
    }
}
