//! A field of an event: a column, or a path into one of its payloads.

use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, when};
use datafusion::prelude::{coalesce, col, lit};
use watershed_schema::{Column, Kind};

use super::FIELD_BYTES_MAX;
use crate::functions::{JSON_GET, JSON_NUMBER};
use crate::{QueryError, table};

/// Payloads that a path may begin with.
const PAYLOADS: [Column; 5] = [Column::Properties, Column::Data, Column::Attributes, Column::Traits, Column::Context];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Column(Column),
    Path(Column, String),
}

impl Field {
    /// `what` is the field of the request that names it.
    pub(crate) fn of(what: &str, text: &str) -> Result<Self, QueryError> {
        if text.len() > FIELD_BYTES_MAX {
            return Err(QueryError::invalid(what, format!("is {} bytes long, limit {FIELD_BYTES_MAX}", text.len())));
        }
        if let Some(column) = Column::from_name(text).filter(|column| column.kind() != Kind::Bytes) {
            return Ok(Self::Column(column));
        }
        let path = text.split_once('.').and_then(|(payload, path)| {
            let payload = PAYLOADS.into_iter().find(|known| known.name() == payload)?;
            (!path.is_empty()).then(|| Self::Path(payload, path.to_owned()))
        });
        path.ok_or_else(|| {
            let known = PAYLOADS.map(Column::name).join(", ");
            QueryError::invalid(what, format!("{text:?} is neither a column nor a path into {known}, like properties.plan"))
        })
    }

    /// As text; null where it is missing.
    pub(crate) fn text(&self) -> Expr {
        match self {
            Self::Column(column) if matches!(column.kind(), Kind::Text | Kind::Json | Kind::Payload) => col(column.name()),
            Self::Column(column) => datafusion::logical_expr::cast(col(column.name()), DataType::Utf8),
            Self::Path(payload, path) => JSON_GET.call(vec![col(payload.name()), lit(path)]),
        }
    }

    /// As a double; null where it is missing or no finite number.
    pub(crate) fn number(&self, what: &str) -> Result<Expr, QueryError> {
        match self {
            Self::Path(payload, path) => Ok(JSON_NUMBER.call(vec![col(payload.name()), lit(path)])),
            Self::Column(column) => match column.kind() {
                Kind::Int | Kind::Int32 => Ok(datafusion::logical_expr::cast(col(column.name()), DataType::Float64)),
                Kind::Float => finite(col(column.name())),
                _ => Err(QueryError::invalid(what, format!("{} is a column that holds no numbers", column.name()))),
            },
        }
    }
}

/// Comparisons have an order of all doubles, in which what is no number is beyond infinity.
fn finite(value: Expr) -> Result<Expr, QueryError> {
    let is_finite = value.clone().gt_eq(lit(f64::MIN)).and(value.clone().lt_eq(lit(f64::MAX)));
    when(is_finite, value).end().map_err(|error| QueryError::of(error, 0))
}

/// Whose events they are.
pub(crate) fn actor(text: &str) -> Result<Expr, QueryError> {
    Ok(match text {
        "" => coalesce(vec![col(Column::ActorId.name()), col(Column::AnonymousId.name())]),
        "session" => col(Column::SessionId.name()),
        "trace" => col(Column::TraceId.name()),
        field => Field::of("actor", field)?.text(),
    })
}

/// Whether a row was read in the hot tier.
pub(crate) fn is_hot() -> Expr {
    col(table::TIER).eq(lit("hot"))
}
