//! Values for `$1`, `$2`, … in a statement: what comes from a form or a variable need not be written into SQL.

use datafusion::common::{ParamValues, ScalarValue};
use datafusion::prelude::DataFrame;

use crate::QueryError;

/// A value; it takes the type that the statement wants in its place, if it can.
#[derive(Clone, Debug, PartialEq)]
pub enum Param {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text, also where a time is wanted.
    Text(String),
}

impl From<&Param> for ScalarValue {
    fn from(param: &Param) -> Self {
        match param {
            Param::Null => Self::Null,
            Param::Bool(value) => Self::Boolean(Some(*value)),
            Param::Int(value) => Self::Int64(Some(*value)),
            Param::Float(value) => Self::Float64(Some(*value)),
            Param::Text(value) => Self::Utf8(Some(value.clone())),
        }
    }
}

/// Puts the values in; there must be one for each place, and none left over.
pub(crate) fn bind(planned: DataFrame, params: &[Param]) -> Result<DataFrame, QueryError> {
    let of = |error| QueryError::of(error, 0);
    let asked = planned.logical_plan().get_parameter_names().map_err(of)?;
    let given = |name: &String| name.strip_prefix('$')?.parse().ok().filter(|number| (1..=params.len()).contains(number));
    if let Some(missing) = asked.iter().filter(|name| given(name).is_none()).min() {
        return Err(QueryError::invalid("params", format!("{missing} has no value; {} were given", params.len())));
    }
    if let Some(surplus) = (1..=params.len()).find(|number| !asked.contains(&format!("${number}"))) {
        return Err(QueryError::invalid("params", format!("{} were given, but the SQL has no ${surplus}", params.len())));
    }
    if params.is_empty() {
        return Ok(planned);
    }
    planned.with_param_values(ParamValues::from(params.iter().map(ScalarValue::from).collect::<Vec<_>>())).map_err(of)
}
