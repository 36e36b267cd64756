//! Counts without opening a batch: what only asks for type, owner and place of events is in the headers.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{Field, Schema};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use watershed_schema::{Column, EVENT_TYPES, Seq};

use crate::hot_scan::ShardScan;
use crate::table::TIER;
use crate::{HotHead, HotRequest};

/// Whether headers alone have all of these columns.
pub(crate) fn answers(schema: &Schema) -> bool {
    let known = [Column::EventType, Column::Ns, Column::Shard, Column::Sequence].map(Column::name);
    schema.fields().iter().all(|field| field.name() == TIER || known.contains(&field.name().as_str()))
}

/// The scan's rows, batch by batch; batches of several types are opened.
pub(crate) fn execute(scan: ShardScan) -> SendableRecordBatchStream {
    let schema = Arc::clone(&scan.schema);
    let heads = async move {
        let heads = scan.hot.heads(scan.shard, &scan.request).await;
        let heads = heads.map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok::<_, DataFusionError>(stream::iter(heads).flat_map(move |head| scan.batches(head)))
    };
    Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(heads).try_flatten()))
}

impl ShardScan {
    fn batches(&self, head: HotHead) -> BoxStream<'static, Result<RecordBatch>> {
        let from_seq = self.request.from_seq.max(head.first_seq);
        let to_seq_exclusive = self.request.to_seq_exclusive.min(head.first_seq.advanced_by(head.rows));
        match EVENT_TYPES.into_iter().map(|(kind, _)| kind).find(|kind| kind.mask() == head.event_types) {
            Some(kind) => {
                self.progress.read_hot(to_seq_exclusive.0.saturating_sub(from_seq.0));
                stream::iter([self.counted(kind.as_str(), from_seq, to_seq_exclusive)]).boxed()
            }
            None => {
                let request = HotRequest { from_seq, to_seq_exclusive, ..self.request.clone() };
                stream::try_unfold(Self { request, ..self.clone() }, Self::next).boxed()
            }
        }
    }

    fn counted(&self, kind: &str, from: Seq, to: Seq) -> Result<RecordBatch> {
        let rows = usize::try_from(to.0 - from.0).unwrap_or(usize::MAX);
        let text = |text: &str| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows))) as ArrayRef;
        let column = |field: &Arc<Field>| match Column::from_name(field.name()) {
            Some(Column::EventType) => text(kind),
            Some(Column::Ns) => text(self.request.tenant.as_str()),
            Some(Column::Shard) => Arc::new(Int32Array::from_value(i32::from(self.shard.0), rows)),
            Some(_) => Arc::new(Int64Array::from_iter_values((from.0..to.0).map(u64::cast_signed))),
            None => text("hot"),
        };
        let columns = self.schema.fields().iter().map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}
