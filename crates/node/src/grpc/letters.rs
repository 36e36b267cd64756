//! Dead letters on the wire.

use tonic::Status;
use watershed_actors::Node;
use watershed_lake::Rows;
use watershed_schema::{Row, event_json, proto};

use crate::refusal::Refusal;

const ROWS_DEFAULT: u32 = 100;
/// Of a kilobyte or two each.
const ROWS_MAX: u32 = 10_000;

pub(super) async fn list(node: &Node) -> Result<proto::ListDeadLettersResponse, Status> {
    Ok(proto::ListDeadLettersResponse { letters: node.dead_letters().await.map_err(Refusal::Unavailable)? })
}

pub(super) async fn get(node: &Node, request: proto::GetDeadLetterRequest) -> Result<proto::GetDeadLetterResponse, Status> {
    let limit = match request.limit {
        0 => ROWS_DEFAULT,
        limit if limit <= ROWS_MAX => limit,
        limit => return Err(Refusal::Invalid(format!("limit: {limit} is more than {ROWS_MAX}")).into()),
    };
    let found = node.dead_letter(&request.name).await.map_err(Refusal::Unavailable)?;
    let (letter, rows) = found.ok_or_else(|| Status::not_found(format!("name: there is no letter {}", request.name)))?;
    let rows = shown(&rows, usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(proto::GetDeadLetterResponse { letter: Some(letter), rows })
}

pub(super) async fn purge(node: &Node, names: Vec<String>) -> Result<proto::PurgeDeadLettersResponse, Status> {
    if names.is_empty() {
        return Err(Refusal::Invalid("names: at least one, or * for all".to_owned()).into());
    }
    Ok(proto::PurgeDeadLettersResponse { purged: node.purge_dead_letters(names).await.map_err(Refusal::Unavailable)? })
}

fn shown(rows: &Rows, limit: usize) -> Vec<proto::DeadLetterRow> {
    let of_block = rows.blocks.iter().flat_map(|(first, batch)| {
        let tenant = batch.tenant().as_str();
        batch.rows().zip(first.0..).map(move |(row, seq)| of_row(&row, seq, tenant))
    });
    of_block.take(limit).collect()
}

fn of_row(row: &Row<'_>, seq: u64, tenant: &str) -> proto::DeadLetterRow {
    let (mut event, mut damage) = ("{".to_owned(), String::new());
    match event_json::members(row, &mut event) {
        Ok(()) => event.push('}'),
        Err(error) => (event, damage) = (String::new(), error.to_string()),
    }
    proto::DeadLetterRow { seq, tenant: tenant.to_owned(), event, damage }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use watershed_schema::{BatchBuilder, Column, Seq, ShardId, TenantId};

    use super::*;

    fn rows() -> Rows {
        let mut batch = BatchBuilder::new(TenantId::default(), 0);
        for attributes in [&b""[..], &[0x0a, 0x7f]] {
            batch.row(None, |event| {
                event.str(Column::Id, "i");
                event.str(Column::EventType, "log");
                event.str(Column::EventName, "x");
                event.int(Column::Timestamp, 1);
                event.otlp(Column::Attributes, |list| list.raw(attributes));
            });
        }
        let blocks = vec![(Seq(7), Arc::new(batch.finish().expect("rows")))];
        Rows { shard: ShardId(0), from_seq: Seq(7), to_seq: Seq(9), blocks }
    }

    #[test]
    fn a_row_that_cannot_be_read_says_why_beside_one_that_can() {
        let rows = shown(&rows(), 10);
        assert_eq!((rows[0].seq, rows[0].damage.as_str()), (7, ""));
        let event: serde_json::Value = serde_json::from_str(&rows[0].event).expect("JSON");
        assert_eq!(event["event_name"], "x");
        assert_eq!((rows[1].seq, rows[1].event.as_str()), (8, ""));
        assert!(!rows[1].damage.is_empty());
    }
}
