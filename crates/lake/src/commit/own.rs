//! A commit's part for the tables of single tenants.
//!
//! An own table says in its watermark how far it is ahead of the shared one: rows of its tenant from the shared watermark up to
//! its own are in it. What is below either watermark is in the lake already, so a retry adds nothing twice.

use std::collections::BTreeSet;

use iceberg::table::Table;
use watershed_schema::{Seq, TenantId};

use super::{CommitRequest, applied, continues, goes_by_watermark, marks};
use crate::table::{EventTable, fence, watermark_of};
use crate::{Lake, LakeError, StagedFile, Watermark};

impl Lake {
    /// Commits to each own table what is for it; `shared` is the shared table as it was read, which comes last.
    pub(super) async fn commit_own(&self, shared: &Table, request: &CommitRequest) -> Result<(), LakeError> {
        let floor = watermark_of(shared)?;
        for tenant in tenants(request) {
            let id = TenantId::new(tenant).map_err(|error| LakeError::Foreign(format!("a staged file: {error}")))?;
            let own = self.shared.own_of(shared, &id)?.ok_or(LakeError::NoTable(id))?;
            fail::fail_point!("lake::before_own");
            own.commit_part(tenant, &floor, request).await?;
            fail::fail_point!("lake::between_tables", |_| Err(LakeError::Foreign("ended by a fail point".to_owned())));
        }
        Ok(())
    }
}

/// Whose tables get a file.
fn tenants(request: &CommitRequest) -> BTreeSet<&str> {
    let all = request.ranges.iter().map(|range| &range.files).chain([&request.replayed]);
    all.flat_map(|staged| &staged.own).filter(|(_, files)| !files.is_empty()).map(|(tenant, _)| tenant.as_str()).collect()
}

impl EventTable {
    async fn commit_part(&self, tenant: &str, floor: &Watermark, request: &CommitRequest) -> Result<(), LakeError> {
        let table = self.load().await?;
        if applied(&table, request.commit_id).is_some() {
            return Ok(());
        }
        fence(&table, request.epoch)?;
        let (next, files) = part(tenant, (watermark_of(&table)?, floor), request)?;
        if !files.is_empty() {
            let marks = marks(request, &next)?;
            self.append(table, files.into_iter(), marks).await?;
        }
        Ok(())
    }
}

/// The files of one tenant that its table does not have, and the watermark that they bring it to.
fn part<'a>(
    tenant: &str,
    (mut next, floor): (Watermark, &Watermark),
    request: &'a CommitRequest,
) -> Result<(Watermark, Vec<&'a StagedFile>), LakeError> {
    let mut files = Vec::new();
    for range in &request.ranges {
        let Some(of_range) = range.files.own.get(tenant) else { continue };
        let at = |marks: &Watermark| marks.get(&range.shard).copied().unwrap_or(Seq::FIRST);
        let archived = at(&next).max(at(floor));
        if range.to_seq <= archived && goes_by_watermark() {
            continue;
        }
        continues(range, archived)?;
        next.insert(range.shard, range.to_seq);
        files.extend(of_range);
    }
    files.extend(request.replayed.own.get(tenant).into_iter().flatten());
    Ok((next, files))
}
