//! `watershed query`: SQL, printed as it comes.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use clap::{Args, ValueEnum};
use futures::TryStreamExt as _;

use crate::Target;
use crate::out::{self, Failure};

pub(crate) const EXAMPLES: &str = "Examples:
  watershed query \"SELECT event_type, count(*) FROM events GROUP BY 1\"
  watershed query --format ndjson \"SELECT * FROM events WHERE trace_id = '…'\"
  watershed query --since 1h \"SELECT count(*) FROM events WHERE timestamp > \\$since\"";

#[derive(Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    target: Target,
    /// How rows are printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// `$since` in the SQL becomes the time this long ago.
    #[arg(long, value_name = "DURATION")]
    since: Option<humantime::Duration>,
    /// One statement that reads the table `events`.
    sql: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
    Ndjson,
    Csv,
}

/// Rows of one printed table: a long result is several tables, never one in memory.
const TABLE_ROWS: usize = 10_000;
const PROGRESS_AFTER: Duration = Duration::from_secs(1);

pub(crate) async fn run(flags: Flags) -> Result<(), Failure> {
    let sql = with_since(&flags.sql, flags.since)?;
    let mut rows = flags.target.connect().await?.query_stream(&sql).await?;
    let (began, mut told, mut printed) = (Instant::now(), Instant::now(), 0);
    let mut print = Printer::new(flags.format);
    while let Some(batch) = rows.try_next().await? {
        printed += batch.num_rows();
        print.batch(batch)?;
        if std::io::stderr().is_terminal() && began.elapsed() > PROGRESS_AFTER && told.elapsed() > PROGRESS_AFTER {
            told = Instant::now();
            out::say(&format!("{printed} rows so far"));
        }
    }
    print.end()
}

fn with_since(sql: &str, since: Option<humantime::Duration>) -> Result<String, Failure> {
    match since {
        None if sql.contains("$since") => Err(Failure::usage("the SQL says $since: --since DURATION is wanted")),
        None => Ok(sql.to_owned()),
        Some(since) => {
            let at =
                std::time::SystemTime::now().checked_sub(*since).ok_or_else(|| Failure::usage("--since is before all time"))?;
            Ok(sql.replace("$since", &format!("TIMESTAMP '{}'", humantime::format_rfc3339_micros(at))))
        }
    }
}

/// Prints rows as they come.
pub(super) struct Printer {
    format: Format,
    table: Vec<RecordBatch>,
    first: bool,
}

impl Printer {
    pub(super) fn new(format: Format) -> Self {
        Self { format, table: Vec::new(), first: true }
    }

    pub(super) fn batch(&mut self, batch: RecordBatch) -> Result<(), Failure> {
        match self.format {
            Format::Table => {
                self.table.push(batch);
                if self.table.iter().map(RecordBatch::num_rows).sum::<usize>() >= TABLE_ROWS {
                    self.print_table()
                } else {
                    Ok(())
                }
            }
            Format::Csv => self.csv(&batch),
            Format::Json | Format::Ndjson => self.json(&batch),
        }
    }

    fn print_table(&mut self) -> Result<(), Failure> {
        let table = arrow::util::pretty::pretty_format_batches(&self.table).map_err(anyhow::Error::from)?;
        self.table.clear();
        Ok(out::data(&format!("{table}\n"))?)
    }

    fn csv(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let mut text = Vec::new();
        let header = std::mem::take(&mut self.first);
        let mut writer = arrow::csv::WriterBuilder::new().with_header(header).build(&mut text);
        writer.write(batch).map_err(anyhow::Error::from)?;
        drop(writer);
        Ok(out::data(&String::from_utf8_lossy(&text))?)
    }

    fn json(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
        writer.write(batch).and_then(|()| writer.finish()).map_err(anyhow::Error::from)?;
        let lines = String::from_utf8_lossy(&writer.into_inner()).into_owned();
        if self.format == Format::Ndjson {
            return Ok(out::data(&lines)?);
        }
        for line in lines.lines() {
            let before = if std::mem::take(&mut self.first) { "[" } else { ",\n " };
            out::data(&format!("{before}{line}"))?;
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<(), Failure> {
        match self.format {
            Format::Table if !self.table.is_empty() => self.print_table(),
            Format::Json => Ok(out::data(if self.first { "[]\n" } else { "]\n" })?),
            Format::Table | Format::Ndjson | Format::Csv => Ok(()),
        }
    }
}
