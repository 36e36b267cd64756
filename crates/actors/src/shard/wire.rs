//! What nodes tell each other of a shard, as messages.

use std::sync::Arc;

use watershed_hot::ScanRequest;
use watershed_schema::{EventBatch, Positions, Seq, TenantId, proto};

use super::handle::Page;

pub(crate) fn positions(now: &Positions) -> proto::PeerPositions {
    proto::PeerPositions {
        trimmed_seq: now.trimmed().0,
        archived_seq: now.archived().0,
        staged_seq: now.staged().0,
        tail_seq: now.tail().0,
    }
}

/// `None`: positions out of order.
pub(crate) fn positions_of(told: &proto::PeerPositions) -> Option<Positions> {
    let &proto::PeerPositions { trimmed_seq, archived_seq, staged_seq, tail_seq } = told;
    let in_order = [Seq::FIRST.0, trimmed_seq, archived_seq, staged_seq, tail_seq].is_sorted();
    in_order.then(|| {
        let mut positions = Positions::default();
        positions.set_tail(Seq(tail_seq));
        positions.set_staged(Seq(staged_seq));
        positions.set_archived(Seq(archived_seq));
        positions.set_trimmed(Seq(trimmed_seq));
        positions
    })
}

pub(crate) fn scan(request: &ScanRequest) -> proto::PeerScan {
    proto::PeerScan {
        from_seq: request.from_seq.0,
        to_seq_exclusive: request.to_seq_exclusive.0,
        tenant: request.tenant.as_ref().map(|tenant| tenant.as_str().to_owned()).unwrap_or_default(),
        min_ts_us: request.min_ts_us,
        max_ts_us: request.max_ts_us,
        types: request.types,
        keys: request.keys.clone(),
        names: request.names.clone(),
        bytes_max: request.bytes_max as u64,
    }
}

/// What is wrong with it is the tenant's name.
pub(crate) fn scan_of(asked: proto::PeerScan) -> Result<ScanRequest, String> {
    let tenant = (!asked.tenant.is_empty()).then(|| TenantId::new(&asked.tenant)).transpose();
    Ok(ScanRequest {
        from_seq: Seq(asked.from_seq),
        to_seq_exclusive: Seq(asked.to_seq_exclusive),
        tenant: tenant.map_err(|error| error.to_string())?,
        min_ts_us: asked.min_ts_us,
        max_ts_us: asked.max_ts_us,
        types: asked.types,
        keys: asked.keys,
        names: asked.names,
        bytes_max: usize::try_from(asked.bytes_max).unwrap_or(usize::MAX),
    })
}

pub(crate) fn page(page: &Page) -> proto::PeerPage {
    let block = |(first, batch): &(Seq, Arc<EventBatch>)| proto::PeerBlock {
        first_seq: first.0,
        batch: Some(batch.seal()),
        header: None,
    };
    proto::PeerPage { blocks: page.blocks.iter().map(block).collect(), next_seq: page.next.0 }
}

pub(crate) fn page_of(told: proto::PeerPage) -> Result<Page, String> {
    let open = |block: proto::PeerBlock| {
        let batch = EventBatch::open(&block.batch.unwrap_or_default()).map_err(|error| error.to_string())?;
        Ok((Seq(block.first_seq), Arc::new(batch)))
    };
    Ok(Page { blocks: told.blocks.into_iter().map(open).collect::<Result<_, String>>()?, next: Seq(told.next_seq) })
}

pub(crate) fn heads(heads: Vec<(Seq, proto::BatchHeader)>) -> proto::PeerPage {
    let block =
        |(first, header): (Seq, proto::BatchHeader)| proto::PeerBlock { first_seq: first.0, batch: None, header: Some(header) };
    proto::PeerPage { blocks: heads.into_iter().map(block).collect(), next_seq: 0 }
}

pub(crate) fn heads_of(told: proto::PeerPage) -> Vec<(Seq, proto::BatchHeader)> {
    told.blocks.into_iter().map(|block| (Seq(block.first_seq), block.header.unwrap_or_default())).collect()
}
