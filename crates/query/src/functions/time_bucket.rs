//! `time_bucket(interval, timestamp)`: the beginning of a minute, hour, day, week (Monday) or month, UTC.

use std::sync::Arc;

use arrow::array::{AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::analytics::calendar::Grain;

pub(super) fn function() -> ScalarUDF {
    TimeBucket { signature: Signature::exact(vec![DataType::Utf8, time_type()], Volatility::Immutable) }.into()
}

/// The type of every time column.
pub(super) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TimeBucket {
    signature: Signature,
}

impl ScalarUDFImpl for TimeBucket {
    fn name(&self) -> &'static str {
        "time_bucket"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(time_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Scalar(ScalarValue::Utf8(Some(word))), times] = &args.args[..] else {
            return exec_err!("time_bucket: the interval must be a constant text, the second argument a time");
        };
        let Some(grain) = Grain::from_word(word) else {
            return exec_err!("time_bucket: the interval is one of {}, not {word:?}", Grain::WORDS);
        };
        let times = times.to_array(args.number_rows)?;
        let begun: TimestampMicrosecondArray =
            times.as_primitive::<TimestampMicrosecondType>().unary(|at| grain.start(grain.index(at)));
        Ok(ColumnarValue::Array(Arc::new(begun.with_timezone("+00:00"))))
    }
}
