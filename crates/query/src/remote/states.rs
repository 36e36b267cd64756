//! States of a partial aggregate that other nodes make of their events.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use bytes::Buf as _;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use watershed_schema::Seq;
use watershed_schema::proto::{PeerPartial, PeerStates};

use super::push::replaced;
use super::scan::RemoteScan;
use crate::HotTierError;
use crate::hot_scan::ShardScan;

/// A partition for each shard, of a partial aggregate whose only rows are those of a [`RemoteScan`].
pub(super) fn plan(by_pages: Arc<dyn ExecutionPlan>, question: &Arc<PeerPartial>) -> Result<Arc<dyn ExecutionPlan>> {
    let (schema, mut shards) = (by_pages.schema(), Vec::new());
    by_pages.apply(|node| {
        shards.extend(node.downcast_ref::<RemoteScan>().into_iter().flat_map(|scan| scan.shards.iter().cloned()));
        Ok(TreeNodeRecursion::Continue)
    })?;
    let partition = |scan: ShardScan| {
        let (by_pages, question, schema) = (Arc::clone(&by_pages), Arc::clone(question), Arc::clone(&schema));
        Arc::new(RemoteStates { scan, by_pages, question, schema }) as Arc<dyn PartitionStream>
    };
    let partitions = shards.into_iter().map(partition).collect();
    Ok(Arc::new(StreamingTableExec::try_new(Arc::clone(&schema), partitions, None, [], false, None)?))
}

/// A shard whose events are aggregated slice by slice.
#[derive(Clone, Debug)]
struct RemoteStates {
    /// What is left.
    scan: ShardScan,
    /// The same of events that are read in pages, for nodes that do not aggregate.
    by_pages: Arc<dyn ExecutionPlan>,
    question: Arc<PeerPartial>,
    schema: SchemaRef,
}

type Batches = BoxStream<'static, Result<RecordBatch>>;

impl PartitionStream for RemoteStates {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let slices = stream::try_unfold((self.clone(), context), |(mut shard, context)| async move {
            let next = shard.next(&context).await?;
            Ok::<_, DataFusionError>(next.map(|batches| (batches, (shard, context))))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), slices.try_flatten().boxed()))
    }
}

impl RemoteStates {
    async fn next(&mut self, context: &Arc<TaskContext>) -> Result<Option<Batches>> {
        let (from, to) = (self.scan.request.from_seq, self.scan.request.to_seq_exclusive);
        if from >= to {
            return Ok(None);
        }
        let (batches, next) = match self.asked().await {
            Ok((batches, next)) => {
                self.scan.progress.read_hot(next.0 - from.0);
                (stream::iter(batches.into_iter().map(Ok)).boxed(), next)
            }
            Err(HotTierError::Refused(reason)) => {
                tracing::warn!(shard = %self.scan.shard, reason, "its node does not aggregate its events: they are read in pages");
                (self.rest(context)?, to)
            }
            Err(error) => return Err(DataFusionError::External(Box::new(error))),
        };
        self.scan.request.from_seq = next;
        Ok(Some(batches))
    }

    async fn asked(&self) -> Result<(Vec<RecordBatch>, Seq), HotTierError> {
        let (from, to) = (self.scan.request.from_seq, self.scan.request.to_seq_exclusive);
        let asked = PeerPartial { from_seq: from.0, to_seq_exclusive: to.0, ..PeerPartial::clone(&self.question) };
        let PeerStates { arrow, next_seq } = self.scan.hot.states(self.scan.shard, &asked).await?;
        if next_seq <= from.0 || next_seq > to.0 {
            return Err(HotTierError::Refused(format!("states of {from} to {next_seq}, asked for were those up to {to}")));
        }
        let wrong = |error: arrow::error::ArrowError| HotTierError::Refused(error.to_string());
        let states = StreamReader::try_new(arrow.reader(), None).map_err(wrong)?;
        if states.schema() != self.schema {
            return Err(HotTierError::Refused("states of another form".to_owned()));
        }
        Ok((states.collect::<Result<_, _>>().map_err(wrong)?, Seq(next_seq)))
    }

    /// What is left, in pages.
    fn rest(&self, context: &Arc<TaskContext>) -> Result<Batches> {
        let scan = Arc::new(RemoteScan::new(vec![self.scan.clone()], &self.scan.schema));
        let by_pages = replaced(Arc::clone(&self.by_pages), |leaf| {
            leaf.is::<RemoteScan>().then(|| Arc::clone(&scan) as Arc<dyn ExecutionPlan>)
        })?;
        // What a plan's nodes keep is shared with the plan that it was made of, which runs.
        let by_pages = reset_plan_states(by_pages)?;
        Ok(CoalescePartitionsExec::new(by_pages).execute(0, Arc::clone(context))?.boxed())
    }
}
