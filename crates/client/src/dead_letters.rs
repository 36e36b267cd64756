//! Rows that the lake refused for good.

use watershed_schema::proto;

use crate::{Client, Error};

/// Ten thousand rows of a few kilobytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;

impl Client {
    /// Rows that the lake refused for good, as runs with the reason.
    ///
    /// # Errors
    /// [`Error::Status`].
    pub async fn dead_letters(&self) -> Result<Vec<proto::DeadLetter>, Error> {
        Ok(self.lake_service().list_dead_letters(proto::ListDeadLettersRequest {}).await?.into_inner().letters)
    }

    /// A letter with its first rows, at most `limit` of them (0: 100).
    ///
    /// # Errors
    /// [`Error::Status`], with `NOT_FOUND` where there is no such letter.
    pub async fn dead_letter(&self, name: &str, limit: u32) -> Result<proto::GetDeadLetterResponse, Error> {
        let request = proto::GetDeadLetterRequest { name: name.to_owned(), limit };
        let mut service = self.lake_service().max_decoding_message_size(ANSWER_BYTES_MAX);
        Ok(service.get_dead_letter(request).await?.into_inner())
    }

    /// Writes dead letters into the lake after all, each exactly once; no names: all of them.
    ///
    /// # Errors
    /// [`Error::Status`]; what is refused again says so in its answer.
    pub async fn replay_dead_letters(&self, names: Vec<String>) -> Result<Vec<proto::Replayed>, Error> {
        let request = proto::ReplayDeadLettersRequest { names };
        Ok(self.lake_service().replay_dead_letters(request).await?.into_inner().replayed)
    }

    /// Gives dead letters up for good: their rows are nowhere any longer. `*` is all of them.
    ///
    /// # Errors
    /// [`Error::Status`], also without a name; a letter that stays says so in its answer.
    pub async fn purge_dead_letters(&self, names: Vec<String>) -> Result<Vec<proto::Purged>, Error> {
        let request = proto::PurgeDeadLettersRequest { names };
        Ok(self.lake_service().purge_dead_letters(request).await?.into_inner().purged)
    }
}
