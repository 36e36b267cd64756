//! Files into one, column by column: in memory are the compressed bytes of a few columns, and batches of those that are
//! worked on.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::FieldRef;
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::io::FileWrite;
use iceberg::spec::{DataFile, PartitionKey, PartitionSpecRef, Struct};
use iceberg::table::Table;
use iceberg::writer::file_writer::location_generator::{FileNameGenerator as _, LocationGenerator as _};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::file::properties::DEFAULT_PAGE_SIZE;
use parquet::file::writer::SerializedFileWriter;

use watershed_schema::Column;

use super::column::Target;
use super::encode::{Encoded, Window};
use super::files::Written;
use super::live::LiveFile;
use super::order::{Order, Part};
use super::source::{Chunks, Source};
use crate::data_file::Made;
use crate::encoding::{self, GROUP_ROWS_MAX};
use crate::filter_cache::Key;
use crate::turns::Turn;
use crate::{CompactionLimits, LakeError, schema};

/// Files that are asked for bytes at once.
const FETCHES: usize = 8;

/// Files that become one.
pub(crate) struct Rewrite<'a> {
    table: &'a Table,
    written: &'a Written,
    sources: Vec<Source>,
    to: Target,
    /// Most bytes of decoded rows; once more of compressed ones, half of them read and half written, or those of one column.
    bytes_max: usize,
    threads: usize,
}

/// The file that they become.
pub(crate) struct Rewritten {
    pub(crate) file: DataFile,
    /// Most bytes of decoded rows that were in memory at a time.
    pub(crate) decoded_bytes_peak: usize,
}

impl<'a> Rewrite<'a> {
    pub(crate) async fn open(
        table: &'a Table,
        files: &[LiveFile],
        limits: &CompactionLimits,
        written: &'a Written,
    ) -> Result<Self, LakeError> {
        let sources = stream::iter(files.iter().map(|file| Source::open(table, file).boxed()).collect::<Vec<_>>());
        let sources = sources.buffered(FETCHES).try_collect().await?;
        let to = Target::new(&Arc::new(schema_to_arrow_schema(table.metadata().current_schema())?))?;
        Ok(Self { table, written, sources, to, bytes_max: limits.decoded_bytes_max, threads: limits.threads.max(1) })
    }

    /// The common order of all rows.
    pub(crate) async fn merged(&self) -> Result<Order, LakeError> {
        let keys: Vec<i32> = schema::sort_order().fields.iter().map(|sort| sort.source_id).collect();
        let chunks = self.fetch(&keys).await?;
        let _turn = self.turn().await;
        Order::merged(&self.inputs(&chunks), &self.to, self.bytes_max)
    }

    /// Writes the rows in this order; no file when there are none.
    pub(crate) async fn write(
        &self,
        order: &Order,
        (spec, partition): (&PartitionSpecRef, Struct),
    ) -> Result<Option<Rewritten>, LakeError> {
        let rows = order.rows();
        if rows == 0 {
            return Ok(None);
        }
        let schema = self.table.metadata().current_schema();
        let key = PartitionKey::new(spec.as_ref().clone(), Arc::clone(schema), partition.clone());
        let path = self.written.generate_location(Some(&key), &self.written.names().generate_file_name());
        let mut out = Out::new(self.table.file_io().new_output(&path)?.writer().await?);
        let columns = Arc::new(schema_to_arrow_schema(schema)?);
        let writer = ArrowWriter::try_new(
            out.buffer.clone(),
            columns,
            Some(encoding::settings(rows as u64, DEFAULT_PAGE_SIZE, |column| self.holds(column))),
        )?;
        let (mut file, groups) = writer.into_serialized_writer()?;
        let group_rows = usize::try_from(GROUP_ROWS_MAX).unwrap_or(usize::MAX);
        for (number, part) in order.cut(self.sources.len(), group_rows).iter().enumerate() {
            self.write_group((number, part), (&mut file, &groups), &mut out).await?;
        }
        let footer = file.close()?;
        let (tail, nans, decoded_bytes_peak) = out.close().await?;
        let bytes = tail.1 + tail.0.len() as u64;
        self.written.files().cache().keep_written(Key { path: path.clone(), size: bytes }, (&tail.0, tail.1), &footer).await;
        let file = Made { path, bytes, footer, nans }.listed(schema, (spec, partition))?;
        Ok(Some(Rewritten { file, decoded_bytes_peak }))
    }

    async fn write_group(
        &self,
        (number, part): (usize, &Part<'_>),
        (file, groups): (&mut SerializedFileWriter<Buffer>, &ArrowRowGroupWriterFactory),
        out: &mut Out,
    ) -> Result<(), LakeError> {
        let mut writers = groups.create_column_writers(number)?.into_iter();
        let mut group = file.next_row_group()?;
        for columns in self.windows() {
            let chunks = self.fetch(&columns.iter().map(|(id, _)| *id).collect::<Vec<_>>()).await?;
            let turn = self.turn().await;
            let window = Window { inputs: self.inputs(&chunks), part, decoded_bytes_max: self.bytes_max };
            let encoded = window.encode(columns.iter().zip(writers.by_ref()).collect(), self.threads)?;
            drop(chunks);
            for ((id, _), encoded) in columns.iter().zip(encoded) {
                out.note(*id, &encoded);
                encoded.chunk.append_to_row_group(&mut group)?;
            }
            // Nobody waits for a store.
            drop(turn);
            out.send().await?;
        }
        group.close()?;
        Ok(())
    }

    async fn turn(&self) -> Turn {
        let turn = self.written.files().turns().next().await;
        fail::fail_point!("lake::merge");
        turn
    }

    /// Whether an input has anything in a column.
    fn holds(&self, column: Column) -> bool {
        self.sources.iter().any(|source| source.holds(i32::from(column.id())))
    }

    /// Columns beside each other whose bytes are in memory together.
    fn windows(&self) -> Vec<&[(i32, FieldRef)]> {
        let fields = self.to.fields();
        let (mut windows, mut from, mut bytes) = (Vec::new(), 0, 0);
        for (at, (id, _)) in fields.iter().enumerate() {
            let more: u64 = self.sources.iter().map(|source| source.column_bytes(*id)).sum();
            if at > from && bytes + more > self.bytes_max as u64 / 2 {
                windows.push(&fields[from..at]);
                (from, bytes) = (at, 0);
            }
            bytes += more;
        }
        windows.push(&fields[from..]);
        windows
    }

    async fn fetch(&self, ids: &[i32]) -> Result<Vec<Chunks>, LakeError> {
        let asked: Vec<_> = self.sources.iter().map(|source| source.fetch(ids).boxed()).collect();
        stream::iter(asked).buffered(FETCHES).try_collect().await
    }

    fn inputs<'b>(&'b self, chunks: &'b [Chunks]) -> Vec<(&'b Source, &'b Chunks)> {
        self.sources.iter().zip(chunks).collect()
    }
}

/// Where Parquet's writer puts its bytes until they are sent: in pieces, for a column takes tens of megabytes, and what grows
/// is copied to twice its length.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<Vec<u8>>>>);

const PIECE_BYTES: usize = 1 << 20;

impl Buffer {
    fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pieces.last().is_none_or(|piece| piece.len() == PIECE_BYTES) {
            pieces.push(Vec::with_capacity(PIECE_BYTES));
        }
        let piece = pieces.last_mut().expect("invariant: there is one");
        let taken = bytes.len().min(PIECE_BYTES - piece.len());
        piece.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The new file on its way into the store.
struct Out {
    buffer: Buffer,
    file: Box<dyn FileWrite>,
    bytes: u64,
    nans: HashMap<i32, u64>,
    decoded_bytes_peak: usize,
}

impl Out {
    fn new(file: Box<dyn FileWrite>) -> Self {
        Self { buffer: Buffer::default(), file, bytes: 0, nans: HashMap::new(), decoded_bytes_peak: 0 }
    }

    fn note(&mut self, id: i32, column: &Encoded) {
        if let Some(nans) = column.nans {
            *self.nans.entry(id).or_default() += nans;
        }
        self.decoded_bytes_peak = self.decoded_bytes_peak.max(column.decoded_bytes_peak);
    }

    async fn send(&mut self) -> Result<(), LakeError> {
        for piece in self.buffer.take() {
            self.bytes += piece.len() as u64;
            self.file.write(piece.into()).await?;
        }
        Ok(())
    }

    /// What was written last: filters, indexes and footer.
    async fn close(mut self) -> Result<((Bytes, u64), HashMap<i32, u64>, usize), LakeError> {
        let tail = (Bytes::from(self.buffer.take().concat()), self.bytes);
        self.file.write(tail.0.clone()).await?;
        self.file.close().await?;
        Ok((tail, self.nans, self.decoded_bytes_peak))
    }
}
