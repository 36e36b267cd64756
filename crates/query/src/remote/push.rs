//! Which part of a plan is done on other nodes.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::ExecutionPlanProperties as _;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use watershed_schema::proto::PeerPartial;

use super::scan::RemoteScan;
use super::states;

/// The lowest partial aggregate over events of other nodes is done there, and here over all others.
pub(crate) fn push(plan: Arc<dyn ExecutionPlan>, question: &Arc<PeerPartial>) -> Result<Arc<dyn ExecutionPlan>> {
    let pushed = plan.transform_down(|node| {
        if !is_partial(&node) || !is_lowest(&node)? || !has_remote(&node)? {
            return Ok(Transformed::no(node));
        }
        let here = emptied(Arc::clone(&node), |leaf| leaf.is::<RemoteScan>())?;
        let there = emptied(node, |leaf| !leaf.is::<RemoteScan>())?;
        let states = states::plan(there, question)?;
        Ok(Transformed::new(UnionExec::try_new(vec![here, states])?, true, TreeNodeRecursion::Jump))
    });
    Ok(pushed?.data)
}

/// The lowest partial aggregate of a plan.
pub(super) fn lowest_partial(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let mut found = None;
    plan.apply(|node| {
        if is_partial(node) && is_lowest(node)? {
            found = Some(Arc::clone(node));
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn is_partial(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.downcast_ref::<AggregateExec>().is_some_and(|aggregate| *aggregate.mode() == AggregateMode::Partial)
}

/// Whether no other aggregate is below: a distinct count is one of another.
fn is_lowest(aggregate: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    Ok(!aggregate.children()[0].exists(|node| Ok(node.is::<AggregateExec>()))?)
}

fn has_remote(node: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    node.exists(|node| Ok(node.is::<RemoteScan>()))
}

/// The plan without the rows of some of its leaves.
fn emptied(plan: Arc<dyn ExecutionPlan>, goes: impl Fn(&dyn ExecutionPlan) -> bool) -> Result<Arc<dyn ExecutionPlan>> {
    replaced(plan, |leaf| {
        let empty = || EmptyExec::new(leaf.schema()).with_partitions(leaf.output_partitioning().partition_count());
        goes(leaf.as_ref()).then(|| Arc::new(empty()) as Arc<dyn ExecutionPlan>)
    })
}

/// The plan with other leaves.
pub(super) fn replaced(
    plan: Arc<dyn ExecutionPlan>,
    other: impl Fn(&Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let replaced = plan.transform_up(|node| match other(&node).filter(|_| node.children().is_empty()) {
        Some(leaf) => Ok(Transformed::yes(leaf)),
        None => Ok(Transformed::no(node)),
    });
    Ok(replaced?.data)
}
