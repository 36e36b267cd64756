//! A SQL result as it arrives: pieces of an Arrow IPC stream, cut anywhere.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use arrow::record_batch::RecordBatch;
use futures::Stream;
use watershed_schema::proto;

use crate::Error;

/// Record batches of one statement.
#[derive(Debug)]
pub struct QueryStream {
    pieces: tonic::Streaming<proto::SqlResponse>,
    decoder: StreamDecoder,
    ready: VecDeque<RecordBatch>,
    ended: bool,
}

impl QueryStream {
    pub(crate) fn new(pieces: tonic::Streaming<proto::SqlResponse>) -> Self {
        Self { pieces, decoder: StreamDecoder::new(), ready: VecDeque::new(), ended: false }
    }

    fn take(&mut self, piece: proto::SqlResponse) -> Result<(), Error> {
        let mut buffer = Buffer::from(piece.arrow_ipc);
        while !buffer.is_empty() {
            self.ready.extend(self.decoder.decode(&mut buffer)?);
        }
        Ok(())
    }

    fn end(&mut self, result: Result<(), Error>) -> Option<Result<RecordBatch, Error>> {
        self.ended = true;
        result.err().map(Err)
    }
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(batch)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            let taken = match ready!(Pin::new(&mut self.pieces).poll_next(context)) {
                Some(Ok(piece)) => self.take(piece),
                Some(Err(status)) => Err(status.into()),
                None => {
                    let finished = self.decoder.finish().map_err(Error::from);
                    return Poll::Ready(self.end(finished));
                }
            };
            if taken.is_err() {
                return Poll::Ready(self.end(taken));
            }
        }
    }
}
