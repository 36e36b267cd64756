//! Which time is looked at.

use chrono::{DateTime, SecondsFormat};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::prelude::col;
use watershed_schema::Column;

use super::duration;
use crate::QueryError;

/// Bounds are inclusive, microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from_us: Option<i64>,
    pub(crate) to_us: Option<i64>,
    /// Goes on until now, also when there are no newer events.
    pub(crate) is_until_now: bool,
}

impl Range {
    pub(crate) fn of(since: &str, from: &str, to: &str, now_us: i64) -> Result<Self, QueryError> {
        if since.is_empty() {
            let range =
                Self { from_us: time("from", from)?, to_us: time("to", to)?, is_until_now: !from.is_empty() && to.is_empty() };
            return match (range.from_us, range.to_us) {
                (Some(from_us), Some(to_us)) if from_us > to_us => Err(QueryError::invalid("to", "is before from")),
                _ => Ok(range),
            };
        }
        if !from.is_empty() || !to.is_empty() {
            return Err(QueryError::invalid("since", "is given together with from or to: only one of them"));
        }
        let long = duration::parse(since)
            .ok_or_else(|| QueryError::invalid("since", format!("{since:?} is no duration: {}", duration::FORM)))?;
        Ok(Self { from_us: Some(now_us.saturating_sub(long)), to_us: None, is_until_now: true })
    }

    pub(crate) fn condition(&self) -> Option<Expr> {
        let at = || col(Column::Timestamp.name());
        let from = self.from_us.map(|from| at().gt_eq(literal(from)));
        let to = self.to_us.map(|to| at().lt_eq(literal(to)));
        from.into_iter().chain(to).reduce(Expr::and)
    }
}

fn literal(at_us: i64) -> Expr {
    Expr::Literal(ScalarValue::TimestampMicrosecond(Some(at_us), Some("+00:00".into())), None)
}

fn time(field: &str, text: &str) -> Result<Option<i64>, QueryError> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |_error| QueryError::invalid(field, format!("{text:?} is no RFC 3339 time, for example 2026-03-01T00:00:00Z"));
    DateTime::parse_from_rfc3339(text).map(|at| Some(at.timestamp_micros())).map_err(wrong)
}

/// RFC 3339 in UTC, as exact as it has to be.
pub(crate) fn text(at_us: i64) -> String {
    DateTime::from_timestamp_micros(at_us).map_or_else(String::new, |at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}
