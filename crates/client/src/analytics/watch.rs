//! Who wants to know how far an answer is.

use std::sync::Arc;

use watershed_schema::proto;
use watershed_schema::proto::analytics_request::Question;
use watershed_schema::proto::analytics_response::Said;

use super::Analytics;
use crate::Error;

#[derive(Clone)]
pub(super) struct Watch(pub(super) Arc<dyn Fn(&proto::Progress) + Send + Sync>);

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

impl Watch {
    /// The answer, once it is there.
    pub(super) async fn answer(&self, mut service: Analytics, question: Question) -> Result<Said, Error> {
        let request = proto::AnalyticsRequest { question: Some(question) };
        let mut told = service.ask(request).await?.into_inner();
        while let Some(response) = told.message().await? {
            match response.said {
                Some(Said::Progress(progress)) => (self.0)(&progress),
                Some(answer) => return Ok(answer),
                None => return Err(Error::Protocol("an empty message")),
            }
        }
        Err(Error::Protocol("the end before an answer"))
    }
}
