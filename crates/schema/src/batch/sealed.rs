//! A batch as it is stored and forwarded: header in the open, body in an LZ4 block.

use bytes::Bytes;

use super::texts::Texts;
use super::{EventBatch, Index};
use crate::wire::Malformed;
use crate::{TenantId, limits, proto};

/// Why a sealed batch does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// No header.
    #[error("sealed batch has no header")]
    NoHeader,
    /// The header's tenant is none.
    #[error(transparent)]
    Tenant(#[from] crate::InvalidTenant),
    /// The body claims more than a batch may have.
    #[error("sealed batch claims {0} bytes, limit {max}", max = limits::BATCH_BYTES_MAX)]
    TooBig(u32),
    /// The block is damaged.
    #[error("LZ4 block of a sealed batch: {0}")]
    Lz4(String),
    /// The body is damaged.
    #[error(transparent)]
    Body(#[from] Malformed),
    /// Header and body disagree.
    #[error("sealed batch says {said} events and has {has}")]
    Rows {
        /// In the header.
        said: u32,
        /// In the body.
        has: usize,
    },
}

impl EventBatch {
    /// Compresses.
    #[must_use]
    pub fn seal(&self) -> proto::SealedBatch {
        proto::SealedBatch { header: Some(self.header.clone()), body: Bytes::from(lz4_flex::block::compress(&self.body)) }
    }

    /// Opens what [`Self::seal`] closed.
    ///
    /// # Errors
    /// [`OpenError`] when the bytes are damaged or lie about their size.
    pub fn open(sealed: &proto::SealedBatch) -> Result<Self, OpenError> {
        let header = sealed.header.clone().ok_or(OpenError::NoHeader)?;
        let size = usize::try_from(header.body_bytes).unwrap_or(usize::MAX);
        if size > limits::BATCH_BYTES_MAX {
            return Err(OpenError::TooBig(header.body_bytes));
        }
        let body = lz4_flex::block::decompress(&sealed.body, size).map_err(|error| OpenError::Lz4(error.to_string()))?;
        let index = Index::of(&body)?;
        if index.rows.len() as u64 != u64::from(header.rows) {
            return Err(OpenError::Rows { said: header.rows, has: index.rows.len() });
        }
        let tenant = TenantId::new(&header.tenant)?;
        Ok(Self {
            tenant,
            header,
            body: Bytes::from(body),
            shared: index.shared,
            rows: index.rows,
            ids: Vec::new(),
            texts: Texts::default(),
        })
    }
}
