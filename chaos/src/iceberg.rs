//! Everything in the lake as PyIceberg sees it, which nobody here wrote.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde::Deserialize;

use crate::checker::{Moment, Read, Row};
use crate::workload::id_of;

const SCRIPT: &str = include_str!("iceberg.py");

#[derive(Deserialize)]
struct Line(String, String, u32, u64);

/// Rows of each tenant.
///
/// # Errors
/// When the lake cannot be read.
pub fn read(python: &Path, lake: &Path, tenants: &[String]) -> anyhow::Result<Vec<Read>> {
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).arg(lake.join("catalog.db")).arg(format!("file://{}/warehouse", lake.display()));
    let output = command.output().with_context(|| python.display().to_string())?;
    anyhow::ensure!(output.status.success(), "PyIceberg: {}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Line> = serde_json::from_slice(&output.stdout).context("PyIceberg's rows")?;
    // Each tenant has a read, also one without a row; a stranger's rows make a read of their own.
    let mut rows: BTreeMap<String, Vec<Row>> = tenants.iter().map(|tenant| (tenant.clone(), Vec::new())).collect();
    for Line(tenant, span_id, shard, seq) in lines {
        rows.entry(tenant).or_default().push(Row { id: id_of(&span_id).unwrap_or(u64::MAX), shard, seq });
    }
    let read = |(tenant, rows)| Read { reader: "PyIceberg".to_owned(), tenant, moment: Moment::Final, rows };
    Ok(rows.into_iter().map(read).collect())
}
