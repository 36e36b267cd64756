//! The words that functions are set by: the first argument of `window_funnel` and `cohort_retention`.

use std::sync::Arc;

use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;

/// The constant text that stands first.
pub(super) fn first(function: &str, args: &AccumulatorArgs<'_>) -> Result<String> {
    let text = args.exprs.first().and_then(constant);
    match text {
        Some(text) => Ok(text),
        None => exec_err!("{function}: the first argument must be a constant text"),
    }
}

fn constant(expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    match expr.downcast_ref::<Literal>()?.value() {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => {
            Some(text.clone())
        }
        _ => None,
    }
}
